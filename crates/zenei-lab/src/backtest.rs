//! `backtest`: which incidents given rules would have opened on records that a store kept, how many of them were right,
//! how early, and how many a day. The known faults are the true faults of a simulated fleet, or customers' inquiries;
//! without any, only the counts are given. Called by the lab's command line.
mod frames;
mod labels;
mod plot;

use crate::cli::Backtest;
use crate::course::Course;
use crate::error::LabError;
use crate::fleet;
use crate::table::table;
use frames::{HeardDays, OfDay, OfLabel, OfRule};
use labels::KnownFaults;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zenei_detect::{Heard, Portion, Unreadable};
use zenei_store::clickhouse::{Server, ServerAddress, Timeouts, each_heard};
use zenei_store::disk::RealDisk;
use zenei_store::schema::{Form, Retention};
use zenei_store::{Layout, ParquetStore, Registration, registry};
use zenei_wire::{GatewayTime, Kind};

const DAY_MS: i64 = 86_400_000;

/// The result of a backtest.
#[derive(Debug, serde::Serialize)]
struct Backtested {
    records: u64,
    device_days: usize,
    incidents: usize,
    by_rule: Vec<OfRule>,
    by_label: Vec<OfLabel>,
    by_day: Vec<OfDay>,
}

/// Runs `backtest`.
///
/// # Errors
/// Where store, labels or rules can't be read, or a result can't be written.
pub fn run(arguments: &Backtest, out: &mut impl Write) -> Result<(), LabError> {
    let rules = fleet::rules(arguments.rules.as_deref())?;
    let labels = KnownFaults::read(arguments.truth.as_deref(), arguments.inquiries.as_deref())?;
    let registrations = arguments.registry.as_deref().map_or(Ok(Vec::new()), registrations)?;
    let mut course = Course::new(&rules, &registrations);
    let mut heard_days = HeardDays::default();
    match url(&arguments.store) {
        Some(url) => tables(url, arguments, &mut course, &mut heard_days)?,
        None => replay(&folder(&arguments.store)?, &mut course, &mut heard_days)?,
    }
    let opened = course.opened();
    let (judged, sought) = labels.judge(&opened);
    let found = Backtested {
        records: course.cost().records,
        device_days: heard_days.device_days()?,
        incidents: opened.len(),
        by_rule: frames::by_rule(&judged)?,
        by_label: frames::by_label(&sought)?,
        by_day: frames::by_day(&judged)?,
    };
    write_files(&found, &arguments.out).map_err(|error| LabError::unwritten(&arguments.out, error))?;
    if arguments.json {
        let text = serde_json::to_string(&found).map_err(|error| LabError::failed("the result has no JSON", error))?;
        writeln!(out, "{text}")?;
        return Ok(());
    }
    tell(&found, out)?;
    writeln!(out, "\nincidents_a_day.svg, incidents_a_day.csv and backtest.json are in {}", arguments.out.display())?;
    Ok(())
}

/// The URL, where the store is named by one.
fn url(named: &Path) -> Option<&str> {
    named.to_str().filter(|text| text.starts_with("http://") || text.starts_with("https://"))
}

/// The folder of the store: the one named, or the one within a state directory.
fn folder(named: &Path) -> Result<PathBuf, LabError> {
    let folders = [named.to_path_buf(), Layout::new(named).parquet()];
    let has_records = |folder: &&PathBuf| folder.join("records").is_dir();
    folders.iter().find(has_records).cloned().ok_or_else(|| {
        let what = "is no Parquet store: it has no folder `records`, nor has";
        LabError::Usage(format!("{} {what} {}", named.display(), folders[1].display()))
    })
}

fn registrations(path: &Path) -> Result<Vec<Registration>, LabError> {
    let file = File::open(path).map_err(|error| LabError::unread(path, error))?;
    registry::read(file).map_err(|error| LabError::failed(format!("{} can't be read", path.display()), error))
}

/// Everything that the store holds, in the order of release, through the course.
fn replay(folder: &Path, course: &mut Course, heard_days: &mut HeardDays) -> Result<(), LabError> {
    let unread = |error| LabError::failed("the store can't be read", error);
    let store = ParquetStore::open_read_only(Arc::new(RealDisk), folder);
    let mut letters = store.dead_letters(None).map_err(unread)?;
    for batch in store.batches(None).map_err(unread)? {
        let batch = batch.map_err(unread)?;
        let mut unreadable = Vec::new();
        while let Some(letter) = batch.heard_last().and_then(|latest| letters.next_up_to(latest)) {
            unreadable.extend(letter.map_err(unread)?.unreadable());
        }
        let heard: Vec<Heard<'_>> =
            (0..batch.len()).map(|at| batch.heard(at)).collect::<Result<_, _>>().map_err(unread)?;
        take(Portion { heard: &heard, unreadable: &unreadable, until: None }, course, heard_days)?;
    }
    let (mut unreadable, mut until) = (Vec::new(), None);
    for letter in letters {
        let letter = letter.map_err(unread)?;
        unreadable.extend(letter.unreadable());
        until = until.max(Some(letter.heard_at));
    }
    take(Portion { heard: &[], unreadable: &unreadable, until }, course, heard_days)?;
    course.end(|_| {})
}

