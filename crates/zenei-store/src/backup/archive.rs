//! The file of a backup: a tar archive (POSIX ustar) of the state directory's files, and after them a manifest with the
//! length and SHA-256 of each, without which a cut or changed archive is refused. Must not know what the files mean.
//! Called by `zenei backup` and `zenei restore`.
use super::BackupError;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Builder, EntryType, Header};

/// The name of the manifest, the last file of the archive.
const MANIFEST: &str = "zenei-backup.json";
/// The form of the archive.
const VERSION: u32 = 1;
/// The largest manifest; a guess, 100 bytes for each of a few hundred thousand files.
const MANIFEST_BYTES: u64 = 64 << 20;
const STEP_BYTES: usize = 1 << 16;

/// What an archive holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the archive.
    pub version: u32,
    /// When it was made, ms since 1970.
    pub made_at_ms: i64,
    /// The version of the program that made it.
    pub made_by: String,
    /// Its files by path.
    pub files: BTreeMap<String, Entry>,
}

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

/// Writes the files of a folder as an archive.
///
/// # Errors
/// [`BackupError::Disk`], [`BackupError::Archive`].
pub fn write(folder: &Path, made_at_ms: i64, out: impl Write) -> Result<Manifest, BackupError> {
    let written = |source| BackupError::Archive { what: "written", source };
    let mut paths = Vec::new();
    list(folder, &mut paths)?;
    paths.sort();
    let mut archive = Builder::new(out);
    let made_by = env!("CARGO_PKG_VERSION").to_owned();
    let mut manifest = Manifest { version: VERSION, made_at_ms, made_by, files: BTreeMap::new() };
    for path in paths {
        let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
        let file = File::open(&path).map_err(BackupError::disk("read", &path))?;
        let bytes = file.metadata().map_err(BackupError::disk("read", &path))?.len();
        let mut hashed = Hashed { inner: file.take(bytes), hash: Sha256::new() };
        archive.append_data(&mut header(bytes, made_at_ms), &name, &mut hashed).map_err(written)?;
        manifest.files.insert(name, Entry { bytes, sha256: hex(hashed.hash) });
    }
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| written(error.into()))?;
    archive.append_data(&mut header(text.len() as u64, made_at_ms), MANIFEST, text.as_slice()).map_err(written)?;
    archive.into_inner().and_then(|mut out| out.flush()).map_err(written)?;
    Ok(manifest)
}

/// Writes the files of an archive into a new folder, and compares each with the manifest; durable on return.
///
/// # Errors
/// [`BackupError::NotWhole`] for anything but a whole backup, [`BackupError::Archive`], [`BackupError::Disk`]; what was
/// written until then is left to the caller to remove.
pub fn read(input: impl Read, to: &Path) -> Result<Manifest, BackupError> {
    let unread = |source| BackupError::Archive { what: "read", source };
    let not_whole = |found: String| BackupError::NotWhole { found };
    let mut archive = Archive::new(input);
    let (mut found, mut manifest) = (BTreeMap::new(), None);
    for entry in archive.entries().map_err(unread)? {
        let mut entry = entry.map_err(|error| not_whole(error.to_string()))?;
        let name = entry.path().map_err(unread)?.to_string_lossy().into_owned();
        if manifest.is_some() {
            return Err(not_whole(format!("{name:?} stands after the manifest")));
        }
        if entry.header().entry_type() != EntryType::Regular {
            return Err(not_whole(format!("{name:?} is no plain file")));
        }
        if name == MANIFEST {
            let mut text = Vec::new();
            entry.take(MANIFEST_BYTES).read_to_end(&mut text).map_err(unread)?;
            let read: Manifest = serde_json::from_slice(&text)
                .map_err(|error| not_whole(format!("its manifest can't be read: {error}")))?;
            manifest = Some(read);
            continue;
        }
        let path = inside(to, &name).ok_or_else(|| not_whole(format!("{name:?} leads out of the folder")))?;
        let entry = extract(&mut entry, &path)?;
        if found.insert(name.clone(), entry).is_some() {
            return Err(not_whole(format!("{name:?} comes twice")));
        }
    }
    let manifest = manifest.ok_or_else(|| not_whole("it has no manifest at its end".to_owned()))?;
    if manifest.version != VERSION {
        return Err(not_whole(format!("its form is {}; this program reads {VERSION}", manifest.version)));
    }
    if let Some((name, _)) = manifest.files.iter().find(|(name, entry)| found.get(*name) != Some(entry)) {
        return Err(not_whole(format!("{name:?} is missing, or is not what was written")));
    }
    if let Some((name, _)) = found.iter().find(|(name, _)| !manifest.files.contains_key(*name)) {
        return Err(not_whole(format!("{name:?} is not in its manifest")));
    }
    Ok(manifest)
}

