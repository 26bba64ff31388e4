//! What follows from the records that many gateways have shipped? One thread reads the feed of ClickHouse in the order
//! in which records were received, runs intake and engine, and passes the findings to the desk. Deterministic: each
//! step is stored before it is taken, and a checkpoint holds the position and the name of the snapshot in one
//! transaction, so that a restart takes the same rows in the same order. Must not know the spool or the Parquet store.
//! Called by the binary, beside a gateway with or without its own sources.
mod plan;
mod recover;
#[cfg(test)]
mod tests;

pub use plan::SILENT_AFTER;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use zenei_detect::{Batch, Desk, DeskError, Findings, Heard, Pipeline, Portion, RestoreError, Unreadable};
use zenei_store::PipelineMaker;
use zenei_store::clickhouse::{Feed, RecordsError};
use zenei_store::clock::Elapsed;
use zenei_store::control::{TailCheckpoint, TailProgress, TailStep};
use zenei_store::disk::Disk;
use zenei_store::parquet::ReadError;
use zenei_store::snapshot::{self, SnapshotError};
use zenei_store::{Control, ControlError, Registration, StoredBatch, StoredRecord};
use zenei_wire::{EngineTime, Id};

/// How often the feed is polled. A guess: gateways seal every ten seconds.
const LOOK: Duration = Duration::from_secs(1);
/// The longest wait between two attempts to reach a server. A guess.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Records of one step; they are in memory, some 500 bytes each. As many as a gateway seals at once.
const STEP_ROWS: u64 = 50_000;
/// Shipments read at once: those of an hour of thirty gateways. A guess.
const TOLD_LIMIT: u64 = 10_000;
/// When a checkpoint is due: records since the last one, which a restart takes again, or time. Guesses: at the engine's
/// speed these are some seconds of work.
const CHECKPOINT_ROWS: u64 = 500_000;
const CHECKPOINT_AGE: Duration = Duration::from_secs(60);
/// How long a stop waits for a pending answer. Nothing is lost after that: the next start asks again. A guess.
const END_WITHIN: Duration = Duration::from_secs(10);

/// The parts of a tail.
pub struct TailConfig {
    /// The database of the checkpoint; a connection of its own.
    pub control: Control,
    /// Where snapshots are stored.
    pub disk: Arc<dyn Disk>,
    /// Directory of the snapshots.
    pub snapshots: PathBuf,
    /// Makes intake and engine, from a snapshot or without history.
    pub pipeline: PipelineMaker,
    /// The digest of the engine's rules: where it differs from the checkpoint's, the engine learns from the past again.
    pub rules: Id,
    /// The lines of the asset registry.
    pub registry: Vec<Registration>,
    /// How much of the past is read by a desk without state, and by one with other rules, ms.
    pub history_ms: i64,
}

