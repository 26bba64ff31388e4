//! A slow version of the detector `drift`, over lists: every operation of a lock and of its model is stored; means,
//! variances and slopes are computed from the lists each time.
use super::estimators::{Observation, median_by_sorting, slopes_by_elimination};
use super::stream::{Found, Moment, Said, Stream, agree};
use std::collections::BTreeMap;
use zenei_detect::anomaly::DecisionReason;
use zenei_detect::fleet::{DeviceIx, Sym};
use zenei_detect::lock::{Lock, Operation, RecordRef};
use zenei_detect::rules::Rule;
use zenei_wire::EventKind;

const DAY_MS: i64 = 86_400_000;
const STEP_MS: i64 = DAY_MS / 2;
const LOOK_MS: i64 = DAY_MS / 4;

/// Value, covariates and direction of an operation, and what it was read from: 0 all of it.
type Reading = (f64, [f64; 2], usize, u8);

#[derive(Default)]
struct Lane {
    /// What each operation since the start was read from; what the first was is watched.
    told: Vec<u8>,
    /// For each direction the values (and covariates) that make its mean; and by how much the mean has moved since.
    ways: [Vec<(f64, [f64; 2])>; 2],
    followed: f64,
    /// Squared residuals of the learning time.
    squares: Vec<f64>,
    started_ms: Option<i64>,
    learned: bool,
    today: Vec<(f64, [f64; 2], RecordRef)>,
    /// What each step adds to the evidence of each shift.
    gains: Vec<[f64; 4]>,
    better: f64,
    /// The steps that make blocks, in standard deviations.
    steps: Vec<f64>,
    level: f64,
    since: Option<(i64, RecordRef)>,
    recent: Vec<RecordRef>,
    alarm: Option<(i64, f64)>,
    noted: bool,
}

/// All observations of a model.
#[derive(Default)]
struct Model {
    observations: Vec<Observation>,
    squares: Vec<f64>,
    excess: Vec<f64>,
    /// The squares of the blocks of all its locks.
    blocks: Vec<f64>,
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

/// Page's sum for each shift, from the steps' gains, which are forgotten within so many steps; of them the largest.
fn evidence(gains: &[[f64; 4]], most: f64, steps: f64) -> f64 {
    let sum = |at: usize| gains.iter().fold(0.0_f64, |sum, gain| (sum - sum / steps + gain[at]).clamp(0.0, most));
    (0..4).map(sum).fold(0.0, f64::max)
}

/// How many steps evidence lasts.
fn memory(rule: &Rule) -> f64 {
    if rule.id == "profile-shape" { 60.0 } else { f64::INFINITY }
}

/// The squares of the means of each eight steps, over the variance that independent steps would give them.
fn blocks(steps: &[f64]) -> Vec<f64> {
    steps.chunks_exact(8).map(|block| (block.iter().sum::<f64>().powi(2) / 8.0).min(9.0)).collect()
}

fn dispersion(blocks: &[f64], prior: f64) -> f64 {
    ((blocks.iter().sum::<f64>() + 10.0 * prior) / (blocks.len() as f64 + 10.0)).max(1.0)
}

impl Lane {
    /// Whether an operation that is read from this belongs to what is watched; begins anew with it once twenty more
    /// than not were read from something else.
    fn takes(&mut self, from: u8) -> bool {
        self.told.push(from);
        let first = self.told[0];
        let of_others = |lead: i32, &one: &u8| if one == first { (lead - 1).max(-20) } else { lead + 1 };
        if self.told[1..].iter().fold(0, of_others) >= 20 {
            *self = Self { told: vec![from], ..Self::default() };
        }
        self.told[0] == from
    }

    /// What is told in part is confirmed by nothing, and needs more.
    fn full(&self, limit: f64) -> f64 {
        if self.told.first() == Some(&0) { limit } else { 1.25 * limit }
    }

    /// What people are told is usual.
    fn usual(&self) -> f64 {
        if self.told.first() == Some(&0) { self.mean(self.main_way()).0.exp() } else { 100.0 }
    }

