//! `zenei replay`: runs a recording, the folder of a Parquet store, or the tables of ClickHouse through intake,
//! detection and desk in virtual time, and writes the resulting anomalies, incidents and decisions to a folder. It
//! resolves and closes no incident. Called by `cmd`.
mod tables;
mod usage;

use crate::cli::Replay;
use crate::config;
use crate::daemon::contents;
use crate::daemon::text::text;
use crate::exit::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::replay::{Course, PlayError, Recording};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use zenei_incident::{Inquiries, document};
use zenei_store::disk::RealDisk;
use zenei_store::{Layout, Numbering, ParquetStore};

/// Rows of a store that are taken in one step: few enough that they stay in the processor's cache from column to
/// detector. Measured: 128 to 512 are alike, more cost 3 %.
const STEP_ROWS: usize = 256;

/// The files that are written, by the interface contract.
const RESULTS: [&str; 4] = ["anomalies.ndjson", "incidents.ndjson", "decisions.ndjson", "summary.json"];

/// `summary.json`, by the interface contract.
#[derive(Debug, Serialize)]
struct Summary {
    records: u64,
    duplicates: u64,
    late: u64,
    /// Of these, records whose numbers were heard before with another kind or device time.
    reused: u64,
    /// New lives of locks: their numbers began anew.
    lives: u64,
    dead_letters: BTreeMap<&'static str, u64>,
    gaps: u64,
    locks: u64,
    anomalies: usize,
    incidents: usize,
    decisions: usize,
    /// Advertisements in the recording; each one is a record, a duplicate, a dead letter, or one of the next three.
    advertisements: u64,
    /// Old advertisements that were sent again.
    replayed: u64,
    /// Encrypted advertisements without a known bind key.
    no_key: u64,
    /// Advertisements of unregistered devices beyond the limit.
    strangers: u64,
    /// Records by CPU second.
    events_per_second: f64,
    /// Memory that came with the records, by lock.
    bytes_per_lock: Option<u64>,
    peak_rss_bytes: Option<u64>,
}

/// The usage before the first record, from which the cost of the records is computed.
struct Before {
    cpu_seconds: f64,
    rss_bytes: Option<u64>,
}

/// Runs `replay`.
///
/// # Errors
/// Where an input can't be read (with file and line) or a result can't be written.
pub(crate) fn run(arguments: &Replay, out: &mut Output<'_>) -> Result<(), Failure> {
    clear(arguments)?;
    let asked = arguments.clickhouse.then(|| config::load(&arguments.file.config, &config::variables()));
    let asked = asked.transpose().map_err(Failure::Config)?;
    let config = asked.as_ref().map(|loaded| &loaded.config);
    let rules = arguments.rules.as_deref().or(config.and_then(|config| config.detect.rules.as_deref()));
    let rules = contents::rules(rules).map_err(Failure::Rules)?;
    let file = arguments.registry.as_deref();
    let file = file.or(config.and_then(|config| config.registry.as_ref()).map(|registry| &*registry.file));
    let registry = contents::registry(file, None).map_err(Failure::Failed)?;
    let inquiries = arguments.inquiries.as_deref().map_or(Ok(Inquiries::default()), inquiries)?;
    let failed = |error| Failure::broken("the replay can't go on", error);
    let mut course = Course::new(rules, registry).map_err(failed)?;
    let before = Before { cpu_seconds: usage::cpu_seconds(), rss_bytes: usage::rss_bytes() };
    match (&asked, &arguments.from) {
        (Some(loaded), _) => tables::play(loaded, &mut course)?,
        (None, Some(from)) if from.is_dir() => store(from, &mut course)?,
        (None, Some(from)) => messages(from, &mut course)?,
        // The command line demands one of both.
        (None, None) => {}
    }
    course.end().map_err(failed)?;
    let summary = write(&course, &inquiries, &arguments.out, &before)?;
    tell(&summary, arguments, out)
}

