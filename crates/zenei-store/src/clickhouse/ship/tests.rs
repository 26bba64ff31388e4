//! Tests of the shipper against a server that fails in every way, and a disk: each range under one token, in the same
//! bytes, in order, once.
mod looks;

use super::*;
use crate::clickhouse::fake::{Answer, FakeServer, Heard as Asked};
use crate::clickhouse::server::{ServerAddress, Timeouts};
use crate::control::{Checkpoint, SealPlan};
use crate::disk::{Disk, SimDisk};
use crate::schema::Retention;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use zenei_detect::{DeviceIx, Fleet, Labels, Row, Succession, Sym};
use zenei_wire::{Body, DeviceTime, GatewayTime, Milliamps, Millivolts, Op, OpKind, OpResult, Profile, State};

const HOUR_MS: i64 = 3_600_000;

fn row(device: u32, seq: u32, body: Body<'static>) -> Row {
    Row {
        device: DeviceIx(device),
        site: Sym(1),
        boot: Some(7),
        seq: Some(seq),
        identity: 0,
        life: 0,
        succession: Succession::Usual,
        ts: DeviceTime(1_777_626_000_000 + i64::from(seq)),
        heard_at: GatewayTime(1_777_626_001_000),
        released_at: EngineTime(1_777_626_001_000),
        offset: u64::from(seq),
        index: 0,
        late: false,
        authenticated: true,
        labels: Labels::default(),
        uptime_s: None,
        body,
    }
}

fn state(device: u32, seq: u32, battery_mv: u16) -> Row {
    row(device, seq, Body::State(State { battery_mv: Some(Millivolts(battery_mv)), ..State::default() }))
}

fn op(device: u32, seq: u32) -> Row {
    let op = Op {
        peak_ma: Some(Milliamps(600)),
        current_ma: Profile::new(&[100, 600, 300]),
        sample_ms: Some(10),
        battery_min_mv: Some(Millivolts(2600)),
        ..Op::of(OpKind::Unlock, OpResult::Ok)
    };
    row(device, seq, Body::Op(op))
}

/// A state directory with sealed ranges of these rows, an hour of engine time each, and a shipper of it.
struct Stage {
    disk: SimDisk,
    shipper: Shipper,
    waits: Vec<Duration>,
}

impl Stage {
    fn new(ranges: &[Vec<Row>], server: &FakeServer, keep_ms: i64) -> Self {
        let disk = SimDisk::new(0);
        let mut control = Control::in_memory().unwrap();
        seal(&disk, ranges, &mut control);
        let shipper = shipper(&disk, control, server, keep_ms);
        Self { disk, shipper, waits: Vec::new() }
    }

    fn ship(&mut self, stop_after: usize) -> Ended {
        let waits = &mut self.waits;
        let mut wait = |how_long| {
            waits.push(how_long);
            if waits.len() < stop_after { Go::On } else { Go::Stop }
        };
        self.shipper.ship(&mut wait).unwrap()
    }

    fn files(&self) -> usize {
        let list = |table: &str| self.disk.list(&Path::new("/store").join(table)).unwrap().len();
        list("records") + list("gaps") + list("dead_letters")
    }
}

fn store(disk: &SimDisk) -> ParquetStore {
    ParquetStore::open(Arc::new(disk.clone()), Path::new("/store")).unwrap()
}

fn seal(disk: &SimDisk, ranges: &[Vec<Row>], control: &mut Control) {
    let mut fleet = Fleet::new();
    for device in 0..4 {
        fleet.number(&format!("BL{device}"));
    }
    fleet.intern("tokyo-01");
    for (number, rows) in (0..).zip(ranges) {
        let to = Sealed { offset: (number + 1) * 100, advanced_to: EngineTime(HOUR_MS * (number as i64 + 1)) };
        let plan = SealPlan { from: number * 100, to };
        store(disk).seal(&plan, &fleet, rows, &[], &[], "gw-1").unwrap();
        let txn = control.begin().unwrap();
        txn.checkpoint(&Checkpoint { sealed: to, ..Checkpoint::default() }).unwrap();
        txn.commit().unwrap();
    }
}

