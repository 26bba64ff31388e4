//! The command line of `zenei silence`. Does nothing itself.
use super::common::{By, WithConfig};
use clap::{Args, Subcommand};

/// `zenei silence …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Silence {
    /// Sets a silence: incidents open, and nobody is told until it ends
    #[command(after_help = "\
At least one of the options that say what it is about must be given; all that are given must hold. Whoever was not told is told at the end, if the \
incident is still open. With --maintenance nothing opens at all: for planned work such as an exchange of batteries.

  zenei silence preview --site tokyo-01
  zenei silence add --site tokyo-01 --for 2h --reason 'the site moves'
  zenei silence add --device BL0000123 --for 30min --maintenance --reason 'battery exchange'")]
    Add(SilenceAdd),
    /// Shows which open incidents a silence would be about; sets none
    #[command(after_help = "  zenei silence preview --site tokyo-01\n  zenei silence preview --scope fw=3.3.0 --json")]
    Preview(SilencePreview),
    /// Every silence, with its end
    #[command(after_help = "  zenei silence list")]
    List(WithConfig),
    /// Ends a silence before its end; people are then told of what it muted
    #[command(after_help = "  zenei silence end 4f1c")]
    End(SilenceEnd),
}

/// What a silence is about.
#[derive(Clone, Debug, Args)]
pub(crate) struct About {
    /// The rule.
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<String>,
    /// hardware, firmware or software.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) domain: Option<String>,
    /// The part (battery, motor, fw_image, …).
    #[arg(long, value_name = "PART")]
    pub(crate) component: Option<String>,
    /// The only lock with evidence.
    #[arg(long, value_name = "ID")]
    pub(crate) device: Option<String>,
    /// The site of every lock with evidence.
    #[arg(long, value_name = "SITE")]
    pub(crate) site: Option<String>,
    /// The service of every lock with evidence.
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: Option<String>,
    /// What the locks share, as KIND=VALUE: fw=3.3.0, gateway=gw-01, lot=2024W31, …
    #[arg(long, value_name = "KIND=VALUE")]
    pub(crate) scope: Option<String>,
}

/// `zenei silence add`.
#[derive(Debug, Args)]
pub(crate) struct SilenceAdd {
    #[command(flatten)]
    pub(crate) about: About,
    /// For how long: 30min, 2h, 7d; at most 366 d.
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) length: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Planned work: what it is about opens nothing.
    #[arg(long)]
    pub(crate) maintenance: bool,
    #[command(flatten)]
    pub(crate) by: By,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}

/// `zenei silence preview`.
#[derive(Debug, Args)]
pub(crate) struct SilencePreview {
    #[command(flatten)]
    pub(crate) about: About,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}

/// `zenei silence end`.
#[derive(Debug, Args)]
pub(crate) struct SilenceEnd {
    /// Its id, or the first digits of it.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) by: By,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}
