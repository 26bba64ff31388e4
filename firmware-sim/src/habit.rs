//! When people operate a door: the operations of one lock on one local day. A day is drawn whole from its own stream,
//! so that the lock's state does not change the requested operations. Called by `lock`.
use crate::calendar::{self, DAY_MS, HOUR_MS};
use crate::rng::{Draws, Purpose};
use crate::world::World;

/// The most operations of one day; further ones are dropped.
pub(crate) const OPS_PER_DAY_MAX: usize = 256;
/// The shortest time between two operations: a person has to go through, ms; guess.
const GAP_MS: i64 = 20_000;

/// Times of the day's operations in falling order: the next one is the last.
pub(crate) fn day(world: &World, lock: usize, service: usize, ops_factor: f64, day: i64) -> Vec<i64> {
    let habits = &world.scenario.service[service];
    let midnight_ms = world.start_ms + day * DAY_MS;
    let (ops_factor, shift_h) = used(world, lock, day, ops_factor);
    let holiday = world.holiday(midnight_ms + DAY_MS / 2);
    let weekend = holiday.is_some() || calendar::is_weekend(world.scenario.first_day() + day);
    let (hours, factor) = if weekend { (&habits.weekend_hours, habits.weekend) } else { (&habits.weekday_hours, 1.0) };
    let factor = factor * holiday.unwrap_or(1.0);
    let mut draws = Draws::new(world.seed, lock, Purpose::Habit, day as u64);
    let count = draws.poisson(habits.ops_per_day * ops_factor * factor).min(OPS_PER_DAY_MAX);
    let mut times: Vec<i64> = (0..count)
        .map(|_| {
            let hour = draws.pick(hours.iter().copied()) as i64;
            midnight_ms + (hour + shift_h) % 24 * HOUR_MS + (draws.uniform() * HOUR_MS as f64) as i64
        })
        .collect();
    times.sort_unstable();
    times.dedup_by(|later, earlier| *later - *earlier < GAP_MS);
    times.reverse();
    times
}

/// A factor of the day's operations, and by how many hours its users live later, where the field has such locks.
fn used(world: &World, lock: usize, day: i64, ops_factor: f64) -> (f64, i64) {
    let Some(field) = &world.scenario.field else { return (ops_factor, 0) };
    let habits = &field.habits;
    let mut draws = Draws::new(world.seed, lock, Purpose::Use, 0);
    let (is_rental, is_shifted) = (draws.chance(habits.rental_share), draws.chance(habits.shifted_share));
    let (shift_h, phase) = (4 + draws.below(16) as i64, draws.uniform());
    let shift_h = if is_shifted { shift_h } else { 0 };
    if !is_rental {
        return (ops_factor, shift_h);
    }
    // Each block of days is a stay or a gap; guests use a door more than those who live behind it.
    let block = (day as f64 / habits.stay_days + phase).floor() as u64;
    let stays = Draws::new(world.seed, lock, Purpose::Use, 1 + block).chance(0.6);
    (ops_factor * if stays { 1.5 } else { 0.05 }, shift_h)
}
