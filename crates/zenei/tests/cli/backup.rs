//! `zenei backup` beside a daemon, and `zenei restore`: a daemon goes on from what came back.
use crate::support::{Daemon, Folder, fleet, zenei};
use firmware_sim::publish::Publisher;
use std::os::unix::fs::PermissionsExt as _;

const CONFIG: &str = "state_dir = 'state'\n[gateway]\nid = 'gw-01'\nsite = 'site-01'\n[ingress]\nlisten = '127.0.0.1:0'\n\
    [registry]\nfile = 'locks.csv'\n[desk]\nenabled = true\n";

fn output(folder: &Folder, arguments: &[&str]) -> String {
    let ended = zenei(arguments).in_folder(folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{arguments:?}");
    ended.stdout
}

fn records(folder: &Folder) -> String {
    output(folder, &["record", "list", "--json"])
}

#[test]
fn what_was_acknowledged_before_a_backup_beside_a_daemon_comes_back_once_and_what_follows_joins_it() {
    let (folder, other) = (Folder::new(), Folder::new());
    let mut fleet = fleet(8, 3.0, 17);
    let mut messages = Vec::new();
    fleet.advance(fleet.end_ms(), &mut messages);
    let (before, after) = messages.split_at(messages.len() / 2);
    for place in [&folder, &other] {
        place.write("locks.csv", &fleet.registry_csv());
        place.write("zenei.toml", CONFIG);
    }
    let daemon = Daemon::start(&folder, &["run", "--simulated-time"]);
    Publisher::connect(daemon.ingress(), "test").unwrap().publish_all(before).unwrap();
    let said = output(&folder, &["backup", "first.tar"]);
    assert!(said.starts_with("first.tar: "), "{said}");
    let archive = folder.path().join("first.tar");
    assert_eq!(std::fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!folder.path().join("state/backup.staged").exists(), "nothing is left");
    let kept = records(&folder);
    // The daemon goes on; what it hears now is in no backup.
    Publisher::connect(daemon.ingress(), "test").unwrap().publish_all(after).unwrap();
    let whole = records(&folder);
    assert!(whole.lines().count() > kept.lines().count());
    assert_eq!(daemon.end(), 0);

    let path = archive.to_str().unwrap();
    assert!(output(&other, &["restore", path]).contains("files"));
    assert_eq!(records(&other), kept, "each record once");
    let restored = Daemon::start(&other, &["run", "--simulated-time"]);
    // A broker or a hub may send again what was acknowledged; intake knows it.
    let again = &before[before.len() - 20..];
    let mut publisher = Publisher::connect(restored.ingress(), "test").unwrap();
    publisher.publish_all(again).unwrap();
    publisher.publish_all(after).unwrap();
    assert_eq!(restored.end(), 0);
    let identity = |text: &str| -> Vec<String> {
        let place = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            format!("{} {} {}", record["device_id"], record["boot"], record["seq"])
        };
        text.lines().map(place).collect()
    };
    assert_eq!(identity(&records(&other)), identity(&whole));
    let doctor = zenei(&["doctor"]).in_folder(&other).run().stdout;
    for what in ["ok    ledger", "ok    log", "ok    spool"] {
        assert!(doctor.contains(what), "{doctor}");
    }
}

#[test]
fn a_backup_of_a_daemon_that_was_killed_is_one_of_what_the_kill_left() {
    let (folder, other) = (Folder::new(), Folder::new());
    let mut fleet = fleet(6, 1.0, 18);
    let mut messages = Vec::new();
    fleet.advance(fleet.end_ms(), &mut messages);
    for place in [&folder, &other] {
        place.write("locks.csv", &fleet.registry_csv());
        place.write("zenei.toml", CONFIG);
    }
    let daemon = Daemon::start(&folder, &["run", "--simulated-time"]);
    Publisher::connect(daemon.ingress(), "test").unwrap().publish_all(&messages).unwrap();
    daemon.kill();
    let kept = records(&folder);
    output(&folder, &["backup", "killed.tar"]);
    output(&other, &["restore", folder.path().join("killed.tar").to_str().unwrap()]);
    assert_eq!(records(&other), kept);
}

#[test]
fn nothing_is_written_over_and_what_is_no_whole_backup_puts_nothing_back() {
    let folder = Folder::new();
    folder.write("zenei.toml", CONFIG);
    folder.write("locks.csv", crate::support::REGISTRY);
    let none = zenei(&["backup", "a.tar"]).in_folder(&folder).run();
    assert!(none.code == 1 && none.stderr.contains("nothing to keep yet"), "{}", none.stderr);
    assert_eq!(Daemon::start(&folder, &["run"]).end(), 0);
    output(&folder, &["backup", "a.tar"]);
    let again = zenei(&["backup", "a.tar"]).in_folder(&folder).run();
    assert!(again.code == 1 && again.stderr.contains("not written over"), "{}", again.stderr);
    let over = zenei(&["restore", "a.tar"]).in_folder(&folder).run();
    assert!(over.code == 1 && over.stderr.contains("move this one away first"), "{}", over.stderr);
    let whole = std::fs::read(folder.path().join("a.tar")).unwrap();
    std::fs::write(folder.path().join("cut.tar"), &whole[..whole.len() / 2]).unwrap();
    folder.write("zenei.toml", &CONFIG.replace("'state'", "'other'"));
    let cut = zenei(&["restore", "cut.tar"]).in_folder(&folder).run();
    assert!(cut.code == 1 && cut.stderr.contains("put back"), "{}", cut.stderr);
    assert!(!folder.path().join("other").exists() && !folder.path().join("other.restoring").exists());
}
