//! The history of one machine: a SQLite file derived from the sealed ranges of its Parquet store. It may be removed at
//! any time and is made anew. It takes some 310 bytes a lock and day in the first week (20,000 locks, 6 records a day),
//! of which some 130 grow with the days; buckets stay 400 days. Must not know HTTP or words. Called by the history, the
//! daemon's thread, `forget` and tests.
mod db;
mod erase;
mod fold;
mod follow;
mod groups;
mod list;
mod lock;
mod read;
mod schema;
mod small;
mod state;

#[cfg(test)]
mod tests;

pub use erase::{count_naming, erase};
pub use follow::{Followed, Follower};

use super::error::HistoryError;
use db::Db;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How many connections wait for the next question; further ones are closed after their answer.
const IDLE_MAX: usize = 4;

/// The file, to read.
#[derive(Debug)]
pub(super) struct Local {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Local {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), idle: Mutex::default() }
    }

    /// Asks within one read transaction: what is answered is of one moment. `T::default()` where there is no file yet.
    fn ask<T: Default>(&self, work: impl FnOnce(&Db<'_>) -> Result<T, HistoryError>) -> Result<T, HistoryError> {
        let failed = |source| HistoryError::Local { path: self.path.clone(), source };
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => Some(connection),
            None => schema::open_read_only(&self.path).map_err(failed)?,
        };
        let Some(connection) = connection else { return Ok(T::default()) };
        let transaction = connection.unchecked_transaction().map_err(failed)?;
        let answer = work(&Db { connection: &transaction, path: &self.path })?;
        transaction.finish().map_err(failed)?;
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(answer)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // A panic while it was held can't leave a connection half in the list.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
