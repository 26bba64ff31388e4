//! A slow version of the detector `loss`, over all records: each hour's holes are computed again from a lock's rows,
//! the evidence from every weighing.
use super::estimators::largest_tail;
use super::links::Link;
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
    past: Past,
    heard_ms: i64,
    behind: Sym,
    /// When each burst began.
    bursts_ms: Vec<i64>,
    /// When the present block began, and the number of rows then.
    block: (i64, usize),
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
    /// What the records gain for each rate that arrived in a burst, and outside; a hole that begins a burst; further
    /// holes.
    gains: [[f64; 3]; 4],
    /// Whether a hole of it began a burst.
    begins: bool,
    /// Records outside of a burst, with the hole that begins one.
    outside: f64,
    /// The evidence with the first step, and with all.
    evidence: [f64; 2],
}

struct Slow<'a> {
    rule: &'a Rule,
    locks: BTreeMap<DeviceIx, OneLock>,
    like: Like,
    links: BTreeMap<Sym, Link>,
    /// Holes in bursts beyond the first one, and records within bursts, of each weighing that teaches.
    bursts: Vec<(f64, f64)>,
    /// How far blocks departed from what was expected, squared, and what was expected.
    blocks: Vec<(f64, f64)>,
    /// Records and holes of all links, up to the last hour.
    all: [f64; 2],
    /// For each lock: the number of its rows when the hour began.
    hour: BTreeMap<DeviceIx, usize>,
    found: Vec<Found>,
}

/// Events and exposure of a past.
#[derive(Clone, Copy, Default)]
pub(super) struct Past(pub(super) f64, pub(super) f64);

/// The usual rate, and the share of those that always exceed it.
#[derive(Clone, Copy)]
pub(super) struct Like(pub(super) f64, pub(super) f64);

impl Like {
    /// The marginal likelihoods of a past: of a sound one and of a chronic one, with their shares.
    pub(super) fn kinds(self, Past(events, exposure): Past) -> [f64; 2] {
        [(1.0, 1.0 / self.0, 1.0 - self.1), (0.5, 5.0, self.1)].map(|(shape, rate, share): (f64, f64, f64)| {
            let counts = libm::lgamma(shape + events) - libm::lgamma(shape);
            share.ln() + counts + shape * rate.ln() - (shape + events) * (rate + exposure).ln()
        })
    }

    /// What a step gains for each raised rate against what the past predicts; the past takes the step.
    pub(super) fn gains(self, past: &mut Past, events: f64, exposure: f64, most: f64) -> [f64; 3] {
        let of = |past: Past| {
            let [a, b] = self.kinds(past);
            a.max(b) + (1.0 + (a.min(b) - a.max(b)).exp()).ln()
        };
        let next = Past(past.0 + events, past.1 + exposure);
        let normal = of(next) - of(*past);
        *past = if next.1 > 2_000.0 { Past(0.5 * next.0, 0.5 * next.1) } else { next };
        [0.03_f64, 0.1, 0.3].map(|rate| ((events * rate.ln() - rate * exposure - normal) / 1.5).min(most))
    }

    /// The same for a lock: in a burst, where others then lose at the rate `after`, or outside of one, where it is 0.
    fn of_lock(self, past: &mut Past, events: f64, exposure: f64, (after, temper): (f64, f64)) -> [f64; 3] {
        let least = events * 0.03_f64.ln() - 0.03 * exposure;
        let before = *past;
        let own = least - 1.5 * self.gains(past, events, exposure, f64::INFINITY)[0];
        if after > 0.0 {
            *past = before;
        }
        let poisson = |rate: f64| (if events > 0.0 { events * rate.ln() } else { 0.0 }) - rate * exposure;
        let normal = if after <= 0.0 {
            own
        } else if events > 0.0 {
            own.max(poisson(after))
        } else {
            own.min(poisson(after))
        };
        [0.03_f64, 0.1, 0.3].map(|rate| (poisson(rate.max(after)) - normal) / temper)
    }

    /// By how much a block departs from what such a past lets expect, squared, less what is uncertain; and what it lets
    /// expect.
    fn block(self, past: Past, events: f64, exposure: f64) -> Option<(f64, f64)> {
        if exposure <= 0.0 || past.1 < exposure {
            return None;
        }
        let [sound, other] = self.kinds(past);
        let chronic = 1.0 / (1.0 + (sound - other).exp());
        let of = |shape: f64, scale: f64| {
            let (mean, over) = ((shape + past.0) / (scale + past.1), scale + past.1);
            (mean, mean * mean + mean / over)
        };
        let (a, b) = (of(1.0, 1.0 / self.0), of(0.5, 5.0));
        let mean = (1.0 - chronic) * a.0 + chronic * b.0;
        let variance = (1.0 - chronic) * a.1 + chronic * b.1 - mean * mean;
        Some(((events - mean * exposure).powi(2) - exposure * exposure * variance, mean * exposure))
    }
}

