//! A slow version of the detector `drain`, over all readings: the half days, their lines and the falls below them are
//! computed again from whole lists. Versions are judged by tests of their own (`estimate::rate`); here the rule judges
//! each lock alone.
use super::locks::Plan;
use super::stream::{Found, Moment, SINGLE, Said, Stream, agree_on, embedded, shown};
use std::collections::BTreeMap;
use zenei_detect::fleet::{DeviceIx, Sym};
use zenei_detect::lock::{Lock, RecordRef};
use zenei_detect::rules::Rule;
use zenei_wire::{Body, EventKind};

const DAY_MS: i64 = 86_400_000;

/// A reading of one quantity, corrected and as it was told.
#[derive(Clone, Copy)]
struct Reading {
    minute: u32,
    value: f64,
    told: f64,
}

/// The readings of a time: the first and last minute, how many, their mean.
#[derive(Clone, Copy)]
struct Part {
    from: u32,
    to: u32,
    count: f64,
    mean: f64,
}

#[derive(Clone, Copy)]
struct Below {
    since: u32,
    /// From then to the middle of what came after.
    days: f64,
    lost: f64,
    noise: f64,
    expected: f64,
    lasts: bool,
}

#[derive(Default)]
struct Series {
    readings: Vec<Reading>,
    parts: Vec<Part>,
    noise: f64,
    smooth: f64,
}

#[derive(Default)]
struct OneLock {
    percent: Series,
    mv: Series,
    temps_c: Vec<f64>,
    last_ms: Option<i64>,
    newest: RecordRef,
    departs: bool,
    news: bool,
    low: Vec<RecordRef>,
    alarm_ms: Option<i64>,
}

/// What a model has taught: lost and days, of the percentage and of the voltage; the steps of temperature.
#[derive(Default)]
struct Taught {
    percent: Vec<[f64; 2]>,
    mv: Vec<[f64; 2]>,
    steps: Vec<[f64; 2]>,
}

struct Slow<'a> {
    rule: &'a Rule,
    stream: &'a Stream,
    locks: BTreeMap<DeviceIx, OneLock>,
    models: BTreeMap<Sym, Taught>,
    found: Vec<Found>,
}

impl Part {
    fn day(&self) -> f64 {
        (f64::from(self.from) + f64::from(self.to)) / 2_880.0
    }

    fn weight(&self) -> f64 {
        self.count.min(4.0 * f64::from(1 + self.to / 720 - self.from / 720))
    }
}

impl Series {
    fn add(&mut self, reading: Reading, least: f64) {
        let count = self.readings.len() as f64;
        match self.readings.last() {
            None => (self.noise, self.smooth) = (least, reading.value),
            Some(last) => {
                let step = (reading.value - last.value).abs() * std::f64::consts::PI.sqrt() / 2.0;
                let bounded = if count < 5.0 { step } else { step.min(4.0 * self.noise) };
                self.noise = (self.noise + (1.0 / count).max(0.06) * (bounded - self.noise)).max(least);
                self.smooth += (1.0 / (count + 1.0)).max(0.22) * (reading.value - self.smooth);
            }
        }
        self.readings.push(reading);
        let Reading { minute, value, .. } = reading;
        match self.parts.last_mut() {
            Some(last) if last.to / 720 == minute / 720 => {
                let sum = last.mean * last.count + value;
                (last.to, last.count) = (minute, last.count + 1.0);
                last.mean = sum / last.count;
            }
            Some(_) | None => self.parts.push(Part { from: minute, to: minute, count: 1.0, mean: value }),
        }
        if self.parts.len() == 19 {
            let closeness = |at: usize| {
                f64::from(self.parts[at + 1].from - self.parts[at].from)
                    / f64::from(minute_of(&self.parts) - self.parts[at].from)
            };
            let at = (0..11).fold(0, |best, at| if closeness(at) < closeness(best) { at } else { best });
            let (a, b) = (self.parts[at], self.parts.remove(at + 1));
            let count = a.count + b.count;
            self.parts[at] =
                Part { from: a.from, to: b.to, count, mean: (a.mean * a.count + b.mean * b.count) / count };
        }
    }

    fn step(&self) -> f64 {
        let moved = self.readings.windows(2).map(|pair| (pair[1].told - pair[0].told).abs());
        moved.filter(|&moved| moved > 0.0).reduce(f64::min).unwrap_or(0.0)
    }

    /// What was lost between the two means before the one that the newest reading began, a day's loss at most.
    fn ended(&self) -> Option<[f64; 2]> {
        let [.., a, b, newest] = &self.parts[..] else { return None };
        let lost = (a.mean - b.mean).clamp(-4.0 * self.noise, 4.0 * self.noise);
        (newest.count == 1.0).then(|| [lost, b.day() - a.day()])
    }

