//! How an engine starts, and how it ends with the test that started it: one process for one folder. The test holds the
//! engine's standard input; once that closes, however the test's process ends, the engine ends too. Must not know the
//! queries. Called by tests.
use crate::library::{self, Missing};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The address of a server to use instead of an engine of our own.
const URL_VARIABLE: &str = "ZENEI_CLICKHOUSE_URL";
/// The path of the program, where it is not in the target folder of the running test.
const PROGRAM_VARIABLE: &str = "ZENEI_ENGINE_BIN";
/// Set where a skipped test must fail.
const REQUIRED_VARIABLES: [&str; 2] = ["CI", "ZENEI_REQUIRE_ENGINE"];
/// The program's name.
const PROGRAM: &str = "zenei-engine";
/// Part of the line in which the program prints where it listens.
const LISTENING: &str = "listening: ";
/// How long the engine may take until it listens; 0.5 s were measured on an idle machine, the rest is a guess for a
/// busy one.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long a clean end may take before it becomes a kill. A guess.
const END_WITHIN: Duration = Duration::from_secs(30);

/// A ClickHouse that answers queries over HTTP at [`Engine::url`]. An engine of our own ends with this value, and its
/// folder is removed if it chose that itself.
#[derive(Debug)]
pub struct Engine {
    url: String,
    own: Option<Own>,
}

/// A process that we started.
#[derive(Debug)]
struct Own {
    child: Child,
    /// Open as long as the engine must live.
    stdin: Option<ChildStdin>,
    /// The lines that it prints; closed once it has ended. The lock lets tests share the engine; nothing waits for it.
    lines: Mutex<Receiver<String>>,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The library is not installed: the one case in which a test may be skipped.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The program is not built: cargo builds it for this package's own tests only.
    #[error("{} is not built; build it with: cargo build -p zenei-engine (and --release where the test is)", path.display())]
    NotBuilt {
        /// Where it would be.
        path: PathBuf,
    },
    /// The test can't find its own path.
    #[error("the path of the running test can't be read")]
    NoPlace(#[source] io::Error),
    /// The program can't be started.
    #[error("{} can't be started", path.display())]
    Spawn {
        /// The program.
        path: PathBuf,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// It ended, or printed nothing in time; its standard error has the reason.
    #[error("the engine did not say where it listens within {within:?}; its exit status is {status}")]
    Silent {
        /// The time limit.
        within: Duration,
        /// Its exit status.
        status: String,
    },
}

impl Engine {
    /// The server of `ZENEI_CLICKHOUSE_URL`, otherwise an engine of our own in a folder that is removed with it.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start() -> Result<Self, StartError> {
        match std::env::var(URL_VARIABLE) {
            Ok(url) if !url.is_empty() => Ok(Self { url, own: None }),
            Ok(_) | Err(_) => Self::spawn(None),
        }
    }

    /// An engine of our own in this folder, which is created if it does not exist and remains afterwards. Only one
    /// engine at a time can use a folder.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_in(folder: &Path) -> Result<Self, StartError> {
        Self::spawn(Some(folder))
    }

    /// The one engine that the tests of this process share, started by the first of them as [`Engine::start`] does;
    /// each must use a database of its own. Without the library it is `None`, and one line on standard error, past the
    /// test harness, states how to install it; the test must then return.
    ///
    /// # Panics
    /// Where the engine does not start, or the library is missing and `CI` or `ZENEI_REQUIRE_ENGINE` is set.
    #[must_use]
    pub fn for_test() -> Option<&'static Self> {
        static SHARED: Mutex<Option<&'static Engine>> = Mutex::new(None);
        // Poisoned by a test whose engine did not start: the next one tries again.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.is_none() {
            // Never dropped: it ends with this process, whose end closes its standard input.
            *shared =
                or_skip(Self::start(), is_required(), &mut io::stderr()).map(|engine| &*Box::leak(Box::new(engine)));
        }
        *shared
    }

    /// As [`Engine::for_test`], for an engine of the test's own in this folder.
    ///
    /// # Panics
    /// As [`Engine::for_test`].
    #[must_use]
    pub fn for_test_in(folder: &Path) -> Option<Self> {
        or_skip(Self::start_in(folder), is_required(), &mut io::stderr())
    }

    /// Its URL: `http://127.0.0.1:PORT`, no slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process id of an engine of our own, for signals; `None` for an external server.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.own.as_ref().map(|own| own.child.id())
    }

    /// Ends an engine of our own with SIGKILL, as a crash would; an external server continues.
    pub fn kill(mut self) {
        if let Some(own) = &mut self.own {
            own.kill();
        }
    }

    fn spawn(folder: Option<&Path>) -> Result<Self, StartError> {
        library::find()?;
        let path = program()?;
        let mut command = Command::new(&path);
        command.args(["--listen", "127.0.0.1:0", "--with-parent"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(folder) = folder {
            command.arg("--data").arg(folder);
        }
        let mut child = command.spawn().map_err(|cause| StartError::Spawn { path, cause })?;
        let (said, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    // Nothing receives the lines once the engine is dropped; the pipe is read on, so that the program
                    // never blocks on it.
                    let _ = said.send(line);
                }
            });
        }
        let line = lines.recv_timeout(START_WITHIN);
        let mut own = Own { stdin: child.stdin.take(), child, lines: Mutex::new(lines) };
        match line {
            Ok(line) if line.starts_with(LISTENING) => {
                Ok(Self { url: line[LISTENING.len()..].to_owned(), own: Some(own) })
            }
            Ok(_) | Err(_) => {
                own.kill();
                let status = own.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                Err(StartError::Silent { within: START_WITHIN, status })
            }
        }
    }
}

