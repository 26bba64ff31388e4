//! The disk, as this crate uses it: the operations, and what each result guarantees. Must not know the contents of
//! files. Called by the spool, snapshots, Parquet files and `forget`; [`SimDisk`] replaces [`RealDisk`] in tests that
//! need a power cut, a full disk or a flipped bit.
mod real;
mod sim;

pub use real::RealDisk;
pub use sim::{Loss, SimDisk};

use std::fmt;
use std::io;
use std::path::Path;

/// An open file; all of its positions are in bytes from its start.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Writes all of `bytes` at `at`. Not durable before [`DiskFile::sync_data`].
    ///
    /// # Errors
    /// The operating system's error; some of the bytes may then have been written.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads until `into` is full or the file ends; returns how many bytes were read.
    ///
    /// # Errors
    /// The operating system's error.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Returns when all that was written, and the length, is durable.
    ///
    /// # Errors
    /// After an error it is unknown what is durable, and a second call may return `Ok` without having written: the
    /// caller must give up.
    fn sync_data(&self) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// The operating system's error.
    fn len(&self) -> io::Result<u64>;

    /// Whether the length is 0.
    ///
    /// # Errors
    /// As [`DiskFile::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A disk with directories.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes the directory and those above it, where they are not there yet; durable on return.
    ///
    /// # Errors
    /// The operating system's error.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes a file of `len` zero bytes whose room on the disk is reserved. Its name is not durable before
    /// [`Disk::sync_dir`].
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], [`io::ErrorKind::StorageFull`] (no file is left behind then), or the
    /// operating system's error.
    fn create(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for reading and, where `writable`, for writing.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or the operating system's error.
    fn open(&self, path: &Path, writable: bool) -> io::Result<Box<dyn DiskFile>>;

    /// Renames a file within its directory, replacing a file of that name. Atomic, but not durable before
    /// [`Disk::sync_dir`].
    ///
    /// # Errors
    /// The operating system's error.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Not durable before [`Disk::sync_dir`].
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or the operating system's error.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names of the files of a directory, ascending; those that are not UTF-8 are no files of ours and are left
    /// out.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or the operating system's error.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Returns when the names of this directory are durable.
    ///
    /// # Errors
    /// As [`DiskFile::sync_data`].
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The ending of a file that is not whole yet; after a restart such a file may be removed.
pub const UNFINISHED: &str = ".tmp";

/// Writes a whole file so that its name refers either to nothing (or the former bytes) or to all of `bytes`; it is
/// durable on return.
///
/// # Errors
/// The operating system's error. After an error the file may exist or not; a file that exists is whole.
pub fn write_whole(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = dir.join(format!("{name}{UNFINISHED}"));
    match disk.remove(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file = disk.create(&unfinished, bytes.len() as u64)?;
    file.write_at(0, bytes)?;
    file.sync_data()?;
    drop(file);
    disk.rename(&unfinished, &dir.join(name))?;
    disk.sync_dir(dir)
}

/// Reads a whole file.
///
/// # Errors
/// [`io::ErrorKind::NotFound`], or the operating system's error.
pub fn read_whole(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, false)?;
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}
