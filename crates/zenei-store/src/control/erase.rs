//! Removes a lock from the control database, and keeps the log of erasures. Findings stay, under a placeholder name:
//! they are also about other locks, and about people's work. Must not know the other stores. Called by `forget`.
use super::{Control, ControlError, Txn};
use rusqlite::{OptionalExtension as _, params};
use serde_json::Value;
use zenei_detect::FORGOTTEN;

/// The tables whose bodies may name a lock.
const BODIES: [&str; 6] = ["anomaly", "decision", "incident_event", "outbox", "silence_event", "audit"];

/// A row of the log of erasures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Its number, from 1.
    pub number: u64,
    /// The lock.
    pub device_id: String,
    /// When it was first requested, ms since 1970.
    pub asked_at_ms: i64,
    /// When nothing was left of the lock; `None`: the erasure is not finished.
    pub ended_at_ms: Option<i64>,
    /// The counts of erased rows, JSON; `None` before the end.
    pub counts: Option<String>,
}

impl Control {
    /// The log of erasures, oldest first.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn erasures(&self) -> Result<Vec<Erasure>, ControlError> {
        let sql = "SELECT number, device_id, asked_at_ms, ended_at_ms, counts FROM erasure ORDER BY number";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            let number: i64 = row.get(0)?;
            Ok(Erasure {
                number: number.unsigned_abs(),
                device_id: row.get(1)?,
                asked_at_ms: row.get(2)?,
                ended_at_ms: row.get(3)?,
                counts: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many rows name a lock.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn count_naming(&self, device_id: &str) -> Result<u64, ControlError> {
        let mut found = 0;
        for table in BODIES.into_iter().chain(["inquiry", "registry"]) {
            found += self.bodies(table)?.iter().filter(|(_, body)| names(body, device_id)).count() as u64;
        }
        Ok(found)
    }

    /// Makes erased data unreadable in the file itself: without this its bytes would stay in free pages.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`], also while another process uses the file.
    pub fn scrub(&self) -> Result<(), ControlError> {
        self.connection.execute_batch("VACUUM")?;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    fn bodies(&self, table: &str) -> Result<Vec<(i64, String)>, ControlError> {
        let mut statement = self.connection.prepare(&format!("SELECT rowid, body FROM {table}"))?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Txn<'_> {
    /// Stores that a lock is to be erased; returns the number of its unfinished erasure, or of a new one.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn begin_erasure(&self, device_id: &str, now_ms: i64) -> Result<u64, ControlError> {
        let open = "SELECT number FROM erasure WHERE device_id = ?1 AND ended_at_ms IS NULL";
        let begun: Option<i64> = self.inner.query_row(open, [device_id], |row| row.get(0)).optional()?;
        if let Some(number) = begun {
            return Ok(number.unsigned_abs());
        }
        let sql = "INSERT INTO erasure (device_id, asked_at_ms) VALUES (?1, ?2)";
        self.inner.execute(sql, params![device_id, now_ms])?;
        Ok(self.inner.last_insert_rowid().unsigned_abs())
    }

    /// Stores that nothing of a lock is left.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`], [`ControlError::Sqlite`].
    pub fn end_erasure(&self, number: u64, now_ms: i64, counts: &str) -> Result<(), ControlError> {
        let sql = "UPDATE erasure SET ended_at_ms = ?2, counts = ?3 WHERE number = ?1";
        self.inner.execute(sql, params![super::error::signed("erasure", number)?, now_ms, counts])?;
        Ok(())
    }

    /// Removes a lock's name, and the places and times of its records, from findings, decisions, events and messages;
    /// deletes its inquiries and its lines of the registry. Returns the number of rows.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn erase(&self, device_id: &str) -> Result<u64, ControlError> {
        let mut found = 0;
        for table in BODIES {
            for (rowid, body) in self.naming(table, device_id)? {
                let body = without(table, &body, device_id)?;
                self.inner.execute(&format!("UPDATE {table} SET body = ?2 WHERE rowid = ?1"), params![rowid, body])?;
                found += 1;
            }
        }
        for table in ["inquiry", "registry"] {
            for (rowid, _) in self.naming(table, device_id)? {
                self.inner.execute(&format!("DELETE FROM {table} WHERE rowid = ?1"), [rowid])?;
                found += 1;
            }
        }
        if found > 0 {
            self.link_again()?;
        }
        Ok(found)
    }

    fn naming(&self, table: &str, device_id: &str) -> Result<Vec<(i64, String)>, ControlError> {
        let mut statement = self.inner.prepare(&format!("SELECT rowid, body FROM {table}"))?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut found: Vec<(i64, String)> = rows.collect::<Result<_, _>>()?;
        found.retain(|(_, body)| names(body, device_id));
        Ok(found)
    }
}

/// Whether a text names a lock: its id, with nothing before or behind it that could be part of an id.
fn names(text: &str, device_id: &str) -> bool {
    places(text, device_id).next().is_some()
}

fn places<'t>(text: &'t str, device_id: &'t str) -> impl Iterator<Item = usize> + 't {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    text.match_indices(device_id).map(|(at, _)| at).filter(move |&at| {
        let (before, behind) = (&text[..at], &text[at + device_id.len()..]);
        !before.ends_with(part) && !behind.starts_with(part)
    })
}

/// A JSON body without the lock.
fn without(table: &'static str, body: &str, device_id: &str) -> Result<String, ControlError> {
    let bad = |error: serde_json::Error| ControlError::BadRow { table, found: error.to_string() };
    let mut value: Value = serde_json::from_str(body).map_err(bad)?;
    clear(&mut value, device_id);
    serde_json::to_string(&value).map_err(bad)
}

fn clear(value: &mut Value, device_id: &str) {
    match value {
        Value::String(text) if names(text, device_id) => {
            let mut cleared = String::with_capacity(text.len());
            let mut from = 0;
            for at in places(text, device_id).collect::<Vec<_>>() {
                cleared.push_str(&text[from..at]);
                cleared.push_str(FORGOTTEN);
                from = at + device_id.len();
            }
            cleared.push_str(&text[from..]);
            *text = cleared;
        }
        Value::Array(values) => values.iter_mut().for_each(|value| clear(value, device_id)),
        Value::Object(fields) => {
            // A record behind a finding: when a door was used is the resident's matter.
            if fields.get("device_id").and_then(Value::as_str) == Some(device_id) && fields.contains_key("ts_ms") {
                for field in ["boot", "seq", "ts_ms"] {
                    fields.insert(field.to_owned(), 0.into());
                }
            }
            fields.values_mut().for_each(|value| clear(value, device_id));
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_named_by_its_whole_id_alone() {
        assert!(names(r#"{"device_id":"BL1"}"#, "BL1") && names("lock BL1, since noon", "BL1") && names("BL1.", "BL1"));
        assert!(!names("BL10 and XBL1 and BL1-2", "BL1"));
    }

    #[test]
    fn a_body_loses_the_name_and_the_places_of_its_records_and_keeps_the_rest() {
        let body = r#"{"why":"BL1 is slow, BL10 is not","scope":{"kind":"device","value":"BL1"},"evidence":[{"device_id":"BL1","boot":3,"seq":4,"ts_ms":5},{"device_id":"BL10","boot":6,"seq":7,"ts_ms":8}],"value":1.5}"#;
        let cleared = without("anomaly", body, "BL1").unwrap();
        let expected: Value = serde_json::from_str(
            r#"{"why":"forgotten is slow, BL10 is not","scope":{"kind":"device","value":"forgotten"},"evidence":[{"device_id":"forgotten","boot":0,"seq":0,"ts_ms":0},{"device_id":"BL10","boot":6,"seq":7,"ts_ms":8}],"value":1.5}"#,
        )
        .unwrap();
        assert_eq!(serde_json::from_str::<Value>(&cleared).unwrap(), expected);
    }

    #[test]
    fn an_erasure_that_was_not_finished_is_gone_on_with_and_one_that_was_is_kept_in_the_log() {
        let mut control = Control::in_memory().unwrap();
        let txn = control.begin().unwrap();
        assert_eq!((txn.begin_erasure("BL1", 5).unwrap(), txn.begin_erasure("BL2", 6).unwrap()), (1, 2));
        assert_eq!(txn.begin_erasure("BL1", 7).unwrap(), 1);
        txn.end_erasure(1, 9, "{}").unwrap();
        assert_eq!(txn.begin_erasure("BL1", 10).unwrap(), 3);
        txn.commit().unwrap();
        let log: Vec<_> = control.erasures().unwrap().into_iter().map(|line| (line.number, line.ended_at_ms)).collect();
        assert_eq!(log, [(1, Some(9)), (2, None), (3, None)]);
    }
}
