//! What a rule file may say, and everything that is wrong with one: file, line, key, what was found and what is allowed.
//! Knows no detector's inside. Called by [`super::Rules`].
use super::catalogue;
use super::{BUDGET_PER_DEVICE_YEAR, Canary, Origin, Rule, RuleError, RuleState};
use crate::anomaly::{Component, Domain, Urgency};
use crate::detect::running::Spec;
use crate::kind::{DetectorKind, Parameter};
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
    detector: Spanned<String>,
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

/// Reads a rule. Where anything is wrong with it, says so in `errors` and gives nothing.
pub(super) fn rule(file: &str, text: &str, errors: &mut Vec<RuleError>) -> Option<Rule> {
    let mut place = Place { file, text, errors };
    let parsed: RuleFile = match toml::from_str(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            // The reader names a missing key in its words alone, and places it at the table that lacks it.
            if let Some(key) = error.message().strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
                place.tell(&span, key, "is missing; every rule has it".to_owned());
                return None;
            }
            let key = text.get(span.clone()).unwrap_or("").lines().next().unwrap_or("").trim().to_owned();
            place.tell(&span, if key.is_empty() { "file" } else { &key }, error.message().to_owned());
            return None;
        }
    };
    let before = place.errors.len();
    let rule = place.rule(parsed);
    rule.filter(|_| errors.len() == before)
}

/// A file, and what is wrong with it.
struct Place<'a> {
    file: &'a str,
    text: &'a str,
    errors: &'a mut Vec<RuleError>,
}

