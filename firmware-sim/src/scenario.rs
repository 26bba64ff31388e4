//! What is simulated: the TOML of a scenario, typed, and the physical parameters that it may override. A scenario file
//! is merged over `scenarios/physics.toml` (tables are merged, lists replaced), so that a file holds only its changes
//! and every physical parameter can be changed. Must not know random numbers. Called by all who make a fleet.
use crate::calendar;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod check;
mod fault;
mod field;
mod reporting;

pub use fault::{
    CloudErrors, ColdSnap, Density, Drain, Drawn, Drift, DriftField, DriftKind, ErrorRate, Fault, Growth, Holiday,
    MemoryLeak, Reboots, Replacement, Single,
};
pub use field::{BeatHabit, Carriages, Field, Habits, Losses, Nuisances, Quantity, Rename, Told, Wander};
pub use reporting::{Failure, GatewayReports, Noise, Radio, Report, Spread};

/// Every physical parameter with its source; the base of each scenario.
pub const PHYSICS_TOML: &str = include_str!("../scenarios/physics.toml");
/// The scenario of `zenei demo`.
pub const DEMO_TOML: &str = include_str!("../scenarios/demo.toml");
/// A large fleet with every family of faults and controls at once.
pub const FLEET_TOML: &str = include_str!("../scenarios/fleet.toml");

/// Why a scenario can't be simulated.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// No TOML, an unknown key, or a value of another type.
    #[error("the scenario is no TOML of this kind")]
    Toml(#[from] toml::de::Error),
    /// A name that does not exist in the scenario.
    #[error("{place} names the {what} '{found}'; the scenario has {allowed}")]
    UnknownName {
        /// Which entry refers to it.
        place: String,
        /// What kind of name it should be.
        what: &'static str,
        /// The name found.
        found: String,
        /// The existing names.
        allowed: String,
    },
    /// A number or text outside what is allowed.
    #[error("{place} is {found}; allowed is {allowed}")]
    OutOfRange {
        /// Which key.
        place: String,
        /// The value found.
        found: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

/// A whole scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// First local day, `2026-01-12`; the run starts at its midnight.
    pub start: String,
    /// Local time minus UTC, hours, -14 to 14.
    pub utc_offset_h: f64,
    /// Length of the run, days, above 0.
    pub days: f64,
    /// How many locks.
    pub locks: usize,
    /// The least ratio of the current limit to the highest running current of a lock as it is installed, at 20 °C, 1 to
    /// 10: a door that needs more current is adjusted. Absent: friction has no bound.
    #[serde(default)]
    pub drive_reserve: Option<f64>,
    /// Climates.
    pub region: Vec<Region>,
    /// Places with their gateways.
    pub site: Vec<Site>,
    /// Services, each with its users' habits.
    pub service: Vec<Service>,
    /// Product models.
    pub model: Vec<Model>,
    /// Board revisions.
    pub hw_rev: Vec<HwRev>,
    /// Production lots.
    pub lot: Vec<Lot>,
    /// Battery packs.
    pub battery: Vec<Battery>,
    /// Firmware versions.
    pub firmware: Vec<Firmware>,
    /// Rollouts; one whose version has no fault is harmless (control C4).
    #[serde(default)]
    pub rollout: Vec<Rollout>,
    /// App and hub versions.
    pub client: Vec<Client>,
    /// Base rates of error codes, occurrences per lock and day.
    pub errors: BTreeMap<String, f64>,
    /// What the motor firmware does.
    pub control: Control,
    /// The link to the gateway.
    pub radio: Radio,
    /// Observation noise.
    pub noise: Noise,
    /// How locks, and operations of one lock, differ.
    pub spread: Spread,
    /// What is reported.
    pub report: Report,
    /// How strongly failures show.
    pub failure: Failure,
    /// What gateways report of themselves; absent: nothing.
    #[serde(default)]
    pub gateway_report: Option<GatewayReports>,
    /// What the field does beyond the physics; absent: nothing.
    #[serde(default)]
    pub field: Option<Field>,
    /// Seeded faults and controls.
    #[serde(default)]
    pub fault: Vec<Fault>,
    /// Faults and controls drawn over the fleet.
    #[serde(default)]
    pub faults: Option<Density>,
}

/// A climate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Mean of the year, °C.
    pub mean_c: f64,
    /// Half the difference between summer and winter, °C.
    pub seasonal_c: f64,
    /// Half the difference between afternoon and night, °C.
    pub daily_c: f64,
    /// Standard deviation of the weather fronts, °C.
    pub front_c: f64,
}

/// A place with its gateways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Its name, as in topics.
    pub name: String,
    /// Its climate.
    pub region: String,
    /// How many gateways, 1 or more.
    pub gateways: usize,
    /// Weight among the sites.
    pub share: f64,
}