fn shipper(disk: &SimDisk, control: Control, server: &FakeServer, keep_ms: i64) -> Shipper {
    let options =
        ShipOptions { gateway_id: "gw-1".into(), keep_ms, max_rows: 0, memory: None, feed: false, mends: true };
    shipper_with(disk, control, server, options)
}

fn shipper_with(disk: &SimDisk, control: Control, server: &FakeServer, options: ShipOptions) -> Shipper {
    let address = ServerAddress { url: server.url(), user: "default".into(), password: String::new() };
    let timeouts = Timeouts { send: Duration::from_secs(20), answer: server.patience() };
    let server = Server::new(&address, timeouts).unwrap();
    let form = Form::new("zenei", None, Retention::default()).unwrap();
    Shipper::new(store(disk), control, server, form, options)
}

/// A control database in which these ranges are sealed and the first `shipped` of them shipped.
fn control_after(ranges: &[Vec<Row>], shipped: u64) -> Control {
    let mut control = Control::in_memory().unwrap();
    seal(&SimDisk::new(1), ranges, &mut control);
    let txn = control.begin().unwrap();
    txn.set_cursor("ship/offset", 100 * shipped).unwrap();
    txn.set_cursor("ship/advanced_to_ms", shipped * u64::try_from(HOUR_MS).unwrap()).unwrap();
    txn.commit().unwrap();
    control
}

fn tokens(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.token.as_str()).collect()
}

#[test]
fn each_range_is_sent_once_per_table_in_order_under_its_own_token() {
    let server = FakeServer::start(|_, _| Answer::Taken);
    let mut stage = Stage::new(&[vec![state(0, 1, 2900), op(0, 2)], vec![state(1, 3, 2800)]], &server, 0);
    assert_eq!(stage.ship(1), Ended::Done);
    let asked = server.asked();
    assert_eq!(
        tokens(&asked),
        [
            "record:gw-1:0-100-3600000",
            "operation:gw-1:0-100-3600000",
            "motor_profile:gw-1:0-100-3600000",
            "record:gw-1:100-200-7200000",
        ]
    );
    assert!(asked[0].sql.starts_with("INSERT INTO zenei.record (device_id, ts_ms, has_boot, "), "{}", asked[0].sql);
    assert!(asked[0].sql.ends_with(") FORMAT ArrowStream"), "{}", asked[0].sql);
    for setting in ["async_insert=0", "insert_deduplicate=1", "deduplicate_blocks_in_dependent_materialized_views=1"] {
        assert!(asked[0].target.contains(setting), "{}", asked[0].target);
    }
    let to = Sealed { offset: 200, advanced_to: EngineTime(2 * HOUR_MS) };
    let expected = Shipped { to, records: 3, refused: 0, damaged_ranges: 0 };
    assert_eq!(stage.shipper.shipped().unwrap(), expected);
    assert_eq!(stage.ship(1), Ended::Done);
    assert_eq!(server.asked().len(), 4, "nothing is sent a second time");
    assert!(stage.waits.is_empty());
}

#[test]
fn the_feed_gets_a_range_after_the_tables_and_is_told_of_it_last() {
    let server = FakeServer::start(|_, _| Answer::Taken);
    let mut stage = Stage::new(&[vec![state(0, 1, 2900), op(0, 2)]], &server, 24 * HOUR_MS);
    stage.shipper.options.feed = true;
    assert_eq!((stage.ship(1), stage.ship(1)), (Ended::Done, Ended::Done));
    let tables = ["record", "operation", "motor_profile", "feed", "shipment"];
    let mut expected = tables.map(|table| format!("{table}:gw-1:0-100-3600000")).to_vec();
    assert_eq!(tokens(&server.asked()), expected);
    // An hour without a message: no file, but time has passed.
    let sealed = Sealed { offset: 100, advanced_to: EngineTime(2 * HOUR_MS) };
    let txn = stage.shipper.control.begin().unwrap();
    txn.checkpoint(&Checkpoint { sealed, ..Checkpoint::default() }).unwrap();
    txn.commit().unwrap();
    assert_eq!((stage.ship(1), stage.ship(1)), (Ended::Done, Ended::Done));
    expected.push("shipment:gw-1:100-100-7200000".to_owned());
    assert_eq!(tokens(&server.asked()), expected);
}

