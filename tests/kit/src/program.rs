//! How a program ends: runs a command to its end within a time limit. Must not know what the command does. Called by
//! the tests of the command line and by the end-to-end tests.
use crate::bound::within;
use std::ffi::OsStr;
use std::io::{Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a command other than a daemon may take: many times what the longest of them, a month of 500 locks, takes on
/// two busy cores. A guess.
pub const COMMAND_WITHIN: Duration = Duration::from_secs(120);

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// A command without the tester's environment, and without input.
pub fn command<I: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// Runs a command to its end.
///
/// # Panics
/// As [`run_within`] does.
pub fn run(command: &mut Command) -> Ended {
    run_within(command, COMMAND_WITHIN)
}

/// Runs a command to its end and checks that it succeeds; returns its standard output.
///
/// # Panics
/// Where it fails, and as [`run_within`] does.
pub fn succeed(command: &mut Command) -> String {
    let ended = run(command);
    assert_eq!(ended.code, 0, "{command:?} failed: {}", ended.stderr);
    ended.stdout
}

/// Runs a command to its end, which must come within `bound`.
///
/// # Panics
/// Where it does not start, does not end in time, is ended by a signal, or writes bytes that are not UTF-8.
pub fn run_within(command: &mut Command, bound: Duration) -> Ended {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    ended(command, child, bound)
}

/// Runs a command with this text as its input.
///
/// # Panics
/// As [`run_within`] does.
pub fn run_with_input(command: &mut Command, text: &str) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).expect("the command reads");
    }
    ended(command, child, COMMAND_WITHIN)
}

/// Runs a command whose standard output is a closed pipe.
///
/// # Panics
/// As [`run_within`] does.
pub fn run_into_closed_pipe(mut command: Command) -> Ended {
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    let child = command.stdout(writer).stderr(Stdio::piped()).spawn().expect("the command starts");
    // This drops the command's copy of the pipe's writing end.
    command.stdout(Stdio::null());
    ended(&command, child, COMMAND_WITHIN)
}

/// The status of a child that ends within `bound`; a child that does not is killed.
///
/// # Panics
/// Where the child can't be waited for.
pub fn end_of(child: &mut Child, bound: Duration) -> Option<ExitStatus> {
    let ended = within(bound, || child.try_wait().expect("a child can be waited for"));
    if ended.is_none() {
        // It may end between the last check and here: then there is nothing to kill.
        let _ = child.kill();
        child.wait().expect("a killed child can be waited for");
    }
    ended
}

fn ended(command: &Command, mut child: Child, bound: Duration) -> Ended {
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let status = end_of(&mut child, bound);
    let [stdout, stderr] = [stdout, stderr].map(|drained| drained.join().expect("output is read"));
    let status = status.unwrap_or_else(|| panic!("{command:?} did not end within {bound:?}; it said: {stderr}"));
    let code = status.code().unwrap_or_else(|| panic!("{command:?} ended by a signal; it said: {stderr}"));
    Ended { code, stdout, stderr }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        command("/bin/sh", ["-c", script])
    }

    #[test]
    fn code_output_and_input_are_those_of_the_command() {
        let ended = run(&mut shell("echo out; echo err >&2; exit 3"));
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (3, "out\n", "err\n"));
        assert_eq!(run_with_input(&mut shell("read line; echo $line"), "said\n").stdout, "said\n");
        assert_eq!(succeed(&mut shell("echo $CARGO_PKG_NAME")), "\n", "the environment of the tests is not there");
    }

    #[test]
    fn a_closed_pipe_ends_who_writes_to_it() {
        assert_ne!(run_into_closed_pipe(shell("trap '' PIPE; echo x || exit 7")).code, 0);
    }

    #[test]
    #[should_panic(expected = "did not end within")]
    fn a_command_that_does_not_end_is_killed() {
        run_within(&mut shell("exec sleep 60"), Duration::from_millis(50));
    }
}
