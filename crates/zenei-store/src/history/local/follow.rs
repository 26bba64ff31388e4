//! Follows the sealed ranges of the Parquet store: takes each into the tables, with the cursor in the same transaction,
//! so that a kill between two ranges loses and doubles nothing. Must not know when to look. Called by the daemon's
//! thread, by `demo` and by the commands that find no newer history.
use super::db::Db;
use super::fold::Fold;
use super::{schema, small};
use crate::control::Sealed;
use crate::dead_letter::DeadLetter;
use crate::history::error::HistoryError;
use crate::parquet::{ParquetStore, ReadError, SealedRange, StoredBatch};
use rusqlite::{Connection, TransactionBehavior};
use std::io;
use std::path::{Path, PathBuf};
use zenei_wire::EngineTime;

/// Who writes the history.
#[derive(Debug)]
pub struct Follower {
    connection: Connection,
    path: PathBuf,
    store: ParquetStore,
}

/// What following took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Ranges that were taken.
    pub ranges: u64,
    /// Ranges that can't be read and were left out.
    pub skipped: u64,
}

impl Follower {
    /// Opens the history to write. A file that is broken or of another version is made anew.
    ///
    /// # Errors
    /// [`HistoryError::Local`].
    pub fn open(path: &Path, store: ParquetStore) -> Result<Self, HistoryError> {
        let connection = schema::open(path);
        let connection = connection.map_err(|source| HistoryError::Local { path: path.to_path_buf(), source })?;
        Ok(Self { connection, path: path.to_path_buf(), store })
    }

    /// Up to where ranges were taken.
    ///
    /// # Errors
    /// [`HistoryError::Local`].
    pub fn place(&self) -> Result<Sealed, HistoryError> {
        place(&Db { connection: &self.connection, path: &self.path })
    }

    /// How many ranges were left out since the file was made.
    ///
    /// # Errors
    /// [`HistoryError::Local`].
    pub fn skipped(&self) -> Result<u64, HistoryError> {
        let skipped = Db { connection: &self.connection, path: &self.path }.place("skipped")?;
        Ok(skipped.unwrap_or(0).unsigned_abs())
    }

    /// Takes the ranges that were sealed since, up to `sealed`; `go_on` is asked before each. A range that can't be
    /// read is left out, counted and told: its neighbours are not.
    ///
    /// # Errors
    /// [`HistoryError`]; what was taken stays.
    pub fn follow(&mut self, sealed: Sealed, go_on: &mut dyn FnMut() -> bool) -> Result<Followed, HistoryError> {
        let mut followed = Followed::default();
        let from = self.place()?;
        if from >= sealed {
            return Ok(followed);
        }
        for range in self.store.ranges(from, sealed)? {
            if !go_on() {
                break;
            }
            match self.take(&range) {
                Ok(()) => followed.ranges += 1,
                Err(HistoryError::Store(error)) if is_damage(&error) => {
                    let error = crate::with_causes(&error);
                    tracing::error!(from = range.from, to = range.to.offset, error, "a range is left out of charts");
                    self.skip(range.to)?;
                    followed.skipped += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(followed)
    }

    fn take(&mut self, range: &SealedRange) -> Result<(), HistoryError> {
        let batches = self.store.batches_of(range).collect::<Result<Vec<StoredBatch>, _>>()?;
        let letters = self.store.dead_letters_of(range).collect::<Result<Vec<DeadLetter>, _>>()?;
        self.within(|db| {
            let mut fold = Fold::new(db);
            for batch in &batches {
                for at in 0..batch.len() {
                    fold.row(&batch.heard(at)?, batch.late(at))?;
                }
            }
            small::dead_letters(db, &letters)?;
            let newest_ms = fold.write()?;
            let up_to_ms = db.place("up_to_ms")?.unwrap_or(0);
            db.put_place("up_to_ms", up_to_ms.max(newest_ms))?;
            put_place(db, range.to)
        })
    }

    fn skip(&mut self, to: Sealed) -> Result<(), HistoryError> {
        self.within(|db| {
            let skipped = db.place("skipped")?.unwrap_or(0);
            db.put_place("skipped", skipped.saturating_add(1))?;
            put_place(db, to)
        })
    }

    /// One transaction: all of it or nothing.
    fn within(&mut self, work: impl FnOnce(&Db<'_>) -> Result<(), HistoryError>) -> Result<(), HistoryError> {
        let path = &self.path;
        let failed = |source| HistoryError::Local { path: path.clone(), source };
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        work(&Db { connection: &transaction, path })?;
        transaction.commit().map_err(failed)
    }
}

/// Up to where ranges were taken.
pub(super) fn place(db: &Db<'_>) -> Result<Sealed, HistoryError> {
    let offset = db.place("offset")?.unwrap_or(0).unsigned_abs();
    Ok(Sealed { offset, advanced_to: EngineTime(db.place("advanced_to")?.unwrap_or(0)) })
}

fn put_place(db: &Db<'_>, to: Sealed) -> Result<(), HistoryError> {
    db.put_place("offset", to.offset.cast_signed())?;
    db.put_place("advanced_to", to.advanced_to.ms())
}

/// Whether a range can never be read: its files are damaged, or gone. Anything else may work at the next try.
fn is_damage(error: &ReadError) -> bool {
    match error {
        ReadError::Disk { source, .. } => source.kind() == io::ErrorKind::NotFound,
        ReadError::Parquet { .. }
        | ReadError::Rows { .. }
        | ReadError::Format { .. }
        | ReadError::Column { .. }
        | ReadError::Value { .. } => true,
    }
}
