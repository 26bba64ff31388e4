//! An incident reduced to the fields that the lab needs. Called by `course`, `fleet` and `backtest`.
use std::collections::BTreeSet;
use zenei_detect::{Component, Domain, Scope};
use zenei_incident::Incident;
use zenei_wire::Id;

/// An incident that was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// Its id.
    pub id: Id,
    /// When it was opened, ms since 1970.
    pub at_ms: i64,
    /// By which rule.
    pub rule: String,
    /// The suspected domain of the cause.
    pub domain: Domain,
    /// The part.
    pub component: Component,
    /// What its locks share.
    pub scope: Scope,
    /// The locks with evidence.
    pub devices: BTreeSet<String>,
    /// Why it was opened.
    pub why: String,
}

impl Opened {
    /// The incident in its current state.
    pub fn of(incident: &Incident) -> Self {
        Self {
            id: incident.id,
            at_ms: incident.opened.ms(),
            rule: incident.rule.clone(),
            domain: incident.domain,
            component: incident.component,
            scope: incident.scope.clone(),
            devices: incident.devices.clone(),
            why: incident.why.clone(),
        }
    }
}
