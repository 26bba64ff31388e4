//! V3 インシデントの進捗: how does the open work stand? Must not know where an incident is worked on. Called by the desk's
//! HTTP API.
use super::case::Case;
use crate::event::Status;
use crate::incident::Channel;
use crate::policy::Policy;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use zenei_detect::{Domain, Urgency};
use zenei_wire::{EngineTime, Id};

/// An open incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The incident.
    pub incident: Id,
    /// Its line for people.
    pub title: String,
    /// How far the work is.
    pub status: Status,
    /// How soon a person must act.
    pub urgency: Urgency,
    /// Where the cause probably lies.
    pub domain: Domain,
    /// The service.
    pub service: Option<String>,
    /// Who owns it.
    pub owner: Option<String>,
    /// Who acknowledged it.
    pub acknowledged_by: Option<String>,
    /// Since it was opened, ms.
    pub age_ms: i64,
    /// In its status, ms.
    pub in_status_ms: i64,
    /// The runbook's next step, if one applies and has any left.
    pub next_step: Option<String>,
    /// Since the latest note, ms.
    pub last_note_age_ms: Option<i64>,
    /// Where people work on it, by target.
    pub channels: BTreeMap<String, Channel>,
    /// How long the oldest message about it has waited, ms; `None` where every remote has all.
    pub sync_lag_ms: Option<i64>,
}

/// The open incidents, the most urgent first and of those the oldest. `waiting` gives since when the oldest message
/// about an incident waits, ms since 1970.
pub fn progress<'a>(
    cases: impl IntoIterator<Item = Case<'a>>,
    policy: &Policy,
    waiting: &BTreeMap<Id, i64>,
    now: EngineTime,
) -> Vec<Progress> {
    let since = |at_ms: i64| now.ms().saturating_sub(at_ms).max(0);
    let of = |case: Case<'a>| {
        let incident = case.incident;
        let next = policy.runbook_of(incident).and_then(|runbook| runbook.next(&incident.steps_done).next());
        Progress {
            incident: incident.id,
            title: incident.title.clone(),
            status: incident.status,
            urgency: incident.urgency,
            domain: incident.domain,
            service: incident.service.clone(),
            owner: incident.owner.clone(),
            acknowledged_by: incident.acknowledged_by.clone(),
            age_ms: since(incident.opened.ms()),
            in_status_ms: since(case.status_since.ms()),
            next_step: next.map(|step| step.id.clone()),
            last_note_age_ms: case.noted.map(|at| since(at.ms())),
            channels: incident.channels.clone(),
            sync_lag_ms: waiting.get(&incident.id).map(|&at_ms| since(at_ms)),
        }
    };
    let mut found: Vec<Progress> = cases.into_iter().filter(|case| case.incident.is_open()).map(of).collect();
    found.sort_by_key(|row| (Reverse(row.urgency), Reverse(row.age_ms), row.incident));
    found
}
