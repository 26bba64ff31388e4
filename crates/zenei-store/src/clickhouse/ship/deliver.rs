//! Delivers a shipment's batches into the server's tables: it retries with the same bytes while the outcome is unknown,
//! and isolates the rows that the server refuses. Must not know sealed files. Called by the shipper.
use super::backoff::Jitter;
use super::error::ShipError;
use super::load::{Loaded, Part};
use super::options::Go;
use super::shipment::Shipment;
use crate::clickhouse::columns;
use crate::clickhouse::server::Server;
use crate::clickhouse::server_error::{Retry, ServerError};
use crate::clickhouse::shard::shard_of;
use crate::columns::Dialect;
use crate::dead_letter::DeadLetter;
use crate::parquet::{StoredRecord, to_json};
use crate::schema::Form;
use crate::schema::Target;
use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use bytes::Bytes;
use std::time::Duration;
use zenei_wire::{GatewayTime, Reason, Refusal};

/// The most rows of one range and table that may be refused for their values. Beyond it the table is at fault, not the
/// rows: no more rows are given up, and the same row is retried until a person has mended the table. A guess.
pub const MAX_REFUSED_ROWS: usize = 100;

/// The outcome of a shipment's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) taken: u64,
    pub(super) refused: u64,
}

/// One shipment on its way.
pub(super) struct Delivery<'a> {
    /// One of each shard.
    pub(super) servers: &'a [Server],
    pub(super) form: &'a Form,
    pub(super) gateway_id: &'a str,
    pub(super) shipment: &'a Shipment,
    pub(super) attempts: &'a mut Jitter,
    pub(super) wait: &'a mut dyn FnMut(Duration) -> Go,
}

/// The final outcome of an insert.
enum InsertEnd {
    Taken,
    Refused(ServerError),
    Stopped,
}

/// Rows that were refused, by number, with the server's error.
type RefusedRows = Vec<(usize, String)>;

