//! The input and output types of intake and pipeline: a decoded record with what the gateway adds to it, and the row
//! that stores and detectors read. Must not know how records are decoded or stored. Used by the decoders, intake, the
//! pipeline, the engine and stores.
use crate::fleet::{DeviceIx, Sym};
use serde::{Deserialize, Serialize};
use zenei_wire::{Body, DeviceTime, EngineTime, GatewayTime, Name, Record};

/// A decoded record, with what the gateway adds to it.
#[derive(Clone, Debug)]
pub struct Heard<'a> {
    /// The site of the topic.
    pub site: Name<'a>,
    /// The device of the topic.
    pub device: Name<'a>,
    /// The record.
    pub record: Record<'a>,
    /// Identity of a record without `(boot, seq)` ([`zenei_wire::event_identity`]); 0 for all others, and for an
    /// advertisement as it is received: that is half of a record, which gets its identity when it is merged.
    pub identity: u128,
    /// When the gateway received it.
    pub heard_at: GatewayTime,
    /// Offset of its message in the spool (for a recording: its line number from 0).
    pub offset: u64,
    /// Position within its message, from 0.
    pub index: u16,
    /// Whether its source may speak for this device; records of an unauthenticated source never open an incident alone.
    pub authenticated: bool,
}

/// What describes a lock: this record's value, else the lock's last reported one, else the registry's. [`Sym::NONE`]
/// where it is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the contract's field names")]
pub struct Labels {
    pub model: Sym,
    pub hw_rev: Sym,
    pub lot: Sym,
    pub fw: Sym,
    pub service: Sym,
    pub gw: Sym,
    pub client_version: Sym,
}

/// How a record's numbers relate to those that its lock used before (telemetry contract).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Succession {
    /// As expected: next, after a hole, or late.
    #[default]
    Usual,
    /// They were heard before, with another kind or device time.
    Reused,
    /// They are behind the newest ones, although the record is later than all others by both clocks.
    Backward,
    /// They are far beyond the newest ones.
    Ahead,
    /// It begins a new life that the lock did not announce.
    Restarted,
}

/// One record as intake releases it: once, in order within its lock (but for late ones), stamped with what describes
/// the lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The lock.
    pub device: DeviceIx,
    /// The site of this record's topic.
    pub site: Sym,
    /// Restart counter; `None` together with `seq` where the device has none.
    pub boot: Option<u32>,
    /// Record counter within the boot.
    pub seq: Option<u32>,
    /// Identity of a record without `(boot, seq)`; 0 for all others.
    pub identity: u128,
    /// In which life of the lock it was made: how many ended before. Set by intake.
    pub life: u32,
    /// How its numbers relate to those before. Set by intake.
    pub succession: Succession,
    /// The device's clock.
    pub ts: DeviceTime,
    /// When the gateway received it.
    pub heard_at: GatewayTime,
    /// When intake released it.
    pub released_at: EngineTime,
    /// Offset of its message in the spool.
    pub offset: u64,
    /// Position within its message.
    pub index: u16,
    /// A higher `(boot, seq)` of this lock was released before, or its numbers are far beyond the newest: it is for
    /// stores and aggregates, and for detectors that count what comes late.
    pub late: bool,
    /// Whether its source may speak for this device.
    pub authenticated: bool,
    /// What describes the lock.
    pub labels: Labels,
    /// Seconds since this boot.
    pub uptime_s: Option<u32>,
    /// Its content.
    pub body: Body<'static>,
}

/// A record of boot 1 that was received and released when it was made, of a lock without labels.
#[cfg(test)]
pub(crate) fn test_row(device: DeviceIx, seq: u32, at_ms: i64, body: Body<'static>) -> Row {
    Row {
        device,
        site: Sym::NONE,
        boot: Some(1),
        seq: Some(seq),
        identity: 0,
        life: 0,
        succession: Succession::Usual,
        ts: DeviceTime(at_ms),
        heard_at: GatewayTime(at_ms),
        released_at: EngineTime(at_ms),
        offset: 0,
        index: 0,
        late: false,
        authenticated: true,
        labels: Labels::default(),
        uptime_s: None,
        body,
    }
}

/// A hole in `seq`: records of one boot that never arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The lock.
    pub device: DeviceIx,
    /// The boot.
    pub boot: u32,
    /// First missing `seq`.
    pub from_seq: u32,
    /// Last missing `seq`.
    pub to_seq: u32,
    /// When intake gave up waiting.
    pub at: EngineTime,
}

/// A record that can't be read, from a source that may speak for its lock. It shows that the lock is alive, and nothing
/// was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The lock of its topic.
    pub device_id: String,
    /// When the gateway received it.
    pub heard_at: GatewayTime,
}

/// An [`Unreadable`] of a known lock, as the engine takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableRow {
    /// The lock.
    pub device: DeviceIx,
    /// When it was received.
    pub at: EngineTime,
}

/// A record that arrived once more, the same content under the same numbers; or an advertisement that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeated {
    /// The lock.
    pub device: DeviceIx,
    /// Restart counter and record counter; 0 where the device has none.
    pub place: (u32, u32),
    /// The device's clock.
    pub ts: DeviceTime,
    /// When it arrived again.
    pub at: EngineTime,
    /// Whether it is an old advertisement, which somebody may have recorded: it was heard, and nothing of it is known.
    pub is_refused: bool,
}

/// The asset registry's entry for a lock; an empty text is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract's field names")]
pub struct Registered<'a> {
    pub device_id: &'a str,
    pub model: &'a str,
    pub hw_rev: &'a str,
    pub lot: &'a str,
    pub service: &'a str,
    pub gateway: &'a str,
}

/// Decoded messages, as the pipeline takes them. How a stream is split into portions changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portion<'a> {
    /// The records, in order of receipt.
    pub heard: &'a [Heard<'a>],
    /// The records that can't be read, in any order.
    pub unreadable: &'a [Unreadable],
    /// When the last message was received, where that is later than the last record; else `None`.
    pub until: Option<GatewayTime>,
}

impl<'a> Portion<'a> {
    /// Records alone; time goes on to `until`.
    pub const fn new(heard: &'a [Heard<'a>], until: GatewayTime) -> Self {
        Self { heard, unreadable: &[], until: Some(until) }
    }
}

/// What intake released, in order, and what it found on the way. Reused between calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The released rows.
    pub rows: Vec<Row>,
    /// Holes given up.
    pub gaps: Vec<Gap>,
    /// How many records were dropped as duplicates.
    pub duplicates: u64,
    /// Records that can't be read, of known locks and sources that may speak for them; in order of time.
    pub unreadable: Vec<UnreadableRow>,
    /// Records of locks that were dropped as duplicates, and trusted advertisements that were refused, in order of
    /// time; advertisements that were heard twice, and what is not trusted, are left out.
    pub repeated: Vec<Repeated>,
    /// How many of `rows` are late.
    pub late: u64,
    /// How many of the late ones have numbers that were heard before, with other content.
    pub reused: u64,
    /// How many new lives of locks began.
    pub lives: u64,
    /// How many fields are not in the contract.
    pub unknown_fields: u64,
    /// How many advertisements were refused as replays.
    pub replayed: u64,
    /// How many advertisements were refused because too many unregistered devices send.
    pub strangers: u64,
}

impl Batch {
    /// Empties it, keeping the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.gaps.clear();
        self.duplicates = 0;
        self.unreadable.clear();
        self.repeated.clear();
        self.late = 0;
        self.reused = 0;
        self.lives = 0;
        self.unknown_fields = 0;
        self.replayed = 0;
        self.strangers = 0;
    }
}
