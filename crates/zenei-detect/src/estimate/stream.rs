//! A detector for any stream of numbers, made of the estimators beside it: strictly online, of fixed size, with one
//! tuning for every stream. It must not depend on a stream's length or range, and must not know locks, rules or a
//! benchmark. Called by the detector `stream`, and by the lab, which measures it on a benchmark.
//!
//! Five views of each value each give a surprise: how far the value is from the stream's level; how large a step it is;
//! how restless the stream is of late; how unusual the value is at this time of day; how often values of this size
//! occurred. Each view's own tail turns the surprise into a rarity within this stream, so that a restless stream does
//! not raise many alarms. The rarities are added and smoothed: what several views show, or one view shows for a while,
//! counts for more than one odd value. After an alarm comes a rest, so that one event raises one alarm.
use super::level::Level;
use super::season::Season;
use super::spread::Spread;
use super::symbols::Symbols;
use super::tail::{Prior, Tail};
use serde::{Deserialize, Serialize};

/// Views of a value.
const VIEWS: usize = 5;
/// Values before the first surprise: fewer do not show the spread of a stream. A guess.
const WARM: u32 = 6;
/// Values before restlessness is evaluated. A guess: more than the quick memory holds.
const WARM_RESTLESS: u32 = 20;
/// The season's spread is at least such a part of the whole stream's: a part of the day seen twice looks quieter than
/// it is. A guess.
const SEASON_SPREAD_MIN: f64 = 0.2;

/// The numbers of the detector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    /// The rate of the quick memory: the recent level of the stream.
    pub quick: f64,
    /// The rate of the slow memory: the level of the stream.
    pub slow: f64,
    /// The rate of the memory of its spread.
    pub spread: f64,
    /// The rate of the memory of a part of the day.
    pub season: f64,
    /// The prior of every view's tail.
    pub tail: Prior,
    /// The rate at which the sum of rarities is smoothed.
    pub smoothing: f64,
    /// The threshold of an alarm: summed decimal logarithms of rarity.
    pub threshold: f64,
    /// The number of values after an alarm without another one.
    pub rest: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self::MEASURED
    }
}

impl Tuning {
    /// Round numbers from the middle of what does well on the public half of the Numenta Anomaly Benchmark; `bench nab`
    /// prints how well choices carry over to files that they were not made on.
    pub const MEASURED: Self = Self {
        quick: 0.07,
        slow: 0.006,
        spread: 0.0025,
        season: 0.03,
        tail: Prior { share: 0.02, excess: 0.2, weight: 20.0, rate: 0.0025 },
        smoothing: 0.065,
        threshold: 2.0,
        rest: 120,
    };
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    seen: u32,
    last: f64,
    quick: Level,
    slow: Level,
    strays: Spread,
    steps: Spread,
    restless: Level,
    restless_usual: Spread,
    season: Season,
    symbols: Symbols,
    tails: [Tail; VIEWS],
    smoothing: f64,
    evidence: f64,
}

impl Stream {
    /// A stream without history.
    pub fn new(tuning: &Tuning) -> Self {
        Self {
            seen: 0,
            last: 0.0,
            quick: Level::new(tuning.quick),
            slow: Level::new(tuning.slow),
            strays: Spread::new(tuning.spread),
            steps: Spread::new(tuning.spread),
            restless: Level::new(tuning.quick),
            restless_usual: Spread::new(tuning.spread),
            season: Season::new(tuning.season),
            symbols: Symbols::default(),
            tails: [Tail::new(tuning.tail); VIEWS],
            smoothing: tuning.smoothing,
            evidence: 0.0,
        }
    }

    /// Takes the next value, finite, and returns the present evidence for a change: smoothed decimal logarithms of
    /// rarity, 0 or more.
    pub fn add(&mut self, value: f64, at_ms: i64) -> f64 {
        if self.seen == 0 {
            self.last = value;
            self.quick.add(value);
            self.slow.add(value);
        }
        let surprises = self.surprises(value, at_ms);
        let tails = self.tails.iter_mut().zip(surprises);
        let rarity: f64 = tails.filter_map(|(tail, surprise)| Some(tail.add(surprise?))).sum();
        self.evidence += self.smoothing * (rarity - self.evidence);
        self.learn(value, at_ms);
        self.evidence
    }

    /// The level of the stream.
    pub fn stands_at(&self) -> f64 {
        self.slow.get()
    }

    /// How many values it has taken.
    pub fn seen(&self) -> u32 {
        self.seen
    }