#[test]
fn an_unknown_outcome_is_followed_by_the_same_bytes_under_the_same_token() {
    let troubles = [Answer::HangUp, Answer::HangUpAtOnce, Answer::Silence, Answer::Status(502), Answer::Code(241)];
    for trouble in troubles {
        let server = FakeServer::start(move |_, number| if number < 2 { trouble } else { Answer::Taken });
        let mut stage = Stage::new(&[vec![state(0, 1, 2900)]], &server, 0);
        assert_eq!(stage.ship(10), Ended::Done, "{trouble:?}");
        let asked = server.asked();
        let whole: Vec<&Asked> = asked.iter().filter(|asked| !asked.body.is_empty()).collect();
        assert!(!whole.is_empty() && whole.iter().all(|asked| asked.same() == whole[0].same()), "{trouble:?}");
        assert_eq!(stage.waits.len(), 2, "{trouble:?}");
        assert_eq!(stage.shipper.shipped().unwrap().records, 1);
    }
}

#[test]
fn a_server_that_is_away_is_waited_for_and_a_stop_loses_nothing() {
    let server = FakeServer::start(|_, _| Answer::Status(503));
    let mut stage = Stage::new(&[vec![state(0, 1, 2900)]], &server, 0);
    assert_eq!(stage.ship(30), Ended::Stopped);
    assert!(stage.waits.iter().all(|wait| *wait <= LONGEST_WAIT));
    assert!(stage.waits[29] >= LONGEST_WAIT / 2);
    assert_eq!((stage.shipper.shipped().unwrap(), stage.files()), (Shipped::default(), 1));
}

#[test]
fn rows_that_are_refused_are_found_by_halving_and_kept_as_dead_letters() {
    let server = FakeServer::start(|asked, _| match asked.rows_within(10) {
        Some(rows) if rows.contains(&3) || rows.contains(&8) => Answer::Code(117),
        _ => Answer::Taken,
    });
    let rows: Vec<Row> = (0..10).map(|seq| state(0, seq, 2900)).collect();
    let mut stage = Stage::new(&[rows], &server, 0);
    assert_eq!(stage.ship(1), Ended::Done);
    let shipped = stage.shipper.shipped().unwrap();
    assert_eq!((shipped.records, shipped.refused), (8, 2));
    let base = "record:gw-1:0-100-3600000";
    let asked = server.asked();
    let taken: Vec<&str> = asked.iter().filter(|asked| asked.taken).map(|asked| asked.token.as_str()).collect();
    let parts = ["0-2", "2-3", "4-5", "5-7", "7-8", "9-10"].map(|part| format!("{base}:{part}"));
    let mut expected: Vec<&str> = parts.iter().map(String::as_str).collect();
    expected.push("dead_letter:gw-1:0-100-3600000:refused");
    assert_eq!(taken, expected);
    assert!(asked.last().unwrap().sql.starts_with("INSERT INTO zenei.dead_letter (reason, "));
}

