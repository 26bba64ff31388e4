//! Test: the history of a server and that of one machine, over the same rows, answer the same.
use super::ground::{Ground, NOON_MS};
use super::rows::{error, fleet, op, row, state};
use zenei_detect::{Labels, Row, Succession, Sym};
use zenei_kit::Dice;
use zenei_store::history::local::Follower;
use zenei_store::history::{Dimension, History, LockFilter, LockHistory, LockSort};
use zenei_store::{DeadLetter, Sealed};
use zenei_wire::{
    Adv, Body, DbMilliwatts, DeviceTime, EngineTime, GatewayReport, GatewayTime, OpResult, Percent, Reason, Refusal,
    State,
};

const HOUR_MS: i64 = 3_600_000;
const DAYS: u32 = 20;

/// Five locks over twenty days: heartbeats, operations, errors, an update of firmware, a gateway's reports,
/// advertisements.
fn drawn() -> Vec<Row> {
    let mut dice = Dice(11);
    let mut rows = Vec::new();
    let mut seq = 0;
    for hour in 0..DAYS * 24 {
        let fw = if hour < 200 { 5 } else { 9 };
        for device in 0..5 {
            let at = NOON_MS + i64::from(hour) * HOUR_MS + i64::from(device) * 60_000;
            let mut body = match dice.below(6) {
                0 => error(device, seq, ["jam", "motor_stall"][dice.one_of(2)], 1 + dice.below(3) as u32).body,
                1 | 2 => {
                    let result = [OpResult::Ok, OpResult::Jam][dice.one_of(2)];
                    op(device, seq, 400 + dice.below(300) as u16, 2_500 + dice.below(200) as u16, result).body
                }
                _ => state(device, seq, 2_800 + dice.below(100) as u16).body,
            };
            if let Body::State(State { battery_pct, rssi_dbm, .. }) = &mut body {
                let fallen = if device == 0 { hour / 12 } else { 0 };
                *battery_pct = Some(Percent(90 - fallen as u8));
                *rssi_dbm = Some(DbMilliwatts(-40 - device as i8));
            }
            rows.push(placed(device, seq, at, body, fw));
            seq += 1;
        }
        let report = GatewayReport { version: Some("1.2".into()), queue_depth: Some(hour), ..GatewayReport::default() };
        let at = NOON_MS + i64::from(hour) * HOUR_MS + 400_000;
        rows.push(placed(5, seq, at, Body::Gateway(report), 0));
        let adv = Adv { rssi_dbm: Some(DbMilliwatts(-70 + dice.below(9) as i8)), ..Adv::default() };
        rows.push(Row {
            seq: None,
            boot: None,
            identity: u128::from(seq) + 1,
            life: 0,
            succession: Succession::Usual,
            ..placed(3, seq, at + 1, Body::Adv(adv), fw)
        });
        seq += 2;
    }
    rows
}

fn placed(device: u32, seq: u32, at: i64, body: Body<'static>, fw: u32) -> Row {
    let [model, hw_rev, lot, service, gw] = [2, 3, 4, 6, 7].map(Sym);
    let labels = Labels { model, hw_rev, lot, fw: Sym(fw), service, gw, client_version: Sym::NONE };
    Row {
        ts: DeviceTime(at),
        heard_at: GatewayTime(at),
        released_at: EngineTime(at),
        offset: seq.into(),
        labels,
        ..row(device, seq, body)
    }
}

/// What two sources may tell of the same rows in other words: a bucket's firmware where it changed within, and of what
/// is counted in another way the remark in `history::remote`.
fn told(mut lock: LockHistory) -> LockHistory {
    lock.now.records = 0;
    if let Some(due) = &mut lock.now.battery_due {
        // The one has each report in its order, the other a day's reports by their value.
        due.early_days = due.early_days.round();
        due.likely_days = due.likely_days.round();
        due.late_days = due.late_days.round();
    }
    lock
}

fn both(name: &str) -> Option<(History, History, i64, tempfile::TempDir)> {
    let mut ground = Ground::new(name)?;
    let (mut fleet, rows) = (fleet(), drawn());
    fleet.number("gw-1");
    fleet.intern("3.2.2");
    let refusal = || Refusal { reason: Reason::BadJson, detail: "no JSON".to_owned() };
    let dead = [DeadLetter::new(refusal(), "bitlock/v1/s/BL1/op", b"{\xff", GatewayTime(NOON_MS), 1, 0)];
    for portion in rows.chunks(700) {
        ground.seal(&fleet, portion, &[], &dead[..usize::from(portion[0].offset == 0)]);
    }
    ground.ship();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let to = Sealed { offset: u64::MAX >> 1, advanced_to: EngineTime(i64::MAX) };
    let followed = Follower::open(&path, ground.store()).unwrap().follow(to, &mut || true).unwrap();
    assert!(followed.ranges > 3 && followed.skipped == 0, "{followed:?}");
    let remote = History::remote(ground.another_server(), ground.form.clone());
    let local = History::local(&path);
    let up_to_ms = local.up_to_ms().unwrap();
    assert_eq!(remote.up_to_ms().unwrap(), up_to_ms);
    Some((local, remote, up_to_ms + 1, folder))
}

