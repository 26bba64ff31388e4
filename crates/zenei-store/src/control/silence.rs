//! The log of silences. Must not know what a silence matches. Called by the desk, which writes it, and by everything
//! that reads the incidents.
use super::read::id;
use super::{Control, ControlError, SilenceRow, Txn};
use rusqlite::params;

/// The first version of the database that has silences.
const FIRST_VERSION: i64 = 3;

impl Control {
    /// What happened to all silences, in the order in which it was stored.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn silence_events(&self) -> Result<Vec<SilenceRow>, ControlError> {
        // A database of the version before, which is read and not migrated, has no such table.
        let version: i64 = self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version < FIRST_VERSION {
            return Ok(Vec::new());
        }
        let sql = "SELECT silence, at_ms, kind, body FROM silence_event ORDER BY number";
        self.all(sql, [], |row| {
            let silence = id("silence_event", row, 0)?;
            Ok(SilenceRow { silence, at_ms: row.get(1)?, kind: row.get(2)?, body: row.get(3)? })
        })
    }
}

impl Txn<'_> {
    /// Adds to the log; false if the silence has an event of this kind.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn append_silence(&self, row: &SilenceRow) -> Result<bool, ControlError> {
        let sql = "INSERT OR IGNORE INTO silence_event (silence, at_ms, kind, body) VALUES (?1, ?2, ?3, ?4)";
        let values = params![row.silence.to_string(), row.at_ms, row.kind, row.body];
        Ok(self.inner.prepare_cached(sql)?.execute(values)? == 1)
    }
}
