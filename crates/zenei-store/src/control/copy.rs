//! A copy of the control database as it stands at one moment, also while a daemon writes: from [`Moment::begin`] to
//! [`Moment::pin`] nobody commits, so that what the database names on the disk stays as it is. Must not know what else
//! is copied. Called by `backup`.
use super::{BUSY_TIMEOUT, Checkpoint, Control, ControlError};
use rusqlite::Connection;
use rusqlite::backup::Backup;
use std::path::Path;
use std::time::Duration;

/// Pages that are copied at a time. A guess: 4 MiB.
const PAGES: i32 = 1024;

/// While it lasts, nobody else commits: a daemon waits, for at most the ten seconds of its patience. Keep it short.
#[derive(Debug)]
pub struct Moment {
    /// Holds the right to write; nothing is written.
    writer: Connection,
    reader: Control,
}

/// What the database held at that moment; others write again.
#[derive(Debug)]
pub struct Pinned(Control);

impl Moment {
    /// Begins it.
    ///
    /// # Errors
    /// [`ControlError::Newer`], [`ControlError::Foreign`], [`ControlError::Sqlite`] (also where another process writes
    /// for longer than ten seconds).
    pub fn begin(path: &Path) -> Result<Self, ControlError> {
        let reader = Control::open_read_only(path)?;
        let writer = Connection::open(path)?;
        writer.busy_timeout(BUSY_TIMEOUT)?;
        writer.execute_batch("BEGIN IMMEDIATE")?;
        // A read transaction begins with its first read.
        reader.connection.execute_batch("BEGIN")?;
        let _: i64 = reader.connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
        Ok(Self { writer, reader })
    }

    /// Where a restart from this moment begins.
    ///
    /// # Errors
    /// As [`Control::checkpoint`].
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, ControlError> {
        self.reader.checkpoint()
    }

    /// Ends it: others write again, and what was seen stays readable.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn pin(self) -> Result<Pinned, ControlError> {
        self.writer.execute_batch("ROLLBACK")?;
        Ok(Pinned(self.reader))
    }
}

impl Pinned {
    /// Copies the database into a new file; durable on return.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn copy_to(&self, path: &Path) -> Result<(), ControlError> {
        let mut copy = Connection::open(path)?;
        Backup::new(&self.0.connection, &mut copy)?.run_to_completion(PAGES, Duration::ZERO, None)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_what_was_committed_before_the_moment_and_nothing_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copied) = (folder.path().join("control.db"), folder.path().join("copy.db"));
        let mut control = Control::open(&path).unwrap();
        let mut set = |value: u64| {
            let txn = control.begin()?;
            txn.set_cursor("test", value)?;
            txn.commit()
        };
        set(1).unwrap();
        let moment = Moment::begin(&path).unwrap();
        let pinned = moment.pin().unwrap();
        set(2).unwrap();
        pinned.copy_to(&copied).unwrap();
        assert_eq!(Control::open_read_only(&copied).unwrap().cursor("test").unwrap(), Some(1));
        assert_eq!(Control::open_read_only(&path).unwrap().cursor("test").unwrap(), Some(2));
    }

    #[test]
    fn nobody_commits_during_the_moment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.db");
        drop(Control::open(&path).unwrap());
        let moment = Moment::begin(&path).unwrap();
        let other = Connection::open(&path).unwrap();
        other.busy_timeout(Duration::ZERO).unwrap();
        assert!(other.execute_batch("BEGIN IMMEDIATE").is_err());
        moment.pin().unwrap();
        other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
    }
}
