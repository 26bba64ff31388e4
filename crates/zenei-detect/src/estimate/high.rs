//! A high quantile of an unbounded stream of positive values: here the longest usual interval.
//!
//! Stochastic approximation (Robbins and Monro 1951) on the logarithm: each value above raises the estimate, each one
//! below lowers it a little, in the ratio that balances at the quantile. The state is eight bytes, whatever the
//! distribution. Called by the detectors `silence` and `schema`.
use serde::{Deserialize, Serialize};

/// The quantile that is followed.
const QUANTILE: f32 = 0.99;
/// Step of the logarithm; falls with the count to this.
const STEP_LEAST: f32 = 0.05;

/// The estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct High {
    log: f32,
    count: u32,
}

impl High {
    /// Takes a value above 0.
    pub fn add(&mut self, value: f64) {
        let log = libm::logf(value.max(1e-9) as f32);
        self.count = self.count.saturating_add(1);
        if self.count == 1 || (self.count < 20 && log > self.log) {
            // Too few for a quantile: the largest.
            self.log = log;
            return;
        }
        let step = STEP_LEAST.max(1.0 / self.count as f32);
        self.log += if log > self.log { QUANTILE * step.max(0.5 * (log - self.log)) } else { -(1.0 - QUANTILE) * step };
    }

    /// The quantile; 0 before the first value.
    pub fn get(&self) -> f64 {
        if self.count == 0 { 0.0 } else { libm::exp(f64::from(self.log)) }
    }

    /// The quantile's natural logarithm, which costs nothing; 0 before the first value.
    pub fn log(&self) -> f32 {
        self.log
    }

    /// How many values there were.
    pub fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::Dice;

    #[test]
    fn the_estimate_stays_near_the_quantile_of_an_exponential() {
        let (mut high, mut dice) = (High::default(), Dice(1));
        let mut sum = 0.0;
        for step in 0..20_000 {
            high.add(-libm::log(dice.uniform()));
            if step >= 10_000 {
                sum += high.get();
            }
        }
        // ln 100 = 4.6; the step is coarse, and errs upwards.
        assert!((3.5..8.0).contains(&(sum / 10_000.0)), "{}", sum / 10_000.0);
    }

    #[test]
    fn regular_intervals_give_their_length() {
        let mut high = High::default();
        (0..500).for_each(|_| high.add(140.0));
        assert!((130.0..150.0).contains(&high.get()), "{}", high.get());
    }
}
