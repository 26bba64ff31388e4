//! The command line of `zenei top`. Does nothing itself.
use super::common::ConfigFile;
use clap::Args;
use std::path::PathBuf;

/// `zenei top`.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Looks twice, a second apart, prints one table and ends; so it does where the output is no terminal.
    #[arg(long)]
    pub(crate) once: bool,
    /// File whose first line is a token, where `[http]` does not listen on loopback.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Prints JSON: one object with --once, else one a second.
    #[arg(long)]
    pub(crate) json: bool,
}
