//! A battery that empties faster than it did: moisture that leaks, a radio that never sleeps, a cell that collapses.
//!
//! Each chemistry, pack and gauge has its own course, so a lock is compared with its own line, whose slope is drawn to
//! what the locks of its model lose ([`Course`]). The firmware's own estimate (percent) and the voltage at rest must
//! agree, where the lock tells both: the voltage of a new pack falls while its estimate stands, and an estimate may be
//! corrected by an update. A slope pooled over the model removes the effect of temperature on the voltage. A loss that
//! has ended is no finding. The locks of a version are also judged together, since their updates. Must not
//! know simulators, incidents or stores. Called by the engine.
use super::lanes::{Suspects, forget, lane};
use super::report::{self, REPEAT_MS, Seen, Shared};
use super::running::{Detect, Glance, Running, Spec, Window};
use super::trail::Trail;
use crate::anomaly::{Component, Domain, EVIDENCE_MAX, Findings, Scope, ScopeKind};
use crate::condition::possible;
use crate::estimate::course::{Course, Split, Usual};
use crate::estimate::median::median;
use crate::estimate::rate::Rate;
use crate::estimate::usual::{Model, Slope};
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::{Lock, RecordRef};
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_wire::{Body, EngineTime, EventKind};

/// A loss of hours shows in the voltage as far beyond its least as in percent, up to so many times: a cell that
/// collapses takes voltage with it, and a few readings that are low by chance need not agree. A deeper one is clear.
/// A guess.
const ALIKE_MOST: f64 = 2.0;
/// Days from the fall to the middle of what is known since: a loss of hours is younger. A guess: half a day of
/// readings.
const SUDDEN_DAYS: f64 = 0.25;
/// Resolution of the voltage, mV: 10 bits over 3.6 V, which small microcontrollers have.
const VOLTAGE_STEP_MV: f64 = 3.5;
/// A lock advertises many times an hour, also while its battery recovers from an operation. Its advertisements are used
/// at most every half hour, and not shortly after a heartbeat with a voltage; locks with heartbeats report every 15 min
/// to 6 h. A guess.
const ADV_PAUSE_MS: i64 = 30 * MINUTE_MS;
/// Resolution of the percentage: its unit.
const PERCENT_STEP: f64 = 1.0;
/// An estimate in wider steps, or with more noise, can't measure a loss of a few percent: the voltage is used alone
/// then. A guess.
const PERCENT_STEP_MAX: f64 = 5.0;
/// Where no voltage is told, the estimate is all that there is: a step of a tenth dates a loss of a tenth. A guess.
const PERCENT_STEP_ALONE: f64 = 10.0;
/// Standard deviations that the other measure must show of the same fall. A guess: it tells the same battery.
const AGREED: f64 = 2.0;
/// Standard deviations from which a lock departs from its line: its records are evidence from then on, and it is judged
/// by each of its readings. A guess.
const DEPARTS: f64 = 3.0;
/// Where the estimate is alone, its fall must be so many times the least one: nothing else confirms it. A guess.
const ALONE: f64 = 2.0;
/// For so long after it a lock's update counts in the judgement of a version. A guess: the time for which a rollout is
/// watched.
const ROLLOUT_MS: i64 = 21 * DAY_MS;
/// Locks of a version are judged each so often.
const ROLLOUT_EVERY_MS: i64 = 6 * HOUR_MS;
/// What an update itself may cost, percent and mV: some minutes of radio are a twentieth of a percent, and the voltage
/// recovers within hours. Guesses.
const UPDATE_PERCENT: f64 = 0.2;
const UPDATE_MV: f64 = 1.0;
/// How much more than usual a version takes, as a share, to be a finding: locks are used now more, now less. A guess.
const VERSION_SHARE: f64 = 0.5;
/// So many locks on each side are enough for the judgement of a version: their mean is a twentieth as noisy as one.
const SAMPLE: usize = 400;
/// The fewest peers for a usable median.
const PEERS_MIN: usize = 5;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "battery_drain",
        symptom: Symptom::Drain,
        looks_at: "how far the firmware's own estimate and the voltage at rest have fallen below the line that the lock \
                   and its like draw",
        parameters: &[
            Parameter {
                name: "percent_per_day",
                unit: "percent/d",
                range: 0.01..=20.0,
                meaning: "what a lock loses a day by the firmware's estimate, before the fleet has taught it",
            },
            Parameter {
                name: "mv_per_day",
                unit: "mV/d",
                range: 0.01..=100.0,
                meaning: "what a lock loses a day by the voltage at rest, before the fleet has taught it",
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
    counts_late: false,
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
    models: BTreeMap<Sym, Model>,
    /// Versions that were reported, and when.
    versions: BTreeMap<Sym, i64>,
    suspects: Suspects,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    percent: Course,
    voltage: Course,
    temp_mean: f32,
    temps: u32,
    newest: RecordRef,
    /// Whether it stood clearly below its line when it was last judged.
    departs: bool,
    trail: Trail,
    alarm_ms: Option<i64>,
}

/// The two falls together.
#[derive(Clone, Copy)]
struct Depth {
    percent: Option<Split>,
    mv: Option<Split>,
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

    /// Whether the falls are a finding, less what the like of the lock fell meanwhile.
    fn passes(&self, depth: Depth, [percent_common, mv_common]: [f64; 2]) -> bool {
        let less = |split: Split, common: f64| Split { lost: split.lost - common, ..split };
        let percent = depth.percent.map(|split| less(split, percent_common));
        let mv = depth.mv.map(|split| less(split, mv_common));
        match (percent, mv) {
            (Some(percent), Some(mv)) => {
                let (a, b) = (percent.sigmas(), mv.sigmas());
                let lasts = if a > b { percent.lasts } else { mv.lasts };
                let most = if percent.days < SUDDEN_DAYS { ALIKE_MOST } else { 1.0 };
                let times = (percent.lost / self.percent_min).clamp(1.0, most);
                let far = percent.lost >= self.percent_min && mv.lost >= times * self.mv_min;
                lasts && far && a.max(b) >= self.sigmas && a.min(b) >= AGREED
            }
            (Some(percent), None) => {
                percent.lasts && percent.lost >= ALONE * self.percent_min && percent.sigmas() >= self.sigmas
            }
            (None, Some(mv)) => mv.lasts && mv.lost >= self.mv_alone && mv.sigmas() >= self.sigmas,
            (None, None) => false,
        }
    }
}

impl Lane {
    /// The two falls; the estimate counts where its steps and its noise let it measure a few percent.
    fn depth(&self, percent: Usual, mv: Usual) -> Depth {
        Depth {
            percent: self.tells_percent().then(|| self.percent.fall(percent)).flatten(),
            mv: self.tells_mv().then(|| self.voltage.fall(mv)).flatten(),
        }
    }

    fn tells_percent(&self) -> bool {
        let most = if self.voltage.count() == 0 { PERCENT_STEP_ALONE } else { PERCENT_STEP_MAX };
        self.percent.count() > 10 && self.percent.noise().max(self.percent.step()) <= most
    }

    /// A voltage that is told a few times among many estimates confirms nothing.
    fn tells_mv(&self) -> bool {
        self.voltage.count() > 10 && 4 * self.voltage.count() >= self.percent.count()
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
            Body::State(state) => (possible(state.battery_mv), state.battery_pct, state.temp_c),
            Body::Adv(adv) => (possible(adv.battery_mv), adv.battery_pct, adv.temp_c),
            Body::Op(_) | Body::Error(_) | Body::Event(_) | Body::Gateway(_) => return,
        };
        if battery_mv.is_none() && battery_pct.is_none() {
            return;
        }
        let lane = lane(&mut self.state.lanes, glance.device);
        let now_ms = glance.now_ms;
        let is_adv = matches!(glance.row.body, Body::Adv(_));
        let last_ms = lane.voltage.at_ms().max(lane.percent.at_ms());
        if is_adv && last_ms > 0 && now_ms - last_ms < ADV_PAUSE_MS {
            return;
        }
        let model = self.state.models.entry(glance.lock.labels.model).or_default();
        // A version that drains must not become what is usual.
        let teaches = glance.lock.updated_ms.is_none_or(|at_ms| now_ms - at_ms > ROLLOUT_MS);
        if let Some(voltage) = battery_mv {
            let told = f64::from(voltage.0);
            let mv = lane.at_20_degc(told, temp_c.map(|temp| temp.celsius()), &mut model.slope);
            lane.voltage.add(mv, told, now_ms, VOLTAGE_STEP_MV);
            model.mv.add(lane.voltage.ended().filter(|_| teaches && !lane.departs));
        }
        if let Some(percent) = battery_pct {
            let percent = f64::from(percent.0);
            lane.percent.add(percent, percent, now_ms, PERCENT_STEP);
            model.percent.add(lane.percent.ended().filter(|_| teaches && !lane.departs));
        }
        lane.newest = glance.record;
        if lane.departs {
            lane.trail.add(glance.record, now_ms);
        }
        if lane.departs || lane.voltage.is_news() || lane.percent.is_news() {
            self.state.suspects.add(glance.device);
        }
    }

    /// Judges the locks with news; called every few hours.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        let mut deep: Vec<(DeviceIx, Depth)> = Vec::new();
        for device in self.state.suspects.take() {
            let (at, lock) = (device.0 as usize, &locks[device.0 as usize]);
            let (percent, mv) = self.usual(lock);
            let lane = &mut self.state.lanes[at];
            let depth = lane.depth(percent, mv);
            lane.judged(depth, now);
            let due = report::is_due(lane.alarm_ms, now, REPEAT_MS);
            if due && !lock.maintenance && self.params.passes(depth, [0.0; 2]) {
                deep.push((device, depth));
            }
        }
        if now.ms().rem_euclid(ROLLOUT_EVERY_MS) == 0 {
            self.judge_versions(window, findings);
        }
        // Computed once: where weather drains hundreds of locks, each of them needs the list of its like.
        let mut alike: BTreeMap<(Sym, Sym), Vec<usize>> = BTreeMap::new();
        if deep.iter().any(|(device, _)| self.state.lanes[device.0 as usize].temps == 0) {
            for (at, lock) in locks.iter().enumerate().take(self.state.lanes.len()) {
                alike.entry(like(lock)).or_default().push(at);
            }
        }
        for (device, depth) in deep {
            let (at, lock) = (device.0 as usize, &locks[device.0 as usize]);
            // A lock that tells its temperature is corrected for it.
            let common =
                if self.state.lanes[at].temps > 0 { [0.0; 2] } else { self.peers(at, &alike[&like(lock)], locks) };
            if self.params.passes(depth, common) {
                self.report(device, self.newest(depth, at, lock, common), now, fleet, findings);
            }
        }
    }
}

