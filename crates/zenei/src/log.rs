//! Where do logs go? To standard error, as text or JSON, with fields instead of prose. Called by `main`, once.
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `filter` is tracing's syntax (`info`, `zenei_gateway=debug`).
///
/// # Errors
/// Where the filter can't be understood.
pub(crate) fn start(format: Format, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| format!("--log '{filter}': {error}; a level such as info, or target=level, is allowed"))?;
    let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Format::Text => subscriber.with_ansi(coloured).try_init(),
        Format::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .map_err(|error| error.to_string())
}
