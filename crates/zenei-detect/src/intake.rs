//! Intake: each record once, in order within its lock, stamped with what describes the lock.
//!
//! Answers: is this record a duplicate, does it continue its lock's sequence, in which of the lock's lives was it made,
//! how long does a hole wait, which records are finally missing. It sets the engine time at which a row is released;
//! `pipeline` and `adverts` convert gateway times to engine times. Must not know detectors or stores. Called by
//! `pipeline`.
mod behind;
mod lane;
mod past;
mod place;
mod sequence;

use crate::batch::{Batch, Gap, Heard, Labels, Registered, Repeated, Row, Succession};
use crate::fleet::{DeviceIx, Fleet};
use lane::Lane;
pub use lane::MAX_RECENT;
use place::{Place, Seen, is_installed};
pub use sequence::{MAX_BOOTS, MAX_MISSING};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use zenei_wire::{Body, EngineTime, Record, Text};

/// How long intake waits for the records of a hole, in ms of the time of receipt (telemetry contract).
pub const HOLE_WAIT_MS: i64 = 120_000;
/// The most records of one lock that wait; beyond it the oldest hole is given up at once. Two full backlogs (1,000
/// records each).
pub const MAX_HELD_PER_LOCK: usize = 2_000;
/// The most records of all locks that wait; beyond it the hole that waits longest is given up at once. About 80 MB; a
/// guess.
pub const MAX_HELD: u64 = 200_000;
/// The state of all locks' sequences.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Intake {
    now: EngineTime,
    lanes: Vec<Lane>,
    deadlines: BTreeSet<(EngineTime, DeviceIx)>,
    held: u64,
    missing: u64,
}

impl Intake {
    /// Takes one record at time `now`; releases it and the records that waited for it, or lets it wait.
    pub fn take(&mut self, heard: &Heard<'_>, now: EngineTime, fleet: &mut Fleet, batch: &mut Batch) {
        let device = fleet.number(heard.device.as_str());
        batch.unknown_fields += u64::from(heard.record.unknown_fields);
        let said = self.lanes.get(device.0 as usize).map_or(Labels::default(), |lane| lane.said);
        self.take_row(row_of(heard, device, said, fleet), now, batch);
    }

    /// Takes a row that was made elsewhere, as [`Intake::take`] takes a record.
    pub(crate) fn take_row(&mut self, row: Row, now: EngineTime, batch: &mut Batch) {
        batch.rows.push(row);
        self.take_last(now, batch);
    }

    /// Takes the last row of the batch, which is not released yet, as [`Intake::take`]. Where it continues its lock's
    /// sequence it stays where it is, as nearly all rows do.
    fn take_last(&mut self, now: EngineTime, batch: &mut Batch) {
        self.now = self.now.max(now);
        let Some(row) = batch.rows.last_mut() else { return };
        let at = row.device.0 as usize;
        if self.lanes.len() <= at {
            self.lanes.resize_with(at + 1, Lane::default);
        }
        let lane = &mut self.lanes[at];
        (row.life, row.succession) = (lane.life, Succession::Usual);
        let seen = Place::of(row).map(|place| Seen::of(place, row));
        if let Some(seen) = seen.filter(|seen| row.authenticated && lane.is_continued_by(seen.place)) {
            lane.order.enter(&seen);
            row.released_at = self.now;
            lane.stamp(row);
            return;
        }
        let Some(row) = batch.rows.pop() else { return };
        match seen {
            seen if !row.authenticated => self.take_untrusted(seen, row, batch),
            Some(seen) => self.take_in_sequence(seen, row, batch),
            None => self.take_loose(row, batch),
        }
        while self.held > MAX_HELD {
            let Some(&(deadline, device)) = self.deadlines.first() else { break };
            self.give_up(deadline, device, batch);
        }
    }

    /// Gives up the holes that have waited long enough at `now`, each at its own time, in order.
    pub fn advance(&mut self, now: EngineTime, batch: &mut Batch) {
        while let Some(&(deadline, device)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            self.now = self.now.max(deadline);
            self.give_up(deadline, device, batch);
        }
        self.now = self.now.max(now);
    }

    /// The time at which the next hole is given up.
    pub fn next_deadline(&self) -> Option<EngineTime> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// How many records wait at a hole.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// How many `seq` numbers are missing between received ones of one boot, by now.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// The latest time that intake was given.
    pub fn now(&self) -> EngineTime {
        self.now
    }

