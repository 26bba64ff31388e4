//! A slow version of the detector `firmware_errors`, over all reports and lock-days: the expected errors of a group are
//! summed over its locks at the end of each hour, and a case is summed over all its hours.
mod case;
mod past;

use super::locks::Plan;
use super::stream::{DOUBLE, Found, Moment, Stream, agree_on, embedded};
use case::{Case, Sums, evidence, hour, least_ratio, ratio};
use past::Pasts;
use std::collections::{BTreeMap, BTreeSet};
use zenei_detect::anomaly::DecisionReason;
use zenei_detect::fleet::{DeviceIx, Sym};
use zenei_detect::lock::{Lock, RecordRef};
use zenei_detect::rules::Rule;
use zenei_wire::{Body, EventKind};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Once in 27 years of a lock.
const RARE: f64 = 1e-4;
const WEARS: [&str; 8] = [
    "motor_stall",
    "motor_overcurrent",
    "jam",
    "sensor_fault",
    "low_battery",
    "battery_cutoff",
    "rtc_fault",
    "thumbturn_slip",
];

/// Model and board.
type Like = (Sym, Sym);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    like: Like,
    site: Sym,
    fw: Sym,
    tested: bool,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Role {
    #[default]
    Settled,
    Updated,
    Unknown,
}

#[derive(Default)]
struct OneLock {
    fw: Sym,
    role: Role,
    since_ms: i64,
    /// The version whose past has its history.
    joined: Sym,
    /// For each day of its history: how often it reported each code.
    days: Vec<BTreeMap<Sym, f64>>,
    group: Option<Group>,
    /// The first one of each code and hour.
    reports: Vec<Report>,
}

struct Report {
    code: Sym,
    at_ms: i64,
    /// Whether it is within the cap of a day.
    counts: bool,
}

/// A report that counts for its group.
struct Counted {
    device: DeviceIx,
    code: Sym,
    group: Group,
    record: RecordRef,
    at_ms: i64,
}

struct Slow<'a> {
    rule: &'a Rule,
    stream: &'a Stream,
    locks: BTreeMap<DeviceIx, OneLock>,
    known: Vec<Sym>,
    /// For each settled lock and day: the events.
    lock_days: BTreeMap<(Like, Sym), Vec<f64>>,
    /// Their means at the end of the last day.
    rates: BTreeMap<(Like, Sym), f64>,
    /// For each day: how much more than Poisson the locks' counts vary.
    spreads: BTreeMap<Sym, Vec<f64>>,
    groups: BTreeSet<Group>,
    counted: Vec<Counted>,
    /// How many locks were under test on a version at the end of each day.
    members: Vec<(Sym, i64, f64)>,
    cases: BTreeMap<(Sym, Sym), Case>,
    /// Ends of the last hour and the last day.
    hour_ms: i64,
    day_ms: Option<i64>,
    pasts: Pasts,
    /// Codes known at the end of the last day.
    weighed: Vec<Sym>,
    wears: BTreeSet<Sym>,
    found: Vec<Found>,
}

impl OneLock {
    /// Its expected events relative to like locks: from its own past and one imagined event.
    fn propensity(&self, code: Sym, rate: f64) -> f64 {
        let own: f64 = self.days.iter().filter_map(|day| day.get(&code)).sum();
        (own + 1.0) / (rate * self.days.len() as f64 + 1.0)
    }

    fn today(&self, code: Sym, day_ms: Option<i64>) -> f64 {
        let of = |report: &&Report| report.counts && report.code == code && day_ms.is_none_or(|at| report.at_ms >= at);
        self.reports.iter().filter(of).count() as f64
    }
}

fn mean(values: Option<&Vec<f64>>) -> f64 {
    values.map_or(0.0, |all| all.iter().sum::<f64>() / (all.len() as f64).max(1.0))
}

