//! A battery that empties faster than a healthy lock empties it: moisture that leaks, a radio that never sleeps, a cell
//! that collapses.
//!
//! The firmware's own estimate (percent) is nearly linear in the charge for every chemistry, so a day's loss of it
//! means the same at each state of charge; the voltage at rest confirms it, and is used alone where the firmware
//! reports no estimate. Both are measured as a fall below what a healthy lock may lose. A slope pooled over the model
//! removes the effect of temperature on the voltage. Must not know simulators, incidents or stores. Called by the
//! engine.
use super::lanes::{Suspects, forget, lane};
use super::report::{self, REPEAT_MS, Seen, Shared};
use super::running::{Detect, Glance, Running, Spec, Window};
use super::trail::Trail;
use crate::anomaly::{Component, Domain, EVIDENCE_MAX, Findings, Scope, ScopeKind};
use crate::condition::possible;
use crate::estimate::fall::Fall;
use crate::estimate::median::median;
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::Lock;
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_wire::{Body, EngineTime, EventKind};

/// Resolution of the voltage, mV: 10 bits over 3.6 V, which small microcontrollers have.
const VOLTAGE_STEP_MV: f64 = 3.5;
/// A lock advertises many times an hour, also while its battery recovers from an operation. Its advertisements are used
/// at most every half hour, and not shortly after a heartbeat with a voltage; locks with heartbeats report every 15 min
/// to 6 h. A guess.
const ADV_PAUSE_MS: i64 = 30 * MINUTE_MS;
/// Resolution of the percentage: its unit.
const PERCENT_STEP: f64 = 1.0;
/// An estimate in steps wider than this can't measure a loss of a few percent: the voltage is used alone then. A guess.
const PERCENT_NOISE_MAX: f64 = 4.0;
/// Weight of the prior slope over temperature, K² of summed squares: a hundred readings at a spread of 5 K. A guess.
const PRIOR_WEIGHT_K2: f64 = 2_500.0;
/// The prior slope, mV per K: the open-circuit voltage of lithium manganese dioxide and of alkaline pairs falls by half
/// to one millivolt a kelvin of cooling.
const PRIOR_MV_PER_K: f64 = 0.8;
/// A version drains batteries when the median fall of its updated locks is this share of the fall that is a finding for
/// one lock. A guess: the median of many is far less noisy than one.
const VERSION_SHARE: f64 = 0.4;
/// The fewest peers for a usable median.
const PEERS_MIN: usize = 5;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "battery_drain",
        symptom: Symptom::Drain,
        looks_at: "how far the firmware's own estimate and the voltage at rest have fallen below what a healthy lock \
                   may lose, less what like locks of the site have fallen meanwhile",
        parameters: &[
            Parameter {
                name: "percent_per_day",
                unit: "percent/d",
                range: 0.01..=20.0,
                meaning: "what a healthy lock may lose a day, by the firmware's estimate",
            },
            Parameter {
                name: "mv_per_day",
                unit: "mV/d",
                range: 0.01..=100.0,
                meaning: "what a healthy lock may lose a day, by the voltage at rest",
            },
            Parameter {
                name: "percent_min",
                unit: "percent",
                range: 1.0..=100.0,
                meaning: "the least loss beyond that which is a finding",
            },
            Parameter {
                name: "mv_min",
                unit: "mV",
                range: 0.0..=2_000.0,
                meaning: "how far the voltage must have fallen with it",
            },
            Parameter {
                name: "mv_alone",
                unit: "mV",
                range: 1.0..=2_000.0,
                meaning: "the least fall of the voltage that is a finding where the firmware gives no estimate",
            },
            Parameter {
                name: "sigmas",
                unit: "sigma",
                range: 1.0..=100.0,
                meaning: "how many standard deviations of its noise a departure must have",
            },
        ],
        reads_field: false,
    },
    reset_by: &[EventKind::Installed, EventKind::BatteryReplaced],
    every_ms: 2 * HOUR_MS,
    counts_late_errors: false,
    counts_unreadable: false,
    make: |spec, rule| Drain::start(spec, rule, Params::of(rule)),
};

type Drain = Running<Params, State>;

struct Params {
    percent_per_day: f64,
    mv_per_day: f64,
    percent_min: f64,
    mv_min: f64,
    mv_alone: f64,
    sigmas: f64,
}

