//! A slow version of the detector `trouble`, over all operations: the usual run time of a lock's motor in each
//! direction is computed again from the whole list at each operation, the evidence from all of them.
use super::estimators::{Step, excess_by_tails};
use super::locks::Plan;
use super::stream::{Found, Moment, SINGLE, Said, Stream, agree, agree_on, embedded, shown};
use std::collections::BTreeMap;
use zenei_detect::fleet::{DeviceIx, Sym};
use zenei_detect::lock::{Lock, RecordRef};
use zenei_detect::rules::Rule;
use zenei_wire::{Body, EventKind, OpKind, OpResult};

const DAY_MS: i64 = 86_400_000;

/// Logarithms of the run time and of the mean current, where it was reported.
type Run = (f64, Option<f64>);

#[derive(Default)]
struct OneLock {
    ways: [Vec<Run>; 2],
    troubles_ms: Vec<i64>,
    /// Whether each of the first operations, which are not judged, was troubled.
    first: Vec<bool>,
    /// When the first operation was.
    first_ms: i64,
    weighed: Vec<Weighed>,
    alarms: Vec<i64>,
}

struct Weighed {
    at_ms: i64,
    record: RecordRef,
    troubled: bool,
    step: Step,
    /// The evidence with this operation.
    evidence: f64,
}

struct Slow<'a> {
    rule: &'a Rule,
    locks: BTreeMap<DeviceIx, OneLock>,
    /// For each operation outside findings: whether it was troubled.
    models: BTreeMap<Sym, Vec<bool>>,
    /// How many of each lock's first 20 operations were troubled.
    firsts: BTreeMap<Sym, Vec<f64>>,
    hour_ms: i64,
    found: Vec<Found>,
}

/// Whether the last of these runs was longer than the lock needs.
fn is_longer(rule: &Rule, runs: &[Run]) -> bool {
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
    is_beyond
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

    /// The operations since there was no evidence.
    fn departure(&self) -> &[Weighed] {
        let before = self.weighed.iter().rposition(|weighed| weighed.evidence <= 0.0);
        &self.weighed[before.map_or(0, |before| before + 1)..]
    }
}

