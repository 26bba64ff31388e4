//! A backup of a state directory in one file, also of one that a daemon writes to, and its way back. What is in it is
//! what a kill at that moment would have left, so that a restart from it neither loses nor doubles what was
//! acknowledged until then. Must not know a command line. Called by `zenei backup` and `zenei restore`.
//!
//! The order: nobody commits (a `Moment`); the end of the spool is read; the files that never change once they are
//! written, and the spool's segments, are linked into a folder beside them; others commit again. Then, without haste:
//! the control database is copied as it stood, the messages from its checkpoint to that end are written as a spool of
//! their own, and all of it goes into the archive. The history is left out: it is derived.
mod archive;
mod stage;

pub use archive::{Entry, Manifest, read, write};
pub use stage::{Staged, stage};

use crate::control::ControlError;
use crate::spool::SpoolError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a backup can't be made or put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The control database.
    #[error("the control database can't be copied")]
    Control(#[from] ControlError),
    /// The spool.
    #[error("the spool can't be copied")]
    Spool(#[from] SpoolError),
    /// A file.
    #[error("can't {what} {path}")]
    Disk {
        /// The action that failed.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The archive can't be read or written.
    #[error("the archive can't be {what}")]
    Archive {
        /// `read` or `written`.
        what: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// What is read is no backup of zenei, or not all of one.
    #[error("this is no whole backup: {found}; nothing was put back")]
    NotWhole {
        /// What was found.
        found: String,
    },
}

impl BackupError {
    fn disk(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Disk { what, path, source }
    }
}
