//! Is a residual's noise independent? Means of blocks of standardized residuals scatter as one residual does over the
//! root of the block's length, where it is; a residual that wanders, or that remembers the day before, makes them
//! scatter more. The ratio of the variances is what evidence from many residuals must be divided by. Must not know
//! locks. Called by the detectors that add residuals up (`drift`, `trouble`).
use serde::{Deserialize, Serialize};

/// Imagined blocks of independent noise in a pool, and of the pool in a lock's own. A guess.
const WEIGHT: f64 = 10.0;
/// A block counts at most so much: three standard deviations; a fault is no noise.
const SQUARE_MAX: f32 = 9.0;
/// So many blocks are remembered: those of half a year of a lock, and of its model's locks.
const OWN_MOST: f32 = 50.0;
const POOL_MOST: f32 = 20_000.0;

/// The blocks of all locks of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    squares: f32,
    blocks: f32,
}

/// The blocks of one lock, and its present one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Blocks {
    own: Pool,
    sum: f32,
    count: f32,
}

impl Pool {
    /// How many times as much blocks scatter as independent noise would, at least 1.
    pub fn dispersion(&self) -> f64 {
        self.drawn_to(1.0).max(1.0)
    }

    fn drawn_to(&self, prior: f64) -> f64 {
        (f64::from(self.squares) + WEIGHT * prior) / (f64::from(self.blocks) + WEIGHT)
    }

    fn add(&mut self, square: f32, most: f32) {
        if self.blocks >= most {
            self.squares -= self.squares / self.blocks;
            self.blocks -= 1.0;
        }
        self.squares += square;
        self.blocks += 1.0;
    }
}

impl Blocks {
    /// Adds a residual in standard deviations; a block of `length` of them teaches the lock and the pool.
    pub fn add(&mut self, z: f64, length: f32, pool: &mut Pool) {
        self.sum += z as f32;
        self.count += 1.0;
        if self.count >= length {
            let square = (self.sum * self.sum / length).min(SQUARE_MAX);
            self.own.add(square, OWN_MOST);
            pool.add(square, POOL_MOST);
            (self.sum, self.count) = (0.0, 0.0);
        }
    }

    /// How many times as much the lock's blocks scatter as independent noise would, drawn to its pool; at least 1.
    pub fn dispersion(&self, pool: &Pool) -> f64 {
        self.own.drawn_to(pool.dispersion()).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::Dice;

    /// The dispersion of noise that remembers this share of the step before.
    fn of_noise(memory: f64) -> f64 {
        let (mut dice, mut pool, mut blocks, mut last) = (Dice(5), Pool::default(), Blocks::default(), 0.0);
        for _ in 0..20_000 {
            last = memory * last + libm::sqrt(1.0 - memory * memory) * dice.gauss();
            blocks.add(last, 4.0, &mut pool);
        }
        pool.dispersion()
    }

    #[test]
    fn independent_noise_needs_no_widening_and_noise_that_remembers_does() {
        assert!(of_noise(0.0) < 1.05, "{}", of_noise(0.0));
        // Of four steps with correlation 0.5, 0.25, 0.125 their sum's variance is 2.56 times that of independent ones;
        // the cut takes a little.
        assert!((1.7..2.6).contains(&of_noise(0.5)), "{}", of_noise(0.5));
    }

    #[test]
    fn a_lock_without_blocks_is_like_its_model() {
        let mut pool = Pool::default();
        (0..100).for_each(|_| pool.add(3.0, POOL_MOST));
        assert!((Blocks::default().dispersion(&pool) - pool.dispersion()).abs() < 1e-12);
    }

    #[test]
    fn a_fault_teaches_no_more_than_three_standard_deviations() {
        let (mut pool, mut blocks) = (Pool::default(), Blocks::default());
        (0..4).for_each(|_| blocks.add(100.0, 4.0, &mut pool));
        assert!(pool.dispersion() < 1.8, "{}", pool.dispersion());
    }
}
