//! Has a quantity that falls slowly begun to fall faster? Its past as means of half days, which grow with their age,
//! and the split of it after which it lies furthest below its own line.
//!
//! For each split the readings before it give a line, whose slope is drawn to what is usual for its like; the readings
//! after it are compared with that line. The largest of these differences in standard deviations is the scan statistic
//! of a change (Siegmund 1985, chapter 3). The readings are taken as independent within a half day for a few of them,
//! and where the means before the split scatter more about their line than that says, their scatter is used. Must not
//! know locks. Called by the detector `drain`.
use super::thin;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// The time of one mean.
const BLOCK_MS: i64 = 12 * HOUR_MS;
/// How many means are stored, and how many of the newest are never merged.
const BLOCKS: usize = 18;
const NEWEST: usize = 7;
/// So many readings of a half day count as independent at most: they share its weather. A guess.
const INDEPENDENT: f64 = 4.0;
/// The fewest means, and readings, before a split, and readings after it.
const BEFORE_MIN: usize = 6;
const READINGS_BEFORE: f64 = 12.0;
const READINGS_AFTER: f64 = 2.0;
/// The fewest means between the beginning of a fall and a second one: two days show how fast it falls. A guess.
const BEND_MIN: usize = 4;
/// How many times its usual loss a healthy one may lose for a time: a busier week, the cold. A guess.
const ALLOWED: f64 = 1.5;
/// A fall older than this must go on: that of its later half is at least this share of it. Both are guesses.
const FRESH_DAYS: f64 = 4.0;
const GOING_ON: f64 = 0.3;
/// Weights of a new reading in the smoothed value and in the noise, as in `fall`.
const SHARE: f32 = 0.22;
const NOISE_SHARE: f32 = 0.06;
const NOISE_CLIP: f32 = 4.0;
const FIRST: u32 = 5;
/// The mean absolute difference of two independent Gaussian readings is 2σ/√π.
const SIGMA_OF_DIFFERENCE: f32 = 0.886_227;

/// Readings of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Block {
    /// Of the first and the last reading, minutes since 1970.
    from: u32,
    to: u32,
    count: u32,
    mean: f32,
}

impl Block {
    fn minute(&self) -> f64 {
        0.5 * (f64::from(self.from) + f64::from(self.to))
    }

    fn weight(&self) -> f64 {
        let halves = f64::from(self.to / 720 - self.from / 720 + 1);
        f64::from(self.count).min(INDEPENDENT * halves)
    }
}

/// The recent course of a quantity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Course {
    blocks: Vec<Block>,
    smooth: f32,
    raw: f32,
    told: f32,
    /// The smallest difference of neighbouring readings as they were told; 0 where they never differed.
    step: f32,
    noise: f32,
    count: u32,
    at_ms: i64,
}

/// What the like of a lock lose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    /// A day.
    pub per_day: f64,
    /// How far locks differ in it, one standard deviation.
    pub spread: f64,
}

/// A fall below the line before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// When it began, ms.
    pub since_ms: i64,
    /// How far the mean after it lies below the line, beyond what one step of the gauge explains.
    pub lost: f64,
    /// The standard deviation of that.
    pub noise: f64,
    /// What the line leads to expect.
    pub expected: f64,
    /// From it to the middle of the time after it, days.
    pub days: f64,
    /// Whether it is fresh or goes on.
    pub lasts: bool,
}

impl Split {
    /// The fall in standard deviations.
    pub fn sigmas(&self) -> f64 {
        self.lost / self.noise
    }

    /// How long what is left lasts at the loss of so many days, as an interval of two standard deviations, in words.
    pub fn remaining(&self, left: f64, days: f64) -> String {
        let at = |lost: f64| if lost > 0.0 { left.max(0.0) / (lost / days) } else { f64::INFINITY };
        let (soon, late) = (at(self.lost + 2.0 * self.noise), at(self.lost - 2.0 * self.noise));
        if late.is_finite() && late < 1_000.0 {
            format!("; at this rate it is empty in {soon:.0} to {late:.0} days")
        } else {
            format!("; at this rate it is empty in {soon:.0} days at the earliest")
        }
    }
}

/// Weighted sums of times (days) and values.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: usize,
    weight: f64,
    time: f64,
    value: f64,
    times: f64,
    both: f64,
    values: f64,
}

impl Sums {
    fn add(&mut self, weight: f64, time: f64, value: f64) {
        self.count += 1;
        self.weight += weight;
        self.time += weight * time;
        self.value += weight * value;
        self.times += weight * time * time;
        self.both += weight * time * value;
        self.values += weight * value * value;
    }
}

