//! A slow version of the detector `drain`, over all readings: both falls, the slope over temperature and the medians of
//! locks are computed again from whole lists.
use super::estimators::{Fallen, fall_by_list, median_by_sorting};
use super::locks::Plan;
use super::stream::{Found, Moment, SINGLE, Said, Stream, agree_on, embedded, shown};
use std::collections::BTreeMap;
use zenei_detect::fleet::{DeviceIx, Sym};
use zenei_detect::lock::{Lock, RecordRef};
use zenei_detect::rules::Rule;
use zenei_wire::{Body, EventKind};

const DAY_MS: i64 = 86_400_000;

#[derive(Default)]
struct OneLock {
    temps_c: Vec<f64>,
    readings: Vec<Reading>,
    alarm_ms: Option<i64>,
}

struct Reading {
    at_ms: i64,
    /// At rest, referred to 20 °C.
    mv: f64,
    percent: Option<f64>,
    record: RecordRef,
    /// Depth of the voltage and the noise of it, with this reading; whether both falls were far enough.
    depth: f64,
    noise_of_depth: f64,
    passes: bool,
}

struct Slow<'a> {
    rule: &'a Rule,
    stream: &'a Stream,
    /// It also holds every lock with a lower number than the highest one with a reading.
    locks: BTreeMap<DeviceIx, OneLock>,
    /// For each model: the steps of temperature, squared, and times the step of the voltage.
    steps: BTreeMap<Sym, Vec<[f64; 2]>>,
    versions: BTreeMap<Sym, i64>,
    closed_ms: i64,
    found: Vec<Found>,
}

impl OneLock {
    fn voltage(&self, rule: &Rule) -> Fallen {
        let readings: Vec<(f64, i64)> = self.readings.iter().map(|reading| (reading.mv, reading.at_ms)).collect();
        fall_by_list(&readings, rule.parameter("mv_per_day").unwrap(), 3.5)
    }

    /// The fall of the percentage, and the number of readings.
    fn percent(&self, rule: &Rule) -> (Fallen, usize) {
        let told = self.readings.iter().filter_map(|reading| Some((reading.percent?, reading.at_ms)));
        let readings: Vec<(f64, i64)> = told.collect();
        (fall_by_list(&readings, rule.parameter("percent_per_day").unwrap(), 1.0), readings.len())
    }

    /// Whether it has fallen far enough beyond the common falls.
    fn passes(&self, rule: &Rule, [percent_common, mv_common]: [f64; 2]) -> bool {
        let (voltage, sigmas) = (self.voltage(rule), rule.parameter("sigmas").unwrap());
        let mv = voltage.depth() - mv_common;
        let Some(percent) = self.known_percent(rule) else {
            let least = rule.parameter("mv_alone").unwrap().max(sigmas * voltage.noise_of_depth());
            return self.readings.len() > 10 && mv >= least;
        };
        percent.depth() - percent_common
            >= rule.parameter("percent_min").unwrap().max(sigmas * percent.noise_of_depth())
            && mv >= rule.parameter("mv_min").unwrap().max(0.5 * sigmas * voltage.noise_of_depth())
    }

    /// The fall of the percentage, where it is usable.
    fn known_percent(&self, rule: &Rule) -> Option<Fallen> {
        let (percent, count) = self.percent(rule);
        (count > 10 && percent.noise <= 4.0).then_some(percent)
    }

    /// The clearly low records since the last one that was not low at all.
    fn low(&self) -> Vec<&Reading> {
        let top = self.readings.iter().rposition(|reading| reading.depth <= 0.0).map_or(0, |at| at + 1);
        self.readings[top..].iter().filter(|reading| reading.depth > 2.0 * reading.noise_of_depth).collect()
    }
}