#[test]
fn a_table_that_refuses_every_row_is_waited_for_and_buries_no_more_than_a_few() {
    let server = FakeServer::start(
        |asked, _| {
            if asked.sql.contains("zenei.record") { Answer::Code(117) } else { Answer::Taken }
        },
    );
    let rows: Vec<Row> = (0..400).map(|seq| state(0, seq, 2900)).collect();
    let mut stage = Stage::new(&[rows], &server, 0);
    assert_eq!(stage.ship(3), Ended::Stopped);
    let single = |asked: &&Asked| asked.rows_within(400).is_some_and(|rows| rows.len() == 1);
    let asked = server.asked();
    let mut tried: Vec<&str> = asked.iter().filter(single).map(|asked| asked.token.as_str()).collect();
    tried.dedup();
    assert_eq!(tried.len(), MAX_REFUSED_ROWS + 1);
    assert_eq!(stage.shipper.shipped().unwrap(), Shipped::default());
}

#[test]
fn a_fault_of_the_server_blames_no_row() {
    let server = FakeServer::start(|_, number| if number < 3 { Answer::Code(60) } else { Answer::Taken });
    let mut stage = Stage::new(&[vec![state(0, 1, 2900), state(0, 2, 2900)]], &server, 0);
    assert_eq!(stage.ship(9), Ended::Done);
    assert_eq!(stage.waits.len(), 3);
    let shipped = stage.shipper.shipped().unwrap();
    assert_eq!((shipped.records, shipped.refused), (2, 0));
}

#[test]
fn files_go_only_when_they_are_shipped_and_kept_long_enough() {
    let server = FakeServer::start(|_, number| if number == 2 { Answer::Status(503) } else { Answer::Taken });
    let ranges: Vec<Vec<Row>> = (0..4).map(|seq| vec![state(0, seq, 2900)]).collect();
    let mut stage = Stage::new(&ranges, &server, HOUR_MS);
    assert_eq!(stage.ship(1), Ended::Stopped);
    assert_eq!(stage.files(), 4, "nothing goes while a range is on its way");
    stage.waits.clear();
    assert_eq!(stage.ship(2), Ended::Done);
    assert_eq!(stage.files(), 2, "those of the last hour and the newest stay");
}

#[test]
fn a_damaged_range_is_passed_over_told_and_kept() {
    let server = FakeServer::start(|_, _| Answer::Taken);
    let mut stage = Stage::new(&[vec![state(0, 1, 2900)], vec![state(0, 2, 2900)]], &server, 0);
    let name = stage.disk.list(Path::new("/store/records")).unwrap().remove(0);
    let path = Path::new("/store/records").join(name);
    let bytes = crate::disk::read_whole(&stage.disk, &path).unwrap().len() as u64;
    assert!(stage.disk.flip_bit(&path, 8 * (bytes - 1)));
    assert_eq!(stage.ship(1), Ended::Done);
    let shipped = stage.shipper.shipped().unwrap();
    assert_eq!((shipped.records, shipped.damaged_ranges), (1, 1));
    assert_eq!(tokens(&server.asked()), ["record:gw-1:100-200-7200000"]);
    assert_eq!(stage.files(), 2, "the damaged one stays");
}

#[test]
fn a_restart_between_insert_and_cursor_sends_the_same_bytes_again() {
    let server = FakeServer::start(|_, _| Answer::Taken);
    let ranges = [vec![state(0, 1, 2900)], vec![op(0, 2), state(0, 3, 2800)], vec![op(0, 4)]];
    let mut stage = Stage::new(&ranges, &server, 24 * HOUR_MS);
    assert_eq!(stage.ship(1), Ended::Done);
    let first = server.asked();
    // As if the last two ranges had been taken, and the process had died before it wrote that down.
    let disk = stage.disk.clone();
    let control = control_after(&ranges, 1);
    let again = shipper(&disk, control, &server, 24 * HOUR_MS).ship(&mut |_| Go::Stop).unwrap();
    assert_eq!(again, Ended::Done);
    let asked = server.asked();
    let second = asked[first.len()..].iter().map(Asked::same);
    assert!(second.eq(first[1..].iter().map(Asked::same)), "with the batteries at rest of before");
}

