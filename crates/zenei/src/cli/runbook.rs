//! The command line of `zenei runbook`. Does nothing itself.
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `zenei runbook …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Runbook {
    /// Checks runbooks: unknown people, steps that can't be done, statuses that can't be reached, bypassed completion
    #[command(after_help = "\
Exit 78 where one is bad, with file, line and key of everything that is wrong.

  zenei runbook check                               those of zenei.toml here; without one, those in the program
  zenei runbook check --config other.toml           those of another configuration
  zenei runbook check runbooks/                     a folder, with the people and services of the configuration")]
    Check(Check),
}

/// `zenei runbook check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The folder; absent: that of the configuration, or the runbooks in the program.
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// The configuration whose people and services count; absent: zenei.toml here; without one, those in the program,
    /// which has no people.
    #[arg(long, value_name = "FILE", env = "ZENEI_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Prints JSON, one object a line.
    #[arg(long)]
    pub(crate) json: bool,
}
