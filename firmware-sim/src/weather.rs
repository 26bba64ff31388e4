//! The outdoor temperature by region and hour: season, time of day, weather fronts and cold snaps. Tables of one value
//! an hour, made once for the whole run. Must not know locks; a lock mixes its own share of the outdoor temperature.
//! Made by `world`, read by `lock`.
use crate::calendar::{self, HOUR_MS};
use crate::rng::{Draws, FLEET, Purpose};
use crate::scenario::{Fault, Scenario};

/// Days of a mean year.
const YEAR_DAYS: f64 = 365.25;
/// The warmest day of the year in Japan, from 0: early August (JMA normals).
const WARMEST_DAY: f64 = 215.0;
/// The warmest local hour.
const WARMEST_HOUR: f64 = 14.0;
/// Hours between independent values of a front; lows pass Japan every 3 to 5 days in winter, so half of that.
const FRONT_HOURS: usize = 48;
/// Hours over which a cold snap begins and ends; guess.
const SNAP_EDGE_HOURS: f64 = 10.0;

/// Outdoor temperatures of every region.
#[derive(Debug)]
pub(crate) struct Weather {
    start_ms: i64,
    hourly_c: Vec<Vec<f32>>,
}

impl Weather {
    pub(crate) fn new(scenario: &Scenario, seed: u64, start_ms: i64) -> Self {
        let hours = (scenario.days * 24.0).ceil() as usize + 2;
        let hourly_c = (0..scenario.region.len()).map(|region| one_region(scenario, seed, region, hours)).collect();
        Self { start_ms, hourly_c }
    }

    /// Outdoor temperature, °C; beyond the run it stays at its last value.
    pub(crate) fn outdoor_c(&self, region: usize, at_ms: i64) -> f64 {
        let table = &self.hourly_c[region];
        let since_ms = (at_ms - self.start_ms).max(0);
        let hour = ((since_ms / HOUR_MS) as usize).min(table.len() - 2);
        let part = ((since_ms - hour as i64 * HOUR_MS) as f64 / HOUR_MS as f64).min(1.0);
        f64::from(table[hour]) * (1.0 - part) + f64::from(table[hour + 1]) * part
    }
}

fn one_region(scenario: &Scenario, seed: u64, region: usize, hours: usize) -> Vec<f32> {
    let climate = &scenario.region[region];
    let mut draws = Draws::new(seed, FLEET, Purpose::Weather, region as u64);
    let fronts: Vec<f64> = (0..hours / FRONT_HOURS + 3).map(|_| draws.normal() * climate.front_c).collect();
    let first_day = calendar::day_of_year(scenario.first_day()) as f64;
    let turn = std::f64::consts::TAU;
    let at_hour = |hour: usize| {
        let day = first_day + hour as f64 / 24.0;
        let (knot, part) = (hour / FRONT_HOURS, (hour % FRONT_HOURS) as f64 / FRONT_HOURS as f64);
        let smooth = part * part * (3.0 - 2.0 * part);
        let season = climate.seasonal_c * (turn * (day - WARMEST_DAY) / YEAR_DAYS).cos();
        let daily = climate.daily_c * (turn * ((hour % 24) as f64 - WARMEST_HOUR) / 24.0).cos();
        let front = fronts[knot] * (1.0 - smooth) + fronts[knot + 1] * smooth;
        (climate.mean_c + season + daily + front - snap_c(scenario, &climate.name, hour as f64)) as f32
    };
    (0..hours).map(at_hour).collect()
}

/// How much colder the cold snaps make this hour, °C.
fn snap_c(scenario: &Scenario, region: &str, hour: f64) -> f64 {
    let one = |fault: &Fault| match fault.cold_snap() {
        Some(snap) if snap.region == region => {
            let (from, to) = (snap.day * 24.0, (snap.day + snap.days) * 24.0);
            let inside = ((hour - from) / SNAP_EDGE_HOURS).min((to - hour) / SNAP_EDGE_HOURS);
            snap.drop_c * inside.clamp(0.0, 1.0)
        }
        Some(_) | None => 0.0,
    };
    scenario.fault.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::DAY_MS;

    #[test]
    fn a_cold_snap_cools_its_region_for_its_days_only() {
        let with = Scenario::demo().unwrap();
        let mut without = with.clone();
        without.fault.retain(|fault| !matches!(fault, Fault::H7(_)));
        let (with, without) = (Weather::new(&with, 1, 0), Weather::new(&without, 1, 0));
        let drop_c = |region, day: f64| {
            let at_ms = (day * DAY_MS as f64) as i64;
            without.outdoor_c(region, at_ms) - with.outdoor_c(region, at_ms)
        };
        assert!((drop_c(0, 18.5) - 12.0).abs() < 1e-4);
        assert!(drop_c(0, 16.9).abs() < 1e-4 && drop_c(0, 20.1).abs() < 1e-4);
        assert!(drop_c(1, 18.5).abs() < 1e-4);
    }

    #[test]
    fn january_in_sapporo_is_below_zero_and_colder_than_tokyo() {
        let weather = Weather::new(&Scenario::demo().unwrap(), 3, 0);
        let mean = |region| (0..240).map(|hour| weather.outdoor_c(region, hour * HOUR_MS)).sum::<f64>() / 240.0;
        assert!(mean(0) < 0.5 && mean(1) > mean(0) + 4.0, "{} {}", mean(0), mean(1));
    }
}
