//! How do received messages become durable? One thread owns the spool: it takes the queued messages of all sources,
//! stamps them with the time, appends them as one group with one fsync, and only then reports to the sources. While
//! the spool has no room, nothing is acknowledged; a failed write or fsync aborts the process. Must not know payloads,
//! except where the clock follows the records; of a topic it reads only whether it names a record. Called through the
//! queue by the sources, the driver and the running gateway; started by `processing`.
use super::durable::DurableUpTo;
use super::queue::{AppenderQueue, Command, Parcel};
use super::stamp::Stamp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use tokio::sync::oneshot;
use zenei_store::spool::{BySource, Dropped};
use zenei_store::{Source, Spool, SpoolError, SpoolMessage};
use zenei_wire::Heading;

/// Bytes of one group: some 20,000 messages share one fsync; more would only make the first of them wait. A guess.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// How long the appender waits for messages before it advances time. A guess: half a second of the detection's delay at
/// most.
const TICK: Duration = Duration::from_millis(500);

/// When a source acknowledges a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AckPolicy {
    /// After the message is durable in the spool.
    #[default]
    AfterDurable,
    /// Before anything is written: loses acknowledged messages when the process is killed. It exists so that the tests
    /// of durability can prove that they detect loss.
    #[doc(hidden)]
    BeforeWrite,
}

impl AckPolicy {
    /// The environment variable that selects the unsafe policy, by the value `1`: for the tests that prove that they
    /// detect the loss. Never for real locks.
    #[doc(hidden)]
    pub const UNSAFE_VARIABLE: &'static str = "ZENEI_UNSAFE_ACK_BEFORE_WRITE";

    /// The policy for this value of [`AckPolicy::UNSAFE_VARIABLE`]: the unsafe one for `1`, the safe one otherwise.
    #[doc(hidden)]
    pub fn asked_by(value: Option<&str>) -> Self {
        match value {
            Some("1") => Self::BeforeWrite,
            Some(_) | None => Self::AfterDurable,
        }
    }
}

/// Messages that are no records, since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    pub(crate) foreign: AtomicU64,
    pub(crate) online: AtomicU64,
}

/// The thread's state.
pub(crate) struct Appender {
    spool: Spool,
    stamp: Stamp,
    policy: AckPolicy,
    durable: Arc<DurableUpTo>,
    ignored: Arc<Ignored>,
    /// Whether the spool took nothing at the last attempt.
    refused: bool,
    appended: BySource,
}

/// Commands taken from the queue and not executed yet, in order.
#[derive(Default)]
struct Taken {
    parcels: VecDeque<Parcel>,
    marks: Vec<oneshot::Sender<u64>>,
    cost_bytes: usize,
    close: bool,
}

impl Appender {
    /// An appender of an open spool.
    pub(crate) fn new(
        spool: Spool,
        stamp: Stamp,
        policy: AckPolicy,
        durable: Arc<DurableUpTo>,
        ignored: Arc<Ignored>,
    ) -> Self {
        if policy == AckPolicy::BeforeWrite {
            tracing::error!("UNSAFE: messages are acknowledged before they are written; a crash loses them");
        }
        Self { spool, stamp, policy, durable, ignored, refused: false, appended: BySource::default() }
    }

    /// Appends until a command closes it, or until no sender of the queue is left.
    pub(crate) fn run(mut self, queue: &AppenderQueue) {
        let mut taken = Taken::default();
        loop {
            // While the spool refuses, the taken messages wait here, and only commands that may free room are taken.
            if self.refused || (taken.parcels.is_empty() && !taken.close) {
                match queue.0.recv_timeout(TICK) {
                    Ok(command) => self.sort(command, &mut taken),
                    Err(RecvTimeoutError::Timeout) => self.mark_idle(),
                    Err(RecvTimeoutError::Disconnected) => taken.close = true,
                }
            }
            while taken.cost_bytes < GROUP_BYTES && taken.marks.is_empty() && !taken.close {
                match queue.0.try_recv() {
                    Ok(command) => self.sort(command, &mut taken),
                    Err(_) => break,
                }
            }
            self.append(&mut taken);
            self.log_dropped();
            self.move_durable();
            if !self.refused {
                for mark in taken.marks.drain(..) {
                    tell(mark, self.durable.view().end);
                }
            }
            if taken.close {
                return self.finish(taken.parcels.len());
            }
        }
    }

    fn sort(&mut self, command: Command, taken: &mut Taken) {
        match command {
            Command::Append(parcel) => {
                taken.cost_bytes += parcel.cost_bytes;
                taken.parcels.push_back(parcel);
            }
            Command::Mark(answer) => taken.marks.push(answer),
            Command::Release(before) => match self.spool.release(before) {
                Ok(()) => {}
                Err(error) if error.is_fatal() => fail("old segments could not be released", &error),
                Err(error) => {
                    tracing::warn!(%error, "old segments could not be released; the next checkpoint tries again")
                }
            },
            Command::Close => taken.close = true,
        }
    }

