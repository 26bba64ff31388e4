//! Tests of the desk's driver.
use super::*;
use zenei_detect::{Anomaly, Component, Decision, DecisionReason, Domain, Recovery};
use zenei_incident::Status;
use zenei_incident::event::{DeliveryFailed, DomainChanged, Note, StatusChanged};
use zenei_kit::anomaly;

const NOW: EngineTime = EngineTime(1_000_000);

fn found(anomalies: &[Anomaly]) -> Findings {
    Findings { anomalies: anomalies.to_vec(), ..Findings::default() }
}

fn stored(driver: &DeskDriver) -> (usize, usize, usize) {
    let control = driver.control();
    (control.anomalies().unwrap().len(), control.events().unwrap().len(), control.decisions().unwrap().len())
}

fn resolve() -> StatusChanged {
    StatusChanged { to: Status::Resolved, by: "sato".into() }
}

#[test]
fn a_finding_is_kept_with_what_follows_from_it() {
    let mut driver = DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap();
    let taken = driver
        .take(
            NOW,
            &found(&[
                anomaly("motor-effort", "A", 1),
                anomaly("motor-effort", "A", 2),
                anomaly("motor-effort", "B", 3),
            ]),
        )
        .unwrap();
    assert_eq!((taken.anomalies, taken.events, taken.decisions, taken.opened.len()), (3, 3, 1, 2));
    assert_eq!(stored(&driver), (3, 3, 1));
    assert_eq!(driver.control().decisions().unwrap()[0].reason, DecisionReason::AlreadyOpen);
}

#[test]
fn what_was_not_confirmed_at_first_is_once_it_is_told_again_with_more() {
    let mut driver = DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap();
    let later = Anomaly { window_ms: 1_000, at: EngineTime(2_000), ..anomaly("motor-effort", "A", 1) };
    let thin = Anomaly { at: EngineTime(1_000), evidence: later.evidence[..1].to_vec(), ..later.clone() };
    let taken = driver.take(NOW, &found(std::slice::from_ref(&thin))).unwrap();
    assert_eq!((taken.anomalies, taken.events, taken.decisions), (1, 0, 1));
    assert_eq!(driver.control().decisions().unwrap()[0].reason, DecisionReason::Unconfirmed);
    let again = Taken { repeated: 1, ..Taken::default() };
    assert_eq!(driver.take(NOW, &found(std::slice::from_ref(&thin))).unwrap(), again);
    let taken = driver.take(NOW, &found(std::slice::from_ref(&later))).unwrap();
    assert_eq!((taken.repeated, taken.events, taken.decisions, taken.opened.len()), (1, 1, 0, 1));
    // In any order after that, they change nothing.
    for known in [later, thin] {
        assert_eq!(driver.take(NOW, &found(&[known])).unwrap(), again);
    }
}

#[test]
fn findings_that_come_again_change_nothing_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let findings =
        found(&[anomaly("motor-effort", "A", 1), anomaly("motor-effort", "A", 2), anomaly("motor-effort", "B", 3)]);
    let mut driver = DeskDriver::open(Control::open(&path).unwrap(), Vec::new()).unwrap();
    driver.take(NOW, &findings).unwrap();
    let before = (stored(&driver), driver.incidents().read().clone());
    assert_eq!(driver.take(NOW, &findings).unwrap(), Taken { repeated: 3, ..Taken::default() });
    drop(driver);
    let mut driver = DeskDriver::open(Control::open(&path).unwrap(), Vec::new()).unwrap();
    assert_eq!(*driver.incidents().read(), before.1);
    assert_eq!(driver.take(NOW, &findings).unwrap().events, 0);
    assert_eq!((stored(&driver), driver.incidents().read().clone()), before);
}

#[test]
fn an_operators_event_is_kept_and_what_comes_back_opens_anew() {
    let mut driver = DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap();
    let first = driver.take(NOW, &found(&[anomaly("motor-effort", "A", 1)])).unwrap().opened[0];
    driver.add(first, NOW, resolve()).unwrap();
    assert!(matches!(driver.add(first, NOW, resolve()), Err(TakeError::Log(_))));
    assert!(matches!(driver.add(Id(1), NOW, resolve()), Err(TakeError::Log(_))));
    let second = driver.take(NOW, &found(&[anomaly("motor-effort", "A", 2)])).unwrap().opened[0];
    let book = IncidentLog::read(driver.control(), driver.policy()).unwrap().book;
    assert_eq!(book.incident(second).and_then(|incident| incident.recurs_of), Some(first));
    assert_eq!(book, *driver.incidents().read());
}