impl Course {
    /// Takes a reading at a time. `told`: as the device told it, before any correction; `least`: its resolution.
    pub fn add(&mut self, value: f64, told: f64, at_ms: i64, least: f64) {
        let (value, told) = (value as f32, told as f32);
        if self.count == 0 {
            (self.smooth, self.raw, self.told, self.noise) = (value, value, told, least as f32);
        }
        let moved = (told - self.told).abs();
        if moved > 0.0 && (self.step == 0.0 || moved < self.step) {
            self.step = moved;
        }
        if self.count > 0 {
            let change = (value - self.raw).abs() * SIGMA_OF_DIFFERENCE;
            let bounded = if self.count < FIRST { change } else { change.min(NOISE_CLIP * self.noise) };
            let share = NOISE_SHARE.max(1.0 / self.count as f32);
            self.noise = (self.noise + share * (bounded - self.noise)).max(least as f32);
            self.smooth += SHARE.max(1.0 / (self.count as f32 + 1.0)) * (value - self.smooth);
        }
        (self.raw, self.told) = (value, told);
        self.count = self.count.saturating_add(1);
        self.at_ms = self.at_ms.max(at_ms);
        self.block(value, (self.at_ms / MINUTE_MS).max(0) as u32);
    }

    fn block(&mut self, value: f32, minute: u32) {
        let half = (BLOCK_MS / MINUTE_MS) as u32;
        if let Some(last) = self.blocks.last_mut().filter(|last| last.to / half == minute / half) {
            last.to = minute;
            last.count += 1;
            last.mean += (value - last.mean) / last.count as f32;
            return;
        }
        self.blocks.push(Block { from: minute, to: minute, count: 1, mean: value });
        if self.blocks.len() > BLOCKS
            && let Some(at) = thin::pair(&self.blocks, |block| block.from, NEWEST)
        {
            let next = self.blocks.remove(at + 1);
            let block = &mut self.blocks[at];
            block.to = next.to;
            block.count += next.count;
            block.mean += (next.mean - block.mean) * next.count as f32 / block.count as f32;
        }
    }

    /// The split after which it lies furthest below its line, in standard deviations; `None` without enough readings.
    pub fn fall(&self, usual: Usual) -> Option<Split> {
        let mut all = Sums::default();
        // What lies before each block.
        let mut before: SmallVec<[Sums; BLOCKS]> = SmallVec::new();
        for at in 0..self.blocks.len() {
            before.push(all);
            self.into(&mut all, at);
        }
        let mut best: Option<Split> = None;
        for (at, &before) in before.iter().enumerate().skip(BEFORE_MIN) {
            if let Some(split) = self.split(at, before, all, usual, ALLOWED)
                && best.is_none_or(|best| split.sigmas() > best.sigmas())
            {
                best = Some(split);
            }
        }
        best.map(|best| Split { lasts: self.lasts(best, usual), ..best })
    }

    /// The split at a time, without any allowance; `None` without enough readings on both sides.
    pub fn fall_since(&self, at_ms: i64, usual: Usual) -> Option<Split> {
        let at = self.blocks.partition_point(|block| i64::from(block.from) * MINUTE_MS < at_ms);
        if at < BEFORE_MIN || at == self.blocks.len() {
            return None;
        }
        let before = self.sums(0..at);
        let mut all = before;
        (at..self.blocks.len()).for_each(|at| self.into(&mut all, at));
        self.split(at, before, all, usual, 1.0)
    }

    /// Where a fall gets faster: of the time since it began, the split after which it lies furthest below the line that
    /// it has followed since. `None` in its first two days.
    pub fn bend(&self, fall: Split, usual: Usual) -> Option<Split> {
        let from = (fall.since_ms / MINUTE_MS) as u32;
        let start = self.blocks.iter().position(|block| block.from >= from)?;
        // As fast as it has fallen since, and as much more or less.
        let per_day = usual.per_day + (fall.lost / fall.days.max(0.25)).max(0.0);
        let line = Usual { per_day, spread: per_day };
        let all = self.sums(start..self.blocks.len());
        let ends = start + BEND_MIN..self.blocks.len();
        let splits = ends.filter_map(|at| self.split(at, self.sums(start..at), all, line, 1.0));
        let best = splits.reduce(|best, next| if next.sigmas() > best.sigmas() { next } else { best })?;
        Some(Split { lasts: self.lasts(best, usual), ..best })
    }

