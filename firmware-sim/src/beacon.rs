//! The Bluetooth LE advertisements of a fleet's locks: two sets of BTHome objects in turn, every second or two, plain
//! or encrypted, with the values of each lock's latest records. Also models reception: some advertisements are lost,
//! and the signal strength varies. Must not know what the receiver does with them. Called by `zenei scan --sim` and by
//! tests.
use crate::identity::Identity;
use crate::message::Message;
use crate::rng::{Draws, Purpose};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use zenei_wire::bthome::{self, Address, BindKey, Reading, Set};
use zenei_wire::recording::write_advertisement;
use zenei_wire::{Body, DbMilliwatts, GatewayTime, Heading, LockState, OpKind, OpResult, Record, Topic};

/// The mean time between two advertisements of a lock, ms. A guess: firmware trades battery against discoverability;
/// Apple's guidelines list 1,022.5 ms among the intervals that are discovered well.
const INTERVAL_MS: i64 = 1_022;
/// The most that a controller adds to each interval, ms (Bluetooth Core 5.4, vol. 6 part B, 4.4.2.2.1).
const DELAY_MS: f64 = 10.0;
/// The share of advertisements that a receiver misses: it listens on one of three channels at a time. A guess.
const LOST_SHARE: f64 = 0.2;
/// Strength of the nearest and of the farthest lock, dBm, and how it varies from one to the next. Guesses of a corridor
/// with doors.
const RSSI_DBM: (f64, f64) = (-45.0, -90.0);
const RSSI_SPREAD_DB: f64 = 3.0;

/// How a lock advertises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// Unencrypted.
    Plain,
    /// Encrypted with its key ([`Beacons::key`]).
    Encrypted,
}

/// One advertisement as a receiver gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When, ms since 1970.
    pub at_ms: i64,
    /// The lock's place in [`crate::Fleet::locks`].
    pub lock: usize,
    /// Its address.
    pub address: Address,
    /// Its signal strength.
    pub rssi_dbm: DbMilliwatts,
    /// The service data under UUID 0xFCD2.
    pub service_data: Vec<u8>,
}

/// The radios of a fleet's locks.
#[derive(Debug)]
pub struct Beacons {
    seed: u64,
    beacons: Vec<Beacon>,
    /// When each one sends next.
    queue: BinaryHeap<Reverse<(i64, usize)>>,
}

#[derive(Debug)]
struct Beacon {
    address: Address,
    key: Option<BindKey>,
    said: Reading,
    /// The counter of set A on the air; set B has the next one.
    counter: u32,
    next: Set,
    sent: u64,
    rssi_dbm: f64,
}

impl Beacons {
    /// The radios of these locks, silent until `start_ms`. `secrecy` gives each lock's way of advertising. The same
    /// seed gives the same advertisements, byte for byte.
    pub fn new(locks: &[Identity], seed: u64, start_ms: i64, secrecy: impl Fn(usize) -> Secrecy) -> Self {
        let beacons: Vec<Beacon> = locks
            .iter()
            .enumerate()
            .map(|(lock, identity)| {
                let mut draws = Draws::new(seed, lock, Purpose::Air, 0);
                Beacon {
                    // The registry's address is valid; an invalid one would make a lock that is never received.
                    address: identity.address.parse().unwrap_or(Address([0; 6])),
                    key: (secrecy(lock) == Secrecy::Encrypted).then(|| key(seed, lock)),
                    said: Reading::default(),
                    counter: 1,
                    next: Set::A,
                    sent: 1,
                    rssi_dbm: draws.between(RSSI_DBM.1, RSSI_DBM.0),
                }
            })
            .collect();
        let first = |lock: usize| {
            let phase = Draws::new(seed, lock, Purpose::Air, 1).uniform();
            Reverse((start_ms + (phase * INTERVAL_MS as f64) as i64, lock))
        };
        let queue = (0..beacons.len()).map(first).collect();
        Self { seed, beacons, queue }
    }

    /// The key with which a lock would encrypt.
    pub fn key(&self, lock: usize) -> BindKey {
        key(self.seed, lock)
    }

    /// A lock's address.
    pub fn address(&self, lock: usize) -> Option<Address> {
        self.beacons.get(lock).map(|beacon| beacon.address)
    }

