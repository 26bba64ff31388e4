//! Tests that `zenei run` receives what locks advertise: a stand-in for BlueZ on a private D-Bus, encrypted and plain
//! advertisements, forged and replayed ones, kill -9.
use crate::daemon::{Daemon, Site};
use crate::program::{lines, run, succeed};
use rustix::process::Signal;
use serde_json::Value;
use std::time::Duration;
use zenei_bluez::{FakeBlueZ, PrivateBus};
use zenei_kit::bound::within;
use zenei_wire::bthome::{Address, BindKey, Reading, Set, plain, sealed};
use zenei_wire::{Adv, CentiCelsius, LockState, Milliamps, Millivolts, Percent};

/// How long any step may take on a busy machine. A guess.
const BOUND: Duration = Duration::from_secs(60);

/// Registered, with a key.
const OURS: Address = Address([0xc0, 0xff, 0xee, 0, 0, 1]);
/// Registered, without a key.
const KEYLESS: Address = Address([0xc0, 0xff, 0xee, 0, 0, 2]);
/// In no registry.
const STRANGER: Address = Address([0xde, 0xad, 0xbe, 0xef, 0, 3]);
const KEY: &str = "231d39c1d7cc1ab1aee224cd096db932";

struct Air {
    bus: PrivateBus,
    bluez: FakeBlueZ,
    site: Site,
}

impl Air {
    fn new() -> Self {
        let bus = PrivateBus::start().expect("dbus-daemon starts: apt-get install dbus-daemon");
        let bluez = FakeBlueZ::start(&bus).expect("the bus takes a service");
        let site = Site::new(
            "[gateway]\nid = 'gw-test'\nsite = 'site-test'\n[ble]\nadapter = 'hci0'\n[registry]\nfile = 'locks.csv'\n[desk]\nenabled = true",
        );
        let registry = format!(
            "device_id,site,address,bind_key_file,lot\nBL1,tokyo-01,{OURS},BL1.key,2025W31\nBL2,,{KEYLESS},,\n"
        );
        std::fs::write(site.folder.path().join("locks.csv"), registry).expect("a registry can be written");
        std::fs::write(site.folder.path().join("BL1.key"), KEY).expect("a key can be written");
        Self { bus, bluez, site }
    }

    /// A daemon that scans.
    fn start(&self) -> Daemon {
        let mut command = self.site.zenei(&["run"]);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address());
        let daemon = self.site.spawn(&mut command).listening();
        wait(&daemon, "zenei_ble_scanning", 1);
        daemon
    }

    fn say(&self, from: Address, service_data: &[u8]) {
        let told = self.bluez.advertise(&from.to_string(), -67, service_data).expect("the bus is there");
        assert!(told, "somebody scans");
    }

    fn records(&self) -> Vec<Value> {
        lines(&succeed(&mut self.site.zenei(&["record", "list", "--json"])))
    }
}

/// Waits until a sample has this value.
fn wait(daemon: &Daemon, sample: &str, value: u64) {
    let found = within(BOUND, || (daemon.metrics().value(sample) == value).then_some(()));
    found.unwrap_or_else(|| panic!("{sample} is {}, not {value}: {}", daemon.metrics().value(sample), daemon.log()));
}

const RECEIVED: &str = r#"zenei_received_total{source="ble"}"#;
const REPLAYED: &str = r#"zenei_dropped_total{reason="replayed"}"#;
const FORGED: &str = r#"zenei_dead_letter_total{reason="unauthenticated"}"#;

fn key() -> BindKey {
    KEY.parse().expect("it is a key")
}

/// The objects of one set as a lock advertises them.
fn said(set: Set, battery_mv: u16, packet_id: u8) -> Reading {
    let adv = match set {
        Set::A => Adv {
            battery_mv: Some(Millivolts(battery_mv)),
            battery_pct: Some(Percent(71)),
            lock_state: Some(LockState::Locked),
            problem: Some(battery_mv < 2_000),
            peak_ma: Some(Milliamps(612)),
            packet_id: Some(packet_id),
            ..Adv::default()
        },
        Set::B => Adv {
            temp_c: Some(CentiCelsius(1_850)),
            seq_low: Some(1_201),
            packet_id: Some(packet_id),
            ..Adv::default()
        },
    };
    let firmware = (set == Set::B).then(|| "3.2.1".parse().expect("it is a version"));
    Reading { adv, firmware, ..Reading::default() }
}

fn encrypted(set: Set, battery_mv: u16, counter: u32) -> Vec<u8> {
    sealed(&said(set, battery_mv, counter.to_le_bytes()[0]).objects(set), OURS, &key(), counter)
}

fn in_the_clear(set: Set, battery_mv: u16, packet_id: u8) -> Vec<u8> {
    plain(&said(set, battery_mv, packet_id).objects(set))
}

