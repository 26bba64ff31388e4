//! A lock that restarts repeatedly without a known cause.
//!
//! A restart that somebody caused (an update, a new battery) or that the supply forced (brown-out: a battery fault)
//! does not count. The rate is compared with that of the lock's model over all firmware versions. Must not know
//! incidents or stores. Called by the engine.
use super::lanes::{Suspects, forget, lane};
use super::report::{self, REPEAT_MS, Seen};
use super::running::{Detect, Glance, Running, Spec, Window};
use super::trail::Trail;
use crate::anomaly::Findings;
use crate::estimate::excess::Excess;
use crate::fleet::{DeviceIx, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_wire::{Body, EventKind, ResetReason};

/// Imagined lock-days at the prior rate.
const MODEL_WEIGHT_DAYS: f64 = 500.0;
/// Restarts counted of one hole in the boot counter: a counter that jumps must not be evidence alone.
const JUMP_MAX: u32 = 3;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "reboots",
        symptom: Symptom::Errors,
        looks_at: "how often a lock restarts unasked, against the locks of its model",
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
        ],
        reads_field: false,
    },
    reset_by: &[EventKind::Installed],
    every_ms: HOUR_MS,
    counts_late_errors: false,
    counts_unreadable: false,
    make: |spec, rule| Reboots::start(spec, rule, Params::of(rule)),
};

type Reboots = Running<Params, State>;

struct Params {
    prior_per_day: f64,
    limit: f64,
    count_min: u32,
}

/// The state that a snapshot stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    models: BTreeMap<Sym, Rate>,
    suspects: Suspects,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Rate {
    restarts: f64,
    days: f64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    boot: Option<u32>,
    settled_ms: Option<i64>,
    excess: Excess,
    restarts: u32,
    trail: Trail,
    alarm_ms: Option<i64>,
}

impl Params {
    fn of(rule: &Rule) -> Result<Self, MissingParameter> {
        Ok(Self {
            prior_per_day: rule.parameter("prior_per_day")?,
            limit: rule.parameter("limit")?,
            count_min: rule.parameter("count_min")? as u32,
        })
    }
}

impl Detect for Reboots {
    /// Removes the state: the id belongs to another lock now.
    fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
    }

    /// Takes a heartbeat: it reports the reason of the last restart.
    fn row(&mut self, glance: &Glance<'_>) {
        let (Body::State(state), Some(boot)) = (&glance.row.body, glance.row.boot) else { return };
        let lane = lane(&mut self.state.lanes, glance.device);
        let now_ms = glance.now_ms;
        let before = lane.boot.replace(boot);
        let settled_ms = *lane.settled_ms.get_or_insert(now_ms);
        let Some(before) = before.filter(|&before| before < boot) else { return };
        let asked = glance.lock.excused(now_ms) || glance.lock.maintenance;
        let counts = match state.reset_reason {
            Some(ResetReason::Watchdog | ResetReason::HardFault | ResetReason::Software) => true,
            Some(ResetReason::PowerOn | ResetReason::Brownout | ResetReason::Ota) => false,
            Some(ResetReason::Unknown) | None => !asked,
        };
        if !counts || asked {
            return;
        }
        let restarts = (boot - before).min(JUMP_MAX);
        let model = self.state.models.entry(glance.lock.labels.model).or_default();
        let per_day = model.per_day(self.params.prior_per_day);
        let days = (now_ms - settled_ms).max(0) as f64 / DAY_MS as f64;
        lane.settled_ms = Some(now_ms);
        let expected = (per_day * days).max(1e-6);
        lane.excess.add(f64::from(restarts), expected, suspected(per_day).map(|rate| rate * expected / per_day));
        if lane.excess.evidence() <= 0.0 {
            lane.restarts = 0;
            lane.trail.clear();
        }
        if lane.excess.evidence() < self.params.limit {
            model.restarts += f64::from(restarts);
            model.days += days;
        }
        lane.restarts += restarts;
        lane.trail.add(glance.record, now_ms);
        self.state.suspects.add(glance.device);
    }

    /// Ends the day: the time since its last restart is evidence for a sound lock.
    fn close_day(&mut self, window: Window<'_>) {
        let locks = window.locks;
        for (lane, lock) in self.state.lanes.iter_mut().zip(locks) {
            let Some(settled_ms) = lane.settled_ms else { continue };
            let model = self.state.models.entry(lock.labels.model).or_default();
            let per_day = model.per_day(self.params.prior_per_day);
            // Restarts of a lock that sends no records are unknown.
            let days = (lock.heard_ms - settled_ms).max(0) as f64 / DAY_MS as f64;
            if days < 1.0 {
                continue;
            }
            lane.settled_ms = Some(lock.heard_ms);
            lane.excess.add(0.0, per_day * days, suspected(per_day).map(|rate| rate * days));
            model.days += days;
            if lane.excess.evidence() <= 0.0 {
                lane.restarts = 0;
                lane.trail.clear();
                lane.alarm_ms = None;
            }
        }
    }

    /// Judges the locks that restarted.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        for device in self.state.suspects.take() {
            let at = device.0 as usize;
            let (lane, lock) = (&mut self.state.lanes[at], &locks[at]);
            let model = self.state.models.get(&lock.labels.model).copied().unwrap_or_default();
            let per_day = model.per_day(self.params.prior_per_day);
            let evidence = lane.excess.evidence();
            let due = report::is_due(lane.alarm_ms, now, REPEAT_MS);
            if evidence < self.params.limit || lane.restarts < self.params.count_min || !due {
                continue;
            }
            lane.alarm_ms = Some(now.ms());
            let since_ms = lane.trail.since_ms().unwrap_or(now.ms());
            let days = ((now.ms() - since_ms) as f64 / DAY_MS as f64).max(0.25);
            let value = f64::from(lane.restarts) / days;
            let threshold = (value * self.params.limit / evidence).max(per_day);
            let why = format!(
                "{} restarts that nobody asked for in {days:.1} days, against {per_day:.3} a day on locks of its \
                 model; evidence e^{evidence:.1}, limit e^{:.1}",
                lane.restarts, self.params.limit
            );
            let sure = report::confidence(evidence, self.params.limit);
            let seen =
                Seen { value, baseline: per_day, threshold, unit: "restarts/day", since_ms, confidence: sure, why };
            let records = lane.trail.records();
            findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, fleet));
        }
    }
}

impl Rate {
    fn per_day(&self, prior: f64) -> f64 {
        (self.restarts + MODEL_WEIGHT_DAYS * prior) / (self.days + MODEL_WEIGHT_DAYS)
    }
}

/// The rates of a faulty lock: ten times the normal one, one every other day, three a day.
fn suspected(per_day: f64) -> [f64; 3] {
    [10.0 * per_day, 0.5, 3.0]
}
