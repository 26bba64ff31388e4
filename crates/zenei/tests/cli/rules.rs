//! `zenei rules` and `zenei doctor`.
use crate::support::{Folder, zenei};
use expect_test::expect;
use zenei_store::{Checkpoint, Control, Ledger};

#[test]
fn the_rules_in_the_program_are_good_and_listed() {
    let ended = zenei(&["rules", "check"]).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.starts_with("ok: 3 rules"), "{}", ended.stdout);
    let ended = zenei(&["rules", "list", "--json"]).run();
    let rules: Vec<serde_json::Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = rules.iter().map(|rule| rule["rule"].as_str().unwrap()).collect();
    assert_eq!(names, ["battery-resistance", "firmware-errors", "motor-effort"]);
    assert!(rules.iter().all(|rule| rule["rule_version"].as_u64() >= Some(1)));
}

#[test]
fn a_bad_rule_is_told_with_file_line_and_key() {
    let folder = Folder::new();
    folder.write("rules/motor.toml", "id = \"motor\"\nversion = 0\n");
    folder.write("rules/README.md", "no rule");
    let ended = zenei(&["rules", "check", "--rules", "rules"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (78, ""));
    expect![[r#"
        rules/motor.toml:1: title: is missing; every rule has it
    "#]]
    .assert_eq(&ended.stderr);
}

#[test]
fn a_folder_without_rules_is_no_folder_of_rules() {
    let folder = Folder::new();
    folder.write("rules/README.md", "no rule");
    let ended = zenei(&["rules", "check", "--rules", "rules"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (78, "rules holds no .toml file; a rule is one such file\n"));
}

#[test]
fn a_doctor_finds_what_is_down_and_says_what_to_do() {
    let folder = Folder::new();
    // Port 1 (tcpmux) is not served on any machine that runs tests.
    folder.write(
        "zenei.toml",
        "state_dir = 'state'\n[mqtt]\nurl = 'mqtt://127.0.0.1:1'\n[ingress]\nlisten = '127.0.0.1:0'\n[store.clickhouse]\nurl = 'http://127.0.0.1:1'\n",
    );
    let ended = zenei(&["doctor"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (69, "2 checks failed\n"));
    let verdict = |what: &str| {
        let line =
            ended.stdout.lines().find(|line| line[6..].starts_with(what)).unwrap_or_else(|| panic!("{}", ended.stdout));
        line[..4].trim().to_owned()
    };
    assert_eq!(["config", "state_dir", "spool", "ingress"].map(verdict), ["ok"; 4]);
    assert_eq!(["broker", "clickhouse"].map(verdict), ["fail"; 2]);
    assert!(ended.stdout.contains("start the broker, or mend `mqtt.url`"), "{}", ended.stdout);
}

#[test]
fn a_doctor_with_nothing_to_complain_of_says_so() {
    let folder = Folder::new();
    folder.write("zenei.toml", "state_dir = 'state'\n[ingress]\nlisten = '127.0.0.1:0'\n");
    let ended = zenei(&["doctor", "--json"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.lines().all(|line| !line.contains(r#""verdict":"fail""#)), "{}", ended.stdout);
    assert!(!folder.path().join("state").exists(), "a doctor changes nothing");
}

#[test]
fn a_doctor_told_of_a_bad_configuration_ends_as_the_check_does() {
    let folder = Folder::new();
    folder.write("zenei.toml", "state_dirr = 'state'\n");
    let ended = zenei(&["doctor"]).in_folder(&folder).run();
    assert_eq!(ended.code, 78);
    assert!(ended.stdout.starts_with("fail  config"), "{}", ended.stdout);
    assert!(ended.stderr.contains("did you mean `state_dir`?"), "{}", ended.stderr);
}

#[test]
fn a_doctor_says_how_far_shipping_has_come() {
    let folder = Folder::new();
    let store = "[store]\nkind = 'clickhouse'\n[store.clickhouse]\nurl = 'http://127.0.0.1:1'\n";
    folder.write("zenei.toml", &format!("state_dir = 'state'\n[ingress]\nlisten = '127.0.0.1:0'\n{store}"));
    let shipping = || {
        let ended = zenei(&["doctor"]).in_folder(&folder).run();
        ended.stdout.lines().find(|line| line.contains("  shipping ")).unwrap_or("").to_owned()
    };
    assert_eq!(shipping(), "ok    shipping    nothing is sealed yet");
    std::fs::create_dir(folder.path().join("state")).unwrap();
    let mut control = Control::open(&folder.path().join("state/control.db")).unwrap();
    let mut keep = |stored, records, refused| {
        let txn = control.begin().unwrap();
        let ledger = Ledger { stored, ..Ledger::default() };
        txn.checkpoint(&Checkpoint { ledger, ..Checkpoint::default() }).unwrap();
        txn.set_cursor("ship/records", records).unwrap();
        txn.set_cursor("ship/refused", refused).unwrap();
        txn.commit().unwrap();
    };
    keep(10, 6, 0);
    assert_eq!(shipping(), "ok    shipping    6 records shipped, 4 waiting, 0 refused, 0 damaged ranges");
    keep(10, 6, 1);
    let refused = "warn  shipping    6 records shipped, 3 waiting, 1 refused, 0 damaged ranges; \
        look at the dead letters with the reason refused_by_store";
    assert_eq!(shipping(), refused);
}
