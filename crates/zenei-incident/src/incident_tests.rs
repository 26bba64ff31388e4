//! Tests of one incident: which events its rules take, and what they make of it.
use super::*;
use crate::event::{
    ActionItemChanged, Completed, EffortAdded, EvidenceAdded, Judged, Note, OwnerAssigned, PostmortemHeld, Reopened,
    StatusChanged, TelemetryRecovered, TempFixDone,
};
use zenei_kit::anomaly;

const AT: EngineTime = EngineTime(1_000);

fn opened() -> Incident {
    Incident::open(&opened_event()).unwrap()
}

fn opened_event() -> Event {
    let what = Opened {
        fingerprint: Id(1),
        recurs_of: None,
        urgency: Urgency::High,
        urgency_reason: "the rule says high".into(),
        ground: None,
        service: None,
        title: "t".into(),
        why: "w".into(),
        anomaly: anomaly("motor_effort", "A", 1),
    };
    Event { incident: Id(9), seq: 0, at: AT, what: what.into() }
}

fn then(incident: &mut Incident, what: impl Into<What>) -> Result<(), Refused> {
    let event = Event { incident: incident.id, seq: incident.seq + 1, at: AT, what: what.into() };
    incident.apply(&event).map_err(|error| error.reason)
}

fn to(status: Status) -> StatusChanged {
    StatusChanged { to: status, by: "sato".into() }
}

#[test]
fn a_hole_a_repetition_and_a_second_opening_are_refused_and_change_nothing() {
    let mut incident = opened();
    let before = incident.clone();
    let note = |seq| Event { incident: Id(9), seq, at: AT, what: Note { text: "x".into(), by: "sato".into() }.into() };
    for seq in [0, 2] {
        assert_eq!(incident.apply(&note(seq)).unwrap_err().reason, Refused::Hole { next: 1 });
    }
    assert_eq!(Incident::open(&note(0)).unwrap_err().reason, Refused::NotFirst);
    assert_eq!(incident, before);
}

#[test]
fn a_resolved_incident_takes_no_evidence_and_never_opens_again() {
    let mut incident = opened();
    then(&mut incident, to(Status::Resolved)).unwrap();
    let added = EvidenceAdded { anomaly: anomaly("motor_effort", "A", 2) };
    let refused = Refused::TakesNoEvidence { status: Status::Resolved };
    assert_eq!(then(&mut incident, added), Err(refused));
    assert!(then(&mut incident, to(Status::Investigating)).is_err());
}

#[test]
fn recovery_adds_an_event_and_leaves_the_status() {
    let mut incident = opened();
    then(&mut incident, TelemetryRecovered { why: "effort back at 300 mA".into() }).unwrap();
    assert_eq!((incident.status, incident.recovered), (Status::Detected, Some(AT)));
}

#[test]
fn urgency_falls_by_a_person_alone() {
    let mut incident = opened();
    let change = |level, by: Option<&str>| UrgencyChanged {
        to: level,
        reason: "r".into(),
        ground: None,
        by: by.map(str::to_owned),
    };
    assert!(then(&mut incident, change(Urgency::Low, None)).is_err());
    then(&mut incident, change(Urgency::Low, Some("sato"))).unwrap();
    assert_eq!((incident.urgency, incident.assessed), (Urgency::Low, Urgency::High));
}

#[test]
fn complete_needs_a_fix_and_a_postmortem_with_two_roles() {
    let mut incident = opened();
    let completed = || Completed { by: "sato".into() };
    assert!(then(&mut incident, completed()).is_err());
    then(&mut incident, TempFixDone { by: "sato".into() }).unwrap();
    let held = |role: &str| PostmortemHeld { roles: vec![role.into()], attendees: Vec::new(), by: "sato".into() };
    then(&mut incident, held("development")).unwrap();
    let refused = Refused::Incomplete { temp_fix: true, roles: 1 };
    assert_eq!(then(&mut incident, completed()), Err(refused));
    then(&mut incident, held("support")).unwrap();
    assert!(then(&mut incident, to(Status::Close)).is_err());
    then(&mut incident, completed()).unwrap();
    assert_eq!(incident.status, Status::Close);
}

#[test]
fn a_false_positive_is_complete_without_a_postmortem() {
    let mut incident = opened();
    then(&mut incident, Judged { verdict: Verdict::FalsePositive, by: "sato".into() }).unwrap();
    then(&mut incident, Completed { by: "sato".into() }).unwrap();
}

#[test]
fn the_words_of_the_rule_that_opened_it_stand_until_a_person_says_otherwise() {
    let mut incident = opened();
    let words = |incident: &Incident| (incident.title.clone(), incident.owner.clone(), incident.runbook.clone());
    let before = ("t".to_owned(), Some("hardware".to_owned()), Some("Look at the gear.".to_owned()));
    assert_eq!(words(&incident), before);
    let mut other = anomaly("battery_drain", "A", 2);
    (other.title, other.owner, other.runbook) = ("Drain".into(), "firmware".into(), "Wait.".into());
    then(&mut incident, EvidenceAdded { anomaly: other }).unwrap();
    assert_eq!(words(&incident), before);
    then(&mut incident, OwnerAssigned { owner: "sato".into(), by: "mori".into() }).unwrap();
    assert_eq!(words(&incident), (before.0, Some("sato".into()), before.2));
}

