//! Do two groups share one event rate? A sequential test: it may be evaluated after every window and keeps its
//! false-alarm rate (Howard et al. 2021; Ville 1939).
//!
//! Given how many events both groups had together, the number in the first group is binomial under the null hypothesis,
//! with a share that follows from the expected counts: what both groups have in common (weather, a cloud outage)
//! cancels. The process is a mixture of likelihood ratios over rate ratios. Called by the detector `firmware_errors`.
use serde::{Deserialize, Serialize};

/// The rate ratios of the mixture: from the smallest worth finding to the grossest; in between, each is at most 1.7
/// times the one before.
pub const RATIOS: [f64; 6] = [1.2, 1.5, 2.0, 3.0, 5.0, 8.0];

/// Their natural logarithms, which each window needs.
const LOGS: [f64; RATIOS.len()] = [
    0.1823215567939546,
    0.4054651081081644,
    core::f64::consts::LN_2,
    1.0986122886681096,
    1.6094379124341003,
    2.0794415416798357,
];

/// The logarithm of each ratio's likelihood ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RateRatio {
    log: [f64; RATIOS.len()],
}

impl RateRatio {
    /// Adds one window: `events` in the group under test of expected weight `weight`, against `others` of expected
    /// weight `others_weight`. `dispersion` (≥ 1) is how much more than Poisson the counts vary; the likelihood is
    /// tempered by it.
    pub fn add(&mut self, events: f64, weight: f64, others: f64, others_weight: f64, dispersion: f64) {
        // Without an event on either side each likelihood ratio is 1.
        if weight <= 0.0 || others_weight <= 0.0 || events + others <= 0.0 {
            return;
        }
        let share = weight / (weight + others_weight);
        for ((log, ratio), log_ratio) in self.log.iter_mut().zip(RATIOS).zip(LOGS) {
            let gain = events * log_ratio - (events + others) * libm::log(1.0 + share * (ratio - 1.0));
            *log += gain / dispersion.max(1.0);
        }
    }

    /// Adds another process over other events.
    pub fn join(&mut self, other: &Self) {
        self.log.iter_mut().zip(other.log).for_each(|(log, more)| *log += more);
    }

    /// This process without a part of it that was joined before.
    pub fn without(&self, part: &Self) -> Self {
        let mut rest = *self;
        rest.log.iter_mut().zip(part.log).for_each(|(log, less)| *log -= less);
        rest
    }

    /// An upper bound of the evidence: that of the rate ratio that fits best. It is cheap, and most processes are far
    /// from any limit.
    pub fn most(&self) -> f64 {
        self.log.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// Natural logarithm of the mixture: evidence against one shared rate. Under the null hypothesis it ever exceeds
    /// `ln(1/a)` with probability at most `a`.
    pub fn log_evidence(&self) -> f64 {
        let top = self.most();
        let sum: f64 = self.log.iter().map(|log| libm::exp(log - top)).sum();
        top + libm::log(sum / RATIOS.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::Dice;

    fn worst_of(runs: u64, rate: f64) -> usize {
        let exceeds = |run: u64| {
            let mut dice = Dice(run * 7919 + 1);
            let mut process = RateRatio::default();
            (0..500).any(|_| {
                let mut count = |rate: f64| (0..20).filter(|_| dice.is(rate / 20.0)).count() as f64;
                let (events, others) = (count(rate), count(4.0));
                process.add(events, 1.0, others, 4.0, 1.0);
                process.log_evidence() > libm::log(100.0)
            })
        };
        (0..runs).filter(|&run| exceeds(run)).count()
    }

    #[test]
    fn the_logarithms_are_those_of_the_ratios() {
        assert_eq!(LOGS, RATIOS.map(libm::log));
    }

    #[test]
    fn equal_rates_rarely_ever_look_unequal() {
        let alarms = worst_of(1_000, 1.0);
        assert!(alarms <= 20, "{alarms} of 1000 runs of 500 looks each exceeded a bound for 10");
    }

    #[test]
    fn a_doubled_rate_is_found_each_time() {
        assert_eq!(worst_of(100, 2.0), 100);
    }

    #[test]
    fn without_others_nothing_is_learned() {
        let mut process = RateRatio::default();
        process.add(100.0, 1.0, 0.0, 0.0, 1.0);
        assert_eq!(process.log_evidence(), 0.0);
    }
}
