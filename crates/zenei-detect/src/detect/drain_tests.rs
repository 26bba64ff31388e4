//! Locks that tell the charge in steps of a tenth, and no voltage.
use super::super::world::{HOUR_MS, Said, found};
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
