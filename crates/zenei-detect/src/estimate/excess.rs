//! Does something happen more often than it should? CUSUMs of log likelihood ratios, each restarting at 0 (Page 1954),
//! for a few alternatives at once.
//!
//! Counts are Poisson: `events` where `expected` should be. While nothing is wrong, a restarting sum of log likelihood
//! ratios exceeds `h` on average only after e^h steps or more (Lorden 1971); the limit thus bounds the false-alarm
//! rate. Called by the detectors that count events (`lock_errors`, `loss`, `reboots`, `trouble`).
use serde::{Deserialize, Serialize};

/// How many alternatives are watched.
pub const ALTERNATIVES: usize = 3;

/// A sum for each alternative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Excess {
    sums: [f32; ALTERNATIVES],
}

impl Excess {
    /// Adds a step of a process in which `events` were seen, `expected` of them by nature; `suspected` are what a fault
    /// would make of the expectation. An alternative at or below the expectation is passed over.
    pub fn add(&mut self, events: f64, expected: f64, suspected: [f64; ALTERNATIVES]) {
        for (sum, suspected) in self.sums.iter_mut().zip(suspected) {
            if suspected <= expected || expected <= 0.0 {
                continue;
            }
            // Most steps have no event, and a logarithm is expensive.
            let seen = if events == 0.0 { 0.0 } else { events * libm::log(suspected / expected) };
            let gain = seen - (suspected - expected);
            *sum = (*sum + gain as f32).max(0.0);
        }
    }

    /// The largest sum: natural logarithm of the evidence against the normal rate.
    pub fn evidence(&self) -> f64 {
        f64::from(self.sums.iter().copied().fold(0.0, f32::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::Dice;

    fn steps_to(limit: f64, share: f64, seed: u64, most: u32) -> u32 {
        let (mut dice, mut excess) = (Dice(seed), Excess::default());
        for step in 1..=most {
            let events = f64::from(u8::from(dice.is(share)));
            excess.add(events, 0.01, [0.05, 0.15, 0.4]);
            if excess.evidence() > limit {
                return step;
            }
        }
        most
    }

    #[test]
    fn false_alarms_are_rarer_than_the_limit_says() {
        // Mean over runs of steps to exceed ln(1000): three alternatives share it, so at least 1000 / 3.
        let total: u32 = (1..=200).map(|seed| steps_to(libm::log(1_000.0), 0.01, seed * 7_919, 20_000)).sum();
        assert!(total / 200 > 1_000 / 3, "{}", total / 200);
    }

    #[test]
    fn a_tenfold_share_is_found_within_a_hundred_trials_or_so() {
        let total: u32 = (1..=200).map(|seed| steps_to(14.0, 0.1, seed * 7_919, 20_000)).sum();
        assert!((30..200).contains(&(total / 200)), "{}", total / 200);
    }

    #[test]
    fn an_alternative_below_the_expectation_says_nothing() {
        let mut excess = Excess::default();
        excess.add(10.0, 1.0, [0.5, 1.0, 0.9]);
        assert_eq!(excess.evidence(), 0.0);
    }
}
