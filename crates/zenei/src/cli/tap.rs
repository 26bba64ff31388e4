//! The command line of `zenei tap`. Does nothing itself.
use super::common::WithConfig;
use clap::Args;
use std::path::PathBuf;

/// `zenei tap`.
#[derive(Debug, Args)]
pub(crate) struct Tap {
    /// The recording; gzip where the name ends in .gz, standard output where it is -.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) out: PathBuf,
    /// Ends after so long; absent: at Ctrl-C.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub(crate) seconds: Option<u64>,
    /// Only messages whose MQTT topic this filter matches (+ is one level, # the rest); advertisements have no topic.
    #[arg(long, value_name = "FILTER")]
    pub(crate) topic: Option<String>,
    /// Begins with what the spool still holds, instead of with what is heard from now on.
    #[arg(long)]
    pub(crate) backlog: bool,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}