impl Slow<'_> {
    fn heard(&mut self, device: DeviceIx, fw: Sym, now_ms: i64) {
        let history_days = self.rule.parameter("history_days").unwrap();
        let lock = self.locks.entry(device).or_default();
        if fw == lock.fw {
            return;
        }
        if lock.fw != Sym::NONE {
            lock.role = if lock.days.len() as f64 >= history_days { Role::Updated } else { Role::Unknown };
        }
        (lock.fw, lock.since_ms, lock.group) = (fw, now_ms, None);
    }

    fn error(&mut self, device: DeviceIx, code: Sym, record: RecordRef, at_ms: i64) {
        if !self.known.contains(&code) {
            if self.known.len() == 72 {
                return;
            }
            self.known.push(code);
        }
        let Some(lock) = self.locks.get_mut(&device) else { return };
        let hour = |ms: i64| ms.div_euclid(HOUR_MS);
        if lock.reports.iter().any(|report| report.code == code && hour(report.at_ms) == hour(at_ms)) {
            return;
        }
        let counts = lock.group.is_none_or(|group| {
            let rate = self.rates.get(&(group.like, code)).copied().unwrap_or(0.0).max(RARE);
            lock.today(code, self.day_ms) < (4.0 * rate * lock.propensity(code, rate)).max(2.0)
        });
        lock.reports.push(Report { code, at_ms, counts });
        if let Some(group) = lock.group.filter(|_| counts) {
            self.counted.push(Counted { device, code, group, record, at_ms });
        }
    }

    fn dispersion(&self, code: Sym) -> f64 {
        let days = self.spreads.get(&code).into_iter().flatten();
        days.fold(1.0, |known, day| known + 0.1 * (day - known)).max(1.0)
    }

    fn versions(&self) -> BTreeSet<Sym> {
        self.groups.iter().filter(|group| group.tested).map(|group| group.fw).collect()
    }

    fn close_hour(&mut self, now_ms: i64) {
        let of_hour: Vec<&Counted> = self.counted.iter().filter(|counted| counted.at_ms >= self.hour_ms).collect();
        let codes: BTreeSet<Sym> = of_hour.iter().map(|counted| counted.code).collect();
        let sums = |group: &Group, code: Sym| {
            let is_of = |counted: &&&Counted| counted.code == code && counted.group == *group;
            Sums(of_hour.iter().filter(is_of).count() as f64, self.expected(group, code) / 24.0)
        };
        let sums_of = |code: Sym| self.groups.iter().map(|group| (*group, sums(group, code))).collect();
        let known: BTreeSet<Sym> = self.known.iter().copied().collect();
        let all: Vec<(Sym, Vec<(Group, Sums)>)> = known.into_iter().map(|code| (code, sums_of(code))).collect();
        for (code, sums) in all {
            self.pass(code, &sums);
            for fw in self.versions().into_iter().filter(|_| codes.contains(&code)) {
                let hour = hour(&sums, fw, self.dispersion(code));
                let case = self.cases.entry((fw, code)).or_default();
                if case.hours.is_empty() {
                    case.started_ms = now_ms - HOUR_MS;
                }
                case.hours.push(hour);
                self.judge(fw, code, now_ms);
            }
        }
        self.hour_ms = now_ms;
    }

    /// The events expected in a day of the locks that are still in a group.
    fn expected(&self, group: &Group, code: Sym) -> f64 {
        if !self.weighed.contains(&code) {
            return 0.0;
        }
        let rate = self.rates.get(&(group.like, code)).copied().unwrap_or(0.0).max(RARE);
        let members = self.locks.values().filter(|lock| lock.group == Some(*group));
        members.map(|lock| rate * lock.propensity(code, rate)).sum()
    }

    /// An hour of a code: what locks did that were not updated, and each version's locks on each board.
    fn pass(&mut self, code: Sym, sums: &[(Group, Sums)]) {
        let settled = Sums::of(sums.iter().filter(|(group, _)| !group.tested).map(|(_, of)| *of));
        self.pasts.settled.entry((code, self.pasts.day)).or_default().add(settled);
        let pace = self.pasts.pace(code);
        for (group, of) in sums.iter().filter(|(group, _)| group.tested) {
            let (board, sums) = (group.like.1, Sums(of.0, pace * of.1));
            self.pasts.parts.entry((group.fw, code, board, false)).or_default().add(sums);
        }
    }

    /// Each updated lock adds its history to its version's past, once.
    fn join(&mut self) {
        let (known, rates) = (&self.known, &self.rates);
        for lock in self.locks.values_mut() {
            let Some(group) = lock.group.filter(|group| group.tested) else { continue };
            let is_new = core::mem::replace(&mut lock.joined, lock.fw) != lock.fw;
            for &code in known {
                if is_new || !self.pasts.ready.contains(&(lock.fw, code)) {
                    let rate = rates.get(&(group.like, code)).copied().unwrap_or(0.0).max(RARE);
                    let own: f64 = lock.days.iter().filter_map(|day| day.get(&code)).sum();
                    let sums = Sums(own, lock.days.len() as f64 * rate * lock.propensity(code, rate));
                    let (fw, board) = (lock.fw, group.like.1);
                    self.pasts.parts.entry((fw, code, board, true)).or_default().add(sums);
                }
            }
        }
        let (tested, known) = (self.versions(), &self.known);
        self.pasts.parts.retain(|(fw, code, ..), _| tested.contains(fw) && known.contains(code));
        let pairs = tested.iter().flat_map(|&fw| known.iter().map(move |&code| (fw, code)));
        self.pasts.ready = pairs.collect();
        self.pasts.settled.retain(|(code, _), _| known.contains(code));
        self.pasts.day += 1;
    }

    fn judge(&mut self, fw: Sym, code: Sym, now_ms: i64) {
        let limit = (3.0 / self.rule.parameter("false_alarm").unwrap()).ln();
        let (min_locks, min_ratio) =
            (self.rule.parameter("min_locks").unwrap(), self.rule.parameter("min_ratio").unwrap());
        let (dispersion, worn) = (self.dispersion(code), self.wears.contains(&code));
        let past = self.pasts.verdict(fw, code, dispersion).filter(|_| !worn);
        let Some(case) = self.cases.get_mut(&(fw, code)) else { return };
        let [all, within] = case.evidence();
        let before = past.map_or(0.0, |past| past.0);
        let most = all.max(within).max(before);
        if most < limit {
            return;
        }
        // For each lock the number of its reports, and the last one.
        let mut locks: BTreeMap<DeviceIx, (f64, RecordRef)> = BTreeMap::new();
        let of_case =
            |of: &&Counted| of.group.tested && of.group.fw == fw && of.code == code && of.at_ms >= case.started_ms;
        for counted in self.counted.iter().filter(of_case) {
            let of = locks.entry(counted.device).or_default();
            *of = (of.0 + 1.0, counted.record);
        }
        let reports: Vec<f64> = locks.values().map(|of| of.0).collect();
        let robust = |sides: [Sums; 2], alone: bool| {
            let rest = case.without_loudest(sides, reports.clone(), worn);
            rest.map_or(alone, |rest| evidence(rest, dispersion) >= 0.5 * limit)
        };
        let of_others = [case.tested(), case.others()];
        let by_others = if worn {
            all.max(within) >= limit && robust(of_others, false)
        } else {
            within >= limit || (all >= limit && robust(of_others, false))
        };
        let by_past = past.filter(|past| past.0 >= limit && (!by_others || past.0 > all.max(within)));
        let (sides, board) = by_past.map_or((of_others, case.board()), |past| (past.2, past.1));
        let is_sure = by_others || by_past.is_some_and(|past| robust(past.2, true));
        let ratio = ratio(sides);
        let board = case.named.unwrap_or(board);
        let word = |sym: Sym| self.stream.fleet.word(sym).unwrap_or_default();
        let scope = board.map_or(word(fw).to_owned(), |board| format!("{}+{}", word(fw), word(board)));
        let refused = if (locks.len() as f64) < min_locks {
            Some(DecisionReason::TooFewMatched)
        } else if ratio < min_ratio {
            Some(DecisionReason::BelowEffect)
        } else {
            (!is_sure || self.pasts.is_renamed(fw, code, &self.known)).then_some(DecisionReason::Unconfirmed)
        };
        if let Some(reason) = refused {
            if !core::mem::replace(&mut case.noted, true) {
                self.found.push(Found::noted(scope, now_ms, reason, ratio, min_ratio));
            }
            return;
        }
        if case.alarms.last().is_some_and(|&(at_ms, before)| now_ms - at_ms < 7 * DAY_MS || most <= before) {
            return;
        }
        case.alarms.push((now_ms, most));
        case.named = Some(board);
        let tested_days = self.members.iter().filter(|of| of.0 == fw && of.1 > case.started_ms).map(|of| of.2);
        let window_days = (now_ms - case.started_ms) as f64 / DAY_MS as f64;
        let value = sides[0].0 / tested_days.sum::<f64>().max(locks.len() as f64 * window_days);
        let least = least_ratio(sides, limit, dispersion).max(min_ratio).min(0.99 * ratio);
        let name = |device: &DeviceIx| self.stream.fleet.device_id(*device).to_owned();
        self.found.push(Found {
            scope,
            at_ms: now_ms,
            since_ms: case.started_ms,
            numbers: [value, value / ratio, value / ratio * least],
            evidence: locks.iter().take(64).map(|(of, (_, last))| (name(of), last.boot, last.seq)).collect(),
            noted: None,
        });
    }

    fn close_day(&mut self, now_ms: i64, locks: &[Lock]) {
        self.learn(now_ms, locks);
        self.make_room();
        self.rates = self.lock_days.iter().map(|(key, days)| (*key, mean(Some(days)))).collect();
        self.groups.clear();
        for (device, lock) in &mut self.locks {
            let now = &locks[device.0 as usize];
            let is_there = now_ms - now.heard_ms < DAY_MS && !now.maintenance && lock.role != Role::Unknown;
            lock.group = is_there.then_some(Group {
                like: (now.labels.model, now.labels.hw_rev),
                site: now.site,
                fw: lock.fw,
                tested: lock.role == Role::Updated,
            });
            self.groups.extend(lock.group);
        }
        for fw in self.versions() {
            let is_of = |lock: &&OneLock| lock.group.is_some_and(|group| group.tested && group.fw == fw);
            self.members.push((fw, now_ms, self.locks.values().filter(is_of).count() as f64));
        }
        self.join();
        self.weighed = self.known.clone();
        let tested = self.versions();
        self.cases.retain(|(fw, _), _| tested.contains(fw));
        self.day_ms = Some(now_ms);
    }

    /// Each settled lock with records adds a day to the normal rates: of its like, and its own.
    fn learn(&mut self, now_ms: i64, locks: &[Lock]) {
        let watch_ms = (self.rule.parameter("watch_days").unwrap() * DAY_MS as f64) as i64;
        let mut of_day: BTreeMap<Sym, Vec<f64>> = BTreeMap::new();
        for (device, lock) in &mut self.locks {
            let now = &locks[device.0 as usize];
            if now_ms - lock.since_ms >= watch_ms {
                lock.role = Role::Settled;
            }
            if lock.role != Role::Settled || now_ms - now.heard_ms >= DAY_MS || now.maintenance {
                continue;
            }
            let mut today = BTreeMap::new();
            for &code in &self.known {
                let key = ((now.labels.model, now.labels.hw_rev), code);
                let (events, rate) = (lock.today(code, self.day_ms), mean(self.lock_days.get(&key)));
                let expected = rate * lock.propensity(code, rate);
                let is_peer = self.day_ms.is_some() && lock.group.is_some_and(|group| !group.tested);
                if is_peer && expected > 1e-4 {
                    of_day.entry(code).or_default().push((events - expected).powi(2) / expected);
                }
                self.lock_days.entry(key).or_default().push(events);
                today.insert(code, events);
            }
            lock.days.push(today);
        }
        for (code, all) in of_day {
            self.spreads.entry(code).or_default().push(mean(Some(&all)).clamp(0.0, 25.0));
        }
    }

    /// Where 72 codes are known, those that one lock alone reported are removed.
    fn make_room(&mut self) {
        if self.known.len() < 72 {
            return;
        }
        let reports = |lock: &OneLock, code: Sym| lock.reports.iter().any(|report| report.code == code);
        self.known.retain(|&code| self.locks.values().filter(|lock| reports(lock, code)).count() > 1);
        let known = &self.known;
        for lock in self.locks.values_mut() {
            lock.reports.retain(|report| known.contains(&report.code));
            lock.days.iter_mut().for_each(|day| day.retain(|code, _| known.contains(code)));
        }
        self.lock_days.retain(|(_, code), _| known.contains(code));
        self.spreads.retain(|code, _| known.contains(code));
        self.cases.retain(|(_, code), _| known.contains(code));
    }
}

