//! The command line of `zenei lock`. Does nothing itself.
use super::common::WithConfig;
use clap::{Args, Subcommand};

/// `zenei lock …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Lock {
    /// One lock: what it is, how it has been, when its battery is due, its firmware, errors and incidents
    #[command(after_help = "\
Reads the history that a running zenei keeps in state_dir, or ClickHouse where records go there; and the control database, for incidents.

  zenei lock show BL0000123
  zenei lock show BL0000123 --days 90 --json")]
    Show(LockShow),
}

/// `zenei lock show`.
#[derive(Debug, Args)]
pub(crate) struct LockShow {
    /// The lock's id.
    #[arg(value_name = "DEVICE")]
    pub(crate) device: String,
    /// How many days before the newest record are shown.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=400))]
    pub(crate) days: u16,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}
