//! The rules in use: a set of rules that were read from files and can each drive a detector; and where a finding goes
//! by its rule's state. A rule is a TOML file; some are embedded. `read` defines what a file may contain, `detect::ALL`
//! which detectors there are. Must not know a detector's inside: each detector names its parameters. Called by the
//! engine and by the commands that use, show or check rules.
pub mod card;
pub mod folder;
mod read;
pub mod shipped;

use crate::anomaly::{Anomaly, DecisionReason, Findings};
pub use crate::canary::Canary;
use crate::detect;
use crate::detect::running::Detector;
pub use crate::rule::{BUDGET_PER_DEVICE_YEAR, MissingParameter, Origin, Rule, RuleState};
use crate::toml_place::TomlError;
use zenei_wire::Id;

/// A set of rules with a digest of its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    rules: Vec<Rule>,
    digest: Id,
}

impl Rules {
    /// The embedded rules.
    ///
    /// # Errors
    /// None in a released program: a test reads them all.
    pub fn embedded() -> Result<Self, TomlError> {
        Self::parse(shipped::rules())
    }

    /// Reads rule files, given as name and text; their order does not matter.
    ///
    /// # Errors
    /// The first thing wrong, with file, line and key.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, TomlError> {
        Self::check(files).map_err(|mut errors| errors.swap_remove(0))
    }

    /// Reads rule files as [`Rules::parse`] does, and goes on after an error.
    ///
    /// # Errors
    /// Everything that is wrong, by file and line; at least one.
    pub fn check<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Vec<TomlError>> {
        let (mut rules, mut errors): (Vec<Rule>, Vec<TomlError>) = (Vec::new(), Vec::new());
        let mut texts: Vec<(&str, &str)> = files.into_iter().collect();
        texts.sort_unstable();
        for (file, text) in &texts {
            let rule = match read::rule(file, text) {
                Ok(rule) => rule,
                Err(found) => {
                    errors.extend(found);
                    continue;
                }
            };
            if let Some(other) = rules.iter().find(|other| other.id == rule.id) {
                let problem = format!("{} already has the rule {:?}; an id stands once", other.origin.file, rule.id);
                errors.push(TomlError { file: (*file).to_owned(), line: 1, key: "id".to_owned(), problem });
            }
            rules.push(rule);
        }
        if !errors.is_empty() {
            errors.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
            return Err(errors);
        }
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        let parts: Vec<&[u8]> = texts.iter().map(|(_, text)| text.as_bytes()).collect();
        Ok(Self { rules, digest: Id::of(&parts) })
    }

    /// The detector of each rule, without history, by the rule's id.
    pub fn detectors(&self) -> Vec<Box<dyn Detector>> {
        // Reading a rule makes sure that its detector can start.
        self.rules.iter().filter_map(|rule| detect::find(rule.detector.word)?.start(rule).ok()).collect()
    }

    /// The rules, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The rule of this id.
    pub fn get(&self, id: &str) -> Option<&Rule> {
        self.rules.binary_search_by(|rule| rule.id.as_str().cmp(id)).ok().and_then(|at| self.rules.get(at))
    }

    /// This rule without the others; none where there is no such rule.
    #[must_use]
    pub fn only(&self, id: &str) -> Self {
        Self { rules: self.get(id).into_iter().cloned().collect(), digest: self.digest }
    }

    /// The same rules as if each were live: what a measurement for promotion runs.
    #[must_use]
    pub fn promoted(mut self) -> Self {
        for rule in &mut self.rules {
            (rule.state, rule.canary) = (RuleState::Live, None);
        }
        self
    }

    /// Files a finding by its rule's state: among the anomalies, or among the decisions not to open. `site_of` gives a
    /// lock's site.
    pub(crate) fn admit<'f>(
        &self,
        anomaly: Anomaly,
        site_of: impl Fn(&str) -> Option<&'f str>,
        findings: &mut Findings,
    ) {
        let Some(rule) = self.get(&anomaly.rule) else { return };
        match (rule.state, &rule.canary) {
            (RuleState::Live, _) => findings.anomalies.push(anomaly),
            (RuleState::Canary, Some(canary)) if canary.takes(&anomaly, site_of) => findings.anomalies.push(anomaly),
            (RuleState::Canary, _) => findings.decisions.push(anomaly.refused(DecisionReason::OutsideCanary)),
            (RuleState::Shadow, _) => findings.decisions.push(anomaly.refused(DecisionReason::RuleNotLive)),
        }
    }

    /// A digest of the texts of all files: it changes with each change of a text.
    pub fn digest(&self) -> Id {
        self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOTOR: &str = include_str!("../rules/motor-effort/rule.toml");

    fn problem(text: &str) -> String {
        Rules::parse([("motor.toml", text)]).unwrap_err().to_string()
    }

    #[test]
    fn the_embedded_rules_are_whole() {
        let rules = Rules::embedded().unwrap();
        assert_eq!(rules.iter().count(), shipped::rules().count());
        for rule in rules.iter() {
            for parameter in rule.detector.parameters {
                assert!(rule.parameter(parameter.name).unwrap().is_finite(), "{} {}", rule.id, parameter.name);
            }
        }
        assert_eq!(rules.detectors().len(), rules.iter().count());
    }

    #[test]
    fn an_error_names_file_line_key_what_was_found_and_what_is_allowed() {
        let words: Vec<&str> = detect::ALL.iter().map(|spec| spec.kind.word).collect();
        let known = words.join(", ");
        assert!(known.starts_with("battery_resistance, battery_drain, motor_effort, "), "{known}");
        assert_eq!(
            problem(&MOTOR.replace("\"motor_effort\"", "\"motor_effrot\"")),
            format!("motor.toml:13: detector: found \"motor_effrot\"; allowed are {known}")
        );
        assert_eq!(
            problem(&MOTOR.replace("unit = \"1/K\"", "unit = \"K\"")),
            "motor.toml:42: parameter.slope_temperature.unit: found the unit \"K\"; allowed is \"1/K\""
        );
        assert_eq!(
            problem(&MOTOR.replace("value = 27.0", "value = -27.0")),
            "motor.toml:31: parameter.limit.value: found -27; allowed is 1 to 100"
        );
        let unknown = Rules::check([("motor.toml", MOTOR.replace("parameter.slack", "parameter.slak").as_str())]);
        let told: Vec<String> = unknown.unwrap_err().iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with("motor.toml:13: parameter.slack: is missing"), "{told:?}");
        assert!(
            told[1].starts_with("motor.toml:25: parameter.slak: the detector motor_effort has no such"),
            "{told:?}"
        );
        assert!(problem(&MOTOR.replace("version = 3", "version = 0")).ends_with("versions start at 1"));
        assert!(problem(&MOTOR.replace("owner =", "ownr =")).starts_with("motor.toml:10: ownr"));
    }

    #[test]
    fn a_field_is_named_for_the_detector_that_reads_one_and_for_no_other() {
        const STREAM: &str = include_str!("../tests/reference/rules/stream.toml");
        let rule = |text: &str| Rules::parse([("a.toml", text)]).map(|rules| rules.iter().next().cloned().unwrap());
        let warm = rule(STREAM).unwrap();
        assert_eq!(warm.field.map(|field| field.to_string()).as_deref(), Some("state.temp_c"));
        let other = rule(&STREAM.replace("state.temp_c", "adv.temp_c")).unwrap();
        assert_ne!(warm.digest(), other.digest(), "another field is another rule");
        let wrong = |text: String| rule(&text).unwrap_err().to_string();
        let found = wrong(STREAM.replace("state.temp_c", "state.lock_state"));
        assert!(found.starts_with("a.toml:12: field: found \"state.lock_state\"; allowed are state.battery_mv, "));
        let missing = wrong(STREAM.replace("field =", "# field ="));
        assert!(missing.starts_with("a.toml:11: field: is missing; the detector stream needs one of state.battery_mv"));
        let stray = wrong(MOTOR.replace("detector =", "field = \"state.temp_c\"\ndetector ="));
        assert_eq!(stray, "a.toml:13: field: stands beside the detector motor_effort, which reads none");
    }

    #[test]
    fn a_number_without_a_source_and_a_missing_parameter_are_refused() {
        let mut lines: Vec<&str> = MOTOR.lines().collect();
        let source = lines.iter().position(|line| line.starts_with("source")).unwrap();
        lines[source] = "source = \" \"";
        assert!(problem(&lines.join("\n")).contains("parameter.baseline_days.source: is empty"));
        let (before, rest) = MOTOR.split_once("[parameter.limit]").unwrap();
        let (_, after) = rest.split_once("[parameter.min_effect]").unwrap();
        let missing = problem(&format!("{before}[parameter.min_effect]{after}"));
        assert!(missing.contains("parameter.limit: is missing"), "{missing}");
    }

    #[test]
    fn a_parameter_without_unit_or_source_is_told_at_its_table() {
        let text = MOTOR.replace("source = \"Page", "# source = \"Page").replace("unit = \"1/K\"\n", "");
        let errors = Rules::check([("motor.toml", text.as_str())]).unwrap_err();
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "motor.toml:25: parameter.slack.source: is missing; say where the number comes from, or that it is a guess",
                "motor.toml:40: parameter.slope_temperature.unit: is missing; allowed is \"1/K\"",
            ]
        );
    }

    #[test]
    fn everything_wrong_is_told_by_file_and_line() {
        let bad = MOTOR.replace("\"gear\"", "\"gaer\"").replace("value = 27.0", "value = 1000.0");
        let errors = Rules::check([("b.toml", bad.as_str()), ("a.toml", MOTOR), ("0.toml", "id = 5")]).unwrap_err();
        let places: Vec<String> = errors.iter().map(|error| format!("{}:{}", error.file, error.line)).collect();
        assert_eq!(places, ["0.toml:1", "b.toml:7", "b.toml:31"]);
    }

    #[test]
    fn a_canary_says_where_and_nothing_else_does() {
        let canary = |table: &str| {
            let text = MOTOR.replace("state = \"live\"", "state = \"canary\"");
            Rules::parse([("motor.toml", format!("{text}\n{table}").as_str())])
                .map(|rules| rules.get("motor-effort").unwrap().canary.clone())
                .map_err(|error| error.to_string())
        };
        assert_eq!(canary("[canary]\nshare = 0.1"), Ok(Some(Canary::Share(0.1))));
        assert_eq!(canary("[canary]\nsites = [\"a\"]"), Ok(Some(Canary::Sites(vec!["a".into()]))));
        let starts = |found: Result<_, String>, start: &str| {
            let error: String = found.map(|_: Option<Canary>| ()).unwrap_err();
            assert!(error.starts_with(start), "{error}");
        };
        starts(canary(""), "motor.toml:9: canary: is missing; a canary says where");
        starts(canary("[canary]\nshare = 1.5"), "motor.toml:51: canary.share: found 1.5; allowed is 0 to 1");
        starts(canary("[canary]\nsites = []"), "motor.toml:50: canary.sites: is empty");
        starts(canary("[canary]\nsites = [\"a\"]\nshare = 0.5"), "motor.toml:50: canary: holds none or both");
        let live = format!("{MOTOR}\n[canary]\nshare = 0.1");
        assert!(problem(&live).starts_with("motor.toml:50: canary: stands beside another state"), "{}", problem(&live));
    }

    #[test]
    fn a_budget_has_a_source() {
        let with = |table: &str| Rules::parse([("motor.toml", format!("{MOTOR}\n{table}").as_str())]);
        let budget = |rules: &Rules| rules.get("motor-effort").unwrap().budget_per_device_year;
        assert_eq!(budget(&with("").unwrap()), BUDGET_PER_DEVICE_YEAR);
        let own = "[budget]\nper_device_year = 0.0005\nsource = \"agreed with support\"";
        assert_eq!(budget(&with(own).unwrap()), 0.0005);
        let silent = with("[budget]\nper_device_year = 0.0005\nsource = \"\"").unwrap_err();
        assert_eq!((silent.line, silent.key.as_str()), (52, "budget.source"));
    }

    #[test]
    fn an_id_stands_once() {
        let twice = Rules::parse([("a.toml", MOTOR), ("b.toml", MOTOR)]).unwrap_err();
        assert!(twice.to_string().starts_with("b.toml:1: id: a.toml already has"), "{twice}");
    }

    #[test]
    fn the_digest_follows_the_text() {
        let changed = MOTOR.replace("value = 27.0", "value = 27.5");
        let digest = |text: &str| Rules::parse([("motor.toml", text)]).unwrap().digest();
        assert_eq!(digest(MOTOR), digest(MOTOR));
        assert_ne!(digest(MOTOR), digest(&changed));
    }
}
