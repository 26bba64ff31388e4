//! Do events come more often than expected, since a moment that nobody knows? Sums of log likelihood ratios that start
//! anew at 0, one for each multiple of the expected rate (Page 1954; Lorden 1971), mixed as an e-detector (Shin,
//! Ramdas, Rinaldo 2022): where events are Poisson of the expected rate, evidence over ln A comes less than once in A
//! windows. Must not know locks. Called by the detector `requests`.
use serde::{Deserialize, Serialize};

/// Multiples of the expected rate: from what people notice to an outage.
pub const TIMES: [f64; 6] = [2.0, 3.0, 5.0, 10.0, 30.0, 100.0];

/// The sums, one a multiple.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Surge {
    log: [f64; TIMES.len()],
}

impl Surge {
    /// Adds a window with so many events where so many are expected. No sum grows beyond `most`, so that what has ended
    /// is known to have ended.
    pub fn add(&mut self, events: f64, expected: f64, most: f64) {
        for (log, times) in self.log.iter_mut().zip(TIMES) {
            let gain = events * libm::log(times) - expected * (times - 1.0);
            *log = (log.max(0.0) + gain).min(most);
        }
    }

    /// Natural logarithm of the mixture; 0 where nothing speaks for a surge.
    pub fn evidence(&self) -> f64 {
        let top = self.log.iter().copied().fold(0.0, f64::max);
        let sum: f64 = self.log.iter().map(|log| libm::exp(log - top)).sum();
        (top + libm::log(sum / TIMES.len() as f64)).max(0.0)
    }

    /// Whether no sum is above 0.
    pub fn is_over(&self) -> bool {
        self.log.iter().all(|&log| log <= 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_as_expected_is_no_surge_and_a_surge_ends() {
        let mut surge = Surge::default();
        (0..100).for_each(|_| surge.add(1.0, 1.0, 30.0));
        assert!(surge.is_over() && surge.evidence() == 0.0);
        (0..5).for_each(|_| surge.add(8.0, 1.0, 30.0));
        assert!(surge.evidence() > 25.0, "{surge:?}");
        (0..100).for_each(|_| surge.add(1.0, 1.0, 30.0));
        assert!(surge.is_over(), "{surge:?}");
    }
}
