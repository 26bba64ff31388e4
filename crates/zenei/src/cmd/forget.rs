//! `zenei forget DEVICE`: removes a lock from this machine's store, spool, snapshots, history and findings, and from
//! ClickHouse. First it starts the gateway without sources, so that the spool's messages are sealed; at the end it
//! counts the rows that still name the lock, of which none may be left, and records the erasure in the log of
//! erasures. It may be interrupted anywhere and run again. zenei must not run on this state directory meanwhile.
//! Called by `cmd`.
use crate::cli::Forget;
use crate::config::{self, ClickHouse, Config};
use crate::daemon::contents::{self, Contents};
use crate::daemon::desk::pipeline_maker;
use crate::daemon::start::{runtime, start};
use crate::daemon::{clickhouse, tailing};
use crate::exit::Failure;
use crate::output::{Colour, Output, escaped};
use crate::progress::Progress;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use zenei_gateway::AckPolicy;
use zenei_store::clickhouse::{ServerError, count_naming, erase, ship_findings_anew};
use zenei_store::disk::RealDisk;
use zenei_store::forget::{ForgetError, Forgotten, forget};
use zenei_store::history::local::count_naming as count_naming_here;
use zenei_store::{Clock, Control, Layout, ParquetStore};
use zenei_wire::Name;

/// Runs `forget`.
///
/// # Errors
/// Where zenei runs here, something can't be read or written, ClickHouse does not answer, or rows of the lock are left.
pub(crate) fn run(arguments: &Forget, out: &mut Output<'_>) -> Result<(), Failure> {
    let device = arguments.device.as_str();
    Name::new(device).map_err(|error| Failure::Usage(format!("the device id '{}' {error}", escaped(device))))?;
    let loaded = config::load(&arguments.common.file.config, &config::variables()).map_err(Failure::Config)?;
    let contents = contents::read(&loaded).map_err(Failure::Config)?;
    let config = &loaded.config;
    let layout = Layout::new(&config.state_dir);
    let progress = Progress::spinner("sealing what waits in the spool");
    if layout.control().is_file() {
        seal_the_rest(config, contents.clone())?;
    }
    let lock = layout.lock().map_err(|error| Failure::broken("zenei must not run here meanwhile", error))?;
    let failed = |error: zenei_store::ControlError| Failure::broken("the control database can't be used", error);
    let mut control = Control::open(&layout.control()).map_err(failed)?;
    let now_ms = || Clock::System.now().ms();
    let txn = control.begin().map_err(failed)?;
    let number = txn.begin_erasure(device, now_ms()).map_err(failed)?;
    txn.commit().map_err(failed)?;
    let here = config.desk.enabled && tailing::source(config).is_none();
    let rules = contents.rules.clone();
    let (line, tail) = (pipeline_maker(here.then(|| rules.clone())), pipeline_maker(Some(rules)));
    progress.say("erasing here");
    let gone = forget(&layout, &mut control, device, &line, &tail, &lock);
    let gone = gone.map_err(|error| match error {
        ForgetError::Unsealed { .. } => Failure::Failed(error.to_string()),
        error @ (ForgetError::Control(_)
        | ForgetError::Spool(_)
        | ForgetError::Snapshot(_)
        | ForgetError::Restore(_)
        | ForgetError::Erase(_)
        | ForgetError::History(_)
        | ForgetError::Memory(_)) => Failure::broken(format!("{device} is not forgotten yet; run this again"), error),
    })?;
    let remote = config.store.clickhouse.as_ref();
    progress.say("erasing in ClickHouse, if there is one, and counting what is left");
    let remote = remote.map(|section| of_clickhouse(section, &mut control, device)).transpose()?;
    let left = left(&layout, &control, device)? + remote.as_ref().map_or(0, |remote| remote.left);
    if left > 0 {
        let what = format!("{left} rows still name {device}: something has written them meanwhile; run this again");
        return Err(Failure::Failed(what));
    }
    drop(progress);
    let counts = counts(&gone, remote.as_ref());
    let txn = control.begin().map_err(failed)?;
    txn.end_erasure(number, now_ms(), &counts.to_string()).map_err(failed)?;
    txn.commit().map_err(failed)?;
    if arguments.common.json {
        return out.json(&json!({"version": 1, "device_id": device, "erasure": number, "counts": counts}));
    }
    tell(device, number, &gone, remote.as_ref(), out)?;
    if contents.registry.lines.iter().any(|line| line.device_id == device) {
        let warning = out.paint(Colour::Yellow, "warn");
        out.line(format!("{warning}: the registry's file still has a line for {device}: take it out"))?;
    }
    Ok(())
}

