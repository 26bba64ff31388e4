//! Where the programs under test are: finds the release binaries, and reads what they print. Must not know what a
//! command does. Called by the end-to-end tests.
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use zenei_kit::program::command;
pub(crate) use zenei_kit::program::{end_of, run, run_within, succeed};

/// A command of `zenei`.
pub(crate) fn zenei<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    command(binary("zenei"), arguments)
}

/// A command of `firmware-sim`.
pub(crate) fn simulator<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    command(binary("firmware-sim"), arguments)
}

/// A release binary in the target folder that this test was built into.
fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    // target/{profile}/deps/it-…
    let target = test.ancestors().nth(3).expect("the test stands in a target folder");
    let path = target.join("release").join(name);
    let build = "cargo build --release -p zenei -p firmware-sim";
    assert!(path.is_file(), "{} is not built; build it with: {build}", path.display());
    path
}

/// The objects of NDJSON.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The text of a file.
pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
