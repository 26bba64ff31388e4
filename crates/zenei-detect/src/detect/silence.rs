//! A lock that is no longer received, and a gateway behind which most locks are late at once.
//!
//! Each lock is compared with its own longest usual interval, and with how long silences of locks with like intervals
//! last that end by themselves: what happens to every lock now and then is no fault of one lock. Where that is known, a
//! lock that speaks each hour is missed within hours; until then, after an update, and while many locks of its gateway
//! are late, which may be a new habit, the rule's longest wait counts. Where most locks behind a gateway are late at
//! once, the gateway is the finding and its locks are not, until two days after its return; where the locks of most
//! gateways are late at once while records still arrive, a habit has changed. What it reported has ended when the lock
//! is heard again, or most locks are through the gateway; nothing else ends it. Must not know incidents or stores.
//! Called by the engine.
use super::lanes::{forget, lane};
use super::report::{self, REPEAT_MS, Seen, Shared};
use super::running::{Detect, Glance, Running, Spec, Window};
use crate::anomaly::{Component, Domain, EVIDENCE_MAX, Findings, PartOf, Recovery, Scope, ScopeKind};
use crate::estimate::high::High;
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::{Lock, RecordRef};
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use zenei_wire::{EngineTime, EventKind};

/// The number of intervals after which a lock's usual interval is known.
const KNOWN: u32 = 20;
/// Ended silences longer than each of these lengths (hours) are counted.
const TAILS_H: [i64; 13] = [2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 96, 192, 384];
/// Locks of like intervals: those whose longest usual interval is below so many hours, each twice the one before.
const LIKE_H: [f64; 4] = [1.5, 3.0, 6.0, 12.0];
/// The natural logarithms of these, ms.
const LIKE_LOG: [f32; LIKE_H.len()] = [15.50173, 16.19488, 16.88802, 17.58117];
/// Imagined lock-years without a long silence.
const TAIL_WEIGHT_YEARS: f64 = 20.0;
/// How fast silences that end by themselves get rarer with their length, at least: those of twice the length are rarer
/// by two to this power. A guess: a tail as heavy as this has not even a mean.
const TAIL_EXPONENT: f64 = 0.5;
/// The silences of like locks are known after so many hours in which there were such locks: a silence of a day ends
/// after a day at the earliest, however many locks are watched. A guess: a week holds every weekday's habit.
const WATCHED_H: u32 = 7 * 24;
/// For so many intervals after an update the usual interval is not known: a new version may report more rarely. A
/// guess: the estimate follows by half of the way each time.
const FRESH: u8 = 6;
/// The slowest heartbeat, ms (6 h, telemetry contract).
const SLOWEST_MS: f64 = 6.0 * HOUR_MS as f64;
/// From this share of a gateway's locks on, and so many, that are late at once, their habit may be changing. A guess.
const MANY: (f64, u32) = (0.3, 3);
/// A lock is late after so many times its longest usual interval (the 99th percentile). That most locks of a gateway
/// are late at one time by chance is a hundredth to the power of their number.
const LATE: f64 = 1.25;
/// A lock is never late before so long: a restart of a hub or a router takes minutes, an update an hour or so. A guess.
const LATE_MIN_MS: i64 = 2 * HOUR_MS;
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
    counts_late_errors: false,
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
    /// Locks that are heard again since the last window.
    back: Vec<Back>,
    /// Gateways that were reported and did not come back yet, each with the time of the latest report.
    awaited: BTreeMap<Sym, i64>,
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

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Lane {
    heard_ms: i64,
    /// When its last readable record arrived: what can't be read shows that something sends, not that it works.
    read_ms: i64,
    usual: High,
    last: RecordRef,
    alarm_ms: Option<i64>,
    noted: bool,
    /// After how many hours of silence it was first reported.
    told_h: u16,
    /// How many intervals since an update are still to come before its habit is known again.
    fresh: u8,
}

impl Down {
    /// Whether the gateway explains the silence of a lock behind it whose last record arrived at this time.
    fn explains(&self, heard_ms: i64) -> bool {
        heard_ms <= self.last_ms
    }
}