    /// Removes the entries of the asset registry, before it is read again.
    pub fn forget_registry(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.registered = Labels::default());
    }

    /// Removes all state of a lock, waiting records included.
    pub(crate) fn forget(&mut self, device: DeviceIx) {
        let Some(lane) = self.lanes.get_mut(device.0 as usize) else { return };
        self.held -= std::mem::take(lane).held.len() as u64;
        self.deadlines.retain(|&(_, of)| of != device);
    }

    /// Takes the asset registry's entry for a lock.
    pub fn register(&mut self, registered: Registered<'_>, fleet: &mut Fleet) {
        let at = fleet.number(registered.device_id).0 as usize;
        if self.lanes.len() <= at {
            self.lanes.resize_with(at + 1, Lane::default);
        }
        self.lanes[at].registered = Labels {
            model: fleet.intern(registered.model),
            hw_rev: fleet.intern(registered.hw_rev),
            lot: fleet.intern(registered.lot),
            service: fleet.intern(registered.service),
            gw: fleet.intern(registered.gateway),
            ..Labels::default()
        };
    }

    /// A record of a source that may not speak for the lock is released, but neither its place nor its labels affect
    /// other records.
    fn take_untrusted(&mut self, seen: Option<Seen>, mut row: Row, batch: &mut Batch) {
        let lane = &mut self.lanes[row.device.0 as usize];
        if !lane.untrusted.remember(seen.map_or(row.identity as u64, |seen| seen.content)) {
            batch.duplicates += 1;
            return;
        }
        row.released_at = self.now;
        let said = lane.said;
        lane.stamp(&mut row);
        lane.said = said;
        batch.rows.push(row);
    }

    fn take_loose(&mut self, mut row: Row, batch: &mut Batch) {
        let lane = &mut self.lanes[row.device.0 as usize];
        if !lane.recent.remember(row.identity as u64) {
            return self.drop_repeated(&row, batch);
        }
        row.released_at = self.now;
        lane.stamp(&mut row);
        batch.rows.push(row);
    }

    fn drop_repeated(&self, row: &Row, batch: &mut Batch) {
        batch.duplicates += 1;
        if !matches!(row.body, Body::Adv(_)) {
            let place = (row.boot.unwrap_or(0), row.seq.unwrap_or(0));
            batch.repeated.push(Repeated { device: row.device, place, ts: row.ts, at: self.now, is_refused: false });
        }
    }

    fn take_in_sequence(&mut self, seen: Seen, row: Row, batch: &mut Batch) {
        let (device, place) = (row.device, seen.place);
        let lane = &mut self.lanes[device.0 as usize];
        if lane.recent.has(seen.content) {
            return self.drop_repeated(&row, batch);
        }
        if lane.ended(&seen, is_installed(&row)).is_some() {
            return self.take_ended(seen, row, batch);
        }
        if let Some(ahead) = lane.ahead_of(place) {
            self.leap(&ahead, &row, batch);
        }
        let lane = &mut self.lanes[device.0 as usize];
        match lane.order.newest {
            Some(newest) if place <= newest => self.take_behind(seen, row, batch),
            Some(newest) if newest.is_followed_by(place) => {
                lane.trust();
                self.release(seen, row, batch);
                self.follow(device, batch);
            }
            None if place.seq == 0 && lane.held.first().is_none_or(|&(first, _)| place < first) => {
                self.release(seen, row, batch);
                self.follow(device, batch);
            }
            Some(newest) if place.is_far_beyond(newest) => self.take_ahead(seen, row, batch),
            Some(_) | None => self.hold(seen, row, batch),
        }
    }

    fn hold(&mut self, seen: Seen, row: Row, batch: &mut Batch) {
        let (device, place) = (row.device, seen.place);
        let lane = &mut self.lanes[device.0 as usize];
        let at = match lane.held.binary_search_by_key(&place, |&(place, _)| place) {
            Err(at) => at,
            Ok(at) if Seen::of(place, &lane.held[at].1).content == seen.content => {
                return self.drop_repeated(&row, batch);
            }
            Ok(_) => return self.take_reused(seen, row, batch),
        };
        lane.trust();
        if lane.held.is_empty() {
            lane.waits_since = self.now;
            self.deadlines.insert((self.now.plus_ms(HOLE_WAIT_MS), device));
        }
        // Until its release `released_at` holds the time since when the row waits.
        lane.held.insert(at, (place, Row { released_at: self.now, ..row }));
        self.held += 1;
        if lane.held.len() > MAX_HELD_PER_LOCK {
            let deadline = lane.waits_since.plus_ms(HOLE_WAIT_MS);
            self.give_up(deadline, device, batch);
        }
    }

    /// Releases the records up to the one whose wait ends at `deadline`, then those that follow it without a hole.
    fn give_up(&mut self, deadline: EngineTime, device: DeviceIx, batch: &mut Batch) {
        let lane = &self.lanes[device.0 as usize];
        let waited = |row: &Row| row.released_at.plus_ms(HOLE_WAIT_MS) <= deadline;
        let until = lane.held.iter().rposition(|(_, row)| waited(row)).unwrap_or(0);
        for _ in 0..=until {
            self.release_first(device, batch);
        }
        self.deadlines.remove(&(deadline, device));
        self.settle(device);
        self.follow(device, batch);
    }

    /// Releases the records that continue the newest one without a hole.
    fn follow(&mut self, device: DeviceIx, batch: &mut Batch) {
        let lane = &self.lanes[device.0 as usize];
        if lane.held.is_empty() {
            return;
        }
        let deadline = lane.waits_since.plus_ms(HOLE_WAIT_MS);
        loop {
            let lane = &self.lanes[device.0 as usize];
            let (Some(newest), Some(&(next, _))) = (lane.order.newest, lane.held.first()) else { break };
            if !newest.is_followed_by(next) {
                break;
            }
            self.release_first(device, batch);
        }
        self.deadlines.remove(&(deadline, device));
        self.settle(device);
    }

    /// Sets the deadline of the records that still wait.
    fn settle(&mut self, device: DeviceIx) {
        let lane = &mut self.lanes[device.0 as usize];
        if let Some(since) = lane.held.iter().map(|(_, row)| row.released_at).min() {
            lane.waits_since = since;
            self.deadlines.insert((lane.waits_since.plus_ms(HOLE_WAIT_MS), device));
        }
    }

    /// Releases all records of a lock that wait.
    fn release_all(&mut self, device: DeviceIx, batch: &mut Batch) {
        let lane = &self.lanes[device.0 as usize];
        if lane.held.is_empty() {
            return;
        }
        self.deadlines.remove(&(lane.waits_since.plus_ms(HOLE_WAIT_MS), device));
        while !self.lanes[device.0 as usize].held.is_empty() {
            self.release_first(device, batch);
        }
    }

    fn release_first(&mut self, device: DeviceIx, batch: &mut Batch) {
        let lane = &mut self.lanes[device.0 as usize];
        if lane.held.is_empty() {
            return;
        }
        let (place, row) = lane.held.remove(0);
        self.held -= 1;
        self.release(Seen::of(place, &row), row, batch);
    }

    /// Releases a record beyond all others of its lock.
    fn release(&mut self, seen: Seen, mut row: Row, batch: &mut Batch) {
        let lane = &mut self.lanes[row.device.0 as usize];
        if let Some((from_seq, to_seq)) = lane.order.enter(&seen) {
            self.missing += u64::from(to_seq - from_seq) + 1;
            batch.gaps.push(Gap { device: row.device, boot: seen.place.boot, from_seq, to_seq, at: self.now });
        }
        row.released_at = self.now;
        lane.stamp(&mut row);
        batch.rows.push(row);
    }
}

/// A lock mostly says again what it `said` last.
fn row_of(heard: &Heard<'_>, device: DeviceIx, said: Labels, fleet: &mut Fleet) -> Row {
    let record: &Record<'_> = &heard.record;
    let mut sym = |text: &Option<Text<'_>>, likely| fleet.intern_again(text.as_deref().unwrap_or(""), likely);
    let labels = Labels {
        model: sym(&record.model, said.model),
        hw_rev: sym(&record.hw_rev, said.hw_rev),
        lot: sym(&record.lot, said.lot),
        fw: sym(&record.fw, said.fw),
        service: sym(&record.service, said.service),
        gw: sym(&record.gw, said.gw),
        client_version: sym(&record.client_version, said.client_version),
    };
    Row {
        device,
        site: fleet.intern(heard.site.as_str()),
        boot: record.boot,
        seq: record.seq,
        identity: heard.identity,
        life: 0,
        succession: Succession::Usual,
        ts: record.ts,
        heard_at: heard.heard_at,
        released_at: EngineTime::default(),
        offset: heard.offset,
        index: heard.index,
        late: false,
        authenticated: heard.authenticated,
        labels,
        uptime_s: record.uptime_s,
        body: record.body.clone().into_owned(),
    }
}
