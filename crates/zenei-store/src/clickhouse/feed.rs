//! Reads what many gateways shipped, for one desk: which shipments are new, and the records of a slice of time in the
//! order in which they were received. The feed is sorted by that time, so that the cost of reading depends on the new
//! rows, not on the size of the tables. Must not know the engine. Called by the tail.
use super::query;
use super::reader::{
    EARLIEST_MS, EachHeard, FORM, LATEST_MS, RecordsError, each_batch, each_heard, heard_between, unreadable,
};
use super::server::Server;
use super::server_error::ServerError;
use crate::control::{Moved, Sealed, TailStep, Tailed};
use crate::parquet::{ReadError, StoredBatch};
use crate::schema::Form;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use zenei_detect::Unreadable;
use zenei_wire::{EngineTime, GatewayTime, Name};

/// For a late shipment only the time of its first record is known; its dead letters are searched from this long before
/// it. The slowest heartbeat (6 h, telemetry contract).
const LETTERS_BEFORE_MS: i64 = 6 * 3_600_000;

/// How far a gateway reports that it has shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayProgress {
    /// The gateway.
    pub gateway: String,
    /// Up to where everything is shipped.
    pub to: Sealed,
    /// How many records the newest shipment has.
    pub rows: u64,
    /// The earliest time at which one of them was received; the end's time if there is none.
    pub heard_from: GatewayTime,
}

/// Records of many gateways, to be read in one order. Each call blocks and may fail for as long as the server is away;
/// nothing is taken by it.
pub trait Feed {
    /// The gateways' reports beyond `known`, by gateway and place, at most `limit`.
    ///
    /// # Errors
    /// See [`RecordsError`].
    fn told(&self, known: &BTreeMap<String, Sealed>, limit: u64) -> Result<Vec<GatewayProgress>, RecordsError>;

    /// The time of reception of record number `rows` among those received after `after` and up to `up_to`; `None` if
    /// there are fewer. Records of shipments beyond `known` do not count.
    ///
    /// # Errors
    /// See [`RecordsError`].
    fn nth(
        &self,
        known: &BTreeMap<String, Sealed>,
        after: Option<EngineTime>,
        up_to: EngineTime,
        rows: u64,
    ) -> Result<Option<GatewayTime>, RecordsError>;

    /// Passes the rows of a step to `each`, in the order of reception.
    ///
    /// # Errors
    /// See [`RecordsError`], and the error of `each`; it has then received a part of the rows.
    fn rows(
        &self,
        before: &Tailed,
        step: &TailStep,
        each: &mut dyn FnMut(&StoredBatch) -> Result<(), ReadError>,
    ) -> Result<(), RecordsError>;

    /// The unreadable records of a step, in the order of reception.
    ///
    /// # Errors
    /// See [`RecordsError`].
    fn unreadable(&self, before: &Tailed, step: &TailStep) -> Result<Vec<Unreadable>, RecordsError>;

    /// Passes the records received after `after` that are older than the feed to `each`, in the order of reception: a
    /// desk that starts, or was away for long, reads them first. With each batch come the unreadable records up to its
    /// last record. Returns the time up to which these are all records; `None` if nothing is older.
    ///
    /// # Errors
    /// As [`Feed::rows`].
    fn past(&self, after: Past, each: &mut EachHeard<'_>) -> Result<Option<EngineTime>, RecordsError>;
}

/// How far back the records older than the feed are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// Records received after this time and before the feed begins.
    After(EngineTime),
    /// So many ms before the feed begins.
    BeforeFeed(i64),
    /// So many ms up to this time, whatever the feed holds.
    UpTo(EngineTime, i64),
}

/// The feed of a ClickHouse.
#[derive(Debug)]
pub struct ClickHouseFeed {
    server: Server,
    form: Form,
}

#[derive(Deserialize)]
struct ToldLine {
    gateway: String,
    offset: u64,
    at_ms: i64,
    rows: u64,
    heard_from_ms: i64,
}

#[derive(Deserialize)]
struct At {
    at_ms: Option<i64>,
}

impl ClickHouseFeed {
    /// The feed in these tables.
    pub fn new(server: Server, form: Form) -> Self {
        Self { server, form }
    }

    /// The server that it queries.
    pub fn server(&self) -> &Server {
        &self.server
    }

    fn at(&self, sql: &str) -> Result<Option<i64>, ServerError> {
        let rows: Vec<At> = self.server.lines(&format!("{sql} {NUMBERS}"), &[])?;
        Ok(rows.into_iter().next().and_then(|row| row.at_ms))
    }
}

