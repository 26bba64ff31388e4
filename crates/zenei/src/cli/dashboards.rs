//! The command line of `zenei dashboards`. Does nothing itself.
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `zenei dashboards …`
#[derive(Debug, Subcommand)]
pub(crate) enum Dashboards {
    /// Writes dashboards, their provisioning and alert rules into a folder
    #[command(after_help = "\
Grafana: dashboards over ClickHouse and Prometheus, data sources, alert rules, in DIR/grafana. Prometheus: alert rules and their tests, in \
DIR/prometheus. A file that is there and differs stays as it is, and nothing is written: --force replaces it.

  zenei dashboards export /etc/zenei/dashboards
  zenei dashboards export . --kind prometheus                  then: promtool test rules prometheus/zenei.rules.test.yml
  zenei dashboards export /etc/zenei/dashboards --force        after an upgrade")]
    Export(Export),
}

/// `zenei dashboards export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The folder; made where it is missing.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Only the files of one program.
    #[arg(long, value_name = "KIND", value_enum)]
    pub(crate) kind: Option<DashboardKind>,
    /// Replaces files that differ.
    #[arg(long)]
    pub(crate) force: bool,
    /// Prints JSON, one object a file.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The program that reads a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DashboardKind {
    /// Dashboards, data sources, alert rules over ClickHouse.
    Grafana,
    /// Alert rules over /metrics.
    Prometheus,
}
