//! `zenei`, the one binary: parses the command line, runs one command and returns its exit code. The modules below do
//! everything else.
mod cases;
mod cli;
mod cmd;
mod config;
mod daemon;
mod exit;
mod log;
mod output;
mod progress;
mod replay;

use clap::Parser as _;
use exit::{Exit, Failure};
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help into a closed pipe is no error either.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let started = log::start(cli.log_format, cli.log.as_deref().unwrap_or(cmd::quiet_log(&cli.command)));
    match started.map_err(Failure::Usage).and_then(|()| cmd::run(cli.command)) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            if let Some(text) = failure.text() {
                // Where standard error is closed too, only the exit code reports the failure.
                // It may quote what a person, a file or a remote said.
                let text: Vec<String> = text.lines().map(output::escaped).collect();
                let _ = writeln!(std::io::stderr(), "{}", text.join("\n"));
            }
            failure.exit().into()
        }
    }
}
