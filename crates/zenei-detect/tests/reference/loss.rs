//! A slow version of the detector `loss`, over all records: each hour's holes are computed again from a lock's rows,
//! the evidence from every weighing.
use super::estimators::{Step, excess_by_tails};
use super::stream::{Found, Moment, Said, Stream, agree, shown};
use std::collections::BTreeMap;
use zenei_detect::fleet::{DeviceIx, Sym};
use zenei_detect::lock::{Lock, RecordRef};
use zenei_detect::rules::Rule;
use zenei_wire::{Body, EventKind};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

#[derive(Default)]
struct OneLock {
    rows: Vec<Row>,
    /// When unreadable records arrived whose hole has not appeared yet.
    refused_ms: Vec<i64>,
    /// The number of rows when each of the unreadable records arrived.
    unread: Vec<usize>,
    /// Holes that wait for a heartbeat.
    waits: Vec<Hole>,
    weighed: Vec<Weighed>,
    alarms: Vec<i64>,
}

/// A record that has a sequence number.
struct Row {
    is_heartbeat: bool,
    hole: bool,
    record: RecordRef,
}

/// A hole of one hour: the row that first showed it, the record that showed it last.
#[derive(Clone, Copy)]
struct Hole {
    row: usize,
    record: RecordRef,
}

/// One weighing of a lock.
struct Weighed {
    at_ms: i64,
    /// The number of rows at that time.
    rows: usize,
    records: f64,
    holes: Vec<RecordRef>,
    /// The step of the records that arrived, and the step of the holes.
    steps: [Step; 2],
    /// The evidence with the first step, and with both.
    evidence: [f64; 2],
}

struct Slow<'a> {
    rule: &'a Rule,
    locks: BTreeMap<DeviceIx, OneLock>,
    /// The records of all locks.
    records: f64,
    holes: Vec<f64>,
    /// For each lock: the number of its rows when the hour began.
    hour: BTreeMap<DeviceIx, usize>,
    found: Vec<Found>,
}

impl OneLock {
    fn evidence(&self) -> f64 {
        self.weighed.last().map_or(0.0, |last| last.evidence[1])
    }

    /// The weighings since the arrived records last left no evidence, that one included.
    fn departure(&self) -> (bool, &[Weighed]) {
        let from = self.weighed.iter().rposition(|weighed| weighed.evidence[0] <= 0.0);
        (from.is_some(), &self.weighed[from.unwrap_or(0)..])
    }

    /// Holes and records of the ended departures without an alarm, with the arrived records before each.
    fn learned(&self) -> (f64, f64) {
        let begins: Vec<usize> = (0..self.weighed.len()).filter(|&at| self.weighed[at].evidence[0] <= 0.0).collect();
        let well = |at: usize| self.weighed[at].records - self.weighed[at].holes.len() as f64;
        let mut sum = (0.0, begins.first().map_or(0.0, |&at| well(at)));
        for pair in begins.windows(2) {
            let over = &self.weighed[pair[0]..pair[1]];
            if over.iter().any(|weighed| self.alarms.contains(&weighed.at_ms)) {
                continue;
            }
            sum.0 += over.iter().map(|weighed| weighed.holes.len() as f64).sum::<f64>();
            sum.1 += over.iter().map(|weighed| weighed.records).sum::<f64>() - well(pair[0]) + well(pair[1]);
        }
        sum
    }

    /// Drops the unreadable records where none arrived for seven hours: they explain no later hole.
    fn forget_refused(&mut self, now_ms: i64) {
        if self.refused_ms.last().is_some_and(|last_ms| now_ms - last_ms >= 7 * HOUR_MS) {
            self.refused_ms.clear();
        }
    }

    /// The hole of the rows from this one on.
    fn hole(&self, from: usize) -> Option<Hole> {
        let first = (from..self.rows.len()).find(|&at| self.rows[at].hole)?;
        let last = self.rows.iter().rfind(|row| row.hole)?;
        Some(Hole { row: first, record: last.record })
    }
}

