//! Which faults and controls a scenario seeds: one by one, and by a density over the fleet. Families are the fleet
//! benchmark's: H hardware, F firmware, S software, C and H7 harmless. Days count from the start of the run. Must not
//! know random numbers. Called by `scenario` (reading) and `plan` (drawing).
use serde::{Deserialize, Serialize};

/// A seeded fault or control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", deny_unknown_fields)]
pub enum Fault {
    /// Friction of gear and bolt grows by `strength`.
    H1(Growth),
    /// The bolt rubs at the strike, `strength` times its friction more over the last part of the travel, and ends
    /// beside its place.
    H2(Growth),
    /// A brush of the motor loses contact in this share of attempts.
    H3(Growth),
    /// A worn tooth: a bump and a dip in the current of `strength` times the bolt's friction, at the same places of
    /// each travel.
    H4(Growth),
    /// The cells' internal resistance grows by `strength`.
    H5(Growth),
    /// One cell of the pack collapses by this share: rest voltage and resistance step.
    H6(Growth),
    /// Control: a region is colder for some days.
    H7(ColdSnap),
    /// Moisture: `strength` mA leak all the time.
    H8(Growth),
    /// A version whose sleep current is too high.
    F1(Drain),
    /// A version restarts again and again.
    F2(Reboots),
    /// A version reports a code more often; later some operations come late.
    F3(ErrorRate),
    /// A version loses heap until it restarts.
    F4(MemoryLeak),
    /// As F3, on one board revision only.
    F5(ErrorRate),
    /// A gateway is away; with a `strength` above 0 it is present, but passes on what it receives only every so many
    /// minutes.
    S1(Growth),
    /// Requests of one app or hub version meet errors in the cloud.
    S2(CloudErrors),
    /// A field changes its name, type or unit.
    S3(Drift),
    /// A lock's clock jumps by `strength` hours.
    S4(Growth),
    /// This share of a lock's records is lost, and as many others come twice.
    S5(Growth),
    /// A lock works on but is no longer received.
    S6(Growth),
    /// Control: holidays for all users.
    C1(Holiday),
    /// Control: batteries are replaced.
    C2(Replacement),
    /// Control: the door is rehung, with its event: friction differs by `strength`, with a little rub at the strike and
    /// another signal strength.
    C3(Growth),
    /// Control: a lock out of reach keeps its records and sends them later, all in order.
    C5(Growth),
}

/// The families that hit a single lock or gateway, and so can be drawn by a density.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants of `Fault` of the same names say what they are")]
pub enum Single {
    H1,
    H2,
    H3,
    H4,
    H5,
    H6,
    H8,
    S1,
    S4,
    S5,
    S6,
    C2,
    C3,
    C5,
}

/// A quantity of single locks that grows as `strength · x^power`, x from 0 at the onset to 1 at the end of the ramp.
/// H1, H4 and H5 grow on beyond it, the others hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Whether it hits a gateway, so every lock behind it; of S5 only.
    #[serde(default)]
    pub gateway: bool,
    /// How many locks (S1: gateways); the seed chooses.
    #[serde(default = "one")]
    pub count: usize,
    /// This lock (its number; S1: gateway, counted over all sites) instead.
    #[serde(default)]
    pub lock: Option<usize>,
    /// Onset.
    pub day: f64,
    /// Onsets are spread over as many days from `day`.
    #[serde(default)]
    pub day_spread: f64,
    /// Length of the ramp, days; 0: a step.
    #[serde(default)]
    pub ramp_days: f64,
    /// Growth at the end of the ramp; the family defines its unit.
    #[serde(default)]
    pub strength: f64,
    /// Shape of the ramp; 1: a straight line.
    #[serde(default = "straight")]
    pub power: f64,
    /// Days from the onset until it is repaired; absent: it lasts to the end of the run.
    #[serde(default)]
    pub lasts_days: Option<f64>,
}

/// A version that drains the battery (F1). Needs a rollout of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// The faulty version.
    pub version: String,
    /// Factor of the sleep current.
    pub factor: f64,
}

/// A version that restarts (F2). Needs a rollout of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reboots {
    /// The faulty version.
    pub version: String,
    /// Restarts by watchdog and hard fault per lock and day, beside the version's others.
    pub per_day: f64,
    /// How long a lock does not answer after one, seconds.
    pub boot_s: f64,
}

/// A version that reports a code more often (F3, F5). Needs a rollout of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRate {
    /// The faulty version.
    pub version: String,
    /// F5: only on this board revision.
    #[serde(default)]
    pub hw_rev: Option<String>,
    /// The code; it needs a base rate.
    pub code: String,
    /// Factor of its base rate.
    pub factor: f64,
    /// Share of app and remote operations that come late because of the bug.
    pub late_share: f64,
    /// Only when the version has run for so many days without a restart.
    pub late_after_days: f64,
    /// How late, ms.
    pub late_ms: f64,
}

