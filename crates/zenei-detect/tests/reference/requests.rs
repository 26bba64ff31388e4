//! A slow version of the part of the detector `requests` that judges what people asked for, over the list of all
//! requests. What gateways report is tested where it is counted.
use super::locks::Plan;
use super::stream::{Found, Moment, SINGLE, Said, Stream, agree_on, embedded};
use std::collections::{BTreeMap, BTreeSet};
use zenei_detect::anomaly::{DecisionReason, ScopeKind};
use zenei_detect::fleet::{DeviceIx, Sym};
use zenei_detect::lock::RecordRef;
use zenei_detect::rules::Rule;
use zenei_wire::{Body, EventKind, OpResult, OpSource};

const HOUR_MS: i64 = 3_600_000;

type Value = (ScopeKind, Sym);

#[derive(Clone)]
struct Request {
    /// The number of the hour among those that were judged.
    hour: usize,
    hour_ms: i64,
    device: DeviceIx,
    record: RecordRef,
    service: Sym,
    client: Sym,
    fw: Sym,
    gw: Sym,
    failed: bool,
    expected: f64,
    /// Whether it is a request; what one met is told after it.
    is_asked: bool,
    /// Its second by the lock's clock.
    ts_s: i64,
    /// Whether the lock is still the one that it was.
    is_own: bool,
}

impl Request {
    fn has(&self, value: Value) -> bool {
        self.values().contains(&value)
    }

    fn values(&self) -> [Value; 2] {
        [(ScopeKind::Service, self.service), (ScopeKind::ClientVersion, self.client)]
    }

    fn is_of(&self, some: &BTreeSet<Value>) -> bool {
        self.values().iter().any(|value| some.contains(value))
    }
}

/// How many were asked for.
fn asked<'r>(requests: impl Iterator<Item = &'r Request>) -> f64 {
    requests.filter(|request| request.is_asked).count() as f64
}

/// What was judged of a value since it began to fail: by hour, the requests with what was expected of each.
struct Departure {
    /// The share of requests beyond what is expected that speaks for nothing.
    least: f64,
    since_ms: i64,
    hours: Vec<Vec<(Request, f64)>>,
    shown: BTreeMap<DeviceIx, RecordRef>,
    alarm_ms: Option<i64>,
    noted: bool,
}

fn sums<'r>(requests: impl Iterator<Item = &'r (Request, f64)>) -> [f64; 2] {
    requests.fold([0.0; 2], |[failed, expected], (request, of)| {
        [failed + if request.failed { 1.0 } else { 0.0 }, expected + of]
    })
}

impl Departure {
    /// The log likelihood ratio of each multiple of what was expected.
    fn logs(&self, limit: f64) -> Vec<f64> {
        let hours: Vec<[f64; 2]> = self.hours.iter().map(|hour| self.allowed(hour.iter())).collect();
        let of = |times: f64| {
            hours.iter().fold(0.0_f64, |log, [failed, allowed]| {
                (log.max(0.0) + failed * times.ln() - allowed * (times - 1.0)).min(1.3 * limit)
            })
        };
        [2.0, 3.0, 5.0, 10.0, 30.0, 100.0].map(of).to_vec()
    }

    /// The failed requests, and how many may fail.
    fn allowed<'r>(&self, requests: impl Iterator<Item = &'r (Request, f64)>) -> [f64; 2] {
        let mut count = 0.0;
        let [failed, expected] =
            sums(requests.inspect(|(request, _)| count += if request.is_asked { 1.0 } else { 0.0 }));
        [failed, expected + self.least * count]
    }

    fn evidence(&self, limit: f64) -> f64 {
        let logs = self.logs(limit);
        (logs.iter().map(|log| log.exp()).sum::<f64>() / logs.len() as f64).ln().max(0.0)
    }

    /// Whether what remains without the worst of these is still evidence.
    fn is_left(&self, of: impl Fn(&Request) -> Sym, limit: f64) -> bool {
        let all: BTreeSet<Sym> = self.requests().map(|(request, _)| of(request)).collect();
        let without = |one: Sym| self.allowed(self.requests().filter(|(request, _)| of(request) != one));
        let left = all.into_iter().map(without).min_by(|a, b| (a[0] - a[1]).total_cmp(&(b[0] - b[1])));
        let [failed, expected] = left.unwrap_or([0.0; 2]);
        let evidence = if failed > expected { failed * (failed / expected).ln() - failed + expected } else { 0.0 };
        evidence >= 0.3 * limit
    }

    fn requests(&self) -> impl Iterator<Item = &(Request, f64)> {
        self.hours.iter().flatten()
    }

    fn refused(&self, limit: f64, min_locks: f64) -> Option<DecisionReason> {
        let versions: BTreeSet<Sym> = self.requests().map(|(request, _)| request.fw).collect();
        let is_wide = self.is_left(|request| request.gw, limit)
            && (versions.len() < 2 || self.is_left(|request| request.fw, limit));
        match () {
            () if (self.shown.len() as f64) < min_locks => Some(DecisionReason::TooFewMatched),
            () if !is_wide => Some(DecisionReason::Unconfirmed),
            () => None,
        }
    }
}

