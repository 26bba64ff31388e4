//! Rules: which detector runs with which parameters, and where each number comes from. A rule is a TOML file; three are embedded.
//! Answers what a rule file may say and what is wrong with it (file, line, key). Knows no detector's inside: each detector names its parameters.
use crate::anomaly::{Component, Domain, Urgency};
use crate::detect::DetectorKind;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use zenei_wire::Id;

/// The embedded rules: file name and text.
pub const EMBEDDED: [(&str, &str); 3] = [
    ("battery-resistance.toml", include_str!("../rules/battery-resistance.toml")),
    ("firmware-errors.toml", include_str!("../rules/firmware-errors.toml")),
    ("motor-effort.toml", include_str!("../rules/motor-effort.toml")),
];

/// How far a rule may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleState {
    /// Its findings are recorded as decisions and open nothing.
    Shadow,
    /// Its findings open incidents.
    Live,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its id, unique among the rules in use.
    pub id: String,
    /// Raised with every change that changes findings.
    pub version: u32,
    /// For people.
    pub title: String,
    /// Where the cause is likely to lie.
    pub domain: Domain,
    /// The likely part.
    pub component: Component,
    /// How soon somebody must act.
    pub urgency: Urgency,
    /// How far it may go.
    pub state: RuleState,
    /// Who answers for it.
    pub owner: String,
    /// What to do first.
    pub runbook: String,
    /// Which detector it drives.
    pub detector: DetectorKind,
    /// The detector's parameters by name, each in the detector's unit.
    pub parameters: BTreeMap<String, f64>,
}

impl Rule {
    /// What its detector's state depends on: id, version, detector and parameters. Words for people may change.
    pub fn digest(&self) -> Id {
        let mut parts = vec![self.id.clone(), self.version.to_string(), self.detector.as_str().to_owned()];
        parts.extend(self.parameters.iter().map(|(name, value)| format!("{name}={value}")));
        let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
        Id::of(&parts)
    }

    /// A parameter; loading has made sure that each one of the detector is there.
    pub fn parameter(&self, name: &str) -> f64 {
        self.parameters.get(name).copied().unwrap_or(f64::NAN)
    }
}

/// A set of rules with a digest of its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    rules: Vec<Rule>,
    digest: Id,
}

/// What is wrong with a rule file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {key}: {problem}")]
pub struct RuleError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The key, dotted.
    pub key: String,
    /// What was found and what is allowed.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    id: Spanned<String>,
    version: Spanned<u32>,
    title: Spanned<String>,
    domain: Spanned<String>,
    component: Spanned<String>,
    urgency: Spanned<String>,
    state: Spanned<String>,
    owner: Spanned<String>,
    runbook: Spanned<String>,
    detector: Spanned<String>,
    #[serde(default)]
    parameter: BTreeMap<Spanned<String>, Spanned<ParameterFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParameterFile {
    value: Spanned<f64>,
    unit: Spanned<String>,
    source: Spanned<String>,
}

impl Rules {
    /// The embedded rules.
    ///
    /// # Errors
    /// None in a released program: a test reads them all.
    pub fn embedded() -> Result<Self, RuleError> {
        Self::parse(EMBEDDED)
    }

    /// Reads rule files, given as name and text; their order does not matter.
    ///
    /// # Errors
    /// The first thing wrong, with file, line and key.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, RuleError> {
        let mut rules: Vec<Rule> = Vec::new();
        let mut texts: Vec<(&str, &str)> = files.into_iter().collect();
        texts.sort_unstable();
        for (file, text) in &texts {
            let rule = read_rule(file, text)?;
            if rules.iter().any(|other| other.id == rule.id) {
                let problem = format!("another file already has the rule {:?}; an id stands once", rule.id);
                return Err(RuleError { file: (*file).to_owned(), line: 1, key: "id".to_owned(), problem });
            }
            rules.push(rule);
        }
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        let parts: Vec<&[u8]> = texts.iter().map(|(_, text)| text.as_bytes()).collect();
        Ok(Self { rules, digest: Id::of(&parts) })
    }

    /// The rules, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Changes with any change of any file.
    pub fn digest(&self) -> Id {
        self.digest
    }
}

