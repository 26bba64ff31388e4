//! Tests of what the detectors find and what they leave alone, on streams made here from plain formulas: a voltage that
//! sags by current times resistance, a charge with a slope over temperature, errors drawn at random.
use crate::anomaly::DecisionReason;
use crate::anomaly::Findings;
use crate::batch::{Labels, Row, test_row};
use crate::engine::Engine;
use crate::fleet::Fleet;
use crate::rules::Rules;
use std::borrow::Cow;
use std::fmt::Write as _;
use zenei_kit::Dice;
use zenei_wire::{
    Body, CentiCelsius, EngineTime, ErrorReport, Event, EventKind, Milliamps, Millivolts, Op, OpKind, OpResult, State,
};

const HOUR_MS: i64 = 3_600_000;
const LOCKS: usize = 40;

/// The condition of each lock at an hour; 1.0 is normal.
struct World {
    resistance: fn(lock: usize, hour: i64) -> f64,
    friction: fn(lock: usize, hour: i64) -> f64,
    cold: fn(lock: usize, hour: i64) -> f64,
    errors_per_day: fn(lock: usize, hour: i64) -> f64,
    updated: fn(lock: usize, hour: i64) -> bool,
    replaced: fn(lock: usize, hour: i64) -> bool,
    authenticated: bool,
}

const CALM: World = World {
    resistance: |_, _| 1.0,
    friction: |_, _| 1.0,
    cold: |_, _| 0.0,
    errors_per_day: |_, _| 0.3,
    updated: |lock, hour| lock % 4 == 0 && hour >= 240,
    replaced: |_, _| false,
    authenticated: true,
};

fn row(fleet: &mut Fleet, lock: usize, seq: &mut [u32], at_ms: i64, world: &World, body: Body<'static>) -> Row {
    let site = ["north", "south", "east", "west"][lock % 8 / 2];
    let fw = if (world.updated)(lock, at_ms / HOUR_MS) { "2.0" } else { "1.9" };
    let labels =
        Labels { model: fleet.intern("mini"), hw_rev: fleet.intern("C2"), fw: fleet.intern(fw), ..Labels::default() };
    seq[lock] += 1;
    Row {
        site: fleet.intern(site),
        authenticated: world.authenticated,
        labels,
        ..test_row(fleet.number(&format!("L{lock:02}")), seq[lock], at_ms, body)
    }
}

/// An hour of one lock: a heartbeat every second hour, six operations a day, perhaps an error.
fn hour_of(world: &World, dice: &mut Dice, lock: usize, hour: i64) -> Vec<Body<'static>> {
    let mut bodies = Vec::new();
    let temp = 18.0 + 5.0 * libm::sin(hour as f64 / 24.0 * core::f64::consts::TAU) + (world.cold)(lock, hour);
    let rest = 2950.0 - 0.1 * hour as f64 + 2.0 * dice.gauss();
    if (world.replaced)(lock, hour) {
        bodies.push(Body::Event(Event { event: EventKind::BatteryReplaced, fw_from: None, fw_to: None }));
    }
    if hour % 2 == 0 {
        bodies.push(Body::State(State {
            battery_mv: Some(Millivolts(rest as u16)),
            temp_c: Some(CentiCelsius((temp * 100.0) as i16)),
            ..State::default()
        }));
    }
    if hour % 4 == 1 {
        let resistance = (0.8 + 0.01 * lock as f64) * libm::exp(-0.02 * (temp - 20.0)) * (world.resistance)(lock, hour);
        let friction =
            libm::exp(-0.007 * (temp - 20.0)) * (world.friction)(lock, hour) * libm::exp(0.05 * dice.gauss());
        let peak = 600.0 * libm::exp(0.04 * dice.gauss());
        let low = rest - peak * resistance * libm::exp(0.04 * dice.gauss());
        bodies.push(Body::Op(Op {
            duration_ms: Some((900.0 * friction) as u16),
            peak_ma: Some(Milliamps(peak as u16)),
            mean_ma: Some(Milliamps((300.0 * friction.sqrt()) as u16)),
            battery_min_mv: Some(Millivolts(low.max(0.0) as u16)),
            ..Op::of(if hour % 8 == 1 { OpKind::Lock } else { OpKind::Unlock }, OpResult::Ok)
        }));
    }
    if dice.uniform() < (world.errors_per_day)(lock, hour) / 24.0 {
        bodies.push(Body::Error(ErrorReport { code: Cow::Borrowed("ble_disconnect"), count: 1, detail: None }));
    }
    bodies
}