fn firmware(rule: &Rule, stream: &Stream) -> Vec<Found> {
    let mut slow = Slow {
        rule,
        stream,
        locks: BTreeMap::new(),
        known: Vec::new(),
        lock_days: BTreeMap::new(),
        rates: BTreeMap::new(),
        spreads: BTreeMap::new(),
        groups: BTreeSet::new(),
        counted: Vec::new(),
        members: Vec::new(),
        cases: BTreeMap::new(),
        hour_ms: 0,
        day_ms: None,
        pasts: Pasts::default(),
        weighed: Vec::new(),
        wears: BTreeSet::new(),
        found: Vec::new(),
    };
    for moment in &stream.moments {
        match moment {
            Moment::Said(said) => {
                slow.heard(said.device, said.lock.labels.fw, said.now_ms);
                if let Body::Error(error) = &said.row.body {
                    if WEARS.contains(&&*error.code) {
                        slow.wears.insert(said.code);
                    }
                    slow.error(said.device, said.code, said.record, said.now_ms);
                }
            }
            Moment::Late(late) => slow.error(late.device, late.code, late.record, late.now_ms),
            Moment::Happened(EventKind::Installed, device) => {
                slow.locks.entry(*device).and_modify(|lock| *lock = OneLock::default());
            }
            Moment::Close(now, locks) => {
                slow.close_hour(now.ms());
                if now.ms() % DAY_MS == 0 {
                    slow.close_day(now.ms(), locks);
                }
            }
            Moment::Happened(..) | Moment::Refused(..) => {}
        }
    }
    slow.found
}

#[test]
fn a_versions_errors_are_judged_as_by_all_lock_days() {
    let [_, noted] = agree_on(&embedded("firmware-errors"), Plan::MANY, DOUBLE, firmware);
    assert!(noted > 0, "nothing was refused");
}

/// With parameters for which a rollout ends, and evidence suffices, within a stream.
#[test]
fn a_versions_errors_are_judged_as_by_all_lock_days_where_rollouts_end() {
    let mut rule = embedded("firmware-errors");
    rule.parameters.insert("watch_days".to_owned(), 9.0);
    rule.parameters.insert("false_alarm".to_owned(), 0.01);
    rule.parameters.insert("history_days".to_owned(), 1.0);
    let [_, noted] = agree_on(&rule, Plan::MANY, DOUBLE, firmware);
    assert!(noted > 0, "nothing was refused");
}
