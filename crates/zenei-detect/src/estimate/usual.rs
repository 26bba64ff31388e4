//! What the locks of a model have in common: what their batteries lose a day, and how their voltage follows the
//! temperature. Must not know a rule. Called by the detector `drain`.
use super::course::Usual;
use serde::{Deserialize, Serialize};

/// Lock-days of the prior loss. A guess: a week of a few locks outweighs it.
const PRIOR_DAYS: f64 = 50.0;
/// How far the losses of like locks differ, as a share of their mean: they are used once to ten times a day. A guess.
const SPREAD: f64 = 0.6;
/// Weight of the prior slope over temperature, K² of summed squares: a hundred readings at a spread of 5 K. A guess.
const PRIOR_WEIGHT_K2: f64 = 2_500.0;
/// The prior slope, mV per K: the open-circuit voltage of lithium manganese dioxide and of alkaline pairs falls by half
/// to one millivolt a kelvin of cooling.
const PRIOR_MV_PER_K: f64 = 0.8;

/// What the locks of a model have in common.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Model {
    /// By the firmware's estimate, percent.
    pub percent: Loss,
    /// By the voltage at rest, mV.
    pub mv: Loss,
    /// Of the voltage over temperature.
    pub slope: Slope,
}

/// What they lose.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Loss {
    lost: f64,
    days: f64,
}

impl Loss {
    /// Takes a loss and its days.
    pub fn add(&mut self, ended: Option<(f64, f64)>) {
        if let Some((lost, days)) = ended {
            self.lost += lost;
            self.days += days;
        }
    }

    /// What is usual; the prior counts as some lock-days.
    pub fn usual(&self, prior_per_day: f64) -> Usual {
        let per_day = (self.lost + PRIOR_DAYS * prior_per_day) / (self.days + PRIOR_DAYS);
        // A pack that recovers in summer gains nothing: a tenth of the prior is lost at least.
        let per_day = per_day.max(0.1 * prior_per_day);
        Usual { per_day, spread: SPREAD * per_day }
    }
}

/// Millivolts per kelvin, from differences of neighbouring readings: a slow discharge has no influence.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Slope {
    squares: f64,
    products: f64,
}

impl Slope {
    /// Takes a step of temperature, K, and the step of the voltage with it, mV.
    pub fn add(&mut self, step_c: f64, step_mv: f64) {
        self.squares += step_c * step_c;
        self.products += step_c * step_mv;
    }

    /// mV per K.
    pub fn get(&self) -> f64 {
        (self.products + PRIOR_WEIGHT_K2 * PRIOR_MV_PER_K) / (self.squares + PRIOR_WEIGHT_K2)
    }
}
