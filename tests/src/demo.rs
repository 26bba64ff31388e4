//! Tests that `zenei demo` keeps its promise, for more than one seed, and that the interactive demo ends on request.
//! `ZENEI_DEMO_SEEDS=1-60` tries more seeds.
use crate::daemon::{Daemon, address_in};
use crate::metrics::Metrics;
use crate::program::{lines, run_within, zenei};
use rustix::process::Signal;
use std::time::Duration;

/// How long the demo of one seed may take.
const ONCE_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take to end on request.
const END_WITHIN: Duration = Duration::from_secs(10);
/// The default seeds: half a minute of them.
const SEEDS: (u64, u64) = (1, 20);

/// `1-10`, or one number.
fn seeds(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

#[test]
fn the_demo_finds_what_was_seeded_and_nothing_else() {
    let asked = std::env::var("ZENEI_DEMO_SEEDS").ok();
    let (first, last) = asked.map_or(SEEDS, |text| seeds(&text).unwrap_or_else(|| panic!("{text} names no seeds")));
    let mut failed = Vec::new();
    for seed in first..=last {
        let ended = run_within(&mut zenei(["demo", "--once", "--json", "--seed", &seed.to_string()]), ONCE_WITHIN);
        let said = lines(&ended.stdout);
        let result = said.iter().find_map(|line| line.get("result"));
        if ended.code != 0 {
            failed.push(format!("seed {seed} ended with {}: {} {result:?}", ended.code, ended.stderr));
            continue;
        }
        let result = result.unwrap_or_else(|| panic!("no result: {}", ended.stdout));
        let opened = said.iter().filter(|line| line.get("opened").is_some()).count();
        let faults = result["faults"].as_array().unwrap_or_else(|| panic!("no faults: {result}"));
        assert_eq!((faults.len(), opened), (3, 3), "{result}");
        let told = result["told"].as_array().unwrap_or_else(|| panic!("nobody is told: {result}"));
        let is_told = |one: &&serde_json::Value| one["slack"].is_object() && one["waroom"]["status"] == "detected";
        assert_eq!(told.iter().filter(is_told).count(), 3, "{result}");
        println!("seed {seed}: {} records in {} s", result["records"], result["seconds"]);
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_demo_to_watch_serves_metrics_and_ends_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Daemon::spawn(&mut zenei(["demo"]), &folder.path().join("log"));
    let line = demo.line("http://");
    // One simulated day has passed by then, so that there are records to count.
    demo.line("day  1");
    Metrics::get(address_in(&line, "http://")).assert_adds_up();
    assert_eq!(demo.end_within(Signal::INT, END_WITHIN), Some(0));
}

#[test]
fn seeds_are_read_from_text() {
    assert_eq!(seeds("1-10"), Some((1, 10)));
    assert_eq!(seeds("7"), Some((7, 7)));
    assert_eq!(seeds("x"), None);
}
