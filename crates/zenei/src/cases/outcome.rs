//! The outcome of a case: the expected and the resulting incidents, paired. Must not know how a case runs. Called by
//! `cases`; `rules test` prints it.
use super::case::Expected;
use serde_json::json;
use std::fmt;
use zenei_detect::{Component, Domain, Scope};

/// An incident that resulted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResultingIncident {
    pub(crate) rule: String,
    pub(crate) scope: Scope,
    pub(crate) domain: Domain,
    pub(crate) component: Component,
    /// Opened, days from the stream's start.
    pub(crate) day: f64,
}

/// The outcome of a case.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) expected: Vec<Expected>,
    pub(crate) found: Vec<ResultingIncident>,
    pub(crate) missing: Vec<Expected>,
    pub(crate) unexpected: Vec<ResultingIncident>,
    /// Faults of the case itself.
    pub(crate) faults: Vec<String>,
}

impl Outcome {
    /// Pairs each expected incident with one that was found.
    pub(crate) fn of(expected: &[Expected], found: Vec<ResultingIncident>) -> Self {
        let mut unexpected = found.clone();
        let mut missing = Vec::new();
        for expected in expected {
            match unexpected.iter().position(|found| found.is(expected)) {
                Some(at) => _ = unexpected.remove(at),
                None => missing.push(expected.clone()),
            }
        }
        Self { expected: expected.to_vec(), found, missing, unexpected, faults: Vec::new() }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.faults.is_empty()
    }
}

impl ResultingIncident {
    fn is(&self, expected: &Expected) -> bool {
        self.rule == expected.rule
            && self.scope.kind == expected.scope_kind
            && self.scope.value == expected.scope_value
            && self.domain == expected.domain
            && self.component == expected.component
            && (expected.days.0..=expected.days.1).contains(&self.day)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let day = (self.day * 100.0).round() / 100.0;
        json!({
            "rule": self.rule, "scope": self.scope, "domain": self.domain, "component": self.component,
            "opened_day": day,
        })
    }
}

impl fmt::Display for ResultingIncident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, scope, domain, component, day } = self;
        write!(f, "{rule}: {} {}, {domain}, {component}, opened on day {day:.2}", scope.kind, scope.value)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, scope_kind, scope_value, domain, component, days } = self;
        write!(f, "{rule}: {scope_kind} {scope_value}, {domain}, {component}, opened on day {} to {}", days.0, days.1)
    }
}

impl Expected {
    pub(crate) fn json(&self) -> serde_json::Value {
        json!({
            "rule": self.rule, "scope": {"kind": self.scope_kind, "value": self.scope_value}, "domain": self.domain,
            "component": self.component, "opened_day": [self.days.0, self.days.1],
        })
    }
}