#[test]
fn a_restart_sends_the_same_bytes_by_what_it_remembers_when_the_files_are_gone() {
    let server = FakeServer::start(|_, _| Answer::Taken);
    let ranges = [vec![state(0, 1, 2900)], vec![op(0, 2)]];
    let memory = || Some(PathBuf::from("/shipping"));
    let options = || ShipOptions {
        gateway_id: "gw-1".into(),
        keep_ms: 0,
        max_rows: 0,
        memory: memory(),
        feed: false,
        mends: true,
    };
    let ship = |disk: &SimDisk, control, options| {
        assert_eq!(shipper_with(disk, control, &server, options).ship(&mut |_| Go::Stop).unwrap(), Ended::Done);
    };
    let disk = SimDisk::new(0);
    let mut control = Control::in_memory().unwrap();
    seal(&disk, &ranges[..1], &mut control);
    ship(&disk, control, options());
    seal(&disk, &ranges, &mut Control::in_memory().unwrap());
    let name = disk.list(Path::new("/store/records")).unwrap().remove(0);
    disk.remove(&Path::new("/store/records").join(name)).unwrap();
    let asked_before = server.asked().len();
    ship(&disk, control_after(&ranges, 1), options());
    ship(&disk, control_after(&ranges, 1), ShipOptions { memory: None, ..options() });
    let asked = server.asked();
    let [with, .., without, _] = &asked[asked_before..] else { panic!("{} inserts", asked.len() - asked_before) };
    assert_eq!(with.token, without.token);
    assert_ne!(with.same(), without.same(), "without, the voltage before the operation is not known any more");
    assert_eq!(disk.list(Path::new("/shipping")).unwrap().len(), 1, "one place is remembered, the last");
}

#[test]
fn ranges_that_waited_go_together_up_to_the_size_of_a_full_one() {
    let server = FakeServer::start(|_, _| Answer::Taken);
    let range = |from: u32, count: u32| (from..from + count).map(|seq| state(0, seq, 2900)).collect::<Vec<_>>();
    let ranges = [range(0, 3), range(3, 3), range(6, 3), range(9, 30), range(39, 1)];
    let disk = SimDisk::new(0);
    let mut control = Control::in_memory().unwrap();
    seal(&disk, &ranges, &mut control);
    let options =
        ShipOptions { gateway_id: "gw-1".into(), keep_ms: 0, max_rows: 8, memory: None, feed: false, mends: true };
    let mut shipper = shipper_with(&disk, control, &server, options);
    assert_eq!(shipper.ship(&mut |_| Go::Stop).unwrap(), Ended::Done);
    let expected = [(0, 200), (200, 300), (300, 400), (400, 500)];
    let expected = expected.map(|(from, to)| format!("record:gw-1:{from}-{to}-{}", to / 100 * HOUR_MS as u64));
    assert_eq!(tokens(&server.asked()), expected);
    assert_eq!(shipper.shipped().unwrap().records, 40);
}

#[test]
fn what_was_begun_together_or_alone_goes_on_so_after_a_restart() {
    for alone in [true, false] {
        let ranges = [vec![state(0, 1, 2900)], vec![state(0, 2, 2900)], vec![state(0, 3, 2900)]];
        let silent = FakeServer::start(|_, _| Answer::HangUp);
        let disk = SimDisk::new(0);
        let mut control = Control::in_memory().unwrap();
        seal(&disk, &ranges[..if alone { 1 } else { 2 }], &mut control);
        let options = || ShipOptions {
            gateway_id: "gw-1".into(),
            keep_ms: 0,
            max_rows: 100,
            memory: None,
            feed: false,
            mends: true,
        };
        let mut shipper = shipper_with(&disk, control, &silent, options());
        assert_eq!(shipper.ship(&mut |_| Go::Stop).unwrap(), Ended::Stopped);
        // A restart, by which more is sealed.
        let mut control = shipper.control;
        seal(&disk, &ranges, &mut control);
        let server = FakeServer::start(|_, _| Answer::Taken);
        assert_eq!(shipper_with(&disk, control, &server, options()).ship(&mut |_| Go::Stop).unwrap(), Ended::Done);
        let (begun, asked) = (silent.asked(), server.asked());
        assert_eq!(asked[0].same(), begun[0].same(), "alone: {alone}");
        assert_eq!(asked.len(), 2, "the others go together behind it");
    }
}