fn extract(entry: &mut impl Read, path: &Path) -> Result<Entry, BackupError> {
    let dir = path.parent().unwrap_or(path);
    std::fs::create_dir_all(dir).map_err(BackupError::disk("make", dir))?;
    let opened = File::options().create_new(true).write(true).mode(0o600).open(path);
    let mut file = opened.map_err(BackupError::disk("make", path))?;
    let mut hashed = Hashed { inner: entry, hash: Sha256::new() };
    let copied = io::copy(&mut hashed, &mut file).and_then(|bytes| file.sync_all().map(|()| bytes));
    let bytes = copied.map_err(BackupError::disk("write", path))?;
    Ok(Entry { bytes, sha256: hex(hashed.hash) })
}

/// The path of a name inside a folder; `None` for one that is absolute, empty or goes up.
fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut parts = Path::new(name).components().peekable();
    parts.peek()?;
    parts.all(|part| matches!(part, Component::Normal(_))).then(|| folder.join(name))
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), BackupError> {
    for entry in std::fs::read_dir(folder).map_err(BackupError::disk("read", folder))? {
        let entry = entry.map_err(BackupError::disk("read", folder))?;
        let kind = entry.file_type().map_err(BackupError::disk("read", &entry.path()))?;
        if kind.is_dir() {
            list(&entry.path(), paths)?;
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
    Ok(())
}

fn header(bytes: u64, made_at_ms: i64) -> Header {
    let mut header = Header::new_ustar();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(made_at_ms / 1000).unwrap_or(0));
    header.set_entry_type(EntryType::Regular);
    header
}

/// Reads through, and hashes what was read.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(STEP_BYTES);
        let count = self.inner.read(&mut into[..most])?;
        self.hash.update(&into[..count]);
        Ok(count)
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> (tempfile::TempDir, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        std::fs::create_dir_all(from.join("parquet/2026")).unwrap();
        std::fs::write(from.join("control.db"), "the database").unwrap();
        std::fs::write(from.join("parquet/2026/a.parquet"), [7; 100_000]).unwrap();
        let mut bytes = Vec::new();
        assert_eq!(write(&from, 1_777_626_000_000, &mut bytes).unwrap().files.len(), 2);
        (folder, bytes)
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let (folder, bytes) = archive();
        let to = folder.path().join("to");
        let manifest = read(bytes.as_slice(), &to).unwrap();
        assert_eq!((manifest.made_at_ms, manifest.files["parquet/2026/a.parquet"].bytes), (1_777_626_000_000, 100_000));
        assert_eq!(std::fs::read(to.join("parquet/2026/a.parquet")).unwrap(), [7; 100_000]);
        assert_eq!(std::fs::read(to.join("control.db")).unwrap(), b"the database");
    }

    #[test]
    fn an_archive_that_is_cut_or_changed_is_refused() {
        let (folder, bytes) = archive();
        let refused = |name: &str, bytes: &[u8]| match read(bytes, &folder.path().join(name)) {
            Err(BackupError::NotWhole { found }) => found,
            other => panic!("{name}: {other:?}"),
        };
        let at = bytes.windows(12).position(|part| part == b"the database").unwrap();
        let mut changed = bytes.clone();
        changed[at] = b'T';
        assert!(refused("changed", &changed).contains("control.db"));
        // A whole number of tar's blocks, without the manifest.
        assert!(refused("cut", &bytes[..1024]).contains("no manifest"));
        assert!(refused("none", b"").contains("no manifest"));
        // Control: unchanged it is taken.
        read(bytes.as_slice(), &folder.path().join("good")).unwrap();
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_none() {
        for bad in ["/etc/passwd", "../x", "a/../../x", ""] {
            assert_eq!(inside(Path::new("/s"), bad), None, "{bad}");
        }
        assert_eq!(inside(Path::new("/s"), "a/b"), Some(PathBuf::from("/s/a/b")));
    }
}
