//! The record: what one lock reported once. A field that is `None` was not measured; it is never read as zero. Must not
//! know JSON or CBOR; `json` and `cbor` read and write it. Called by every crate that handles records.
use crate::time::DeviceTime;
use crate::units::{Bytes, CentiCelsius, CentiDegrees, DbMilliwatts, Milliamps, Millis, Millivolts, Percent};
use alloc::borrow::Cow;
use serde::{Deserialize, Serialize};

/// A text of a record: borrowed from the payload unless the payload had it escaped. At most 256 bytes, no control
/// characters.
pub type Text<'a> = Cow<'a, str>;

/// The most samples of a motor current profile (telemetry contract).
pub const MAX_PROFILE_SAMPLES: usize = 64;

crate::words!(
    /// The kind of a record: the last level of its topic, but for `adv`.
    Kind {
        State = "state", Op = "op", Error = "error", Event = "event", Gateway = "gateway",
        /// A Bluetooth LE advertisement; received over the air, never by topic:
        Adv = "adv",
    }
);
crate::words!(
    /// Where the bolt is.
    LockState { Locked = "locked", Unlocked = "unlocked", Jammed = "jammed", Moving = "moving", Unknown = "unknown" }
);
crate::words!(
    /// Why the firmware restarted.
    ResetReason {
        PowerOn = "power_on", Watchdog = "watchdog", Brownout = "brownout", HardFault = "hard_fault",
        Software = "software", Ota = "ota", Unknown = "unknown",
    }
);
crate::words!(
    /// The operation requested of the motor.
    OpKind { Lock = "lock", Unlock = "unlock", Calibrate = "calibrate" }
);
crate::words!(
    /// Who asked for an operation.
    OpSource {
        App = "app", Remote = "remote", Keypad = "keypad", Nfc = "nfc", Auto = "auto", Manual = "manual",
        Schedule = "schedule",
    }
);
crate::words!(
    /// How an operation ended.
    OpResult {
        Ok = "ok", Jam = "jam", Stall = "stall", Timeout = "timeout", Aborted = "aborted", Rejected = "rejected",
    }
);
crate::words!(
    /// What happened to a lock.
    EventKind {
        Installed = "installed", BatteryReplaced = "battery_replaced", OtaStarted = "ota_started", OtaDone = "ota_done",
        Moved = "moved", MaintenanceStart = "maintenance_start", MaintenanceEnd = "maintenance_end",
    }
);

