//! Intake and engine in a row, on one clock: what `run`, `demo` and `replay` drive. A gateway that only ships runs it without an engine.
use crate::adverts::Adverts;
use crate::anomaly::Findings;
use crate::batch::{Batch, Heard, Refused, Row};
use crate::engine::{Engine, EngineState};
use crate::fleet::{Fleet, Registration};
use crate::intake::Intake;
use crate::keyring::Keyring;
use crate::rules::Rules;
use serde::{Deserialize, Serialize};
use zenei_wire::{Body, EngineTime, GatewayTime};

/// Why the pipeline wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadline {
    /// A hole in `seq` has waited long enough.
    Hole,
    /// A window of the engine closes.
    Window,
    /// Half of what a lock advertises has waited long enough for the other half.
    Pair,
}

/// Why a snapshot can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Not a snapshot of this version.
    #[error("the snapshot has format {found}; this program reads {allowed}")]
    Format {
        /// What it says.
        found: u32,
        /// What is read.
        allowed: u32,
    },
    /// Bytes that can't be read.
    #[error("the snapshot can't be read")]
    Bytes(#[source] postcard::Error),
}

/// The format of a snapshot; raised with every change of what it holds.
const SNAPSHOT_FORMAT: u32 = 8;

/// Intake and engine in a row.
pub struct Pipeline {
    fleet: Fleet,
    intake: Intake,
    adverts: Adverts,
    engine: Option<Engine>,
    /// What can't be read and the engine has not been told of.
    refused: Vec<(Box<str>, GatewayTime)>,
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
        Self { fleet, intake, adverts, engine: rules.map(Engine::new), refused: Vec::new() }
    }

    /// What the asset registry says of a lock; used where neither the record nor the lock said it.
    pub fn register(&mut self, registration: &Registration) {
        self.intake.register(registration, &mut self.fleet);
    }

    /// With which keys locks encrypt their advertisements. Counters of a lock whose key is another one than before start anew.
    pub fn provision(&mut self, keyring: &Keyring) {
        for (_, lock) in keyring.iter() {
            if let Some(key) = &lock.key {
                let device = self.fleet.number(lock.device.as_str());
                self.adverts.provision(device, key.mark());
            }
        }
    }

    /// Takes records in order of hearing. Each is handled at its own `heard_at`; then time goes on to `now`. How the records are split into calls
    /// changes nothing. `batch` and `findings` are added to, not cleared.
    pub fn ingest(&mut self, heard: &[Heard<'_>], now: EngineTime, batch: &mut Batch, findings: &mut Findings) {
        let before = (batch.rows.len(), batch.refused.len());
        for heard in heard {
            let at = self.intake.now().max(EngineTime(heard.heard_at.ms()));
            self.release(at, batch);
            match heard.record.body {
                // What comes back from a store is merged already, and has its identity.
                Body::Adv(adv) if heard.identity == 0 => {
                    let mut rows = Vec::new();
                    self.adverts.take(heard, adv, &mut self.fleet, batch, &mut rows);
                    rows.into_iter().for_each(|row| self.intake.take_row(row, at, batch));
                }
                Body::Adv(_) | Body::State(_) | Body::Op(_) | Body::Error(_) | Body::Event(_) | Body::Gateway(_) => {
                    self.intake.take(heard, at, &mut self.fleet, batch);
                }
            }
        }
        self.go_on(now, before, batch, findings);
    }

    /// Takes rows in order of hearing, as [`Pipeline::ingest`] takes records: what a store kept, not released yet and not late. `next` gives them one by one, with
    /// their names numbered in the index that it is given.
    ///
    /// # Errors
    /// What `next` fails with; the rows before it are not detected then.
    pub fn ingest_rows<E>(
        &mut self,
        mut next: impl FnMut(&mut Fleet) -> Result<Option<Row>, E>,
        now: EngineTime,
        batch: &mut Batch,
        findings: &mut Findings,
    ) -> Result<(), E> {
        let before = (batch.rows.len(), batch.refused.len());
        while let Some(row) = next(&mut self.fleet)? {
            let at = self.intake.now().max(EngineTime(row.heard_at.ms()));
            self.release(at, batch);
            self.intake.take_row(row, at, batch);
        }
        self.go_on(now, before, batch, findings);
        Ok(())
    }

    /// Takes note of a record of a lock that can't be read (a dead letter), from a source that may speak for it. To be called before the
    /// [`Pipeline::ingest`] of what was heard with it or after it. Of a lock that never said anything else it changes nothing.
    pub fn refused(&mut self, device_id: &str, heard_at: GatewayTime) {
        self.refused.push((device_id.into(), heard_at));
    }

    /// Lets time go on to `now`; a `now` before the last one is taken as the last one. Each deadline on the way is handled at its own time.
    pub fn advance(&mut self, now: EngineTime, batch: &mut Batch, findings: &mut Findings) {
        let before = (batch.rows.len(), batch.refused.len());
        self.go_on(now, before, batch, findings);
    }

    /// When the pipeline next wants [`Pipeline::advance`], and why; `None` while nothing waits.
    pub fn next_deadline(&self) -> Option<(EngineTime, Deadline)> {
        let hole = self.intake.next_deadline().map(|at| (at, Deadline::Hole));
        let window = self.engine.as_ref().and_then(Engine::next_deadline).map(|at| (at, Deadline::Window));
        let pair = self.adverts.next_deadline().map(|at| (at, Deadline::Pair));
        [hole, window, pair].into_iter().flatten().min()
    }

    /// How many records wait at a hole, and advertisements for their other half: heard, but in no batch yet.
    pub fn held(&self) -> u64 {
        self.intake.held() + self.adverts.held()
    }

    /// How many `seq` numbers are missing between heard ones of one boot, by now.
    pub fn missing(&self) -> u64 {
        self.intake.missing()
    }

    /// Forgets a lock: its name, what it said, what was learned of it, and what of it waits at a hole; says how many records waited. What it says after this is
    /// heard as if for the first time.
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

    /// The names behind the numbers of a batch.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The whole state as bytes; equal states give equal bytes.
    ///
    /// # Errors
    /// None that is known: the state is plain numbers and texts.
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

    /// The pipeline of a snapshot. A rule that is as it was goes on where it was; one that has changed starts anew. The registry is to be registered again.
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
        Ok(Self { fleet, intake, adverts, engine, refused: Vec::new() })
    }

    fn go_on(&mut self, now: EngineTime, before: (usize, usize), batch: &mut Batch, findings: &mut Findings) {
        self.release(now, batch);
        for (device_id, heard_at) in self.refused.drain(..) {
            if let Some(device) = self.fleet.find(&device_id) {
                batch.refused.push(Refused { device, at: EngineTime(heard_at.ms()) });
            }
        }
        batch.refused[before.1..].sort_by_key(|refused| refused.at);
        let now = self.intake.now();
        if let Some(engine) = &mut self.engine {
            engine.ingest(&batch.rows[before.0..], &batch.refused[before.1..], now, &mut self.fleet, findings);
        }
    }
}

impl Pipeline {
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
