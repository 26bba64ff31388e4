//! Drift of a lock against its own past: the battery's internal resistance, the motor's effort, and the shape of the
//! motor's current profile.
//!
//! Each operation is compared, as a logarithm, with the lock's own mean. Slopes pooled over the model remove the
//! effects of temperature and of the supply (for the battery its discharge, for the motor the speed that the voltage
//! gives); medians remove what the locks of a site and of a firmware version have in common. The log likelihood ratios
//! of the day's mean residual for a few lasting shifts add up, each sum restarting at 0 (Page 1954); where the days of
//! a lock or of its model are not independent, they count for less. What is small needs more evidence, in proportion;
//! where the lock's own past follows the seasons, evidence fades as fast.
//! Must not know simulators, incidents or stores. Called by the engine.
mod evidence;
mod lane;
mod measure;

use super::lanes::{self, forget};
use super::report::{self, Noted, REPEAT_MS, Seen};
use super::running::{Detect, Glance, Running, Spec, Window};
use crate::anomaly::{DecisionReason, Findings, Scope, ScopeKind};
use crate::estimate::median::common;
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::Lock;
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS};
use evidence::{DAY_CLIP, EVIDENCE};
use lane::{Lane, Model, Today};
use measure::{Measure, Reading};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_wire::{EngineTime, EventKind};

/// How much the slopes of locks of one model differ: standard deviation as a share of the slope. A guess: grease and
/// cells vary by a quarter or so.
const SLOPE_SPREAD: f64 = 0.3;
/// Imagined members at 0 in a site's or version's median.
const COMMON_WEIGHT: f64 = 4.0;
/// One operation counts at most this many standard deviations around the lock's level.
const CLIP: f64 = 4.0;
/// Days of a block whose mean shows whether the days are independent.
const BLOCK: f32 = 8.0;
/// A rise below the rule's usual effect needs more evidence, with the ratio to the power of one and a half, up to so
/// many times the limit: half a rise brings a quarter of the evidence a day, and lasts a dozen times as long before it
/// is a finding. What slopes explain badly rises as slowly and as little. A guess.
const SMALL_MOST: f64 = 6.0;
/// A lock that is better than before by so many standard deviations in sum has changed: it learns anew.
const BETTER: f64 = 10.0;
/// What is called a day here: the time whose mean is one step of the evidence. Half of one: day and night.
const STEP_MS: i64 = 12 * HOUR_MS;
/// How often a day is judged while it lasts.
const LOOK_MS: i64 = 6 * HOUR_MS;
/// Weight of a new day in the level.
const LEVEL_SHARE: f32 = 0.6;
/// The share of a quiet day's residual that moves the lock's own mean: a fiftieth a day.
const FOLLOW: f64 = 0.01;

/// The parameters of each of the three detectors.
const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "baseline_days",
        unit: "d",
        range: 1.0..=90.0,
        meaning: "how long a lock is watched before it is judged",
    },
    Parameter {
        name: "min_operations",
        unit: "1",
        range: 2.0..=10_000.0,
        meaning: "how many operations must be seen before a lock is judged",
    },
    Parameter {
        name: "slack",
        unit: "sigma",
        range: 0.1..=5.0,
        meaning: "half of the shift of a day's mean that is looked for, and of its half and its double",
    },
    Parameter {
        name: "limit",
        unit: "nat",
        range: 1.0..=100.0,
        meaning: "how much evidence (the natural logarithm of a likelihood ratio) is a finding",
    },
    Parameter {
        name: "min_effect",
        unit: "1",
        range: 0.0..=10.0,
        meaning: "the rise, as a share of the baseline, below which a finding needs more evidence in proportion",
    },
    Parameter {
        name: "slope_temperature",
        unit: "1/K",
        range: -0.2..=0.2,
        meaning: "what a kelvin changes before the fleet has taught it, as a share",
    },
    Parameter {
        name: "slope_supply",
        unit: "1",
        range: -20.0..=20.0,
        meaning: "what the square of the discharge (of the motor: the logarithm of the speed that the voltage gives) \
                  changes before the fleet has taught it",
    },
];

