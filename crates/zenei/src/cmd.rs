//! Which command runs? Passes the parsed command line to the command's file in this folder, and chooses the default
//! log level of each command. Called by `main`.
mod backup;
mod completions;
mod config;
mod customers;
mod dashboards;
mod demo;
mod doctor;
mod forget;
mod incident;
mod keys;
#[cfg(feature = "lab")]
mod lab;
mod lock;
mod man;
mod notify;
mod record;
mod replay;
mod rules;
mod run;
mod runbook;
mod scan;
mod schema;
mod silence;
mod tap;
mod token;
mod top;
mod triage;

use crate::cli::Command;
use crate::exit::Failure;
use crate::output::Output;

/// The log filter where the command line sets none: the daemon logs its work, every other command only warnings and
/// errors. Commands that print incidents do not log them as well.
pub(crate) fn quiet_log(command: &Command) -> &'static str {
    match command {
        Command::Run(_) => "info",
        Command::Demo(_) | Command::Replay(_) | Command::Rules(_) => "warn,zenei_desk=error",
        // The table shows the radio's status, and the one line of the error shows why there is none.
        Command::Scan(_) => "warn,zenei_gateway=off",
        Command::Record(_)
        | Command::Incident(_)
        | Command::Silence(_)
        | Command::Notify(_)
        | Command::Triage(_)
        | Command::Runbook(_)
        | Command::Customers(_)
        | Command::Lock(_)
        | Command::Config(_)
        | Command::Schema(_)
        | Command::Dashboards(_)
        | Command::Doctor(_)
        | Command::Forget(_)
        | Command::Tap(_)
        | Command::Token(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Top(_)
        | Command::Completions(_)
        | Command::Man(_) => "warn",
        #[cfg(not(feature = "lab"))]
        Command::Backtest(_) | Command::Bench(_) => "warn",
        #[cfg(feature = "lab")]
        Command::Lab(_) => "warn",
    }
}

/// Runs a command.
///
/// # Errors
/// Why it ended early; its exit code is in it.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    let mut out = Output::stdout();
    match command {
        Command::Config(command) => config::run(command, &mut out),
        Command::Schema(command) => schema::run(command, &mut out),
        Command::Demo(arguments) => demo::run(&arguments, &mut out),
        Command::Run(arguments) => run::run(&arguments, &mut out),
        Command::Scan(arguments) => scan::run(&arguments, &mut out),
        Command::Token(command) => token::run(command, &mut out),
        Command::Backup(arguments) => backup::run(&arguments, &mut out),
        Command::Restore(arguments) => backup::restore(&arguments, &mut out),
        Command::Tap(arguments) => tap::run(&arguments, &mut out),
        Command::Top(arguments) => top::run(&arguments, &mut out),
        Command::Replay(arguments) => replay::run(&arguments, &mut out),
        Command::Record(command) => record::run(command, &mut out),
        Command::Incident(command) => incident::run(command, &mut out),
        Command::Silence(command) => silence::run(command, &mut out),
        Command::Notify(command) => notify::run(command, &mut out),
        Command::Triage(arguments) => triage::run(&arguments, &mut out),
        Command::Lock(command) => lock::run(command, &mut out),
        Command::Customers(arguments) => customers::run(&arguments, &mut out),
        Command::Runbook(command) => runbook::run(command, &mut out),
        Command::Rules(command) => rules::run(command, &mut out),
        Command::Dashboards(command) => dashboards::run(command, &mut out),
        Command::Doctor(arguments) => doctor::run(&arguments, &mut out),
        Command::Forget(arguments) => forget::run(&arguments, &mut out),
        Command::Completions(arguments) => completions::run(&arguments, &mut out),
        Command::Man(arguments) => man::run(&arguments, &mut out),
        #[cfg(not(feature = "lab"))]
        Command::Backtest(_) => Err(lab("backtest")),
        #[cfg(not(feature = "lab"))]
        Command::Bench(_) => Err(lab("bench")),
        #[cfg(feature = "lab")]
        Command::Lab(command) => lab::run(&command, &mut out),
    }?;
    out.flush()
}

/// The error of the lab's commands in a build without the lab.
#[cfg(not(feature = "lab"))]
fn lab(command: &str) -> Failure {
    Failure::Usage(format!(
        "zenei {command} needs the cargo feature `lab`, which this build lacks: cargo build --release -p zenei --features lab"
    ))
}
