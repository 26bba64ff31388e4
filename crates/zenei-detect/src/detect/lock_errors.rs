//! One lock that reports an error code far more often than the locks of its model, and than it did itself.
//!
//! A code counts once an hour. The normal rate is the larger of two: the model's rate (of all time or of the last
//! days), and the lock's own past rate drawn towards it. A code that is rare in the fleet needs few reports for a
//! finding, a common one needs many. An hour in which many locks of a model report a code is a common cause and counts
//! for no single lock. The finding's domain is the catalogue's first guess for the code. Must not know incidents or
//! stores. Called by the engine.
use super::codes;
use super::lanes::{Suspects, forget, lane};
use super::report::{self, REPEAT_MS, Seen};
use super::running::{Detect, Glance, Running, Spec, Window};
use super::trail::Trail;
use crate::anomaly::{Component, Findings};
use crate::estimate::excess::Excess;
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::RecordRef;
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use zenei_wire::{Body, EngineTime, EventKind};

/// The most codes stored of one lock; a lock reports only a few codes that matter.
const MAX_CODES: usize = 12;
/// Imagined lock-days at the prior rate in a model's.
const MODEL_WEIGHT_DAYS: f64 = 1_000.0;
/// Imagined reports at the model's rate in a lock's own.
const OWN_WEIGHT: f64 = 2.0;
/// Weight of a new day in the model's rate of late: three days or so count.
const LATELY: f64 = 0.3;
/// More than `COMMON` times the expected number of locks plus `COMMON_MIN` in one hour are no coincidence: the code has
/// a common cause.
const COMMON: f64 = 4.0;
const COMMON_MIN: f64 = 5.0;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "lock_errors",
        symptom: Symptom::Errors,
        looks_at: "how often one lock reports an error code, against its own past and the locks like it",
        parameters: &[
            Parameter {
                name: "prior_per_day",
                unit: "1/d",
                range: 1e-6..=10.0,
                meaning: "the rate that is normal before the fleet has taught it",
            },
            Parameter {
                name: "limit",
                unit: "nat",
                range: 1.0..=100.0,
                meaning: "how much evidence (the natural logarithm of a likelihood ratio) is a finding",
            },
            Parameter {
                name: "count_min",
                unit: "1",
                range: 1.0..=1_000.0,
                meaning: "how many events a finding has at least",
            },
            Parameter {
                name: "ratio_min",
                unit: "1",
                range: 1.0..=1_000.0,
                meaning: "the least rate that is a finding, as a multiple of what is normal",
            },
        ],
        reads_field: false,
    },
    reset_by: &[EventKind::Installed],
    every_ms: HOUR_MS,
    counts_late: false,
    counts_unreadable: false,
    make: |spec, rule| LockErrors::start(spec, rule, Params::of(rule)),
};

type LockErrors = Running<Params, State>;

struct Params {
    prior_per_day: f64,
    limit: f64,
    count_min: u32,
    ratio_min: f64,
}

/// The state that a snapshot stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    /// By model and code.
    rates: BTreeMap<(Sym, Sym), Rate>,
    /// By model.
    watched: BTreeMap<Sym, Watched>,
    /// Those that reported something this hour.
    reporters: Suspects,
}

