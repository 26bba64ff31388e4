//! When must a lock's battery be changed? From the decline that its own gauge reported since the battery was put in.
//! Pure. Must not know records or SQL. Called by both sources.
//!
//! How. The gauge's daily means since the last replacement form a track. A gauge that steps by 5 to 25 % hides a slope
//! within one step, so half a step is an error of the level, and a step over the track's length one of the slope. Cold
//! lowers a voltage and the percentage that a firmware makes of it, so where the temperature varied, its linear part is
//! taken out first (never as if cold raised it). The slope is Theil's: the median of the slopes of all pairs of days,
//! which a tenth of wrong days does not move; of a track of six weeks and more it is that of the newer half where that
//! is steeper, because a battery falls faster towards its end. Its error comes from the spread of the residuals. What
//! nobody can know is how the lock will be used from now on: the slope of the coming weeks differs from that of the
//! past ones.
//!
//! No answer is given for a track of less than two weeks, and where the decline is not larger than its error.
use super::types::Due;
use serde::{Deserialize, Serialize};

/// The charge at which a battery must be changed, percent. A guess: below it a cold night can stop a motor.
pub const DUE_PCT: f64 = 10.0;
/// The most points of a track; when they are reached, neighbours are merged and points are twice as long.
const POINTS_MAX: usize = 64;
/// The fewest days of a track that answers.
const DAYS_MIN: f64 = 14.0;
/// The fewest points of a track that answers.
const POINTS_MIN: usize = 8;
/// How much a gauge must rise, percent, and stay there for a second day, to be a new battery that nobody reported: more
/// than one step of the coarsest gauge (25 %), which a warm day can give back. A guess.
const NEW_BATTERY_PCT: f64 = 35.0;
/// How much percent one °C can explain at most. A guess: 2 mV/K of a lithium pair with 600 mV from full to empty.
const PCT_PER_K_MAX: f64 = 2.0;
/// By how much the slope of the coming time differs from the past one's: a standard deviation, as a share of it. Set on
/// 120 simulated locks over 420 days, where 91.5 % of 247 answers held what came; of 250 other ones 94.3 % of 648 did
/// (answers every 15 days from the 20th on, truth: the first day whose mean is [`DUE_PCT`] or less). A guess for real
/// locks.
const FUTURE_SHARE: f64 = 0.22;
/// The two-sided 90 % of the normal distribution.
const Z_90: f64 = 1.644_854;
/// A day, ms.
pub(super) const DAY_MS: i64 = 86_400_000;

/// One report of a gauge: when, ms since 1970; percent; the temperature where it is known, hundredths of °C.
pub type Report = (i64, u8, Option<i16>);

/// When a battery is due by the reports since it was put in, in order: days counted from the end of the reports' track,
/// which is given too, ms since 1970. `None` where it can't be told.
pub fn battery_due(reports: &[Report]) -> Option<(i64, Due)> {
    let mut track = Track::default();
    for &(at_ms, pct, temp_centi_c) in reports {
        track.report(at_ms, pct, temp_centi_c);
    }
    Some((track.end_ms()?, track.due()?))
}

/// Some days of a gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Point {
    /// The first day, since 1970.
    day: i32,
    pct_sum: u32,
    /// Hundredths of °C.
    temp_sum: i32,
    count: u32,
    temp_count: u32,
}

/// The decline of one battery, as its lock reported it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Track {
    points: Vec<Point>,
    /// How many days a point covers: a power of two, less one.
    days_less_one: u16,
    /// The steps between different values of the gauge: the least one seen, 0 for none yet.
    step: u8,
    last_pct: Option<u8>,
}

impl Track {
    /// Takes a report: percent at a time, with the temperature where it is known, hundredths of °C. Older than the
    /// newest day: it is counted there.
    pub(super) fn report(&mut self, at_ms: i64, pct: u8, temp_centi_c: Option<i16>) {
        let day = i32::try_from(at_ms.div_euclid(DAY_MS)).unwrap_or(i32::MAX);
        if let Some(last) = self.last_pct {
            let step = last.abs_diff(pct);
            self.step = if step == 0 || (self.step != 0 && self.step <= step) { self.step } else { step };
        }
        self.last_pct = Some(pct);
        let days = i32::from(self.days_less_one) + 1;
        match self.points.last_mut() {
            Some(point) if day < point.day.saturating_add(days) => point.add(pct, temp_centi_c),
            Some(_) | None => {
                self.begin_anew_after_a_rise();
                let days = i32::from(self.days_less_one) + 1;
                let from = self.points.first().map_or(day, |first| first.day);
                let day = from.saturating_add(day.saturating_sub(from) / days * days);
                let mut point = Point { day, pct_sum: 0, temp_sum: 0, count: 0, temp_count: 0 };
                point.add(pct, temp_centi_c);
                self.points.push(point);
                self.thin();
            }
        }
    }

