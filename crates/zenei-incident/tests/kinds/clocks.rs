//! Clocks that are wrong: a lock's own in ways that look like a delay, and gateways' where no other clock is there to
//! compare with. Must not know how a clock is judged. Called by cargo's test runner.
use crate::world::{DAY, HOUR, START, Seen, World};
use zenei_wire::DeviceTime;

/// What is opened where the clock of one lock shows this from day 15 on; the argument is the true time since then.
fn shown(name: &'static str, clock: impl Fn(i64) -> i64) -> Seen {
    World::of(name).days(24).changed(|said, _| {
        if said.lock == 3 && said.day() >= 15 {
            said.record.ts = DeviceTime(clock(said.at - 15 * DAY));
        }
    })
}

/// The true time when the clock goes wrong.
const SINCE: i64 = START + 15 * DAY;

#[test]
fn a_clock_that_goes_at_half_its_speed_is_found() {
    shown("26-half-speed", |ms| SINCE + ms / 2).is_only("clock-error device BL0003", 15.0..16.0);
}

#[test]
fn a_clock_that_loses_five_minutes_an_hour_is_found() {
    shown("26-five-minutes", |ms| SINCE + ms - ms / 12).is_only("clock-error device BL0003", 15.0..16.5);
}

#[test]
fn a_clock_that_stands_still_and_is_set_each_midnight_is_found() {
    shown("26-stands-each-day", |ms| SINCE + ms / DAY * DAY).is_only("clock-error device BL0003", 15.0..16.5);
}

#[test]
fn a_clock_in_tenths_of_a_second_is_found() {
    shown("26-tenths", |ms| (SINCE + ms) / 10).is_only("clock-error device BL0003", 15.0..16.0);
}

#[test]
fn a_clock_that_is_a_minute_off_opens_nothing() {
    shown("26-control", |ms| SINCE + ms - 60_000).is_nothing();
}

/// At most one incident, and none about a lock.
fn is_of_no_lock(seen: &Seen, days: std::ops::Range<f64>) {
    assert!(seen.0.len() == 1 && seen.what()[0].starts_with("clock-error "), "{seen:#?}");
    assert!(!seen.what()[0].contains(" device "), "{seen:#?}");
    assert!(days.contains(&seen.0[0].day), "{seen:#?}");
}

#[test]
fn all_clocks_that_are_seen_through_gateways_an_hour_ahead_are_one_incident_of_no_lock() {
    let seen = World::of("13-all-ahead").changed(|said, _| {
        if said.day() >= 15 {
            said.delay += HOUR;
        }
    });
    is_of_no_lock(&seen, 15.0..16.0);
}

#[test]
fn all_clocks_that_are_seen_through_gateways_half_an_hour_behind_are_one_incident_of_no_lock() {
    let seen = World::of("31-all-behind").changed(|said, _| {
        if said.day() >= 15 {
            said.delay -= HOUR / 2;
        }
    });
    is_of_no_lock(&seen, 15.0..16.0);
}

#[test]
fn gateways_whose_clocks_gain_two_minutes_a_day_are_one_incident_of_no_lock() {
    let seen = World::of("31-all-gain").changed(|said, _| said.delay += (said.days_since(10) * 120_000.0) as i64);
    is_of_no_lock(&seen, 11.0..16.0);
}

#[test]
fn a_lock_whose_own_clock_is_wrong_is_found_beside_a_gateway_whose_clock_is() {
    let seen = World::of("31-control").changed(|said, _| {
        if said.lock % 3 == 1 && said.day() >= 15 {
            said.delay += HOUR;
        }
        if said.lock == 3 && said.day() >= 20 {
            said.clock_off(-3 * HOUR);
        }
    });
    assert_eq!(seen.what(), ["clock-error gateway hub-1", "clock-error device BL0003"], "{seen:#?}");
}
