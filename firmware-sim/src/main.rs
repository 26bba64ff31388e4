//! `firmware-sim`: a simulated fleet as a recording, or over MQTT to a broker or zenei's ingress.
//! Results go to stdout, what goes wrong to stderr. Exit codes: 0 done, 1 a file can't be written, 2 usage, 69 nobody answers, 78 bad scenario.
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

mod run;

/// A fleet of simulated smart locks.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Simulate a fleet; publish and record what it says.
    Run(Box<RunArgs>),
    /// Print an embedded file: the demo's scenario, the fleet benchmark's, or the physics that every scenario is laid over.
    Scenario { name: Embedded },
}

#[derive(Clone, Copy, ValueEnum)]
enum Embedded {
    Demo,
    Fleet,
    Physics,
}

#[derive(Args)]
struct RunArgs {
    /// A scenario's TOML file, `demo` or `fleet`.
    #[arg(long, default_value = "demo")]
    scenario: String,
    /// The same scenario and seed give the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Other than the scenario's number of locks.
    #[arg(long)]
    locks: Option<usize>,
    /// Other than the scenario's number of days.
    #[arg(long)]
    days: Option<f64>,
    /// Faults per lock-year, other than the scenario's; only where it has a density of faults.
    #[arg(long, value_name = "RATE")]
    fault_rate: Option<f64>,
    /// Move every physical parameter by chance by up to this share, 0 to 0.9.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    jitter: f64,
    /// Which way they are moved.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "jitter")]
    jitter_seed: u64,
    /// Publish to this broker or ingress, HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    mqtt: Option<String>,
    /// Simulated seconds a second (60: an hour a minute), or `fast`: as fast as it is acknowledged.
    #[arg(long, default_value = "fast", value_parser = speed, requires = "mqtt")]
    speed: Speed,
    /// MQTT connections; a lock stays on one.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), requires = "mqtt")]
    connections: u16,
    /// Messages in flight on each connection.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=60_000), requires = "mqtt")]
    window: u16,
    /// How often in a row to connect again when a connection breaks; what has no PUBACK is sent again.
    #[arg(long, default_value_t = 25, requires = "mqtt")]
    reconnects: u32,
    /// Write a recording; gzip where the name ends with .gz.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write the true faults and their times, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Write the asset registry as CSV.
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    /// Share of messages that come twice, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    duplicate_share: f64,
    /// Shuffle the order within so many seconds.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    shuffle_s: u32,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Speed {
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

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Scenario { name } => {
            let text = match name {
                Embedded::Demo => firmware_sim::DEMO_TOML,
                Embedded::Fleet => firmware_sim::FLEET_TOML,
                Embedded::Physics => firmware_sim::PHYSICS_TOML,
            };
            run::print(text)
        }
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    let mut text = format!("firmware-sim: {error}");
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        text.push_str(&format!(": {}", source.to_string().trim_end()));
        cause = source.source();
    }
    // Nothing is left to do where even stderr is closed.
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(error.code())
}
