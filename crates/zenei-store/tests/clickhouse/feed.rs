//! Tests of the feed: each shipped record comes once, in the order in which it was received, whatever the steps; the
//! n-th row of a slice is found; records older than the feed come from the tables.
use super::ground::{GATEWAY, Ground, NOON_MS};
use super::rows::{DEVICES, fleet, op, state};
use std::collections::BTreeMap;
use zenei_detect::Row;
use zenei_kit::scattered;
use zenei_store::clickhouse::{ClickHouseFeed, Ended, Feed, GatewayProgress, Go, Past, Server, ServerAddress};
use zenei_store::control::{Moved, TailStep, Tailed};
use zenei_store::{DeadLetter, Sealed, StoredRecord};
use zenei_wire::{EngineTime, GatewayTime, OpResult, Reason, Refusal};

const OTHER: &str = "gw-tokyo-02";

/// A few minutes of five locks; some records were received late, and several within one millisecond.
fn range(number: u64) -> Vec<Row> {
    let row = |at: u64| {
        let seq = u32::try_from(number * 60 + at).unwrap();
        let device = seq % DEVICES;
        let mut row =
            if at.is_multiple_of(4) { op(device, seq, 600, 2600, OpResult::Ok) } else { state(device, seq, 2900) };
        let late_ms = if scattered(u64::from(seq)).is_multiple_of(9) { 90_000 } else { 0 };
        row.heard_at = GatewayTime(NOON_MS + i64::from(seq / 3) * 1_000 - late_ms);
        row
    };
    (0..60).map(row).collect()
}

/// Two unreadable records of a range: one from a source that is authorized to send for their lock, and one that is not.
fn letters(number: u64) -> [DeadLetter; 2] {
    [true, false].map(|authenticated| {
        let topic = format!("bitlock/v1/tokyo-01/BL{number}/state");
        let heard_at = GatewayTime(NOON_MS + i64::try_from(number).unwrap() * 20_000);
        let refusal = Refusal::new(Reason::BadJson, "no");
        let letter = DeadLetter::new(refusal, &topic, b"{", heard_at, number * 1000 + 5, u16::from(authenticated));
        DeadLetter { authenticated, ..letter }
    })
}

fn ship(ground: &Ground, gateway: &str, shipped: u64) {
    assert_eq!(ground.shipper_of(gateway, shipped).ship(&mut |_| Go::Stop).unwrap(), Ended::Done);
}

fn feed(ground: &Ground) -> ClickHouseFeed {
    let url = super::engine::url().unwrap();
    let address = ServerAddress { url, user: "default".into(), password: String::new() };
    ClickHouseFeed::new(
        Server::new(&address, zenei_store::clickhouse::Timeouts::default()).unwrap(),
        ground.form.clone(),
    )
}

fn rows(feed: &ClickHouseFeed, before: &Tailed, step: &TailStep) -> Vec<StoredRecord> {
    let mut rows = Vec::new();
    let each = &mut |batch: &zenei_store::StoredBatch| {
        (0..batch.len()).try_for_each(|at| {
            rows.push(batch.stored(at)?);
            Ok(())
        })
    };
    feed.rows(before, step, each).unwrap();
    rows
}

/// The key that identifies a row of the feed in these tests.
fn key(record: &StoredRecord) -> (i64, u64, u32, bool) {
    let record_seq = record.record.seq.unwrap();
    let profile = matches!(&record.record.body, zenei_wire::Body::Op(op) if op.current_ma.is_some());
    (record.heard_at.ms(), record.offset, record_seq, profile)
}

fn expected_of(row: &Row) -> (i64, u64, u32, bool) {
    (row.heard_at.ms(), row.offset, row.seq.unwrap(), row.body.kind() == zenei_wire::Kind::Op)
}

#[test]
fn whatever_the_steps_each_row_of_each_gateway_comes_once_and_in_the_order_of_hearing() {
    let Some(mut ground) = Ground::new("feed") else { return };
    let feed = feed(&ground);
    let (mut tailed, mut taken, mut unreadable) = (Tailed::default(), Vec::new(), Vec::new());
    let mut expected = Vec::new();
    for number in 0..9 {
        let heard = range(number);
        expected.extend(heard.iter().map(expected_of));
        expected.extend(heard.iter().map(expected_of));
        ground.seal(&fleet(), &heard, &[], &letters(number));
        ship(&ground, GATEWAY, number);
        // The other gateway ships three ranges at a time, long after it received them.
        if number % 3 == 2 {
            (0..3).for_each(|back| ship(&ground, OTHER, number - back));
            ship(&ground, OTHER, number - 2);
        }
        let told = feed.told(&tailed.gateways, 1 + scattered(number) % 4).unwrap();
        let mut moved: BTreeMap<String, Moved> = BTreeMap::new();
        for GatewayProgress { gateway, to, heard_from, .. } in told {
            let heard_from = moved.get(&gateway).map_or(heard_from, |moved| moved.heard_from.min(heard_from));
            moved.insert(gateway, Moved { to, heard_from });
        }
        let end_ms = NOON_MS + i64::try_from(scattered(number) % 30 + number * 20).unwrap() * 1_000;
        let step = TailStep { up_to: tailed.up_to.max(Some(EngineTime(end_ms))), moved };
        taken.push(rows(&feed, &tailed, &step));
        unreadable.push(feed.unreadable(&tailed, &step).unwrap());
        tailed.take(&step);
    }
    for last in [None, Some(EngineTime(NOON_MS + 10_000_000))] {
        let told = feed.told(&tailed.gateways, 100).unwrap();
        let as_moved =
            |told: &GatewayProgress| (told.gateway.clone(), Moved { to: told.to, heard_from: GatewayTime(0) });
        let step = TailStep { up_to: tailed.up_to.max(last), moved: told.iter().map(as_moved).collect() };
        taken.push(rows(&feed, &tailed, &step));
        unreadable.push(feed.unreadable(&tailed, &step).unwrap());
        tailed.take(&step);
    }
    assert!(unreadable.iter().all(|letters| letters.is_sorted_by_key(|letter| letter.heard_at)));
    let mut unreadable: Vec<String> = unreadable.into_iter().flatten().map(|letter| letter.device_id).collect();
    unreadable.sort_unstable();
    let each_twice: Vec<String> =
        (0..9).flat_map(|number| [number, number]).map(|number| format!("BL{number}")).collect();
    assert_eq!(unreadable, each_twice, "each gateway's, of sources that may speak for the lock");
    for step in &taken {
        assert!(step.is_sorted_by_key(|record| record.heard_at));
    }
    let mut found: Vec<_> = taken.iter().flatten().map(key).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found.len(), expected.len());
    assert_eq!(found, expected);
    assert!(feed.told(&tailed.gateways, 100).unwrap().is_empty());
    let behind = taken.iter().flatten().zip(taken.iter().flatten().skip(1));
    assert!(behind.filter(|(before, after)| after.heard_at < before.heard_at).count() > 2, "nothing came behind");
}