/// Trend of the battery's internal resistance.
pub const RESISTANCE: Spec = Spec {
    kind: DetectorKind {
        word: "battery_resistance",
        symptom: Symptom::Resistance,
        looks_at: "the sag of the battery's voltage over the peak current of each operation, as a logarithm, against \
                   the lock's own past; temperature and the state of charge are taken out by slopes of the model, \
                   what the site and the version have in common by medians; the evidence of the day's residual adds \
                   up",
        parameters: PARAMETERS,
        reads_field: false,
    },
    reset_by: &[EventKind::Installed, EventKind::BatteryReplaced],
    every_ms: LOOK_MS,
    counts_late: false,
    counts_unreadable: false,
    make: |spec, rule| Drift::start(spec, rule, Params::of(rule, Measure::Resistance)),
};

/// Drift of the motor's effort.
pub const EFFORT: Spec = Spec {
    kind: DetectorKind {
        word: "motor_effort",
        symptom: Symptom::Effort,
        looks_at: "the charge that each operation takes (or what the current or the time alone tell of it), as a \
                   logarithm, against the lock's own past; temperature \
                   and the voltage under load are taken out by slopes of the model, what the site and the version \
                   have in common by medians; the evidence of the day's residual adds up",
        parameters: PARAMETERS,
        reads_field: false,
    },
    reset_by: &[EventKind::Installed, EventKind::Moved],
    every_ms: LOOK_MS,
    counts_late: false,
    counts_unreadable: false,
    make: |spec, rule| Drift::start(spec, rule, Params::of(rule, Measure::Effort)),
};

/// Drift of the shape of the motor's current profile.
pub const SHAPE: Spec = Spec {
    kind: DetectorKind {
        word: "profile_shape",
        symptom: Symptom::Shape,
        looks_at: "how unlike the motor's current profile is to the lock's own template, once both are divided by \
                   their means; then as with the motor's effort",
        parameters: PARAMETERS,
        reads_field: false,
    },
    reset_by: &[EventKind::Installed, EventKind::Moved],
    every_ms: LOOK_MS,
    counts_late: false,
    counts_unreadable: false,
    make: |spec, rule| Drift::start(spec, rule, Params::of(rule, Measure::Shape)),
};

/// The values that a rule gives the detector.
struct Params {
    measure: Measure,
    baseline_ms: i64,
    min_operations: f64,
    slack: f64,
    limit: f64,
    min_level: f64,
    prior: [f64; 2],
}

impl Params {
    fn of(rule: &Rule, measure: Measure) -> Result<Self, MissingParameter> {
        Ok(Self {
            measure,
            baseline_ms: (rule.parameter("baseline_days")? * DAY_MS as f64) as i64,
            min_operations: rule.parameter("min_operations")?,
            slack: rule.parameter("slack")?,
            limit: rule.parameter("limit")?,
            min_level: libm::log(1.0 + rule.parameter("min_effect")?),
            prior: [rule.parameter("slope_temperature")?, rule.parameter("slope_supply")?],
        })
    }
}

type Drift = Running<Params, State>;

/// The state that a snapshot stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    models: BTreeMap<Sym, Model>,
}

/// A lock's day, ready to be judged.
struct Day {
    at: usize,
    site: Sym,
    version: Sym,
    residual: f64,
}

/// The judgement of a lock's day.
enum DayJudgement {
    Quiet,
    BelowEffect,
    Alarm,
}

/// How a day's mean scatters: what operations and slopes explain of its variance, and all of it.
#[derive(Clone, Copy)]
struct Spread {
    explained: f64,
    variance: f64,
}

