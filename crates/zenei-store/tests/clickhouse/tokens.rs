//! Tests of tokens: a range that is sent again counts once, in its tables and in the views on them.
use super::ground::{Ground, NOON_MS};
use super::rows::{fleet, op, state};
use std::collections::BTreeMap;
use zenei_detect::Gap;
use zenei_store::DeadLetter;
use zenei_wire::{EngineTime, GatewayTime, OpResult, Reason, Refusal};

const TABLES: [&str; 7] = ["record", "operation", "motor_profile", "dead_letter", "gap", "feed", "shipment"];

fn sealed(ground: &mut Ground) {
    let dead = DeadLetter::new(Refusal::new(Reason::BadJson, "no"), "t", &[0, 255, b'{'], GatewayTime(NOON_MS), 9, 2);
    let gap = Gap { device: zenei_detect::DeviceIx(1), boot: 2, from_seq: 3, to_seq: 9, at: EngineTime(NOON_MS) };
    let rows = [state(0, 1, 2900), op(0, 2, 600, 2600, OpResult::Ok), state(1, 3, 2800)];
    ground.seal(&fleet(), &rows, &[gap], &[dead]);
}

fn counts(ground: &Ground) -> Vec<u64> {
    TABLES.iter().map(|table| ground.count(&format!("{{db}}.{table}"))).collect()
}

fn in_views(ground: &Ground) -> (u64, u64) {
    let sql =
        "SELECT sum(records) AS records, sum(operations) AS operations FROM {db}.cohort_hour WHERE dimension = 'fw'";
    let rows: Vec<BTreeMap<String, u64>> = ground.ask(sql);
    (rows[0]["records"], rows[0]["operations"])
}

#[test]
fn a_range_that_is_sent_three_times_is_there_once_in_each_table_and_view() {
    let Some(mut ground) = Ground::new("tokens") else { return };
    sealed(&mut ground);
    for _ in 0..3 {
        assert_eq!(ground.ship().records, 3);
        assert_eq!(counts(&ground), [2, 1, 1, 1, 1, 3, 1]);
        assert_eq!(in_views(&ground), (3, 1));
    }
    sealed(&mut ground);
    assert_eq!(ground.ship_beyond(1).records, 3, "another range with equal rows is another range");
    assert_eq!(counts(&ground), [4, 2, 2, 2, 2, 6, 2]);
    assert_eq!(in_views(&ground), (6, 2));
}

#[test]
fn without_a_window_a_range_that_is_sent_again_doubles() {
    let Some(mut ground) = Ground::new("no_window") else { return };
    for table in TABLES {
        let table = ground.form.table(table);
        let sql = format!("ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 0");
        ground.server.execute(&sql, &[]).unwrap();
    }
    sealed(&mut ground);
    ground.ship();
    ground.ship();
    assert_eq!(counts(&ground), [4, 2, 2, 2, 2, 6, 2], "the test above would see it");
}

#[test]
fn without_a_window_of_its_own_a_view_doubles() {
    let Some(mut ground) = Ground::new("no_view_window") else { return };
    ground.mends = false;
    let table = ground.form.table("cohort_hour");
    let sql = format!("ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 0");
    ground.server.execute(&sql, &[]).unwrap();
    sealed(&mut ground);
    ground.ship();
    ground.ship();
    assert_eq!(counts(&ground), [2, 1, 1, 1, 1, 3, 1]);
    assert_eq!(in_views(&ground), (6, 2), "this is what the window on the view's table is for");
}

#[test]
fn a_try_that_died_between_table_and_view_is_made_whole_by_the_next() {
    let Some(mut ground) = Ground::new("half") else { return };
    ground.mends = false;
    sealed(&mut ground);
    let view = ground.form.table("cohort_of_record");
    // The rows reach the table, not the view: as a server that dies in between leaves it.
    ground.server.execute(&format!("DETACH TABLE {view}"), &[]).unwrap();
    ground.ship();
    assert_eq!(in_views(&ground), (1, 1));
    ground.server.execute(&format!("ATTACH TABLE {view}"), &[]).unwrap();
    ground.ship();
    assert_eq!(counts(&ground), [2, 1, 1, 1, 1, 3, 1]);
    assert_eq!(in_views(&ground), (3, 1));
}

#[test]
fn a_row_that_the_table_refuses_becomes_a_dead_letter_and_its_neighbours_are_kept() {
    let Some(mut ground) = Ground::new("poison") else { return };
    let table = ground.form.table("record");
    let sql = format!("ALTER TABLE {table} ADD CONSTRAINT no_poison CHECK ifNull(battery_mv, 0) != 1313");
    ground.server.execute(&sql, &[]).unwrap();
    let rows: Vec<_> = (0..50).map(|seq| state(0, seq, if seq == 17 { 1313 } else { 2900 })).collect();
    ground.seal(&fleet(), &rows, &[], &[]);
    for _ in 0..2 {
        let shipped = ground.ship();
        assert_eq!((shipped.records, shipped.refused), (49, 1));
        assert_eq!(counts(&ground), [49, 0, 0, 1, 0, 50, 1]);
    }
    let letters: Vec<BTreeMap<String, String>> = ground.ask("SELECT reason, bytes, topic FROM {db}.dead_letter");
    assert_eq!(letters[0]["reason"], "refused_by_store");
    assert_eq!(letters[0]["topic"], "bitlock/v1/tokyo-01/BL0/state");
    assert!(letters[0]["bytes"].contains("\"battery_mv\":1313"), "{}", letters[0]["bytes"]);
}
