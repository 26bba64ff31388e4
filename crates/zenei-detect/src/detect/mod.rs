//! The detectors: a closed list. Each says which parameters it takes, in which unit and range; rules give the values.
pub mod drift;
pub mod firmware_errors;
pub mod lock;

/// Which detector a rule drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectorKind {
    /// Trend of the battery's internal resistance.
    BatteryResistance,
    /// Drift of the motor's effort.
    MotorEffort,
    /// Error rate of a firmware version against matched locks of the others.
    FirmwareErrors,
}

/// A parameter of a detector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParameterSpec {
    /// Its name.
    pub name: &'static str,
    /// Its unit; `1` for a pure number.
    pub unit: &'static str,
    /// The least value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

const fn spec(name: &'static str, unit: &'static str, min: f64, max: f64) -> ParameterSpec {
    ParameterSpec { name, unit, min, max }
}

const DRIFT: [ParameterSpec; 7] = [
    spec("baseline_days", "d", 1.0, 90.0),
    spec("min_operations", "1", 2.0, 10_000.0),
    spec("slack", "sigma", 0.1, 5.0),
    spec("limit", "sigma", 1.0, 100.0),
    spec("min_effect", "1", 0.0, 10.0),
    spec("slope_temperature", "1/K", -0.2, 0.2),
    spec("slope_voltage", "1", -20.0, 20.0),
];

const FIRMWARE: [ParameterSpec; 5] = [
    spec("false_alarm", "1", 1e-12, 0.1),
    spec("min_locks", "1", 2.0, 1e6),
    spec("min_ratio", "1", 1.0, 100.0),
    spec("history_days", "d", 0.0, 90.0),
    spec("watch_days", "d", 1.0, 365.0),
];

impl DetectorKind {
    /// Every detector.
    pub const ALL: [Self; 3] = [Self::BatteryResistance, Self::MotorEffort, Self::FirmwareErrors];

    /// The word in a rule file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BatteryResistance => "battery_resistance",
            Self::MotorEffort => "motor_effort",
            Self::FirmwareErrors => "firmware_errors",
        }
    }

    /// The detector of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What it takes.
    pub const fn parameters(self) -> &'static [ParameterSpec] {
        match self {
            Self::BatteryResistance | Self::MotorEffort => &DRIFT,
            Self::FirmwareErrors => &FIRMWARE,
        }
    }
}
