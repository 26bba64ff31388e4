//! How far a quantity has fallen below what it may lose: rest voltage, charge, free memory.
//!
//! A reference follows every rise at once and otherwise falls at the allowed rate; the fall is the difference to it.
//! With readings one step apart this is Page's CUSUM of the decrements less the allowance, but its noise stays that of
//! two readings, because the sum telescopes. Called by the detectors `drain` and `leak`.
use crate::time::DAY_MS;
use serde::{Deserialize, Serialize};

/// Weight of a new reading in the smoothed value: the last eight or so count (2 / (n + 1)).
const SHARE: f32 = 0.22;
/// Weight of a new difference in the noise: the last thirty or so count.
const NOISE_SHARE: f32 = 0.06;
/// The mean absolute difference of two independent Gaussian readings is 2σ/√π.
const SIGMA_OF_DIFFERENCE: f32 = 0.886_227;
/// A difference counts at most so many times the present noise, so that a step is no noise.
const NOISE_CLIP: f32 = 4.0;
/// Readings that fix the first noise.
const FIRST: u32 = 5;

/// A quantity with its reference. Units are the caller's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fall {
    smooth: f32,
    reference: f32,
    raw: f32,
    noise: f32,
    count: u32,
    at_ms: i64,
    since_ms: i64,
}

impl Fall {
    /// Takes a reading at a time; the reference gives way by `allowed_per_day`. `noise_least`: the resolution of the
    /// reading.
    pub fn add(&mut self, value: f64, at_ms: i64, allowed_per_day: f64, noise_least: f64) {
        let value = value as f32;
        if self.count == 0 {
            *self = Self {
                smooth: value,
                reference: value,
                raw: value,
                noise: noise_least as f32,
                count: 1,
                at_ms,
                since_ms: at_ms,
            };
            return;
        }
        let days = (at_ms - self.at_ms).max(0) as f64 / DAY_MS as f64;
        self.at_ms = self.at_ms.max(at_ms);
        let step = (value - self.raw).abs() * SIGMA_OF_DIFFERENCE;
        let bounded = if self.count < FIRST { step } else { step.min(NOISE_CLIP * self.noise) };
        let share = NOISE_SHARE.max(1.0 / self.count as f32);
        self.noise = (self.noise + share * (bounded - self.noise)).max(noise_least as f32);
        self.raw = value;
        let share = SHARE.max(1.0 / (self.count as f32 + 1.0));
        self.smooth += share * (value - self.smooth);
        self.count = self.count.saturating_add(1);
        self.reference -= (allowed_per_day * days) as f32;
        // While the first readings come in, the reference is their mean.
        if self.smooth >= self.reference || self.count <= 2 * FIRST {
            self.reference = self.smooth;
            self.since_ms = self.at_ms;
        }
    }

    /// The difference to the reference; 0 or more.
    pub fn depth(&self) -> f64 {
        f64::from((self.reference - self.smooth).max(0.0))
    }

    /// The smoothed value.
    pub fn value(&self) -> f64 {
        f64::from(self.smooth)
    }

    /// The value after no more than the allowed loss.
    pub fn reference(&self) -> f64 {
        f64::from(self.reference)
    }

    /// Standard deviation of one reading, as neighbours differ.
    pub fn noise(&self) -> f64 {
        f64::from(self.noise)
    }

    /// Standard deviation of the depth: that of the smoothed value and of the reference, which is an earlier smoothed
    /// value.
    pub fn noise_of_depth(&self) -> f64 {
        // Variance of an exponential mean: share / (2 - share); two of them.
        self.noise() * libm::sqrt(2.0 * f64::from(SHARE) / (2.0 - f64::from(SHARE)))
    }

    /// When the reference was last reached, ms.
    pub fn since_ms(&self) -> i64 {
        self.since_ms
    }

    /// When the last reading was taken, ms.
    pub fn at_ms(&self) -> i64 {
        self.at_ms
    }

    /// How many readings there were.
    pub fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::HOUR_MS;

    fn noise(step: i64) -> f64 {
        // A fixed, even pattern with a standard deviation of 5.
        [-7.5, 2.5, -2.5, 7.5, -5.0, 5.0, 0.0][(step * 3 % 7) as usize]
    }

    #[test]
    fn noise_and_an_allowed_decline_are_no_fall() {
        let mut fall = Fall::default();
        for step in 0..2_000 {
            fall.add(2_900.0 - 0.02 * step as f64 + noise(step), step * 2 * HOUR_MS, 1.0, 1.0);
            assert!(fall.depth() < 6.0 * fall.noise_of_depth().max(1.0), "{step}: {fall:?}");
        }
        assert!((3.0..9.0).contains(&fall.noise()), "{fall:?}");
    }

    #[test]
    fn a_steeper_decline_adds_up_and_a_rise_ends_it() {
        let mut fall = Fall::default();
        for step in 0..360 {
            let drop = 0.6 * (step - 240).max(0) as f64;
            fall.add(2_900.0 - drop + noise(step), step * 2 * HOUR_MS, 1.0, 1.0);
        }
        // 72 mV lost, 10 allowed in those 10 days, a few behind by smoothing.
        assert!((45.0..72.0).contains(&fall.depth()), "{fall:?}");
        for step in 360..400 {
            fall.add(3_000.0 + noise(step), step * 2 * HOUR_MS, 1.0, 1.0);
        }
        assert!(fall.depth() < 10.0, "{fall:?}");
    }

    #[test]
    fn a_step_is_a_fall_and_no_noise() {
        let mut fall = Fall::default();
        for step in 0..200 {
            fall.add(2_900.0 - if step >= 150 { 200.0 } else { 0.0 } + noise(step), step * 2 * HOUR_MS, 1.0, 1.0);
        }
        assert!(fall.depth() > 180.0 && fall.noise() < 12.0, "{fall:?}");
    }
}