fn run(world: &World, days: i64, seed: u64) -> Findings {
    run_under(Rules::embedded().unwrap(), world, days, seed)
}

fn run_under(rules: Rules, world: &World, days: i64, seed: u64) -> Findings {
    let (mut fleet, mut findings, mut dice) = (Fleet::new(), Findings::default(), Dice(seed));
    let mut engine = Engine::new(rules);
    let mut seq = [0; LOCKS];
    for hour in 0..days * 24 {
        for lock in 0..LOCKS {
            for body in hour_of(world, &mut dice, lock, hour) {
                let at_ms = hour * HOUR_MS + lock as i64 * 1000;
                let row = row(&mut fleet, lock, &mut seq, at_ms, world, body);
                engine.ingest(&[row], &[], EngineTime(at_ms), &mut fleet, &mut findings);
            }
        }
    }
    engine.advance(EngineTime(days * 24 * HOUR_MS), &fleet, &mut findings);
    findings
}

/// Each rule and scope that was found, with the day of its first anomaly.
fn found(findings: &Findings) -> String {
    let mut text = String::new();
    let mut seen = Vec::new();
    for anomaly in &findings.anomalies {
        let what = format!("{} {} {}", anomaly.rule, anomaly.scope.kind, anomaly.scope.value);
        if !seen.contains(&what) {
            writeln!(text, "{what}").unwrap();
            seen.push(what);
        }
        assert!(!anomaly.evidence.is_empty() && anomaly.value > anomaly.threshold, "{anomaly:?}");
        assert!(anomaly.threshold > anomaly.baseline && anomaly.window_ms > 0, "{anomaly:?}");
    }
    text
}

fn check(world: &World, expected: &str) {
    for seed in 1..=5 {
        assert_eq!(found(&run(world, 35, seed)), expected, "seed {seed}");
    }
}

#[test]
fn a_calm_fleet_is_left_alone() {
    check(&CALM, "");
}

#[test]
fn one_cell_that_ages_is_found_and_no_other_lock() {
    let ageing = World {
        resistance: |lock, hour| if lock == 7 { 1.0 + 0.002 * (hour - 300).max(0) as f64 } else { 1.0 },
        ..CALM
    };
    check(&ageing, "battery-resistance device L07\n");
}

#[test]
fn friction_that_grows_is_found_and_no_other_lock() {
    let rubbing = World {
        friction: |lock, hour| if lock == 12 { 1.0 + 0.0015 * (hour - 300).max(0) as f64 } else { 1.0 },
        ..CALM
    };
    check(&rubbing, "motor-effort device L12\n");
}

#[test]
fn a_cold_snap_over_one_site_is_left_alone() {
    let cold =
        World { cold: |lock, hour| if lock % 8 < 2 && (400..472).contains(&hour) { -13.0 } else { 0.0 }, ..CALM };
    check(&cold, "");
}

#[test]
fn a_worse_cell_after_a_declared_replacement_is_a_new_start() {
    let replaced = World {
        replaced: |lock, hour| lock == 5 && hour == 420,
        resistance: |lock, hour| if lock == 5 && hour >= 420 { 1.6 } else { 1.0 },
        ..CALM
    };
    check(&replaced, "");
    let undeclared = World { replaced: |_, _| false, ..replaced };
    check(&undeclared, "battery-resistance device L05\n");
}

#[test]
fn a_version_with_three_times_the_errors_is_found() {
    let buggy = World { errors_per_day: |lock, hour| if lock % 4 == 0 && hour >= 240 { 0.9 } else { 0.3 }, ..CALM };
    check(&buggy, "firmware-errors fw 2.0\n");
}

#[test]
fn errors_that_all_locks_share_do_not_accuse_a_version() {
    let outage = World { errors_per_day: |_, hour| if hour >= 300 { 0.9 } else { 0.3 }, ..CALM };
    check(&outage, "");
}

#[test]
fn a_code_that_all_locks_report_often_is_no_rare_one_in_a_fleets_first_days() {
    // One report a day; one lock has five within its first hours, and six within ten hours of the next day.
    let errors_per_day = |lock, hour| match hour {
        8 | 10 | 12 | 14 | 16 | 26 | 28 | 30 | 32 | 34 | 36 if lock == 7 => 24.0,
        _ => 1.0,
    };
    check(&World { errors_per_day, ..CALM }, "");
}

