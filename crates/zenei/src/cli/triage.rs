//! The command line of `zenei triage`. Does nothing itself.
use clap::Args;
use std::path::PathBuf;

/// `zenei triage`.
#[derive(Debug, Args)]
pub(crate) struct Triage {
    /// The configuration whose tables count; absent: zenei.toml here; without one, the tables in the program.
    #[arg(long, value_name = "FILE", env = "ZENEI_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Reads the facts from standard input, as JSON, in place of the options below.
    #[arg(long, conflicts_with_all = ["symptom", "hint", "scope", "locks", "customers", "share", "growth", "domain",
        "component", "service", "records", "observed_min"])]
    pub(crate) stdin: bool,
    /// What is seen: locked_out, unlocked_unintended, security, failing_now, loss_soon, degraded; may be repeated.
    #[arg(long, value_name = "WORD")]
    pub(crate) symptom: Vec<String>,
    /// The urgency of the detector's rule, if one found it.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) hint: Option<String>,
    /// What the affected locks share, such as site or fw.
    #[arg(long, value_name = "KIND")]
    pub(crate) scope: Option<String>,
    /// How many locks are affected.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) locks: usize,
    /// How many customers are affected.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) customers: u64,
    /// The share of a firmware's locks that is affected, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(crate) share: f64,
    /// By which factor more are affected than 24 hours ago.
    #[arg(long, value_name = "FACTOR", default_value_t = 0.0)]
    pub(crate) growth: f64,
    /// Where the cause probably lies: hardware, firmware or software.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) domain: Option<String>,
    /// The component.
    #[arg(long, value_name = "COMPONENT")]
    pub(crate) component: Option<String>,
    /// The service.
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: Option<String>,
    /// How many records or reports are behind it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) records: usize,
    /// For how many minutes it was observed.
    #[arg(long, value_name = "MINUTES", default_value_t = 0)]
    pub(crate) observed_min: u32,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
