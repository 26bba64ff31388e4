//! Removes a lock from a state directory: from the engine's snapshots, the spool, the store's files, the history and
//! the control database. The caller must have the directory to itself, and every received message must be sealed. Each
//! step may be interrupted anywhere and run again. Must not know ClickHouse. Called by the command `forget`.
use crate::disk::{Disk, RealDisk};
use crate::history::HistoryError;
use crate::history::local;
use crate::layout::StateLock;
use crate::parquet::{EraseError, OfLock};
use crate::snapshot::{self, PipelineMaker, SnapshotError};
use crate::{Control, ControlError, DropReason, Layout, ParquetStore, SpoolError, SpoolReader, spool};
use std::path::Path;
use std::sync::Arc;
use zenei_detect::RestoreError;

/// Why a lock is not removed. Steps that were done stay; run again.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// The control database.
    #[error("the control database can't be read or written")]
    Control(#[from] ControlError),
    /// The spool.
    #[error("the spool can't be cleared")]
    Spool(#[from] SpoolError),
    /// Messages that are not processed yet: their records would come back.
    #[error("{waiting} messages in the spool are not sealed yet; let zenei run and end cleanly, then run this again")]
    Unsealed {
        /// How many.
        waiting: u64,
    },
    /// A state of the engine.
    #[error("the state of the engine can't be read or written")]
    Snapshot(#[from] SnapshotError),
    /// The state itself.
    #[error("the state of the engine can't be used by this program")]
    Restore(#[from] RestoreError),
    /// The store's files.
    #[error(transparent)]
    Erase(#[from] EraseError),
    /// The history.
    #[error("the history can't be cleared")]
    History(#[from] HistoryError),
    /// The shipper's stored state.
    #[error("what is remembered for shipping can't be removed")]
    Memory(#[source] std::io::Error),
}

/// How much of a lock a state directory had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// In the store's files.
    pub stored: OfLock,
    /// Records that waited at a hole.
    pub waiting: u64,
    /// Segments of the spool that were removed, with any lock's records.
    pub spool_segments: u64,
    /// Rows of the history.
    pub history: u64,
    /// Rows of findings, decisions, events, messages, inquiries and the registry.
    pub rows: u64,
}

/// Takes a lock out of a state directory. `pipeline` makes the gateway's pipeline, `tail` that of a desk over many
/// gateways.
///
/// # Errors
/// See [`ForgetError`].
pub fn forget(
    layout: &Layout,
    control: &mut Control,
    device_id: &str,
    pipeline: &PipelineMaker,
    tail: &PipelineMaker,
    _lock: &StateLock,
) -> Result<Forgotten, ForgetError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut forgotten =
        Forgotten { waiting: forget_state(&*disk, layout, control, device_id, pipeline)?, ..Forgotten::default() };
    forget_tail(&*disk, layout, control, device_id, tail)?;
    forgotten.spool_segments = clear_spool(&disk, layout, control)?;
    forgotten.stored = ParquetStore::open_read_only(Arc::clone(&disk), &layout.parquet()).erase(device_id)?;
    forgotten.history = local::erase(&layout.history(), device_id)?;
    clear_folder(&layout.shipping())?;
    let txn = control.begin()?;
    forgotten.rows = txn.erase(device_id)?;
    txn.commit()?;
    control.scrub()?;
    Ok(forgotten)
}

/// The gateway's state: writes a new file, then the checkpoint that names it, then removes the old one.
fn forget_state(
    disk: &dyn Disk,
    layout: &Layout,
    control: &mut Control,
    device_id: &str,
    pipeline: &PipelineMaker,
) -> Result<u64, ForgetError> {
    let Some(mut checkpoint) = control.checkpoint()? else { return Ok(0) };
    let Some(name) = &checkpoint.snapshot else { return Ok(0) };
    let dir = layout.snapshots();
    let mut pipeline = pipeline(Some(&snapshot::read(disk, &dir, name)?))?;
    let waiting = pipeline.forget(device_id);
    let renamed = next_name(name);
    snapshot::write(disk, &dir, &renamed, &pipeline.snapshot()?)?;
    checkpoint.snapshot = Some(renamed.clone());
    checkpoint.ledger.pending = checkpoint.ledger.pending.saturating_sub(waiting);
    checkpoint.ledger.drop_records(DropReason::Forgotten, waiting);
    let txn = control.begin()?;
    txn.checkpoint(&checkpoint)?;
    txn.commit()?;
    snapshot::keep_only(disk, &dir, Some(&renamed))?;
    Ok(waiting)
}

/// The state of a desk over many gateways.
fn forget_tail(
    disk: &dyn Disk,
    layout: &Layout,
    control: &mut Control,
    device_id: &str,
    pipeline: &PipelineMaker,
) -> Result<(), ForgetError> {
    let Some(mut checkpoint) = control.tail()? else { return Ok(()) };
    let Some(name) = &checkpoint.snapshot else { return Ok(()) };
    let dir = layout.tail();
    let mut pipeline = pipeline(Some(&snapshot::read(disk, &dir, name)?))?;
    pipeline.forget(device_id);
    let renamed = next_name(name);
    snapshot::write(disk, &dir, &renamed, &pipeline.snapshot()?)?;
    checkpoint.snapshot = Some(renamed.clone());
    let txn = control.begin()?;
    txn.rename_tail_snapshot(&checkpoint)?;
    txn.commit()?;
    Ok(snapshot::keep_only(disk, &dir, Some(&renamed))?)
}

/// Another name for the state of the same place.
fn next_name(name: &str) -> String {
    match name.rsplit_once(".f") {
        Some((base, number)) => format!("{base}.f{}", number.parse::<u64>().map_or(1, |number| number + 1)),
        None => format!("{name}.f1"),
    }
}

fn clear_spool(disk: &Arc<dyn Disk>, layout: &Layout, control: &Control) -> Result<u64, ForgetError> {
    let dir = layout.spool();
    if !dir.is_dir() {
        return Ok(0);
    }
    let sealed = control.checkpoint()?.unwrap_or_default().sealed.offset;
    let end = SpoolReader::open(Arc::clone(disk), &dir)?.durable_end()?;
    match end.saturating_sub(sealed) {
        0 => Ok(spool::clear(&**disk, &dir)?),
        waiting => Err(ForgetError::Unsealed { waiting }),
    }
}

/// Removes a folder whose content can be made anew from the store.
fn clear_folder(dir: &Path) -> Result<(), ForgetError> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ForgetError::Memory(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
