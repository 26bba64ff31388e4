//! Advertisements before intake. For each lock it merges the two halves, leaves out repetitions and replays, and emits
//! a row when the state changes or the last row is 15 minutes old. `zenei_wire::bthome::listener` holds the rule for
//! one lock; this file applies it to all locks, each at the time when it is due. Each advertisement is counted once: as
//! a row, as waiting, as a duplicate (repeated, unchanged, or in the same row as its other half), as a replay, or as
//! one of too many strangers. Must not know detectors or stores. Called by `pipeline`.
use crate::batch::{Batch, Heard, Labels, Row, Succession};
use crate::fleet::{DeviceIx, Fleet, Sym};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use zenei_wire::bthome::{Firmware, Freshness, Half, Listener, Merged};
use zenei_wire::{Adv, Body, EngineTime, GatewayTime};

/// The most unregistered devices whose advertisements are accepted. Anybody can send under any address, and each
/// address costs memory for ever. A guess: a busy street has some hundred.
pub const MAX_STRANGERS: usize = 4_096;

/// A sender: a lock, and whether its key authenticated the advertisement. A plain advertisement in a lock's name must
/// not change the state that its key has built.
type Speaker = (DeviceIx, bool);

/// All listeners.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Adverts {
    ears: BTreeMap<Speaker, Ear>,
    deadlines: BTreeSet<(EngineTime, Speaker)>,
    strangers: usize,
    /// Marks of the registered keys; read again at each start.
    #[serde(skip)]
    marks: BTreeMap<DeviceIx, u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ear {
    listener: Listener,
    /// The mark of the key whose counters the listener follows.
    mark: u64,
    site: Sym,
    /// Offset and index of the last message that was news.
    place: (u64, u16),
}

impl Adverts {
    /// Sets the key that a lock encrypts with. With a new key its counters start anew.
    pub(crate) fn provision(&mut self, device: DeviceIx, mark: u64) {
        self.marks.insert(device, mark);
    }

    /// Removes the keys, before they are registered again.
    pub(crate) fn forget_keys(&mut self) {
        self.marks.clear();
    }

    /// Removes the advertisement state of a device, waiting advertisements included.
    pub(crate) fn forget(&mut self, device: DeviceIx) {
        self.ears.retain(|&(of, _), _| of != device);
        self.deadlines.retain(|&(_, (of, _))| of != device);
    }

    /// Takes one advertisement and its record; appends to `rows` the rows that intake is to take.
    pub(crate) fn take(
        &mut self,
        heard: &Heard<'_>,
        adv: Adv,
        fleet: &mut Fleet,
        batch: &mut Batch,
        rows: &mut Vec<Row>,
    ) {
        batch.unknown_fields += u64::from(heard.record.unknown_fields);
        // A device that is registered, or that sent other records, has a number already.
        let is_stranger = !heard.authenticated && fleet.find(heard.device.as_str()).is_none();
        if is_stranger && self.strangers >= MAX_STRANGERS {
            batch.strangers += 1;
            return;
        }
        self.strangers += usize::from(is_stranger);
        let speaker = (fleet.number(heard.device.as_str()), heard.authenticated);
        let (site, mark) = (fleet.intern(heard.site.as_str()), self.mark(speaker));
        self.renew(speaker, mark, fleet, batch, rows);
        let place = (heard.offset, heard.index);
        let ear = self.ears.entry(speaker).or_insert_with(|| Ear { listener: Listener::default(), mark, site, place });
        ear.site = site;
        let firmware = heard.record.fw.as_deref().and_then(|fw| fw.parse::<Firmware>().ok());
        let (waited, due) = (ear.listener.is_waiting(), due_at(&ear.listener));
        let before = ear.place;
        let mut given = Vec::new();
        let verdict = ear.listener.hear(Half { adv, firmware, at: heard.heard_at }, |merged| given.push(merged));
        if verdict == Freshness::News {
            ear.place = place;
        }
        let waits = ear.listener.is_waiting();
        // A half that waited in vain for the other set keeps the position of its own message.
        let first = if given.len() > 1 || (waited && waits) { before } else { place };
        let row_count = given.len() as i64;
        for (at, merged) in given.into_iter().enumerate() {
            rows.push(row(&merged, speaker, site, if at == 0 { first } else { place }, fleet));
        }
        match verdict {
            Freshness::Replayed => batch.replayed += 1,
            Freshness::News | Freshness::Again => {
                let elsewhere = row_count + i64::from(waits) - i64::from(waited);
                batch.duplicates += u64::try_from(1 - elsewhere).unwrap_or(0);
            }
        }
        let now_due = due_at(&ear.listener);
        self.reschedule(speaker, due, now_due);
    }

    /// Ends the wait of the advertisement with the earliest deadline, and appends its row.
    pub(crate) fn give_up(&mut self, fleet: &mut Fleet, batch: &mut Batch, rows: &mut Vec<Row>) {
        if let Some(&(_, speaker)) = self.deadlines.first() {
            self.end_wait(speaker, fleet, batch, rows);
        }
    }

    /// When the next wait ends.
    pub(crate) fn next_deadline(&self) -> Option<EngineTime> {
        self.deadlines.first().map(|&(due, _)| due)
    }

    /// How many advertisements wait for their other half.
    pub(crate) fn held(&self) -> u64 {
        self.deadlines.len() as u64
    }

    fn mark(&self, (device, is_trusted): Speaker) -> u64 {
        if is_trusted { self.marks.get(&device).copied().unwrap_or(0) } else { 0 }
    }

    /// Starts anew where the key has changed.
    fn renew(&mut self, speaker: Speaker, mark: u64, fleet: &mut Fleet, batch: &mut Batch, rows: &mut Vec<Row>) {
        if self.ears.get(&speaker).is_some_and(|ear| ear.mark != mark) {
            self.end_wait(speaker, fleet, batch, rows);
            self.ears.remove(&speaker);
        }
    }

    fn end_wait(&mut self, speaker: Speaker, fleet: &mut Fleet, batch: &mut Batch, rows: &mut Vec<Row>) {
        let Some(ear) = self.ears.get_mut(&speaker) else { return };
        let due = due_at(&ear.listener);
        let (site, place, before) = (ear.site, ear.place, rows.len());
        ear.listener.give_up(|merged| rows.push(row(&merged, speaker, site, place, fleet)));
        if due.is_some() && rows.len() == before {
            batch.duplicates += 1;
        }
        self.reschedule(speaker, due, None);
    }

    fn reschedule(&mut self, speaker: Speaker, before: Option<EngineTime>, now: Option<EngineTime>) {
        if let Some(before) = before {
            self.deadlines.remove(&(before, speaker));
        }
        if let Some(now) = now {
            self.deadlines.insert((now, speaker));
        }
    }
}

fn due_at(listener: &Listener) -> Option<EngineTime> {
    listener.deadline().map(|due| due.as_engine())
}

fn row(merged: &Merged, (device, authenticated): Speaker, site: Sym, place: (u64, u16), fleet: &mut Fleet) -> Row {
    let fw = merged.firmware.map_or(Sym::NONE, |firmware| fleet.intern(&firmware.to_string()));
    Row {
        device,
        site,
        boot: None,
        seq: None,
        identity: merged.identity(fleet.device_id(device)),
        life: 0,
        succession: Succession::Usual,
        ts: merged.at.as_device(),
        heard_at: GatewayTime(merged.at.ms()),
        released_at: EngineTime::default(),
        offset: place.0,
        index: place.1,
        late: false,
        authenticated,
        labels: Labels { fw, ..Labels::default() },
        uptime_s: None,
        body: Body::Adv(merged.adv),
    }
}
