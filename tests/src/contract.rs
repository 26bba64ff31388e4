//! Tests that the command line keeps what the interfaces promise to programs: exit codes, the place of a configuration
//! error, the fields and the order of records, a closed pipe, the paths of HTTP.
use crate::daemon::Site;
use crate::metrics::get;
use crate::program::{end_of, lines, run, simulator, succeed, zenei};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;
use zenei_kit::bound::within;
use zenei_kit::mqtt::{Broker, Client, answer_subscribe};

/// How long a single short step may take on a busy machine. A guess.
const STEP_WITHIN: Duration = Duration::from_secs(30);

fn code(words: &[&str]) -> (i32, String) {
    let ended = run(&mut zenei(words));
    (ended.code, ended.stderr)
}

#[test]
fn an_option_that_is_not_known_is_a_mistake_of_usage() {
    for words in [&["run", "--colour"][..], &["replay"], &["demo", "--seed", "x"], &["fly"], &[], &["bench", "nab"]] {
        let (code, said) = code(words);
        assert_eq!(code, 2, "{words:?}: {said}");
        assert!(!said.is_empty(), "{words:?} says nothing");
    }
    for words in [&["--help"][..], &["--version"], &["run", "--help"], &["config", "init"], &["config", "schema"]] {
        assert_eq!(code(words).0, 0, "{words:?}");
    }
    assert_eq!(run(&mut simulator(["run", "--colour"])).code, 2);
}

#[test]
fn a_mistake_in_a_configuration_is_told_with_file_line_and_key() {
    for (section, key, line) in [
        ("[gateway]\nid = 'gw'\nsiet = 'x'", "siet", 4),
        ("[ingress]\nlisten = 'nowhere'", "listen", 3),
        ("[mqtt]\nurl = 'http://broker'", "url", 3),
        ("[gateway]\nid = '${ZENEI_TEST_IS_NOT_SET}'", "ZENEI_TEST_IS_NOT_SET", 3),
        ("[gateway\nid = 'gw'", "", 2),
    ] {
        let site = Site::new(section);
        for words in [&["config", "check"][..], &["run"], &["doctor"]] {
            let ended = run(&mut site.zenei(words));
            assert_eq!(ended.code, 78, "{section}, {words:?}: {}", ended.stderr);
            let place = format!("zenei.toml:{line}");
            assert!(ended.stderr.contains(&place) && ended.stderr.contains(key), "no {place} {key}: {}", ended.stderr);
        }
    }
    let ended = run(&mut zenei(["config", "check", "--config", "/nowhere/zenei.toml"]));
    assert_eq!(ended.code, 78, "{}", ended.stderr);
    let good = Site::with_ingress();
    assert_eq!(run(&mut good.zenei(&["config", "check"])).code, 0);
}

#[test]
fn an_unreachable_broker_is_found_by_doctor_and_by_no_check_of_the_configuration() {
    let broker = Broker::new();
    let address = broker.address();
    let site = Site::new(&format!("[mqtt]\nurl = 'mqtt://{address}'"));
    let played = std::thread::spawn(move || {
        answer_subscribe(&mut broker.accept(false, 0), &[1]);
        broker
    });
    assert_eq!(run(&mut site.zenei(&["doctor"])).code, 0, "a broker is there");
    let broker = played.join().unwrap();
    assert_eq!(run(&mut site.zenei(&["doctor"])).code, 69, "somebody listens there, and says nothing");
    drop(broker);
    let ended = run(&mut site.zenei(&["doctor"]));
    assert_eq!(ended.code, 69, "{}", ended.stderr);
    assert!(ended.stdout.contains(&address.to_string()), "{}", ended.stdout);
    assert_eq!(run(&mut site.zenei(&["config", "check"])).code, 0);
    let ended =
        run(simulator(["run", "--days", "1", "--locks", "20", "--reconnects", "0", "--mqtt"]).arg(address.to_string()));
    assert_eq!(ended.code, 69, "{}", ended.stderr);
}