/// Why the tail stopped. The next start continues from the checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The control database.
    #[error("how far was tailed can't be read or kept")]
    Control(#[from] ControlError),
    /// The state file.
    #[error("the state of the engine can't be read or kept")]
    Snapshot(#[from] SnapshotError),
    /// The state itself.
    #[error("the state of the engine can't be used")]
    Restore(#[from] RestoreError),
    /// The desk did not accept findings.
    #[error("the findings could not be handed over")]
    Desk(#[source] DeskError),
    /// A thread.
    #[error("a thread can't be started")]
    Thread(#[source] std::io::Error),
}

/// A step or a wait was interrupted because the process ends.
#[derive(Debug)]
enum Broken {
    Stopped,
    Failed(TailError),
}

impl From<TailError> for Broken {
    fn from(error: TailError) -> Self {
        Self::Failed(error)
    }
}

impl From<ControlError> for Broken {
    fn from(error: ControlError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<SnapshotError> for Broken {
    fn from(error: SnapshotError) -> Self {
        Self::Failed(error.into())
    }
}

/// A running tail; dropping it requests its end.
#[derive(Debug)]
pub struct Tail {
    stop: Option<Sender<()>>,
    ended: Arc<OnceLock<Result<(), Arc<TailError>>>>,
    has_ended: watch::Receiver<bool>,
    progress: watch::Receiver<TailProgress>,
    /// Closed once the thread has ended.
    alive: Receiver<()>,
}

impl Tail {
    /// Starts a thread that tails `feed` and first recovers the state of the last run. While the server is unreachable,
    /// the thread retries.
    ///
    /// # Errors
    /// [`TailError::Thread`].
    pub fn start(
        config: TailConfig,
        feed: impl Feed + Send + 'static,
        desk: impl Desk + 'static,
    ) -> Result<Self, TailError> {
        let (stop, stopped) = mpsc::channel();
        let (shown, progress) = watch::channel(TailProgress::default());
        let (end, has_ended) = watch::channel(false);
        let ended = Arc::new(OnceLock::new());
        let theirs = Arc::clone(&ended);
        let (alive_there, alive) = mpsc::channel::<()>();
        let work = move || {
            let stopped = Stopped(stopped);
            let result = Worker::recover(config, feed, Box::new(desk), &stopped, shown)
                .and_then(|mut worker| worker.run(&stopped));
            let result = match result {
                Ok(()) | Err(Broken::Stopped) => Ok(()),
                Err(Broken::Failed(error)) => {
                    tracing::error!(error = zenei_store::with_causes(&error), "detecting on ClickHouse has stopped");
                    Err(Arc::new(error))
                }
            };
            let _ = theirs.set(result);
            end.send_replace(true);
            drop(alive_there);
        };
        std::thread::Builder::new().name("tail".to_owned()).spawn(work).map_err(TailError::Thread)?;
        Ok(Self { stop: Some(stop), ended, has_ended, progress, alive })
    }

    /// How far it has come.
    pub fn progress(&self) -> watch::Receiver<TailProgress> {
        self.progress.clone()
    }

    /// Returns when the tail has ended without a request, with the reason.
    pub async fn failed(&self) -> Option<Arc<TailError>> {
        let mut has_ended = self.has_ended.clone();
        // An error means that the thread has panicked: then there is no reason to return.
        let _ = has_ended.wait_for(|ended| *ended).await;
        self.ended.get().and_then(|ended| ended.as_ref().err().cloned())
    }

    /// Requests the end and waits for it for a bounded time: the current step is finished, and a checkpoint is made.
    ///
    /// # Errors
    /// Why it had ended before.
    pub fn stop(mut self) -> Result<(), Arc<TailError>> {
        self.stop = None;
        if self.alive.recv_timeout(END_WITHIN) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("ClickHouse has not answered yet; the next start asks it again");
        }
        self.ended.get().cloned().unwrap_or(Ok(()))
    }
}

/// Whether the end was requested.
struct Stopped(Receiver<()>);

impl Stopped {
    /// Waits for this time, or until the end is requested.
    fn wait(&self, how_long: Duration) -> Result<(), Broken> {
        match self.0.recv_timeout(how_long) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Broken::Stopped),
        }
    }
}

/// The thread's state.
struct Worker<F> {
    control: Control,
    disk: Arc<dyn Disk>,
    snapshots: PathBuf,
    feed: F,
    desk: Box<dyn Desk>,
    pipeline: Pipeline,
    at: TailCheckpoint,
    /// Records since the last checkpoint, and since when.
    since: (u64, Option<Elapsed>),
    /// When each gateway last reported something new.
    told: BTreeMap<String, Elapsed>,
    started: Elapsed,
    batch: Batch,
    findings: Findings,
    shown: watch::Sender<TailProgress>,
}

impl<F: Feed> Worker<F> {
    /// Takes shipments until the end is requested.
    fn run(&mut self, stopped: &Stopped) -> Result<(), Broken> {
        loop {
            let has_more = match self.step(stopped) {
                Ok(has_more) => has_more,
                Err(Broken::Stopped) => break,
                Err(failed @ Broken::Failed(_)) => return Err(failed),
            };
            if self.is_checkpoint_due() {
                self.checkpoint()?;
            }
            let wait = if has_more { Duration::ZERO } else { LOOK };
            if stopped.wait(wait).is_err() {
                break;
            }
        }
        Ok(self.checkpoint()?)
    }

    /// Takes one step if there is one; returns whether there was.
    fn step(&mut self, stopped: &Stopped) -> Result<bool, Broken> {
        let tailed = self.at.tailed.clone();
        let told = answered(stopped, || self.feed.told(&tailed.gateways, TOLD_LIMIT))?;
        for told in &told {
            self.told.insert(told.gateway.clone(), Elapsed::start());
        }
        let quiet = |gateway: &str| self.told.get(gateway).unwrap_or(&self.started).so_far();
        let mut step = plan::plan(&tailed, &told, quiet, STEP_ROWS);
        if plan::is_idle(&step, &tailed) {
            return Ok(false);
        }
        if let Some(up_to) = step.up_to.filter(|_| step.up_to > tailed.up_to) {
            let mut after = tailed.clone();
            after.take(&step);
            let nth = answered(stopped, || self.feed.nth(&after.gateways, tailed.up_to, up_to, STEP_ROWS + 1))?;
            if let Some(at) = nth {
                // All records of one millisecond at once, where a smaller step is impossible.
                let before = EngineTime(at.ms() - 1);
                let cut = if Some(before) > tailed.up_to { before } else { at.as_engine() };
                step = plan::cut(step, &tailed, cut);
            }
        }
        let txn = self.control.begin()?;
        txn.plan_tail_step(self.at.next_step, &step)?;
        txn.commit()?;
        self.take(&step, stopped)?;
        Ok(true)
    }

    /// Takes a step that is stored.
    fn take(&mut self, step: &TailStep, stopped: &Stopped) -> Result<(), Broken> {
        let (mut rows, mut letters) = (Vec::new(), Vec::new());
        answered(stopped, || {
            rows.clear();
            letters = self.feed.unreadable(&self.at.tailed, step)?;
            self.feed.rows(&self.at.tailed, step, &mut |batch| listed(batch, &mut rows))
        })?;
        self.ingest(&rows, &letters, step.up_to)?;
        self.at.tailed.take(step);
        self.at.next_step += 1;
        self.since = (self.since.0 + rows.len() as u64, self.since.1.or_else(|| Some(Elapsed::start())));
        self.show();
        Ok(())
    }

    /// Passes rows in their order to intake, engine and desk; then time advances to `now`.
    fn ingest(
        &mut self,
        rows: &[StoredRecord],
        unreadable: &[Unreadable],
        now: Option<EngineTime>,
    ) -> Result<(), TailError> {
        // The names were read from a batch, which checks them.
        let heard: Vec<Heard<'_>> = rows.iter().filter_map(|row| row.heard().ok()).collect();
        let portion = Portion { heard: &heard, unreadable, until: None };
        self.pipeline.take(portion, &mut self.batch, &mut self.findings);
        if let Some(now) = now {
            self.pipeline.advance(now, &mut self.batch, &mut self.findings);
        }
        self.at.records += heard.len() as u64;
        self.at.duplicates += self.batch.duplicates;
        self.batch.clear();
        let taken = self.desk.take(self.pipeline.now(), &self.findings, &self.pipeline);
        self.findings.clear();
        taken.map_err(TailError::Desk)
    }

    fn is_checkpoint_due(&self) -> bool {
        let (rows, since) = self.since;
        rows >= CHECKPOINT_ROWS || since.is_some_and(|since| since.so_far() >= CHECKPOINT_AGE)
    }

    /// Stores where a restart begins; does nothing where nothing happened since the last checkpoint.
    fn checkpoint(&mut self) -> Result<(), TailError> {
        if self.since.1.is_none() {
            return Ok(());
        }
        let name = format!("{:020}", self.at.next_step);
        snapshot::write(&*self.disk, &self.snapshots, &name, &self.pipeline.snapshot()?)?;
        self.at.snapshot = Some(name.clone());
        self.at.lock_days = self.at.lock_days.max(self.pipeline.lock_days());
        let txn = self.control.begin()?;
        txn.checkpoint_tail(&self.at)?;
        txn.commit()?;
        self.since = (0, None);
        Ok(snapshot::keep_only(&*self.disk, &self.snapshots, Some(&name))?)
    }

    fn show(&self) {
        let TailCheckpoint { tailed, records, duplicates, lock_days, .. } = &self.at;
        let lock_days = self.pipeline.lock_days().max(*lock_days);
        let progress = TailProgress { up_to: tailed.up_to, records: *records, duplicates: *duplicates, lock_days };
        self.shown.send_replace(progress);
    }
}

/// Retries until there is an answer.
fn answered<T>(stopped: &Stopped, mut ask: impl FnMut() -> Result<T, RecordsError>) -> Result<T, Broken> {
    let mut wait = LOOK;
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(error = zenei_store::with_causes(&error), wait_ms, "the feed is asked again");
            }
        }
        stopped.wait(wait)?;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// A batch as a list: nothing is taken from an incomplete answer.
fn listed(batch: &StoredBatch, rows: &mut Vec<StoredRecord>) -> Result<(), ReadError> {
    (0..batch.len()).try_for_each(|at| {
        rows.push(batch.stored(at)?);
        Ok(())
    })
}
