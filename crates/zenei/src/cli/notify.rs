//! The command line of `zenei notify`. Does nothing itself.
use super::common::WithConfig;
use clap::{Args, Subcommand};

/// `zenei notify …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Notify {
    /// The targets of the configuration, and of what each is told; sends nothing
    #[command(after_help = "  zenei notify list")]
    List(WithConfig),
    /// Sends a marked test to a target, and says what it answered
    #[command(after_help = "\
The test says that nothing has happened. It opens nothing that stays: an alert is resolved or ends within a minute, a message is only a message. What \
may stay at a target is said in docs/connectors.md. Exit 1 where the target refuses it, 69 where it can't be reached.

  zenei notify list
  zenei notify test room --config zenei.toml")]
    Test(NotifyTest),
}

/// `zenei notify test`.
#[derive(Debug, Args)]
pub(crate) struct NotifyTest {
    /// The target: NAME of [notify.NAME].
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}