impl Slow<'_> {
    fn share_of_model(&self, model: Sym) -> f64 {
        share(
            self.models.get(&model).into_iter().flatten().copied(),
            self.rule.parameter("prior_share").unwrap(),
            2_000.0,
        )
    }

    /// How many operations at the model's share a lock's own are worth: of a beta distribution, by the mean and
    /// variance of the locks' first shares and of 50 imagined locks that are worth 200.
    fn own_weight(&self, model: Sym, of_model: f64) -> f64 {
        let firsts: Vec<f64> = self.firsts.get(&model).into_iter().flatten().copied().collect();
        let locks = firsts.len() as f64 + 50.0;
        let mean = (firsts.iter().map(|count| count / 20.0).sum::<f64>() + 50.0 * of_model) / locks;
        let square = of_model * of_model + of_model * (1.0 - of_model) / 201.0;
        let squares = firsts.iter().map(|count| count / 20.0 * (count - 1.0) / 19.0).sum::<f64>() + 50.0 * square;
        let variance = squares / locks - mean * mean;
        if variance <= 0.0 { 200.0 } else { (mean * (1.0 - mean) / variance - 1.0).clamp(1.0, 200.0) }
    }

    fn operation(&mut self, said: &Said) {
        let Body::Op(op) = &said.row.body else { return };
        let way = match op.op {
            OpKind::Lock => 0,
            OpKind::Unlock => 1,
            OpKind::Calibrate => return,
        };
        let of_model = self.share_of_model(said.lock.labels.model);
        let lock = self.locks.entry(said.device).or_default();
        let troubled = match op.result {
            OpResult::Ok => op.duration_ms.is_some_and(|duration| {
                let log = |value: u16| f64::from(value).max(1.0).ln();
                lock.ways[way].push((log(duration), op.mean_ma.map(|mean| log(mean.0))));
                is_longer(self.rule, &lock.ways[way])
            }),
            OpResult::Jam | OpResult::Stall | OpResult::Timeout => true,
            OpResult::Rejected | OpResult::Aborted => return,
        };
        let debounce_ms = (self.rule.parameter("debounce_minutes").unwrap() * 60_000.0) as i64;
        let again = lock.troubles_ms.last().is_some_and(|last_ms| said.now_ms - last_ms < debounce_ms);
        if troubled {
            lock.troubles_ms.push(said.now_ms);
        }
        if said.lock.maintenance || (troubled && again) {
            return;
        }
        if lock.first.is_empty() {
            lock.first_ms = said.now_ms;
        }
        if lock.first.len() < 20 {
            lock.first.push(troubled);
            let count = lock.first.iter().filter(|troubled| **troubled).count() as f64;
            if lock.first.len() == 20 {
                self.firsts.entry(said.lock.labels.model).or_default().push(count);
            }
            self.models.entry(said.lock.labels.model).or_default().push(troubled);
            return;
        }
        let limit = self.rule.parameter("limit").unwrap();
        let weight = self.own_weight(said.lock.labels.model, of_model);
        let lock = self.locks.entry(said.device).or_default();
        let judged = lock.weighed.iter().filter(|weighed| weighed.evidence < limit).map(|weighed| weighed.troubled);
        let normal = share(lock.first.iter().copied().chain(judged), of_model, weight).max(of_model);
        let step = (f64::from(u8::from(troubled)), normal, [(5.0 * normal).min(0.9), 0.1, 0.3]);
        let steps: Vec<Step> = lock.weighed.iter().map(|weighed| weighed.step).chain([step]).collect();
        let evidence = excess_by_tails(&steps);
        lock.weighed.push(Weighed { at_ms: said.now_ms, record: said.record, troubled, step, evidence });
        if evidence < limit {
            self.models.entry(said.lock.labels.model).or_default().push(troubled);
        }
    }

    fn close(&mut self, stream: &Stream, now_ms: i64, locks: &[Lock]) {
        let limit = self.rule.parameter("limit").unwrap();
        for (&device, lock) in &self.locks {
            let of_hour = lock.weighed.iter().filter(|weighed| weighed.at_ms >= self.hour_ms);
            let is_suspect = of_hour.clone().any(|weighed| weighed.troubled && weighed.evidence >= limit);
            if !is_suspect || lock.evidence() < limit {
                continue;
            }
            let departure = lock.departure();
            let counted = lock.first.len() + lock.weighed.iter().filter(|weighed| weighed.evidence < limit).count();
            let per_day = counted as f64 * DAY_MS as f64 / ((now_ms - lock.first_ms) as f64).max(DAY_MS as f64);
            let limit = limit + 2.0 * (per_day / self.rule.parameter("usual_per_day").unwrap()).max(1.0).ln();
            let troubled: Vec<&Weighed> = departure.iter().filter(|weighed| weighed.troubled).collect();
            let (Some(first), Some(last)) = (troubled.first(), troubled.last()) else { continue };
            let lasts = last.at_ms - first.at_ms >= DAY_MS / 2 || lock.evidence() >= 2.0 * limit;
            let is_due = lock.alarms.iter().all(|&at_ms| at_ms < departure[0].at_ms || now_ms - at_ms >= 7 * DAY_MS);
            if lock.evidence() < limit
                || (troubled.len() as f64) < self.rule.parameter("count_min").unwrap()
                || !lasts
                || !is_due
            {
                continue;
            }
            let value = 100.0 * troubled.len() as f64 / departure.len() as f64;
            let baseline = 100.0 * self.share_of_model(locks[device.0 as usize].labels.model);
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
    let (locks, models, firsts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut slow = Slow { rule, locks, models, firsts, hour_ms: 0, found: Vec::new() };
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => slow.operation(said),
            Moment::Happened(EventKind::Installed | EventKind::Moved, device) => _ = slow.locks.remove(device),
            Moment::Close(now, locks) => slow.close(stream, now.ms(), locks),
            Moment::Happened(..) | Moment::LateError(..) | Moment::Refused(..) => {}
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