    fn is_news(&self) -> bool {
        let ([.., before, newest], Some(last)) = (&self.parts[..], self.readings.last()) else { return false };
        newest.count == 1.0 || last.value < before.mean - 2.5 * self.noise
    }

    /// The largest fall below the line before a split, in its noise.
    fn below(&self, usual: f64) -> Option<Below> {
        let splits = (6..self.parts.len()).filter_map(|at| self.split(0, at, [usual, 0.6 * usual], 1.5));
        let best =
            splits.reduce(|best, next| if next.lost / next.noise > best.lost / best.noise { next } else { best })?;
        Some(Below { lasts: self.lasts(best, usual), ..best })
    }

    /// The largest fall below the line since another one began.
    fn bend(&self, fall: Below, usual: f64) -> Option<Below> {
        let start = self.parts.iter().position(|part| part.from >= fall.since)?;
        let rate = usual + (fall.lost / fall.days.max(0.25)).max(0.0);
        let splits = (start + 4..self.parts.len()).filter_map(|at| self.split(start, at, [rate, rate], 1.0));
        let best =
            splits.reduce(|best, next| if next.lost / next.noise > best.lost / best.noise { next } else { best })?;
        Some(Below { lasts: self.lasts(best, usual), ..best })
    }

    fn split(&self, start: usize, at: usize, [usual, differ]: [f64; 2], allowed: f64) -> Option<Below> {
        let (before, after) = (&self.parts[start..at], &self.parts[at..]);
        let weight = |parts: &[Part]| parts.iter().map(Part::weight).sum::<f64>();
        let (w, v) = (weight(before), weight(after));
        if w < 12.0 || v < 2.0 {
            return None;
        }
        let (day, level) = (weighted(before, Part::day), weighted(before, |part| part.mean));
        let sum = |of: &dyn Fn(&Part) -> f64| before.iter().map(|part| part.weight() * of(part)).sum::<f64>();
        let spread = sum(&|part| (part.day() - day).powi(2));
        let product = sum(&|part| (part.day() - day) * (part.mean - level));
        let prior = self.noise.powi(2) / differ.powi(2);
        let per_day = (prior * usual - product) / (prior + spread);
        let rest = sum(&|part| (part.mean - level + per_day * (part.day() - day)).powi(2));
        let scatter = (rest / (before.len() as f64 - 2.0) / self.noise.powi(2)).max(1.0);
        let days = weighted(after, Part::day) - day;
        let start = f64::from(after[0].from) / 1_440.0 - day;
        let least = if allowed > 1.0 { usual } else { 0.0 };
        let expected = level - per_day.max(least) * (start + allowed * (days - start));
        let lost = expected - weighted(after, |part| part.mean) - (self.step() - self.noise).max(0.0);
        let variance = self.noise.powi(2) * scatter * (1.0 / w + 1.0 / v + days * days / (prior + spread));
        Some(Below { since: after[0].from, days: days - start, lost, noise: variance.sqrt(), expected, lasts: true })
    }

    fn lasts(&self, below: Below, usual: f64) -> bool {
        let Some(newest) = self.parts.last() else { return false };
        let middle = (f64::from(below.since) + f64::from(newest.to)) / 2_880.0;
        let since = || self.parts.iter().filter(|part| part.from >= below.since).copied();
        let (late, early): (Vec<Part>, Vec<Part>) = since().partition(|part| part.day() >= middle);
        let gone = |of: fn(&Part) -> f64| weighted(&late, of) - weighted(&early, of);
        newest.to - below.since <= 5_760
            || !early.is_empty() && -gone(|part| part.mean) - usual * gone(Part::day) >= 0.3 * below.lost
    }
}

/// The mean of something over the readings.
fn weighted(parts: &[Part], of: fn(&Part) -> f64) -> f64 {
    let weight: f64 = parts.iter().map(Part::weight).sum();
    parts.iter().map(|part| part.weight() * of(part)).sum::<f64>() / weight
}

fn minute_of(parts: &[Part]) -> u32 {
    parts.last().map_or(0, |part| part.from)
}

impl OneLock {
    fn below(&self, usual: [f64; 2]) -> [Option<Below>; 2] {
        let (percents, volts) = (self.percent.readings.len(), self.mv.readings.len());
        let is_fine =
            percents > 10 && self.percent.noise.max(self.percent.step()) <= if volts == 0 { 10.0 } else { 5.0 };
        [
            is_fine.then(|| self.percent.below(usual[0])).flatten(),
            (volts > 10 && 4 * volts >= percents).then(|| self.mv.below(usual[1])).flatten(),
        ]
    }
}