#[test]
fn a_locks_past_is_the_same_from_both_sources() {
    let Some((local, remote, to_ms, _folder)) = both("history_lock") else { return };
    for points in [720, 7] {
        for device in ["BL0", "BL1", "BL3"] {
            let ask = |history: &History| history.lock(device, NOON_MS, to_ms, points).unwrap().map(told);
            let (local, remote) = (ask(&local).unwrap(), ask(&remote).unwrap());
            assert_eq!(local.now, remote.now);
            assert_eq!(local.firmware, remote.firmware);
            assert_eq!(local.profiles, remote.profiles);
            assert_eq!(local.buckets.len(), remote.buckets.len());
            for (local, remote) in local.buckets.iter().zip(&remote.buckets) {
                assert_eq!(local, remote, "{device}, {points} points");
            }
        }
    }
    assert!(local.lock("BL0", NOON_MS, to_ms, 9).unwrap().unwrap().now.battery_due.is_some(), "it falls");
    assert_eq!(remote.lock("BL4711", NOON_MS, to_ms, 10).unwrap(), None);
}

#[test]
fn lists_cohorts_and_comparisons_are_the_same_from_both_sources() {
    let Some((local, remote, to_ms, _folder)) = both("history_lists") else { return };
    for sort in LockSort::ALL {
        let mut after = [None, None];
        for _ in 0..3 {
            let pages = [&local, &remote].map(|history| {
                let number = usize::from(std::ptr::eq(history, &raw const remote));
                let filter = LockFilter { sort, limit: 2, after: after[number].clone(), ..LockFilter::default() };
                let page = history.locks(&filter).unwrap();
                after[number] = page.next.clone();
                let ids: Vec<String> = page.locks.iter().map(|lock| lock.device_id.clone()).collect();
                (ids, page.total, page.next.is_some())
            });
            assert_eq!(pages[0], pages[1], "{sort:?}");
        }
    }
    let hostile = LockFilter { text: Some("' OR 1 = 1 -- \\".to_owned()), ..LockFilter::default() };
    assert_eq!(remote.locks(&hostile).unwrap().total, 0);
    let weak = LockFilter { battery_below_pct: Some(60), due_within_days: Some(60), ..LockFilter::default() };
    assert_eq!(remote.locks(&weak).unwrap().locks[0].device_id, local.locks(&weak).unwrap().locks[0].device_id);
    for dimension in Dimension::ALL {
        let values = local.values(dimension).unwrap();
        assert_eq!(values, remote.values(dimension).unwrap(), "{dimension:?}");
        for (value, _) in values {
            for points in [720, 5] {
                let ask = |history: &History| history.cohort(dimension, &value, NOON_MS, to_ms, points).unwrap();
                assert_eq!(ask(&local), ask(&remote), "{dimension:?} {value}");
            }
        }
    }
    assert_eq!(local.search("3.2", 9).unwrap(), remote.search("3.2", 9).unwrap());
    assert_eq!(local.receptions(9).unwrap(), remote.receptions(9).unwrap());
    assert_eq!(local.dead_letters(9).unwrap(), remote.dead_letters(9).unwrap());
    assert_eq!(local.gateways().unwrap(), remote.gateways().unwrap());
    let ask = |history: &History| history.compare(Dimension::Fw, "3.2.1", "3.2.2", NOON_MS, to_ms).unwrap();
    let (local, remote) = (ask(&local), ask(&remote));
    // Where firmware changes within a bucket, the one source counts the bucket for the newer one.
    assert!(local.a.operations.abs_diff(remote.a.operations) <= 15, "{:?} and {:?}", local.a, remote.a);
    assert_eq!(local.a.operations + local.b.operations, remote.a.operations + remote.b.operations);
    for (local, remote) in local.rows.iter().zip(&remote.rows) {
        assert_eq!(local.a.is_some(), remote.a.is_some(), "{local:?} and {remote:?}");
        let Some((local, remote)) = local.a.zip(remote.a) else { continue };
        assert!((local.value - remote.value).abs() <= 0.05 * local.value.abs(), "{local:?} and {remote:?}");
    }
}
