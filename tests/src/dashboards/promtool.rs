//! `/metrics` and Prometheus' alert rules before promtool, the checker of Prometheus itself; and every metric that a
//! rule or a dashboard names is one that zenei has. Negative controls: a counter without its ending, OpenMetrics
//! without its end, a rule that never fires.
use super::board::{boards, folder};
use crate::daemon::Site;
use crate::metrics::get_with;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use zenei_kit::program::{Ended, run, run_with_input};

/// The path on Debian.
const PROMTOOL: &str = "/usr/bin/promtool";
/// Metrics of parts that a daemon over Parquet without a radio has not, or not yet.
const OF_OTHER_PARTS: [&str; 4] =
    ["zenei_ble_heard_total", "zenei_ble_steps_total", "zenei_tail_up_to_seconds", "zenei_history_up_to_seconds"];

fn promtool(arguments: &[&str]) -> Command {
    assert!(Path::new(PROMTOOL).is_file(), "{PROMTOOL} is missing: apt-get install prometheus");
    let mut command = Command::new(PROMTOOL);
    command.args(arguments);
    command
}

fn is_clean(ended: &Ended) -> bool {
    ended.code == 0 && ended.stderr.is_empty()
}

/// A scrape with this Accept header.
fn scrape(accept: &str) -> String {
    let site = Site::new(
        "[gateway]\nid = 'gw-test'\n[ingress]\nlisten = '127.0.0.1:0'\n[desk]\nenabled = true\n\
         [notify.room]\nkind = 'webhook'\nurl = 'http://127.0.0.1:9'\nallow_private = true",
    );
    let daemon = site.start();
    let (status, text) = get_with(daemon.address("http://"), "/metrics", &[("Accept", accept)]);
    assert_eq!(status, 200, "{text}");
    text
}

#[test]
fn promtool_finds_nothing_to_say_about_the_classic_format() {
    let text = scrape("text/plain");
    let checked = run_with_input(&mut promtool(&["check", "metrics"]), &text);
    assert!(is_clean(&checked), "{}{}", checked.stdout, checked.stderr);
    let spoilt = text.replace("zenei_stored_total", "zenei_stored");
    assert!(
        !is_clean(&run_with_input(&mut promtool(&["check", "metrics"]), &spoilt)),
        "promtool would not see a bad name"
    );
}

/// promtool reads OpenMetrics where it imports blocks, and wants a time behind each sample.
#[test]
fn promtool_reads_open_metrics_to_its_end() {
    let text = scrape("*/*");
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    let timed: Vec<String> = text
        .lines()
        .map(|line| if line.starts_with('#') { line.to_owned() } else { format!("{line} 1777626000") })
        .collect();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let import = |text: &str| {
        let file = folder.path().join("metrics");
        std::fs::write(&file, text).expect("a file can be written");
        let out = folder.path().join("blocks");
        let mut command = promtool(&["tsdb", "create-blocks-from", "openmetrics"]);
        run(command.arg(file).arg(out))
    };
    let text = format!("{}\n", timed.join("\n"));
    let read = import(&text);
    assert!(is_clean(&read), "{}{}", read.stdout, read.stderr);
    let spoilt = text.replace("# EOF\n", "");
    assert!(!is_clean(&import(&spoilt)), "promtool would not see a text that breaks off");
}

#[test]
fn promtool_accepts_the_alert_rules_and_each_fires_when_it_should_and_only_then() {
    let rules = folder().join("prometheus/zenei.rules.yml");
    let tests = folder().join("prometheus/zenei.rules.test.yml");
    let checked = run(promtool(&["check", "rules", "--lint=all", "--lint-fatal"]).arg(&rules));
    assert!(is_clean(&checked), "{}{}", checked.stdout, checked.stderr);
    let tested = run(promtool(&["test", "rules"]).arg(&tests));
    assert!(is_clean(&tested), "{}{}", tested.stdout, tested.stderr);

    let text = std::fs::read_to_string(&rules).expect("the rules can be read");
    let cases = std::fs::read_to_string(&tests).expect("their tests can be read");
    for alert in text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        for kind in ["fires", "is quiet"] {
            assert!(cases.contains(&format!("  - name: {alert} {kind}\n")), "no test in which {alert} {kind}");
        }
    }
    // A rule that never fires.
    let copy = tempfile::tempdir().expect("a folder can be made");
    let never = text.replace("zenei_disk_size_bytes < 0.1", "zenei_disk_size_bytes < 0");
    assert_ne!(never, text);
    std::fs::write(copy.path().join("zenei.rules.yml"), never).expect("a file can be written");
    std::fs::write(copy.path().join("zenei.rules.test.yml"), cases).expect("a file can be written");
    let failed = run(promtool(&["test", "rules"]).arg(copy.path().join("zenei.rules.test.yml")));
    assert!(!is_clean(&failed), "the tests would not see a rule that never fires");
}

/// The names of metrics in a text of queries.
fn named(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_word(c)).filter(|word| word.starts_with("zenei_"));
    words.map(str::to_owned).collect()
}

#[test]
fn every_metric_that_a_rule_or_a_board_names_is_one_that_zenei_has() {
    let scraped = named(&scrape("*/*"));
    let rules = std::fs::read_to_string(folder().join("prometheus/zenei.rules.yml")).expect("the rules can be read");
    let asked = boards().into_iter().filter(|board| !board.is_clickhouse).flat_map(|board| board.panels);
    let asked: Vec<String> = asked.flat_map(|panel| panel.targets).map(|target| target.sql).collect();
    assert!(asked.len() > 15, "only {} queries were found", asked.len());
    let known = |name: &String| scraped.contains(name) || OF_OTHER_PARTS.contains(&name.as_str());
    let unknown: Vec<String> = named(&(rules + &asked.join("\n"))).into_iter().filter(|name| !known(name)).collect();
    assert_eq!(unknown, [""; 0]);
}