    /// A new battery, or a new lock.
    pub(super) fn replaced(&mut self) {
        *self = Self { step: self.step, ..Self::default() };
    }

    /// A second day far above the day before the first one: nobody reported the new battery.
    fn begin_anew_after_a_rise(&mut self) {
        if let [.., before, first, second] = self.points.as_slice()
            && first.pct() - before.pct() >= NEW_BATTERY_PCT
            && second.pct() - before.pct() >= NEW_BATTERY_PCT
        {
            let kept = [*first, *second];
            self.points.clear();
            self.points.extend(kept);
        }
    }

    fn thin(&mut self) {
        if self.points.len() <= POINTS_MAX {
            return;
        }
        self.days_less_one = self.days_less_one.saturating_mul(2).saturating_add(1);
        let (from, days) = (self.points[0].day, i32::from(self.days_less_one) + 1);
        let mut merged: Vec<Point> = Vec::with_capacity(POINTS_MAX);
        for point in self.points.drain(..) {
            let day = from.saturating_add((point.day - from) / days * days);
            match merged.last_mut() {
                Some(last) if last.day == day => last.merge(&point),
                Some(_) | None => merged.push(Point { day, ..point }),
            }
        }
        self.points = merged;
    }

    /// The middle of the newest point, ms since 1970: from there [`Track::due`] counts.
    pub(super) fn end_ms(&self) -> Option<i64> {
        let half_ms = (i64::from(self.days_less_one) + 1) * DAY_MS / 2;
        self.points.last().map(|point| i64::from(point.day) * DAY_MS + half_ms)
    }

    /// When the battery is due, in days after the end of the track; `None` where it can't be told.
    pub(super) fn due(&self) -> Option<Due> {
        let half = f64::from(self.days_less_one) / 2.0;
        let days: Vec<f64> = self.points.iter().map(|point| f64::from(point.day) + half).collect();
        let (first, last) = (*days.first()?, *days.last()?);
        let step = f64::from(self.step).max(1.0);
        let newest: f64 = self.points.last()?.pct();
        if newest <= DUE_PCT && last - first >= 1.0 {
            return Some(Due { early_days: 0.0, likely_days: 0.0, late_days: 0.0 });
        }
        if last - first < DAYS_MIN || days.len() < POINTS_MIN {
            return None;
        }
        let pct = self.without_temperature(&days);
        let whole = median(&mut slopes(&days, &pct))?;
        let half = days.partition_point(|day| *day < (first + last) / 2.0);
        let is_long = days.len() - half >= POINTS_MIN && last - first >= 3.0 * DAYS_MIN;
        let newer = is_long.then(|| median(&mut slopes(&days[half..], &pct[half..]))).flatten();
        let (slope, from) = newer.map_or((whole, 0), |newer| (newer.min(whole), half));
        let near = days.iter().zip(&pct).skip(from);
        let mut levels: Vec<f64> = near.map(|(day, pct)| pct - slope * (day - last)).collect();
        let level = median(&mut levels.clone())?;
        let mut distances: Vec<f64> = levels.drain(..).map(|found| (found - level).abs()).collect();
        // 1.4826 times the median distance is the standard deviation of normal residuals. A step of the gauge is
        // uniform.
        let spread = (1.4826 * median(&mut distances)?).hypot(step / 12_f64.sqrt());
        let length = last - first;
        // Days are not independent of each other: a season, a gauge that holds its step. A quarter of them count; a
        // guess.
        let count = (days.len() as f64 / 4.0).max(2.0);
        let slope_error = (spread * (12.0 / count).sqrt() / length).hypot(slope * FUTURE_SHARE);
        let level_error = (2.0 * spread / count.sqrt()).hypot(step / 12_f64.sqrt());
        // A decline within its own error, or within one step of the gauge, is none.
        if slope >= 0.0 || -slope * length < step.max(2.0 * spread / count.sqrt()) {
            return None;
        }
        Some(crossing(level - DUE_PCT, level_error, -slope, slope_error))
    }