/// A service with its users' habits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name, as in records.
    pub name: String,
    /// Weight among the services.
    pub share: f64,
    /// Mean operations per lock and weekday.
    pub ops_per_day: f64,
    /// Factor of `ops_per_day` at the weekend.
    pub weekend: f64,
    /// Weight of each local hour on a weekday, 24 numbers.
    pub weekday_hours: [f64; 24],
    /// Weight of each local hour at the weekend, 24 numbers.
    pub weekend_hours: [f64; 24],
    /// Who requests operations.
    pub sources: Sources,
}

/// Weights of the sources of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the contract's words")]
pub struct Sources {
    pub app: f64,
    pub remote: f64,
    pub keypad: f64,
    pub nfc: f64,
    pub auto: f64,
    pub manual: f64,
    pub schedule: f64,
}

/// A product model: its drive and its board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name, as in records.
    pub name: String,
    /// Weight among the models.
    pub share: f64,
    /// Its battery pack.
    pub battery: String,
    /// Armature resistance at 20 °C, Ω.
    pub motor_ohm: f64,
    /// Bridge and wiring, Ω.
    pub driver_ohm: f64,
    /// Back EMF at the output shaft, mV per degree a second.
    pub back_emf_mv_s: f64,
    /// Travel of the bolt at the output shaft, degrees.
    pub travel_deg: f64,
    /// Current that the gear train takes at 20 °C, mA.
    pub gear_ma: f64,
    /// Rise of the gear's friction for each degree colder than 20 °C (grease), per K.
    pub gear_cold_per_k: f64,
    /// Mean current that bolt and strike take, mA.
    pub bolt_ma: f64,
    /// Time constant of the start-up current, ms.
    pub start_ms: f64,
    /// Share of the blocked-rotor current that the start reaches (soft start, inductance).
    pub start_share: f64,
    /// Mean current of sleep and radio, µA.
    pub sleep_ua: f64,
    /// Free heap after start, bytes.
    pub heap_b: f64,
    /// Mean interval of heartbeats, minutes.
    pub state_every_min: f64,
}

/// A board revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HwRev {
    /// Its name, as in records.
    pub name: String,
    /// Weight among the revisions.
    pub share: f64,
    /// Whether it sends CBOR.
    pub cbor: bool,
    /// Factor of the sleep current.
    pub sleep: f64,
}

/// A production lot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lot {
    /// Its name, as in records.
    pub name: String,
    /// Weight among the lots.
    pub share: f64,
    /// Factor of gear and bolt friction.
    pub friction: f64,
    /// Factor of the battery's internal resistance.
    pub battery_ohm: f64,
}

/// A battery pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Battery {
    /// Its name.
    pub name: String,
    /// Capacity, mAh.
    pub capacity_mah: f64,
    /// Open-circuit voltage: pairs of state of charge (1 to 0, falling) and mV.
    pub curve: Vec<[f64; 2]>,
    /// Change of the open-circuit voltage, mV per K above 20 °C.
    pub mv_per_k: f64,
    /// Internal resistance of the cells, full, at 20 °C, Ω.
    pub cell_ohm: f64,
    /// Contacts and leads, Ω.
    pub contact_ohm: f64,
    /// Activation energy of the cells' resistance, kJ/mol.
    pub activation_kj_mol: f64,
    /// Relative rise of the resistance from full to empty, quadratic in what is used.
    pub ohm_rise: f64,
    /// Relative rise at the knee, decaying by `knee_width` of charge above empty.
    pub ohm_knee: f64,
    /// Width of the knee, state of charge.
    pub knee_width: f64,
    /// Polarisation that a charge leaves, mV per mAh.
    pub polarisation_mv_mah: f64,
    /// Its time constant, minutes.
    pub recovery_min: f64,
    /// Self discharge, share per year.
    pub self_discharge_year: f64,
}

/// A firmware version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// Its version, as in records.
    pub version: String,
    /// Weight among the versions at the start of the run; 0: only by rollout.
    pub share: f64,
    /// Spontaneous resets, per lock and day.
    pub resets_per_day: f64,
    /// Factor of the sleep current.
    pub sleep: f64,
    /// Heap that it uses beyond the model's, bytes.
    pub heap_used_b: f64,
}

/// A rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// The new version.
    pub version: String,
    /// Day of the run on which it begins.
    pub day: f64,
    /// Days over which it is spread.
    pub days: f64,
    /// Share of the locks that get it.
    pub share: f64,
    /// Only locks with these versions get it; empty: any.
    #[serde(default)]
    pub from: Vec<String>,
    /// Only locks of this region get it; absent: any.
    #[serde(default)]
    pub region: Option<String>,
}

