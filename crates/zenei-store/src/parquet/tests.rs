//! Tests of the Parquet store: rows come back as they were written, equal rows give equal bytes, a crash leaves whole
//! files.
use super::table::{Table, name_of};
use super::*;
use crate::control::{SealPlan, Sealed};
use crate::dead_letter::DeadLetter;
use crate::disk::{Disk, Loss, SimDisk, read_whole};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use zenei_detect::{Batch, Findings, Fleet, Gap, Heard, Labels, Pipeline, Portion, Row, Succession, Sym};
use zenei_kit::Dice;
use zenei_wire::{
    Body, CentiCelsius, DeviceTime, EngineTime, ErrorReport, Event, EventKind, GatewayReport, GatewayTime, Kind,
    Millivolts, Reason, State, Text,
};

pub(super) fn dir() -> &'static Path {
    Path::new("/store")
}

pub(super) fn store(disk: &SimDisk) -> ParquetStore {
    ParquetStore::open(Arc::new(disk.clone()), dir()).unwrap()
}

pub(super) fn plan(from: u64, to: u64, advanced_to: i64) -> SealPlan {
    SealPlan { from, to: Sealed { offset: to, advanced_to: EngineTime(advanced_to) } }
}

pub(super) fn fleet() -> Fleet {
    let mut fleet = Fleet::new();
    for device in 0..5 {
        fleet.number(&format!("BL{device}"));
    }
    for word in ["tokyo-01", "bitlock-mini", "C2", "2025W31", "3.2.1", "homehub", "gw-1", "ios-5.4.0"] {
        fleet.intern(word);
    }
    fleet
}

fn texts() -> impl Strategy<Value = Option<Text<'static>>> {
    proptest::option::of("[ -~äロ]{0,20}".prop_map(Cow::Owned))
}

/// A body of any kind, by the contract's list of fields.
fn drawn() -> impl Strategy<Value = Body<'static>> {
    (proptest::sample::select(Kind::ALL), any::<u64>())
        .prop_map(|(kind, seed)| zenei_kit::body(kind, "gw-1", &mut Dice(seed)))
}

fn others() -> impl Strategy<Value = Body<'static>> {
    let error = ("[a-z][a-z0-9_]{0,47}", any::<u32>(), texts())
        .prop_map(|(code, count, detail)| Body::Error(ErrorReport { code: Cow::Owned(code), count, detail }));
    let event = (proptest::sample::select(EventKind::ALL), texts(), texts())
        .prop_map(|(event, fw_from, fw_to)| Body::Event(Event { event, fw_from, fw_to }));
    let gateway = (texts(), texts(), any::<[Option<u32>; 5]>()).prop_map(|(gateway_id, version, numbers)| {
        let [queue_depth, publish_errors, api_errors, api_latency_ms, locks_heard] = numbers;
        Body::Gateway(GatewayReport {
            gateway_id,
            version,
            queue_depth,
            publish_errors,
            api_errors,
            api_latency_ms,
            locks_heard,
        })
    });
    prop_oneof![error, event, gateway]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let labels = any::<[u32; 7]>().prop_map(|drawn| {
        let [model, hw_rev, lot, fw, service, gw, client_version] = drawn.map(|word| Sym(word % 9));
        Labels { model, hw_rev, lot, fw, service, gw, client_version }
    });
    let body = prop_oneof![3 => drawn(), 3 => others()];
    let numbers = any::<(u32, u32, Option<(u32, u32)>, u128, (i64, i64), u64, u16, [bool; 2], Option<u32>)>();
    let row = (numbers, labels, body).prop_map(|(numbers, labels, body)| {
        let (device, site, order, identity, (ts, heard_at), offset, index, [late, authenticated], uptime_s) = numbers;
        // An advertisement has no place in a sequence.
        let order = order.filter(|_| !matches!(body, Body::Adv(_)));
        Row {
            device: zenei_detect::DeviceIx(device % 5),
            site: Sym(1 + site % 8),
            boot: order.map(|order| order.0),
            seq: order.map(|order| order.1),
            identity: if order.is_some() { 0 } else { identity | 1 },
            life: device / 5,
            succession: Succession::Usual,
            ts: DeviceTime(ts),
            heard_at: GatewayTime(heard_at),
            released_at: EngineTime(heard_at / 2),
            offset,
            index,
            late,
            authenticated,
            labels,
            uptime_s,
            body,
        }
    });
    proptest::collection::vec(row, 1..60)
}

