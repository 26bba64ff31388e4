//! The quantities that drift watches: which number of an operation, with which covariates, and its name and unit for
//! people. Must not know locks or rules. Called by `drift`.
use crate::lock::{Operation, WINDING_SHARE};
use serde::{Deserialize, Serialize};

/// The watched quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Internal resistance of the battery, mΩ.
    Resistance,
    /// Charge of one operation, mC.
    Effort,
    /// Distance of the current profile from the lock's own template, percent of the usual one.
    Shape,
}

impl Measure {
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Resistance => "mohm",
            Self::Effort => "mC",
            Self::Shape => "percent",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Resistance => "internal resistance",
            Self::Effort => "charge per operation",
            Self::Shape => "the current profile is unlike its own template:",
        }
    }

    /// The share of the evidence that is left after half a day. A profile's template follows within some fifty
    /// profiles, a month at two a day: what is unlike it for longer, and no finding yet, is the season that it follows
    /// too slowly, and fades as fast. Measured: in 12,300 device-years of the fleet benchmark three sound locks rose
    /// for 35 to 73 days before they were a finding; of 25 worn gears 23 took less than 21, all less than 31.
    pub(super) fn kept(self) -> f64 {
        match self {
            Self::Resistance | Self::Effort => 1.0,
            Self::Shape => 1.0 - 1.0 / 60.0,
        }
    }

    /// What an operation tells of it.
    pub(super) fn read(self, operation: &Operation) -> Option<Reading> {
        let (temp_c, log_speed, direction) = (operation.temp_c, operation.log_speed, operation.direction);
        Some(match self {
            Self::Resistance => {
                let value = libm::log(operation.resistance_ohm? * 1000.0);
                Reading { value, covariates: [temp_c, operation.discharged], direction: 0, by: By::All }
            }
            Self::Effort => {
                let (value, by) = effort(operation)?;
                Reading { value, covariates: [temp_c, log_speed], direction, by }
            }
            Self::Shape => {
                let value = operation.shape? + libm::log(100.0);
                Reading { value, covariates: [temp_c, log_speed], direction, by: By::All }
            }
        })
    }
}

/// A watched number of one operation.
pub(super) struct Reading {
    /// Its logarithm.
    pub(super) value: f64,
    /// Its covariates: °C, and the square of the discharge or the logarithm of a speed.
    pub(super) covariates: [f64; 2],
    /// The direction that has a mean of its own.
    pub(super) direction: usize,
    pub(super) by: By,
}

/// By how much of what it is made of a quantity is told, the best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum By {
    /// By all of it.
    #[default]
    All,
    /// The effort by the mean current, where the run time is not told.
    Current,
    /// The effort by the run time, where the current is not told.
    Time,
}

impl By {
    /// What it is called for people where it is told in part; it has no unit then but its usual value.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::Current => Some("the motor's effort, by its current alone:"),
            Self::Time => Some("the motor's effort, by its run time alone:"),
        }
    }
}

impl By {
    /// How many times the evidence is needed: what is told in part is confirmed by nothing. A guess.
    pub(super) fn evidence(self) -> f64 {
        if self == Self::All { 1.0 } else { 1.25 }
    }

    /// How many times as much of a change of the speed is taken out as its slope says: what is added back of it for a
    /// run time is as uncertain as the rest.
    pub(super) fn reach(self) -> f64 {
        match self {
            Self::All | Self::Current => 1.0,
            Self::Time => 1.0 / WINDING_SHARE,
        }
    }
}

/// The logarithm of the charge; where a model tells the current or the time alone, of the charge that follows from it,
/// up to a constant. A motor turns in proportion to what its winding leaves of the voltage, and so more load takes
/// longer by what the winding's share grows: where that is `w`, of a rise of the charge by one percent the current has
/// `1 - w` and the time `w`. A lower voltage takes longer at the same current.
fn effort(operation: &Operation) -> Option<(f64, By)> {
    if let Some(charge_mc) = operation.charge_mc {
        return Some((libm::log(charge_mc), By::All));
    }
    if let Some(mean_ma) = operation.mean_ma {
        return Some((libm::log(mean_ma) / (1.0 - WINDING_SHARE) - operation.log_speed, By::Current));
    }
    let longer = libm::log(operation.run_ms?) + operation.log_speed;
    Some((longer / WINDING_SHARE - operation.log_speed, By::Time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(mean_ma: Option<f64>, run_ms: Option<f64>, log_speed: f64) -> Operation {
        Operation {
            temp_c: 20.0,
            discharged: 0.0,
            log_speed,
            charge_mc: mean_ma.zip(run_ms).map(|(mean, run)| mean * run / 1000.0),
            mean_ma,
            run_ms,
            resistance_ohm: None,
            shape: None,
            direction: 0,
        }
    }

    #[test]
    fn a_part_of_the_effort_tells_what_the_whole_would() {
        // A motor that loses 0.3 of its voltage in its winding under 300 mA, and then a tenth more load; then a tenth
        // less speed from a lower voltage.
        let heavy = (0.7 / (1.0 - 0.3 * 1.1), 300.0 * 1.1);
        let of = |(longer, mean): (f64, f64), log_speed: f64, told: [bool; 2]| {
            let (mean, run) = (told[0].then_some(mean), told[1].then_some(800.0 * longer));
            Measure::Effort.read(&operation(mean, run, log_speed)).unwrap().value
        };
        let weak = (1.0 / 0.9, 300.0);
        for told in [[true, true], [true, false], [false, true]] {
            let usual = of((1.0, 300.0), 0.0, told);
            assert!((of(heavy, 0.0, told) - usual - 0.139).abs() < 0.01, "{told:?}");
            assert!((of(weak, libm::log(0.9), told) - usual - libm::log(1.0 / 0.9)).abs() < 1e-9, "{told:?}");
        }
        assert!(Measure::Effort.read(&operation(None, None, 0.0)).is_none());
    }
}
