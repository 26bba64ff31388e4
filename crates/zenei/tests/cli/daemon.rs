//! `zenei run` and the commands that read its state from outside: publish, list, stop, start again, replay.
use crate::support::{Daemon, Folder, REGISTRY, fleet, zenei};
use firmware_sim::Message;
use firmware_sim::publish::Publisher;
use serde_json::Value as Json;

const CONFIG: &str = "state_dir = 'state'\n[gateway]\nid = 'gw-01'\nsite = 'site-01'\n[ingress]\nlisten = '127.0.0.1:0'\n\
    [registry]\nfile = 'locks.csv'\n[desk]\nenabled = true\n[http]\nlisten = '127.0.0.1:0'\n";

fn list(folder: &Folder) -> Vec<Json> {
    let ended = zenei(&["record", "list", "--json"]).in_folder(folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_acknowledged_record_is_listed_once_while_it_runs_after_it_ended_and_after_a_restart() {
    let folder = Folder::new();
    let mut fleet = fleet(8, 2.0, 3);
    folder.write("locks.csv", &fleet.registry_csv());
    folder.write("zenei.toml", CONFIG);
    let mut messages = Vec::new();
    fleet.advance(fleet.end_ms(), &mut messages);
    let (first, second) = messages.split_at(messages.len() / 2);

    let daemon = Daemon::start(&folder, &["run", "--simulated-time"]);
    let mut publisher = Publisher::connect(daemon.ingress(), "test").unwrap();
    publisher.publish_all(first).unwrap();
    let running = list(&folder);
    assert!(running.len() >= first.len());
    let place = |record: &Json| {
        (record["device_id"].as_str().unwrap().to_owned(), record["boot"].as_u64(), record["seq"].as_u64())
    };
    assert!(running.is_sorted_by(|a, b| place(a) < place(b)), "sorted, and each once");
    assert!(running.iter().all(|record| record["model"].is_string()), "the registry's labels are stamped on");
    assert_eq!(daemon.end(), 0);
    let ended = list(&folder);
    assert_eq!(ended.len(), running.len());
    assert_eq!(ended, running);

    let daemon = Daemon::start(&folder, &["run", "--simulated-time"]);
    let mut publisher = Publisher::connect(daemon.ingress(), "test").unwrap();
    publisher.publish_all(second).unwrap();
    publisher.publish_all(&first[first.len() - 10..]).unwrap();
    let running = list(&folder);
    daemon.kill();
    let killed = list(&folder);
    assert_eq!(killed, running, "what was acknowledged survives a kill");
    assert!(killed.windows(2).all(|pair| place(&pair[0]) < place(&pair[1])));

    let one = zenei(&["record", "list", "--json", "--device", killed[0]["device_id"].as_str().unwrap()])
        .in_folder(&folder)
        .run();
    let wanted = killed.iter().filter(|record| record["device_id"] == killed[0]["device_id"]).count();
    assert_eq!(one.stdout.lines().count(), wanted);
}

/// A lock that keeps no counter over a power cut; some of its records are sent twice.
#[test]
fn what_a_lock_says_under_numbers_of_before_is_listed_life_by_life() {
    let folder = Folder::new();
    folder.write("locks.csv", REGISTRY);
    folder.write("zenei.toml", CONFIG);
    let said = |from: u32, to: u32, day: i64| {
        let record = |seq: u32| {
            let ts = 1_777_626_000_000 + day * 86_400_000 + i64::from(seq) * 3_600_000;
            let payload = format!(r#"{{"ts":{ts},"boot":1,"seq":{seq},"battery_mv":{}}}"#, 2_900 - seq);
            let topic = "bitlock/v1/tokyo-01/BL1/state".to_owned();
            Message { at_ms: ts, topic, payload: payload.into_bytes(), retain: false, lock: 0 }
        };
        (from..to).map(record).collect::<Vec<Message>>()
    };
    let daemon = Daemon::start(&folder, &["run"]);
    let mut publisher = Publisher::connect(daemon.ingress(), "test").unwrap();
    for messages in [said(0, 8, 0), said(0, 6, 30), said(0, 6, 30), said(6, 8, 30)] {
        publisher.publish_all(&messages).unwrap();
        // What follows is heard at least a millisecond later.
        assert!(!list(&folder).is_empty());
    }
    let listed = list(&folder);
    assert_eq!(daemon.end(), 0);
    assert_eq!(list(&folder), listed, "sealed or not");
    let lives = |life: u64| listed.iter().filter(|record| record["life"].as_u64() == Some(life)).count();
    assert_eq!((listed.len(), lives(0), lives(1)), (16, 8 + 2, 6));
    assert!(listed.is_sorted_by_key(|record| (
        record["life"].as_u64(),
        record["boot"].as_u64(),
        record["seq"].as_u64()
    )));
    assert!(listed.iter().all(|record| record["trusted"] == true));
}

#[test]
fn a_store_is_replayed_like_the_recording_that_filled_it() {
    let folder = Folder::new();
    let mut fleet = fleet(6, 2.0, 4);
    folder.write("locks.csv", &fleet.registry_csv());
    folder.write("zenei.toml", CONFIG);
    let mut messages = Vec::new();
    fleet.advance(fleet.end_ms(), &mut messages);
    let daemon = Daemon::start(&folder, &["run", "--simulated-time"]);
    Publisher::connect(daemon.ingress(), "test").unwrap().publish_all(&messages).unwrap();
    assert_eq!(daemon.end(), 0);
    for from in ["state", "state/parquet"] {
        let ended = zenei(&["replay", from, "--out", "out", "--json"]).in_folder(&folder).run();
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        let summary: Json = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(summary["records"].as_u64(), Some(list(&folder).len() as u64));
        assert_eq!((summary["locks"].as_u64(), summary["duplicates"].as_u64()), (Some(6), Some(0)));
    }
}

#[test]
fn incidents_can_be_looked_at_beside_a_running_daemon() {
    let folder = Folder::new();
    folder.write("locks.csv", REGISTRY);
    folder.write("zenei.toml", CONFIG);
    let before = zenei(&["incident", "list"]).in_folder(&folder).run();
    assert_eq!(before.code, 1);
    assert!(before.stderr.contains("no zenei has run with this state_dir yet"), "{}", before.stderr);
    let daemon = Daemon::start(&folder, &["run"]);
    let ended = zenei(&["incident", "list"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "no incident\n", ""));
    let ended = zenei(&["incident", "list", "--json"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""));
    let ended = zenei(&["incident", "show", "0123"]).in_folder(&folder).run();
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (1, "there is no incident `0123`; `zenei incident list` names all\n")
    );
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_state_directory_has_one_daemon() {
    let folder = Folder::new();
    folder.write("locks.csv", REGISTRY);
    folder.write("zenei.toml", CONFIG);
    let daemon = Daemon::start(&folder, &["run"]);
    let second = zenei(&["run", "--log", "off"]).in_folder(&folder).run();
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("another process uses"), "{}", second.stderr);
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_port_that_is_taken_is_told_with_its_key() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    folder.write("zenei.toml", &format!("state_dir = 'state'\n[ingress]\nlisten = '{listen}'\n"));
    let ended = zenei(&["run", "--log", "off"]).in_folder(&folder).run();
    assert_eq!(ended.code, 78);
    assert!(ended.stderr.starts_with(&format!("ingress.listen: can't listen on {listen}")), "{}", ended.stderr);
}

#[test]
fn two_signals_at_once_are_one_wish() {
    let folder = Folder::new();
    let mut demo = zenei(&["demo"]).in_folder(&folder).variable("TMPDIR", folder.path().to_str().unwrap()).lines();
    demo.next();
    assert_eq!(demo.end_as_timeout_does(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_demo_to_watch_ends_cleanly_when_asked() {
    let folder = Folder::new();
    let mut demo = zenei(&["demo"]).in_folder(&folder).variable("TMPDIR", folder.path().to_str().unwrap()).lines();
    assert!(demo.next().starts_with("500 simulated locks, 30 days"));
    assert!(demo.next().starts_with("look: http://127.0.0.1:"));
    assert_eq!(demo.end(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn triage_over_http_answers_what_the_command_line_does_by_the_daemons_own_tables() {
    let folder = Folder::new();
    let table = include_str!("../../../zenei-incident/defaults/urgency.toml");
    folder.write("urgency.toml", &table.replacen("version = 1", "version = 7", 1));
    folder.write("locks.csv", REGISTRY);
    folder.write("zenei.toml", &format!("{CONFIG}[desk.files]\nurgency = 'urgency.toml'\n"));
    let daemon = Daemon::start(&folder, &["run"]);
    for facts in [r#"{"symptoms":["degraded"],"locks":1,"records":1}"#, r#"{"symptoms":["locked_out"]}"#] {
        let line =
            zenei(&["triage", "--stdin", "--json", "--config", "zenei.toml"]).in_folder(&folder).input(facts).run();
        let (code, body) = daemon.ask("POST", "/api/v1/triage", &[], facts);
        let read = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        assert_eq!((line.code, code, read(&line.stdout)), (0, 200, read(&body)));
        assert_eq!(read(&body)["table_version"], 7);
    }
    assert_eq!(daemon.ask("POST", "/api/v1/triage", &[], r#"{"symptom":"x"}"#).0, 400);
    assert_eq!(daemon.end(), 0);
}
