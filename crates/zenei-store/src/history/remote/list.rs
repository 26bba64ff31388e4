//! Lists of locks over the rows of the last 30 days. Must not know one lock's past. Called by the history.
use super::{PLACE, POSSIBLE, Remote, since};
use crate::history::due::{DAY_MS, DUE_PCT, Track};
use crate::history::error::HistoryError;
use crate::history::list::{Cursor, page_limit};
use crate::history::types::{
    Dimension, Due, Hit, HitKind, LOCKS_MAX, LockFilter, LockNow, LockPage, LockSort, ROWS_MAX,
};
use serde::Deserialize;
use std::collections::HashMap;

/// How far back a battery's track goes, ms: the buckets of the other source.
const TRACK_MS: i64 = 400 * DAY_MS;

#[derive(Deserialize)]
struct LockRow {
    device_id: String,
    site_now: String,
    gateway_now: String,
    model_now: String,
    hw_rev_now: String,
    lot_now: String,
    fw_now: String,
    service_now: String,
    heard_ms: i64,
    pct: Option<u8>,
    mv: Option<u16>,
    rssi: Option<i8>,
    records: u64,
    errors: u64,
    proven: bool,
    #[serde(default)]
    key: Option<i64>,
    #[serde(default)]
    total: u64,
}

#[derive(Deserialize)]
struct ValueRow {
    value: String,
    locks: u64,
}

#[derive(Deserialize)]
struct ReportRow {
    device_id: String,
    day: i64,
    pct: u8,
    reports: u32,
    temp: Option<f64>,
}

impl From<LockRow> for LockNow {
    fn from(row: LockRow) -> Self {
        Self {
            device_id: row.device_id,
            site: row.site_now,
            gateway: row.gateway_now,
            model: row.model_now,
            hw_rev: row.hw_rev_now,
            lot: row.lot_now,
            fw: row.fw_now,
            service: row.service_now,
            heard_ms: row.heard_ms,
            battery_pct: row.pct,
            battery_mv: row.mv,
            rssi_dbm: row.rssi,
            records: row.records,
            errors_7d: row.errors,
            authenticated: row.proven,
            battery_due: None,
        }
    }
}

impl Remote {
    pub(in crate::history) fn locks(&self, filter: &LockFilter) -> Result<LockPage, HistoryError> {
        let after = filter.after.as_deref().map(|text| Cursor::parse(text, filter.sort)).transpose()?;
        let up_to_ms = self.up_to_ms()?;
        let limit = page_limit(filter.limit);
        let mut params = vec![
            ("since".to_owned(), up_to_ms.saturating_sub(super::LIST_MS).to_string()),
            ("up_to".to_owned(), up_to_ms.to_string()),
            ("limit".to_owned(), (limit + 1).to_string()),
        ];
        let is_meant = conditions(filter, &mut params);
        let (key, descends) = key(filter.sort);
        let (than, order) = if descends { ("<", "DESC") } else { (">", "ASC") };
        let is_after = match &after {
            None => "1".to_owned(),
            Some(cursor) => {
                params.push(("after_id".to_owned(), cursor.device_id.clone()));
                match cursor.key {
                    Some(value) => {
                        params.push(("after_key".to_owned(), value.to_string()));
                        format!(
                            "(key IS NULL OR key {than} {{after_key:Int64}} OR (key = {{after_key:Int64}} AND device_id > {{after_id:String}}))"
                        )
                    }
                    None => "key IS NULL AND device_id > {after_id:String}".to_owned(),
                }
            }
        };
        let sql = format!(
            "SELECT * FROM (SELECT *, {key} AS key, count() OVER () AS total FROM ({}) WHERE {is_meant}) \
             WHERE {is_after} ORDER BY key IS NULL, key {order}, device_id LIMIT {{limit:UInt64}}",
            now(&since("since"))
        );
        let params: Vec<(&str, &str)> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut rows: Vec<LockRow> = self.ask(&sql, &params)?;
        let total = rows.first().map_or(0, |row| row.total);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let last = has_more.then(|| rows.last()).flatten();
        let next = last.map(|row| Cursor { key: row.key, device_id: row.device_id.clone() }.text(filter.sort));
        let mut locks: Vec<LockNow> = rows.into_iter().map(LockNow::from).collect();
        self.tell_due(&mut locks)?;
        Ok(LockPage { locks, total, next })
    }

    /// These locks now, by the rows since a time.
    pub(super) fn locks_named(&self, ids: &[String], since_ms: i64) -> Result<Vec<LockNow>, HistoryError> {
        let ids = joined(ids);
        let since_ms = since_ms.max(0).to_string();
        let up_to_ms = self.up_to_ms()?.to_string();
        let sql = now(&format!("{} AND device_id IN splitByChar(',', {{ids:String}})", since("since")));
        let params = [("ids", ids.as_str()), ("since", since_ms.as_str()), ("up_to", up_to_ms.as_str())];
        let rows: Vec<LockRow> = self.ask(&sql, &params)?;
        Ok(rows.into_iter().map(LockNow::from).collect())
    }