/// A version that loses heap (F4). Needs a rollout of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryLeak {
    /// The faulty version.
    pub version: String,
    /// Bytes lost a day of uptime.
    pub b_per_day: f64,
    /// Free heap below which requests are delayed, bytes.
    pub low_b: f64,
    /// Share of app and remote operations that are delayed then.
    pub late_share: f64,
    /// How late, ms.
    pub late_ms: f64,
    /// How long a lock does not answer after the restart that an empty heap causes, seconds.
    pub boot_s: f64,
}

/// Errors that one app or hub version meets in the cloud (S2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudErrors {
    /// The app or hub version.
    pub client: String,
    /// From when.
    pub day: f64,
    /// How long, days.
    pub days: f64,
    /// The code that the lock reports; it needs a base rate.
    pub code: String,
    /// Share of the version's requests that meet one.
    pub share: f64,
    /// How much later such a request is done, ms.
    pub late_ms: f64,
}

/// A field that breaks the contract (S3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// By every lock with this firmware version, ...
    #[serde(default)]
    pub version: Option<String>,
    /// ... or by every lock whose app or hub has this version and passes its records on.
    #[serde(default)]
    pub client: Option<String>,
    /// From when; with `version` not before a lock runs it.
    pub day: f64,
    /// An unsigned field of `state` or `op`.
    pub field: DriftField,
    /// What happens to it.
    pub how: DriftKind,
}

/// Which field drifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the contract's field names")]
pub enum DriftField {
    BatteryMv,
    BatteryPct,
    FreeHeapB,
    LatencyMs,
    MeanMa,
}

/// How a field drifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// The number becomes a text: the record is refused.
    Text,
    /// The number is in tenths of its unit: ten times as large.
    Tenths,
    /// Another name: the field is lost, an unknown one appears.
    Renamed,
    /// The field stays, an unknown one appears beside it: harmless in itself, but not in the contract.
    Added,
}

/// Holidays (C1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holiday {
    /// First day, whole.
    pub day: f64,
    /// How many days, whole; each is like a Sunday.
    pub days: f64,
    /// Factor of a Sunday's operations.
    pub ops: f64,
}

/// A cold snap (H7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColdSnap {
    /// Where.
    pub region: String,
    /// From when.
    pub day: f64,
    /// How long, days.
    pub days: f64,
    /// How much colder, °C.
    pub drop_c: f64,
}

/// Battery replacements (C2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// How many locks; the seed chooses.
    pub count: usize,
    /// First day.
    pub day: f64,
    /// Days over which they are spread.
    pub days: f64,
}

/// How densely single locks and gateways fail. Precision has no meaning without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Density {
    /// Faults per lock-year, all families with a weight together. The default is a guess: of a hundred locks two fail
    /// in a year.
    #[serde(default = "two_percent")]
    pub rate: f64,
    /// Onsets are uniform over this part of the run, shares from 0 to 1.
    #[serde(default = "most_of_the_run")]
    pub window: [f64; 2],
    /// At least so many of each family, however small the fleet; above 0 it raises the density of a small fleet.
    #[serde(default)]
    pub least: usize,
    /// The families to draw.
    #[serde(default)]
    pub family: Vec<Drawn>,
}

/// One family of a density; all pairs are ranges from which each fault's own value is drawn uniformly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawn {
    /// The family.
    pub family: Single,
    /// Weight among the families without a rate of their own.
    #[serde(default)]
    pub weight: f64,
    /// Its own rate per lock-year instead; for controls.
    #[serde(default)]
    pub rate: Option<f64>,
    /// See [`Growth::strength`].
    #[serde(default)]
    pub strength: [f64; 2],
    /// See [`Growth::ramp_days`].
    #[serde(default)]
    pub ramp_days: [f64; 2],
    /// See [`Growth::power`].
    #[serde(default = "straight_pair")]
    pub power: [f64; 2],
    /// See [`Growth::lasts_days`].
    #[serde(default)]
    pub lasts_days: Option<[f64; 2]>,
    /// See [`Growth::gateway`].
    #[serde(default)]
    pub gateway: bool,
}

