//! Where do logs go? To standard error, as text or JSON, with fields instead of prose. Called by `main`, once.
use std::io::IsTerminal as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Libraries that log what a server answered, which may repeat the password: they are kept below that level.
const CONFINED: [(&str, LevelFilter); 2] = [("clickhouse", LevelFilter::INFO), ("clickhouse::error", LevelFilter::OFF)];

/// Starts logging. `filter` is tracing's syntax for levels of targets (`info`, `zenei_gateway=debug`).
///
/// # Errors
/// Where the filter can't be understood.
pub(crate) fn start(format: Format, filter: &str) -> Result<(), String> {
    let targets: Targets = filter
        .parse()
        .map_err(|error| format!("--log '{filter}': {error}; a level such as info, or target=level, is allowed"))?;
    let targets = targets.with_targets(CONFINED);
    let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(std::io::stderr);
    match format {
        Format::Text => lines.with_ansi(coloured).finish().with(targets).try_init(),
        Format::Json => lines.json().flatten_event(true).finish().with(targets).try_init(),
    }
    .map_err(|error| error.to_string())
}
