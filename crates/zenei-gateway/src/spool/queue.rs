//! How do received messages reach the appender? Through one queue with a bound in bytes over all sources: a source
//! waits while there is no room, and may wait until its messages are durable. Must not know the spool. Called by the
//! sources (which put), the appender (which takes), the driver (which releases sealed offsets) and the running gateway
//! (which marks and closes).
use crate::source::topic::TopicName;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use zenei_store::Source;
use zenei_wire::MAX_PAYLOAD_BYTES;

/// Bytes that may wait for the spool, over all sources; beyond it they stop reading. A guess: four of the largest
/// groups.
pub(crate) const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// The cost of a queued message besides its topic and payload, in bytes; roughly the size of the structures.
const MESSAGE_OVERHEAD_BYTES: usize = 128;

/// One message on its way to the spool.
#[derive(Debug)]
pub(crate) struct Message {
    pub(super) topic: TopicName,
    pub(super) payload: Bytes,
}

impl Message {
    /// A message. Of a payload larger than the contract allows, only as much is copied as proves that it is too large,
    /// so that the rest is freed.
    pub(crate) fn new(topic: TopicName, payload: Bytes) -> Self {
        match payload.get(..=MAX_PAYLOAD_BYTES) {
            Some(enough) => Self { topic, payload: Bytes::copy_from_slice(enough) },
            None => Self { topic, payload },
        }
    }

    fn cost_bytes(&self) -> usize {
        self.topic.as_str().len() + self.payload.len() + MESSAGE_OVERHEAD_BYTES
    }
}

/// Messages that a source read at once.
pub(super) struct Parcel {
    pub(super) source: Source,
    pub(super) authenticated: bool,
    pub(super) messages: Vec<Message>,
    pub(super) cost_bytes: usize,
    pub(super) durable: oneshot::Sender<()>,
    /// Releases its room in the queue when dropped.
    _room: OwnedSemaphorePermit,
}

/// A command to the appender.
pub(super) enum Command {
    Append(Parcel),
    /// Advances time to the clock; answers with the end of what is durable.
    Mark(oneshot::Sender<u64>),
    /// The checkpoint needs nothing before this offset any more.
    Release(u64),
    Close,
}

/// The appender is gone; nothing can be received any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the appender has stopped")]
pub struct Closed;

/// Where sources put received messages.
#[derive(Clone)]
pub(crate) struct Inlet {
    commands: Sender<Command>,
    room: Arc<Semaphore>,
}

/// A receipt that resolves once a parcel is durable.
#[derive(Debug)]
pub(crate) struct Receipt(pub(super) oneshot::Receiver<()>, bool);

impl Receipt {
    /// Returns once everything in the parcel is durable.
    pub(crate) async fn durable(mut self) -> Result<(), Closed> {
        self.wait().await
    }

    /// As [`Receipt::durable`], and safe to cancel.
    pub(crate) async fn wait(&mut self) -> Result<(), Closed> {
        if !self.1 {
            (&mut self.0).await.map_err(|_| Closed)?;
            self.1 = true;
        }
        Ok(())
    }

    /// Whether everything in the parcel is durable now.
    pub(crate) fn is_durable(&mut self) -> bool {
        self.1 = self.1 || self.0.try_recv().is_ok();
        self.1
    }
}

impl Inlet {
    /// Queues messages; waits while the queue has no room. Safe to cancel: either all or none are queued.
    pub(crate) async fn put(
        &self,
        source: Source,
        authenticated: bool,
        messages: Vec<Message>,
    ) -> Result<Receipt, Closed> {
        let cost_bytes: usize = messages.iter().map(Message::cost_bytes).sum();
        let permits = u32::try_from(cost_bytes.min(QUEUE_BYTES)).map_err(|_| Closed)?;
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| Closed)?;
        let (durable, receipt) = oneshot::channel();
        let parcel = Parcel { source, authenticated, messages, cost_bytes, durable, _room: room };
        self.commands.send(Command::Append(parcel)).map_err(|_| Closed)?;
        Ok(Receipt(receipt, false))
    }

    /// Advances time to the clock, after everything queued so far; returns the end of what is durable then.
    pub(crate) async fn mark(&self) -> Result<u64, Closed> {
        let (answer, end) = oneshot::channel();
        self.commands.send(Command::Mark(answer)).map_err(|_| Closed)?;
        end.await.map_err(|_| Closed)
    }

    /// Allows the spool to drop everything before `offset`.
    pub(crate) fn release(&self, offset: u64) {
        // An appender that is gone frees nothing; the next start does.
        drop(self.commands.send(Command::Release(offset)));
    }

    /// Makes the appender finish the queued messages and stop; wakes the sources that wait for room.
    pub(crate) fn close(&self) {
        self.room.close();
        drop(self.commands.send(Command::Close));
    }
}

/// The two ends of the appender's queue.
pub(crate) fn queue() -> (Inlet, AppenderQueue) {
    let (commands, queue) = std::sync::mpsc::channel();
    (Inlet { commands, room: Arc::new(Semaphore::new(QUEUE_BYTES)) }, AppenderQueue(queue))
}

/// The appender's end of the queue.
pub(crate) struct AppenderQueue(pub(super) Receiver<Command>);

#[cfg(test)]
impl AppenderQueue {
    /// The offset up to which the spool may drop messages.
    pub(crate) fn released(&self) -> Option<u64> {
        let offset = |command| if let Command::Release(before) = command { Some(before) } else { None };
        self.0.try_iter().filter_map(offset).max()
    }
}
