//! Tests of the local history: any split of the records and any kill give the same rows, a damaged range is left out
//! alone, what is asked has its limits, and a forgotten lock is gone.
use super::{Followed, Follower, count_naming, erase};
use crate::control::{SealPlan, Sealed};
use crate::dead_letter::DeadLetter;
use crate::disk::{Disk, SimDisk};
use crate::history::{Dimension, History, LockFilter, LockSort};
use crate::parquet::ParquetStore;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use zenei_detect::{DeviceIx, Fleet, Labels, Row, Succession, Sym};
use zenei_kit::Dice;
use zenei_wire::{
    Body, DeviceTime, EngineTime, ErrorReport, GatewayTime, Kind, Milliamps, Millivolts, Op, OpKind, OpResult, Percent,
    Profile, Reason, Refusal, State,
};

const START_MS: i64 = 1_780_012_800_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn fleet() -> Fleet {
    let mut fleet = Fleet::new();
    for device in 0..5 {
        fleet.number(&format!("BL{device}"));
    }
    for word in ["tokyo-01", "bitlock-mini", "C2", "2025W31", "3.2.1", "homehub", "gw-1", "3.2.0"] {
        fleet.intern(word);
    }
    fleet
}

fn labels(fw: u32) -> Labels {
    let [model, hw_rev, lot, service, gw] = [2, 3, 4, 6, 7].map(Sym);
    Labels { model, hw_rev, lot, fw: Sym(fw), service, gw, client_version: Sym::NONE }
}

fn row(device: u32, seq: u32, heard_ms: i64, body: Body<'static>) -> Row {
    Row {
        device: DeviceIx(device),
        site: Sym(1),
        boot: Some(1),
        seq: Some(seq),
        identity: 0,
        life: 0,
        succession: Succession::Usual,
        ts: DeviceTime(heard_ms),
        heard_at: GatewayTime(heard_ms),
        released_at: EngineTime(heard_ms),
        offset: seq.into(),
        index: 0,
        late: false,
        authenticated: true,
        labels: labels(5),
        uptime_s: None,
        body,
    }
}

fn state(battery_mv: u16, pct: u8) -> Body<'static> {
    Body::State(State { battery_mv: Some(Millivolts(battery_mv)), battery_pct: Some(Percent(pct)), ..State::default() })
}

fn op(peak_ma: u16, load_mv: u16, result: OpResult) -> Body<'static> {
    Body::Op(Op {
        peak_ma: Some(Milliamps(peak_ma)),
        battery_min_mv: Some(Millivolts(load_mv)),
        mean_ma: Some(Milliamps(300)),
        duration_ms: Some(1_000),
        current_ma: Profile::new(&[10, 600, 300]),
        sample_ms: Some(20),
        ..Op::of(OpKind::Lock, result)
    })
}

fn error(code: &'static str, count: u32) -> Body<'static> {
    Body::Error(ErrorReport { code: code.into(), count, detail: None })
}

/// Rows of every kind with any values, of five locks over some days.
fn drawn(seed: u64, count: u32) -> Vec<Row> {
    let mut dice = Dice(seed);
    let one = |seq: u32| {
        let kind = Kind::ALL[dice.one_of(Kind::ALL.len())];
        let heard_ms = START_MS + i64::from(seq) * HOUR_MS + dice.below(7 * 3_600_000) as i64;
        let body = zenei_kit::body(kind, "gw-1", &mut dice);
        let mut row = row(dice.below(5) as u32, seq, heard_ms, body);
        row.ts = DeviceTime(if dice.is(0.8) { heard_ms - dice.below(50 * 86_400_000) as i64 } else { i64::MIN });
        (row.late, row.authenticated) = (dice.is(0.1), dice.is(0.8));
        row.labels = Labels { fw: Sym([0, 5, 8][dice.one_of(3)]), gw: Sym([0, 7][dice.one_of(2)]), ..labels(5) };
        row
    };
    (0..count).map(one).collect()
}

/// Seals rows in portions that end at these places.
fn sealed(rows: &[Row], ends: &[usize]) -> (SimDisk, ParquetStore, Sealed) {
    let disk = SimDisk::new(0);
    let store = ParquetStore::open(Arc::new(disk.clone()), Path::new("/store")).unwrap();
    let (mut from, mut to) = (0, Sealed::default());
    for &end in ends.iter().chain([&rows.len()]) {
        let next = Sealed { offset: end as u64, advanced_to: EngineTime(START_MS + end as i64) };
        let plan = SealPlan { from: from as u64, to: next };
        store.seal(&plan, &fleet(), &rows[from..end], &[], &[], "gw-1").unwrap();
        (from, to) = (end, next);
    }
    (disk, store, to)
}

/// Every row of every table, but for how far ranges were taken and the dead letters' numbers.
fn content(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut names = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut found = Vec::new();
    for name in names.iter().filter(|name| !name.starts_with("sqlite_")) {
        let mut statement = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = statement.column_count();
        let text = |row: &rusqlite::Row<'_>| {
            let values: Vec<String> = (0..columns).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect();
            Ok(format!("{name}: {}", values.join(", ")))
        };
        found.extend(statement.query_map([], text).unwrap().map(Result::unwrap));
    }
    found.sort();
    found
}

