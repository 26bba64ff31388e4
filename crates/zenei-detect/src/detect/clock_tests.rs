//! Clocks that are wrong in other ways than by a step, ways that deliver late, and a gateway whose clock is off. Called
//! by `cargo test`.
use crate::detect::world::{self, HOUR_MS, Said};
use zenei_wire::{Body, Op, OpKind, OpResult};

const MINUTE_MS: i64 = 60_000;
const ON: i64 = 15 * 24 * HOUR_MS;

/// Twenty-four locks for a month, a heartbeat an hour, and an operation each seventh hour, some minutes after it; the
/// closure gives a record's own time and the time of its receipt. Returns the scopes of the findings.
fn told(times: impl Fn(usize, i64, bool) -> (i64, i64)) -> Vec<String> {
    world::told("clock-error", 30, |lock, hour, dice| {
        let at_ms = hour * HOUR_MS + lock as i64 * 60_000;
        let (ts_ms, heard_ms) = times(lock, at_ms, false);
        let mut said = vec![Said { ts_ms, heard_ms: vec![heard_ms], body: world::heartbeat() }];
        if (hour + lock as i64) % 7 == 0 {
            let op_ms = at_ms + MINUTE_MS + (dice.uniform() * 20.0) as i64 * MINUTE_MS;
            let (ts_ms, heard_ms) = times(lock, op_ms, true);
            said.push(Said { ts_ms, heard_ms: vec![heard_ms], body: Body::Op(Op::of(OpKind::Lock, OpResult::Ok)) });
        }
        said
    })
}

/// The clock of the lock at 3 is changed by this from the sixteenth day on.
fn of_one(clock: impl Fn(i64) -> i64) -> Vec<String> {
    told(|lock, at_ms, _| (if lock == 3 && at_ms >= ON { clock(at_ms) } else { at_ms }, at_ms + 400))
}

#[test]
fn a_clock_that_is_wrong_in_each_record_is_found_whatever_it_does() {
    let found = vec!["device d".to_owned()];
    assert_eq!(of_one(|at_ms| at_ms + 2 * HOUR_MS), found, "ahead");
    assert_eq!(of_one(|at_ms| at_ms - ON), found, "set back, and going on");
    assert_eq!(of_one(|_| ON), found, "standing still");
    assert_eq!(of_one(|_| 0), found, "always 0");
    assert_eq!(of_one(|at_ms| at_ms / 1_000), found, "in seconds");
    assert_eq!(of_one(|at_ms| at_ms - (at_ms - ON) / 6), found, "falling behind by 10 minutes an hour");
    assert_eq!(of_one(|at_ms| at_ms - (at_ms - ON) / 144), found, "falling behind by 10 minutes a day");
}

#[test]
fn a_way_that_delivers_in_batches_is_no_clock() {
    // Each quarter of an hour a gateway hands over what it has: a heartbeat waits for the same time each hour, an
    // operation for some other.
    let quarter = 15 * MINUTE_MS;
    let batch = |at_ms: i64| (at_ms + quarter).div_euclid(quarter) * quarter;
    assert_eq!(told(|lock, at_ms, _| (at_ms, if lock % 3 == 1 { batch(at_ms) } else { at_ms + 400 })), [""; 0]);
    // Heartbeats are always ten minutes late, operations come at once.
    let late = |is_op| if is_op { 400 } else { 10 * MINUTE_MS };
    assert_eq!(told(|lock, at_ms, is_op| (at_ms, at_ms + if lock == 3 { late(is_op) } else { 400 })), [""; 0]);
    // A lock whose records are 40 minutes late from its first one on.
    assert_eq!(told(|lock, at_ms, _| (at_ms, at_ms + if lock == 3 { 40 * MINUTE_MS } else { 400 })), [""; 0]);
}

#[test]
fn the_clock_of_a_gateway_is_one_finding_about_the_gateway() {
    for minutes in [6, 60, -60] {
        let off = |lock: usize, at_ms: i64| if at_ms >= ON && lock % 3 == 1 { minutes * MINUTE_MS } else { 0 };
        assert_eq!(told(|lock, at_ms, _| (at_ms - off(lock, at_ms), at_ms)), ["gateway gw-1"], "{minutes} min");
        let off = |at_ms: i64| if at_ms >= ON { minutes * MINUTE_MS } else { 0 };
        assert_eq!(told(|_, at_ms, _| (at_ms - off(at_ms), at_ms)), ["site tokyo-01"], "{minutes} min, all");
    }
}
