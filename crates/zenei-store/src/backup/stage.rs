//! Gathers what a backup has in a folder inside the state directory: links where files never change, copies where they
//! do. Must not know the archive. Called by `zenei backup`.
use super::BackupError;
use crate::control::copy::Moment;
use crate::disk::Disk;
use crate::layout::Layout;
use crate::spool::{Spool, SpoolMessage, SpoolOptions, SpoolReader, StoredMessage};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much of the spool is in memory at a time.
const STEP_BYTES: usize = 1 << 20;
/// A segment of the copied spool: no larger than it must be.
const SEGMENT_BYTES: u64 = 1 << 20;
/// The largest other file of a state directory that is taken: small secrets, such as the pepper of tokens.
const SMALL_BYTES: u64 = 1 << 20;

/// What was gathered; removed from the disk when it is dropped.
#[derive(Debug)]
pub struct Staged {
    whole: PathBuf,
}

impl Staged {
    /// The folder whose contents are the backup.
    pub fn folder(&self) -> PathBuf {
        self.whole.join("state")
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // The next backup removes what is left.
        drop(std::fs::remove_dir_all(&self.whole));
    }
}

/// Gathers a state directory as it stands now.
///
/// # Errors
/// [`BackupError`]; nothing is left on the disk then.
pub fn stage(disk: &Arc<dyn Disk>, layout: &Layout) -> Result<Staged, BackupError> {
    let whole = layout.root().join("backup.staged");
    if whole.exists() {
        std::fs::remove_dir_all(&whole).map_err(BackupError::disk("remove", &whole))?;
    }
    let staged = Staged { whole };
    let (to, segments) = (Layout::new(&staged.folder()), staged.whole.join("segments"));
    let make = |dir: &Path| std::fs::create_dir_all(dir).map_err(BackupError::disk("make", dir));
    make(to.root())?;
    let moment = Moment::begin(&layout.control())?;
    let from = moment.checkpoint()?.unwrap_or_default().sealed.offset;
    let end = SpoolReader::open(Arc::clone(disk), &layout.spool())?.durable_end()?;
    link_all(&layout.spool(), &segments)?;
    for (from, to) in [
        (layout.parquet(), to.parquet()),
        (layout.snapshots(), to.snapshots()),
        (layout.shipping(), to.shipping()),
        (layout.tail(), to.tail()),
    ] {
        link_all(&from, &to)?;
    }
    let pinned = moment.pin()?;
    pinned.copy_to(&to.control())?;
    copy_small(layout, &to)?;
    copy_spool(disk, &segments, from..end, &to.spool())?;
    Ok(staged)
}

/// Links every file of a folder and of those below it; copies where the file system has no links. A file that is gone
/// meanwhile is one that nothing names.
fn link_all(from: &Path, to: &Path) -> Result<(), BackupError> {
    std::fs::create_dir_all(to).map_err(BackupError::disk("make", to))?;
    let entries = match std::fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BackupError::disk("read", from)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(BackupError::disk("read", from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(BackupError::disk("read", &path))?;
        if kind.is_dir() {
            link_all(&path, &target)?;
        } else if kind.is_file() {
            link(&path, &target).map_err(BackupError::disk("link", &path))?;
        }
    }
    Ok(())
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(_) => match std::fs::copy(from, to) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            copied => copied.map(drop),
        },
    }
}

/// Copies the small files beside the folders, but for the databases, which are copied or derived, and the lock.
fn copy_small(from: &Layout, to: &Layout) -> Result<(), BackupError> {
    let left_out = [from.control(), from.history(), from.root().join("lock")];
    let beside = |path: &Path| {
        let name = path.to_string_lossy();
        left_out.iter().any(|out| name.starts_with(&*out.to_string_lossy()))
    };
    let entries = std::fs::read_dir(from.root()).map_err(BackupError::disk("read", from.root()))?;
    for entry in entries {
        let entry = entry.map_err(BackupError::disk("read", from.root()))?;
        let path = entry.path();
        let meta = entry.metadata().map_err(BackupError::disk("read", &path))?;
        if meta.is_file() && meta.len() <= SMALL_BYTES && !beside(&path) {
            let copied = std::fs::copy(&path, to.root().join(entry.file_name()));
            copied.map_err(BackupError::disk("copy", &path))?;
        }
    }
    Ok(())
}

