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
