//! Tests of a backtest over the store of a small simulated fleet: it opens the same incidents as a replay, and judges
//! them right or wrong as the truth does.
use super::*;
use crate::kept::{Kept, keep};
use clap::Parser;
use firmware_sim::Scenario;
use serde_json::Value;
use zenei_engine::Engine;
use zenei_store::clickhouse::{Ended, Go, ShipOptions, Shipper};
use zenei_store::schema::apply;
use zenei_store::{Checkpoint, Control, Sealed};
use zenei_wire::EngineTime;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    backtest: Backtest,
}

fn fleet(folder: &Path, locks: usize, days: f64) -> Kept {
    let mut scenario = Scenario::fleet().unwrap();
    (scenario.locks, scenario.days) = (locks, days);
    keep(&scenario, 3, folder).unwrap()
}

fn found(kept: &Kept, more: &[&str]) -> (Value, PathBuf) {
    let out = kept.recording.with_file_name("out");
    let mut line = vec!["backtest".to_owned(), "--store".into(), kept.store.display().to_string()];
    line.extend(["--out".into(), out.display().to_string(), "--json".into()]);
    line.extend(["--registry".into(), kept.registry.display().to_string()]);
    line.extend(more.iter().map(|&word| word.to_owned()));
    let mut text = Vec::new();
    run(&Arguments::parse_from(line).backtest, &mut text).unwrap();
    (serde_json::from_slice(&text).unwrap(), out)
}

#[test]
fn a_stores_records_are_judged_by_the_truth_and_plotted() {
    let folder = tempfile::tempdir().unwrap();
    let kept = fleet(folder.path(), 80, 30.0);
    let (found, out) = found(&kept, &["--truth", &kept.truth.display().to_string()]);
    assert_eq!(found["records"].as_u64().unwrap(), stored_records(&kept));
    let device_days = found["device_days"].as_u64().unwrap();
    assert!((80 * 25..=80 * 31).contains(&device_days), "{device_days}");
    let sum =
        |list: &Value, field: &str| list.as_array().unwrap().iter().map(|of| of[field].as_u64().unwrap()).sum::<u64>();
    let incidents = found["incidents"].as_u64().unwrap();
    assert!(incidents > 0);
    assert_eq!((sum(&found["by_rule"], "incidents"), sum(&found["by_day"], "incidents")), (incidents, incidents));
    let faults =
        fs::read_to_string(&kept.truth).unwrap().lines().filter(|line| line.contains("\"control\":false")).count();
    assert_eq!(sum(&found["by_label"], "labels"), faults as u64);
    let right = sum(&found["by_label"], "found");
    assert!(right > 0 && right <= sum(&found["by_rule"], "confirmed"), "{found}");
    let svg = fs::read_to_string(out.join("incidents_a_day.svg")).unwrap();
    assert_eq!(svg.matches("</title></rect>").count(), found["by_day"].as_array().unwrap().len());
    let csv = fs::read_to_string(out.join("incidents_a_day.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + found["by_day"].as_array().unwrap().len());
}

#[test]
fn without_labels_nothing_is_called_right_and_what_is_no_store_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let kept = fleet(folder.path(), 20, 4.0);
    let (found, _) = found(&kept, &[]);
    assert!(found["by_rule"].as_array().unwrap().iter().all(|of| of["confirmed"].is_null()));
    assert_eq!(found["by_label"].as_array().unwrap().len(), 0);
    let nowhere = folder.path().display().to_string();
    let arguments = ["backtest", "--store", &nowhere, "--out", &nowhere];
    let told = run(&Arguments::parse_from(arguments).backtest, &mut Vec::new()).unwrap_err();
    assert!(told.code() == 2 && told.text().contains("is no Parquet store"), "{}", told.text());
}

/// Rows in the store: records without duplicates.
fn stored_records(kept: &Kept) -> u64 {
    let store = ParquetStore::open_read_only(Arc::new(RealDisk), &kept.store);
    let rows: usize = store.batches(None).unwrap().map(|batch| batch.unwrap().len()).sum();
    assert!(rows as u64 <= kept.records);
    rows as u64
}

/// Ships a kept fleet to tables of this name.
fn ship(kept: &Kept, url: &str, database: &str) {
    let address = ServerAddress { url: url.to_owned(), user: "default".to_owned(), password: String::new() };
    let server = || Server::new(&address, Timeouts::default()).unwrap();
    // The simulated records' times recede further into the past each day.
    let days = 20_000;
    let keep =
        Retention { record: days, operation: days, motor_profile: days, dead_letter: days, ..Retention::default() };
    let form = Form::new(database, None, keep).unwrap();
    server().execute(&format!("DROP DATABASE IF EXISTS {database}"), &[]).unwrap();
    apply(&server(), &form).unwrap();
    let store = ParquetStore::open_read_only(Arc::new(RealDisk), &kept.store);
    let mut control = Control::in_memory().unwrap();
    let txn = control.begin().unwrap();
    let sealed = Sealed { offset: u64::from(u32::MAX), advanced_to: EngineTime(i64::MAX / 2) };
    txn.checkpoint(&Checkpoint { sealed, ..Checkpoint::default() }).and_then(|()| txn.commit()).unwrap();
    let gateway_id = "lab".to_owned();
    let options =
        ShipOptions { gateway_id, keep_ms: i64::MAX, max_rows: 50_000, memory: None, feed: false, mends: true };
    let mut shipper = Shipper::new(store, control, server(), form, options);
    assert_eq!(shipper.ship(&mut |_| Go::Stop).unwrap(), Ended::Done);
}

#[test]
fn a_clickhouse_gives_what_the_files_give() {
    let Some(engine) = Engine::for_test() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut kept = fleet(folder.path(), 80, 30.0);
    let truth = kept.truth.display().to_string();
    let (expected, _) = found(&kept, &["--truth", &truth]);
    ship(&kept, engine.url(), "lab_backtest");
    kept.store = engine.url().into();
    let (tables, _) = found(&kept, &["--truth", &truth, "--database", "lab_backtest"]);
    assert_eq!(tables["records"], expected["records"]);
    assert_eq!((&tables["by_rule"], &tables["by_label"]), (&expected["by_rule"], &expected["by_label"]));
    assert!(expected["incidents"].as_u64().unwrap() > 0);
}
