//! Where are the programs under test, and how does a command end? Finds the release binaries, runs a command to its end within a bound. Must not
//! know what a command does. Called by the end-to-end tests.
use crate::bound::within;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a command may take that is no daemon: many times what the longest of them, a month of 500 locks, takes on two busy cores. A guess.
pub(crate) const COMMAND_WITHIN: Duration = Duration::from_secs(120);

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command of `zenei`, without anything that the tester's environment would add.
pub(crate) fn zenei<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    command("zenei", arguments)
}

/// A command of `firmware-sim`.
pub(crate) fn simulator<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    command("firmware-sim", arguments)
}

fn command<I: AsRef<std::ffi::OsStr>>(name: &str, arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(binary(name));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("ZENEI")) {
            command.env_remove(name);
        }
    }
    command
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

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    run_within(command, COMMAND_WITHIN)
}

/// Runs a command to its end and demands that it succeeds; gives its standard output.
pub(crate) fn succeed(command: &mut Command) -> String {
    let shown = format!("{command:?}");
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{shown} failed: {}", ended.stderr);
    ended.stdout
}

/// Runs a command to its end, which must come within `bound`.
pub(crate) fn run_within(command: &mut Command, bound: Duration) -> Ended {
    let shown = format!("{command:?}");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let code = end_of(&mut child, bound);
    let [stdout, stderr] = [stdout, stderr].map(|drained| drained.join().expect("output is read"));
    match code {
        Some(code) => Ended { code, stdout, stderr },
        None => panic!("{shown} did not end within {bound:?}; it said: {stderr}"),
    }
}

/// The exit code of a child that ends within `bound`; the inner one is `None` after a signal. One that does not end is killed.
pub(crate) fn end_of(child: &mut Child, bound: Duration) -> Option<Option<i32>> {
    let ended = within(bound, || child.try_wait().expect("a child can be waited for"));
    if ended.is_none() {
        // It may end between the last look and here: then there is nothing to kill.
        let _ = child.kill();
        child.wait().expect("a killed child can be waited for");
    }
    ended.map(|status| status.code())
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        String::from_utf8(bytes).expect("output is UTF-8")
    })
}

/// The objects of NDJSON.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The text of a file.
pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
