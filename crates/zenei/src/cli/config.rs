//! The command lines of `zenei config` and `zenei schema`. Does nothing itself.
use super::common::WithConfig;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `zenei config …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Checks a configuration and the files that it names, without touching the network
    #[command(after_help = "\
Says file:line:column, the key, and the nearest key of an unknown one. Exit 0 where it is good, even where a server it names is down (that is what \
`zenei doctor` looks at); 78 where it is not.

  zenei config check                        zenei.toml here
  zenei config check --config other.toml --json")]
    Check(WithConfig),
    /// The configuration as it takes effect: defaults, environment and absolute paths filled in, secrets left out
    #[command(after_help = "  zenei config show\n  zenei config show --json")]
    Show(WithConfig),
    /// Prints a small configuration with comments
    #[command(after_help = "  zenei config init > zenei.toml")]
    Init,
    /// Prints the JSON Schema of a configuration, for editors
    #[command(after_help = "  zenei config schema > zenei.schema.json")]
    Schema,
}

/// `zenei schema …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// Prints the whole script, for one server or for a cluster; asks no server
    #[command(after_help = "  zenei schema print\n  zenei schema print --cluster prod")]
    Print(SchemaPrint),
    /// Makes and updates the tables that [store.clickhouse] names; changes nothing where nothing is missing
    #[command(after_help = "  zenei schema apply --config zenei.toml")]
    Apply(SchemaApply),
}

/// `zenei schema print`.
#[derive(Debug, Args)]
pub(crate) struct SchemaPrint {
    /// The configuration whose database and cluster are meant; absent: the database zenei on one server.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The cluster, in place of the configuration's.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
}

/// `zenei schema apply`.
#[derive(Debug, Args)]
pub(crate) struct SchemaApply {
    #[command(flatten)]
    pub(crate) common: WithConfig,
    /// The cluster, in place of the configuration's.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
}
