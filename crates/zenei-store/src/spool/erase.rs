//! Removes every segment of a spool that is sealed whole: sealed messages stay in their segments until those are full,
//! and an erased lock must not stay there. Must not know what a message means. Called by `forget`, while no other
//! process uses the spool.
use super::segment::{list, name};
use super::{Lane, SpoolError};
use crate::disk::Disk;
use std::path::Path;

/// Removes every segment. Allowed only if everything before `resume_at` is sealed and nothing is beyond it; the spool
/// continues there when it is opened again with [`super::SpoolOptions::resume_at`]. Returns the number of removed
/// files.
///
/// # Errors
/// [`SpoolError::Foreign`], [`SpoolError::Disk`], [`SpoolError::SyncFailed`].
pub fn clear(disk: &dyn Disk, dir: &Path) -> Result<u64, SpoolError> {
    let mut removed = 0;
    let lanes = list(disk, dir)?;
    for (lane, firsts) in Lane::ALL.into_iter().zip(&lanes) {
        for &first in firsts {
            let path = dir.join(name(lane, first));
            disk.remove(&path).map_err(SpoolError::disk("remove", &path))?;
            removed += 1;
        }
    }
    disk.sync_dir(dir).map_err(|source| SpoolError::SyncFailed { path: dir.to_path_buf(), source })?;
    Ok(removed)
}
