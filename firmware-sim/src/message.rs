//! How a record leaves a lock: it is numbered, labelled and encoded, held while the lock is offline, and sent in order
//! when the lock is back online. Must not know physics. Called by `lock`.
use crate::drift;
use crate::fault::Altered;
use crate::identity::Identity;
use crate::operation::Observed;
use crate::rng::{Draws, Purpose};
use zenei_wire::{Body, DeviceTime, Kind, Name, Record, Text, Topic};

/// The most bytes of one backlog message: the contract's 64 KiB less room for the last record.
const BACKLOG_BYTES_MAX: usize = 60_000;

/// One MQTT message that a lock or a gateway sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// When it arrives, ms since 1970.
    pub at_ms: i64,
    /// Its topic.
    pub topic: String,
    /// JSON or CBOR: one record, or an array of a backlog's records; of a gateway's `online`, `0` or `1`.
    pub payload: Vec<u8>,
    /// Whether it is to be retained (`state` and a gateway's `online`).
    pub retain: bool,
    /// The lock's place in [`crate::Fleet::locks`]; for a gateway's messages, the number of locks plus the gateway's
    /// number.
    pub lock: usize,
}

/// A receiver of a lock's actions: a fleet takes the messages, the truth takes what really happened.
pub(crate) trait Listener {
    /// Whether messages are needed; otherwise none is encoded.
    const MESSAGES: bool;
    fn message(&mut self, message: Message);
    fn operation(&mut self, observed: &Observed);
    fn beat(&mut self, beat: &Beat);
    fn said(&mut self, at_ms: i64, fate: Fate);
    fn runs_version(&mut self, at_ms: i64, version: usize);
}

/// A heartbeat's true values, beside the reported ones, for the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Beat {
    /// Its number; equal in a twin.
    pub(crate) number: u64,
    pub(crate) at_ms: i64,
    /// Voltage at rest without observation noise, mV, and the noise of one observation.
    pub(crate) rest_mv: [f64; 2],
    /// Free heap likewise, bytes.
    pub(crate) heap_b: [f64; 2],
}

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Sent,
    /// Kept until the lock is back.
    Held,
    Lost,
    Doubled,
    /// Sent, but its clock or a field is wrong.
    Altered,
}

/// How records leave a lock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner<'a> {
    /// Nothing of it is received.
    pub(crate) mute: bool,
    /// The share of records that is lost.
    pub(crate) bad_share: f64,
    /// The share that comes twice.
    pub(crate) twice: f64,
    /// How far the lock's clock is ahead, ms.
    pub(crate) clock_ms: i64,
    /// Up to which error of the clock a record counts as right, ms.
    pub(crate) clock_least_ms: i64,
    pub(crate) drift: Option<&'a Altered>,
}

impl Manner<'_> {
    /// Drawn by time and kind: the truth's run without messages numbers records slightly differently.
    fn fate(&self, seed: u64, lock: usize, at_ms: i64, kind: Kind) -> Fate {
        if self.mute {
            return Fate::Lost;
        }
        if self.bad_share + self.twice > 0.0 {
            let mut draws = Draws::new(seed, lock, Purpose::Link, (at_ms as u64) << 3 | kind as u64);
            let drawn = draws.uniform();
            if drawn < self.bad_share {
                return Fate::Lost;
            }
            if drawn < self.bad_share + self.twice {
                return Fate::Doubled;
            }
        }
        let drifts = self.drift.is_some_and(|altered| altered.field.kind() == kind);
        if drifts || self.clock_ms.abs() > self.clock_least_ms { Fate::Altered } else { Fate::Sent }
    }
}

/// The messages of a fleet.
pub(crate) struct Outbox<'a>(pub(crate) &'a mut Vec<Message>);

impl Listener for Outbox<'_> {
    const MESSAGES: bool = true;
    fn message(&mut self, message: Message) {
        self.0.push(message);
    }
    fn operation(&mut self, _: &Observed) {}
    fn beat(&mut self, _: &Beat) {}
    fn said(&mut self, _: i64, _: Fate) {}
    fn runs_version(&mut self, _: i64, _: usize) {}
}

/// A lock's numbering, held records and network state.
#[derive(Clone, Debug)]
pub(crate) struct Speech {
    pub(crate) lock: usize,
    pub(crate) cbor: bool,
    seed: u64,
    pub(crate) boot: u32,
    pub(crate) seq: u32,
    pub(crate) booted_ms: i64,
    pub(crate) offline: bool,
    /// Whether phones take its records along: held records are no sign of anything.
    pub(crate) phone: bool,
    last_ts_ms: i64,
    backlog: Vec<(Kind, Vec<u8>)>,
}

/// Which labels a record carries.
pub(crate) struct Labels<'a> {
    pub(crate) firmware: Option<&'a str>,
    pub(crate) client: Option<&'a str>,
    /// Model, revision, lot, service and gateway too.
    pub(crate) all: bool,
    pub(crate) manner: Manner<'a>,
}

impl Speech {
    pub(crate) fn new(seed: u64, lock: usize, cbor: bool, (boot, seq): (u32, u32), booted_ms: i64) -> Self {
        Self {
            lock,
            cbor,
            seed,
            boot,
            seq,
            booted_ms,
            offline: false,
            phone: false,
            last_ts_ms: i64::MIN,
            backlog: Vec::new(),
        }
    }

