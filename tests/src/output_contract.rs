//! Tests that the results of a replay have every field that the interfaces promise, and that no field is null or empty
//! unless they allow it. Reads the results of one recording as an outside program would.
use crate::fleet::Recording;
use crate::program::{lines, succeed, text, zenei};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const DOMAINS: &[&str] = &["hardware", "firmware", "software"];
const COMPONENTS: &[&str] = &[
    "cover",
    "battery_box",
    "battery",
    "gear",
    "motor",
    "thumbturn",
    "holder",
    "power_board",
    "comm_board",
    "sensor",
    "fw_image",
    "ble_link",
    "gateway",
    "app",
    "cloud",
    "unknown",
];
const SCOPES: &[&str] =
    &["device", "gateway", "site", "fw", "lot", "hw_rev", "model", "client_version", "service", "fw_hw"];
const STATUSES: &[&str] = &["detected", "investigating", "fixing", "resolved", "close"];
const URGENCIES: &[&str] = &["highest", "high", "medium", "low"];

/// One object, read field by field.
struct Line<'a>(&'a Map<String, Value>);

impl<'a> Line<'a> {
    fn of(value: &'a Value) -> Self {
        Self(value.as_object().unwrap_or_else(|| panic!("no object: {value}")))
    }

    fn field(&self, name: &str) -> &'a Value {
        self.0.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.0))
    }

    fn text(&self, name: &str) -> &'a str {
        let text = self.field(name).as_str().unwrap_or_else(|| panic!("{name} is no text in {:?}", self.0));
        assert!(!text.trim().is_empty(), "{name} is empty in {:?}", self.0);
        text
    }

    fn one_of(&self, name: &str, allowed: &[&str]) {
        let text = self.text(name);
        assert!(allowed.contains(&text), "{name} is {text}; {allowed:?} are allowed");
    }

    fn integer(&self, name: &str) -> i64 {
        self.field(name).as_i64().unwrap_or_else(|| panic!("{name} is no integer in {:?}", self.0))
    }

    fn number(&self, name: &str) -> f64 {
        self.field(name).as_f64().unwrap_or_else(|| panic!("{name} is no number in {:?}", self.0))
    }

    fn id(&self, name: &str) -> &'a str {
        let id = self.text(name);
        let is_id = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert!(is_id, "{name} is {id}; 32 lower-case hex digits are promised");
        id
    }

    fn scope(&self) -> (&'a str, &'a str) {
        let scope = Line::of(self.field("scope"));
        scope.one_of("kind", SCOPES);
        (scope.text("kind"), scope.text("value"))
    }

    fn list(&self, name: &str) -> &'a [Value] {
        let list = self.field(name).as_array().unwrap_or_else(|| panic!("{name} is no list in {:?}", self.0));
        assert!(!list.is_empty(), "{name} is empty in {:?}", self.0);
        list
    }

    /// Checks that nothing is null or empty except these.
    fn full_but(&self, nullable: &[&str]) {
        for (name, value) in self.0.iter().filter(|(name, _)| !nullable.contains(&name.as_str())) {
            let hollow = match value {
                Value::Null => true,
                Value::String(text) => text.is_empty(),
                Value::Array(list) => list.is_empty(),
                Value::Object(fields) => fields.is_empty(),
                Value::Bool(_) | Value::Number(_) => false,
            };
            assert!(!hollow, "{name} is {value} in {:?}", self.0);
        }
    }
}

fn check_anomaly(anomaly: &Value) {
    let line = Line::of(anomaly);
    line.full_but(&["device_id"]);
    line.id("id");
    let at_ms = line.integer("at_ms");
    let (kind, value) = line.scope();
    match kind {
        "device" => assert_eq!(line.text("device_id"), value, "{anomaly}"),
        _ => assert!(line.field("device_id").is_null(), "a device without a scope of its own: {anomaly}"),
    }
    line.text("rule");
    assert!(line.integer("rule_version") >= 1 && line.integer("window_ms") > 0, "{anomaly}");
    line.one_of("domain", DOMAINS);
    line.one_of("component", COMPONENTS);
    line.text("unit");
    ["value", "baseline", "threshold"].iter().for_each(|name| assert!(line.number(name).is_finite(), "{anomaly}"));
    for evidence in line.list("evidence") {
        let evidence = Line::of(evidence);
        evidence.text("device_id");
        assert!(evidence.integer("boot") >= 0 && evidence.integer("seq") >= 0, "{anomaly}");
        assert!(evidence.integer("ts_ms") > 0, "{anomaly}");
    }
    assert!(at_ms > 1_700_000_000_000, "at_ms is not on the recording's clock: {anomaly}");
}