#[test]
fn a_store_that_fails_leaves_memory_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let mut writer = DeskDriver::open(Control::open(&path).unwrap(), Vec::new()).unwrap();
    writer.take(NOW, &found(&[anomaly("motor-effort", "A", 1)])).unwrap();
    let mut reader = DeskDriver::open(Control::open_read_only(&path).unwrap(), Vec::new()).unwrap();
    let before = reader.incidents().read().clone();
    assert!(matches!(reader.take(NOW, &found(&[anomaly("motor-effort", "B", 2)])), Err(TakeError::Control(_))));
    assert_eq!(*reader.incidents().read(), before);
}

#[test]
fn a_second_writer_is_found_out_and_nothing_of_its_call_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let mut one = DeskDriver::open(Control::open(&path).unwrap(), Vec::new()).unwrap();
    one.take(NOW, &found(&[anomaly("motor-effort", "A", 1)])).unwrap();
    let mut two = DeskDriver::open(Control::open(&path).unwrap(), Vec::new()).unwrap();
    one.take(NOW, &found(&[anomaly("motor-effort", "A", 2)])).unwrap();
    let before = (stored(&two), two.incidents().read().clone());
    let failed = two.take(NOW, &found(&[anomaly("motor-effort", "B", 3), anomaly("motor-effort", "A", 4)]));
    assert!(matches!(failed, Err(TakeError::Diverged { seq: 1, .. })));
    assert_eq!((stored(&two), two.incidents().read().clone()), before);
}

#[test]
fn how_findings_are_split_into_calls_changes_nothing() {
    let all: Vec<Anomaly> =
        (1..30).map(|at_s| anomaly("motor-effort", ["A", "B", "C"][at_s % 3], at_s as i64)).collect();
    let run = |size: usize| {
        let mut driver = DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap();
        for part in all.chunks(size) {
            driver.take(NOW, &found(part)).unwrap();
        }
        let control = driver.control();
        let book = driver.incidents().read().clone();
        (control.events().unwrap(), control.decisions().unwrap(), book)
    };
    assert_eq!(run(1), run(29));
    assert_eq!(run(1), run(4));
}

#[test]
fn a_driver_may_go_to_the_thread_that_hears() {
    let driver = DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap();
    let count = std::thread::spawn(move || driver.incidents().read().len()).join().unwrap();
    assert_eq!(count, 0);
}

#[test]
fn engine_decisions_are_kept_once_and_by_time_among_those_of_the_casebook() {
    let mut driver = DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap();
    let first = anomaly("motor-effort", "A", 1);
    let decision = |at_s: i64, threshold: f64| Decision {
        at: EngineTime(at_s * 1_000),
        rule: first.rule.clone(),
        rule_version: 1,
        scope: first.scope.clone(),
        reason: DecisionReason::BelowEffect,
        value: 310.0,
        threshold,
        unit: "mA".into(),
        why: "the rise is below what matters".into(),
        part_of: None,
    };
    let decisions = vec![decision(0, 380.0), decision(3, f64::NAN)];
    let findings =
        Findings { anomalies: vec![first.clone(), anomaly("motor-effort", "A", 2)], decisions, ..Findings::default() };
    assert_eq!(driver.take(NOW, &findings).unwrap().decisions, 3);
    assert_eq!(driver.take(NOW, &findings).unwrap().decisions, 0);
    let kept: Vec<i64> = driver.control().decisions().unwrap().iter().map(|kept| kept.at.ms() / 1_000).collect();
    assert_eq!(kept, [0, 2, 3]);
}

#[test]
fn numbers_that_json_has_not_can_be_read_back() {
    let mut driver = DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap();
    let mut odd = anomaly("motor-effort", "A", 1);
    (odd.value, odd.baseline) = (f64::INFINITY, f64::NAN);
    driver.take(NOW, &found(&[odd])).unwrap();
    assert_eq!(driver.control().anomalies().unwrap()[0].value, f64::MAX);
}

fn to_all() -> Vec<Route> {
    let route = |target: &str| Route {
        target: target.into(),
        min_urgency: zenei_detect::Urgency::Low,
        domains: BTreeSet::new(),
        services: BTreeSet::new(),
        wants: |_| true,
    };
    vec![route("a"), route("b")]
}