struct Place<'a> {
    file: &'a str,
    text: &'a str,
}

impl Place<'_> {
    fn error(&self, span: Range<usize>, key: &str, problem: String) -> RuleError {
        let line = 1 + self.text.bytes().take(span.start).filter(|&byte| byte == b'\n').count();
        RuleError { file: self.file.to_owned(), line, key: key.to_owned(), problem }
    }

    fn word<T>(
        &self,
        key: &str,
        text: &Spanned<String>,
        parse: fn(&str) -> Option<T>,
        allowed: &[&str],
    ) -> Result<T, RuleError> {
        parse(text.get_ref()).ok_or_else(|| {
            let problem = format!("found {:?}; allowed are {}", text.get_ref(), allowed.join(", "));
            self.error(text.span(), key, problem)
        })
    }

    fn text(&self, key: &str, text: Spanned<String>) -> Result<String, RuleError> {
        let span = text.span();
        match text.into_inner() {
            text if text.trim().is_empty() => Err(self.error(span, key, "is empty; a text is needed".to_owned())),
            text => Ok(text),
        }
    }
}

fn read_rule(file: &str, text: &str) -> Result<Rule, RuleError> {
    let place = Place { file, text };
    let parsed: RuleFile = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let key = text.get(span.clone()).unwrap_or("").lines().next().unwrap_or("").trim().to_owned();
        place.error(span, if key.is_empty() { "file" } else { &key }, error.message().to_owned())
    })?;
    if parsed.id.get_ref().is_empty()
        || !parsed.id.get_ref().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        let problem = format!("found {:?}; allowed are a-z 0-9 and -, at least one", parsed.id.get_ref());
        return Err(place.error(parsed.id.span(), "id", problem));
    }
    if *parsed.version.get_ref() == 0 {
        return Err(place.error(parsed.version.span(), "version", "found 0; versions start at 1".to_owned()));
    }
    let words = |all: &[&'static str]| all.to_vec();
    let domains: Vec<&str> = Domain::ALL.iter().map(|word| word.as_str()).collect();
    let components: Vec<&str> = Component::ALL.iter().map(|word| word.as_str()).collect();
    let urgencies: Vec<&str> = Urgency::ALL.iter().map(|word| word.as_str()).collect();
    let detectors: Vec<&str> = DetectorKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let state = |word: &str| match word {
        "shadow" => Some(RuleState::Shadow),
        "live" => Some(RuleState::Live),
        _ => None,
    };
    let detector = place.word("detector", &parsed.detector, DetectorKind::parse, &detectors)?;
    Ok(Rule {
        domain: place.word("domain", &parsed.domain, Domain::parse, &domains)?,
        component: place.word("component", &parsed.component, Component::parse, &components)?,
        urgency: place.word("urgency", &parsed.urgency, Urgency::parse, &urgencies)?,
        state: place.word("state", &parsed.state, state, &words(&["shadow", "live"]))?,
        parameters: read_parameters(&place, detector, parsed.parameter, parsed.detector.span())?,
        id: parsed.id.into_inner(),
        version: parsed.version.into_inner(),
        title: place.text("title", parsed.title)?,
        owner: place.text("owner", parsed.owner)?,
        runbook: place.text("runbook", parsed.runbook)?,
        detector,
    })
}