fn file_bytes(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let read = |table: Table| {
        let dir = dir().join(table.as_str());
        let names = disk.list(&dir).unwrap();
        names.into_iter().map(move |name| (name.clone(), read_whole(disk, &dir.join(name)).unwrap()))
    };
    Table::ALL.into_iter().flat_map(read).collect()
}

#[test]
fn arbitrary_rows_come_back_as_they_went_in_and_equal_rows_give_equal_bytes() {
    let mut runner = TestRunner::new(Config { cases: 30, failure_persistence: None, ..Config::default() });
    runner
        .run(&rows(), |rows| {
            let fleet = fleet();
            let [disk, again] = [SimDisk::new(0), SimDisk::new(0)];
            for disk in [&disk, &again] {
                store(disk).seal(&plan(0, 9, 5), &fleet, &rows, &[], &[], "gw-tokyo-01").unwrap();
            }
            prop_assert_eq!(file_bytes(&disk), file_bytes(&again));
            let expected: Vec<StoredRecord> =
                rows.iter().map(|row| StoredRecord::from_row(row, &fleet).unwrap()).collect();
            let read: Result<Vec<StoredRecord>, ReadError> = store(&disk).read_all(None).unwrap().collect();
            prop_assert_eq!(read.unwrap(), expected);
            let expected: Vec<Row> =
                rows.into_iter().map(|row| Row { released_at: EngineTime::default(), late: false, ..row }).collect();
            let batch = store(&disk).batches(None).unwrap().next().unwrap().unwrap();
            prop_assert_eq!(&read_rows(&batch, &mut fleet.clone()), &expected);
            // Only columns that no detector reads may be left out.
            let detected = expected.iter().cloned().map(|row| Row { life: 0, offset: 0, index: 0, ..row }).map(|row| {
                match row.body {
                    Body::Gateway(GatewayReport { queue_depth, api_errors, locks_heard, .. }) => {
                        let read = GatewayReport { queue_depth, api_errors, locks_heard, ..GatewayReport::default() };
                        Row { body: Body::Gateway(read), ..row }
                    }
                    Body::State(_) | Body::Op(_) | Body::Error(_) | Body::Event(_) | Body::Adv(_) => row,
                }
            });
            let to_detect = store(&disk).batches_to_detect(None).unwrap().next().unwrap().unwrap();
            prop_assert_eq!(read_rows(&to_detect, &mut fleet.clone()), detected.collect::<Vec<_>>());
            // Intake makes the same rows from both readers.
            let taken = |take: &dyn Fn(&mut Pipeline, &mut Batch)| {
                let (mut pipeline, mut taken) = (Pipeline::new(None), Batch::default());
                take(&mut pipeline, &mut taken);
                (taken, pipeline.snapshot().unwrap())
            };
            let heard: Vec<Heard<'_>> = (0..batch.len()).map(|at| batch.heard(at).unwrap()).collect();
            let as_heard = taken(&|pipeline, out| {
                pipeline.take(Portion { heard: &heard, ..Portion::default() }, out, &mut Findings::default())
            });
            let as_rows = taken(&|pipeline, out| {
                let mut numbering = Numbering::default();
                let mut rows = batch.rows(&mut numbering);
                while rows.step(7).is_some() {
                    pipeline.take_rows(|fleet| rows.next(fleet), &[], out, &mut Findings::default()).unwrap();
                }
            });
            prop_assert!(as_heard == as_rows);
            Ok(())
        })
        .unwrap();
}

fn read_rows(batch: &StoredBatch, fleet: &mut Fleet) -> Vec<Row> {
    let mut numbering = Numbering::default();
    let (mut rows, mut read) = (batch.rows(&mut numbering), Vec::new());
    while let Some(latest) = rows.step(7) {
        let from = read.len();
        while let Some(row) = rows.next(fleet).unwrap() {
            read.push(row);
        }
        assert!(read.len() <= from + 7);
        assert_eq!(read[from..].iter().map(|row| row.heard_at).max(), Some(latest));
    }
    read
}