/// The state that a snapshot stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    slopes: BTreeMap<Sym, Slope>,
    /// Versions that were reported, and when.
    versions: BTreeMap<Sym, i64>,
    suspects: Suspects,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    percent: Fall,
    voltage: Fall,
    temp_mean: f32,
    temps: u32,
    trail: Trail,
    alarm_ms: Option<i64>,
    noted: bool,
}

/// Millivolts per kelvin, from differences of neighbouring readings: a slow discharge has no influence.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Slope {
    squares: f64,
    products: f64,
}

impl Slope {
    fn get(&self) -> f64 {
        (self.products + PRIOR_WEIGHT_K2 * PRIOR_MV_PER_K) / (self.squares + PRIOR_WEIGHT_K2)
    }
}

/// The two falls together.
struct Depth {
    percent: Option<f64>,
    mv: f64,
    passes: bool,
}

impl Params {
    fn of(rule: &Rule) -> Result<Self, MissingParameter> {
        Ok(Self {
            percent_per_day: rule.parameter("percent_per_day")?,
            mv_per_day: rule.parameter("mv_per_day")?,
            percent_min: rule.parameter("percent_min")?,
            mv_min: rule.parameter("mv_min")?,
            mv_alone: rule.parameter("mv_alone")?,
            sigmas: rule.parameter("sigmas")?,
        })
    }
}

impl Detect for Drain {
    /// Removes the state: another battery, or another lock.
    fn reset(&mut self, device: DeviceIx) {
        forget(&mut self.state.lanes, device);
    }

    /// Takes a heartbeat or an advertisement.
    fn row(&mut self, glance: &Glance<'_>) {
        let (battery_mv, battery_pct, temp_c) = match &glance.row.body {
            Body::State(state) => (state.battery_mv, state.battery_pct, state.temp_c),
            Body::Adv(adv) => (adv.battery_mv, adv.battery_pct, adv.temp_c),
            Body::Op(_) | Body::Error(_) | Body::Event(_) | Body::Gateway(_) => return,
        };
        let Some(voltage) = possible(battery_mv) else { return };
        let lane = lane(&mut self.state.lanes, glance.device);
        let is_adv = matches!(glance.row.body, Body::Adv(_));
        if is_adv && lane.voltage.count() > 0 && glance.now_ms - lane.voltage.at_ms() < ADV_PAUSE_MS {
            return;
        }
        let mut mv = f64::from(voltage.0);
        if let Some(temp) = temp_c {
            let temp_c = temp.celsius();
            let slope = self.state.slopes.entry(glance.lock.labels.model).or_default();
            lane.temps = lane.temps.saturating_add(1);
            let share = (1.0 / lane.temps as f32).max(0.02);
            let step_c = temp_c - f64::from(lane.temp_mean);
            lane.temp_mean += share * (temp_c as f32 - lane.temp_mean);
            if lane.voltage.count() > 5 && lane.alarm_ms.is_none() {
                let around_mv = (mv - slope.get() * step_c - lane.voltage.value()).clamp(-30.0, 30.0);
                slope.squares += step_c * step_c;
                slope.products += step_c * (around_mv + slope.get() * step_c);
            }
            // Referred to a fixed temperature, so that the lock's mean may move.
            mv -= slope.get() * (temp_c - 20.0);
        }
        let now_ms = glance.now_ms;
        lane.voltage.add(mv, now_ms, self.params.mv_per_day, VOLTAGE_STEP_MV);
        if let Some(percent) = battery_pct {
            lane.percent.add(f64::from(percent.0), now_ms, self.params.percent_per_day, PERCENT_STEP);
        }
        if lane.voltage.depth() <= 0.0 {
            lane.trail.clear();
            lane.alarm_ms = None;
            lane.noted = false;
        } else if lane.voltage.depth() > 2.0 * lane.voltage.noise_of_depth() {
            lane.trail.add(glance.record, now_ms);
            if self.depth(&self.state.lanes[glance.device.0 as usize], 0.0, 0.0).passes {
                self.state.suspects.add(glance.device);
            }
        }
    }

