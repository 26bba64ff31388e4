//! A small world for tests of detectors: twenty-four locks behind three gateways, whose records go in through the whole
//! pipeline, in order of receipt. Called by tests alone.
use crate::anomaly::{Findings, Scope};
use crate::batch::{Batch, Heard, Portion};
use crate::pipeline::Pipeline;
use crate::rules::Rules;
use zenei_kit::Dice;
use zenei_wire::{Body, CentiCelsius, DeviceTime, GatewayTime, Millivolts, Name, Percent, Record, State};

pub(crate) use crate::time::HOUR_MS;

/// The locks; the lock at `n` is behind gateway `n % 3`.
pub(crate) const LOCKS: [&str; 24] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w",
    "x",
];
const GATEWAYS: [&str; 3] = ["gw-0", "gw-1", "gw-2"];

/// What a lock says: its own time, when that is received (never, once, or more often), and the content.
pub(crate) struct Said {
    pub(crate) ts_ms: i64,
    pub(crate) heard_ms: Vec<i64>,
    pub(crate) body: Body<'static>,
}

/// An ordinary heartbeat.
pub(crate) fn heartbeat() -> Body<'static> {
    Body::State(State {
        battery_mv: Some(Millivolts(2_950)),
        battery_pct: Some(Percent(80)),
        temp_c: Some(CentiCelsius(1_900)),
        ..State::default()
    })
}

/// Runs a world for so many days; `say` gives what a lock says in an hour, in order of its numbers. Returns the scopes
/// of this rule's findings with the hour of each, each scope once.
pub(crate) fn found(rule: &str, days: i64, say: impl FnMut(usize, i64, &mut Dice) -> Vec<Said>) -> Vec<(String, i64)> {
    found_by(Rules::embedded().unwrap(), rule, days, say)
}

/// The same by these rules.
pub(crate) fn found_by(
    rules: Rules,
    rule: &str,
    days: i64,
    mut say: impl FnMut(usize, i64, &mut Dice) -> Vec<Said>,
) -> Vec<(String, i64)> {
    let (mut dice, mut seqs, mut heard) = (Dice(7), [0_u32; LOCKS.len()], Vec::new());
    for hour in 0..days * 24 {
        for (at, lock) in LOCKS.iter().copied().enumerate() {
            for said in say(at, hour, &mut dice) {
                let seq = seqs[at];
                seqs[at] += 1;
                let times = said.heard_ms.iter().map(|&heard_ms| {
                    (heard_ms, record(lock, GATEWAYS[at % 3], seq, said.ts_ms, heard_ms, said.body.clone()))
                });
                heard.extend(times);
            }
        }
    }
    heard.sort_by_key(|(heard_ms, _)| *heard_ms);
    let mut pipeline = Pipeline::new(Some(rules));
    let (mut batch, mut findings) = (Batch::default(), Findings::default());
    for (heard_ms, heard) in heard {
        pipeline.take(Portion::new(&[heard], GatewayTime(heard_ms)), &mut batch, &mut findings);
        batch.clear();
    }
    let mut scopes: Vec<(String, i64)> = Vec::new();
    for anomaly in findings.anomalies.iter().filter(|anomaly| anomaly.rule == rule) {
        let Scope { kind, value } = &anomaly.scope;
        let scope = format!("{kind} {value}");
        if scopes.iter().all(|(told, _)| *told != scope) {
            scopes.push((scope, anomaly.at.ms() / HOUR_MS));
        }
    }
    scopes
}

/// The scopes of [`found`].
pub(crate) fn told(rule: &str, days: i64, say: impl FnMut(usize, i64, &mut Dice) -> Vec<Said>) -> Vec<String> {
    found(rule, days, say).into_iter().map(|(scope, _)| scope).collect()
}

fn record(
    lock: &'static str,
    gw: &'static str,
    seq: u32,
    ts_ms: i64,
    heard_ms: i64,
    body: Body<'static>,
) -> Heard<'static> {
    let record = Record {
        ts: DeviceTime(ts_ms),
        boot: Some(1),
        seq: Some(seq),
        model: None,
        hw_rev: None,
        lot: None,
        fw: Some("3.2.1".into()),
        service: None,
        gw: Some(gw.into()),
        client_version: None,
        uptime_s: None,
        body,
        unknown_fields: 0,
    };
    Heard {
        site: Name::new("tokyo-01").unwrap(),
        device: Name::new(lock).unwrap(),
        record,
        identity: 0,
        heard_at: GatewayTime(heard_ms),
        offset: 0,
        index: 0,
        authenticated: true,
    }
}
