//! The control database: how far everything is sealed, the findings and decisions, the messages that must still be
//! sent. Small state with transactions. Must not know records or rules; bodies are JSON of the code that owns them. One
//! process writes, the daemon or the command that holds the state directory; each of its threads has its own
//! connection. Any number of readers may read beside it. Called by the drivers, the shippers and the commands.
mod audit;
mod chain;
pub(crate) mod copy;
mod erase;
mod error;
mod outbox;
mod outgoing;
mod read;
mod rows;
mod schema;
mod shown;
mod silence;
mod tail;
mod tally;
mod txn;

#[cfg(test)]
mod tests;

pub use audit::{AuditRow, Audited};
pub use erase::Erasure;
pub use error::ControlError;
pub use outgoing::Outgoing;
pub use rows::{
    Checkpoint, EventRow, Imported, InquiryRow, OutboxRow, RegisteredSpan, SealPlan, Sealed, SendEnd, SilenceRow,
};
pub use schema::VERSION;
pub use shown::{Delivery, Sent, Waiting};
pub use tail::{Moved, TailCheckpoint, TailProgress, TailStep, Tailed};
pub use tally::{Taken, Tally};
pub use txn::Txn;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

/// How long a call waits for another process's lock. A guess: `record list` holds none for longer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The control database.
#[derive(Debug)]
pub struct Control {
    connection: Connection,
}

impl Control {
    /// Opens the database to write; creates or migrates it if needed. Each commit is durable on return.
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
        let mut control = Self { connection };
        control.link()?;
        Ok(control)
    }

    /// Opens the database to read, also while another process writes.
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

    /// Begins a transaction. Without [`Txn::commit`] it has no effect.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn begin(&mut self) -> Result<Txn<'_>, ControlError> {
        Ok(Txn::new(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?))
    }
}
