//! Page's CUSUM: how long and how far a standardized residual has stood above what noise explains. Called by the
//! detector `drift`.
use serde::{Deserialize, Serialize};

/// A two-sided sum of residuals in units of their standard deviation (Page 1954).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cusum {
    /// Evidence for a rise; 0 while there is none.
    pub up: f32,
    /// Evidence for a fall; 0 while there is none.
    pub down: f32,
}

impl Cusum {
    /// Adds one residual `z` (in standard deviations); `slack` is what each step forgives, half of the smallest shift
    /// worth finding.
    pub fn add(&mut self, z: f64, slack: f64) {
        self.up = (f64::from(self.up) + z - slack).max(0.0) as f32;
        self.down = (f64::from(self.down) - z - slack).max(0.0) as f32;
    }

    /// Mean number of steps to a false alarm at `limit` for independent Gaussian residuals, one side (Siegmund 1985).
    pub fn run_length(limit: f64, slack: f64) -> f64 {
        let reach = 2.0 * slack * (limit + 1.166);
        (libm::exp(reach) - reach - 1.0) / (2.0 * slack * slack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::Dice;

    #[test]
    fn noise_within_the_slack_adds_nothing() {
        let mut sum = Cusum::default();
        for z in [0.9, -0.9, 0.5, -1.0] {
            sum.add(z, 1.0);
        }
        assert_eq!(sum, Cusum::default());
    }

    #[test]
    fn a_lasting_shift_adds_up_and_its_end_wears_off() {
        let mut sum = Cusum::default();
        for _ in 0..5 {
            sum.add(3.0, 1.0);
        }
        assert_eq!((sum.up, sum.down), (10.0, 0.0));
        for _ in 0..4 {
            sum.add(0.0, 1.0);
        }
        assert_eq!(sum.up, 6.0);
    }

    #[test]
    fn the_run_length_bound_agrees_with_simulated_noise() {
        // slack 0.5, limit 4: the published mean run length, one side, is 336 (Siegmund's approximation 335.4).
        let bound = Cusum::run_length(4.0, 0.5);
        let mut dice = Dice(7);
        let mut steps = 0.0;
        let runs = 2_000;
        for _ in 0..runs {
            let mut sum = Cusum::default();
            while sum.up < 4.0 {
                sum.add(dice.gauss(), 0.5);
                steps += 1.0;
            }
        }
        let ratio = steps / f64::from(runs) / bound;
        assert!((0.9..1.1).contains(&ratio), "simulated / bound = {ratio}");
    }
}
