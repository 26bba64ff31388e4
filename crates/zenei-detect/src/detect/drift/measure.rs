//! The quantities that drift watches: which number of an operation, with which covariates, and its name and unit for
//! people. Must not know locks or rules. Called by `drift`.
use crate::lock::Operation;

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

    /// The logarithm watched, its covariates (°C, and the square of the discharge or the logarithm of a speed) and the
    /// direction that has a mean of its own.
    pub(super) fn read(self, operation: &Operation) -> Option<(f64, [f64; 2], usize)> {
        match self {
            Self::Resistance => {
                let value = libm::log(operation.resistance_ohm? * 1000.0);
                Some((value, [operation.temp_c, operation.discharged], 0))
            }
            Self::Effort => {
                let value = libm::log(operation.charge_mc?);
                Some((value, [operation.temp_c, operation.log_speed], operation.direction))
            }
            Self::Shape => Some((
                operation.shape? + libm::log(100.0),
                [operation.temp_c, operation.log_speed],
                operation.direction,
            )),
        }
    }
}
