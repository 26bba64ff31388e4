//! Tests that a lock is gone everywhere after `zenei forget`, and that all other locks' records remain. A simulated
//! fleet is shipped to ClickHouse; the command is killed at random points before it may end. Must not know the content
//! of a record.
use crate::between::Spoil;
use crate::clickhouse::{Ground, shipped_all};
use crate::program::{lines, run, simulator, succeed};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;
use zenei_kit::Dice;
use zenei_kit::bound::{Deadline, look_again, within};
use zenei_store::Control;

/// How long shipping may take on a busy machine. A guess.
const SHIPPED_WITHIN: Duration = Duration::from_secs(120);
/// The simulated records' times recede further into the past each day.
const STORE: &str = "seal_rows = 2000\n[store.clickhouse.keep_days]\nrecord = 20000\noperation = 20000\nmotor_profile = 20000\nfeed = 20000";
/// Kills of one erasure.
const KILLS: usize = 12;
/// The latest point at which one is killed, ms: a whole erasure takes less than a second on a quiet machine.
const KILL_MS_MAX: u64 = 900;
/// Tables of ClickHouse whose rows belong to one lock.
const TABLES: [&str; 5] = ["record", "operation", "motor_profile", "gap", "feed"];

/// How many records of each lock are listed from this machine's files.
fn kept(ground: &Ground) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for record in lines(&succeed(&mut ground.site.zenei(&["record", "list", "--json"]))) {
        *found.entry(record["device_id"].as_str().expect("a record names its lock").to_owned()).or_default() += 1;
    }
    found
}

/// How many rows of each lock are in ClickHouse, by table.
fn shipped(ground: &Ground) -> BTreeMap<(String, String), u64> {
    let mut found = BTreeMap::new();
    for table in TABLES {
        for row in ground.ask(&format!("SELECT device_id, count() AS n FROM zenei.{table} GROUP BY device_id")) {
            let device = row["device_id"].as_str().expect("a row names its lock").to_owned();
            found.insert((device, table.to_owned()), row["n"].as_u64().expect("a count"));
        }
    }
    found
}

/// How many incidents, findings and registry rows name a lock, on this machine and in ClickHouse.
fn named(ground: &Ground, device: &str) -> u64 {
    let there = |table: &str, column: &str| {
        ground.number(&format!("SELECT count() AS n FROM zenei.{table} WHERE position({column}, '{device}') > 0"))
    };
    let incidents = succeed(&mut ground.site.zenei(&["incident", "list", "--json"]));
    let here = incidents.lines().filter(|line| line.contains(device)).count() as u64;
    here + there("anomaly", "concat(device_id, scope_value, why)")
        + there("incident_event", "body")
        + there("registry", "device_id")
}

#[test]
fn a_lock_that_is_forgotten_is_gone_from_both_stores_also_after_kills_and_nobody_else_is() {
    let Some(ground) = Ground::new(Spoil::Nothing, STORE) else { return };
    let daemon = ground.site.spawn(ground.site.zenei(&["run"]).arg("--simulated-time")).listening();
    let mut fleet = simulator(["run", "--scenario", "demo", "--seed", "1", "--locks", "60", "--days", "30"]);
    succeed(fleet.args(["--mqtt", &daemon.ingress().to_string()]));
    let settled = within(SHIPPED_WITHIN, || {
        let metrics = daemon.metrics();
        (metrics.pending() == 0 && shipped_all(&daemon, metrics.stored()).is_some()).then_some(())
    });
    settled.unwrap_or_else(|| panic!("not everything is shipped: {:?}: {}", daemon.metrics(), daemon.log()));
    daemon.end_cleanly();

    // A lock with an incident of its own, so that findings name it.
    let incidents = lines(&succeed(&mut ground.site.zenei(&["incident", "list", "--json"])));
    let own = |incident: &Value| incident["scope"]["kind"] == "device";
    let incident = incidents.into_iter().find(own).expect("the demo has a lock with a fault");
    let device = incident["devices"][0].as_str().expect("it names the lock").to_owned();
    let (kept_before, shipped_before) = (kept(&ground), shipped(&ground));
    assert!(kept_before[&device] > 100 && named(&ground, &device) > 0, "{kept_before:?}");
    let in_table = |table: &str| shipped_before.contains_key(&(device.clone(), table.to_owned()));
    assert!(["record", "operation", "motor_profile", "feed"].into_iter().all(in_table), "{shipped_before:?}");

    let (mut dice, mut killed) = (Dice(7), 0);
    for _ in 0..KILLS {
        let mut command = ground.site.zenei(&["forget", &device]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command starts");
        let point = Deadline::after(Duration::from_millis(dice.below(KILL_MS_MAX)));
        while !point.is_over() {
            look_again();
        }
        // It may have ended by now: then there is nothing to kill.
        let _ = kill_process(Pid::from_child(&child), Signal::KILL);
        let ended = child.wait().expect("a child can be waited for");
        killed += usize::from(ended.code().is_none());
    }
    assert!(killed >= KILLS / 4, "only {killed} were killed on their way");
    let told = succeed(&mut ground.site.zenei(&["forget", &device, "--json"]));
    let told: Value = serde_json::from_str(&told).expect("it tells in JSON");
    assert_eq!((&told["device_id"], &told["counts"]["left"]), (&device.as_str().into(), &0.into()), "{told}");

    let mut expected = kept_before.clone();
    expected.remove(&device);
    assert_eq!(kept(&ground), expected);
    let mut expected = shipped_before.clone();
    expected.retain(|(of, _), _| *of != device);
    assert_eq!(shipped(&ground), expected);
    assert_eq!(named(&ground, &device), 0);
    let erasures = Control::open_read_only(&ground.site.state().join("control.db")).and_then(|it| it.erasures());
    let erasures = erasures.expect("the log of erasures can be read");
    assert!(!erasures.is_empty() && erasures.iter().all(|line| line.ended_at_ms.is_some()), "{erasures:?}");
    assert!(erasures.iter().all(|line| line.device_id == device), "{erasures:?}");

    // Where ClickHouse does not answer, the command reports it and claims nothing.
    let other = expected.keys().next().expect("others are there").0.clone();
    ground.between.refuse();
    let ended = run(&mut ground.site.zenei(&["forget", &other]));
    assert_eq!(ended.code, 69, "{}", ended.stderr);
    assert!(ended.stderr.contains("but not in ClickHouse"), "{}", ended.stderr);
    assert_eq!(shipped(&ground), expected, "nothing was taken out there");

    // The daemon starts again, and its ledger adds up.
    ground.between.take_again();
    let daemon = ground.site.start();
    daemon.metrics().assert_adds_up();
    daemon.end_cleanly();
}
