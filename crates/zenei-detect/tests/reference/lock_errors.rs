//! A slow version of the detector `lock_errors`, over all reports: every hour, day and step of evidence is stored and
//! summed again.
use super::estimators::{Step, excess_by_tails};
use super::stream::{Found, Moment, Said, Stream, agree, shown};
use std::collections::BTreeMap;
use zenei_detect::fleet::{DeviceIx, Sym};
use zenei_detect::lock::{Lock, RecordRef};
use zenei_detect::rules::Rule;
use zenei_wire::{Body, EventKind};

const DAY_MS: i64 = 86_400_000;

/// A model and a code.
type Key = (Sym, Sym);

#[derive(Default)]
struct OneLock {
    /// The number of days with records, the first day included.
    days_heard: f64,
    codes: Vec<(Sym, Code)>,
}

#[derive(Default)]
struct Code {
    /// The first report of this hour.
    reported: Option<RecordRef>,
    known_from_ms: i64,
    weighed: Vec<Weighed>,
    alarms: Vec<i64>,
}

struct Weighed {
    at_ms: i64,
    record: RecordRef,
    step: Step,
    /// The evidence with this step.
    evidence: f64,
}

#[derive(Default)]
struct Model {
    /// For each day: the number of locks with records.
    locks: Vec<f64>,
    /// For each day: how many of them were present all day.
    whole: Vec<f64>,
}

struct Slow<'a> {
    rule: &'a Rule,
    stream: &'a Stream,
    locks: BTreeMap<DeviceIx, OneLock>,
    models: BTreeMap<Sym, Model>,
    /// How many locks reported it, hour by hour.
    hours: BTreeMap<Key, Vec<(i64, f64)>>,
    /// Reports a lock, day by day.
    lately: BTreeMap<Key, Vec<f64>>,
    day_ms: i64,
    found: Vec<Found>,
}

impl OneLock {
    fn days(&self) -> f64 {
        (self.days_heard - 1.0).max(0.0)
    }
}

impl Code {
    fn settled_ms(&self) -> i64 {
        self.weighed.last().map_or(self.known_from_ms, |last| last.at_ms)
    }

    fn evidence(&self) -> f64 {
        self.weighed.last().map_or(0.0, |last| last.evidence)
    }

    /// The steps since there was no evidence.
    fn departure(&self) -> &[Weighed] {
        let before = self.weighed.iter().rposition(|weighed| weighed.evidence <= 0.0);
        &self.weighed[before.map_or(0, |before| before + 1)..]
    }

    /// The larger of the model's rate and the lock's own rate drawn to it; found departures do not count.
    fn normal(&self, per_day: f64, days: f64, limit: f64) -> f64 {
        let own = self.weighed.iter().filter(|weighed| weighed.evidence < limit).count() as f64;
        per_day.max((own + 2.0) / (days + 2.0 / per_day))
    }
}

