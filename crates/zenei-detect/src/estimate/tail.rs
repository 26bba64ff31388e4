//! How rare is a surprise in this stream? A tail that is learned online, so that every stream has its own and their
//! alarms can be compared. Called by `stream`.
//!
//! The threshold that a small share of the surprises exceeds follows by stochastic approximation (Robbins, Monro 1951);
//! the excess over it decays exponentially, with a mean that a prior holds until the stream has enough of its own.
//! Given logarithms of sizes, that is Hill's estimator of a Pareto tail (Hill 1975), the heavy-tailed case of SPOT
//! (Siffer et al. 2017).
use serde::{Deserialize, Serialize};

/// The fastest that the threshold ever moves, in means of the excess. Found to follow within some ten observations.
const STEP: f64 = 8.0;
/// The smallest excess that sets the threshold's step, so that a stream of one value does not freeze it.
const EXCESS_MIN: f64 = 0.05;
/// An excess counts at most so many means: one outlier is no tail.
const CUT: f64 = 6.0;
/// The weight of excesses at which all older ones are halved.
const KEPT: f64 = 400.0;

/// The tail before the stream has enough surprises of its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The share of surprises beyond the threshold, 0 to 1.
    pub share: f64,
    /// The mean excess beyond it.
    pub excess: f64,
    /// How many excesses the mean is worth.
    pub weight: f64,
    /// The least part by which an observation moves the threshold: its memory is about 1/`rate` observations.
    pub rate: f64,
}

/// The tail of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    prior: Prior,
    seen: f64,
    threshold: f64,
    excesses: f64,
    sum: f64,
}

impl Tail {
    /// A tail without observations.
    pub fn new(prior: Prior) -> Self {
        Self { prior, seen: 0.0, threshold: 0.0, excesses: 0.0, sum: 0.0 }
    }

    /// Adds a surprise and returns how rare it is among the earlier ones: minus the decimal logarithm of the share of
    /// surprises that are as large; 0 where it is not beyond the threshold.
    pub fn add(&mut self, surprise: f64) -> f64 {
        if self.seen == 0.0 {
            (self.seen, self.threshold) = (1.0, surprise);
            return 0.0;
        }
        let Prior { share, excess, weight, rate } = self.prior;
        let mean = (self.sum + excess * weight) / (self.excesses + weight);
        let beyond = surprise - self.threshold;
        self.seen += 1.0;
        let step = STEP * rate.max(1.0 / self.seen) * mean.max(EXCESS_MIN);
        if beyond <= 0.0 {
            self.threshold -= step * share;
            return 0.0;
        }
        self.threshold += step * (1.0 - share);
        self.sum += (surprise - self.threshold).clamp(0.0, CUT * mean);
        self.excesses += 1.0;
        if self.excesses > KEPT {
            self.sum /= 2.0;
            self.excesses /= 2.0;
        }
        beyond / mean / core::f64::consts::LN_10 - libm::log10(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::Dice;

    const PRIOR: Prior = Prior { share: 0.02, excess: 0.5, weight: 20.0, rate: 0.002 };

    /// How many of so many exponential surprises of this mean are rated rarer than one in a thousand.
    fn rare(mean: f64, count: usize) -> usize {
        let mut dice = Dice(11);
        let mut tail = Tail::new(PRIOR);
        (0..3_000).for_each(|_| _ = tail.add(-libm::log(dice.uniform()) * mean));
        (0..count).filter(|_| tail.add(-libm::log(dice.uniform()) * mean) > 3.0).count()
    }

    #[test]
    fn one_in_a_thousand_is_about_one_in_a_thousand_whatever_the_streams_scale() {
        for mean in [0.2, 1.0, 5.0] {
            let found = rare(mean, 100_000);
            assert!((40..250).contains(&found), "mean {mean}: {found} of 100,000");
        }
    }

    #[test]
    fn an_outlier_is_rare_and_teaches_little() {
        let mut dice = Dice(3);
        let mut tail = Tail::new(PRIOR);
        (0..3_000).for_each(|_| _ = tail.add(-libm::log(dice.uniform())));
        let mut other = tail;
        assert!(tail.add(1e6) > 1e3);
        let (after, without) = (tail.add(12.0), other.add(12.0));
        assert!((after - without).abs() < 0.5 && without > 3.0, "{after} {without}");
    }

    #[test]
    fn a_stream_of_one_value_has_no_rare_one_but_another_value() {
        let mut tail = Tail::new(PRIOR);
        let found = (0..1_000).filter(|_| tail.add(1.0) > 3.0).count();
        assert_eq!(found, 0);
        assert!(tail.add(9.0) > 3.0);
    }
}