/// How many rows ClickHouse had of a lock, and still has.
struct Remote {
    found: u64,
    left: u64,
}

/// Seals the messages that the last run left in the spool into rows, as the next run would: a lock can be removed from
/// rows only.
fn seal_the_rest(config: &Config, contents: Contents) -> Result<(), Failure> {
    let mut quiet = config.clone();
    (quiet.mqtt, quiet.ingress, quiet.ble) = (None, None, None);
    let runtime = runtime()?;
    let sealed = runtime.block_on(async {
        let (gateway, _) = start(&quiet, contents, Clock::System, AckPolicy::AfterDurable, Vec::new())?;
        let stopped = gateway.stop().await;
        stopped.map_err(|error| Failure::broken("what waits in the spool can't be sealed", error))
    });
    runtime.shutdown_background();
    sealed.map(drop)
}

fn of_clickhouse(section: &ClickHouse, control: &mut Control, device: &str) -> Result<Remote, Failure> {
    let (server, form) = (clickhouse::server(section)?, clickhouse::form(section, None)?);
    let failed = |trouble: ServerError| match trouble {
        trouble @ ServerError::Unknown { .. } => Failure::Unreachable(format!(
            "{device} is forgotten on this machine, but not in ClickHouse; run this again when it answers: {trouble}"
        )),
        trouble @ (ServerError::Refused { .. } | ServerError::Answer { .. }) => Failure::broken(
            format!("{device} is forgotten on this machine, but not in ClickHouse; run this again"),
            trouble,
        ),
    };
    let total = |found: std::collections::BTreeMap<&'static str, u64>| found.values().sum::<u64>();
    let found = total(count_naming(&server, &form, device).map_err(failed)?);
    erase(&server, &form, device).map_err(failed)?;
    let left = total(count_naming(&server, &form, device).map_err(failed)?);
    // Findings that were removed there are shipped again as they are here now, without the name.
    ship_findings_anew(control).map_err(|error| Failure::broken("the control database can't be used", error))?;
    Ok(Remote { found, left })
}

/// How many rows on this machine name a lock.
fn left(layout: &Layout, control: &Control, device: &str) -> Result<u64, Failure> {
    let store = ParquetStore::open_read_only(Arc::new(RealDisk), &layout.parquet());
    let stored = store.count(device).map_err(|error| Failure::broken("the store can't be counted", error))?;
    let named = control.count_naming(device);
    let named = named.map_err(|error| Failure::broken("the control database can't be counted", error))?;
    let history = count_naming_here(&layout.history(), device);
    let history = history.map_err(|error| Failure::broken("the history can't be counted", error))?;
    Ok(stored.records + stored.gaps + stored.dead_letters + named + history)
}

fn counts(gone: &Forgotten, remote: Option<&Remote>) -> Json {
    let Forgotten { stored, waiting, spool_segments, history, rows } = gone;
    json!({
        "records": stored.records, "gaps": stored.gaps, "dead_letters": stored.dead_letters, "waiting": waiting,
        "spool_segments": spool_segments, "history": history, "findings": rows, "clickhouse": remote.map(|remote| remote.found), "left": 0,
    })
}

fn tell(
    device: &str,
    number: u64,
    gone: &Forgotten,
    remote: Option<&Remote>,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let ok = out.paint(Colour::Green, "ok");
    let Forgotten { stored, waiting, rows, .. } = gone;
    let there = remote.map_or(String::new(), |remote| format!(", {} rows in ClickHouse", remote.found));
    out.line(format!(
        "{ok}: {device} is forgotten: {} records, {} gaps, {} dead letters, {waiting} waiting records and {rows} findings here{there}; counted again, \
         nothing names it; erasure {number} in the log",
        stored.records, stored.gaps, stored.dead_letters
    ))
}