/// Everything that a ClickHouse holds, in the order of receipt over all gateways, through the course.
fn tables(url: &str, arguments: &Backtest, course: &mut Course, heard_days: &mut HeardDays) -> Result<(), LabError> {
    let secret = |path: &PathBuf| fs::read_to_string(path).map_err(|error| LabError::unread(path, error));
    let password = arguments.password_file.as_ref().map(secret).transpose()?.unwrap_or_default();
    let (url, user, password) = (url.to_owned(), arguments.user.clone(), password.trim_end().to_owned());
    let server = Server::new(&ServerAddress { url, user, password }, Timeouts::default())
        .map_err(|error| LabError::failed("can't prepare to ask ClickHouse", error))?;
    let form = Form::new(&arguments.database, None, Retention::default())
        .map_err(|error| LabError::Usage(error.to_string()))?;
    let mut failed = None;
    each_heard(&server, &form, GatewayTime(i64::MIN), GatewayTime(i64::MAX), &mut |letters, batch| {
        if failed.is_some() {
            return Ok(());
        }
        let heard: Vec<Heard<'_>> = match batch {
            Some(batch) => (0..batch.len()).map(|at| batch.heard(at)).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let until = letters.last().map(|letter: &Unreadable| letter.heard_at);
        failed = take(Portion { heard: &heard, unreadable: letters, until }, course, heard_days).err();
        Ok(())
    })
    .map_err(|error| LabError::failed("the records of ClickHouse can't be read", error))?;
    if let Some(error) = failed {
        return Err(error);
    }
    course.end(|_| {})
}

fn take(portion: Portion<'_>, course: &mut Course, heard_days: &mut HeardDays) -> Result<(), LabError> {
    course.take(portion, |_| {})?;
    let locks = || portion.heard.iter().filter(|heard| heard.record.body.kind() != Kind::Gateway);
    let days = locks().map(|heard| heard.heard_at.ms().div_euclid(DAY_MS) as i32).collect();
    heard_days.add(days, locks().map(|heard| heard.device.as_str().to_owned()).collect())
}

fn write_files(found: &Backtested, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("backtest.json"), format!("{}\n", serde_json::to_string_pretty(found)?))?;
    fs::write(folder.join("incidents_a_day.svg"), plot::incidents_a_day(&found.by_day, "incidents a day by rule"))?;
    let mut csv = String::from("day,rule,incidents\n");
    found.by_day.iter().for_each(|of| csv.push_str(&format!("{},{},{}\n", plot::date(of.day), of.rule, of.incidents)));
    fs::write(folder.join("incidents_a_day.csv"), csv)
}

fn tell(found: &Backtested, out: &mut impl Write) -> io::Result<()> {
    let years = found.device_days as f64 / 365.25;
    writeln!(out, "{} records, {:.1} device-years heard, {} incidents", found.records, years, found.incidents)?;
    let days =
        found.by_day.first().zip(found.by_day.last()).map_or(1.0, |(first, last)| f64::from(last.day - first.day + 1));
    let share = |of: Option<u32>, all: u32| {
        of.map_or_else(|| "-".to_owned(), |of| format!("{:.2}", f64::from(of) / f64::from(all.max(1))))
    };
    let lead = |lead: Option<f64>| lead.map_or_else(|| "-".to_owned(), |lead| format!("{lead:.1}"));
    let row = |of: &OfRule| {
        vec![
            of.rule.clone(),
            of.incidents.to_string(),
            format!("{:.3}", f64::from(of.incidents) / days),
            format!("{:.5}", f64::from(of.incidents) / years.max(f64::MIN_POSITIVE)),
            share(of.confirmed, of.incidents),
            lead(of.lead_d),
        ]
    };
    let head = ["rule", "incidents", "a day", "per device-year", "precision", "lead d"];
    let rows: Vec<Vec<String>> = found.by_rule.iter().map(row).collect();
    table(&head, &rows).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    if found.by_label.is_empty() {
        return Ok(());
    }
    let row = |of: &OfLabel| {
        vec![
            of.what.clone(),
            of.labels.to_string(),
            format!("{} ({})", of.found, share(Some(of.found), of.labels)),
            format!("{}/{}", of.before_customer, of.with_customer),
            lead(of.lead_d),
        ]
    };
    let head = ["label", "n", "found (recall)", "before customer", "lead d"];
    let rows: Vec<Vec<String>> = found.by_label.iter().map(row).collect();
    writeln!(out)?;
    table(&head, &rows).iter().try_for_each(|line| writeln!(out, "{line}"))
}

#[cfg(test)]
#[path = "backtest/whole_tests.rs"]
mod tests;