impl Slow<'_> {
    fn error(&mut self, said: &Said) {
        let Body::Error(error) = &said.row.body else { return };
        if error.code == "low_battery" || said.lock.maintenance {
            return;
        }
        let lock = self.locks.entry(said.device).or_default();
        if !lock.codes.iter().any(|(code, _)| *code == said.code) && lock.codes.len() < 12 {
            let known_ms = (lock.days().min(7.0) * DAY_MS as f64) as i64;
            lock.codes.push((said.code, Code { known_from_ms: said.now_ms - known_ms, ..Code::default() }));
        }
        if let Some((_, code)) = lock.codes.iter_mut().find(|(code, _)| *code == said.code) {
            code.reported = code.reported.or(Some(said.record));
        }
    }

    /// Reports a lock and day: over all time, with a thousand lock-days of the prior or without, or lately, whichever
    /// is most.
    fn per_day(&self, key: Key) -> f64 {
        let reports: f64 = self.hours.get(&key).into_iter().flatten().map(|(_, count)| count).sum();
        let days: f64 = self.models.get(&key.0).map_or(0.0, |model| model.whole.iter().sum());
        let lately = self.lately.get(&key).into_iter().flatten().fold(0.0, |rate, day| rate + 0.3 * (day - rate));
        let ever = (reports + 1_000.0 * self.rule.parameter("prior_per_day").unwrap()) / (days + 1_000.0);
        ever.max(reports / days.max(1.0)).max(lately)
    }

    fn close_hour(&mut self, now_ms: i64, locks: &[Lock]) {
        let mut reporters: BTreeMap<Key, f64> = BTreeMap::new();
        for (device, lock) in &self.locks {
            for (code, _) in lock.codes.iter().filter(|(_, code)| code.reported.is_some()) {
                *reporters.entry((locks[device.0 as usize].labels.model, *code)).or_default() += 1.0;
            }
        }
        for (&key, &count) in &reporters {
            self.hours.entry(key).or_default().push((now_ms, count));
        }
        // A code that more than so many locks report has a common cause.
        let is_common = |(key, count): (&Key, &f64)| {
            let locks = self.models.get(&key.0).and_then(|model| model.locks.last()).copied().unwrap_or(0.0);
            (*key, (*count > 4.0 * self.per_day(*key) * locks / 24.0 + 5.0, self.per_day(*key)))
        };
        let reporters: BTreeMap<Key, (bool, f64)> = reporters.iter().map(is_common).collect();
        for (&device, lock) in &mut self.locks {
            let days = lock.days();
            for (word, code) in &mut lock.codes {
                let Some(record) = code.reported.take() else { continue };
                let (is_common, per_day) = reporters[&(locks[device.0 as usize].labels.model, *word)];
                if is_common {
                    continue;
                }
                weigh(self.rule, code, per_day, days, record, now_ms);
                self.found.extend(judge(self.rule, code, per_day, days, now_ms).map(|(since_ms, numbers)| {
                    let records: Vec<RecordRef> = code.departure().iter().map(|weighed| weighed.record).collect();
                    Found::of(self.stream, device, now_ms, since_ms, numbers, &shown(&records))
                }));
            }
        }
    }

    fn close_day(&mut self, now_ms: i64, locks: &[Lock]) {
        let heard = |lock: &Lock| now_ms - lock.heard_ms < DAY_MS;
        for (device, lock) in (0..).map(DeviceIx).zip(locks) {
            self.locks.entry(device).or_default().days_heard += f64::from(u8::from(heard(lock)));
            self.models.entry(lock.labels.model).or_default();
        }
        for (&name, model) in &mut self.models {
            let heard = || (0..).map(DeviceIx).zip(locks).filter(|(_, lock)| lock.labels.model == name && heard(lock));
            let was_there = |(device, _): &(DeviceIx, &Lock)| self.locks[device].days_heard > 1.0;
            model.locks.push(heard().count() as f64);
            model.whole.push(heard().filter(was_there).count() as f64);
        }
        for (key, hours) in &self.hours {
            let today: f64 = hours.iter().filter(|(end_ms, _)| *end_ms > self.day_ms).map(|(_, count)| count).sum();
            let locks = self.models.get(&key.0).and_then(|model| model.locks.last()).copied().unwrap_or(0.0);
            self.lately.entry(*key).or_default().push(today / locks.max(1.0));
        }
        self.day_ms = now_ms;
    }
}

fn weigh(rule: &Rule, code: &mut Code, per_day: f64, days: f64, record: RecordRef, now_ms: i64) {
    let normal = code.normal(per_day, days, rule.parameter("limit").unwrap());
    let passed = ((now_ms - code.settled_ms()) as f64 / DAY_MS as f64).max(1.0 / 24.0);
    let step = (1.0, normal * passed, [5.0 * normal, 1.0, 6.0].map(|rate| rate * passed));
    code.weighed.push(Weighed { at_ms: now_ms, record, step, evidence: 0.0 });
    let steps: Vec<Step> = code.weighed.iter().map(|weighed| weighed.step).collect();
    if let Some(newest) = code.weighed.last_mut() {
        newest.evidence = excess_by_tails(&steps);
    }
}

/// The start and the numbers of a finding.
fn judge(rule: &Rule, code: &mut Code, per_day: f64, days: f64, now_ms: i64) -> Option<(i64, [f64; 3])> {
    let (limit, ratio_min) = (rule.parameter("limit").unwrap(), rule.parameter("ratio_min").unwrap());
    let departure = code.departure();
    let (count, since_ms) = (departure.len() as f64, departure.first()?.at_ms);
    let is_due = code.alarms.iter().all(|&at_ms| at_ms < since_ms || now_ms - at_ms >= 7 * DAY_MS);
    let normal = code.normal(per_day, days, limit);
    let value = count / ((now_ms - since_ms) as f64 / DAY_MS as f64).max(0.5);
    if code.evidence() < limit || count < rule.parameter("count_min").unwrap() || !is_due || value < ratio_min * normal
    {
        return None;
    }
    code.alarms.push(now_ms);
    let threshold = (value * limit / code.evidence()).max(ratio_min * normal).min(value);
    Some((since_ms, [value, normal, threshold]))
}

fn lock_errors(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let (locks, models, hours, lately) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut slow = Slow { rule, stream, locks, models, hours, lately, day_ms: 0, found: Vec::new() };
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => slow.error(said),
            Moment::Happened(EventKind::Installed, device) => _ = slow.locks.insert(*device, OneLock::default()),
            Moment::Close(now, locks) => {
                slow.close_hour(now.ms(), locks);
                if now.ms() % DAY_MS == 0 {
                    slow.close_day(now.ms(), locks);
                }
            }
            Moment::Happened(..) | Moment::Late(..) | Moment::Refused(..) => {}
        }
    }
    slow.found
}

#[test]
fn a_locks_errors_are_judged_as_by_all_reports() {
    agree("lock-errors", lock_errors);
}
