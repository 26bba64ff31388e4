//! How records come: losses, repetitions, batches, silences, heartbeats that become rarer, values that change their
//! meaning. Must not know how they are judged. Called by cargo's test runner.
use crate::world::{DAY, Fate, HOUR, Said, World};
use zenei_kit::{Dice, scattered};
use zenei_wire::Percent;

/// One lock in four loses records in bursts all its life, a tenth in all; the others three in a thousand.
fn bursts(said: &mut Said, dice: &mut Dice) {
    let of_lock = said.lock as u64;
    let is_bad = scattered(said.hour() as u64 / 5 * 131 + of_lock).is_multiple_of(5);
    let share = match (said.lock % 4 == 1, is_bad) {
        (true, true) => 0.45,
        (true, false) => 0.02,
        (false, _) => 0.003,
    };
    if dice.is(share) {
        said.fate = Fate::Lost;
    }
}

#[test]
fn locks_that_lose_in_bursts_all_their_life_open_nothing() {
    World::of("04-bursts").changed(bursts).is_nothing();
}

#[test]
fn a_gateway_that_loses_a_seventh_is_found_among_links_that_lose_in_bursts() {
    let seen = World::of("04-gateway-loses").changed(|said, dice| {
        bursts(said, dice);
        if said.lock % 3 == 2 && said.day() >= 15 && dice.is(0.14) {
            said.fate = Fate::Lost;
        }
    });
    assert_eq!(seen.is_only("record-loss gateway hub-2", 15.0..16.5).locks.len(), 8);
}

#[test]
fn a_gateway_that_sends_a_fifth_twice_is_found() {
    let seen = World::of("04-gateway-doubles").changed(|said, dice| {
        bursts(said, dice);
        if said.lock % 3 == 2 && said.day() >= 15 && said.fate == Fate::Heard && dice.is(0.2) {
            said.fate = Fate::Twice;
        }
    });
    seen.is_only("record-loss gateway hub-2", 15.0..16.0);
}

/// One hub delivers once an hour, ten minutes before the full one.
fn batches(said: &mut Said) {
    if said.lock % 3 == 1 {
        said.delay += (50 * 60_000 - said.at).rem_euclid(HOUR);
    }
}

#[test]
fn a_hub_that_delivers_once_an_hour_has_no_clock_that_is_wrong() {
    World::of("05-batches").changed(|said, _| batches(said)).is_nothing();
}

#[test]
fn heartbeats_that_are_always_passed_on_later_are_no_clock_that_is_wrong() {
    let seen = World::of("05-heartbeats-later").changed(|said, _| {
        if said.lock % 3 == 1 && said.state().is_some() {
            said.delay += 45 * 60_000;
        }
    });
    seen.is_nothing();
}

#[test]
fn a_clock_that_is_wrong_is_found_beside_a_hub_that_delivers_once_an_hour() {
    let seen = World::of("05-control").changed(|said, _| {
        batches(said);
        if said.lock == 3 && said.day() >= 20 {
            said.clock_off(-3 * HOUR);
        }
    });
    seen.is_only("clock-error device BL0003", 20.0..21.0);
}

/// One lock in three speaks each day and a half, as chance has it, and never moves.
fn seldom(said: &mut Said, dice: &mut Dice) {
    if said.lock.is_multiple_of(3) && (said.op().is_some() || !dice.is(1.0 / 36.0)) {
        said.fate = Fate::Unsaid;
    }
}

#[test]
fn a_lock_that_speaks_each_hour_is_missed_within_a_day_and_a_half_beside_locks_that_seldom_speak() {
    let seen = World::of("06-silent-beside-seldom").changed(|said, dice| {
        seldom(said, dice);
        if said.lock == 4 && said.day() >= 20 {
            said.fate = Fate::Unsaid;
        }
    });
    seen.is_only("silence device BL0004", 20.0..21.5);
}

#[test]
fn locks_that_seldom_speak_open_nothing() {
    World::of("06-control").changed(seldom).is_nothing();
}

/// From a day on a lock has another version, and a heartbeat each so many hours, at its own hour of them.
fn rarer(said: &mut Said, since: i64, hours: i64) {
    if said.day() >= since {
        said.record.fw = Some("3.3.0".into());
        let is_told = said.hour() % hours == said.lock as i64 % hours;
        if said.state().is_some() && !is_told {
            said.fate = Fate::Unsaid;
        }
    }
}

#[test]
fn heartbeats_that_all_become_rarer_at_once_open_nothing() {
    World::of("11-rarer").changed(|said, _| rarer(said, 15, 3)).is_nothing();
}

#[test]
fn heartbeats_that_become_rarer_twice_open_nothing() {
    let twice = World::of("29-rarer-twice").days(36).changed(|said, _| match said.day() {
        12..24 => rarer(said, 12, 2),
        _ => rarer(said, 24, 6),
    });
    twice.is_nothing();
}

#[test]
fn heartbeats_that_become_rarer_beside_locks_that_seldom_speak_open_nothing() {
    let seen = World::of("29-rarer-beside-seldom").changed(|said, dice| {
        seldom(said, dice);
        rarer(said, 15, 3);
    });
    seen.is_nothing();
}

#[test]
fn heartbeats_that_become_rarer_hub_after_hub_within_a_day_open_nothing() {
    let seen = World::of("29-rarer-hub-after-hub").changed(|said, _| {
        if said.hour() >= 15 * 24 + 8 * (said.lock % 3) as i64 {
            rarer(said, 15, 3);
        }
    });
    seen.is_nothing();
}

#[test]
fn a_hub_that_stops_after_heartbeats_became_rarer_is_found() {
    let seen = World::of("29-control").changed(|said, _| {
        rarer(said, 12, 3);
        if said.lock % 3 == 1 && said.at >= 24 * DAY {
            said.fate = Fate::Unsaid;
        }
    });
    seen.has("silence gateway hub-1", 24.0..25.0);
}

#[test]
fn a_percentage_that_becomes_its_complement_behind_one_hub_is_one_finding_of_it() {
    let seen = World::of("11-other-meaning").changed(|said, _| {
        if said.lock % 3 == 1
            && said.day() >= 15
            && let Some(state) = said.state()
        {
            state.battery_pct = state.battery_pct.map(|percent| Percent(100 - percent.0));
        }
    });
    seen.is_only("schema-drift gateway hub-1", 15.0..16.0);
}
