//! Batteries, doors and restarts of single locks: gauges in steps, small rises that last, failures among many, habits.
//! Must not know the limits of a rule. Called by cargo's test runner.
use crate::world::{HOUR, Said, World};
use zenei_kit::Dice;
use zenei_wire::{CentiDegrees, Milliamps, Millis, OpResult, Percent, ResetReason};

/// Three locks have had a smaller pack all their life, which loses 1.1 % a day; every gauge moves in steps of five.
fn packs(said: &mut Said, dice: &mut Dice) {
    if [3, 10, 17].contains(&said.lock) {
        said.drains(said.days_since(0) * 5.6);
    }
    gauge(said, dice);
}

fn gauge(said: &mut Said, dice: &mut Dice) {
    let play = dice.gauss();
    if let Some(state) = said.state() {
        let shown = state.battery_pct.map(|percent| ((f64::from(percent.0) + play) / 5.0).round() * 5.0);
        state.battery_pct = shown.map(|percent| Percent(percent.clamp(0.0, 100.0) as u8));
    }
}

#[test]
fn packs_that_always_lose_more_and_gauges_in_steps_open_nothing() {
    World::of("03-packs").days(36).changed(packs).is_nothing();
}

#[test]
fn a_lock_that_begins_to_lose_more_is_found_by_a_gauge_in_steps() {
    let seen = World::of("03-control").days(36).changed(|said, dice| {
        if said.lock == 4 {
            said.drains(said.days_since(20) * 18.0);
        }
        packs(said, dice);
    });
    seen.is_only("battery-drain device BL0004", 20.0..25.0);
}

#[test]
fn a_door_that_sinks_is_found_though_each_operation_ends_well() {
    let seen = World::of("07-sinks").changed(|said, _| {
        if said.lock == 3
            && said.day() >= 15
            && let Some(op) = said.op()
        {
            op.angle_err_deg = op.angle_err_deg.map(|off| CentiDegrees(off.0 + 600));
        }
    });
    assert_eq!(seen.is_only("operation-trouble device BL0003", 15.0..16.0).domain, "hardware");
}

#[test]
fn an_effort_that_stays_a_sixth_higher_is_found_within_days() {
    let seen = World::of("07-rise").changed(|said, _| {
        if said.lock == 3
            && said.day() >= 15
            && let Some(op) = said.op()
        {
            op.mean_ma = op.mean_ma.map(|mean| Milliamps((f64::from(mean.0) * 1.16) as u16));
        }
    });
    seen.is_only("motor-effort device BL0003", 15.0..20.0);
}

/// Eight operations in a hundred expire on their way from the app.
fn expires(said: &mut Said, dice: &mut Dice) {
    if dice.is(0.08) {
        said.ends(OpResult::Timeout);
        if let Some(op) = said.op() {
            op.latency_ms = Some(Millis(12_000));
        }
    }
}

fn stalls(said: &mut Said, dice: &mut Dice, share: f64) {
    if dice.is(share) {
        said.ends(OpResult::Stall);
        if let Some(op) = said.op() {
            op.peak_ma = Some(Milliamps(1_400));
        }
    }
}

#[test]
fn a_tenth_that_stalls_is_found_within_days_among_requests_that_expire() {
    let seen = World::of("08-stalls-among-expired").ops(10).changed(|said, dice| {
        expires(said, dice);
        if said.lock == 3 && said.day() >= 12 {
            stalls(said, dice, 0.1);
        }
    });
    seen.is_only("operation-trouble device BL0003", 12.0..16.0);
}

#[test]
fn requests_that_expire_are_no_trouble_of_a_door() {
    World::of("08-control").ops(10).changed(expires).is_nothing();
}

#[test]
fn a_fifth_that_ends_beside_its_place_is_found() {
    let seen = World::of("08-beside").changed(|said, dice| {
        if said.lock == 3
            && said.day() >= 15
            && dice.is(0.2)
            && let Some(op) = said.op()
        {
            op.angle_err_deg = Some(CentiDegrees(1_200));
        }
    });
    seen.is_only("operation-trouble device BL0003", 15.0..23.0);
}

/// The lock's watchdog restarts it each so many hours.
fn restarts(said: &mut Said, hours: i64) {
    let alive = said.at + said.lock as i64 * 977_777;
    said.record.boot = Some(5 + (alive / (hours * HOUR)) as u32);
    said.record.uptime_s = Some((alive % (hours * HOUR) / 1_000) as u32);
    if let Some(state) = said.state() {
        state.reset_reason = Some(ResetReason::Watchdog);
    }
}

/// Four locks restart each nine hours all their life, four each other day.
fn habit(said: &mut Said) {
    match said.lock % 6 {
        1 => restarts(said, 9),
        2 => restarts(said, 48),
        _ => (),
    }
}

#[test]
fn restarts_that_are_a_locks_habit_open_nothing() {
    World::of("14-habit").changed(|said, _| habit(said)).is_nothing();
}

#[test]
fn restarts_that_are_a_models_habit_open_nothing() {
    let seen = World::of("14-model").locks(36).changed(|said, _| {
        if said.lock % 3 == 1 {
            said.record.model = Some("bitlock-pro".into());
            restarts(said, 12);
        }
    });
    seen.is_nothing();
}

#[test]
fn a_lock_that_begins_to_restart_is_found_among_those_that_always_did() {
    let seen = World::of("14-control").changed(|said, _| {
        habit(said);
        if said.lock == 3 && said.day() >= 15 {
            restarts(said, 3);
        }
    });
    seen.is_only("reboot-loop device BL0003", 15.0..16.0);
}
