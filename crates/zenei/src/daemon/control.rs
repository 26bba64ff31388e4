//! Opens the control database of a state directory read-only, also while a daemon runs. Called by `incident` and
//! `record list`.
use crate::exit::Failure;
use std::error::Error;
use std::path::Path;
use zenei_store::{Control, Layout};

/// Opens the control database of a state directory read-only.
///
/// # Errors
/// Where there is none yet, or it can't be read.
pub(crate) fn open(state_dir: &Path) -> Result<Control, Failure> {
    let path = Layout::new(state_dir).control();
    if !path.is_file() {
        let what = format!("{} does not exist: no zenei has run with this state_dir yet", path.display());
        return Err(Failure::Failed(what));
    }
    Control::open_read_only(&path).map_err(|error| broken(state_dir, "can't open the control database", error))
}

/// Below this many free bytes a disk is called full: SQLite extends its shared index by 32 KiB and a table by a page,
/// and says no more than that its input or output failed. Twice that.
const FULL_BELOW_BYTES: u64 = 64 << 10;

/// A failure with the state directory's files; says that the disk is full where it is.
pub(crate) fn broken(state_dir: &Path, what: &str, error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    let room = rustix::fs::statvfs(state_dir).ok().map(|room| room.f_bavail.saturating_mul(room.f_frsize));
    let full = room.and_then(|free| full(state_dir, free));
    Failure::broken(full.map_or_else(|| what.to_owned(), |full| format!("{full}: {what}")), error)
}

fn full(state_dir: &Path, free: u64) -> Option<String> {
    let state_dir = state_dir.display();
    let text = || format!("the disk of {state_dir} is full ({free} bytes are free); make room and run this again");
    (free < FULL_BELOW_BYTES).then(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_called_full_and_another_is_not() {
        let told = full(Path::new("/var/lib/zenei"), 4_096).unwrap();
        assert!(told.starts_with("the disk of /var/lib/zenei is full (4096 bytes are free)"), "{told}");
        assert_eq!(full(Path::new("/var/lib/zenei"), FULL_BELOW_BYTES), None);
    }

    #[test]
    fn a_failure_keeps_its_cause() {
        let failure = broken(Path::new("/nowhere"), "can't open it", std::io::Error::other("error 4874"));
        assert_eq!(failure.text().unwrap(), "can't open it: error 4874");
    }
}
