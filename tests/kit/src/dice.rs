//! Pseudorandom numbers that are the same each time. Must not know what they decide. Called by tests that draw.

/// A linear congruential generator over 64 bits (Knuth, MMIX). Its low bits repeat early, so only high ones are
/// returned.
#[derive(Clone, Debug)]
pub struct Dice(
    /// The seed, and later the state.
    pub u64,
);

impl Dice {
    /// A number of `0..below`, which is at most 2^31.
    ///
    /// # Panics
    /// Where `below` is 0.
    pub fn below(&mut self, below: u64) -> u64 {
        (self.next() >> 33) % below
    }

    /// A number between 0 and 1; never 0 and never 1.
    pub fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// A number of the standard normal distribution (Box and Muller 1958).
    pub fn gauss(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// True with this probability.
    pub fn is(&mut self, chance: f64) -> bool {
        self.uniform() < chance
    }

    /// A number of `0..count`; drawn by another method than [`Dice::below`].
    pub fn one_of(&mut self, count: usize) -> usize {
        ((self.uniform() * count as f64) as usize).min(count - 1)
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    /// The next state; its low bits are hardly random.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0
    }
}

/// A number of 31 bits that appears unrelated to `seed`, for tests that draw by an index of their own instead of in an
/// order (the finalizer of splitmix64; Steele, Lea and Flood 2014).
pub fn scattered(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_the_same_numbers_and_they_spread() {
        let draw = |seed| {
            let mut dice = Dice(seed);
            std::iter::repeat_with(move || dice.below(6)).take(6_000).collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        for side in 0..6 {
            let count = draw(3).iter().filter(|&&drawn| drawn == side).count();
            assert!((900..1_100).contains(&count), "{side} came {count} times of 6000");
        }
    }

    #[test]
    fn the_normal_distribution_has_its_mean_and_spread() {
        let mut dice = Dice(1);
        let drawn: Vec<f64> = std::iter::repeat_with(|| dice.gauss()).take(10_000).collect();
        let mean = drawn.iter().sum::<f64>() / 1e4;
        let variance = drawn.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 1e4;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
