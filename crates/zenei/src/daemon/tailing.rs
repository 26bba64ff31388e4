//! The desk that detects on the shipments of many gateways: connects the feed of ClickHouse, the engine and the desk.
//! Started by `run`; `daemon::start`, `shipping` and `forget` ask whether a configuration has one.
use super::clickhouse;
use super::contents::Contents;
use super::desk::{DeskHere, pipeline_maker};
use crate::config::{ClickHouse, Config, DetectSource};
use crate::exit::Failure;
use std::sync::Arc;
use zenei_desk::{DeskDriver, Route, SharedDesk, Tail, TailConfig};
use zenei_store::clickhouse::ClickHouseFeed;
use zenei_store::disk::RealDisk;
use zenei_store::{Control, Layout};

const DAY_MS: i64 = 24 * 3_600_000;

/// The ClickHouse that this configuration's desk detects on; `None` where it detects on the spool, or not at all.
pub(crate) fn source(config: &Config) -> Option<&ClickHouse> {
    let wanted = config.desk.enabled && config.detect.source == DetectSource::ClickHouse;
    config.store.clickhouse.as_ref().filter(|_| wanted)
}

/// Starts the tail, and returns the desk, which tells these targets. The gateway of this state directory must have been
/// started: it locks out other processes.
///
/// # Errors
/// What the configuration names can't be used, or the incidents can't be opened. An unreachable server is no error.
pub(crate) fn start(
    config: &Config,
    clickhouse: &ClickHouse,
    contents: Contents,
    routes: Vec<Route>,
) -> Result<(Tail, SharedDesk), Failure> {
    type Cause = Box<dyn std::error::Error + Send + Sync>;
    let broken = |error: Cause| Failure::broken("can't detect on ClickHouse", error);
    let Contents { rules, registry, policy } = contents;
    let control = Control::open(&Layout::new(&config.state_dir).control()).map_err(|error| broken(error.into()))?;
    let shared = DeskDriver::open_with(control, routes, policy).map_err(|error| broken(error.into()))?;
    let shared = shared.with_places(registry.places());
    let shared = SharedDesk::new(shared);
    let desk = DeskHere::On(shared.clone());
    let layout = Layout::new(&config.state_dir);
    let tail = TailConfig {
        control: Control::open(&layout.control()).map_err(|error| broken(error.into()))?,
        disk: Arc::new(RealDisk),
        snapshots: layout.tail(),
        rules: rules.digest(),
        pipeline: pipeline_maker(Some(rules)),
        registry: registry.lines,
        history_ms: i64::from(config.detect.history_days) * DAY_MS,
    };
    let feed = ClickHouseFeed::new(clickhouse::server(clickhouse)?, clickhouse::form(clickhouse, None)?);
    let tail = Tail::start(tail, feed, desk).map_err(|error| broken(error.into()))?;
    Ok((tail, shared))
}
