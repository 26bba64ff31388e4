//! Tests of when a silence has ended, on a fleet of two gateways whose locks are heard every hour.
use crate::anomaly::Findings;
use crate::batch::{Labels, Row, UnreadableRow, test_row};
use crate::engine::Engine;
use crate::fleet::Fleet;
use crate::rules::Rules;
use crate::time::{DAY_MS, HOUR_MS};
use zenei_wire::{Body, EngineTime, State};

const LOCKS: usize = 20;

/// Runs so many days; `silent` says which lock is not heard at which hour. The last half of the locks is behind gw-2.
fn run(days: i64, silent: impl Fn(usize, i64) -> bool) -> Findings {
    run_with(days, silent, |_, _| false, |_, _| false)
}

/// The same; of what a silent lock sends, `unreadable` says at which hours something arrives; `moved` says which lock
/// of the first half is behind gw-2 too.
fn run_with(
    days: i64,
    silent: impl Fn(usize, i64) -> bool,
    unreadable: impl Fn(usize, i64) -> bool,
    moved: impl Fn(usize, i64) -> bool,
) -> Findings {
    let (mut fleet, mut findings) = (Fleet::new(), Findings::default());
    let mut engine = Engine::new(Rules::embedded().unwrap());
    let mut seq = [0; LOCKS];
    for hour in 0..days * 24 {
        for lock in (0..LOCKS).filter(|lock| !silent(*lock, hour)) {
            let at_ms = hour * HOUR_MS + lock as i64 * 1_000;
            seq[lock] += 1;
            let gw = fleet.intern(if lock < LOCKS / 2 && !moved(lock, hour) { "gw-1" } else { "gw-2" });
            let row = Row {
                site: fleet.intern("north"),
                labels: Labels { gw, ..Labels::default() },
                ..test_row(fleet.number(&format!("L{lock:02}")), seq[lock], at_ms, Body::State(State::default()))
            };
            engine.ingest(&[row], &[], EngineTime(at_ms), &mut fleet, &mut findings);
        }
        for lock in (0..LOCKS).filter(|lock| silent(*lock, hour) && unreadable(*lock, hour)) {
            let at = EngineTime(hour * HOUR_MS + 60_000);
            let record = UnreadableRow { device: fleet.number(&format!("L{lock:02}")), at };
            engine.ingest(&[], &[record], at, &mut fleet, &mut findings);
        }
    }
    engine.advance(EngineTime(days * DAY_MS), &fleet, &mut findings);
    findings
}

/// What was found, each once, and what has ended: scope and time in hours.
fn told(findings: &Findings) -> (Vec<String>, Vec<(String, i64)>) {
    let silences = findings.anomalies.iter().filter(|anomaly| anomaly.rule == "silence");
    let mut found: Vec<String> = silences.map(|anomaly| anomaly.scope.value.clone()).collect();
    found.dedup();
    let ended = findings.recoveries.iter().map(|recovery| {
        assert_eq!(recovery.rule, "silence");
        (recovery.scope.value.clone(), recovery.at.ms() / HOUR_MS)
    });
    (found, ended.collect())
}

#[test]
fn a_silence_has_ended_when_the_lock_is_heard_again() {
    let found = run(30, |lock, hour| lock == 3 && (480..600).contains(&hour));
    assert_eq!(told(&found), (vec!["L03".to_owned()], vec![("L03".to_owned(), 600)]));
    let recovery = &found.recoveries[0];
    assert_eq!((recovery.at, recovery.why.as_str()), (EngineTime(600 * HOUR_MS + 3_000), "heard again after 121.0 h"));
}

#[test]
fn a_lock_that_stays_away_does_not_recover_however_long_it_takes() {
    let found = run(80, |lock, hour| lock == 3 && hour >= 480);
    assert_eq!(told(&found), (vec!["L03".to_owned()], vec![]));
}

#[test]
fn a_gateway_is_back_when_its_locks_are_heard_through_it_and_not_before() {
    // One lock after the other comes back, an hour apart.
    let found = run(25, |lock, hour| lock < 10 && hour >= 480 && hour < 500 + lock as i64);
    let (found, ended) = told(&found);
    assert_eq!((found, ended.len(), ended[0].0.as_str()), (vec!["gw-1".to_owned()], 1, "gw-1"));
    assert!((504..=510).contains(&ended[0].1), "{ended:?}");
}

#[test]
fn a_gateway_whose_locks_are_silent_for_so_long_that_they_count_no_more_is_not_back() {
    // One lock of ten is heard through it all the time.
    let found = run(60, |lock, hour| (1..10).contains(&lock) && hour >= 480);
    let (found, ended) = told(&found);
    assert!(found.contains(&"gw-1".to_owned()), "{found:?}");
    assert_eq!(ended, []);
}

