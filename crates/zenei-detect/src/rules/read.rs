//! Reads one rule file: what it may contain, and everything that is wrong with it: file, line, key, what was found and
//! what is allowed. Must not know a detector's inside. Called by [`super::Rules`].
use super::{BUDGET_PER_DEVICE_YEAR, Canary, Origin, Rule, RuleState};
use crate::anomaly::{Component, Domain, Urgency};
use crate::detect;
use crate::detect::running::Spec;
use crate::field::NumericField;
use crate::kind::{DetectorKind, Parameter};
use crate::toml_place::{Reader, TomlError};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

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
    title_ja: Option<Spanned<String>>,
    runbook_ja: Option<Spanned<String>>,
    detector: Spanned<String>,
    field: Option<Spanned<String>>,
    canary: Option<Spanned<CanaryFile>>,
    budget: Option<BudgetFile>,
    #[serde(default)]
    parameter: BTreeMap<Spanned<String>, Spanned<ParameterFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CanaryFile {
    share: Option<Spanned<f64>>,
    sites: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetFile {
    per_device_year: Spanned<f64>,
    source: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParameterFile {
    value: Option<Spanned<f64>>,
    unit: Option<Spanned<String>>,
    source: Option<Spanned<String>>,
}

/// Reads a rule.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn rule(file: &str, text: &str) -> Result<Rule, Vec<TomlError>> {
    let mut toml = Reader::new(file, text);
    let rule = parsed(&mut toml).and_then(|parsed| checked(&mut toml, parsed));
    toml.finish(rule)
}

/// The file as it is written. A syntax error or a wrong type is an error at its key.
fn parsed(toml: &mut Reader<'_>) -> Option<RuleFile> {
    let error = match toml::from_str(toml.text()) {
        Ok(parsed) => return Some(parsed),
        Err(error) => error,
    };
    let span = error.span().unwrap_or(0..0);
    // serde names a missing key in its words alone, and places it at the table that lacks it.
    if let Some(key) = error.message().strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        toml.error(&span, key, "is missing; every rule has it".to_owned());
        return None;
    }
    let key = toml.text().get(span.clone()).unwrap_or("").lines().next().unwrap_or("").trim();
    toml.error(&span, if key.is_empty() { "file" } else { key }, error.message().to_owned());
    None
}

fn checked(toml: &mut Reader<'_>, parsed: RuleFile) -> Option<Rule> {
    let id = parsed.id.get_ref();
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        let problem = format!("found {id:?}; allowed are a-z 0-9 and -, at least one");
        toml.error(&parsed.id.span(), "id", problem);
    }
    if *parsed.version.get_ref() == 0 {
        toml.error(&parsed.version.span(), "version", "found 0; versions start at 1".to_owned());
    }
    let domains = Domain::ALL.iter().map(|word| word.as_str());
    let components = Component::ALL.iter().map(|word| word.as_str());
    let urgencies = Urgency::ALL.iter().map(|word| word.as_str());
    let states = RuleState::ALL.into_iter().map(RuleState::as_str);
    let detectors = detect::ALL.iter().map(|spec| spec.kind.word);
    let domain = toml.word("domain", &parsed.domain, Domain::parse, domains);
    let component = toml.word("component", &parsed.component, Component::parse, components);
    let urgency = toml.word("urgency", &parsed.urgency, Urgency::parse, urgencies);
    let state = toml.word("state", &parsed.state, RuleState::parse, states);
    let detector = toml.word("detector", &parsed.detector, detect::find, detectors);
    let title = toml.words("title", &parsed.title);
    let owner = toml.words("owner", &parsed.owner);
    let runbook = toml.words("runbook", &parsed.runbook);
    let mut said = |key, text: Option<&Spanned<String>>| text.map_or_else(String::new, |text| toml.words(key, text));
    let title_ja = said("title_ja", parsed.title_ja.as_ref());
    let runbook_ja = said("runbook_ja", parsed.runbook_ja.as_ref());
    let canary = canary(toml, state, &parsed.state.span(), parsed.canary.as_ref());
    let budget_per_device_year = budget(toml, parsed.budget.as_ref());
    let (parameters, sources) = parameters(toml, &detector?.kind, &parsed.parameter, &parsed.detector.span());
    let field = field(toml, &detector?.kind, parsed.field.as_ref(), &parsed.detector.span());
    let origin = Origin { file: toml.file().to_owned(), state_line: toml.line(&parsed.state.span()) };
    let detector_span = parsed.detector.span();
    let rule = Rule {
        id: parsed.id.into_inner(),
        version: parsed.version.into_inner(),
        domain: domain?,
        component: component?,
        urgency: urgency?,
        state: state?,
        detector: &detector?.kind,
        field: field?,
        title,
        owner,
        runbook,
        title_ja,
        runbook_ja,
        parameters,
        sources,
        canary,
        budget_per_device_year,
        origin,
    };
    starts(toml, detector?, &rule, &detector_span);
    Some(rule)
}

/// Makes sure that the detector finds each parameter that it reads. What the rule lacks by the detector's own list was
/// reported before.
fn starts(toml: &mut Reader<'_>, detector: &'static Spec, rule: &Rule, detector_span: &Range<usize>) {
    let Err(missing) = detector.start(rule) else { return };
    if detector.kind.parameters.iter().all(|parameter| parameter.name != missing.name) {
        toml.error(detector_span, &format!("parameter.{}", missing.name), missing.to_string());
    }
}

