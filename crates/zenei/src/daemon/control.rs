//! Opens the control database of a state directory read-only, also while a daemon runs. Called by `incident` and
//! `record list`.
use crate::exit::Failure;
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
    Control::open_read_only(&path).map_err(|error| Failure::broken("can't open the control database", error))
}
