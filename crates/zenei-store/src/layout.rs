//! The state directory: the path of each file, and the lock that lets one process at a time write there. Must not know
//! what the files hold. Called by the drivers and by the commands that use a state directory.
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A state directory's paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

/// Why a state directory can't be written.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process writes there.
    #[error("another process uses {path}; one at a time is allowed")]
    Taken {
        /// The state directory.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("can't lock {path}")]
    Disk {
        /// The lock file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
}

/// The right to write to a state directory; ends when it is dropped, or with the process.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl Layout {
    /// The layout of a state directory.
    pub fn new(state_dir: &Path) -> Self {
        Self { root: state_dir.to_path_buf() }
    }

    /// The state directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Directory of the spool.
    pub fn spool(&self) -> PathBuf {
        self.root.join("spool")
    }

    /// File of the control database.
    pub fn control(&self) -> PathBuf {
        self.root.join("control.db")
    }

    /// Socket at which the desk takes the requests of other processes.
    pub fn desk_socket(&self) -> PathBuf {
        self.root.join("desk.sock")
    }

    /// File of what tokens are hashed with.
    pub fn token_pepper(&self) -> PathBuf {
        self.root.join("token.pepper")
    }

    /// Directory of the snapshots.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// Directory of the shipper's stored state.
    pub fn shipping(&self) -> PathBuf {
        self.root.join("shipping")
    }

    /// Directory of the snapshots of a desk that detects on many gateways' records.
    pub fn tail(&self) -> PathBuf {
        self.root.join("tail")
    }

    /// File of the history, derived from the Parquet store.
    pub fn history(&self) -> PathBuf {
        self.root.join("history.db")
    }

    /// Directory of the Parquet store.
    pub fn parquet(&self) -> PathBuf {
        self.root.join("parquet")
    }

    /// Creates the state directory if it does not exist, and locks it for writing.
    ///
    /// # Errors
    /// [`LockError::Taken`], [`LockError::Disk`].
    pub fn lock(&self) -> Result<StateLock, LockError> {
        let path = self.root.join("lock");
        let opened = make_private(&self.root)
            .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path));
        let file = opened.map_err(|source| LockError::Disk { path: path.clone(), source })?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(StateLock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Taken { path: self.root.clone() }),
            Err(error) => Err(LockError::Disk { path, source: error.into() }),
        }
    }
}

/// Makes a directory, where it is missing, for its owner's eyes only: what is below it says who opened which door when.
/// One that exists keeps its permissions.
///
/// # Errors
/// Where it can't be made.
pub fn make_private(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_is_made_for_its_owner_only_and_one_that_exists_is_left_as_it_is() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let made = folder.path().join("a/state");
        drop(Layout::new(&made).lock().unwrap());
        assert_eq!(mode(&made), 0o700);
        std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o750)).unwrap();
        drop(Layout::new(&made).lock().unwrap());
        assert_eq!(mode(&made), 0o750);
    }

    #[test]
    fn one_process_at_a_time_has_a_state_directory() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(&folder.path().join("state"));
        let lock = layout.lock().unwrap();
        assert!(matches!(layout.lock().unwrap_err(), LockError::Taken { .. }));
        drop(lock);
        layout.lock().unwrap();
    }
}
