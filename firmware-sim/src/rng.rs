//! Which random numbers a lock gets: an independent stream for every (seed, lock, purpose, index). The four numbers are
//! the ChaCha key itself, so a stream does not depend on earlier draws: a lock with a fault and its twin without it get
//! the same numbers, however many draws the fault needs. Must not know what the draws mean. Called by every module that
//! draws.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use rand_distr::{Distribution as _, StandardNormal};

/// The lock number of streams that belong to the fleet as a whole.
pub(crate) const FLEET: usize = usize::MAX;

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Identity = 1,
    Body = 2,
    Habit = 3,
    Operation = 4,
    Heartbeat = 5,
    ErrorClock = 6,
    Offline = 7,
    Rollout = 8,
    Fault = 9,
    Weather = 10,
    Disturbance = 11,
    Occurrence = 12,
    Report = 13,
    Density = 14,
    Link = 15,
    Contact = 16,
    Cloud = 17,
    Gateway = 18,
    Jitter = 19,
    Air = 20,
    Key = 21,
    World = 22,
    Trait = 23,
    Burst = 24,
    Wander = 25,
    Tie = 26,
    Carriage = 27,
    Use = 28,
}

/// One stream.
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    pub(crate) fn new(seed: u64, lock: usize, purpose: Purpose, index: u64) -> Self {
        let mut key = [0; 32];
        let words = [seed, lock as u64, purpose as u64, index];
        for (slot, word) in key.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in [0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Whether something of this probability happens.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Standard normal.
    pub(crate) fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// A factor around 1 with the given standard deviation of its logarithm.
    pub(crate) fn factor(&mut self, sigma: f64) -> f64 {
        (sigma * self.normal()).exp()
    }

    /// Exponential with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -(1.0 - self.uniform()).ln()
    }

    /// Poisson by Knuth's product of uniforms; the means here are below 60.
    pub(crate) fn poisson(&mut self, mean: f64) -> usize {
        let floor = (-mean.clamp(0.0, 60.0)).exp();
        let mut product = self.uniform();
        let mut count = 0;
        while product > floor {
            product *= self.uniform();
            count += 1;
        }
        count
    }

    /// The index of one of these weights, drawn in proportion to it; the last one where all are 0.
    pub(crate) fn pick(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let total: f64 = weights.clone().sum();
        let mut left = self.uniform() * total;
        let mut last = 0;
        for (at, weight) in weights.enumerate() {
            if left < weight {
                return at;
            }
            left -= weight;
            last = at;
        }
        last
    }

    /// Uniform over 0..count.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((self.uniform() * count as f64) as usize).min(count.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_other_locks_purposes_and_indices_differ() {
        let first = |seed, lock, purpose, index| Draws::new(seed, lock, purpose, index).uniform();
        let base = first(1, 2, Purpose::Habit, 3);
        assert_eq!(base, first(1, 2, Purpose::Habit, 3));
        for other in [first(2, 2, Purpose::Habit, 3), first(1, 3, Purpose::Habit, 3), first(1, 2, Purpose::Body, 3)] {
            assert_ne!(base, other);
        }
        assert_ne!(base, first(1, 2, Purpose::Habit, 4));
    }

    #[test]
    fn the_normal_has_mean_0_and_variance_1() {
        let mut draws = Draws::new(7, 0, Purpose::Body, 0);
        let values: Vec<f64> = (0..20_000).map(|_| draws.normal()).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|value| value * value).sum::<f64>() / 20_000.0;
        // Five standard errors of the mean (1/sqrt(n)) and of the variance (sqrt(2/n)).
        assert!(mean.abs() < 0.036, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.05, "variance {variance}");
    }

    #[test]
    fn the_poisson_has_its_mean() {
        let mut draws = Draws::new(7, 0, Purpose::Habit, 0);
        let total: usize = (0..10_000).map(|_| draws.poisson(6.5)).sum();
        assert!((total as f64 / 10_000.0 - 6.5).abs() < 0.13, "{total}");
    }
}
