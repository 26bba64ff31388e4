//! `firmware-sim run`: from a scenario to a broker and files. Called by `main` alone.
use crate::args::{RunArgs, Speed};
use firmware_sim::publish::{PublishError, Publishers};
use firmware_sim::{Disturbance, Fleet, Message, Recorder, Scenario, ScenarioError};
use serde::Serialize;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// Simulated time between two publishes when the run is not paced: enough messages to fill a window many times, few
/// enough for memory.
const FAST_STEP_MS: i64 = 2 * 3_600_000;
/// Real time between two publishes at a given speed.
const TICK: Duration = Duration::from_millis(100);
/// Ticks without a message after which connections are kept alive: 20 s.
const IDLE_TICKS: u32 = 200;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("the scenario {path} can't be read")]
    Unreadable { path: String, source: io::Error },
    #[error("the scenario {path} can't be simulated; `firmware-sim scenario demo` prints one that can")]
    Scenario { path: String, source: ScenarioError },
    #[error("publishing failed")]
    Publish(#[from] PublishError),
    #[error("{path} can't be written")]
    Unwritable { path: String, source: io::Error },
}

impl RunError {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Unreadable { .. } | Self::Scenario { .. } => 78,
            Self::Publish(_) => 69,
            Self::Unwritable { .. } => 1,
        }
    }
}

#[derive(Serialize)]
struct Summary {
    scenario: String,
    seed: u64,
    locks: usize,
    days: f64,
    from_ms: i64,
    to_ms: i64,
    messages: u64,
    payload_bytes: u64,
}

pub(crate) fn run(args: &RunArgs) -> Result<(), RunError> {
    let scenario = scenario(args)?;
    let bad = |source| RunError::Scenario { path: args.scenario.clone(), source };
    let mut fleet = Fleet::new(&scenario, args.seed).map_err(bad)?;
    if let Some(path) = &args.registry {
        fs::write(path, fleet.registry_csv()).map_err(unwritable(path))?;
    }
    let mut outlets = Outlets::open(args)?;
    let mut network = Disturbance::new(args.seed, args.duplicate_share, i64::from(args.shuffle_s) * 1000);
    let (ticks, step_ms) = match args.speed {
        Speed::Fast => (None, FAST_STEP_MS),
        Speed::Times(times) => (Some(ticks()), ((TICK.as_millis() as f64 * times) as i64).max(1)),
    };
    let (from_ms, end_ms) = (fleet.start_ms(), fleet.end_ms());
    // The shuffled tail comes after the end of the run.
    let last_ms = end_ms + i64::from(args.shuffle_s) * 1000;
    let mut summary = Summary {
        scenario: scenario.name.clone(),
        seed: args.seed,
        locks: scenario.locks,
        days: scenario.days,
        from_ms,
        to_ms: end_ms,
        messages: 0,
        payload_bytes: 0,
    };
    let (mut to_ms, mut sent) = (from_ms, Vec::new());
    while to_ms < last_ms {
        if let Some(ticks) = &ticks {
            // The ticking thread lives as long as this receiver.
            let _ = ticks.recv();
        }
        to_ms = (to_ms + step_ms).min(last_ms);
        let mut said = Vec::new();
        fleet.advance(to_ms, &mut said);
        sent.clear();
        network.pass(said, to_ms, &mut sent);
        summary.messages += sent.len() as u64;
        summary.payload_bytes += sent.iter().map(|message| message.payload.len() as u64).sum::<u64>();
        outlets.take(&sent)?;
    }
    outlets.finish()?;
    if let Some(path) = &args.truth {
        write_truth(&fleet, path)?;
    }
    print(&summary_text(&summary, args.json))
}

