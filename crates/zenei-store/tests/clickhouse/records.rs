//! Tests of reading: records come back unchanged, each once, equal to those of the Parquet store.
use super::ground::Ground;
use super::rows::{fleet, rows, state};
use proptest::test_runner::{Config, TestRunner};
use zenei_store::StoredRecord;
use zenei_store::clickhouse::each_record;
use zenei_store::parquet::to_json;

fn listed(ground: &Ground, device: Option<&str>) -> Vec<StoredRecord> {
    let mut listed = Vec::new();
    each_record(&ground.server, &ground.form, device, &mut |record| listed.push(record)).unwrap();
    listed
}

/// The records as the Parquet store would list them: each identity once, by lock, life, boot, `seq`, time.
fn expected(ground: &Ground, device: Option<&str>) -> Vec<StoredRecord> {
    let read: Result<Vec<StoredRecord>, _> = ground.store().read_all(None).unwrap().collect();
    let mut records = read.unwrap();
    records.retain(|record| device.is_none_or(|device| record.device_id.as_str() == device));
    let order = |record: &StoredRecord| {
        let (device, life, boot, seq, ts, offset, index) = record.order();
        (device.to_owned(), life, boot, seq, ts, record.identity, offset, index)
    };
    records.sort_by_key(order);
    let mut seen = std::collections::BTreeSet::new();
    records.retain(|record| {
        let (device, _, boot, seq, ts, ..) = record.order();
        seen.insert((device.to_owned(), boot, seq, record.record.body.kind(), ts, record.identity))
    });
    records
}

#[test]
fn arbitrary_records_are_the_same_in_clickhouse_and_in_parquet() {
    let Some(mut ground) = Ground::new("records") else { return };
    let mut runner = TestRunner::new(Config { cases: 8, failure_persistence: None, ..Config::default() });
    let drawn = std::cell::RefCell::new(Vec::new());
    runner
        .run(&rows(120), |rows| {
            drawn.borrow_mut().push(rows);
            Ok(())
        })
        .unwrap();
    for (number, rows) in (0..).zip(drawn.into_inner()) {
        ground.seal(&fleet(), &rows, &[], &[]);
        ground.ship_beyond(number);
        let (found, expected) = (listed(&ground, None), expected(&ground, None));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(to_json(found), to_json(expected));
            assert_eq!(found, expected);
        }
    }
    let one = Some("BL3");
    assert_eq!(listed(&ground, one), expected(&ground, one));
    assert!(!listed(&ground, one).is_empty());
}

#[test]
fn a_record_that_two_ranges_hold_is_listed_once() {
    let Some(mut ground) = Ground::new("once") else { return };
    ground.seal(&fleet(), &[state(0, 1, 2900), state(0, 2, 2900)], &[], &[]);
    ground.seal(&fleet(), &[state(0, 2, 2900), state(0, 3, 2900)], &[], &[]);
    ground.ship();
    assert_eq!(ground.count("{db}.record"), 4);
    let seqs: Vec<Option<u32>> = listed(&ground, None).iter().map(|record| record.record.seq).collect();
    assert_eq!(seqs, [Some(1), Some(2), Some(3)]);
}

#[test]
fn a_device_id_is_a_value_and_no_part_of_the_query() {
    let Some(ground) = Ground::new("sqli") else { return };
    for device in ["x' OR 1=1 --", "{x:String}", "?", "\\"] {
        assert_eq!(listed(&ground, Some(device)), []);
    }
}
