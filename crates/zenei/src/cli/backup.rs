//! The command lines of `zenei backup` and `zenei restore`. Does nothing itself.
use super::common::WithConfig;
use clap::Args;
use std::path::PathBuf;

/// `zenei backup`.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The archive to make; one that is there already is not written over.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}

/// `zenei restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The archive.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}
