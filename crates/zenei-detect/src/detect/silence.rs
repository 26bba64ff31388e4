//! A lock that is no longer received, and a gateway behind which most locks are late at once.
//!
//! Each lock is compared with its own longest usual interval, and with how long silences of locks with like intervals
//! last that end by themselves: what happens to every lock now and then is no fault of one lock. Where that is known,
//! a lock that speaks each hour is missed within hours; until then, after an update, and while many locks of its
//! gateway are late, which may be a new habit, the rule's longest wait counts. Where most locks behind a gateway are
//! late at once, the gateway is the finding and its locks are not, until two days after its return; so is one of which
//! nothing is heard for longer than it is ever quiet (`quiet`), and one that holds back what it hears (`held`). Where
//! the locks of most gateways are late, or were heard late a few hours ago, while records still arrive, a habit has
//! changed. What it reported has ended when the lock is heard again, or most locks are through the gateway; nothing
//! else ends it. Must not know incidents or stores. Called by the engine.
mod gateway;
mod held;
mod lane;
mod quiet;

use super::lanes::{forget, lane as of};
use super::report::{self, REPEAT_MS, Seen};
use super::running::{Detect, Glance, Late, Running, Spec, Window};
use crate::anomaly::{Component, Domain, Findings, PartOf, Recovery, Scope, ScopeKind};
use crate::batch::Row;
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::RecordRef;
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS};
use held::Held;
use lane::{LIKE_H, Lane};
use quiet::Quiet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_wire::{Body, EngineTime, EventKind};

/// Ended silences longer than each of these lengths (hours) are counted.
const TAILS_H: [i64; 13] = [2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 96, 192, 384];
/// Imagined lock-years without a long silence.
const TAIL_WEIGHT_YEARS: f64 = 20.0;
/// How fast silences that end by themselves get rarer with their length, at least: those of twice the length are rarer
/// by two to this power. A guess: a tail as heavy as this has not even a mean.
const TAIL_EXPONENT: f64 = 0.5;
/// The silences of like locks are known after so many hours in which there were such locks: a silence of a day ends
/// after a day at the earliest, however many locks are watched. A guess: a week holds every weekday's habit.
const WATCHED_H: u32 = 7 * 24;
/// A lock that speaks by use alone is silent while its people are away, until its own intervals show how long that is.
/// A guess: a week.
const AWAY_MS: i64 = 7 * DAY_MS;
/// Locks come back within so long after their gateway, or are silent for a reason of their own. A guess: radios search
/// for a hub again within hours.
const RETURN_MS: i64 = 2 * DAY_MS;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "silence",
        symptom: Symptom::Silence,
        looks_at: "for how long nothing was heard of a lock, against its own longest usual interval and against the \
                   silences of the fleet that ended by themselves; a gateway behind which most locks are late at once \
                   is the finding, and its locks are not",
        parameters: &[
            Parameter {
                name: "silent_hours",
                unit: "h",
                range: 1.0..=8_760.0,
                meaning: "the shortest silence that is a finding where the lock's habit is not well known",
            },
            Parameter {
                name: "multiple",
                unit: "1",
                range: 1.0..=100.0,
                meaning: "how many times its longest usual interval a lock must be silent",
            },
            Parameter {
                name: "ended_per_year",
                unit: "1/a",
                range: 1e-6..=100.0,
                meaning: "silences of a length that end by themselves more often than this, per lock, are no finding",
            },
            Parameter {
                name: "gateway_locks",
                unit: "1",
                range: 2.0..=1e6,
                meaning: "how many locks behind a gateway must be late for it to be the finding",
            },
            Parameter {
                name: "gateway_share",
                unit: "1",
                range: 0.1..=1.0,
                meaning: "which share of the locks behind a gateway must be late for it to be the finding",
            },
        ],
        reads_field: false,
    },
    reset_by: &[EventKind::Installed],
    every_ms: HOUR_MS,
    counts_late: true,
    counts_unreadable: true,
    make: |spec, rule| Silence::start(spec, rule, Params::of(rule)),
};

type Silence = Running<Params, State>;

struct Params {
    silent_min_ms: i64,
    multiple: f64,
    ended_per_year: f64,
    gateway_locks: u32,
    gateway_share: f64,
}

/// The state that a snapshot stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    /// For locks of like intervals: ended silences, and hours of observation.
    ended: [[f64; TAILS_H.len()]; LIKE_H.len() + 1],
    lock_hours: [f64; LIKE_H.len() + 1],
    /// Hours in which there was any such lock.
    watched_h: [u32; LIKE_H.len() + 1],
    gateways: BTreeMap<Sym, Down>,
    quiet: Quiet,
    held: Held,
    /// Locks that are heard again since the last window.
    back: Vec<Back>,
    /// Gateways that were reported and did not come back yet, each with the time of the latest report.
    awaited: BTreeMap<Sym, i64>,
    /// Gateways that would have been reported, and why they were not was noted then.
    spared: BTreeMap<Sym, i64>,
}

