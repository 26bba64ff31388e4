//! One lock's past, from the tables of its rows. Must not know lists. Called by the history.
use super::{AT, PLACE, POSSIBLE, Remote};
use crate::history::error::HistoryError;
use crate::history::packed::{BUCKET_MS, Packed, Quantity, Values, bucket_of, width};
use crate::history::types::{Firmware, LockHistory, PROFILES_MAX, Profile};
use serde::Deserialize;
use std::collections::BTreeMap;

/// As far as a row's own time may lie before its hearing, ms: `packed::counted_at`.
const BACKLOG_MS: i64 = 35 * 86_400_000;
/// As far as it may lie after it.
const AHEAD_MS: i64 = 600_000;
/// How long profiles are kept, ms.
const PROFILE_MS: i64 = 30 * 86_400_000;

/// Least, greatest, sum and count of a quantity in a bucket.
type Found = (Option<i64>, Option<i64>, Option<i64>, u64);

#[derive(Deserialize)]
struct Records {
    bucket: i64,
    records: u64,
    errors: BTreeMap<String, u64>,
    mv: Found,
    pct: Found,
    temp: Found,
    rssi: Found,
    newest: (i64, u64, u16),
    newest_fw: String,
}

#[derive(Deserialize)]
struct Operations {
    bucket: i64,
    operations: u64,
    failed: u64,
    load: Found,
    peak: Found,
    resistance: Found,
    effort: Found,
    newest: (i64, u64, u16),
    newest_fw: String,
}

#[derive(Deserialize)]
struct Change {
    at_ms: i64,
    was: String,
    fw: String,
}

#[derive(Deserialize)]
struct ProfileRow {
    at_ms: i64,
    op: String,
    result: String,
    current_ma: Vec<u16>,
    sample_ms: Option<u16>,
}

/// A bucket that is being put together.
#[derive(Default)]
struct Parts {
    packed: Packed,
    errors: BTreeMap<String, u64>,
    newest: (i64, u64, u16),
    fw: String,
}

impl Parts {
    fn newest(&mut self, place: (i64, u64, u16), fw: String) {
        if !fw.is_empty() && place >= self.newest {
            (self.newest, self.fw) = (place, fw);
        }
    }

    fn measure(&mut self, quantity: Quantity, found: Found) {
        if let (Some(min), Some(max), Some(sum), count @ 1..) = found {
            Values::add(&mut self.packed.values[quantity as usize], Values { min, max, sum, count });
        }
    }
}

impl Remote {
    pub(in crate::history) fn lock(
        &self,
        device_id: &str,
        from_ms: i64,
        to_ms: i64,
        points: usize,
    ) -> Result<Option<LockHistory>, HistoryError> {
        let Some(mut now) = self.locks_named(&[device_id.to_owned()], i64::MIN)?.pop() else { return Ok(None) };
        self.tell_due(std::slice::from_mut(&mut now))?;
        let (from, to) = (bucket_of(from_ms), bucket_of(to_ms.saturating_sub(1)) + 1);
        let width = width(from, to, points);
        let parts = self.parts(device_id, (from, to, width))?;
        let shown = |(bucket, parts): (i64, Parts)| {
            let start = from + bucket * width;
            let mut shown = parts.packed.shown(start * BUCKET_MS, width * BUCKET_MS, &|_| String::new());
            (shown.errors, shown.fw) = (parts.errors, parts.fw);
            shown
        };
        let buckets = parts.into_iter().map(shown).collect();
        let firmware = self.firmware(device_id, from_ms, to_ms)?;
        Ok(Some(LockHistory { now, buckets, firmware, profiles: self.profiles(device_id)? }))
    }

    fn parts(&self, device_id: &str, (from, to, width): (i64, i64, i64)) -> Result<BTreeMap<i64, Parts>, HistoryError> {
        let numbers = [
            ("from", from.saturating_mul(BUCKET_MS)),
            ("to", to.saturating_mul(BUCKET_MS)),
            ("heard_from", from.saturating_mul(BUCKET_MS).saturating_sub(AHEAD_MS).max(0)),
            ("heard_to", to.saturating_mul(BUCKET_MS).saturating_add(BACKLOG_MS).min(LATEST_MS)),
            ("width", width.saturating_mul(BUCKET_MS)),
        ];
        let texts: Vec<(&str, String)> = numbers.iter().map(|(name, number)| (*name, number.to_string())).collect();
        let mut params: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        params.push(("device", device_id));
        let mut parts: BTreeMap<i64, Parts> = BTreeMap::new();
        for row in self.ask::<Records>(&records_sql(), &params)? {
            let part = parts.entry(row.bucket).or_default();
            part.packed.records += row.records;
            part.errors.extend(row.errors);
            part.measure(Quantity::BatteryMv, row.mv);
            part.measure(Quantity::BatteryPct, row.pct);
            part.measure(Quantity::Temp, row.temp);
            part.measure(Quantity::Rssi, row.rssi);
            part.newest(row.newest, row.newest_fw);
        }
        for row in self.ask::<Operations>(&operations_sql(), &params)? {
            let part = parts.entry(row.bucket).or_default();
            part.packed.records += row.operations;
            part.packed.operations += row.operations;
            part.packed.failed += row.failed;
            part.measure(Quantity::LoadMv, row.load);
            part.measure(Quantity::PeakMa, row.peak);
            part.measure(Quantity::Resistance, row.resistance);
            part.measure(Quantity::Effort, row.effort);
            part.newest(row.newest, row.newest_fw);
        }
        Ok(parts)
    }

