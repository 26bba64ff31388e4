//! `zenei backup` and `zenei restore`: the state directory of a configuration as one file, and back. A backup works
//! beside a running daemon; a restore wants a state directory that is not there yet. Called by `cmd`.
use crate::cli::{Backup, Restore};
use crate::config::{self, Config};
use crate::exit::Failure;
use crate::output::{Output, time};
use crate::progress::Progress;
use serde_json::json;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zenei_store::backup::{self, BackupError, Manifest};
use zenei_store::disk::{Disk, RealDisk};
use zenei_store::{Clock, Control, Layout};
use zenei_wire::EngineTime;

/// Runs `backup`.
///
/// # Errors
/// Where no zenei has run with this configuration, the file is there already, or something can't be read or written.
pub(crate) fn run(arguments: &Backup, out: &mut Output<'_>) -> Result<(), Failure> {
    let config = load(&arguments.common.file.config)?;
    let layout = Layout::new(&config.state_dir);
    let file = &arguments.file;
    if !layout.control().is_file() {
        let what = format!("{} does not exist: there is nothing to keep yet", layout.control().display());
        return Err(Failure::Failed(what));
    }
    if file.exists() {
        let what =
            format!("{} is there already, and a backup is not written over; choose another name", file.display());
        return Err(Failure::Failed(what));
    }
    let failed = |error: BackupError| Failure::broken("the backup is not made", error);
    let progress = Progress::spinner("gathering the state directory");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let staged = backup::stage(&disk, &layout).map_err(failed)?;
    progress.say("writing the archive");
    let part = beside(file, ".part");
    let manifest = write(&staged.folder(), &part).inspect_err(|_| drop(std::fs::remove_file(&part)))?;
    let moved = std::fs::rename(&part, file);
    moved.map_err(|error| Failure::broken(format!("can't make {}", file.display()), error))?;
    drop(progress);
    tell("backup", &manifest, file, arguments.common.json, out)
}

fn write(folder: &Path, part: &Path) -> Result<Manifest, Failure> {
    let unwritten = |error: std::io::Error| Failure::broken(format!("can't write {}", part.display()), error);
    // It says who opened which door.
    let opened = File::options().create(true).truncate(true).write(true).mode(0o600).open(part).map_err(unwritten)?;
    let mut archive = BufWriter::new(opened);
    let made = backup::write(folder, Clock::System.now().ms(), &mut archive);
    let manifest = made.map_err(|error| Failure::broken("the backup is not made", error))?;
    let durable = archive.flush().and_then(|()| archive.get_ref().sync_all());
    durable.map_err(unwritten)?;
    Ok(manifest)
}

/// Runs `restore`.
///
/// # Errors
/// Where the state directory holds something already, the archive is no whole backup, or something can't be written;
/// the state directory is then as it was.
pub(crate) fn restore(arguments: &Restore, out: &mut Output<'_>) -> Result<(), Failure> {
    let config = load(&arguments.common.file.config)?;
    let state = &config.state_dir;
    let is_empty = std::fs::read_dir(state).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty {
        let what = format!(
            "{} holds something already; a backup is put into a state_dir of its own: move this one away first",
            state.display()
        );
        return Err(Failure::Failed(what));
    }
    let unread = |error: std::io::Error| Failure::broken(format!("can't read {}", arguments.file.display()), error);
    let archive = File::open(&arguments.file).map_err(unread)?;
    let progress = Progress::bytes("restoring", archive.metadata().map_err(unread)?.len());
    let part = beside(state, ".restoring");
    remove(&part)?;
    let put_back = put_back(progress.reading(BufReader::new(archive)), &part, state);
    let manifest = put_back.inspect_err(|_| drop(std::fs::remove_dir_all(&part)))?;
    drop(progress);
    tell("restore", &manifest, state, arguments.common.json, out)
}

/// Reads the archive into a folder, checks the log of incidents in it, and gives it its name.
fn put_back(archive: impl std::io::Read, part: &Path, state: &Path) -> Result<Manifest, Failure> {
    let failed = |error: BackupError| match error {
        BackupError::NotWhole { .. } => Failure::Failed(error.to_string()),
        BackupError::Control(_) | BackupError::Spool(_) | BackupError::Disk { .. } | BackupError::Archive { .. } => {
            Failure::broken("nothing was put back", error)
        }
    };
    zenei_store::layout::make_private(part)
        .map_err(|error| Failure::broken(format!("can't make {}", part.display()), error))?;
    let manifest = backup::read(archive, part).map_err(failed)?;
    let checked = Control::open_read_only(&Layout::new(part).control()).and_then(|control| control.check_log());
    checked.map_err(|error| {
        Failure::broken("the control database of the backup is not whole; nothing was put back", error)
    })?;
    remove(state)?;
    let moved = std::fs::rename(part, state);
    moved.map_err(|error| Failure::broken(format!("can't make {}", state.display()), error))?;
    Ok(manifest)
}

fn load(file: &Path) -> Result<Config, Failure> {
    config::load(file, &config::variables()).map(|loaded| loaded.config).map_err(Failure::Config)
}

/// The path with something after its name.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

/// Removes a folder with what is in it, where there is one. The caller has checked that nothing of worth is in it.
fn remove(folder: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::broken(format!("can't remove {}", folder.display()), error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn tell(what: &str, manifest: &Manifest, place: &Path, json: bool, out: &mut Output<'_>) -> Result<(), Failure> {
    let (files, bytes) = (manifest.files.len(), manifest.files.values().map(|entry| entry.bytes).sum::<u64>());
    if json {
        return out.json(&json!({"version": 1, what: place, "files": files, "bytes": bytes,
            "made_at_ms": manifest.made_at_ms, "made_by": manifest.made_by}));
    }
    let made = time(EngineTime(manifest.made_at_ms));
    out.line(format!("{}: {files} files, {} KiB, of {made}", place.display(), bytes.div_ceil(1024)))
}