/// How often a code is reported by the locks of a model.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Rate {
    reports: f64,
    today: f64,
    /// Reports per lock and day, over the last days.
    lately: f64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Watched {
    lock_days: f64,
    locks: f64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    /// Days at whose end the lock had sent a record within 24 h; of the first day it was present for a part only.
    days_heard: f32,
    codes: SmallVec<[Count; 1]>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Count {
    code: Sym,
    /// This hour's first report.
    reported: Option<RecordRef>,
    settled_ms: i64,
    own: f32,
    excess: Excess,
    since: u32,
    trail: Trail,
    alarm_ms: Option<i64>,
}

impl Params {
    fn of(rule: &Rule) -> Result<Self, MissingParameter> {
        Ok(Self {
            prior_per_day: rule.parameter("prior_per_day")?,
            limit: rule.parameter("limit")?,
            count_min: rule.parameter("count_min")? as u32,
            ratio_min: rule.parameter("ratio_min")?,
        })
    }
}

impl Detect for LockErrors {
    /// Removes the state: the id belongs to another lock now.
    fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
    }

    /// Takes an error report.
    fn row(&mut self, glance: &Glance<'_>) {
        let Body::Error(error) = &glance.row.body else { return };
        if glance.code == Sym::NONE || is_notice(&error.code) || glance.lock.maintenance {
            return;
        }
        let lane = lane(&mut self.state.lanes, glance.device);
        let at = match lane.codes.iter().position(|count| count.code == glance.code) {
            Some(at) => at,
            None if lane.codes.len() < MAX_CODES => {
                // The lock never reported this code before: the quiet time is its watched days, at most seven.
                let known_ms = (lane.days().min(7.0) * DAY_MS as f64) as i64;
                let settled_ms = glance.now_ms - known_ms;
                lane.codes.push(Count { code: glance.code, settled_ms, ..Count::default() });
                lane.codes.len() - 1
            }
            None => return,
        };
        lane.codes[at].reported.get_or_insert(glance.record);
        self.state.reporters.add(glance.device);
    }

    /// Ends the hour: leaves out the codes that many locks report, then judges each lock that reported one.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        let spoke = self.state.reporters.take();
        let mut reporters: BTreeMap<(Sym, Sym), f64> = BTreeMap::new();
        for &device in &spoke {
            let lock = &locks[device.0 as usize];
            for count in self.state.lanes[device.0 as usize].codes.iter().filter(|count| count.reported.is_some()) {
                *reporters.entry((lock.labels.model, count.code)).or_default() += 1.0;
            }
        }
        for (&(model, code), &count) in &reporters {
            let rate = self.state.rates.entry((model, code)).or_default();
            rate.reports += count;
            rate.today += count;
        }
        for device in spoke {
            let (at, lock) = (device.0 as usize, &locks[device.0 as usize]);
            for slot in 0..self.state.lanes[at].codes.len() {
                let count = &mut self.state.lanes[at].codes[slot];
                let Some(record) = count.reported.take() else { continue };
                let key = (lock.labels.model, count.code);
                let per_day = self.rate(key);
                let locks_of_model = self.state.watched.get(&key.0).map_or(0.0, |watched| watched.locks);
                let expected = per_day * locks_of_model / 24.0;
                if reporters.get(&key).is_some_and(|&count| count > COMMON * expected + COMMON_MIN) {
                    continue;
                }
                self.weigh(at, slot, per_day, record, now);
                let count = &self.state.lanes[at].codes[slot];
                let due = report::is_due(count.alarm_ms, now, REPEAT_MS);
                if count.excess.evidence() >= self.params.limit && count.since >= self.params.count_min && due {
                    self.report(at, slot, per_day, now, fleet, findings);
                }
            }
        }
    }

    /// Ends the day: adds a watched day to each lock that sent a record.
    fn close_day(&mut self, window: Window<'_>) {
        let Window { now, locks, .. } = window;
        if self.state.lanes.len() < locks.len() {
            self.state.lanes.resize_with(locks.len(), Lane::default);
        }
        self.state.watched.values_mut().for_each(|watched| watched.locks = 0.0);
        for (lane, lock) in self.state.lanes.iter_mut().zip(locks) {
            if now.ms() - lock.heard_ms < DAY_MS {
                lane.days_heard += 1.0;
                let watched = self.state.watched.entry(lock.labels.model).or_default();
                // A lock that first appeared within the day was not watched for a whole day.
                watched.lock_days += if lane.days_heard > 1.0 { 1.0 } else { 0.0 };
                watched.locks += 1.0;
            }
        }
        for ((model, _), rate) in &mut self.state.rates {
            let locks = self.state.watched.get(model).map_or(1.0, |watched| watched.locks.max(1.0));
            rate.lately += LATELY * (core::mem::take(&mut rate.today) / locks - rate.lately);
        }
    }

    fn symptom_of(&self, component: Component) -> Option<Symptom> {
        of_part(component)
    }
}

