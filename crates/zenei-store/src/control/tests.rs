//! Tests of the control database.
use super::*;
use crate::ledger::Ledger;
use crate::registry::Registration;
use crate::spool::Source;
use zenei_detect::{Anomaly, Decision, DecisionReason, Scope, ScopeKind};
use zenei_wire::{EngineTime, Id};

fn found() -> Anomaly {
    zenei_kit::anomaly("motor_wear", "BL1", 7)
}

fn decision(value: f64) -> Decision {
    Decision {
        at: EngineTime(3),
        rule: "motor_wear".into(),
        rule_version: 1,
        scope: Scope { kind: ScopeKind::Lot, value: "2024W31".into() },
        reason: DecisionReason::BelowEffect,
        value,
        threshold: 1.0,
        unit: "mA".into(),
        why: "too small".into(),
        part_of: None,
    }
}

fn event(incident: u128, seq: u32) -> EventRow {
    EventRow { incident: Id(incident), seq, at_ms: 9, kind: "opened".into(), body: format!("{{\"seq\":{seq}}}") }
}

fn outbox_row(id: u128, next_at_ms: i64) -> OutboxRow {
    let (target, body) = ("quality".into(), "{}".into());
    OutboxRow {
        id: Id(id),
        target,
        incident: Id(1),
        event_seq: 0,
        body,
        attempt: 0,
        next_at_ms,
        unanswered: 0,
        tried_from_ms: None,
    }
}

fn checkpoint(offset: u64) -> Checkpoint {
    let mut ledger = Ledger::default();
    ledger.receive(Source::Mqtt, offset);
    ledger.stored = offset;
    let sealed = Sealed { offset, advanced_to: EngineTime(1_777_626_000_123) };
    Checkpoint { sealed, snapshot: Some("engine-5".into()), ledger }
}

#[test]
fn all_of_a_transaction_is_there_after_its_commit_and_nothing_without() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.db");
    let mut control = Control::open(&path).unwrap();
    assert_eq!(control.checkpoint().unwrap(), None);
    let write = |txn: &Txn<'_>| {
        txn.insert_anomaly(&found()).unwrap();
        txn.append_event(&event(1, 0)).unwrap();
        txn.enqueue(&outbox_row(1, 0)).unwrap();
        txn.checkpoint(&checkpoint(5)).unwrap();
    };
    write(&control.begin().unwrap());
    assert_eq!((control.checkpoint().unwrap(), control.anomalies().unwrap()), (None, vec![]));
    let txn = control.begin().unwrap();
    write(&txn);
    txn.commit().unwrap();
    let reader = Control::open_read_only(&path).unwrap();
    assert_eq!(reader.checkpoint().unwrap(), Some(checkpoint(5)));
    drop(control);
    let control = Control::open(&path).unwrap();
    assert_eq!(control.checkpoint().unwrap(), Some(checkpoint(5)));
    assert_eq!(control.anomalies().unwrap(), [found()]);
    assert_eq!(control.anomaly(found().id).unwrap(), Some(found()));
    assert_eq!(control.events().unwrap(), [event(1, 0)]);
    assert_eq!(control.undelivered().unwrap(), [outbox_row(1, 0)]);
}

#[test]
fn an_anomaly_that_was_kept_without_the_rules_words_is_readable() {
    let mut control = Control::in_memory().unwrap();
    let txn = control.begin().unwrap();
    assert!(txn.insert_anomaly(&found()).unwrap());
    let remove = "UPDATE anomaly SET body = json_remove(body, '$.title', '$.owner', '$.runbook')";
    assert_eq!(txn.inner.execute(remove, []).unwrap(), 1);
    txn.commit().unwrap();
    let (title, owner, runbook) = (String::new(), String::new(), String::new());
    assert_eq!(control.anomalies().unwrap(), [Anomaly { title, owner, runbook, ..found() }]);
}

#[test]
fn writing_again_what_is_known_changes_nothing() {
    let mut control = Control::in_memory().unwrap();
    for new in [true, false] {
        let txn = control.begin().unwrap();
        assert_eq!(txn.insert_anomaly(&found()).unwrap(), new);
        assert_eq!(txn.insert_decision(&decision(0.5)).unwrap(), new);
        assert_eq!(txn.append_event(&event(1, 0)).unwrap(), new);
        assert_eq!(txn.append_event(&event(1, 1)).unwrap(), new);
        assert_eq!(txn.enqueue(&outbox_row(1, 0)).unwrap(), new);
        let inquiry = InquiryRow { id: "Q1".into(), received_at_ms: 4, body: "{}".into() };
        assert_eq!(txn.insert_inquiry(&inquiry).unwrap(), new);
        txn.commit().unwrap();
    }
    let txn = control.begin().unwrap();
    assert!(txn.insert_decision(&decision(0.6)).unwrap(), "another value is another decision");
    let other = EventRow { body: "other".into(), ..event(1, 1) };
    assert!(!txn.append_event(&other).unwrap(), "an event that is written stays as it is");
    txn.commit().unwrap();
    assert_eq!(control.decisions().unwrap(), [decision(0.5), decision(0.6)]);
    assert_eq!(control.events_of(Id(1)).unwrap(), [event(1, 0), event(1, 1)]);
    assert_eq!(control.inquiries().unwrap().len(), 1);
}