fn followed(path: &Path, store: &ParquetStore, to: Sealed) -> Followed {
    Follower::open(path, store.clone()).unwrap().follow(to, &mut || true).unwrap()
}

#[test]
fn any_split_of_the_records_and_a_stop_after_any_range_give_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..6 {
        let rows = drawn(seed, 300);
        let (whole, split, stopped) =
            (folder.path().join("whole"), folder.path().join("split"), folder.path().join("stopped"));
        for path in [&whole, &split, &stopped] {
            let _ = std::fs::remove_file(path);
        }
        let (_, store, to) = sealed(&rows, &[]);
        followed(&whole, &store, to);
        let mut dice = Dice(seed + 100);
        let mut ends: Vec<usize> = (0..12).map(|_| 1 + dice.one_of(298)).collect();
        ends.sort_unstable();
        ends.dedup();
        let (_, store, to) = sealed(&rows, &ends);
        followed(&split, &store, to);
        loop {
            // The process is gone after each range.
            let mut ranges = 0;
            let mut follower = Follower::open(&stopped, store.clone()).unwrap();
            let mut one = || std::mem::replace(&mut ranges, 1) == 0;
            if follower.follow(to, &mut one).unwrap() == Followed::default() {
                break;
            }
        }
        let expected = content(&whole);
        assert!(expected.len() > 100, "{}", expected.len());
        assert_eq!(content(&split), expected, "seed {seed}");
        assert_eq!(content(&stopped), expected, "seed {seed}");
    }
}

#[test]
fn a_removed_or_broken_or_foreign_file_is_made_anew_and_is_equal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let (_, store, to) = sealed(&drawn(7, 100), &[40]);
    followed(&path, &store, to);
    let expected = content(&path);
    std::fs::write(&path, b"no database at all, but longer than a header of one hundred bytes: ".repeat(4)).unwrap();
    followed(&path, &store, to);
    assert_eq!(content(&path), expected);
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 999).unwrap();
    drop(connection);
    assert_eq!(History::local(&path).up_to_ms().unwrap(), 0, "a reader of another version sees nothing");
    followed(&path, &store, to);
    assert_eq!(content(&path), expected);
}

#[test]
fn a_damaged_range_is_left_out_alone_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let rows: Vec<Row> =
        (0..30).map(|seq| row(seq / 10, seq, START_MS + i64::from(seq) * HOUR_MS, state(2_900, 80))).collect();
    let (disk, store, to) = sealed(&rows, &[10, 20]);
    let dir = Path::new("/store/records");
    let name = disk.list(dir).unwrap().into_iter().nth(1).unwrap();
    crate::disk::write_whole(&disk, dir, &name, b"PAR1 nothing").unwrap();
    assert_eq!(followed(&path, &store, to), Followed { ranges: 2, skipped: 1 });
    assert_eq!(followed(&path, &store, to), Followed::default(), "once");
    assert_eq!(Follower::open(&path, store).unwrap().skipped().unwrap(), 1);
    let page = History::local(&path).locks(&LockFilter::default()).unwrap();
    let ids: Vec<&str> = page.locks.iter().map(|lock| lock.device_id.as_str()).collect();
    assert_eq!(ids, ["BL0", "BL2"]);
}