    /// Takes what locks reported: their radios advertise the same values. Messages of a lock in their order; messages
    /// that are not records change nothing.
    pub fn hear(&mut self, messages: &[Message]) {
        for message in messages {
            let (Some(beacon), Ok(Heading::Record(topic))) =
                (self.beacons.get_mut(message.lock), Topic::parse(&message.topic))
            else {
                continue;
            };
            for decoded in zenei_wire::decode(&topic, &message.payload).unwrap_or_default() {
                if let Ok(record) = decoded.record {
                    beacon.learn(&record);
                }
            }
        }
    }

    /// Adds every advertisement that is received after the last call's time and up to `to_ms`, in order of time.
    pub fn advance(&mut self, to_ms: i64, out: &mut Vec<Sent>) {
        while let Some(mut next) = self.queue.peek_mut() {
            let Reverse((at_ms, lock)) = *next;
            let Some(beacon) = self.beacons.get_mut(lock).filter(|_| at_ms <= to_ms) else { break };
            beacon.sent += 1;
            let mut draws = Draws::new(self.seed, lock, Purpose::Air, beacon.sent);
            let (is_lost, delay_ms) = (draws.chance(LOST_SHARE), draws.between(0.0, DELAY_MS));
            let rssi_dbm = (beacon.rssi_dbm + RSSI_SPREAD_DB * draws.normal()).clamp(-100.0, -20.0);
            let service_data = beacon.service_data();
            if !is_lost {
                let rssi_dbm = DbMilliwatts(rssi_dbm as i8);
                out.push(Sent { at_ms, lock, address: beacon.address, rssi_dbm, service_data });
            }
            *next = Reverse((at_ms + INTERVAL_MS + delay_ms as i64, lock));
        }
    }
}

impl Beacon {
    fn learn(&mut self, record: &Record<'_>) {
        let mut said = self.said;
        said.adv.seq_low = record.seq.map(|seq| (seq & 0xFFFF) as u16).or(said.adv.seq_low);
        said.firmware = record.fw.as_deref().and_then(|fw| fw.parse().ok()).or(said.firmware);
        match &record.body {
            Body::State(state) => {
                said.adv.battery_mv = state.battery_mv.or(said.adv.battery_mv);
                said.adv.battery_pct = state.battery_pct.or(said.adv.battery_pct);
                said.adv.temp_c = state.temp_c.or(said.adv.temp_c);
                said.adv.lock_state = state.lock_state.or(said.adv.lock_state);
                said.adv.problem = said.adv.problem.or(Some(false));
            }
            Body::Op(op) => {
                said.adv.peak_ma = op.peak_ma.or(said.adv.peak_ma);
                said.adv.problem = Some(op.result != OpResult::Ok);
                said.adv.lock_state = match (op.op, op.result) {
                    (OpKind::Lock, OpResult::Ok) => Some(LockState::Locked),
                    (OpKind::Unlock, OpResult::Ok) => Some(LockState::Unlocked),
                    (OpKind::Lock | OpKind::Unlock | OpKind::Calibrate, _) => said.adv.lock_state,
                };
            }
            Body::Error(_) | Body::Event(_) | Body::Gateway(_) | Body::Adv(_) => {}
        }
        if said != self.said {
            self.said = said;
            // New values in both sets, under the next two counters.
            self.counter = self.counter.wrapping_add(2);
        }
    }

    /// The next set, as it is on the air.
    fn service_data(&mut self) -> Vec<u8> {
        let set = self.next;
        self.next = set.other();
        let counter = if set == Set::A { self.counter } else { self.counter.wrapping_add(1) };
        let mut reading = self.said;
        reading.adv.packet_id = Some(counter.to_le_bytes()[0]);
        let objects = reading.objects(set);
        match &self.key {
            Some(key) => bthome::sealed(&objects, self.address, key, counter),
            None => bthome::plain(&objects),
        }
    }
}

fn key(seed: u64, lock: usize) -> BindKey {
    let mut draws = Draws::new(seed, lock, Purpose::Key, 0);
    BindKey::new(std::array::from_fn(|_| (draws.uniform() * 256.0) as u8))
}

