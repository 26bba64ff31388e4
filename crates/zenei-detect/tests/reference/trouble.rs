//! A slow version of the detector `trouble`, over all operations: the usual run time of a lock's motor in each
//! direction is computed again from the whole list at each operation, the evidence from all of them.
use super::estimators::{Step, excess_by_tails};
use super::locks::Plan;
use super::stream::{Found, Moment, SINGLE, Said, Stream, agree, agree_on, embedded, shown};
use std::collections::BTreeMap;
use zenei_detect::fleet::{DeviceIx, Sym};
use zenei_detect::lock::{Lock, RecordRef};
use zenei_detect::rules::Rule;
use zenei_wire::{Body, EventKind, Op, OpKind, OpResult, OpSource};

const DAY_MS: i64 = 86_400_000;

/// Logarithms of the run time and of the mean current, where it was reported.
type Run = (f64, Option<f64>);

/// Of which kinds an operation is troubled: of any, a stall, a jam.
type Kinds = [bool; 3];

#[derive(Default)]
struct OneLock {
    ways: [Vec<Run>; 2],
    troubles_ms: Vec<i64>,
    /// The operations that are learned as normal.
    learned: Vec<Kinds>,
    /// When the first operation was.
    first_ms: i64,
    place: Place,
    weighed: Vec<Weighed>,
    alarms: Vec<i64>,
}

struct Weighed {
    at_ms: i64,
    record: RecordRef,
    shown: bool,
    kinds: Kinds,
    /// How much likelier chance made the mix of the troubles up to the last one.
    mix: f64,
    /// A step of each kind; `None` while the lock is learned.
    steps: Option<[Step; 3]>,
    /// The evidence with this operation.
    evidence: f64,
    /// Whether the end position is the evidence.
    beside: bool,
    /// Whether there is no evidence also where the mix of kinds does not count.
    usual: bool,
}

struct Slow<'a> {
    rule: &'a Rule,
    locks: BTreeMap<DeviceIx, OneLock>,
    /// The operations outside findings.
    models: BTreeMap<Sym, Vec<Kinds>>,
    /// How many of each lock's first 20 operations were troubled.
    firsts: BTreeMap<Sym, Vec<[f64; 3]>>,
    places: BTreeMap<Sym, Scatter>,
    hour_ms: i64,
    found: Vec<Found>,
}

/// The squared departures and the squared blocks that were learned.
#[derive(Default)]
struct Scatter {
    squares: Vec<f64>,
    blocks: Vec<f64>,
}

/// The end positions of a lock.
#[derive(Default)]
struct Place {
    /// What was learned in each direction: the first eight as they are, later ones cut.
    ways: [Vec<f64>; 2],
    scatter: Scatter,
    steps: Vec<f64>,
    /// What each operation adds to the evidence of each shift: 1.5 and 3 standard deviations, up and down.
    gains: Vec<[f64; 4]>,
}

/// A mean of the latest `most` squares or so, drawn to a prior by so many.
fn drawn(squares: &[f64], most: f64, prior: f64, weight: f64) -> f64 {
    let (sum, count) = squares.iter().fold((0.0, 0.0), |(sum, count): (f64, f64), square| {
        if count >= most { (sum - sum / count + square, count) } else { (sum + square, count + 1.0) }
    });
    (sum + weight * prior) / (count + weight)
}

impl Place {
    fn evidence(&self) -> f64 {
        let sum = |at: usize| self.gains.iter().fold(0.0_f64, |sum, gain| (sum + gain[at]).max(0.0));
        let most = (0..4).map(sum).fold(0.0, f64::max);
        if most < 4.0 { 0.0 } else { most }
    }

    /// The mean: of the first eight, then each with the weight of one among those before, at most fifty.
    fn mean(&self, way: usize) -> f64 {
        self.ways[way].iter().enumerate().fold(0.0, |mean, (before, value)| {
            let count = (before as f64 + 1.0).min(50.0);
            mean + (value - mean) / count
        })
    }

