//! A slow version of the detector `reboots`, over every span of observation of a lock: a model's restarts and the
//! evidence against a lock are summed over all spans.
use super::estimators::{Step, excess_by_tails};
use super::stream::{Found, Moment, Said, Stream, agree, shown};
use std::collections::BTreeMap;
use zenei_detect::fleet::{DeviceIx, Sym};
use zenei_detect::lock::{Lock, RecordRef};
use zenei_detect::rules::Rule;
use zenei_wire::{Body, EventKind, ResetReason};

const DAY_MS: i64 = 86_400_000;

#[derive(Default)]
struct OneLock {
    boots: Vec<u32>,
    first_ms: Option<i64>,
    spans: Vec<Span>,
    alarms: Vec<i64>,
}

/// A span of observation, up to a restart or to the end of a day.
struct Span {
    /// The engine's time at which the span was recorded, and the time at which the next one begins.
    at_ms: i64,
    end_ms: i64,
    /// The number of restarts, and the record that reports them; `None` where there was none.
    restarts: Option<(f64, RecordRef)>,
    step: Step,
    /// The evidence with this span.
    evidence: f64,
}

struct Slow<'a> {
    rule: &'a Rule,
    locks: BTreeMap<DeviceIx, OneLock>,
    /// Restarts and days of each span outside findings.
    models: BTreeMap<Sym, Vec<(f64, f64)>>,
    hour_ms: i64,
    found: Vec<Found>,
}

impl OneLock {
    fn evidence(&self) -> f64 {
        self.spans.last().map_or(0.0, |last| last.evidence)
    }

    fn settled_ms(&self) -> Option<i64> {
        self.spans.last().map(|last| last.end_ms).or(self.first_ms)
    }

    /// The restarts since there was no evidence; one that is no evidence yet begins a departure.
    fn departure(&self) -> Vec<(i64, f64, RecordRef)> {
        let quiet = self.spans.iter().rposition(|span| span.evidence <= 0.0);
        let from = quiet.map_or(0, |at| at + usize::from(self.spans[at].restarts.is_none()));
        let restarts = |span: &Span| span.restarts.map(|(count, record)| (span.at_ms, count, record));
        self.spans[from..].iter().filter_map(restarts).collect()
    }

    fn last_alarm(&self) -> Option<i64> {
        // A quiet day without evidence ends the departure of an alarm.
        let quiet = self.spans.iter().rfind(|span| span.evidence <= 0.0 && span.restarts.is_none());
        self.alarms.last().copied().filter(|at_ms| quiet.is_none_or(|quiet| quiet.at_ms < *at_ms))
    }

    fn watched(&mut self, at_ms: i64, end_ms: i64, restarts: Option<(f64, RecordRef)>, days: f64, per_day: f64) {
        let count = restarts.map_or(0.0, |(count, _)| count);
        let step = (count, per_day * days, [10.0 * per_day, 0.5, 3.0].map(|rate| rate * days));
        let steps: Vec<Step> = self.spans.iter().map(|span| span.step).chain([step]).collect();
        self.spans.push(Span { at_ms, end_ms, restarts, step, evidence: excess_by_tails(&steps) });
    }
}