impl Fault {
    /// The growth of a family that hits single locks or gateways; a replacement has no strength.
    pub(crate) fn single(&self) -> Option<(Single, Growth)> {
        let (kind, growth) = match self {
            Self::H1(growth) => (Single::H1, growth),
            Self::H2(growth) => (Single::H2, growth),
            Self::H3(growth) => (Single::H3, growth),
            Self::H4(growth) => (Single::H4, growth),
            Self::H5(growth) => (Single::H5, growth),
            Self::H6(growth) => (Single::H6, growth),
            Self::H8(growth) => (Single::H8, growth),
            Self::S1(growth) => (Single::S1, growth),
            Self::S4(growth) => (Single::S4, growth),
            Self::S5(growth) => (Single::S5, growth),
            Self::S6(growth) => (Single::S6, growth),
            Self::C3(growth) => (Single::C3, growth),
            Self::C5(growth) => (Single::C5, growth),
            Self::C2(replacement) => {
                let (count, day, day_spread) = (replacement.count, replacement.day, replacement.days);
                let (lock, ramp_days, strength, power) = (None, 0.0, 0.0, 1.0);
                let lasts_days = Some(0.0);
                let growth =
                    Growth { gateway: false, count, lock, day, day_spread, ramp_days, strength, power, lasts_days };
                return Some((Single::C2, growth));
            }
            Self::H7(_)
            | Self::F1(_)
            | Self::F2(_)
            | Self::F3(_)
            | Self::F4(_)
            | Self::F5(_)
            | Self::S2(_)
            | Self::S3(_)
            | Self::C1(_) => return None,
        };
        Some((kind, growth.clone()))
    }

    /// The version that it makes faulty.
    pub(crate) fn version(&self) -> Option<&str> {
        match self {
            Self::F1(drain) => Some(&drain.version),
            Self::F2(reboots) => Some(&reboots.version),
            Self::F3(rate) | Self::F5(rate) => Some(&rate.version),
            Self::F4(leak) => Some(&leak.version),
            Self::S3(drift) => drift.version.as_deref(),
            Self::H1(_)
            | Self::H2(_)
            | Self::H3(_)
            | Self::H4(_)
            | Self::H5(_)
            | Self::H6(_)
            | Self::H7(_)
            | Self::H8(_)
            | Self::S1(_)
            | Self::S2(_)
            | Self::S4(_)
            | Self::S5(_)
            | Self::S6(_)
            | Self::C1(_)
            | Self::C2(_)
            | Self::C3(_)
            | Self::C5(_) => None,
        }
    }

    /// The cold snap, where the fault is one.
    pub(crate) fn cold_snap(&self) -> Option<&ColdSnap> {
        if let Self::H7(snap) = self { Some(snap) } else { None }
    }
}

impl Single {
    /// The benchmark's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::H1 => "H1",
            Self::H2 => "H2",
            Self::H3 => "H3",
            Self::H4 => "H4",
            Self::H5 => "H5",
            Self::H6 => "H6",
            Self::H8 => "H8",
            Self::S1 => "S1",
            Self::S4 => "S4",
            Self::S5 => "S5",
            Self::S6 => "S6",
            Self::C2 => "C2",
            Self::C3 => "C3",
            Self::C5 => "C5",
        }
    }

    /// The domain and component of the interfaces; `None` for a control.
    pub(crate) fn cause(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::H1 | Self::H4 => Some(("hardware", "gear")),
            Self::H2 => Some(("hardware", "holder")),
            Self::H3 => Some(("hardware", "motor")),
            Self::H5 | Self::H6 => Some(("hardware", "battery")),
            Self::H8 => Some(("hardware", "power_board")),
            Self::S1 => Some(("software", "gateway")),
            // A phone with a wrong clock sets the lock's clock.
            Self::S4 => Some(("software", "app")),
            Self::S5 | Self::S6 => Some(("software", "ble_link")),
            Self::C2 | Self::C3 | Self::C5 => None,
        }
    }

    /// Whether it grows on beyond the end of its ramp.
    pub(crate) fn grows_on(self) -> bool {
        matches!(self, Self::H1 | Self::H4 | Self::H5)
    }
}

impl DriftField {
    /// The contract's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BatteryMv => "battery_mv",
            Self::BatteryPct => "battery_pct",
            Self::FreeHeapB => "free_heap_b",
            Self::LatencyMs => "latency_ms",
            Self::MeanMa => "mean_ma",
        }
    }

    /// The kind of record that has the field.
    pub(crate) fn kind(self) -> zenei_wire::Kind {
        match self {
            Self::BatteryMv | Self::BatteryPct | Self::FreeHeapB => zenei_wire::Kind::State,
            Self::LatencyMs | Self::MeanMa => zenei_wire::Kind::Op,
        }
    }
}

fn one() -> usize {
    1
}

fn straight() -> f64 {
    1.0
}

fn straight_pair() -> [f64; 2] {
    [1.0; 2]
}

fn two_percent() -> f64 {
    0.02
}

fn most_of_the_run() -> [f64; 2] {
    [0.1, 0.7]
}
