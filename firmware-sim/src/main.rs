//! `firmware-sim`: writes a simulated fleet as a recording, or publishes it over MQTT to a broker or to zenei's
//! ingress. Results go to stdout, errors to stderr. Exit codes: 0 done, 1 a file can't be written, 2 usage, 69
//! publishing failed, 78 bad scenario.
mod args;
mod run;

use args::{Cli, Command, Embedded};
use clap::Parser as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

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
    // Nothing can be reported where even stderr is closed.
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(error.code())
}
