//! `zenei scan`: lines for programs, recordings, keys, and the error without Bluetooth.
use crate::support::{Folder, zenei};
use serde_json::Value as Json;
use zenei_wire::bthome::{self, Address, BindKey, Reading, Set};
use zenei_wire::recording::write_advertisement;
use zenei_wire::{Adv, CentiCelsius, DbMilliwatts, GatewayTime, LockState, Milliamps, Millivolts, Percent};

/// The fields of a line, by the interface contract, in its order.
const FIELDS: [&str; 13] = [
    "heard_at",
    "address",
    "device_id",
    "rssi_dbm",
    "trusted",
    "battery_pct",
    "battery_mv",
    "temp_c",
    "peak_ma",
    "lock_state",
    "problem",
    "fw",
    "packet_id",
];

const KEY: &str = "231d39c1d7cc1ab1aee224cd096db932";
const LOCK: Address = Address([0xC0, 0xFF, 0xEE, 0, 0, 1]);
const STRANGER: Address = Address([0xAA, 0, 0, 0, 0, 2]);

fn lines(stdout: &str) -> Vec<Json> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The names of a line in their order, which a map would lose.
fn names(line: &str) -> Vec<&str> {
    line.split(",\"").map(|field| field.trim_start_matches(['{', '"']).split('"').next().unwrap()).collect()
}

fn objects(set: Set, packet_id: u8) -> bthome::Payload {
    let adv = Adv {
        battery_mv: Some(Millivolts(2_874)),
        battery_pct: Some(Percent(71)),
        temp_c: Some(CentiCelsius(1_850)),
        lock_state: Some(LockState::Locked),
        peak_ma: Some(Milliamps(612)),
        problem: Some(false),
        seq_low: Some(7),
        packet_id: Some(packet_id),
        ..Adv::default()
    };
    Reading { adv, firmware: Some("3.2.1".parse().unwrap()), unknown: 0 }.objects(set)
}

/// A recording: both sets of a lock, a forged one under its address, an old one, a stranger's, one that cannot be
/// decrypted; and the registry with the lock's key.
fn recorded() -> Folder {
    let folder = Folder::new();
    let key: BindKey = KEY.parse().unwrap();
    let sealed = |set, counter: u8| bthome::sealed(&objects(set, counter), LOCK, &key, counter.into());
    let mut text = String::new();
    for (at_ms, address, data) in [
        (1_000, LOCK, sealed(Set::A, 5)),
        (2_000, LOCK, sealed(Set::B, 6)),
        (3_000, LOCK, bthome::plain(&objects(Set::A, 9))),
        (4_000, LOCK, sealed(Set::A, 1)),
        (5_000, STRANGER, bthome::plain(&objects(Set::B, 3))),
        (6_000, STRANGER, bthome::sealed(&objects(Set::A, 3), STRANGER, &key, 3)),
        (7_000, LOCK, bthome::sealed(&objects(Set::A, 7), LOCK, &BindKey::new([1; 16]), 7)),
    ] {
        write_advertisement(&address.to_string(), GatewayTime(at_ms), Some(DbMilliwatts(-60)), &data, &mut text);
    }
    folder.write("air.ndjson", &text);
    folder.write("locks.csv", "device_id,site,address,bind_key_file\nBL1,tokyo-01,C0:FF:EE:00:00:01,bl1.key\n");
    folder.write("bl1.key", KEY);
    folder
}

