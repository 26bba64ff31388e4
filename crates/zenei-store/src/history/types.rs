//! What the history of a fleet is made of: a lock now, its past in buckets, cohorts, gateways, and what can't be read.
//! Must not know SQL or how anything is drawn. Made by the two sources; read by the page, the API and `lock show`.
use serde::Serialize;
use std::collections::BTreeMap;

/// The most buckets that one answer has: as many as a chart on a phone or a desk has pixels to show apart.
pub const POINTS_MAX: usize = 720;
/// The most locks on one page of a list. A guess: a person reads no longer list.
pub const LOCKS_MAX: usize = 500;
/// The most rows that any other list has. A guess.
pub const ROWS_MAX: usize = 1_000;
/// The most motor profiles kept of one lock: what can be told apart when they are drawn over each other.
pub const PROFILES_MAX: usize = 8;
/// The most bytes shown of a dead letter.
pub const SHOWN_BYTES_MAX: usize = 4_096;

/// A lock's past in a window of time, with the lock as it is now.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LockHistory {
    /// The lock now.
    pub now: LockNow,
    /// Its past, ascending by time; spans of time without a record have no bucket. At most [`POINTS_MAX`].
    pub buckets: Vec<Bucket>,
    /// Its changes of firmware within the window, ascending by time.
    pub firmware: Vec<Firmware>,
    /// Its latest motor profiles, whenever they were; the newest first. At most [`PROFILES_MAX`].
    pub profiles: Vec<Profile>,
}

/// A lock now.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LockNow {
    /// The lock.
    pub device_id: String,
    /// Its site.
    pub site: String,
    /// The gateway or hub that relayed its newest record; empty if unknown.
    pub gateway: String,
    /// Its model; empty if unknown.
    pub model: String,
    /// Its board; empty if unknown.
    pub hw_rev: String,
    /// Its production lot; empty if unknown.
    pub lot: String,
    /// Its firmware; empty if unknown.
    pub fw: String,
    /// The service that it is used in; empty if unknown.
    pub service: String,
    /// When its newest record was received, ms since 1970.
    pub heard_ms: i64,
    /// The battery that it reported last, percent.
    pub battery_pct: Option<u8>,
    /// The battery's voltage at rest that it reported last, mV.
    pub battery_mv: Option<u16>,
    /// The signal strength that it reported last, dBm.
    pub rssi_dbm: Option<i8>,
    /// Records kept of it, in all.
    pub records: u64,
    /// Errors in the seven days before its newest record.
    pub errors_7d: u64,
    /// Whether its newest record came from a source that may speak for it.
    pub authenticated: bool,
    /// When its battery must be changed; `None` where its records do not tell.
    pub battery_due: Option<Due>,
}

/// When a battery must be changed, in days after the newest record of the history, with an interval of 90 %. Below 0
/// it is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Due {
    /// 5 % of batteries are due earlier.
    pub early_days: f64,
    /// Half of them are due earlier.
    pub likely_days: f64,
    /// 5 % are due later. Infinite where the decline can't be told from none.
    #[serde(serialize_with = "finite")]
    pub late_days: f64,
}

/// A lock's records in a span of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Bucket {
    /// Where it begins, ms since 1970.
    pub start_ms: i64,
    /// How long it is, ms.
    pub length_ms: i64,
    /// Battery at rest, mV.
    pub battery_mv: Option<Span>,
    /// Battery at its lowest under load, mV.
    pub load_mv: Option<Span>,
    /// Battery, percent as the lock reports it.
    pub battery_pct: Option<Span>,
    /// Sag of the battery by the peak current of the motor, mΩ.
    pub resistance_mohm: Option<Span>,
    /// The motor's peak current, mA.
    pub peak_ma: Option<Span>,
    /// The charge that the motor took for one operation, mC (mA × s).
    pub effort_mc: Option<Span>,
    /// Temperature of the board, °C.
    pub temp_c: Option<Span>,
    /// Signal strength, dBm.
    pub rssi_dbm: Option<Span>,
    /// Records of every kind.
    pub records: u64,
    /// Operations of the motor.
    pub operations: u64,
    /// Of these: jam, stall or timeout.
    pub failed: u64,
    /// Errors by code.
    pub errors: BTreeMap<String, u64>,
    /// The firmware of its newest record; empty if unknown.
    pub fw: String,
}

/// The values of a span of time: its extremes stay visible however wide the span is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Span {
    /// The least.
    pub min: f64,
    /// Their mean.
    pub mean: f64,
    /// The greatest.
    pub max: f64,
    /// How many there are, from 1.
    pub count: u64,
}

