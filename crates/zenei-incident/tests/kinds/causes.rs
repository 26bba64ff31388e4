//! What is blamed: releases that nearly all locks have, weak batteries, versions, clients and services. Must not know
//! how a cause is found. Called by cargo's test runner.
use crate::world::{Fate, Said, World};
use zenei_kit::Dice;
use zenei_wire::OpResult;

/// Homes have one hub release, but for two of them, and offices another; offices hardly move their locks.
fn homes_and_offices(said: &mut Said, dice: &mut Dice) {
    let hub = match said.lock {
        2 | 42 => "hub-1.9",
        lock if lock % 2 == 0 => "hub-2.0",
        _ => "hub-3.0",
    };
    said.record.client_version = Some(hub.into());
    if said.lock % 2 == 1 {
        said.record.service = Some("workhub".into());
        if said.op().is_some() && !dice.is(0.05) {
            said.fate = Fate::Unsaid;
        }
    }
}

/// Twelve of the thirty homes have links that lose a tenth all their life; offices speak each sixth hour and lose none.
fn links_of_homes(said: &mut Said, dice: &mut Dice) {
    homes_and_offices(said, dice);
    if said.lock % 2 == 1 && said.state().is_some() && said.hour() % 6 != 0 {
        said.fate = Fate::Unsaid;
    }
    let loses = [0, 4, 8, 12, 16, 20, 26, 30, 34, 38, 44, 48].contains(&said.lock);
    if loses && dice.is(0.1) {
        said.fate = Fate::Lost;
    }
}

#[test]
fn a_link_that_gets_worse_is_told_though_nearly_all_homes_that_lose_have_one_hub_release() {
    let seen = World::of("01-hub-of-nearly-all").locks(60).changed(|said, dice| {
        links_of_homes(said, dice);
        if said.lock == 22 && said.day() >= 20 && dice.is(0.2) {
            said.fate = Fate::Lost;
        }
    });
    seen.is_only("record-loss device BL0022", 20.0..25.0);
}

#[test]
fn doors_of_single_homes_are_no_fault_of_the_hub_that_nearly_all_homes_have() {
    let seen = World::of("01-doors").locks(60).changed(|said, dice| {
        homes_and_offices(said, dice);
        let faults = [(0, 10), (20, 12), (40, 14), (50, 16), (22, 24)];
        let since = faults.iter().find(|(lock, _)| *lock == said.lock).map(|(_, since)| *since);
        if since.is_some_and(|since| said.day() >= since) && dice.is(0.5) {
            said.ends(OpResult::Jam);
        }
    });
    let doors = [0, 20, 40, 50, 22].map(|lock| format!("operation-trouble device BL{lock:04}"));
    assert_eq!(seen.what(), doors, "{seen:#?}");
}

#[test]
fn links_that_lose_all_their_life_are_no_fault_of_the_hub_that_nearly_all_homes_have() {
    World::of("01-control").locks(60).changed(links_of_homes).is_nothing();
}

/// A version that empties eight locks by 28 mV a day.
fn emptied(said: &mut Said) {
    if said.lock < 8 && said.day() >= 8 {
        said.record.fw = Some("3.3.0".into());
        said.drains(said.days_since(8) * 28.0);
    }
}

#[test]
fn a_lock_at_a_third_of_its_battery_that_falls_silent_is_told() {
    let seen = World::of("02-silent-at-a-third").changed(|said, _| {
        emptied(said);
        if said.lock == 3 && said.day() >= 20 {
            said.fate = Fate::Unsaid;
        }
    });
    assert_eq!(seen.what(), ["battery-drain fw 3.3.0", "silence device BL0003"], "{seen:#?}");
    seen.has("silence device BL0003", 20.0..21.5);
}

#[test]
fn a_version_that_empties_its_locks_is_one_incident() {
    let seen = World::of("02-control").days(24).changed(|said, _| emptied(said));
    seen.is_only("battery-drain fw 3.3.0", 8.0..11.0);
}