#[test]
fn a_gateway_is_not_back_by_records_that_nobody_can_read() {
    let silent = |lock: usize, hour: i64| lock < 10 && (480..560).contains(&hour);
    let (_, ended) = told(&run_with(23, silent, |_, hour| hour >= 500, |_, _| false));
    assert_eq!(ended, []);
    let (found, ended) = told(&run_with(25, silent, |_, hour| hour >= 500, |_, _| false));
    assert!(found.contains(&"gw-1".to_owned()), "{found:?}");
    assert_eq!((ended[0].0.as_str(), ended[0].1 >= 560), ("gw-1", true), "{ended:?}");
}

#[test]
fn a_gateway_that_is_down_again_is_not_back_by_what_was_heard_before() {
    // Half of the locks came back, too few; later these are silent too, and the other half is moved to gw-2.
    let silent = |lock: usize, hour: i64| match lock {
        0..5 => (480..500).contains(&hour) || hour >= 900,
        5..10 => (480..960).contains(&hour),
        _ => false,
    };
    let found = run_with(42, silent, |_, _| false, |lock, hour| lock >= 5 && hour >= 960);
    let of_gateway = found.anomalies.iter().filter(|anomaly| anomaly.scope.value == "gw-1");
    let times: Vec<i64> = of_gateway.map(|anomaly| anomaly.at.ms() / HOUR_MS).collect();
    assert!(times.iter().any(|hour| *hour < 500) && times.iter().any(|hour| *hour > 900), "{times:?}");
    let (_, ended) = told(&found);
    assert!(ended.iter().any(|(scope, _)| scope == "L05"), "{ended:?}");
    assert!(ended.iter().all(|(scope, _)| scope != "gw-1"), "{ended:?}");
}

/// A heartbeat each so many hours, at a minute of the lock's own; `None` says nothing.
fn told_of(days: i64, every_h: impl Fn(usize, i64) -> Option<i64>) -> Vec<(String, i64)> {
    told_by(Rules::embedded().unwrap(), days, every_h)
}

/// Rules by which two silences a year may end by themselves: the few locks of a test show as much within weeks.
fn of_few() -> Rules {
    let text = include_str!("../../rules/silence/rule.toml");
    assert!(text.contains("value = 0.02\n"), "the rule allows another rate now");
    Rules::parse([("rule.toml", text.replace("value = 0.02\n", "value = 2.0\n").as_str())]).unwrap()
}

fn told_by(rules: Rules, days: i64, every_h: impl Fn(usize, i64) -> Option<i64>) -> Vec<(String, i64)> {
    crate::detect::world::found_by(rules, "silence", days, |lock, hour, _| {
        let at_ms = hour * HOUR_MS + lock as i64 * 120_000;
        let says = every_h(lock, hour).is_some_and(|every_h| hour % every_h == lock as i64 / 3 % every_h);
        let body = crate::detect::world::heartbeat();
        says.then(|| crate::detect::world::Said { ts_ms: at_ms, heard_ms: vec![at_ms], body }).into_iter().collect()
    })
}

#[test]
fn a_lock_that_speaks_each_hour_is_missed_within_hours_though_others_speak_each_sixth() {
    let silent_from = 40 * 24;
    let every_h = |lock, hour| match lock {
        3 if hour >= silent_from => None,
        0..16 => Some(1),
        // Every now and then a slow one is silent for a day by itself.
        20 if hour % 240 < 30 => None,
        _ => Some(6),
    };
    let found = told_by(of_few(), 42, every_h);
    let of_it: Vec<i64> = found.iter().filter(|(scope, _)| scope == "device d").map(|(_, hour)| *hour).collect();
    assert!(of_it.len() == 1 && of_it[0] - silent_from <= 6, "{found:?}");
    assert!(found.iter().all(|(scope, _)| !scope.starts_with("gateway")), "{found:?}");
}

#[test]
fn three_lock_years_do_not_show_that_hardly_a_silence_of_half_a_day_ends_by_itself() {
    let silent_for = |hours: i64| {
        let silent = 40 * 24..40 * 24 + hours;
        move |lock, hour| (lock != 3 || !silent.contains(&hour)).then_some(1)
    };
    assert_eq!(told_of(42, silent_for(20)), []);
    assert_eq!(told_of(42, silent_for(26)).len(), 1, "a day is as long as the rule waits where it knows no better");
}

