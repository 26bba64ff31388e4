//! Rows for tests: single ones by hand, and arbitrary ones. Called by the tests of this folder.
use super::ground::NOON_MS;
use proptest::prelude::*;
use std::borrow::Cow;
use zenei_detect::{DeviceIx, Fleet, Labels, Row, Succession, Sym};
use zenei_kit::Dice;
use zenei_wire::{
    Body, DeviceTime, EngineTime, ErrorReport, Event, EventKind, GatewayReport, GatewayTime, Kind, Milliamps,
    Millivolts, Op, OpKind, OpResult, OpSource, Profile, State, Text,
};

pub(crate) const DEVICES: u32 = 5;
const WORDS: [&str; 8] = ["tokyo-01", "bitlock-mini", "C2", "2025W31", "3.2.1", "homehub", "gw-1", "ios-5.4.0"];

pub(crate) fn fleet() -> Fleet {
    let mut fleet = Fleet::new();
    for device in 0..DEVICES {
        fleet.number(&format!("BL{device}"));
    }
    for word in WORDS {
        fleet.intern(word);
    }
    fleet
}

pub(crate) fn row(device: u32, seq: u32, body: Body<'static>) -> Row {
    Row {
        device: DeviceIx(device),
        site: Sym(1),
        boot: Some(7),
        seq: Some(seq),
        identity: 0,
        life: 0,
        succession: Succession::Usual,
        ts: DeviceTime(NOON_MS + i64::from(seq)),
        heard_at: GatewayTime(NOON_MS + 1000),
        released_at: EngineTime(NOON_MS + 1000),
        offset: u64::from(seq),
        index: 0,
        late: false,
        authenticated: true,
        labels: Labels { hw_rev: Sym(3), fw: Sym(5), ..Labels::default() },
        uptime_s: None,
        body,
    }
}

pub(crate) fn state(device: u32, seq: u32, battery_mv: u16) -> Row {
    row(device, seq, Body::State(State { battery_mv: Some(Millivolts(battery_mv)), ..State::default() }))
}

pub(crate) fn error(device: u32, seq: u32, code: &'static str, count: u32) -> Row {
    row(device, seq, Body::Error(ErrorReport { code: Cow::Borrowed(code), count, detail: None }))
}

pub(crate) fn op(device: u32, seq: u32, peak_ma: u16, battery_min_mv: u16, result: OpResult) -> Row {
    let op = Op {
        source: Some(OpSource::App),
        peak_ma: Some(Milliamps(peak_ma)),
        current_ma: Profile::new(&[100, peak_ma, 300]),
        sample_ms: Some(10),
        battery_min_mv: Some(Millivolts(battery_min_mv)),
        ..Op::of(OpKind::Unlock, result)
    };
    row(device, seq, Body::Op(op))
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
    let error = ("[a-z][a-z0-9_]{0,5}", any::<u32>(), texts())
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

/// Any rows that intake might release: any time of a lock, each identity once, received on two days.
pub(crate) fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    let labels = any::<[u32; 7]>().prop_map(|drawn| {
        let [model, hw_rev, lot, fw, service, gw, client_version] = drawn.map(|word| Sym(word % 9));
        Labels { model, hw_rev, lot, fw, service, gw, client_version }
    });
    let body = prop_oneof![3 => drawn(), 3 => others()];
    let numbers = any::<(u32, u32, Option<u32>, i64, u32, [bool; 3], Option<u32>)>();
    let row = (numbers, labels, body).prop_map(|(numbers, labels, body)| {
        let (device, site, boot, ts, heard_ms, [late, authenticated, half], uptime_s) = numbers;
        Row {
            device: DeviceIx(device % DEVICES),
            site: Sym(1 + site % 8),
            boot,
            seq: boot.filter(|_| half),
            identity: 0,
            life: device / DEVICES % 3,
            succession: Succession::Usual,
            ts: DeviceTime(ts),
            heard_at: GatewayTime(NOON_MS + i64::from(heard_ms % 86_400_000)),
            released_at: EngineTime(NOON_MS + i64::from(heard_ms % 86_400_000) + 5),
            offset: 0,
            index: 0,
            late,
            authenticated,
            labels,
            uptime_s,
            body,
        }
    });
    proptest::collection::vec(row, 1..most).prop_map(|mut rows| {
        for (number, row) in (1..).zip(&mut rows) {
            let numbered = row.seq.is_some();
            row.seq = row.seq.map(|_| number);
            // Two records of one identity have one time, as by the contract's hash.
            row.identity = if numbered { 0 } else { u128::from(number) << 90 | u128::from(row.ts.ms().unsigned_abs()) };
            (row.offset, row.index) = (u64::from(number / 3), u16::try_from(number % 3).unwrap());
        }
        rows
    })
}