struct Slow<'r> {
    rule: &'r Rule,
    requests: Vec<Request>,
    hour: usize,
    departures: BTreeMap<Value, Departure>,
    found: Vec<Found>,
}

impl Slow<'_> {
    fn limit(&self) -> f64 {
        self.rule.parameter("limit").unwrap()
    }

    fn said(&mut self, said: &Said) {
        let own = || self.requests.iter().filter(|request| request.is_own && request.device == said.device);
        let ts_s = said.row.ts.ms().div_euclid(1_000);
        let (is_asked, is_failed) = match &said.row.body {
            Body::Op(op) if matches!(op.source, Some(OpSource::App | OpSource::Remote)) => {
                let late_ms = 1e3 * self.rule.parameter("late_seconds").unwrap();
                let waited_ms =
                    op.latency_ms.map_or(0.0, |ms| f64::from(ms.0)) - f64::from(op.duration_ms.unwrap_or(0));
                let is_late = op.result == OpResult::Ok && waited_ms > late_ms;
                (true, is_late || matches!(op.result, OpResult::Timeout | OpResult::Rejected))
            }
            Body::Error(error) if !is_of_lock(&error.code) => {
                let last = own().rfind(|request| request.is_asked);
                (false, last.is_some_and(|last| (0..=60).contains(&(ts_s - last.ts_s))))
            }
            Body::State(_) | Body::Op(_) | Body::Error(_) | Body::Event(_) | Body::Gateway(_) | Body::Adv(_) => return,
        };
        if said.lock.maintenance {
            return;
        }
        let hour_ms = said.now_ms - said.now_ms.rem_euclid(HOUR_MS);
        let is_again = own().any(|before| before.failed && hour_ms - before.hour_ms < 6 * HOUR_MS);
        let failed = is_failed && !is_again;
        if !is_asked && !failed {
            return;
        }
        let count = |requests: &[&Request]| requests.iter().filter(|request| request.failed).count() as f64;
        let all: Vec<&Request> = self.requests.iter().collect();
        let own: Vec<&Request> = own().collect();
        let prior = self.rule.parameter("prior_share").unwrap();
        let share = (count(&all) + 2_000.0 * prior) / (asked(all.iter().copied()) + 2_000.0);
        let expected = (count(&own) + 50.0 * share) / (asked(own.iter().copied()) + 50.0);
        let labels = said.row.labels;
        self.requests.push(Request {
            hour: self.hour,
            hour_ms,
            device: said.device,
            record: said.record,
            service: labels.service,
            client: labels.client_version,
            fw: labels.fw,
            gw: labels.gw,
            failed,
            expected: if is_asked { expected } else { 0.0 },
            is_asked,
            ts_s,
            is_own: true,
        });
    }

    /// How the others fare: a service's clients elsewhere, a client's services with others. Old hours fade.
    fn pace(&self, of: &Request, value: Value, active: &BTreeSet<Value>) -> f64 {
        let is_like = |other: &&Request| {
            if value.0 == ScopeKind::Service { other.client == of.client } else { other.service == of.service }
        };
        let others = self.requests.iter().filter(is_like).filter(|other| !other.has(value) && !other.is_of(active));
        let [failed, expected] = others.fold([10.0; 2], |[failed, expected], other| {
            let weight = 0.97_f64.powi((self.hour - other.hour) as i32);
            [failed + if other.failed { weight } else { 0.0 }, expected + weight * other.expected]
        });
        failed / expected
    }

    fn close(&mut self, stream: &Stream, now_ms: i64) {
        let limit = self.limit();
        let hour: Vec<Request> = self.requests.iter().filter(|request| request.hour == self.hour).cloned().collect();
        let mut values: BTreeSet<Value> = self.departures.keys().copied().collect();
        values.extend(hour.iter().flat_map(Request::values));
        let is_active = |of: &Departure| of.alarm_ms.is_some() && of.evidence(limit) >= 0.5 * limit;
        let active: BTreeSet<Value> =
            self.departures.iter().filter(|(_, of)| is_active(of)).map(|(&value, _)| value).collect();
        for value in values {
            let others: BTreeSet<Value> = active.iter().copied().filter(|&other| other != value).collect();
            let mine = hour.iter().filter(|request| request.has(value));
            let judged = mine.clone().filter(|request| !request.is_of(&others));
            let judged = judged.map(|request| (request.clone(), request.expected * self.pace(request, value, &active)));
            let judged: Vec<(Request, f64)> = judged.collect();
            let new = Departure {
                least: self.rule.parameter("least_excess").unwrap(),
                since_ms: now_ms - HOUR_MS,
                hours: Vec::new(),
                shown: BTreeMap::new(),
                alarm_ms: None,
                noted: false,
            };
            let departure = self.departures.entry(value).or_insert(new);
            departure.hours.push(judged);
            for request in mine.filter(|request| request.failed) {
                if departure.shown.len() < 64 {
                    departure.shown.insert(request.device, request.record);
                }
            }
        }
        self.departures.retain(|_, of| of.logs(limit).iter().any(|&log| log > 0.0));
        self.judge(stream, now_ms);
        self.hour += 1;
    }

    fn judge(&mut self, stream: &Stream, now_ms: i64) {
        let limit = self.limit();
        let min_locks = self.rule.parameter("min_locks").unwrap();
        let is_due = |of: &Departure| of.alarm_ms.is_none_or(|at_ms| now_ms - at_ms >= 7 * 24 * HOUR_MS);
        let mut over: Vec<(f64, Value)> = self
            .departures
            .iter()
            .filter(|(_, of)| of.evidence(limit) >= limit && is_due(of))
            .map(|(&value, of)| (of.evidence(limit), value))
            .collect();
        over.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (evidence, value) in over {
            let departure = self.departures.get_mut(&value).unwrap();
            let [failed, expected] = sums(departure.requests());
            let percent = 100.0 / asked(departure.requests().map(|(request, _)| request)).max(1.0);
            let (share, usual) = (percent * failed, percent * expected);
            let scope = stream.fleet.word(value.1).unwrap().to_owned();
            if let Some(reason) = departure.refused(limit, min_locks) {
                if !std::mem::replace(&mut departure.noted, true) {
                    self.found.push(Found::noted(scope, now_ms, reason, share, usual));
                }
                continue;
            }
            departure.alarm_ms = Some(now_ms);
            let threshold = (usual + (share - usual) * limit / evidence).min(share);
            let of = |(device, record): (&DeviceIx, &RecordRef)| {
                (stream.fleet.device_id(*device).to_owned(), record.boot, record.seq)
            };
            let evidence = departure.shown.iter().map(of).collect();
            let (since_ms, numbers) = (departure.since_ms.min(now_ms - 1), [share, usual, threshold]);
            self.found.push(Found { scope, at_ms: now_ms, since_ms, numbers, evidence, noted: None });
            self.departures.retain(|&other, of| other == value || of.alarm_ms.is_some());
            return;
        }
    }
}

/// Whether the contract puts a code down to the lock itself.
fn is_of_lock(code: &str) -> bool {
    let hardware = "motor_stall motor_overcurrent jam sensor_fault low_battery battery_cutoff rtc_fault thumbturn_slip";
    let firmware = "watchdog_reset hard_fault assert_failed flash_crc stack_overflow ota_failed ble_stack_reset";
    let other = "config_lost clock_unsynced ble_disconnect";
    [hardware, firmware, other].iter().any(|codes| codes.split(' ').any(|known| known == code))
}

fn requests(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let (requests, departures, found) = (Vec::new(), BTreeMap::new(), Vec::new());
    let mut slow = Slow { rule, requests, hour: 0, departures, found };
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => slow.said(said),
            Moment::Happened(EventKind::Installed, device) => {
                slow.requests.iter_mut().filter(|old| old.device == *device).for_each(|old| old.is_own = false);
            }
            Moment::Close(now, _) => slow.close(stream, now.ms()),
            Moment::Happened(..) | Moment::Late(..) | Moment::Refused(..) => {}
        }
    }
    slow.found
}

#[test]
fn requests_are_judged_as_by_the_list_of_all_of_them() {
    agree_on(&embedded("request-failures"), Plan::FEW, SINGLE, requests);
}