impl Delivery<'_> {
    /// Delivers everything; `None` if it was stopped.
    pub(super) fn all(&mut self, loaded: &Loaded) -> Result<Option<Counted>, ShipError> {
        let mut counted = Counted::default();
        let mut letters = Vec::new();
        for part in &loaded.parts {
            let Some(refused) = self.part(part)? else { return Ok(None) };
            if matches!(part.target, Target::Record | Target::Operation) {
                counted.refused += refused.len() as u64;
                counted.taken += (part.rows.num_rows() - refused.len()) as u64;
            }
            for (row, why) in refused {
                let stored = loaded.stored(part, row)?;
                letters.extend(stored.map(|stored| letter(&stored, part.target, &why)));
            }
        }
        if letters.is_empty() {
            return Ok(Some(counted));
        }
        let rows = crate::columns::of_dead_letters(&letters, self.gateway_id, Dialect::ClickHouse)?;
        let token = format!("{}:refused", self.token(Target::DeadLetter));
        match self.insert(Target::DeadLetter, self.own_shard(), &rows, &token, true)? {
            InsertEnd::Taken | InsertEnd::Refused(_) => Ok(Some(counted)),
            InsertEnd::Stopped => Ok(None),
        }
    }

    /// Reports how far everything is shipped, also if there was nothing to ship. False if it was stopped.
    pub(super) fn tell(&mut self) -> Result<bool, ArrowError> {
        let to = self.shipment.to;
        let rows = columns::of_shipment(self.gateway_id, to, 0, GatewayTime(to.advanced_to.ms()))?;
        let token = self.token(Target::Shipment);
        Ok(!matches!(self.insert(Target::Shipment, self.own_shard(), &rows, &token, true)?, InsertEnd::Stopped))
    }

    /// The shard of the gateway's own rows.
    fn own_shard(&self) -> usize {
        shard_of(self.gateway_id, self.servers.len())
    }

    /// Delivers one table's rows: all of them, or, if something in them is refused, all but the rows at fault. `None`
    /// if it was stopped.
    fn part(&mut self, part: &Part) -> Result<Option<RefusedRows>, ShipError> {
        let mut refused = RefusedRows::new();
        // Halves that wait, the first on top. Their tokens name them, so that a restart in between sends the same
        // halves.
        let mut waiting = Vec::new();
        waiting.push(0..part.rows.num_rows());
        while let Some(rows) = waiting.pop() {
            let whole = rows.len() == part.rows.num_rows();
            let mut token = self.token(part.target);
            if !whole {
                token.push_str(&format!(":{}-{}", rows.start, rows.end));
            }
            // The other tables have no value that the server could refuse.
            let is_row =
                matches!(part.target, Target::Record | Target::Operation | Target::MotorProfile | Target::Feed);
            let must = !is_row || (rows.len() == 1 && refused.len() >= MAX_REFUSED_ROWS);
            match self.insert(part.target, part.shard, &part.rows.slice(rows.start, rows.len()), &token, must)? {
                InsertEnd::Taken => {}
                InsertEnd::Stopped => return Ok(None),
                InsertEnd::Refused(trouble) if rows.len() == 1 => {
                    tracing::warn!(table = part.target.as_str(), %trouble, "a row is refused and left out");
                    refused.push((rows.start, trouble.to_string()));
                }
                InsertEnd::Refused(_) => {
                    let middle = rows.start + rows.len() / 2;
                    waiting.push(middle..rows.end);
                    waiting.push(rows.start..middle);
                }
            }
        }
        Ok(Some(refused))
    }

    /// Inserts until the outcome is known. `must`: a refusal of rows is retried as well.
    fn insert(
        &mut self,
        target: Target,
        shard: usize,
        rows: &RecordBatch,
        token: &str,
        must: bool,
    ) -> Result<InsertEnd, ArrowError> {
        let body = stream(rows)?;
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        // Every server has the whole table of shipments.
        let table = match target {
            Target::Shipment => self.form.table(target.as_str()),
            Target::Record
            | Target::Operation
            | Target::MotorProfile
            | Target::DeadLetter
            | Target::Gap
            | Target::Feed => self.form.local(target.as_str()),
        };
        let sql = format!("INSERT INTO {table} ({}) FORMAT ArrowStream", names.join(", "));
        let mut failed = 0;
        loop {
            let Err(trouble) = self.servers[shard].insert(&sql, token, &body) else { return Ok(InsertEnd::Taken) };
            let verdict = trouble.verdict();
            if verdict == Retry::Rows && !must {
                return Ok(InsertEnd::Refused(trouble));
            }
            let wait = self.attempts.wait(failed);
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            match verdict {
                Retry::Again => tracing::warn!(table, shard, %trouble, wait_ms, "an insert is tried again"),
                Retry::Mend | Retry::Rows => {
                    tracing::error!(table, shard, %trouble, wait_ms, "ClickHouse takes nothing until somebody mends this");
                }
            }
            failed = failed.saturating_add(1);
            match (self.wait)(wait) {
                Go::On => {}
                Go::Stop => return Ok(InsertEnd::Stopped),
            }
        }
    }

    /// Names an insert: equal for the same table, gateway and ranges, and for nothing else.
    fn token(&self, target: Target) -> String {
        let Shipment { from, to, .. } = self.shipment;
        format!("{}:{}:{from}-{}-{}", target.as_str(), self.gateway_id, to.offset, to.advanced_to.ms())
    }
}

/// The dead letter of a refused row: its whole record, as it is listed.
fn letter(stored: &StoredRecord, target: Target, why: &str) -> DeadLetter {
    let kind = stored.record.body.kind().as_str();
    let topic = format!("bitlock/v1/{}/{}/{kind}", stored.site.as_str(), stored.device_id.as_str());
    let bytes = serde_json::Value::Object(to_json(stored)).to_string();
    let refusal = Refusal::new(Reason::RefusedByStore, format!("{}: {why}", target.as_str()));
    DeadLetter::new(refusal, &topic, bytes.as_bytes(), stored.heard_at, stored.offset, stored.index)
}

fn stream(rows: &RecordBatch) -> Result<Bytes, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
    writer.write(rows)?;
    writer.finish()?;
    Ok(writer.into_inner()?.into())
}