impl Lane {
    /// The voltage at 20 degrees; learns the slope over temperature.
    fn at_20_degc(&mut self, mv: f64, temp_c: Option<f64>, slope: &mut Slope) -> f64 {
        let Some(temp_c) = temp_c else {
            // A lock that leaves the temperature out of a record is about as warm as it was.
            return if self.temps == 0 { mv } else { mv - slope.get() * (f64::from(self.temp_mean) - 20.0) };
        };
        self.temps = self.temps.saturating_add(1);
        let share = (1.0 / self.temps as f32).max(0.02);
        let step_c = temp_c - f64::from(self.temp_mean);
        self.temp_mean += share * (temp_c as f32 - self.temp_mean);
        if self.voltage.count() > 5 && !self.departs {
            let around_mv = (mv - slope.get() * (temp_c - 20.0) - self.voltage.value()).clamp(-30.0, 30.0);
            slope.add(step_c, around_mv + slope.get() * step_c);
        }
        mv - slope.get() * (temp_c - 20.0)
    }

    /// Notes whether it stands below its line: its records from then on are the evidence.
    fn judged(&mut self, depth: Depth, now: EngineTime) {
        let most = [depth.percent, depth.mv].into_iter().flatten().map(|split| split.sigmas()).fold(0.0, f64::max);
        let departs = most >= DEPARTS;
        if departs && !self.departs {
            self.trail.add(self.newest, now.ms());
        }
        if !departs {
            self.trail.clear();
            self.alarm_ms = None;
        }
        self.departs = departs;
    }
}