/// The evidence of steps: the largest sum of any run that ends at the last one, of any rate.
pub(super) fn evidence(gains: &[[f64; 3]]) -> f64 {
    (0..3).map(|at| largest_tail(&gains.iter().map(|gain| gain[at]).collect::<Vec<_>>())).fold(0.0, f64::max)
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

    /// Drops the unreadable records where none arrived for seven hours: they explain no later hole.
    fn forget_refused(&mut self, now_ms: i64) {
        if self.refused_ms.last().is_some_and(|last_ms| now_ms - last_ms >= 7 * HOUR_MS) {
            self.refused_ms.clear();
        }
    }

    /// Whether its present departure was told.
    fn told(&self) -> bool {
        let (is_new, departure) = self.departure();
        self.alarms.iter().any(|&at_ms| !is_new || at_ms >= departure[0].at_ms)
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
        let behind = said.lock.behind();
        let link = self.links.entry(behind).or_insert_with(|| Link::of(&said.lock));
        link.hear(said.now_ms);
        let lock = self.locks.entry(said.device).or_default();
        lock.forget_refused(said.now_ms);
        let explained = lock.refused_ms.len().min(said.missing as usize);
        lock.refused_ms.drain(..explained);
        let is_link = link.quiet_ms.is_some_and(|quiet_ms| lock.heard_ms <= quiet_ms);
        let hole = said.missing as usize > explained && !is_link && !said.lock.maintenance;
        lock.rows.push(Row { is_heartbeat, hole, record: said.record });
        (lock.heard_ms, lock.behind) = (said.now_ms, behind);
    }

    fn close(&mut self, stream: &Stream, now_ms: i64, locks: &[Lock]) {
        let from = |hour: &BTreeMap<DeviceIx, usize>, device: DeviceIx| hour.get(&device).copied().unwrap_or(0);
        for (device, lock) in &self.locks {
            let begin = from(&self.hour, *device);
            if let (Some(hole), Some(link)) = (lock.hole(begin), self.links.get_mut(&lock.behind)) {
                link.holes.push((*device, hole.record));
            }
        }
        self.close_links(stream, now_ms, locks);
        let devices: Vec<DeviceIx> = self.locks.keys().copied().collect();
        for device in devices {
            let (like, now) = (self.like, &locks[device.0 as usize]);
            let Some(lock) = self.locks.get_mut(&device) else { continue };
            let begin = from(&self.hour, device);
            if lock.rows.len() == begin {
                continue;
            }
            let together = self.links.get(&lock.behind).is_some_and(|link| link.together);
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
                let taught = weigh(lock, like, (&self.bursts, dispersion(&self.blocks)), now_ms);
                self.bursts.extend(taught);
                self.judge(stream, device, now_ms);
            }
        }
        if now_ms % (8 * DAY_MS) == 0 {
            self.close_blocks(now_ms);
        }
        if now_ms % DAY_MS == 0 {
            self.learn();
        }
        self.hour = self.locks.iter().map(|(device, lock)| (*device, lock.rows.len())).collect();
    }

    /// What the locks' blocks of eight days teach of how bursts vary.
    fn close_blocks(&mut self, now_ms: i64) {
        let half = 0.5 * self.rule.parameter("limit").unwrap();
        for lock in self.locks.values_mut() {
            let (began_ms, rows) = core::mem::replace(&mut lock.block, (now_ms, lock.rows.len()));
            let (before, inside): (Vec<&Weighed>, Vec<&Weighed>) =
                lock.weighed.iter().partition(|weighed| weighed.at_ms <= began_ms);
            let waited = (rows - before.last().map_or(0, |last| last.rows)) as f64;
            let waits = (lock.rows.len() - lock.weighed.last().map_or(0, |last| last.rows)) as f64;
            let weighed = inside.iter().map(|weighed| weighed.outside).sum::<f64>();
            let events = inside.iter().filter(|weighed| weighed.begins).count() as f64;
            let past = Past((lock.past.0 - events).max(0.0), (lock.past.1 - weighed).max(0.0) + waited);
            if lock.evidence() < half {
                self.blocks.extend(self.like.block(past, events, (weighed + waits - waited).max(0.0)));
            }
        }
        if self.blocks.iter().map(|block| block.1).sum::<f64>() > 2_000.0 {
            self.blocks.iter_mut().for_each(|block| *block = (0.5 * block.0, 0.5 * block.1));
        }
    }

    /// What the locks teach of each other at the end of a day.
    fn learn(&mut self) {
        let prior = self.rule.parameter("prior_share").unwrap();
        let (mut locks, mut chronic, mut lost, mut records) = (50.0, 1.0, 20_000.0 * prior, 20_000.0);
        for lock in self.locks.values() {
            let since = lock.rows.len() - lock.weighed.last().map_or(0, |last| last.rows);
            let told = !lock.weighed.is_empty() && lock.told();
            records += since as f64;
            if lock.past.1 > 0.0 && !told {
                let [sound, other] = self.like.kinds(lock.past);
                let share = 1.0 / (1.0 + (sound - other).exp());
                locks += 1.0;
                chronic += share;
                lost += (1.0 - share) * lock.past.0;
                records += (1.0 - share) * lock.past.1;
            } else if lock.past.1 <= 0.0 && since > 0 {
                locks += 1.0;
            }
        }
        self.like = Like((lost / records).max(1e-4), chronic / locks);
    }

    fn close_links(&mut self, stream: &Stream, now_ms: i64, locks: &[Lock]) {
        let (limit, prior) = (self.rule.parameter("limit").unwrap(), self.rule.parameter("prior_share").unwrap());
        let usual = (self.all[1] + 20_000.0 * prior) / (self.all[0] + 20_000.0);
        let spoke = || self.links.values().filter(|link| link.records > 0);
        let many = spoke().filter(|link| link.times(usual) > 3.0).count();
        let everywhere = spoke().count() >= 3 && 2 * many > spoke().count();
        for link in self.links.values_mut() {
            self.all[0] += link.records as f64;
            self.all[1] += link.holes.len() as f64;
            let behind = locks.iter().filter(|lock| lock.behind() == link.value).count();
            self.found.extend(link.close(Like(usual, 0.02), (everywhere, limit, behind), stream, now_ms));
        }
    }

    fn judge(&mut self, stream: &Stream, device: DeviceIx, now_ms: i64) {
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
        let firsts = departure.iter().filter(|weighed| weighed.begins).count();
        let before = [lock.past.0 - firsts as f64, lock.past.1 - records];
        let baseline = 100.0 * if before[0] > 0.0 { before[0] / before[1].max(1.0) } else { self.like.0 };
        let numbers = [value, baseline, (value * limit / lock.evidence()).max(baseline)];
        lock.alarms.push(now_ms);
        self.found.push(Found::of(stream, device, now_ms, since_ms, numbers, &shown(&holes)));
    }
}

