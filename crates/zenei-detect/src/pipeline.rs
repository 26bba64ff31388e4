//! The pipeline: decoded messages in, rows and findings out. It connects intake and engine on one clock, which the
//! pipeline owns. Every command that processes messages drives this one: `run`, the tail of ClickHouse, `demo`,
//! `replay`, `record list`, `scan` and the lab. A gateway that only ships runs it without an engine. It must not know
//! topics, bytes or where rows go.
use crate::adverts::Adverts;
use crate::anomaly::Findings;
use crate::batch::{Batch, Heard, Portion, Registered, Repeated, Row, Unreadable, UnreadableRow};
use crate::engine::{Engine, EngineState, Unsaid};
use crate::fleet::Fleet;
use crate::intake::{HOLE_WAIT_MS, Intake};
use crate::rules::Rules;
use serde::{Deserialize, Serialize};
use zenei_wire::bthome::Keyring;
use zenei_wire::{Adv, Body, EngineTime};

/// Why the pipeline must be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadline {
    /// A hole in `seq` has waited long enough.
    Hole,
    /// A window of the engine closes.
    Window,
    /// One half of an advertisement has waited long enough for the other half.
    Pair,
}

/// Why a snapshot can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Not a snapshot of this version.
    #[error("the snapshot has format {found}; this program reads {allowed}")]
    Format {
        /// The format found.
        found: u32,
        /// The format that this program reads.
        allowed: u32,
    },
    /// Bytes that can't be read.
    #[error("the snapshot can't be read")]
    Bytes(#[source] postcard::Error),
}

/// The format of a snapshot; raised with every change of its content.
const SNAPSHOT_FORMAT: u32 = 18;

/// Intake and engine in a row.
pub struct Pipeline {
    fleet: Fleet,
    intake: Intake,
    adverts: Adverts,
    engine: Option<Engine>,
}

#[derive(Serialize)]
struct Saved<'a> {
    format: u32,
    fleet: &'a Fleet,
    intake: &'a Intake,
    adverts: &'a Adverts,
    engine: Option<EngineState>,
}

#[derive(Deserialize)]
struct Restored {
    fleet: Fleet,
    intake: Intake,
    adverts: Adverts,
    engine: Option<EngineState>,
}

impl Pipeline {
    /// A pipeline without history. Without rules it orders, removes duplicates and stamps, but detects nothing.
    pub fn new(rules: Option<Rules>) -> Self {
        let (fleet, intake, adverts) = (Fleet::new(), Intake::default(), Adverts::default());
        Self { fleet, intake, adverts, engine: rules.map(Engine::new) }
    }

    /// Takes the asset registry's entry for a lock; it is used where neither the record nor an earlier one of the lock
    /// has the value.
    pub fn register(&mut self, registered: Registered<'_>) {
        self.intake.register(registered, &mut self.fleet);
    }

    /// Sets the keys with which locks encrypt their advertisements. The counters of a lock whose key has changed start
    /// anew.
    pub fn provision(&mut self, keyring: &Keyring) {
        for (_, lock) in keyring.iter() {
            if let Some(key) = &lock.key {
                let device = self.fleet.number(lock.device.as_str());
                self.adverts.provision(device, key.mark());
            }
        }
    }

    /// Takes decoded messages. Each record is handled at its own `heard_at`; then time goes on to the latest one and to
    /// `until`, never back. How messages are split into portions changes nothing. `batch` and `findings` are added to,
    /// not cleared.
    pub fn take(&mut self, portion: Portion<'_>, batch: &mut Batch, findings: &mut Findings) {
        let before = Before::of(batch);
        let mut until = portion.until;
        for heard in portion.heard {
            until = until.max(Some(heard.heard_at));
            let at = self.intake.now().max(heard.heard_at.as_engine());
            self.release(at, batch);
            match heard.record.body {
                // An advertisement from a store is merged already, and has its identity.
                Body::Adv(adv) if heard.identity == 0 => self.take_adv(heard, adv, at, batch),
                Body::Adv(_) | Body::State(_) | Body::Op(_) | Body::Error(_) | Body::Event(_) | Body::Gateway(_) => {
                    self.intake.take(heard, at, &mut self.fleet, batch);
                }
            }
        }
        self.note(portion.unreadable, batch);
        let now = until.map_or_else(|| self.intake.now(), |until| self.intake.now().max(until.as_engine()));
        self.go_on(now, before, batch, findings);
    }

