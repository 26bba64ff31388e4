//! The outbox: messages that must reach a remote once, written with the events that cause them; and what is remembered
//! of each incident at each remote. Must not know what a message says. Called by the desk, which writes, and by the
//! sender, which reads.
use super::read::id;
use super::rows::{OutboxRow, SendEnd};
use super::{Control, ControlError, Txn};
use rusqlite::{OptionalExtension as _, Row, params};
use std::collections::BTreeMap;
use zenei_wire::Id;

const COLUMNS: &str = "id, target, incident, event_seq, body, attempt, next_at_ms, unanswered, tried_from_ms";

impl Control {
    /// Messages to this target that may go out at `now_ms`, longest waiting first, at most `limit`. Of the messages
    /// about one incident only the oldest unfinished one may: the next waits for its end. Another target's messages
    /// hold none up.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn due_outbox_of(&self, target: &str, now_ms: i64, limit: u32) -> Result<Vec<OutboxRow>, ControlError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM outbox WHERE number IN
                 (SELECT min(number) FROM outbox WHERE ended_at_ms IS NULL AND target = ?1 GROUP BY incident)
             AND next_at_ms <= ?2 ORDER BY next_at_ms, number LIMIT ?3"
        );
        self.all(&sql, params![target, now_ms, limit], outbox)
    }

    /// All messages that are not done yet, in the order in which they were stored.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn undelivered(&self) -> Result<Vec<OutboxRow>, ControlError> {
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE ended_at_ms IS NULL ORDER BY number");
        self.all(&sql, [], outbox)
    }

    /// Since when a message fails, ms since 1970: the earliest first failure of those that wait; `None`: none has
    /// failed.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn failing_since(&self) -> Result<Option<i64>, ControlError> {
        let sql = "SELECT min(tried_from_ms) FROM outbox WHERE ended_at_ms IS NULL";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Whether this target has at least one message about this incident.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn is_told(&self, target: &str, incident: Id) -> Result<bool, ControlError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM outbox WHERE target = ?1 AND incident = ?2 AND outcome = 'delivered')";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![target, incident.to_string()], |row| row.get(0))?)
    }

    /// What is remembered of an incident at a target: the remote's id, its channel, …
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn remote(&self, target: &str, incident: Id) -> Result<BTreeMap<String, String>, ControlError> {
        let sql = "SELECT name, value FROM remote WHERE target = ?1 AND incident = ?2";
        let rows = self.all(sql, params![target, incident.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.into_iter().collect())
    }
}

impl Txn<'_> {
    /// Adds a message to the outbox; false if it is already there, waiting or done.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn enqueue(&self, row: &OutboxRow) -> Result<bool, ControlError> {
        let sql =
            "INSERT OR IGNORE INTO outbox (id, target, incident, event_seq, body, attempt, next_at_ms, unanswered)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let (id, incident) = (row.id.to_string(), row.incident.to_string());
        let values =
            params![id, row.target, incident, row.event_seq, row.body, row.attempt, row.next_at_ms, row.unanswered];
        Ok(self.inner.prepare_cached(sql)?.execute(values)? == 1)
    }

    /// Whether this target was told of this incident, or is about to be.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn is_followed(&self, target: &str, incident: Id) -> Result<bool, ControlError> {
        // Two questions, because each has an index of its own.
        let sql = "SELECT EXISTS (SELECT 1 FROM outbox WHERE target = ?1 AND incident = ?2 AND outcome = 'delivered')
                       OR EXISTS (SELECT 1 FROM outbox WHERE target = ?1 AND incident = ?2 AND ended_at_ms IS NULL)";
        let mut statement = self.inner.prepare_cached(sql)?;
        Ok(statement.query_row(params![target, incident.to_string()], |row| row.get(0))?)
    }

    /// Counts that a message is about to be sent: should the program end before its answer is stored, the remote may
    /// have it.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn begin_sending(&self, id: Id) -> Result<(), ControlError> {
        let sql = "UPDATE outbox SET unanswered = unanswered + 1 WHERE id = ?1 AND ended_at_ms IS NULL";
        self.inner.prepare_cached(sql)?.execute(params![id.to_string()])?;
        Ok(())
    }

    /// Postpones a message after a failed attempt: attempt, time and how many sendings have no answer are the row's.
    /// `remark` describes for people what happened.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn put_off(&self, row: &OutboxRow, remark: &str) -> Result<(), ControlError> {
        let sql = "UPDATE outbox SET attempt = ?2, next_at_ms = ?3, unanswered = ?4, remark = ?5, tried_from_ms = ?6
                   WHERE id = ?1 AND ended_at_ms IS NULL";
        let values =
            params![row.id.to_string(), row.attempt, row.next_at_ms, row.unanswered, remark, row.tried_from_ms];
        self.inner.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Ends a message; false if it had ended before, which changes nothing.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn end(&self, id: Id, outcome: SendEnd, at_ms: i64, remark: &str) -> Result<bool, ControlError> {
        let outcome = match outcome {
            SendEnd::Delivered => "delivered",
            SendEnd::GivenUp => "given_up",
        };
        let sql = "UPDATE outbox SET outcome = ?2, ended_at_ms = ?3, remark = ?4 WHERE id = ?1 AND ended_at_ms IS NULL";
        Ok(self.inner.prepare_cached(sql)?.execute(params![id.to_string(), outcome, at_ms, remark])? == 1)
    }

    /// Whether the last message of this target that came to its end was given up; false where none has ended.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn is_failed(&self, target: &str) -> Result<bool, ControlError> {
        let sql = "SELECT outcome = 'given_up' FROM outbox WHERE target = ?1 AND ended_at_ms IS NOT NULL
                   ORDER BY ended_at_ms DESC, number DESC LIMIT 1";
        let mut statement = self.inner.prepare_cached(sql)?;
        Ok(statement.query_row([target], |row| row.get(0)).optional()?.unwrap_or_default())
    }

    /// The kind of an event as its log has it; `None`: there is no such event.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn event_kind(&self, incident: Id, seq: u32) -> Result<Option<String>, ControlError> {
        let sql = "SELECT kind FROM incident_event WHERE incident = ?1 AND seq = ?2";
        let mut statement = self.inner.prepare_cached(sql)?;
        Ok(statement.query_row(params![incident.to_string(), seq], |row| row.get(0)).optional()?)
    }

    /// Remembers something of an incident at a target; replaces what was remembered under this name.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn remember(&self, target: &str, incident: Id, name: &str, value: &str) -> Result<(), ControlError> {
        let sql = "INSERT OR REPLACE INTO remote VALUES (?1, ?2, ?3, ?4)";
        self.inner.prepare_cached(sql)?.execute(params![target, incident.to_string(), name, value])?;
        Ok(())
    }
}

fn outbox(row: &Row<'_>) -> Result<OutboxRow, ControlError> {
    Ok(OutboxRow {
        id: id("outbox", row, 0)?,
        target: row.get(1)?,
        incident: id("outbox", row, 2)?,
        event_seq: row.get(3)?,
        body: row.get(4)?,
        attempt: row.get(5)?,
        next_at_ms: row.get(6)?,
        unanswered: row.get(7)?,
        tried_from_ms: row.get(8)?,
    })
}
