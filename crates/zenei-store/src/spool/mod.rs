//! The spool: the bytes of acknowledged messages, stored in order until a store has their records. Must not know
//! records or JSON: a topic and a payload are bytes with an offset; the spool looks only at the last level of a topic,
//! which selects the lane. Written by the gateway's appender before anything is acknowledged; read by the gateway's
//! driver, `record list` and `doctor`; cleared by `forget`.
//!
//! Two lanes (files `p-…` and `r-…`) share one sequence of offsets: a disk that runs full costs routine heartbeats, not
//! a lock's errors. Each append writes one frame per touched lane, and each frame has the offset at which its group
//! began. All offsets before that were durable when the frame was written, so a frame that is missing or broken below
//! the newest such mark was damaged later; above it, it was never acknowledged.
mod erase;
mod frame;
mod reader;
mod recovery;
mod segment;
mod source;
mod writer;

#[cfg(test)]
mod tests;

pub use erase::clear;
pub use reader::{Hole, Progress, SpoolReader};
pub use recovery::Recovered;
pub use source::{BySource, Source};
pub use writer::{Dropped, Spool};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use zenei_wire::GatewayTime;

/// A message to store.
#[derive(Clone, Copy, Debug)]
pub struct SpoolMessage<'a> {
    /// When it was received. If this is earlier than the latest time so far, the spool stores the latest time.
    pub heard_at: GatewayTime,
    /// Its source.
    pub source: Source,
    /// Whether its source is authorized to send for the device that it names.
    pub authenticated: bool,
    /// Its topic, at most 65,535 bytes.
    pub topic: &'a str,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its place in the spool, from 0, over both lanes.
    pub offset: u64,
    /// When it was received; never decreases with the offset.
    pub heard_at: GatewayTime,
    /// Its source.
    pub source: Source,
    /// Whether its source is authorized to send for the device that it names.
    pub authenticated: bool,
    /// Its topic.
    pub topic: String,
    /// Its bytes.
    pub payload: Bytes,
}

/// The policy for a spool that has reached its cap, or a full disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FullPolicy {
    /// The oldest segment of the routine lane makes room. The priority lane is never dropped.
    DropOldestRoutine,
    /// Nothing is dropped and nothing is taken: publishers must wait.
    Refuse,
}

/// How large the spool may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolOptions {
    /// Room reserved for each segment, bytes; at most a quarter of `max_bytes`, so that there is one to drop. A group
    /// that is larger gets a segment of its own size.
    pub segment_bytes: u64,
    /// The most bytes of all segments together; `None`: as many as the disk has.
    pub max_bytes: Option<u64>,
    /// The policy at that cap.
    pub when_full: FullPolicy,
    /// No new message gets an offset below this one: the checkpoint's, so that a spool that was deleted by hand does
    /// not count from 0 again.
    pub resume_at: u64,
}

impl SpoolOptions {
    /// A segment where nothing else is said.
    pub const SEGMENT_BYTES: u64 = 64 << 20;
}

impl Default for SpoolOptions {
    /// 64 MiB a segment: an hour of a gateway with 20,000 locks in a few files (a guess); no cap; oldest routine
    /// segment first.
    fn default() -> Self {
        Self {
            segment_bytes: Self::SEGMENT_BYTES,
            max_bytes: None,
            when_full: FullPolicy::DropOldestRoutine,
            resume_at: 0,
        }
    }
}

/// Why a call of the spool failed.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A sync failed: it is unknown what is durable, and a second sync may falsely succeed. The caller must abort the
    /// process; the next start determines it.
    #[error("the sync of {path} failed; what was written last may be lost, so the process must end")]
    SyncFailed {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A write failed half way. As final as [`SpoolError::SyncFailed`].
    #[error("the write to {path} failed; half a group may be there, so the process must end")]
    WriteFailed {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// An earlier call failed with one of the two above.
    #[error("an earlier write or sync failed; the spool takes nothing more until the process starts anew")]
    Ended,
    /// No room, and nothing that may be dropped for it. Nothing was written; the caller leaves the messages
    /// unacknowledged and retries later.
    #[error("the spool is full: {bytes} bytes of {allowed} are used and {wanted} more are wanted")]
    Full {
        /// Bytes in use.
        bytes: u64,
        /// The cap; `u64::MAX` where the disk itself is full.
        allowed: u64,
        /// Bytes wanted.
        wanted: u64,
    },
    /// A message or a group larger than a frame can hold. Nothing was written.
    #[error("the {what} has {found} bytes; at most {allowed} are allowed")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        found: usize,
        /// The most allowed.
        allowed: usize,
    },
    /// A file of another version (or of something else) among the segments.
    #[error("{name} in the spool is no segment of version 1; move it away or use the program that wrote it")]
    Foreign {
        /// The file's name.
        name: String,
    },
    /// Anything else that the disk refused; nothing was written.
    #[error("can't {what} {path}")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
}

impl SpoolError {
    /// Whether the caller must abort the process at once: acknowledging or continuing could lose acknowledged messages.
    pub const fn is_fatal(&self) -> bool {
        match self {
            Self::SyncFailed { .. } | Self::WriteFailed { .. } | Self::Ended => true,
            Self::Full { .. } | Self::TooLarge { .. } | Self::Foreign { .. } | Self::Disk { .. } => false,
        }
    }

    fn disk(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Disk { what, path, source }
    }
}

/// The lane of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Priority,
    Routine,
}

impl Lane {
    pub(crate) const ALL: [Self; 2] = [Self::Priority, Self::Routine];

    /// A diagnosis rests on errors, operations and events; heartbeats are repeated.
    pub(crate) fn of_topic(topic: &str) -> Self {
        match topic.rsplit('/').next() {
            Some("error" | "op" | "event") => Self::Priority,
            Some(_) | None => Self::Routine,
        }
    }

    pub(crate) const fn letter(self) -> char {
        match self {
            Self::Priority => 'p',
            Self::Routine => 'r',
        }
    }

    pub(crate) const fn at(self) -> usize {
        match self {
            Self::Priority => 0,
            Self::Routine => 1,
        }
    }
}