/// 64-bit numbers as JSON numbers; on a cluster the answer must include rows that a replica has not received yet.
const NUMBERS: &str = "SETTINGS output_format_json_quote_64bit_integers = 0, select_sequential_consistency = 1";

impl Feed for ClickHouseFeed {
    fn told(&self, known: &BTreeMap<String, Sealed>, limit: u64) -> Result<Vec<GatewayProgress>, RecordsError> {
        let table = self.form.table("shipment");
        let sql = format!(
            "SELECT gateway, sealed_offset AS offset, toUnixTimestamp64Milli(sealed_at) AS at_ms, max(rows) AS rows, \
             min(toUnixTimestamp64Milli(heard_from)) AS heard_from_ms FROM {table} WHERE {} \
             GROUP BY gateway, sealed_offset, sealed_at ORDER BY gateway, sealed_offset, sealed_at LIMIT {limit} {NUMBERS}",
            beyond(known)
        );
        let lines: Vec<ToldLine> = self.server.lines(&sql, &[])?;
        let mut told = Vec::with_capacity(lines.len());
        for ToldLine { gateway, offset, at_ms, rows, heard_from_ms } in lines {
            if Name::new(&gateway).is_err() {
                tracing::warn!(gateway = ?gateway, "a shipment names a gateway that can't have this name; it is passed over");
                continue;
            }
            let to = Sealed { offset, advanced_to: EngineTime(at_ms) };
            told.push(GatewayProgress { gateway, to, rows, heard_from: GatewayTime(heard_from_ms) });
        }
        Ok(told)
    }

    fn nth(
        &self,
        known: &BTreeMap<String, Sealed>,
        after: Option<EngineTime>,
        up_to: EngineTime,
        rows: u64,
    ) -> Result<Option<GatewayTime>, RecordsError> {
        let (table, within) = (self.form.table("feed"), within(known));
        let sql = format!(
            "SELECT toUnixTimestamp64Milli(heard_at) AS at_ms FROM {table} WHERE {} AND {within} ORDER BY heard_at LIMIT 1 OFFSET {}",
            heard(after, up_to),
            rows.saturating_sub(1)
        );
        Ok(self.at(&sql)?.map(GatewayTime))
    }

    fn rows(
        &self,
        before: &Tailed,
        step: &TailStep,
        each: &mut dyn FnMut(&StoredBatch) -> Result<(), ReadError>,
    ) -> Result<(), RecordsError> {
        let mut after = before.clone();
        after.take(step);
        let mut wanted = Vec::new();
        if let Some(up_to) = step.up_to.filter(|up_to| before.up_to.is_none_or(|before| before < *up_to)) {
            wanted.push(format!("({} AND {})", heard(before.up_to, up_to), within(&after.gateways)));
        }
        if let Some(up_to) = before.up_to {
            let late = step.moved.iter().filter(|(_, moved)| moved.heard_from.ms() <= up_to.ms());
            wanted.extend(late.map(|(gateway, moved)| behind(gateway, before.gateways.get(gateway), moved, up_to)));
        }
        if wanted.is_empty() || after.gateways.is_empty() {
            return Ok(());
        }
        let select = query::of_feed(&self.form, &wanted.join(" OR "));
        let sql =
            format!("{select}ORDER BY heard_at, heard_by, offset, index\n{FORM}, select_sequential_consistency = 1");
        each_batch(&self.server, &sql, &[], each)
    }

    fn unreadable(&self, before: &Tailed, step: &TailStep) -> Result<Vec<Unreadable>, RecordsError> {
        let mut after = before.clone();
        after.take(step);
        let mut wanted = Vec::new();
        if let Some(up_to) = step.up_to.filter(|up_to| before.up_to.is_none_or(|before| before < *up_to)) {
            wanted.push(format!("({} AND {})", heard(before.up_to, up_to), spooled_before(&after.gateways)));
        }
        if let Some(up_to) = before.up_to {
            let late = step.moved.iter().filter(|(_, moved)| moved.heard_from.ms() <= up_to.ms());
            wanted.extend(late.map(|(gateway, moved)| {
                let from = EngineTime(moved.heard_from.ms() - LETTERS_BEFORE_MS);
                let known = before.gateways.get(gateway).map_or(0, |known| known.offset);
                let (heard, to) = (heard(Some(from), up_to), moved.to.offset);
                format!("(gateway = '{gateway}' AND {heard} AND spool_offset >= {known} AND spool_offset < {to})")
            }));
        }
        if wanted.is_empty() || after.gateways.is_empty() {
            return Ok(Vec::new());
        }
        Ok(unreadable(&self.server, &self.form, &wanted.join(" OR "))?)
    }

