//! A disk for tests that loses unsynced data: when the power goes, a seeded draw decides for each unsynced write
//! whether it is retained, lost or torn, and likewise for names that no directory sync covered. It can also be full,
//! fail a sync, and flip a bit. Must not know the contents of files. Called by tests.
use super::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The unit in which a disk writes: a torn write retains some of these and loses others.
const SECTOR: usize = 512;

/// The fate of unsynced bytes and names when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A draw for each of them; a write can also be torn.
    Drawn,
    /// All are lost: the least that a disk may retain.
    All,
    /// None is lost: a killed process on a machine that stays up.
    None,
}

/// A simulated disk; clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<NameChange>,
    dirs: Vec<PathBuf>,
    random: u64,
    capacity: Option<u64>,
    calls_left: Option<u64>,
    syncs_before_failure: Option<u64>,
    syncs_do_nothing: bool,
    epoch: u64,
}

#[derive(Debug, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Unsynced>,
}

#[derive(Debug)]
enum Unsynced {
    Length(usize),
    Write { at: usize, bytes: Vec<u8> },
}

#[derive(Debug)]
enum NameChange {
    Set(PathBuf, usize),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, usize),
}

#[derive(Debug)]
struct SimFile {
    state: Arc<Mutex<State>>,
    inode: usize,
    epoch: u64,
}

