//! A `zenei run` (or another program that prints where it listens): started, queried, killed or ended. Must not know
//! what it does, only what the interfaces define about its output and its HTTP addresses. Called by the end-to-end
//! tests.
use crate::metrics::Metrics;
use crate::program::{end_of, zenei};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;
use zenei_kit::bound::{Deadline, look_again};

/// How long a daemon may take until it prints that it listens; recovery from a large spool on a busy machine included.
/// A guess.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long a clean end may take. The daemon gives its sources 15 s.
const END_WITHIN: Duration = Duration::from_secs(60);
/// Time between two checks whether a silent daemon has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Part of the line in which a daemon prints where it listens.
const LISTENING: &str = "listening:";

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    lines: Receiver<String>,
    log: PathBuf,
    /// The line in which it printed where it listens.
    listening: String,
}

/// A state directory with a configuration.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: PathBuf,
}

impl Site {
    /// A fresh folder with this configuration; `state_dir` and an HTTP port of its own are added.
    pub(crate) fn new(sections: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let config = folder.path().join("zenei.toml");
        let text = format!("state_dir = 'state'\n{sections}\n[http]\nlisten = '127.0.0.1:0'\n");
        std::fs::write(&config, text).expect("a configuration can be written");
        Self { folder, config }
    }

    /// A site whose ingress listens on a free port.
    pub(crate) fn with_ingress() -> Self {
        Self::new(
            "[gateway]\nid = 'gw-test'\nsite = 'site-test'\n[ingress]\nlisten = '127.0.0.1:0'\n[desk]\nenabled = true",
        )
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// `zenei COMMAND… --config FILE`.
    pub(crate) fn zenei(&self, words: &[&str]) -> Command {
        let mut command = zenei(words);
        command.arg("--config").arg(&self.config);
        command
    }

    /// A daemon that listens.
    pub(crate) fn start(&self) -> Daemon {
        self.spawn(&mut self.zenei(&["run"])).listening()
    }

    /// A daemon that may not listen yet; its log is added to the site's.
    pub(crate) fn spawn(&self, command: &mut Command) -> Daemon {
        Daemon::spawn(command, &self.folder.path().join("log"))
    }
}

impl Daemon {
    /// Starts a command, with its standard error added to the file `log`.
    pub(crate) fn spawn(command: &mut Command, log: &Path) -> Self {
        let appended = File::options().create(true).append(true).open(log).expect("a log can be opened");
        let mut child = command.stdout(Stdio::piped()).stderr(appended).spawn().expect("the daemon starts");
        let stdout = child.stdout.take().expect("its output is piped");
        let (said, lines) = mpsc::channel();
        std::thread::spawn(move || {
            // Ends with the daemon's output; the lines are read even if nothing receives them, since the pipe must not
            // fill.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                drop(said.send(line));
            }
        });
        Self { child, lines, log: log.to_owned(), listening: String::new() }
    }

    /// Waits until it prints that it listens.
    pub(crate) fn listening(mut self) -> Self {
        if !self.has_listened() {
            self.listening = self.line(LISTENING);
        }
        self
    }

    /// Whether it has already printed that it listens.
    pub(crate) fn has_listened(&mut self) -> bool {
        if let Some(line) = self.lines.try_iter().find(|line| line.contains(LISTENING)) {
            self.listening = line;
        }
        !self.listening.is_empty()
    }

    /// The next line of its output that contains these words.
    pub(crate) fn line(&mut self, words: &str) -> String {
        let deadline = Deadline::after(START_WITHIN);
        while !deadline.is_over() {
            match self.lines.recv_timeout(LOOK) {
                Ok(line) if line.contains(words) => return line,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let code = end_of(&mut self.child, END_WITHIN);
                    panic!("ended with {code:?} before it said '{words}': {}", self.log());
                }
            }
        }
        panic!("did not say '{words}' within {START_WITHIN:?}: {}", self.log());
    }

    /// The address with this scheme in the line in which it printed where it listens.
    pub(crate) fn address(&self, scheme: &str) -> SocketAddr {
        address_in(&self.listening, scheme)
    }

    pub(crate) fn ingress(&self) -> SocketAddr {
        self.address("mqtt://")
    }

    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::get(self.address("http://"))
    }

    /// Its standard error, together with that of former daemons with the same log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory now, bytes.
    pub(crate) fn rss_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|kib| kib.trim().parse::<u64>().ok());
        kib.unwrap_or_else(|| panic!("{path} says no memory: {status}")) * 1024
    }

    /// How many files and sockets it has open.
    pub(crate) fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(folder).expect("linux lists open files").count()
    }

    /// The fewest files that it has open over 50 looks: a connection that this test closed a moment ago may still
    /// be open at the daemon's end, and a file that is left open is there all the time.
    pub(crate) fn files_at_rest(&self) -> usize {
        let looked = (0..50).map(|_| {
            look_again();
            self.open_files()
        });
        looked.min().unwrap_or(0)
    }

    /// What each open file is, for a failure's message.
    pub(crate) fn open_file_names(&self) -> Vec<String> {
        let folder = format!("/proc/{}/fd", self.child.id());
        let files = std::fs::read_dir(folder).expect("linux lists open files").flatten();
        files.filter_map(|file| Some(std::fs::read_link(file.path()).ok()?.display().to_string())).collect()
    }

    /// SIGKILL: nothing more is written, nothing is closed cleanly.
    pub(crate) fn kill9(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child can be waited for");
    }

    /// Sends a signal to end; returns the exit code.
    pub(crate) fn end(self, signal: Signal) -> Option<i32> {
        self.end_within(signal, END_WITHIN)
    }

    /// Sends a signal to end, and waits at most for `bound`; returns the exit code.
    pub(crate) fn end_within(mut self, signal: Signal, bound: Duration) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).expect("a child can be sent a signal");
        let code = end_of(&mut self.child, bound);
        code.unwrap_or_else(|| panic!("did not end within {bound:?} of {signal:?}: {}", self.log())).code()
    }

    /// Waits at most for `bound` for an end without a signal; returns the exit code.
    pub(crate) fn ended_within(mut self, bound: Duration) -> Option<i32> {
        let code = end_of(&mut self.child, bound);
        code.unwrap_or_else(|| panic!("did not end within {bound:?}: {}", self.log())).code()
    }

    /// Requests the end and checks that it is clean.
    pub(crate) fn end_cleanly(self) {
        let log = self.log.clone();
        let code = self.end(Signal::TERM);
        assert_eq!(code, Some(0), "{}", std::fs::read_to_string(log).unwrap_or_default());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A daemon that has already ended needs no kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The socket address with this scheme in a line of text.
pub(crate) fn address_in(line: &str, scheme: &str) -> SocketAddr {
    let rest = line.split_once(scheme).unwrap_or_else(|| panic!("no {scheme} in '{line}'")).1;
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']'))).unwrap_or(rest.len());
    let address = rest[..end].trim_end_matches([':', '.']);
    address.parse().unwrap_or_else(|error| panic!("'{address}' in '{line}': {error}"))
}

#[test]
fn an_address_is_found_in_a_line() {
    let line = "zenei listening: ingress mqtt://127.0.0.1:41235, http://127.0.0.1:8080/metrics";
    assert_eq!(address_in(line, "mqtt://").to_string(), "127.0.0.1:41235");
    assert_eq!(address_in(line, "http://").to_string(), "127.0.0.1:8080");
}
