//! What follows from the received messages? One thread reads the spool in order, decodes, runs intake and engine,
//! passes the findings to the desk and seals ranges into the store. Deterministic: the same spool from the same
//! checkpoint gives the same rows and anomalies, and a planned range gives the same files. Must not read a clock for
//! what it writes: time comes from the appender; a monotonic clock measures only the age of unsealed rows. Called by
//! `processing`, which gives it a thread.
mod error;
mod recover;
mod seal;
mod seal_limits;

#[cfg(test)]
mod tests;

pub use error::{DriverError, SealError};
pub use recover::RecoverError;
pub(crate) use recover::{Parts, Saved};
pub use seal_limits::SealLimits;

use crate::source::ble::RadioCounters;
use crate::spool::{DurableUpTo, Ignored, Inlet, View};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use zenei_detect::{Batch, Desk, Findings, Pipeline};
use zenei_store::clock::Elapsed;
use zenei_store::disk::Disk;
use zenei_store::spool::BySource;
use zenei_store::{
    Control, DeadLetter, Decoded, DropReason, Ledger, ParquetStore, SealPlan, Source, SpoolReader, StoredMessage,
    decode,
};
use zenei_wire::EngineTime;
use zenei_wire::bthome::Keyring;

/// Bytes of messages per step: a few thousand messages, so that a step takes milliseconds and memory stays small. A
/// guess.
const STEP_BYTES: usize = 1 << 20;
/// The longest wait for new messages; the limits of age are checked this often. A guess.
const LOOK: Duration = Duration::from_secs(1);

/// How far the driver has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Everything before this offset is processed.
    pub processed: u64,
    /// Everything before this offset is in the store.
    pub sealed: u64,
    /// How far time has gone.
    pub now: EngineTime,
    pub(crate) seal_wishes: u64,
}

/// Everything processed since the last seal.
#[derive(Default)]
struct Open {
    from: u64,
    /// How far time had advanced at that seal.
    sealed_at: EngineTime,
    batch: Batch,
    dead: Vec<DeadLetter>,
    dead_bytes: usize,
    since: Option<Elapsed>,
}

/// The thread's state.
pub(crate) struct Driver {
    reader: SpoolReader,
    pipeline: Pipeline,
    keys: Arc<Keyring>,
    desk: Box<dyn Desk>,
    control: Control,
    parquet: ParquetStore,
    disk: Arc<dyn Disk>,
    snapshots: PathBuf,
    gateway_id: String,
    limits: SealLimits,
    /// The source under which messages lost from the spool are counted, because their own source is unknown.
    lost_source: Source,
    durable: Arc<DurableUpTo>,
    inlet: Inlet,
    ignored: Arc<Ignored>,
    ignored_before: (u64, u64),
    radio: Arc<RadioCounters>,
    /// How many of its drops the ledger has.
    radio_dropped: u64,
    ledger: Ledger,
    published: watch::Sender<Ledger>,
    progress: watch::Sender<Progress>,
    /// The range that the last run was about to seal.
    plan: Option<SealPlan>,
    seal_wishes: u64,
    next: u64,
    now: EngineTime,
    /// A former run received what lies before this offset.
    heard_from: u64,
    /// Messages of this run that have been read.
    taken: BySource,
    open: Open,
    findings: Findings,
    messages: Vec<StoredMessage>,
}

impl Driver {
    /// Processes durable messages until the appender has closed, then seals the rest.
    pub(crate) fn run(&mut self) -> Result<(), DriverError> {
        self.finish_plan()?;
        let mut view = self.durable.view();
        loop {
            self.process(view)?;
            let aged = self.open.since.is_some_and(|since| since.so_far() >= self.limits.age);
            if aged || view.closed || view.seal_wishes > self.seal_wishes {
                self.seal()?;
                self.seal_wishes = view.seal_wishes;
            }
            self.publish();
            if view.closed {
                return Ok(());
            }
            view = self.durable.wait(view, LOOK);
        }
    }

    /// Seals the range that the last run had planned, unchanged.
    fn finish_plan(&mut self) -> Result<(), DriverError> {
        let Some(plan) = self.plan.take() else { return Ok(()) };
        tracing::info!(from = plan.from, to = plan.to.offset, "a range is sealed that the last run had begun");
        while self.next < plan.to.offset {
            self.step(plan.to.offset)?;
        }
        self.advance(plan.to.advanced_to)?;
        self.seal()
    }

    /// Processes everything that `view` shows.
    fn process(&mut self, view: View) -> Result<(), DriverError> {
        while self.next < view.end {
            self.step(view.end)?;
            self.publish();
            if self.is_full() {
                self.seal()?;
            }
        }
        self.advance(view.at.as_engine())
    }

    /// Reads, decodes and ingests one portion, up to `end`.
    fn step(&mut self, end: u64) -> Result<(), DriverError> {
        let mut messages = std::mem::take(&mut self.messages);
        messages.clear();
        let read = self.reader.read_from(self.next, end, STEP_BYTES, &mut messages)?;
        for hole in &read.holes {
            let lost = hole.offsets.end - hole.offsets.start;
            tracing::error!(from = hole.offsets.start, lost, reason = hole.reason.as_str(), "the spool lost messages");
            self.ledger.receive(self.lost_source, lost);
            self.ledger.drop_records(hole.reason, lost);
        }
        for message in messages.iter().filter(|message| message.offset >= self.heard_from) {
            self.taken[message.source] += 1;
        }
        let keys = Arc::clone(&self.keys);
        let mut decoded = decode(&messages, &keys);
        count(&decoded, &mut self.ledger);
        self.pipeline.take(decoded.portion(), &mut self.open.batch, &mut self.findings);
        self.now = self.now.max(self.pipeline.now());
        self.open.dead_bytes += decoded.dead.iter().map(|dead| dead.bytes.len()).sum::<usize>();
        self.open.dead.append(&mut decoded.dead);
        drop(decoded);
        self.messages = messages;
        self.next = read.next;
        self.settle()
    }

