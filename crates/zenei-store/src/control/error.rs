//! The errors of the control database. Must not know what a row means. Called by all its files.
use std::path::PathBuf;

/// Why a call of the control database failed.
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
    /// A number larger than SQLite can store.
    #[error("{what} is {found}; at most {allowed} is kept", allowed = i64::MAX)]
    TooLarge {
        /// Which number.
        what: &'static str,
        /// Its value.
        found: u64,
    },
    /// An event that was changed, added or removed by other means than this program.
    #[error(
        "event {seq} of incident {incident} (row {number}) does not fit the event before it: the log was changed by other means; restore a backup"
    )]
    Broken {
        /// The row.
        number: i64,
        /// The incident.
        incident: String,
        /// The event's number within it.
        seq: u32,
    },
    /// An incident is open for this fingerprint.
    #[error("incident {open} is open for fingerprint {fingerprint}; one at a time is allowed")]
    OpenAlready {
        /// The fingerprint.
        fingerprint: String,
        /// The open incident.
        open: String,
    },
    /// SQLite's error.
    #[error("the control database failed")]
    Sqlite(#[from] rusqlite::Error),
}

/// SQLite stores signed numbers.
pub(super) fn signed(what: &'static str, found: u64) -> Result<i64, ControlError> {
    i64::try_from(found).map_err(|_| ControlError::TooLarge { what, found })
}