#[test]
fn incidents_come_in_the_order_of_their_first_events() {
    let mut control = Control::in_memory().unwrap();
    let txn = control.begin().unwrap();
    for (incident, seq) in [(9, 0), (2, 0), (9, 1), (5, 0)] {
        txn.append_event(&event(incident, seq)).unwrap();
    }
    txn.commit().unwrap();
    assert_eq!(control.incident_ids().unwrap(), [Id(9), Id(2), Id(5)]);
}

#[test]
fn a_message_that_ended_is_not_sent_again_also_when_it_is_enqueued_again() {
    let mut control = Control::in_memory().unwrap();
    let txn = control.begin().unwrap();
    for (id, next_at_ms) in [(1, 50), (2, 10), (3, 20)] {
        txn.enqueue(&OutboxRow { incident: Id(id), ..outbox_row(id, next_at_ms) }).unwrap();
    }
    txn.commit().unwrap();
    let ids = |control: &Control, now| {
        control.due_outbox_of("quality", now, 10).unwrap().iter().map(|row| row.id.0).collect::<Vec<_>>()
    };
    assert_eq!((ids(&control, 9), ids(&control, 20), ids(&control, 99)), (vec![], vec![2, 3], vec![2, 3, 1]));
    let txn = control.begin().unwrap();
    txn.end(Id(2), SendEnd::Delivered, 21, "").unwrap();
    txn.end(Id(3), SendEnd::GivenUp, 21, "410 gone").unwrap();
    assert!(txn.is_failed("quality").unwrap() && !txn.is_failed("another").unwrap());
    txn.put_off(&OutboxRow { attempt: 1, tried_from_ms: Some(70), ..outbox_row(1, 80) }, "503").unwrap();
    txn.put_off(&OutboxRow { attempt: 1, ..outbox_row(2, 80) }, "late answer").unwrap();
    assert!(!txn.enqueue(&outbox_row(2, 0)).unwrap());
    txn.commit().unwrap();
    assert_eq!((ids(&control, 79), ids(&control, 80)), (vec![], vec![1]));
    let waits = control.undelivered().unwrap().remove(0);
    assert_eq!((waits.attempt, waits.tried_from_ms), (1, Some(70)));
}

#[test]
fn messages_about_one_incident_to_one_target_go_out_one_after_another() {
    let mut control = Control::in_memory().unwrap();
    let txn = control.begin().unwrap();
    for (id, target, incident) in [(1, "a", 1), (2, "a", 1), (3, "b", 1), (4, "a", 2)] {
        let row = OutboxRow { target: target.into(), incident: Id(incident), ..outbox_row(id, 0) };
        txn.enqueue(&row).unwrap();
    }
    txn.commit().unwrap();
    let ids = |control: &Control, target: &str| {
        control.due_outbox_of(target, 9, 10).unwrap().iter().map(|row| row.id.0).collect::<Vec<_>>()
    };
    assert_eq!((ids(&control, "a"), ids(&control, "b")), (vec![1, 4], vec![3]));
    let txn = control.begin().unwrap();
    txn.put_off(&OutboxRow { attempt: 1, ..outbox_row(1, 50) }, "503").unwrap();
    assert!(txn.end(Id(3), SendEnd::Delivered, 9, "").unwrap());
    assert!(!txn.end(Id(3), SendEnd::Delivered, 9, "").unwrap());
    txn.commit().unwrap();
    assert_eq!((ids(&control, "a"), ids(&control, "b")), (vec![4], vec![]));
    let txn = control.begin().unwrap();
    txn.end(Id(1), SendEnd::GivenUp, 60, "").unwrap();
    txn.remember("a", Id(1), "uuid", "u-1").unwrap();
    txn.remember("a", Id(1), "uuid", "u-2").unwrap();
    txn.commit().unwrap();
    assert_eq!(ids(&control, "a"), [2, 4]);
    assert_eq!(control.remote("a", Id(1)).unwrap().get("uuid").map(String::as_str), Some("u-2"));
    assert!(control.remote("b", Id(1)).unwrap().is_empty());
    // Given up is not told.
    assert!(control.is_told("b", Id(1)).unwrap() && !control.is_told("a", Id(1)).unwrap());
}