/// Removes the results of an earlier replay, so that they are not mistaken for those of a replay that fails.
fn clear(arguments: &Replay) -> Result<(), Failure> {
    let from = arguments.from.as_ref().and_then(|from| std::fs::canonicalize(from).ok());
    for name in RESULTS {
        let path = arguments.out.join(name);
        if from.is_some() && std::fs::canonicalize(&path).ok() == from {
            let what = format!("{} is what is replayed, and would be written over", path.display());
            return Err(Failure::Failed(what));
        }
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::broken(format!("can't take away {}", path.display()), error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn inquiries(path: &Path) -> Result<Inquiries, Failure> {
    let found = Inquiries::parse(&text(path).map_err(Failure::Failed)?);
    for refused in found.refused() {
        tracing::warn!(file = %path.display(), line = refused.line, reason = refused.reason, "inquiry left out");
    }
    Ok(found)
}

/// Plays a recording.
fn messages(path: &Path, course: &mut Course) -> Result<(), Failure> {
    let length = std::fs::metadata(path).map_or(0, |file| file.len());
    let progress = Progress::bytes("replaying", length);
    let mut recording = Recording::open_watched(path, &progress).map_err(Failure::Failed)?;
    let played = recording.play(course).map_err(|error| match error {
        PlayError::Recording(what) => Failure::Failed(what),
        PlayError::Course(error) => Failure::broken("the replay can't go on", error),
    });
    played.map(|_start| ())
}

/// Plays a store's folder, or that of the state directory around it.
fn store(path: &Path, course: &mut Course) -> Result<(), Failure> {
    let folders = [path.to_path_buf(), Layout::new(path).parquet()];
    let Some(folder) = folders.iter().find(|folder| folder.join("records").is_dir()) else {
        let what = format!(
            "{} is no Parquet store: it has no folder `records`, nor has {}",
            path.display(),
            folders[1].display()
        );
        return Err(Failure::Failed(what));
    };
    let unread = |error| Failure::broken("the store can't be read", error);
    let store = ParquetStore::open_read_only(Arc::new(RealDisk), folder);
    let broken = |error| Failure::broken("the replay can't go on", error);
    let mut numbering = Numbering::default();
    let mut letters = store.dead_letters(None).map_err(unread)?;
    let _progress = Progress::spinner("replaying the store");
    for batch in store.batches_to_detect(None).map_err(unread)? {
        let batch = batch.map_err(unread)?;
        let mut stored = batch.rows(&mut numbering);
        while let Some(latest) = stored.step(STEP_ROWS) {
            while let Some(letter) = letters.next_up_to(latest) {
                course.dead_letter(&letter.map_err(unread)?);
            }
            course.rows(&mut stored).map_err(broken)?;
        }
    }
    // Dead letters received after the last record.
    let mut until = None;
    for letter in letters {
        let letter = letter.map_err(unread)?;
        course.dead_letter(&letter);
        until = until.max(Some(letter.heard_at));
    }
    course.take(&[], until).map_err(broken)
}

fn write(course: &Course, inquiries: &Inquiries, to: &Path, before: &Before) -> Result<Summary, Failure> {
    let unwritten = |error: std::io::Error| Failure::broken(format!("can't write to {}", to.display()), error);
    std::fs::create_dir_all(to).map_err(unwritten)?;
    let failed = |error| Failure::broken("the replay can't be read back", error);
    let control = course.desk().control();
    let anomalies = control.anomalies().map_err(failed)?;
    let decisions = control.decisions().map_err(failed)?;
    let book = course.desk().incidents();
    let book = book.read();
    let mut incidents: Vec<_> = book.incidents().collect();
    incidents.sort_by_key(|incident| (incident.opened, incident.id));
    let [anomalies_file, incidents_file, decisions_file, summary_file] = RESULTS.map(|name| to.join(name));
    lines(&anomalies_file, anomalies.iter().map(document::anomaly_line))?;
    lines(&incidents_file, incidents.iter().map(|incident| document::incident_line(incident, inquiries)))?;
    lines(&decisions_file, decisions.iter().map(document::decision_line))?;
    let counts = course.counts();
    let locks = course.locks();
    let cpu_seconds = usage::cpu_seconds() - before.cpu_seconds;
    let peak_rss_bytes = usage::peak_rss_bytes();
    let grown = peak_rss_bytes.zip(before.rss_bytes).map(|(peak, start)| peak.saturating_sub(start));
    let summary = Summary {
        records: counts.records,
        duplicates: counts.duplicates,
        late: counts.late,
        reused: counts.reused,
        lives: counts.lives,
        dead_letters: counts.dead_letters.iter().map(|(reason, &count)| (reason.as_str(), count)).collect(),
        gaps: course.gaps(),
        locks,
        anomalies: anomalies.len(),
        incidents: incidents.len(),
        decisions: decisions.len(),
        advertisements: counts.advertisements,
        replayed: counts.replayed,
        no_key: counts.no_key,
        strangers: counts.strangers,
        events_per_second: if cpu_seconds > 0.0 { (counts.records as f64 / cpu_seconds).round() } else { 0.0 },
        bytes_per_lock: grown.and_then(|bytes| bytes.checked_div(locks)),
        peak_rss_bytes,
    };
    let text =
        serde_json::to_string_pretty(&summary).map_err(|error| Failure::broken("can't write the summary", error))?;
    std::fs::write(summary_file, format!("{text}\n")).map_err(unwritten)?;
    Ok(summary)
}

fn lines(path: &Path, lines: impl Iterator<Item = Result<String, serde_json::Error>>) -> Result<(), Failure> {
    let written = || -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for line in lines {
            writeln!(file, "{}", line?)?;
        }
        file.flush()
    };
    written().map_err(|error| Failure::broken(format!("can't write {}", path.display()), error))
}

fn tell(summary: &Summary, arguments: &Replay, out: &mut Output<'_>) -> Result<(), Failure> {
    if arguments.json {
        return out.json(summary);
    }
    let dead: u64 = summary.dead_letters.values().sum();
    out.line(format!(
        "{} records of {} locks ({} duplicates, {} late, {dead} dead letters, {} missing): {} anomalies, {} incidents, {} decisions not to open",
        summary.records, summary.locks, summary.duplicates, summary.late, summary.gaps, summary.anomalies, summary.incidents,
        summary.decisions
    ))?;
    if summary.advertisements > 0 {
        out.line(format!(
            "{} of them advertisements; {} were old ones sent again, {} encrypted with an unknown key",
            summary.advertisements, summary.replayed, summary.no_key
        ))?;
    }
    out.line(format!("written to {}", arguments.out.display()))
}