pub(super) fn row(seq: u32) -> Row {
    Row {
        device: zenei_detect::DeviceIx(0),
        site: Sym(1),
        boot: Some(7),
        seq: Some(seq),
        identity: 0,
        life: 0,
        succession: Succession::Usual,
        ts: DeviceTime(1_777_626_000_000),
        heard_at: GatewayTime(1_777_626_001_000),
        released_at: EngineTime(1_777_626_001_000),
        offset: u64::from(seq),
        index: 0,
        late: false,
        authenticated: true,
        labels: Labels { model: Sym(2), fw: Sym(5), ..Labels::default() },
        uptime_s: None,
        body: Body::State(State {
            battery_mv: Some(Millivolts(2874)),
            temp_c: Some(CentiCelsius(1850)),
            ..State::default()
        }),
    }
}

#[test]
fn a_record_is_shown_with_the_contracts_names_and_without_what_is_absent() {
    let mut stored = StoredRecord::from_row(&row(3), &fleet()).unwrap();
    let shown = serde_json::to_string(&to_json(&stored)).unwrap();
    let expected = r#"{"battery_mv":2874,"boot":7,"device_id":"BL0","fw":"3.2.1","heard_at":1777626001000,"kind":"state","life":0,"model":"bitlock-mini","seq":3,"site":"tokyo-01","temp_c":18.5,"trusted":true,"ts":1777626000000}"#;
    assert_eq!(shown, expected);
    (stored.record.boot, stored.record.seq, stored.identity) = (None, None, 5);
    assert!(!to_json(&stored).contains_key("boot"));
}

#[test]
fn a_stored_row_goes_back_into_intake_as_it_was_heard() {
    let disk = SimDisk::new(0);
    store(&disk).seal(&plan(0, 1, 5), &fleet(), &[row(3)], &[], &[], "gw").unwrap();
    let batch = store(&disk).batches(None).unwrap().next().unwrap().unwrap();
    let heard = batch.heard(0).unwrap();
    assert_eq!((heard.device.as_str(), heard.site.as_str()), ("BL0", "tokyo-01"));
    assert_eq!((heard.record.fw.as_deref(), heard.record.seq), (Some("3.2.1"), Some(3)));
    let stored = batch.stored(0).unwrap();
    assert_eq!(stored.heard().unwrap().record, heard.record);
}