/// How many times as much bursts vary as by chance.
fn dispersion(blocks: &[(f64, f64)]) -> f64 {
    let sum = |of: fn(&(f64, f64)) -> f64| blocks.iter().map(of).sum::<f64>();
    ((sum(|block| block.0) + 45.0) / (sum(|block| block.1) + 30.0)).max(1.0)
}

/// Weighs the rows since the last weighing. Returns what it teaches about bursts.
fn weigh(
    lock: &mut OneLock,
    like: Like,
    (bursts, dispersion): (&[(f64, f64)], f64),
    now_ms: i64,
) -> Option<(f64, f64)> {
    let more: f64 = bursts.iter().map(|burst| burst.0).sum();
    let after = (2.0 + more) / (10.0 + bursts.iter().map(|burst| burst.1).sum::<f64>());
    let [sound, chronic] = like.kinds(lock.past);
    let teaches = sound > chronic && (lock.weighed.is_empty() || !lock.told());
    let holes: Vec<RecordRef> = lock.waits.drain(..).map(|hole| hole.record).collect();
    let records = (lock.rows.len() - lock.weighed.last().map_or(0, |last| last.rows)) as f64;
    let (bad, well) = (holes.len() as f64, (records - holes.len() as f64).max(0.0));
    let all: Vec<[f64; 3]> = lock.weighed.iter().flat_map(|weighed| weighed.gains).collect();
    let ends_ms = lock.bursts_ms.last().map(|began_ms| began_ms + 12 * HOUR_MS);
    let begins = ends_ms.is_none_or(|ends_ms| now_ms >= ends_ms);
    let within = match (begins, ends_ms, lock.weighed.last()) {
        (false, ..) => 1.0,
        (true, Some(ends_ms), Some(last)) => {
            ((ends_ms - last.at_ms).max(0) as f64 / (now_ms - last.at_ms) as f64).min(1.0)
        }
        (true, ..) => 0.0,
    };
    if begins {
        lock.bursts_ms.push(now_ms);
    }
    let first = f64::from(u8::from(begins));
    let mut step = |events: f64, exposure: f64, after: f64| {
        let temper = if after > 0.0 { 1.5 } else { dispersion };
        if exposure > 0.0 { like.of_lock(&mut lock.past, events, exposure, (after, temper)) } else { [0.0; 3] }
    };
    let gains = [
        step(0.0, within * well, after),
        step(0.0, well - within * well, 0.0),
        step(first, first, 0.0),
        step(bad - first, bad - first, after),
    ];
    let evidence = [evidence(&[&all[..], &gains[..2]].concat()), evidence(&[&all[..], &gains].concat())];
    let (rows, outside) = (lock.rows.len(), well - within * well + first);
    lock.weighed.push(Weighed { at_ms: now_ms, rows, records, holes, gains, begins, outside, evidence });
    teaches.then_some((bad - first, bad - first + within * well))
}

fn loss(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let (locks, links, hour) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let like = Like(rule.parameter("prior_share").unwrap(), 0.02);
    let (bursts, blocks, found) = (Vec::new(), Vec::new(), Vec::new());
    let mut slow = Slow { rule, locks, like, links, bursts, blocks, all: [0.0; 2], hour, found };
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
            Moment::Happened(..) | Moment::Late(..) => {}
        }
    }
    slow.found
}

#[test]
fn loss_is_judged_as_by_all_records() {
    agree("record-loss", loss);
}