/// A lock that was reported as silent, and is heard again.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Back {
    device: DeviceIx,
    heard_ms: i64,
    at_ms: i64,
}

/// A gateway behind which most locks are late, or were lately.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Down {
    /// When it was reported; `None` since it came back.
    told_ms: Option<i64>,
    /// When most of its locks were last late.
    last_ms: i64,
}

impl Down {
    /// Whether the gateway explains the silence of a lock behind it whose last record arrived at this time.
    fn explains(&self, heard_ms: i64) -> bool {
        heard_ms <= self.last_ms
    }
}

impl Params {
    fn of(rule: &Rule) -> Result<Self, MissingParameter> {
        Ok(Self {
            silent_min_ms: (rule.parameter("silent_hours")? * HOUR_MS as f64) as i64,
            multiple: rule.parameter("multiple")?,
            ended_per_year: rule.parameter("ended_per_year")?,
            gateway_locks: rule.parameter("gateway_locks")? as u32,
            gateway_share: rule.parameter("gateway_share")?,
        })
    }
}

impl Detect for Silence {
    /// Removes the state: the id belongs to another lock now.
    fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
        self.state.back.retain(|back| back.device != device);
    }

    /// Takes a record of any kind.
    fn row(&mut self, glance: &Glance<'_>) {
        let lane = of(&mut self.state.lanes, glance.device);
        let now_ms = glance.now_ms;
        // An interval that its gateway caused is no silence of the lock.
        let of_gateway =
            self.state.gateways.get(&glance.lock.behind()).is_some_and(|down| down.explains(lane.heard_ms));
        if lane.heard_ms > 0 && now_ms > lane.heard_ms && !of_gateway {
            let interval_ms = now_ms - lane.heard_ms;
            // What was told, and then lasted long, somebody may have ended.
            let by_itself = lane.alarm_ms.is_none() || interval_ms <= 2 * i64::from(lane.told_h) * HOUR_MS;
            if interval_ms >= TAILS_H[0] * HOUR_MS && lane.known() && by_itself {
                let ended = &mut self.state.ended[lane.like()];
                let longer = TAILS_H.iter().zip(ended).filter(|(hours, _)| interval_ms > **hours * HOUR_MS);
                longer.for_each(|(_, ended)| *ended += 1.0);
            }
            if lane.alarm_ms.is_none() {
                lane.learn(interval_ms, now_ms);
            }
        }
        if glance.lock.updated_ms == Some(now_ms) {
            lane.updated();
        }
        if lane.alarm_ms.is_some() {
            self.state.back.push(Back { device: glance.device, heard_ms: lane.heard_ms, at_ms: now_ms });
        }
        lane.heard_ms = lane.heard_ms.max(now_ms);
        lane.read_ms = now_ms;
        lane.last = glance.record;
        lane.alarm_ms = None;
        lane.noted = false;
    }

    /// Takes an unreadable record: the lock is not silent.
    fn unreadable(&mut self, device: DeviceIx, now: EngineTime) {
        if let Some(lane) = self.state.lanes.get_mut(device.0 as usize).filter(|lane| lane.heard_ms > 0) {
            lane.heard_ms = lane.heard_ms.max(now.ms());
        }
    }

    /// Takes a late record: the lock is not silent.
    fn late(&mut self, late: &Late) {
        self.unreadable(late.device, EngineTime(late.now_ms));
    }

    /// Takes a refused advertisement: the lock, or whoever repeats what it said, is not silent.
    fn refused(&mut self, device: DeviceIx, now: EngineTime) {
        self.unreadable(device, now);
    }

    /// Takes what a gateway reports of itself: that it is there, and how much waits in it.
    fn gateway(&mut self, row: &Row) {
        if let Body::Gateway(report) = &row.body {
            let now_ms = row.released_at.ms();
            self.state.quiet.report(row.device, now_ms, report.locks_heard);
            if let Some(depth) = report.queue_depth {
                self.state.held.report(row.device, RecordRef::of(row), now_ms, depth);
            }
        }
    }

    /// Judges gateways, then locks.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        let mut is_watched = [false; LIKE_H.len() + 1];
        for lane in self.state.lanes.iter().filter(|lane| lane.known()) {
            self.state.lock_hours[lane.like()] += 1.0;
            is_watched[lane.like()] = true;
        }
        for (watched_h, is_watched) in self.state.watched_h.iter_mut().zip(is_watched) {
            *watched_h = watched_h.saturating_add(u32::from(is_watched));
        }
        let many = self.close_gateways(window, findings);
        self.close_held(window, findings);
        self.tell_back(fleet, findings);
        self.tell_gateways_back(window, findings);
        let usual_ms = self.usual_of_like_ms();
        let shortest_ms = usual_ms.iter().copied().min().unwrap_or(0);
        for (at, lock) in locks.iter().enumerate().take(self.state.lanes.len()) {
            let lane = &mut self.state.lanes[at];
            let silent_ms = now.ms() - lane.heard_ms;
            if silent_ms < shortest_ms {
                continue;
            }
            let mut least_ms = usual_ms[lane.like()];
            if lane.fresh > 0 || many.contains(&lock.behind()) {
                least_ms = least_ms.max(self.params.silent_min_ms);
            }
            if lane.speaks_by_use() {
                least_ms = least_ms.max(AWAY_MS);
            }
            let limit_ms = least_ms.max((self.params.multiple * lane.usual.get()) as i64);
            let due = report::is_due(lane.alarm_ms, now, REPEAT_MS);
            if lane.heard_ms == 0 || !lane.known() || silent_ms < limit_ms || !due || lock.maintenance {
                continue;
            }
            let device = DeviceIx(at as u32);
            let hours = |ms: i64| ms as f64 / HOUR_MS as f64;
            let seen = Seen {
                value: hours(silent_ms),
                baseline: lane.usual.get() / HOUR_MS as f64,
                threshold: hours(limit_ms),
                unit: "h",
                since_ms: lane.heard_ms,
                confidence: report::confidence(hours(silent_ms), hours(limit_ms)),
                why: format!(
                    "not heard for {:.1} h; its longest usual interval is {:.1} h, and hardly a lock that speaks as \
                     often comes back after {:.0} h",
                    hours(silent_ms),
                    lane.usual.get() / HOUR_MS as f64,
                    hours(least_ms)
                ),
            };
            let Some(anomaly) = report::anomaly(&self.rule, device, seen, [lane.last], now, fleet) else {
                continue;
            };
            if self.state.gateways.get(&lock.behind()).is_some_and(|down| down.explains(lane.heard_ms)) {
                if !core::mem::replace(&mut lane.noted, true) {
                    let why = "the gateway that it was heard by hears hardly any lock".to_owned();
                    findings.decisions.push(anomaly.part(of_gateway(&self.rule, lock.behind(), fleet), why));
                }
                continue;
            }
            if lane.alarm_ms.is_none() {
                lane.told_h = u16::try_from(silent_ms / HOUR_MS).unwrap_or(u16::MAX);
            }
            lane.alarm_ms = Some(now.ms());
            findings.anomalies.push(anomaly);
        }
    }
}

