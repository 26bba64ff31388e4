//! Classifies the advertisements of one lock as new, repeated or replayed, and merges its two sets into one record. A
//! pure state machine: time is an argument, and its state can be stored. Must not know keys, radios or the registry.
//!
//! The rule. An encrypted advertisement has a counter. The newest counter of its set is a repetition; a counter higher
//! than all before is news; a counter just below the newest that belongs to the other set is the other half of the pair
//! that is on the air; every other counter is a replay. A plain advertisement has a packet id that wraps, and anyone
//! can send one: the same id within [`STORE_EVERY_MS`] is a repetition, every other id is news, and none is a replay.
//!
//! News waits for the other set at most [`PAIR_WAIT_MS`]. The listener yields a merged record if anything except the
//! signal strength has changed since the last one, or if that one is [`STORE_EVERY_MS`] old. Authenticated and plain
//! advertisements of one lock need a listener each. Called by intake's advertisements in `zenei-detect`, which `run`,
//! `replay` and `scan` share.
use super::reading::{Firmware, Reading, Set};
use crate::digest::Id;
use crate::record::Adv;
use crate::time::GatewayTime;
use serde::{Deserialize, Serialize};

/// How long news of one set waits for the other set, ms. A guess: a lock advertises every second or few, its sets in
/// turn, and half of the transmissions may be lost.
pub const PAIR_WAIT_MS: i64 = 60_000;
/// The interval after which an unchanged state is yielded again, ms (telemetry contract).
pub const STORE_EVERY_MS: i64 = 15 * 60_000;

/// The content of one advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Half {
    /// Its fields, with counter and signal strength if it has them.
    pub adv: Adv,
    /// Firmware version.
    pub firmware: Option<Firmware>,
    /// When it was first received.
    pub at: GatewayTime,
}

/// The state of a lock from both sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// The newest of each field; counter and packet id of the later half.
    pub adv: Adv,
    /// Firmware version.
    pub firmware: Option<Firmware>,
    /// When its later half was received; for a repeated state, the time of the repetition.
    pub at: GatewayTime,
}

/// The class of an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Not received before.
    News,
    /// Received before: a lock sends each advertisement many times.
    Again,
    /// An old one that was sent again: it changes nothing.
    Replayed,
}

/// The state machine of one lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    a: Option<Half>,
    b: Option<Half>,
    /// The set whose news waits for the other set.
    waits: Option<Set>,
    given: Option<Merged>,
}

impl Listener {
    /// Takes an advertisement with its time of reception; passes the records to store to `give`: none, one or two.
    pub fn hear(&mut self, half: Half, mut give: impl FnMut(Merged)) -> Freshness {
        let reading = half.reading();
        let set = reading.set();
        let verdict = self.judge(set, &half);
        match verdict {
            Freshness::Replayed => {}
            Freshness::Again => {
                let strength = half.adv.rssi_dbm;
                if let Some(known) = self.half_mut(set) {
                    known.adv.rssi_dbm = strength;
                }
                // The other set is repeated unchanged, so the waiting news is complete.
                if self.waits == Some(set.other()) {
                    self.conclude(half.at, &mut give);
                } else if self.waits.is_none() {
                    self.give(half.at, &mut give);
                }
            }
            Freshness::News => {
                if self.waits == Some(set) {
                    self.conclude(half.at, &mut give);
                }
                *self.slot(set) = Some(half);
                let whole = reading.is_whole() || self.waits == Some(set.other());
                self.waits = Some(set);
                if whole {
                    self.conclude(half.at, &mut give);
                }
            }
        }
        verdict
    }

    /// The time at which the waiting news is yielded without the other set.
    pub fn deadline(&self) -> Option<GatewayTime> {
        let waiting = self.half(self.waits?)?;
        Some(waiting.at.plus_ms(PAIR_WAIT_MS))
    }

    /// Whether news waits for the other set.
    pub fn is_waiting(&self) -> bool {
        self.waits.is_some()
    }

    /// Yields the waiting news, at its deadline.
    pub fn give_up(&mut self, mut give: impl FnMut(Merged)) {
        if let Some(deadline) = self.deadline() {
            self.conclude(deadline, &mut give);
        }
    }

    fn judge(&self, set: Set, half: &Half) -> Freshness {
        let (own, other) = (self.half(set), self.half(set.other()));
        let Some(counter) = half.adv.counter else {
            return own.map_or(Freshness::News, |own| judge_plain(own, half));
        };
        let counter_of = |half: Option<&Half>| half.and_then(|half| half.adv.counter);
        let (own, other) = (counter_of(own), counter_of(other));
        let newest = own.max(other);
        match newest {
            None => Freshness::News,
            Some(newest) if counter > newest => Freshness::News,
            Some(newest) if counter == newest || own == Some(counter) => Freshness::Again,
            Some(newest) if other == Some(newest) && counter + 1 == newest && own < Some(counter) => Freshness::News,
            Some(_) => Freshness::Replayed,
        }
    }

