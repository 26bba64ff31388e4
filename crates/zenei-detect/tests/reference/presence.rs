//! A slow version of the detector `silence`, for locks and gateways: every interval between records is stored and
//! evaluated again.
use super::estimators::high_by_list;
use super::locks::Plan;
use super::stream::{Found, Moment, SINGLE, Stream, agree, agree_on, embedded};
use std::collections::{BTreeMap, BTreeSet};
use zenei_detect::anomaly::DecisionReason;
use zenei_detect::fleet::{DeviceIx, Sym};
use zenei_detect::lock::{Lock, RecordRef};
use zenei_detect::rules::Rule;
use zenei_wire::EventKind;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The history of a lock's records.
#[derive(Clone, Default)]
struct Heard {
    at_ms: Vec<i64>,
    /// The intervals that count for the usual one.
    intervals: Vec<f64>,
    last: RecordRef,
    alarm_ms: Option<i64>,
    /// The whole hours of the silence when it was first reported.
    told_h: i64,
    noted: bool,
    /// How many intervals count since the last update.
    since_update: Option<usize>,
    /// The hours in which intervals ended that were a quarter longer than usual until then.
    stretched_h: Vec<i64>,
}

impl Heard {
    fn latest_ms(&self) -> i64 {
        self.at_ms.last().copied().unwrap_or(0)
    }

    /// The longest usual interval.
    fn usual_ms(&self) -> f64 {
        high_by_list(&self.intervals)
    }

    /// The class of like intervals: below 1.5, 3, 6, 12 hours, or longer.
    fn like(&self) -> usize {
        [1.5, 3.0, 6.0, 12.0].iter().filter(|&&hours| self.usual_ms() >= hours * HOUR_MS as f64).count()
    }

    fn is_new(&self) -> bool {
        self.since_update.is_some_and(|count| count < 6)
    }

    fn is_known(&self) -> bool {
        self.intervals.len() >= 20
    }

    fn add(&mut self, interval_ms: i64, now_ms: i64) {
        if self.is_known() && interval_ms as f64 > 1.25 * self.usual_ms() {
            self.stretched_h.push(now_ms.div_euclid(HOUR_MS));
        }
        self.intervals.push(interval_ms as f64);
        self.since_update = self.since_update.map(|count| count + 1);
    }

    fn is_stretched(&self, now_ms: i64) -> bool {
        self.stretched_h.iter().any(|hour| now_ms.div_euclid(HOUR_MS) - hour <= 6)
    }

    fn is_late(&self, now_ms: i64) -> bool {
        let slowest_ms = if self.is_new() { 6.0 * HOUR_MS as f64 } else { 0.0 };
        let late_ms = (1.25 * self.usual_ms().max(slowest_ms)) as i64;
        now_ms - self.latest_ms() >= late_ms.max(2 * HOUR_MS)
    }
}

struct Slow<'a> {
    rule: &'a Rule,
    stream: &'a Stream,
    locks: BTreeMap<DeviceIx, Heard>,
    /// Every silence that ended: class of its lock, ms.
    ended: Vec<(usize, i64)>,
    lock_hours: [f64; 5],
    hours_watched: [u64; 5],
    /// For each reported gateway: when it was reported, while it is down, and the last hour in which it was down.
    gateways: BTreeMap<Sym, (Option<i64>, i64)>,
    /// For each gateway: at the ends of hours, for how long none of its locks was heard while others were.
    quiet_ms: BTreeMap<Sym, Vec<f64>>,
    /// When it was noted last that a gateway is not told, for most are as silent or a habit changes.
    spared: BTreeMap<Sym, i64>,
    found: Vec<Found>,
}

/// A gateway of whose locks none is heard: for how long, for how long it usually is at most, and the limit, in hours.
struct Quiet {
    since_ms: i64,
    numbers: [f64; 3],
}

