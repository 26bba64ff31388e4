//! Which parameters each detector takes: name, unit, range. Called by `rules`, which refuses what is missing, unknown or outside.
use super::DetectorKind;

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
    spec("slope_supply", "1", -20.0, 20.0),
];

const FIRMWARE: [ParameterSpec; 5] = [
    spec("false_alarm", "1", 1e-12, 0.1),
    spec("min_locks", "1", 2.0, 1e6),
    spec("min_ratio", "1", 1.0, 100.0),
    spec("history_days", "d", 0.0, 90.0),
    spec("watch_days", "d", 1.0, 365.0),
];

const DRAIN: [ParameterSpec; 6] = [
    spec("percent_per_day", "percent/d", 0.01, 20.0),
    spec("mv_per_day", "mV/d", 0.01, 100.0),
    spec("percent_min", "percent", 1.0, 100.0),
    spec("mv_min", "mV", 0.0, 2_000.0),
    spec("mv_alone", "mV", 1.0, 2_000.0),
    spec("sigmas", "sigma", 1.0, 100.0),
];

const LEAK: [ParameterSpec; 5] = [
    spec("settle_hours", "h", 0.0, 720.0),
    spec("share_per_day", "1/d", 0.0, 1.0),
    spec("share_min", "1", 0.001, 1.0),
    spec("sigmas", "sigma", 1.0, 100.0),
    spec("horizon_days", "d", 1.0, 365.0),
];

const TROUBLE: [ParameterSpec; 8] = [
    spec("prior_share", "1", 1e-6, 0.5),
    spec("longer", "1", 0.01, 10.0),
    spec("longer_idle", "1", 0.01, 10.0),
    spec("sigmas", "sigma", 1.0, 100.0),
    spec("debounce_minutes", "min", 0.0, 1_440.0),
    spec("usual_per_day", "1/d", 0.1, 10_000.0),
    spec("limit", "nat", 1.0, 100.0),
    spec("count_min", "1", 1.0, 1_000.0),
];

const REBOOTS: [ParameterSpec; 3] =
    [spec("prior_per_day", "1/d", 1e-6, 10.0), spec("limit", "nat", 1.0, 100.0), spec("count_min", "1", 1.0, 1_000.0)];

const LOCK_ERRORS: [ParameterSpec; 4] = [
    spec("prior_per_day", "1/d", 1e-6, 10.0),
    spec("limit", "nat", 1.0, 100.0),
    spec("count_min", "1", 1.0, 1_000.0),
    spec("ratio_min", "1", 1.0, 1_000.0),
];

const SILENCE: [ParameterSpec; 5] = [
    spec("silent_hours", "h", 1.0, 8_760.0),
    spec("multiple", "1", 1.0, 100.0),
    spec("ended_per_year", "1/a", 1e-6, 100.0),
    spec("gateway_locks", "1", 2.0, 1e6),
    spec("gateway_share", "1", 0.1, 1.0),
];

const CLOCK: [ParameterSpec; 3] = [
    spec("error_minutes", "min", 0.1, 525_600.0),
    spec("spread_minutes", "min", 0.01, 1_440.0),
    spec("observed_minutes", "min", 0.0, 10_080.0),
];

const LOSS: [ParameterSpec; 3] =
    [spec("prior_share", "1", 1e-6, 0.5), spec("limit", "nat", 1.0, 100.0), spec("count_min", "1", 1.0, 1_000.0)];

const SCHEMA: [ParameterSpec; 5] = [
    spec("missing_min", "1", 1.0, 255.0),
    spec("overdue_hours", "h", 1.0, 8_760.0),
    spec("multiple", "1", 1.0, 100.0),
    spec("others_min", "1", 1.0, 10_000.0),
    spec("refused_min", "1", 1.0, 10_000.0),
];

/// What a detector takes.
pub(super) const fn of(kind: DetectorKind) -> &'static [ParameterSpec] {
    match kind {
        DetectorKind::BatteryResistance | DetectorKind::MotorEffort | DetectorKind::ProfileShape => &DRIFT,
        DetectorKind::BatteryDrain => &DRAIN,
        DetectorKind::OperationTrouble => &TROUBLE,
        DetectorKind::FirmwareErrors => &FIRMWARE,
        DetectorKind::LockErrors => &LOCK_ERRORS,
        DetectorKind::Reboots => &REBOOTS,
        DetectorKind::MemoryLeak => &LEAK,
        DetectorKind::Silence => &SILENCE,
        DetectorKind::ClockError => &CLOCK,
        DetectorKind::RecordLoss => &LOSS,
        DetectorKind::SchemaDrift => &SCHEMA,
    }
}