#[test]
fn the_nth_row_of_a_slice_is_found_and_unknown_shipments_are_not_counted() {
    let Some(mut ground) = Ground::new("feed_nth") else { return };
    let mut heard = range(0);
    ground.seal(&fleet(), &heard, &[], &[]);
    ship(&ground, GATEWAY, 0);
    ship(&ground, OTHER, 0);
    let feed = feed(&ground);
    heard.sort_by_key(|row| row.heard_at);
    let told = feed.told(&BTreeMap::new(), 100).unwrap();
    assert_eq!((told.len(), told[0].rows, told[0].heard_from), (2, 60, heard[0].heard_at));
    let end = EngineTime(NOON_MS + 10_000_000);
    let one = BTreeMap::from([(GATEWAY.to_owned(), told[0].to)]);
    assert_eq!(feed.nth(&one, None, end, 7).unwrap(), Some(heard[6].heard_at));
    assert_eq!(feed.nth(&one, None, end, 61).unwrap(), None);
    assert_eq!(feed.nth(&one, Some(end), end, 1).unwrap(), None);
    let none = BTreeMap::from([(GATEWAY.to_owned(), Sealed::default())]);
    assert_eq!(feed.nth(&none, None, end, 1).unwrap(), None);
}

#[test]
fn what_the_feed_no_longer_has_is_read_from_the_tables_in_the_same_order() {
    let Some(mut ground) = Ground::new("feed_past") else { return };
    for number in 0..4 {
        ground.seal(&fleet(), &range(number), &[], &letters(number));
    }
    ship(&ground, GATEWAY, 0);
    ship(&ground, OTHER, 0);
    let feed = feed(&ground);
    let mut heard: Vec<Row> = (0..4).flat_map(range).collect();
    heard.sort_by_key(|row| row.heard_at);
    let read = |past: Past| {
        let (mut times, mut unread) = (Vec::new(), Vec::new());
        let each = &mut |letters: &[zenei_detect::Unreadable], batch: Option<&zenei_store::StoredBatch>| {
            let last = batch.and_then(zenei_store::StoredBatch::heard_last);
            assert!(letters.iter().all(|letter| last.is_none_or(|last| letter.heard_at <= last)));
            unread.extend(letters.iter().map(|letter| letter.heard_at.ms()));
            let Some(batch) = batch else { return Ok(()) };
            (0..batch.len()).try_for_each(|at| {
                times.push(batch.heard(at)?.heard_at.ms());
                Ok(())
            })
        };
        let up_to = feed.past(past, each).unwrap().map(EngineTime::ms);
        let (first, last) = (times.first().copied(), times.last().copied());
        let of_range = |number| letters(number)[0].heard_at.ms();
        let within = |at: &i64| Some(*at) >= first && Some(*at) <= last;
        let expected: Vec<i64> = (0..4).map(of_range).filter(within).flat_map(|at| [at, at]).collect();
        assert_eq!(unread, expected);
        (up_to, times)
    };
    assert_eq!(read(Past::BeforeFeed(i64::MAX)), (None, Vec::new()), "the feed has everything");
    let cut_ms = heard[100].heard_at.ms();
    let table = ground.form.table("feed");
    let sql = format!(
        "ALTER TABLE {table} DELETE WHERE heard_at < fromUnixTimestamp64Milli({cut_ms}) SETTINGS mutations_sync = 2"
    );
    ground.server.execute(&sql, &[]).unwrap();
    let older: Vec<i64> = heard.iter().map(|row| row.heard_at.ms()).filter(|at| *at < cut_ms).collect();
    let twice: Vec<i64> = older.iter().flat_map(|at| [*at, *at]).collect();
    let last = older.last().copied();
    assert_eq!(read(Past::BeforeFeed(NOON_MS)), (last, twice.clone()));
    let after_ms = older[40];
    let rest: Vec<i64> = twice.into_iter().filter(|at| *at > after_ms).collect();
    assert_eq!(read(Past::After(EngineTime(after_ms))), (last, rest));
}