#[test]
fn a_log_from_before_rules_had_words_folds_without_an_owner() {
    let body = opened_event().body().unwrap();
    let mut old: serde_json::Value = serde_json::from_str(&body).unwrap();
    for name in ["title", "owner", "runbook"] {
        assert!(old["anomaly"].as_object_mut().unwrap().remove(name).is_some());
    }
    let event = Event::read(Id(9), 0, AT, "opened", &old.to_string()).unwrap();
    let incident = Incident::open(&event).unwrap();
    assert_eq!((incident.title.as_str(), incident.owner, incident.runbook), ("t", None, None));
}

#[test]
fn evidence_is_bounded_and_counted() {
    let mut incident = opened();
    for at_s in 2..200 {
        then(&mut incident, EvidenceAdded { anomaly: anomaly("motor_effort", "A", at_s) }).unwrap();
    }
    assert_eq!((incident.findings, incident.records), (199, 398));
    assert_eq!((incident.evidence_first.len(), incident.evidence_latest.len()), (EVIDENCE_SHOWN, EVIDENCE_SHOWN));
    assert_eq!(incident.evidence_latest.back().map(|record| record.ts_ms), Some(199_001));
}

#[test]
fn opening_again_needs_a_reason_and_then_completion_needs_everything_once_more() {
    let mut incident = opened();
    let reopened = |reason: &str| Reopened { reason: reason.into(), by: "sato".into() };
    let completed = || Completed { by: "sato".into() };
    let refused = Refused::NotReopenable { status: Status::Detected };
    assert_eq!(then(&mut incident, reopened("it is back")), Err(refused), "it is open");
    then(&mut incident, Judged { verdict: Verdict::FalsePositive, by: "sato".into() }).unwrap();
    then(&mut incident, completed()).unwrap();
    assert_eq!(then(&mut incident, reopened(" ")), Err(Refused::NotReopenable { status: Status::Close }));
    then(&mut incident, reopened("it was none")).unwrap();
    assert_eq!((incident.status, incident.reopened), (Status::Investigating, 1));
    let missing = Refused::Incomplete { temp_fix: false, roles: 0 };
    assert_eq!(then(&mut incident, completed()), Err(missing));
}

#[test]
fn action_items_and_effort_are_no_condition_of_completion_and_go_on_after_it() {
    let mut incident = opened();
    let added = |item: &str| ActionItemAdded {
        item: item.into(),
        text: "grease at assembly".into(),
        kind: ActionKind::Prevent,
        owner: None,
        due_ms: None,
        by: "sato".into(),
    };
    then(&mut incident, added("1")).unwrap();
    let known = Refused::ActionItem { item: "1".into(), found: "known already" };
    assert_eq!(then(&mut incident, added("1")), Err(known));
    then(&mut incident, Judged { verdict: Verdict::FalsePositive, by: "sato".into() }).unwrap();
    then(&mut incident, Completed { by: "sato".into() }).unwrap();
    then(&mut incident, added("2")).unwrap();
    let changed = |item: &str| ActionItemChanged { item: item.into(), status: ActionStatus::Closed, by: "mori".into() };
    then(&mut incident, changed("1")).unwrap();
    assert!(then(&mut incident, changed("3")).is_err());
    let statuses: Vec<_> = incident.action_items.values().map(|item| item.status).collect();
    assert_eq!(statuses, [ActionStatus::Closed, ActionStatus::Open]);
    let effort = |minutes| EffortAdded { minutes, work: Work::Customer, by: "mori".into() };
    then(&mut incident, effort(30)).unwrap();
    then(&mut incident, effort(15)).unwrap();
    assert_eq!(then(&mut incident, effort(0)), Err(Refused::Effort { minutes: 0 }));
    assert!(then(&mut incident, effort(EFFORT_MAX_MINUTES + 1)).is_err());
    assert_eq!((incident.effort_min[&Work::Customer], incident.status), (45, Status::Close));
}

#[test]
fn a_merge_resolves_and_opening_again_undoes_it() {
    let mut incident = opened();
    let into = |id| MergedInto { incident: Id(id), by: "sato".into() };
    assert!(then(&mut incident, into(9)).is_err(), "it is this one");
    then(&mut incident, into(8)).unwrap();
    assert_eq!((incident.status, incident.merged_into), (Status::Resolved, Some(Id(8))));
    assert!(then(&mut incident, into(7)).is_err(), "it is not open");
    then(&mut incident, Reopened { reason: "another fault".into(), by: "sato".into() }).unwrap();
    assert_eq!((incident.status, incident.merged_into), (Status::Investigating, None));
}

#[test]
fn an_event_of_a_released_version_reads_and_is_written_as_it_was() {
    let rows = [
        ("postmortem_held", r#"{"roles":["development"],"by":"sato"}"#),
        ("urgency_changed", r#"{"to":"high","reason":"r","by":null}"#),
    ];
    for (kind, body) in rows {
        let event = Event::read(Id(9), 1, AT, kind, body).unwrap();
        assert_eq!(event.body().unwrap(), body);
    }
}