/// The field that the detector reads, where it reads one; `None` where that is wrong.
fn field(
    toml: &mut Reader<'_>,
    detector: &DetectorKind,
    found: Option<&Spanned<String>>,
    detector_span: &Range<usize>,
) -> Option<Option<NumericField>> {
    let fields = || NumericField::all().map(|field| field.to_string()).collect::<Vec<_>>().join(", ");
    match (found, detector.reads_field) {
        (None, false) => Some(None),
        (Some(found), true) => {
            let field = NumericField::parse(found.get_ref());
            if field.is_none() {
                let problem = format!("found {:?}; allowed are {}", found.get_ref(), fields());
                toml.error(&found.span(), "field", problem);
            }
            field.map(Some)
        }
        (Some(found), false) => {
            toml.error(
                &found.span(),
                "field",
                format!("stands beside the detector {}, which reads none", detector.word),
            );
            None
        }
        (None, true) => {
            let problem = format!("is missing; the detector {} needs one of {}", detector.word, fields());
            toml.error(detector_span, "field", problem);
            None
        }
    }
}

/// Reads the canary table: a canary needs it, and no other state may have it.
fn canary(
    toml: &mut Reader<'_>,
    state: Option<RuleState>,
    state_span: &Range<usize>,
    found: Option<&Spanned<CanaryFile>>,
) -> Option<Canary> {
    let wanted = "a canary says where it may open incidents: [canary] with share = 0 to 1, or sites = [\"…\"]";
    let Some(found) = found else {
        if state == Some(RuleState::Canary) {
            toml.error(state_span, "canary", format!("is missing; {wanted}"));
        }
        return None;
    };
    if state.is_some_and(|state| state != RuleState::Canary) {
        let problem = "stands beside another state than canary; only a canary has it".to_owned();
        toml.error(&found.span(), "canary", problem);
    }
    match (&found.get_ref().share, &found.get_ref().sites) {
        (Some(share), None) => Some(Canary::Share(toml.number("canary.share", share, (0.0, 1.0)))),
        (None, Some(sites)) if !sites.is_empty() => {
            Some(Canary::Sites(sites.iter().map(|site| toml.words("canary.sites", site)).collect()))
        }
        (None, Some(_)) => {
            toml.error(&found.span(), "canary.sites", "is empty; at least one site is needed".to_owned());
            None
        }
        (None, None) | (Some(_), Some(_)) => {
            toml.error(&found.span(), "canary", format!("holds none or both of share and sites; {wanted}"));
            None
        }
    }
}

fn budget(toml: &mut Reader<'_>, found: Option<&BudgetFile>) -> f64 {
    let Some(found) = found else { return BUDGET_PER_DEVICE_YEAR };
    toml.words("budget.source", &found.source);
    toml.number("budget.per_device_year", &found.per_device_year, (0.0, 1.0))
}

fn parameters(
    toml: &mut Reader<'_>,
    detector: &DetectorKind,
    found: &BTreeMap<Spanned<String>, Spanned<ParameterFile>>,
    rule_span: &Range<usize>,
) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let wanted = detector.parameters;
    let names = wanted.iter().map(|parameter| parameter.name).collect::<Vec<_>>().join(", ");
    let (mut parameters, mut sources) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in found {
        let key = format!("parameter.{}", name.get_ref());
        let Some(spec) = wanted.iter().find(|spec| spec.name == name.get_ref()) else {
            let problem = format!("the detector {} has no such parameter; it has {names}", detector.word);
            toml.error(&name.span(), &key, problem);
            continue;
        };
        let (value, source) = parameter(toml, &key, &name.span(), value.get_ref(), spec);
        parameters.insert(name.get_ref().clone(), value);
        sources.insert(name.get_ref().clone(), source);
    }
    for missing in wanted.iter().filter(|spec| !parameters.contains_key(spec.name)) {
        let problem = format!("is missing; the detector {} needs {names}", detector.word);
        toml.error(rule_span, &format!("parameter.{}", missing.name), problem);
    }
    (parameters, sources)
}

/// A parameter's number and source. A part that is missing or wrong is an error, and the rest
/// is read all the same.
fn parameter(
    toml: &mut Reader<'_>,
    key: &str,
    span: &Range<usize>,
    found: &ParameterFile,
    spec: &Parameter,
) -> (f64, String) {
    let value = match &found.value {
        Some(value) => toml.number(&format!("{key}.value"), value, (*spec.range.start(), *spec.range.end())),
        None => {
            toml.error(
                span,
                &format!("{key}.value"),
                format!("is missing; allowed is {} to {}", spec.range.start(), spec.range.end()),
            );
            f64::NAN
        }
    };
    match &found.unit {
        Some(unit) if unit.get_ref() == spec.unit => {}
        Some(unit) => {
            let problem = format!("found the unit {:?}; allowed is {:?}", unit.get_ref(), spec.unit);
            toml.error(&unit.span(), &format!("{key}.unit"), problem);
        }
        None => toml.error(span, &format!("{key}.unit"), format!("is missing; allowed is {:?}", spec.unit)),
    }
    let key = format!("{key}.source");
    let source = match &found.source {
        Some(source) => toml.words(&key, source),
        None => {
            let problem = "is missing; say where the number comes from, or that it is a guess".to_owned();
            toml.error(span, &key, problem);
            String::new()
        }
    };
    (value, source)
}
