//! The program with a state directory of its own: incidents are in its log before it starts. Must not know what is
//! asked. Called by the benchmark of the pages.
use crate::replay::zenei;
use firmware_sim::Fleet;
use firmware_sim::publish::Publisher;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use zenei_desk::DeskDriver;
use zenei_detect::{Findings, Urgency};
use zenei_kit::program::{end_of, succeed};
use zenei_store::{Control, Layout};
use zenei_wire::EngineTime;

/// The longest wait for the end.
const ENDS_WITHIN: Duration = Duration::from_secs(120);
/// Messages that may be unacknowledged: each waits for an fsync that many share.
const WINDOW: usize = 20_000;

/// The running program.
pub(super) struct Daemon {
    child: Child,
    /// Kept open: what is printed has a reader.
    _out: BufReader<ChildStdout>,
    folder: TempDir,
    ingress: SocketAddr,
    pub(super) http: SocketAddr,
    /// The token of an operator.
    pub(super) token: String,
}

impl Daemon {
    /// Starts it, with so many incidents about the first locks of the fleet.
    pub(super) fn start(fleet: &Fleet, incidents: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("locks.csv"), fleet.registry_csv()).expect("the registry can be written");
        std::fs::write(path("zenei.toml"), CONFIG).expect("a configuration can be written");
        let state = path("state");
        std::fs::create_dir(&state).expect("a folder can be made");
        open_incidents(&state, fleet, incidents);
        let config = path("zenei.toml");
        let mut add = Command::new(zenei());
        add.args(["token", "add", "bench", "--role", "operator", "--residents", "--config"]).arg(&config);
        let token = succeed(&mut add).trim().to_owned();
        let log = std::fs::File::create(path("log")).expect("a log can be written");
        let mut command = Command::new(zenei());
        command.args(["run", "--simulated-time", "--config"]).arg(&config).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("zenei starts");
        let mut out = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("it says where it listens");
        let address = |before: &str, after: char| {
            let from = line.split_once(before).map(|(_, rest)| rest);
            let text = from.and_then(|rest| rest.split(after).next()).and_then(|text| text.parse().ok());
            text.unwrap_or_else(|| {
                panic!("{line:?}: {}", std::fs::read_to_string(folder.path().join("log")).unwrap_or_default())
            })
        };
        let (ingress, http) = (address("mqtt://", ','), address("http://", '/'));
        Self { child, _out: out, folder, ingress, http, token }
    }

    /// A connection by which locks are heard.
    pub(super) fn publisher(&self, client_id: &str) -> Publisher {
        let publisher = Publisher::connect(&self.ingress.to_string(), client_id);
        publisher.expect("the ingress accepts").with_window(WINDOW).with_reconnects(3)
    }

    /// A line of the kernel's account of the process, KiB.
    pub(super) fn memory_kib(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the program runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        number.unwrap_or_else(|| panic!("{name} is not in {status}"))
    }

    pub(super) fn history_bytes(&self) -> u64 {
        let path = Layout::new(&self.folder.path().join("state")).history();
        std::fs::metadata(path).map_or(0, |meta| meta.len())
    }

    pub(super) fn stop(mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it takes signals");
        let ended = end_of(&mut self.child, ENDS_WITHIN).expect("it ends in time");
        assert!(ended.success(), "{ended}");
    }
}

const CONFIG: &str = "state_dir = \"state\"\n[gateway]\nid = \"gw-bench\"\n[ingress]\nlisten = \"127.0.0.1:0\"\n\
    [registry]\nfile = \"locks.csv\"\n[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"tokens\"\n\
    [desk]\nenabled = true\n";

/// Opens an incident of each of the first locks, some urgent and some not, before the first record.
fn open_incidents(state: &Path, fleet: &Fleet, incidents: usize) {
    let control = Control::open(&Layout::new(state).control()).expect("a control database can be made");
    let mut driver = DeskDriver::open(control, Vec::new()).expect("an empty log can be read");
    let start_s = fleet.start_ms() / 1_000 - 7_200;
    for (lock, at) in fleet.locks().iter().take(incidents).zip(0_i64..) {
        let at_s = start_s - 3_600 * (incidents as i64 - at);
        // It is seen again half an hour later.
        for at_s in [at_s, at_s + 1_800] {
            let mut anomaly = zenei_kit::anomaly("motor-effort", &lock.device_id, at_s);
            anomaly.urgency = Urgency::ALL[at as usize % Urgency::ALL.len()];
            let findings = Findings { anomalies: vec![anomaly], ..Findings::default() };
            driver.take(EngineTime(at_s * 1_000), &findings).expect("findings are kept");
        }
    }
}
