//! Where the engine's library is on this machine. Must not open it. Called by the program, which opens it, and by
//! [`crate::engine`], which reports how to install it where it is missing.
use std::path::{Path, PathBuf};

/// The command that installs the library.
pub const INSTALL: &str = "bash tests/engine/install";

/// The variable with the path of the library itself.
const LIBRARY_VARIABLE: &str = "ZENEI_LIBCHDB";
/// The variable with the folder that [`INSTALL`] installs into.
const FOLDER_VARIABLE: &str = "ZENEI_TOOLS_DIR";
/// The folder without that variable, below the home folder.
const FOLDER: &str = ".cache/zenei/engine";
/// Where npm puts the library.
const BELOW_FOLDER: &str = "node_modules/@chdb/lib-linux-x64-gnu/libchdb.so";

/// The library is not on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no ClickHouse engine at {}; install it with: {INSTALL}", expected.display())]
pub struct Missing {
    /// The expected path.
    pub expected: PathBuf,
}

/// The path of the library.
///
/// # Errors
/// Where there is no file at the expected path.
pub fn find() -> Result<PathBuf, Missing> {
    let expected = place(|name| std::env::var_os(name).map(PathBuf::from));
    if expected.is_file() { Ok(expected) } else { Err(Missing { expected }) }
}

/// The expected path, given the environment; an empty variable counts as absent.
fn place(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    let variable = |name| variable(name).filter(|path| *path != Path::new(""));
    if let Some(library) = variable(LIBRARY_VARIABLE) {
        return library;
    }
    let home = || variable("HOME").unwrap_or_else(|| PathBuf::from("/tmp")).join(FOLDER);
    variable(FOLDER_VARIABLE).unwrap_or_else(home).join(BELOW_FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(environment: &[(&str, &str)], expected: &str) {
        let find = |name: &str| environment.iter().find(|(known, _)| *known == name);
        assert_eq!(place(|name| find(name).map(|(_, path)| PathBuf::from(path))), Path::new(expected));
    }

    #[test]
    fn the_library_is_where_the_environment_says_else_where_it_is_installed() {
        let installed = "node_modules/@chdb/lib-linux-x64-gnu/libchdb.so";
        check(&[("HOME", "/home/a")], &format!("/home/a/.cache/zenei/engine/{installed}"));
        check(&[("HOME", "/home/a"), ("ZENEI_LIBCHDB", "")], &format!("/home/a/.cache/zenei/engine/{installed}"));
        check(&[("HOME", "/home/a"), ("ZENEI_TOOLS_DIR", "/tools")], &format!("/tools/{installed}"));
        check(&[("ZENEI_TOOLS_DIR", "/tools"), ("ZENEI_LIBCHDB", "/lib/x.so")], "/lib/x.so");
        check(&[], &format!("/tmp/.cache/zenei/engine/{installed}"));
    }

    #[test]
    fn a_missing_library_is_told_with_the_command_that_installs_it() {
        let told = Missing { expected: "/lib/x.so".into() }.to_string();
        assert!(told.contains("/lib/x.so") && told.contains(INSTALL), "{told}");
    }
}
