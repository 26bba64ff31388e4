//! The small lists: gateways, how they hear advertisements, and dead letters. Must not know locks' buckets. Called by
//! the fold and the follower.
use super::db::Db;
use crate::dead_letter::DeadLetter;
use crate::history::error::HistoryError;
use crate::history::types::{ROWS_MAX, SHOWN_BYTES_MAX};
use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use zenei_detect::Heard;
use zenei_wire::{Adv, GatewayReport};

/// The most gateways; further ones are not taken. A guess.
const GATEWAYS_MAX: u64 = 100_000;
/// The most pairs of lock and gateway; the longest unheard go first. A guess: a house's radio hears some hundred.
const RECEPTIONS_MAX: u64 = 20_000;
/// The most characters of a dead letter's detail and topic. A guess.
const TEXT_MAX: usize = 512;

/// A gateway as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptGateway {
    pub(super) site: String,
    pub(super) version: String,
    pub(super) heard_ms: i64,
    pub(super) records: u64,
    pub(super) queue_depth: Option<u32>,
    pub(super) publish_errors: Option<u32>,
    pub(super) api_errors: Option<u32>,
    pub(super) api_latency_ms: Option<u32>,
    pub(super) locks_heard: Option<u32>,
}

/// How a gateway hears a lock, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptReception {
    pub(super) heard_ms: i64,
    pub(super) last: Option<i8>,
    pub(super) min: Option<i8>,
    pub(super) max: Option<i8>,
    pub(super) advertisements: u64,
    pub(super) trusted: bool,
}

type Gateways = HashMap<String, KeptGateway>;
type Receptions = HashMap<(String, String), KeptReception>;

/// Takes a gateway's report of itself.
pub(super) fn report(
    db: &Db<'_>,
    gateways: &mut Gateways,
    id: &str,
    site: &str,
    report: &GatewayReport<'_>,
    heard_ms: i64,
) -> Result<(), HistoryError> {
    let Some(kept) = gateway(db, gateways, id)? else { return Ok(()) };
    if heard_ms < kept.heard_ms {
        return Ok(());
    }
    kept.heard_ms = heard_ms;
    site.clone_into(&mut kept.site);
    if let Some(version) = &report.version {
        version.as_ref().clone_into(&mut kept.version);
    }
    let values = [
        (&mut kept.queue_depth, report.queue_depth),
        (&mut kept.publish_errors, report.publish_errors),
        (&mut kept.api_errors, report.api_errors),
        (&mut kept.api_latency_ms, report.api_latency_ms),
        (&mut kept.locks_heard, report.locks_heard),
    ];
    for (slot, value) in values {
        *slot = value.or(*slot);
    }
    Ok(())
}

/// Takes a record of a lock that a gateway relayed.
pub(super) fn relay(
    db: &Db<'_>,
    gateways: &mut Gateways,
    id: &str,
    site: &str,
    heard_ms: i64,
) -> Result<(), HistoryError> {
    let Some(kept) = gateway(db, gateways, id)? else { return Ok(()) };
    kept.records += 1;
    kept.heard_ms = kept.heard_ms.max(heard_ms);
    if kept.site.is_empty() {
        site.clone_into(&mut kept.site);
    }
    Ok(())
}

/// Takes an advertisement.
pub(super) fn hear(db: &Db<'_>, receptions: &mut Receptions, heard: &Heard<'_>, adv: &Adv) -> Result<(), HistoryError> {
    let gateway = heard.record.gw.as_deref().unwrap_or_default().to_owned();
    let key = (heard.device.as_str().to_owned(), gateway);
    if !receptions.contains_key(&key) {
        let sql = "SELECT body FROM reception WHERE device_id = ?1 AND gateway = ?2";
        let kept = db.packed("reception", sql, params![key.0, key.1])?;
        receptions.insert(key.clone(), kept.unwrap_or_default());
    }
    let Some(kept) = receptions.get_mut(&key) else { return Ok(()) };
    kept.advertisements += 1;
    if let Some(rssi) = adv.rssi_dbm.map(|rssi| rssi.0) {
        kept.min = Some(kept.min.map_or(rssi, |min| min.min(rssi)));
        kept.max = Some(kept.max.map_or(rssi, |max| max.max(rssi)));
    }
    if heard.heard_at.ms() >= kept.heard_ms {
        kept.heard_ms = heard.heard_at.ms();
        kept.last = adv.rssi_dbm.map(|rssi| rssi.0).or(kept.last);
        kept.trusted = heard.authenticated;
    }
    Ok(())
}