    /// The points' percent as they would be at the temperature of the newest month.
    fn without_temperature(&self, days: &[f64]) -> Vec<f64> {
        let pct: Vec<f64> = self.points.iter().map(Point::pct).collect();
        let temps: Option<Vec<f64>> = self.points.iter().map(Point::celsius).collect();
        let Some(temps) = temps else { return pct };
        let per_k = temperature_effect(days, &temps, &pct).clamp(0.0, PCT_PER_K_MAX);
        let recent = days.iter().zip(&temps).filter(|(day, _)| days.last().is_some_and(|last| last - **day <= 30.0));
        let (sum, count) = recent.fold((0.0, 0.0), |(sum, count), (_, temp)| (sum + temp, count + 1.0));
        let now: f64 = sum / f64::max(count, 1.0);
        pct.iter().zip(&temps).map(|(pct, temp)| pct - per_k * (temp - now)).collect()
    }
}

impl Point {
    fn add(&mut self, pct: u8, temp_centi_c: Option<i16>) {
        self.pct_sum = self.pct_sum.saturating_add(pct.into());
        self.count = self.count.saturating_add(1);
        if let Some(temp) = temp_centi_c {
            self.temp_sum = self.temp_sum.saturating_add(temp.into());
            self.temp_count = self.temp_count.saturating_add(1);
        }
    }

    fn merge(&mut self, later: &Self) {
        self.pct_sum = self.pct_sum.saturating_add(later.pct_sum);
        self.count = self.count.saturating_add(later.count);
        self.temp_sum = self.temp_sum.saturating_add(later.temp_sum);
        self.temp_count = self.temp_count.saturating_add(later.temp_count);
    }

    fn pct(&self) -> f64 {
        f64::from(self.pct_sum) / f64::from(self.count.max(1))
    }

    fn celsius(&self) -> Option<f64> {
        (self.temp_count > 0).then(|| f64::from(self.temp_sum) / 100.0 / f64::from(self.temp_count))
    }
}

/// When a line with errors of level and slope falls to zero: Fieller's interval of the quotient, bounded below by
/// today.
fn crossing(level: f64, level_error: f64, rate: f64, rate_error: f64) -> Due {
    let likely = (level / rate).max(0.0);
    let g = (Z_90 * rate_error / rate).powi(2);
    let variance = (level_error / rate).powi(2);
    if g >= 1.0 {
        // The slowest decline is none: only the early end can be told.
        let early = (level - Z_90 * level_error) / (rate + Z_90 * rate_error);
        return Due { early_days: early.max(0.0), likely_days: likely, late_days: f64::INFINITY };
    }
    let root = Z_90 * ((1.0 - g) * variance + likely.powi(2) * (rate_error / rate).powi(2)).sqrt();
    let [early, late] = [(likely - root) / (1.0 - g), (likely + root) / (1.0 - g)];
    Due { early_days: early.clamp(0.0, likely), likely_days: likely, late_days: late.max(likely) }
}

/// The slopes of all pairs of days.
fn slopes(days: &[f64], values: &[f64]) -> Vec<f64> {
    let mut found = Vec::with_capacity(days.len() * days.len() / 2);
    for (at, (day, value)) in days.iter().zip(values).enumerate() {
        let later = days.iter().zip(values).skip(at + 1).filter(|(later, _)| **later > *day);
        found.extend(later.map(|(later, next)| (next - value) / (later - day)));
    }
    found
}

/// Percent a °C, beside a straight decline: least squares of both. 0 where the temperature did not vary.
fn temperature_effect(days: &[f64], temps: &[f64], pct: &[f64]) -> f64 {
    let count = days.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    let (day, temp, value) = (mean(days), mean(temps), mean(pct));
    let sum = |a: &[f64], a_mean: f64, b: &[f64], b_mean: f64| {
        a.iter().zip(b).map(|(a, b)| (a - a_mean) * (b - b_mean)).sum::<f64>()
    };
    let (dd, tt, dt) = (sum(days, day, days, day), sum(temps, temp, temps, temp), sum(days, day, temps, temp));
    let (dp, tp) = (sum(days, day, pct, value), sum(temps, temp, pct, value));
    let beside = dd * tt - dt * dt;
    // Below 0.5 °C of variation that is not a straight season's, noise would be taken for an effect. A guess.
    if dd == 0.0 || beside / dd < 0.25 * count {
        return 0.0;
    }
    (dd * tp - dt * dp) / beside
}

fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len().checked_sub(1)? / 2;
    let (_, low, above) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let low = *low;
    // One more above than below: there are two middles.
    let upper = (above.len() == middle + 1).then(|| above.iter().copied().min_by(f64::total_cmp)).flatten();
    Some(upper.map_or(low, |upper| (low + upper) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A gauge that falls from 100 % by `per_day`, shown in steps, for so many days.
    fn track(per_day: f64, step: f64, days: i64) -> Track {
        let mut track = Track::default();
        for hour in (0..days * 24).step_by(6) {
            let pct = (100.0 - per_day * hour as f64 / 24.0).max(0.0);
            let shown = (pct / step).round() * step;
            track.report(hour * 3_600_000, shown as u8, Some(2_000));
        }
        track
    }

    #[test]
    fn a_steady_decline_tells_the_day_also_through_a_coarse_gauge() {
        for (per_day, step, days) in [(0.5, 1.0, 60), (0.5, 5.0, 90), (1.0, 10.0, 60), (0.4, 25.0, 150)] {
            let due = track(per_day, step, days).due();
            let due = due.unwrap_or_else(|| panic!("{per_day} % a day in steps of {step} over {days} days"));
            let left = (90.0 - per_day * days as f64) / per_day;
            assert!(due.early_days <= left && left <= due.late_days, "{left} is not in {due:?}");
            assert!((due.likely_days - left).abs() < 0.35 * left + 2.0 * step, "{left} is far from {due:?}");
        }
    }

    #[test]
    fn no_answer_where_it_cant_be_told() {
        assert_eq!(Track::default().due(), None, "no report");
        assert_eq!(track(0.5, 1.0, 10).due(), None, "ten days");
        assert_eq!(track(0.0, 1.0, 90).due(), None, "no decline");
        assert_eq!(track(0.1, 25.0, 90).due(), None, "a decline within one step of the gauge");
    }

    #[test]
    fn an_empty_battery_is_due_now() {
        let due = track(2.0, 1.0, 48).due();
        assert_eq!(due, Some(Due { early_days: 0.0, likely_days: 0.0, late_days: 0.0 }));
    }

    #[test]
    fn a_cold_season_is_not_a_decline() {
        let (mut season, mut blind) = (Track::default(), Track::default());
        for day in 0..90 {
            let temp = 20.0 - f64::from(day) * 0.2 + f64::from(day % 5);
            let pct = 80.0 - 0.1 * f64::from(day) + 1.0 * (temp - 20.0);
            season.report(i64::from(day) * DAY_MS, pct as u8, Some((temp * 100.0) as i16));
            blind.report(i64::from(day) * DAY_MS, pct as u8, None);
        }
        let likely = |track: &Track| track.due().map_or(f64::INFINITY, |due| due.likely_days);
        assert!(likely(&season) > 2.0 * likely(&blind), "{} and {}", likely(&season), likely(&blind));
    }

    #[test]
    fn a_new_battery_begins_a_new_track_whether_or_not_it_is_reported() {
        for reported in [true, false] {
            let mut track = track(1.0, 1.0, 70);
            if reported {
                track.replaced();
            }
            for day in 70..90 {
                track.report(day * DAY_MS, 100, None);
            }
            assert_eq!(track.due(), None, "a full battery without a decline yet; reported: {reported}");
        }
        let mut warm = track(1.0, 25.0, 60);
        warm.report(60 * DAY_MS, 75, None);
        assert!(warm.points.len() > 30, "one step back up is no new battery");
    }

    #[test]
    fn a_long_track_stays_short_and_keeps_its_sums() {
        let track = track(0.1, 1.0, 800);
        assert!(track.points.len() <= POINTS_MAX, "{}", track.points.len());
        assert_eq!(track.points.iter().map(|point| point.count).sum::<u32>(), 3_200);
        let mut medians = [3.0, 1.0, 2.0, 10.0];
        assert_eq!(median(&mut medians), Some(2.5));
        assert_eq!(median(&mut medians[..3]), Some(2.0));
    }
}
