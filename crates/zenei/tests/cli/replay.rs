//! `zenei replay`: recordings of a simulated fleet, whole and broken.
use crate::support::{Folder, recording, zenei};
use expect_test::expect;
use serde_json::Value as Json;
use std::io::Write as _;

fn summary(folder: &Folder, out: &str) -> Json {
    let mut summary: Json = serde_json::from_str(&folder.read(&format!("{out}/summary.json"))).unwrap();
    let fields = summary.as_object_mut().unwrap();
    for figure in ["events_per_second", "bytes_per_lock", "peak_rss_bytes"] {
        assert!(fields.remove(figure).is_some_and(|value| value.is_number()), "{figure}");
    }
    summary
}

fn replay(folder: &Folder, from: &str, out: &str) {
    let ended = zenei(&["replay", from, "--out", out, "--registry", "locks.csv"]).in_folder(folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
}

#[test]
fn the_same_recording_gives_the_same_bytes_packed_or_not() {
    let folder = Folder::new();
    let (lines, registry) = recording(12, 3.0, 5);
    folder.write("locks.csv", &registry);
    folder.write("month.ndjson", &lines);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(lines.as_bytes()).unwrap();
    std::fs::write(folder.path().join("month.ndjson.gz"), packed.finish().unwrap()).unwrap();
    replay(&folder, "month.ndjson", "first");
    replay(&folder, "month.ndjson.gz", "second");
    for file in ["anomalies.ndjson", "incidents.ndjson", "decisions.ndjson"] {
        assert_eq!(folder.read(&format!("first/{file}")), folder.read(&format!("second/{file}")), "{file}");
    }
    assert_eq!(summary(&folder, "first"), summary(&folder, "second"));
    assert_eq!(summary(&folder, "first")["locks"], 12);
    assert_eq!(summary(&folder, "first")["gaps"], 0);
}

#[test]
fn what_was_heard_twice_changes_nothing_but_its_count() {
    let folder = Folder::new();
    let (lines, registry) = recording(6, 2.0, 7);
    let twice: String = lines.lines().flat_map(|line| [line, "\n", line, "\n"]).collect();
    folder.write("locks.csv", &registry);
    folder.write("once.ndjson", &lines);
    folder.write("twice.ndjson", &twice);
    replay(&folder, "once.ndjson", "once");
    replay(&folder, "twice.ndjson", "twice");
    let (once, twice) = (summary(&folder, "once"), summary(&folder, "twice"));
    assert_eq!(twice["duplicates"], once["records"]);
    assert_eq!(twice["records"].as_u64(), once["records"].as_u64().map(|records| records * 2));
    assert_eq!(folder.read("once/incidents.ndjson"), folder.read("twice/incidents.ndjson"));
}

#[test]
fn what_can_not_be_read_is_counted_by_its_reason() {
    let folder = Folder::new();
    let line = |topic: &str, payload: &str| {
        format!("{{\"topic\":\"{topic}\",\"recv_ms\":1777626000000,\"payload\":{payload}}}\n")
    };
    let good = |seq: u32| format!("{{\"ts\":1777626000000,\"boot\":1,\"seq\":{seq},\"battery_mv\":2900}}");
    let lines = [
        line("bitlock/v1/tokyo-01/BL1/state", &good(0)),
        line("bitlock/v1/tokyo-01/BL1/state", &good(0)),
        line("bitlock/v1/tokyo-01/BL1/state", &good(4)),
        line("bitlock/v1/tokyo-01/BL1/weather", &good(5)),
        line("bitlock/v1/tokyo-01/BL1/state", "{\"boot\":1}"),
        line("bitlock/v1/tokyo-01/gw-1/online", "1"),
        line("zigbee2mqtt/lamp", "{}"),
    ];
    folder.write("r.ndjson", &lines.concat());
    let ended = zenei(&["replay", "r.ndjson", "--out", "out"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    expect![[r#"
        {"advertisements":0,"anomalies":0,"dead_letters":{"missing_field":1,"unknown_kind":1},"decisions":0,"duplicates":1,"gaps":3,"incidents":0,"late":0,"lives":0,"locks":1,"no_key":0,"records":3,"replayed":0,"reused":0,"strangers":0}
    "#]]
    .assert_eq(&format!("{}\n", summary(&folder, "out")));
}

#[test]
fn a_payload_that_can_not_be_taken_out_of_its_line_is_a_dead_letter() {
    let folder = Folder::new();
    let line = |topic: &str, payload: &[u8]| {
        let start = format!("{{\"topic\":\"{topic}\",\"recv_ms\":1777626000000,\"payload\":");
        [start.as_bytes(), payload, b"}\n"].concat()
    };
    let ours = "bitlock/v1/tokyo-01/BL1/state";
    let deep = ["[".repeat(1_000), "]".repeat(1_000)].concat();
    let long = format!("\"{}\"", "x".repeat(2 << 20));
    let lines = [
        line(ours, b"{\"ts\":1777626000000,\"fw\":\"\xff\"}"),
        line("zigbee2mqtt/lamp", b"{\"fw\":\"\xff\"}"),
        line(ours, deep.as_bytes()),
        line(ours, long.as_bytes()),
        line(ours, b"{\"ts\":1777626000000,\"boot\":1,\"seq\":0,\"battery_mv\":2900}"),
    ];
    std::fs::write(folder.path().join("r.ndjson"), lines.concat()).unwrap();
    let ended = zenei(&["replay", "r.ndjson", "--out", "out"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let summary = summary(&folder, "out");
    assert_eq!(summary["dead_letters"].to_string(), r#"{"bad_utf8":1,"too_deep":1,"too_large":1}"#);
    assert_eq!(summary["records"], 1);
}

#[test]
fn a_line_that_is_none_of_a_recording_is_told_and_nothing_is_written() {
    let folder = Folder::new();
    folder.write("r.ndjson", "{\"topic\":\"a\",\"recv_ms\":1,\"payload\":1}\nnonsense\n");
    let ended = zenei(&["replay", "r.ndjson", "--out", "out"]).in_folder(&folder).run();
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.starts_with("r.ndjson:2: the line is no JSON object"), "{}", ended.stderr);
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_replay_that_fails_leaves_no_results_of_an_earlier_one() {
    let folder = Folder::new();
    folder.write("good.ndjson", "");
    folder.write("bad.ndjson", "nonsense\n");
    folder.write("out/notes.txt", "mine");
    replay_alone(&folder, "good.ndjson", 0);
    assert_eq!(std::fs::read_dir(folder.path().join("out")).unwrap().count(), 5);
    replay_alone(&folder, "bad.ndjson", 1);
    assert_eq!(std::fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
    folder.write("out/anomalies.ndjson", "");
    replay_alone(&folder, "out/anomalies.ndjson", 1);
    assert_eq!(folder.read("out/anomalies.ndjson"), "", "what is replayed stays");
}

fn replay_alone(folder: &Folder, from: &str, code: i32) {
    let ended = zenei(&["replay", from, "--out", "out"]).in_folder(folder).run();
    assert_eq!(ended.code, code, "{}", ended.stderr);
}

#[test]
fn an_empty_recording_leads_to_nothing() {
    let folder = Folder::new();
    folder.write("r.ndjson", "");
    folder.write("inquiries.csv", "id,received_at,customer,device_id,urgency,text\n");
    let arguments = ["replay", "r.ndjson", "--out", "out", "--inquiries", "inquiries.csv"];
    let ended = zenei(&arguments).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(folder.read("out/anomalies.ndjson"), "");
}

#[test]
fn a_folder_that_is_no_store_is_told() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let ended = zenei(&["replay", "empty", "--out", "out"]).in_folder(&folder).run();
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.starts_with("empty is no Parquet store"), "{}", ended.stderr);
}