#[test]
fn a_message_that_was_about_to_be_sent_is_known_as_such_until_an_answer_says_that_it_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let doubt = |control: &Control| control.due_outbox_of("quality", 99, 10).unwrap()[0].unanswered;
    let mut control = Control::open(&path).unwrap();
    let txn = control.begin().unwrap();
    txn.enqueue(&outbox_row(1, 0)).unwrap();
    txn.commit().unwrap();
    assert_eq!(doubt(&control), 0);
    for times in 1..3 {
        let txn = control.begin().unwrap();
        txn.begin_sending(Id(1)).unwrap();
        txn.commit().unwrap();
        drop(control);
        control = Control::open(&path).unwrap();
        assert_eq!(doubt(&control), times);
    }
    let txn = control.begin().unwrap();
    txn.put_off(&OutboxRow { attempt: 1, ..outbox_row(1, 80) }, "refused").unwrap();
    txn.commit().unwrap();
    assert_eq!(doubt(&control), 0);
}

#[test]
fn a_silence_is_kept_with_its_end() {
    let mut control = Control::in_memory().unwrap();
    let row = |kind: &str| SilenceRow { silence: Id(5), at_ms: 1, kind: kind.into(), body: "{}".into() };
    let txn = control.begin().unwrap();
    assert!(txn.append_silence(&row("added")).unwrap() && txn.append_silence(&row("ended")).unwrap());
    assert!(!txn.append_silence(&row("added")).unwrap());
    txn.commit().unwrap();
    assert_eq!(control.silence_events().unwrap(), [row("added"), row("ended")]);
}

#[test]
fn a_plan_is_there_until_its_checkpoint() {
    let mut control = Control::in_memory().unwrap();
    let plan = SealPlan { from: 3, to: checkpoint(5).sealed };
    let txn = control.begin().unwrap();
    txn.plan_seal(&plan).unwrap();
    txn.commit().unwrap();
    assert_eq!(control.seal_plan().unwrap(), Some(plan));
    let txn = control.begin().unwrap();
    txn.checkpoint(&checkpoint(5)).unwrap();
    txn.commit().unwrap();
    assert_eq!(control.seal_plan().unwrap(), None);
    let txn = control.begin().unwrap();
    let error = txn.checkpoint(&checkpoint(u64::MAX)).unwrap_err();
    assert!(error.to_string().starts_with("sealed_offset is 18446744073709551615; at most"), "{error}");
}

#[test]
fn a_newer_or_foreign_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.db");
    drop(Control::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    for error in [Control::open(&path).unwrap_err(), Control::open_read_only(&path).unwrap_err()] {
        assert!(error.to_string().contains(&format!("has version 99; this program reads up to {VERSION}")), "{error}");
    }
    connection.pragma_update(None, "application_id", 7).unwrap();
    let error = Control::open(&path).unwrap_err();
    assert!(matches!(error, ControlError::Foreign { found: 7, .. }), "{error}");
    assert!(Control::open_read_only(&folder.path().join("absent.db")).is_err());
}

#[test]
fn a_changed_line_of_the_registry_stays_with_its_dates() {
    let mut control = Control::in_memory().unwrap();
    let line =
        |device: &str, lot: &str| Registration { device_id: device.into(), lot: lot.into(), ..Registration::default() };
    let txn = control.begin().unwrap();
    let first = txn.import_registry(&[line("A", "1"), line("B", "1"), line("C", "1")], 100).unwrap();
    let second = txn.import_registry(&[line("A", "1"), line("B", "2")], 200).unwrap();
    let third = txn.import_registry(&[line("A", "1"), line("B", "2"), line("C", "1")], 300).unwrap();
    txn.commit().unwrap();
    assert_eq!(first, Imported { added: 3, ..Imported::default() });
    assert_eq!(second, Imported { changed: 1, unchanged: 1, ended: 1, added: 0 });
    assert_eq!(third, Imported { added: 1, unchanged: 2, ..Imported::default() });
    assert_eq!(control.registry().unwrap(), [line("A", "1"), line("B", "2"), line("C", "1")]);
    let spans = |device: &str| {
        let spans = control.registry_of(device).unwrap();
        spans.into_iter().map(|span| (span.registration.lot, span.valid_from_ms, span.valid_to_ms)).collect::<Vec<_>>()
    };
    assert_eq!(spans("B"), [("1".to_owned(), 100, Some(200)), ("2".to_owned(), 200, None)]);
    assert_eq!(spans("C"), [("1".to_owned(), 100, Some(200)), ("1".to_owned(), 300, None)]);
}

#[test]
fn a_cursor_is_kept_under_its_name() {
    let mut control = Control::in_memory().unwrap();
    let txn = control.begin().unwrap();
    for (name, value) in [("ble/A", 4), ("ble/B", 5), ("tail/gw1", 6), ("ble/A", 9)] {
        txn.set_cursor(name, value).unwrap();
    }
    txn.commit().unwrap();
    assert_eq!((control.cursor("ble/A").unwrap(), control.cursor("none").unwrap()), (Some(9), None));
    assert_eq!(control.cursor("ble/B").unwrap(), Some(5));
}