#[test]
fn what_was_told_and_then_ended_by_repair_is_no_usual_silence() {
    let silent = |hour: i64| (30 * 24..38 * 24).contains(&hour) || hour >= 45 * 24;
    let found =
        told_by(of_few(), 48, |lock, hour| (lock != 3 && lock != 7 || !silent(hour - lock as i64)).then_some(1));
    assert_eq!(found.iter().map(|(scope, _)| scope.as_str()).collect::<Vec<_>>(), ["device d", "device h"]);
    let again = told_by(of_few(), 48, |lock, hour| match lock {
        3 if (30 * 24..38 * 24).contains(&hour) => None,
        7 if hour >= 45 * 24 => None,
        _ => Some(1),
    });
    assert!(again.iter().any(|(scope, hour)| scope == "device h" && *hour - 45 * 24 <= 6), "{again:?}");
}

#[test]
fn an_interval_that_grows_for_all_locks_at_once_is_no_silence() {
    for every_h in [2, 3, 6] {
        let found = told_of(50, |_, hour| Some(if hour < 40 * 24 { 1 } else { every_h }));
        assert_eq!(found, [], "every {every_h} h");
    }
}

#[test]
fn locks_that_speak_more_rarely_gateway_by_gateway_accuse_none() {
    // Before, each lock speaks each hour; then the locks of one gateway speak at the same hour of two or three, those
    // of another at another hour: each gateway is quiet in turn.
    for every in [2, 3] {
        let found = crate::detect::world::found("silence", 50, |lock, hour, _| {
            let at_ms = hour * HOUR_MS + lock as i64 * 2_000;
            let says = hour < 40 * 24 || hour % every == lock as i64 % 3 * every / 3;
            let body = crate::detect::world::heartbeat();
            let said = crate::detect::world::Said { ts_ms: at_ms, heard_ms: vec![at_ms], body };
            says.then_some(said).into_iter().collect()
        });
        assert_eq!(found, [], "every {every} h");
    }
}

/// A world of locks that speak each hour, each at a minute of its own; `away` says of which lock nothing is heard.
fn of_minutes(days: i64, away: impl Fn(usize, i64) -> bool) -> Vec<(String, i64)> {
    crate::detect::world::found("silence", days, |lock, hour, _| {
        let at_ms = hour * HOUR_MS + lock as i64 * 140_000;
        let body = crate::detect::world::heartbeat();
        let said = crate::detect::world::Said { ts_ms: at_ms, heard_ms: vec![at_ms], body };
        (!away(lock, at_ms)).then_some(said).into_iter().collect()
    })
}

#[test]
fn a_gateway_of_which_nothing_is_heard_is_found_within_two_hours_and_a_half() {
    let from_ms = 480 * HOUR_MS + HOUR_MS / 3;
    let found = of_minutes(22, |lock, at_ms| lock % 3 == 1 && at_ms >= from_ms && at_ms < from_ms + 5 * HOUR_MS);
    assert!(matches!(&found[..], [(scope, 482 | 483)] if scope == "gateway gw-1"), "{found:?}");
}

#[test]
fn a_restart_of_an_hour_and_what_no_gateway_passes_on_accuse_no_gateway() {
    let from_ms = 480 * HOUR_MS + HOUR_MS / 3;
    let of = |lock: usize, at_ms: i64, hours: i64| at_ms >= from_ms && at_ms < from_ms + hours * HOUR_MS && lock != 5;
    assert_eq!(of_minutes(22, |lock, at_ms| lock % 3 == 1 && of(lock, at_ms, 1)), []);
    // One lock finds a way of its own.
    assert_eq!(of_minutes(22, |lock, at_ms| of(lock, at_ms, 2)), []);
}

/// A world of locks that speak when they are used, some three times a day, and not while their people are away.
fn of_use(days: i64, away: impl Fn(usize, i64) -> bool) -> Vec<(String, i64)> {
    crate::detect::world::found("silence", days, |lock, hour, dice| {
        let at_ms = hour * HOUR_MS + lock as i64 * 140_000;
        let body = crate::detect::world::heartbeat();
        let said = crate::detect::world::Said { ts_ms: at_ms, heard_ms: vec![at_ms], body };
        let is_used = dice.is(0.13) && !away(lock, hour);
        is_used.then_some(said).into_iter().collect()
    })
}

#[test]
fn a_lock_that_speaks_by_use_is_not_silent_while_its_people_are_away_and_is_after_a_week() {
    let from = 11 * 24;
    assert_eq!(of_use(20, |lock, hour| lock < 3 && (from..from + 5 * 24).contains(&hour)), []);
    let found = of_use(24, |lock, hour| lock == 3 && hour >= from);
    let in_a_week = |hour: i64| (from + 6 * 24..from + 10 * 24).contains(&hour);
    assert!(matches!(&found[..], [(scope, hour)] if scope == "device d" && in_a_week(*hour)), "{found:?}");
}
