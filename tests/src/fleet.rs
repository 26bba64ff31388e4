//! What a simulated fleet sent, and which faults it really had. Makes recordings with `firmware-sim` and reads them
//! back; also compares incidents and lists of records. Must not know any detector. Called by the end-to-end tests.
use crate::program::{lines, simulator, succeed, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use zenei_wire::recording::{Line, parse_line};
use zenei_wire::{Heading, Topic};

/// The identity of a record: lock, boot, number, and the lock's own time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) device: String,
    pub(crate) boot: Option<u32>,
    pub(crate) seq: Option<u32>,
    pub(crate) ts_ms: i64,
}

/// A recording of a fleet with its registry and its true faults.
pub(crate) struct Recording {
    pub(crate) path: PathBuf,
    pub(crate) registry: PathBuf,
    pub(crate) truth: PathBuf,
}

impl Recording {
    /// A month of the demo's fleet, in `folder` under `name`, with these further options of the simulator.
    pub(crate) fn make(folder: &Path, name: &str, seed: u64, options: &[&str]) -> Self {
        let file = |kind: &str| folder.join(format!("{name}.{kind}"));
        let (path, registry, truth) = (file("ndjson"), file("csv"), file("truth"));
        let mut command = simulator(["run", "--scenario", "demo", "--seed", &seed.to_string()]);
        command.arg("--record").arg(&path).arg("--registry").arg(&registry).arg("--truth").arg(&truth).args(options);
        succeed(&mut command);
        Self { path, registry, truth }
    }

    /// How often each record occurs in it.
    pub(crate) fn records(&self) -> BTreeMap<Key, u64> {
        let mut found = BTreeMap::new();
        for line in text(&self.path).lines() {
            let Ok(Line::Message { topic, payload, .. }) = parse_line(line) else { panic!("no message: {line}") };
            let Ok(Heading::Record(topic)) = Topic::parse(&topic) else { panic!("no record's topic: {line}") };
            for decoded in zenei_wire::decode(&topic, &payload).unwrap_or_else(|error| panic!("{error}: {line}")) {
                let record = decoded.record.unwrap_or_else(|error| panic!("{error}: {line}"));
                let (boot, seq, ts_ms) = (record.boot, record.seq, record.ts.ms());
                let key = Key { device: topic.device.as_str().to_owned(), boot, seq, ts_ms };
                *found.entry(key).or_default() += 1;
            }
        }
        assert!(!found.is_empty(), "{} is empty", self.path.display());
        found
    }

    /// Domain and scope of each real fault, harmless changes left out.
    pub(crate) fn faults(&self) -> BTreeSet<Cause> {
        let real: Vec<Value> =
            lines(&text(&self.truth)).into_iter().filter(|fault| fault["control"] == false).collect();
        assert!(!real.is_empty(), "no fault was seeded");
        real.iter().map(cause).collect()
    }
}

/// Domain, kind of scope, value of scope.
pub(crate) type Cause = (String, String, String);

/// The cause that an incident, or a seeded fault, names.
pub(crate) fn cause(about: &Value) -> Cause {
    (word(&about["domain"]), word(&about["scope"]["kind"]), word(&about["scope"]["value"]))
}

/// The fields by which incidents are compared: fingerprint, scope, domain, devices.
pub(crate) fn same_incidents(incidents: &[Value]) -> BTreeSet<String> {
    let key = |incident: &Value| {
        let fields = ["fingerprint", "scope", "domain", "devices"].map(|field| incident[field].to_string());
        fields.join(" ")
    };
    let found: BTreeSet<String> = incidents.iter().map(key).collect();
    assert_eq!(found.len(), incidents.len(), "two incidents about the same: {incidents:?}");
    found
}

/// How often each record occurs in the output of `record list --json`.
pub(crate) fn listed(printed: &str) -> BTreeMap<Key, u64> {
    let mut found = BTreeMap::new();
    for record in lines(printed) {
        let number = |field: &str| record[field].as_u64().and_then(|number| u32::try_from(number).ok());
        let ts_ms = record["ts"].as_i64().unwrap_or_else(|| panic!("ts is no integer: {record}"));
        let key = Key { device: word(&record["device_id"]), boot: number("boot"), seq: number("seq"), ts_ms };
        *found.entry(key).or_default() += 1;
    }
    found
}

/// How two sets of records differ, short enough to read; empty where they are equal.
pub(crate) fn difference(expected: &BTreeMap<Key, u64>, found: &BTreeMap<Key, u64>) -> String {
    let mut keys: BTreeSet<&Key> = expected.keys().collect();
    keys.extend(found.keys());
    let differs = |key: &&&Key| expected.get(key) != found.get(key);
    let different: Vec<&&Key> = keys.iter().filter(differs).collect();
    let shown = different
        .iter()
        .take(5)
        .map(|key| format!("{key:?}: {} times expected, {} times found", count(expected, key), count(found, key)));
    let shown: Vec<String> = shown.collect();
    if different.is_empty() {
        String::new()
    } else {
        format!("{} records differ: {}", different.len(), shown.join("; "))
    }
}

fn count(records: &BTreeMap<Key, u64>, key: &Key) -> u64 {
    records.get(key).copied().unwrap_or(0)
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
