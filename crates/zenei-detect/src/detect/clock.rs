//! A lock whose clock is wrong by minutes or more: a step, a drift, a clock that stands still, counts seconds, or is
//! slow; and a gateway whose clock is.
//!
//! The difference between a record's own time and the time of its receipt is delay plus clock error. A delay is never
//! negative and varies; a clock error is the same in each record, or grows with time. Records received at one moment (a
//! backlog) count as one, by the freshest of them; for a lock that sends often the moments are spaced so that together
//! they cover the observation time that the rule requires. A way that delivers in batches delays by the same too, but
//! not each record: a record that is hardly behind shows that the clock is right, and a clock is wrong only once such
//! records have been missing for far longer than they usually do. Where most locks of a gateway, or of a site, are off
//! by the same, the time of receipt is wrong. Must not know incidents or stores. Called by the engine.
use super::lanes::{Suspects, forget, lane};
use super::report::{self, REPEAT_MS, Seen, Shared};
use super::running::{Detect, Glance, Running, Spec, Window};
use crate::anomaly::{Component, Domain, EVIDENCE_MAX, Findings, Scope, ScopeKind};
use crate::estimate::high::High;
use crate::fleet::{DeviceIx, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::{Lock, RecordRef};
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_wire::{Body, EventKind};

/// Records received within so long are one moment.
const MOMENT_MS: i64 = MINUTE_MS;
/// Moments that must agree.
const MOMENTS: usize = 8;

/// So many times the longest usual interval between records that show a right clock must have passed. A guess: three
/// times the 99th percentile is, at random, once in a million intervals.
const RIGHT_TIMES: f64 = 3.0;
/// After so many such intervals the usual one is known; before, and where a clock was never right, a delay would be
/// longer than any that the contract knows.
const RIGHT_KNOWN: u32 = 8;
const NEVER_RIGHT_MS: i64 = DAY_MS;
/// From so many locks on that are off by the same, and this share of those heard lately, what they share is off.
const TOGETHER: (usize, f64) = (3, 0.5);
/// A lock that was heard within so long tells what its gateway's clock says now: the slowest heartbeat (6 h, telemetry
/// contract).
const LATELY_MS: i64 = 7 * HOUR_MS;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "clock_error",
        symptom: Symptom::Clock,
        looks_at: "by how much a lock's clock differs from the gateway's, where the difference is the same in each \
                   record and so is no delay",
        parameters: &[
            Parameter {
                name: "error_minutes",
                unit: "min",
                range: 0.1..=525_600.0,
                meaning: "the least error of a clock that is a finding",
            },
            Parameter {
                name: "spread_minutes",
                unit: "min",
                range: 0.01..=1_440.0,
                meaning: "how much the differences may vary and still be a clock's, not a delay's",
            },
            Parameter {
                name: "observed_minutes",
                unit: "min",
                range: 0.0..=10_080.0,
                meaning: "how long the error must have been seen",
            },
        ],
        reads_field: false,
    },
    reset_by: &[EventKind::Installed],
    every_ms: HOUR_MS,
    counts_late: false,
    counts_unreadable: false,
    make: |spec, rule| Clock::start(spec, rule, Params::of(rule)),
};

type Clock = Running<Params, State>;

struct Params {
    error_min_ms: i64,
    spread_max_ms: i64,
    observed_min_ms: i64,
}

/// The state that a snapshot stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    suspects: Suspects,
    /// Gateways and sites whose clock was told, each with the time.
    told: BTreeMap<(bool, Sym), i64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    /// When its last record arrived that shows a right clock, and the longest usual interval between such records.
    right_ms: Option<i64>,
    right: High,
    /// A ring.
    moments: [Moment; MOMENTS],
    /// The index of the next moment, which replaces the oldest one.
    next: u8,
    count: u8,
    alarm_ms: Option<i64>,
}

/// The freshest record of one moment; `behind_ms` is positive where the clock is behind or the record was delayed.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Moment {
    heard_ms: i64,
    behind_ms: i64,
    record: RecordRef,
}

impl Params {
    fn of(rule: &Rule) -> Result<Self, MissingParameter> {
        let minutes = |name| Ok((rule.parameter(name)? * MINUTE_MS as f64) as i64);
        Ok(Self {
            error_min_ms: minutes("error_minutes")?,
            spread_max_ms: minutes("spread_minutes")?,
            observed_min_ms: minutes("observed_minutes")?,
        })
    }
}

