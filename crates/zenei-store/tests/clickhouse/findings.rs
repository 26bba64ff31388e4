//! Tests of shipped findings: each is in ClickHouse once, however often it is sent, and after an erasure it is shipped
//! again without the lock's name.
use super::ground::{Ground, NOON_MS, looking};
use std::collections::BTreeMap;
use zenei_detect::{Anomaly, Decision, DecisionReason, Evidence, Scope, ScopeKind};
use zenei_store::Registration;
use zenei_store::clickhouse::{
    Ended, FindingsShipper, Server, ServerAddress, Timeouts, count_naming, erase, ship_findings_anew,
};
use zenei_store::control::InquiryRow;
use zenei_store::{Control, EventRow};
use zenei_wire::{EngineTime, Id};

const TABLES: [&str; 5] = ["anomaly", "decision", "incident_event", "inquiry", "registry"];

fn anomaly(device: &str, seq: u32) -> Anomaly {
    let mut anomaly = zenei_kit::anomaly("motor-effort", device, NOON_MS / 1_000);
    anomaly.at = EngineTime(NOON_MS + i64::from(seq));
    anomaly.evidence =
        [seq, seq + 1].map(|seq| Evidence { device_id: device.into(), boot: 1, seq, ts_ms: NOON_MS }).into();
    Anomaly { value: 1.5, unit: "mC".into(), why: format!("lock {device} is slow"), ..anomaly }
}

fn decision(device: &str) -> Decision {
    Decision {
        at: EngineTime(NOON_MS),
        rule: "motor-effort".into(),
        rule_version: 1,
        scope: Scope { kind: ScopeKind::Device, value: device.into() },
        reason: DecisionReason::BelowEffect,
        value: 0.5,
        threshold: 1.0,
        unit: "mC".into(),
        why: "too small".into(),
        part_of: None,
    }
}

fn line(device: &str, door: &str) -> Registration {
    Registration { device_id: device.into(), door: door.into(), ..Registration::default() }
}

fn event(incident: u128, device: &str) -> EventRow {
    let body = format!(r#"{{"anomaly":{{"device_id":"{device}"}},"title":"{device}'s motor"}}"#);
    EventRow { incident: Id(incident), seq: 0, at_ms: NOON_MS + 5, kind: "opened".into(), body }
}

fn found(control: &mut Control) {
    let txn = control.begin().unwrap();
    for device in ["BL1", "BL2"] {
        assert!(txn.insert_anomaly(&anomaly(device, 7)).unwrap());
        assert!(txn.insert_decision(&decision(device)).unwrap());
        assert!(txn.append_event(&event(if device == "BL1" { 1 } else { 2 }, device)).unwrap());
    }
    let body = r#"{"device_id":"BL1","text":"stuck"}"#.to_owned();
    assert!(txn.insert_inquiry(&InquiryRow { id: "q1".into(), received_at_ms: NOON_MS, body }).unwrap());
    txn.import_registry(&[line("BL1", "north"), line("BL2", "south")], NOON_MS).unwrap();
    txn.commit().unwrap();
}

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn control(&self) -> Control {
        Control::open(&self.folder.path().join("control.db")).unwrap()
    }

    fn ship(&self, ground: &Ground) {
        let address =
            ServerAddress { url: super::engine::url().unwrap(), user: "default".into(), password: String::new() };
        let server = Server::new(&address, Timeouts::default()).unwrap();
        let mut shipper = FindingsShipper::new(self.control(), server, ground.form.clone(), "desk");
        assert_eq!(shipper.ship(&mut |_| panic!("the server takes findings")).unwrap(), Ended::Done);
    }
}

/// Rows as they are inserted, including replaced ones.
fn counts(ground: &Ground) -> Vec<u64> {
    TABLES.iter().map(|table| ground.count(&format!("{{db}}.{table}"))).collect()
}

#[test]
fn findings_are_shipped_once_and_a_line_of_the_registry_that_ended_is_shipped_with_its_end() {
    let Some(ground) = Ground::new("findings") else { return };
    let desk = Desk { folder: tempfile::tempdir().unwrap() };
    found(&mut desk.control());
    desk.ship(&ground);
    desk.ship(&ground);
    assert_eq!(counts(&ground), [2, 2, 2, 1, 2]);
    // As after a crash between the insert and the cursor: the same rows are sent again, and count once.
    let mut control = desk.control();
    let txn = control.begin().unwrap();
    ["anomaly", "decision", "incident_event", "inquiry", "registry"]
        .iter()
        .for_each(|name| txn.set_cursor(&format!("ship_findings/{name}"), 0).unwrap());
    txn.insert_anomaly(&anomaly("BL3", 8)).unwrap();
    txn.import_registry(&[line("BL1", "east"), line("BL2", "south")], NOON_MS + 1_000).unwrap();
    txn.commit().unwrap();
    desk.ship(&ground);
    assert_eq!(counts(&ground), [3, 2, 2, 1, 4]);
    let sql = "SELECT device_id, door, toUnixTimestamp64Milli(valid_from) AS since, ended FROM {db}.registry FINAL ORDER BY door";
    let lines: Vec<serde_json::Value> = ground.ask(sql);
    let expected = serde_json::json!([
        {"device_id": "BL1", "door": "east", "since": NOON_MS + 1_000, "ended": 0},
        {"device_id": "BL1", "door": "north", "since": NOON_MS, "ended": 1},
        {"device_id": "BL2", "door": "south", "since": NOON_MS, "ended": 0},
    ]);
    assert_eq!(serde_json::Value::from(lines), expected);
    let sql = "SELECT device_id, toUnixTimestamp64Milli(at) AS at_ms, value, evidence.seq AS seqs, why FROM {db}.anomaly ORDER BY device_id LIMIT 1";
    let first: Vec<serde_json::Value> = ground.ask(sql);
    let expected = serde_json::json!({"device_id": "BL1", "at_ms": NOON_MS + 7, "value": 1.5, "seqs": [7, 8], "why": "lock BL1 is slow"});
    assert_eq!(first[0], expected);
}

