//! Tests of muting and flapping: what people are told, when, and that nothing is swallowed.
use super::*;
use crate::event::{Completed, Judged, Note, Reopened, StatusChanged, TelemetryRecovered};
use crate::places::{Place, Places};
use crate::silence::Matcher;
use crate::{Casebook, Status, Verdict};
use std::sync::Arc;
use zenei_detect::{Anomaly, Component, Decision, DecisionReason, Findings, Scope, ScopeKind};
use zenei_kit::anomaly;

const HOUR: i64 = 3_600;

/// A casebook that takes one step after the other.
#[derive(Default)]
struct Desk(Casebook);

impl Desk {
    fn with<T>(&mut self, step: impl FnOnce(&mut Draft<'_>) -> T) -> T {
        let mut draft = self.0.draft();
        let result = step(&mut draft);
        let changes = draft.into_changes();
        self.0.absorb(changes);
        result
    }

    /// The decisions, and what people are told of each event.
    fn take(&mut self, found: Anomaly) -> (Vec<Decision>, Vec<(String, Tell)>) {
        let now = found.at;
        let findings = Findings { anomalies: vec![found], ..Findings::default() };
        self.with(|draft| {
            let taken = draft.take(&findings, |_| Ok::<bool, ApplyError>(true)).unwrap();
            let decisions = taken.decisions.iter().map(|decision| decision.clone().into_owned()).collect();
            (decisions, told(draft, &taken.events, now))
        })
    }

    fn add(&mut self, id: Id, at_s: i64, what: impl Into<What>) -> Tell {
        self.with(|draft| {
            let event = draft.add(id, seconds(at_s), what).unwrap();
            draft.tell(&event, seconds(at_s))
        })
    }

    fn pass(&mut self, at_s: i64) -> Vec<(String, Tell)> {
        self.with(|draft| {
            let events = draft.pass(seconds(at_s), |_| Some(seconds(at_s))).unwrap();
            told(draft, &events, seconds(at_s))
        })
    }

    fn silence(&mut self, kind: SilenceKind, lock: &str, from_s: i64, until_s: i64) -> Id {
        let matches = Matcher { device: Some(lock.into()), ..Matcher::default() };
        let times = (from_s * 1_000, until_s * 1_000);
        let silence = Silence::new(kind, matches, times, ("battery swap", "sato"), EngineTime(0)).unwrap();
        self.with(|draft| draft.add_silence(silence, EngineTime(0)).unwrap().silence)
    }

    fn only(&self) -> &Incident {
        assert_eq!(self.0.len(), 1);
        self.0.incidents().next().unwrap()
    }
}

fn seconds(at_s: i64) -> EngineTime {
    EngineTime(at_s * 1_000)
}

fn told(draft: &Draft<'_>, events: &[Event], now: EngineTime) -> Vec<(String, Tell)> {
    events.iter().map(|event| (event.kind_word().to_owned(), draft.tell(event, now))).collect()
}

fn words(told: &[(String, Tell)]) -> Vec<(&str, bool)> {
    told.iter().map(|(word, tell)| (word.as_str(), *tell == Tell::Now)).collect()
}

fn to(status: Status) -> StatusChanged {
    StatusChanged { to: status, by: "sato".into() }
}

fn recovered() -> TelemetryRecovered {
    TelemetryRecovered { why: "effort back at 300 mA".into() }
}

/// A finding about locks that are not heard: one lock, or a gateway with its locks.
fn unheard(scope: ScopeKind, value: &str, locks: &[&str], at_s: i64) -> Anomaly {
    let mut found = anomaly("silence", value, at_s);
    found.scope = Scope { kind: scope, value: value.into() };
    found.component = if scope == ScopeKind::Gateway { Component::Gateway } else { Component::BleLink };
    found.device_id = (scope == ScopeKind::Device).then(|| value.to_owned());
    let first = found.evidence[0].clone();
    let records = locks.iter().map(|lock| zenei_detect::Evidence { device_id: (*lock).to_owned(), ..first.clone() });
    found.evidence = records.collect();
    found
}

#[test]
fn under_a_silence_an_incident_opens_and_people_are_told_when_it_ends() {
    let mut desk = Desk::default();
    desk.silence(SilenceKind::Silence, "A", 0, 100);
    let (_, first) = desk.take(anomaly("motor_effort", "A", 5));
    assert_eq!(words(&first), [("opened", false), ("muted", false)]);
    let (_, again) = desk.take(anomaly("motor_effort", "A", 6));
    assert_eq!(words(&again), [("evidence_added", false)]);
    assert!(desk.pass(99).is_empty());
    assert_eq!(words(&desk.pass(100)), [("unmuted", true)]);
    assert!(desk.pass(101).is_empty());
}

#[test]
fn a_silence_that_a_person_ends_ends_for_its_incidents_too() {
    let mut desk = Desk::default();
    let silence = desk.silence(SilenceKind::Silence, "A", 0, 100);
    desk.take(anomaly("motor_effort", "A", 5));
    desk.with(|draft| draft.end_silence(silence, "mori", seconds(7)).unwrap());
    assert_eq!(words(&desk.pass(7)), [("unmuted", true)]);
}

#[test]
fn a_later_silence_takes_over_from_one_that_ends() {
    let mut desk = Desk::default();
    desk.silence(SilenceKind::Silence, "A", 0, 100);
    desk.silence(SilenceKind::Silence, "A", 50, 200);
    desk.take(anomaly("motor_effort", "A", 5));
    assert_eq!(words(&desk.pass(100)), [("muted", false)]);
    assert_eq!(words(&desk.pass(200)), [("unmuted", true)]);
}

#[test]
fn a_silence_set_afterwards_mutes_findings_and_no_work_of_people() {
    let mut desk = Desk::default();
    desk.take(anomaly("motor_effort", "A", 5));
    let id = desk.only().id;
    desk.silence(SilenceKind::Silence, "A", 10, 100);
    assert_eq!(words(&desk.pass(10)), [("muted", false)]);
    let (_, again) = desk.take(anomaly("motor_effort", "A", 11));
    assert_eq!(words(&again), [("evidence_added", false)]);
    assert_eq!(desk.add(id, 12, to(Status::Resolved)), Tell::Now, "or the remote stays open for ever");
    let after = desk.pass(100);
    assert_eq!(words(&after), [("unmuted", false)]);
}

#[test]
fn what_was_resolved_while_muted_is_told_once_it_is_opened_again() {
    let mut desk = Desk::default();
    desk.silence(SilenceKind::Silence, "A", 0, 100);
    desk.take(anomaly("motor_effort", "A", 5));
    let id = desk.only().id;
    assert_ne!(desk.add(id, 6, to(Status::Resolved)), Tell::Now, "nobody knows of it");
    assert_eq!(words(&desk.pass(100)), [("unmuted", false)]);
    let again = Reopened { reason: "it still grinds".into(), by: "mori".into() };
    assert_eq!(desk.add(id, 101, again), Tell::Now);
}

#[test]
fn in_a_maintenance_window_a_finding_opens_nothing_and_one_that_persists_opens_after_it() {
    let mut desk = Desk::default();
    desk.silence(SilenceKind::Maintenance, "A", 0, 100);
    let (decisions, told) = desk.take(anomaly("motor_effort", "A", 5));
    assert_eq!((decisions[0].reason, told.len(), desk.0.len()), (DecisionReason::Maintenance, 0, 0));
    assert!(decisions[0].why.contains("by sato: battery swap"), "{}", decisions[0].why);
    let persists = Anomaly { at: seconds(100), ..anomaly("motor_effort", "A", 5) };
    let findings = Findings { anomalies: vec![persists], ..Findings::default() };
    let opened = desk.with(|draft| draft.take(&findings, |_| Ok::<bool, ApplyError>(false)).unwrap().opened().count());
    assert_eq!(opened, 1, "although its id is known");
}

#[test]
fn a_gateway_that_is_down_mutes_its_locks_until_it_is_back() {
    let mut desk = Desk::default();
    let place = Place { gateway: Some("G".into()), ..Place::default() };
    desk.0.set_places(Arc::new(Places::from_iter([("C".to_owned(), place)])));
    desk.take(unheard(ScopeKind::Gateway, "G", &["A", "B"], 5));
    let gateway = desk.only().id;
    // B has evidence in it, C is registered there, D has nothing to do with it.
    for (lock, is_told) in [("B", false), ("C", false), ("D", true)] {
        let (_, told) = desk.take(unheard(ScopeKind::Device, lock, &[lock], 6));
        assert_eq!(told[0].1 == Tell::Now, is_told, "{lock}");
    }
    assert_eq!(desk.take(anomaly("motor_effort", "B", 7)).1[0].1, Tell::Now, "no gateway explains a motor");
    assert!(desk.pass(8).is_empty());
    desk.add(gateway, 9, recovered());
    assert_eq!(words(&desk.pass(10)), [("unmuted", true), ("unmuted", true)]);
}

#[test]
fn a_gateway_found_after_its_locks_mutes_them_and_not_for_ever() {
    let mut desk = Desk::default();
    desk.take(unheard(ScopeKind::Device, "A", &["A"], 5));
    let (_, told) = desk.take(unheard(ScopeKind::Gateway, "G", &["A", "B"], 6));
    assert_eq!(words(&told), [("opened", true), ("runbook_attached", true), ("muted", false)]);
    assert!(desk.pass(24 * HOUR).is_empty());
    assert_eq!(words(&desk.pass(24 * HOUR + 6)), [("unmuted", true)]);
}

/// A motor whose effort rises and falls `cycles` times, half an hour apart.
fn flapping_desk(cycles: i64) -> (Desk, Vec<(String, Tell)>) {
    let mut desk = Desk::default();
    let (_, told) = flapping(&mut desk, cycles);
    (desk, told)
}

/// The same on this desk; since when it flaps, and what was told.
fn flapping(desk: &mut Desk, cycles: i64) -> (Option<EngineTime>, Vec<(String, Tell)>) {
    let mut told = Vec::new();
    desk.take(anomaly("motor_effort", "A", 0));
    let id = desk.only().id;
    for cycle in 1..=cycles {
        let tell = desk.add(id, cycle * 1_800 - 900, recovered());
        told.push(("telemetry_recovered".to_owned(), tell));
        told.extend(desk.take(anomaly("motor_effort", "A", cycle * 1_800)).1);
    }
    (desk.only().flap.since, told)
}

#[test]
fn a_fault_that_comes_and_goes_three_times_a_day_is_told_once_in_four_hours() {
    let (desk, told) = flapping_desk(2);
    assert!(desk.only().flap.since.is_none() && told.iter().all(|(_, tell)| *tell == Tell::Now));
    let (desk, told) = flapping_desk(48);
    assert_eq!(desk.only().flap.since, Some(seconds(5_400)));
    let started = told.iter().position(|(word, _)| word == "flapping_started").unwrap();
    let after: Vec<&Tell> = told[started..].iter().map(|(_, tell)| tell).collect();
    let mut times: Vec<i64> = Vec::new();
    for tell in after {
        if let Tell::NotBefore(at_ms) = tell {
            times.push(at_ms / 1_000);
        }
    }
    // 22.5 hours after the start at 5,400 s: one message each four hours, and nothing else but the start.
    let expected: Vec<i64> = (1..=6).map(|slot| 5_400 + slot * 4 * HOUR).collect();
    assert_eq!(times, expected);
    assert_eq!(told[started..].iter().filter(|(_, tell)| *tell == Tell::Now).count(), 1);
}

#[test]
fn flapping_ends_after_a_quiet_day_in_which_its_locks_were_heard() {
    let (mut desk, _) = flapping_desk(3);
    let id = desk.only().id;
    desk.add(id, 6_000, recovered());
    let day = 6_000 + 24 * HOUR;
    assert!(desk.pass(day - 1).is_empty());
    let unheard = desk.with(|draft| draft.pass(seconds(day), |_| None).unwrap());
    assert!(unheard.is_empty(), "silence is no recovery");
    assert_eq!(words(&desk.pass(day)), [("flapping_ended", true)]);
    assert!(desk.only().is_open());
}

#[test]
fn what_people_do_is_told_while_a_fault_flaps() {
    let (mut desk, _) = flapping_desk(4);
    let id = desk.only().id;
    assert_eq!(desk.add(id, 9_000, Note { text: "on it".into(), by: "sato".into() }), Tell::Now);
    assert_eq!(desk.add(id, 9_001, Judged { verdict: Verdict::FalsePositive, by: "sato".into() }), Tell::Now);
    assert_eq!(desk.add(id, 9_002, Completed { by: "sato".into() }), Tell::Now);
}

/// A desk whose opening table has these texts replaced by others.
fn desk_with(changes: &[(&str, &str)]) -> Desk {
    let mut text = include_str!("../defaults/opening.toml").to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let opening = Some(("opening.toml".to_owned(), text));
    let texts = crate::policy::Texts { opening, ..Default::default() };
    Desk(Casebook::new(Arc::new(crate::Policy::read(&texts).unwrap())))
}

#[test]
fn the_opening_table_says_when_a_fault_flaps_and_how_seldom_it_is_told() {
    let mut desk = desk_with(&[("cycles = 3 ", "cycles = 2 "), ("interval_hours = 4 ", "interval_hours = 1 ")]);
    let (changed, _) = flapping(&mut desk, 2);
    assert_eq!(changed, Some(seconds(3_600)));
    let id = desk.only().id;
    assert_eq!(desk.add(id, 4_000, recovered()), Tell::NotBefore((3_600 + HOUR) * 1_000));
    let mut short = desk_with(&[("window_hours = 24 ", "window_hours = 0.5 ")]);
    assert_eq!(flapping(&mut short, 48).0, None, "three returns take longer than half an hour");
}

#[test]
fn the_opening_table_says_what_mutes_what_and_for_how_long() {
    let mut desk = desk_with(&[("hours = 24\n", "hours = 2\n")]);
    desk.take(unheard(ScopeKind::Device, "A", &["A"], 5));
    desk.take(unheard(ScopeKind::Gateway, "G", &["A", "B"], 6));
    assert!(desk.pass(2 * HOUR + 5).is_empty());
    assert_eq!(words(&desk.pass(2 * HOUR + 6)), [("unmuted", true)]);
    let mut desk = desk_with(&[("explains = [\"ble_link\"]", "explains = [\"app\"]")]);
    desk.take(unheard(ScopeKind::Device, "A", &["A"], 5));
    let (_, told) = desk.take(unheard(ScopeKind::Gateway, "G", &["A", "B"], 6));
    assert_eq!(words(&told), [("opened", true), ("runbook_attached", true)], "nothing is muted");
}

#[test]
fn a_fault_that_comes_back_within_the_recurrence_time_is_linked_and_one_that_comes_later_is_not() {
    let back_after = |days: i64| {
        let mut desk = desk_with(&[("days = 30", "days = 7")]);
        desk.take(anomaly("motor_effort", "A", 0));
        let first = desk.only().id;
        desk.add(first, 10, StatusChanged { to: Status::Resolved, by: "sato".into() });
        desk.take(anomaly("motor_effort", "A", 10 + days * 24 * HOUR));
        let second = desk.0.incidents().find(|incident| incident.id != first).unwrap().clone();
        assert_eq!(desk.0.len(), 2);
        (second.recurs_of == Some(first), second, desk)
    };
    assert!(back_after(7).0);
    let (is_linked, second, mut desk) = back_after(8);
    assert!(!is_linked && second.similar.len() == 1, "it is linked as similar only");
    // The later one is the one that findings and the next recurrence belong to.
    desk.add(second.id, 9 * 24 * HOUR, StatusChanged { to: Status::Resolved, by: "sato".into() });
    desk.take(anomaly("motor_effort", "A", 10 * 24 * HOUR));
    assert!(desk.0.incidents().any(|incident| incident.recurs_of == Some(second.id)));
}

#[test]
fn maintenance_of_a_service_covers_the_locks_that_services_toml_gives_it() {
    let services = include_str!("../defaults/services.toml").replace("ホームハブ\"", "ホームハブ\"\nlocks = [\"A\"]");
    let services = Some(("services.toml".to_owned(), services));
    let texts = crate::policy::Texts { services, ..Default::default() };
    let mut desk = Desk(Casebook::new(Arc::new(crate::Policy::read(&texts).unwrap())));
    let matches = Matcher { service: Some("homehub".into()), ..Matcher::default() };
    let kind = SilenceKind::Maintenance;
    let work = Silence::new(kind, matches, (0, HOUR * 1_000), ("swap", "sato"), EngineTime(0)).unwrap();
    desk.with(|draft| draft.add_silence(work, EngineTime(0)).unwrap());
    let (decisions, _) = desk.take(anomaly("motor_effort", "A", 5));
    assert_eq!(decisions[0].reason, DecisionReason::Maintenance);
    desk.take(anomaly("motor_effort", "B", 5));
    assert_eq!(desk.only().service.as_deref(), Some("device"));
}