/// Two locks over 60 days: one falls by 1 % a day, one fails.
fn two_locks() -> Vec<Row> {
    let mut rows = Vec::new();
    for hour in (0..60 * 24).step_by(3) {
        let at = START_MS + i64::from(hour) * HOUR_MS;
        let pct = 90 - u8::try_from(hour / 24).unwrap();
        rows.push(row(0, hour * 2, at, state(2_900, pct)));
        rows.push(row(1, hour * 2, at, state(2_950, 95)));
        let result = if hour % 24 == 0 { OpResult::Jam } else { OpResult::Ok };
        rows.push(row(1, hour * 2 + 1, at + 60_000, op(500, 2_700, result)));
        if hour % 48 == 0 {
            rows.push(row(1, hour * 2 + 2, at + 61_000, error("jam", 3)));
        }
    }
    for row in &mut rows {
        let is_early = row.heard_at.ms() < START_MS + 30 * DAY_MS;
        row.labels.fw = Sym(if row.device == DeviceIx(1) && is_early { 8 } else { 5 });
    }
    rows
}

fn two(folder: &Path) -> History {
    let path = folder.join("history.db");
    let (_, store, to) = sealed(&two_locks(), &[500]);
    followed(&path, &store, to);
    History::local(&path)
}

#[test]
fn a_lock_shows_its_past_its_firmware_and_when_its_battery_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let history = two(folder.path());
    let to_ms = history.up_to_ms().unwrap() + 1;
    let lock = history.lock("BL1", START_MS, to_ms, 720).unwrap().unwrap();
    assert_eq!(lock.buckets.len(), 240);
    assert_eq!(lock.buckets.iter().map(|bucket| bucket.operations).sum::<u64>(), 480);
    assert_eq!(lock.buckets.iter().map(|bucket| bucket.failed).sum::<u64>(), 60);
    assert_eq!(lock.buckets.iter().filter_map(|bucket| bucket.errors.get("jam")).sum::<u64>(), 90);
    let resistance = lock.buckets[5].resistance_mohm.unwrap();
    assert_eq!((resistance.min, resistance.mean, resistance.max), (500.0, 500.0, 500.0), "(2950 - 2700) mV / 500 mA");
    assert_eq!(lock.buckets[5].effort_mc.unwrap().mean, 300.0);
    assert_eq!(lock.firmware.len(), 1);
    assert_eq!((lock.firmware[0].from.as_str(), lock.firmware[0].to.as_str()), ("3.2.0", "3.2.1"));
    assert_eq!(lock.profiles.len(), 8);
    assert_eq!(lock.profiles[0].current_ma, [10, 600, 300]);
    assert!(lock.profiles.windows(2).all(|pair| pair[0].at_ms > pair[1].at_ms));
    assert_eq!(lock.now.battery_due, None, "it does not fall");
    assert_eq!(lock.now.errors_7d, 9, "three reports of three");
    let falling = history.lock("BL0", START_MS, to_ms, 10).unwrap().unwrap();
    assert_eq!(falling.buckets.len(), 10);
    assert_eq!(falling.buckets[0].battery_pct.unwrap().max, 90.0, "extremes stay");
    assert_eq!(falling.buckets[9].battery_pct.unwrap().min, 31.0);
    let due = falling.now.battery_due.unwrap();
    assert!(due.early_days < 21.0 && 21.0 < due.late_days && (due.likely_days - 21.0).abs() < 2.0, "{due:?}");
    assert_eq!(history.lock("BL4", START_MS, to_ms, 10).unwrap(), None);
}