    /// Tells of each lock when its battery is due, from its whole track.
    pub(super) fn tell_due(&self, locks: &mut [LockNow]) -> Result<(), HistoryError> {
        if locks.is_empty() {
            return Ok(());
        }
        let up_to_ms = self.up_to_ms()?;
        let ids: Vec<String> = locks.iter().take(LOCKS_MAX).map(|lock| lock.device_id.clone()).collect();
        let (ids, from) = (joined(&ids), up_to_ms.saturating_sub(TRACK_MS).max(0).to_string());
        let sql = format!(
            "SELECT device_id, intDiv(toUnixTimestamp64Milli(heard_at), 86400000) AS day, toUInt8(battery_pct) AS pct, \
             toUInt32(count()) AS reports, avg(temp_centi_c) AS temp FROM [record] \
             LEFT ANY JOIN (SELECT device_id, max(heard_at) AS begun FROM [record] WHERE event IN ('battery_replaced', 'installed') \
               AND device_id IN splitByChar(',', {{ids:String}}) GROUP BY device_id) AS new USING (device_id) \
             WHERE device_id IN splitByChar(',', {{ids:String}}) AND battery_pct IS NOT NULL AND authenticated AND heard_at >= begun \
             AND {} GROUP BY device_id, day, pct ORDER BY device_id, day, pct DESC LIMIT 900000",
            since("from")
        );
        let rows: Vec<ReportRow> = self.ask(&sql, &[("ids", &ids), ("from", &from)])?;
        let mut tracks: HashMap<String, Track> = HashMap::new();
        for row in rows {
            let track = tracks.entry(row.device_id).or_default();
            for _ in 0..row.reports.min(96) {
                track.report(row.day * DAY_MS, row.pct, row.temp.map(|temp| temp as i16));
            }
        }
        for lock in locks {
            let due = tracks.get(&lock.device_id).and_then(|track| Some((track.due()?, track.end_ms()?)));
            lock.battery_due = due.map(|(due, end_ms)| {
                let past = up_to_ms.saturating_sub(end_ms) as f64 / DAY_MS as f64;
                Due {
                    early_days: due.early_days - past,
                    likely_days: due.likely_days - past,
                    late_days: due.late_days - past,
                }
            });
        }
        Ok(())
    }

    pub(in crate::history) fn values(&self, dimension: Dimension) -> Result<Vec<(String, u64)>, HistoryError> {
        Ok(self.values_like(dimension, "", ROWS_MAX)?.into_iter().map(|row| (row.value, row.locks)).collect())
    }

    fn values_like(&self, dimension: Dimension, text: &str, limit: usize) -> Result<Vec<ValueRow>, HistoryError> {
        let of = column(dimension);
        let sql = format!(
            "SELECT {of} AS value, count() AS locks FROM ({}) \
             WHERE value NOT IN ('', '+') AND NOT startsWith(value, '+') AND NOT endsWith(value, '+') \
             AND positionCaseInsensitiveUTF8(value, {{text:String}}) > 0 \
             GROUP BY value ORDER BY locks DESC, value LIMIT {{limit:UInt64}}",
            now(&since("since"))
        );
        let up_to_ms = self.up_to_ms()?;
        let (since, up_to) = (up_to_ms.saturating_sub(super::LIST_MS).to_string(), up_to_ms.to_string());
        let limit = limit.to_string();
        self.ask(&sql, &[("since", &since), ("up_to", &up_to), ("text", text), ("limit", &limit)])
    }

    pub(in crate::history) fn search(&self, text: &str, limit: usize) -> Result<Vec<Hit>, HistoryError> {
        let limit = limit.min(ROWS_MAX);
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let filter = LockFilter { text: Some(text.to_owned()), limit: limit.min(LOCKS_MAX), ..LockFilter::default() };
        let lock = |lock: LockNow| Hit { kind: HitKind::Lock, value: lock.device_id, locks: 1 };
        let mut hits: Vec<Hit> = self.locks(&filter)?.locks.into_iter().map(lock).collect();
        for dimension in Dimension::ALL {
            let room = limit.saturating_sub(hits.len());
            let cohort = |row: ValueRow| Hit { kind: HitKind::Cohort(dimension), value: row.value, locks: row.locks };
            hits.extend(self.values_like(dimension, text, room)?.into_iter().map(cohort));
        }
        Ok(hits)
    }
}

