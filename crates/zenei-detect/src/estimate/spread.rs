//! The spread of a stream: a mean of deviations in which an outlier is cut, so that one fault does not hide the next.
//! Called by `stream`.
use super::level::Level;
use serde::{Deserialize, Serialize};

/// From so many observations on outliers are cut; before that an outlier can't be recognized. A guess.
const KNOWN: u32 = 50;
/// An outlier counts as at most so many times the spread. A guess: beyond what a heavy-tailed stream does every day.
const CUT: f64 = 8.0;

/// A mean of deviations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    level: Level,
    seen: u32,
}

impl Spread {
    /// A spread with a memory of about 1/`rate` observations.
    pub fn new(rate: f64) -> Self {
        Self { level: Level::new(rate), seen: 0 }
    }

    /// Adds a deviation, 0 or more.
    pub fn add(&mut self, deviation: f64) {
        let spread = self.level.get();
        let is_known = self.seen >= KNOWN && spread > 0.0;
        self.level.add(if is_known { deviation.min(CUT * spread) } else { deviation });
        self.seen = self.seen.saturating_add(1);
    }

    /// The spread; 0 before the first deviation.
    pub fn get(&self) -> f64 {
        self.level.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_counts_only_so_much_once_the_stream_is_known() {
        let mut spread = Spread::new(0.01);
        (0..100).for_each(|_| spread.add(1.0));
        spread.add(1e9);
        assert!((spread.get() - 1.07).abs() < 1e-9, "{}", spread.get());
    }

    #[test]
    fn a_stream_that_strays_more_for_good_is_followed() {
        let mut spread = Spread::new(0.02);
        (0..100).for_each(|_| spread.add(1.0));
        (0..1_000).for_each(|_| spread.add(50.0));
        assert!((spread.get() - 50.0).abs() < 0.1);
    }
}