#[test]
fn lists_filter_sort_and_go_on_where_the_page_before_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let mut rows: Vec<Row> = Vec::new();
    for (device, pct) in [(0, Some(50)), (1, None), (2, Some(20)), (3, Some(50)), (4, None)] {
        let body = Body::State(State { battery_pct: pct.map(Percent), ..State::default() });
        rows.push(row(device, device, START_MS + i64::from(device), body));
    }
    rows[3].labels.fw = Sym(8);
    let (_, store, to) = sealed(&rows, &[]);
    followed(&path, &store, to);
    let history = History::local(&path);
    for (sort, expected) in [
        (LockSort::Device, ["BL0", "BL1", "BL2", "BL3", "BL4"]),
        (LockSort::Heard, ["BL0", "BL1", "BL2", "BL3", "BL4"]),
        (LockSort::Battery, ["BL2", "BL0", "BL3", "BL1", "BL4"]),
        (LockSort::Due, ["BL0", "BL1", "BL2", "BL3", "BL4"]),
        (LockSort::Errors, ["BL0", "BL1", "BL2", "BL3", "BL4"]),
        (LockSort::Signal, ["BL0", "BL1", "BL2", "BL3", "BL4"]),
    ] {
        for limit in [1, 2, 5] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = history.locks(&LockFilter { sort, limit, after, ..LockFilter::default() }).unwrap();
                assert_eq!(page.total, 5);
                found.extend(page.locks.into_iter().map(|lock| lock.device_id));
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            assert_eq!(found, expected, "{sort:?}, {limit} a page");
        }
    }
    let ids = |filter: &LockFilter| -> Vec<String> {
        history.locks(filter).unwrap().locks.into_iter().map(|lock| lock.device_id).collect()
    };
    assert_eq!(ids(&LockFilter { fw: Some("3.2.0".to_owned()), ..LockFilter::default() }), ["BL3"]);
    assert_eq!(ids(&LockFilter { text: Some("l2".to_owned()), ..LockFilter::default() }), ["BL2"]);
    assert_eq!(ids(&LockFilter { text: Some("%".to_owned()), ..LockFilter::default() }), [""; 0]);
    assert_eq!(ids(&LockFilter { battery_below_pct: Some(50), ..LockFilter::default() }), ["BL2"]);
    assert_eq!(history.values(Dimension::FwHw).unwrap(), [("3.2.1+C2".to_owned(), 4), ("3.2.0+C2".to_owned(), 1)]);
    let wrong = LockFilter { after: Some("heard.1.BL1".to_owned()), ..LockFilter::default() };
    assert!(history.locks(&wrong).is_err(), "a place in another order");
    assert_eq!(history.search("bl", 10).unwrap().len(), 5);
    assert_eq!(history.search("3.2.", 10).unwrap().len(), 4, "two firmwares, alone and with their board");
}

#[test]
fn firmware_before_and_after_is_compared_on_the_same_locks() {
    let folder = tempfile::tempdir().unwrap();
    let history = two(folder.path());
    let to_ms = history.up_to_ms().unwrap() + 1;
    let compared = history.compare(Dimension::Fw, "3.2.0", "3.2.1", START_MS, to_ms).unwrap();
    assert_eq!((compared.a.locks, compared.b.locks), (1, 2));
    assert_eq!((compared.a.operations, compared.b.operations), (240, 240));
    assert_eq!((compared.a.lock_days, compared.b.lock_days), (30.0, 90.0));
    let cohort = history.cohort(Dimension::Fw, "3.2.1", START_MS, to_ms, 720).unwrap();
    assert_eq!(cohort.buckets.iter().map(|bucket| bucket.operations).sum::<u64>(), 240);
    assert_eq!(cohort.buckets.last().unwrap().locks, 2);
    assert_eq!(cohort.buckets[0].locks, 1);
}

#[test]
fn a_forgotten_lock_is_gone_from_the_file_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let rows = two_locks();
    let disk = SimDisk::new(0);
    let store = ParquetStore::open(Arc::new(disk), Path::new("/store")).unwrap();
    let to = Sealed { offset: 9_999, advanced_to: EngineTime(START_MS) };
    let letter = |topic: &str, bytes: &[u8]| {
        let refusal = Refusal { reason: Reason::BadJson, detail: "no JSON".to_owned() };
        DeadLetter::new(refusal, topic, bytes, GatewayTime(START_MS), 1, 0)
    };
    let letters = [letter("bitlock/v1/s/BL1/op", b"{"), letter("t", b"about BL1"), letter("t", b"other")];
    store.seal(&SealPlan { from: 0, to }, &fleet(), &rows, &[], &letters, "gw-1").unwrap();
    followed(&path, &store, to);
    assert_eq!(History::local(&path).dead_letters(10).unwrap().len(), 3);
    assert!(count_naming(&path, "BL1").unwrap() > 0);
    let is_written = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let bytes = std::fs::read(name).unwrap_or_default();
        bytes.windows(3).any(|window| window == b"BL1")
    };
    assert!(is_written("") || is_written("-wal"), "the check finds a lock that is there");
    assert!(erase(&path, "BL1").unwrap() > 200);
    assert_eq!(count_naming(&path, "BL1").unwrap(), 0);
    assert!(!is_written("") && !is_written("-wal"), "it is still written in the file");
    let history = History::local(&path);
    assert!(history.lock("BL0", 0, i64::MAX, 10).unwrap().is_some());
    assert_eq!(history.lock("BL1", 0, i64::MAX, 10).unwrap(), None);
    assert_eq!(history.dead_letters(10).unwrap().len(), 1);
}