    /// Ends the wait.
    fn conclude(&mut self, now: GatewayTime, give: &mut impl FnMut(Merged)) {
        self.waits = None;
        self.give(now, give);
    }

    /// Yields the merged state if it is to be stored.
    fn give(&mut self, now: GatewayTime, give: &mut impl FnMut(Merged)) {
        let Some(merged) = self.merged() else { return };
        match &self.given {
            Some(given) if merged.says_the_same(given) => {
                if now.ms().saturating_sub(given.at.ms()) < STORE_EVERY_MS {
                    return;
                }
                // The state is unchanged; only the time is new.
                let merged = Merged { at: now, ..merged };
                self.given = Some(merged);
                give(merged);
            }
            Some(_) | None => {
                self.given = Some(merged);
                give(merged);
            }
        }
    }

    /// Both sets in one; `None` before the first advertisement.
    pub fn merged(&self) -> Option<Merged> {
        let (older, newer) = match (self.a, self.b) {
            (Some(a), Some(b)) if b.is_later_than(&a) => (Some(a), b),
            (Some(a), b) => (b, a),
            (None, Some(b)) => (None, b),
            (None, None) => return None,
        };
        let before = older.unwrap_or(Half { adv: Adv::default(), firmware: None, at: newer.at });
        let (new, old) = (newer.adv, before.adv);
        let adv = Adv {
            battery_mv: new.battery_mv.or(old.battery_mv),
            battery_pct: new.battery_pct.or(old.battery_pct),
            temp_c: new.temp_c.or(old.temp_c),
            rssi_dbm: new.rssi_dbm.or(old.rssi_dbm),
            lock_state: new.lock_state.or(old.lock_state),
            peak_ma: new.peak_ma.or(old.peak_ma),
            problem: new.problem.or(old.problem),
            seq_low: new.seq_low.or(old.seq_low),
            packet_id: new.packet_id,
            counter: new.counter,
        };
        Some(Merged { adv, firmware: newer.firmware.or(before.firmware), at: newer.at })
    }

    fn half(&self, set: Set) -> Option<&Half> {
        match set {
            Set::A => self.a.as_ref(),
            Set::B => self.b.as_ref(),
        }
    }

    fn half_mut(&mut self, set: Set) -> Option<&mut Half> {
        self.slot(set).as_mut()
    }

    fn slot(&mut self, set: Set) -> &mut Option<Half> {
        match set {
            Set::A => &mut self.a,
            Set::B => &mut self.b,
        }
    }
}

/// A packet id wraps: received again after a while, it may belong to other values.
fn judge_plain(known: &Half, half: &Half) -> Freshness {
    let same = known.reading().adv == half.reading().adv && known.firmware == half.firmware;
    let is_recent = half.at.ms().saturating_sub(known.at.ms()) < STORE_EVERY_MS;
    let same_id = half.adv.packet_id.is_some() && half.adv.packet_id == known.adv.packet_id;
    if same || (same_id && is_recent) { Freshness::Again } else { Freshness::News }
}

impl Half {
    /// The advertisement's fields as a reading, without those that the radio adds.
    fn reading(&self) -> Reading {
        let adv = Adv { rssi_dbm: None, counter: None, ..self.adv };
        Reading { adv, firmware: self.firmware, unknown: 0 }
    }

    fn is_later_than(&self, other: &Self) -> bool {
        match (self.adv.counter, other.adv.counter) {
            (Some(own), Some(other)) => own > other,
            (Some(_), None) | (None, _) => self.at > other.at,
        }
    }
}

impl Merged {
    /// Identity of this record: [`Id::of`] device id, counter or packet id, the quarter of an hour, and which halves
    /// are in it. Gateways that receive one lock compute equal identities, except for states that are repeated at the
    /// ends of a quarter.
    pub fn identity(&self, device_id: &str) -> u128 {
        let id = match (self.adv.counter, self.adv.packet_id) {
            (Some(counter), _) => [&b"counter"[..], &counter.to_be_bytes()].concat(),
            (None, Some(id)) => [&b"packet"[..], &[id]].concat(),
            (None, None) => b"none".to_vec(),
        };
        let quarter = self.at.ms().div_euclid(STORE_EVERY_MS).to_be_bytes();
        let reading = Reading { adv: self.adv, firmware: self.firmware, unknown: 0 };
        let halves = u8::from(reading.set() == Set::A) | u8::from(reading.has_b()) << 1;
        Id::of(&[device_id.as_bytes(), &id, &quarter, &[halves]]).0
    }

    /// Whether two states do not differ in anything that is worth a record.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let said = |merged: &Self| Adv { rssi_dbm: None, counter: None, packet_id: None, ..merged.adv };
        said(self) == said(other) && self.firmware == other.firmware
    }
}

impl Set {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
