//! Snapshots: states in files that a checkpoint names. Must not know what the bytes mean: the caller's
//! [`PipelineMaker`] reads the engine's. Called by the gateway's driver and the desk's tail at each checkpoint and at
//! start, by the shipper for its voltages at rest, by `record list`, and by `forget`.
//!
//! A file: magic `ZSN1`, CRC-32 of the rest u32 LE, length u64 LE, the bytes.
use crate::disk::{Disk, read_whole, write_whole};
use std::io;
use std::path::{Path, PathBuf};
use zenei_detect::{Pipeline, RestoreError};

const MAGIC: [u8; 4] = *b"ZSN1";
const HEADER_BYTES: usize = 16;
/// The start of the part that the checksum covers.
const COVERED_FROM: usize = 8;

/// Makes a pipeline from a snapshot's bytes, or without history.
pub type PipelineMaker = Box<dyn Fn(Option<&[u8]>) -> Result<Pipeline, RestoreError> + Send>;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes are not the written ones.
    #[error("the snapshot {path} is damaged: {found}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: &'static str,
    },
    /// The disk refused.
    #[error("can't {what} the snapshot {path}")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
}

/// Writes a snapshot; it is durable on return. Only then may the checkpoint name it.
///
/// # Errors
/// [`SnapshotError::Disk`].
pub fn write(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
    let mut file = Vec::with_capacity(HEADER_BYTES + bytes.len());
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    file.extend_from_slice(bytes);
    let crc = crc32fast::hash(&file[COVERED_FROM..]);
    file[4..COVERED_FROM].copy_from_slice(&crc.to_le_bytes());
    let written = disk.create_dir(dir).and_then(|()| write_whole(disk, dir, name, &file));
    written.map_err(|source| SnapshotError::Disk { what: "write", path: dir.join(name), source })
}

/// Reads a snapshot.
///
/// # Errors
/// [`SnapshotError::Damaged`], [`SnapshotError::Disk`].
pub fn read(disk: &dyn Disk, dir: &Path, name: &str) -> Result<Vec<u8>, SnapshotError> {
    let path = dir.join(name);
    let mut file = match read_whole(disk, &path) {
        Ok(file) => file,
        Err(source) => return Err(SnapshotError::Disk { what: "read", path, source }),
    };
    let damaged = |found| Err(SnapshotError::Damaged { path: path.clone(), found });
    if file.len() < HEADER_BYTES || file[..4] != MAGIC {
        return damaged("it does not begin with ZSN1");
    }
    if file[8..HEADER_BYTES] != ((file.len() - HEADER_BYTES) as u64).to_le_bytes() {
        return damaged("its length is not the one written in it");
    }
    if file[4..COVERED_FROM] != crc32fast::hash(&file[COVERED_FROM..]).to_le_bytes() {
        return damaged("its checksum is not the one written in it");
    }
    file.drain(..HEADER_BYTES);
    Ok(file)
}

/// Removes all snapshots but one: after the checkpoint that names it, and at start, to remove what a crash left.
///
/// # Errors
/// [`SnapshotError::Disk`].
pub fn keep_only(disk: &dyn Disk, dir: &Path, name: Option<&str>) -> Result<(), SnapshotError> {
    let failed = |source| SnapshotError::Disk { what: "remove the former of", path: dir.to_path_buf(), source };
    let names = match disk.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for old in names.iter().filter(|old| Some(old.as_str()) != name) {
        disk.remove(&dir.join(old)).map_err(failed)?;
    }
    disk.sync_dir(dir).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Loss, SimDisk};

    #[test]
    fn a_snapshot_survives_the_power_and_its_predecessors_go() {
        let disk = SimDisk::new(1);
        let dir = Path::new("/snapshots");
        write(&disk, dir, "a", b"one").unwrap();
        write(&disk, dir, "b", b"two").unwrap();
        disk.crash(Loss::All);
        assert_eq!(read(&disk, dir, "b").unwrap(), b"two");
        keep_only(&disk, dir, Some("b")).unwrap();
        disk.crash(Loss::All);
        assert_eq!(disk.list(dir).unwrap(), ["b"]);
        assert!(matches!(read(&disk, dir, "a").unwrap_err(), SnapshotError::Disk { .. }));
    }

    #[test]
    fn each_flipped_bit_is_noticed() {
        let disk = SimDisk::new(1);
        let dir = Path::new("/snapshots");
        write(&disk, dir, "a", b"state").unwrap();
        for bit in 0..(HEADER_BYTES as u64 + 5) * 8 {
            assert!(disk.flip_bit(&dir.join("a"), bit));
            assert!(matches!(read(&disk, dir, "a").unwrap_err(), SnapshotError::Damaged { .. }), "bit {bit}");
            assert!(disk.flip_bit(&dir.join("a"), bit));
        }
        assert_eq!(read(&disk, dir, "a").unwrap(), b"state");
    }
}