impl Detect for Drift {
    /// Takes an operation.
    fn row(&mut self, glance: &Glance<'_>) {
        let Some(reading) = glance.operation.and_then(|op| self.params.measure.read(op)) else { return };
        let Reading { value, covariates, direction, by } = reading;
        let prior = self.params.prior;
        let model = self.state.models.entry(glance.lock.labels.model).or_insert_with(|| Model::new(prior));
        let lane = lanes::lane(&mut self.state.lanes, glance.device);
        if !lane.reads(by) {
            return;
        }
        lane.started_ms.get_or_insert(glance.now_ms);
        let mean = lane.means[direction];
        if mean.count < 3.0 {
            lane.means[direction].add(value, covariates);
            return;
        }
        let shift = [covariates[0] - mean.covariates[0], covariates[1] - mean.covariates[1]];
        let slopes = model.slopes.get();
        let explained = slopes[0] * shift[0] + slopes[1] * shift[1];
        let reach = CLIP * libm::sqrt(lane.variance(model));
        // Clipped around the lock's present level: a fault's size is not clipped away, and it does not change the
        // slopes.
        let level = if lane.learned { f64::from(lane.level) } else { 0.0 };
        let around = (value - mean.value - explained - level).clamp(-reach, reach);
        let residual = level + around;
        let share = f64::from(mean.count / (mean.count + 1.0));
        model.slopes.add(shift, explained + around, share);
        if !lane.learned {
            model.squares += share * residual * residual;
            model.operations += 1.0;
            lane.squares += (share * residual * residual) as f32;
            lane.operations += 1.0;
            lane.means[direction].add(mean.value + explained + residual, covariates);
            return;
        }
        lane.today.count += 1;
        lane.today.sum += residual;
        lane.today.shift[0] += shift[0];
        lane.today.shift[1] += shift[1];
        lane.today.first.get_or_insert(glance.record);
        if lane.recent.len() == lane.recent.inline_size() {
            lane.recent.remove(0);
        }
        lane.recent.push(glance.record);
    }

    /// Removes the state: another battery, another lock behind the id, or another door.
    fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
    }

    /// Judges the day, so far or at its end.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        let ends = now.ms().rem_euclid(STEP_MS) == 0;
        let mut days = self.days(now, locks);
        let sites = commons(&days, |day| day.site);
        for day in &mut days {
            day.residual -= sites.get(&day.site).map_or(0.0, |&(common, _)| common);
        }
        let versions = commons(&days, |day| day.version);
        if ends {
            self.note_moved_sites(now, &sites, fleet, findings);
        }
        for day in &days {
            let common = versions.get(&day.version).map_or(0.0, |&(common, _)| common);
            let residual = day.residual - common;
            let Some(spread) = self.weigh(day.at, &locks[day.at]) else { continue };
            let judgement = if ends {
                self.end_day(day.at, residual, spread, now, &locks[day.at])
            } else {
                self.look(day.at, residual, spread, now, &locks[day.at])
            };
            match judgement {
                DayJudgement::Quiet => {}
                DayJudgement::BelowEffect => {
                    let why = "a lasting rise, too small for its evidence";
                    self.note(day.at, DecisionReason::BelowEffect, why, now, fleet, findings);
                }
                DayJudgement::Alarm => self.report(day.at, spread, now, fleet, findings),
            }
        }
    }
}

impl Drift {
    /// The locks that moved today, with their mean residual; ends the learning of those that have seen enough.
    fn days(&mut self, now: EngineTime, locks: &[Lock]) -> Vec<Day> {
        let params = &self.params;
        let mut days = Vec::new();
        for (at, (lane, lock)) in self.state.lanes.iter_mut().zip(locks).enumerate() {
            let age = lane.started_ms.map_or(0, |started| now.ms() - started);
            if !lane.learned {
                lane.learned = age >= params.baseline_ms && f64::from(lane.operations) >= params.min_operations;
            } else if lane.today.count > 0 && lock.maintenance {
                lane.today = Today::default();
            } else if lane.today.count > 0 {
                let residual = lane.today.sum / f64::from(lane.today.count);
                days.push(Day { at, site: lock.site, version: lock.labels.fw, residual });
            }
        }
        days
    }

    /// How the mean residual of a lock's day scatters.
    fn weigh(&self, at: usize, lock: &Lock) -> Option<Spread> {
        let lane = &self.state.lanes[at];
        let model = self.state.models.get(&lock.labels.model)?;
        let count = f64::from(lane.today.count);
        let slopes = model.slopes.get();
        let reach = [1.0, lane.by.reach()];
        let stretch = |at: usize| SLOPE_SPREAD * reach[at] * slopes[at] * lane.today.shift[at] / count;
        let per_operation = lane.variance(model);
        let explained = per_operation * (1.0 / count + 1.0 / f64::from(lane.main_mean().count.max(1.0)))
            + stretch(0) * stretch(0)
            + stretch(1) * stretch(1);
        Some(Spread { explained, variance: explained + model.day_variance() })
    }