impl Slow<'_> {
    fn reading(&mut self, said: &Said) {
        let (battery_mv, percent, temp_c) = match &said.row.body {
            Body::State(state) => (state.battery_mv, state.battery_pct, state.temp_c),
            Body::Adv(adv) => (adv.battery_mv, adv.battery_pct, adv.temp_c),
            Body::Op(_) | Body::Error(_) | Body::Event(_) | Body::Gateway(_) => return,
        };
        let Some(voltage) = battery_mv.filter(|voltage| (500..=18_000).contains(&voltage.0)) else { return };
        for device in (0..=said.device.0).map(DeviceIx) {
            self.locks.entry(device).or_default();
        }
        let Some(lock) = self.locks.get_mut(&said.device) else { return };
        let pause_ms = lock.readings.last().map_or(i64::MAX, |last| said.now_ms - last.at_ms);
        if matches!(said.row.body, Body::Adv(_)) && pause_ms < 30 * 60_000 {
            return;
        }
        let mut mv = f64::from(voltage.0);
        if let Some(temp_c) = temp_c.map(|temp| temp.celsius()) {
            let steps = self.steps.entry(said.lock.labels.model).or_default();
            let usual_c = mean_temp(&lock.temps_c);
            lock.temps_c.push(temp_c);
            let step_c = temp_c - usual_c;
            if lock.readings.len() > 5 && lock.alarm_ms.is_none() {
                let explained = slope(steps) * step_c;
                let around_mv = (mv - explained - lock.voltage(self.rule).value).clamp(-30.0, 30.0);
                steps.push([step_c * step_c, step_c * (around_mv + explained)]);
            }
            mv -= slope(steps) * (temp_c - 20.0);
        }
        let (at_ms, percent, record) = (said.now_ms, percent.map(|percent| f64::from(percent.0)), said.record);
        lock.readings.push(Reading { at_ms, mv, percent, record, depth: 0.0, noise_of_depth: 0.0, passes: false });
        let (fallen, passes) = (lock.voltage(self.rule), lock.passes(self.rule, [0.0; 2]));
        if let Some(newest) = lock.readings.last_mut() {
            (newest.depth, newest.noise_of_depth, newest.passes) = (fallen.depth(), fallen.noise_of_depth(), passes);
        }
        if fallen.depth() <= 0.0 {
            lock.alarm_ms = None;
        }
    }

    fn close(&mut self, now_ms: i64, locks: &[Lock]) {
        let is_suspect = |device: &DeviceIx| {
            let (lock, now) = (&self.locks[device], &locks[device.0 as usize]);
            let is_due = lock.alarm_ms.is_none_or(|at_ms| now_ms - at_ms >= 7 * DAY_MS);
            let deep = lock.readings.iter().rev().take_while(|reading| reading.at_ms >= self.closed_ms);
            let mut deep = deep.filter(|reading| reading.depth > 2.0 * reading.noise_of_depth);
            is_due && !now.maintenance && deep.any(|reading| reading.passes) && lock.passes(self.rule, [0.0; 2])
        };
        let suspects: Vec<DeviceIx> = self.locks.keys().copied().filter(is_suspect).collect();
        self.closed_ms = now_ms;
        for device in suspects {
            let common = self.peers(device, locks);
            if !self.locks[&device].passes(self.rule, common) {
                continue;
            }
            let fw = locks[device.0 as usize].labels.fw;
            match self.drains_since(fw, locks) {
                Some(since_ms) => self.report_version(fw, since_ms, now_ms, locks),
                None => self.report(device, now_ms),
            }
        }
    }

    /// The falls of the others of its model at its site.
    fn peers(&self, of: DeviceIx, locks: &[Lock]) -> [f64; 2] {
        let key = |device: DeviceIx| (locks[device.0 as usize].site, locks[device.0 as usize].labels.model);
        let is_peer = |device: &DeviceIx| *device != of && key(*device) == key(of);
        let peers: Vec<&OneLock> = self.locks.iter().filter(|(device, _)| is_peer(device)).map(|of| of.1).collect();
        if peers.len() < 5 {
            return [0.0; 2];
        }
        let percents: Vec<f64> = peers.iter().map(|lock| lock.percent(self.rule).0.depth()).collect();
        let mvs: Vec<f64> = peers.iter().map(|lock| lock.voltage(self.rule).depth()).collect();
        [percents, mvs].map(|depths| median_by_sorting(&depths).unwrap_or(0.0))
    }

    /// Since when the locks that were updated to this version lose more than they may, while those of others do not.
    fn drains_since(&self, fw: Sym, locks: &[Lock]) -> Option<i64> {
        let known = || {
            let all = self.locks.iter().map(|(device, lock)| (lock, &locks[device.0 as usize]));
            all.filter(|(lock, _)| lock.readings.len() > 10)
        };
        let fall = |lock: &OneLock| {
            lock.percent(self.rule).0.depth() / self.rule.parameter("percent_min").unwrap()
                + lock.voltage(self.rule).depth() / self.rule.parameter("mv_alone").unwrap()
        };
        let updated = || known().filter(|(_, now)| now.labels.fw == fw && now.updated_ms.is_some());
        let inside: Vec<f64> = updated().map(|(lock, _)| fall(lock)).collect();
        let others: Vec<f64> = known().filter(|(_, now)| now.labels.fw != fw).map(|(lock, _)| fall(lock)).collect();
        let (of_inside, of_others) = (median_by_sorting(&inside)?, median_by_sorting(&others)?);
        let stands_out = of_inside >= 0.4 && of_inside >= 4.0 * of_others;
        let is_enough = inside.len() >= 5 && others.len() >= 5;
        updated().filter_map(|(_, now)| now.updated_ms).min().filter(|_| is_enough && stands_out)
    }

    fn report_version(&mut self, fw: Sym, since_ms: i64, now_ms: i64, locks: &[Lock]) {
        if self.versions.get(&fw).is_some_and(|at_ms| now_ms - at_ms < 7 * DAY_MS) {
            return;
        }
        self.versions.insert(fw, now_ms);
        let percent_min = self.rule.parameter("percent_min").unwrap();
        let is_affected = |(device, lock): &(&DeviceIx, &OneLock)| {
            let now = &locks[device.0 as usize];
            let depth = lock.percent(self.rule).0.depth();
            now.labels.fw == fw && now.updated_ms.is_some() && depth >= 0.5 * percent_min
        };
        let affected: Vec<(&DeviceIx, &OneLock)> = self.locks.iter().filter(is_affected).collect();
        let depths: Vec<f64> = affected.iter().map(|(_, lock)| lock.percent(self.rule).0.depth()).collect();
        let name = |device: DeviceIx| self.stream.fleet.device_id(device).to_owned();
        let first = |(device, lock): &(&DeviceIx, &OneLock)| {
            lock.low().first().map(|low| (name(**device), low.record.boot, low.record.seq))
        };
        let evidence: Vec<(String, u32, u32)> = affected.iter().take(64).filter_map(first).collect();
        let Some(value) = median_by_sorting(&depths).filter(|_| !evidence.is_empty()) else { return };
        self.found.push(Found {
            scope: self.stream.fleet.word(fw).unwrap_or_default().to_owned(),
            at_ms: now_ms,
            since_ms: since_ms.min(now_ms - 1),
            numbers: [value, 0.0, 0.4 * percent_min],
            evidence,
            noted: None,
        });
    }

    fn report(&mut self, device: DeviceIx, now_ms: i64) {
        let Some(lock) = self.locks.get_mut(&device) else { return };
        lock.alarm_ms = Some(now_ms);
        let low = lock.low();
        let Some(first) = low.first() else { return };
        let (fallen, least) = match lock.known_percent(self.rule) {
            Some(percent) => (percent, self.rule.parameter("percent_min").unwrap()),
            None => (lock.voltage(self.rule), self.rule.parameter("mv_alone").unwrap()),
        };
        let limit = least.max(self.rule.parameter("sigmas").unwrap() * fallen.noise_of_depth());
        let numbers = [fallen.value, fallen.reference, fallen.reference - limit];
        let records: Vec<RecordRef> = low.iter().map(|reading| reading.record).collect();
        self.found.push(Found::of(self.stream, device, now_ms, first.at_ms, numbers, &shown(&records)));
    }
}