impl Kind {
    /// Whether a topic may end with this kind.
    pub const fn has_topic(self) -> bool {
        !matches!(self, Self::Adv)
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<'a> {
    /// The device's clock at the event.
    pub ts: DeviceTime,
    /// Restart counter.
    pub boot: Option<u32>,
    /// Record counter within the boot, from 0.
    pub seq: Option<u32>,
    /// Product model, `bitlock-mini`.
    pub model: Option<Text<'a>>,
    /// Board revision, `C2`.
    pub hw_rev: Option<Text<'a>>,
    /// Production lot, `2024W31`.
    pub lot: Option<Text<'a>>,
    /// Firmware version, `3.2.1`.
    pub fw: Option<Text<'a>>,
    /// Service where the lock is used, `homehub`.
    pub service: Option<Text<'a>>,
    /// Gateway or hub that relayed it.
    pub gw: Option<Text<'a>>,
    /// Version of the app or hub: of `state` that the lock last spoke with, of `op` that asked.
    pub client_version: Option<Text<'a>>,
    /// Seconds since this boot.
    pub uptime_s: Option<u32>,
    /// The fields of this kind of record.
    pub body: Body<'a>,
    /// How many fields of the payload the contract does not name: they are not stored, but counted.
    pub unknown_fields: u16,
}

/// The own part of each kind of record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body<'a> {
    /// Heartbeat.
    State(State),
    /// One motor operation.
    Op(Op),
    /// An error report.
    Error(ErrorReport<'a>),
    /// Something that happened to the lock.
    Event(Event<'a>),
    /// A gateway's report of itself.
    Gateway(GatewayReport<'a>),
    /// The merged content of a lock's advertisements.
    Adv(Adv),
}

/// Heartbeat, every 15 min to 6 h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Battery at rest.
    pub battery_mv: Option<Millivolts>,
    /// The firmware's own estimate.
    pub battery_pct: Option<Percent>,
    /// Board temperature.
    pub temp_c: Option<CentiCelsius>,
    /// Of the link to the gateway.
    pub rssi_dbm: Option<DbMilliwatts>,
    /// Where the bolt is.
    pub lock_state: Option<LockState>,
    /// Of this boot.
    pub reset_reason: Option<ResetReason>,
    /// Free heap memory.
    pub free_heap_b: Option<Bytes>,
}

/// One motor operation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Op {
    /// The requested operation.
    pub op: OpKind,
    /// Who asked.
    pub source: Option<OpSource>,
    /// How it ended.
    pub result: OpResult,
    /// From receiving the request to the end of the motion.
    pub latency_ms: Option<Millis>,
    /// Motor on time, 0 to 65,535 ms.
    pub duration_ms: Option<u16>,
    /// Highest motor current.
    pub peak_ma: Option<Milliamps>,
    /// Mean motor current.
    pub mean_ma: Option<Milliamps>,
    /// Motor current, evenly spaced.
    pub current_ma: Option<Profile>,
    /// Spacing of the profile, ms.
    pub sample_ms: Option<u16>,
    /// Lowest battery voltage under load.
    pub battery_min_mv: Option<Millivolts>,
    /// End position error.
    pub angle_err_deg: Option<CentiDegrees>,
}

impl Op {
    /// An operation without any measurement.
    pub const fn of(op: OpKind, result: OpResult) -> Self {
        Self {
            op,
            source: None,
            result,
            latency_ms: None,
            duration_ms: None,
            peak_ma: None,
            mean_ma: None,
            current_ma: None,
            sample_ms: None,
            battery_min_mv: None,
            angle_err_deg: None,
        }
    }
}

/// An error report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorReport<'a> {
    /// `^[a-z][a-z0-9_]{0,47}$`; the catalogue is open.
    pub code: Text<'a>,
    /// Occurrences since the last record; 1 if the payload has no count.
    pub count: u32,
    /// Free text, untrusted.
    pub detail: Option<Text<'a>>,
}

/// Something that happened to the lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// What happened.
    pub event: EventKind,
    /// Firmware version before an update.
    pub fw_from: Option<Text<'a>>,
    /// Firmware version after an update.
    pub fw_to: Option<Text<'a>>,
}

/// A gateway's or service's report of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GatewayReport<'a> {
    /// Its id; equals the topic's where it is given.
    pub gateway_id: Option<Text<'a>>,
    /// Its version.
    pub version: Option<Text<'a>>,
    /// Messages that wait.
    pub queue_depth: Option<u32>,
    /// Failed publishes since its last report.
    pub publish_errors: Option<u32>,
    /// Failed calls of the cloud API since its last report.
    pub api_errors: Option<u32>,
    /// Latency of the cloud API, ms.
    pub api_latency_ms: Option<u32>,
    /// Locks received since its last report.
    pub locks_heard: Option<u32>,
}

/// The content of a lock's advertisements, both sets of them in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adv {
    /// Battery voltage.
    pub battery_mv: Option<Millivolts>,
    /// The firmware's own estimate.
    pub battery_pct: Option<Percent>,
    /// Board temperature.
    pub temp_c: Option<CentiCelsius>,
    /// The signal strength at the gateway.
    pub rssi_dbm: Option<DbMilliwatts>,
    /// Where the bolt is: locked or unlocked.
    pub lock_state: Option<LockState>,
    /// Highest motor current of the last operation.
    pub peak_ma: Option<Milliamps>,
    /// Whether the firmware reports a problem.
    pub problem: Option<bool>,
    /// Low 16 bits of the newest `seq`: the head of the lock's log.
    pub seq_low: Option<u16>,
    /// Raised with each transmission of new values; wraps.
    pub packet_id: Option<u8>,
    /// Of an encrypted advertisement.
    pub counter: Option<u32>,
}

