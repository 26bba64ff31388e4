//! A slow version of the detector `reboots`, over every span of observation of a lock: a lock's past and the evidence
//! against it are summed over all spans, what its model's locks do over all pasts at each day's end.
use super::loss::{Past, evidence};
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
    days: f64,
    /// What the quiet days gain for each rate, and the restarts at their end.
    gains: [[f64; 3]; 2],
    /// The evidence with the quiet days, and with the restarts too.
    evidence: [f64; 2],
}

/// The usual rate of a model's locks, and the share of those that always exceed it.
#[derive(Clone, Copy)]
struct Like(f64, f64);

impl Like {
    /// The marginal likelihoods of a past, with the shares of its two kinds.
    fn kinds(self, Past(events, days): Past) -> [f64; 2] {
        [(1.0, 1.0 / self.0, 1.0 - self.1), (0.5, 1.5, self.1)].map(|(shape, rate, share): (f64, f64, f64)| {
            let counts = libm::lgamma(shape + events) - libm::lgamma(shape);
            share.ln() + counts + shape * rate.ln() - (shape + events) * (rate + days).ln()
        })
    }

    /// The probability that one with this past always restarts often.
    fn is_chronic(self, past: Past) -> f64 {
        let [sound, chronic] = self.kinds(past);
        (chronic - sound).exp() / (1.0 + (chronic - sound).exp())
    }

    /// What a step gains for each raised rate against what the past predicts.
    fn gains(self, past: Past, events: f64, days: f64, most: f64) -> [f64; 3] {
        let of = |past: Past| {
            let [a, b] = self.kinds(past);
            a.max(b) + (1.0 + (a.min(b) - a.max(b)).exp()).ln()
        };
        let normal = of(Past(past.0 + events, past.1 + days)) - of(past);
        [0.5_f64, 1.5, 5.0].map(|rate| (events * rate.ln() - rate * days - normal).min(most))
    }
}

struct Slow<'a> {
    rule: &'a Rule,
    locks: BTreeMap<DeviceIx, OneLock>,
    models: BTreeMap<Sym, Like>,
    hour_ms: i64,
    found: Vec<Found>,
}

impl OneLock {
    fn evidence(&self) -> f64 {
        self.spans.last().map_or(0.0, |last| last.evidence[1])
    }

    fn settled_ms(&self) -> Option<i64> {
        self.spans.last().map(|last| last.end_ms).or(self.first_ms)
    }

    /// All that is remembered: half of it is forgotten whenever it is more than 120 days.
    fn past(&self) -> Past {
        let half =
            |Past(events, days): Past| if days > 120.0 { Past(0.5 * events, 0.5 * days) } else { Past(events, days) };
        self.spans.iter().fold(Past::default(), |past, span| {
            let Past(events, days) = half(Past(past.0, past.1 + span.days));
            half(Past(events + span.restarts.map_or(0.0, |(count, _)| count), days))
        })
    }

    /// The spans since quiet days last left no evidence, that one included.
    fn departure(&self) -> &[Span] {
        let quiet = self.spans.iter().rposition(|span| span.evidence[0] <= 0.0);
        &self.spans[quiet.unwrap_or(0)..]
    }

    fn restarts(&self) -> Vec<(i64, f64, RecordRef)> {
        let of = |span: &Span| span.restarts.map(|(count, record)| (span.at_ms, count, record));
        self.departure().iter().filter_map(of).collect()
    }

    fn last_alarm(&self) -> Option<i64> {
        // Quiet days that leave no evidence end the departure of an alarm.
        let quiet = self.spans.iter().rfind(|span| span.evidence[0] <= 0.0);
        self.alarms.last().copied().filter(|at_ms| quiet.is_none_or(|quiet| quiet.at_ms <= *at_ms))
    }

