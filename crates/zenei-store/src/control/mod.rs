//! The control database: how far everything is sealed, what was found and decided, what must still be sent. Small state with transactions.
//! Knows no record and no rule; bodies are JSON of the rooms that own them. One writer: the driver of a state directory. Any number of readers.
mod erase;
mod outgoing;
mod read;
mod schema;
mod tail;
mod txn;

#[cfg(test)]
mod tests;

pub use erase::Erasure;
pub use outgoing::Outgoing;
pub use schema::VERSION;
pub use tail::{Moved, TailCheckpoint, TailProgress, TailStep, Tailed};
pub use txn::Txn;

use crate::ledger::Ledger;
use crate::registry::Registration;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zenei_wire::{EngineTime, Id};

/// How long a call waits for another process's lock. A guess: `record list` holds none for longer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How far everything that was heard is in the store; a place in the order in which seals are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sealed {
    /// All messages below this offset went through intake.
    pub offset: u64,
    /// And time had gone on to here.
    pub advanced_to: EngineTime,
}

/// Where a restart begins: committed in one transaction with all that follows from the records before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// How far everything is sealed.
    pub sealed: Sealed,
    /// The file with the state of intake and engine at that place; `None` before the first one.
    pub snapshot: Option<String>,
    /// The counts at that place.
    pub ledger: Ledger,
}

/// A range that is about to be written to the store. Committed before the first byte is written, so that after a crash the same range is sealed again,
/// to the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealPlan {
    /// First offset.
    pub from: u64,
    /// Where the range ends, and up to which time intake was advanced with it. The range may be empty where time alone released rows.
    pub to: Sealed,
}

/// One event of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// The incident.
    pub incident: Id,
    /// Its number within the incident, from 0.
    pub seq: u32,
    /// When it happened, ms since 1970.
    pub at_ms: i64,
    /// What kind of event; the incident room's word.
    pub kind: String,
    /// The event, JSON.
    pub body: String,
}

/// A message to the outside that must go out once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its identity, from target, incident and event: the same message enqueued again is the same row.
    pub id: Id,
    /// Name of the target in the configuration.
    pub target: String,
    /// The incident.
    pub incident: Id,
    /// The event that it tells of.
    pub event_seq: u32,
    /// What is sent, JSON.
    pub body: String,
    /// How often it was tried.
    pub attempt: u32,
    /// Not before this time, ms since 1970.
    pub next_at_ms: i64,
}

/// How an outbox row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target has it.
    Delivered,
    /// The target refuses it for good, or it was tried for too long.
    GivenUp,
}

/// A customer's inquiry as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InquiryRow {
    /// Its id.
    pub id: String,
    /// When the customer made contact, ms since 1970.
    pub received_at_ms: i64,
    /// The inquiry, JSON.
    pub body: String,
}

/// A line of the asset registry with the time for which it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredSpan {
    /// The line.
    pub registration: Registration,
    /// From when on, ms since 1970.
    pub valid_from_ms: i64,
    /// Until when; `None`: still.
    pub valid_to_ms: Option<i64>,
}

/// What an import of the registry changed, in lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Locks that were not known, or not any more.
    pub added: u64,
    /// Locks whose line is another now; the old one is kept with its dates.
    pub changed: u64,
    /// Locks whose line is the same.
    pub unchanged: u64,
    /// Locks that stand in the file no more; their line is kept with its dates.
    pub ended: u64,
}

/// Why the control database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A newer program made it.
    #[error("{path} has version {found}; this program reads up to {allowed}: use the program that wrote it")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that is read.
        allowed: i64,
    },
    /// Another program's database.
    #[error("{path} is another program's database (application id {found:#x}, not {allowed:#x})")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its application id.
        found: i64,
        /// Ours.
        allowed: i64,
    },
    /// A row that this program can't have written.
    #[error("the {table} row of the control database can't be read: {found}")]
    BadRow {
        /// The table.
        table: &'static str,
        /// What is wrong.
        found: String,
    },
    /// A number beyond what SQLite keeps.
    #[error("{what} is {found}; at most {allowed} is kept", allowed = i64::MAX)]
    TooLarge {
        /// Which number.
        what: &'static str,
        /// Its value.
        found: u64,
    },
    /// What SQLite said.
    #[error("the control database failed")]
    Sqlite(#[from] rusqlite::Error),
}

/// The control database.
#[derive(Debug)]
pub struct Control {
    connection: Connection,
}

impl Control {
    /// Opens the database for its one writer; makes or migrates it where needed. Each commit is durable on return.
    ///
    /// # Errors
    /// [`ControlError::Newer`], [`ControlError::Foreign`], [`ControlError::Sqlite`].
    pub fn open(path: &Path) -> Result<Self, ControlError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        schema::check(&connection, path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        schema::migrate(&mut connection)?;
        Ok(Self { connection })
    }

    /// Opens the database to read, also while its writer runs.
    ///
    /// # Errors
    /// [`ControlError::Newer`], [`ControlError::Foreign`], [`ControlError::Sqlite`] (also where there is no file).
    pub fn open_read_only(path: &Path) -> Result<Self, ControlError> {
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        schema::check(&connection, path)?;
        Ok(Self { connection })
    }

    /// A database that is gone when it is dropped; for `replay` and tests.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn in_memory() -> Result<Self, ControlError> {
        let mut connection = Connection::open_in_memory()?;
        schema::migrate(&mut connection)?;
        Ok(Self { connection })
    }

    /// Begins the one kind of transaction. Dropped without [`Txn::commit`], it never was.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn begin(&mut self) -> Result<Txn<'_>, ControlError> {
        Ok(Txn::new(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?))
    }
}

/// SQLite keeps signed numbers.
fn signed(what: &'static str, found: u64) -> Result<i64, ControlError> {
    i64::try_from(found).map_err(|_| ControlError::TooLarge { what, found })
}