impl Sent {
    /// Adds the advertisement as a line of a recording.
    pub fn write(&self, out: &mut String) {
        let at = GatewayTime(self.at_ms);
        write_advertisement(&self.address.to_string(), at, Some(self.rssi_dbm), &self.service_data, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fleet, Scenario};
    use zenei_wire::bthome::{Freshness, Half, Listener};

    /// A small fleet whose locks have reported their state, and its radios an hour later.
    fn beacons(secrecy: Secrecy) -> (Beacons, i64, Vec<Message>) {
        let mut scenario = Scenario::demo().unwrap();
        (scenario.locks, scenario.days) = (20, 3.0);
        let mut fleet = Fleet::new(&scenario, 3).unwrap();
        let start_ms = fleet.start_ms() + 86_400_000;
        let (mut messages, mut later) = (Vec::new(), Vec::new());
        fleet.advance(start_ms, &mut messages);
        fleet.advance(start_ms + 6 * 3_600_000, &mut later);
        let mut beacons = Beacons::new(fleet.locks(), 3, start_ms, |_| secrecy);
        beacons.hear(&messages);
        (beacons, start_ms, later)
    }

    fn hear(beacons: &mut Beacons, to_ms: i64) -> Vec<Sent> {
        let mut sent = Vec::new();
        beacons.advance(to_ms, &mut sent);
        sent
    }

    #[test]
    fn every_lock_sends_both_sets_and_its_keys_open_them() {
        let (mut beacons, start_ms, _) = beacons(Secrecy::Encrypted);
        let sent = hear(&mut beacons, start_ms + 60_000);
        // 20 locks for a minute, less the lost ones.
        assert!((700..1_100).contains(&sent.len()), "{}", sent.len());
        let mut sets = [[0; 2]; 20];
        for Sent { lock, address, service_data, rssi_dbm, .. } in &sent {
            assert!(bthome::advertising_data(service_data).is_some() && rssi_dbm.0 < 0);
            let opened = bthome::open(service_data, *address, Some(&beacons.key(*lock))).unwrap();
            assert!(opened.counter.is_some() && bthome::open(service_data, *address, None).is_err());
            sets[*lock][usize::from(opened.reading.set() == Set::A)] += 1;
            let adv = opened.reading.adv;
            assert!(adv.battery_mv.is_some() || adv.temp_c.is_some(), "{adv:?}");
        }
        assert!(sets.iter().flatten().all(|&heard| heard > 5), "{sets:?}");
    }

    #[test]
    fn what_is_new_has_a_new_counter_and_nothing_is_a_replay() {
        for secrecy in [Secrecy::Plain, Secrecy::Encrypted] {
            let (mut beacons, start_ms, later) = beacons(secrecy);
            let mut listeners = vec![Listener::default(); 20];
            let (mut given, mut news) = (0, 0);
            for minute in 1..=360 {
                let to_ms = start_ms + minute * 60_000;
                let said: Vec<Message> =
                    later.iter().filter(|said| (to_ms - 60_000..to_ms).contains(&said.at_ms)).cloned().collect();
                beacons.hear(&said);
                for sent in hear(&mut beacons, to_ms) {
                    let key = beacons.key(sent.lock);
                    let opened = bthome::open(&sent.service_data, sent.address, Some(&key)).unwrap();
                    let adv = zenei_wire::Adv { counter: opened.counter, ..opened.reading.adv };
                    let half = Half { adv, firmware: opened.reading.firmware, at: GatewayTime(sent.at_ms) };
                    let verdict = listeners[sent.lock].hear(half, |_| given += 1);
                    assert_ne!(verdict, Freshness::Replayed);
                    news += usize::from(verdict == Freshness::News);
                }
            }
            assert!(given > 20 * 20 && news > 40, "{given} {news}");
        }
    }

    #[test]
    fn steps_change_nothing_and_an_advertisement_reads_back_from_a_recording() {
        let whole = {
            let (mut beacons, start_ms, _) = beacons(Secrecy::Plain);
            hear(&mut beacons, start_ms + 10_000)
        };
        let (mut beacons, start_ms, _) = beacons(Secrecy::Plain);
        let steps: Vec<Sent> = (1..=10).flat_map(|second| hear(&mut beacons, start_ms + second * 1_000)).collect();
        assert_eq!(steps, whole);
        let mut line = String::new();
        whole[0].write(&mut line);
        let zenei_wire::recording::Line::Advertisement { address, heard_at, rssi_dbm, service_data } =
            zenei_wire::recording::parse_line(&line).unwrap()
        else {
            panic!("{line}")
        };
        let Sent { at_ms, address: from, rssi_dbm: strength, service_data: sent, .. } = &whole[0];
        assert_eq!((address.parse(), heard_at.ms(), rssi_dbm), (Ok(*from), *at_ms, Some(*strength)));
        assert_eq!(&service_data, sent);
    }
}