impl Slow<'_> {
    fn heard(&mut self, device: DeviceIx, lock: &Lock, record: RecordRef, now_ms: i64) {
        let behind = lock.behind();
        let heard = self.locks.entry(device).or_default();
        // Its gateway was silent too: the silence is not the lock's.
        let with_gateway = self.gateways.get(&behind).is_some_and(|&(_, last_ms)| heard.latest_ms() <= last_ms);
        if let Some(&before_ms) = heard.at_ms.last().filter(|_| !with_gateway) {
            let interval_ms = now_ms - before_ms;
            if heard.is_known() && (heard.alarm_ms.is_none() || interval_ms <= 2 * heard.told_h * HOUR_MS) {
                self.ended.push((heard.like(), interval_ms));
            }
            if interval_ms > 60_000 && heard.alarm_ms.is_none() {
                heard.add(interval_ms, now_ms);
            }
        }
        if lock.updated_ms == Some(now_ms) {
            heard.since_update = Some(0);
        }
        heard.at_ms.push(now_ms);
        (heard.last, heard.alarm_ms, heard.noted) = (record, None, false);
    }

    /// Takes an unreadable record: it ends a silence, but makes no interval and is no evidence.
    fn refused(&mut self, device: DeviceIx, now_ms: i64) {
        if let Some(heard) = self.locks.get_mut(&device).filter(|heard| !heard.at_ms.is_empty()) {
            heard.at_ms.push(now_ms);
        }
    }

    /// The shortest of these lengths that ended silences of the class exceed no more often than allowed.
    fn usual_of_like_ms(&self, like: usize) -> i64 {
        let years = self.lock_hours[like] / 8_766.0;
        let lengths = [2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 96, 192, 384].map(|hours| hours * HOUR_MS);
        let ended = |length: i64| self.ended.iter().filter(|&&(of, ended)| of == like && ended > length).count();
        let rate = |length: i64| ended(length) as f64 / (years + 20.0);
        let allowed = self.rule.parameter("ended_per_year").unwrap();
        let usual_ms = lengths.into_iter().find(|&length| rate(length) <= allowed).unwrap_or(lengths[12]);
        // Of twice the length there are fewer by the square root of two at least.
        let hours = |length: i64| {
            let rate = (ended(length) + 1) as f64 / years;
            (length / HOUR_MS) as f64 * (rate / allowed).max(1.0).powi(2)
        };
        let least = lengths.into_iter().map(hours).fold(f64::INFINITY, f64::min);
        let is_shown = self.hours_watched[like] >= 168 && least < 384.0;
        let shown_ms = if is_shown { least.ceil() as i64 * HOUR_MS } else { i64::MAX };
        usual_ms.max(self.longest_ms().min(shown_ms))
    }

    fn longest_ms(&self) -> i64 {
        (self.rule.parameter("silent_hours").unwrap() * HOUR_MS as f64) as i64
    }

    fn close(&mut self, now_ms: i64, locks: &[Lock]) {
        for heard in self.locks.values().filter(|heard| heard.is_known()) {
            self.lock_hours[heard.like()] += 1.0;
        }
        for like in 0..5 {
            let any = self.locks.values().any(|heard| heard.is_known() && heard.like() == like);
            self.hours_watched[like] += u64::from(any);
        }
        let many = self.close_gateways(now_ms, locks);
        let (usual, longest_ms) = ([0, 1, 2, 3, 4].map(|like| self.usual_of_like_ms(like)), self.longest_ms());
        for (&device, heard) in &mut self.locks {
            let lock = &locks[device.0 as usize];
            let usual_ms = heard.usual_ms();
            let is_new = heard.is_new() || many.contains(&lock.behind());
            // Without a heartbeat, and before a hundred intervals, its people may be away for a week.
            let by_use = heard.intervals.len() < 100 && usual_ms > 1.25 * 6.0 * HOUR_MS as f64;
            let away_ms = if by_use { 7 * DAY_MS } else { 0 };
            let least_ms = usual[heard.like()].max(if is_new { longest_ms } else { 0 }).max(away_ms);
            let limit_ms = least_ms.max((self.rule.parameter("multiple").unwrap() * usual_ms) as i64);
            let is_due = heard.alarm_ms.is_none_or(|at_ms| now_ms - at_ms >= 7 * DAY_MS);
            let is_silent = heard.is_known() && now_ms - heard.latest_ms() >= limit_ms && !lock.maintenance;
            if !is_silent || !is_due {
                continue;
            }
            let numbers = [now_ms - heard.latest_ms(), usual_ms as i64, limit_ms].map(|ms| ms as f64 / HOUR_MS as f64);
            // A lock with a record since the gateway's return is judged by itself again.
            if self.gateways.get(&lock.behind()).is_some_and(|&(_, last_ms)| heard.latest_ms() <= last_ms) {
                if !heard.noted {
                    let scope = self.stream.fleet.device_id(device).to_owned();
                    let reason = DecisionReason::PartOfWider;
                    self.found.push(Found::noted(scope, now_ms, reason, numbers[0], numbers[2]));
                }
                heard.noted = true;
                continue;
            }
            if heard.alarm_ms.is_none() {
                heard.told_h = (now_ms - heard.latest_ms()) / HOUR_MS;
            }
            heard.alarm_ms = Some(now_ms);
            self.found.push(Found::of(self.stream, device, now_ms, heard.latest_ms(), numbers, &[heard.last]));
        }
    }

    /// Whether many locks of most gateways are late, or were heard after a longer interval than usual within six hours,
    /// while as many of their locks are still heard.
    fn habits_change(&self, now_ms: i64, locks: &[Lock]) -> bool {
        let known = || self.locks.iter().filter(|(_, heard)| heard.is_known());
        let gw = |device: &DeviceIx| locks[device.0 as usize].labels.gw;
        let all: BTreeSet<Sym> = known().map(|(device, _)| gw(device)).filter(|&gw| gw != Sym::NONE).collect();
        let changes = |of: &Sym| {
            let mine: Vec<&Heard> = known().filter(|(device, _)| gw(device) == *of).map(|(_, heard)| heard).collect();
            let rarer = mine.iter().filter(|heard| heard.is_late(now_ms) || heard.is_stretched(now_ms)).count();
            rarer >= 3 && rarer as f64 >= 0.3 * mine.len() as f64
        };
        let many: BTreeSet<Sym> = all.iter().copied().filter(changes).collect();
        let heard = known().filter(|(device, heard)| many.contains(&gw(device)) && !heard.is_late(now_ms)).count();
        many.len() >= 2 && 2 * many.len() > all.len() && heard >= many.len()
    }

    /// The gateways of whose locks none is heard, and whether most are quieter than usual. Learns the others' hours.
    fn quiet(&mut self, now_ms: i64, locks: &[Lock]) -> (BTreeMap<Sym, Quiet>, bool) {
        let mut behind: BTreeMap<Sym, Vec<&Heard>> = BTreeMap::new();
        for (device, heard) in &self.locks {
            let lock = &locks[device.0 as usize];
            let is_lately = now_ms - heard.latest_ms() < 14 * DAY_MS;
            if heard.is_known() && is_lately && !lock.maintenance && lock.labels.gw != Sym::NONE {
                behind.entry(lock.labels.gw).or_default().push(heard);
            }
        }
        self.quiet_ms.retain(|gw, _| behind.contains_key(gw));
        let latest = |heard: &[&Heard]| heard.iter().map(|heard| heard.latest_ms()).max().unwrap_or(0);
        let latest_of_all = behind.values().map(|heard| latest(heard)).max().unwrap_or(0);
        let (mut found, mut longer) = (BTreeMap::new(), 0);
        for (gw, heard) in &behind {
            let past = self.quiet_ms.entry(*gw).or_default();
            let quiet_ms = (latest_of_all - latest(heard)) as f64;
            let usual_ms = high_by_list(past);
            longer += usize::from(quiet_ms > 1.25 * usual_ms);
            let fresh = heard.iter().filter(|heard| heard.is_new()).count() as f64;
            let rarer = heard.len() as f64 / (heard.len() as f64 - fresh);
            let least_ms = (1.5 * HOUR_MS as f64).max(2.5 * usual_ms * rarer);
            let limit_ms = least_ms.min((7.5 * HOUR_MS as f64).max(2.5 * usual_ms));
            let is_judged = past.len() >= 168 && heard.len() as f64 >= self.rule.parameter("gateway_locks").unwrap();
            if is_judged && quiet_ms >= limit_ms {
                let numbers = [quiet_ms, usual_ms, limit_ms].map(|ms| ms / HOUR_MS as f64);
                found.insert(*gw, Quiet { since_ms: latest(heard), numbers });
            } else {
                past.push(quiet_ms.max(60_000.0));
            }
        }
        (found, 2 * longer > behind.len())
    }

    /// Judges gateways; returns those of whose locks many are late.
    fn close_gateways(&mut self, now_ms: i64, locks: &[Lock]) -> BTreeSet<Sym> {
        let (changes, mut many) = (self.habits_change(now_ms, locks), BTreeSet::new());
        let (quiet, at_once) = self.quiet(now_ms, locks);
        let all: BTreeSet<Sym> = locks.iter().map(|lock| lock.labels.gw).chain(self.gateways.keys().copied()).collect();
        let share_min = self.rule.parameter("gateway_share").unwrap();
        for gw in all {
            let of_it = self.locks.iter().filter(|(device, heard)| {
                let lock = &locks[device.0 as usize];
                lock.labels.gw == gw
                    && heard.is_known()
                    && !lock.maintenance
                    && now_ms - heard.latest_ms() < 14 * DAY_MS
            });
            let of_it: Vec<(DeviceIx, &Heard)> = of_it.map(|(device, heard)| (*device, heard)).collect();
            let late = of_it.iter().filter(|(_, heard)| heard.is_late(now_ms)).count();
            let share = late as f64 / (of_it.len() as f64).max(1.0);
            if gw != Sym::NONE && late >= 3 && share >= 0.3 {
                many.insert(gw);
            }
            if let Some((told_ms, last_ms)) = self.gateways.get_mut(&gw) {
                if (of_it.is_empty() || share < 0.5 * share_min) && (at_once || !quiet.contains_key(&gw)) {
                    *told_ms = None;
                } else {
                    *last_ms = now_ms;
                }
            }
            // Two days after its return all its locks are judged by themselves again.
            self.gateways.retain(|&other, (_, last_ms)| other != gw || now_ms - *last_ms < 2 * DAY_MS);
            let told_ms = self.gateways.get(&gw).and_then(|&(told_ms, _)| told_ms);
            let is_due = told_ms.is_none_or(|at_ms| now_ms - at_ms >= 7 * DAY_MS);
            let is_few = (late as f64) < self.rule.parameter("gateway_locks").unwrap() || share < share_min;
            let none = quiet.get(&gw).filter(|_| is_few || !at_once);
            if (is_few && none.is_none()) || !is_due {
                continue;
            }
            if changes || (is_few && at_once) {
                if self.spared.get(&gw).is_none_or(|at_ms| now_ms - at_ms >= 7 * DAY_MS) {
                    self.spared.insert(gw, now_ms);
                    let scope = self.stream.fleet.word(gw).unwrap_or_default().to_owned();
                    let [value, _, limit] = none.map_or([100.0 * share, 0.0, 100.0 * share_min], |quiet| quiet.numbers);
                    self.found.push(Found::noted(scope, now_ms, DecisionReason::CohortMoved, value, limit));
                }
                continue;
            }
            self.gateways.insert(gw, (Some(now_ms), now_ms));
            // Its evidence includes locks under maintenance: they are silent as well.
            let silent: Vec<(&DeviceIx, &Heard)> = self
                .locks
                .iter()
                .filter(|(device, heard)| {
                    let is_silent = none.is_some() || heard.is_late(now_ms);
                    locks[device.0 as usize].labels.gw == gw && heard.is_known() && is_silent
                })
                .filter(|(_, heard)| now_ms - heard.latest_ms() < 14 * DAY_MS)
                .collect();
            let since_ms = silent.iter().map(|(_, heard)| heard.latest_ms()).max().unwrap_or(now_ms);
            let since_ms = none.map_or(since_ms, |quiet| quiet.since_ms);
            let name = |device: &DeviceIx| self.stream.fleet.device_id(*device).to_owned();
            self.found.push(Found {
                scope: self.stream.fleet.word(gw).unwrap_or_default().to_owned(),
                at_ms: now_ms,
                since_ms: since_ms.min(now_ms - 1),
                numbers: none.map_or([100.0 * share, 0.0, 100.0 * share_min], |quiet| quiet.numbers),
                evidence: silent.iter().map(|(of, heard)| (name(of), heard.last.boot, heard.last.seq)).collect(),
                noted: None,
            });
        }
        many
    }
}