impl Drain {
    /// What the locks of its model lose, by the estimate and by the voltage.
    fn usual(&self, lock: &Lock) -> (Usual, Usual) {
        let model = self.state.models.get(&lock.labels.model).copied().unwrap_or_default();
        (model.percent.usual(self.params.percent_per_day), model.mv.usual(self.params.mv_per_day))
    }

    /// The falls from where both get faster, if that alone is a finding: a cell collapses in a battery that is drained.
    fn newest(&self, depth: Depth, at: usize, lock: &Lock, common: [f64; 2]) -> Depth {
        let ((percent, mv), lane) = (self.usual(lock), &self.state.lanes[at]);
        let percent = depth.percent.and_then(|fall| lane.percent.bend(fall, percent));
        let bend = Depth { percent, mv: depth.mv.and_then(|fall| lane.voltage.bend(fall, mv)) };
        let of = |depth: &Depth| (depth.percent.is_some(), depth.mv.is_some());
        if of(&bend) == of(&depth) && self.params.passes(bend, common) { bend } else { depth }
    }

    /// The median falls of the other like locks: a fall that weather causes on all is no fault of one lock.
    fn peers(&self, of: usize, alike: &[usize], locks: &[Lock]) -> [f64; 2] {
        let (percent, mv) = self.usual(&locks[of]);
        let others = alike.iter().filter(|&&at| at != of).map(|&at| self.state.lanes[at].depth(percent, mv));
        let depths: Vec<Depth> = others.collect();
        let median_of = |of: fn(&Depth) -> Option<Split>| {
            let mut lost: Vec<f64> = depths.iter().filter_map(of).map(|split| split.lost.max(0.0)).collect();
            if lost.len() < PEERS_MIN { 0.0 } else { median(&mut lost).unwrap_or(0.0) }
        };
        [median_of(|depth| depth.percent), median_of(|depth| depth.mv)]
    }

