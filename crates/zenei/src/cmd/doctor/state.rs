//! The state directory: can it be written, is there room, are its files whole? The links of the incident log are
//! checked, so that a change by other means than zenei is found. Must not write but a temporary file. Called by
//! `doctor`.
use super::look::Look;
use crate::config::Config;
use crate::output::time;
use std::path::Path;
use std::sync::Arc;
use zenei_desk::causes;
use zenei_detect::Rules;
use zenei_store::disk::RealDisk;
use zenei_store::history::History;
use zenei_store::{Control, Layout, SpoolOptions, SpoolReader};
use zenei_wire::EngineTime;

/// Below this much free space, records of a day or more may not fit. A guess: a fleet of 10,000 locks sends some 300 MB
/// a day.
const ROOM_BYTES: u64 = 1 << 30;

/// A piece of the spool, which is reserved as a whole.
const SEGMENT_BYTES: u64 = SpoolOptions::SEGMENT_BYTES;

/// Everything about the state directory of a configuration.
pub(super) fn looks(config: &Config) -> Vec<Look> {
    let dir = &config.state_dir;
    let mut looks = vec![state_dir(dir), room(dir), spool(dir)];
    let path = Layout::new(dir).control();
    if !path.is_file() {
        return looks;
    }
    match Control::open_read_only(&path) {
        Ok(control) => looks.extend([log(&control, &path), ledger(&control), causes(&control)]),
        Err(error) => {
            let remedy = format!("keep a copy of {}, and put back the last backup", path.display());
            looks.push(Look::fail("log", format!("can't be read: {}", zenei_store::with_causes(&error)), remedy));
        }
    }
    looks.extend(history(dir));
    looks
}

/// Whether the incident log is what zenei wrote.
fn log(control: &Control, path: &Path) -> Look {
    let checked = control.check_log().and_then(|()| control.events());
    match checked {
        Ok(events) => Look::ok("log", format!("{} events of incidents, each linked to the one before", events.len())),
        Err(error) => {
            let remedy =
                format!("somebody or something else wrote to {}: keep a copy, and put back a backup", path.display());
            Look::fail("log", zenei_store::with_causes(&error), remedy)
        }
    }
}

/// Whether every record is accounted for.
fn ledger(control: &Control) -> Look {
    let what = "ledger";
    let ledger = match control.checkpoint() {
        Ok(checkpoint) => checkpoint.unwrap_or_default().ledger,
        Err(error) => return Look::fail(what, zenei_store::with_causes(&error), "put back the last backup"),
    };
    match ledger.balance() {
        Ok(()) => Look::ok(what, format!("{} records received, each accounted for", ledger.received_total())),
        Err(imbalance) => Look::fail(what, imbalance.to_string(), "report this: it is a fault of zenei"),
    }
}

/// Whether a shared cause takes more than one thing brings about, by the week before the last decision.
fn causes(control: &Control) -> Look {
    let what = "causes";
    let read = || {
        let latest = control.latest_decisions(1)?.first().map_or(EngineTime(0), |decision| decision.at);
        Rules::embedded().map_or_else(|_| Ok(Vec::new()), |rules| causes::doubted(control, &rules, latest))
    };
    match read() {
        Ok(doubts) if doubts.is_empty() => Look::ok(what, "no shared cause takes more than one thing brings about"),
        Ok(doubts) => {
            let whys: Vec<String> = doubts.into_iter().map(|doubt| doubt.why).collect();
            Look::warn(what, whys.join("; "), "look at the incidents of these causes, and judge those that are none")
        }
        Err(error) => {
            Look::warn(what, zenei_store::with_causes(&error), "look at the log: the decisions can't be read")
        }
    }
}

/// How far the history that page and API read has come; none where records go to ClickHouse.
fn history(dir: &Path) -> Option<Look> {
    let path = Layout::new(dir).history();
    if !path.is_file() {
        return None;
    }
    let remedy = format!("end zenei and remove {}: it is made anew from the Parquet store", path.display());
    Some(match History::local(&path).up_to_ms() {
        Ok(up_to) if up_to > 0 => Look::ok("history", format!("has everything up to {}", time(EngineTime(up_to)))),
        Ok(_) => Look::ok("history", "is empty yet"),
        Err(error) => Look::warn("history", zenei_store::with_causes(&error), remedy),
    })
}

fn state_dir(dir: &Path) -> Look {
    let existing = dir.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    let remedy = format!("give {} to the user that runs zenei, or choose another state_dir", existing.display());
    match tempfile::Builder::new().prefix(".zenei-doctor").tempfile_in(existing) {
        Ok(_) if existing == dir => Look::ok("state_dir", format!("{} can be written", dir.display())),
        Ok(_) => Look::ok("state_dir", format!("{} can be made", dir.display())),
        Err(error) => Look::fail("state_dir", format!("{} can't be written: {error}", existing.display()), remedy),
    }
}

fn room(dir: &Path) -> Look {
    let existing = dir.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(existing) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!("{} MiB free at {}", free >> 20, existing.display());
            let least = if free < SEGMENT_BYTES { SEGMENT_BYTES } else { ROOM_BYTES };
            let remedy = |what: &str| format!("make room: below {} MiB {what}", least >> 20);
            match free {
                0..SEGMENT_BYTES => Look::fail("room", found, remedy("not even a piece of the spool fits")),
                SEGMENT_BYTES..ROOM_BYTES => Look::warn("room", found, remedy("a day of records may not fit")),
                ROOM_BYTES.. => Look::ok("room", found),
            }
        }
        Err(error) => Look::warn("room", format!("can't be asked: {error}"), "look with `df`"),
    }
}

fn spool(dir: &Path) -> Look {
    let spool = Layout::new(dir).spool();
    if !spool.is_dir() {
        return Look::ok("spool", "none yet");
    }
    let end = SpoolReader::open(Arc::new(RealDisk), &spool).and_then(|reader| reader.durable_end());
    match end {
        Ok(end) => Look::ok("spool", format!("readable; {end} messages so far")),
        Err(error) => {
            let remedy = format!("keep a copy of {} and look at its files", spool.display());
            Look::fail("spool", format!("can't be read: {error}"), remedy)
        }
    }
}

/// How many sealed records are shipped to ClickHouse, and how many wait.
pub(super) fn shipping(dir: &Path) -> Look {
    let what = "shipping";
    let path = Layout::new(dir).control();
    if !path.is_file() {
        return Look::ok(what, "nothing is sealed yet");
    }
    let read = Control::open_read_only(&path).and_then(|control| {
        Ok((control.checkpoint()?.unwrap_or_default().ledger, zenei_store::clickhouse::shipped(&control)?))
    });
    let (mut ledger, shipped) = match read {
        Ok(read) => read,
        Err(error) => {
            let remedy = format!("keep a copy of {} and look at it", path.display());
            return Look::fail(what, format!("how far it has come can't be read: {error}"), remedy);
        }
    };
    ledger.count_shipped(shipped.records, shipped.refused);
    let (waiting, refused, damaged) = (ledger.ship_lag_records, shipped.refused, shipped.damaged_ranges);
    let found =
        format!("{} records shipped, {waiting} waiting, {refused} refused, {damaged} damaged ranges", shipped.records);
    match (refused, damaged) {
        (0, 0) => Look::ok(what, found),
        (_, 0) => Look::warn(what, found, "look at the dead letters with the reason refused_by_store"),
        (_, _) => Look::warn(what, found, "the log names the damaged files; they stay until somebody mends them"),
    }
}