impl Silence {
    /// For locks of like intervals: the length from which on silences rarely end by themselves, ms: longer ones that
    /// ended are at most as frequent as the rule allows. Where that is not shown it is the rule's longest wait.
    fn usual_of_like_ms(&self) -> [i64; LIKE_H.len() + 1] {
        let allowed = self.params.ended_per_year;
        core::array::from_fn(|like| {
            let years = self.state.lock_hours[like] / 8_766.0;
            let rare = |ended: &f64| *ended / (years + TAIL_WEIGHT_YEARS) <= allowed;
            let at = self.state.ended[like].iter().position(rare).unwrap_or(TAILS_H.len() - 1);
            // That none was seen shows no more than that the next one may be about to end; the tail bounds the rest.
            let shown = |(hours, ended): (&i64, &f64)| {
                let times = (ended + 1.0) / years / allowed;
                *hours as f64 * libm::pow(times.max(1.0), 1.0 / TAIL_EXPONENT)
            };
            let shown_h = TAILS_H.iter().zip(&self.state.ended[like]).map(shown).fold(f64::INFINITY, f64::min);
            let is_shown = self.state.watched_h[like] >= WATCHED_H && shown_h < TAILS_H[TAILS_H.len() - 1] as f64;
            let shown_ms = if is_shown { shown_h.ceil() as i64 * HOUR_MS } else { i64::MAX };
            shown_ms.min(self.params.silent_min_ms).max(TAILS_H[at] * HOUR_MS)
        })
    }

    /// Tells which locks are heard again.
    fn tell_back(&mut self, fleet: &Fleet, findings: &mut Findings) {
        for back in std::mem::take(&mut self.state.back) {
            let scope = Scope { kind: ScopeKind::Device, value: fleet.device_id(back.device).to_owned() };
            let hours = (back.at_ms - back.heard_ms) as f64 / HOUR_MS as f64;
            let why = format!("heard again after {hours:.1} h");
            let (domain, component) = (self.rule.domain, self.rule.component);
            let rule = self.rule.id.clone();
            findings.recoveries.push(Recovery { at: EngineTime(back.at_ms), rule, domain, component, scope, why });
        }
    }
}

/// The finding about a gateway, which explains that a lock behind it is silent.
fn of_gateway(rule: &Rule, gw: Sym, fleet: &Fleet) -> PartOf {
    let scope = Scope { kind: ScopeKind::Gateway, value: fleet.word(gw).unwrap_or("unknown").to_owned() };
    let (domain, component, rule) = (Domain::Software, Component::Gateway, Some(rule.id.clone()));
    PartOf { scope, domain, component, rule, incident: None }
}

#[cfg(test)]
#[path = "silence_tests.rs"]
mod tests;
