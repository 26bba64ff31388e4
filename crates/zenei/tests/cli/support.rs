//! Runs the binary in a temporary folder, without the environment of the process that runs the tests.
use firmware_sim::{Fleet, Scenario};
use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use zenei_kit::program::{self, Ended};
use zenei_wire::GatewayTime;
use zenei_wire::recording::write_line;

/// How long a command may take: an unoptimized binary judges the cases of every rule for minutes where all cores are
/// busy. A guess.
const WITHIN: Duration = Duration::from_secs(600);

/// A registry with one lock.
pub const REGISTRY: &str = "device_id,customer,site,door,service,gateway,model,hw_rev,lot,installed_at,address,bind_key_file\n\
    BL1,c1,tokyo-01,front,homehub,gw-01,bitlock-mini,C2,2025W31,2025-09-01T00:00:00Z,,\n";

/// Every section and key of the contract.
pub const EVERY_SECTION: &str = r#"
state_dir = "state"
[gateway]
id = "gw-tokyo-01"
site = "tokyo-01"
[mqtt]
url = "mqtts://127.0.0.1:8883"
client_id = "zenei-gw-tokyo-01"
topics = ["bitlock/v1/#"]
username = "zenei"
password_file = "mqtt.pw"
ca_file = "ca.pem"
cert_file = "cert.pem"
key_file = "key.pem"
[ingress]
listen = "127.0.0.1:1884"
cert_file = "cert.pem"
key_file = "key.pem"
client_ca_file = "ca.pem"
[ble]
adapter = "hci0"
[registry]
file = "locks.csv"
[store]
kind = "clickhouse"
[store.clickhouse]
url = "http://127.0.0.1:8123"
database = "zenei"
user = "default"
password_file = "clickhouse.pw"
cluster = ""
[detect]
source = "spool"
[desk]
enabled = true
[http]
listen = "127.0.0.1:8080"
token_file = "tokens"
[notify.hook]
kind = "webhook"
url = "https://hooks.example.com/zenei"
"#;

/// A folder that is removed when its value is dropped.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// The files in it, at any depth, that hold a text.
    pub fn holding(&self, text: &str) -> Vec<String> {
        holding(self.path(), text)
    }

    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// A small simulated fleet.
pub fn fleet(locks: usize, days: f64, seed: u64) -> Fleet {
    let mut scenario = Scenario::demo().unwrap();
    (scenario.locks, scenario.days) = (locks, days);
    Fleet::new(&scenario, seed).unwrap()
}

/// The recording of a small simulated fleet, and its registry.
pub fn recording(locks: usize, days: f64, seed: u64) -> (String, String) {
    let mut fleet = fleet(locks, days, seed);
    let (mut messages, mut lines) = (Vec::new(), String::new());
    fleet.advance(fleet.end_ms(), &mut messages);
    for message in &messages {
        write_line(&message.topic, GatewayTime(message.at_ms), &message.payload, &mut lines);
    }
    (lines, fleet.registry_csv())
}

fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if path.is_file() && String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(text) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// A command that runs until its end is requested; killed when its value is dropped.
pub struct Lasting {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Lasting {
    /// The next line of its output.
    pub fn next(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// Requests its end; returns its exit code.
    pub fn end(self) -> i32 {
        self.end_by(1)
    }

    /// Requests the end as `timeout` does, which signals the process and then its group; returns the exit code.
    pub fn end_as_timeout_does(self) -> i32 {
        self.end_by(2)
    }

    fn end_by(mut self, signals: usize) -> i32 {
        let asked = Command::new("kill").args(vec![self.child.id().to_string(); signals]).status().unwrap();
        assert!(asked.success());
        // Its further output must not block it.
        self.lines.by_ref().for_each(drop);
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        // It has ended already where all went well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A daemon that listens.
pub struct Daemon {
    command: Lasting,
    ingress: String,
    http: Option<String>,
}

impl Daemon {
    /// Starts one and waits until it listens.
    pub fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let mut command = zenei(arguments).in_folder(folder).variable("ZENEI_LOG", "error").lines();
        let line = command.next();
        let address = |scheme: &str| {
            line.split_once(scheme).map(|(_, rest)| rest.split([',', '/']).next().unwrap_or("").to_owned())
        };
        let ingress = address("mqtt://").unwrap_or_else(|| panic!("it said {line:?}"));
        Self { ingress, http: address("http://"), command }
    }

    /// Where hubs publish.
    pub fn ingress(&self) -> &str {
        &self.ingress
    }

    /// Where it is asked over HTTP.
    pub fn http(&self) -> &str {
        self.http.as_deref().expect("[http] is configured")
    }

    /// Status and body of its answer to a request over HTTP with these further header lines.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http()).unwrap();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        write!(stream, "{head}{headers}content-length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Requests its end; returns its exit code.
    pub fn end(self) -> i32 {
        self.command.end()
    }

    /// Kills it as the system would without free memory.
    pub fn kill(mut self) {
        self.command.child.kill().unwrap();
        self.command.child.wait().unwrap();
    }
}

/// A command to run.
pub struct Run {
    command: Command,
    input: Option<String>,
}

/// The binary with these arguments.
pub fn zenei(arguments: &[&str]) -> Run {
    Run { command: program::command(env!("CARGO_BIN_EXE_zenei"), arguments), input: None }
}

impl Run {
    pub fn in_folder(mut self, folder: &Folder) -> Self {
        self.command.current_dir(folder.path());
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn input(mut self, text: &str) -> Self {
        self.input = Some(text.to_owned());
        self
    }

    pub fn run(mut self) -> Ended {
        match self.input {
            Some(text) => program::run_with_input(&mut self.command, &text),
            None => program::run_within(&mut self.command, WITHIN),
        }
    }

    /// Continues while its lines are read; its log is shown.
    pub fn lines(mut self) -> Lasting {
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Lasting { child, lines }
    }

    /// Runs with a standard output without a reader.
    pub fn into_closed_pipe(self) -> Ended {
        program::run_into_closed_pipe(self.command)
    }
}
