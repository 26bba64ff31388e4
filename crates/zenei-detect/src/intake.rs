//! Intake: each record once, in order within its lock, stamped with what describes the lock.
//!
//! Answers: was this heard before, does it continue its lock's sequence, how long does a hole wait, what is missing for good.
//! The only room that relates the times of lock, gateway and engine. Must not know detectors or stores. Called by `line`.
use crate::batch::{Batch, Gap, Heard, Labels, Row};
use crate::fleet::{DeviceIx, Fleet, Registration};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use zenei_wire::{EngineTime, Record, Text};

/// How long a hole is waited for, in ms of hearing (telemetry contract).
pub const HOLE_WAIT_MS: i64 = 120_000;
/// The most records of one lock that wait; beyond it the oldest hole is given up at once. Two full backlogs (1,000 records each).
pub const MAX_HELD_PER_LOCK: usize = 2_000;
/// The most records of all locks that wait; beyond it the hole that waits longest is given up at once. About 80 MB; a guess.
pub const MAX_HELD: u64 = 200_000;
/// The most holes remembered of one lock, so that a late record is told from one heard before. Beyond it the oldest is forgotten, and what comes
/// for it counts as heard before. A guess: a lock with 256 open holes has lost more than its order.
pub const MAX_MISSING: usize = 256;
/// How many identities are remembered of a lock that has no `(boot, seq)`. Redelivery comes within seconds; a lock reports every few minutes. A guess.
pub const MAX_RECENT: usize = 64;

/// The state of all locks' sequences.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Intake {
    now: EngineTime,
    lanes: Vec<Lane>,
    deadlines: BTreeSet<(EngineTime, DeviceIx)>,
    held: u64,
    missing: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    boot: u32,
    seq: u32,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    said: Labels,
    registered: Labels,
    first_boot: u32,
    newest: Option<Place>,
    missing: Vec<Missing>,
    held: Vec<(Place, Row)>,
    waits_since: EngineTime,
    recent: Vec<u128>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Missing {
    boot: u32,
    from: u32,
    to: u32,
    /// Between heard records of one boot: a loss. Before the first one of a boot nobody knows.
    counted: bool,
}