/// A site with a thousand records of each of some locks, published in arrays; the daemon has ended.
fn with_records(locks: usize) -> Site {
    let site = Site::with_ingress();
    let daemon = site.start();
    let mut client = Client::connect(daemon.ingress(), "hub").expect("the ingress takes a hub");
    for lock in (0..locks).rev() {
        let record = |seq: usize| {
            let ts = 1_777_626_000_000_u64 + seq as u64;
            format!(r#"{{"ts":{ts},"boot":1,"seq":{seq},"battery_mv":2874}}"#)
        };
        let topic = format!("bitlock/v1/site-test/BL{lock}/state");
        let first = r#"{"ts":"2026-05-01T09:00:00.000Z","boot":0,"seq":0,"model":"bitlock-mini","fw":"3.2.1","battery_mv":2900}"#;
        client.publish(&topic, first.as_bytes()).expect("a record is taken");
        let records: Vec<String> = (0..1_000).map(record).collect();
        client.publish(&topic, format!("[{}]", records.join(",")).as_bytes()).expect("a backlog is taken");
    }
    daemon.end_cleanly();
    site
}

#[test]
fn records_are_listed_in_order_with_what_was_stamped_on() {
    let site = with_records(3);
    let listed = lines(&succeed(&mut site.zenei(&["record", "list", "--json"])));
    let order = |record: &Value| {
        let number = |field: &str| record[field].as_u64().unwrap_or_else(|| panic!("no {field}: {record}"));
        (record["device_id"].to_string(), number("boot"), number("seq"))
    };
    let places: Vec<_> = listed.iter().map(order).collect();
    assert_eq!(places.len(), 3 * 1_001);
    assert!(places.is_sorted() && places.windows(2).all(|pair| pair[0] != pair[1]), "not sorted, or doubled");
    for record in &listed {
        assert_eq!((&record["kind"], &record["site"]), (&Value::from("state"), &Value::from("site-test")), "{record}");
        assert!(record["ts"].is_i64() && record["heard_at"].is_i64(), "{record}");
        assert_eq!(
            (&record["model"], &record["fw"]),
            (&Value::from("bitlock-mini"), &Value::from("3.2.1")),
            "{record}"
        );
    }
    // 2026-05-01T09:00:00Z
    assert_eq!(listed[0]["ts"], 1_777_626_000_000_i64);
    let one = lines(&succeed(&mut site.zenei(&["record", "list", "--json", "--device", "BL1"])));
    assert_eq!(one.len(), 1_001);
    assert!(one.iter().all(|record| record["device_id"] == "BL1"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    // Far more than a pipe holds, so that the program is still writing.
    let site = with_records(8);
    let mut command = site.zenei(&["record", "list", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(lines(&line).len(), 1);
    drop(reader);
    assert_eq!(end_of(&mut child, STEP_WITHIN).and_then(|status| status.code()), Some(0));
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    assert_eq!(said, "");
}

#[test]
fn a_daemon_ends_cleanly_on_both_signals_and_lets_nobody_else_into_its_state() {
    let site = Site::with_ingress();
    for signal in [Signal::TERM, Signal::INT] {
        let daemon = site.start();
        let second = run(&mut site.zenei(&["run"]));
        assert_eq!(second.code, 1, "{}", second.stderr);
        // A hub that stays connected does not delay the end.
        let hub = Client::connect(daemon.ingress(), "hub").unwrap();
        assert_eq!(daemon.end_within(signal, STEP_WITHIN), Some(0));
        drop(hub);
    }
}

#[test]
fn http_answers_at_the_paths_that_are_promised() {
    let site = Site::with_ingress();
    let daemon = site.start();
    let address = daemon.address("http://");
    let ready = within(STEP_WITHIN, || (get(address, "/readyz").0 == 200).then_some(()));
    ready.expect("it becomes ready");
    assert_eq!(get(address, "/healthz").0, 200);
    let (status, text) = get(address, "/metrics");
    assert!(status == 200 && text.trim_end().ends_with("# EOF"), "no OpenMetrics: {text}");
    for name in ["zenei_spool_bytes", "zenei_spool_lag_records", "zenei_stored_total", "zenei_duplicate_total"] {
        assert!(text.lines().any(|line| line.starts_with(&format!("{name} "))), "no {name}: {text}");
    }
    for name in ["zenei_received_total{source=", "zenei_dead_letter_total{reason=", "zenei_dropped_total{reason="] {
        assert!(text.lines().any(|line| line.starts_with(name)), "no {name}: {text}");
    }
    let open = text.lines().filter(|line| line.starts_with("zenei_incidents_open{"));
    // Three domains, four urgencies.
    assert_eq!(open.count(), 12, "{text}");
    let (status, incidents) = get(address, "/api/v1/incidents");
    assert_eq!(status, 200, "{incidents}");
    serde_json::from_str::<Value>(&incidents).expect("incidents are JSON");
    assert_eq!(get(address, "/api/v1/incidents/00000000000000000000000000000000").0, 404);
    assert_eq!(get(address, "/nothing/here").0, 404);
    assert_eq!(succeed(&mut site.zenei(&["incident", "list", "--json"])), "");
}