    fn past(&self, past: Past, each: &mut EachHeard<'_>) -> Result<Option<EngineTime>, RecordsError> {
        let (server, form) = (&self.server, &self.form);
        let first = format!("SELECT minOrNull(toUnixTimestamp64Milli(heard_at)) AS at_ms FROM {}", form.table("feed"));
        let end_ms = match past {
            Past::UpTo(up_to, _) => up_to.ms(),
            Past::After(_) | Past::BeforeFeed(_) => match self.at(&first)? {
                Some(first_ms) => first_ms - 1,
                None => return Ok(None),
            },
        };
        let end = GatewayTime(end_ms);
        let after = match past {
            Past::After(after) => GatewayTime(after.ms()),
            Past::BeforeFeed(back_ms) | Past::UpTo(_, back_ms) => {
                let Some((_, last)) = heard_between(server, form, GatewayTime(i64::MIN), end)? else { return Ok(None) };
                last.plus_ms(-back_ms)
            }
        };
        let Some((_, last)) = heard_between(server, form, after, end)? else { return Ok(None) };
        each_heard(server, form, after, last, each)?;
        Ok(Some(last.as_engine()))
    }
}

/// Received after the one time, and up to the other.
fn heard(after: Option<EngineTime>, up_to: EngineTime) -> String {
    let time = |at: EngineTime| format!("fromUnixTimestamp64Milli({}, 'UTC')", at.ms().clamp(EARLIEST_MS, LATEST_MS));
    let up_to = format!("heard_at <= {}", time(up_to));
    after.map_or_else(|| up_to.clone(), |after| format!("heard_at > {} AND {up_to}", time(after)))
}

/// Shipments beyond the known ones. Gateway names are part of the query text: each was checked as a name, which has no
/// quotes.
fn beyond(known: &BTreeMap<String, Sealed>) -> String {
    if known.is_empty() {
        return "1".to_owned();
    }
    let names: Vec<String> = known.keys().map(|gateway| format!("'{gateway}'")).collect();
    let mut text = format!("(gateway NOT IN ({})", names.join(", "));
    for (gateway, to) in known {
        // A String never fails to take a text.
        let _ = write!(text, " OR (gateway = '{gateway}' AND {})", later_than(*to));
    }
    text.push(')');
    text
}

fn later_than(Sealed { offset, advanced_to }: Sealed) -> String {
    let at = format!("fromUnixTimestamp64Milli({}, 'UTC')", advanced_to.ms().clamp(EARLIEST_MS, LATEST_MS));
    format!("sealed_offset >= {offset} AND (sealed_offset > {offset} OR sealed_at > {at})")
}

/// Rows of known shipments.
fn within(known: &BTreeMap<String, Sealed>) -> String {
    let list = |values: Vec<String>| format!("[{}]", values.join(", "));
    let names = list(known.keys().map(|gateway| format!("'{gateway}'")).collect());
    let offsets = list(known.values().map(|to| format!("toUInt64({})", to.offset)).collect());
    let times = list(known.values().map(|to| format!("toInt64({})", to.advanced_to.ms())).collect());
    let offset = format!("transform(toString(gateway), {names}, {offsets}, toUInt64(0))");
    let time = format!("transform(toString(gateway), {names}, {times}, toInt64({}))", i64::MIN + 1);
    format!("(sealed_offset < {offset} OR (sealed_offset = {offset} AND toUnixTimestamp64Milli(sealed_at) <= {time}))")
}

/// Dead letters of known shipments: an unreadable record does not wait at a hole, so dead letters are sealed in the
/// order of the spool.
fn spooled_before(known: &BTreeMap<String, Sealed>) -> String {
    let names: Vec<String> = known.keys().map(|gateway| format!("'{gateway}'")).collect();
    let offsets: Vec<String> = known.values().map(|to| format!("toUInt64({})", to.offset)).collect();
    let (names, offsets) = (names.join(", "), offsets.join(", "));
    format!("spool_offset < transform(toString(gateway), [{names}], [{offsets}], toUInt64(0))")
}

/// Rows of a gateway's newly known shipments that were received before the time up to which the desk had taken records.
fn behind(gateway: &str, known: Option<&Sealed>, moved: &Moved, up_to: EngineTime) -> String {
    let from = EngineTime(moved.heard_from.ms() - 1);
    let beyond = known.map_or_else(|| "1".to_owned(), |known| later_than(*known));
    let only = BTreeMap::from([(gateway.to_owned(), moved.to)]);
    format!("(gateway = '{gateway}' AND {} AND {beyond} AND {})", heard(Some(from), up_to), within(&only))
}