/// All locks go to another version within three days.
fn updated(said: &mut Said) -> bool {
    let on = said.day() >= 12 + said.lock as i64 % 3;
    if on {
        said.record.fw = Some("3.3.0".into());
    }
    on
}

#[test]
fn a_new_code_of_a_version_that_soon_covers_all_locks_is_found() {
    let seen = World::of("09-covers-all").changed(|said, dice| {
        if updated(said) && dice.is(0.02) {
            said.reports("assert_failed");
        }
    });
    assert_eq!(seen.is_only("firmware-errors fw 3.3.0", 12.0..16.0).domain, "firmware");
}

#[test]
fn a_known_code_that_becomes_frequent_with_a_version_that_soon_covers_all_locks_is_found() {
    let seen = World::of("09-covers-all-known").changed(|said, dice| {
        let share = if updated(said) { 0.02 } else { 0.003 };
        if dice.is(share) {
            said.reports("ble_stack_reset");
        }
    });
    seen.is_only("firmware-errors fw 3.3.0", 12.0..19.0);
}

#[test]
fn the_one_board_on_which_a_version_fails_is_found_with_its_locks_alone() {
    let seen = World::of("09-one-board").locks(36).changed(|said, dice| {
        let on = updated(said);
        if said.lock.is_multiple_of(4) {
            said.record.hw_rev = Some("C3".into());
            if on && dice.is(0.02) {
                said.reports("flash_crc");
            }
        }
    });
    let locks = &seen.is_only("firmware-errors fw 3.3.0", 12.0..17.0).locks;
    assert_eq!(locks.len(), 9, "{locks:?}");
}

#[test]
fn a_code_with_a_new_name_and_a_harmless_version_open_nothing() {
    let renamed = World::of("09-renamed").changed(|said, dice| {
        let code = if updated(said) { "ble_reset" } else { "ble_stack_reset" };
        if dice.is(0.01) {
            said.reports(code);
        }
    });
    renamed.is_nothing();
}

#[test]
fn a_version_that_all_locks_get_in_one_night_and_that_fails_is_one_incident() {
    let seen = World::of("13-all-updated").changed(|said, dice| {
        let on = said.day() >= 14;
        if on {
            said.record.fw = Some("3.3.0".into());
        }
        if dice.is(if on { 0.03 } else { 0.003 }) {
            said.reports("sync_failed");
        }
    });
    assert_eq!(seen.is_only("firmware-errors fw 3.3.0", 14.0..17.0).locks.len(), 24);
}

/// Three clients and two services; one request in a hundred fails.
fn asked(said: &mut Said, dice: &mut Dice) {
    let client = ["ios-5.4.0", "ios-5.3.0", "android-2.1"][dice.one_of(3)];
    if said.op().is_some() {
        said.record.client_version = Some(client.into());
    }
    if said.lock.is_multiple_of(4) {
        said.record.service = Some("workhub".into());
    }
    fails(said, dice, 0.01);
}

fn fails(said: &mut Said, dice: &mut Dice, share: f64) {
    if said.op().is_some() && dice.is(share) {
        said.ends(OpResult::Timeout);
        said.reports("cloud_timeout");
    }
}

#[test]
fn a_client_whose_requests_fail_is_found_and_no_door_is_blamed() {
    let seen = World::of("10-client").locks(40).changed(|said, dice| {
        asked(said, dice);
        if said.day() >= 15 && said.record.client_version.as_deref() == Some("android-2.1") {
            fails(said, dice, 0.15);
        }
    });
    seen.is_only("request-failures client_version android-2.1", 15.0..17.0);
}

#[test]
fn a_service_that_is_out_for_a_day_is_found_on_that_day() {
    let seen = World::of("10-service").locks(40).changed(|said, dice| {
        asked(said, dice);
        if said.day() == 15 && said.record.service.as_deref() == Some("workhub") {
            fails(said, dice, 0.5);
        }
    });
    seen.is_only("request-failures service workhub", 15.0..16.0);
}

#[test]
fn one_request_in_a_hundred_that_fails_everywhere_opens_nothing() {
    World::of("10-control").locks(40).changed(asked).is_nothing();
}