    fn firmware(&self, device_id: &str, from_ms: i64, to_ms: i64) -> Result<Vec<Firmware>, HistoryError> {
        let one = |table: &str| {
            format!(
                "SELECT heard_at, spool_offset, spool_index, toString(fw) AS word FROM [{table}] \
                 WHERE device_id = {{device:String}} AND fw != ''"
            )
        };
        let sql = format!(
            "SELECT at_ms, was, word AS fw FROM ( \
               SELECT toUnixTimestamp64Milli(heard_at) AS at_ms, word, \
                 lagInFrame(word) OVER (ORDER BY heard_at, spool_offset, spool_index \
                   ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS was \
               FROM ({} UNION ALL {}) \
             ) WHERE was != '' AND was != word AND at_ms >= {{from:Int64}} AND at_ms < {{to:Int64}} ORDER BY at_ms DESC LIMIT 64",
            one("record"),
            one("operation")
        );
        let (from, to) = (from_ms.to_string(), to_ms.to_string());
        let found: Vec<Change> = self.ask(&sql, &[("device", device_id), ("from", &from), ("to", &to)])?;
        Ok(found.into_iter().rev().map(|row| Firmware { at_ms: row.at_ms, from: row.was, to: row.fw }).collect())
    }

    fn profiles(&self, device_id: &str) -> Result<Vec<Profile>, HistoryError> {
        let place = "device_id, ts_ms, gateway, spool_offset, spool_index";
        let sql = format!(
            "SELECT at_ms, operation.op AS op, operation.result AS result, current_ma, sample_ms FROM ( \
               SELECT {place}, {AT} AS at_ms, heard_at, current_ma, sample_ms FROM [motor_profile] \
               WHERE device_id = {{device:String}} ORDER BY {PLACE} DESC LIMIT {{limit:UInt64}} \
             ) AS profile LEFT ANY JOIN ( \
               SELECT {place}, toString(op) AS op, toString(result) AS result FROM [operation] \
               WHERE device_id = {{device:String}} \
             ) AS operation USING ({place}) ORDER BY {PLACE} DESC"
        );
        let limit = PROFILES_MAX.to_string();
        let found: Vec<ProfileRow> = self.ask(&sql, &[("device", device_id), ("limit", &limit)])?;
        let newest_ms = found.first().map_or(0, |row| row.at_ms);
        let profile = |row: ProfileRow| Profile {
            at_ms: row.at_ms,
            kind: row.op,
            result: row.result,
            current_ma: row.current_ma,
            step_ms: row.sample_ms.unwrap_or(0),
        };
        let found = found.into_iter().map(profile);
        Ok(found.filter(|profile| profile.at_ms >= newest_ms.saturating_sub(PROFILE_MS)).collect())
    }
}

/// The latest time that ClickHouse's `DateTime64` has, less a backlog.
const LATEST_MS: i64 = 10_410_000_000_000;

/// The rows of a lock within the window, each once, those of others in its name left out once it has been proven.
fn rows(table: &str, wanted: &str) -> String {
    format!(
        "(SELECT *, {AT} AS at FROM [{table}] \
          WHERE device_id = {{device:String}} AND {wanted} AND at >= {{from:Int64}} AND at < {{to:Int64}} \
          AND heard_at >= fromUnixTimestamp64Milli({{heard_from:Int64}}, 'UTC') \
          AND heard_at <= fromUnixTimestamp64Milli({{heard_to:Int64}}, 'UTC') \
          AND (authenticated OR NOT (SELECT count() > 0 FROM [record] WHERE device_id = {{device:String}} AND authenticated)) \
          ORDER BY {PLACE} LIMIT 1 BY boot, seq, identity, ts_ms)"
    )
}

fn found(value: &str, name: &str) -> String {
    let value = format!("toInt64({value})");
    format!("(min({value}), max({value}), sum({value}), count({value})) AS {name}")
}

const NEWEST: &str = "(maxIf(toUnixTimestamp64Milli(heard_at), fw != ''), \
                      argMaxIf(spool_offset, (heard_at, spool_offset, spool_index), fw != ''), \
                      argMaxIf(spool_index, (heard_at, spool_offset, spool_index), fw != '')) AS newest, \
                      argMaxIf(toString(fw), (heard_at, spool_offset, spool_index), fw != '') AS newest_fw";

fn records_sql() -> String {
    let found = [
        found(&format!("if(battery_mv {POSSIBLE}, battery_mv, NULL)"), "mv"),
        found("battery_pct", "pct"),
        found("temp_centi_c", "temp"),
        found("rssi_dbm", "rssi"),
    ];
    format!(
        "SELECT intDiv(at - {{from:Int64}}, {{width:Int64}}) AS bucket, count() AS records, \
         sumMap(if(code = '', map(), map(toString(code), toUInt64(count)))) AS errors, {}, {NEWEST} FROM {} \
         GROUP BY bucket ORDER BY bucket LIMIT 1000",
        found.join(", "),
        rows("record", "kind != 'gateway'"),
    )
}

fn operations_sql() -> String {
    let found = [
        found(&format!("if(battery_min_mv {POSSIBLE}, battery_min_mv, NULL)"), "load"),
        found("peak_ma", "peak"),
        found(
            &format!(
                "if(battery_min_mv {POSSIBLE} AND rest_mv >= battery_min_mv AND peak_ma > 0, \
                 intDiv((toInt64(rest_mv) - toInt64(battery_min_mv)) * 10000, toInt64(peak_ma)), NULL)"
            ),
            "resistance",
        ),
        found("toInt64(mean_ma) * toInt64(duration_ms)", "effort"),
    ];
    format!(
        "SELECT intDiv(at - {{from:Int64}}, {{width:Int64}}) AS bucket, count() AS operations, \
         countIf(result IN ('jam', 'stall', 'timeout')) AS failed, {}, {NEWEST} FROM {} \
         GROUP BY bucket ORDER BY bucket LIMIT 1000",
        found.join(", "),
        rows("operation", "1")
    )
}
