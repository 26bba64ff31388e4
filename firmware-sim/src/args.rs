//! The command line of `firmware-sim`: which arguments there are. Must not know what they do. Called by `main` and
//! `run`.
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// A fleet of simulated smart locks.
#[derive(Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Simulate a fleet; publish and record what it says.
    Run(Box<RunArgs>),
    /// Print an embedded file: the demo's scenario, the fleet benchmark's, or the physics that every scenario is laid
    /// over.
    Scenario { name: Embedded },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Embedded {
    Demo,
    Fleet,
    Physics,
}

#[derive(Args)]
pub(crate) struct RunArgs {
    /// A scenario's TOML file, `demo` or `fleet`.
    #[arg(long, default_value = "demo")]
    pub(crate) scenario: String,
    /// The same scenario and seed give the same bytes.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Other than the scenario's number of locks.
    #[arg(long)]
    pub(crate) locks: Option<usize>,
    /// Other than the scenario's number of days.
    #[arg(long)]
    pub(crate) days: Option<f64>,
    /// Faults per lock-year, other than the scenario's; only where it has a density of faults.
    #[arg(long, value_name = "RATE")]
    pub(crate) fault_rate: Option<f64>,
    /// Move every physical parameter by chance by up to this share, 0 to 0.9.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(crate) jitter: f64,
    /// Which way they are moved.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "jitter")]
    pub(crate) jitter_seed: u64,
    /// Publish to this broker or ingress, HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) mqtt: Option<String>,
    /// Simulated seconds a second (60: an hour a minute), or `fast`: as fast as it is acknowledged.
    #[arg(long, default_value = "fast", value_parser = speed, requires = "mqtt")]
    pub(crate) speed: Speed,
    /// MQTT connections; a lock stays on one.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), requires = "mqtt")]
    pub(crate) connections: u16,
    /// Messages in flight on each connection.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=60_000), requires = "mqtt")]
    pub(crate) window: u16,
    /// How often in a row to connect again when a connection breaks; what has no PUBACK is sent again.
    #[arg(long, default_value_t = 25, requires = "mqtt")]
    pub(crate) reconnects: u32,
    /// Write a recording; gzip where the name ends with .gz.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Write the true faults and their times, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) truth: Option<PathBuf>,
    /// Write the asset registry as CSV.
    #[arg(long, value_name = "FILE")]
    pub(crate) registry: Option<PathBuf>,
    /// Share of messages that come twice, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub(crate) duplicate_share: f64,
    /// Shuffle the order within so many seconds.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub(crate) shuffle_s: u32,
    /// Print the summary as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
    Fast,
    Times(f64),
}

fn speed(text: &str) -> Result<Speed, String> {
    match (text, text.parse::<f64>()) {
        ("fast", _) => Ok(Speed::Fast),
        (_, Ok(times)) if times > 0.0 && times <= 1e6 => Ok(Speed::Times(times)),
        (_, Ok(_) | Err(_)) => Err("allowed are `fast` and numbers above 0, at most 1,000,000".into()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "allowed are numbers from 0 to 1".into())
}