    /// Appends everything taken as one group and reports to the sources. Where the spool has no room, everything stays.
    fn append(&mut self, taken: &mut Taken) {
        if taken.parcels.is_empty() {
            return;
        }
        if self.policy == AckPolicy::BeforeWrite {
            for parcel in &mut taken.parcels {
                let (gone, _) = oneshot::channel();
                tell(std::mem::replace(&mut parcel.durable, gone), ());
            }
        }
        let mut group: Vec<SpoolMessage<'_>> = Vec::new();
        let (mut foreign, mut online) = (0, 0);
        self.stamp.now();
        for parcel in &taken.parcels {
            for message in &parcel.messages {
                let (topic, payload) = (message.topic.as_str(), &message.payload[..]);
                match zenei_wire::Topic::parse(topic) {
                    // An advertisement's topic is its sender's address.
                    Ok(Heading::Foreign) if parcel.source != Source::Ble => foreign += 1,
                    Ok(Heading::Online) => online += 1,
                    // A bad topic becomes a dead letter where records are decoded.
                    Ok(Heading::Record(_) | Heading::Foreign) | Err(_) => {
                        let heard_at = self.stamp.of_message(topic, payload);
                        let Parcel { source, authenticated, .. } = *parcel;
                        group.push(SpoolMessage { heard_at, source, authenticated, topic, payload });
                    }
                }
            }
        }
        if !group.is_empty() {
            match self.spool.append_group(&group) {
                Ok(_) => group.iter().for_each(|message| self.appended[message.source] += 1),
                // Nothing was written; appending resumes once there is room.
                Err(error @ (SpoolError::Full { .. } | SpoolError::Disk { .. })) => {
                    if !std::mem::replace(&mut self.refused, true) {
                        let causes = zenei_store::with_causes(&error);
                        tracing::error!(
                            error = causes,
                            "the spool takes nothing, and nothing is acknowledged until it does"
                        );
                    }
                    return;
                }
                Err(
                    error @ (SpoolError::SyncFailed { .. }
                    | SpoolError::WriteFailed { .. }
                    | SpoolError::Ended
                    | SpoolError::TooLarge { .. }
                    | SpoolError::Foreign { .. }),
                ) => fail("messages could not be made durable", &error),
            }
        }
        self.ignored.foreign.fetch_add(foreign, Ordering::Relaxed);
        self.ignored.online.fetch_add(online, Ordering::Relaxed);
        for parcel in taken.parcels.drain(..) {
            tell(parcel.durable, ());
        }
        taken.cost_bytes = 0;
        if std::mem::take(&mut self.refused) {
            tracing::info!("the spool takes messages again");
        }
    }

    /// Logs which messages a full spool has dropped; the driver counts them where it meets the hole.
    fn log_dropped(&mut self) {
        if let Some(Dropped { offsets, segments, messages }) = self.spool.take_dropped() {
            let (from, to) = (offsets.start, offsets.end);
            tracing::error!(
                from,
                to,
                segments,
                messages,
                "the spool was full: its oldest routine messages were dropped"
            );
        }
    }

    /// While no message comes, marks the end of the last group, so that damage to it can be distinguished from a write
    /// that never ended.
    fn mark_idle(&mut self) {
        match self.spool.mark() {
            Ok(()) => {}
            Err(error) if error.is_fatal() => fail("the end of the spool could not be marked", &error),
            Err(error) => tracing::warn!(%error, "the end of the spool could not be marked"),
        }
    }

    /// Publishes which offset is durable and how far time may advance. No later message is stamped with an earlier time
    /// than the one published here.
    fn move_durable(&mut self) {
        let at = self.stamp.now();
        let (end, spool_bytes) = (self.spool.next_offset(), self.spool.bytes());
        self.durable.change(|view| {
            view.end = end;
            view.at = view.at.max(at);
            view.spool_bytes = spool_bytes;
            view.appended = self.appended;
        });
    }

    fn finish(self, left: usize) {
        if left > 0 {
            tracing::warn!(parcels = left, "the spool had no room at the end: these were never acknowledged");
        }
        if let Err(error) = self.spool.close() {
            tracing::error!(%error, "the spool could not be closed cleanly; nothing acknowledged is lost");
        }
        self.durable.change(|view| view.closed = true);
    }
}

/// After a failed write or fsync the content of the disk is unknown; continuing could acknowledge messages that are
/// lost. The next start reads what is there.
fn fail(what: &str, error: &SpoolError) -> ! {
    let causes = zenei_store::with_causes(error);
    tracing::error!(
        error = causes,
        "{what}; the process ends here so that nothing is acknowledged that is not durable"
    );
    std::process::abort()
}

/// Answers a receiver that may be gone: the message is stored all the same.
fn tell<T>(who: oneshot::Sender<T>, what: T) {
    if who.send(what).is_err() {
        tracing::trace!("nobody waits for this answer any more");
    }
}

#[cfg(test)]
#[path = "appender_tests.rs"]
mod tests;