impl Detect for Clock {
    /// Removes the state: the id belongs to another lock now.
    fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
    }

    /// Takes a record of any kind but an advertisement, which has its gateway's time.
    fn row(&mut self, glance: &Glance<'_>) {
        if matches!(glance.row.body, Body::Adv(_)) {
            return;
        }
        let lane = lane(&mut self.state.lanes, glance.device);
        let heard_ms = glance.row.heard_at.ms();
        let behind_ms = heard_ms.saturating_sub(glance.row.ts.ms());
        let moment = Moment { heard_ms, behind_ms, record: glance.record };
        if behind_ms.saturating_abs() < self.params.error_min_ms {
            let interval_ms = lane.right_ms.map_or(0, |right_ms| heard_ms - right_ms);
            if interval_ms >= MOMENT_MS {
                lane.right.add(interval_ms as f64);
            }
            lane.right_ms = lane.right_ms.max(Some(heard_ms));
        }
        let at = lane.newest();
        let is_full = usize::from(lane.count) == MOMENTS;
        // For a lock that sends often: without the oldest moment, the others must still reach back far enough.
        let second_ms = lane.moments[(usize::from(lane.next) + 1) % MOMENTS].heard_ms;
        let is_short = is_full && heard_ms - second_ms < self.params.observed_min_ms;
        let moment_ms =
            if is_short { MOMENT_MS.max(self.params.observed_min_ms / (MOMENTS as i64 - 1)) } else { MOMENT_MS };
        let newest = &mut lane.moments[at];
        if lane.count > 0 && (heard_ms - newest.heard_ms).abs() < moment_ms {
            if behind_ms < newest.behind_ms {
                *newest = Moment { heard_ms: newest.heard_ms, ..moment };
            }
            return;
        }
        lane.moments[usize::from(lane.next)] = moment;
        lane.next = (lane.next + 1) % MOMENTS as u8;
        lane.count = (lane.count + 1).min(MOMENTS as u8);
        if lane.error(&self.params).is_some() {
            self.state.suspects.add(glance.device);
        } else if usize::from(lane.count) == MOMENTS {
            lane.alarm_ms = None;
        }
    }

    /// Judges the locks whose clocks looked wrong in this window.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, .. } = window;
        self.state.told.retain(|_, told_ms| now.ms() - *told_ms < REPEAT_MS);
        for device in self.state.suspects.take() {
            let at = device.0 as usize;
            let (lane, lock) = (&self.state.lanes[at], &locks[at]);
            let Some(behind_ms) = lane.error(&self.params) else { continue };
            let since_ms = lane.moments[usize::from(lane.next)].heard_ms;
            let observed = lane.moments[lane.newest()].heard_ms - since_ms >= self.params.observed_min_ms;
            if !observed || lock.maintenance || !report::is_due(lane.alarm_ms, now, REPEAT_MS) {
                continue;
            }
            let seen = self.seen(lane, behind_ms, since_ms);
            if let Some(shared) = self.shared(lane, lock, locks) {
                self.tell_shared(shared, device, seen, window, findings);
                continue;
            }
            let (newer, older) = lane.moments.split_at(usize::from(lane.next));
            let records: Vec<RecordRef> = older.iter().chain(newer).map(|moment| moment.record).collect();
            findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, window.fleet));
            self.state.lanes[at].alarm_ms = Some(now.ms());
        }
    }
}