#[test]
fn messages_are_written_with_their_events_and_none_without() {
    let mut driver = DeskDriver::open(Control::in_memory().unwrap(), to_all()).unwrap();
    let id = driver.take(NOW, &found(&[anomaly("motor-effort", "A", 1)])).unwrap().opened[0];
    let targets = |driver: &DeskDriver| {
        let waiting = driver.control().undelivered().unwrap();
        waiting.iter().map(|row| (row.target.clone(), row.event_seq)).collect::<Vec<_>>()
    };
    assert_eq!(targets(&driver), [("a".to_owned(), 0), ("b".to_owned(), 0)]);
    assert!(driver.add(Id(1), NOW, resolve()).is_err());
    assert_eq!(targets(&driver).len(), 2);
    let row = driver.control().undelivered().unwrap().remove(0);
    let remember = vec![("uuid".to_owned(), "u-1".to_owned())];
    let delivered = Attempt::Delivered { remark: "200".into(), remember, events: Vec::new() };
    driver.settle(&row, &delivered, NOW).unwrap();
    driver.settle(&row, &delivered, NOW).unwrap();
    assert_eq!(targets(&driver), [("b".to_owned(), 0)]);
    assert_eq!(driver.control().remote("a", id).unwrap().len(), 1);
}

#[test]
fn a_target_of_one_domain_that_knows_an_incident_hears_of_its_end_in_another_domain() {
    let of = |target: &str, domain| {
        let route = to_all().remove(0);
        Route { target: target.into(), domains: BTreeSet::from([domain]), ..route }
    };
    let routes = vec![of("hardware", Domain::Hardware), of("firmware", Domain::Firmware), of("app", Domain::Software)];
    let mut driver = DeskDriver::open(Control::in_memory().unwrap(), routes).unwrap();
    let told = |driver: &DeskDriver| {
        let waiting = driver.control().undelivered().unwrap();
        waiting.into_iter().map(|row| (row.target, row.event_seq)).collect::<Vec<_>>()
    };
    let id = driver.take(NOW, &found(&[anomaly("motor-effort", "A", 1)])).unwrap().opened[0];
    let opening = driver.control().undelivered().unwrap();
    assert_eq!(told(&driver), [("hardware".to_owned(), 0)]);
    let (reason, by) = ("an image of 3.2".to_owned(), "sato".to_owned());
    driver.add(id, NOW, DomainChanged { to: Domain::Firmware, component: Component::FwImage, reason, by }).unwrap();
    assert_eq!(told(&driver).len(), 3, "the opening still waits: {:?}", told(&driver));
    let delivered = Attempt::Delivered { remark: "200".into(), remember: Vec::new(), events: Vec::new() };
    driver.settle(&opening[0], &delivered, NOW).unwrap();
    driver.add(id, NOW, resolve()).unwrap();
    let ends = told(&driver).into_iter().skip(2).map(|(target, _)| target);
    assert_eq!(ends.collect::<BTreeSet<_>>(), BTreeSet::from(["hardware".to_owned(), "firmware".to_owned()]));
}

#[test]
fn a_message_that_is_given_up_opens_one_incident_about_its_target_which_others_are_told_of() {
    let mut driver = DeskDriver::open(Control::in_memory().unwrap(), to_all()).unwrap();
    driver.take(NOW, &found(&[anomaly("motor-effort", "A", 1), anomaly("motor-effort", "B", 1)])).unwrap();
    let rows = driver.control().undelivered().unwrap();
    let given_up = Attempt::GivenUp { remark: "HTTP 410".into(), events: Vec::new() };
    for row in rows.iter().filter(|row| row.target == "a") {
        driver.settle(row, &given_up, NOW).unwrap();
    }
    let book = driver.incidents().read().clone();
    let own: Vec<_> = book.incidents().filter(|incident| incident.rule == "zenei-delivery").collect();
    assert_eq!((own.len(), own[0].scope.value.as_str(), own[0].findings), (1, "a", 1));
    let told = driver.control().undelivered().unwrap();
    let told: BTreeSet<String> =
        told.iter().filter(|row| row.incident == own[0].id).map(|row| row.target.clone()).collect();
    assert_eq!(told, BTreeSet::from(["b".to_owned()]));
}

/// Messages that may end before a test says that they have no end.
const WITHOUT_END: usize = 500;