fn read_parameters(
    place: &Place<'_>,
    detector: DetectorKind,
    found: BTreeMap<Spanned<String>, Spanned<ParameterFile>>,
    rule_span: Range<usize>,
) -> Result<BTreeMap<String, f64>, RuleError> {
    let wanted = detector.parameters();
    let names = wanted.iter().map(|parameter| parameter.name).collect::<Vec<_>>().join(", ");
    let mut parameters = BTreeMap::new();
    for (name, parameter) in found {
        let key = format!("parameter.{}", name.get_ref());
        let Some(spec) = wanted.iter().find(|spec| spec.name == name.get_ref()) else {
            let problem = format!("the detector {} has no such parameter; it has {names}", detector.as_str());
            return Err(place.error(name.span(), &key, problem));
        };
        let parameter = parameter.into_inner();
        if parameter.unit.get_ref() != spec.unit {
            let problem = format!("found the unit {:?}; allowed is {:?}", parameter.unit.get_ref(), spec.unit);
            return Err(place.error(parameter.unit.span(), &format!("{key}.unit"), problem));
        }
        let value = *parameter.value.get_ref();
        if !(spec.min..=spec.max).contains(&value) {
            let problem = format!("found {value}; allowed is {} to {}", spec.min, spec.max);
            return Err(place.error(parameter.value.span(), &format!("{key}.value"), problem));
        }
        place.text(&format!("{key}.source"), parameter.source)?;
        parameters.insert(name.into_inner(), value);
    }
    if let Some(missing) = wanted.iter().find(|spec| !parameters.contains_key(spec.name)) {
        let problem = format!("is missing; the detector {} needs {names}", detector.as_str());
        return Err(place.error(rule_span, &format!("parameter.{}", missing.name), problem));
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOTOR: &str = include_str!("../rules/motor-effort.toml");

    fn problem(text: &str) -> String {
        Rules::parse([("motor.toml", text)]).unwrap_err().to_string()
    }

    #[test]
    fn the_embedded_rules_are_whole() {
        let rules = Rules::embedded().unwrap();
        let ids: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
        assert_eq!(ids, ["battery-resistance", "firmware-errors", "motor-effort"]);
        for rule in rules.iter() {
            for spec in rule.detector.parameters() {
                assert!(rule.parameter(spec.name).is_finite(), "{} {}", rule.id, spec.name);
            }
        }
    }

    #[test]
    fn an_error_names_file_line_key_what_was_found_and_what_is_allowed() {
        assert_eq!(
            problem(&MOTOR.replace("\"motor_effort\"", "\"motor_effrot\"")),
            "motor.toml:11: detector: found \"motor_effrot\"; allowed are battery_resistance, motor_effort, firmware_errors"
        );
        assert_eq!(
            problem(&MOTOR.replace("unit = \"1/K\"", "unit = \"K\"")),
            "motor.toml:40: parameter.slope_temperature.unit: found the unit \"K\"; allowed is \"1/K\""
        );
        assert_eq!(
            problem(&MOTOR.replace("value = 10.0", "value = -10.0")),
            "motor.toml:29: parameter.limit.value: found -10; allowed is 1 to 100"
        );
        let unknown = problem(&MOTOR.replace("parameter.slack", "parameter.slak"));
        assert!(
            unknown.starts_with("motor.toml:23: parameter.slak: the detector motor_effort has no such"),
            "{unknown}"
        );
        assert!(problem(&MOTOR.replace("version = 1", "version = 0")).ends_with("versions start at 1"));
        assert!(problem(&MOTOR.replace("owner =", "ownr =")).starts_with("motor.toml:9: ownr"));
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
    fn an_id_stands_once() {
        let twice = Rules::parse([("a.toml", MOTOR), ("b.toml", MOTOR)]).unwrap_err();
        assert!(twice.to_string().starts_with("b.toml:1: id: another file already has"), "{twice}");
    }

    #[test]
    fn the_digest_follows_the_text() {
        let changed = MOTOR.replace("value = 10.0", "value = 10.5");
        let digest = |text: &str| Rules::parse([("motor.toml", text)]).unwrap().digest();
        assert_eq!(digest(MOTOR), digest(MOTOR));
        assert_ne!(digest(MOTOR), digest(&changed));
    }
}