#[test]
fn one_broken_lock_does_not_accuse_its_version() {
    let broken = World { errors_per_day: |lock, hour| if lock == 8 && hour >= 300 { 20.0 } else { 0.3 }, ..CALM };
    check(&broken, "lock-errors device L08\n");
}

#[test]
fn locks_that_always_complained_do_not_accuse_their_new_version() {
    let grumpy = World { errors_per_day: |lock, _| if lock % 4 == 0 { 0.9 } else { 0.3 }, ..CALM };
    check(&grumpy, "");
}

#[test]
fn what_an_unauthenticated_source_says_finds_nothing() {
    let forged = World {
        friction: |lock, hour| if lock == 12 && hour >= 300 { 2.0 } else { 1.0 },
        authenticated: false,
        ..CALM
    };
    check(&forged, "");
    check(&World { authenticated: true, ..forged }, "operation-trouble device L12\nmotor-effort device L12\n");
}

#[test]
fn a_rule_opens_where_its_state_lets_it_and_says_why_not_elsewhere() {
    let rubbing = World {
        friction: |lock, hour| if lock == 12 { 1.0 + 0.0015 * (hour - 300).max(0) as f64 } else { 1.0 },
        ..CALM
    };
    let under = |state: &str| {
        let shipped = crate::rules::shipped::rules();
        let texts = shipped.map(|(name, text)| (name, text.replace("state = \"live\"", "state = \"shadow\"")));
        let texts = texts.map(|(name, text)| match state.split_once('\n') {
            Some((state, table)) if name.starts_with("motor-effort") => {
                (name, text.replace("state = \"shadow\"", state) + "\n" + table)
            }
            Some(_) | None => (name, text),
        });
        let texts: Vec<(&str, String)> = texts.collect();
        let rules = Rules::parse(texts.iter().map(|(name, text)| (*name, text.as_str()))).unwrap();
        let findings = run_under(rules, &rubbing, 35, 1);
        let refused = findings.decisions.iter().filter(|decision| decision.scope.value == "L12");
        (findings.anomalies.len(), refused.map(|decision| decision.reason).collect::<Vec<_>>())
    };
    let live = under("state = \"live\"\n");
    assert!(live.0 > 0 && live.1.is_empty(), "{live:?}");
    let refused = |reason: DecisionReason| (0, vec![reason; live.0]);
    assert_eq!(under("state = \"shadow\"\n"), refused(DecisionReason::RuleNotLive));
    // Lock 12 is at the site east.
    assert_eq!(under("state = \"canary\"\n[canary]\nsites = [\"east\", \"west\"]"), live);
    assert_eq!(under("state = \"canary\"\n[canary]\nsites = [\"west\"]"), refused(DecisionReason::OutsideCanary));
    assert_eq!(under("state = \"canary\"\n[canary]\nshare = 1.0"), live);
    assert_eq!(under("state = \"canary\"\n[canary]\nshare = 0.0"), refused(DecisionReason::OutsideCanary));
}

#[test]
fn a_snapshot_in_the_middle_changes_nothing() {
    let world = World {
        friction: |lock, hour| if lock == 12 { 1.0 + 0.0015 * (hour - 300).max(0) as f64 } else { 1.0 },
        ..CALM
    };
    let whole = run(&world, 35, 1);
    let (mut fleet, mut findings, mut dice) = (Fleet::new(), Findings::default(), Dice(1));
    let mut engine = Engine::new(Rules::embedded().unwrap());
    let mut seq = [0; LOCKS];
    for hour in 0..35 * 24 {
        if hour % 100 == 7 {
            let state = postcard::to_stdvec(&engine.state().unwrap()).unwrap();
            engine = Engine::new(Rules::embedded().unwrap());
            engine.restore(postcard::from_bytes(&state).unwrap()).unwrap();
        }
        let mut rows = Vec::new();
        for lock in 0..LOCKS {
            for body in hour_of(&world, &mut dice, lock, hour) {
                let at_ms = hour * HOUR_MS + lock as i64 * 1000;
                rows.push(row(&mut fleet, lock, &mut seq, at_ms, &world, body));
            }
        }
        engine.ingest(&rows, &[], EngineTime(hour * HOUR_MS + 60_000), &mut fleet, &mut findings);
    }
    engine.advance(EngineTime(35 * 24 * HOUR_MS), &fleet, &mut findings);
    assert_eq!(whole, findings);
    assert!(!whole.anomalies.is_empty());
}