/// Writes what changed.
pub(super) fn write(db: &Db<'_>, gateways: Gateways, receptions: Receptions) -> Result<(), HistoryError> {
    for (id, kept) in gateways {
        let sql = "INSERT INTO gateway (id, body) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET body = excluded.body";
        db.run(sql, params![id, db.bytes("gateway", &kept)?])?;
    }
    if receptions.is_empty() {
        return Ok(());
    }
    for ((device_id, gateway), kept) in receptions {
        let sql = "INSERT INTO reception (device_id, gateway, heard_ms, body) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT DO UPDATE SET heard_ms = excluded.heard_ms, body = excluded.body";
        db.run(sql, params![device_id, gateway, kept.heard_ms, db.bytes("reception", &kept)?])?;
    }
    let too_many = db.count("reception")?.saturating_sub(RECEPTIONS_MAX);
    let sql = "DELETE FROM reception WHERE (device_id, gateway) IN \
               (SELECT device_id, gateway FROM reception ORDER BY heard_ms, device_id, gateway LIMIT ?1)";
    if too_many > 0 { db.run(sql, params![too_many.cast_signed()]) } else { Ok(()) }
}

/// Takes a range's dead letters; the latest stay.
pub(super) fn dead_letters(db: &Db<'_>, letters: &[DeadLetter]) -> Result<(), HistoryError> {
    let cut = |text: &str| text.chars().take(TEXT_MAX).collect::<String>();
    for letter in letters {
        let sql = "INSERT INTO dead_letter (reason, detail, topic, at_ms, bytes, length, cut) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let shown = &letter.bytes[..letter.bytes.len().min(SHOWN_BYTES_MAX)];
        let (reason, length) = (letter.reason.as_str(), letter.bytes.len() as u64);
        let (detail, topic, at_ms) = (cut(&letter.detail), cut(&letter.topic), letter.heard_at.ms());
        db.run(sql, params![reason, detail, topic, at_ms, shown, length.cast_signed(), letter.cut])?;
    }
    if letters.is_empty() {
        return Ok(());
    }
    let sql = "DELETE FROM dead_letter WHERE number <= (SELECT max(number) FROM dead_letter) - ?1";
    db.run(sql, params![ROWS_MAX as i64])
}

fn gateway<'g>(db: &Db<'_>, gateways: &'g mut Gateways, id: &str) -> Result<Option<&'g mut KeptGateway>, HistoryError> {
    if !gateways.contains_key(id) {
        let kept = match db.packed("gateway", "SELECT body FROM gateway WHERE id = ?1", params![id])? {
            Some(kept) => kept,
            None if db.count("gateway")? + gateways.len() as u64 >= GATEWAYS_MAX => return Ok(None),
            None => KeptGateway::default(),
        };
        gateways.insert(id.to_owned(), kept);
    }
    Ok(gateways.get_mut(id))
}

impl Db<'_> {
    /// How many rows a table has.
    pub(super) fn count(&self, table: &'static str) -> Result<u64, HistoryError> {
        let sql = match table {
            "gateway" => "SELECT count(*) FROM gateway",
            _ => "SELECT count(*) FROM reception",
        };
        let found: Option<i64> =
            self.ask(|connection| connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional())?;
        Ok(found.unwrap_or(0).unsigned_abs())
    }
}
