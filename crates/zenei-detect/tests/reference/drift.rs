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

/// Value, covariates and direction of an operation.
type Reading = (f64, [f64; 2], usize);

#[derive(Default)]
struct Lane {
    /// For each direction the values (and covariates) that make its mean; and by how much the mean has moved since.
    ways: [Vec<(f64, [f64; 2])>; 2],
    followed: f64,
    /// Squared residuals of the learning time.
    squares: Vec<f64>,
    started_ms: Option<i64>,
    learned: bool,
    today: Vec<(f64, [f64; 2], RecordRef)>,
    up: f64,
    down: f64,
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
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

impl Lane {
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
    fn operation(&mut self, said: &Said, (value, covariates, way): Reading) {
        let lane = self.lanes.entry(said.device).or_default();
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

    fn close_day(&mut self, stream: &Stream, now_ms: i64, locks: &[Lock]) {
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
        for (&site, &rise) in sites.iter().filter(|(_, rise)| **rise >= min_level / 2.0) {
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
        let today = core::mem::take(&mut lane.today);
        let count = today.len() as f64;
        let slopes = model.slopes(self.prior);
        let stretch = |at: usize| 0.3 * slopes[at] * mean(today.iter().map(|today| today.1[at]));
        let main = lane.ways[lane.main_way()].len() as f64;
        let explained =
            lane.variance(model) * (1.0 / count + 1.0 / main.max(1.0)) + stretch(0).powi(2) + stretch(1).powi(2);
        let variance = explained + model.day_variance();
        let z = (residual / variance.sqrt()).clamp(-6.0, 6.0);
        if lane.up.max(lane.down) < limit / 2.0 {
            model.excess.push((residual * residual).min(16.0 * variance) - explained);
        }
        lane.up = (lane.up + z - slack).clamp(0.0, 3.0 * limit);
        lane.down = (lane.down - z - slack).max(0.0);
        if lane.up == 0.0 {
            (lane.since, lane.alarm, lane.level, lane.noted) = (None, None, residual.max(0.0), false);
            lane.followed += 0.02 * residual;
        } else {
            lane.since = lane.since.or(Some((now_ms - DAY_MS, today[0].2)));
            lane.level += 0.6 * (residual - lane.level);
        }
        if lane.down >= limit {
            *lane = Lane::default();
            return;
        }
        let baseline = lane.mean(lane.main_way()).0.exp();
        if lane.up >= limit && lane.level < min_level {
            let scope = stream.fleet.device_id(device).to_owned();
            let (value, threshold) = (baseline * lane.level.exp(), baseline * min_level.exp());
            if !core::mem::replace(&mut lane.noted, true) {
                self.found.push(Found::noted(scope, now_ms, DecisionReason::BelowEffect, value, threshold));
            }
            return;
        }
        let grown = |(at_ms, level): (i64, f64)| now_ms - at_ms >= 7 * DAY_MS || lane.level >= level + 1.5_f64.ln();
        if lane.up < limit || !lane.alarm.is_none_or(grown) {
            return;
        }
        lane.alarm = Some((now_ms, lane.level));
        let Some((since_ms, first)) = lane.since else { return };
        let newest = &lane.recent[lane.recent.len().saturating_sub(7)..];
        let records: Vec<RecordRef> =
            std::iter::once(first).chain(newest.iter().copied().filter(|record| *record != first)).collect();
        let numbers = [baseline * lane.level.exp(), baseline, baseline * min_level.max(slack * variance.sqrt()).exp()];
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
            Moment::Close(now, locks) if now.ms() % DAY_MS == 0 => slow.close_day(stream, now.ms(), locks),
            Moment::Close(..) | Moment::Happened(..) | Moment::LateError(..) | Moment::Refused(..) => {}
        }
    }
    slow.found
}

#[test]
fn resistance_is_judged_as_by_lists() {
    agree("battery-resistance", |rule, stream| {
        drift(rule, stream, EventKind::BatteryReplaced, |of| {
            Some(((of.resistance_ohm? * 1_000.0).ln(), [of.temp_c, of.discharged], 0))
        })
    });
}

#[test]
fn effort_is_judged_as_by_lists() {
    agree("motor-effort", |rule, stream| {
        drift(rule, stream, EventKind::Moved, |of| Some((of.charge_mc?.ln(), [of.temp_c, of.log_speed], of.direction)))
    });
}

#[test]
fn shape_is_judged_as_by_lists() {
    agree("profile-shape", |rule, stream| {
        drift(rule, stream, EventKind::Moved, |of| {
            Some((of.shape? + 100_f64.ln(), [of.temp_c, of.log_speed], of.direction))
        })
    });
}