    /// The evidence of each shift, and the level, with this day.
    fn with_day(&self, at: usize, residual: f64, spread: Spread, lock: &Lock) -> ([f32; EVIDENCE], f32) {
        let lane = &self.state.lanes[at];
        let z = residual / libm::sqrt(spread.variance);
        let widened =
            self.state.models.get(&lock.labels.model).map_or(1.0, |model| lane.blocks.dispersion(&model.pool));
        let (most, kept) = (2.0 * SMALL_MOST * self.params.limit, self.params.measure.kept());
        let mut evidence = lane.evidence;
        for (sum, gain) in evidence.iter_mut().zip(evidence::gains(z, widened, self.params.slack)) {
            *sum = (kept * f64::from(*sum) + gain).clamp(0.0, most) as f32;
        }
        let level = lane.level + LEVEL_SHARE * (residual as f32 - lane.level);
        (evidence, level)
    }

    /// What this evidence of a rise to this level means.
    fn judgement(&self, at: usize, evidence: f64, level: f64, now: EngineTime) -> DayJudgement {
        let lane = &self.state.lanes[at];
        let limit = self.params.limit * lane.by.evidence();
        let share = self.params.min_level / level.max(f64::MIN_POSITIVE);
        let needed = limit * (share * libm::sqrt(share)).clamp(1.0, SMALL_MOST);
        if evidence < limit {
            return DayJudgement::Quiet;
        }
        if evidence < needed || level <= 0.0 {
            return DayJudgement::BelowEffect;
        }
        let has_grown = lane.alarm.is_some_and(|(_, before)| level >= f64::from(before) + libm::log(1.5));
        if has_grown || report::is_due(lane.alarm.map(|(at_ms, _)| at_ms), now, REPEAT_MS) {
            return DayJudgement::Alarm;
        }
        DayJudgement::Quiet
    }

    /// Judges a day that lasts.
    fn look(&mut self, at: usize, residual: f64, spread: Spread, now: EngineTime, lock: &Lock) -> DayJudgement {
        let (evidence, level) = self.with_day(at, residual, spread, lock);
        let evidence = f64::from(evidence.into_iter().fold(0.0, f32::max));
        match self.judgement(at, evidence, f64::from(level), now) {
            DayJudgement::Quiet | DayJudgement::BelowEffect => DayJudgement::Quiet,
            DayJudgement::Alarm => {
                let lane = &mut self.state.lanes[at];
                lane.since = lane.since.or(lane.today.first.map(|first| (now.ms() - LOOK_MS, first)));
                lane.shown = (evidence as f32, level);
                DayJudgement::Alarm
            }
        }
    }

    /// Adds a lock's day to its evidence, and judges it.
    fn end_day(&mut self, at: usize, residual: f64, spread: Spread, now: EngineTime, lock: &Lock) -> DayJudgement {
        let Params { slack, limit, .. } = self.params;
        let (evidence, level) = self.with_day(at, residual, spread, lock);
        let lane = &mut self.state.lanes[at];
        let Some(model) = self.state.models.get_mut(&lock.labels.model) else { return DayJudgement::Quiet };
        let today = core::mem::take(&mut lane.today);
        let z = (residual / libm::sqrt(spread.variance)).clamp(-DAY_CLIP, DAY_CLIP);
        if f64::from(lane.most_evidence()) < limit / 2.0 {
            model.excess += (residual * residual).min(CLIP * CLIP * spread.variance) - spread.explained;
            model.days += 1.0;
            lane.blocks.add(z, BLOCK, &mut model.pool);
        }
        lane.evidence = evidence;
        lane.better = (f64::from(lane.better) - z - slack).max(0.0) as f32;
        let evidence = lane.most_evidence();
        if evidence == 0.0 {
            lane.since = None;
            lane.alarm = None;
            lane.noted = None;
            lane.level = residual.max(0.0) as f32;
            for mean in &mut lane.means {
                mean.value += FOLLOW * residual;
            }
        } else {
            lane.since = lane.since.or(today.first.map(|first| (now.ms() - STEP_MS, first)));
            lane.level = level;
        }
        if f64::from(lane.better) >= BETTER {
            // Better than before for days: the lock was repaired or got another battery without a report. What was
            // learned no longer holds.
            *lane = Lane::default();
            return DayJudgement::Quiet;
        }
        lane.shown = (evidence, lane.level);
        let level = f64::from(lane.level);
        self.judgement(at, f64::from(evidence), level, now)
    }

