//! The rows of the local source, one by one. Must not know what a record is. Called by the fold, the follower and the
//! reader.
use super::state::{DueMs, KeptProfile, LockState};
use crate::history::error::HistoryError;
use crate::history::packed::{Packed, PackedCohort};
use crate::history::types::LockNow;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// The columns of a lock, in the order of [`lock_of`].
pub(super) const LOCK_COLUMNS: &str = "number, device_id, site, gateway, model, hw_rev, lot, fw, service, heard_ms, \
    battery_pct, battery_mv, rssi_dbm, records, errors_7d, authenticated, due_early_ms, due_likely_ms, due_late_ms";

/// A connection, with the file's name for errors.
pub(super) struct Db<'t> {
    pub(super) connection: &'t Connection,
    pub(super) path: &'t Path,
}

impl Db<'_> {
    pub(super) fn ask<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, HistoryError> {
        work(self.connection).map_err(|source| HistoryError::Local { path: self.path.to_path_buf(), source })
    }

    pub(super) fn run(&self, sql: &str, values: impl Params) -> Result<(), HistoryError> {
        self.ask(|connection| connection.prepare_cached(sql)?.execute(values).map(drop))
    }

    fn bad(&self, table: &'static str) -> HistoryError {
        HistoryError::Row { path: self.path.to_path_buf(), table }
    }

    pub(super) fn bytes<T: Serialize>(&self, table: &'static str, value: &T) -> Result<Vec<u8>, HistoryError> {
        postcard::to_allocvec(value).map_err(|_| self.bad(table))
    }

    pub(super) fn read<T: DeserializeOwned>(&self, table: &'static str, bytes: &[u8]) -> Result<T, HistoryError> {
        postcard::from_bytes(bytes).map_err(|_| self.bad(table))
    }

    /// The packed value that a statement finds.
    pub(super) fn packed<T: DeserializeOwned>(
        &self,
        table: &'static str,
        sql: &str,
        values: impl Params,
    ) -> Result<Option<T>, HistoryError> {
        let found: Option<Vec<u8>> =
            self.ask(|connection| connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional())?;
        found.map(|bytes| self.read(table, &bytes)).transpose()
    }

    pub(super) fn place(&self, name: &str) -> Result<Option<i64>, HistoryError> {
        let sql = "SELECT value FROM place WHERE name = ?1";
        self.ask(|connection| connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional())
    }

    pub(super) fn put_place(&self, name: &str, value: i64) -> Result<(), HistoryError> {
        let sql = "INSERT INTO place (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
        self.run(sql, params![name, value])
    }

    /// The number of a word; a new one gets the next.
    pub(super) fn number(&self, text: &str) -> Result<u32, HistoryError> {
        let found: Option<i64> = self.ask(|connection| {
            let sql = "SELECT number FROM word WHERE text = ?1";
            connection.prepare_cached(sql)?.query_row([text], |row| row.get(0)).optional()
        })?;
        let number = match found {
            Some(number) => number,
            None => self.ask(|connection| {
                let sql = "INSERT INTO word (text) VALUES (?1)";
                connection.prepare_cached(sql)?.insert([text])
            })?,
        };
        u32::try_from(number).map_err(|_| self.bad("word"))
    }

    /// The word of a number; empty for none.
    pub(super) fn word(&self, number: u32) -> Result<String, HistoryError> {
        let sql = "SELECT text FROM word WHERE number = ?1";
        let found =
            self.ask(|connection| connection.prepare_cached(sql)?.query_row([number], |row| row.get(0)).optional())?;
        Ok(found.unwrap_or_default())
    }

    pub(super) fn locks(&self) -> Result<u64, HistoryError> {
        // Numbers are never given twice but after an erasure of the newest lock: near enough for a bound.
        let found: Option<i64> =
            self.ask(|connection| connection.query_row("SELECT max(number) FROM lock", [], |row| row.get(0)))?;
        Ok(found.unwrap_or(0).unsigned_abs())
    }

    pub(super) fn lock(&self, device_id: &str) -> Result<Option<(i64, LockNow, LockState)>, HistoryError> {
        let sql = format!("SELECT {LOCK_COLUMNS} FROM lock WHERE device_id = ?1");
        let found =
            self.ask(|connection| connection.prepare_cached(&sql)?.query_row([device_id], lock_of).optional())?;
        let Some((number, now, _)) = found else { return Ok(None) };
        let state = self.packed("lock_state", "SELECT body FROM lock_state WHERE lock = ?1", params![number])?;
        Ok(Some((number, now, state.unwrap_or_default())))
    }

    pub(super) fn add_lock(&self, device_id: &str) -> Result<i64, HistoryError> {
        let sql = "INSERT INTO lock (device_id, site, gateway, model, hw_rev, lot, fw, service, heard_ms, records, \
                   errors_7d, authenticated) VALUES (?1, '', '', '', '', '', '', '', 0, 0, 0, 0)";
        self.ask(|connection| connection.prepare_cached(sql)?.insert([device_id]))
    }

    pub(super) fn put_lock(
        &self,
        number: i64,
        now: &LockNow,
        due: Option<DueMs>,
        state: &LockState,
    ) -> Result<(), HistoryError> {
        let sql = "UPDATE lock SET site = ?2, gateway = ?3, model = ?4, hw_rev = ?5, lot = ?6, fw = ?7, service = ?8, \
                   heard_ms = ?9, battery_pct = ?10, battery_mv = ?11, rssi_dbm = ?12, records = ?13, errors_7d = ?14, \
                   authenticated = ?15, due_early_ms = ?16, due_likely_ms = ?17, due_late_ms = ?18 WHERE number = ?1";
        let [early, likely, late] = due.map_or([None; 3], |(early, likely, late)| [Some(early), Some(likely), late]);
        let (records, errors) = (now.records.cast_signed(), now.errors_7d.cast_signed());
        self.run(
            sql,
            params![
                number,
                now.site,
                now.gateway,
                now.model,
                now.hw_rev,
                now.lot,
                now.fw,
                now.service,
                now.heard_ms,
                now.battery_pct,
                now.battery_mv,
                now.rssi_dbm,
                records,
                errors,
                now.authenticated,
                early,
                likely,
                late
            ],
        )?;
        let sql = "INSERT INTO lock_state (lock, body) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET body = excluded.body";
        self.run(sql, params![number, self.bytes("lock_state", state)?])
    }

    pub(super) fn bucket(&self, lock: i64, at: i64) -> Result<Option<Packed>, HistoryError> {
        self.packed("bucket", "SELECT body FROM bucket WHERE lock = ?1 AND at = ?2", params![lock, at])
    }

    pub(super) fn put_bucket(&self, lock: i64, at: i64, bucket: &Packed) -> Result<(), HistoryError> {
        let sql = "INSERT INTO bucket (lock, at, body) VALUES (?1, ?2, ?3) \
                   ON CONFLICT DO UPDATE SET body = excluded.body";
        self.run(sql, params![lock, at, self.bytes("bucket", bucket)?])
    }

    /// Removes a lock's buckets and changes of firmware before one.
    pub(super) fn sweep_lock(&self, lock: i64, before: i64) -> Result<(), HistoryError> {
        self.run("DELETE FROM bucket WHERE lock = ?1 AND at < ?2", params![lock, before])
    }

    pub(super) fn put_firmware(&self, lock: i64, at_ms: i64, was: &str, became: &str) -> Result<(), HistoryError> {
        let sql = "INSERT INTO firmware (lock, at_ms, was, became) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT DO UPDATE SET was = excluded.was, became = excluded.became";
        self.run(sql, params![lock, at_ms, was, became])?;
        // The latest 64: a lock that changes its mind with each record fills no table. A guess.
        let sql = "DELETE FROM firmware WHERE lock = ?1 AND at_ms <= \
                   (SELECT at_ms FROM firmware WHERE lock = ?1 ORDER BY at_ms DESC LIMIT 1 OFFSET 64)";
        self.run(sql, params![lock])
    }

    pub(super) fn profiles(&self, lock: i64) -> Result<Vec<KeptProfile>, HistoryError> {
        Ok(self.packed("profile", "SELECT body FROM profile WHERE lock = ?1", params![lock])?.unwrap_or_default())
    }

    pub(super) fn put_profiles(&self, lock: i64, profiles: &[KeptProfile]) -> Result<(), HistoryError> {
        let sql = "INSERT INTO profile (lock, body) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET body = excluded.body";
        self.run(sql, params![lock, self.bytes("profile", &profiles)?])
    }

    pub(super) fn cohort(&self, (dimension, value, at): (u8, u32, i64)) -> Result<Option<PackedCohort>, HistoryError> {
        let sql = "SELECT body FROM cohort WHERE dimension = ?1 AND value = ?2 AND at = ?3";
        self.packed("cohort", sql, params![dimension, value, at])
    }

    pub(super) fn put_cohort(
        &self,
        (dimension, value, at): (u8, u32, i64),
        cohort: &PackedCohort,
    ) -> Result<(), HistoryError> {
        let sql = "INSERT INTO cohort (dimension, value, at, body) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT DO UPDATE SET body = excluded.body";
        self.run(sql, params![dimension, value, at, self.bytes("cohort", cohort)?])
    }

    /// Removes a cohort's buckets before one.
    pub(super) fn sweep_cohort(&self, key: (u8, u32, i64), before: i64) -> Result<(), HistoryError> {
        let sql = "DELETE FROM cohort WHERE dimension = ?1 AND value = ?2 AND at < ?3";
        self.run(sql, params![key.0, key.1, before])
    }
}

/// A row of [`LOCK_COLUMNS`]: its number, the lock without its battery's due, and that in ms.
pub(super) fn lock_of(row: &Row<'_>) -> rusqlite::Result<(i64, LockNow, Option<DueMs>)> {
    let count = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
    let now = LockNow {
        device_id: row.get(1)?,
        site: row.get(2)?,
        gateway: row.get(3)?,
        model: row.get(4)?,
        hw_rev: row.get(5)?,
        lot: row.get(6)?,
        fw: row.get(7)?,
        service: row.get(8)?,
        heard_ms: row.get(9)?,
        battery_pct: row.get(10)?,
        battery_mv: row.get(11)?,
        rssi_dbm: row.get(12)?,
        records: count(13)?,
        errors_7d: count(14)?,
        authenticated: row.get(15)?,
        battery_due: None,
    };
    let due: (Option<i64>, Option<i64>, Option<i64>) = (row.get(16)?, row.get(17)?, row.get(18)?);
    Ok((row.get(0)?, now, due.0.zip(due.1).map(|(early, likely)| (early, likely, due.2))))
}