impl Body<'_> {
    /// A body without values: its required fields are placeholders.
    #[inline]
    pub fn empty(kind: Kind) -> Self {
        match kind {
            Kind::State => Self::State(State::default()),
            Kind::Op => Self::Op(Op::of(OpKind::Lock, OpResult::Ok)),
            Kind::Error => Self::Error(ErrorReport { code: Cow::Borrowed(""), count: 1, detail: None }),
            Kind::Event => Self::Event(Event { event: EventKind::Installed, fw_from: None, fw_to: None }),
            Kind::Gateway => Self::Gateway(GatewayReport::default()),
            Kind::Adv => Self::Adv(Adv::default()),
        }
    }

    /// The kind of record that has this body.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::State(_) => Kind::State,
            Self::Op(_) => Kind::Op,
            Self::Error(_) => Kind::Error,
            Self::Event(_) => Kind::Event,
            Self::Gateway(_) => Kind::Gateway,
            Self::Adv(_) => Kind::Adv,
        }
    }

    /// The same body, owning its texts.
    #[inline]
    pub fn into_owned(self) -> Body<'static> {
        let own = |text: Text<'_>| -> Text<'static> { Cow::Owned(text.into_owned()) };
        match self {
            Self::State(state) => Body::State(state),
            Self::Op(op) => Body::Op(op),
            Self::Error(error) => {
                Body::Error(ErrorReport { code: own(error.code), count: error.count, detail: error.detail.map(own) })
            }
            Self::Event(event) => {
                Body::Event(Event { event: event.event, fw_from: event.fw_from.map(own), fw_to: event.fw_to.map(own) })
            }
            Self::Gateway(report) => Body::Gateway(GatewayReport {
                gateway_id: report.gateway_id.map(own),
                version: report.version.map(own),
                queue_depth: report.queue_depth,
                publish_errors: report.publish_errors,
                api_errors: report.api_errors,
                api_latency_ms: report.api_latency_ms,
                locks_heard: report.locks_heard,
            }),
            Self::Adv(adv) => Body::Adv(adv),
        }
    }
}

/// A motor current profile: up to 64 samples in mA, held inline so that decoding one costs no allocation.
#[derive(Clone, Copy)]
pub struct Profile {
    len: u8,
    samples: [u16; MAX_PROFILE_SAMPLES],
}

impl Profile {
    /// No sample yet.
    pub const EMPTY: Self = Self { len: 0, samples: [0; MAX_PROFILE_SAMPLES] };

    /// The profile of these samples; `None` where there are more than 64.
    pub fn new(samples: &[u16]) -> Option<Self> {
        let mut profile = Self { len: u8::try_from(samples.len()).ok()?, ..Self::EMPTY };
        profile.samples.get_mut(..samples.len())?.copy_from_slice(samples);
        Some(profile)
    }

    /// Adds a sample; false, and nothing added, where 64 are there.
    pub fn push(&mut self, sample_ma: u16) -> bool {
        let Some(slot) = self.samples.get_mut(usize::from(self.len)) else {
            return false;
        };
        *slot = sample_ma;
        self.len += 1;
        true
    }

    /// The samples in mA.
    pub fn samples(&self) -> &[u16] {
        &self.samples[..usize::from(self.len)]
    }
}

impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        self.samples() == other.samples()
    }
}

impl Eq for Profile {}

impl core::fmt::Debug for Profile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.samples().fmt(f)
    }
}

impl Serialize for Profile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.samples().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let samples = alloc::vec::Vec::<u16>::deserialize(deserializer)?;
        Self::new(&samples).ok_or_else(|| serde::de::Error::invalid_length(samples.len(), &"at most 64 samples"))
    }
}