    fn watched(
        &mut self,
        (at_ms, end_ms): (i64, i64),
        restarts: Option<(f64, RecordRef)>,
        days: f64,
        like: Like,
        most: f64,
    ) {
        let past = self.past();
        let quiet = like.gains(past, 0.0, days, f64::INFINITY);
        let count = restarts.map_or(0.0, |(count, _)| count);
        let half = |past: Past| if past.1 > 120.0 { Past(0.5 * past.0, 0.5 * past.1) } else { past };
        let again = like.gains(half(Past(past.0, past.1 + days)), count, 0.0, most);
        let mut steps: Vec<[f64; 3]> = self.spans.iter().flat_map(|span| span.gains).collect();
        steps.push(quiet);
        let before = evidence(&steps);
        steps.push(again);
        let evidence = [before, evidence(&steps)];
        self.spans.push(Span { at_ms, end_ms, restarts, days, gains: [quiet, again], evidence });
    }
}

impl Slow<'_> {
    fn like(&self, model: Sym) -> Like {
        self.models.get(&model).copied().unwrap_or(Like(self.rule.parameter("prior_per_day").unwrap(), 0.02))
    }

    fn heartbeat(&mut self, said: &Said) {
        let (Body::State(state), Some(boot)) = (&said.row.body, said.row.boot) else { return };
        let (now_ms, model) = (said.now_ms, said.lock.labels.model);
        let (like, most) = (self.like(model), 0.5 * self.rule.parameter("limit").unwrap());
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
        lock.watched((now_ms, now_ms), Some((restarts, said.record)), days, like, most);
    }

    fn close_day(&mut self, now_ms: i64, locks: &[Lock]) {
        let devices: Vec<DeviceIx> = self.locks.keys().copied().collect();
        let mut pasts: BTreeMap<Sym, Vec<Past>> = BTreeMap::new();
        for device in devices {
            let now = &locks[device.0 as usize];
            let like = self.like(now.labels.model);
            let Some(lock) = self.locks.get_mut(&device) else { continue };
            let Some(settled_ms) = lock.settled_ms() else { continue };
            let days = (now.heard_ms - settled_ms) as f64 / DAY_MS as f64;
            if days >= 1.0 {
                lock.watched((now_ms, now.heard_ms), None, days, like, f64::INFINITY);
            }
            if lock.past().1 > 0.0 && lock.last_alarm().is_none() {
                pasts.entry(now.labels.model).or_default().push(lock.past());
            }
        }
        for (model, pasts) in pasts {
            let like = self.like(model);
            let chronic: f64 = pasts.iter().map(|&past| like.is_chronic(past)).sum();
            let sound = |value: fn(&Past) -> f64| -> f64 {
                pasts.iter().map(|past| (1.0 - like.is_chronic(*past)) * value(past)).sum()
            };
            let prior = self.rule.parameter("prior_per_day").unwrap();
            let usual = (sound(|past| past.0) + 500.0 * prior) / (sound(|past| past.1) + 500.0);
            self.models.insert(model, Like(usual.max(1e-3), (chronic + 1.0) / (pasts.len() as f64 + 50.0)));
        }
    }

    fn close(&mut self, stream: &Stream, now_ms: i64, locks: &[Lock]) {
        let limit = self.rule.parameter("limit").unwrap();
        let likes: Vec<Like> = locks.iter().map(|lock| self.like(lock.labels.model)).collect();
        for (&device, lock) in &mut self.locks {
            let departure = lock.restarts();
            let restarts: f64 = departure.iter().map(|restart| restart.1).sum();
            let restarted = departure.last().is_some_and(|restart| restart.0 >= self.hour_ms);
            let is_due = lock.last_alarm().is_none_or(|at_ms| now_ms - at_ms >= 7 * DAY_MS);
            if !restarted || !is_due || lock.evidence() < limit || restarts < self.rule.parameter("count_min").unwrap()
            {
                continue;
            }
            lock.alarms.push(now_ms);
            let (Past(events, days), Like(usual, _)) = (lock.past(), likes[device.0 as usize]);
            let before = events - restarts;
            let per_day = if before > 0.5 { before / days.max(1.0) } else { usual };
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
            Moment::Happened(..) | Moment::Late(..) | Moment::Refused(..) => {}
        }
    }
    slow.found
}

#[test]
fn restarts_are_judged_as_by_all_spans() {
    agree("reboot-loop", reboots);
}