    /// Judges the locks whose last heartbeat was deep; called every few hours.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        let mut suspects = self.state.suspects.take();
        suspects.retain(|device| {
            let (lane, lock) = (&self.state.lanes[device.0 as usize], &locks[device.0 as usize]);
            let due = report::is_due(lane.alarm_ms, now, REPEAT_MS);
            due && !lock.maintenance && self.depth(lane, 0.0, 0.0).passes
        });
        if suspects.is_empty() {
            return;
        }
        // Computed once: where a version drains hundreds of locks, each of them needs the list of its like.
        let mut alike: BTreeMap<(Sym, Sym), Vec<usize>> = BTreeMap::new();
        for (at, lock) in locks.iter().enumerate().take(self.state.lanes.len()) {
            alike.entry(like(lock)).or_default().push(at);
        }
        let mut versions: BTreeMap<Sym, Option<i64>> = BTreeMap::new();
        for device in suspects {
            let at = device.0 as usize;
            let (percent, mv) = self.peers(at, &alike[&like(&locks[at])]);
            let depth = self.depth(&self.state.lanes[at], percent, mv);
            if !depth.passes {
                continue;
            }
            // A loss that all locks of a version have is attributed to the version and reported once; a single lock is
            // reported only when it stands out from them.
            let fw = locks[at].labels.fw;
            let since_ms = *versions.entry(fw).or_insert_with(|| self.version_drains(fw, locks));
            match since_ms {
                Some(since_ms) => self.report_version(fw, since_ms, now, locks, fleet, findings),
                None => self.report(device, &depth, now, fleet, findings),
            }
        }
    }
}

impl Drain {
    /// Whether half of the locks that were updated to a version lose more than they may while others don't; since when.
    fn version_drains(&self, fw: Sym, locks: &[Lock]) -> Option<i64> {
        let fall =
            |lane: &Lane| lane.percent.depth() / self.params.percent_min + lane.voltage.depth() / self.params.mv_alone;
        let known = || self.state.lanes.iter().zip(locks).filter(|(lane, _)| lane.voltage.count() > 10);
        let updated = |lock: &Lock| lock.labels.fw == fw && lock.updated_ms.is_some();
        let mut inside: Vec<f64> = known().filter(|(_, lock)| updated(lock)).map(|(lane, _)| fall(lane)).collect();
        let mut others: Vec<f64> =
            known().filter(|(_, lock)| lock.labels.fw != fw).map(|(lane, _)| fall(lane)).collect();
        if inside.len() < PEERS_MIN || others.len() < PEERS_MIN {
            return None;
        }
        let (inside, others) = (median(&mut inside)?, median(&mut others)?);
        let stands_out = inside >= VERSION_SHARE && inside >= 4.0 * others;
        let since = known().filter(|(_, lock)| updated(lock)).filter_map(|(_, lock)| lock.updated_ms).min();
        since.filter(|_| fw != Sym::NONE && stands_out)
    }

    fn report_version(
        &mut self,
        fw: Sym,
        since_ms: i64,
        now: EngineTime,
        locks: &[Lock],
        fleet: &Fleet,
        findings: &mut Findings,
    ) {
        if !report::is_due(self.state.versions.get(&fw).copied(), now, REPEAT_MS) {
            return;
        }
        self.state.versions.insert(fw, now.ms());
        let Some(name) = fleet.word(fw) else { return };
        let affected = self.state.lanes.iter().zip(locks).enumerate().filter(|(_, (lane, lock))| {
            lock.labels.fw == fw && lock.updated_ms.is_some() && lane.percent.depth() >= 0.5 * self.params.percent_min
        });
        let evidence: Vec<_> = affected
            .clone()
            .take(EVIDENCE_MAX)
            .flat_map(|(at, (lane, _))| report::evidence(DeviceIx(at as u32), fleet, lane.trail.records().take(1)))
            .collect();
        let mut depths: Vec<f64> = affected.map(|(_, (lane, _))| lane.percent.depth()).collect();
        let count = depths.len();
        let Some(value) = median(&mut depths) else { return };
        let scope = Scope { kind: ScopeKind::Fw, value: name.to_owned() };
        let of = Shared { scope, domain: Domain::Firmware, component: Component::FwImage };
        let threshold = VERSION_SHARE * self.params.percent_min;
        let why = format!(
            "{count} locks that were updated to firmware {name} lost {value:.0} points more than a healthy lock may \
             ({:.1} a day) since; locks of other versions did \
             not",
            self.params.percent_per_day
        );
        let seen = Seen { value, baseline: 0.0, threshold, unit: "percent", since_ms, confidence: 0.9, why };
        findings.anomalies.extend(report::shared(&self.rule, of, seen, evidence, now));
    }

