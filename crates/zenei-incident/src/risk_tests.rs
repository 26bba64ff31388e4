//! Who is at risk, and what counts for it.
use super::*;
use crate::correlate::Casebook;
use crate::event::{Judged, MergedInto, What};
use zenei_detect::Findings;
use zenei_kit::anomaly;

const DAY_S: i64 = 86_400;
const NOW: EngineTime = EngineTime(200 * DAY_S * 1_000);

/// A casebook with an incident a line: days before now, lock, urgency. Returns their ids too.
fn book(lines: &[(i64, &str, Urgency)]) -> (Casebook, Vec<Id>) {
    let (mut book, mut ids) = (Casebook::default(), Vec::new());
    for (before, lock, urgency) in lines {
        let mut found = anomaly(&format!("rule-{before}-{lock}"), lock, (200 - before) * DAY_S);
        (found.urgency, found.component) = (*urgency, zenei_detect::Component::Unknown);
        let findings = Findings { anomalies: vec![found], ..Findings::default() };
        let mut draft = book.draft();
        let taken = draft.take(&findings, |_| Ok::<bool, crate::ApplyError>(true)).unwrap();
        ids.extend(taken.opened());
        let changes = draft.into_changes();
        book.absorb(changes);
    }
    (book, ids)
}

fn add(book: &mut Casebook, id: Id, what: impl Into<What>) {
    let mut draft = book.draft();
    draft.add(id, NOW, what).unwrap();
    let changes = draft.into_changes();
    book.absorb(changes);
}

/// The locks `a1`, `a2`, … are of customer `a`.
fn owned(lock: &str, _: EngineTime) -> Option<Owned> {
    let customer = lock.get(..1).filter(|customer| *customer != "x")?.to_owned();
    Some(Owned { customer, site: "tokyo-01".into(), door: format!("door of {lock}") })
}

/// Customer, heat over 30 and 90 days, at risk, open, doors.
fn told(book: &Casebook) -> Vec<(String, u32, u32, bool, u32, usize)> {
    let found = customers(book.incidents(), owned, NOW);
    let line = |one: &Customer| {
        (one.customer.clone(), one.days_30.heat, one.days_90.heat, one.at_risk, one.open, one.doors.len())
    };
    found.customers.iter().map(line).collect()
}

#[test]
fn heat_counts_urgent_incidents_of_both_windows_and_the_hottest_comes_first() {
    let (high, highest) = (Urgency::High, Urgency::Highest);
    let (book, _) = book(&[
        (5, "a1", high),
        (40, "a2", highest),
        (10, "b1", highest),
        (1, "c1", Urgency::Medium),
        (91, "d1", highest),
    ]);
    assert_eq!(told(&book), [("b".into(), 3, 3, true, 1, 1), ("a".into(), 1, 4, false, 2, 2)]);
}

#[test]
fn a_false_positive_does_not_count_and_what_was_merged_counts_once() {
    let (mut book, ids) = book(&[(5, "a1", Urgency::High), (6, "a2", Urgency::High), (7, "a3", Urgency::High)]);
    add(&mut book, ids[0], MergedInto { incident: ids[1], by: "sato".into() });
    assert_eq!(told(&book), [("a".into(), 2, 2, false, 2, 3)]);
    add(&mut book, ids[2], Judged { verdict: Verdict::FalsePositive, by: "sato".into() });
    assert_eq!(told(&book), [("a".into(), 1, 1, false, 1, 2)]);
    add(&mut book, ids[1], Judged { verdict: Verdict::FalsePositive, by: "sato".into() });
    assert_eq!(told(&book), [], "with the one that took it, the merged one was none either");
}

#[test]
fn two_that_are_said_to_be_duplicates_of_each_other_count_once() {
    let (mut book, ids) = book(&[(5, "a1", Urgency::High), (6, "a2", Urgency::Highest)]);
    add(&mut book, ids[0], Judged { verdict: Verdict::DuplicateOf(ids[1]), by: "sato".into() });
    add(&mut book, ids[1], Judged { verdict: Verdict::DuplicateOf(ids[0]), by: "mori".into() });
    assert_eq!(told(&book), [("a".into(), 3, 3, true, 1, 2)]);
}

#[test]
fn a_lock_without_a_customer_is_named_and_not_counted() {
    let (book, _) = book(&[(5, "x1", Urgency::High), (5, "a1", Urgency::High)]);
    let found = customers(book.incidents(), owned, NOW);
    assert_eq!((found.incidents, found.customers.len()), (2, 1));
    assert_eq!(found.unknown.into_iter().collect::<Vec<_>>(), ["x1"]);
    let door = &found.customers[0].doors[0];
    assert_eq!((door.device.as_str(), door.door.as_str(), door.incidents.len()), ("a1", "door of a1", 1));
}

#[test]
fn an_incident_about_zenei_itself_is_no_fault_at_a_door() {
    let mut book = Casebook::default();
    for rule in [OWN_RULE, "battery"] {
        let mut found = anomaly(rule, "a1", 199 * DAY_S);
        (found.urgency, found.component) = (Urgency::High, zenei_detect::Component::Unknown);
        let findings = Findings { anomalies: vec![found], ..Findings::default() };
        let mut draft = book.draft();
        draft.take(&findings, |_| Ok::<bool, crate::ApplyError>(true)).unwrap();
        let changes = draft.into_changes();
        book.absorb(changes);
        // Control: the same finding of another rule counts.
        let found = customers(book.incidents(), owned, NOW);
        assert_eq!((found.incidents, found.customers.len()), if rule == OWN_RULE { (0, 0) } else { (1, 1) });
    }
}