impl Slow<'_> {
    fn parameter(&self, name: &'static str) -> f64 {
        self.rule.parameter(name).unwrap()
    }

    fn usual(&self, model: Sym) -> [f64; 2] {
        let taught = self.models.get(&model);
        let of = |taught: Option<&Vec<[f64; 2]>>, prior: f64| {
            let sum = |at: usize| taught.into_iter().flatten().map(|one| one[at]).sum::<f64>();
            ((sum(0) + 50.0 * prior) / (sum(1) + 50.0)).max(0.1 * prior)
        };
        [
            of(taught.map(|taught| &taught.percent), self.parameter("percent_per_day")),
            of(taught.map(|taught| &taught.mv), self.parameter("mv_per_day")),
        ]
    }

    fn reading(&mut self, said: &Said) {
        let (battery_mv, percent, temp_c) = match &said.row.body {
            Body::State(state) => (state.battery_mv, state.battery_pct, state.temp_c),
            Body::Adv(adv) => (adv.battery_mv, adv.battery_pct, adv.temp_c),
            Body::Op(_) | Body::Error(_) | Body::Event(_) | Body::Gateway(_) => return,
        };
        let voltage = battery_mv.filter(|voltage| (500..=18_000).contains(&voltage.0));
        if voltage.is_none() && percent.is_none() {
            return;
        }
        for device in (0..=said.device.0).map(DeviceIx) {
            self.locks.entry(device).or_default();
        }
        let Some(lock) = self.locks.get_mut(&said.device) else { return };
        let is_adv = matches!(said.row.body, Body::Adv(_));
        if is_adv && lock.last_ms.is_some_and(|at_ms| said.now_ms - at_ms < 30 * 60_000) {
            return;
        }
        lock.last_ms = Some(said.now_ms);
        let minute = (said.now_ms / 60_000) as u32;
        let taught = self.models.entry(said.lock.labels.model).or_default();
        let teaches = said.lock.updated_ms.is_none_or(|at_ms| said.now_ms - at_ms > 21 * DAY_MS) && !lock.departs;
        if let Some(voltage) = voltage {
            let told = f64::from(voltage.0);
            let value = at_20_degc(lock, told, temp_c.map(|temp| temp.celsius()), &mut taught.steps);
            lock.mv.add(Reading { minute, value, told }, 3.5);
            taught.mv.extend(lock.mv.ended().filter(|_| teaches));
        }
        if let Some(percent) = percent.map(|percent| f64::from(percent.0)) {
            lock.percent.add(Reading { minute, value: percent, told: percent }, 1.0);
            taught.percent.extend(lock.percent.ended().filter(|_| teaches));
        }
        lock.newest = said.record;
        if lock.departs {
            lock.low.push(said.record);
        }
        lock.news |= lock.departs || lock.mv.is_news() || lock.percent.is_news();
    }

    fn passes(&self, below: [Option<Below>; 2], common: [f64; 2]) -> bool {
        let (least, sigmas) = (self.parameter("percent_min"), self.parameter("sigmas"));
        let z = |below: Below, common: f64| (below.lost - common) / below.noise;
        match below {
            [Some(percent), Some(mv)] => {
                let (a, b) = (z(percent, common[0]), z(mv, common[1]));
                // Within hours as many times its least, up to twice, as the estimate falls.
                let times = if percent.days < 0.25 { (percent.lost - common[0]) / least } else { 1.0 };
                let least_mv = self.parameter("mv_min") * times.clamp(1.0, 2.0);
                let far = percent.lost - common[0] >= least && mv.lost - common[1] >= least_mv;
                far && a.max(b) >= sigmas && a.min(b) >= 2.0 && if a > b { percent.lasts } else { mv.lasts }
            }
            [Some(percent), None] => {
                percent.lasts && percent.lost - common[0] >= 2.0 * least && z(percent, common[0]) >= sigmas
            }
            [None, Some(mv)] => {
                mv.lasts && mv.lost - common[1] >= self.parameter("mv_alone") && z(mv, common[1]) >= sigmas
            }
            [None, None] => false,
        }
    }

    fn close(&mut self, now_ms: i64, locks: &[Lock]) {
        let judged: Vec<DeviceIx> =
            self.locks.iter().filter(|(_, lock)| lock.news).map(|(device, _)| *device).collect();
        let mut deep = Vec::new();
        for device in judged {
            let now = &locks[device.0 as usize];
            let usual = self.usual(now.labels.model);
            let Some(lock) = self.locks.get_mut(&device) else { continue };
            let below = lock.below(usual);
            let most = below.iter().flatten().map(|below| below.lost / below.noise).fold(0.0, f64::max);
            if most < 3.0 {
                lock.low.clear();
                lock.alarm_ms = None;
            } else if !lock.departs {
                lock.low.push(lock.newest);
            }
            (lock.departs, lock.news) = (most >= 3.0, false);
            let is_due = lock.alarm_ms.is_none_or(|at_ms| now_ms - at_ms >= 7 * DAY_MS);
            if is_due && !now.maintenance && self.passes(below, [0.0; 2]) {
                deep.push((device, below));
            }
        }
        for (device, below) in deep {
            let common = if self.locks[&device].temps_c.is_empty() { self.peers(device, locks) } else { [0.0; 2] };
            if self.passes(below, common) {
                let usual = self.usual(locks[device.0 as usize].labels.model);
                let lock = &self.locks[&device];
                let faster = [
                    below[0].and_then(|fall| lock.percent.bend(fall, usual[0])),
                    below[1].and_then(|fall| lock.mv.bend(fall, usual[1])),
                ];
                let are_told = (0..2).all(|at| faster[at].is_some() == below[at].is_some());
                let newest = if are_told && self.passes(faster, common) { faster } else { below };
                self.report(device, newest, now_ms);
            }
        }
    }

    /// The falls of the others of its model at its site.
    fn peers(&self, of: DeviceIx, locks: &[Lock]) -> [f64; 2] {
        let key = |device: DeviceIx| (locks[device.0 as usize].site, locks[device.0 as usize].labels.model);
        let usual = self.usual(locks[of.0 as usize].labels.model);
        let peers = self.locks.iter().filter(|(device, _)| **device != of && key(**device) == key(of));
        let falls: Vec<[Option<Below>; 2]> = peers.map(|(_, lock)| lock.below(usual)).collect();
        [0, 1].map(|at| {
            let lost: Vec<f64> = falls.iter().filter_map(|fall| fall[at]).map(|below| below.lost.max(0.0)).collect();
            if lost.len() < 5 { 0.0 } else { super::estimators::median_by_sorting(&lost).unwrap_or(0.0) }
        })
    }

    fn report(&mut self, device: DeviceIx, below: [Option<Below>; 2], now_ms: i64) {
        let (least, sigmas) = ([self.parameter("percent_min"), self.parameter("mv_alone")], self.parameter("sigmas"));
        let Some(lock) = self.locks.get_mut(&device) else { return };
        lock.alarm_ms = Some(now_ms);
        let (value, below, least) = match below {
            [Some(percent), _] => (lock.percent.smooth, percent, least[0]),
            [None, Some(mv)] => (lock.mv.smooth, mv, least[1]),
            [None, None] => return,
        };
        let limit = least.max(below.lost.min(sigmas * below.noise));
        let numbers = [value.min(below.expected - below.lost), below.expected, below.expected - limit];
        let since_ms = i64::from(below.since) * 60_000;
        self.found.push(Found::of(self.stream, device, now_ms, since_ms, numbers, &shown(&lock.low)));
    }
}

