//! Rows for tests: single ones by hand, and arbitrary ones.
use super::ground::NOON_MS;
use proptest::prelude::*;
use std::borrow::Cow;
use zenei_detect::{DeviceIx, Fleet, Labels, Row, Sym};
use zenei_wire::{
    Adv, Body, Bytes, CentiCelsius, CentiDegrees, DbMilliwatts, DeviceTime, EngineTime, ErrorReport, Event, EventKind,
    GatewayReport, GatewayTime, LockState, Milliamps, Millis, Millivolts, Op, OpKind, OpResult, OpSource, Percent,
    Profile, ResetReason, State, Text,
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

fn words<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(proptest::sample::select(all))
}

fn texts() -> impl Strategy<Value = Option<Text<'static>>> {
    proptest::option::of("[ -~äロ]{0,20}".prop_map(Cow::Owned))
}

fn states() -> impl Strategy<Value = Body<'static>> {
    let numbers = any::<(Option<u16>, Option<u8>, Option<i16>, Option<i8>, Option<u32>)>();
    (numbers, words(LockState::ALL), words(ResetReason::ALL)).prop_map(|(numbers, lock_state, reset_reason)| {
        Body::State(State {
            battery_mv: numbers.0.map(Millivolts),
            battery_pct: numbers.1.map(Percent),
            temp_c: numbers.2.map(CentiCelsius),
            rssi_dbm: numbers.3.map(DbMilliwatts),
            lock_state,
            reset_reason,
            free_heap_b: numbers.4.map(Bytes),
        })
    })
}

fn ops() -> impl Strategy<Value = Body<'static>> {
    let numbers = any::<(Option<u32>, [Option<u16>; 5], Option<i16>)>();
    let profile = proptest::option::of(proptest::collection::vec(any::<u16>(), 0..=64));
    let kinds = (proptest::sample::select(OpKind::ALL), words(OpSource::ALL), proptest::sample::select(OpResult::ALL));
    (numbers, profile, kinds).prop_map(|((latency, small, angle), profile, (op, source, result))| {
        Body::Op(Op {
            op,
            source,
            result,
            latency_ms: latency.map(Millis),
            duration_ms: small[0],
            peak_ma: small[1].map(Milliamps),
            mean_ma: small[2].map(Milliamps),
            current_ma: profile.map(|samples| Profile::new(&samples).unwrap()),
            sample_ms: small[3],
            battery_min_mv: small[4].map(Millivolts),
            angle_err_deg: angle.map(CentiDegrees),
        })
    })
}

fn adverts() -> impl Strategy<Value = Body<'static>> {
    let power = any::<(Option<u16>, Option<u8>, Option<i16>, Option<i8>, Option<u16>)>();
    let rest = any::<(Option<bool>, Option<u16>, Option<u8>, Option<u32>)>();
    (power, words(LockState::ALL), rest).prop_map(|(power, lock_state, (problem, seq_low, packet_id, counter))| {
        Body::Adv(Adv {
            battery_mv: power.0.map(Millivolts),
            battery_pct: power.1.map(Percent),
            temp_c: power.2.map(CentiCelsius),
            rssi_dbm: power.3.map(DbMilliwatts),
            peak_ma: power.4.map(Milliamps),
            lock_state,
            problem,
            seq_low,
            packet_id,
            counter,
        })
    })
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

/// Any rows that intake might release: any time of a lock, each identity once, heard on two days.
pub(crate) fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    let labels = any::<[u32; 7]>().prop_map(|drawn| {
        let [model, hw_rev, lot, fw, service, gw, client_version] = drawn.map(|word| Sym(word % 9));
        Labels { model, hw_rev, lot, fw, service, gw, client_version }
    });
    let body = prop_oneof![states(), ops(), others(), adverts()];
    let numbers = any::<(u32, u32, Option<u32>, i64, u32, [bool; 3], Option<u32>)>();
    let row = (numbers, labels, body).prop_map(|(numbers, labels, body)| {
        let (device, site, boot, ts, heard_ms, [late, authenticated, half], uptime_s) = numbers;
        Row {
            device: DeviceIx(device % DEVICES),
            site: Sym(1 + site % 8),
            boot,
            seq: boot.filter(|_| half),
            identity: 0,
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