/// An app or hub version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its version, as in records.
    pub version: String,
    /// Weight among the apps, or among the hubs.
    pub share: f64,
    /// Whether it is a hub (requests with source `remote` or `schedule`) or an app.
    pub hub: bool,
}

/// What the motor firmware does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Supply below which the board resets, mV.
    pub brownout_mv: f64,
    /// Running current above which an attempt ends as a jam, mA.
    pub jam_ma: f64,
    /// Speed below which an attempt ends as a stall, degrees a second.
    pub stall_deg_s: f64,
    /// How long jam or stall must last, ms.
    pub block_ms: f64,
    /// Longest attempt, ms.
    pub attempt_ms_max: f64,
    /// Attempts after the first.
    pub retries: usize,
    /// Pause (and reverse) before another attempt, ms.
    pub backoff_ms: f64,
    /// Factor of the bolt's friction in another attempt: it has been backed off.
    pub retry_friction: f64,
    /// Median time from request to motor on for app, remote and schedule, ms.
    pub secure_ms: f64,
    /// The same for keypad, nfc, auto and manual, ms.
    pub local_ms: f64,
    /// Standard deviation of the logarithm of both.
    pub overhead_sigma: f64,
    /// Share of remote operations that the network delays.
    pub slow_share: f64,
    /// Mean of that delay beyond 1 s, ms.
    pub slow_ms: f64,
    /// `battery_pct` at or below which `low_battery` is reported once a day.
    pub low_battery_pct: f64,
}

impl Scenario {
    /// Reads a scenario: its TOML merged over the embedded physics.
    ///
    /// # Errors
    /// Where it is not TOML, has unknown keys, refers to a name that does not exist, or has a number out of range; see
    /// [`ScenarioError`].
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let mut base: toml::Table = toml::from_str(PHYSICS_TOML)?;
        lay_over(&mut base, toml::from_str(text)?);
        let scenario: Self = base.try_into()?;
        scenario.check()?;
        Ok(scenario)
    }

    /// The scenario of `zenei demo`; the same as `from_toml` of [`DEMO_TOML`].
    ///
    /// # Errors
    /// None with the embedded files, which a test checks.
    pub fn demo() -> Result<Self, ScenarioError> {
        Self::from_toml(DEMO_TOML)
    }

    /// The scenario of the fleet benchmark; the same as `from_toml` of [`FLEET_TOML`].
    ///
    /// # Errors
    /// None with the embedded files, which a test checks.
    pub fn fleet() -> Result<Self, ScenarioError> {
        Self::from_toml(FLEET_TOML)
    }

    pub(crate) fn first_day(&self) -> i64 {
        calendar::parse_date(&self.start).unwrap_or(0)
    }
}

fn lay_over(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_valid_and_as_large_as_promised() {
        let demo = Scenario::demo().unwrap();
        assert!(demo.locks >= 500 && demo.days >= 30.0);
        assert!(demo.firmware.iter().filter(|firmware| firmware.share > 0.0).count() >= 3);
        assert!((20..=25).contains(&demo.site.iter().map(|site| site.gateways).sum::<usize>()));
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let error = Scenario::from_toml(&format!("colour = 1\n{DEMO_TOML}")).unwrap_err();
        let ScenarioError::Toml(cause) = error else { panic!("{error}") };
        assert!(cause.to_string().contains("colour"), "{cause}");
    }

    #[test]
    fn a_physical_parameter_can_be_moved_alone() {
        let text = format!("{DEMO_TOML}\n[noise]\nrest_mv = 9.5\n");
        let moved = Scenario::from_toml(&text).unwrap();
        let mut demo = Scenario::demo().unwrap();
        demo.noise.rest_mv = 9.5;
        assert_eq!(moved, demo);
    }

    #[test]
    fn numbers_that_no_physics_has_are_refused_with_their_place() {
        for (change, place) in [("[noise]\nrest_mv = nan", "noise.rest_mv"), ("[spread]\nops = -0.1", "spread.ops")] {
            let text = Scenario::from_toml(&format!("{DEMO_TOML}\n{change}\n")).unwrap_err().to_string();
            assert!(text.contains(place), "{text}");
        }
        let mut demo = Scenario::demo().unwrap();
        demo.battery[1].cell_ohm = f64::INFINITY;
        let text = demo.check().unwrap_err().to_string();
        assert!(text.contains("battery.1.cell_ohm"), "{text}");
    }

    #[test]
    fn a_name_that_nothing_bears_is_refused_with_those_that_are_there() {
        let mut demo = Scenario::demo().unwrap();
        demo.site[0].region = "atlantis".into();
        let text = demo.check().unwrap_err().to_string();
        assert!(text.contains("atlantis") && text.contains("hokkaido"), "{text}");
    }
}
