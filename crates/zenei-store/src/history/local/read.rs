//! One lock, one cohort, and the small lists, as they are asked for. Must not know lists of locks. Called by the
//! history.
use super::Local;
use super::db::{Db, LOCK_COLUMNS, lock_of};
use super::small::{KeptGateway, KeptReception};
use super::state::DueMs;
use crate::history::due::DAY_MS;
use crate::history::error::HistoryError;
use crate::history::packed::{BUCKET_MS, Packed, PackedCohort, bucket_of, width};
use crate::history::types::{
    CohortBucket, CohortHistory, DeadLetterShown, Dimension, Due, Firmware, GatewayNow, LockHistory, Profile, ROWS_MAX,
    Reception,
};
use rusqlite::{OptionalExtension as _, params};
use serde::de::DeserializeOwned;
use std::collections::HashMap;

impl Local {
    pub(in crate::history) fn lock(
        &self,
        device_id: &str,
        from_ms: i64,
        to_ms: i64,
        points: usize,
    ) -> Result<Option<LockHistory>, HistoryError> {
        self.ask(|db| {
            let sql = format!("SELECT {LOCK_COLUMNS} FROM lock WHERE device_id = ?1");
            let found =
                db.ask(|connection| connection.prepare_cached(&sql)?.query_row([device_id], lock_of).optional())?;
            let Some((number, mut now, due)) = found else { return Ok(None) };
            let up_to_ms = db.place("up_to_ms")?.unwrap_or(0);
            now.battery_due = due.map(|due| due_in_days(due, up_to_ms));
            let (from, to) = (bucket_of(from_ms), bucket_of(to_ms.saturating_sub(1)) + 1);
            let sql = "SELECT at, body FROM bucket WHERE lock = ?1 AND at >= ?2 AND at < ?3 ORDER BY at";
            let kept: Vec<(i64, Packed)> = db.rows("bucket", sql, params![number, from, to])?;
            let firmware = db.firmware(number, from_ms, to_ms)?;
            let profiles = db.profiles(number)?.into_iter().map(|kept| Profile {
                at_ms: kept.at_ms,
                kind: kept.kind,
                result: kept.result,
                current_ma: kept.current_ma,
                step_ms: kept.step_ms,
            });
            let buckets = merged(db, kept, (from, to, points), Packed::merge, Packed::shown)?;
            Ok(Some(LockHistory { now, buckets, firmware, profiles: profiles.collect() }))
        })
    }

    pub(in crate::history) fn cohort(
        &self,
        dimension: Dimension,
        value: &str,
        from_ms: i64,
        to_ms: i64,
        points: usize,
    ) -> Result<CohortHistory, HistoryError> {
        self.ask(|db| {
            let Some(value) = db.known(value)? else { return Ok(CohortHistory::default()) };
            let (from, to) = (bucket_of(from_ms), bucket_of(to_ms.saturating_sub(1)) + 1);
            let sql = "SELECT at, body FROM cohort WHERE dimension = ?1 AND value = ?2 AND at >= ?3 AND at < ?4 \
                       ORDER BY at";
            let kept: Vec<(i64, PackedCohort)> = db.rows("cohort", sql, params![dimension as u8, value, from, to])?;
            let buckets: Vec<CohortBucket> =
                merged(db, kept, (from, to, points), PackedCohort::merge, PackedCohort::shown)?;
            Ok(CohortHistory { buckets })
        })
    }

    pub(in crate::history) fn gateways(&self) -> Result<Vec<GatewayNow>, HistoryError> {
        self.ask(|db| {
            let sql = "SELECT id, body FROM gateway ORDER BY id LIMIT ?1";
            let kept: Vec<(String, KeptGateway)> = db.rows("gateway", sql, params![ROWS_MAX as i64])?;
            let sql = "SELECT count(*) FROM lock WHERE gateway = ?1";
            let gateway = |(id, kept): (String, KeptGateway)| {
                let locks: i64 =
                    db.ask(|connection| connection.prepare_cached(sql)?.query_row([&id], |row| row.get(0)))?;
                Ok(GatewayNow {
                    id,
                    site: kept.site,
                    version: kept.version,
                    heard_ms: kept.heard_ms,
                    locks: locks.unsigned_abs(),
                    records: kept.records,
                    queue_depth: kept.queue_depth,
                    publish_errors: kept.publish_errors,
                    api_errors: kept.api_errors,
                    api_latency_ms: kept.api_latency_ms,
                    locks_heard: kept.locks_heard,
                })
            };
            kept.into_iter().map(gateway).collect()
        })
    }