    /// Takes an end position; returns whether it supports a suspicion.
    fn take(&mut self, degrees: f64, way: usize, model: &mut Scatter, limit: f64) -> bool {
        let (usual, count) = (self.mean(way), self.ways[way].len() as f64);
        let of_model = drawn(&model.squares, 20_000.0, 4.0, 20.0).max(0.36);
        let spread = drawn(&self.scatter.squares, 200.0, of_model, 20.0).max(0.36).sqrt();
        let apart = degrees - usual;
        let around = apart.clamp(-3.0 * spread, 3.0 * spread);
        if count < 8.0 {
            self.ways[way].push(degrees);
            if count >= 1.0 {
                self.scatter.squares.push(around * around * count / (count + 1.0));
                model.squares.push(around * around * count / (count + 1.0));
            }
            return false;
        }
        let z = around / spread;
        let own = drawn(&model.blocks, 20_000.0, 1.0, 10.0).max(1.0);
        let widened = drawn(&self.scatter.blocks, 50.0, own, 10.0).max(1.0);
        let gain = |shift: f64, z: f64| {
            shift * (z - shift / 2.0) / (widened + 2.0 * limit / (shift * shift * count.min(50.0)))
        };
        self.gains.push([gain(1.5, z), gain(1.5, -z), gain(3.0, z), gain(3.0, -z)]);
        let evidence = self.evidence();
        if evidence < limit / 2.0 {
            self.scatter.squares.push(around * around);
            model.squares.push(around * around);
            self.steps.push(z);
            if self.steps.len().is_multiple_of(8) {
                let sum: f64 = self.steps[self.steps.len() - 8..].iter().sum();
                self.scatter.blocks.push((sum * sum / 8.0).min(9.0));
                model.blocks.push((sum * sum / 8.0).min(9.0));
            }
            if evidence == 0.0 {
                self.ways[way].push(usual + around);
            }
        }
        evidence > 0.0 && z.abs() >= 2.0
    }
}

/// Whether the last of these runs was longer than the lock needs; the mean of the run times; and the excess that is
/// unusual by itself.
fn weigh_runs(rule: &Rule, runs: &[Run]) -> (bool, f64, f64) {
    let beyond = |name: &'static str| (1.0 + rule.parameter(name).unwrap()).ln();
    let (far, idle, sigmas) = (beyond("longer"), beyond("longer_idle"), rule.parameter("sigmas").unwrap());
    let (mut mean_ms, mut mean_ma, mut noise, mut is_beyond) = (0.0, None, 0.05_f64, false);
    for (before, &(ms, ma)) in runs.iter().enumerate() {
        if before < 8 {
            let toward = |mean: f64, value: f64| mean + (value - mean).clamp(-0.1, 0.1) / (before + 1) as f64;
            mean_ms = if before == 0 { ms } else { toward(mean_ms, ms) };
            mean_ma = ma.map_or(mean_ma, |ma| Some(mean_ma.map_or(ma, |mean| toward(mean, ma))));
            continue;
        }
        let (slower, harder) = (ms - mean_ms, ma.zip(mean_ma).map(|(ma, mean)| ma - mean));
        is_beyond = slower > far.max(sigmas * noise)
            || harder.is_some_and(|harder| harder < 0.04 && slower > idle.max(4.0 * noise));
        let bounded = slower.clamp(-3.0 * noise, 3.0 * noise);
        mean_ms += 0.03 * bounded;
        mean_ma = mean_ma.map(|mean| mean + 0.03 * harder.unwrap_or(0.0).clamp(-0.1, 0.1)).or(ma);
        if !is_beyond {
            noise = (noise + 0.03 * (1.25 * bounded.abs() - noise)).max(0.012);
        }
    }
    (is_beyond, mean_ms, idle.max(4.0 * noise))
}

/// Whether a motor that ran so long ran no longer than usual, or not at all.
fn is_usual(rule: &Rule, runs: &[Run], duration_ms: Option<u16>) -> bool {
    let (_, mean_ms, least) = weigh_runs(rule, runs);
    runs.len() >= 8 && duration_ms.is_none_or(|ms| f64::from(ms).max(1.0).ln() - mean_ms < least)
}