/// Writes the messages of these offsets as a spool of their own, each at its offset.
fn copy_spool(
    disk: &Arc<dyn Disk>,
    segments: &Path,
    offsets: std::ops::Range<u64>,
    to: &Path,
) -> Result<(), BackupError> {
    let open = |resume_at: u64| {
        let options = SpoolOptions { segment_bytes: SEGMENT_BYTES, resume_at, ..SpoolOptions::default() };
        Spool::open(Arc::clone(disk), to, options).map(|(spool, _)| spool)
    };
    let mut reader = SpoolReader::open(Arc::clone(disk), segments)?;
    let mut spool = open(offsets.start)?;
    let (mut next, mut messages) = (offsets.start, Vec::new());
    while next < offsets.end {
        let progress = reader.read_from(next, offsets.end, STEP_BYTES, &mut messages)?;
        let mut rest: &[StoredMessage] = &messages;
        while let Some(first) = rest.first() {
            if first.offset != spool.next_offset() {
                // Before it something was dropped or damaged: the copy has the same hole.
                spool.close()?;
                spool = open(first.offset)?;
            }
            let run = rest.iter().zip(first.offset..).take_while(|(message, offset)| message.offset == *offset).count();
            let (group, others) = rest.split_at(run);
            spool.append_group(&group.iter().map(as_new).collect::<Vec<_>>())?;
            rest = others;
        }
        messages.clear();
        next = progress.next;
    }
    spool.close()?;
    Ok(())
}

fn as_new(message: &StoredMessage) -> SpoolMessage<'_> {
    let StoredMessage { offset: _, heard_at, source, authenticated, topic, payload } = message;
    SpoolMessage { heard_at: *heard_at, source: *source, authenticated: *authenticated, topic, payload }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Checkpoint, Control, Sealed};
    use crate::disk::RealDisk;
    use crate::spool::Source;
    use zenei_wire::{EngineTime, GatewayTime};

    fn append(disk: &Arc<dyn Disk>, dir: &Path, resume_at: u64, topics: &[&str]) {
        let options = SpoolOptions { segment_bytes: SEGMENT_BYTES, resume_at, ..SpoolOptions::default() };
        let (mut spool, _) = Spool::open(Arc::clone(disk), dir, options).unwrap();
        for topic in topics {
            let heard_at = GatewayTime(5);
            let source = Source::Mqtt;
            let message = SpoolMessage { heard_at, source, authenticated: true, topic, payload: b"{}" };
            spool.append_group(&[message]).unwrap();
        }
        spool.close().unwrap();
    }

    #[test]
    fn the_copied_spool_begins_at_the_checkpoint_and_keeps_offsets_and_holes() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        append(&disk, &layout.spool(), 0, &["a/state", "b/error", "c/state"]);
        append(&disk, &layout.spool(), 10, &["d/state", "e/error"]);
        let mut control = Control::open(&layout.control()).unwrap();
        let txn = control.begin().unwrap();
        let sealed = Sealed { offset: 1, advanced_to: EngineTime(5) };
        txn.checkpoint(&Checkpoint { sealed, ..Checkpoint::default() }).unwrap();
        txn.commit().unwrap();
        std::fs::write(folder.path().join("pepper"), "p").unwrap();
        std::fs::write(folder.path().join("lock"), "").unwrap();
        let staged = stage(&disk, &layout).unwrap();
        let copy = Layout::new(&staged.folder());
        let mut reader = SpoolReader::open(Arc::clone(&disk), &copy.spool()).unwrap();
        let end = reader.durable_end().unwrap();
        let mut messages = Vec::new();
        let progress = reader.read_from(1, end, 1 << 20, &mut messages).unwrap();
        let found: Vec<(u64, &str)> = messages.iter().map(|message| (message.offset, &*message.topic)).collect();
        assert_eq!(found, [(1, "b/error"), (2, "c/state"), (10, "d/state"), (11, "e/error")]);
        assert_eq!((end, progress.holes.len()), (12, 1));
        assert!(copy.root().join("pepper").is_file() && !copy.root().join("lock").exists());
        let whole = staged.whole.clone();
        drop(staged);
        assert!(!whole.exists());
    }
}
