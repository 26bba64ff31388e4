//! Loads sealed ranges into the batches that are sent: one batch of columns per table and shard, rows sorted by the
//! table's key. Equal ranges give equal batches. Must not know servers. Called by the shipper.
use super::error::ShipError;
use super::options::ShipOptions;
use super::voltages::RestVoltages;
use crate::clickhouse::columns::{self, Outgoing};
use crate::clickhouse::shard::shard_of;
use crate::columns::{Dialect, NamedGap};
use crate::control::Sealed;
use crate::dead_letter::DeadLetter;
use crate::parquet::{ParquetStore, ReadError, SealedRange, StoredBatch, StoredGap, StoredRecord};
use crate::schema::Target;
use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use zenei_wire::GatewayTime;

/// The rows of ranges, ready to send.
#[derive(Debug)]
pub(super) struct Loaded {
    batches: Vec<StoredBatch>,
    pub(super) parts: Vec<Part>,
}

/// The rows of one table.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) target: Target,
    /// The server that takes it, by its place among the shards.
    pub(super) shard: usize,
    pub(super) rows: RecordBatch,
    /// The origin of each row: batch, and row in it. Empty for rows that never become dead letters.
    places: Vec<(usize, usize)>,
}

impl Loaded {
    /// The record behind a row of a part.
    pub(super) fn stored(&self, part: &Part, row: usize) -> Result<Option<StoredRecord>, ReadError> {
        part.places.get(row).map(|&(batch, at)| self.batches[batch].stored(at)).transpose()
    }
}

/// The rows that were read from ranges.
#[derive(Debug, Default)]
pub(super) struct RangeRows {
    batches: Vec<StoredBatch>,
    dead: Vec<DeadLetter>,
    gaps: Vec<StoredGap>,
}

impl RangeRows {
    /// Reads one more range; if that fails, nothing of it is added.
    pub(super) fn add(&mut self, store: &ParquetStore, range: &SealedRange) -> Result<(), ReadError> {
        let batches = store.batches_of(range).collect::<Result<Vec<StoredBatch>, _>>()?;
        let dead = store.dead_letters_of(range).collect::<Result<Vec<DeadLetter>, _>>()?;
        let gaps = store.gaps_of(range).collect::<Result<Vec<StoredGap>, _>>()?;
        // A value that no version 1 writer writes is found now, while the range can still be left out.
        outgoing(&batches)?;
        self.batches.extend(batches);
        self.dead.extend(dead);
        self.gaps.extend(gaps);
        Ok(())
    }
}

/// Makes the batches that are sent over these shards: the rows of a lock go to the lock's shard, the gateway's own rows
/// to the gateway's.
pub(super) fn loaded(
    read: RangeRows,
    to: Sealed,
    rest: &mut RestVoltages,
    options: &ShipOptions,
    shards: usize,
) -> Result<Loaded, ShipError> {
    let gateway_id = options.gateway_id.as_str();
    let RangeRows { batches, dead, gaps } = read;
    let mut rows = outgoing(&batches)?;
    for (row, _) in &mut rows {
        row.rest_mv = rest.see(&row.heard, row.late).map(|rest| rest.0);
    }
    rows.sort_by(|(a, _), (b, _)| a.key().cmp(&b.key()));
    let mut parts = Vec::new();
    for shard in 0..shards {
        let is_here = |(row, _): &&Placed<'_>| shards == 1 || shard_of(row.heard.device.as_str(), shards) == shard;
        let (operations, records): (Vec<_>, Vec<_>) =
            rows.iter().filter(is_here).partition(|(row, _)| row.op().is_some());
        let with_profile = |(row, _): &&Placed<'_>| row.op().is_some_and(|op| op.current_ma.is_some());
        let profiles: Vec<_> = operations.iter().copied().filter(with_profile).collect();
        for (target, rows) in
            [(Target::Record, records), (Target::Operation, operations), (Target::MotorProfile, profiles)]
        {
            parts.extend(part(target, shard, &rows, gateway_id)?);
        }
        let here = gaps.iter().filter(|gap| shard_of(&gap.device_id, shards) == shard);
        let gaps: Vec<NamedGap<'_>> = here.map(named).collect();
        if !gaps.is_empty() {
            let rows = crate::columns::of_gaps(&gaps, gateway_id)?;
            parts.push(Part { target: Target::Gap, shard, rows, places: Vec::new() });
        }
    }
    let shard = shard_of(gateway_id, shards);
    if !dead.is_empty() {
        let rows = crate::columns::of_dead_letters(&dead, gateway_id, Dialect::ClickHouse)?;
        parts.push(Part { target: Target::DeadLetter, shard, rows, places: Vec::new() });
    }
    if options.feed {
        parts.extend(fed(&rows, to, shard, gateway_id)?);
    }
    drop(rows);
    Ok(Loaded { batches, parts })
}

fn named(gap: &StoredGap) -> NamedGap<'_> {
    (&gap.device_id, [gap.boot, gap.from_seq, gap.to_seq], gap.at)
}

/// The rows of one table of records; `None` if there are none.
fn part(target: Target, shard: usize, rows: &[&Placed<'_>], gateway_id: &str) -> Result<Option<Part>, ArrowError> {
    if rows.is_empty() {
        return Ok(None);
    }
    let (rows, places): (Vec<&Outgoing<'_>>, Vec<_>) = rows.iter().map(|(row, place)| (row, *place)).unzip();
    let rows = columns::of_records(target, &rows, gateway_id)?;
    Ok(Some(Part { target, shard, rows, places }))
}

/// The rows of the feed: all rows in the order of reception, then the shipment that reports them complete. Every row is
/// in another part as well, which has its place.
fn fed(rows: &[Placed<'_>], to: Sealed, shard: usize, gateway_id: &str) -> Result<Vec<Part>, ArrowError> {
    let mut heard: Vec<&Outgoing<'_>> = rows.iter().map(|(row, _)| row).collect();
    heard.sort_by_key(|row| row.hearing());
    let heard_from = heard.iter().map(|row| row.heard.heard_at).min();
    let heard_from = heard_from.unwrap_or(GatewayTime(to.advanced_to.ms()));
    let told = columns::of_shipment(gateway_id, to, rows.len() as u64, heard_from)?;
    let mut parts = Vec::new();
    if !heard.is_empty() {
        let rows = columns::of_feed(&heard, gateway_id, to)?;
        parts.push(Part { target: Target::Feed, shard, rows, places: Vec::new() });
    }
    parts.push(Part { target: Target::Shipment, shard, rows: told, places: Vec::new() });
    Ok(parts)
}

type Placed<'a> = (Outgoing<'a>, (usize, usize));

/// All rows in the order of release, each with its place.
fn outgoing(batches: &[StoredBatch]) -> Result<Vec<Placed<'_>>, ReadError> {
    let mut rows = Vec::with_capacity(batches.iter().map(StoredBatch::len).sum());
    for (number, batch) in batches.iter().enumerate() {
        for at in 0..batch.len() {
            let (heard, released_at, late) = (batch.heard(at)?, batch.released_at(at), batch.late(at));
            rows.push((Outgoing { heard, released_at, late, life: batch.life(at), rest_mv: None }, (number, at)));
        }
    }
    Ok(rows)
}