    fn surprises(&self, value: f64, at_ms: i64) -> [Option<f64>; VIEWS] {
        // Below this, differences are no differences: it keeps logarithms of 0 away whatever the unit is.
        let least = 1e-9 * (value.abs() + self.slow.get().abs()) + 1e-12;
        let ratio = |off: f64, usual: f64| libm::log((off + least) / (usual + least));
        let stray = value - self.slow.get();
        let is_warm = self.seen >= WARM;
        let season = self.season.deviation(value, at_ms);
        let symbol = self.symbols.surprise(stray / (self.strays.get() + least));
        [
            is_warm.then(|| ratio(stray.abs(), self.strays.get())),
            is_warm.then(|| ratio((value - self.last).abs(), self.steps.get())),
            (self.seen > WARM_RESTLESS).then(|| {
                libm::log((self.restless.get() + least * least) / (self.restless_usual.get() + least * least)).abs()
            }),
            season.map(|(off, usual)| ratio(off, usual.max(SEASON_SPREAD_MIN * self.strays.get()))),
            symbol.map(|nats| libm::log(1.0 + nats)),
        ]
    }

    fn learn(&mut self, value: f64, at_ms: i64) {
        let least = 1e-9 * (value.abs() + self.slow.get().abs()) + 1e-12;
        let (stray, off) = (value - self.slow.get(), value - self.quick.get());
        self.symbols.add(stray / (self.strays.get() + least));
        self.season.add(value, at_ms);
        self.strays.add(stray.abs());
        self.steps.add((value - self.last).abs());
        self.restless.add(off * off);
        self.restless_usual.add(off * off);
        if self.seen > 0 {
            self.quick.add(value);
            self.slow.add(value);
        }
        self.last = value;
        self.seen = self.seen.saturating_add(1);
    }
}

/// From evidence to scores, with a rest after each alarm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    threshold: f64,
    rest: u32,
    left: u32,
}

impl Alarm {
    /// The score from which on it is an alarm.
    pub const SCORE: f64 = 0.5;

    /// No alarm so far: an alarm from this threshold on, and then a rest of so many values.
    pub fn new(threshold: f64, rest: u32) -> Self {
        Self { threshold, rest, left: 0 }
    }

    /// The score of this evidence, 0 to 1: [`Alarm::SCORE`] or more only where an alarm is raised; below it within a
    /// rest.
    pub fn score(&mut self, evidence: f64) -> f64 {
        let score = evidence / (evidence + self.threshold);
        if self.left > 0 {
            self.left -= 1;
            return score.min(Self::SCORE) * 0.5;
        }
        if score >= Self::SCORE {
            self.left = self.rest;
        }
        score
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::Dice;

    fn noise(seed: u64) -> impl FnMut() -> f64 {
        let mut dice = Dice(seed);
        move || dice.uniform() - 0.5
    }

    /// Where alarms are raised in a stream of noise around a daily rhythm with `change` added.
    fn alarms(scale: f64, change: impl Fn(usize) -> f64) -> Vec<usize> {
        let (tuning, mut noise) = (Tuning::default(), noise(5));
        let (mut stream, mut alarm) = (Stream::new(&tuning), Alarm::new(tuning.threshold, tuning.rest));
        let value = |at: usize, noise: f64| {
            scale * (10.0 + (at as f64 / 288.0 * std::f64::consts::TAU).sin() + noise + change(at))
        };
        (0..4_000)
            .filter(|&at| alarm.score(stream.add(value(at, noise()), at as i64 * 300_000)) >= Alarm::SCORE)
            .collect()
    }

    #[test]
    fn a_steady_rhythm_gives_few_alarms_and_a_lasting_jump_is_told_soon_and_once() {
        let quiet = alarms(1.0, |_| 0.0).into_iter().filter(|&at| at > 600).count();
        assert!(quiet <= 3, "{quiet}");
        let jump = |at: usize| if at >= 3_000 { 5.0 } else { 0.0 };
        let told: Vec<usize> = alarms(1.0, jump).into_iter().filter(|at| (3_000..3_120).contains(at)).collect();
        assert!(told.len() == 1 && told[0] < 3_020, "{told:?}");
    }

    #[test]
    fn the_unit_of_a_stream_does_not_matter() {
        let jump = |at: usize| if (2_000..2_100).contains(&at) { -4.0 } else { 0.0 };
        assert_eq!(alarms(1.0, jump), alarms(1024.0, jump));
        assert!(!alarms(1.0, jump).is_empty());
    }

    #[test]
    fn a_stream_of_one_value_gives_none_and_a_change_in_it_one() {
        let tuning = Tuning::default();
        let (mut stream, mut alarm) = (Stream::new(&tuning), Alarm::new(tuning.threshold, tuning.rest));
        let value = |at: i64| if at < 1_500 { 45.0 } else { 46.0 };
        let mut told: Vec<i64> = (0..1_600).collect();
        told.retain(|&at| alarm.score(stream.add(value(at), at * 300_000)) >= Alarm::SCORE);
        assert!(told.len() == 1 && (1_500..1_510).contains(&told[0]), "{told:?}");
    }
}