/// The mean of a lock's temperatures: of the last fifty or so.
fn mean_temp(temps_c: &[f64]) -> f64 {
    let step =
        |mean: f64, (before, temp_c): (usize, &f64)| mean + (1.0 / (before + 1) as f64).max(0.02) * (temp_c - mean);
    temps_c.iter().enumerate().fold(0.0, step)
}

/// Millivolts a kelvin: 0.8 where nothing else is known.
fn slope(steps: &[[f64; 2]]) -> f64 {
    let sum = |at: usize| steps.iter().map(|step| step[at]).sum::<f64>();
    (sum(1) + 2_500.0 * 0.8) / (sum(0) + 2_500.0)
}

fn drain(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let (locks, steps, versions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut slow = Slow { rule, stream, locks, steps, versions, closed_ms: 0, found: Vec::new() };
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => slow.reading(said),
            Moment::Happened(EventKind::Installed | EventKind::BatteryReplaced, device) => {
                slow.locks.get_mut(device).into_iter().for_each(|lock| *lock = OneLock::default());
            }
            Moment::Close(now, locks) if now.ms() % 7_200_000 == 0 => slow.close(now.ms(), locks),
            Moment::Close(..) | Moment::Happened(..) | Moment::LateError(..) | Moment::Refused(..) => {}
        }
    }
    slow.found
}

#[test]
fn drain_is_judged_as_by_all_readings() {
    agree_on(&embedded("battery-drain"), Plan::FEW, SINGLE, drain);
}
