//! One room per command; this one hands out the command line. Called by `main`.
mod config;
mod contents;

use crate::cli::Command;
use crate::exit::Failure;
use crate::output::Output;

/// What is logged where nobody said: the daemon tells what it does, every other command only what goes wrong.
pub(crate) fn quiet_log(command: &Command) -> &'static str {
    if matches!(command, Command::Run(_)) { "info" } else { "warn" }
}

/// Runs a command.
///
/// # Errors
/// Why it ended early; its exit code is in it.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    let mut out = Output::stdout();
    match command {
        Command::Config(command) => config::run(command, &mut out),
        Command::Backtest(_) => Err(lab("backtest")),
        Command::Bench(_) => Err(lab("bench")),
        _ => Err(Failure::Usage("this command is not joined to its rooms yet".to_owned())),
    }?;
    out.flush()
}

/// What the lab's commands say in a build without it.
fn lab(command: &str) -> Failure {
    Failure::Usage(format!(
        "zenei {command} needs the cargo feature `lab`, which this build lacks: cargo build --release -p zenei --features lab"
    ))
}

/// The environment as text; what is no UTF-8 can't be part of a configuration.
fn variables() -> crate::config::Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
