//! Chooses the ranges that are sent together: one alone while the server keeps up; after an outage as many as wait, up
//! to the size of a full range, because a server needs few large inserts and memory must stay that of one range. The
//! choice is stored before it is sent, so that a restart sends the same. Must not know rows. Called by the shipper.
use super::error::ShipError;
use crate::control::{Control, ControlError, Sealed};
use crate::parquet::{ParquetStore, ReadError, SealedRange};
use std::collections::VecDeque;
use zenei_wire::EngineTime;

/// The most bytes of files that are sent together: the dead letters of one full range.
const MAX_BYTES: usize = 16 << 20;

/// Ranges that are sent as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shipment {
    /// The first one's first offset.
    pub(super) from: u64,
    /// Where the last one ends.
    pub(super) to: Sealed,
    pub(super) ranges: Vec<SealedRange>,
}

impl Shipment {
    /// An empty shipment: the report that everything up to here is shipped.
    pub(super) fn nothing(to: Sealed) -> Self {
        Self { from: to.offset, to, ranges: Vec::new() }
    }

    /// Takes the next shipment from the waiting ranges, and stores its extent; `None` if nothing waits. `max_rows`: the
    /// most records if several ranges go together.
    pub(super) fn next(
        waiting: &mut VecDeque<SealedRange>,
        store: &ParquetStore,
        control: &mut Control,
        max_rows: usize,
        shards: usize,
    ) -> Result<Option<Self>, ShipError> {
        let Some(first) = waiting.pop_front() else { return Ok(None) };
        let from = first.from;
        let planned = planned(control)?.filter(|to| *to >= first.to);
        if planned.is_some() {
            let found = control.cursor("ship/plan_shards")?.unwrap_or(1);
            if found != shards as u64 {
                return Err(ShipError::Shards { found, given: shards });
            }
        }
        let together = match planned {
            Some(to) => waiting.iter().take_while(|range| range.to <= to).count(),
            None => fitting(&first, waiting, store, max_rows)?,
        };
        let ranges: Vec<SealedRange> = std::iter::once(first).chain(waiting.drain(..together)).collect();
        let to = ranges.last().map_or_else(Sealed::default, |range| range.to);
        if planned.is_none() {
            // Also for one range alone: after a restart more may wait behind it, and it is unknown then whether the
            // server took it.
            plan(control, to, shards)?;
        }
        Ok(Some(Self { from, to, ranges }))
    }
}

/// How many of the waiting ranges fit with the first.
fn fitting(
    first: &SealedRange,
    waiting: &VecDeque<SealedRange>,
    store: &ParquetStore,
    max_rows: usize,
) -> Result<usize, ReadError> {
    if waiting.is_empty() {
        return Ok(0);
    }
    let Some((mut rows, mut bytes)) = whole_size(store, first)? else { return Ok(0) };
    for (fits, range) in waiting.iter().enumerate() {
        let Some((more_rows, more_bytes)) = whole_size(store, range)? else { return Ok(fits) };
        (rows, bytes) = (rows + more_rows, bytes + more_bytes);
        if rows > max_rows || bytes > MAX_BYTES {
            return Ok(fits);
        }
    }
    Ok(waiting.len())
}

/// Rows and bytes of a range; `None` for a damaged one, which is sent alone.
fn whole_size(store: &ParquetStore, range: &SealedRange) -> Result<Option<(usize, usize)>, ReadError> {
    match store.size_of(range) {
        Ok(size) => Ok(Some(size)),
        Err(error @ ReadError::Disk { .. }) => Err(error),
        Err(_) => Ok(None),
    }
}

/// The end of the shipment that was begun last.
fn planned(control: &Control) -> Result<Option<Sealed>, ControlError> {
    let (offset, advanced_to) = (control.cursor("ship/plan_offset")?, control.cursor("ship/plan_advanced_to_ms")?);
    let time = |ms| EngineTime(i64::try_from(ms).unwrap_or(i64::MAX));
    Ok(offset.zip(advanced_to).map(|(offset, ms)| Sealed { offset, advanced_to: time(ms) }))
}

fn plan(control: &mut Control, to: Sealed, shards: usize) -> Result<(), ControlError> {
    let txn = control.begin()?;
    txn.set_cursor("ship/plan_shards", shards as u64)?;
    txn.set_cursor("ship/plan_offset", to.offset)?;
    txn.set_cursor("ship/plan_advanced_to_ms", u64::try_from(to.advanced_to.ms()).unwrap_or(0))?;
    txn.commit()
}