/// The share of troubled ones, drawn to `prior` by so many imagined operations.
fn share(operations: impl Iterator<Item = bool>, prior: f64, weight: f64) -> f64 {
    let operations: Vec<bool> = operations.collect();
    let troubled = operations.iter().filter(|troubled| **troubled).count() as f64;
    (troubled + weight * prior) / (operations.len() as f64 + weight)
}

impl OneLock {
    fn evidence(&self) -> f64 {
        self.weighed.last().map_or(0.0, |last| last.evidence)
    }

    /// The operations since there was no evidence, whatever the mix of kinds says.
    fn departure(&self) -> &[Weighed] {
        let before = self.weighed.iter().rposition(|weighed| weighed.usual);
        &self.weighed[before.map_or(0, |before| before + 1)..]
    }
}

/// How much likelier chance makes the kinds of the troubles of this departure, with the newest, than a fault does, to
/// which each mix is as likely: of n troubles in three kinds there are (n + 1)(n + 2)/2 mixes. Troubles are taken in
/// their order, each with the kinds before it; 0 where a fault is likelier.
fn of_mix(departure: &[Weighed], newest: Kinds, shares: [f64; 3]) -> f64 {
    let all = departure.iter().map(|weighed| weighed.kinds).chain([newest]).filter(|kinds| kinds[0]);
    let (mut before, mut sum, mut count) = ([0.0; 3], 0.0, 0.0);
    for kinds in all {
        let kind = if kinds[1] {
            1
        } else if kinds[2] {
            2
        } else {
            0
        };
        let chance = [shares[0] - shares[1] - shares[2], shares[1], shares[2]][kind] / shares[0];
        sum += chance.ln() - f64::ln((before[kind] + 1.0) / (count + 3.0));
        before[kind] += 1.0;
        count += 1.0;
    }
    sum.max(0.0)
}