impl Intake {
    /// Takes one record at time `now`; releases it and what waited for it, or lets it wait.
    pub fn take(&mut self, heard: &Heard<'_>, now: EngineTime, fleet: &mut Fleet, batch: &mut Batch) {
        self.now = self.now.max(now);
        let device = fleet.number(heard.device.as_str());
        let at = device.0 as usize;
        if self.lanes.len() <= at {
            self.lanes.resize_with(at + 1, Lane::default);
        }
        batch.unknown_fields += u64::from(heard.record.unknown_fields);
        let row = row_of(heard, device, fleet);
        match (heard.record.boot, heard.record.seq) {
            (Some(boot), Some(seq)) => self.take_in_sequence(Place { boot, seq }, row, batch),
            (None, _) | (_, None) => self.take_loose(row, batch),
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

    /// When the next hole has waited long enough.
    pub fn next_deadline(&self) -> Option<EngineTime> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// How many records wait at a hole.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// How many `seq` numbers are missing between heard ones of one boot, by now.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// The latest time that intake was told.
    pub fn now(&self) -> EngineTime {
        self.now
    }

    /// What the asset registry says of a lock.
    pub fn register(&mut self, registration: &Registration, fleet: &mut Fleet) {
        let at = fleet.number(&registration.device_id).0 as usize;
        if self.lanes.len() <= at {
            self.lanes.resize_with(at + 1, Lane::default);
        }
        self.lanes[at].registered = Labels {
            model: fleet.intern(&registration.model),
            hw_rev: fleet.intern(&registration.hw_rev),
            lot: fleet.intern(&registration.lot),
            service: fleet.intern(&registration.service),
            gw: fleet.intern(&registration.gateway),
            ..Labels::default()
        };
    }

    fn take_loose(&mut self, mut row: Row, batch: &mut Batch) {
        let lane = &mut self.lanes[row.device.0 as usize];
        if !lane.remember(row.identity) {
            batch.duplicates += 1;
            return;
        }
        row.released_at = self.now;
        lane.stamp(&mut row);
        batch.rows.push(row);
    }

    fn take_in_sequence(&mut self, place: Place, row: Row, batch: &mut Batch) {
        let device = row.device;
        let lane = &mut self.lanes[device.0 as usize];
        match lane.newest {
            Some(newest) if place <= newest => self.take_behind(place, row, batch),
            Some(newest) if place.boot == newest.boot && place.seq - newest.seq == 1 => {
                self.release(place, row, batch);
                self.follow(device, batch);
            }
            None if place.seq == 0 && lane.held.first().is_none_or(|&(first, _)| place < first) => {
                self.release(place, row, batch);
                self.follow(device, batch);
            }
            Some(_) | None => self.hold(place, row, batch),
        }
    }

    /// A record behind the newest one released: it fills a hole that was given up, or it was heard before.
    fn take_behind(&mut self, place: Place, mut row: Row, batch: &mut Batch) {
        let lane = &mut self.lanes[row.device.0 as usize];
        let hole = lane.missing.iter().position(|m| m.boot == place.boot && (m.from..=m.to).contains(&place.seq));
        let new = match hole {
            Some(at) => {
                let filled = lane.missing.remove(at);
                let before = Missing { to: place.seq.wrapping_sub(1), ..filled };
                let after = Missing { from: place.seq + 1, counted: true, ..filled };
                self.missing -= u64::from(filled.counted);
                if filled.to > place.seq {
                    lane.missing.insert(at, after);
                    if !filled.counted {
                        self.missing += u64::from(after.to - after.from + 1);
                    }
                }
                if filled.from < place.seq {
                    lane.missing.insert(at, before);
                }
                true
            }
            None => place.boot < lane.first_boot && lane.remember(u128::from(place.boot) << 32 | u128::from(place.seq)),
        };
        if !new {
            batch.duplicates += 1;
            return;
        }
        row.late = true;
        row.released_at = self.now;
        let said = lane.said;
        lane.stamp(&mut row);
        lane.said = said;
        batch.late += 1;
        batch.rows.push(row);
    }

    fn hold(&mut self, place: Place, row: Row, batch: &mut Batch) {
        let device = row.device;
        let lane = &mut self.lanes[device.0 as usize];
        let Err(at) = lane.held.binary_search_by_key(&place, |&(place, _)| place) else {
            batch.duplicates += 1;
            return;
        };
        if lane.held.is_empty() {
            lane.waits_since = self.now;
            self.deadlines.insert((self.now.plus_ms(HOLE_WAIT_MS), device));
        }
        // Until its release a row keeps here since when it waits.
        lane.held.insert(at, (place, Row { released_at: self.now, ..row }));
        self.held += 1;
        if lane.held.len() > MAX_HELD_PER_LOCK {
            let deadline = lane.waits_since.plus_ms(HOLE_WAIT_MS);
            self.give_up(deadline, device, batch);
        }
    }

    /// Releases what waits before and at the record whose wait ends at `deadline`, then what follows it without a hole.
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

    /// Releases what continues the newest record without a hole.
    fn follow(&mut self, device: DeviceIx, batch: &mut Batch) {
        let lane = &self.lanes[device.0 as usize];
        if lane.held.is_empty() {
            return;
        }
        let deadline = lane.waits_since.plus_ms(HOLE_WAIT_MS);
        loop {
            let lane = &self.lanes[device.0 as usize];
            let (Some(newest), Some(&(next, _))) = (lane.newest, lane.held.first()) else { break };
            if next.boot != newest.boot || next.seq - newest.seq != 1 {
                break;
            }
            self.release_first(device, batch);
        }
        self.deadlines.remove(&(deadline, device));
        self.settle(device);
    }

    /// Sets the deadline of what still waits.
    fn settle(&mut self, device: DeviceIx) {
        let lane = &mut self.lanes[device.0 as usize];
        if let Some(since) = lane.held.iter().map(|(_, row)| row.released_at).min() {
            lane.waits_since = since;
            self.deadlines.insert((lane.waits_since.plus_ms(HOLE_WAIT_MS), device));
        }
    }

    fn release_first(&mut self, device: DeviceIx, batch: &mut Batch) {
        let lane = &mut self.lanes[device.0 as usize];
        if lane.held.is_empty() {
            return;
        }
        let (place, row) = lane.held.remove(0);
        self.held -= 1;
        self.release(place, row, batch);
    }

    fn release(&mut self, place: Place, mut row: Row, batch: &mut Batch) {
        let lane = &mut self.lanes[row.device.0 as usize];
        let (from, counted) = match lane.newest {
            Some(newest) if newest.boot == place.boot => (newest.seq + 1, true),
            Some(_) => (0, false),
            None => {
                lane.first_boot = place.boot;
                (0, false)
            }
        };
        if from < place.seq {
            lane.missing.push(Missing { boot: place.boot, from, to: place.seq - 1, counted });
            if lane.missing.len() > MAX_MISSING {
                lane.missing.remove(0);
            }
            if counted {
                self.missing += u64::from(place.seq - from);
                let (device, to_seq) = (row.device, place.seq - 1);
                batch.gaps.push(Gap { device, boot: place.boot, from_seq: from, to_seq, at: self.now });
            }
        }
        lane.newest = Some(place);
        row.released_at = self.now;
        lane.stamp(&mut row);
        batch.rows.push(row);
    }
}

impl Lane {
    /// Notes an identity; false where it was noted before.
    fn remember(&mut self, identity: u128) -> bool {
        if self.recent.contains(&identity) {
            return false;
        }
        if self.recent.len() >= MAX_RECENT {
            self.recent.remove(0);
        }
        self.recent.push(identity);
        true
    }

    /// Fills the row's labels: its own, else what the lock last said, else the registry's.
    fn stamp(&mut self, row: &mut Row) {
        let labels = &mut row.labels;
        for (own, said, registered) in [
            (&mut labels.model, &mut self.said.model, self.registered.model),
            (&mut labels.hw_rev, &mut self.said.hw_rev, self.registered.hw_rev),
            (&mut labels.lot, &mut self.said.lot, self.registered.lot),
            (&mut labels.fw, &mut self.said.fw, self.registered.fw),
            (&mut labels.service, &mut self.said.service, self.registered.service),
            (&mut labels.gw, &mut self.said.gw, self.registered.gw),
            (&mut labels.client_version, &mut self.said.client_version, self.registered.client_version),
        ] {
            if own.0 != 0 {
                *said = *own;
            } else if said.0 != 0 {
                *own = *said;
            } else {
                *own = registered;
            }
        }
    }
}

fn row_of(heard: &Heard<'_>, device: DeviceIx, fleet: &mut Fleet) -> Row {
    let record: &Record<'_> = &heard.record;
    let mut sym = |text: &Option<Text<'_>>| fleet.intern(text.as_deref().unwrap_or(""));
    let labels = Labels {
        model: sym(&record.model),
        hw_rev: sym(&record.hw_rev),
        lot: sym(&record.lot),
        fw: sym(&record.fw),
        service: sym(&record.service),
        gw: sym(&record.gw),
        client_version: sym(&record.client_version),
    };
    Row {
        device,
        site: fleet.intern(heard.site.as_str()),
        boot: record.boot,
        seq: record.seq,
        identity: heard.identity,
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
