//! `zenei-lab`: the lab's commands without the rest of the product. Results go to stdout, errors to stderr. Exit codes:
//! 0 done, 1 the checked thing failed, 2 usage, 78 a bad scenario or rule file.
use clap::Parser;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;
use zenei_lab::LabError;
use zenei_lab::cli::Command;

/// Measures detection offline.
#[derive(Parser)]
#[command(version, about, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match zenei_lab::run(&cli.command, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(LabError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is closed too, the exit code still reports the failure.
            let _ = writeln!(io::stderr(), "{}", error.text());
            ExitCode::from(error.code())
        }
    }
}
