//! Test of the columns that every file must have: those of the first version, in their order.
use super::batch::StoredBatch;
use super::tests::{dir, fleet, plan, row, store};
use crate::columns::of_rows;
use crate::disk::{Disk as _, SimDisk, read_whole};
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_array::RecordBatch;
use std::collections::BTreeSet;
use std::sync::Arc;
use zenei_detect::Row;
use zenei_wire::{
    Adv, Body, CentiCelsius, DbMilliwatts, Kind, LockState, Milliamps, Millivolts, Name, Percent, Topic, decode,
};

/// One record of each kind with every field that the contract's version 1 has, and one with none that may be absent.
fn rows_of_version_1() -> Vec<Row> {
    let messages = [
        (
            Kind::State,
            r#"{"ts":1,"battery_mv":2874,"battery_pct":71,"temp_c":-18.55,"rssi_dbm":-67,"lock_state":"locked","reset_reason":"power_on","free_heap_b":70000}"#,
        ),
        (
            Kind::Op,
            r#"{"ts":2,"op":"unlock","source":"app","result":"ok","latency_ms":1430,"duration_ms":820,"peak_ma":612,"mean_ma":310,"current_ma":[600,0,65535],"sample_ms":40,"battery_min_mv":2610,"angle_err_deg":1.2}"#,
        ),
        (Kind::Error, r#"{"ts":3,"code":"motor_stall","count":3,"detail":"ä"}"#),
        (Kind::Event, r#"{"ts":4,"event":"ota_done","fw_from":"3.2.0","fw_to":"3.2.1"}"#),
        (
            Kind::Gateway,
            r#"{"ts":5,"gateway_id":"BL0","version":"1","queue_depth":1,"publish_errors":2,"api_errors":3,"api_latency_ms":4,"locks_heard":5}"#,
        ),
        (Kind::State, r#"{"ts":6}"#),
        (Kind::Op, r#"{"ts":7,"op":"lock","result":"jam"}"#),
        (Kind::Error, r#"{"ts":8,"code":"jam"}"#),
        (Kind::Event, r#"{"ts":9,"event":"moved"}"#),
        (Kind::Gateway, r#"{"ts":10}"#),
    ];
    let name = |text| Name::new(text).unwrap();
    let mut bodies: Vec<Body<'static>> = Vec::new();
    for (kind, message) in messages {
        let topic = Topic { site: name("tokyo-01"), device: name("BL0"), kind };
        let records = decode(&topic, message.as_bytes()).unwrap();
        bodies.push(records[0].record.clone().unwrap().body.into_owned());
    }
    bodies.push(Body::Adv(Adv {
        battery_mv: Some(Millivolts(2900)),
        battery_pct: Some(Percent(80)),
        temp_c: Some(CentiCelsius(-1)),
        rssi_dbm: Some(DbMilliwatts(-90)),
        lock_state: Some(LockState::Unlocked),
        peak_ma: Some(Milliamps(600)),
        problem: Some(false),
        seq_low: Some(7),
        packet_id: Some(255),
        counter: Some(9),
    }));
    bodies.push(Body::Adv(Adv::default()));
    (0..).zip(bodies).map(|(seq, body)| Row { body, ..row(seq) }).collect()
}

#[test]
fn a_file_has_the_columns_of_version_1_in_their_order() {
    let disk = SimDisk::new(0);
    store(&disk).seal(&plan(0, 9, 5), &fleet(), &rows_of_version_1(), &[], &[], "gw-tokyo-01").unwrap();
    let name = disk.list(&dir().join("records")).unwrap().remove(0);
    let bytes = read_whole(&disk, &dir().join("records").join(name)).unwrap();
    let read = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let column = |field: &Arc<arrow_schema::Field>| {
        format!("{} {}{}", field.name(), field.data_type(), if field.is_nullable() { " or null" } else { "" })
    };
    let columns: Vec<String> = read.schema().fields().iter().map(column).collect();
    let first: Vec<&str> = columns.iter().map(String::as_str).filter(|column| VERSION_1.contains(column)).collect();
    assert_eq!(first, VERSION_1, "of {columns:?}");
}

#[test]
fn a_file_of_a_version_that_counted_no_lives_is_of_the_first_life() {
    let rows: Vec<Row> = rows_of_version_1().into_iter().map(|row| Row { life: 3, ..row }).collect();
    let whole = of_rows(&rows, &fleet(), "gw-tokyo-01").unwrap();
    let kept = (0..whole.num_columns()).filter(|&at| whole.schema().field(at).name() != "life");
    let before = whole.project(&kept.collect::<Vec<_>>()).unwrap();
    let lives = |batch: &RecordBatch| -> BTreeSet<u32> {
        let batch = StoredBatch::new(batch).unwrap();
        (0..batch.len()).map(|at| batch.stored(at).unwrap().life).collect()
    };
    assert_eq!((lives(&whole), lives(&before)), (BTreeSet::from([3]), BTreeSet::from([0])));
}

/// The columns of files since their first version; later ones may have more.
const VERSION_1: [&str; 57] = [
    "device_id Utf8",
    "site Utf8 or null",
    "kind Utf8",
    "boot UInt32 or null",
    "seq UInt32 or null",
    "identity Utf8 or null",
    "ts Int64",
    "heard_at Timestamp(ms, \"UTC\")",
    "released_at Timestamp(ms, \"UTC\")",
    "offset UInt64",
    "index UInt16",
    "late Boolean",
    "authenticated Boolean",
    "gateway Utf8",
    "uptime_s UInt32 or null",
    "model Utf8 or null",
    "hw_rev Utf8 or null",
    "lot Utf8 or null",
    "fw Utf8 or null",
    "service Utf8 or null",
    "gw Utf8 or null",
    "client_version Utf8 or null",
    "battery_mv UInt16 or null",
    "battery_pct UInt8 or null",
    "temp_c Float64 or null",
    "rssi_dbm Int8 or null",
    "lock_state Utf8 or null",
    "reset_reason Utf8 or null",
    "free_heap_b UInt32 or null",
    "op Utf8 or null",
    "source Utf8 or null",
    "result Utf8 or null",
    "latency_ms UInt32 or null",
    "duration_ms UInt16 or null",
    "peak_ma UInt16 or null",
    "mean_ma UInt16 or null",
    "current_ma List(non-null UInt16) or null",
    "sample_ms UInt16 or null",
    "battery_min_mv UInt16 or null",
    "angle_err_deg Float64 or null",
    "code Utf8 or null",
    "count UInt32 or null",
    "detail Utf8 or null",
    "event Utf8 or null",
    "fw_from Utf8 or null",
    "fw_to Utf8 or null",
    "gateway_id Utf8 or null",
    "version Utf8 or null",
    "queue_depth UInt32 or null",
    "publish_errors UInt32 or null",
    "api_errors UInt32 or null",
    "api_latency_ms UInt32 or null",
    "locks_heard UInt32 or null",
    "problem Boolean or null",
    "seq_low UInt16 or null",
    "packet_id UInt8 or null",
    "counter UInt32 or null",
];