#[test]
fn simulated_locks_give_lines_with_the_contracts_fields() {
    let folder = Folder::new();
    let ended =
        zenei(&["scan", "--sim", "--json", "--seconds", "3", "--record", "air.ndjson"]).in_folder(&folder).run();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let read = lines(&ended.stdout);
    // 22 locks that can be read, one a second each, less the lost ones.
    assert!(read.len() > 20, "{}", ended.stdout);
    ended.stdout.lines().for_each(|line| assert_eq!(names(line), FIELDS));
    let is_trusted = |line: &&Json| line["trusted"] == true;
    assert!(read.iter().any(|line| is_trusted(&line)) && read.iter().any(|line| !is_trusted(&line)));
    assert!(read.iter().any(|line| line["battery_mv"].is_u64() && line["temp_c"].is_null()));
    assert!(read.iter().any(|line| line["battery_mv"].is_null() && line["temp_c"].is_number()));
    assert!(read.iter().any(|line| line["device_id"].as_str().unwrap().starts_with("BL")));
    assert!(ended.stderr.contains("no_key="), "{}", ended.stderr);
    // The recording decodes again; without the keys only the unencrypted advertisements do.
    let again = zenei(&["scan", "--replay", "air.ndjson", "--json"]).in_folder(&folder).run();
    assert_eq!(lines(&again.stdout).len(), read.iter().filter(|line| line["trusted"] == false).count());
    assert!(folder.read("air.ndjson").lines().count() > read.len());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let ended = zenei(&["scan", "--sim", "--json"]).into_closed_pipe();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn a_recording_is_read_with_the_registrys_keys() {
    let folder = recorded();
    let ended =
        zenei(&["scan", "--replay", "air.ndjson", "--registry", "locks.csv", "--json"]).in_folder(&folder).run();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let first = "{\"heard_at\":1000,\"address\":\"C0:FF:EE:00:00:01\",\"device_id\":\"BL1\",\"rssi_dbm\":-60,\"trusted\":true,\
                 \"battery_pct\":71,\"battery_mv\":2874,\"temp_c\":null,\"peak_ma\":612,\"lock_state\":\"locked\",\
                 \"problem\":false,\"fw\":null,\"packet_id\":5}";
    assert_eq!(ended.stdout.lines().next(), Some(first));
    let told: Vec<_> = lines(&ended.stdout)
        .iter()
        .map(|line| (line["heard_at"].as_i64().unwrap(), line["device_id"].to_string(), line["trusted"] == true))
        .collect();
    let (lock, stranger) = ("\"BL1\"".to_owned(), "\"ble-AA0000000002\"".to_owned());
    let expected = [
        (1_000, lock.clone(), true),
        (2_000, lock.clone(), true),
        (3_000, lock.clone(), false),
        (4_000, lock, false),
        (5_000, stranger, false),
    ];
    assert_eq!(told, expected);
    assert!(ended.stderr.contains("no_key=1") && ended.stderr.contains("forged=1"), "{}", ended.stderr);
    let some = zenei(&["scan", "--replay", "air.ndjson", "--seconds", "2", "--json"]).in_folder(&folder).run();
    assert_eq!(lines(&some.stdout).len(), 1, "of the first two seconds only the plain one can be read without a key");
}

#[test]
fn where_nobody_watches_the_table_comes_once() {
    let folder = recorded();
    let ended = zenei(&["scan", "--replay", "air.ndjson", "--registry", "locks.csv"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let mut rows = ended.stdout.lines();
    assert!(rows.next().unwrap().starts_with("lock"), "{}", ended.stdout);
    let lock = rows.next().unwrap();
    for cell in ["BL1", "C0:FF:EE:00:00:01", "71%", "2874", "612", "18.50", "3.2.1", "locked"] {
        assert!(lock.contains(cell), "{cell} is not in {lock}");
    }
    assert!(rows.next().unwrap().starts_with("ble-AA0000000002"), "{}", ended.stdout);
}

#[test]
fn without_bluetooth_one_line_says_what_to_do() {
    let bus = ("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    let ended = zenei(&["scan", "--seconds", "1", "--json"]).variable(bus.0, bus.1).run();
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.lines().count()), (69, "", 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("--sim"), "{}", ended.stderr);
}

#[test]
fn what_can_not_be_opened_is_told() {
    let folder = Folder::new();
    folder.write("locks.csv", "device_id,address,bind_key_file\nBL1,C0:FF:EE:00:00:01,absent.key\n");
    let ended = zenei(&["scan", "--sim", "--registry", "locks.csv"]).in_folder(&folder).run();
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("the bind key of BL1 can't be read"), "{}", ended.stderr);
    let ended = zenei(&["scan", "--replay", "absent.ndjson", "--json"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    assert_eq!(zenei(&["scan", "--sim", "--replay", "x"]).run().code, 2);
}
