//! Tests that the same recording gives the same results, to the byte, and that a network that duplicates and shuffles
//! messages does not change the incidents.
use crate::fleet::{Recording, same_incidents};
use crate::program::{lines, run, succeed, text, zenei};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The files of one replay.
struct Replayed {
    out: PathBuf,
    summary: Value,
}

/// The files that are the same for the same recording, to the byte.
const SAME_BYTES: [&str; 3] = ["anomalies.ndjson", "incidents.ndjson", "decisions.ndjson"];
/// The fields that differ between two replays: figures of time and memory.
const FIGURES: [&str; 3] = ["events_per_second", "peak_rss_bytes", "bytes_per_lock"];

impl Replayed {
    fn new(recording: &Recording, out: &Path) -> Self {
        let mut command = zenei(["replay"]);
        command.arg(&recording.path).arg("--out").arg(out).arg("--registry").arg(&recording.registry);
        succeed(&mut command);
        let summary = text(&out.join("summary.json"));
        Self { out: out.to_owned(), summary: serde_json::from_str(&summary).expect("the summary is JSON") }
    }

    fn file(&self, name: &str) -> String {
        text(&self.out.join(name))
    }

    fn incidents(&self) -> Vec<Value> {
        lines(&self.file("incidents.ndjson"))
    }

    fn count(&self, field: &str) -> u64 {
        self.summary[field].as_u64().unwrap_or_else(|| panic!("no {field} in {}", self.summary))
    }

    fn without_figures(&self) -> Value {
        let mut summary = self.summary.clone();
        let fields = summary.as_object_mut().expect("the summary is an object");
        FIGURES.iter().for_each(|figure| drop(fields.remove(*figure)));
        summary
    }
}

#[test]
fn the_same_recording_gives_the_same_bytes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::make(folder.path(), "clean", 3, &[]);
    let [first, second] = ["first", "second"].map(|name| Replayed::new(&recording, &folder.path().join(name)));
    for name in SAME_BYTES {
        assert!(first.file(name) == second.file(name), "{name} differs");
    }
    assert!(!first.incidents().is_empty() && !first.file("anomalies.ndjson").is_empty(), "nothing was found at all");
    assert_eq!(first.without_figures(), second.without_figures());
}

#[test]
fn a_packed_recording_gives_the_same_bytes_as_a_plain_one() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Recording::make(folder.path(), "plain", 5, &["--days", "12"]);
    let packed_path = folder.path().join("packed.ndjson.gz");
    let mut make = crate::program::simulator(["run", "--scenario", "demo", "--seed", "5", "--days", "12"]);
    succeed(make.arg("--record").arg(&packed_path));
    let plain_result = Replayed::new(&plain, &folder.path().join("a"));
    let packed = Recording { path: packed_path, ..plain };
    let packed_result = Replayed::new(&packed, &folder.path().join("b"));
    for name in SAME_BYTES {
        assert!(plain_result.file(name) == packed_result.file(name), "{name} differs");
    }
    assert_eq!(plain_result.without_figures(), packed_result.without_figures());
}

#[test]
fn duplicates_and_disorder_within_a_minute_give_the_same_incidents() {
    let folder = tempfile::tempdir().unwrap();
    let clean = Recording::make(folder.path(), "clean", 2, &[]);
    let rough = Recording::make(folder.path(), "rough", 2, &["--duplicate-share", "0.1", "--shuffle-s", "60"]);
    let (messages, rough_messages) = (text(&clean.path).lines().count(), text(&rough.path).lines().count());
    assert!(rough_messages > messages + messages / 20, "{messages} became {rough_messages}: hardly a duplicate");
    let [undisturbed, disturbed] =
        [("a", &clean), ("b", &rough)].map(|(name, recording)| Replayed::new(recording, &folder.path().join(name)));
    assert_eq!(same_incidents(&undisturbed.incidents()), same_incidents(&disturbed.incidents()));
    assert!(!undisturbed.incidents().is_empty(), "nothing was found at all");
    assert_eq!((undisturbed.count("late"), disturbed.count("late")), (0, 0));
    assert_eq!((undisturbed.count("gaps"), disturbed.count("gaps")), (0, 0));
    assert_eq!(undisturbed.count("duplicates"), 0);
    assert_eq!(undisturbed.count("records"), disturbed.count("records") - disturbed.count("duplicates"));
    assert_eq!(undisturbed.count("locks"), 500);
}

#[test]
fn disorder_over_an_hour_is_counted_as_late() {
    let folder = tempfile::tempdir().unwrap();
    let wild = Recording::make(folder.path(), "wild", 2, &["--days", "6", "--shuffle-s", "3600"]);
    let replayed = Replayed::new(&wild, &folder.path().join("out"));
    assert!(replayed.count("late") > 0, "the negative control of the test above: {}", replayed.summary);
}

#[test]
fn a_line_that_is_none_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.ndjson");
    std::fs::write(&path, "{\"topic\":\"bitlock/v1/s/d/state\",\"recv_ms\":1,\"payload\":{\"ts\":1}}\nno line\n")
        .unwrap();
    let ended = run(zenei(["replay"]).arg(&path).arg("--out").arg(folder.path().join("out")));
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("broken.ndjson:2"), "{}", ended.stderr);
}
