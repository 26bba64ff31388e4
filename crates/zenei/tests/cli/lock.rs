//! `zenei lock show`: a lock after a daemon has heard it, and after it was forgotten.
use crate::support::{Daemon, Folder, fleet, zenei};
use firmware_sim::publish::Publisher;
use serde_json::Value as Json;

const CONFIG: &str = "state_dir = 'state'\n[gateway]\nid = 'gw-01'\nsite = 'site-01'\n[ingress]\nlisten = '127.0.0.1:0'\n\
    [registry]\nfile = 'locks.csv'\n[desk]\nenabled = true\n";

#[test]
fn a_lock_is_shown_with_its_past_until_it_is_forgotten() {
    let folder = Folder::new();
    let mut fleet = fleet(6, 3.0, 5);
    folder.write("locks.csv", &fleet.registry_csv());
    folder.write("zenei.toml", CONFIG);
    let mut messages = Vec::new();
    fleet.advance(fleet.end_ms(), &mut messages);
    let none = zenei(&["lock", "show", "BL1"]).in_folder(&folder).run();
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("history.db does not exist: `zenei run` makes it"), "{}", none.stderr);

    let daemon = Daemon::start(&folder, &["run", "--simulated-time"]);
    let mut publisher = Publisher::connect(daemon.ingress(), "test").unwrap();
    publisher.publish_all(&messages).unwrap();
    drop(publisher);
    assert_eq!(daemon.end(), 0);

    let listed = zenei(&["record", "list", "--json"]).in_folder(&folder).run().stdout;
    let records: Vec<Json> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_lock = |record: &&Json| record["kind"] != "gateway";
    let device = records.iter().find(of_lock).unwrap()["device_id"].as_str().unwrap().to_owned();
    let wanted = records.iter().filter(of_lock).filter(|record| record["device_id"] == device).count();
    let show = |more: &[&str]| zenei(&[&["lock", "show", &device], more].concat()).in_folder(&folder).run();
    let shown: Json = serde_json::from_str(&show(&["--json"]).stdout).unwrap();
    assert_eq!(shown["now"]["records"].as_u64(), Some(wanted as u64), "the stop took the last ranges too");
    let buckets = shown["buckets"].as_array().unwrap();
    let counted: u64 = buckets.iter().map(|bucket| bucket["records"].as_u64().unwrap()).sum();
    assert_eq!(counted, wanted as u64);
    assert!(shown.to_string().find("current_ma").is_none(), "no single operation");
    let text = show(&[]).stdout;
    for said in ["last heard", "battery due", "firmware", "the last 30 days:", "resistance"] {
        assert!(text.contains(said), "`{said}` is not in {text}");
    }

    let forgotten = zenei(&["forget", &device, "--json"]).in_folder(&folder).run();
    assert_eq!(forgotten.code, 0, "{}", forgotten.stderr);
    let forgotten: Json = serde_json::from_str(&forgotten.stdout).unwrap();
    assert!(forgotten["counts"]["history"].as_u64() > Some(3), "{forgotten}");
    let gone = show(&[]);
    assert_eq!(gone.code, 1);
    assert!(gone.stderr.contains("no record of"), "{}", gone.stderr);
    let needle = device.as_bytes();
    let file = std::fs::read(folder.path().join("state/history.db")).unwrap();
    assert!(!file.windows(needle.len()).any(|window| window == needle), "the history's file still names it");
}