impl Place<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        1 + self.text.bytes().take(span.start).filter(|&byte| byte == b'\n').count()
    }

    fn tell(&mut self, span: &Range<usize>, key: &str, problem: String) {
        let line = self.line(span);
        self.errors.push(RuleError { file: self.file.to_owned(), line, key: key.to_owned(), problem });
    }

    fn word<T>(
        &mut self,
        key: &str,
        text: &Spanned<String>,
        parse: fn(&str) -> Option<T>,
        allowed: impl Iterator<Item = &'static str>,
    ) -> Option<T> {
        let word = parse(text.get_ref());
        if word.is_none() {
            let allowed = allowed.collect::<Vec<_>>().join(", ");
            self.tell(&text.span(), key, format!("found {:?}; allowed are {allowed}", text.get_ref()));
        }
        word
    }

    fn text(&mut self, key: &str, text: &Spanned<String>) -> String {
        if text.get_ref().trim().is_empty() {
            self.tell(&text.span(), key, "is empty; a text is needed".to_owned());
        }
        text.get_ref().clone()
    }

    fn number(&mut self, key: &str, number: &Spanned<f64>, allowed: (f64, f64)) -> f64 {
        let value = *number.get_ref();
        if !(allowed.0..=allowed.1).contains(&value) {
            self.tell(&number.span(), key, format!("found {value}; allowed is {} to {}", allowed.0, allowed.1));
        }
        value
    }

    fn rule(&mut self, parsed: RuleFile) -> Option<Rule> {
        let id = parsed.id.get_ref();
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            let problem = format!("found {id:?}; allowed are a-z 0-9 and -, at least one");
            self.tell(&parsed.id.span(), "id", problem);
        }
        if *parsed.version.get_ref() == 0 {
            self.tell(&parsed.version.span(), "version", "found 0; versions start at 1".to_owned());
        }
        let domains = Domain::ALL.iter().map(|word| word.as_str());
        let components = Component::ALL.iter().map(|word| word.as_str());
        let urgencies = Urgency::ALL.iter().map(|word| word.as_str());
        let states = RuleState::ALL.into_iter().map(RuleState::as_str);
        let detectors = catalogue::ALL.iter().map(|spec| spec.kind.word);
        let domain = self.word("domain", &parsed.domain, Domain::parse, domains);
        let component = self.word("component", &parsed.component, Component::parse, components);
        let urgency = self.word("urgency", &parsed.urgency, Urgency::parse, urgencies);
        let state = self.word("state", &parsed.state, RuleState::parse, states);
        let detector = self.word("detector", &parsed.detector, catalogue::find, detectors);
        let title = self.text("title", &parsed.title);
        let owner = self.text("owner", &parsed.owner);
        let runbook = self.text("runbook", &parsed.runbook);
        let canary = self.canary(state, &parsed.state.span(), parsed.canary.as_ref());
        let budget_per_device_year = self.budget(parsed.budget.as_ref());
        let (parameters, sources) = self.parameters(&detector?.kind, &parsed.parameter, &parsed.detector.span());
        let origin = Origin { file: self.file.to_owned(), state_line: self.line(&parsed.state.span()) };
        let detector_span = parsed.detector.span();
        let rule = Rule {
            id: parsed.id.into_inner(),
            version: parsed.version.into_inner(),
            domain: domain?,
            component: component?,
            urgency: urgency?,
            state: state?,
            detector: &detector?.kind,
            title,
            owner,
            runbook,
            parameters,
            sources,
            canary,
            budget_per_device_year,
            origin,
        };
        self.starts(detector?, &rule, &detector_span);
        Some(rule)
    }

    /// Makes sure that the detector finds each parameter that it reads; what the rule lacks by the detector's own list was reported before.
    fn starts(&mut self, detector: &'static Spec, rule: &Rule, detector_span: &Range<usize>) {
        let Err(missing) = detector.start(rule) else { return };
        if detector.kind.parameters.iter().all(|parameter| parameter.name != missing.name) {
            self.tell(detector_span, &format!("parameter.{}", missing.name), missing.to_string());
        }
    }

    /// A canary says where, and nothing else does.
    fn canary(
        &mut self,
        state: Option<RuleState>,
        state_span: &Range<usize>,
        found: Option<&Spanned<CanaryFile>>,
    ) -> Option<Canary> {
        let wanted = "a canary says where it may open incidents: [canary] with share = 0 to 1, or sites = [\"…\"]";
        let Some(found) = found else {
            if state == Some(RuleState::Canary) {
                self.tell(state_span, "canary", format!("is missing; {wanted}"));
            }
            return None;
        };
        if state.is_some_and(|state| state != RuleState::Canary) {
            let problem = "stands beside another state than canary; only a canary has it".to_owned();
            self.tell(&found.span(), "canary", problem);
        }
        match (&found.get_ref().share, &found.get_ref().sites) {
            (Some(share), None) => Some(Canary::Share(self.number("canary.share", share, (0.0, 1.0)))),
            (None, Some(sites)) if !sites.is_empty() => {
                Some(Canary::Sites(sites.iter().map(|site| self.text("canary.sites", site)).collect()))
            }
            (None, Some(_)) => {
                self.tell(&found.span(), "canary.sites", "is empty; at least one site is needed".to_owned());
                None
            }
            (None, None) | (Some(_), Some(_)) => {
                self.tell(&found.span(), "canary", format!("holds none or both of share and sites; {wanted}"));
                None
            }
        }
    }

    fn budget(&mut self, found: Option<&BudgetFile>) -> f64 {
        let Some(found) = found else { return BUDGET_PER_DEVICE_YEAR };
        self.text("budget.source", &found.source);
        self.number("budget.per_device_year", &found.per_device_year, (0.0, 1.0))
    }

    fn parameters(
        &mut self,
        detector: &DetectorKind,
        found: &BTreeMap<Spanned<String>, Spanned<ParameterFile>>,
        rule_span: &Range<usize>,
    ) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
        let wanted = detector.parameters;
        let names = wanted.iter().map(|parameter| parameter.name).collect::<Vec<_>>().join(", ");
        let (mut parameters, mut sources) = (BTreeMap::new(), BTreeMap::new());
        for (name, parameter) in found {
            let key = format!("parameter.{}", name.get_ref());
            let Some(spec) = wanted.iter().find(|spec| spec.name == name.get_ref()) else {
                let problem = format!("the detector {} has no such parameter; it has {names}", detector.word);
                self.tell(&name.span(), &key, problem);
                continue;
            };
            let (value, source) = self.parameter(&key, &name.span(), parameter.get_ref(), spec);
            parameters.insert(name.get_ref().clone(), value);
            sources.insert(name.get_ref().clone(), source);
        }
        for missing in wanted.iter().filter(|spec| !parameters.contains_key(spec.name)) {
            let problem = format!("is missing; the detector {} needs {names}", detector.word);
            self.tell(rule_span, &format!("parameter.{}", missing.name), problem);
        }
        (parameters, sources)
    }

    /// A parameter's number and source. One that lacks a part, or has a wrong one, is told, and gives what it has.
    fn parameter(&mut self, key: &str, span: &Range<usize>, found: &ParameterFile, spec: &Parameter) -> (f64, String) {
        let value = match &found.value {
            Some(value) => self.number(&format!("{key}.value"), value, (*spec.range.start(), *spec.range.end())),
            None => {
                self.tell(
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
                self.tell(&unit.span(), &format!("{key}.unit"), problem);
            }
            None => self.tell(span, &format!("{key}.unit"), format!("is missing; allowed is {:?}", spec.unit)),
        }
        let key = format!("{key}.source");
        let source = match &found.source {
            Some(source) => self.text(&key, source),
            None => {
                let problem = "is missing; say where the number comes from, or that it is a guess".to_owned();
                self.tell(span, &key, problem);
                String::new()
            }
        };
        (value, source)
    }
}