#[test]
fn a_lock_is_taken_out_of_every_table_and_what_was_found_comes_back_without_its_name() {
    let Some(mut ground) = Ground::new("forget") else { return };
    let desk = Desk { folder: tempfile::tempdir().unwrap() };
    found(&mut desk.control());
    desk.ship(&ground);
    let rows = [super::rows::state(1, 1, 2900), super::rows::op(1, 2, 600, 2600, zenei_wire::OpResult::Ok)];
    let others = [super::rows::state(2, 1, 2900), super::rows::op(2, 2, 600, 2600, zenei_wire::OpResult::Ok)];
    let letter = |topic: &str| {
        let refusal = zenei_wire::Refusal::new(zenei_wire::Reason::BadJson, "no");
        zenei_store::DeadLetter::new(refusal, topic, b"{", zenei_wire::GatewayTime(NOON_MS), 9, 2)
    };
    let gap = |device| zenei_detect::Gap {
        device: zenei_detect::DeviceIx(device),
        boot: 2,
        from_seq: 3,
        to_seq: 9,
        at: EngineTime(NOON_MS),
    };
    let letters = [letter("bitlock/v1/tokyo-01/BL1/state"), letter("bitlock/v1/tokyo-01/BL2/state")];
    ground.seal(&super::rows::fleet(), &[rows, others].concat(), &[gap(1), gap(2)], &letters);
    ground.ship();
    let named = |device: &str| count_naming(&ground.server, &ground.form, device).unwrap();
    let each = |device: &str| named(device).into_values().collect::<Vec<u64>>();
    // anomaly, dead_letter, decision, feed, gap, incident_event, inquiry, motor_profile, operation, record, registry
    assert_eq!(each("BL1"), [1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1]);
    let before = named("BL2");
    for _ in 0..2 {
        erase(&ground.server, &ground.form, "BL1").unwrap();
        assert_eq!(each("BL1"), [0; 11]);
    }
    assert_eq!(named("BL2"), before, "the neighbour keeps everything");
    for device in ["x' OR 1=1 --", "%", ".*"] {
        erase(&ground.server, &ground.form, device).unwrap();
    }
    assert_eq!(named("BL2"), before, "an id is a value and no part of a statement");

    // The count finds what another gateway ships after that.
    assert_eq!(ground.shipper_of("gw-late", 0).ship(&mut looking()).unwrap(), Ended::Done);
    assert!(named("BL1")["record"] == 1 && named("BL1")["feed"] == 2);
    erase(&ground.server, &ground.form, "BL1").unwrap();
    let after: u64 = named("BL1").into_values().sum();
    assert_eq!(after, 0);

    let mut control = desk.control();
    let txn = control.begin().unwrap();
    // Anomaly, decision and event are rewritten; the inquiry and the line of the registry are deleted.
    assert_eq!(txn.erase("BL1").unwrap(), 5);
    assert_eq!(txn.erase("BL1").unwrap(), 0);
    txn.commit().unwrap();
    control.scrub().unwrap();
    assert_eq!((control.count_naming("BL1").unwrap(), control.count_naming("BL2").unwrap()), (0, 4));
    ship_findings_anew(&mut control).unwrap();
    drop(control);
    desk.ship(&ground);
    assert_eq!(each("BL1"), [0; 11]);
    let rows: Vec<BTreeMap<String, String>> = ground
        .ask("SELECT scope_value, toString(evidence.ts_ms) AS times FROM {db}.anomaly FINAL ORDER BY scope_value");
    let found: Vec<(&str, &str)> = rows.iter().map(|row| (&*row["scope_value"], &*row["times"])).collect();
    let times = format!("[{NOON_MS},{NOON_MS}]");
    assert_eq!(found, [("BL2", &*times), ("forgotten", "[0,0]")]);
    let text = std::fs::read(desk.folder.path().join("control.db")).unwrap();
    assert!(!text.windows(5).any(|bytes| bytes == b"\"BL1\""), "the file itself still has the name");
}
