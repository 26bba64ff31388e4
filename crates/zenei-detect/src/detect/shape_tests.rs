//! Profiles that become unlike their templates within weeks, and with a season, on a lock among twelve. Called by
//! `cargo test`.
use super::running::{Detector, Glance, Window};
use crate::anomaly::Findings;
use crate::batch::{Row, test_row};
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::lock::{Lock, Operation, RecordRef};
use crate::rules::Rules;
use crate::time::{DAY_MS, HOUR_MS};
use zenei_kit::Dice;
use zenei_wire::{Body, EngineTime, Op, OpKind, OpResult};

const RULE: &str = include_str!("../../rules/profile-shape/rule.toml");
const LOCKS: usize = 12;
/// Hours between two profiles of a lock: fewer than two a day.
const EVERY_H: i64 = 14;

fn row(device: usize, seq: u32, now_ms: i64) -> Row {
    test_row(DeviceIx(device as u32), seq, now_ms, Body::Op(Op::of(OpKind::Lock, OpResult::Ok)))
}

/// Shows one operation whose profile is so unlike its template (natural logarithm).
fn show(detector: &mut dyn Detector, row: &Row, shape: f64) {
    let operation = Operation {
        temp_c: 20.0,
        discharged: 0.0,
        log_speed: 0.0,
        charge_mc: None,
        mean_ma: None,
        run_ms: None,
        resistance_ohm: None,
        shape: Some(shape),
        direction: 0,
    };
    let (record, now_ms) = (RecordRef::of(row), row.released_at.ms());
    let (device, lock, operation) = (row.device, &Lock::default(), Some(&operation));
    detector.row(&Glance { device, lock, row, operation, code: Sym::NONE, missing: 0, record, now_ms });
}

/// The days of the findings within eighty, where the first lock's profile rises so on the days from the tenth on.
fn found(rise: impl Fn(f64) -> f64) -> Vec<i64> {
    let (mut fleet, mut dice, mut findings) = (Fleet::new(), Dice(3), Findings::default());
    (0..LOCKS).for_each(|lock| _ = fleet.number(&format!("lock-{lock}")));
    let locks: Vec<Lock> = (0..LOCKS).map(|_| Lock::default()).collect();
    let mut detector = Rules::parse([("rule.toml", RULE)]).unwrap().detectors().remove(0);
    for hour in 0..90 * 24 {
        let now_ms = hour * HOUR_MS;
        if hour % 6 == 0 {
            detector.close(Window { now: EngineTime(now_ms), locks: &locks, fleet: &fleet }, &mut findings);
        }
        for device in (0..LOCKS).filter(|device| (hour + *device as i64) % EVERY_H == 0) {
            let risen = if device == 0 { rise((now_ms as f64 / DAY_MS as f64 - 10.0).max(0.0)) } else { 0.0 };
            show(&mut *detector, &row(device, hour as u32, now_ms + 1), 0.25 * dice.gauss() + risen);
        }
    }
    findings.anomalies.iter().map(|anomaly| anomaly.at.ms() / DAY_MS - 10).collect()
}

#[test]
fn a_profile_that_becomes_unlike_its_template_within_a_fortnight_is_found_before_it_is_five_times_so() {
    let found_on = found(|days| 1.6 * (days / 14.0).min(1.0));
    assert!(found_on.first().is_some_and(|day| (4..=10).contains(day)), "{found_on:?}");
}

#[test]
fn what_follows_the_season_is_no_finding_however_long_it_lasts() {
    assert_eq!(found(|days| 0.55 * (days / 30.0).min(1.0)), []);
    assert_eq!(found(|_| 0.0), []);
}