    fn mean(&self, way: usize) -> (f64, [f64; 2]) {
        let all = || self.ways[way].iter();
        let value = mean(all().map(|of| of.0));
        (value + self.followed, [mean(all().map(|of| of.1[0])), mean(all().map(|of| of.1[1]))])
    }

    /// The direction with more operations; of equal ones the first.
    fn main_way(&self) -> usize {
        usize::from(self.ways[1].len() > self.ways[0].len())
    }

    fn variance(&self, model: &Model) -> f64 {
        (self.squares.iter().sum::<f64>() + 20.0 * model.variance()) / (self.squares.len() as f64 + 20.0)
    }
}

impl Model {
    fn variance(&self) -> f64 {
        (self.squares.iter().sum::<f64>() + 20.0 * 0.04) / (self.squares.len() as f64 + 20.0)
    }

    fn day_variance(&self) -> f64 {
        (self.excess.iter().sum::<f64>() / (self.excess.len() as f64).max(1.0)).max(1e-4)
    }

    fn slopes(&self, prior: [f64; 2]) -> [f64; 2] {
        slopes_by_elimination(&self.observations, prior, [50.0 * 25.0, 50.0 * 0.0025])
    }
}

/// What operations and slopes explain of the variance of a step's mean, and all of it.
fn scatter(lane: &Lane, model: &Model, prior: [f64; 2]) -> (f64, f64) {
    let today = &lane.today;
    let count = today.len() as f64;
    let slopes = model.slopes(prior);
    // A run time alone (2) changes with the speed by the inverse of what a winding loses.
    let times = [1.0, if lane.told.first() == Some(&2) { 1.0 / 0.3 } else { 1.0 }];
    let stretch = |at: usize| 0.3 * times[at] * slopes[at] * mean(today.iter().map(|today| today.1[at]));
    let main = lane.ways[lane.main_way()].len() as f64;
    let explained =
        lane.variance(model) * (1.0 / count + 1.0 / main.max(1.0)) + stretch(0).powi(2) + stretch(1).powi(2);
    (explained, explained + model.day_variance())
}

/// What the members of each group have in common.
fn common(days: &[(DeviceIx, Sym, f64)]) -> BTreeMap<Sym, f64> {
    let groups: std::collections::BTreeSet<Sym> = days.iter().map(|day| day.1).collect();
    let of = |group: Sym| {
        let values: Vec<f64> = days.iter().filter(|day| day.1 == group).map(|day| day.2).collect();
        let count = values.len() as f64;
        (group, median_by_sorting(&values).unwrap_or(0.0) * count / (count + 4.0))
    };
    groups.into_iter().map(of).collect()
}

struct Slow<'a> {
    rule: &'a Rule,
    prior: [f64; 2],
    lanes: BTreeMap<DeviceIx, Lane>,
    models: BTreeMap<Sym, Model>,
    found: Vec<Found>,
}

