//! Which past incidents may help with a new one. Compares what the log says, in a fixed order of weights; equal logs
//! give equal lists. Must not know the casebook. Called by [`crate::take`] when an incident opens.
use crate::incident::Incident;
use serde::Serialize;
use zenei_detect::{Component, ScopeKind};
use zenei_wire::Id;

/// The most incidents that are named. A guess: what a person reads.
pub const SIMILAR_MAX: usize = 5;

/// The weights; guesses, but for their order: the same fault outweighs the same part, which outweighs the same rule or
/// cohort together.
const SAME_FAULT: u32 = 100;
const SAME_PART: u32 = 20;
const SAME_RULE: u32 = 8;
const SAME_COHORT: u32 = 8;
const SAME_LOCK: u32 = 2;

/// A past incident that resembles another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Similar {
    /// The incident.
    pub incident: Id,
    /// How similar it is; at least `SAME_RULE`.
    pub score: u32,
    /// What both share, for people.
    pub shared: Vec<&'static str>,
    /// Whether its postmortem was held.
    pub has_postmortem: bool,
}

/// The past incidents that are most similar to this one, the most similar first; of equal ones those with a postmortem,
/// and then the latest, come first.
pub fn similar<'a>(incident: &Incident, all: impl IntoIterator<Item = &'a Incident>) -> Vec<Similar> {
    let is_past = |other: &&Incident| !other.is_open() && other.id != incident.id && other.opened <= incident.opened;
    let past = all.into_iter().filter(is_past);
    let mut found: Vec<(Similar, &Incident)> =
        past.filter_map(|other| compare(incident, other).map(|similar| (similar, other))).collect();
    found.sort_by(|(one, past), (other, other_past)| {
        let key = |similar: &Similar, past: &Incident| (similar.score, similar.has_postmortem, past.opened, past.id);
        key(other, other_past).cmp(&key(one, past))
    });
    found.truncate(SIMILAR_MAX);
    found.into_iter().map(|(similar, _)| similar).collect()
}

fn compare(incident: &Incident, past: &Incident) -> Option<Similar> {
    let is_same_part = incident.component == past.component && incident.component != Component::Unknown;
    let is_cohort = incident.scope.kind != ScopeKind::Device;
    let marks = [
        (incident.fingerprint == past.fingerprint, SAME_FAULT, "fingerprint"),
        (is_same_part && incident.domain == past.domain, SAME_PART, "component and domain"),
        (incident.rule == past.rule, SAME_RULE, "rule"),
        (is_cohort && incident.scope == past.scope, SAME_COHORT, "cohort"),
        (!incident.devices.is_disjoint(&past.devices), SAME_LOCK, "lock"),
    ];
    let score = marks.iter().filter(|(holds, ..)| *holds).map(|(_, weight, _)| weight).sum();
    let shared = marks.into_iter().filter(|(holds, ..)| *holds).map(|(.., name)| name).collect();
    let has_postmortem = past.postmortem_held.is_some();
    (score >= SAME_RULE).then_some(Similar { incident: past.id, score, shared, has_postmortem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Opened, PostmortemHeld, Status, StatusChanged, What};
    use zenei_detect::{Anomaly, Domain, Urgency};
    use zenei_kit::anomaly;
    use zenei_wire::EngineTime;

    fn incident(id: u128, found: Anomaly) -> Incident {
        let opened = Opened {
            fingerprint: crate::fingerprint::of(&found),
            recurs_of: None,
            urgency: Urgency::High,
            urgency_reason: "r".into(),
            ground: None,
            service: None,
            title: "t".into(),
            why: "w".into(),
            anomaly: found,
        };
        Incident::open(&Event { incident: Id(id), seq: 0, at: opened.anomaly.at, what: opened.into() }).unwrap()
    }

    fn past(id: u128, found: Anomaly, has_postmortem: bool) -> Incident {
        let mut incident = incident(id, found);
        let mut add = |what: What| {
            let event = Event { incident: incident.id, seq: incident.seq + 1, at: incident.opened, what };
            incident.apply(&event).unwrap();
        };
        if has_postmortem {
            add(PostmortemHeld { roles: vec!["development".into()], attendees: Vec::new(), by: "sato".into() }.into());
        }
        add(StatusChanged { to: Status::Resolved, by: "sato".into() }.into());
        incident
    }

    fn elsewhere(rule: &str, lock: &str, domain: Domain) -> Anomaly {
        Anomaly { domain, ..anomaly(rule, lock, 1) }
    }

    #[test]
    fn the_same_fault_comes_before_the_same_part_and_that_before_the_same_rule() {
        let all = [
            past(1, elsewhere("motor_effort", "B", Domain::Firmware), true),
            past(2, elsewhere("motor_duration", "B", Domain::Hardware), false),
            past(3, elsewhere("motor_duration", "C", Domain::Hardware), true),
            past(4, elsewhere("motor_duration", "A", Domain::Hardware), false),
            past(5, elsewhere("reboot", "B", Domain::Software), true),
            incident(6, elsewhere("motor_effort", "D", Domain::Hardware)),
        ];
        let found = similar(&incident(9, anomaly("motor_effort", "A", 5)), &all);
        let ids: Vec<(u128, u32)> = found.iter().map(|similar| (similar.incident.0, similar.score)).collect();
        assert_eq!(ids, [(4, 122), (3, 20), (2, 20), (1, 8)], "5 shares nothing, and 6 is open");
        assert_eq!(found[0].shared, ["fingerprint", "component and domain", "lock"]);
        assert!(found[1].has_postmortem && !found[2].has_postmortem);
    }

    #[test]
    fn no_more_are_named_than_a_person_reads_and_none_from_the_future() {
        let all: Vec<Incident> =
            (0..9).map(|id| past(id, anomaly("motor_effort", "A", id as i64 * 2), false)).collect();
        let found = similar(&incident(99, anomaly("motor_effort", "A", 13)), &all);
        assert_eq!(found.iter().map(|similar| similar.incident.0).collect::<Vec<_>>(), [6, 5, 4, 3, 2]);
        assert_eq!(EngineTime(13_000), incident(99, anomaly("motor_effort", "A", 13)).opened);
    }
}
