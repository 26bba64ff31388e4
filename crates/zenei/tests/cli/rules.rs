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

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../zenei-detect/rules");

/// A folder with one shipped rule and its cases.
fn folder_of(rule: &str) -> Folder {
    let folder = Folder::new();
    let text = |path: &str| std::fs::read_to_string(format!("{SHIPPED}/{path}")).unwrap();
    folder.write(&format!("rules/{rule}.toml"), &text(&format!("{rule}.toml")));
    for kind in ["positive", "negative", "gap"] {
        let case = format!("tests/{rule}/{kind}.toml");
        folder.write(&format!("rules/{case}"), &text(&case));
    }
    folder
}

/// Changes a file of the folder.
fn change(folder: &Folder, path: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(folder.path().join(path)).unwrap();
    assert!(text.contains(from), "{path} has no {from:?}");
    folder.write(path, &text.replace(from, to));
}

#[test]
fn the_rules_in_the_program_pass_their_cases() {
    let ended = zenei(&["rules", "test"]).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    for line in ended.stdout.lines() {
        assert!(line.starts_with("ok"), "{line}");
    }
}

#[test]
fn a_case_that_fails_shows_what_was_expected_and_what_was_found() {
    let folder = folder_of("motor-effort");
    let rules = || zenei(&["rules", "test", "--rules", "rules"]).in_folder(&folder).run();
    let ended = rules();
    assert_eq!((ended.code, ended.stdout.lines().last()), (0, Some("ok: 3 cases of 1 rules")), "{}", ended.stderr);
    // A door that was moved without a word, and another lock than the one that rubs.
    change(&folder, "rules/tests/motor-effort/negative.toml", "event = \"moved\"", "event = \"ota_done\"");
    change(&folder, "rules/tests/motor-effort/positive.toml", "scope = \"device L07\"", "scope = \"device L08\"");
    let ended = rules();
    assert_eq!((ended.code, ended.stderr.as_str()), (1, "2 of 3 cases failed\n"));
    // On which day is the detector's matter.
    let whole_day = |line: &str| line.split_once(" on day 1").map_or(line, |(start, _)| start).to_owned();
    let shown: Vec<String> = ended.stdout.lines().map(whole_day).collect();
    expect![[r#"
        ok    motor-effort gap: 1 incident, as expected
        FAIL  motor-effort negative (rules/tests/motor-effort/negative.toml): a cold snap over one site and a door that was moved are no fault of a drive
                expected  no incident
                found     motor-effort: device L09, hardware, gear, opened
        FAIL  motor-effort positive (rules/tests/motor-effort/positive.toml): a bolt that rubs harder each day is found before it stalls, and no other lock is
                expected  motor-effort: device L08, hardware, gear, opened
                found     motor-effort: device L07, hardware, gear, opened"#]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn a_rule_without_its_three_kinds_of_case_fails() {
    let folder = folder_of("motor-effort");
    std::fs::remove_file(folder.path().join("rules/tests/motor-effort/gap.toml")).unwrap();
    change(&folder, "rules/tests/motor-effort/positive.toml", "[[expect]]", "[[gap]]\nkind = \"lost\"\n[[expect]]");
    let ended = zenei(&["rules", "test", "--rules", "rules", "--json"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (1, "2 of 3 cases failed\n"));
    let lines: Vec<serde_json::Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> =
        lines.iter().map(|line| (line["case"].as_str().unwrap(), line["good"].as_bool().unwrap())).collect();
    assert_eq!(told, [("negative", true), ("positive", false), ("gap", false)]);
    assert_eq!(lines[1]["missing"][0]["scope"]["value"], "L07");
    assert!(lines[2]["faults"][0].as_str().unwrap().contains("tests/motor-effort/gap.toml"), "{}", lines[2]);
}

#[test]
fn a_case_that_does_not_hold_what_its_name_says_fails() {
    let folder = folder_of("motor-effort");
    for (from, to) in [("gap", "positive-2"), ("negative", "gap-2"), ("positive", "negative-2"), ("negative", "other")]
    {
        let text = std::fs::read_to_string(format!("{SHIPPED}/tests/motor-effort/{from}.toml")).unwrap();
        folder.write(&format!("rules/tests/motor-effort/{to}.toml"), &text);
    }
    let ended = zenei(&["rules", "test", "--rules", "rules"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (1, "3 of 7 cases failed\n"), "{}", ended.stdout);
    for fault in [
        "a gap case has a [[gap]]",
        "a negative case expects no incident of motor-effort",
        "a case is named positive, negative, gap",
    ] {
        assert!(ended.stdout.contains(fault), "{fault}: {}", ended.stdout);
    }
}

#[test]
fn a_bad_case_is_told_with_file_line_and_key() {
    let folder = folder_of("motor-effort");
    let case = "rules/tests/motor-effort/gap.toml";
    let check = |from: &str, to: &str, expected: &str| {
        let whole = std::fs::read_to_string(folder.path().join(case)).unwrap();
        change(&folder, case, from, to);
        let ended = zenei(&["rules", "test", "--rules", "rules"]).in_folder(&folder).run();
        assert_eq!(ended.code, 78, "{to}");
        assert!(ended.stderr.contains(expected), "{to}: {}", ended.stderr);
        folder.write(case, &whole);
    };
    check("peak = \"600 *", "peak = \"600 ** ", "gap.toml:21: signal.peak: found '*' at character 6");
    check("\"300 * sqrt(load)\"", "\"300 * sqrt(laod)\"", "a formula names \"laod\"; there are ageing, duration");
    check("[\"L04\"]", "[\"L94\"]", "locks: there is no lock \"L94\"; there are L00 to L23");
    check("scope = \"device L07\"", "scope = \"L07\"", "expect.scope: found \"L07\"; a kind and a value are allowed");
    check(
        "kind = \"silent\"",
        "kind = \"quiet\"",
        "unknown variant `quiet`, expected one of `silent`, `lost`, `backlog`",
    );
    check(
        "model = \"mini\"",
        "modell = \"mini\"",
        "gap.toml:10: fleet.modell: is not known; allowed are locks, site, model",
    );
}

#[test]
fn a_case_may_point_to_a_recording() {
    let folder = folder_of("motor-effort");
    folder.write("rules/tests/motor-effort/gap.toml", "why = \"a recording\"\nrecording = \"quiet.ndjson\"\n");
    let lines = [0, 1].map(|seq| {
        format!(
            "{{\"topic\":\"bitlock/v1/s/BL1/state\",\"recv_ms\":{},\"payload\":{{\"ts\":1,\"boot\":1,\"seq\":{seq}}}}}\n",
            1_777_626_000_000_i64 + seq
        )
    });
    folder.write("rules/tests/motor-effort/quiet.ndjson", &lines.concat());
    let ended = zenei(&["rules", "test", "--rules", "rules"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    std::fs::remove_file(folder.path().join("rules/tests/motor-effort/quiet.ndjson")).unwrap();
    let ended = zenei(&["rules", "test", "--rules", "rules"]).in_folder(&folder).run();
    assert_eq!(ended.code, 78, "{}", ended.stderr);
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