/// Prints to stdout; a closed pipe is not an error.
pub(crate) fn print(text: &str) -> Result<(), RunError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(source) if source.kind() != ErrorKind::BrokenPipe => {
            Err(RunError::Unwritable { path: "stdout".into(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn scenario(args: &RunArgs) -> Result<Scenario, RunError> {
    let path = &args.scenario;
    let bad = |source| RunError::Scenario { path: path.clone(), source };
    let mut scenario = match path.as_str() {
        "demo" => Scenario::demo().map_err(bad)?,
        "fleet" => Scenario::fleet().map_err(bad)?,
        _ => {
            let text =
                fs::read_to_string(path).map_err(|source| RunError::Unreadable { path: path.clone(), source })?;
            Scenario::from_toml(&text).map_err(bad)?
        }
    };
    scenario.locks = args.locks.unwrap_or(scenario.locks);
    scenario.days = args.days.unwrap_or(scenario.days);
    if let (Some(density), Some(rate)) = (&mut scenario.faults, args.fault_rate) {
        density.rate = rate;
    }
    if args.jitter == 0.0 { Ok(scenario) } else { scenario.jittered(args.jitter, args.jitter_seed).map_err(bad) }
}

/// The destinations of messages.
struct Outlets {
    publishers: Option<Publishers>,
    recorder: Option<(PathBuf, Recorder)>,
    idle: u32,
}

impl Outlets {
    fn open(args: &RunArgs) -> Result<Self, RunError> {
        let recorder = match &args.record {
            Some(path) => Some((path.clone(), Recorder::create(path).map_err(unwritable(path))?)),
            None => None,
        };
        let publishers = match &args.mqtt {
            Some(addr) => {
                let client_id = format!("firmware-sim-{}", args.seed);
                Some(Publishers::connect(addr, &client_id, usize::from(args.connections), |publisher| {
                    publisher.with_window(usize::from(args.window)).with_reconnects(args.reconnects)
                })?)
            }
            None => None,
        };
        Ok(Self { publishers, recorder, idle: 0 })
    }

    fn take(&mut self, messages: &[Message]) -> Result<(), RunError> {
        if let Some((path, recorder)) = &mut self.recorder {
            recorder.write_all(messages).map_err(unwritable(path))?;
        }
        if let Some(publishers) = &mut self.publishers {
            publishers.publish_all(messages)?;
            self.idle = if messages.is_empty() { self.idle + 1 } else { 0 };
            if self.idle >= IDLE_TICKS {
                publishers.ping()?;
                self.idle = 0;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), RunError> {
        match self.recorder {
            Some((path, recorder)) => recorder.finish().map_err(unwritable(&path)),
            None => Ok(()),
        }
    }
}

/// A tick every [`TICK`], from a thread of its own, so that the time which publishing takes does not add up. Missed
/// ticks beyond 100 s are lost.
fn ticks() -> Receiver<()> {
    let (tick, ticks) = mpsc::sync_channel(1000);
    std::thread::spawn(move || {
        let (_never, nothing) = mpsc::channel::<()>();
        while nothing.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) && tick.send(()).is_ok() {}
    });
    ticks
}

fn write_truth(fleet: &Fleet, path: &Path) -> Result<(), RunError> {
    let mut text = String::new();
    for truth in fleet.truth() {
        let line = serde_json::to_string(&truth).map_err(io::Error::from).map_err(unwritable(path))?;
        text.push_str(&line);
        text.push('\n');
    }
    fs::write(path, text).map_err(unwritable(path))
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> RunError {
    let path = path.display().to_string();
    move |source| RunError::Unwritable { path: path.clone(), source }
}

fn summary_text(summary: &Summary, json: bool) -> String {
    match serde_json::to_string(summary) {
        Ok(text) if json => text + "\n",
        Ok(_) | Err(_) => format!(
            "{} messages ({:.1} MB) from {} locks over {} days, scenario {}, seed {}\n",
            summary.messages,
            summary.payload_bytes as f64 / 1e6,
            summary.locks,
            summary.days,
            summary.scenario,
            summary.seed
        ),
    }
}