#[test]
fn files_are_read_in_the_order_of_sealing_and_up_to_the_checkpoint() {
    let disk = SimDisk::new(0);
    let store = store(&disk);
    // The last two ranges are empty: time alone released their rows.
    let plans = [plan(0, 10, 100), plan(10, 200, 200), plan(200, 200, 300), plan(200, 200, 1000)];
    for (seq, plan) in (0..).zip(&plans) {
        store.seal(plan, &fleet(), &[row(seq)], &[], &[], "gw").unwrap();
    }
    let seqs = |up_to: Option<Sealed>| {
        store.read_all(up_to).unwrap().map(|record| record.unwrap().record.seq.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(seqs(None), [0, 1, 2, 3]);
    assert_eq!(seqs(Some(plans[2].to)), [0, 1, 2]);
}

#[test]
fn only_the_files_of_the_planned_range_are_ever_discarded() {
    let disk = SimDisk::new(0);
    let store = store(&disk);
    let plans = [plan(0, 10, 100), plan(10, 20, 200), plan(20, 20, 300)];
    for (seq, plan) in (0..).zip(&plans) {
        store.seal(plan, &fleet(), &[row(seq)], &[], &[], "gw").unwrap();
    }
    let left = |plan: &SealPlan| disk.create(&dir().join("records").join(format!("{}.tmp", name_of(plan))), 0);
    for plan in &plans[1..] {
        left(plan).unwrap();
    }
    let [first, second, last] = plans;
    assert_eq!(store.unaccounted(last.to, None).unwrap(), 0);
    assert_eq!(store.unaccounted(second.to, Some(&last)).unwrap(), 0, "what a crash while sealing leaves");
    assert_eq!(store.unaccounted(first.to, None).unwrap(), 2);
    assert_eq!(store.unaccounted(Sealed::default(), Some(&first)).unwrap(), 2);
    assert_eq!(store.discard(&last).unwrap(), 2, "the whole file and the unfinished one");
    assert_eq!(store.read_all(None).unwrap().count(), 2);
    assert_eq!(disk.list(&dir().join("records")).unwrap().len(), 3, "the unfinished file of another range stays");
}

#[test]
fn a_range_before_1970_is_accounted_for() {
    let disk = SimDisk::new(0);
    let plan = plan(0, 10, -5);
    store(&disk).seal(&plan, &fleet(), &[row(0)], &[], &[], "gw").unwrap();
    assert_eq!(store(&disk).unaccounted(plan.to, None).unwrap(), 0);
    assert_eq!(store(&disk).discard(&plan).unwrap(), 1);
}

#[test]
fn dead_letters_and_gaps_come_back_as_they_went_in() {
    let disk = SimDisk::new(0);
    let (store, fleet) = (store(&disk), fleet());
    let refusal = zenei_wire::Refusal::new(Reason::TooLarge, "70000 bytes");
    let large = DeadLetter {
        authenticated: true,
        ..DeadLetter::new(refusal, "bitlock/v1/s/BL0/state", &[255; 70_000], GatewayTime(5), 9, 2)
    };
    assert!(large.cut && large.bytes.len() == 65_536);
    let gap = Gap { device: zenei_detect::DeviceIx(1), boot: 2, from_seq: 3, to_seq: 9, at: EngineTime(77) };
    let sealed = store.seal(&plan(0, 1, 5), &fleet, &[], &[gap], std::slice::from_ref(&large), "gw").unwrap();
    assert_eq!((sealed.rows, sealed.dead_letters, sealed.gaps), (0, 1, 1));
    let mut letters = store.dead_letters(None).unwrap();
    let waiting = letters.next_up_to(GatewayTime(4));
    assert!(waiting.is_none() && letters.next_up_to(GatewayTime(5)).unwrap().unwrap() == large);
    assert!(letters.next_up_to(GatewayTime(i64::MAX)).is_none());
    let gaps: Vec<StoredGap> = store.gaps(None).unwrap().map(Result::unwrap).collect();
    let expected = StoredGap { device_id: "BL1".into(), boot: 2, from_seq: 3, to_seq: 9, at: EngineTime(77) };
    assert_eq!(gaps, [expected]);
    assert_eq!(store.read_all(None).unwrap().count(), 0, "no file of records where there is no row");
}

#[test]
fn a_crash_while_sealing_leaves_whole_files_and_sealing_again_mends_it() {
    for calls in 0..16 {
        for seed in 0..2 {
            let disk = SimDisk::new(seed);
            store(&disk).seal(&plan(0, 1, 5), &fleet(), &[row(0)], &[], &[], "gw").unwrap();
            disk.power_off_after(calls);
            let refusal = zenei_wire::Refusal::new(Reason::BadJson, "no");
            let dead = DeadLetter::new(refusal, "t", b"{", GatewayTime(5), 9, 2);
            let seal = |disk: &SimDisk| {
                let store = ParquetStore::open(Arc::new(disk.clone()), dir())?;
                store.seal(&plan(1, 2, 6), &fleet(), &[row(1)], &[], std::slice::from_ref(&dead), "gw")
            };
            let sealed = seal(&disk).is_ok();
            disk.crash(Loss::Drawn);
            let again = store(&disk);
            let before = again.read_all(None).unwrap().map(Result::unwrap).count();
            assert!(before == 2 || (before == 1 && !sealed), "calls {calls}, seed {seed}: {before}");
            again.discard(&plan(1, 2, 6)).unwrap();
            assert_eq!(again.read_all(None).unwrap().count(), 1);
            seal(&disk).unwrap();
            assert_eq!(again.read_all(None).unwrap().map(Result::unwrap).count(), 2);
            assert_eq!(again.dead_letters(None).unwrap().map(Result::unwrap).count(), 1);
        }
    }
}

#[test]
fn a_damaged_or_foreign_file_is_an_error_with_its_name_and_the_others_are_read() {
    let disk = SimDisk::new(0);
    let store = store(&disk);
    for (seq, plan) in (0..).zip([plan(0, 1, 5), plan(1, 2, 6)]) {
        store.seal(&plan, &fleet(), &[row(seq)], &[], &[], "gw").unwrap();
    }
    let first = dir().join("records/00000000000000000000-00000000000000000001-00000000000005.parquet");
    assert!(disk.flip_bit(&first, 8 * 2));
    let last = read_whole(&disk, &first).unwrap().len() as u64 - 1;
    assert!(disk.flip_bit(&first, 8 * last));
    let read: Vec<Result<StoredRecord, ReadError>> = store.read_all(None).unwrap().collect();
    assert!(matches!(&read[0], Err(ReadError::Parquet { path, .. }) if *path == first), "{read:?}");
    assert_eq!(read[1].as_ref().unwrap().record.seq, Some(1));
}

#[test]
fn a_lock_is_taken_out_of_each_file_and_its_neighbours_stay_byte_for_byte_what_a_seal_without_it_writes() {
    let (disk, without) = (SimDisk::new(1), SimDisk::new(2));
    for (disk, all) in [(&disk, true), (&without, false)] {
        let store = ParquetStore::open(Arc::new(disk.clone()), Path::new("/store")).unwrap();
        for range in 0..3_u64 {
            let mut fleet = Fleet::new();
            let (kept, gone) = (fleet.number("BL10"), fleet.number("BL1"));
            let rows: Vec<Row> = (0..40_u32)
                .map(|seq| Row { device: if range == 1 || seq % 3 == 0 { gone } else { kept }, ..erasable(seq) })
                .filter(|row| all || row.device == kept)
                .collect();
            let gap = |device| Gap { device, boot: 1, from_seq: 2, to_seq: 3, at: EngineTime(5) };
            let gaps: Vec<Gap> = [gap(kept), gap(gone)].into_iter().filter(|gap| all || gap.device == kept).collect();
            let dead = [("bitlock/v1/s/BL10/state", "{"), ("bitlock/v1/s/BL1/state", "{"), ("x", r#"{"id":"BL1"}"#)];
            let letter = |(topic, bytes): (&str, &str)| {
                let refusal = zenei_wire::Refusal::new(Reason::BadJson, "no");
                DeadLetter::new(refusal, topic, bytes.as_bytes(), GatewayTime(7), 9, 0)
            };
            let dead: Vec<DeadLetter> = dead[..if all { 3 } else { 1 }].iter().copied().map(letter).collect();
            let to = Sealed { offset: (range + 1) * 100, advanced_to: EngineTime(1_000) };
            store.seal(&SealPlan { from: range * 100, to }, &fleet, &rows, &gaps, &dead, "gw-1").unwrap();
        }
    }
    let store = ParquetStore::open(Arc::new(disk.clone()), Path::new("/store")).unwrap();
    let left = store.count("BL1").unwrap();
    assert_eq!(left, OfLock { records: 14 + 40 + 14, gaps: 3, dead_letters: 6 });
    // Interrupted at every step, and run again.
    for calls in 0..60 {
        disk.power_off_after(calls);
        let done = store.erase("BL1").is_ok();
        disk.crash(Loss::Drawn);
        if done {
            break;
        }
    }
    store.erase("BL1").unwrap();
    assert_eq!(store.count("BL1").unwrap(), OfLock::default());
    assert_eq!(store.erase("BL1").unwrap(), OfLock::default());
    for table in ["records", "gaps", "dead_letters"] {
        let dir = Path::new("/store").join(table);
        let names = Disk::list(&disk, &dir).unwrap();
        assert_eq!(names, Disk::list(&without, &dir).unwrap());
        for name in names {
            let [a, b] = [&disk, &without].map(|disk| read_whole(disk, &dir.join(&name)).unwrap());
            assert!(a == b, "{table}/{name} differs");
        }
    }
}

fn erasable(seq: u32) -> Row {
    Row {
        device: zenei_detect::DeviceIx(0),
        site: Sym(0),
        boot: Some(1),
        seq: Some(seq),
        identity: 0,
        life: 0,
        succession: Succession::Usual,
        ts: DeviceTime(i64::from(seq)),
        heard_at: GatewayTime(i64::from(seq)),
        released_at: EngineTime(i64::from(seq)),
        offset: u64::from(seq),
        index: 0,
        late: false,
        authenticated: true,
        labels: Labels::default(),
        uptime_s: None,
        body: Body::State(State::default()),
    }
}
