//! The small lists: gateways, how they hear advertisements, dead letters. Must not know locks' pasts. Called by the
//! history.
use super::{PLACE, Remote, since};
use crate::history::error::HistoryError;
use crate::history::types::{DeadLetterShown, GatewayNow, ROWS_MAX, Reception, SHOWN_BYTES_MAX};
use serde::Deserialize;

#[derive(Deserialize)]
struct GatewayRow {
    id: String,
    site_now: String,
    version_now: Option<String>,
    heard_ms: i64,
    locks: u64,
    records: u64,
    queue: Option<u32>,
    publish: Option<u32>,
    failed: Option<u32>,
    latency: Option<u32>,
    heard_locks: Option<u32>,
}

#[derive(Deserialize)]
struct ReceptionRow {
    device_id: String,
    gateway_of: String,
    last: Option<i8>,
    least: Option<i8>,
    most: Option<i8>,
    advertisements: u64,
    heard_ms: i64,
    trusted: bool,
}

#[derive(Deserialize)]
struct LetterRow {
    reason: String,
    detail: String,
    topic: String,
    at_ms: i64,
    hex: String,
    length: u64,
    cut: bool,
}

impl Remote {
    pub(in crate::history) fn gateways(&self) -> Result<Vec<GatewayNow>, HistoryError> {
        let common = "heard_at, spool_offset, spool_index, toString(site) AS site_of";
        let absent = "NULL AS version_of, NULL AS q, NULL AS p, NULL AS f, NULL AS l, NULL AS h, device_id";
        let last = |value: &str, name: &str| {
            format!("if(count({value}) = 0, NULL, argMaxIf({value}, {PLACE}, {value} IS NOT NULL)) AS {name}")
        };
        let sql = format!(
            "SELECT id, argMax(site_of, {PLACE}) AS site_now, toUnixTimestamp64Milli(max(heard_at)) AS heard_ms, \
             uniqExactIf(device_id, device_id != '') AS locks, countIf(device_id != '') AS records, {}, {}, {}, {}, {}, {} FROM ( \
               SELECT toString(gw) AS id, {common}, {absent} FROM [record] WHERE kind != 'gateway' AND gw != '' AND {when} \
               UNION ALL SELECT toString(gw) AS id, {common}, {absent} FROM [operation] WHERE gw != '' AND {when} \
               UNION ALL SELECT device_id AS id, {common}, CAST(version, 'Nullable(String)'), queue_depth, publish_errors, api_errors, \
                 api_latency_ms, locks_heard, '' FROM [record] WHERE kind = 'gateway' AND {when} \
             ) GROUP BY id ORDER BY id LIMIT {{limit:UInt64}}",
            last("version_of", "version_now"),
            last("q", "queue"),
            last("p", "publish"),
            last("f", "failed"),
            last("l", "latency"),
            last("h", "heard_locks"),
            when = since("since"),
        );
        let since = self.up_to_ms()?.saturating_sub(super::LIST_MS).to_string();
        let rows: Vec<GatewayRow> = self.ask(&sql, &[("since", &since), ("limit", &ROWS_MAX.to_string())])?;
        let gateway = |row: GatewayRow| GatewayNow {
            id: row.id,
            site: row.site_now,
            version: row.version_now.unwrap_or_default(),
            heard_ms: row.heard_ms,
            locks: row.locks,
            records: row.records,
            queue_depth: row.queue,
            publish_errors: row.publish,
            api_errors: row.failed,
            api_latency_ms: row.latency,
            locks_heard: row.heard_locks,
        };
        Ok(rows.into_iter().map(gateway).collect())
    }

    pub(in crate::history) fn receptions(&self, limit: usize) -> Result<Vec<Reception>, HistoryError> {
        let sql = format!(
            "SELECT device_id, toString(gw) AS gateway_of, \
             if(count(rssi_dbm) = 0, NULL, argMaxIf(rssi_dbm, {PLACE}, rssi_dbm IS NOT NULL)) AS last, min(rssi_dbm) AS least, \
             max(rssi_dbm) AS most, count() AS advertisements, toUnixTimestamp64Milli(max(heard_at)) AS heard_ms, \
             argMax(authenticated, {PLACE}) AS trusted FROM [record] WHERE kind = 'adv' AND {} \
             GROUP BY device_id, gateway_of ORDER BY heard_ms DESC, device_id, gateway_of LIMIT {{limit:UInt64}}",
            since("since")
        );
        let since = self.up_to_ms()?.saturating_sub(super::LIST_MS).to_string();
        let limit = limit.min(ROWS_MAX).to_string();
        let rows: Vec<ReceptionRow> = self.ask(&sql, &[("since", &since), ("limit", &limit)])?;
        let reception = |row: ReceptionRow| Reception {
            device_id: row.device_id,
            gateway: row.gateway_of,
            rssi_last_dbm: row.last,
            rssi_min_dbm: row.least,
            rssi_max_dbm: row.most,
            advertisements: row.advertisements,
            heard_ms: row.heard_ms,
            trusted: row.trusted,
        };
        Ok(rows.into_iter().map(reception).collect())
    }

    pub(in crate::history) fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetterShown>, HistoryError> {
        let sql = "SELECT toString(reason) AS reason, substringUTF8(detail, 1, 512) AS detail, \
                   substringUTF8(topic, 1, 512) AS topic, toUnixTimestamp64Milli(heard_at) AS at_ms, \
                   hex(substring(bytes, 1, {shown:UInt64})) AS hex, length(bytes) AS length, cut FROM [dead_letter] \
                   ORDER BY heard_at DESC, gateway, spool_offset DESC, spool_index DESC LIMIT {limit:UInt64}";
        let (shown, limit) = (SHOWN_BYTES_MAX.to_string(), limit.min(ROWS_MAX).to_string());
        let rows: Vec<LetterRow> = self.ask(sql, &[("shown", &shown), ("limit", &limit)])?;
        let letter = |row: LetterRow| DeadLetterShown {
            reason: row.reason,
            detail: row.detail,
            topic: row.topic,
            at_ms: row.at_ms,
            bytes: bytes(&row.hex),
            length: row.length,
            cut: row.cut,
        };
        Ok(rows.into_iter().map(letter).collect())
    }
}

/// The bytes of hex digits; what is none ends them.
fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map_while(byte).collect()
}
