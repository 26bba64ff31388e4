//! Memory that is in use for a while and comes back, and memory that does not. Must not know how a leak is found.
//! Called by cargo's test runner.
use crate::world::{DAY, Said, World};

/// Memory fills by so many bytes a day and comes back after a day, at each lock's own time.
fn saw(said: &Said, per_day: f64) -> f64 {
    (said.at as f64 / DAY as f64 + said.lock as f64 * 0.37).fract() * per_day
}

#[test]
fn memory_that_fills_each_day_and_comes_back_opens_nothing() {
    World::of("12-comes-back").changed(|said, _| said.uses(saw(said, 16_000.0))).is_nothing();
}

#[test]
fn memory_that_does_not_come_back_is_found_among_locks_whose_memory_does() {
    let seen = World::of("12-control").changed(|said, _| {
        let leaked = if said.lock == 3 { said.days_since(15) * 2_000.0 } else { 0.0 };
        said.uses(saw(said, 3_000.0) + leaked);
    });
    assert_eq!(seen.is_only("memory-leak device BL0003", 15.0..20.0).domain, "firmware");
}

#[test]
fn memory_in_use_for_two_hours_of_each_night_opens_nothing() {
    let seen = World::of("25-two-hours").changed(|said, _| {
        if said.lock.is_multiple_of(4) && (2..4).contains(&(said.hour() % 24)) {
            said.uses(24_000.0);
        }
    });
    seen.is_nothing();
}

#[test]
fn memory_that_all_locks_use_in_one_hour_opens_nothing() {
    let seen = World::of("25-all-at-once").changed(|said, _| {
        if said.hour() == 15 * 24 + 3 {
            said.uses(30_000.0);
        }
    });
    seen.is_nothing();
}

#[test]
fn memory_in_use_for_an_hour_of_each_week_opens_nothing() {
    let seen = World::of("25-once-a-week").changed(|said, _| {
        if said.lock < 6 && said.hour() % 168 == 100 + said.lock as i64 {
            said.uses(26_000.0);
        }
    });
    seen.is_nothing();
}

#[test]
fn a_leak_is_found_below_memory_that_is_in_use_for_an_hour_of_each_day() {
    let seen = World::of("25-control").changed(|said, _| {
        if said.lock == 4 {
            said.uses(said.days_since(15) * 2_000.0);
        }
        if said.hour() % 24 == 2 {
            said.uses(8_000.0);
        }
    });
    seen.is_only("memory-leak device BL0004", 15.0..18.0);
}