    /// Judges each version that enough locks were updated to lately.
    fn judge_versions(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, .. } = window;
        let mut updated: BTreeMap<Sym, Vec<usize>> = BTreeMap::new();
        for (at, lock) in locks.iter().enumerate().take(self.state.lanes.len()) {
            if lock.updated_ms.is_some_and(|at_ms| now.ms() - at_ms <= ROLLOUT_MS) && lock.labels.fw != Sym::NONE {
                updated.entry(lock.labels.fw).or_default().push(at);
            }
        }
        for (fw, members) in updated {
            let due = report::is_due(self.state.versions.get(&fw).copied(), now, REPEAT_MS);
            if due && members.len() >= PEERS_MIN {
                self.judge_version(fw, &members, window, findings);
            }
        }
    }

    fn judge_version(&mut self, fw: Sym, members: &[usize], window: Window<'_>, findings: &mut Findings) {
        let Window { now, locks, fleet } = window;
        let mut times: Vec<i64> = members.iter().filter_map(|&at| locks[at].updated_ms).collect();
        times.sort_unstable();
        let (first_ms, middle_ms) = (times[0], times[times.len() / 2]);
        let inside: Vec<(usize, i64)> = members.iter().filter_map(|&at| Some((at, locks[at].updated_ms?))).collect();
        let outside: Vec<(usize, i64)> = (0..self.state.lanes.len())
            .filter(|&at| locks[at].labels.fw != fw && locks[at].updated_ms.is_none_or(|at_ms| at_ms < first_ms))
            .map(|at| (at, middle_ms))
            .collect();
        let far = |rate: Rate| rate.extra >= VERSION_SHARE * rate.usual;
        let clear = |rate: Rate| far(rate) && rate.sigmas() >= self.params.sigmas;
        let agrees = |rate: Rate| far(rate) && rate.sigmas() >= AGREED;
        let percent = self.together(&inside, &outside, locks, true);
        // The voltage can't pass alone where charge is told: it need not be looked at.
        if percent.is_some_and(|rate| !clear(rate) && !agrees(rate)) {
            return;
        }
        let mv = self.together(&inside, &outside, locks, false);
        let passes = match (percent, mv) {
            (Some(percent), Some(mv)) => clear(percent) && agrees(mv) || clear(mv) && agrees(percent),
            (Some(rate), None) | (None, Some(rate)) => clear(rate),
            (None, None) => false,
        };
        let (Some(rate), Some(name), true) = (percent.or(mv), fleet.word(fw), passes) else { return };
        self.state.versions.insert(fw, now.ms());
        let evidence: Vec<_> = inside
            .iter()
            .take(EVIDENCE_MAX)
            .flat_map(|&(at, _)| report::evidence(DeviceIx(at as u32), fleet, [self.state.lanes[at].newest]))
            .collect();
        let unit = if percent.is_some() { "percent/d" } else { "mV/d" };
        let threshold = (VERSION_SHARE * rate.usual).max(self.params.sigmas.min(rate.sigmas()) * rate.noise);
        let why = format!(
            "{} locks that were updated to firmware {name} lose {:.2} {unit} more than by their own past, less what \
             locks of other versions lose more meanwhile, where {:.2} are usual; {:.1} standard deviations",
            members.len(),
            rate.extra,
            rate.usual,
            rate.sigmas()
        );
        let scope = Scope { kind: ScopeKind::Fw, value: name.to_owned() };
        let of = Shared { scope, domain: Domain::Firmware, component: Component::FwImage };
        let (value, since_ms) = (rate.extra, first_ms);
        let seen = Seen { value, baseline: 0.0, threshold, unit, since_ms, confidence: 0.9, why };
        findings.anomalies.extend(report::shared(&self.rule, of, seen, evidence, now));
    }

    /// What the locks of a version lose a day since their updates beyond their own lines, less the same of the others;
    /// `None` of fewer than five.
    fn together(
        &self,
        inside: &[(usize, i64)],
        outside: &[(usize, i64)],
        locks: &[Lock],
        percent: bool,
    ) -> Option<Rate> {
        let toll = if percent { UPDATE_PERCENT } else { UPDATE_MV };
        let rate = |group: &[(usize, i64)], toll: f64| {
            let of = |&(at, since_ms): &(usize, i64)| {
                let (lane, (of_percent, of_mv)) = (&self.state.lanes[at], self.usual(&locks[at]));
                let (tells, course, usual) = match percent {
                    true => (lane.tells_percent(), &lane.percent, of_percent),
                    false => (lane.tells_mv(), &lane.voltage, of_mv),
                };
                let split = tells.then(|| course.fall_since(since_ms, usual)).flatten()?;
                Some((split, usual.per_day))
            };
            let step = group.len().div_ceil(SAMPLE).max(1);
            Rate::of(&group.iter().step_by(step).filter_map(of).collect::<Vec<_>>(), toll)
        };
        let (inside, outside) = (rate(inside, toll)?, rate(outside, 0.0));
        Some(inside.less(outside))
    }

    fn report(&mut self, device: DeviceIx, depth: Depth, now: EngineTime, fleet: &Fleet, findings: &mut Findings) {
        let lane = &mut self.state.lanes[device.0 as usize];
        lane.alarm_ms = Some(now.ms());
        let (split, value, unit, least) = match (depth.percent, depth.mv) {
            (Some(percent), _) => (percent, lane.percent.value(), "percent", self.params.percent_min),
            (None, Some(mv)) => (mv, lane.voltage.value(), "mV", self.params.mv_alone),
            (None, None) => return,
        };
        // After a collapse the smoothed value is still on its way down.
        let value = value.min(split.expected - split.lost);
        let days = ((now.ms() - split.since_ms) as f64 / DAY_MS as f64).max(0.25);
        let limit = least.max(self.params.sigmas.min(split.sigmas()) * split.noise);
        let threshold = split.expected - limit;
        let life = if unit == "percent" { split.remaining(value, days) } else { String::new() };
        let mv = depth.mv.map_or(0.0, |mv| mv.lost);
        let why = format!(
            "the battery lies {:.1} {unit} below the line of its own past and of its like since {days:.1} days, \
             {:.1} standard deviations, and {mv:.0} mV at rest: {value:.0} {unit} against {:.0}{life}",
            split.lost,
            split.sigmas(),
            split.expected
        );
        let (baseline, since_ms) = (split.expected, split.since_ms);
        let sure = report::confidence(split.lost, limit);
        let seen = Seen { value, baseline, threshold, unit, since_ms, confidence: sure, why };
        let records = lane.trail.records();
        findings.anomalies.extend(report::anomaly(&self.rule, device, seen, records, now, fleet));
    }
}

/// The group of locks that weather and use affect alike: site and model.
fn like(lock: &Lock) -> (Sym, Sym) {
    (lock.site, lock.labels.model)
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;