impl Slow<'_> {
    fn record(&mut self, said: &Said) {
        if said.row.seq.is_none() {
            return;
        }
        let is_heartbeat = matches!(said.row.body, Body::State(_));
        let lock = self.locks.entry(said.device).or_default();
        lock.forget_refused(said.now_ms);
        let explained = lock.refused_ms.len().min(said.missing as usize);
        lock.refused_ms.drain(..explained);
        lock.rows.push(Row { is_heartbeat, hole: said.missing as usize > explained, record: said.record });
        self.records += 1.0;
    }

    fn share(&self) -> f64 {
        (self.holes.iter().sum::<f64>() + 20_000.0 * self.rule.parameter("prior_share").unwrap())
            / (self.records + 20_000.0)
    }

    fn close(&mut self, stream: &Stream, now_ms: i64, locks: &[Lock]) {
        let from = |hour: &BTreeMap<DeviceIx, usize>, device: DeviceIx| hour.get(&device).copied().unwrap_or(0);
        let mut behind: BTreeMap<Sym, usize> = BTreeMap::new();
        for (device, lock) in &self.locks {
            if lock.hole(from(&self.hour, *device)).is_some() {
                *behind.entry(locks[device.0 as usize].behind()).or_default() += 1;
            }
        }
        let devices: Vec<DeviceIx> = self.locks.keys().copied().collect();
        for device in devices {
            let (share, now) = (self.share(), &locks[device.0 as usize]);
            let Some(lock) = self.locks.get_mut(&device) else { continue };
            let begin = from(&self.hour, device);
            if lock.rows.len() == begin {
                continue;
            }
            let together = behind.get(&now.behind()).is_some_and(|&count| count >= 3);
            let hole = lock.hole(begin);
            if together || now.maintenance {
                lock.waits.clear();
                continue;
            }
            if lock.waits.len() < 8 {
                lock.waits.extend(hole);
            }
            let Some(first) = lock.waits.first() else { continue };
            let beaten = lock.rows[first.row..].iter().any(|row| row.is_heartbeat);
            if beaten || lock.unread.iter().any(|&rows| rows > first.row) {
                let holes = weigh(self.rule, lock, share, now_ms);
                self.holes.push(holes);
                let baseline = 100.0 * self.share();
                self.judge(stream, device, baseline, now_ms);
            }
        }
        self.hour = self.locks.iter().map(|(device, lock)| (*device, lock.rows.len())).collect();
    }

    fn judge(&mut self, stream: &Stream, device: DeviceIx, baseline: f64, now_ms: i64) {
        let limit = self.rule.parameter("limit").unwrap();
        let Some(lock) = self.locks.get_mut(&device) else { return };
        let (is_new, departure) = lock.departure();
        let holes: Vec<RecordRef> = departure.iter().flat_map(|weighed| weighed.holes.iter().copied()).collect();
        // Only the holes of the weighing that begins a departure belong to the departure.
        let before = if is_new { departure[0].records - departure[0].holes.len() as f64 } else { 0.0 };
        let records = departure.iter().map(|weighed| weighed.records).sum::<f64>() - before;
        let since_ms = departure[0].at_ms;
        let is_due = lock.alarms.iter().all(|&at_ms| (is_new && at_ms < since_ms) || now_ms - at_ms >= 7 * DAY_MS);
        if lock.evidence() < limit || (holes.len() as f64) < self.rule.parameter("count_min").unwrap() || !is_due {
            return;
        }
        let value = 100.0 * holes.len() as f64 / records;
        let numbers = [value, baseline, (value * limit / lock.evidence()).max(baseline)];
        lock.alarms.push(now_ms);
        self.found.push(Found::of(stream, device, now_ms, since_ms, numbers, &shown(&holes)));
    }
}

/// Weighs the rows since the last weighing; returns the number of holes that the fleet's share learns from.
fn weigh(rule: &Rule, lock: &mut OneLock, share: f64, now_ms: i64) -> f64 {
    let limit = rule.parameter("limit").unwrap();
    let holes: Vec<RecordRef> = lock.waits.drain(..).map(|hole| hole.record).collect();
    let records = (lock.rows.len() - lock.weighed.last().map_or(0, |last| last.rows)) as f64;
    let (own_holes, own_records) = lock.learned();
    let normal = ((own_holes + 300.0 * share) / (own_records + 300.0)).max(share).max(1e-4);
    let step = |events: f64, records: f64| (events, normal * records, [0.03, 0.1, 0.3].map(|share| share * records));
    let bad = holes.len() as f64;
    let new = [step(0.0, (records - bad).max(0.0)), step(bad, bad)];
    let mut steps: Vec<Step> = lock.weighed.iter().flat_map(|weighed| weighed.steps).chain([new[0]]).collect();
    let well = excess_by_tails(&steps);
    steps.push(new[1]);
    let evidence = [well, excess_by_tails(&steps)];
    let learned = if evidence[1] < limit { bad } else { 0.0 };
    lock.weighed.push(Weighed { at_ms: now_ms, rows: lock.rows.len(), records, holes, steps: new, evidence });
    learned
}

fn loss(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let (locks, hour) = (BTreeMap::new(), BTreeMap::new());
    let mut slow = Slow { rule, locks, records: 0.0, holes: Vec::new(), hour, found: Vec::new() };
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => slow.record(said),
            Moment::Happened(EventKind::Installed, device) => {
                slow.locks.remove(device);
                slow.hour.remove(device);
            }
            Moment::Refused(device, now) => {
                if let Some(lock) = slow.locks.get_mut(device) {
                    lock.forget_refused(now.ms());
                    lock.refused_ms.push(now.ms());
                    lock.unread.push(lock.rows.len());
                }
            }
            Moment::Close(now, locks) => slow.close(stream, now.ms(), locks),
            Moment::Happened(..) | Moment::LateError(..) => {}
        }
    }
    slow.found
}

#[test]
fn loss_is_judged_as_by_all_records() {
    agree("record-loss", loss);
}
