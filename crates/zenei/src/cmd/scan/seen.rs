//! The bounded state that a scan holds of one sender: its newest values, its recent signal strengths, its rate, its
//! raw bytes. Must not read a clock. Called by `watch`; shown by `table`.
use std::collections::VecDeque;
use zenei_store::StoredMessage;
use zenei_wire::bthome::{Address, Firmware, Set};
use zenei_wire::{Adv, GatewayTime};

/// How many signal strengths are stored for the bars.
pub(super) const STRENGTHS: usize = 32;
/// The window over which advertisements a second are counted, ms. A guess: long enough for a lock that advertises every
/// two seconds.
pub(super) const RATE_OVER_MS: i64 = 10_000;
/// The most times that are stored for the rate: 100 a second.
const MAX_TIMES: usize = 1_000;
/// How many payloads the detail shows.
const RAW: usize = 4;

/// Numbers of advertisements that could not be decoded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unread {
    /// Encrypted, and without a known key.
    pub(crate) no_key: u64,
    /// With a MIC that does not match the key.
    pub(crate) forged: u64,
    /// No BTHome v2.
    pub(crate) broken: u64,
    /// Old ones that were sent again.
    pub(crate) replayed: u64,
}

/// One decoded advertisement.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(super) address: Address,
    pub(super) device: String,
    pub(super) is_trusted: bool,
    pub(super) adv: Adv,
    pub(super) firmware: Option<Firmware>,
}

/// How an advertisement was read.
pub(super) enum Reception<'a> {
    /// It was.
    Read(&'a Read),
    /// An old one.
    Replayed,
    /// Not, and why.
    Unread(String),
}

/// One sender.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) address: Address,
    pub(super) device: String,
    /// Whether its last decoded advertisement was authenticated with its key.
    pub(super) is_trusted: bool,
    pub(super) last: GatewayTime,
    pub(super) adv: Adv,
    pub(super) firmware: Option<Firmware>,
    /// Newest last, dBm.
    pub(super) strengths: VecDeque<i8>,
    times: VecDeque<i64>,
    /// Since the scan began.
    pub(super) heard: u64,
    pub(super) unread: u64,
    pub(super) replayed: u64,
    /// Why the last undecodable one could not be decoded.
    pub(super) trouble: Option<String>,
    /// The last different ones, newest last: when each was last received, and its service data.
    pub(super) raw: VecDeque<(GatewayTime, Vec<u8>)>,
}

impl Seen {
    pub(super) fn new(address: Address, device: String) -> Self {
        Self {
            address,
            device,
            is_trusted: false,
            last: GatewayTime(i64::MIN),
            adv: Adv::default(),
            firmware: None,
            strengths: VecDeque::new(),
            times: VecDeque::new(),
            heard: 0,
            unread: 0,
            replayed: 0,
            trouble: None,
            raw: VecDeque::new(),
        }
    }

    pub(super) fn hear(&mut self, message: &StoredMessage, heard: Reception<'_>) {
        self.last = message.heard_at;
        self.heard += 1;
        push(&mut self.times, message.heard_at.ms(), MAX_TIMES);
        if let Some((&rssi, data)) = message.payload.split_first() {
            let rssi = rssi.cast_signed();
            // 127: the receiver has no value.
            if rssi != i8::MAX {
                push(&mut self.strengths, rssi, STRENGTHS);
            }
            self.raw.retain(|(_, known)| known != data);
            push(&mut self.raw, (message.heard_at, data.to_vec()), RAW);
        }
        match heard {
            Reception::Read(read) => self.read(read),
            Reception::Replayed => self.replayed += 1,
            Reception::Unread(why) => {
                self.unread += 1;
                self.trouble = Some(why);
            }
        }
    }

    fn read(&mut self, read: &Read) {
        self.is_trusted = read.is_trusted;
        let (new, old) = (read.adv, self.adv);
        let reading = zenei_wire::bthome::Reading { adv: new, firmware: read.firmware, unknown: 0 };
        // A set carries all of its fields: a field that is missing from it is unknown from now on.
        self.adv = match reading.set() {
            Set::A if reading.is_whole() => new,
            Set::A => Adv { temp_c: old.temp_c, seq_low: old.seq_low, ..new },
            Set::B => Adv {
                temp_c: new.temp_c,
                seq_low: new.seq_low,
                rssi_dbm: new.rssi_dbm,
                packet_id: new.packet_id,
                counter: new.counter,
                ..old
            },
        };
        self.firmware = read.firmware.or(self.firmware);
    }

    /// Advertisements a second up to `now`.
    pub(super) fn per_second(&self, now: GatewayTime) -> f64 {
        let since = now.ms().saturating_sub(RATE_OVER_MS);
        let lately = self.times.iter().filter(|&&at| at > since).count();
        lately as f64 * 1_000.0 / RATE_OVER_MS as f64
    }
}

fn push<T>(queue: &mut VecDeque<T>, value: T, most: usize) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(value);
}