impl Clock {
    fn seen(&self, lane: &Lane, behind_ms: i64, since_ms: i64) -> Seen<'static> {
        let side = if behind_ms > 0 { "behind" } else { "ahead" };
        let why = format!(
            "the lock's clock is {} {side} in each of its last {MOMENTS} moments of hearing; what varies less than {}, or \
             grows with time, is no delay",
            text(behind_ms.abs()),
            text(self.params.spread_max_ms)
        );
        let why = match lane.right_ms.filter(|_| behind_ms > 0) {
            Some(right_ms) => {
                let silent_ms = lane.moments[lane.newest()].heard_ms - right_ms;
                format!("{why}; no record for {} shows a right clock", text(silent_ms))
            }
            None => why,
        };
        let threshold = self.params.error_min_ms as f64 / 1_000.0;
        let value = (behind_ms as f64 / 1_000.0).abs();
        Seen { value, baseline: 0.0, threshold, unit: "s", since_ms, confidence: 0.95, why }
    }

    /// The widest of site and gateway most of whose locks are off by the same as this one, and how many those are.
    fn shared(&self, lane: &Lane, lock: &Lock, locks: &[Lock]) -> Option<(ScopeKind, Sym, Vec<DeviceIx>)> {
        let newest = lane.moments[lane.newest()];
        let off = |other: &Lane| {
            let other = other.moments[other.newest()];
            (other.behind_ms - newest.behind_ms).abs() <= self.params.spread_max_ms
        };
        let places = [(ScopeKind::Site, lock.site), (ScopeKind::Gateway, lock.labels.gw)];
        places.into_iter().filter(|(_, value)| *value != Sym::NONE).find_map(|(kind, value)| {
            let of = |lock: &Lock| if kind == ScopeKind::Site { lock.site } else { lock.labels.gw };
            let lately = self.state.lanes.iter().zip(locks).enumerate().filter(|(_, (other, lock))| {
                of(lock) == value
                    && other.count > 0
                    && newest.heard_ms - other.moments[other.newest()].heard_ms < LATELY_MS
            });
            let (mut all, mut same) = (0_usize, Vec::new());
            for (at, (other, _)) in lately {
                all += 1;
                if off(other) {
                    same.push(DeviceIx(at as u32));
                }
            }
            let many = same.len() >= TOGETHER.0 && same.len() as f64 >= TOGETHER.1 * all as f64;
            many.then_some((kind, value, same))
        })
    }

    fn tell_shared(
        &mut self,
        (kind, value, same): (ScopeKind, Sym, Vec<DeviceIx>),
        device: DeviceIx,
        seen: Seen<'_>,
        window: Window<'_>,
        findings: &mut Findings,
    ) {
        let Window { now, fleet, .. } = window;
        let Some(name) = fleet.word(value) else { return };
        let key = (kind == ScopeKind::Site, value);
        let newest = |device: &DeviceIx| {
            let lane = &self.state.lanes[device.0 as usize];
            report::evidence(*device, fleet, [lane.moments[lane.newest()].record])
        };
        let evidence = same.iter().take(EVIDENCE_MAX).flat_map(newest).collect();
        let why = format!(
            "{} locks of {kind} {name} are off by the same, so the time of receipt is wrong; of {}: {}",
            same.len(),
            fleet.device_id(device),
            seen.why
        );
        let scope = Scope { kind, value: name.to_owned() };
        let of = Shared { scope, domain: Domain::Software, component: Component::Gateway };
        let Some(anomaly) = report::shared(&self.rule, of, Seen { why, ..seen }, evidence, now) else { return };
        if self.state.told.contains_key(&key) {
            return;
        }
        self.state.told.insert(key, now.ms());
        findings.anomalies.push(anomaly);
    }
}

impl Lane {
    /// The index of the newest moment.
    fn newest(&self) -> usize {
        (usize::from(self.next) + MOMENTS - 1) % MOMENTS
    }

    /// The error that all moments agree upon, ms; positive: behind.
    fn error(&self, params: &Params) -> Option<i64> {
        // Most clocks are right, and the newest moment alone shows that.
        let newest = self.moments[self.newest()];
        if usize::from(self.count) < MOMENTS || newest.behind_ms.saturating_abs() < params.error_min_ms {
            return None;
        }
        let behind = || self.moments.iter().map(|moment| moment.behind_ms);
        let (least_ms, most_ms) = (behind().min()?, behind().max()?);
        if most_ms <= -params.error_min_ms {
            // Ahead of the time of receipt: no delay explains it, and delays only hide part of it.
            return Some(least_ms);
        }
        if least_ms < params.error_min_ms || !self.lacks_right(params, least_ms) {
            return None;
        }
        let agree = most_ms.saturating_sub(least_ms) <= params.spread_max_ms;
        if agree { Some(least_ms) } else { self.grows(params).then_some(newest.behind_ms) }
    }

    /// Whether records that show a right clock have been missing for longer than they usually do.
    fn lacks_right(&self, params: &Params, least_ms: i64) -> bool {
        let known_ms = self.right_ms.filter(|_| self.right.count() >= RIGHT_KNOWN);
        let Some(right_ms) = known_ms else { return least_ms >= NEVER_RIGHT_MS };
        let usual_ms = (RIGHT_TIMES * self.right.get()) as i64;
        self.moments[self.newest()].heard_ms - right_ms >= usual_ms.max(params.observed_min_ms)
    }

    /// Whether the error grows with time, by at least the least error: the clock is slow, or stands still.
    fn grows(&self, params: &Params) -> bool {
        let (first, last) = (self.moments[usize::from(self.next)], self.moments[self.newest()]);
        let (growth, time) = (last.behind_ms.saturating_sub(first.behind_ms) as f64, last.heard_ms - first.heard_ms);
        let slope = growth / time.max(1) as f64;
        let is_on_line = |moment: &Moment| {
            let grown = moment.behind_ms.saturating_sub(first.behind_ms) as f64;
            (grown - slope * (moment.heard_ms - first.heard_ms) as f64).abs() <= params.spread_max_ms as f64
        };
        // A clock does not go backwards: it can't fall behind faster than time passes.
        growth >= params.error_min_ms as f64 && slope <= 1.01 && self.moments.iter().all(is_on_line)
    }
}

fn text(ms: i64) -> String {
    match ms / 60_000 {
        minutes @ 0..120 => format!("{minutes} min"),
        minutes @ 120..2_880 => format!("{:.1} h", minutes as f64 / 60.0),
        minutes => format!("{:.1} days", minutes as f64 / 1_440.0),
    }
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;
