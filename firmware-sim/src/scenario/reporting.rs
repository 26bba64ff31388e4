//! The parameters of what a lock reports: radio, noise of its instruments, spread between locks, how often it reports
//! and fails, and what gateways report. Read from a scenario's TOML; must not know random numbers. Called by
//! `scenario`.
use serde::{Deserialize, Serialize};

/// The link to the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Radio {
    /// Mean signal strength over the locks, dBm.
    pub rssi_dbm: f64,
    /// Standard deviation between locks, dB.
    pub rssi_spread_db: f64,
    /// Standard deviation from record to record, dB.
    pub rssi_noise_db: f64,
    /// Median time from event to message, ms.
    pub delay_ms: f64,
    /// Standard deviation of its logarithm.
    pub delay_sigma: f64,
    /// Offline periods per lock and day.
    pub offline_per_day: f64,
    /// Median length, minutes.
    pub offline_min: f64,
    /// Standard deviation of its logarithm.
    pub offline_sigma: f64,
    /// Longest, minutes.
    pub offline_min_max: f64,
    /// Median share of records that never arrive, and of those that come twice; 0 to 0.01.
    pub loss_share: f64,
    /// Standard deviation of its logarithm between locks.
    pub loss_sigma: f64,
}

/// Observation noise (standard deviations) and the steps of the converters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// Of `battery_mv`, mV.
    pub rest_mv: f64,
    /// Of `battery_min_mv`, mV.
    pub load_mv: f64,
    /// Step of the voltage converter, mV.
    pub step_mv: f64,
    /// Of currents, share of the value.
    pub current_share: f64,
    /// Of currents, mA.
    pub current_ma: f64,
    /// Of `duration_ms`, ms.
    pub duration_ms: f64,
    /// Of `temp_c`, °C.
    pub temp_c: f64,
    /// Step of the thermometer, °C.
    pub step_c: f64,
    /// Of `angle_err_deg`, degrees.
    pub angle_deg: f64,
    /// Of `free_heap_b`, bytes.
    pub heap_b: f64,
}

/// How locks, and operations of one lock, differ. "sigma" is the standard deviation of a factor's logarithm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Sigma of friction between locks.
    pub friction: f64,
    /// Sigma of friction between operations of one lock.
    pub op_friction: f64,
    /// Share of operations with somebody leaning on the door.
    pub lean_share: f64,
    /// Mean rise of the bolt's friction then.
    pub lean_friction: f64,
    /// Share of operations against a door that is not closed.
    pub ajar_share: f64,
    /// Sigma of the motor's resistance between locks.
    pub motor_ohm: f64,
    /// Sigma of the battery's resistance between locks.
    pub battery_ohm: f64,
    /// Lowest state of charge at the start of the run.
    pub soc_min: f64,
    /// Highest state of charge at the start of the run.
    pub soc_max: f64,
    /// Standard deviation of the voltage converter's gain.
    pub voltage_gain: f64,
    /// Standard deviation of the current sense's gain.
    pub current_gain: f64,
    /// Standard deviation of the thermometer's offset, °C.
    pub temp_offset_c: f64,
    /// Room temperature behind the door, °C.
    pub indoor_c: f64,
    /// Least share of the outdoor temperature in the lock's.
    pub outdoor_min: f64,
    /// Largest share of the outdoor temperature in the lock's.
    pub outdoor_max: f64,
    /// Sigma of operations per day between locks.
    pub ops: f64,
    /// Sigma of error rates between locks.
    pub errors: f64,
}

/// What is reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Share of operations with a current profile.
    pub profile_share: f64,
    /// Most samples of a profile, 2 to 64.
    pub profile_samples: usize,
    /// Finest spacing of a profile, ms.
    pub profile_step_ms: f64,
}

/// How strongly failures show; the strength of each fault multiplies these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Share of the travel from which a misaligned bolt rubs, 0 to 1.
    pub rub_from: f64,
    /// How far a misaligned bolt ends from its place, degrees.
    pub rub_deg: f64,
    /// How often a worn tooth engages in one travel.
    pub teeth: usize,
    /// Resistance that a worn brush adds, Ω.
    pub brush_ohm: f64,
    /// Fall of the pack's voltage when one cell has collapsed, mV.
    pub cell_mv: f64,
    /// Relative rise of the cells' resistance then.
    pub cell_ohm: f64,
    /// How much later remote requests come through a late gateway, ms.
    pub congested_ms: f64,
    /// Locks reconnect within so many minutes after their gateway is back.
    pub reconnect_min: f64,
    /// Change of the signal when a door was rehung, dB.
    pub moved_db: f64,
}

/// What gateways report about themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayReports {
    /// Their version.
    pub version: String,
    /// Interval, minutes, 1 to 360.
    pub every_min: f64,
    /// Median latency of the cloud's API, ms.
    pub api_ms: f64,
    /// Failed calls of it a day.
    pub api_errors_per_day: f64,
    /// How long the broker waits before it publishes a lost gateway's last will, seconds.
    pub will_s: f64,
}