impl Slow<'_> {
    fn share_of_model(&self, model: Sym, kind: usize) -> f64 {
        share(
            self.models.get(&model).into_iter().flatten().map(|kinds| kinds[kind]),
            self.rule.parameter("prior_share").unwrap() * if kind == 0 { 1.0 } else { 1.0 / 3.0 },
            2_000.0,
        )
    }

    /// The same without the troubles of a lock's present departure.
    fn share_of_others(&self, device: DeviceIx, model: Sym, kind: usize) -> f64 {
        let all = self.models.get(&model).map_or(&[][..], Vec::as_slice);
        let own = self.locks[&device].departure().iter().filter(|weighed| weighed.kinds[kind]).count() as f64;
        let troubled = all.iter().filter(|kinds| kinds[kind]).count() as f64;
        let prior = self.rule.parameter("prior_share").unwrap() * if kind == 0 { 1.0 } else { 1.0 / 3.0 };
        ((troubled - own).max(0.0) + 2_000.0 * prior) / (all.len() as f64 + 2_000.0)
    }

    /// How many operations at the model's share a lock's own are worth: of a beta distribution, by the mean and
    /// variance of the locks' first shares and of 50 imagined locks that are worth 200.
    fn own_weight(&self, model: Sym, kind: usize, of_model: f64) -> f64 {
        let firsts: Vec<f64> = self.firsts.get(&model).into_iter().flatten().map(|counts| counts[kind]).collect();
        let locks = firsts.len() as f64 + 50.0;
        let mean = (firsts.iter().map(|count| count / 20.0).sum::<f64>() + 50.0 * of_model) / locks;
        let square = of_model * of_model + of_model * (1.0 - of_model) / 201.0;
        let squares = firsts.iter().map(|count| count / 20.0 * (count - 1.0) / 19.0).sum::<f64>() + 50.0 * square;
        let variance = squares / locks - mean * mean;
        if variance <= 0.0 { 200.0 } else { (mean * (1.0 - mean) / variance - 1.0).clamp(1.0, 200.0) }
    }

    /// Of which kinds an operation is troubled; `None` where it says nothing of the drive.
    fn kinds(&mut self, said: &Said, op: &Op, way: usize) -> Option<Kinds> {
        let runs = &mut self.locks.entry(said.device).or_default().ways[way];
        let at_the_door =
            [OpSource::Keypad, OpSource::Nfc, OpSource::Auto, OpSource::Manual].iter().any(|by| op.source == Some(*by));
        let any = match op.result {
            OpResult::Ok => op.duration_ms.is_some_and(|duration| {
                let log = |value: u16| f64::from(value).max(1.0).ln();
                runs.push((log(duration), op.mean_ma.map(|mean| log(mean.0))));
                weigh_runs(self.rule, runs).0
            }),
            OpResult::Timeout if !at_the_door && is_usual(self.rule, runs, op.duration_ms) => return None,
            OpResult::Jam | OpResult::Stall | OpResult::Timeout => true,
            OpResult::Rejected | OpResult::Aborted => return None,
        };
        Some([any, op.result == OpResult::Stall, op.result == OpResult::Jam])
    }

    fn operation(&mut self, said: &Said) {
        let Body::Op(op) = &said.row.body else { return };
        let way = match op.op {
            OpKind::Lock => 0,
            OpKind::Unlock => 1,
            OpKind::Calibrate => return,
        };
        let Some(kinds) = self.kinds(said, op, way) else { return };
        let model = said.lock.labels.model;
        let lock = self.locks.entry(said.device).or_default();
        let debounce_ms = (self.rule.parameter("debounce_minutes").unwrap() * 60_000.0) as i64;
        let again = lock.troubles_ms.last().is_some_and(|last_ms| said.now_ms - last_ms < debounce_ms);
        if kinds[0] {
            lock.troubles_ms.push(said.now_ms);
        }
        if said.lock.maintenance {
            return;
        }
        let limit = self.rule.parameter("limit").unwrap();
        let place = self.places.entry(model).or_default();
        let degrees = op.angle_err_deg.filter(|_| op.result == OpResult::Ok).map(|angle| f64::from(angle.0) / 100.0);
        let off = degrees.is_some_and(|degrees| lock.place.take(degrees, way, place, limit + 2.303));
        if kinds[0] && again {
            return;
        }
        let step = |kind: usize| {
            let of_model = self.share_of_model(model, kind);
            let weight = self.own_weight(model, kind, of_model);
            let learned = self.locks[&said.device].learned.iter().map(|kinds| kinds[kind]);
            let normal = share(learned, of_model, weight).max(of_model);
            (f64::from(u8::from(kinds[kind])), normal, [(5.0 * normal).min(0.9), 0.1, 0.3])
        };
        let shares = [0, 1, 2].map(|kind| self.share_of_others(said.device, model, kind));
        let is_judged = self.locks[&said.device].learned.len() >= 20;
        let steps = is_judged.then(|| [step(0), step(1), step(2)]);
        let lock = self.locks.entry(said.device).or_default();
        if lock.learned.is_empty() {
            lock.first_ms = said.now_ms;
        }
        let of_kind = |kind: usize| {
            let all: Vec<Step> =
                lock.weighed.iter().filter_map(|of| of.steps).chain(steps).map(|steps| steps[kind]).collect();
            excess_by_tails(&all)
        };
        let before = lock.departure();
        let mix =
            if kinds[0] { of_mix(before, kinds, shares) } else { before.last().map_or(0.0, |weighed| weighed.mix) };
        let strongest =
            |costs: [f64; 3]| costs.iter().enumerate().map(|(kind, cost)| of_kind(kind) - cost).fold(-9.0, f64::max);
        let of_kinds = strongest([mix, 2.303, 2.303]);
        let usual = strongest([0.0, 2.303, 2.303]).max(lock.place.evidence() - 2.303) <= 0.0;
        let beside = lock.place.evidence() - 2.303 > of_kinds;
        let evidence = of_kinds.max(lock.place.evidence() - 2.303);
        let shown = kinds[0] || off;
        let (at_ms, record) = (said.now_ms, said.record);
        lock.weighed.push(Weighed { at_ms, record, shown, kinds, mix, steps, evidence, beside, usual });
        if evidence < limit {
            lock.learned.push(kinds);
            if lock.learned.len() == 20 {
                let count = |kind: usize| lock.learned.iter().filter(|kinds| kinds[kind]).count() as f64;
                self.firsts.entry(model).or_default().push([count(0), count(1), count(2)]);
            }
            self.models.entry(model).or_default().push(kinds);
        }
    }

    fn close(&mut self, stream: &Stream, now_ms: i64, locks: &[Lock]) {
        let limit = self.rule.parameter("limit").unwrap();
        for (&device, lock) in &self.locks {
            let of_hour = lock.weighed.iter().filter(|weighed| weighed.at_ms >= self.hour_ms);
            let is_suspect = of_hour.clone().any(|weighed| weighed.shown && weighed.evidence >= limit);
            if !is_suspect || lock.evidence() < limit {
                continue;
            }
            let departure = lock.departure();
            let per_day =
                lock.learned.len() as f64 * DAY_MS as f64 / ((now_ms - lock.first_ms) as f64).max(DAY_MS as f64);
            let limit = limit + 2.0 * (per_day / self.rule.parameter("usual_per_day").unwrap()).max(1.0).ln();
            let troubled: Vec<&Weighed> = departure.iter().filter(|weighed| weighed.shown).collect();
            let (Some(first), Some(last)) = (troubled.first(), troubled.last()) else { continue };
            let beside = lock.weighed.last().is_some_and(|last| last.beside);
            let lasts = last.at_ms - first.at_ms >= DAY_MS / 2 || lock.evidence() >= 2.0 * limit || beside;
            let is_due = lock.alarms.iter().all(|&at_ms| at_ms < departure[0].at_ms || now_ms - at_ms >= 7 * DAY_MS);
            if lock.evidence() < limit
                || (troubled.len() as f64) < self.rule.parameter("count_min").unwrap()
                || !lasts
                || !is_due
            {
                continue;
            }
            let value = 100.0 * troubled.len() as f64 / departure.len() as f64;
            let baseline = 100.0 * self.share_of_model(locks[device.0 as usize].labels.model, 0);
            let numbers = [value, baseline, (value * limit / lock.evidence()).max(baseline)];
            let records: Vec<RecordRef> = troubled.iter().map(|weighed| weighed.record).collect();
            self.found.push(Found::of(stream, device, now_ms, first.at_ms, numbers, &shown(&records)));
        }
        for found in self.found.iter().filter(|found| found.at_ms == now_ms) {
            let lock = stream.fleet.find(&found.scope).and_then(|device| self.locks.get_mut(&device));
            lock.into_iter().for_each(|lock| lock.alarms.push(now_ms));
        }
        self.hour_ms = now_ms;
    }
}

fn trouble(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let (locks, models, firsts, places) = Default::default();
    let mut slow = Slow { rule, locks, models, firsts, places, hour_ms: 0, found: Vec::new() };
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => slow.operation(said),
            Moment::Happened(EventKind::Installed | EventKind::Moved, device) => _ = slow.locks.remove(device),
            Moment::Close(now, locks) => slow.close(stream, now.ms(), locks),
            Moment::Happened(..) | Moment::Late(..) | Moment::Refused(..) => {}
        }
    }
    slow.found
}

#[test]
fn trouble_is_judged_as_by_all_operations() {
    agree("operation-trouble", trouble);
}

/// With a usual use that most locks exceed.
#[test]
fn trouble_is_judged_as_by_all_operations_where_locks_are_used_more_than_usual() {
    let mut rule = embedded("operation-trouble");
    rule.parameters.insert("usual_per_day".to_owned(), 0.5);
    agree_on(&rule, Plan::FEW, SINGLE, trouble);
}
