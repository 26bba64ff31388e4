//! Tests that a gateway mends what a crash of a single server leaves: a token that is noted without its rows, in a
//! table or in the one behind a view, or rows without their token. Each test makes such a state, then lets a new
//! process ship the same range again, as it must after a kill.
use super::ground::{Ground, NOON_MS, looking};
use super::rows::{error, fleet, op, state};
use serde_json::Value;
use zenei_detect::{DeviceIx, Gap, Row};
use zenei_store::DeadLetter;
use zenei_wire::{EngineTime, GatewayTime, OpResult, Reason, Refusal};

const TABLES: [&str; 6] = ["record", "operation", "motor_profile", "dead_letter", "gap", "feed"];
const HOUR_MS: i64 = 3_600_000;

fn rows() -> Vec<Row> {
    let jam = |seq, peak| op(seq % 5, seq, peak, 2500, OpResult::Jam);
    let mut rows: Vec<Row> = (0..40).map(|seq| state(seq % 5, seq, 2900)).collect();
    rows.extend((40..60).map(|seq| jam(seq, 500 + 10 * u16::try_from(seq).unwrap())));
    rows.extend((60..70).map(|seq| error(seq % 5, seq, "jam", 2)));
    // The last ones an hour later.
    for row in rows.iter_mut().filter(|row| row.offset % 7 == 0) {
        row.heard_at = GatewayTime(row.heard_at.0 + HOUR_MS);
    }
    rows
}

/// A ground to which a range of every kind of row was shipped.
fn shipped(name: &str) -> Option<Ground> {
    let mut ground = Ground::new(name)?;
    let dead = |index| DeadLetter::new(Refusal::new(Reason::BadJson, "no"), "t", b"{", GatewayTime(NOON_MS), 9, index);
    let gap = |boot| Gap { device: DeviceIx(1), boot, from_seq: 3, to_seq: 9, at: EngineTime(NOON_MS) };
    ground.seal(&fleet(), &rows(), &[gap(2), gap(3)], &[dead(0), dead(1)]);
    ground.ship();
    Some(ground)
}

fn counts(ground: &Ground) -> Vec<u64> {
    TABLES.iter().map(|table| ground.count(&format!("{{db}}.{table}"))).collect()
}

/// All hourly cohorts, as they are read.
fn cohorts(ground: &Ground) -> Vec<Value> {
    ground.ask(
        "SELECT dimension, value, hour, sum(records) AS records, sum(operations) AS operations,
            sum(failed_operations) AS failed, uniqCombined64Merge(12)(locks) AS locks, sumMap(errors) AS errors,
            quantilesTDigestMerge(0.5, 0.9, 0.99)(peak_ma) AS peaks
        FROM {db}.cohort_hour GROUP BY dimension, value, hour ORDER BY dimension, value, hour",
    )
}

fn run(ground: &Ground, sql: &str) {
    let sql = sql.replace("{db}", ground.form.database());
    ground.server.execute(&sql, &[]).unwrap();
}

/// Spoils what a shipment left, lets a new process ship it again, and expects all as before; without the look, the
/// difference stays.
fn check(name: &str, spoil: &[&str]) {
    let Some(mut ground) = shipped(name) else { return };
    let whole = (counts(&ground), cohorts(&ground));
    assert_eq!(whole.0, [50, 20, 20, 2, 2, 70]);
    spoil.iter().for_each(|sql| run(&ground, sql));
    let spoiled = (counts(&ground), cohorts(&ground));
    assert_ne!(spoiled, whole, "{spoil:?}");
    ground.mends = false;
    ground.ship();
    assert_eq!((counts(&ground), cohorts(&ground)), spoiled, "without the look nothing puts it right: {spoil:?}");
    ground.mends = true;
    ground.ship();
    assert_eq!((counts(&ground), cohorts(&ground)), whole, "{spoil:?}");
}

#[test]
fn an_hour_that_lost_an_insert_is_rebuilt_from_the_records() {
    check("lost_hour", &["ALTER TABLE {db}.cohort_hour DELETE WHERE records > operations SETTINGS mutations_sync = 1"]);
}

#[test]
fn an_hour_that_counted_an_insert_twice_is_rebuilt_from_the_records() {
    check(
        "doubled_hour",
        &[
            "INSERT INTO {db}.cohort_hour SETTINGS insert_deduplicate = 0 SELECT * FROM {db}.cohort_hour WHERE operations > 0",
        ],
    );
}

#[test]
fn rows_that_a_table_lost_are_inserted_again_and_counted_once_in_the_cohorts() {
    for table in TABLES {
        let all = format!("ALTER TABLE {{db}}.{table} DELETE WHERE 1 SETTINGS mutations_sync = 1");
        check(&format!("lost_{table}"), &[&all]);
    }
    let some = "DELETE WHERE spool_offset % 3 = 1 SETTINGS mutations_sync = 1";
    let some = ["record", "operation", "feed"].map(|table| format!("ALTER TABLE {{db}}.{table} {some}"));
    check("lost_some", &some.each_ref().map(String::as_str));
}

#[test]
fn what_another_gateway_shipped_in_the_same_hour_stays() {
    let Some(ground) = shipped("mends_two") else { return };
    let mut other = ground.shipper_of("gw-osaka-01", 0);
    other.ship(&mut looking()).unwrap();
    let whole = (counts(&ground), cohorts(&ground));
    assert_eq!(whole.0, [100, 40, 40, 4, 4, 140]);
    run(&ground, "ALTER TABLE {db}.cohort_hour DELETE WHERE operations = 0 SETTINGS mutations_sync = 1");
    run(&ground, "ALTER TABLE {db}.record DELETE WHERE gateway != 'gw-osaka-01' SETTINGS mutations_sync = 1");
    ground.ship();
    assert_eq!((counts(&ground), cohorts(&ground)), whole);
}