    /// Advances time to `now`.
    fn advance(&mut self, now: EngineTime) -> Result<(), DriverError> {
        if now <= self.now {
            return Ok(());
        }
        self.now = now;
        self.pipeline.advance(now, &mut self.open.batch, &mut self.findings);
        self.settle()
    }

    /// Counts the results of a step and passes its findings to the desk.
    fn settle(&mut self) -> Result<(), DriverError> {
        let batch = &mut self.open.batch;
        self.ledger.duplicate += std::mem::take(&mut batch.duplicates);
        self.ledger.late += std::mem::take(&mut batch.late);
        self.ledger.reused += std::mem::take(&mut batch.reused);
        self.ledger.lives += std::mem::take(&mut batch.lives);
        self.ledger.unknown_fields += std::mem::take(&mut batch.unknown_fields);
        for (reason, count) in
            [(DropReason::Replayed, &mut batch.replayed), (DropReason::Strangers, &mut batch.strangers)]
        {
            if *count > 0 {
                self.ledger.drop_records(reason, std::mem::take(count));
            }
        }
        if !self.has_sealed_all() {
            self.open.since.get_or_insert_with(Elapsed::start);
        }
        let taken = self.desk.take(self.now, &self.findings, &self.pipeline);
        self.findings.clear();
        taken.map_err(DriverError::Desk)
    }

    /// Whether a seal would add nothing.
    fn has_sealed_all(&self) -> bool {
        let Open { from, batch, dead, sealed_at, .. } = &self.open;
        let is_idle = self.limits.idle_ms.is_some_and(|idle_ms| self.now >= sealed_at.plus_ms(idle_ms));
        self.next == *from && batch.rows.is_empty() && batch.gaps.is_empty() && dead.is_empty() && !is_idle
    }

    fn is_full(&self) -> bool {
        let SealLimits { rows, dead_letter_bytes, .. } = self.limits;
        self.open.batch.rows.len() >= rows || self.open.dead_bytes >= dead_letter_bytes
    }

    /// Shows the ledger and how far processing has come.
    fn publish(&mut self) {
        let view = self.durable.view();
        let (foreign, online) = self.ignored_before;
        self.ledger.ignored_foreign = foreign + self.ignored.foreign.load(Ordering::Relaxed);
        self.ledger.ignored_online = online + self.ignored.online.load(Ordering::Relaxed);
        self.count_dropped();
        self.ledger.spool_bytes = view.spool_bytes;
        self.ledger.pending = self.open.batch.rows.len() as u64 + self.pipeline.held();
        self.ledger.gaps = self.pipeline.missing();
        // Never less: an engine whose state is of another format begins anew.
        self.ledger.lock_days = self.ledger.lock_days.max(self.pipeline.lock_days());
        if let Err(imbalance) = self.ledger.balance() {
            tracing::error!(%imbalance, "the ledger does not add up: this is a fault in the program");
        }
        let mut shown = self.ledger.clone();
        self.count_unread(view, &mut shown);
        self.published.send_replace(shown);
        let progress =
            Progress { processed: self.next, sealed: self.open.from, now: self.now, seal_wishes: self.seal_wishes };
        self.progress.send_if_modified(|shown| std::mem::replace(shown, progress) != progress);
    }

    /// Adds the radio's drops before the spool to the ledger.
    fn count_dropped(&mut self) {
        let dropped = self.radio.dropped.load(Ordering::Relaxed);
        let more = dropped.saturating_sub(std::mem::replace(&mut self.radio_dropped, dropped));
        if more > 0 {
            self.ledger.receive(Source::Ble, more);
            self.ledger.drop_records(DropReason::QueueFull, more);
        }
    }

    /// Counts the messages in the spool that are not read yet as received and pending: one message as one record. For
    /// display only; the checkpoint counts read messages. The source of a former run's messages is known once they are
    /// read; until then they count under `lost_source`.
    fn count_unread(&self, view: View, shown: &mut Ledger) {
        let mut unread = view.end.saturating_sub(self.next);
        shown.pending += unread;
        for &source in Source::ALL.iter().filter(|&&source| source != self.lost_source) {
            // Messages that the spool lost are in no `taken`, so that the sum bounds it.
            let waiting = view.appended[source].saturating_sub(self.taken[source]).min(unread);
            if waiting > 0 {
                shown.receive(source, waiting);
            }
            unread -= waiting;
        }
        if unread > 0 {
            shown.receive(self.lost_source, unread);
        }
    }
}

/// Counts each message and each refused record exactly once.
fn count(decoded: &Decoded<'_>, ledger: &mut Ledger) {
    decoded.received.iter().for_each(|(source, records)| ledger.receive(*source, *records));
    decoded.dead.iter().for_each(|letter| ledger.dead_letter(letter.reason));
    // Not spooled by this version; another one may have done so.
    ledger.ignored_foreign += decoded.foreign;
    ledger.ignored_online += decoded.online;
    if !decoded.no_key.is_empty() {
        ledger.drop_records(DropReason::NoKey, decoded.no_key.len() as u64);
    }
}