impl Slow<'_> {
    fn operation(&mut self, said: &Said, (value, covariates, way, from): Reading) {
        let lane = self.lanes.entry(said.device).or_default();
        if !lane.takes(from) {
            return;
        }
        let model = self.models.entry(said.lock.labels.model).or_default();
        lane.started_ms.get_or_insert(said.now_ms);
        let count = lane.ways[way].len() as f64;
        if count < 3.0 {
            lane.ways[way].push((value - lane.followed, covariates));
            return;
        }
        let (usual, around) = lane.mean(way);
        let shift = [covariates[0] - around[0], covariates[1] - around[1]];
        let slopes = model.slopes(self.prior);
        let explained = slopes[0] * shift[0] + slopes[1] * shift[1];
        let reach = 4.0 * lane.variance(model).sqrt();
        let level = if lane.learned { lane.level } else { 0.0 };
        let around = (value - usual - explained - level).clamp(-reach, reach);
        let residual = level + around;
        let share = count / (count + 1.0);
        model.observations.push((share, shift, explained + around));
        if !lane.learned {
            model.squares.push(share * residual * residual);
            lane.squares.push(share * residual * residual);
            lane.ways[way].push((usual + explained + residual - lane.followed, covariates));
            return;
        }
        lane.today.push((residual, shift, said.record));
        lane.recent.push(said.record);
    }

    fn close(&mut self, stream: &Stream, now_ms: i64, locks: &[Lock]) {
        let mut days = Vec::new();
        for (&device, lane) in &mut self.lanes {
            let lock = &locks[device.0 as usize];
            if !lane.learned {
                let age_ms = lane.started_ms.map_or(0, |started_ms| now_ms - started_ms) as f64;
                let enough = lane.squares.len() as f64 >= self.rule.parameter("min_operations").unwrap();
                lane.learned = enough && age_ms >= self.rule.parameter("baseline_days").unwrap() * DAY_MS as f64;
            } else if lock.maintenance {
                lane.today.clear();
            } else if !lane.today.is_empty() {
                days.push((device, lock.site, mean(lane.today.iter().map(|today| today.0))));
            }
        }
        let sites = common(&days);
        let min_level = (1.0 + self.rule.parameter("min_effect").unwrap()).ln();
        let ends = now_ms % STEP_MS == 0;
        for (&site, &rise) in sites.iter().filter(|(_, rise)| ends && **rise >= min_level / 2.0) {
            let scope = stream.fleet.word(site).unwrap_or_default().to_owned();
            let reason = DecisionReason::CohortMoved;
            self.found.push(Found::noted(scope, now_ms, reason, rise.exp(), min_level.exp()));
        }
        for day in &mut days {
            (day.1, day.2) = (locks[day.0.0 as usize].labels.fw, day.2 - sites[&day.1]);
        }
        let versions = common(&days);
        for (device, version, residual) in days {
            self.judge(stream, device, residual - versions[&version], now_ms, &locks[device.0 as usize]);
        }
    }

    fn judge(&mut self, stream: &Stream, device: DeviceIx, residual: f64, now_ms: i64, lock: &Lock) {
        let (slack, limit) = (self.rule.parameter("slack").unwrap(), self.rule.parameter("limit").unwrap());
        let min_level = (1.0 + self.rule.parameter("min_effect").unwrap()).ln();
        let (Some(lane), Some(model)) = (self.lanes.get_mut(&device), self.models.get_mut(&lock.labels.model)) else {
            return;
        };
        let (explained, variance) = scatter(lane, model, self.prior);
        let first = lane.today[0].2;
        let z = (residual / variance.sqrt()).clamp(-5.0, 5.0);
        let (full, most, memory) = (lane.full(limit), 12.0 * limit, memory(self.rule));
        let widened = dispersion(&blocks(&lane.steps), dispersion(&model.blocks, 1.0));
        // The large shift is looked for in the wider noise, and cut there.
        let of_days = (residual / (variance * widened).sqrt()).clamp(-5.0, 5.0);
        let small = [slack, 2.0 * slack, 4.0 * slack].map(|shift| shift * (z - shift / 2.0) / widened);
        let gain = [small[0], small[1], small[2], 4.0 * slack * (of_days - 2.0 * slack)];
        let before = evidence(&lane.gains, most, memory);
        lane.gains.push(gain);
        let now = evidence(&lane.gains, most, memory);
        let level = lane.level + 0.6 * (residual - lane.level);
        let ends = now_ms % STEP_MS == 0;
        let needed = |level: f64| full * (min_level / level).powf(1.5).clamp(1.0, 6.0);
        let is_due = |lane: &Lane, level: f64| {
            lane.alarm.is_none_or(|(at_ms, was)| now_ms - at_ms >= 7 * DAY_MS || level >= was + 1.5_f64.ln())
        };
        if !ends {
            lane.gains.pop();
            if now < full || level <= 0.0 || now < needed(level) || !is_due(lane, level) {
                return;
            }
            lane.since = lane.since.or(Some((now_ms - LOOK_MS, first)));
        } else {
            lane.today.clear();
            if before < limit / 2.0 {
                model.excess.push((residual * residual).min(16.0 * variance) - explained);
                lane.steps.push(z);
                if lane.steps.len().is_multiple_of(8) {
                    model.blocks.extend(blocks(&lane.steps).last());
                }
            }
            lane.better = (lane.better - z - slack).max(0.0);
            if now == 0.0 {
                (lane.since, lane.alarm, lane.level, lane.noted) = (None, None, residual.max(0.0), false);
                lane.followed += 0.01 * residual;
            } else {
                lane.since = lane.since.or(Some((now_ms - STEP_MS, first)));
                lane.level = level;
            }
            if lane.better >= 10.0 {
                *lane = Lane::default();
                return;
            }
        }
        let level = if ends { lane.level } else { level };
        let baseline = lane.usual();
        if now >= full && (level <= 0.0 || now < needed(level)) {
            let scope = stream.fleet.device_id(device).to_owned();
            let (value, threshold) = (baseline * level.exp(), baseline * min_level.exp());
            if !core::mem::replace(&mut lane.noted, true) {
                self.found.push(Found::noted(scope, now_ms, DecisionReason::BelowEffect, value, threshold));
            }
            return;
        }
        if now < full || !is_due(lane, level) {
            return;
        }
        lane.alarm = Some((now_ms, level));
        let Some((since_ms, first)) = lane.since else { return };
        let newest = &lane.recent[lane.recent.len().saturating_sub(7)..];
        let records: Vec<RecordRef> =
            std::iter::once(first).chain(newest.iter().copied().filter(|record| *record != first)).collect();
        let numbers = [baseline * level.exp(), baseline, baseline * (slack * variance.sqrt()).min(level).exp()];
        self.found.push(Found::of(stream, device, now_ms, since_ms, numbers, &records));
    }
}

