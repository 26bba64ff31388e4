//! Broken configurations and the reported problems: file, line, key, and the nearest allowed key.
use crate::support::{self, Folder, zenei};
use expect_test::expect;

/// Checks a configuration; returns the exit code and the output, without the folder's path.
fn check(config: &str) -> String {
    let folder = Folder::new();
    folder.write("zenei.toml", config);
    folder.write("locks.csv", support::REGISTRY);
    let ended = zenei(&["config", "check", "--config", "zenei.toml"]).in_folder(&folder).run();
    let said = format!("{}{}", ended.stdout, ended.stderr).replace(&folder.path().display().to_string(), "DIR");
    format!("{}\n{said}", ended.code)
}

#[test]
fn an_unknown_key_is_told_with_the_nearest() {
    let config = "state_dir = 'state'\n\n[mqtt]\nurll = 'mqtt://127.0.0.1:1883'\n";
    expect![[r#"
        78
        zenei.toml:4:1: unknown key `mqtt.urll`; did you mean `mqtt.url`? allowed here: ca_file, cert_file, client_id, key_file, password_file, topics, url, username
    "#]]
    .assert_eq(&check(config));
}

#[test]
fn an_unknown_section_is_told_with_the_nearest() {
    expect![[r#"
        78
        zenei.toml:2:2: unknown key `ingres`; did you mean `ingress`? allowed here: ble, desk, detect, gateway, http, ingress, mqtt, notify, registry, state_dir, store
    "#]]
    .assert_eq(&check("state_dir = 'state'\n[ingres]\nlisten = '127.0.0.1:0'\n"));
}

#[test]
fn a_key_in_the_wrong_section_is_told_where_it_belongs() {
    expect![[r#"
        78
        zenei.toml:1:1: unknown key `listen`; did you mean `http.listen`? allowed here: ble, desk, detect, gateway, http, ingress, mqtt, notify, registry, state_dir, store
    "#]]
    .assert_eq(&check("listen = '127.0.0.1:0'\nstate_dir = 'state'\n"));
}

#[test]
fn a_wrong_type_is_told_with_what_is_allowed() {
    let config = "state_dir = 'state'\n[ingress]\nlisten = 1884\n[desk]\nenabled = 'yes'\n[mqtt]\nurl = 'mqtt://b'\ntopics = 'a'\n";
    expect![[r#"
        78
        zenei.toml:3:10: `ingress.listen` is the integer 1884; a string such as "127.0.0.1:1884" is allowed
        zenei.toml:5:11: `desk.enabled` is the string "yes"; a boolean is allowed
        zenei.toml:8:10: `mqtt.topics` is the string "a"; an array such as ["bitlock/v1/#"] is allowed
    "#]]
    .assert_eq(&check(config));
}

#[test]
fn a_section_that_is_a_value_is_told() {
    expect![[r#"
        78
        zenei.toml:2:8: `mqtt` is the string "mqtt://b"; a table is allowed
    "#]]
    .assert_eq(&check("state_dir = 'state'\nmqtt = 'mqtt://b'\n"));
}

#[test]
fn a_missing_key_is_told_at_its_section() {
    expect![[r#"
        78
        zenei.toml:1:1: `state_dir` is missing; a string such as "/var/lib/zenei" is needed
        zenei.toml:1:2: `http.listen` is missing; a string such as "127.0.0.1:8080" is needed
    "#]]
    .assert_eq(&check("[http]\n"));
}

#[test]
fn an_unset_variable_is_an_error_at_load() {
    expect![[r#"
        78
        zenei.toml:1:13: `state_dir`: ${ZENEI_TEST_UNSET} is not set in the environment
    "#]]
    .assert_eq(&check("state_dir = '${ZENEI_TEST_UNSET}/state'\n"));
}

#[test]
fn a_variable_without_an_end_is_told() {
    expect![[r#"
        78
        zenei.toml:1:13: `state_dir`: `${` is not closed by `}` (`$${` stands for a literal `${`)
    "#]]
    .assert_eq(&check("state_dir = '${HOME/state'\n"));
}

#[test]
fn an_unknown_word_is_told_with_the_nearest() {
    expect![[r#"
        78
        zenei.toml:3:8: `store.kind` is "parkuet"; did you mean "parquet"? allowed: "parquet", "clickhouse"
    "#]]
    .assert_eq(&check("state_dir = 'state'\n[store]\nkind = 'parkuet'\n"));
}

#[test]
fn the_kind_of_a_target_decides_which_keys_it_may_have() {
    let told = |rest: &str| check(&format!("state_dir = 'state'\n[notify.hook]\n{rest}"));
    let unknown = told("kind = 'webhok'\n");
    let wanted = "78\nzenei.toml:3:8: `notify.hook.kind` is \"webhok\"; did you mean \"webhook\"? allowed: ";
    assert!(unknown.starts_with(wanted), "{unknown}");
    let missing = told("url = 'https://hooks.example.com/x'\n");
    assert!(missing.starts_with("78\nzenei.toml:2:9: `notify.hook.kind` is missing; one of "), "{missing}");
    let foreign = told("kind = 'webhook'\nurl = 'https://hooks.example.com/x'\nrouting_key_file = 'key'\n");
    assert!(foreign.starts_with("78\nzenei.toml:5:1: unknown key `notify.hook.routing_key_file`"), "{foreign}");
    let near = told("kind = 'webhook'\nurl = 'https://hooks.example.com/x'\nsecret_fil = 'key'\n");
    assert!(near.contains("did you mean `notify.hook.secret_file`?"), "{near}");
    let word = told("kind = 'webhook'\nurl = 'https://hooks.example.com/x'\nmin_urgency = 'hihg'\n");
    assert!(word.contains("did you mean \"high\"? allowed: \"low\", \"medium\", \"high\", \"highest\""), "{word}");
}

#[test]
fn a_bad_address_url_or_name_is_told() {
    let config = "state_dir = 'state'\n[gateway]\nid = 'gw tokyo'\n[ingress]\nlisten = 'here:1884'\n[mqtt]\nurl = 'http://broker'\ntopics = ['a#']\n";
    expect![[r#"
        78
        zenei.toml:3:6: `gateway.id` is "gw tokyo": the name has the character ' ' at byte 2; only A-Z a-z 0-9 . _ - are allowed
        zenei.toml:5:10: `ingress.listen` is "here:1884": an IP address and a port are allowed, such as 127.0.0.1:1884 or [::1]:1884
        zenei.toml:7:7: `mqtt.url` is "http://broker": the scheme http; mqtt:// or mqtts://HOST[:PORT] is allowed
        zenei.toml:8:11: `mqtt.topics[0]` is "a#": the level `a#`; # and + stand alone in their level
    "#]]
    .assert_eq(&check(config));
}

#[test]
fn a_file_that_is_not_there_is_told_with_its_whole_path() {
    let config = "state_dir = 'state'\n[registry]\nfile = 'lock.csv'\n[detect]\nrules = 'rules/'\n";
    expect![[r#"
        78
        zenei.toml:3:8: `registry.file` is "lock.csv": the file DIR/lock.csv does not exist
        zenei.toml:5:9: `detect.rules` is "rules/": the folder DIR/rules/ does not exist
    "#]]
    .assert_eq(&check(config));
}

#[test]
fn a_secret_in_the_configuration_is_refused_and_not_shown() {
    let config = "state_dir = 'state'\n[mqtt]\nurl = 'mqtt://user:hunter2@broker'\npassword = 'hunter2'\n";
    let said = check(config);
    assert!(!said.contains("hunter2"), "{said}");
    expect![[r#"
        78
        zenei.toml:3:7: `mqtt.url` is "mqtt://(hidden)@broker": a URL with credentials would be shown in logs; a user name and a password file have keys of their own
        zenei.toml:4:1: unknown key `mqtt.password`; a secret stands in a file of its own: `mqtt.password_file`; allowed here: ca_file, cert_file, client_id, key_file, password_file, topics, url, username
    "#]]
    .assert_eq(&said);
}

#[test]
fn a_key_given_twice_is_told() {
    expect![[r#"
        78
        zenei.toml:3:1: no TOML at `gateway.id`: duplicate key
    "#]]
    .assert_eq(&check("[gateway]\nid = 'a'\nid = 'b'\n"));
}

#[test]
fn a_text_that_does_not_end_is_told() {
    expect![[r#"
        78
        zenei.toml:2:9: no TOML at `gateway.id`: invalid basic string, expected `"`
    "#]]
    .assert_eq(&check("[gateway]\nid = \"gw\nsite = \"a\"\n"));
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_place() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("zenei.toml"), b"state_dir = 'state'\n# caf\xe9\n").unwrap();
    let ended = zenei(&["config", "check"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (78, "zenei.toml:2:6: no UTF-8; TOML is\n"));
}

#[test]
fn a_section_given_as_a_list_is_told() {
    expect![[r#"
        78
        zenei.toml:2:1: `mqtt` is an array; a table is allowed
    "#]]
    .assert_eq(&check("state_dir = 'state'\n[[mqtt]]\nurl = 'mqtt://b'\n"));
}

#[test]
fn keys_that_need_one_another_are_told() {
    let config =
        "state_dir = 'state'\n[store]\nkind = 'clickhouse'\n[mqtt]\nurl = 'mqtt://b'\npassword_file = 'locks.csv'\n";
    expect![[r#"
        78
        zenei.toml:3:8: `store.kind` = "clickhouse" needs the section [store.clickhouse] with its `url`
        zenei.toml:6:17: `mqtt.password_file` needs `mqtt.username` (MQTT 3.1.1, 3.1.2.9)
    "#]]
    .assert_eq(&check(config));
}

#[test]
fn a_missing_configuration_says_how_to_begin() {
    let folder = Folder::new();
    let ended = zenei(&["config", "check", "--config", "none.toml"]).in_folder(&folder).run();
    assert_eq!(ended.code, 78);
    assert!(ended.stderr.contains("none.toml: can't be read"), "{}", ended.stderr);
    assert!(ended.stderr.contains("zenei config init"), "{}", ended.stderr);
}

#[test]
fn every_key_of_the_contract_is_known() {
    let folder = Folder::new();
    for secret in ["mqtt.pw", "clickhouse.pw", "ca.pem", "cert.pem", "key.pem"] {
        folder.write(secret, "x");
    }
    folder.write("tokens", "");
    folder.write("locks.csv", support::REGISTRY);
    folder.write("zenei.toml", support::EVERY_SECTION);
    let ended = zenei(&["config", "check", "--config", "zenei.toml"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
}

#[test]
fn the_printed_configuration_passes_its_own_check() {
    let folder = Folder::new();
    let init = zenei(&["config", "init"]).in_folder(&folder).run();
    assert_eq!(init.code, 0);
    let ended = zenei(&["config", "check", "--config", "-"]).in_folder(&folder).input(&init.stdout).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
}

#[test]
fn the_environment_overrides_a_key_and_is_checked_like_the_file() {
    let folder = Folder::new();
    folder.write("zenei.toml", "state_dir = 'state'\n");
    let show = || zenei(&["config", "show", "--json"]).in_folder(&folder);
    let ended = show().variable("ZENEI__HTTP__LISTEN", "localhost:9000").variable("ZENEI__DESK__ENABLED", "true").run();
    assert!(ended.stdout.contains(r#""http":{"listen":"127.0.0.1:9000"}"#), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains(r#""desk":{"enabled":true,"language":"ja"}"#), "{}", ended.stdout);
    let ended = show().variable("ZENEI__HTTP__LISTNE", "127.0.0.1:9000").run();
    assert_eq!(ended.code, 78);
    expect![[r#"
        environment ZENEI__HTTP__LISTNE: unknown key `http.listne`; did you mean `http.listen`? allowed here: listen, public_url, token_file
    "#]]
    .assert_eq(&ended.stderr);
}

#[test]
fn a_path_is_relative_to_the_file_that_names_it() {
    let folder = Folder::new();
    folder.write("etc/zenei.toml", "state_dir = 'state'\n");
    let ended = zenei(&["config", "show", "--config", "etc/zenei.toml", "--json"]).in_folder(&folder).run();
    let wanted = format!("\"state_dir\":\"{}\"", folder.path().join("etc/state").display());
    assert!(ended.stdout.contains(&wanted), "{}", ended.stdout);
}

#[test]
fn the_schema_is_json_and_names_every_section() {
    let ended = zenei(&["config", "schema"]).run();
    let schema: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let sections: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let wanted =
        ["ble", "desk", "detect", "gateway", "http", "ingress", "mqtt", "notify", "registry", "state_dir", "store"];
    assert_eq!(sections, wanted);
}

#[test]
fn what_is_not_built_yet_is_refused_at_run_and_told_at_check() {
    let folder = Folder::new();
    for secret in ["mqtt.pw", "clickhouse.pw", "ca.pem", "cert.pem", "key.pem"] {
        folder.write(secret, "x");
    }
    folder.write("tokens", "");
    folder.write("locks.csv", support::REGISTRY);
    folder.write("zenei.toml", support::EVERY_SECTION);
    let ended = zenei(&["run", "--config", "zenei.toml"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (78, ""));
    expect![[r#"
        zenei.toml:7:7: `mqtt.url`: mqtts:// is not available in this version of zenei; remove it to run without
        zenei.toml:12:11: `mqtt.ca_file`: TLS is not available in this version of zenei; remove it to run without
        zenei.toml:13:13: `mqtt.cert_file`: TLS is not available in this version of zenei; remove it to run without
        zenei.toml:17:13: `ingress.cert_file`: TLS is not available in this version of zenei; remove it to run without
    "#]]
    .assert_eq(&ended.stderr);
    assert!(!folder.path().join("state").exists(), "nothing was started");
    let refused: String = ended.stderr.lines().map(|line| format!("run will refuse this: {line}\n")).collect();
    let check = zenei(&["config", "check", "--config", "zenei.toml"]).in_folder(&folder).run();
    assert_eq!((check.code, check.stderr.as_str()), (0, ""));
    let (after, note) = check.stdout.split_once('\n').unwrap().1.split_once("note: ").unwrap();
    assert_eq!(after, refused);
    assert!(note.contains("tokens may change anything; `zenei token add NAME --role operator`"), "{note}");
}

#[test]
fn a_daemon_that_hears_nothing_is_a_mistake() {
    let folder = Folder::new();
    folder.write("zenei.toml", "state_dir = 'state'\n");
    let ended = zenei(&["run"]).in_folder(&folder).run();
    assert_eq!(ended.code, 78);
    expect![[r#"
        zenei.toml:1:1: nothing is heard; [mqtt] (a broker), [ingress] (hubs that publish here) or [ble] (a radio) is needed
    "#]]
    .assert_eq(&ended.stderr);
    let check = zenei(&["config", "check"]).in_folder(&folder).run();
    assert_eq!((check.code, check.stderr.as_str()), (0, ""));
    let last = check.stdout.lines().last().unwrap();
    assert_eq!(last, format!("run will refuse this: {}", ended.stderr.trim_end()));
}

#[test]
fn a_target_that_cannot_be_used_is_refused_at_check_as_at_run_at_its_own_key() {
    let folder = Folder::new();
    let text = "state_dir = 'state'\n[desk]\nenabled = true\n[notify.room]\nkind = 'webhook'\n[mqtt]\nurl = 'mqtt://127.0.0.1:1'\n";
    let refused = |text: &str, wanted: &str| {
        folder.write("zenei.toml", text);
        let run = zenei(&["run"]).in_folder(&folder).run();
        let check = zenei(&["config", "check"]).in_folder(&folder).run();
        assert_eq!((run.code, check.code), (78, 78), "{}{}", run.stderr, check.stderr);
        assert_eq!(check.stderr, run.stderr);
        assert_eq!(check.stderr.trim_end(), wanted);
        assert_eq!(zenei(&["doctor"]).in_folder(&folder).run().code, 69, "doctor says it too");
    };
    refused(text, "zenei.toml:4:9: `notify.room`: one of `url` and `url_file` is needed");
    let private =
        "zenei.toml:6:7: `notify.room.url`: 10.0.0.7 is no public address (private); `allow_private = true` allows it";
    refused(&text.replace("'webhook'", "'webhook'\nurl = 'http://10.0.0.7/x'"), private);
    let silent =
        "zenei.toml:4:2: `notify`: nobody can be told without `desk.enabled = true`: no incident is opened here";
    let deskless = text
        .replace("enabled = true", "enabled = false")
        .replace("'webhook'", "'webhook'\nurl = 'https://hooks.example.com/x'");
    refused(&deskless, silent);
    // Control: with an address nothing is refused.
    folder.write("zenei.toml", &text.replace("'webhook'", "'webhook'\nurl = 'https://hooks.example.com/x'"));
    let check = zenei(&["config", "check"]).in_folder(&folder).run();
    assert!(check.code == 0 && !check.stdout.contains("refuse"), "{}", check.stdout);
}

#[test]
fn a_bad_file_behind_a_key_is_told_at_the_key() {
    let folder = Folder::new();
    folder.write("locks.csv", "device_id,colour\nBL1,red\n");
    folder.write("rules/motor.toml", "id = \"motor\"\nversion = 0\n");
    folder.write("zenei.toml", "state_dir = 'state'\n[registry]\nfile = 'locks.csv'\n[detect]\nrules = 'rules'\n");
    let ended = zenei(&["config", "check"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (78, ""));
    expect![[r#"
        zenei.toml:3:8: `registry.file`: DIR/locks.csv: line 1, column 2: 'colour' is no column of a registry; allowed are device_id, customer, site, door, service, gateway, model, hw_rev, lot, installed_at, address, bind_key_file
        zenei.toml:5:9: `detect.rules`: DIR/rules/motor.toml:1: title: is missing; every rule has it
    "#]]
    .assert_eq(&ended.stderr.replace(&folder.path().display().to_string(), "DIR"));
}

#[test]
fn days_that_no_calendar_of_the_server_has_and_seals_of_nothing_are_told() {
    let config = "state_dir = 'state'\n[store]\nseal_rows = 0\nseal_s = 9000\n[store.clickhouse]\nurl = 'http://127.0.0.1:8123'\n\
        [store.clickhouse.keep_days]\noperation = 0\nrecord = 65000\noperations = 3\n";
    expect![[r#"
        78
        zenei.toml:3:13: `store.seal_rows` is 0; 100 to 1000000 are allowed
        zenei.toml:4:10: `store.seal_s` is 9000; 1 to 3600 are allowed
        zenei.toml:8:13: `store.clickhouse.keep_days.operation` is 0; 1 to 20000 are allowed
        zenei.toml:9:10: `store.clickhouse.keep_days.record` is 65000; 1 to 20000 are allowed
        zenei.toml:10:1: unknown key `store.clickhouse.keep_days.operations`; did you mean `store.clickhouse.keep_days.operation`? allowed here: cohort_hour, dead_letter, decision, feed, gap, motor_profile, operation, record
    "#]]
    .assert_eq(&check(config));
}

#[test]
fn shards_of_no_cluster_and_shards_that_are_no_urls_are_told() {
    let head = "state_dir = 'state'\n[store.clickhouse]\nurl = 'http://127.0.0.1:8123'\n";
    expect![[r#"
        78
        zenei.toml:4:10: `store.clickhouse.shards` needs `store.clickhouse.cluster`: one server has no shards
    "#]]
    .assert_eq(&check(&format!("{head}shards = ['http://a:8123', 'http://b:8123']\n")));
    expect![[r#"
        78
        zenei.toml:4:28: `store.clickhouse.shards[1]` is "b:8123": no URL; http:// or https://HOST[:PORT] is allowed
    "#]]
    .assert_eq(&check(&format!("{head}shards = ['http://a:8123', 'b:8123']\n")));
}

#[test]
fn what_no_target_does_yet_is_refused_and_not_ignored() {
    let folder = Folder::new();
    folder.write("slack.token", "xoxb-1");
    folder.write("slack.secret", "x");
    let text = "state_dir = 'state'\n[ingress]\nlisten = '127.0.0.1:0'\n[desk]\nenabled = true\n[notify.room]\nkind = 'slack'\n\
        token_file = 'slack.token'\nsigning_secret_file = 'slack.secret'\n";
    folder.write("zenei.toml", text);
    let ended = zenei(&["run", "--log", "off"]).in_folder(&folder).run();
    assert_eq!(ended.code, 78);
    assert!(ended.stderr.contains("takes commands from Slack over HTTP, which is off"), "{}", ended.stderr);
    folder.write("zenei.toml", &format!("{text}[http]\nlisten = '127.0.0.1:0'\n"));
    assert_eq!(zenei(&["config", "check"]).in_folder(&folder).run().code, 0, "with an address it is taken");
    folder.write("am.token", "0123456789abcdef");
    let text = "state_dir = 'state'\n[ingress]\nlisten = '127.0.0.1:0'\n[desk]\nenabled = true\n[notify.am]\n\
        kind = 'alertmanager'\nurl = 'http://127.0.0.1:9093'\nwebhook_token_file = 'am.token'\n";
    folder.write("zenei.toml", text);
    let ended = zenei(&["run", "--log", "off"]).in_folder(&folder).run();
    assert_eq!(ended.code, 78);
    assert!(ended.stderr.contains("takes Alertmanager's webhook over HTTP, which is off"), "{}", ended.stderr);
}