    /// Takes rows from a store, as [`Pipeline::take`] takes records: in order of receipt, not released yet and not
    /// late. `next` gives them one by one, with their names numbered in the index that it is given; `unreadable` are
    /// the unreadable records between them.
    ///
    /// # Errors
    /// The error of `next`; the detectors do not receive the rows before it then.
    pub fn take_rows<E>(
        &mut self,
        mut next: impl FnMut(&mut Fleet) -> Result<Option<Row>, E>,
        unreadable: &[Unreadable],
        batch: &mut Batch,
        findings: &mut Findings,
    ) -> Result<(), E> {
        let before = Before::of(batch);
        while let Some(row) = next(&mut self.fleet)? {
            let at = self.intake.now().max(row.heard_at.as_engine());
            self.release(at, batch);
            self.intake.take_row(row, at, batch);
        }
        self.note(unreadable, batch);
        self.go_on(self.intake.now(), before, batch, findings);
        Ok(())
    }

    /// Advances the time to `now`; a `now` before the last one counts as the last one. Each deadline on the way is
    /// handled at its own time.
    pub fn advance(&mut self, now: EngineTime, batch: &mut Batch, findings: &mut Findings) {
        self.go_on(now, Before::of(batch), batch, findings);
    }

    /// Advances the time past the end of a recording by the longest wait for a hole ([`HOLE_WAIT_MS`]): no record waits
    /// any longer then.
    pub fn finish(&mut self, batch: &mut Batch, findings: &mut Findings) {
        self.advance(self.now().plus_ms(HOLE_WAIT_MS), batch, findings);
    }

    /// The pipeline's present time.
    pub fn now(&self) -> EngineTime {
        self.intake.now()
    }

    /// When [`Pipeline::advance`] must be called next, and why; `None` while nothing waits.
    pub fn next_deadline(&self) -> Option<(EngineTime, Deadline)> {
        let hole = self.intake.next_deadline().map(|at| (at, Deadline::Hole));
        let window = self.engine.as_ref().and_then(Engine::next_deadline).map(|at| (at, Deadline::Window));
        let pair = self.adverts.next_deadline().map(|at| (at, Deadline::Pair));
        [hole, window, pair].into_iter().flatten().min()
    }

    /// How many records wait at a hole, and advertisements for their other half: received, but in no batch yet.
    pub fn held(&self) -> u64 {
        self.intake.held() + self.adverts.held()
    }

    /// How many `seq` numbers are missing between received ones of one boot, by now.
    pub fn missing(&self) -> u64 {
        self.intake.missing()
    }

    /// On how many days locks were watched for faults: one for each lock and day on which it had been heard within a
    /// week. 0 where there is no engine.
    pub fn lock_days(&self) -> u64 {
        self.engine.as_ref().map_or(0, Engine::lock_days)
    }

    /// Removes a lock: its name, its reported labels, what was learned of it, and its records that wait; returns how
    /// many records waited. Its later records count as those of a new lock.
    pub fn forget(&mut self, device_id: &str) -> u64 {
        let Some(device) = self.fleet.forget(device_id) else { return 0 };
        let before = self.held();
        if let Some(engine) = &mut self.engine {
            engine.forget(device);
        }
        self.adverts.forget(device);
        self.intake.forget(device);
        before - self.held()
    }

    /// When a lock was last heard, by the engine's time; `None` if never, and where there is no engine.
    pub fn heard(&self, device_id: &str) -> Option<EngineTime> {
        self.engine.as_ref()?.heard(self.fleet.find(device_id)?)
    }