/// The records of one lock, each with these fields.
fn of<'a>(records: &'a [Value], device: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["device_id"] == device).collect()
}

#[test]
fn what_a_lock_says_over_the_air_is_stored_once_and_listed() {
    let air = Air::new();
    let daemon = air.start();
    for _ in 0..3 {
        air.say(OURS, &encrypted(Set::A, 2_874, 1));
        air.say(OURS, &encrypted(Set::B, 0, 2));
    }
    wait(&daemon, RECEIVED, 2);
    wait(&daemon, r#"zenei_ble_heard_total{what="repeated"}"#, 4);
    air.say(OURS, &encrypted(Set::A, 2_810, 3));
    air.say(OURS, &encrypted(Set::B, 0, 4));
    wait(&daemon, RECEIVED, 4);
    // The records received so far are listed while the daemon runs, and after.
    for records in [air.records(), {
        daemon.end_cleanly();
        air.records()
    }] {
        let ours = of(&records, "BL1");
        assert_eq!(ours.len(), 2, "{records:?}");
        for (record, battery_mv, counter) in [(ours[0], 2_874, 2), (ours[1], 2_810, 4)] {
            assert_eq!(record["kind"], "adv");
            assert_eq!((&record["site"], &record["lot"]), (&"tokyo-01".into(), &"2025W31".into()));
            assert_eq!((&record["battery_mv"], &record["peak_ma"]), (&battery_mv.into(), &612.into()));
            assert_eq!((&record["fw"], &record["temp_c"]), (&"3.2.1".into(), &18.5.into()));
            assert_eq!((&record["lock_state"], &record["counter"]), (&"locked".into(), &counter.into()));
            assert_eq!(record["ts"], record["heard_at"]);
        }
        assert_eq!(records.len(), 2, "{records:?}");
    }
}

#[test]
fn what_nobody_vouches_for_is_kept_apart_and_opens_nothing() {
    let air = Air::new();
    let daemon = air.start();
    air.say(OURS, &encrypted(Set::A, 2_874, 1));
    air.say(OURS, &encrypted(Set::B, 0, 2));
    wait(&daemon, RECEIVED, 2);
    // Under the address of a lock that has a key, of one that has none, and of an unregistered one: empty batteries and
    // a problem.
    for (from, battery_mv, packet_id) in [(OURS, 1_000, 1), (KEYLESS, 1_100, 2), (STRANGER, 1_200, 3)] {
        air.say(from, &in_the_clear(Set::A, battery_mv, packet_id));
        air.say(from, &in_the_clear(Set::B, 0, packet_id + 100));
    }
    wait(&daemon, RECEIVED, 8);
    // Forged: another key's bytes.
    let mut forged = encrypted(Set::A, 1_300, 9);
    forged[3] ^= 1;
    air.say(OURS, &forged);
    wait(&daemon, FORGED, 1);
    daemon.end_cleanly();
    let records = air.records();
    let batteries = |device: &str| -> Vec<u64> {
        of(&records, device).iter().filter_map(|record| record["battery_mv"].as_u64()).collect()
    };
    assert_eq!(batteries("BL1"), [2_874, 1_000], "{records:?}");
    assert_eq!(batteries("BL2"), [1_100]);
    assert_eq!(batteries("ble-DEADBEEF0003"), [1_200]);
    let trusted = of(&records, "BL1").iter().filter(|record| record["counter"].is_u64()).count();
    assert_eq!(trusted, 1, "only what the key made has a counter");
    assert_eq!(succeed(&mut air.site.zenei(&["incident", "list", "--json"])), "");
}

#[test]
fn a_replay_is_refused_also_after_kill_9() {
    let air = Air::new();
    let old = encrypted(Set::A, 2_100, 9);
    let daemon = air.start();
    air.say(OURS, &encrypted(Set::A, 2_874, 20));
    air.say(OURS, &encrypted(Set::B, 0, 21));
    wait(&daemon, RECEIVED, 2);
    air.say(OURS, &old);
    wait(&daemon, REPLAYED, 1);
    daemon.kill9();
    for round in 2..5 {
        let daemon = air.start();
        // The spooled records are read again, or their counts come from the checkpoint.
        wait(&daemon, REPLAYED, round - 1);
        air.say(OURS, &old);
        wait(&daemon, REPLAYED, round);
        if round == 3 {
            daemon.end_cleanly();
        } else {
            daemon.kill9();
        }
    }
    let batteries: Vec<Option<u64>> =
        of(&air.records(), "BL1").iter().map(|record| record["battery_mv"].as_u64()).collect();
    assert_eq!(batteries, [Some(2_874)]);

    // The control: a gateway without that state accepts it.
    std::fs::remove_dir_all(air.site.state()).expect("the state can be removed");
    let daemon = air.start();
    air.say(OURS, &old);
    wait(&daemon, RECEIVED, 1);
    wait(&daemon, REPLAYED, 0);
    daemon.end_cleanly();
    assert_eq!(of(&air.records(), "BL1").len(), 1);
}

/// The number of kills.
const KILLS: u64 = 6;

#[test]
fn kills_of_the_service_and_of_the_bus_leave_nothing_behind() {
    let Air { mut bus, mut bluez, site } = Air::new();
    let mut command = site.zenei(&["run"]);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", bus.address());
    let daemon = site.spawn(&mut command).listening();
    wait(&daemon, "zenei_ble_scanning", 1);
    let mut used = Vec::new();
    for kill in 1..=KILLS {
        let told = bluez.advertise(&KEYLESS.to_string(), -67, &in_the_clear(Set::A, 3_000, kill.to_le_bytes()[0]));
        assert!(told.expect("the bus is there"), "somebody scans");
        wait(&daemon, RECEIVED, kill);
        let is_bus = kill.is_multiple_of(2);
        if is_bus {
            bus.kill().expect("a bus can be killed");
        }
        drop(bluez);
        wait(&daemon, "zenei_ble_scanning", 0);
        if is_bus {
            bus.restart().expect("the bus starts again");
        }
        bluez = FakeBlueZ::start(&bus).expect("the bus takes a service");
        wait(&daemon, "zenei_ble_scanning", 1);
        assert_eq!(bluez.scanners(), 1);
        used.push((daemon.files_at_rest(), daemon.rss_bytes()));
    }
    let opened = daemon.metrics().value(r#"zenei_ble_steps_total{step="opened"}"#);
    assert_eq!(opened, KILLS + 1);
    let files: Vec<usize> = used.iter().map(|(files, _)| *files).collect();
    assert!(!grows(&files), "{used:?}: {:?}", daemon.open_file_names());
    let (rss_first, rss_last) = (used[0].1, used[used.len() - 1].1);
    assert!(rss_last < rss_first + 4 * 1024 * 1024, "{used:?}");
    daemon.end_cleanly();
}

/// Whether the later half of these counts is above the earlier one: files opened with the first records are no leak,
/// files that each kill leaves open add up.
fn grows(counts: &[usize]) -> bool {
    let (earlier, later) = counts.split_at(counts.len() / 2);
    later.iter().max() > earlier.iter().max()
}

#[test]
fn one_file_a_kill_is_growth_and_one_that_is_opened_late_is_none() {
    assert!(grows(&[22, 23, 24, 25, 26, 27]) && grows(&[22, 22, 23, 23, 24, 24]));
    assert!(grows(&[23, 23, 23, 23, 24, 24]) && grows(&[23, 23, 24, 24, 25, 25]));
    assert!(!grows(&[22, 23, 23, 23, 23, 23]) && !grows(&[22, 22, 22, 22, 22, 22]));
}

#[test]
fn without_bluez_run_goes_on_says_so_and_hears_once_it_is_there() {
    let Air { bus, bluez, site } = Air::new();
    drop(bluez);
    let mut command = site.zenei(&["run"]);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", bus.address());
    let daemon = site.spawn(&mut command).listening();
    let failed = r#"zenei_ble_steps_total{step="failed"}"#;
    within(BOUND, || (daemon.metrics().value(failed) > 0).then_some(())).expect("it fails at first");
    assert_eq!(daemon.metrics().value("zenei_ble_scanning"), 0);
    assert!(daemon.log().contains("BlueZ is not on the system bus"), "{}", daemon.log());
    let doctor = |bus: &PrivateBus| {
        let mut command = site.zenei(&["doctor"]);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", bus.address());
        let ended = run(&mut command);
        let line = ended.stdout.lines().find(|line| line.contains("bluetooth")).unwrap_or_default().to_owned();
        (ended.code, line)
    };
    let (code, line) = doctor(&bus);
    assert!(code == 69 && line.starts_with("fail") && line.contains("start bluetoothd"), "{line}");
    let bluez = FakeBlueZ::start(&bus).expect("the bus takes a service");
    let air = Air { bus, bluez, site: Site { folder: site.folder, config: site.config } };
    wait(&daemon, "zenei_ble_scanning", 1);
    air.say(OURS, &encrypted(Set::A, 2_874, 1));
    wait(&daemon, RECEIVED, 1);
    let mut command = air.site.zenei(&["doctor"]);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", air.bus.address());
    let said = run(&mut command).stdout;
    assert!(said.contains("hci0 is there and on"), "{said}");
    assert_eq!(daemon.end(Signal::TERM), Some(0));
    assert_eq!(air.bluez.scanners(), 0);
}