/// Gives up every message, in order, until none waits or there is no end; `more` is called after each. Returns how
/// many.
fn give_up_all(driver: &mut DeskDriver, mut more: impl FnMut(&mut DeskDriver, &OutboxRow, EngineTime)) -> usize {
    for count in 0..WITHOUT_END {
        let waiting = driver.control().undelivered().unwrap();
        let Some(row) = waiting.first() else { return count };
        let at = NOW.plus_ms(i64::try_from(count).unwrap());
        let why = "HTTP 302".to_owned();
        let failed = DeliveryFailed { target: row.target.clone(), why: why.clone(), at_event: row.event_seq };
        driver.settle(row, &Attempt::GivenUp { remark: why, events: vec![failed.into()] }, at).unwrap();
        more(driver, row, at);
    }
    WITHOUT_END
}

#[test]
fn targets_that_take_nothing_do_not_feed_themselves_or_each_other() {
    let locks = [anomaly("motor-effort", "A", 1), anomaly("motor-effort", "B", 1)];
    let mut driver = DeskDriver::open(Control::in_memory().unwrap(), to_all()).unwrap();
    driver.take(NOW, &found(&locks)).unwrap();
    let tried = give_up_all(&mut driver, |_, _, _| {});
    let kinds: Vec<String> = driver.control().events().unwrap().into_iter().map(|event| event.kind).collect();
    let failures = kinds.iter().filter(|kind| *kind == "delivery_failed").count();
    assert!(failures <= 2, "one event a target: {kinds:?}");
    assert!((4..=8).contains(&tried), "{tried} messages: {kinds:?}");
    let book = driver.incidents().read().clone();
    let about: BTreeSet<_> = book
        .incidents()
        .filter(|one| one.rule == "zenei-delivery")
        .collect::<Vec<_>>()
        .into_iter()
        .map(|one| one.scope.value.clone())
        .collect();
    assert_eq!(about, BTreeSet::from(["a".to_owned(), "b".to_owned()]), "both are seen to fail");
    drop(book);
    // Control: were a failure an event that both are told of, there would be no end.
    let mut driver = DeskDriver::open(Control::in_memory().unwrap(), to_all()).unwrap();
    driver.take(NOW, &found(&locks)).unwrap();
    let fed = give_up_all(&mut driver, |driver, row, at| {
        let note = Note { text: "not told".into(), by: "zenei".into() };
        driver.add(row.incident, at, note).unwrap();
    });
    assert_eq!(fed, WITHOUT_END);
}

#[test]
fn a_target_that_took_a_message_and_fails_again_is_said_to_fail_again_and_is_not_told_of_it() {
    let mut driver = DeskDriver::open(Control::in_memory().unwrap(), to_all()).unwrap();
    let failures = |driver: &DeskDriver| {
        driver.control().events().unwrap().iter().filter(|event| event.kind == "delivery_failed").count()
    };
    let waiting = |driver: &DeskDriver| {
        let all = driver.control().undelivered().unwrap();
        all.into_iter().filter(|row| row.target == "a").collect::<Vec<_>>()
    };
    let delivered = Attempt::Delivered { remark: "200".into(), remember: Vec::new(), events: Vec::new() };
    for (lock, expected) in [("A", 1), ("B", 2)] {
        driver.take(NOW, &found(&[anomaly("motor-effort", lock, 1), anomaly("battery", lock, 1)])).unwrap();
        for row in waiting(&driver) {
            let failed = DeliveryFailed { target: "a".into(), why: "HTTP 302".into(), at_event: row.event_seq };
            let attempt = Attempt::GivenUp { remark: "HTTP 302".into(), events: vec![failed.into()] };
            driver.settle(&row, &attempt, NOW).unwrap();
        }
        assert_eq!(failures(&driver), expected, "one while it stays failed");
        assert_eq!(waiting(&driver), [], "it is not told of its own failure");
        driver.take(NOW, &found(&[anomaly("motor-effort", lock, 9)])).unwrap();
        driver.take(NOW, &found(&[anomaly("latch", lock, 1)])).unwrap();
        let rows = waiting(&driver);
        assert!(!rows.is_empty());
        for row in rows {
            driver.settle(&row, &delivered, NOW).unwrap();
        }
    }
}