fn drift(rule: &Rule, stream: &Stream, voids: EventKind, read: fn(&Operation) -> Option<Reading>) -> Vec<Found> {
    let prior = [rule.parameter("slope_temperature").unwrap(), rule.parameter("slope_supply").unwrap()];
    let mut slow = Slow { rule, prior, lanes: BTreeMap::new(), models: BTreeMap::new(), found: Vec::new() };
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => {
                if let Some(reading) = said.operation.as_ref().and_then(read) {
                    slow.operation(said, reading);
                }
            }
            Moment::Happened(event, device) if *event == EventKind::Installed || *event == voids => {
                slow.lanes.remove(device);
            }
            Moment::Close(now, locks) if now.ms() % LOOK_MS == 0 => slow.close(stream, now.ms(), locks),
            Moment::Close(..) | Moment::Happened(..) | Moment::Late(..) | Moment::Refused(..) => {}
        }
    }
    slow.found
}

#[test]
fn resistance_is_judged_as_by_lists() {
    agree("battery-resistance", |rule, stream| {
        drift(rule, stream, EventKind::BatteryReplaced, |of| {
            Some(((of.resistance_ohm? * 1_000.0).ln(), [of.temp_c, of.discharged], 0, 0))
        })
    });
}

#[test]
fn effort_is_judged_as_by_lists() {
    agree("motor-effort", |rule, stream| {
        drift(rule, stream, EventKind::Moved, |of| {
            let (value, from) = match (of.charge_mc, of.mean_ma, of.run_ms) {
                (Some(charge), _, _) => (charge.ln(), 0),
                (None, Some(mean), _) => (mean.ln() / 0.7 - of.log_speed, 1),
                (None, None, run) => ((run?.ln() + 0.7 * of.log_speed) / 0.3, 2),
            };
            Some((value, [of.temp_c, of.log_speed], of.direction, from))
        })
    });
}

#[test]
fn shape_is_judged_as_by_lists() {
    agree("profile-shape", |rule, stream| {
        drift(rule, stream, EventKind::Moved, |of| {
            Some((of.shape? + 100_f64.ln(), [of.temp_c, of.log_speed], of.direction, 0))
        })
    });
}