impl Lane {
    fn known(&self) -> bool {
        self.usual.count() >= KNOWN
    }

    /// Which locks have like intervals.
    fn like(&self) -> usize {
        LIKE_LOG.iter().position(|&below| self.usual.log() < below).unwrap_or(LIKE_H.len())
    }

    fn late(&self, now_ms: i64) -> bool {
        let silent_ms = now_ms - self.heard_ms;
        // Most locks sent a record just now: their usual interval is not even computed.
        let slowest_ms = if self.fresh > 0 { SLOWEST_MS } else { 0.0 };
        silent_ms >= LATE_MIN_MS && silent_ms >= (LATE * self.usual.get().max(slowest_ms)) as i64
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
        let lane = lane(&mut self.state.lanes, glance.device);
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
            // Records of one window (an operation and its error) are no interval.
            if interval_ms > MINUTE_MS && lane.alarm_ms.is_none() {
                lane.usual.add(interval_ms as f64);
                lane.fresh = lane.fresh.saturating_sub(1);
            }
        }
        if glance.lock.updated_ms == Some(now_ms) {
            lane.fresh = FRESH;
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
        let many = self.close_gateways(now, locks, fleet, findings);
        self.tell_back(now, locks, fleet, findings);
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

    /// Judges gateways; returns those of whose locks many are late.
    fn close_gateways(
        &mut self,
        now: EngineTime,
        locks: &[Lock],
        fleet: &Fleet,
        findings: &mut Findings,
    ) -> BTreeSet<Sym> {
        // A lock that has been silent for long does not count for its gateway.
        let counts = |(lane, lock): &(&Lane, &Lock)| {
            lane.known() && now.ms() - lane.heard_ms < 14 * DAY_MS && !lock.maintenance && lock.labels.gw != Sym::NONE
        };
        let known = || self.state.lanes.iter().zip(locks).filter(counts);
        let mut behind: BTreeMap<Sym, (u32, u32)> = BTreeMap::new();
        for (_, lock) in known().filter(|(lane, _)| lane.late(now.ms())) {
            behind.entry(lock.labels.gw).or_default().1 += 1;
        }
        // Where no lock is late, the total is not needed.
        if !behind.is_empty() {
            for (_, lock) in known() {
                if let Some((all, _)) = behind.get_mut(&lock.labels.gw) {
                    *all += 1;
                }
            }
        }
        let share = |gw: &Sym| behind.get(gw).map_or(0.0, |&(all, late)| f64::from(late) / f64::from(all.max(1)));
        self.state.gateways.retain(|gw, down| {
            if share(gw) >= 0.5 * self.params.gateway_share {
                down.last_ms = now.ms();
            } else {
                down.told_ms = None;
            }
            now.ms() - down.last_ms < RETURN_MS
        });
        let is_down = |gw: &Sym, late: u32| late >= self.params.gateway_locks && share(gw) >= self.params.gateway_share;
        let changes = self.habits_change(now, locks, &behind);
        for (&gw, &(all, late)) in &behind {
            if !is_down(&gw, late) || changes {
                continue;
            }
            let told_ms = self.state.gateways.get(&gw).and_then(|down| down.told_ms);
            if report::is_due(told_ms, now, REPEAT_MS) {
                self.state.gateways.insert(gw, Down { told_ms: Some(now.ms()), last_ms: now.ms() });
                self.state.awaited.insert(gw, now.ms());
                self.report_gateway(gw, (all, late), now, locks, fleet, findings);
            }
        }
        let many = behind.iter().filter(|(gw, (_, late))| *late >= MANY.1 && share(gw) >= MANY.0);
        many.map(|(&gw, _)| gw).collect()
    }

    /// Whether many locks of most gateways are late at once while some of them are still heard: they report more rarely
    /// than before, and no gateway is silent.
    fn habits_change(&self, now: EngineTime, locks: &[Lock], behind: &BTreeMap<Sym, (u32, u32)>) -> bool {
        let down = |&(all, late): &(u32, u32)| late >= MANY.1 && f64::from(late) >= MANY.0 * f64::from(all);
        let many: BTreeSet<Sym> = behind.iter().filter(|(_, counts)| down(counts)).map(|(&gw, _)| gw).collect();
        if many.len() < 2 {
            return false;
        }
        let known = || self.state.lanes.iter().zip(locks).filter(|(lane, _)| lane.known());
        let all: BTreeSet<Sym> = known().map(|(_, lock)| lock.labels.gw).filter(|&gw| gw != Sym::NONE).collect();
        let heard = known().filter(|(lane, lock)| many.contains(&lock.labels.gw) && !lane.late(now.ms())).count();
        2 * many.len() > all.len() && heard >= many.len()
    }

    /// Tells which locks and gateways are heard again. A gateway is, once so many of the locks last heard through it
    /// sent a readable record since its latest report that not even half of the share is left that reports one. Locks
    /// that have been silent for long count too: that they stay away does not bring a gateway back.
    fn tell_back(&mut self, now: EngineTime, locks: &[Lock], fleet: &Fleet, findings: &mut Findings) {
        for back in std::mem::take(&mut self.state.back) {
            let scope = Scope { kind: ScopeKind::Device, value: fleet.device_id(back.device).to_owned() };
            let hours = (back.at_ms - back.heard_ms) as f64 / HOUR_MS as f64;
            let why = format!("heard again after {hours:.1} h");
            let (domain, component) = (self.rule.domain, self.rule.component);
            let rule = self.rule.id.clone();
            findings.recoveries.push(Recovery { at: EngineTime(back.at_ms), rule, domain, component, scope, why });
        }
        let (lanes, share) = (&self.state.lanes, self.params.gateway_share);
        self.state.awaited.retain(|&gw, told_ms| {
            let behind = lanes.iter().zip(locks).filter(|(lane, lock)| lane.known() && lock.labels.gw == gw);
            let (mut all, mut heard) = (0_u32, 0_u32);
            for (lane, _) in behind {
                (all, heard) = (all + 1, heard + u32::from(lane.read_ms > *told_ms));
            }
            let is_back = heard > 0 && f64::from(heard) >= (1.0 - 0.5 * share) * f64::from(all);
            if let Some(name) = fleet.word(gw).filter(|_| is_back) {
                let scope = Scope { kind: ScopeKind::Gateway, value: name.to_owned() };
                let why = format!("{heard} of the {all} locks behind gateway {name} are heard again");
                let (domain, component, rule) = (Domain::Software, Component::Gateway, self.rule.id.clone());
                findings.recoveries.push(Recovery { at: now, rule, domain, component, scope, why });
            }
            !is_back
        });
    }

    fn report_gateway(
        &self,
        gw: Sym,
        (all, late): (u32, u32),
        now: EngineTime,
        locks: &[Lock],
        fleet: &Fleet,
        findings: &mut Findings,
    ) {
        let silent = self.state.lanes.iter().zip(locks).enumerate().filter(|(_, (lane, lock))| {
            lock.labels.gw == gw && lane.known() && lane.late(now.ms()) && now.ms() - lane.heard_ms < 14 * DAY_MS
        });
        let last = silent.clone().map(|(_, (lane, _))| lane.heard_ms).max().unwrap_or(now.ms());
        let evidence: Vec<_> = silent
            .take(EVIDENCE_MAX)
            .flat_map(|(at, (lane, _))| report::evidence(DeviceIx(at as u32), fleet, [lane.last]))
            .collect();
        let Some(name) = fleet.word(gw) else { return };
        let scope = Scope { kind: ScopeKind::Gateway, value: name.to_owned() };
        let of = Shared { scope, domain: Domain::Software, component: Component::Gateway };
        let share = 100.0 * f64::from(late) / f64::from(all);
        let seen = Seen {
            value: share,
            baseline: 0.0,
            threshold: 100.0 * self.params.gateway_share,
            unit: "percent",
            since_ms: last,
            confidence: share / 100.0,
            why: format!(
                "{late} of the {all} locks behind gateway {name} are silent for longer than they usually ever are"
            ),
        };
        findings.anomalies.extend(report::shared(&self.rule, of, seen, evidence, now));
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
