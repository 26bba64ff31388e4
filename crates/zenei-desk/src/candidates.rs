//! Which findings wait to be incidents: what was seen once, and must be seen again or elsewhere to open one. Must not
//! know who is shown them. Called by the stream and by the board.
use crate::http::Handles;
use std::collections::BTreeMap;
use zenei_detect::{Decision, DecisionReason};
use zenei_incident::Casebook;
use zenei_wire::EngineTime;

/// So many of the latest decisions are looked at. A guess: a day of a calm fleet.
const DECISIONS_MAX: u32 = 1_000;
/// For so long after its latest decision a finding is a candidate, ms: a day. A guess: the longest time in which the
/// opening table asks for a second one.
const CANDIDATE_MS: i64 = 86_400_000;

/// The candidates: of the findings that were not confirmed within a day, the latest decision of each rule and scope
/// that has no open incident; the latest first. `decisions` are the latest first.
pub(crate) fn of(decisions: Vec<Decision>, book: &Casebook, now: EngineTime) -> Vec<Decision> {
    let mut found: Vec<Decision> = Vec::new();
    let mut seen: BTreeMap<String, Vec<zenei_detect::Scope>> = BTreeMap::new();
    for decision in decisions {
        let scopes = seen.entry(decision.rule.clone()).or_default();
        if scopes.contains(&decision.scope) {
            continue;
        }
        scopes.push(decision.scope.clone());
        let is_recent = now.ms().saturating_sub(decision.at.ms()) < CANDIDATE_MS;
        let is_open = || {
            book.incidents().any(|incident| {
                incident.is_open() && incident.rules.contains(&decision.rule) && incident.scope == decision.scope
            })
        };
        if decision.reason == DecisionReason::Unconfirmed && is_recent && !is_open() {
            found.push(decision);
        }
    }
    found
}

/// How many there are.
pub(crate) fn count(handles: &Handles, now: EngineTime) -> u64 {
    let Some(desk) = &handles.desk else { return 0 };
    let decisions = desk.lock().control().latest_decisions(DECISIONS_MAX);
    decisions.map_or(0, |decisions| of(decisions, &handles.incidents.read(), now).len() as u64)
}
