//! Advertised values drive the battery detector where they are trusted, and open no incident where they are not: a
//! fleet whose heartbeats arrive over the air only.
use crate::support::{Folder, zenei};
use firmware_sim::{Fleet, Message, Scenario};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use zenei_wire::bthome::{self, Address, BindKey, Reading, Set};
use zenei_wire::recording::{write_advertisement, write_line};
use zenei_wire::{Adv, Body, GatewayTime, Heading, Millivolts, Percent, Topic};

/// How heartbeats come.
#[derive(Clone, Copy, PartialEq)]
enum Heartbeats {
    ByMqtt,
    Encrypted,
    Plain,
    /// Not at all: the reference for the others.
    Lost,
}

fn key(lock: usize) -> BindKey {
    BindKey::new(std::array::from_fn(|at| lock.to_le_bytes()[at % 8] ^ 0x5A))
}

/// A heartbeat's fields in both sets, as a lock would advertise them.
fn advertise(message: &Message, address: Address, way: Heartbeats, counter: &mut u32, out: &mut String) {
    let Ok(Heading::Record(topic)) = Topic::parse(&message.topic) else { panic!("{}", message.topic) };
    for decoded in zenei_wire::decode(&topic, &message.payload).unwrap() {
        let record = decoded.record.unwrap();
        let Body::State(state) = record.body else { panic!("{record:?}") };
        for set in [Set::A, Set::B] {
            *counter += 1;
            let adv = Adv {
                battery_mv: state.battery_mv,
                battery_pct: state.battery_pct,
                temp_c: state.temp_c,
                lock_state: state.lock_state,
                packet_id: Some(counter.to_le_bytes()[0]),
                ..Adv::default()
            };
            let objects = Reading { adv, firmware: None, unknown: 0 }.objects(set);
            let data = match way {
                Heartbeats::Encrypted => bthome::sealed(&objects, address, &key(message.lock), *counter),
                Heartbeats::Plain => bthome::plain(&objects),
                Heartbeats::ByMqtt | Heartbeats::Lost => continue,
            };
            write_advertisement(&address.to_string(), GatewayTime(message.at_ms), None, &data, out);
        }
    }
}

/// The recording of a month, with heartbeats on this way; the folder gets the registry and the keys.
fn month(folder: &Folder, way: Heartbeats) -> String {
    let mut scenario = Scenario::demo().unwrap();
    scenario.locks = 60;
    let mut fleet = Fleet::new(&scenario, 1).unwrap();
    let mut messages = Vec::new();
    fleet.advance(fleet.end_ms(), &mut messages);
    let csv = fleet.registry_csv();
    let mut lines = csv.lines();
    let mut registry = format!("{}\n", lines.next().unwrap());
    for (lock, line) in lines.enumerate() {
        registry.push_str(&format!("{line}{lock}.key\n"));
        let digits: String = (0..16).map(|at| format!("{:02x}", lock.to_le_bytes()[at % 8] ^ 0x5A)).collect();
        folder.write(&format!("{lock}.key"), &digits);
    }
    folder.write("locks.csv", &registry);
    let addresses: Vec<Address> = fleet.locks().iter().map(|lock| lock.address.parse().unwrap()).collect();
    let (mut counters, mut text) = (vec![0; addresses.len()], String::new());
    for message in &messages {
        if way == Heartbeats::ByMqtt || !message.topic.ends_with("/state") {
            write_line(&message.topic, GatewayTime(message.at_ms), &message.payload, &mut text);
        } else {
            advertise(message, addresses[message.lock], way, &mut counters[message.lock], &mut text);
        }
    }
    text
}