    fn depth(&self, lane: &Lane, percent_common: f64, mv_common: f64) -> Depth {
        let mv = lane.voltage.depth() - mv_common;
        let mv_noise = lane.voltage.noise_of_depth();
        let percent_known = lane.percent.count() > 10 && lane.percent.noise() <= PERCENT_NOISE_MAX;
        if !percent_known {
            let passes = lane.voltage.count() > 10 && mv >= self.params.mv_alone.max(self.params.sigmas * mv_noise);
            return Depth { percent: None, mv, passes };
        }
        let percent = lane.percent.depth() - percent_common;
        let passes = percent >= self.params.percent_min.max(self.params.sigmas * lane.percent.noise_of_depth())
            && mv >= self.params.mv_min.max(0.5 * self.params.sigmas * mv_noise);
        Depth { percent: Some(percent), mv, passes }
    }

    /// The median falls of the other like locks: a fall that weather causes on all is no fault of one lock.
    fn peers(&self, of: usize, alike: &[usize]) -> (f64, f64) {
        let peers = || alike.iter().filter(|&&at| at != of).map(|&at| &self.state.lanes[at]);
        let mut percents: Vec<f64> = peers().map(|lane| lane.percent.depth()).collect();
        let mut mvs: Vec<f64> = peers().map(|lane| lane.voltage.depth()).collect();
        if mvs.len() < PEERS_MIN {
            return (0.0, 0.0);
        }
        (median(&mut percents).unwrap_or(0.0), median(&mut mvs).unwrap_or(0.0))
    }

    fn report(&mut self, device: DeviceIx, depth: &Depth, now: EngineTime, fleet: &Fleet, findings: &mut Findings) {
        let lane = &mut self.state.lanes[device.0 as usize];
        lane.alarm_ms = Some(now.ms());
        let since_ms = lane.trail.since_ms().unwrap_or(lane.voltage.since_ms());
        let days = ((now.ms() - since_ms) as f64 / DAY_MS as f64).max(0.5);
        let seen = match depth.percent {
            Some(percent) => {
                let (value, baseline) = (lane.percent.value(), lane.percent.reference());
                let threshold =
                    baseline - self.params.percent_min.max(self.params.sigmas * lane.percent.noise_of_depth());
                let life =
                    remaining(value, percent + self.params.percent_per_day * days, lane.percent.noise_of_depth(), days);
                let why = format!(
                    "the battery lost {percent:.0} points more in {days:.1} days than the {:.1} a day that a healthy \
                     lock may, and {:.0} mV at rest more than \
                     it should: {value:.0} % against {baseline:.0} %; {life}",
                    self.params.percent_per_day, depth.mv
                );
                let sure = report::confidence(percent, baseline - threshold);
                Seen { value, baseline, threshold, unit: "percent", since_ms, confidence: sure, why }
            }
            None => {
                let (value, baseline) = (lane.voltage.value(), lane.voltage.reference());
                let limit_mv = self.params.mv_alone.max(self.params.sigmas * lane.voltage.noise_of_depth());
                let why = format!(
                    "the battery at rest fell {:.0} mV below what a healthy lock may lose ({:.1} mV a day) in \
                     {days:.1} days: {value:.0} mV against \
                     {baseline:.0} mV, referred to 20 degC",
                    depth.mv, self.params.mv_per_day
                );
                let sure = report::confidence(depth.mv, limit_mv);
                Seen { value, baseline, threshold: baseline - limit_mv, unit: "mV", since_ms, confidence: sure, why }
            }
        };
        let records = lane.trail.records();
        findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, fleet));
    }
}

/// The group of locks that weather and use affect alike: site and model.
fn like(lock: &Lock) -> (Sym, Sym) {
    (lock.site, lock.labels.model)
}

/// How long the remaining charge lasts at the present loss, as an interval of two standard deviations.
fn remaining(percent: f64, lost: f64, noise: f64, days: f64) -> String {
    let at = |lost: f64| if lost > 0.0 { percent.max(0.0) / (lost / days) } else { f64::INFINITY };
    let (soon, late) = (at(lost + 2.0 * noise), at(lost - 2.0 * noise));
    if late.is_finite() && late < 1_000.0 {
        format!("at this rate it is empty in {soon:.0} to {late:.0} days")
    } else {
        format!("at this rate it is empty in {soon:.0} days at the earliest")
    }
}