    fn report(&mut self, at: usize, spread: Spread, now: EngineTime, fleet: &Fleet, findings: &mut Findings) {
        let lane = &mut self.state.lanes[at];
        let (evidence, level) = (lane.shown.0, f64::from(lane.shown.1));
        lane.alarm = Some((now.ms(), lane.shown.1));
        let (since_ms, first) = lane.since.unwrap_or_default();
        let recent = lane.recent.iter().copied().filter(|&record| record != first);
        let records = [first].into_iter().chain(recent);
        let (slack, limit) = (self.params.slack, self.params.limit * lane.by.evidence());
        let (baseline, unit, name) = lane.usual(self.params.measure);
        let value = baseline * libm::exp(level);
        let threshold = baseline * libm::exp((slack * libm::sqrt(spread.variance)).min(level));
        let why = format!(
            "{name} {value:.0} {unit} against this lock's own {baseline:.0} {unit} ({:+.0} %), after temperature, \
             voltage and what its site \
             and firmware have in common are taken out; evidence e^{evidence:.1}, limit e^{limit:.1}",
            100.0 * (libm::exp(level) - 1.0),
        );
        let confidence = report::confidence(f64::from(evidence), limit);
        let seen = Seen { value, baseline, threshold, unit, since_ms, confidence, why };
        let device = DeviceIx(at as u32);
        findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, fleet));
    }

    /// Notes once, while a rise lasts, why nothing is reported.
    fn note(
        &mut self,
        at: usize,
        reason: DecisionReason,
        why: &str,
        now: EngineTime,
        fleet: &Fleet,
        findings: &mut Findings,
    ) {
        let lane = &mut self.state.lanes[at];
        if lane.noted.replace(reason) == Some(reason) {
            return;
        }
        let (level, (baseline, unit, _)) = (f64::from(lane.level), lane.usual(self.params.measure));
        let why = format!("{why} ({:+.0} %)", 100.0 * (libm::exp(level) - 1.0));
        let (value, threshold) = (baseline * libm::exp(level), baseline * libm::exp(self.params.min_level));
        let noted = Noted { reason, value, threshold, unit, why };
        let scope = report::device_scope(DeviceIx(at as u32), fleet);
        findings.decisions.push(report::decision(&self.rule, scope, noted, now));
    }

    fn note_moved_sites(
        &self,
        now: EngineTime,
        sites: &BTreeMap<Sym, (f64, usize)>,
        fleet: &Fleet,
        findings: &mut Findings,
    ) {
        for (&site, &(common, locks)) in sites {
            if common < self.params.min_level / 2.0 {
                continue;
            }
            let Some(name) = fleet.word(site) else { continue };
            let scope = Scope { kind: ScopeKind::Site, value: name.to_owned() };
            let rise = libm::exp(common);
            let why = format!(
                "{locks} locks of the site rose together by {:.0} %: what they share is not a fault of one lock",
                100.0 * (rise - 1.0)
            );
            let threshold = libm::exp(self.params.min_level);
            let reason = DecisionReason::CohortMoved;
            let noted = Noted { reason, value: rise, threshold, unit: "ratio", why };
            findings.decisions.push(report::decision(&self.rule, scope, noted, now));
        }
    }
}

fn commons(days: &[Day], key: fn(&Day) -> Sym) -> BTreeMap<Sym, (f64, usize)> {
    let mut groups: BTreeMap<Sym, Vec<f64>> = BTreeMap::new();
    for day in days {
        groups.entry(key(day)).or_default().push(day.residual);
    }
    groups.into_iter().map(|(key, mut values)| (key, (common(&mut values, COMMON_WEIGHT), values.len()))).collect()
}
