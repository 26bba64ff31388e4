//! A lock that restarts repeatedly without a known cause, more often than it always did.
//!
//! A restart that somebody caused (an update, a new battery) or that the supply forced (brown-out: a battery fault)
//! does not count. Some locks, and some models, restart often all their life: what a lock's own past and the locks of
//! its model let expect is normal ([`Habit`]), and a lock is a finding when it departs from that. Must not know
//! incidents or stores. Called by the engine.
use super::lanes::{Suspects, forget, lane};
use super::report::{self, REPEAT_MS, Seen};
use super::running::{Detect, Glance, Running, Spec, Window};
use super::trail::Trail;
use crate::anomaly::Findings;
use crate::estimate::habit::{Alike, Departure, Habit, Nature};
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
/// The least rate that is normal, restarts a day: no firmware is better. A guess, once in three years.
const RATE_MIN: f64 = 1e-3;
/// The share of locks that always restart often before the model has taught it, and the imagined locks behind it. A
/// guess: one in fifty.
const CHRONIC: (f64, f64) = (0.02, 50.0);
/// How habits of restarting differ, by days. Of those that always restart often the mean is one in three days, four
/// fifths lie between two a year and one a day; the past is a season; a departure is a restart every other day at
/// least. Restarts of such a lock come by chance. Guesses.
const RESTARTS: Nature = Nature { chronic: (0.5, 1.5), past_max: 120.0, raised: [0.5, 1.5, 5.0], temper: 1.0 };
/// What one record tells is worth at most so much of the limit: restarts in a row may be one trouble. A guess.
const STEP_SHARE: f64 = 0.5;
/// Restarts counted of one hole in the boot counter: a counter that jumps must not be evidence alone.
const JUMP_MAX: u32 = 3;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "reboots",
        symptom: Symptom::Errors,
        looks_at: "how often a lock restarts unasked, against its own past and the locks of its model",
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
    counts_late: false,
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
    /// What the day's end taught of each model's locks.
    models: BTreeMap<Sym, Alike>,
    suspects: Suspects,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    /// Life and boot.
    boot: Option<(u32, u32)>,
    settled_ms: Option<i64>,
    habit: Habit,
    departure: Departure,
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
        let now_ms = glance.now_ms;
        let lane = lane(&mut self.state.lanes, glance.device);
        let before = lane.boot.replace((glance.row.life, boot));
        let settled_ms = *lane.settled_ms.get_or_insert(now_ms);
        let before = before.filter(|&(life, before)| life == glance.row.life && before < boot);
        let Some((_, before)) = before else { return };
        let asked = glance.lock.excused(now_ms) || glance.lock.maintenance;
        let counts = match state.reset_reason {
            Some(ResetReason::Watchdog | ResetReason::HardFault | ResetReason::Software) => true,
            Some(ResetReason::PowerOn | ResetReason::Brownout | ResetReason::Ota) => false,
            Some(ResetReason::Unknown) | None => !asked,
        };
        if !counts || asked {
            return;
        }
        let restarts = f64::from((boot - before).min(JUMP_MAX));
        let days = (now_ms - settled_ms).max(0) as f64 / DAY_MS as f64;
        let alike = self.alike(glance.lock.labels.model);
        let lane = &mut self.state.lanes[glance.device.0 as usize];
        lane.settled_ms = Some(now_ms);
        lane.watched(days, &alike);
        let most = STEP_SHARE * self.params.limit;
        lane.departure.add((restarts, 0.0), &mut lane.habit, &alike, &RESTARTS, most);
        lane.restarts += restarts as u32;
        lane.trail.add(glance.record, now_ms);
        self.state.suspects.add(glance.device);
    }

    /// Ends the day: the time since its last restart is evidence for a sound lock; and learns what is usual among the
    /// locks of a model: the share of those that always restart often, and how often the others do.
    fn close_day(&mut self, window: Window<'_>) {
        let locks = window.locks;
        let mut models: BTreeMap<Sym, [f64; 4]> = BTreeMap::new();
        for (at, lock) in locks.iter().enumerate().take(self.state.lanes.len()) {
            let alike = self.alike(lock.labels.model);
            let lane = &mut self.state.lanes[at];
            let Some(settled_ms) = lane.settled_ms else { continue };
            // Restarts of a lock that sends no records are unknown.
            let days = (lock.heard_ms - settled_ms).max(0) as f64 / DAY_MS as f64;
            if days >= 1.0 {
                lane.settled_ms = Some(lock.heard_ms);
                lane.watched(days, &alike);
            }
            // What is a finding is no habit.
            if lane.habit.exposure <= 0.0 || lane.alarm_ms.is_some() {
                continue;
            }
            let is_chronic = alike.is_chronic(lane.habit, &RESTARTS);
            let [of_locks, chronic, restarts, of_days] = models.entry(lock.labels.model).or_default();
            *of_locks += 1.0;
            *chronic += is_chronic;
            *restarts += (1.0 - is_chronic) * f64::from(lane.habit.events);
            *of_days += (1.0 - is_chronic) * f64::from(lane.habit.exposure);
        }
        for (model, [of_locks, chronic, restarts, days]) in models {
            let usual = (restarts + MODEL_WEIGHT_DAYS * self.params.prior_per_day) / (days + MODEL_WEIGHT_DAYS);
            let chronic = (chronic + CHRONIC.0 * CHRONIC.1) / (of_locks + CHRONIC.1);
            self.state.models.insert(model, Alike { usual: usual.max(RATE_MIN), chronic });
        }
    }

    /// Judges the locks that restarted.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        for device in self.state.suspects.take() {
            let at = device.0 as usize;
            let alike = self.alike(locks[at].labels.model);
            let lane = &mut self.state.lanes[at];
            let evidence = lane.departure.evidence();
            let due = report::is_due(lane.alarm_ms, now, REPEAT_MS);
            if evidence < self.params.limit || lane.restarts < self.params.count_min || !due {
                continue;
            }
            lane.alarm_ms = Some(now.ms());
            let since_ms = lane.trail.since_ms().unwrap_or(now.ms());
            let days = ((now.ms() - since_ms) as f64 / DAY_MS as f64).max(0.25);
            let value = f64::from(lane.restarts) / days;
            let per_day = lane.before(alike.usual);
            let threshold = (value * self.params.limit / evidence).max(per_day);
            let why = format!(
                "{} restarts that nobody asked for in {days:.1} days, against {per_day:.3} a day before and on locks \
                 of its model; evidence e^{evidence:.1}, limit e^{:.1}",
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

impl Reboots {
    fn alike(&self, model: Sym) -> Alike {
        let first = Alike { usual: self.params.prior_per_day.max(RATE_MIN), chronic: CHRONIC.0 };
        self.state.models.get(&model).copied().unwrap_or(first)
    }
}

impl Lane {
    /// Adds days without a restart.
    fn watched(&mut self, days: f64, alike: &Alike) {
        self.departure.add((0.0, days), &mut self.habit, alike, &RESTARTS, f64::INFINITY);
        if self.departure.evidence() <= 0.0 {
            (self.restarts, self.alarm_ms) = (0, None);
            self.trail.clear();
        }
    }

    /// Its restarts a day before the present departure, or those of its like where it had none.
    fn before(&self, usual: f64) -> f64 {
        let events = f64::from(self.habit.events) - f64::from(self.restarts);
        if events > 0.5 { events / f64::from(self.habit.exposure.max(1.0)) } else { usual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::Dice;

    const ALIKE: Alike = Alike { usual: 0.01, chronic: 0.03 };

    /// The most evidence of a lock that restarts so often a day, from a day on at the second rate, and when the limit
    /// of 13 was passed.
    fn most(per_day: [f64; 2], from_day: f64, days: u32, seed: u64) -> (f64, Option<f64>) {
        let (mut dice, mut lane, mut settled, mut most, mut found) = (Dice(seed), Lane::default(), 0.0, 0.0_f64, None);
        for step in 0..days * 24 {
            let day = f64::from(step) / 24.0;
            let again = dice.is(per_day[usize::from(day >= from_day)] / 24.0);
            if again || day - settled >= 1.0 {
                lane.watched(day - settled, &ALIKE);
                settled = day;
            }
            if again {
                lane.departure.add((1.0, 0.0), &mut lane.habit, &ALIKE, &RESTARTS, STEP_SHARE * 13.0);
            }
            most = most.max(lane.departure.evidence());
            found = found.or((most >= 13.0).then_some(day));
        }
        (most, found)
    }

    #[test]
    fn a_restart_each_week_or_twice_a_day_is_the_locks_habit() {
        for per_day in [0.14, 0.5, 2.0] {
            let over = (1..=200).filter(|seed| most([per_day; 2], 0.0, 60, seed * 7_919).1.is_some()).count();
            // One in a hundred within 120 days, as the rule says; one of 200 within 60 is expected.
            assert!(over <= 3, "{per_day}: {over} of 200");
        }
    }

    #[test]
    fn a_change_of_the_habit_is_found_within_days() {
        for (before, after, within) in [(0.0, 3.0, 4.0), (0.14, 3.0, 6.0), (0.5, 6.0, 5.0)] {
            let found = |seed: u64| most([before, after], 30.0, 45, seed * 7_919).1.map_or(99.0, |day| day - 30.0);
            let late = (1..=50).filter(|&seed| !(0.0..within).contains(&found(seed))).count();
            assert!(late <= 3, "{before} to {after}: {late} of 50");
        }
    }
}