    fn split(&self, at: usize, before: Sums, all: Sums, usual: Usual, allowed: f64) -> Option<Split> {
        let after = all.weight - before.weight;
        if before.weight < READINGS_BEFORE || after < READINGS_AFTER {
            return None;
        }
        let (time, value) = (before.time / before.weight, before.value / before.weight);
        let spread = before.times - before.time * time;
        let product = before.both - before.time * value;
        let variance = f64::from(self.noise) * f64::from(self.noise);
        let prior = variance / (usual.spread * usual.spread).max(1e-12);
        let per_day = (prior * usual.per_day - product) / (spread + prior);
        let days = (all.time - before.time) / after - time;
        // The allowance is for the time since the split: what was before it is known.
        let since = self.days(f64::from(self.blocks[at].from)) - time;
        let slope = if allowed > 1.0 { per_day.max(usual.per_day) } else { per_day.max(0.0) };
        let expected = value - slope * (since + allowed * (days - since));
        // Two readings of a gauge in steps differ by a step more than the quantity does, unless noise moves them.
        let gauge = f64::from(self.step - self.noise).max(0.0);
        let lost = expected - (all.value - before.value) / after - gauge;
        let since_ms = i64::from(self.blocks[at].from) * MINUTE_MS;
        if allowed > 1.0 && lost <= 0.0 {
            // Most splits show no fall, and how sure that is nobody asks.
            let noise = f64::INFINITY;
            return Some(Split { since_ms, lost, noise, expected, days: days - since, lasts: true });
        }
        let rest = before.values - before.value * value + 2.0 * per_day * product + per_day * per_day * spread;
        let scatter = (rest / (before.count - 2) as f64 / variance).max(1.0);
        let of_means = 1.0 / before.weight + 1.0 / after;
        let noise = libm::sqrt(variance * scatter * (of_means + days * days / (spread + prior)));
        Some(Split { since_ms, lost, noise, expected, days: days - since, lasts: true })
    }

    /// Whether a fall is fresh, or its later half shows it again.
    fn lasts(&self, split: Split, usual: Usual) -> bool {
        let since = (split.since_ms / MINUTE_MS) as u32;
        let Some(newest) = self.blocks.last() else { return false };
        if f64::from(newest.to - since) <= FRESH_DAYS * (DAY_MS / MINUTE_MS) as f64 {
            return true;
        }
        let middle = 0.5 * (f64::from(since) + f64::from(newest.to));
        let start = self.blocks.iter().position(|block| block.from >= since).unwrap_or(0);
        let half = self.blocks.iter().position(|block| block.minute() >= middle).unwrap_or(start);
        let (early, late) = (self.sums(start..half), self.sums(half..self.blocks.len()));
        let usual = usual.per_day * (late.time / late.weight - early.time / early.weight);
        early.weight > 0.0 && early.value / early.weight - late.value / late.weight - usual >= GOING_ON * split.lost
    }

    fn into(&self, sums: &mut Sums, at: usize) {
        let block = &self.blocks[at];
        sums.add(block.weight(), self.days(block.minute()), f64::from(block.mean));
    }

    fn days(&self, minute: f64) -> f64 {
        (minute - self.blocks[0].minute()) / (DAY_MS / MINUTE_MS) as f64
    }

    fn sums(&self, range: core::ops::Range<usize>) -> Sums {
        range.fold(Sums::default(), |mut sums, at| {
            self.into(&mut sums, at);
            sums
        })
    }

    /// Where the newest reading began a mean: what was lost between the two before it, at most four standard deviations
    /// of a reading, and the days between them.
    pub fn ended(&self) -> Option<(f64, f64)> {
        let [.., first, second, newest] = &self.blocks[..] else { return None };
        let days = (second.minute() - first.minute()) / (DAY_MS / MINUTE_MS) as f64;
        let most = NOISE_CLIP * self.noise;
        (newest.count == 1).then(|| (f64::from((first.mean - second.mean).clamp(-most, most)), days))
    }

    /// Whether the newest reading began a mean, or lies clearly below the mean before its own.
    pub fn is_news(&self) -> bool {
        let [.., before, newest] = &self.blocks[..] else { return false };
        newest.count == 1 || self.raw < before.mean - 2.5 * self.noise
    }

    /// The smoothed value: of the last eight readings or so.
    pub fn value(&self) -> f64 {
        f64::from(self.smooth)
    }

    /// Standard deviation of one reading, as neighbours differ.
    pub fn noise(&self) -> f64 {
        f64::from(self.noise)
    }

    /// The smallest step that was seen; 0 where the readings never differed.
    pub fn step(&self) -> f64 {
        f64::from(self.step)
    }

