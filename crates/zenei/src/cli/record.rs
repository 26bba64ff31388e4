//! The command line of `zenei record`. Does nothing itself.
use super::common::WithConfig;
use clap::{Args, Subcommand};

/// `zenei record …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Record {
    /// One line per record, duplicates removed, sorted by device_id, life, boot, seq; works beside a running daemon
    #[command(after_help = "  zenei record list --device BL0000123\n  zenei record list --json --config zenei.toml")]
    List(RecordList),
}

/// `zenei record list`.
#[derive(Debug, Args)]
pub(crate) struct RecordList {
    #[command(flatten)]
    pub(crate) common: WithConfig,
    /// Only this lock's records.
    #[arg(long, value_name = "ID")]
    pub(crate) device: Option<String>,
}