    pub(in crate::history) fn receptions(&self, limit: usize) -> Result<Vec<Reception>, HistoryError> {
        self.ask(|db| {
            let sql = "SELECT device_id, gateway, body FROM reception \
                       ORDER BY heard_ms DESC, device_id, gateway LIMIT ?1";
            let found: Vec<(String, String, Vec<u8>)> = db.ask(|connection| {
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map(params![limit.min(ROWS_MAX) as i64], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?;
                rows.collect()
            })?;
            let reception = |(device_id, gateway, body): (String, String, Vec<u8>)| {
                let kept: KeptReception = db.read("reception", &body)?;
                Ok(Reception {
                    device_id,
                    gateway,
                    rssi_last_dbm: kept.last,
                    rssi_min_dbm: kept.min,
                    rssi_max_dbm: kept.max,
                    advertisements: kept.advertisements,
                    heard_ms: kept.heard_ms,
                    trusted: kept.trusted,
                })
            };
            found.into_iter().map(reception).collect()
        })
    }

    pub(in crate::history) fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetterShown>, HistoryError> {
        self.ask(|db| {
            let sql = "SELECT reason, detail, topic, at_ms, bytes, length, cut FROM dead_letter \
                       ORDER BY at_ms DESC, number DESC LIMIT ?1";
            db.ask(|connection| {
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map(params![limit.min(ROWS_MAX) as i64], |row| {
                    Ok(DeadLetterShown {
                        reason: row.get(0)?,
                        detail: row.get(1)?,
                        topic: row.get(2)?,
                        at_ms: row.get(3)?,
                        bytes: row.get(4)?,
                        length: row.get::<_, i64>(5)?.unsigned_abs(),
                        cut: row.get(6)?,
                    })
                })?;
                rows.collect()
            })
        })
    }

    pub(in crate::history) fn up_to_ms(&self) -> Result<i64, HistoryError> {
        self.ask(|db| Ok(db.place("up_to_ms")?.unwrap_or(0)))
    }
}

impl Db<'_> {
    /// The rows of a statement that gives a key and a packed value.
    pub(super) fn rows<K: rusqlite::types::FromSql, T: DeserializeOwned>(
        &self,
        table: &'static str,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<(K, T)>, HistoryError> {
        let found: Vec<(K, Vec<u8>)> = self.ask(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })?;
        found.into_iter().map(|(key, body)| Ok((key, self.read(table, &body)?))).collect()
    }

    /// The number of a word that is known.
    pub(super) fn known(&self, text: &str) -> Result<Option<u32>, HistoryError> {
        let sql = "SELECT number FROM word WHERE text = ?1";
        self.ask(|connection| connection.prepare_cached(sql)?.query_row([text], |row| row.get(0)).optional())
    }

    fn firmware(&self, lock: i64, from_ms: i64, to_ms: i64) -> Result<Vec<Firmware>, HistoryError> {
        let sql =
            "SELECT at_ms, was, became FROM firmware WHERE lock = ?1 AND at_ms >= ?2 AND at_ms < ?3 ORDER BY at_ms";
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![lock, from_ms, to_ms], |row| {
                Ok(Firmware { at_ms: row.get(0)?, from: row.get(1)?, to: row.get(2)? })
            })?;
            rows.collect()
        })
    }
}

/// Days from the newest record of the history.
pub(super) fn due_in_days((early, likely, late): DueMs, up_to_ms: i64) -> Due {
    let days = |at_ms: i64| at_ms.saturating_sub(up_to_ms) as f64 / DAY_MS as f64;
    Due { early_days: days(early), likely_days: days(likely), late_days: late.map_or(f64::INFINITY, days) }
}

/// Buckets of the source, put together to the buckets of an answer.
fn merged<T: Words, S>(
    db: &Db<'_>,
    kept: Vec<(i64, T)>,
    (from, to, points): (i64, i64, usize),
    merge: fn(&mut T, &T),
    shown: fn(&T, i64, i64, &dyn Fn(u32) -> String) -> S,
) -> Result<Vec<S>, HistoryError> {
    let width = width(from, to, points);
    let mut groups: Vec<(i64, T)> = Vec::new();
    for (at, bucket) in kept {
        let start = from + (at - from) / width * width;
        match groups.last_mut() {
            Some((last, found)) if *last == start => merge(found, &bucket),
            Some(_) | None => groups.push((start, bucket)),
        }
    }
    let mut words: HashMap<u32, String> = HashMap::new();
    for number in groups.iter().flat_map(|(_, bucket)| bucket.words()) {
        if let std::collections::hash_map::Entry::Vacant(slot) = words.entry(number) {
            slot.insert(db.word(number)?);
        }
    }
    let word = |number: u32| words.get(&number).cloned().unwrap_or_default();
    Ok(groups.iter().map(|(at, bucket)| shown(bucket, at * BUCKET_MS, width * BUCKET_MS, &word)).collect())
}

/// The numbers of the words that a kept bucket names.
trait Words {
    fn words(&self) -> Vec<u32>;
}

impl Words for Packed {
    fn words(&self) -> Vec<u32> {
        self.errors.0.iter().map(|&(code, _)| code).chain([self.fw]).filter(|&number| number != 0).collect()
    }
}

impl Words for PackedCohort {
    fn words(&self) -> Vec<u32> {
        self.errors.0.iter().map(|&(code, _)| code).filter(|&number| number != 0).collect()
    }
}
