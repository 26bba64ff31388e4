//! Where does a restart continue? At the checkpoint: the driver loads the checkpoint's snapshot, discards the
//! unfinished files of a range whose seal had begun, and seals that range again, unchanged, when it runs. A store with
//! more files than that belongs to another checkpoint: it is refused, and none of its files is removed. Called by
//! `processing` before any source starts.
use super::{Driver, Open, Progress};
use crate::config::GatewayConfig;
use crate::source::ble::RadioCounters;
use crate::spool::{DurableUpTo, Ignored, Inlet};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use zenei_detect::{Desk, Findings, RestoreError};
use zenei_store::disk::Disk;
use zenei_store::snapshot::{self, SnapshotError};
use zenei_store::spool::BySource;
use zenei_store::{
    Checkpoint, Control, ControlError, Layout, Ledger, ParquetStore, SealPlan, Sealed, SpoolError, SpoolReader, parquet,
};
use zenei_wire::EngineTime;

/// Why a state directory can't be recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The control database.
    #[error("the control database can't be read")]
    Control(#[from] ControlError),
    /// The spool.
    #[error("the spool can't be read")]
    Spool(#[from] SpoolError),
    /// The store.
    #[error("the store can't be opened")]
    Store(#[from] parquet::SealError),
    /// The state file that the checkpoint names.
    #[error("the state that the checkpoint names can't be read; without it what was heard twice would be stored twice")]
    Snapshot(#[from] SnapshotError),
    /// The state itself.
    #[error("the state that the checkpoint names can't be used by this program")]
    Restore(#[from] RestoreError),
    /// A plan that does not begin at the checkpoint.
    #[error("a range from {found} on was to be sealed, but the checkpoint stands at {checkpoint}")]
    Plan {
        /// Where the plan begins.
        found: u64,
        /// The checkpoint's offset.
        checkpoint: u64,
    },
    /// A control database that is missing, older than the store, or another one's.
    #[error(
        "{folder} holds {files} sealed files beyond the checkpoint, which stands at offset {offset} and \
         {advanced_to_ms} ms, but may hold none: {control} is missing, older or another store's. Nothing was removed. \
         Put back the control.db that belongs to this store, or move {folder} away"
    )]
    Beyond {
        /// The folder of the store.
        folder: PathBuf,
        /// The control database.
        control: PathBuf,
        /// How many files lie beyond the checkpoint.
        files: u64,
        /// The checkpoint's offset; 0 without a checkpoint.
        offset: u64,
        /// And the time there, ms since 1970.
        advanced_to_ms: i64,
    },
}

/// The state of the last run.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) plan: Option<SealPlan>,
}

impl Saved {
    pub(crate) fn read(control: &Control) -> Result<Self, RecoverError> {
        let checkpoint = control.checkpoint()?.unwrap_or_default();
        let plan = control.seal_plan()?;
        let stands_at = checkpoint.sealed.offset;
        match plan {
            Some(plan) if plan.from != stands_at => Err(RecoverError::Plan { found: plan.from, checkpoint: stands_at }),
            Some(_) | None => Ok(Self { checkpoint, plan }),
        }
    }

    /// No new message may have an offset below this one.
    pub(crate) fn resume_at(&self) -> u64 {
        self.plan.map_or(self.checkpoint.sealed.offset, |plan| plan.to.offset)
    }

    /// No new message may be received before this time.
    pub(crate) fn not_before(&self) -> EngineTime {
        self.plan.map_or(self.checkpoint.sealed.advanced_to, |plan| plan.to.advanced_to)
    }
}

/// The parts of a driver.
pub(crate) struct Parts {
    pub(crate) config: GatewayConfig,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) layout: Layout,
    pub(crate) control: Control,
    pub(crate) desk: Box<dyn Desk>,
    pub(crate) durable: Arc<DurableUpTo>,
    pub(crate) inlet: Inlet,
    pub(crate) ignored: Arc<Ignored>,
    pub(crate) radio: Arc<RadioCounters>,
    pub(crate) published: watch::Sender<Ledger>,
    pub(crate) progress: watch::Sender<Progress>,
}

/// A crash between a file and its checkpoint leaves files of the planned range only. Any further files were sealed
/// under a later checkpoint: continuing from this one would seal them twice, or lose them where the spool has dropped
/// their messages.
fn refuse_beyond(
    parquet: &ParquetStore,
    layout: &Layout,
    sealed: Sealed,
    plan: Option<&SealPlan>,
) -> Result<(), RecoverError> {
    let files = parquet.unaccounted(sealed, plan)?;
    if files == 0 {
        return Ok(());
    }
    let (folder, control) = (layout.parquet(), layout.control());
    let (offset, advanced_to_ms) = (sealed.offset, sealed.advanced_to.ms());
    Err(RecoverError::Beyond { folder, control, files, offset, advanced_to_ms })
}

impl Driver {
    /// A driver that continues from `saved`.
    pub(crate) fn recover(parts: Parts, saved: Saved) -> Result<Self, RecoverError> {
        let Saved { checkpoint, plan } = saved;
        let parquet = ParquetStore::open(Arc::clone(&parts.disk), &parts.layout.parquet())?;
        refuse_beyond(&parquet, &parts.layout, checkpoint.sealed, plan.as_ref())?;
        if let Some(plan) = &plan {
            parquet.discard(plan)?;
        }
        let snapshots = parts.layout.snapshots();
        let name = checkpoint.snapshot.as_deref();
        let state = name.map(|name| snapshot::read(&*parts.disk, &snapshots, name)).transpose()?;
        snapshot::keep_only(&*parts.disk, &snapshots, name)?;
        let mut pipeline = (parts.config.pipeline)(state.as_deref())?;
        for registration in &parts.config.registry {
            pipeline.register(registration.registered());
        }
        pipeline.provision(&parts.config.keys);
        let from = checkpoint.sealed.offset;
        let ledger = checkpoint.ledger;
        let heard_from = parts.durable.view().end;
        let lost_source = parts.config.main_source();
        let mut driver = Self {
            reader: SpoolReader::open(Arc::clone(&parts.disk), &parts.layout.spool())?,
            pipeline,
            keys: parts.config.keys,
            desk: parts.desk,
            control: parts.control,
            parquet,
            disk: parts.disk,
            snapshots,
            gateway_id: parts.config.gateway_id,
            limits: parts.config.seal,
            lost_source,
            durable: parts.durable,
            inlet: parts.inlet,
            ignored: parts.ignored,
            ignored_before: (ledger.ignored_foreign, ledger.ignored_online),
            radio: parts.radio,
            radio_dropped: 0,
            ledger,
            published: parts.published,
            progress: parts.progress,
            plan,
            seal_wishes: 0,
            next: from,
            now: checkpoint.sealed.advanced_to,
            heard_from,
            taken: BySource::default(),
            open: Open { from, sealed_at: checkpoint.sealed.advanced_to, ..Open::default() },
            findings: Findings::default(),
            messages: Vec::new(),
        };
        // Before anyone can read it: the messages that the last run left in the spool are pending.
        driver.publish();
        Ok(driver)
    }
}
