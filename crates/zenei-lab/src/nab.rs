//! `bench nab`: the core of the detector `stream` on the Numenta Anomaly Benchmark. Scores every row online, and prints
//! the published measure and, by cross-validation, how well the choice of parameters generalises. Called by the lab's
//! command line.
//!
//! Only this module knows the benchmark: the core receives one value after another, and `zenei-detect` must not know
//! the benchmark.
pub mod corpus;
pub mod folds;
pub mod score;

use crate::cli::Nab;
use crate::cpu::timed;
use crate::error::LabError;
use corpus::Series;
use score::{PROFILES, normalized};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use zenei_detect::estimate::stream::{Alarm, Stream, Tuning};

/// Runs `bench nab`.
///
/// # Errors
/// Where an input can't be read or a result can't be written.
pub fn bench(arguments: &Nab, out: &mut impl Write) -> Result<(), LabError> {
    let files = corpus::read(&arguments.data, &arguments.labels, &arguments.files)?;
    if files.is_empty() {
        return Err(LabError::Usage(format!("{} lists no file", arguments.files.display())));
    }
    let mut seconds = 0.0;
    let scores: Vec<Vec<f64>> = files.iter().map(|file| scored(file, &Tuning::default(), &mut seconds)).collect();
    write_scores(&files, &scores, &arguments.out).map_err(|error| LabError::unwritten(&arguments.out, error))?;
    let rows: usize = scores.iter().map(Vec::len).sum();
    let windows: usize = files.iter().map(|file| file.worth.windows()).sum();
    writeln!(out, "{} files, {rows} rows, {windows} windows", files.len())?;
    for (profile, score) in PROFILES.iter().zip(scores_by_profile(&files, &scores, arguments.threshold)) {
        writeln!(out, "{:<8}  {score:.2}", profile.name)?;
    }
    let bytes = size_of::<Stream>();
    writeln!(out, "{:.0} ns a row (CPU), {bytes} bytes a stream", seconds * 1e9 / rows as f64)?;
    if arguments.folds > 0 {
        let validated = folds::validate(&files, &folds::candidates(), arguments.folds);
        writeln!(out, "\nnumbers chosen on the other folds:")?;
        validated.table.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        let held: Vec<String> = PROFILES
            .iter()
            .zip(validated.held_out)
            .map(|(profile, score)| format!("{} {score:.2}", profile.name))
            .collect();
        writeln!(out, "cross-validated: {}", held.join(", "))?;
    }
    Ok(())
}

/// The scores of a file's rows; adds the CPU seconds they took.
fn scored(file: &Series, tuning: &Tuning, seconds: &mut f64) -> Vec<f64> {
    timed(seconds, || {
        let (mut stream, mut alarm) = (Stream::new(tuning), Alarm::new(tuning.threshold, tuning.rest));
        let rows = file.values.iter().zip(&file.at_ms);
        rows.map(|(&value, &at_ms)| alarm.score(stream.add(value, at_ms))).collect()
    })
}

fn scores_by_profile(files: &[Series], scores: &[Vec<f64>], threshold: f64) -> [f64; PROFILES.len()] {
    let windows = files.iter().map(|file| file.worth.windows()).sum();
    PROFILES.map(|profile| {
        let raw = files.iter().zip(scores).map(|(file, scores)| {
            let alarms = scores.iter().enumerate().filter(|(_, score)| **score >= threshold).map(|(at, _)| at);
            file.worth.raw(alarms, &profile)
        });
        normalized(raw.sum(), windows, &profile)
    })
}

fn write_scores(files: &[Series], scores: &[Vec<f64>], path: &Path) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    writeln!(out, "file,timestamp,score")?;
    for (file, scores) in files.iter().zip(scores) {
        for (stamp, score) in file.stamps.iter().zip(scores) {
            writeln!(out, "{},{stamp},{score}", file.name)?;
        }
    }
    out.flush()
}

#[cfg(test)]
#[path = "nab/published_tests.rs"]
mod tests;
