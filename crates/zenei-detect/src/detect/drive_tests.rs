//! Drives that fail now and then, doors that sink, and small rises that last, on locks among twenty-four. Called by
//! `cargo test`.
use crate::detect::world::{self, HOUR_MS, Said};
use zenei_kit::Dice;
use zenei_wire::{Body, CentiDegrees, Milliamps, Millivolts, Op, OpKind, OpResult, OpSource};

/// Hours from which on the lock at 3 is otherwise.
const ON: i64 = 20 * 24;

/// A sound operation, with the noise of a motor and a sensor.
fn operation(hour: i64, dice: &mut Dice) -> Op {
    let noise = 1.0 + 0.05 * dice.gauss();
    let op = if hour % 2 == 0 { OpKind::Lock } else { OpKind::Unlock };
    Op {
        source: Some(OpSource::Keypad),
        duration_ms: Some((800.0 * (1.0 + 0.02 * dice.gauss())) as u16),
        mean_ma: Some(Milliamps((320.0 * noise) as u16)),
        peak_ma: Some(Milliamps((540.0 * noise) as u16)),
        battery_min_mv: Some(Millivolts(2_700)),
        angle_err_deg: Some(CentiDegrees((70.0 + 80.0 * dice.gauss()) as i16)),
        ..Op::of(op, OpResult::Ok)
    }
}

/// Findings of a rule within so many days, with a heartbeat each third hour and an operation each `every` hours on each
/// lock; `change` says what becomes of those of the lock at 3 from the twentieth day on. Each scope with the days from
/// then on.
fn found(rule: &str, days: i64, every: i64, change: impl Fn(&mut Op, &mut Dice)) -> Vec<(String, i64)> {
    let found = world::found(rule, days, |lock, hour, dice| {
        let at_ms = hour * HOUR_MS + lock as i64 * 60_000;
        let mut said = Vec::new();
        if hour % 3 == 0 {
            said.push(Said { ts_ms: at_ms, heard_ms: vec![at_ms + 400], body: world::heartbeat() });
        }
        if hour % every == 0 {
            let mut op = operation(hour / every, dice);
            if lock == 3 && hour >= ON {
                change(&mut op, dice);
            }
            let ts_ms = at_ms + 60_000;
            said.push(Said { ts_ms, heard_ms: vec![ts_ms + 400], body: Body::Op(op) });
        }
        said
    });
    found.into_iter().map(|(scope, hour)| (scope, (hour - ON) / 24)).collect()
}

/// Whether only the lock at 3 is found, within so many days.
fn is_found(found: &[(String, i64)], within_days: i64) -> bool {
    matches!(found, [(scope, days)] if scope == "device d" && (0..=within_days).contains(days))
}

#[test]
fn a_fifth_of_the_operations_that_stall_is_found_on_a_busy_lock_and_on_one_that_is_hardly_used() {
    for (every, within_days) in [(4, 7), (12, 14)] {
        let found = found("operation-trouble", 45, every, |op, dice| {
            if dice.uniform() < 0.2 {
                (op.result, op.duration_ms) = (OpResult::Stall, Some(2_400));
            }
        });
        assert!(is_found(&found, within_days), "each {every} h: {found:?}");
    }
}

#[test]
fn a_request_that_expires_on_its_way_is_no_trouble_of_the_drive() {
    let found = found("operation-trouble", 45, 4, |op, dice| {
        if dice.uniform() < 0.2 {
            (op.result, op.source) = (OpResult::Timeout, Some(OpSource::App));
        }
    });
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_door_that_sinks_is_found_within_two_days_though_each_operation_ends_well() {
    let found = found("operation-trouble", 30, 6, |op, _| {
        op.angle_err_deg = op.angle_err_deg.map(|place| CentiDegrees(place.0 + 400));
    });
    assert!(is_found(&found, 2), "{found:?}");
}

#[test]
fn a_small_rise_that_lasts_is_found_later_and_not_never() {
    let by = |share: f64| {
        found("motor-effort", 80, 4, |op, _| {
            op.mean_ma = op.mean_ma.map(|mean| Milliamps((f64::from(mean.0) * (1.0 + share)) as u16));
        })
    };
    assert!(is_found(&by(0.06), 60), "less than a tenth: {:?}", by(0.06));
    assert!(is_found(&by(0.3), 7), "a third: {:?}", by(0.3));
    assert_eq!(by(0.0), []);
}
