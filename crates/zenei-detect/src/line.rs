//! Intake and engine in a row, on one clock: what `run`, `demo` and `replay` drive. A gateway that only ships runs it without an engine.
use crate::anomaly::{Anomaly, Decision};
use crate::batch::{Batch, Heard};
use crate::fleet::{Fleet, Registration};
use crate::rules::Rules;
use zenei_wire::EngineTime;

/// What the engine found, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Departures from what is normal.
    pub anomalies: Vec<Anomaly>,
    /// Candidates that became no anomaly, with the reason.
    pub decisions: Vec<Decision>,
}

/// Why the line wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadline {
    /// A hole in `seq` has waited long enough.
    Hole,
    /// A window of the engine closes.
    Window,
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

/// Intake and engine in a row.
pub struct Line {
    fleet: Fleet,
}

impl Line {
    /// A line without history. Without rules it orders, removes duplicates and stamps, but detects nothing.
    pub fn new(rules: Option<Rules>) -> Self {
        let _ = rules;
        Self { fleet: Fleet::new() }
    }

    /// What the asset registry says of a lock; used where neither the record nor the lock said it.
    pub fn register(&mut self, registration: &Registration) {
        let _ = registration;
    }

    /// Takes records in order of hearing. Each is handled at its own `heard_at`; then time goes on to `now`. How the records are split into calls changes nothing.
    /// `batch` and `findings` are added to, not cleared.
    pub fn ingest(&mut self, heard: &[Heard<'_>], now: EngineTime, batch: &mut Batch, findings: &mut Findings) {
        let _ = (heard, now, batch, findings);
    }

    /// Lets time go on to `now`; a `now` before the last one is taken as the last one. Each deadline on the way is handled at its own time.
    pub fn advance(&mut self, now: EngineTime, batch: &mut Batch, findings: &mut Findings) {
        let _ = (now, batch, findings);
    }

    /// When the line next wants [`Line::advance`], and why; `None` while nothing waits.
    pub fn next_deadline(&self) -> Option<(EngineTime, Deadline)> {
        None
    }

    /// How many records wait at a hole: heard, but in no batch yet.
    pub fn held(&self) -> u64 {
        0
    }

    /// The names behind the numbers of a batch.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The whole state as bytes; equal states give equal bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    /// The line of a snapshot. Under other rules than those it was made under, intake goes on where it was and the engine starts anew.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn restore(bytes: &[u8], rules: Option<Rules>) -> Result<Self, RestoreError> {
        let _ = bytes;
        Ok(Self::new(rules))
    }
}

impl Findings {
    /// Empties it, keeping the memory.
    pub fn clear(&mut self) {
        let (anomalies, decisions): (&mut Vec<Anomaly>, &mut Vec<Decision>) =
            (&mut self.anomalies, &mut self.decisions);
        anomalies.clear();
        decisions.clear();
    }
}