/// The voltage at 20 °C; the steps teach how it follows the temperature.
fn at_20_degc(lock: &mut OneLock, mv: f64, temp_c: Option<f64>, steps: &mut Vec<[f64; 2]>) -> f64 {
    let usual_c = mean_temp(&lock.temps_c);
    let Some(temp_c) = temp_c else {
        return if lock.temps_c.is_empty() { mv } else { mv - slope(steps) * (usual_c - 20.0) };
    };
    lock.temps_c.push(temp_c);
    let step_c = temp_c - usual_c;
    if lock.mv.readings.len() > 5 && !lock.departs {
        let around_mv = (mv - slope(steps) * (temp_c - 20.0) - lock.mv.smooth).clamp(-30.0, 30.0);
        steps.push([step_c * step_c, step_c * (around_mv + slope(steps) * step_c)]);
    }
    mv - slope(steps) * (temp_c - 20.0)
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
    let mut slow = Slow { rule, stream, locks: BTreeMap::new(), models: BTreeMap::new(), found: Vec::new() };
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => slow.reading(said),
            Moment::Happened(EventKind::Installed | EventKind::BatteryReplaced, device) => {
                // Its place in the list of what is to be judged stays.
                let news = slow.locks.get(device).is_some_and(|lock| lock.news);
                slow.locks.get_mut(device).into_iter().for_each(|lock| *lock = OneLock { news, ..OneLock::default() });
            }
            Moment::Close(now, locks) if now.ms() % 7_200_000 == 0 => slow.close(now.ms(), locks),
            Moment::Close(..) | Moment::Happened(..) | Moment::Late(..) | Moment::Refused(..) => {}
        }
    }
    slow.found
}

#[test]
fn drain_is_judged_as_by_all_readings() {
    agree_on(&embedded("battery-drain"), Plan::FEW, SINGLE, drain);
}
