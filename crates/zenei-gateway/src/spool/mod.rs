//! The gateway's side of the spool: the queue in front of it, the thread that fills it, the time that is stamped, and
//! the offset up to which it is durable. Must not know a message's content, except where the clock follows the
//! records. Called by the sources, the driver, the start and the running gateway.
mod appender;
mod durable;
mod queue;
mod stamp;

pub use appender::AckPolicy;
pub(crate) use appender::{Appender, Ignored};
pub(crate) use durable::{DurableUpTo, View};
pub use queue::Closed;
#[cfg(test)]
pub(crate) use queue::{AppenderQueue, QUEUE_BYTES};
pub(crate) use queue::{Inlet, Message, Receipt, queue};
pub(crate) use stamp::Stamp;
