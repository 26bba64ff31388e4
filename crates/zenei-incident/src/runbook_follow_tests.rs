//! What a runbook does to an incident, and what it never does.
use super::*;
use crate::correlate::Casebook;
use crate::event::{Acknowledged, Reopened, TelemetryRecovered};
use crate::incident::Refused;
use crate::kinds::Status;
use crate::policy::Texts;
use std::sync::Arc;
use zenei_detect::Findings;
use zenei_kit::anomaly;

const HOUR_MS: i64 = 3_600_000;

const BOOK: &str = r#"
id = "motor"
version = 3
label = "ours"
title_en = "Motor"
title_ja = "モータ"
match = { rule = "motor_*" }
[[step]]
id = "look"
text_en = "Look."
text_ja = "確認"
on_done = { status = "investigating" }
[[step]]
id = "grease"
text_en = "Grease."
text_ja = "注油"
on_done = { event = "temp_fix_done", status = "resolved" }
[[auto]]
id = "taken"
when = "acknowledged"
do = { status = "investigating" }
[[auto]]
id = "calm"
when = "telemetry_recovered"
for_hours = 6
do = { note = "calm for six hours" }
"#;

struct Desk {
    book: Casebook,
    id: Id,
    log: Vec<Event>,
}

fn desk() -> Desk {
    let runbooks = Some(vec![("motor.toml".to_owned(), BOOK.to_owned())]);
    let policy = Arc::new(Policy::read(&Texts { runbooks, ..Texts::default() }).unwrap());
    let mut book = Casebook::new(policy);
    let findings = Findings { anomalies: vec![anomaly("motor_effort", "A", 5)], ..Findings::default() };
    let mut draft = book.draft();
    let log = draft.take(&findings, |_| Ok::<bool, ApplyError>(true)).unwrap().events;
    let changes = draft.into_changes();
    book.absorb(changes);
    Desk { id: log[0].incident, book, log }
}

impl Desk {
    /// The kinds of the events of a step.
    fn act(&mut self, at_s: i64, what: impl Into<What>) -> Result<Vec<String>, Refused> {
        let mut draft = self.book.draft();
        let events = draft.act(self.id, EngineTime(at_s * 1_000), what).map_err(|error| error.reason)?;
        let changes = draft.into_changes();
        self.book.absorb(changes);
        let kinds = events.iter().map(|event| event.kind_word().to_owned()).collect();
        self.log.extend(events);
        Ok(kinds)
    }

    fn step(&mut self, at_s: i64, step: &str) -> Result<Vec<String>, String> {
        let done = RunbookStepDone { step: step.into(), by: "sato".into() };
        self.act(at_s, done).map_err(|refused| refused.to_string())
    }

    fn pass(&mut self, at_ms: i64) -> Vec<String> {
        let mut draft = self.book.draft();
        let events = draft.pass(EngineTime(at_ms), |_| None).unwrap();
        let changes = draft.into_changes();
        self.book.absorb(changes);
        let kinds = events.iter().map(|event| event.kind_word().to_owned()).collect();
        self.log.extend(events);
        kinds
    }

    fn incident(&self) -> &Incident {
        self.book.incident(self.id).unwrap()
    }
}

#[test]
fn a_runbook_is_attached_in_the_draft_that_opens() {
    let desk = desk();
    assert_eq!(desk.log.iter().map(Event::kind_word).collect::<Vec<_>>(), ["opened", "runbook_attached"]);
    assert_eq!(desk.incident().runbook_attached, Some(("motor".into(), 3)));
}

#[test]
fn a_step_done_sets_the_status_in_the_same_draft_and_is_the_temporary_fix_of_the_person() {
    let mut desk = desk();
    assert_eq!(desk.step(6, "look").unwrap(), ["runbook_step_done", "status_changed"]);
    assert_eq!(desk.step(7, "grease").unwrap(), ["runbook_step_done", "temp_fix_done", "status_changed"]);
    assert_eq!((desk.incident().status, desk.incident().is_temp_fixed), (Status::Resolved, true));
    let fold = Casebook::fold(Arc::default(), &desk.log).unwrap();
    assert_eq!(fold.incident(desk.id), Some(desk.incident()), "the log alone gives the same");
}

#[test]
fn a_step_out_of_order_a_second_time_or_of_no_runbook_is_refused_with_what_is_allowed() {
    let mut desk = desk();
    assert_eq!(
        desk.step(6, "grease").unwrap_err(),
        "the step \"grease\" of the runbook can't be done: it comes after look"
    );
    assert!(desk.step(6, "gease").unwrap_err().ends_with("has no such step; allowed are look, grease"));
    desk.step(6, "look").unwrap();
    assert!(desk.step(7, "look").unwrap_err().ends_with("it is done already"));
    assert!(desk.step(7, "calm").unwrap_err().contains("no such step"), "what happens by itself is no step");
}

#[test]
fn an_acknowledgement_moves_the_status_by_itself_and_never_back() {
    let mut desk = desk();
    let kinds = desk.act(6, Acknowledged { by: "sato".into() }).unwrap();
    assert_eq!(kinds, ["acknowledged", "runbook_step_done", "status_changed"]);
    assert_eq!(desk.incident().status, Status::Investigating);
    assert_eq!(desk.act(7, Acknowledged { by: "mori".into() }).unwrap(), ["acknowledged"], "once an incident");
    let mut fixing = self::desk();
    fixing.act(6, StatusChanged { to: Status::Fixing, by: "sato".into() }).unwrap();
    fixing.act(7, Acknowledged { by: "sato".into() }).unwrap();
    assert_eq!(fixing.incident().status, Status::Fixing);
}

#[test]
fn recovery_that_lasts_is_noted_once_and_resolves_and_completes_nothing() {
    let mut desk = desk();
    desk.act(10, TelemetryRecovered { why: "heard".into() }).unwrap();
    assert_eq!(desk.pass(10_000 + 6 * HOUR_MS - 1), [""; 0]);
    assert_eq!(desk.pass(10_000 + 6 * HOUR_MS), ["runbook_step_done", "note"]);
    assert_eq!(desk.pass(10_000 + 9 * HOUR_MS), [""; 0]);
    assert_eq!(desk.incident().status, Status::Detected);
    assert!(!desk.incident().is_temp_fixed);
}

#[test]
fn an_incident_that_is_opened_again_begins_its_runbook_again() {
    let mut desk = desk();
    desk.step(6, "look").unwrap();
    desk.step(7, "grease").unwrap();
    desk.act(8, Reopened { reason: "it did not hold".into(), by: "sato".into() }).unwrap();
    assert_eq!(desk.incident().status, Status::Investigating);
    assert_eq!(desk.step(9, "look").unwrap(), ["runbook_step_done"], "the status is that far already");
}
