//! An incident is carried to its end by the command line, beside a running daemon and without one.
use crate::support::{Daemon, Folder, zenei};
use serde_json::Value as Json;
use zenei_desk::DeskDriver;
use zenei_detect::Findings;
use zenei_kit::anomaly;
use zenei_kit::program::Ended;
use zenei_store::{Control, Layout};
use zenei_wire::EngineTime;

/// A daemon with a desk.
pub const CONFIG: &str = "state_dir = 'state'\n[ingress]\nlisten = '127.0.0.1:0'\n[desk]\nenabled = true\n";

/// A state directory with one incident, and the first digits of its id.
pub fn with_incident() -> (Folder, String) {
    let folder = Folder::new();
    folder.write("zenei.toml", CONFIG);
    let layout = Layout::new(&folder.path().join("state"));
    std::fs::create_dir_all(layout.root()).unwrap();
    let mut desk = DeskDriver::open(Control::open(&layout.control()).unwrap(), Vec::new()).unwrap();
    let anomalies = vec![anomaly("motor-effort", "BL1", 1_777_626_000)];
    let findings = Findings { anomalies, ..Findings::default() };
    let opened = desk.take(EngineTime(1_777_626_000_000), &findings).unwrap().opened;
    (folder, opened[0].to_string()[..12].to_owned())
}

pub fn step(folder: &Folder, arguments: &[&str]) -> Ended {
    let line: Vec<&str> = [&["incident"], arguments, &["--by", "sato"]].concat();
    zenei(&line).in_folder(folder).run()
}

pub fn status(folder: &Folder, id: &str) -> (String, usize) {
    let ended = zenei(&["incident", "show", id, "--json"]).in_folder(folder).run();
    let shown: Json = serde_json::from_str(&ended.stdout).unwrap();
    (shown["status"].as_str().unwrap().to_owned(), shown["events"].as_array().unwrap().len())
}

/// Carries the incident to its end.
fn carry(folder: &Folder, id: &str) {
    let done = step(folder, &["ack", id]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    assert_eq!(step(folder, &["note", id, "the gear is worn"]).code, 0);
    assert_eq!(step(folder, &["status", id, "fixing"]).code, 0);
    let refused = step(folder, &["complete", id]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.contains("temporary fix") && refused.stderr.contains("postmortem"), "{}", refused.stderr);
    assert_eq!(step(folder, &["temp-fix", id]).code, 0);
    assert_eq!(step(folder, &["postmortem", id, "--role", "development"]).code, 0);
    let refused = step(folder, &["complete", id, "--json"]);
    let told: Json = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!((refused.code, &told["version"]), (1, &1.into()), "one role is not enough");
    assert_eq!(told["error"].as_str(), Some(refused.stderr.trim_end()));
    assert_eq!(step(folder, &["postmortem", id, "--role", "support"]).code, 0);
    let done = step(folder, &["complete", id, "--json"]);
    let event: Json = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.code, event["kind"].as_str(), event["seq"].as_u64()), (0, Some("completed"), Some(7)));
    assert_eq!(status(folder, id), ("close".to_owned(), 8));
}

#[test]
fn an_incident_is_carried_to_its_end_without_a_daemon() {
    let (folder, id) = with_incident();
    let open = || zenei(&["incident", "list", "--open"]).in_folder(&folder).run().stdout;
    assert!(open().contains(&id));
    carry(&folder, &id);
    assert_eq!(open(), "no open incident\n");
    assert!(zenei(&["incident", "list"]).in_folder(&folder).run().stdout.contains(&id));
}