fn check_incident(incident: &Value) {
    let line = Line::of(incident);
    line.full_but(&["recurs_of", "first_inquiry_ms"]);
    line.id("id");
    line.id("fingerprint");
    assert!(line.integer("opened_ms") <= line.integer("updated_ms"), "{incident}");
    line.one_of("status", STATUSES);
    line.one_of("urgency", URGENCIES);
    line.one_of("domain", DOMAINS);
    line.one_of("component", COMPONENTS);
    assert!((0.0..=1.0).contains(&line.number("confidence")), "{incident}");
    line.scope();
    let devices: Vec<&str> = line.list("devices").iter().filter_map(Value::as_str).collect();
    assert!(devices.len() == line.list("devices").len() && devices.is_sorted(), "{incident}");
    assert_eq!(devices.iter().collect::<BTreeSet<_>>().len(), devices.len(), "{incident}");
    line.text("rule");
    assert!(line.integer("rule_version") >= 1, "{incident}");
    line.text("title");
    line.text("why");
    assert!(line.field("recurs_of").is_null() || !line.id("recurs_of").is_empty());
    assert!(line.field("first_inquiry_ms").is_null() || line.integer("first_inquiry_ms") > 0);
}

#[test]
fn the_results_of_a_replay_have_every_field_that_is_promised() {
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::make(folder.path(), "month", 4, &[]);
    let out = folder.path().join("out");
    let inquiries = folder.path().join("inquiries.csv");
    let affected = recording.faults().into_iter().find(|(_, kind, _)| kind == "device").unwrap().2;
    let contact =
        format!("id,received_at,customer,device_id,urgency,text\nq1,2026-02-09T12:00:00Z,c1,{affected},高,stuck\n");
    std::fs::write(&inquiries, contact).unwrap();
    let mut replay = zenei(["replay", "--json"]);
    replay.arg(&recording.path).arg("--out").arg(&out).arg("--registry").arg(&recording.registry);
    let printed = succeed(replay.arg("--inquiries").arg(&inquiries));

    let anomalies = lines(&text(&out.join("anomalies.ndjson")));
    let incidents = lines(&text(&out.join("incidents.ndjson")));
    let decisions = lines(&text(&out.join("decisions.ndjson")));
    assert!(!anomalies.is_empty() && !incidents.is_empty(), "nothing to look at");
    anomalies.iter().for_each(check_anomaly);
    incidents.iter().for_each(check_incident);
    for list in [&anomalies, &incidents] {
        let ids: BTreeSet<&str> = list.iter().map(|line| Line::of(line).id("id")).collect();
        assert_eq!(ids.len(), list.len(), "an id comes twice");
    }
    // A replay resolves and closes nothing.
    assert!(incidents.iter().all(|incident| !["resolved", "close"].contains(&Line::of(incident).text("status"))));
    let linked =
        |incident: &&Value| incident["scope"]["value"] == affected.as_str() && incident["first_inquiry_ms"].is_i64();
    // 2026-02-09T12:00:00Z
    let inquiry = incidents.iter().find(linked).map(|incident| incident["first_inquiry_ms"].clone());
    assert_eq!(inquiry, Some(Value::from(1_770_638_400_000_i64)), "{incidents:#?}");
    for decision in &decisions {
        let line = Line::of(decision);
        assert!(!line.text("reason").is_empty());
    }
    check_summary(&text(&out.join("summary.json")), &recording);
    assert_eq!(lines(&printed).len(), 1);
}

fn check_summary(summary: &str, recording: &Recording) {
    let summary: Value = serde_json::from_str(summary).expect("the summary is JSON");
    let line = Line::of(&summary);
    let sent: u64 = recording.records().values().sum();
    assert_eq!(line.integer("records"), i64::try_from(sent).expect("a month has few records"));
    for none in ["duplicates", "late", "gaps"] {
        assert_eq!(line.integer(none), 0, "{none}: {summary}");
    }
    assert_eq!(line.field("dead_letters"), &Value::Object(Map::new()));
    assert_eq!(line.integer("locks"), 500);
    assert!(line.number("events_per_second") > 0.0, "{summary}");
    assert!(line.integer("bytes_per_lock") >= 0 && line.integer("peak_rss_bytes") > 0, "{summary}");
}
