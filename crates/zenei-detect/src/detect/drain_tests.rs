//! Locks that tell the charge in steps of a tenth and no voltage; and when the falls of percent and of voltage agree.
//! Called by `cargo test`.
use super::super::world::{HOUR_MS, Said, found};
use super::{Depth, Params};
use crate::estimate::course::Split;
use zenei_wire::{Body, Percent, State};

/// The locks that are told, each losing so much of its charge until an hour, percent.
fn told(lost: impl Fn(usize, i64) -> f64) -> Vec<(String, i64)> {
    found("battery-drain", 45, |lock, hour, _| {
        let at_ms = hour * HOUR_MS + lock as i64 * 120_000;
        // New cells are told as full for a while.
        let left = (99.0 - lock as f64 - lost(lock, hour)).max(0.0);
        let state = State { battery_pct: Some(Percent(10 * (left / 10.0).round() as u8)), ..State::default() };
        let said = Said { ts_ms: at_ms, heard_ms: vec![at_ms], body: Body::State(state) };
        (hour % 3 == 0).then_some(said).into_iter().collect()
    })
}

#[test]
fn a_lock_whose_coarse_gauge_falls_step_by_step_is_found_where_no_voltage_is_told() {
    let usual = |hour: i64| 0.4 * hour as f64 / 24.0;
    let from = 25 * 24;
    let more = |hour: i64| 4.0 * (hour - from).max(0) as f64 / 24.0;
    let found = told(|lock, hour| usual(hour) + if lock == 4 { more(hour) } else { 0.0 });
    assert!(matches!(&found[..], [(scope, hour)] if scope == "device e" && *hour < from + 12 * 24), "{found:?}");
    assert_eq!(told(|_, hour| usual(hour)), []);
}

/// Whether such falls (percent and mV lost), that began so many days before the middle of what is known since, are a
/// finding.
fn passes(percent: f64, mv: f64, days: f64) -> bool {
    let split = |lost: f64, noise| Split { since_ms: 0, lost, noise, expected: 0.0, days, lasts: true };
    let depth = Depth { percent: Some(split(percent, 0.7)), mv: Some(split(mv, 3.0)) };
    let (percent_per_day, mv_per_day, percent_min, mv_min, mv_alone, sigmas) = (0.2, 0.8, 3.0, 10.0, 45.0, 6.0);
    Params { percent_per_day, mv_per_day, percent_min, mv_min, mv_alone, sigmas }.passes(depth, [0.0; 2])
}

#[test]
fn a_loss_of_hours_shows_in_the_voltage_too_and_one_of_days_need_only_show_there() {
    assert!(!passes(4.8, 10.0, 0.1), "two low readings of the estimate, and hardly a lower voltage");
    assert!(passes(4.8, 10.0, 2.0) && passes(4.8, 17.0, 0.1));
    assert!(passes(18.0, 21.0, 0.1), "a deep one is clear");
}