#[test]
fn a_damaged_range_among_others_is_passed_over_alone() {
    let server = FakeServer::start(|_, _| Answer::Taken);
    let ranges = [vec![state(0, 1, 2900)], vec![state(0, 2, 2900)], vec![state(0, 3, 2900)]];
    let disk = SimDisk::new(0);
    let mut control = Control::in_memory().unwrap();
    seal(&disk, &ranges, &mut control);
    let name = disk.list(Path::new("/store/records")).unwrap().remove(1);
    let path = Path::new("/store/records").join(name);
    let bytes = crate::disk::read_whole(&disk, &path).unwrap().len() as u64;
    assert!(disk.flip_bit(&path, 8 * (bytes - 1)));
    let options =
        ShipOptions { gateway_id: "gw-1".into(), keep_ms: 0, max_rows: 100, memory: None, feed: false, mends: true };
    let mut shipper = shipper_with(&disk, control, &server, options);
    assert_eq!(shipper.ship(&mut |_| Go::Stop).unwrap(), Ended::Done);
    let shipped = shipper.shipped().unwrap();
    assert_eq!((shipped.records, shipped.damaged_ranges), (2, 1));
    let name = |from: i64, to: i64| format!("record:gw-1:{from}-{to}-{}", to / 100 * HOUR_MS);
    assert_eq!(tokens(&server.asked()), [name(0, 100), name(200, 300)]);
}

#[test]
fn rows_go_to_the_shard_of_their_lock_and_other_shards_are_refused_while_a_range_is_on_its_way() {
    let ranges = [vec![state(0, 1, 2900), state(1, 2, 2900), state(2, 3, 2900), state(3, 4, 2900)]];
    let (first, second) = (FakeServer::start(|_, _| Answer::Taken), FakeServer::start(|_, _| Answer::Status(503)));
    let server = |of: &FakeServer| {
        let address = ServerAddress { url: of.url(), user: "default".into(), password: String::new() };
        Server::new(&address, Timeouts { send: Duration::from_secs(20), answer: of.patience() }).unwrap()
    };
    let disk = SimDisk::new(0);
    let mut control = Control::in_memory().unwrap();
    seal(&disk, &ranges, &mut control);
    let options =
        || ShipOptions { gateway_id: "gw-1".into(), keep_ms: 0, max_rows: 0, memory: None, feed: false, mends: true };
    let shipper = shipper_with(&disk, control, &first, options());
    let mut shipper = shipper.over_shards(vec![server(&first), server(&second)]);
    assert_eq!(shipper.ship(&mut |_| Go::Stop).unwrap(), Ended::Stopped);
    let (mut alone, third) = (shipper_with(&disk, shipper.control, &first, options()), &first);
    let refused = alone.ship(&mut |_| Go::Stop).unwrap_err();
    assert!(matches!(refused, ShipError::Shards { found: 2, given: 1 }), "{refused}");
    let taking = FakeServer::start(|_, _| Answer::Taken);
    let shipper = shipper_with(&disk, alone.control, &first, options());
    let mut shipper = shipper.over_shards(vec![server(third), server(&taking)]);
    assert_eq!(shipper.ship(&mut |_| Go::Stop).unwrap(), Ended::Done);
    assert_eq!(shipper.shipped().unwrap().records, 4);
    // The first server gets the same rows again; the server in place of the second gets the second's rows.
    let (to_first, to_second) = (first.asked(), second.asked());
    assert_eq!(to_first.len(), 2);
    assert_eq!(to_first[0].same(), to_first[1].same());
    assert_eq!(taking.asked()[0].same(), to_second[0].same());
    assert_ne!(to_first[0].body, to_second[0].body);
}