/// A change of firmware.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Firmware {
    /// When the first record with the new firmware was received, ms since 1970.
    pub at_ms: i64,
    /// The firmware before.
    pub from: String,
    /// The firmware after.
    pub to: String,
}

/// The motor's current during one operation. When a door was opened is a resident's private matter: shown to those who
/// may see operations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// When it was, ms since 1970.
    pub at_ms: i64,
    /// `lock`, `unlock` or `calibrate`.
    pub kind: String,
    /// Its result, in the contract's word.
    pub result: String,
    /// The current, mA, evenly spaced.
    pub current_ma: Vec<u16>,
    /// The spacing, ms; 0 if unknown.
    pub step_ms: u16,
}

/// What locks can share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// The site.
    Site,
    /// The gateway or hub.
    Gateway,
    /// The model.
    Model,
    /// The board.
    HwRev,
    /// The production lot.
    Lot,
    /// The firmware.
    Fw,
    /// The service.
    Service,
    /// Firmware and board together, as `3.2.1+C2`.
    FwHw,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Site, Self::Gateway, Self::Model, Self::HwRev, Self::Lot, Self::Fw, Self::Service, Self::FwHw];

    /// Its word, as in an incident's scope.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Gateway => "gateway",
            Self::Model => "model",
            Self::HwRev => "hw_rev",
            Self::Lot => "lot",
            Self::Fw => "fw",
            Self::Service => "service",
            Self::FwHw => "fw_hw",
        }
    }

    /// The dimension of a word; `None` for any other word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.as_str() == word)
    }
}

/// What locks that share something did, over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CohortHistory {
    /// Ascending by time; at most [`POINTS_MAX`]. Times are of hearing.
    pub buckets: Vec<CohortBucket>,
}

/// What locks that share something did in a span of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CohortBucket {
    /// Where it begins, ms since 1970.
    pub start_ms: i64,
    /// How long it is, ms.
    pub length_ms: i64,
    /// Locks heard; in a span made of several, the most that one of them had.
    pub locks: u64,
    /// Records.
    pub records: u64,
    /// Operations of motors.
    pub operations: u64,
    /// Of these: jam, stall or timeout.
    pub failed: u64,
    /// Errors by code.
    pub errors: BTreeMap<String, u64>,
    /// Sag of the batteries by the peak current, mΩ.
    pub resistance_mohm: Option<Span>,
    /// The motors' peak current, mA.
    pub peak_ma: Option<Span>,
}

/// Which locks, in which order, which page of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockFilter {
    /// Only this site; so for all that follow.
    pub site: Option<String>,
    /// Only this gateway.
    pub gateway: Option<String>,
    /// Only this model.
    pub model: Option<String>,
    /// Only this board.
    pub hw_rev: Option<String>,
    /// Only this production lot.
    pub lot: Option<String>,
    /// Only this firmware.
    pub fw: Option<String>,
    /// Only this service.
    pub service: Option<String>,
    /// Only ids that contain this text; upper and lower case are the same.
    pub text: Option<String>,
    /// Only locks that reported less battery than this, percent.
    pub battery_below_pct: Option<u8>,
    /// Only locks whose battery is likely due within this time after the history's newest record, days.
    pub due_within_days: Option<u32>,
    /// The order.
    pub sort: LockSort,
    /// [`LockPage::next`] of the page before.
    pub after: Option<String>,
    /// How many locks; at most [`LOCKS_MAX`], 0 is 50.
    pub limit: usize,
}

/// In which order locks are listed; equals by their id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LockSort {
    /// By id.
    #[default]
    Device,
    /// Longest silent first.
    Heard,
    /// Least battery first; those without a value last.
    Battery,
    /// Soonest due first; those that can't be told last.
    Due,
    /// Most errors of seven days first.
    Errors,
    /// Weakest signal first; those without a value last.
    Signal,
}

impl LockSort {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Device, Self::Heard, Self::Battery, Self::Due, Self::Errors, Self::Signal];

    /// Its word, as in a link.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Heard => "heard",
            Self::Battery => "battery",
            Self::Due => "due",
            Self::Errors => "errors",
            Self::Signal => "signal",
        }
    }

    /// The order of a word; `None` for any other word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == word)
    }
}

/// A page of locks.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LockPage {
    /// The locks.
    pub locks: Vec<LockNow>,
    /// How many the filter matches on all pages.
    pub total: u64,
    /// What [`LockFilter::after`] takes for the next page; `None` on the last one.
    pub next: Option<String>,
}

/// Two groups of locks beside each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Compared {
    /// The one.
    pub a: Group,
    /// The other.
    pub b: Group,
    /// What was measured of both.
    pub rows: Vec<ComparedRow>,
}

