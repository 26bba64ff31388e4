//! Locks and gateways whose records are lost, or come twice, as another maker's fleets show them. Called by `cargo
//! test`.
use crate::detect::world::{self, HOUR_MS, Said};
use zenei_kit::Dice;

/// What happens to the record of a lock at an hour.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Comes,
    Lost,
    Twice,
}

/// Twenty-four locks behind three gateways, a heartbeat an hour for so many days. Returns the scopes of the findings.
fn told(days: i64, fate: impl Fn(usize, i64, &mut Dice) -> Fate) -> Vec<String> {
    world::told("record-loss", days, |lock, hour, dice| {
        let at_ms = hour * HOUR_MS + lock as i64 * 130_000;
        let heard_ms = match fate(lock, hour, dice) {
            Fate::Lost => vec![],
            Fate::Comes => vec![at_ms],
            Fate::Twice => vec![at_ms, at_ms + 20_000],
        };
        vec![Said { ts_ms: at_ms, heard_ms, body: world::heartbeat() }]
    })
}

fn chance(dice: &mut Dice, share: f64, fate: Fate) -> Fate {
    if dice.is(share) { fate } else { Fate::Comes }
}

#[test]
fn locks_that_lose_much_from_their_first_record_on_are_no_finding() {
    let of = |at: usize, _, dice: &mut Dice| chance(dice, [0.15, 0.06, 0.002, 0.002][at % 4], Fate::Lost);
    assert_eq!(told(40, of), Vec::<String>::new());
}

#[test]
fn a_lock_that_departs_from_its_own_past_is_found_among_locks_that_lose_much() {
    let of = |at: usize, hour: i64, dice: &mut Dice| {
        let share = if at == 2 && hour >= 20 * 24 { 0.2 } else { [0.15, 0.002, 0.002, 0.002][at % 4] };
        chance(dice, share, Fate::Lost)
    };
    assert_eq!(told(30, of), ["device c"]);
}

#[test]
fn a_gateway_that_loses_a_seventh_of_all_records_is_the_finding_and_its_locks_are_not() {
    let of = |at: usize, hour: i64, dice: &mut Dice| {
        chance(dice, if at % 3 == 1 && hour >= 20 * 24 { 0.14 } else { 0.003 }, Fate::Lost)
    };
    assert_eq!(told(26, of), ["gateway gw-1"]);
}

#[test]
fn a_gateway_that_hands_over_a_fifth_of_all_records_twice_is_found() {
    let of = |at: usize, hour: i64, dice: &mut Dice| {
        chance(dice, if at % 3 == 1 && hour >= 20 * 24 { 0.2 } else { 0.004 }, Fate::Twice)
    };
    assert_eq!(told(26, of), ["gateway gw-1"]);
}

#[test]
fn what_all_gateways_hand_over_twice_is_no_finding_about_one() {
    let of = |_, hour: i64, dice: &mut Dice| {
        chance(dice, if (20 * 24..22 * 24).contains(&hour) { 0.3 } else { 0.004 }, Fate::Twice)
    };
    assert_eq!(told(26, of), Vec::<String>::new());
}

#[test]
fn what_is_lost_while_a_gateway_is_away_is_one_event_and_no_loss() {
    // Three hours away, twice; then everything goes on.
    let of = |at: usize, hour: i64, dice: &mut Dice| {
        let away = at % 3 == 1 && [300, 301, 302, 400, 401, 402].contains(&hour);
        if away { Fate::Lost } else { chance(dice, 0.003, Fate::Lost) }
    };
    assert_eq!(told(26, of), Vec::<String>::new());
}

#[test]
fn a_burst_of_losses_is_no_finding_about_its_lock_however_many_hours_it_lasts() {
    // Each fortnight or so of a lock, every other record of half a day is lost.
    let of = |at: usize, hour: i64, dice: &mut Dice| {
        let burst = (hour + 53 * at as i64).rem_euclid(331);
        if burst < 12 && burst % 2 == 0 { Fate::Lost } else { chance(dice, 0.002, Fate::Lost) }
    };
    let mut found = told(40, of);
    found.retain(|scope| scope.starts_with("device"));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_lock_that_loses_much_is_no_finding_about_its_gateway() {
    // Two others of its gateway lose a record now and then.
    let of = |at: usize, hour: i64, dice: &mut Dice| {
        let after = hour >= 20 * 24;
        let share = if after && at == 1 { 0.3 } else { [0.0, 0.002, 0.0][at % 3] };
        if after && [4, 7].contains(&at) && hour % 90 == at as i64 {
            Fate::Lost
        } else {
            chance(dice, share, Fate::Lost)
        }
    };
    assert_eq!(told(30, of), ["device b"]);
}

#[test]
fn where_bursts_vary_by_chance_alone_a_link_that_loses_a_tenth_is_found_sooner() {
    let found = |days: i64, seed: i64| {
        told(days, |at, hour, dice| {
            // The world's dice are the same each time.
            (0..seed).for_each(|_| _ = dice.is(0.5));
            let share = if at == 2 && hour >= 40 * 24 { 0.1 } else { [0.04, 0.002][usize::from(at % 8 != 0)] };
            chance(dice, share, Fate::Lost)
        })
    };
    // With the dispersion of other fleets' links it is found in three of the sixteen.
    let soon = (0..16).filter(|&seed| found(43, seed) == ["device c"]).count();
    assert!(soon >= 5, "{soon}");
}