    /// How many readings there were.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// When the last reading was taken, ms.
    pub fn at_ms(&self) -> i64 {
        self.at_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Usual = Usual { per_day: 0.2, spread: 0.12 };

    /// The most standard deviations over the time, and the day on which six were passed by a fall that lasts.
    fn run(days: i64, value: impl Fn(f64) -> f64, gauge: f64) -> (f64, Option<f64>) {
        let (mut course, mut most, mut found) = (Course::default(), 0.0_f64, None);
        for step in 0..days * 4 {
            let noise = [-2.6, 1.2, -0.9, 2.4, -1.6, 1.5, 0.0, -2.0, 2.0, 0.4, -0.4][(step * 4 % 11) as usize];
            let day = step as f64 / 4.0;
            let told = libm::round((value(day) + noise) / gauge) * gauge;
            course.add(told, told, step * 6 * HOUR_MS, 1.0);
            let Some(split) = course.fall(USUAL) else { continue };
            most = most.max(split.sigmas());
            if split.sigmas() >= 6.0 && split.lasts && found.is_none() {
                found = Some(day);
            }
        }
        (most, found)
    }

    #[test]
    fn a_steady_loss_of_any_rate_is_the_locks_own() {
        for per_day in [0.05, 0.2, 0.4] {
            let (most, found) = run(120, |day| 95.0 - per_day * day, 1.0);
            assert!(found.is_none() && most < 5.0, "{per_day}: {most}");
        }
    }

    #[test]
    fn a_step_of_a_coarse_gauge_is_no_fall() {
        let stairs = |day: f64| if day < 30.0 { 80.0 } else { 75.0 };
        let (mut course, mut most) = (Course::default(), 0.0_f64);
        for step in 0..200 {
            let told = stairs(f64::from(step) / 4.0);
            course.add(told, told, i64::from(step) * 6 * HOUR_MS, 1.0);
            most = most.max(course.fall(USUAL).map_or(0.0, |split| split.sigmas()));
        }
        assert!(most < 3.0, "{most}");
    }

    #[test]
    fn a_collapse_is_found_by_its_second_reading_and_a_faster_loss_within_days() {
        let (_, collapse) = run(40, |day| if day < 20.0 { 60.0 } else { 30.0 }, 1.0);
        assert!(collapse.is_some_and(|day| day <= 20.25), "{collapse:?}");
        let (_, faster) = run(40, |day| 90.0 - 0.2 * day - 1.5 * (day - 20.0).max(0.0), 1.0);
        assert!(faster.is_some_and(|day| (21.0..26.0).contains(&day)), "{faster:?}");
        let (_, slower) = run(90, |day| 90.0 - 0.2 * day - 0.5 * (day - 20.0).max(0.0), 1.0);
        assert!(slower.is_some_and(|day| (22.0..45.0).contains(&day)), "{slower:?}");
    }

    #[test]
    fn a_fall_that_has_ended_long_ago_does_not_last() {
        let mut course = Course::default();
        for step in 0..136_i64 {
            let day = step as f64 / 4.0;
            let value = 90.0 - 0.2 * day - 1.5 * (day - 20.0).clamp(0.0, 4.0) + [-1.0, 1.0][(step % 2) as usize];
            course.add(value, value, step * 6 * HOUR_MS, 1.0);
        }
        assert!(course.fall(USUAL).is_some_and(|split| !split.lasts), "{:?}", course.fall(USUAL));
    }

    #[test]
    fn a_collapse_in_a_battery_that_is_drained_begins_where_it_collapses() {
        let bend = |days: i64, collapse: f64| {
            let mut course = Course::default();
            for step in 0..days * 4 {
                let day = step as f64 / 4.0;
                let lost = 0.2 * day + 1.5 * (day - 20.0).max(0.0) + if day >= 26.0 { collapse } else { 0.0 };
                let told = libm::round(80.0 - lost + [-1.2, 1.0, 0.0, 0.7][(step % 4) as usize]);
                course.add(told, told, step * 6 * HOUR_MS, 1.0);
            }
            let fall = course.fall(USUAL).unwrap();
            (fall, course.bend(fall, USUAL))
        };
        let day = |split: Split| split.since_ms as f64 / DAY_MS as f64;
        let (fall, Some(sudden)) = bend(27, 12.0) else { panic!("it falls for seven days") };
        assert!(day(fall) < 23.0 && (25.5..=26.0).contains(&day(sudden)), "{fall:?} {sudden:?}");
        assert!(sudden.sigmas() > 6.0 && (9.0..14.0).contains(&sudden.lost), "{sudden:?}");
        for days in 23..32 {
            let (fall, steady) = bend(days, 0.0);
            assert!(steady.is_none_or(|split| split.sigmas() < 4.0), "day {days}: {fall:?} {steady:?}");
        }
    }
}
