//! The current level of a stream: an exponentially weighted mean, which is the plain mean until it has enough
//! observations. Called by `stream` and `spread`.
use serde::{Deserialize, Serialize};

/// A weighted mean of the latest observations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    rate: f64,
    count: f64,
    value: f64,
}

impl Level {
    /// A mean that each observation moves by `rate` (0 to 1): its memory is about 1/`rate` observations.
    pub fn new(rate: f64) -> Self {
        Self { rate, count: 0.0, value: 0.0 }
    }

    /// Adds an observation.
    pub fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.value += self.rate.max(1.0 / self.count) * (value - self.value);
    }

    /// The mean; 0 before the first observation.
    pub fn get(&self) -> f64 {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::Dice;

    #[test]
    fn the_first_observations_count_alike_and_later_ones_fade() {
        let mut level = Level::new(0.1);
        [1.0, 2.0, 6.0].into_iter().for_each(|value| level.add(value));
        assert!((level.get() - 3.0).abs() < 1e-12);
        (0..200).for_each(|_| level.add(10.0));
        assert!((level.get() - 10.0).abs() < 1e-6);
    }

    #[test]
    fn it_equals_the_slow_reference_on_random_streams() {
        // Reference: the weights written out, newest first.
        let mut dice = Dice(7);
        let values: Vec<f64> = std::iter::repeat_with(|| dice.below(1 << 24) as f64).take(300).collect();
        let mut level = Level::new(0.05);
        values.iter().for_each(|&value| level.add(value));
        let (mut rest, mut sum) = (1.0, 0.0);
        for (at, value) in values.iter().enumerate().rev() {
            let weight = rest * 0.05_f64.max(1.0 / (at as f64 + 1.0));
            sum += weight * value;
            rest -= weight;
        }
        assert!((level.get() - sum).abs() < 1e-6 * sum);
    }
}