/// Each lock as its rows tell it.
fn now(wanted: &str) -> String {
    let word =
        |column: &str, name: &str| format!("argMaxIf(toString({column}), {PLACE}, {column} != '') AS {name}_now");
    let labels = [
        ("site", "site"),
        ("gw", "gateway"),
        ("model", "model"),
        ("hw_rev", "hw_rev"),
        ("lot", "lot"),
        ("fw", "fw"),
        ("service", "service"),
    ];
    let words: Vec<String> = labels.iter().map(|(column, name)| word(column, name)).collect();
    let last = |value: &str, name: &str| {
        format!(
            "if(countIf({value} IS NULL) = count(), NULL, argMaxIf({value}, {PLACE}, {value} IS NOT NULL)) AS {name}"
        )
    };
    let common =
        "device_id, site, gw, model, hw_rev, lot, fw, service, heard_at, spool_offset, spool_index, authenticated";
    format!(
        "SELECT device_id, {}, toUnixTimestamp64Milli(max(heard_at)) AS heard_ms, {}, {}, {}, count() AS records, \
         sumIf(errors_of, intDiv(toUnixTimestamp64Milli(heard_at), 86400000) > intDiv({{up_to:Int64}}, 86400000) - 7) AS errors, \
         argMax(authenticated, {PLACE}) AS proven, \
         simpleLinearRegressionIf(toFloat64(toUnixTimestamp64Milli(heard_at)) / 86400000, toFloat64(assumeNotNull(told_pct)), \
           told_pct IS NOT NULL) AS line \
         FROM (SELECT {common}, battery_pct AS told_pct, if(battery_mv {POSSIBLE}, battery_mv, NULL) AS told_mv, \
                 rssi_dbm AS told_rssi, toUInt64(if(code = '', 0, count)) AS errors_of \
               FROM [record] WHERE kind != 'gateway' AND {wanted} \
               UNION ALL SELECT {common}, NULL, NULL, NULL, toUInt64(0) FROM [operation] WHERE {wanted}) \
         GROUP BY device_id",
        words.join(", "),
        last("told_pct", "pct"),
        last("told_mv", "mv"),
        last("told_rssi", "rssi"),
    )
}

/// When the line of a lock's percent falls to what is due, ms since 1970; null where it does not fall.
fn due_ms() -> String {
    format!("if(line.1 < -0.001, toInt64(({DUE_PCT:.1} - line.2) / line.1 * 86400000), NULL)")
}

/// The value of an order, and whether it descends.
fn key(sort: LockSort) -> (String, bool) {
    match sort {
        LockSort::Device => ("CAST(NULL, 'Nullable(Int64)')".to_owned(), false),
        LockSort::Heard => ("CAST(heard_ms, 'Nullable(Int64)')".to_owned(), false),
        LockSort::Battery => ("CAST(pct, 'Nullable(Int64)')".to_owned(), false),
        LockSort::Due => (due_ms(), false),
        LockSort::Errors => ("CAST(nullIf(errors, 0), 'Nullable(Int64)')".to_owned(), true),
        LockSort::Signal => ("CAST(rssi, 'Nullable(Int64)')".to_owned(), false),
    }
}

/// The value of a dimension among a lock's labels now.
fn column(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Site => "site_now",
        Dimension::Gateway => "gateway_now",
        Dimension::Model => "model_now",
        Dimension::HwRev => "hw_rev_now",
        Dimension::Lot => "lot_now",
        Dimension::Fw => "fw_now",
        Dimension::Service => "service_now",
        Dimension::FwHw => "concat(fw_now, '+', hw_rev_now)",
    }
}

fn conditions(filter: &LockFilter, params: &mut Vec<(String, String)>) -> String {
    let mut found = vec!["1".to_owned()];
    let labels = [
        ("site", &filter.site),
        ("gateway", &filter.gateway),
        ("model", &filter.model),
        ("hw_rev", &filter.hw_rev),
        ("lot", &filter.lot),
        ("fw", &filter.fw),
        ("service", &filter.service),
    ];
    for (name, label) in labels {
        if let Some(label) = label {
            found.push(format!("{name}_now = {{of_{name}:String}}"));
            params.push((format!("of_{name}"), label.clone()));
        }
    }
    if let Some(text) = &filter.text {
        found.push("positionCaseInsensitiveUTF8(device_id, {text:String}) > 0".to_owned());
        params.push(("text".to_owned(), text.clone()));
    }
    if let Some(pct) = filter.battery_below_pct {
        found.push("pct < {below:UInt8}".to_owned());
        params.push(("below".to_owned(), pct.to_string()));
    }
    if let Some(days) = filter.due_within_days {
        found.push(format!("{} <= {{up_to:Int64}} + {{days:Int64}} * 86400000", due_ms()));
        params.push(("days".to_owned(), days.to_string()));
    }
    found.join(" AND ")
}

/// Ids as one text; an id has no comma, and what has one is none.
fn joined(ids: &[String]) -> String {
    let ids: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !id.contains(',')).collect();
    ids.join(",")
}