impl Slow<'_> {
    /// Restarts a lock and day, with 500 lock-days of the prior.
    fn per_day(&self, model: Sym) -> f64 {
        let spans = || self.models.get(&model).into_iter().flatten();
        let (restarts, days) = (spans().map(|span| span.0).sum::<f64>(), spans().map(|span| span.1).sum::<f64>());
        (restarts + 500.0 * self.rule.parameter("prior_per_day").unwrap()) / (days + 500.0)
    }

    fn heartbeat(&mut self, said: &Said) {
        let (Body::State(state), Some(boot)) = (&said.row.body, said.row.boot) else { return };
        let (now_ms, model) = (said.now_ms, said.lock.labels.model);
        let per_day = self.per_day(model);
        let lock = self.locks.entry(said.device).or_default();
        lock.first_ms.get_or_insert(now_ms);
        let before = lock.boots.last().copied();
        lock.boots.push(boot);
        let is_own = match state.reset_reason {
            Some(ResetReason::Watchdog | ResetReason::HardFault | ResetReason::Software | ResetReason::Unknown)
            | None => true,
            Some(ResetReason::PowerOn | ResetReason::Brownout | ResetReason::Ota) => false,
        };
        let (Some(before), Some(settled_ms)) = (before, lock.settled_ms()) else { return };
        if before >= boot || !is_own || said.lock.maintenance || said.lock.excused(now_ms) {
            return;
        }
        let restarts = f64::from((boot - before).min(3));
        let days = (now_ms - settled_ms) as f64 / DAY_MS as f64;
        lock.watched(now_ms, now_ms, Some((restarts, said.record)), days.max(1e-6 / per_day), per_day);
        if lock.evidence() < self.rule.parameter("limit").unwrap() {
            self.models.entry(model).or_default().push((restarts, days));
        }
    }

    fn close_day(&mut self, now_ms: i64, locks: &[Lock]) {
        let devices: Vec<DeviceIx> = self.locks.keys().copied().collect();
        for device in devices {
            let now = &locks[device.0 as usize];
            let per_day = self.per_day(now.labels.model);
            let Some(lock) = self.locks.get_mut(&device) else { continue };
            let days = lock.settled_ms().map_or(0.0, |settled_ms| (now.heard_ms - settled_ms) as f64 / DAY_MS as f64);
            if days >= 1.0 {
                lock.watched(now_ms, now.heard_ms, None, days, per_day);
                self.models.entry(now.labels.model).or_default().push((0.0, days));
            }
        }
    }

    fn close(&mut self, stream: &Stream, now_ms: i64, locks: &[Lock]) {
        let limit = self.rule.parameter("limit").unwrap();
        let rates: BTreeMap<Sym, f64> =
            locks.iter().map(|lock| (lock.labels.model, self.per_day(lock.labels.model))).collect();
        for (&device, lock) in &mut self.locks {
            let departure = lock.departure();
            let restarts: f64 = departure.iter().map(|restart| restart.1).sum();
            let restarted = departure.last().is_some_and(|restart| restart.0 >= self.hour_ms);
            let is_due = lock.last_alarm().is_none_or(|at_ms| now_ms - at_ms >= 7 * DAY_MS);
            if !restarted || !is_due || lock.evidence() < limit || restarts < self.rule.parameter("count_min").unwrap()
            {
                continue;
            }
            lock.alarms.push(now_ms);
            let per_day = rates[&locks[device.0 as usize].labels.model];
            let since_ms = departure[0].0;
            let value = restarts / ((now_ms - since_ms) as f64 / DAY_MS as f64).max(0.25);
            let numbers = [value, per_day, (value * limit / lock.evidence()).max(per_day)];
            let records: Vec<RecordRef> = departure.iter().map(|restart| restart.2).collect();
            self.found.push(Found::of(stream, device, now_ms, since_ms, numbers, &shown(&records)));
        }
        self.hour_ms = now_ms;
    }
}

fn reboots(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let (locks, models) = (BTreeMap::new(), BTreeMap::new());
    let mut slow = Slow { rule, locks, models, hour_ms: 0, found: Vec::new() };
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => slow.heartbeat(said),
            Moment::Happened(EventKind::Installed, device) => _ = slow.locks.remove(device),
            Moment::Close(now, locks) => {
                slow.close(stream, now.ms(), locks);
                if now.ms() % DAY_MS == 0 {
                    slow.close_day(now.ms(), locks);
                }
            }
            Moment::Happened(..) | Moment::LateError(..) | Moment::Refused(..) => {}
        }
    }
    slow.found
}

#[test]
fn restarts_are_judged_as_by_all_spans() {
    agree("reboot-loop", reboots);
}
