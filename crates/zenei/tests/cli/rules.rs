//! `zenei rules` and `zenei doctor`.
use crate::support::{Folder, zenei};
use expect_test::expect;
use zenei_desk::DeskDriver;
use zenei_detect::Findings;
use zenei_detect::rules::shipped;
use zenei_incident::Verdict;
use zenei_incident::event::Judged;
use zenei_store::{Checkpoint, Control, Layout, Ledger};
use zenei_wire::EngineTime;

#[test]
fn the_rules_in_the_program_are_good_and_listed() {
    let ended = zenei(&["rules", "check"]).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.starts_with(&format!("ok: {} rules", shipped::rules().count())), "{}", ended.stdout);
    let ended = zenei(&["rules", "list", "--json"]).run();
    let rules: Vec<serde_json::Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = rules.iter().map(|rule| rule["rule"].as_str().unwrap()).collect();
    let folders: Vec<&str> = shipped::rules().map(|(file, _)| file.trim_end_matches("/rule.toml")).collect();
    assert_eq!(names, folders);
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
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (78, "rules holds no rule; a rule is a folder with a rule.toml, or one .toml file\n")
    );
}

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../zenei-detect/rules");

/// A folder with one shipped rule and its cases.
fn folder_of(rule: &str) -> Folder {
    let folder = Folder::new();
    let text = |path: &str| std::fs::read_to_string(format!("{SHIPPED}/{path}")).unwrap();
    for file in ["rule", "positive", "negative", "gap"] {
        let path = format!("{rule}/{file}.toml");
        folder.write(&format!("rules/{path}"), &text(&path));
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
fn rules_as_single_files_have_their_cases_and_cards_in_folders_beside_them() {
    let folder = Folder::new();
    let text = |file: &str| std::fs::read_to_string(format!("{SHIPPED}/motor-effort/{file}.toml")).unwrap();
    folder.write("rules/motor-effort.toml", &text("rule"));
    for kind in ["positive", "negative", "gap"] {
        folder.write(&format!("rules/tests/motor-effort/{kind}.toml"), &text(kind));
    }
    let run = |command: &str| zenei(&["rules", command, "--rules", "rules"]).in_folder(&folder).run();
    let ended = run("test");
    assert_eq!((ended.code, ended.stdout.lines().last()), (0, Some("ok: 3 cases of 1 rules")), "{}", ended.stderr);
    change(&folder, "rules/motor-effort.toml", "value = 12", "value = 13");
    assert!(run("check").stderr.starts_with("rules/motor-effort.toml:9: state: is live, and the rule has no card"));
    folder.write("rules/cards/motor-effort.toml", &text("card"));
    assert!(run("check").stderr.starts_with("rules/cards/motor-effort.toml:4: rule_digest: was measured of"));
}

#[test]
fn a_folder_without_its_rule_and_a_rule_in_a_folder_of_another_name_are_refused() {
    let folder = folder_of("motor-effort");
    let told = || {
        let ended = zenei(&["rules", "check", "--rules", "rules"]).in_folder(&folder).run();
        (ended.code, ended.stderr)
    };
    change(&folder, "rules/motor-effort/rule.toml", "id = \"motor-effort\"", "id = \"motor\"");
    let misnamed = "rules/motor-effort/rule.toml:1: id: found \"motor\"; the rule's folder is named \"motor-effort\", \
                    and both are one name\n";
    assert_eq!(told(), (78, misnamed.to_owned()));
    std::fs::remove_file(folder.path().join("rules/motor-effort/rule.toml")).unwrap();
    let lacking = "rules/motor-effort has no rule.toml; a card and cases stand beside their rule\n";
    assert_eq!(told(), (78, lacking.to_owned()));
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
    // A door that was moved without an event, and another lock than the one with friction.
    change(&folder, "rules/motor-effort/negative.toml", "event = \"moved\"", "event = \"ota_done\"");
    change(&folder, "rules/motor-effort/positive.toml", "scope = \"device L07\"", "scope = \"device L08\"");
    let ended = rules();
    assert_eq!((ended.code, ended.stderr.as_str()), (1, "2 of 3 cases failed\n"));
    // The day depends on the detector.
    let whole_day = |line: &str| line.split_once(" on day ").map_or(line, |(start, _)| start).to_owned();
    let shown: Vec<String> = ended.stdout.lines().map(whole_day).collect();
    expect![[r#"
        ok    motor-effort gap: 1 incident, as expected
        FAIL  motor-effort negative (rules/motor-effort/negative.toml): a cold snap over one site and a door that was moved are no fault of a drive
                expected  no incident
                found     motor-effort: device L09, hardware, gear, opened
        FAIL  motor-effort positive (rules/motor-effort/positive.toml): a bolt that rubs harder each day is found before it stalls, and no other lock is
                expected  motor-effort: device L08, hardware, gear, opened
                found     motor-effort: device L07, hardware, gear, opened"#]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn a_rule_without_its_three_kinds_of_case_fails() {
    let folder = folder_of("motor-effort");
    std::fs::remove_file(folder.path().join("rules/motor-effort/gap.toml")).unwrap();
    change(&folder, "rules/motor-effort/positive.toml", "[[expect]]", "[[gap]]\nkind = \"lost\"\n[[expect]]");
    let ended = zenei(&["rules", "test", "--rules", "rules", "--json"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (1, "2 of 3 cases failed\n"));
    let lines: Vec<serde_json::Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> =
        lines.iter().map(|line| (line["case"].as_str().unwrap(), line["good"].as_bool().unwrap())).collect();
    assert_eq!(told, [("negative", true), ("positive", false), ("gap", false)]);
    assert_eq!(lines[1]["missing"][0]["scope"]["value"], "L07");
    assert!(lines[2]["faults"][0].as_str().unwrap().contains("motor-effort/gap.toml"), "{}", lines[2]);
}

#[test]
fn a_case_that_does_not_hold_what_its_name_says_fails() {
    let folder = folder_of("motor-effort");
    for (from, to) in [("gap", "positive-2"), ("negative", "gap-2"), ("positive", "negative-2"), ("negative", "other")]
    {
        let text = std::fs::read_to_string(format!("{SHIPPED}/motor-effort/{from}.toml")).unwrap();
        folder.write(&format!("rules/motor-effort/{to}.toml"), &text);
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
    let case = "rules/motor-effort/gap.toml";
    let check = |from: &str, to: &str, expected: &str| {
        let whole = std::fs::read_to_string(folder.path().join(case)).unwrap();
        change(&folder, case, from, to);
        let ended = zenei(&["rules", "test", "--rules", "rules"]).in_folder(&folder).run();
        assert_eq!(ended.code, 78, "{to}");
        assert!(ended.stderr.contains(expected), "{to}: {}", ended.stderr);
        folder.write(case, &whole);
    };
    check("peak = \"600 *", "peak = \"600 ** ", "gap.toml:23: signal.peak: found '*' at character 6");
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
        "gap.toml:12: fleet.modell: is not known; allowed are locks, site, model",
    );
}

#[test]
fn the_examples_of_the_documentation_are_good_and_pass() {
    let folder = Folder::new();
    let documentation = include_str!("../../../../docs/rules.md");
    let mut rest = documentation;
    let mut files = 0;
    while let Some((_, from)) = rest.split_once("<!-- ") {
        let (name, from) = from.split_once(" -->\n```toml\n").unwrap();
        let (text, after) = from.split_once("```").unwrap();
        folder.write(&format!("rules/{name}"), text);
        (rest, files) = (after, files + 1);
    }
    assert_eq!(files, 4);
    let ended = zenei(&["rules", "check", "--rules", "rules"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let ended = zenei(&["rules", "test", "--rules", "rules"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
}

/// A card of the shipped motor rule with one number changed, as a benchmark would write it.
fn card(digest: &str, bound: &str) -> String {
    format!(
        "rule = \"motor-effort\"\nrule_version = 3\nrule_digest = \"{digest}\"\nmeasured_by = \"a test\"\nlead_days = [20.5, 3.0]\n\
         [corpus]\nname = \"made up\"\ndigest = \"{digest}\"\ndevice_years = 12320.5\n\
         [falsely]\nincidents = 2\nper_device_year_bound = {bound}\n[found.H1]\nfirst = 3\nof = 4\n"
    )
}

#[test]
fn a_live_rule_of_ones_own_needs_a_card_of_this_very_rule_within_its_budget() {
    let folder = folder_of("motor-effort");
    folder.write("zenei.toml", "state_dir = 'state'\n[detect]\nrules = 'rules'\n");
    let told = |arguments: &[&str]| {
        let ended = zenei(arguments).in_folder(&folder).run();
        (ended.code, ended.stderr)
    };
    let check = || told(&["rules", "check", "--rules", "rules"]);
    let good = (0, String::new());
    assert_eq!(check(), good, "a rule as in the program has the program's card");
    change(&folder, "rules/motor-effort/rule.toml", "value = 12", "value = 13");
    let (code, missing) = check();
    assert_eq!(code, 78);
    assert!(
        missing.starts_with("rules/motor-effort/rule.toml:9: state: is live, and the rule has no card; measure it"),
        "{missing}"
    );
    let (code, refused) = told(&["config", "check"]);
    assert_eq!(code, 78);
    assert!(refused.contains("rules/motor-effort/rule.toml:9: state: is live"), "{refused}");
    assert_eq!(told(&["rules", "list", "--rules", "rules"]), good, "what is offline needs no card");

    let explained = zenei(&["rules", "explain", "motor-effort", "--rules", "rules", "--json"]).in_folder(&folder).run();
    let explained: serde_json::Value = serde_json::from_str(&explained.stdout).unwrap();
    assert!(explained["card"].is_null());
    let digest = explained["digest"].as_str().unwrap();
    folder.write("rules/motor-effort/card.toml", &card(digest, "0.000511"));
    assert_eq!(check(), good);
    folder.write("rules/motor-effort/card.toml", &card(digest, "0.0021"));
    let (code, over) = check();
    assert_eq!(code, 78);
    assert!(
        over.starts_with("rules/motor-effort/card.toml:12: falsely.per_device_year_bound: found 0.0021 (95 % bound"),
        "{over}"
    );
    folder.write("rules/motor-effort/card.toml", &card(&"0".repeat(32), "0.000511"));
    let (code, stale) = check();
    assert_eq!(code, 78);
    assert!(
        stale.starts_with("rules/motor-effort/card.toml:3: rule_digest: was measured of motor-effort version 3"),
        "{stale}"
    );
    change(&folder, "rules/motor-effort/rule.toml", "state = \"live\"", "state = \"shadow\"");
    assert_eq!(check(), good, "who opens nothing needs no card");
}

#[test]
fn a_rule_is_explained_with_its_numbers_their_sources_and_its_card() {
    let folder = folder_of("motor-effort");
    change(&folder, "rules/motor-effort/rule.toml", "value = 12", "value = 13");
    let explain = |more: &[&str]| {
        let arguments = [&["rules", "explain", "motor-effort", "--rules", "rules"], more].concat();
        zenei(&arguments).in_folder(&folder).run()
    };
    assert!(explain(&[]).stdout.contains("  measured   never: there is no card"));
    let whole: serde_json::Value = serde_json::from_str(&explain(&["--json"]).stdout).unwrap();
    let least = &whole["parameters"]["min_operations"];
    assert_eq!((least["value"].as_f64(), least["unit"].as_str()), (Some(13.0), Some("1")));
    assert!(least["source"].as_str().unwrap().starts_with("guess: below twelve"), "{least}");
    folder.write("rules/motor-effort/card.toml", &card(whole["digest"].as_str().unwrap(), "0.000511"));
    let shown = explain(&[]).stdout;
    for line in [
        "motor-effort version 3: Motor effort is rising",
        "  state      live",
        "    alarms   0.000162 a device-year, below 0.000511 with 95 %: 2 false incidents in 12320 device-years; budget 0.001",
        "    lead     20.5 days before the customer in the median, 3 days in the worst tenth",
        "    found    first of all rules: H1 3 of 4",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line}\n{shown}");
    }
    folder.write("rules/motor-effort/card.toml", &card(&"0".repeat(32), "0.000511"));
    assert!(explain(&[]).stdout.contains("of another rule than this one"));
    let ended = zenei(&["rules", "explain", "motor"]).run();
    assert_eq!((ended.code, ended.stderr.contains("there is no rule \"motor\"; there are ")), (2, true));
}

#[test]
fn a_rule_is_explained_with_what_it_spent_of_its_budget() {
    let folder = Folder::new();
    let state = folder.path().join("state");
    std::fs::create_dir_all(&state).unwrap();
    let control = Control::open(&Layout::new(&state).control()).unwrap();
    let mut desk = DeskDriver::open(control, Vec::new()).unwrap();
    let anomalies = vec![zenei_kit::anomaly("motor-effort", "A", 1), zenei_kit::anomaly("motor-effort", "B", 2)];
    let opened = desk.take(EngineTime(9_000), &Findings { anomalies, ..Findings::default() }).unwrap().opened;
    let judged = Judged { verdict: Verdict::FalsePositive, by: "sato".into() };
    desk.add(opened[0], EngineTime(9_000), judged).unwrap();
    let mut control = Control::open(&Layout::new(&state).control()).unwrap();
    let txn = control.begin().unwrap();
    let ledger = Ledger { lock_days: 365_000, ..Ledger::default() };
    txn.checkpoint(&Checkpoint { ledger, ..Checkpoint::default() }).unwrap();
    txn.commit().unwrap();
    let explain = |dir: &str, more: &[&str]| {
        let arguments = [&["rules", "explain", "motor-effort", "--state-dir", dir], more].concat();
        zenei(&arguments).in_folder(&folder).run()
    };
    let shown = explain("state", &[]).stdout;
    for line in [
        "  watched    1000.00 device-years in state",
        "    found    2 findings",
        "    opened   2 incidents: 1 judged a false positive, 1 not judged",
        "    budget   0.001 a device-year allows 1.000 false incidents, 3 at most by chance; left 0.000",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line}\n{shown}");
    }
    let whole: serde_json::Value = serde_json::from_str(&explain("state", &["--json"]).stdout).unwrap();
    assert_eq!((&whole["spent"]["budget"]["opened"], &whole["spent"]["findings"]), (&2.into(), &2.into()));
    let ended = explain("elsewhere", &[]);
    assert_eq!((ended.code, ended.stderr.contains("elsewhere is no state directory")), (2, true), "{}", ended.stderr);
}

#[test]
fn a_case_may_point_to_a_recording() {
    let folder = folder_of("motor-effort");
    folder.write("rules/motor-effort/gap.toml", "why = \"a recording\"\nrecording = \"quiet.ndjson\"\n");
    let lines = [0, 1].map(|seq| {
        format!(
            "{{\"topic\":\"bitlock/v1/s/BL1/state\",\"recv_ms\":{},\"payload\":{{\"ts\":1,\"boot\":1,\"seq\":{seq}}}}}\n",
            1_777_626_000_000_i64 + seq
        )
    });
    folder.write("rules/motor-effort/quiet.ndjson", &lines.concat());
    let ended = zenei(&["rules", "test", "--rules", "rules"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    std::fs::remove_file(folder.path().join("rules/motor-effort/quiet.ndjson")).unwrap();
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

#[test]
fn a_rule_may_watch_any_number_that_it_names() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rules");
    let ended = zenei(&["rules", "test", "--rules", rules]).run();
    assert_eq!((ended.code, ended.stdout.lines().last()), (0, Some("ok: 3 cases of 1 rules")), "{}", ended.stdout);
    let explain =
        |more: &[&str]| zenei(&[&["rules", "explain", "radio-stream", "--rules", rules], more].concat()).run();
    let shown = explain(&[]).stdout;
    assert!(shown.contains("  detector   stream on state.rssi_dbm (dBm), with\n"), "{shown}");
    let whole: serde_json::Value = serde_json::from_str(&explain(&["--json"]).stdout).unwrap();
    assert_eq!((&whole["detector"], &whole["field"]), (&"stream".into(), &"state.rssi_dbm".into()));
}
