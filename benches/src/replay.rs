//! How many records a second of CPU time `zenei replay` processes, with every rule of the program on: from a recording,
//! and from the Parquet store of the same fleet. Both must lead to the same incidents. The figure is the one that
//! `zenei replay` reports in its summary.
use crate::cost::quantile;
use firmware_sim::Scenario;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use zenei_lab::kept::{Kept, keep};

/// The goals of the two ways, records per CPU-second.
const GOALS: [(&str, f64); 2] = [("recording", 400_000.0), ("store", 1_500_000.0)];

/// One way, measured.
#[derive(Clone, Debug)]
pub struct Way {
    /// `recording` or `store`.
    pub name: &'static str,
    /// Its goal, records per CPU-second.
    pub goal: f64,
    /// Records per CPU-second of each run.
    pub per_second: Vec<f64>,
    /// Records that each run read.
    pub records: u64,
    /// Fingerprint, scope, domain and locks of each incident, sorted: equal values are the same incident.
    pub incidents: Vec<String>,
}

/// Replays a simulated fleet `turns` times each way.
///
/// # Panics
/// Where a file can't be written or a replay fails.
pub fn measure(locks: usize, days: f64, turns: usize) -> [Way; 2] {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut scenario = Scenario::fleet().expect("the embedded scenario is good");
    (scenario.locks, scenario.days) = (locks, days);
    let kept = keep(&scenario, 1, folder.path()).expect("the fleet is kept");
    let froms = [&kept.recording, &kept.store];
    std::array::from_fn(|at| {
        let (name, goal) = GOALS[at];
        let mut way = Way { name, goal, per_second: Vec::new(), records: 0, incidents: Vec::new() };
        (0..turns).for_each(|_| replay(froms[at], &kept, &folder.path().join("out"), &mut way));
        way
    })
}

/// Prints a way.
pub fn print(way: &Way) {
    let (median, least, most) =
        (quantile(&way.per_second, 0.5), quantile(&way.per_second, 0.0), quantile(&way.per_second, 1.0));
    println!(
        "{:<10} {median:>9.0} records per CPU-second (median of {}, {least:.0} to {most:.0}; wanted {:.0}), {} records, {} incidents",
        way.name,
        way.per_second.len(),
        way.goal,
        way.records,
        way.incidents.len()
    );
}

fn replay(from: &Path, kept: &Kept, to: &Path, way: &mut Way) {
    let mut command = Command::new(zenei());
    command.arg("replay").arg(from).arg("--out").arg(to).arg("--registry").arg(&kept.registry);
    let ended = command.output().expect("zenei starts");
    assert!(ended.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&ended.stderr));
    let read = |name: &str| std::fs::read_to_string(to.join(name)).expect("replay writes its results");
    let summary: Value = serde_json::from_str(&read("summary.json")).expect("the summary is JSON");
    let same = |line: &str| {
        let incident: Value = serde_json::from_str(line).expect("an incident is JSON");
        ["fingerprint", "scope", "domain", "devices"].map(|field| incident[field].to_string()).join(" ")
    };
    way.incidents = read("incidents.ndjson").lines().map(same).collect();
    way.incidents.sort_unstable();
    way.records = summary["records"].as_u64().expect("records are counted");
    way.per_second.push(summary["events_per_second"].as_f64().expect("events are timed"));
}

/// The binary of the profile that this bench was built with.
pub(crate) fn zenei() -> PathBuf {
    let own = std::env::current_exe().expect("the bench knows its own path");
    // target/{profile}/deps/replay-…
    let profile = own.ancestors().nth(2).expect("the bench stands in a target folder");
    let path = profile.join("zenei");
    let build = if profile.ends_with("release") { "cargo build --release -p zenei" } else { "cargo build -p zenei" };
    assert!(path.is_file(), "{} is not built; build it with: {build}", path.display());
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_leads_to_the_incidents_of_the_recording() {
        let [recording, store] = measure(150, 25.0, 1);
        assert!(!recording.incidents.is_empty() && recording.records > 0);
        assert_eq!(store.incidents, recording.incidents);
    }
}