#[test]
fn targets_that_take_nothing_come_to_rest() {
    let mut driver = DeskDriver::open(Control::in_memory().unwrap(), to_all()).unwrap();
    driver.take(NOW, &found(&[anomaly("motor-effort", "A", 1)])).unwrap();
    let mut given_up = 0;
    while let Some(row) = driver.control().undelivered().unwrap().into_iter().next() {
        given_up += 1;
        assert!(given_up < 100, "message {given_up} is about event {} of {}", row.event_seq, row.incident);
        let (target, why, at_event) = (row.target.clone(), "HTTP 404".to_owned(), row.event_seq);
        let failed = DeliveryFailed { target, why: why.clone(), at_event };
        driver.settle(&row, &Attempt::GivenUp { remark: why, events: vec![failed.into()] }, NOW).unwrap();
    }
    // The incident to both, and to each that the other one failed.
    assert_eq!(given_up, 4);
}

#[test]
fn a_silence_mutes_until_its_end_and_is_there_after_a_restart() {
    use zenei_incident::{Matcher, SilenceKind};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let mut driver = DeskDriver::open(Control::open(&path).unwrap(), to_all()).unwrap();
    let matches = Matcher { device: Some("A".into()), ..Matcher::default() };
    let span = (0, 2_000_000);
    let silence = Silence::new(SilenceKind::Silence, matches, span, ("battery work", "sato"), EngineTime(500)).unwrap();
    driver.add_silence(silence.clone(), EngineTime(500)).unwrap();
    drop(driver);
    let mut driver = DeskDriver::open(Control::open(&path).unwrap(), to_all()).unwrap();
    let taken = driver.take(NOW, &found(&[anomaly("motor-effort", "A", 1), anomaly("motor-effort", "B", 1)])).unwrap();
    assert_eq!(taken.opened.len(), 2);
    let about = |driver: &DeskDriver, lock: &str| {
        let book = driver.incidents().read().clone();
        let is_about = |id: Id| book.incident(id).is_some_and(|incident| incident.devices.contains(lock));
        let opened = |event_seq: u32| driver.control().events().unwrap().iter().any(|event| event.seq == event_seq);
        let waiting = driver.control().undelivered().unwrap();
        waiting.iter().filter(|row| is_about(row.incident) && opened(row.event_seq)).count()
    };
    assert_eq!(about(&driver, "A"), 0);
    assert!(about(&driver, "B") >= 2);
    assert!(driver.end_silence(Id(3), "sato", NOW).is_err());
    driver.end_silence(silence.id, "sato", EngineTime(1_500_000)).unwrap();
    assert_eq!(about(&driver, "A"), 2, "nothing muted is swallowed");
    assert_eq!(driver.pass(EngineTime(1_600_000), |_| None).unwrap(), 0);
}

#[test]
fn a_lock_that_is_heard_again_recovers_flaps_and_is_calm_after_a_day_in_which_it_is_heard() {
    let mut driver = DeskDriver::open(Control::in_memory().unwrap(), to_all()).unwrap();
    let silence = anomaly("silence", "A", 0);
    let back = |at_s: i64| Recovery {
        at: EngineTime(at_s * 1_000),
        rule: silence.rule.clone(),
        domain: silence.domain,
        component: silence.component,
        scope: silence.scope.clone(),
        why: "heard again after 50.0 h".into(),
    };
    for cycle in 0..4 {
        let (anomalies, recoveries) = (vec![anomaly("silence", "A", cycle * 600)], vec![back(cycle * 600 + 300)]);
        driver.take(NOW, &Findings { anomalies, recoveries, ..Findings::default() }).unwrap();
    }
    let last = EngineTime((3 * 600 + 300) * 1_000);
    let words = |driver: &DeskDriver| {
        let events = driver.control().events().unwrap();
        events.into_iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    let count = |kind: &str| words(&driver).iter().filter(|word| *word == kind).count();
    assert_eq!((count("opened"), count("telemetry_recovered"), count("flapping_started")), (1, 4, 1));
    let day_later = last.plus_ms(86_400_000);
    assert_eq!(driver.pass(day_later, |_| None).unwrap(), 0, "a silent lock is not calm");
    assert_eq!(driver.pass(day_later, |_| Some(day_later)).unwrap(), 1);
    assert_eq!(words(&driver).last().unwrap(), "flapping_ended");
    let book = driver.incidents().read().clone();
    assert!(book.incidents().all(|incident| incident.is_open()), "a recovery completes nothing");
}
