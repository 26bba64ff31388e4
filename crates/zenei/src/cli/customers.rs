//! The command line of `zenei customers`. Does nothing itself.
use super::common::WithConfig;
use clap::Args;

/// `zenei customers`.
#[derive(Debug, Args)]
pub(crate) struct Customers {
    /// Which window counts: 30 or 90 days.
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = ["30", "90"], hide_possible_values = true)]
    pub(crate) days: String,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}