fn silence(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let (locks, gateways) = (BTreeMap::new(), BTreeMap::new());
    let mut slow = Slow {
        rule,
        stream,
        locks,
        ended: Vec::new(),
        lock_hours: [0.0; 5],
        hours_watched: [0; 5],
        gateways,
        quiet_ms: BTreeMap::new(),
        spared: BTreeMap::new(),
        found: Vec::new(),
    };
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => slow.heard(said.device, &said.lock, said.record, said.now_ms),
            Moment::Happened(EventKind::Installed, device) => _ = slow.locks.insert(*device, Heard::default()),
            Moment::Refused(device, now) => slow.refused(*device, now.ms()),
            Moment::Close(now, locks) => slow.close(now.ms(), locks),
            Moment::Late(late) => slow.refused(late.device, late.now_ms),
            Moment::Happened(..) => {}
        }
    }
    slow.found
}

#[test]
fn silence_is_judged_as_by_every_interval() {
    agree("silence", silence);
}

/// With a parameter for which locks are silent soon enough for their gateway to be the finding.
#[test]
fn silence_is_judged_as_by_every_interval_where_it_often_ends() {
    let mut rule = embedded("silence");
    rule.parameters.insert("ended_per_year".to_owned(), 100.0);
    let [_, noted] = agree_on(&rule, Plan::FEW, SINGLE, silence);
    assert!(noted > 0, "no lock was silent with its gateway");
}
