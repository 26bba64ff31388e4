//! `zenei tap` beside a daemon: what it writes is what was published, and a replay takes it.
use crate::support::{Daemon, Folder, fleet, zenei};
use firmware_sim::publish::Publisher;
use serde_json::Value as Json;
use zenei_wire::recording::{Line, parse_line};

const CONFIG: &str = "state_dir = 'state'\n[ingress]\nlisten = '127.0.0.1:0'\n";

/// Topic and payload of each message of a recording.
fn messages(recording: &str) -> Vec<(String, Vec<u8>)> {
    let message = |line| match parse_line(line).unwrap() {
        Line::Message { topic, payload, .. } => (topic.into_owned(), payload.into_owned()),
        Line::Advertisement { .. } => panic!("nothing was advertised: {line}"),
    };
    recording.lines().map(message).collect()
}

fn replayed(folder: &Folder, recording: &str) -> Json {
    let ended = zenei(&["replay", recording, "--out", "out", "--json"]).in_folder(folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn a_tap_writes_what_was_published_since_it_began_and_a_replay_takes_it() {
    let folder = Folder::new();
    let mut fleet = fleet(6, 2.0, 11);
    folder.write("zenei.toml", CONFIG);
    let mut all = Vec::new();
    fleet.advance(fleet.end_ms(), &mut all);
    let (before, after) = all.split_at(all.len() / 4);
    let daemon = Daemon::start(&folder, &["run", "--simulated-time"]);
    Publisher::connect(daemon.ingress(), "before").unwrap().publish_all(before).unwrap();
    let mut plain = zenei(&["tap", "--out", "tap.ndjson"]).in_folder(&folder).lines();
    let mut packed = zenei(&["tap", "--out", "tap.ndjson.gz"]).in_folder(&folder).lines();
    assert!(plain.next().ends_with("into tap.ndjson; Ctrl-C ends it"));
    packed.next();
    Publisher::connect(daemon.ingress(), "after").unwrap().publish_all(after).unwrap();
    // What was acknowledged before a tap is asked to end is in its recording.
    assert_eq!((plain.end(), packed.end()), (0, 0));
    let wanted: Vec<(String, Vec<u8>)> =
        after.iter().map(|message| (message.topic.clone(), message.payload.clone())).collect();
    assert_eq!(messages(&folder.read("tap.ndjson")), wanted);
    let summary = replayed(&folder, "tap.ndjson");
    assert_eq!((summary["records"].as_u64(), summary["duplicates"].as_u64()), (Some(after.len() as u64), Some(0)));
    let packed = replayed(&folder, "tap.ndjson.gz");
    for count in ["records", "locks", "gaps", "late", "dead_letters", "anomalies"] {
        assert_eq!(packed[count], summary[count], "{count}");
    }
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_tap_with_a_filter_leaves_out_and_counts_what_the_filter_does_not_match() {
    let folder = Folder::new();
    folder.write("zenei.toml", CONFIG);
    let mut fleet = fleet(6, 1.0, 12);
    let mut all = Vec::new();
    fleet.advance(fleet.end_ms(), &mut all);
    let daemon = Daemon::start(&folder, &["run", "--simulated-time"]);
    Publisher::connect(daemon.ingress(), "test").unwrap().publish_all(&all).unwrap();
    daemon.kill();
    let arguments =
        ["tap", "--out", "ops.ndjson", "--backlog", "--seconds", "1", "--topic", "bitlock/v1/+/+/op", "--json"];
    let ended = zenei(&arguments).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let told: Json = serde_json::from_str(&ended.stdout).unwrap();
    let wanted = all.iter().filter(|message| message.topic.ends_with("/op")).count() as u64;
    assert!(wanted > 0 && wanted < all.len() as u64);
    assert_eq!(told["messages"].as_u64(), Some(wanted));
    assert_eq!(told["messages"].as_u64().unwrap() + told["left_out"].as_u64().unwrap(), all.len() as u64);
    let text = folder.read("ops.ndjson");
    assert_eq!(messages(&text).len() as u64, wanted);
    let piped = zenei(&["tap", "--out", "-", "--backlog", "--seconds", "1"]).in_folder(&folder).into_closed_pipe();
    assert_eq!(piped.code, 0, "{}", piped.stderr);
}

#[test]
fn a_tap_without_a_state_directory_or_with_no_filter_says_so() {
    let folder = Folder::new();
    folder.write("zenei.toml", CONFIG);
    let ended = zenei(&["tap", "--out", "x"]).in_folder(&folder).run();
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("no zenei has run with this state_dir yet"), "{}", ended.stderr);
    assert!(!folder.path().join("x").exists());
    let ended = zenei(&["tap", "--out", "x", "--topic", "a/#/b"]).in_folder(&folder).run();
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("# before the last level"), "{}", ended.stderr);
}
