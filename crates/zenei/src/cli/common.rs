//! The options that many commands share. Does nothing itself.
use clap::Args;
use std::path::PathBuf;

/// Where the configuration is.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// The configuration; - is standard input.
    #[arg(long, value_name = "FILE", env = "ZENEI_CONFIG", hide_env_values = true, default_value = "zenei.toml")]
    pub(crate) config: PathBuf,
}

/// A command that needs a configuration and can print JSON.
#[derive(Debug, Args)]
pub(crate) struct WithConfig {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Prints JSON, one object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Who takes a step.
#[derive(Debug, Args)]
pub(crate) struct By {
    /// Who takes the step; absent: the user's name.
    #[arg(long, value_name = "NAME", env = "ZENEI_BY", hide_env_values = true)]
    pub(crate) by: Option<String>,
}
