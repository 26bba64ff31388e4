//! What users of other incident tools ask for, as far as the pure core answers it: one test a wish, with the product
//! and the number of its issue. Must not know remotes: how a message is sent again, or not, is tested with the sender.
//! Called by cargo's test runner.
use zenei_detect::{Anomaly, DecisionReason, Evidence, Findings, Scope, ScopeKind};
use zenei_incident::event::{
    Acknowledged, EvidenceAdded, Judged, MergedInto, Note, OwnerAssigned, StatusChanged, TelemetryRecovered,
};
use zenei_incident::{
    ApplyError, Casebook, Draft, Event, Incident, Matcher, Silence, SilenceKind, Status, Tell, Verdict, What,
};
use zenei_kit::anomaly;
use zenei_wire::{EngineTime, Id};

const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

/// A desk without a store: the log, and the casebook after it.
#[derive(Default)]
struct Desk {
    book: Casebook,
    log: Vec<Event>,
}

fn seconds(at_s: i64) -> EngineTime {
    EngineTime(at_s * 1_000)
}

impl Desk {
    fn step<T>(&mut self, step: impl FnOnce(&mut Draft<'_>) -> (Vec<Event>, T)) -> T {
        let mut draft = self.book.draft();
        let (events, result) = step(&mut draft);
        let changes = draft.into_changes();
        self.book.absorb(changes);
        self.log.extend(events);
        result
    }

    /// Takes a finding; gives the reasons why nothing was opened, and what people are told.
    fn take(&mut self, found: Anomaly) -> (Vec<(DecisionReason, String)>, Vec<Tell>) {
        let now = found.at;
        let findings = Findings { anomalies: vec![found], ..Findings::default() };
        self.step(|draft| {
            let taken = draft.take(&findings, |_| Ok::<bool, ApplyError>(true)).expect("findings break no rule");
            let reasons = taken.decisions.iter().map(|decision| (decision.reason, decision.why.clone())).collect();
            let told = taken.events.iter().map(|event| draft.tell(event, now)).collect();
            (taken.events, (reasons, told))
        })
    }

    fn add(&mut self, id: Id, at_s: i64, what: impl Into<What>) -> Result<Tell, String> {
        let what = what.into();
        self.step(|draft| match draft.add(id, seconds(at_s), what) {
            Ok(event) => {
                let tell = draft.tell(&event, seconds(at_s));
                (vec![event], Ok(tell))
            }
            Err(error) => (Vec::new(), Err(error.to_string())),
        })
    }

    /// What time alone brings.
    fn pass(&mut self, at_s: i64) -> Vec<Tell> {
        self.step(|draft| {
            let events = draft.pass(seconds(at_s), |_| None).expect("time breaks no rule");
            let told = events.iter().map(|event| draft.tell(event, seconds(at_s))).collect();
            (events, told)
        })
    }

    /// The desk of another process, which has nothing but the stored log and the stored silences.
    fn restarted(&self) -> Self {
        let again = |event: &Event| {
            Event::read(
                event.incident,
                event.seq,
                event.at,
                event.kind_word(),
                &event.body().expect("it can be written"),
            )
            .expect("it was written by this program")
        };
        let log: Vec<Event> = self.log.iter().map(again).collect();
        let mut book = Casebook::fold(Default::default(), &log).expect("the log holds");
        book.set_silences(self.book.silences().clone());
        Self { book, log }
    }

    fn silence(&mut self, kind: SilenceKind, lock: &str, until_s: i64) {
        let matches = Matcher { device: Some(lock.into()), ..Matcher::default() };
        let silence =
            Silence::new(kind, matches, (0, until_s * 1_000), ("swap", "sato"), EngineTime(0)).expect("it is new");
        self.step(|draft| {
            draft.add_silence(silence, EngineTime(0)).expect("it is new");
            (Vec::new(), ())
        });
    }

    fn open(&self) -> Vec<&Incident> {
        self.book.incidents().filter(|incident| incident.is_open()).collect()
    }

    fn latest(&self) -> &Incident {
        self.book.incidents().max_by_key(|incident| (incident.opened, incident.id)).expect("there is one")
    }
}

fn motor(at_s: i64) -> Anomaly {
    anomaly("motor_effort", "A", at_s)
}

/// A finding about a firmware, with a record of each of these locks.
fn firmware(at_s: i64, locks: &[&str]) -> Anomaly {
    let mut found = motor(at_s);
    (found.scope, found.device_id) = (Scope { kind: ScopeKind::Fw, value: "3.3.0".into() }, None);
    let record = |lock: &&str| Evidence { device_id: (*lock).to_owned(), boot: 1, seq: 0, ts_ms: at_s * 1_000 };
    found.evidence = locks.iter().map(record).collect();
    found
}

fn to(status: Status) -> StatusChanged {
    StatusChanged { to: status, by: "sato".into() }
}

fn recovered() -> TelemetryRecovered {
    TelemetryRecovered { why: "back at 300 mA".into() }
}

fn opened() -> (Desk, Id) {
    let mut desk = Desk::default();
    desk.take(motor(5));
    let id = desk.latest().id;
    (desk, id)
}

/// Alertmanager 204.
#[test]
fn a_fault_that_comes_and_goes_does_not_flood_people() {
    let (mut desk, id) = opened();
    let mut told = 0;
    for cycle in 1..=40 {
        let recovered = desk.add(id, cycle * 1_800 - 900, recovered()).unwrap();
        let (_, back) = desk.take(motor(cycle * 1_800));
        told += back.iter().chain([&recovered]).filter(|tell| !matches!(tell, Tell::Never { .. })).count();
    }
    // Two cycles and a recovery, the start of flapping, and then one message for each four hours of the other 18.5.
    assert_eq!((told, desk.book.len()), (2 * 2 + 1 + 1 + 5, 1));
}

/// Alertmanager 1860 and Grafana 13364.
#[test]
fn who_is_on_it_is_known_and_told() {
    let (mut desk, id) = opened();
    assert_eq!(desk.add(id, 6, Acknowledged { by: "sato".into() }), Ok(Tell::Now));
    assert_eq!(desk.add(id, 7, OwnerAssigned { owner: "mori".into(), by: "sato".into() }), Ok(Tell::Now));
    let after = desk.restarted();
    let incident = after.book.incident(id).unwrap();
    assert_eq!((incident.acknowledged_by.as_deref(), incident.owner.as_deref()), (Some("sato"), Some("mori")));
}

/// Alertmanager 1976, 2223 and 172.
#[test]
fn the_history_of_an_incident_outlives_it_and_a_restart() {
    let (mut desk, id) = opened();
    desk.add(id, 6, Note { text: "greased".into(), by: "mori".into() }).unwrap();
    desk.add(id, 7, to(Status::Resolved)).unwrap();
    let after = desk.restarted();
    let history: Vec<(u32, i64, &str)> =
        after.log.iter().map(|event| (event.seq, event.at.ms() / 1_000, event.kind_word())).collect();
    assert_eq!(history, [(0, 5, "opened"), (1, 6, "note"), (2, 7, "status_changed")]);
    assert_eq!(after.book, desk.book);
}

/// Alertmanager 2370 and 889: the sender's part, that a message outlives a restart, is tested with the sender.
#[test]
fn a_restart_forgets_neither_what_is_resolved_nor_what_is_muted() {
    let (mut desk, id) = opened();
    desk.add(id, 7, to(Status::Resolved)).unwrap();
    desk.silence(SilenceKind::Silence, "B", 100);
    desk.take(anomaly("motor_effort", "B", 8));
    let mut after = desk.restarted();
    assert_eq!(after.book.incident(id).unwrap().status, Status::Resolved);
    assert!(after.pass(99).is_empty());
    assert_eq!(after.pass(100), [Tell::Now], "the muted one is told by the process that comes after");
}

/// Alertmanager 3015, 510 and 4251.
#[test]
fn a_resolution_is_told_once_and_also_under_a_silence() {
    let (mut desk, id) = opened();
    desk.silence(SilenceKind::Silence, "A", 100);
    desk.pass(6);
    assert_eq!(desk.add(id, 7, to(Status::Resolved)), Ok(Tell::Now));
    assert!(desk.add(id, 8, to(Status::Resolved)).unwrap_err().contains("the incident is resolved"));
    assert!(desk.pass(100).iter().all(|tell| *tell != Tell::Now), "it is over");
}

/// Alertmanager 3048.
#[test]
fn an_incident_stays_open_while_it_is_noisy_and_after_it() {
    let (mut desk, id) = opened();
    for cycle in 1..=5 {
        desk.add(id, cycle * 600, recovered()).unwrap();
        desk.take(motor(cycle * 600 + 300));
    }
    let incident = desk.book.incident(id).unwrap();
    assert!(incident.is_open() && incident.flap.since.is_some() && desk.book.len() == 1);
}

/// Uptrace 241.
#[test]
fn nothing_is_resolved_because_it_is_silent() {
    let (mut desk, id) = opened();
    assert!(desk.pass(YEAR).is_empty());
    assert_eq!(desk.book.incident(id).unwrap().status, Status::Detected);
}

/// Keep 4318.
#[test]
fn an_incident_opens_only_when_there_is_enough_evidence() {
    let mut desk = Desk::default();
    let mut thin = motor(5);
    (thin.window_ms, _) = (0, thin.evidence.truncate(1));
    let (reasons, _) = desk.take(thin);
    assert_eq!((reasons[0].0, desk.book.len()), (DecisionReason::Unconfirmed, 0));
    assert!(reasons[0].1.contains("1 record of 1 lock"), "{}", reasons[0].1);
    desk.take(motor(6));
    assert_eq!(desk.book.len(), 1);
}

/// Keep 2776.
#[test]
fn several_locks_together_confirm_what_one_does_not() {
    let mut desk = Desk::default();
    for (locks, opened) in [(&["A"][..], 0), (&["A", "B"][..], 1)] {
        desk.take(Anomaly { window_ms: 0, ..firmware(5, locks) });
        assert_eq!(desk.book.len(), opened);
    }
}

/// Keep 3418.
#[test]
fn what_is_not_firing_opens_nothing() {
    let mut desk = Desk::default();
    assert!(desk.add(Id(1), 5, recovered()).unwrap_err().contains("no such incident"));
    desk.take(Anomaly { evidence: Vec::new(), ..motor(5) });
    assert_eq!(desk.book.len(), 0);
}

/// Keep 2481.
#[test]
fn a_resolved_incident_swallows_no_new_finding() {
    let (mut desk, id) = opened();
    desk.add(id, 6, to(Status::Resolved)).unwrap();
    let (_, told) = desk.take(motor(7));
    assert_eq!((told, desk.book.len()), (vec![Tell::Now, Tell::Now], 2));
    assert_eq!((desk.latest().recurs_of, &desk.latest().similar[..]), (Some(id), &[id][..]));
    let direct = desk.add(id, 8, EvidenceAdded { anomaly: motor(8) });
    assert!(direct.unwrap_err().contains("only an open one takes evidence"));
}

/// Keep 2481, where the finding was known but not confirmed when the incident was resolved.
#[test]
fn a_finding_confirmed_after_the_resolution_of_the_last_one_opens() {
    let (mut desk, id) = opened();
    desk.add(id, 6, to(Status::Resolved)).unwrap();
    let later = Anomaly { at: seconds(20), ..motor(9) };
    let thin = Anomaly { at: seconds(9), window_ms: 0, evidence: later.evidence[..1].to_vec(), ..later.clone() };
    desk.take(thin);
    assert_eq!(desk.book.len(), 1);
    let findings = Findings { anomalies: vec![later], ..Findings::default() };
    let mut draft = desk.book.draft();
    let taken = draft.take(&findings, |_| Ok::<bool, ApplyError>(false)).unwrap();
    assert_eq!(taken.opened().count(), 1, "its id is known, and no incident has taken it");
}

/// Keep 2087: telemetry that is normal again is said, and closes nothing; a person does.
#[test]
fn recovery_is_an_event_that_people_are_told_and_no_end() {
    let (mut desk, id) = opened();
    assert_eq!(desk.add(id, 6, recovered()), Ok(Tell::Now));
    let incident = desk.book.incident(id).unwrap();
    assert_eq!((incident.recovered, incident.is_open()), (Some(seconds(6)), true));
}

/// Keep 6793.
#[test]
fn a_finding_that_is_taken_for_a_known_one_says_so_and_of_which() {
    let (mut desk, id) = opened();
    let (reasons, _) = desk.take(motor(6));
    assert_eq!(reasons[0].0, DecisionReason::AlreadyOpen);
    assert!(reasons[0].1.contains(&id.to_string()), "{}", reasons[0].1);
}

/// Keep 6567.
#[test]
fn incidents_are_related_without_being_merged() {
    let (mut desk, first) = opened();
    desk.take(anomaly("motor_effort", "B", 6));
    let second = desk.latest().id;
    let verdict = Verdict::DuplicateOf(first);
    desk.add(second, 7, Judged { verdict, by: "sato".into() }).unwrap();
    assert_eq!(desk.open().len(), 2);
    desk.take(anomaly("motor_effort", "B", 8));
    assert_eq!(desk.book.incident(second).unwrap().findings, 2, "it still takes its own");
}

/// Keep 6567, the other half: merging is a step of its own.
#[test]
fn a_merged_incident_hands_its_later_findings_on() {
    let (mut desk, first) = opened();
    desk.take(anomaly("motor_effort", "B", 6));
    let second = desk.latest().id;
    desk.add(second, 7, MergedInto { incident: first, by: "sato".into() }).unwrap();
    let (reasons, _) = desk.take(anomaly("motor_effort", "B", 8));
    assert_eq!((reasons[0].0, desk.open().len()), (DecisionReason::AlreadyOpen, 1));
    assert_eq!(desk.book.incident(first).unwrap().devices.len(), 2);
    assert_eq!(desk.restarted().book, desk.book);
    // Once the other is resolved, the lock's own fault opens anew.
    desk.add(first, 9, to(Status::Resolved)).unwrap();
    desk.take(anomaly("motor_effort", "B", 10));
    assert_eq!(desk.latest().recurs_of, Some(second));
    let into = MergedInto { incident: second, by: "sato".into() };
    assert!(desk.add(desk.latest().id, 11, into).unwrap_err().contains("it is not open"));
}

/// OnCall 1919.
#[test]
fn planned_maintenance_opens_nothing_and_hides_nothing_that_lasts() {
    let mut desk = Desk::default();
    desk.silence(SilenceKind::Maintenance, "A", 100);
    let (reasons, told) = desk.take(motor(5));
    assert_eq!((reasons[0].0, told.len(), desk.book.len()), (DecisionReason::Maintenance, 0, 0));
    desk.take(motor(101));
    assert_eq!(desk.book.len(), 1);
}

/// Grafana 42683.
#[test]
fn a_wide_incident_has_not_recovered_while_one_lock_fails() {
    let mut desk = Desk::default();
    desk.take(firmware(5, &["A", "B"]));
    let id = desk.latest().id;
    desk.add(id, 6, recovered()).unwrap();
    desk.take(anomaly("motor_effort", "B", 7));
    let incident = desk.book.incident(id).unwrap();
    assert_eq!((incident.recovered, incident.findings, incident.is_open()), (None, 2, true));
}

/// OnCall 4760 and 3870: a message comes from an event, and time brings none.
#[test]
fn nobody_is_told_again_of_what_did_not_change() {
    let (mut desk, id) = opened();
    desk.add(id, 6, Acknowledged { by: "sato".into() }).unwrap();
    assert!((1..48).all(|hour| desk.pass(hour * HOUR).is_empty()));
}