#[test]
fn an_incident_is_carried_to_its_end_beside_a_daemon_which_writes_alone() {
    let (folder, id) = with_incident();
    let daemon = Daemon::start(&folder, &["run"]);
    carry(&folder, &id);
    let socket = folder.path().join("state/desk.sock");
    assert!(socket.exists());
    std::fs::remove_file(&socket).unwrap();
    let refused = step(&folder, &["note", &id, "a second writer"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("one writer at a time is allowed"), "{}", refused.stderr);
    assert_eq!(daemon.end(), 0);
    assert_eq!(status(&folder, &id).1, 8);
}

#[test]
fn a_log_that_was_changed_by_other_means_is_refused() {
    let (folder, id) = with_incident();
    assert_eq!(step(&folder, &["ack", &id]).code, 0);
    let path = folder.path().join("state/control.db");
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(12).rposition(|window| window == b"{\"by\":\"sato\"").expect("the event's body");
    let mut changed = bytes;
    changed[at + 7] = b'g';
    std::fs::write(&path, changed).unwrap();
    let refused = step(&folder, &["note", &id, "x"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("the log was changed by other means"), "{}", refused.stderr);
}

#[test]
fn what_is_no_step_is_told_with_the_words_that_are_allowed() {
    let (folder, id) = with_incident();
    for (arguments, told) in [
        (vec!["status", &id, "fixed"], (2, "detected, investigating, fixing or resolved")),
        (vec!["status", &id, "close"], (2, "zenei incident complete")),
        (vec!["urgency", &id, "最低", "--reason", "r"], (2, "最高, 高, 中, 低")),
        (vec!["verdict", &id, "maybe"], (1, "unknown variant `maybe`")),
        (vec!["ack", "ffffff"], (1, "there is no incident `ffffff`")),
        (vec!["owner", &id, " "], (1, "`owner` is empty")),
        (vec!["merge", &id, "--into", "ffffff"], (1, "there is no incident `ffffff`")),
    ] {
        let refused = step(&folder, &arguments);
        let (code, told) = told;
        assert_eq!(refused.code, code, "{arguments:?}");
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    assert_eq!(zenei(&["incident", "ack", &id]).in_folder(&folder).run().code, 2, "nobody is named");
    assert_eq!(status(&folder, &id).1, 1, "nothing was written");
    assert_eq!(step(&folder, &["urgency", &id, "最高", "--reason", "締め出し"]).code, 0);
    assert_eq!(step(&folder, &["note", &id, "on the way"]).code, 0);
    let shown = zenei(&["incident", "show", &id]).in_folder(&folder).run().stdout;
    assert!(
        shown.contains("sato: on the way") && shown.contains("needs the temporary fix and a postmortem"),
        "{shown}"
    );
}

#[test]
fn a_silence_shows_what_it_would_be_about_always_ends_and_can_be_ended() {
    let (folder, id) = with_incident();
    let run = |arguments: &[&str]| zenei(&[&["silence"], arguments].concat()).in_folder(&folder).run();
    let preview = run(&["preview", "--device", "BL1"]);
    assert!(preview.stdout.starts_with(&id), "{}", preview.stdout);
    assert_eq!(run(&["preview", "--device", "BL2"]).stdout, "no open incident\n");
    assert_eq!(run(&["preview"]).code, 2);
    let add = |arguments: &[&str]| {
        run(&[&["add", "--device", "BL1", "--by", "sato", "--reason", "battery exchange"], arguments].concat())
    };
    assert_eq!(add(&[]).code, 2, "an end is mandatory");
    assert_eq!(add(&["--for", "soon"]).code, 2);
    let nothing = add(&["--for", "0s"]);
    assert_eq!((nothing.code, nothing.stderr.contains("--for is \"0s\"")), (2, true), "{}", nothing.stderr);
    let endless = add(&["--for", "9000h"]);
    assert_eq!(endless.code, 1);
    assert!(endless.stderr.contains("at most 366 days"), "{}", endless.stderr);
    let endless = add(&["--for", "9000h", "--json"]);
    let told: Json = serde_json::from_str(&endless.stdout).unwrap();
    assert_eq!((&told["version"], told["error"].as_str()), (&1.into(), Some(endless.stderr.trim_end())));
    let week = add(&["--for", "7d"]);
    assert_eq!((week.code, week.stderr.as_str()), (0, ""), "a day has 24 hours");
    assert!(week.stdout.ends_with("open incidents that it is about: 1\n"), "{}", week.stdout);
    for (option, value) in [("--rule", "motor"), ("--site", "nara"), ("--service", "hub"), ("--device", "BL2")] {
        let about = run(&["add", option, value, "--for", "2h", "--by", "sato", "--reason", "a typing error"]);
        let warning = format!("warning: nothing known has {option} {value}\n");
        assert_eq!((about.code, about.stderr.as_str()), (0, warning.as_str()));
        assert!(about.stdout.ends_with("is about: 0\n"), "{}", about.stdout);
    }
    let added: Json = serde_json::from_str(&add(&["--for", "2h", "--json"]).stdout).unwrap();
    let silence = added["silence"]["id"].as_str().unwrap();
    let listed = run(&["list"]);
    assert!(listed.stdout.contains(&silence[..12]) && listed.stdout.contains("battery exchange"), "{}", listed.stdout);
    assert_eq!(run(&["end", &silence[..6], "--by", "mori"]).code, 0);
    let again = run(&["end", silence, "--by", "mori"]);
    assert_eq!(again.code, 1, "{}", again.stdout);
    assert_eq!(run(&["end", "ffff", "--by", "mori"]).code, 1);
}

#[test]
fn an_incident_is_reopened_with_a_reason_and_its_actions_outlive_completion() {
    let (folder, id) = with_incident();
    assert_eq!(step(&folder, &["verdict", &id, "false_positive"]).code, 0);
    assert_eq!(step(&folder, &["complete", &id]).code, 0);
    assert_eq!(step(&folder, &["action", &id, "a1", "a rule for worn gears", "--kind", "detect"]).code, 0);
    assert_eq!(step(&folder, &["action-status", &id, "a1", "closed"]).code, 0);
    assert_eq!(step(&folder, &["effort", &id, "90", "--work", "investigation"]).code, 0);
    assert_eq!(status(&folder, &id).0, "close");
    assert_eq!(step(&folder, &["reopen", &id]).code, 2, "a reason is mandatory");
    assert_eq!(step(&folder, &["reopen", &id, "--reason", "it came back"]).code, 0);
    assert_ne!(status(&folder, &id).0, "close");
}

#[test]
fn a_silence_about_a_site_is_about_the_locks_that_the_registry_has_there() {
    let (folder, id) = with_incident();
    folder.write("locks.csv", "device_id,site,service,gateway\nBL1,tokyo-01,homehub,gw-7\n");
    folder.write("zenei.toml", &format!("{CONFIG}[registry]\nfile = 'locks.csv'\n"));
    let preview = |about: [&str; 2]| zenei(&["silence", "preview", about[0], about[1]]).in_folder(&folder).run().stdout;
    assert!(preview(["--site", "tokyo-01"]).starts_with(&id));
    assert!(preview(["--service", "homehub"]).starts_with(&id));
    assert_eq!(preview(["--site", "osaka-01"]), "no open incident\n");
    let add = ["silence", "add", "--site", "tokyo-01", "--for", "2h", "--reason", "the site moves", "--by", "sato"];
    assert_eq!(zenei(&add).in_folder(&folder).run().code, 0);
    let shown = zenei(&["incident", "show", &id, "--json"]).in_folder(&folder).run().stdout;
    assert!(shown.contains("\"muted\""), "{shown}");
}

#[test]
fn a_step_without_a_daemon_leaves_its_message_for_the_next_one() {
    let (folder, id) = with_incident();
    let waiting = || {
        let layout = Layout::new(&folder.path().join("state"));
        Control::open_read_only(&layout.control()).unwrap().undelivered().unwrap().len()
    };
    assert_eq!(step(&folder, &["note", &id, "before there was a target"]).code, 0);
    assert_eq!(waiting(), 0, "nobody is told where there is no target");
    let target = "[notify.hook]\nkind = 'webhook'\nurl = 'https://hooks.example.com/'\n";
    folder.write("zenei.toml", &format!("{CONFIG}{target}"));
    assert_eq!(step(&folder, &["note", &id, "the gear is worn"]).code, 0);
    assert_eq!(waiting(), 1);
}
