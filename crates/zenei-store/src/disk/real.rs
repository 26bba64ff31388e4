//! The operating system's disk. Must not know the contents of files. Called through [`Disk`] by the product.
use super::{Disk, DiskFile};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// The operating system's disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl DiskFile for File {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match std::os::unix::fs::FileExt::read_at(self, &mut into[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.as_os_str().is_empty() || dir.is_dir() {
            return Ok(());
        }
        let parent = dir.parent().unwrap_or(Path::new("."));
        self.create_dir(parent)?;
        match std::fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.sync_dir(parent)
    }

    fn create(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        match reserve(&file, len) {
            Ok(()) => Ok(Box::new(file)),
            Err(error) => {
                drop(file);
                std::fs::remove_file(path)?;
                Err(error)
            }
        }
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(writable).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()
    }
}

/// Reserves the blocks, so that a later write does not find the disk full and a sync has no length to write. A file
/// system that can't reserve (some network and FUSE ones) gets a sparse file of this length.
fn reserve(file: &File, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, len) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(len),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{read_whole, write_whole};

    #[test]
    fn a_whole_file_reads_back_and_leaves_nothing_unfinished() {
        let dir = tempfile::tempdir().unwrap();
        write_whole(&RealDisk, dir.path(), "a", b"first").unwrap();
        write_whole(&RealDisk, dir.path(), "a", b"second").unwrap();
        assert_eq!(read_whole(&RealDisk, &dir.path().join("a")).unwrap(), b"second");
        assert_eq!(RealDisk.list(dir.path()).unwrap(), ["a"]);
    }

    #[test]
    fn directories_are_made_with_those_above_and_making_one_again_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a/b/c");
        RealDisk.create_dir(&dir).unwrap();
        RealDisk.create_dir(&dir).unwrap();
        assert!(RealDisk.list(&dir).unwrap().is_empty());
        std::fs::write(folder.path().join("file"), b"").unwrap();
        assert!(RealDisk.create_dir(&folder.path().join("file/below")).is_err());
    }

    #[test]
    fn a_new_file_has_its_length_and_only_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = RealDisk.create(&path, 10_000).unwrap();
        assert_eq!(file.len().unwrap(), 10_000);
        assert!(read_whole(&RealDisk, &path).unwrap().iter().all(|&byte| byte == 0));
        assert_eq!(RealDisk.create(&path, 1).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
