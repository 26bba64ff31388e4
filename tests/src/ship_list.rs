//! Tests that a stream is listed the same whichever store holds it. One simulated stream with duplicates goes into a
//! site that keeps Parquet files, and into one that ships to ClickHouse and has deleted its files. Must not know the
//! content of a record.
use crate::between::Spoil;
use crate::clickhouse::Ground;
use crate::daemon::Site;
use crate::program::{lines, simulator, succeed};
use serde_json::Value;
use std::time::Duration;
use zenei_kit::bound::within;

/// How long shipping may take on a busy machine. A guess.
const SHIPPED_WITHIN: Duration = Duration::from_secs(120);
/// The simulated records' times recede further into the past each day.
const STORE: &str = "seal_rows = 2000\n[store.clickhouse.keep_days]\nrecord = 20000\noperation = 20000\nmotor_profile = 20000\nfeed = 20000";

/// Sends a stream to a site; returns how many duplicates the daemon counted once everything is stored.
fn play(site: &Site, ships: bool) -> u64 {
    let daemon = site.spawn(site.zenei(&["run"]).arg("--simulated-time")).listening();
    let mut fleet = simulator(["run", "--scenario", "demo", "--seed", "5", "--locks", "60", "--days", "6"]);
    fleet.args(["--duplicate-share", "0.2", "--mqtt", &daemon.ingress().to_string()]);
    succeed(&mut fleet);
    let settled = within(SHIPPED_WITHIN, || {
        let metrics = daemon.metrics();
        metrics.assert_adds_up();
        let lag = if ships { metrics.value("zenei_ship_lag_records") } else { 0 };
        (metrics.pending() == 0 && metrics.stored() > 0 && lag == 0).then_some(metrics)
    });
    let metrics = settled.unwrap_or_else(|| panic!("not everything is kept: {:?}: {}", daemon.metrics(), daemon.log()));
    daemon.end_cleanly();
    metrics.duplicate()
}

/// The listed records, without the fields that depend on the time of receipt.
fn listed(site: &Site) -> Vec<Value> {
    let mut records = lines(&succeed(&mut site.zenei(&["record", "list", "--json"])));
    for record in &mut records {
        record.as_object_mut().expect("a record is an object").remove("heard_at").expect("it says when it was heard");
    }
    records
}

#[test]
fn a_stream_with_duplicates_is_listed_the_same_from_parquet_and_from_clickhouse() {
    let Some(ground) = Ground::new(Spoil::Nothing, STORE) else { return };
    let parquet = Site::with_ingress();
    let duplicates = [play(&parquet, false), play(&ground.site, true)];
    assert!(duplicates[0] > 0 && duplicates[0] == duplicates[1], "{duplicates:?}");
    // Shipped records may be deleted from this machine: the list is then ClickHouse's alone.
    for table in ["records", "dead_letters", "gaps"] {
        std::fs::remove_dir_all(ground.site.state().join("parquet").join(table)).expect("sealed files can be removed");
    }
    let (kept, shipped) = (listed(&parquet), listed(&ground.site));
    assert!(kept.len() > 5_000, "only {} records", kept.len());
    assert!(kept.iter().any(|record| record["current_ma"].is_array()), "no motor profile among them");
    assert_eq!(kept.len(), shipped.len());
    let differs = kept.iter().zip(&shipped).find(|(kept, shipped)| kept != shipped);
    assert_eq!(differs, None);
}