impl SimDisk {
    /// An empty disk; equal seeds give equal losses.
    pub fn new(seed: u64) -> Self {
        let state = State { random: seed ^ 0x9e37_79b9_7f4a_7c15, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Lets `calls` more writing calls succeed; all later ones fail until [`SimDisk::crash`].
    pub fn power_off_after(&self, calls: u64) {
        self.lock().calls_left = Some(calls);
    }

    /// The power goes and comes back: files opened before become invalid, and unsynced data gets the given [`Loss`].
    pub fn crash(&self, loss: Loss) {
        let mut state = self.lock();
        state.calls_left = None;
        state.syncs_before_failure = None;
        state.epoch += 1;
        state.lose_names(loss);
        for inode in 0..state.inodes.len() {
            state.lose_bytes(inode, loss);
        }
    }

    /// The most bytes that all files together may have; `None`: no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Lets `syncs` more syncs succeed; the one after it fails, and its data is lost at the next crash, whatever later
    /// syncs return.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.lock().syncs_before_failure = Some(syncs);
    }

    /// From now on a sync returns `Ok` and does nothing: every test of durability must detect this disk.
    pub fn ignore_syncs(&self) {
        self.lock().syncs_do_nothing = true;
    }

    /// Flips one bit of a file, as a bad sector or cosmic ray would. `bit` counts from the file's start, lowest bit of
    /// each byte first. False where the file has no such bit.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> bool {
        let mut state = self.lock();
        let Some(&inode) = state.names.get(path) else { return false };
        let at = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let mask = 1 << (bit % 8);
        let inode = &mut state.inodes[inode];
        let Some(byte) = inode.seen.get_mut(at) else { return false };
        *byte ^= mask;
        if let Some(byte) = inode.durable.get_mut(at) {
            *byte ^= mask;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// splitmix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }

    fn change(&mut self) -> io::Result<()> {
        match &mut self.calls_left {
            Some(0) => Err(io::Error::other("the power is off")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn may_sync(&mut self) -> io::Result<bool> {
        self.change()?;
        match &mut self.syncs_before_failure {
            Some(0) => {
                self.syncs_before_failure = None;
                Ok(false)
            }
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => Ok(true),
        }
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn room_for(&self, more: usize) -> io::Result<()> {
        let used: usize = self.names.values().map(|&inode| self.inodes[inode].seen.len()).sum();
        match self.capacity {
            Some(capacity) if (used + more) as u64 > capacity => Err(io::ErrorKind::StorageFull.into()),
            Some(_) | None => Ok(()),
        }
    }

    /// A file system with a journal retains a prefix of the changes of its names.
    fn lose_names(&mut self, loss: Loss) {
        let changes = std::mem::take(&mut self.unsynced_names);
        let kept = match loss {
            Loss::Drawn => usize::try_from(self.draw(changes.len() as u64 + 1)).unwrap_or(0),
            Loss::All => 0,
            Loss::None => changes.len(),
        };
        for change in changes.into_iter().take(kept) {
            change.apply(&mut self.durable_names);
        }
        self.names = self.durable_names.clone();
    }

    fn lose_bytes(&mut self, inode: usize, loss: Loss) {
        let unsynced = std::mem::take(&mut self.inodes[inode].unsynced);
        for change in unsynced {
            let kept = match loss {
                Loss::Drawn => self.draw(3),
                Loss::All => 0,
                Loss::None => 1,
            };
            match (change, kept) {
                (_, 0) => {}
                (Unsynced::Write { at, bytes }, 2) => {
                    for (sector, part) in bytes.chunks(SECTOR).enumerate() {
                        if self.draw(2) == 0 {
                            put(&mut self.inodes[inode].durable, at + sector * SECTOR, part);
                        }
                    }
                }
                (Unsynced::Write { at, bytes }, _) => put(&mut self.inodes[inode].durable, at, &bytes),
                (Unsynced::Length(len), _) => grow(&mut self.inodes[inode].durable, len),
            }
        }
        self.inodes[inode].seen = self.inodes[inode].durable.clone();
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Set(path, inode) => {
                names.insert(path, inode);
            }
            Self::Remove(path) => {
                names.remove(&path);
            }
            Self::Rename(from, to, inode) => {
                names.remove(&from);
                names.insert(to, inode);
            }
        }
    }

    fn is_in(&self, dir: &Path) -> bool {
        match self {
            Self::Set(path, _) | Self::Remove(path) | Self::Rename(path, ..) => path.parent() == Some(dir),
        }
    }
}

impl SimFile {
    fn lock(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.epoch == self.epoch { Ok(state) } else { Err(io::Error::other("opened before the power went")) }
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock()?;
        state.change()?;
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let more = (at + bytes.len()).saturating_sub(state.inodes[self.inode].seen.len());
        state.room_for(more)?;
        let inode = &mut state.inodes[self.inode];
        put(&mut inode.seen, at, bytes);
        inode.unsynced.push(Unsynced::Write { at, bytes: bytes.to_vec() });
        Ok(())
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.lock()?;
        let seen = &state.inodes[self.inode].seen;
        let at = usize::try_from(at).map_err(io::Error::other)?.min(seen.len());
        let len = into.len().min(seen.len() - at);
        into[..len].copy_from_slice(&seen[at..at + len]);
        Ok(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.lock()?;
        let works = state.may_sync()?;
        if state.syncs_do_nothing {
            return Ok(());
        }
        let unsynced = std::mem::take(&mut state.inodes[self.inode].unsynced);
        if !works {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        let durable = &mut state.inodes[self.inode].durable;
        for change in unsynced {
            match change {
                Unsynced::Length(len) => grow(durable, len),
                Unsynced::Write { at, bytes } => put(durable, at, &bytes),
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.lock()?.inodes[self.inode].seen.len() as u64)
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        state.dirs.push(dir.to_path_buf());
        Ok(())
    }

    fn create(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        state.change()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let len = usize::try_from(len).map_err(io::Error::other)?;
        state.room_for(len)?;
        let inode = Inode { seen: vec![0; len], durable: Vec::new(), unsynced: vec![Unsynced::Length(len)] };
        state.inodes.push(inode);
        let inode = state.inodes.len() - 1;
        state.names.insert(path.to_path_buf(), inode);
        state.unsynced_names.push(NameChange::Set(path.to_path_buf(), inode));
        Ok(Box::new(SimFile { state: Arc::clone(&self.state), inode, epoch: state.epoch }))
    }

    fn open(&self, path: &Path, _writable: bool) -> io::Result<Box<dyn DiskFile>> {
        let state = self.lock();
        let inode = state.inode(path)?;
        Ok(Box::new(SimFile { state: Arc::clone(&self.state), inode, epoch: state.epoch }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        let inode = state.inode(from)?;
        state.names.remove(from);
        state.names.insert(to.to_path_buf(), inode);
        state.unsynced_names.push(NameChange::Rename(from.to_path_buf(), to.to_path_buf(), inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        state.inode(path)?;
        state.names.remove(path);
        state.unsynced_names.push(NameChange::Remove(path.to_path_buf()));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        let has_files = state.names.keys().any(|path| path.parent() == Some(dir));
        if !has_files && !state.dirs.iter().any(|known| known == dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let in_dir = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(in_dir.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let works = state.may_sync()?;
        if state.syncs_do_nothing {
            return Ok(());
        }
        let changes = std::mem::take(&mut state.unsynced_names);
        let (of_dir, others) = changes.into_iter().partition::<Vec<_>, _>(|change| change.is_in(dir));
        state.unsynced_names = others;
        if !works {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        for change in of_dir {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }
}

fn grow(bytes: &mut Vec<u8>, len: usize) {
    if bytes.len() < len {
        bytes.resize(len, 0);
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    grow(bytes, at + part.len());
    bytes[at..at + part.len()].copy_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{read_whole, write_whole};

    #[test]
    fn unsynced_bytes_and_names_are_lost_and_synced_ones_are_kept() {
        let disk = SimDisk::new(1);
        let dir = Path::new("/d");
        disk.create_dir(dir).unwrap();
        write_whole(&disk, dir, "kept", b"kept").unwrap();
        disk.create(&dir.join("nameless"), 4).unwrap().sync_data().unwrap();
        let file = disk.open(&dir.join("kept"), true).unwrap();
        file.write_at(0, b"lost").unwrap();
        assert_eq!(read_whole(&disk, &dir.join("kept")).unwrap(), b"lost");
        disk.crash(Loss::All);
        assert_eq!(disk.list(dir).unwrap(), ["kept"]);
        assert_eq!(read_whole(&disk, &dir.join("kept")).unwrap(), b"kept");
        assert!(file.len().is_err(), "a file opened before the power went is dead");
    }

    #[test]
    fn a_failed_sync_loses_its_bytes_for_good() {
        let disk = SimDisk::new(1);
        let dir = Path::new("/d");
        write_whole(&disk, dir, "a", b"old").unwrap();
        let file = disk.open(&dir.join("a"), true).unwrap();
        file.write_at(0, b"new").unwrap();
        disk.fail_sync_after(0);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        disk.crash(Loss::All);
        assert_eq!(read_whole(&disk, &dir.join("a")).unwrap(), b"old");
    }

    #[test]
    fn a_whole_file_is_there_whole_or_not_at_all_wherever_the_power_goes() {
        for calls in 0..8 {
            for seed in 0..50 {
                let disk = SimDisk::new(seed);
                let dir = Path::new("/d");
                write_whole(&disk, dir, "a", b"former").unwrap();
                disk.power_off_after(calls);
                let done = write_whole(&disk, dir, "a", &[7; 2000]).is_ok();
                disk.crash(Loss::Drawn);
                let found = read_whole(&disk, &dir.join("a")).unwrap();
                assert!(found == [7; 2000] || (found == b"former" && !done), "calls {calls}, seed {seed}");
            }
        }
    }
}