impl Own {
    /// Requests the end and waits; kills a process that does not end in time.
    fn end(&mut self) {
        drop(self.stdin.take());
        let lines = self.lines.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            match lines.recv_timeout(END_WITHIN) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => return self.kill(),
            }
        }
        // Its output is closed: the rest of it ends at once.
        let _ = self.child.wait();
    }

    fn kill(&mut self) {
        // It may have ended already: then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.end();
    }
}

/// The program beside the running test: `target/{profile}/deps/test-…` and `target/{profile}/zenei-engine`.
fn program() -> Result<PathBuf, StartError> {
    let path = match std::env::var_os(PROGRAM_VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => {
            let test = std::env::current_exe().map_err(StartError::NoPlace)?;
            test.ancestors().nth(2).unwrap_or(Path::new("")).join(PROGRAM)
        }
    };
    if path.is_file() { Ok(path) } else { Err(StartError::NotBuilt { path }) }
}

/// Returns an engine; reports a missing library to `told` where that is allowed.
fn or_skip(started: Result<Engine, StartError>, is_required: bool, told: &mut dyn io::Write) -> Option<Engine> {
    match started {
        Ok(engine) => Some(engine),
        Err(StartError::Missing(missing)) if !is_required => {
            let test = std::thread::current();
            let test = test.name().unwrap_or("a test");
            // In one piece: tests of other threads write too. Without standard error nothing can be reported.
            let _ = told.write_all(format!("SKIPPED {test}: {missing}\n").as_bytes());
            None
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            panic!("{error}{cause}")
        }
    }
}

fn is_required() -> bool {
    REQUIRED_VARIABLES.iter().any(|name| is_set(std::env::var(name).ok().as_deref()))
}

/// Whether a boolean variable is set to yes.
fn is_set(value: Option<&str>) -> bool {
    !matches!(value, None | Some("" | "0" | "false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Result<Engine, StartError> {
        Err(StartError::Missing(Missing { expected: "/nowhere/libchdb.so".into() }))
    }

    #[test]
    fn a_variable_of_yes_or_no_is_read_as_testers_write_it() {
        for yes in ["1", "true", "yes"] {
            assert!(is_set(Some(yes)), "{yes}");
        }
        for no in [None, Some(""), Some("0"), Some("false")] {
            assert!(!is_set(no), "{no:?}");
        }
    }

    #[test]
    fn a_missing_library_skips_a_test_in_one_line_that_says_how_to_install_it() {
        let mut told = Vec::new();
        assert!(or_skip(missing(), false, &mut told).is_none());
        let told = String::from_utf8(told).unwrap();
        assert!(told.starts_with("SKIPPED ") && told.contains(library::INSTALL), "{told}");
        assert_eq!(told.matches('\n').count(), 1, "{told}");
    }

    #[test]
    fn a_missing_library_fails_a_test_where_an_engine_is_required() {
        assert!(std::panic::catch_unwind(|| or_skip(missing(), true, &mut Vec::new())).is_err());
    }

    #[test]
    fn an_engine_that_is_broken_is_never_skipped() {
        let broken = || {
            let error = StartError::NotBuilt { path: "/nowhere/zenei-engine".into() };
            or_skip(Err(error), false, &mut Vec::new())
        };
        assert!(std::panic::catch_unwind(broken).is_err());
    }
}
