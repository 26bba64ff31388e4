//! Delivers one table's rows of a shipment: it retries with the same bytes while the outcome is unknown, and isolates
//! the rows that the server refuses. Must not know sealed files. Called by the steps that carry a whole shipment.
use super::backoff::Jitter;
use super::error::ShipError;
use super::load::Part;
use super::options::Go;
use super::shipment::Shipment;
use crate::clickhouse::columns;
use crate::clickhouse::server::Server;
use crate::clickhouse::server_error::{Retry, ServerError};
use crate::clickhouse::shard::shard_of;
use crate::schema::Form;
use crate::schema::Target;
use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use bytes::Bytes;
use std::time::Duration;
use zenei_wire::GatewayTime;

/// The most rows of one range and table that may be refused for their values. Beyond it the table is at fault, not the
/// rows: no more rows are given up, and the same row is retried until a person has mended the table. A guess.
pub const MAX_REFUSED_ROWS: usize = 100;

/// One shipment on its way.
pub(super) struct Delivery<'a> {
    /// One of each shard.
    pub(super) servers: &'a [Server],
    pub(super) form: &'a Form,
    pub(super) gateway_id: &'a str,
    pub(super) shipment: &'a Shipment,
    pub(super) attempts: &'a mut Jitter,
    pub(super) wait: &'a mut dyn FnMut(Duration) -> Go,
    /// Attempts to insert that failed, or whose outcome is unknown; rows that were refused are none.
    pub(super) failed: u32,
}

/// The final outcome of an insert.
pub(super) enum InsertEnd {
    Taken,
    Refused(ServerError),
    Stopped,
}

/// Rows that were refused, by number, with the server's error.
pub(super) type RefusedRows = Vec<(usize, String)>;

impl Delivery<'_> {
    /// Reports how far everything is shipped, also if there was nothing to ship. False if it was stopped.
    pub(super) fn tell(&mut self) -> Result<bool, ArrowError> {
        let to = self.shipment.to;
        let rows = columns::of_shipment(self.gateway_id, to, 0, GatewayTime(to.advanced_to.ms()))?;
        let token = self.token(Target::Shipment);
        Ok(!matches!(self.insert(Target::Shipment, self.own_shard(), &rows, &token, true)?, InsertEnd::Stopped))
    }

    /// The shard of the gateway's own rows.
    pub(super) fn own_shard(&self) -> usize {
        shard_of(self.gateway_id, self.servers.len())
    }

    /// Delivers one table's rows: all of them, or, if something in them is refused, all but the rows at fault. `None`
    /// if it was stopped.
    pub(super) fn part(&mut self, part: &Part) -> Result<Option<RefusedRows>, ShipError> {
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
    pub(super) fn insert(
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
            self.failed = self.failed.saturating_add(1);
            match (self.wait)(wait) {
                Go::On => {}
                Go::Stop => return Ok(InsertEnd::Stopped),
            }
        }
    }

    /// Names an insert: equal for the same table, gateway and ranges, and for nothing else.
    pub(super) fn token(&self, target: Target) -> String {
        let Shipment { from, to, .. } = self.shipment;
        format!("{}:{}:{from}-{}-{}", target.as_str(), self.gateway_id, to.offset, to.advanced_to.ms())
    }
}

fn stream(rows: &RecordBatch) -> Result<Bytes, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
    writer.write(rows)?;
    writer.finish()?;
    Ok(writer.into_inner()?.into())
}
