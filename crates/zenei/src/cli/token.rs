//! The command line of `zenei token`. Does nothing itself.
use super::common::WithConfig;
use clap::{Args, Subcommand};

/// `zenei token …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Makes a token, and shows it this once
    #[command(after_help = "\
The file [http] token_file keeps a hash of it; nobody can show it again. A program sends it as `Authorization: Bearer …`, a person logs in with it. \
A running zenei takes it within a second.

  zenei token add sato --role operator
  zenei token add wall-display --role viewer --config zenei.toml")]
    Add(TokenAdd),
    /// Every token, without its hash
    #[command(after_help = "  zenei token list")]
    List(WithConfig),
    /// Removes a token; its sessions end within a second
    #[command(after_help = "  zenei token revoke sato")]
    Revoke(TokenRevoke),
    /// Who changed what over HTTP, newest first
    #[command(after_help = "\
A row without a status ended without an answer: what it asked for may have been done.

  zenei token audit --limit 20")]
    Audit(TokenAudit),
}

/// `zenei token add`.
#[derive(Debug, Args)]
pub(crate) struct TokenAdd {
    /// Whose it is: 1 to 64 of A-Z a-z 0-9 . _ -
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// viewer reads, operator also carries incidents on and silences, admin also reads who changed what.
    #[arg(long, value_name = "ROLE", value_parser = ["viewer", "operator", "admin"])]
    pub(crate) role: String,
    /// Also shows who opened which door when.
    #[arg(long)]
    pub(crate) residents: bool,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}

/// `zenei token revoke`.
#[derive(Debug, Args)]
pub(crate) struct TokenRevoke {
    /// Its name.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}

/// `zenei token audit`.
#[derive(Debug, Args)]
pub(crate) struct TokenAudit {
    /// At most so many rows.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}