/// The extent of a group: the denominators of what is compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Group {
    /// What its locks share.
    pub value: String,
    /// Its locks, now or within the window.
    pub locks: u64,
    /// Of these, how many were read and have a record in the window: all, or a sample by a hash.
    pub read: u64,
    /// Days of locks: for each lock that was read, the days on which it was heard.
    pub lock_days: f64,
    /// Their operations.
    pub operations: u64,
    /// Of these: jam, stall or timeout.
    pub failed: u64,
    /// Their errors.
    pub errors: u64,
}

/// One measure of two groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ComparedRow {
    /// What is measured.
    pub what: Measure,
    /// Its unit.
    pub unit: &'static str,
    /// Of the one group; `None` where it has no value.
    pub a: Option<Interval>,
    /// Of the other.
    pub b: Option<Interval>,
    /// The other less the one; an interval without 0 is a difference.
    pub difference: Option<Interval>,
}

/// What two groups are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Failed operations by all operations, 0 to 1.
    FailedShare,
    /// Errors a lock and day.
    ErrorRate,
    /// Sag of the battery by the peak current, mΩ.
    Resistance,
    /// The motor's peak current, mA.
    PeakCurrent,
    /// The charge that the motor takes for one operation, mC.
    Effort,
    /// Battery at rest, mV.
    Battery,
}

/// An estimate with an interval of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// The estimate.
    pub value: f64,
    /// Its upper end.
    pub high: f64,
}

/// A gateway, hub or service now.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GatewayNow {
    /// Its id.
    pub id: String,
    /// Its site; empty if unknown.
    pub site: String,
    /// The version that it reported last; empty if it never did.
    pub version: String,
    /// When it was heard last, by a report of its own or by a record that it relayed, ms since 1970.
    pub heard_ms: i64,
    /// Locks whose newest record it relayed.
    pub locks: u64,
    /// Records of locks that it relayed, in all.
    pub records: u64,
    /// What it reported last of its queue; so for all that follow.
    pub queue_depth: Option<u32>,
    /// Messages that it could not publish.
    pub publish_errors: Option<u32>,
    /// Requests to a service that failed.
    pub api_errors: Option<u32>,
    /// How long a service took to answer, ms.
    pub api_latency_ms: Option<u32>,
    /// Locks that it hears, by its own count.
    pub locks_heard: Option<u32>,
}

/// How well a gateway hears a lock's advertisements, by those that were stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reception {
    /// The lock.
    pub device_id: String,
    /// The gateway.
    pub gateway: String,
    /// Signal strength of the newest one, dBm.
    pub rssi_last_dbm: Option<i8>,
    /// The weakest, dBm.
    pub rssi_min_dbm: Option<i8>,
    /// The strongest, dBm.
    pub rssi_max_dbm: Option<i8>,
    /// How many advertisements were stored.
    pub advertisements: u64,
    /// When the newest one was heard, ms since 1970.
    pub heard_ms: i64,
    /// Whether the newest one proved its sender.
    pub trusted: bool,
}

/// A dead letter, as far as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeadLetterShown {
    /// The contract's reason.
    pub reason: String,
    /// What was found and what was allowed.
    pub detail: String,
    /// The message's topic; untrusted.
    pub topic: String,
    /// When it was received, ms since 1970.
    pub at_ms: i64,
    /// Its first bytes; untrusted. At most [`SHOWN_BYTES_MAX`].
    pub bytes: Vec<u8>,
    /// How many bytes are stored.
    pub length: u64,
    /// Whether more bytes were received than are stored.
    pub cut: bool,
}

impl DeadLetterShown {
    /// What a caller is shown who may not see single operations of residents: of a message about an operation neither
    /// its bytes nor what was found in it.
    #[must_use]
    pub fn without_operations(mut self) -> Self {
        if self.topic.rsplit('/').next() == Some("op") {
            self.bytes.clear();
            "who opened a door when is a resident's private matter: what this message says is shown to a caller whose \
             token was added with --residents"
                .clone_into(&mut self.detail);
        }
        self
    }
}

/// Something that a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// What it is.
    pub kind: HitKind,
    /// Its id or value.
    pub value: String,
    /// How many locks it has; 1 for a lock.
    pub locks: u64,
}

/// What a search can find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HitKind {
    /// A lock.
    Lock,
    /// A value that locks share.
    Cohort(Dimension),
}

/// JSON has no infinity: no end is null.
fn finite<S: serde::Serializer>(days: &f64, to: S) -> Result<S::Ok, S::Error> {
    days.is_finite().then_some(days).serialize(to)
}
