//! `zenei top` beside a daemon, after its end, and where none has ever run.
use crate::support::{Daemon, Folder, fleet, zenei};
use firmware_sim::publish::Publisher;
use serde_json::Value as Json;

fn config(http: &str) -> String {
    format!(
        "state_dir = 'state'\n[ingress]\nlisten = '127.0.0.1:0'\n[desk]\nenabled = true\n[http]\nlisten = '{http}'\n"
    )
}

fn once(folder: &Folder) -> Json {
    let ended = zenei(&["top", "--once", "--json"]).in_folder(folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn the_counters_are_those_of_the_running_zenei_and_later_those_of_its_last_checkpoint() {
    let folder = Folder::new();
    let mut fleet = fleet(6, 1.0, 13);
    let mut messages = Vec::new();
    fleet.advance(fleet.end_ms(), &mut messages);
    folder.write("zenei.toml", &config("127.0.0.1:0"));
    let daemon = Daemon::start(&folder, &["run", "--simulated-time"]);
    // The port that the system gave is what a person would have written.
    folder.write("zenei.toml", &config(daemon.http()));
    Publisher::connect(daemon.ingress(), "test").unwrap().publish_all(&messages).unwrap();
    let seen = once(&folder);
    assert_eq!(seen["received"]["ingress"].as_u64(), Some(messages.len() as u64), "{seen}");
    let url = seen["from"]["metrics"].as_str().unwrap();
    assert_eq!((url, seen["is_ready"].as_bool()), (format!("http://{}/metrics", daemon.http()).as_str(), Some(true)));
    let total = ["stored", "lag", "duplicate"].iter().map(|count| seen[*count].as_u64().unwrap()).sum::<u64>();
    assert_eq!(total, messages.len() as u64, "every record is somewhere: {seen}");
    let table = zenei(&["top"]).in_folder(&folder).run();
    assert_eq!((table.code, table.stderr.as_str()), (0, ""));
    assert!(table.stdout.contains(&format!("received {} =", messages.len())), "{}", table.stdout);
    assert!(!table.stdout.contains('\u{1b}'), "no colours into a pipe");
    assert_eq!(daemon.end(), 0);
    let seen = once(&folder);
    assert!(seen["from"]["checkpoint"].as_str().is_some_and(|why| why.contains("/metrics")), "{seen}");
    assert_eq!(seen["stored"].as_u64(), Some(messages.len() as u64), "{seen}");
    assert_eq!(zenei(&["top", "--json"]).in_folder(&folder).into_closed_pipe().code, 0);
}

#[test]
fn where_no_zenei_has_run_it_says_so_and_exits_69() {
    let folder = Folder::new();
    folder.write("zenei.toml", &config("127.0.0.1:1"));
    let ended = zenei(&["top", "--once"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (69, ""));
    assert!(ended.stderr.contains("no zenei has run with this state_dir yet"), "{}", ended.stderr);
    assert!(ended.stderr.contains("http://127.0.0.1:1/metrics"), "{}", ended.stderr);
}
