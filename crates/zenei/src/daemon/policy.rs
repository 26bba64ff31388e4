//! Reads the files of the desk's policy: urgency, opening conditions, services and runbooks. Must not know what they
//! mean. Called by `contents` for every command that takes a configuration, and by `triage` and `runbook`.
use crate::config::Desk;
use crate::daemon::text::text;
use std::path::{Path, PathBuf};
use zenei_incident::Policy;
use zenei_incident::policy::Texts;

/// The most runbooks of a folder; a guess: services times parts of a lock, ten times over.
const RUNBOOKS_MAX: usize = 1_000;

/// The policy of the files that the configuration names, with ours for those that it does not name.
///
/// # Errors
/// Everything that is wrong with any of them, with file, line and key.
pub(crate) fn read(desk: &Desk) -> Result<Policy, Vec<String>> {
    with_runbooks(desk, desk.files.as_ref().and_then(|files| files.runbooks.as_deref()))
}

/// The same, with the runbooks of this folder.
///
/// # Errors
/// Everything that is wrong with any of them, with file, line and key.
pub(crate) fn with_runbooks(desk: &Desk, folder: Option<&Path>) -> Result<Policy, Vec<String>> {
    let named =
        |file: Option<&PathBuf>| file.map(|file| text(file).map(|text| (file.display().to_string(), text))).transpose();
    let files = desk.files.as_ref();
    let urgency = named(files.and_then(|files| files.urgency.as_ref()));
    let opening = named(files.and_then(|files| files.opening.as_ref()));
    let services = named(files.and_then(|files| files.services.as_ref()));
    match (urgency, opening, services, folder.map(runbooks).transpose()) {
        (Ok(urgency), Ok(opening), Ok(services), Ok(runbooks)) => {
            let read = Policy::read(&Texts { urgency, opening, services, runbooks });
            read.map_err(|errors| errors.iter().map(ToString::to_string).collect())
        }
        (urgency, opening, services, runbooks) => {
            Err([urgency.err(), opening.err(), services.err(), runbooks.err()].into_iter().flatten().collect())
        }
    }
}

/// The runbooks of a folder, by name: each is one `.toml` file in it.
fn runbooks(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let unread = |error: std::io::Error| format!("{} can't be read: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.extension().is_some_and(|ending| ending == "toml") {
            paths.push(path);
        }
    }
    if paths.is_empty() || paths.len() > RUNBOOKS_MAX {
        let (folder, count) = (folder.display(), paths.len());
        return Err(format!("{folder} holds {count} runbooks; allowed are 1 to {RUNBOOKS_MAX}, each a .toml file"));
    }
    paths.sort();
    paths.iter().map(|path| Ok((path.display().to_string(), text(path)?))).collect()
}