    /// A restart: the next record is the first of the next boot.
    pub(crate) fn restart(&mut self, at_ms: i64) {
        self.boot += 1;
        self.seq = 0;
        self.booted_ms = at_ms;
    }

    /// Sends a record of something that happened `delay_ms` ago; now, or when the lock is back online.
    pub(crate) fn say<L: Listener>(
        &mut self,
        identity: &Identity,
        labels: &Labels<'_>,
        at_ms: i64,
        delay_ms: i64,
        body: Body<'_>,
        listener: &mut L,
    ) {
        let (manner, kind, seq) = (&labels.manner, body.kind(), self.seq);
        let fate = self.pass(manner, kind, at_ms, listener);
        if !L::MESSAGES {
            return;
        }
        self.last_ts_ms = (at_ms - delay_ms).max(self.last_ts_ms).max(self.booted_ms.min(at_ms));
        if fate == Fate::Lost {
            return;
        }
        let all = |text| labels.all.then_some(Text::Borrowed(text));
        let record = Record {
            ts: DeviceTime(self.last_ts_ms + manner.clock_ms),
            boot: Some(self.boot),
            seq: Some(seq),
            model: all(identity.model.as_str()),
            hw_rev: all(identity.hw_rev.as_str()),
            lot: all(identity.lot.as_str()),
            fw: labels.firmware.map(Text::Borrowed),
            service: all(identity.service.as_str()),
            gw: all(identity.gateway.as_str()).filter(|gateway| !gateway.is_empty()),
            client_version: labels.client.map(Text::Borrowed),
            uptime_s: Some(u32::try_from((self.last_ts_ms - self.booted_ms).max(0) / 1000).unwrap_or(u32::MAX)),
            body,
            unknown_fields: 0,
        };
        let mut payload = self.encode(identity, kind, &record);
        if let Some(altered) = manner.drift.filter(|altered| altered.field.kind() == kind) {
            drift::alter(&mut payload, self.cbor, altered);
        }
        if self.offline {
            self.backlog.push((kind, payload));
            return;
        }
        let message = self.wrap(identity, at_ms, kind, payload);
        if fate == Fate::Doubled {
            listener.message(message.clone());
        }
        listener.message(message);
    }

    /// Takes the next number, and decides what happens to the record.
    pub(crate) fn pass<L: Listener>(&mut self, manner: &Manner<'_>, kind: Kind, at_ms: i64, listener: &mut L) -> Fate {
        let fate = manner.fate(self.seed, self.lock, at_ms, kind);
        self.seq += 1;
        listener.said(at_ms, if self.offline && !self.phone && fate != Fate::Lost { Fate::Held } else { fate });
        fate
    }

    /// The lock is back online: sends the held records in order, neighbours of one kind as an array.
    pub(crate) fn back<L: Listener>(&mut self, identity: &Identity, at_ms: i64, listener: &mut L) {
        self.offline = self.phone;
        let backlog = std::mem::take(&mut self.backlog);
        let mut rest = backlog.as_slice();
        while let Some((kind, _)) = rest.first() {
            let mut bytes = 0;
            let fits = |(other, payload): &&(Kind, Vec<u8>)| {
                bytes += payload.len() + 1;
                other == kind && bytes < BACKLOG_BYTES_MAX
            };
            let count = rest.iter().take(zenei_wire::MAX_RECORDS).take_while(fits).count().max(1);
            let payload = array(self.cbor, &rest[..count]);
            listener.message(self.wrap(identity, at_ms, *kind, payload));
            rest = &rest[count..];
        }
    }

    fn encode(&self, identity: &Identity, kind: Kind, record: &Record<'_>) -> Vec<u8> {
        let mut payload = Vec::with_capacity(320);
        // Both names were checked with the scenario.
        if let (Ok(site), Ok(device)) = (Name::new(&identity.site), Name::new(&identity.device_id)) {
            let topic = Topic { site, device, kind };
            if self.cbor {
                zenei_wire::cbor::encode(&topic, record, &mut payload);
            } else {
                zenei_wire::json::encode(&topic, record, &mut payload);
            }
        }
        payload
    }

    fn wrap(&self, identity: &Identity, at_ms: i64, kind: Kind, payload: Vec<u8>) -> Message {
        let topic = [zenei_wire::topic::PREFIX, &identity.site, "/", &identity.device_id, "/", kind.as_str()].concat();
        Message { at_ms, topic, payload, retain: kind == Kind::State, lock: self.lock }
    }
}

/// An array of encoded records; a single one is not wrapped.
fn array(cbor: bool, records: &[(Kind, Vec<u8>)]) -> Vec<u8> {
    if let [(_, one)] = records {
        return one.clone();
    }
    let mut bytes = Vec::with_capacity(records.iter().map(|(_, payload)| payload.len() + 1).sum::<usize>() + 3);
    if cbor {
        // RFC 8949, 3.1: major type 4 with its length; at most 1,000 here.
        match records.len() {
            count @ 0..24 => bytes.push(0x80 | count as u8),
            count @ 24..256 => bytes.extend([0x98, count as u8]),
            count => {
                bytes.push(0x99);
                bytes.extend((count as u16).to_be_bytes());
            }
        }
        records.iter().for_each(|(_, payload)| bytes.extend_from_slice(payload));
    } else {
        for (at, (_, payload)) in records.iter().enumerate() {
            bytes.push(if at == 0 { b'[' } else { b',' });
            bytes.extend_from_slice(payload);
        }
        bytes.push(b']');
    }
    bytes
}