/// The locks with a finding of a battery or motor rule, and the summary.
fn found(folder: &Folder, way: Heartbeats, out: &str) -> (BTreeSet<(String, String)>, Json) {
    folder.write("month.ndjson", &month(folder, way));
    let ended = zenei(&["replay", "month.ndjson", "--registry", "locks.csv", "--out", out]).in_folder(folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    let anomalies = folder.read(&format!("{out}/anomalies.ndjson"));
    let found = anomalies.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    let drift = found.filter(|line| ["battery-resistance", "motor-effort"].iter().any(|rule| line["rule"] == *rule));
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let found = drift.map(|line| (text(&line["device_id"]), text(&line["rule"]))).collect();
    (found, serde_json::from_str(&folder.read(&format!("{out}/summary.json"))).unwrap())
}

#[test]
fn trusted_advertisements_stand_in_for_heartbeats_and_others_open_nothing() {
    let folder = Folder::new();
    let (by_mqtt, _) = found(&folder, Heartbeats::ByMqtt, "mqtt");
    assert!(by_mqtt.iter().any(|(_, rule)| rule == "battery-resistance"), "{by_mqtt:?}");
    let (encrypted, summary) = found(&folder, Heartbeats::Encrypted, "encrypted");
    assert_eq!(encrypted, by_mqtt);
    assert!(summary["advertisements"].as_u64().unwrap() > 1_000 && summary["replayed"] == 0, "{summary}");
    // Without the keys they are not authenticated; a fleet whose heartbeats are lost is the reference.
    let (lost, _) = found(&folder, Heartbeats::Lost, "lost");
    let (plain, summary) = found(&folder, Heartbeats::Plain, "plain");
    assert_eq!(plain, lost, "{summary}");
    // Operations carry the motor's current; nothing authenticated carries the battery's voltage at rest.
    assert!(plain.iter().all(|(_, rule)| rule != "battery-resistance"), "{plain:?}");
    assert!(summary["advertisements"].as_u64().unwrap() > 1_000);
}

/// A lock that is received over the air only: 40 days of a steady battery, then 10 in which it loses two points and ten
/// millivolts a day.
fn lone_lock(folder: &Folder, way: Heartbeats) -> String {
    const MINUTE_MS: i64 = 60_000;
    let address: Address = "C0:FF:EE:00:00:01".parse().unwrap();
    folder.write("0.key", &(0..16).map(|at| format!("{:02x}", 0_u64.to_le_bytes()[at % 8] ^ 0x5A)).collect::<String>());
    folder.write("locks.csv", "device_id,site,address,bind_key_file\nBL1,tokyo-01,C0:FF:EE:00:00:01,0.key\n");
    let mut text = String::new();
    for (counter, at_ms) in (0..50 * 24 * 60 * MINUTE_MS).step_by(10 * MINUTE_MS as usize).enumerate() {
        let lost_days = (at_ms as f64 / 86_400_000.0 - 40.0).max(0.0);
        let adv = Adv {
            // One step of the converter up and down, as a steady battery reads.
            battery_mv: Some(Millivolts((2_950.0 - 10.0 * lost_days + 3.5 * (counter % 2) as f64) as u16)),
            battery_pct: Some(Percent((80.0 - 2.0 * lost_days) as u8)),
            packet_id: Some(counter.to_le_bytes()[0]),
            ..Adv::default()
        };
        let objects = Reading { adv, firmware: None, unknown: 0 }.objects(Set::A);
        let data = match way {
            Heartbeats::Encrypted => bthome::sealed(&objects, address, &key(0), counter as u32),
            Heartbeats::Plain | Heartbeats::ByMqtt | Heartbeats::Lost => bthome::plain(&objects),
        };
        write_advertisement(&address.to_string(), GatewayTime(1_770_000_000_000 + at_ms), None, &data, &mut text);
    }
    text
}

#[test]
fn a_lock_that_only_advertises_opens_an_incident_of_its_battery_where_it_is_trusted() {
    let folder = Folder::new();
    let incidents = |way, out: &str| {
        folder.write("air.ndjson", &lone_lock(&folder, way));
        let ended = zenei(&["replay", "air.ndjson", "--registry", "locks.csv", "--out", out]).in_folder(&folder).run();
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
        folder.read(&format!("{out}/incidents.ndjson"))
    };
    let trusted = incidents(Heartbeats::Encrypted, "trusted");
    let opened: Vec<Json> = trusted.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(matches!(&opened[..], [one] if one["component"] == "battery" && one["devices"][0] == "BL1"), "{trusted}");
    assert_eq!(incidents(Heartbeats::Plain, "plain"), "");
}
