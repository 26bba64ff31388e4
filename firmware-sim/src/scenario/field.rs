//! What the field does to a fleet beyond its physics: how links lose, what each model tells, who reports when, chronic
//! nuisances, habits of use, how records are carried. A scenario without it has none of this. Numbers only; must not
//! know random numbers. Called by `scenario`; drawn for a world by `structure`.
use serde::{Deserialize, Serialize};

/// The structure of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The world's number.
    pub world: u64,
    /// Share of locks whose hub, app, board, lot and firmware follow their site and model instead of chance, 0 to 1.
    pub ties: f64,
    /// What each model tells, in the order of the models.
    pub told: Vec<Told>,
    /// How links lose.
    pub loss: Losses,
    /// What is nobody's fault and stays.
    pub nuisance: Nuisances,
    /// Noise that lasts.
    pub wander: Wander,
    /// Who uses doors how.
    pub habits: Habits,
    /// How records are carried.
    pub carriage: Carriages,
    /// Versions that report a code under another name.
    #[serde(default)]
    pub rename: Vec<Rename>,
    /// How much earlier a rollout reaches the locks that are used most, 0 (by chance) to 1.
    pub eager: f64,
}

/// What one model tells, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// What it does not tell.
    pub hidden: Vec<Quantity>,
    /// Step of the told charge, percent, 1 to 50.
    pub percent_step: f64,
    /// When it reports.
    pub beat: BeatHabit,
    /// Change below which the thermometer and the voltmeter tell the old value, °C and mV.
    pub dead_c: f64,
    /// The same of the voltage, mV.
    pub dead_mv: f64,
    /// Memory that work takes and gives back, bytes, and its period, hours.
    pub saw_b: f64,
    /// The period, hours.
    pub saw_h: f64,
    /// Mean number of further reports of an error that follow the first at once.
    pub clump: f64,
    /// Whether they are one record with a count.
    pub counted: bool,
}

/// What a model may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the contract's field names; the last three: a label that few records carry")]
pub enum Quantity {
    BatteryMv,
    BatteryPct,
    BatteryMinMv,
    PeakMa,
    MeanMa,
    CurrentMa,
    DurationMs,
    AngleErrDeg,
    TempC,
    RssiDbm,
    FreeHeapB,
    ResetReason,
    ClientOfState,
    ClientOfOp,
    FwOfOp,
}

/// When a model reports its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeatHabit {
    /// By its clock.
    Clock,
    /// By its clock, and not from midnight to six.
    Waking,
    /// After use, at most once in the interval, and once a day.
    AfterUse,
}

/// How links lose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Losses {
    /// Share of locks that lose much all their life.
    pub chronic_share: f64,
    /// The most that they lose; the least is a tenth of it.
    pub chronic_loss: f64,
    /// Loss at -70 dBm; it grows by a factor e for every `per_db` below, and falls above.
    pub radio_loss: f64,
    /// See `radio_loss`, dB.
    pub per_db: f64,
    /// Factor of it in the gateway's busy hours.
    pub busy: f64,
    /// Mean number of bursts a lock and day; locks differ.
    pub bursts_per_day: f64,
    /// Mean length of a burst, hours.
    pub burst_h: f64,
    /// Share that a burst loses.
    pub burst_loss: f64,
    /// Share of records that come twice.
    pub doubled: f64,
}

/// What is nobody's fault and stays: each with the share of locks that have it and how strong it is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named as the struct says")]
pub struct Nuisances {
    pub stiff_share: f64,
    /// Factor of friction.
    pub stiff: f64,
    pub jam_share: f64,
    /// Share of a lock's closings that meet something.
    pub jam: f64,
    pub restart_share: f64,
    /// Restarts a day beyond the version's.
    pub restarts_per_day: f64,
    pub error_share: f64,
    /// Factor of error rates.
    pub errors: f64,
}

/// Noise that lasts, and tails of noise that does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wander {
    /// Standard deviation of friction over days (humidity, season), share.
    pub friction: f64,
    /// Of the voltage at rest, mV.
    pub rest_mv: f64,
    /// Of the radio, dB.
    pub rssi_db: f64,
    /// Days over which it holds.
    pub days: f64,
    /// Share of operations whose scatter is three times as wide.
    pub tails: f64,
}

/// Who uses doors how, beside the services' habits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Habits {
    /// Share of locks of rented rooms: busy for some days, then empty.
    pub rental_share: f64,
    /// Mean days of a stay or a gap.
    pub stay_days: f64,
    /// Share of locks whose users live by other hours.
    pub shifted_share: f64,
    /// Share of locks that are nearly never used, and by which factor.
    pub idle_share: f64,
    /// The factor.
    pub idle: f64,
    /// Share of locks whose heartbeat's interval is changed in the run.
    pub retimed_share: f64,
    /// The factor of the interval then.
    pub retimed: f64,
}

/// How records are carried from locks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carriages {
    /// Share of locks without a gateway: phones take their records along.
    pub phone_share: f64,
    /// Share of gateways that pass records on in batches.
    pub batch_share: f64,
    /// Their interval, minutes.
    pub batch_min: f64,
    /// Share of gateways through which every record comes later.
    pub slow_share: f64,
    /// By how much, minutes.
    pub slow_min: f64,
    /// Share of gateways that send some records twice.
    pub doubling_share: f64,
    /// The share of records.
    pub doubling: f64,
}

/// A version that reports a code under another name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// The version.
    pub version: String,
    /// The old name.
    pub from: String,
    /// The new one.
    pub to: String,
}