    /// The names behind the numbers of a batch.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The whole state as bytes; equal states give equal bytes.
    ///
    /// # Errors
    /// No case is known: the state is plain numbers and texts.
    pub fn snapshot(&self) -> Result<Vec<u8>, RestoreError> {
        let saved = Saved {
            format: SNAPSHOT_FORMAT,
            fleet: &self.fleet,
            intake: &self.intake,
            adverts: &self.adverts,
            engine: self.engine.as_ref().map(Engine::state).transpose().map_err(RestoreError::Bytes)?,
        };
        postcard::to_stdvec(&saved).map_err(RestoreError::Bytes)
    }

    /// The pipeline of a snapshot. An unchanged rule continues with its state; a changed one starts anew. The registry
    /// must be registered again.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn restore(bytes: &[u8], rules: Option<Rules>) -> Result<Self, RestoreError> {
        let (format, rest): (u32, &[u8]) = postcard::take_from_bytes(bytes).map_err(RestoreError::Bytes)?;
        if format != SNAPSHOT_FORMAT {
            return Err(RestoreError::Format { found: format, allowed: SNAPSHOT_FORMAT });
        }
        let mut saved: Restored = postcard::from_bytes(rest).map_err(RestoreError::Bytes)?;
        saved.fleet.reindex();
        saved.intake.forget_registry();
        saved.adverts.forget_keys();
        let mut engine = rules.map(Engine::new);
        if let (Some(engine), Some(state)) = (&mut engine, saved.engine) {
            engine.restore(state).map_err(RestoreError::Bytes)?;
        }
        let (fleet, intake, adverts) = (saved.fleet, saved.intake, saved.adverts);
        Ok(Self { fleet, intake, adverts, engine })
    }

    /// Takes an advertisement, half of a record.
    fn take_adv(&mut self, heard: &Heard<'_>, adv: Adv, at: EngineTime, batch: &mut Batch) {
        let (mut rows, refused) = (Vec::new(), batch.replayed);
        self.adverts.take(heard, adv, &mut self.fleet, batch, &mut rows);
        rows.into_iter().for_each(|row| self.intake.take_row(row, at, batch));
        let is_refused = heard.authenticated && batch.replayed > refused;
        if let Some(device) = self.fleet.find(heard.device.as_str()).filter(|_| is_refused) {
            batch.repeated.push(Repeated { device, place: (0, 0), ts: heard.record.ts, at, is_refused });
        }
    }

    /// Numbers the unreadable records of known locks; those of a lock without any other record are left out.
    fn note(&self, unreadable: &[Unreadable], batch: &mut Batch) {
        for record in unreadable {
            if let Some(device) = self.fleet.find(&record.device_id) {
                batch.unreadable.push(UnreadableRow { device, at: record.heard_at.as_engine() });
            }
        }
    }

    fn go_on(&mut self, now: EngineTime, before: Before, batch: &mut Batch, findings: &mut Findings) {
        self.release(now, batch);
        let unreadable = &mut batch.unreadable[before.unreadable..];
        unreadable.sort_by_key(|record| record.at);
        let now = self.intake.now();
        if let Some(engine) = &mut self.engine {
            let unsaid = Unsaid { unreadable, repeated: &batch.repeated[before.repeated..] };
            engine.ingest_all(&batch.rows[before.rows..], unsaid, now, &mut self.fleet, findings);
        }
    }

    /// Releases what has waited long enough at `now`, each at its own time, in order.
    fn release(&mut self, now: EngineTime, batch: &mut Batch) {
        while let Some(due) = self.adverts.next_deadline().filter(|due| *due <= now) {
            self.intake.advance(due, batch);
            let mut rows = Vec::new();
            self.adverts.give_up(&mut self.fleet, batch, &mut rows);
            rows.into_iter().for_each(|row| self.intake.take_row(row, due, batch));
        }
        self.intake.advance(now, batch);
    }
}

/// How much a batch held before a call.
#[derive(Clone, Copy)]
struct Before {
    rows: usize,
    unreadable: usize,
    repeated: usize,
}

impl Before {
    fn of(batch: &Batch) -> Self {
        let [unreadable, repeated] = [batch.unreadable.len(), batch.repeated.len()];
        Self { rows: batch.rows.len(), unreadable, repeated }
    }
}