impl LockErrors {
    fn weigh(&mut self, at: usize, slot: usize, per_day: f64, record: RecordRef, now: EngineTime) {
        let lane = &mut self.state.lanes[at];
        let (days, count) = (lane.days(), &mut lane.codes[slot]);
        let normal = count.normal(per_day, days);
        let passed = ((now.ms() - count.settled_ms) as f64 / DAY_MS as f64).max(1.0 / 24.0);
        count.settled_ms = now.ms();
        count.excess.add(1.0, normal * passed, suspected(normal).map(|rate| rate * passed));
        if count.excess.evidence() <= 0.0 {
            (count.since, count.alarm_ms) = (0, None);
            count.trail.clear();
        } else {
            count.since += 1;
            count.trail.add(record, now.ms());
        }
        if count.excess.evidence() < self.params.limit {
            count.own += 1.0;
        }
    }

    /// Reports per lock and day: of all time or of the last days, whichever is more. The prior may raise the rate that
    /// the locks of a model have shown so far, never lower it: a code that they report often is not rare because they
    /// were watched for a few days only.
    fn rate(&self, key: (Sym, Sym)) -> f64 {
        let rate = self.state.rates.get(&key).copied().unwrap_or_default();
        let days = self.state.watched.get(&key.0).map_or(0.0, |watched| watched.lock_days);
        let ever = (rate.reports + MODEL_WEIGHT_DAYS * self.params.prior_per_day) / (days + MODEL_WEIGHT_DAYS);
        ever.max(rate.reports / days.max(1.0)).max(rate.lately)
    }

    fn report(
        &mut self,
        at: usize,
        slot: usize,
        per_day: f64,
        now: EngineTime,
        fleet: &Fleet,
        findings: &mut Findings,
    ) {
        let days = self.state.lanes[at].days();
        let count = &mut self.state.lanes[at].codes[slot];
        let normal = count.normal(per_day, days);
        let since_ms = count.trail.since_ms().unwrap_or(now.ms());
        let window_days = ((now.ms() - since_ms) as f64 / DAY_MS as f64).max(0.5);
        let value = f64::from(count.since) / window_days;
        if value < self.params.ratio_min * normal {
            return;
        }
        count.alarm_ms = Some(now.ms());
        let evidence = count.excess.evidence();
        let threshold = (value * self.params.limit / evidence).max(self.params.ratio_min * normal).min(value);
        let code = fleet.word(count.code).unwrap_or("unknown").to_owned();
        let why = format!(
            "{code}: {} reports in {window_days:.1} days, against {normal:.3} a day by its model and its own past; \
             evidence e^{evidence:.1}, limit e^{:.1}",
            count.since, self.params.limit
        );
        let sure = report::confidence(evidence, self.params.limit);
        let seen = Seen { value, baseline: normal, threshold, unit: "reports/day", since_ms, confidence: sure, why };
        let (device, records) = (DeviceIx(at as u32), count.trail.records());
        if let Some(mut anomaly) = report::anomaly(&self.rule, device, seen, records, now, fleet) {
            (anomaly.domain, anomaly.component) = codes::cause(&code);
            findings.anomalies.push(anomaly);
        }
    }
}

impl Lane {
    /// Whole days on which the lock was watched.
    fn days(&self) -> f64 {
        f64::from(self.days_heard - 1.0).max(0.0)
    }
}

impl Count {
    /// Reports a day of the lock without a fault: the larger of its model's rate and its own rate drawn to it.
    fn normal(&self, per_day: f64, days: f64) -> f64 {
        let own = (f64::from(self.own) + OWN_WEIGHT) / (days + OWN_WEIGHT / per_day.max(1e-9));
        own.max(per_day)
    }
}

/// The rates of a faulty lock: five times the normal one, one a day, six a day.
fn suspected(normal: f64) -> [f64; 3] {
    [5.0 * normal, 1.0, 6.0]
}

/// Whether the code is a notice of an expected event, which is no fault.
fn is_notice(code: &str) -> bool {
    code == "low_battery"
}

/// The symptom of an error about this part: a code may name a part that other detectors watch.
fn of_part(component: Component) -> Option<Symptom> {
    match component {
        Component::Motor | Component::Gear | Component::Thumbturn => Some(Symptom::Trouble),
        Component::Battery | Component::PowerBoard => Some(Symptom::Drain),
        Component::Sensor | Component::CommBoard => Some(Symptom::Part),
        Component::Cover
        | Component::BatteryBox
        | Component::Holder
        | Component::FwImage
        | Component::BleLink
        | Component::Gateway
        | Component::App
        | Component::Cloud
        | Component::Unknown => None,
    }
}
