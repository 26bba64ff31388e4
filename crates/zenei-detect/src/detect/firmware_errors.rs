//! Does a firmware version cause more errors? Compares locks that were updated to it with like locks (model, board) on
//! other versions, at the same time, and with themselves before the update.
//!
//! Each lock is weighted by what it reported before its update, so that locks that always reported errors don't count
//! against their new version; a code counts once per lock and hour, so that a burst is one event. Three sequential
//! tests run side by side: against all like locks, within each site, and against the own past (`past`). The first and
//! the last must also hold without the site of the largest excess and where no lock counts much more than the others. A
//! code that only changed its name is no finding. Must not know simulators, incidents or stores. Called by the engine.
mod case;
mod cells;
mod contrast;
mod course;
mod groups;
mod past;
#[cfg(test)]
mod rollout_tests;
#[cfg(test)]
mod tests;
mod verdict;

use super::codes;
use super::lanes::{forget, lane};
use super::running::{Detect, Glance, Late, Running, Spec, Window};
use crate::anomaly::Findings;
use crate::fleet::{DeviceIx, Sym};
use crate::kind::{DetectorKind, Parameter};
use crate::lock::{Lock, RecordRef};
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS};
use case::Case;
use cells::{Cells, Hour, Quiet, Split, Version};
use groups::{CodeCount, Group, Lane, Like, RARE_PER_DAY, Rate, Role, rates_of};
use past::{Clock, Past};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use zenei_wire::{Body, EngineTime, EventKind};

/// The most error codes compared: three times the catalogue of the contract. Where they are used up, those that one
/// lock alone reports make room at the end of the day; until then further codes are stored but not compared.
const MAX_CODES: usize = 72;
/// A code counts at most so often per lock and day, or four times what is expected of the lock: one broken lock must
/// not decide about its version.
const DAY_CAP: f64 = 2.0;
/// A lock without records for so long does not count as exposed.
const SILENT_MS: i64 = DAY_MS;
/// Locks of one case that are stored by name; beyond it they count without a name. Evidence names at most
/// [`EVIDENCE_MAX`].
const MAX_LOCKS: usize = 1_024;

/// The detector's description for rules and the engine.
pub const SPEC: Spec = Spec {
    kind: DetectorKind {
        word: "firmware_errors",
        symptom: Symptom::Errors,
        looks_at: "error codes of locks that were updated to a version, per hour, against like locks (model, board) \
                   on other versions at the same time and against themselves before the update, each lock weighed by \
                   what it reported before; sequential tests that may be looked at every hour",
        parameters: &[
            Parameter {
                name: "false_alarm",
                unit: "1",
                range: 1e-12..=0.1,
                meaning: "the probability that one version and code ever alarms without cause",
            },
            Parameter {
                name: "min_locks",
                unit: "1",
                range: 2.0..=1e6,
                meaning: "how many locks must report the code",
            },
            Parameter {
                name: "min_ratio",
                unit: "1",
                range: 1.0..=100.0,
                meaning: "the least rate that is a finding, as a multiple of what like locks have",
            },
            Parameter {
                name: "history_days",
                unit: "d",
                range: 0.0..=90.0,
                meaning: "how long a lock must be known before its update makes it a witness",
            },
            Parameter {
                name: "watch_days",
                unit: "d",
                range: 1.0..=365.0,
                meaning: "how long after its update a lock is a witness for its version",
            },
        ],
        reads_field: false,
    },
    reset_by: &[EventKind::Installed],
    every_ms: HOUR_MS,
    counts_late: true,
    counts_unreadable: false,
    make: |spec, rule| FirmwareErrors::start(spec, rule, Params::of(rule)),
};

type FirmwareErrors = Running<Params, State>;

/// The values that a rule gives the detector.
struct Params {
    limit: f64,
    min_locks: usize,
    min_ratio: f64,
    history_days: f32,
    watch_ms: i64,
}

impl Params {
    fn of(rule: &Rule) -> Result<Self, MissingParameter> {
        Ok(Self {
            // Three tests share the budget.
            limit: libm::log(3.0 / rule.parameter("false_alarm")?),
            min_locks: rule.parameter("min_locks")? as usize,
            min_ratio: rule.parameter("min_ratio")?,
            history_days: rule.parameter("history_days")? as f32,
            watch_ms: (rule.parameter("watch_days")? * DAY_MS as f64) as i64,
        })
    }
}

/// The state that a snapshot stores.
#[derive(Default, Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    codes: Vec<Sym>,
    rates: BTreeMap<(Like, Sym), Rate>,
    dispersion: BTreeMap<Sym, f64>,
    groups: Vec<Group>,
    /// Per code, for each group: events expected of it in a day.
    weights: BTreeMap<Sym, Vec<f64>>,
    /// Per code, for each group: events of this hour.
    counts: BTreeMap<Sym, Vec<f64>>,
    cases: BTreeMap<(Sym, Sym), Case>,
    /// Per version and code: its locks against themselves.
    pasts: BTreeMap<(Sym, Sym), Past>,
    /// Per code: what locks that were not updated report of late.
    clocks: BTreeMap<Sym, Clock>,
    /// Codes of parts that wear: a lock's own past says nothing about them.
    wears: BTreeSet<Sym>,
    swept: bool,
    /// How the groups relate to each other; `None` after a new sorting. It is computed again after a restart.
    #[serde(skip)]
    cells: Option<Cells>,
}

impl Detect for FirmwareErrors {
    /// Takes any record of a lock: it may show an update, and it may be an error report.
    fn row(&mut self, glance: &Glance<'_>) {
        self.heard(glance.device, glance.lock, glance.now_ms);
        if let Body::Error(error) = &glance.row.body {
            if codes::wears(&error.code) {
                self.state.wears.insert(glance.code);
            }
            self.error(glance.device, glance.code, glance.record, glance.now_ms);
        }
    }

    /// Takes a late record: the order of error reports does not matter.
    fn late(&mut self, late: &Late) {
        if late.code != Sym::NONE {
            self.error(late.device, late.code, late.record, late.now_ms);
        }
    }

    /// Removes the state: the id belongs to another lock now, whose error habits are unknown, and whose version is no
    /// update.
    fn reset(&mut self, device: DeviceIx) {
        let Some(lane) = self.state.lanes.get_mut(device.0 as usize) else { return };
        if let Some(group) = lane.group.take() {
            self.leave(device, group);
        }
        forget(&mut self.state.lanes, device);
    }

    /// Judges the hour.
    fn close(&mut self, window: Window<'_>, findings: &mut Findings) {
        let Window { now, fleet, .. } = window;
        let mut cells = self.state.cells.take().unwrap_or_else(|| Cells::of(&self.state.groups));
        let counts = core::mem::take(&mut self.state.counts);
        let silent = vec![0.0; self.state.groups.len()];
        let codes: BTreeSet<Sym> = self.state.codes.iter().copied().collect();
        for code in codes {
            let weights = self.state.weights.get(&code).unwrap_or(&silent);
            let quiet = cells.quiet.remove(&code).unwrap_or_else(|| Quiet::of(&cells, weights));
            let events = counts.get(&code).unwrap_or(&silent);
            let heard: Vec<usize> = (0..events.len()).filter(|&at| events[at] > 0.0).collect();
            self.pass(code, &heard, events, &cells, &quiet);
            for (version, quiet_version) in cells.versions.iter().zip(&quiet.versions).filter(|_| !heard.is_empty()) {
                let hour = Hour { code, heard: &heard, events, cells: &cells, quiet: &quiet, quiet_version };
                self.weigh(version, &hour, now);
                self.judge(version.fw, code, now, fleet, findings);
            }
            cells.quiet.insert(code, quiet);
        }
        self.state.cells = Some(cells);
    }

    /// Ends the day: learns each lock's habit, sorts the locks into groups, weighs the groups.
    fn close_day(&mut self, window: Window<'_>) {
        let Window { now, locks, .. } = window;
        self.learn_day(now, locks);
        self.make_room();
        self.sort_groups(now, locks);
        self.join_pasts();
        let State { lanes, groups, cases, pasts, clocks, swept, .. } = &mut self.state;
        let mut tested: BTreeMap<Sym, usize> = BTreeMap::new();
        for group in lanes.iter().filter_map(|lane| groups.get(lane.group? as usize)).filter(|group| group.updated) {
            *tested.entry(group.fw).or_default() += 1;
        }
        // A version that no updated lock runs is no longer under test.
        cases.retain(|(fw, _), _| tested.contains_key(fw));
        pasts.retain(|(fw, _), _| tested.contains_key(fw));
        clocks.values_mut().for_each(Clock::fade);
        for ((fw, _), case) in cases {
            case.lock_days += tested.get(fw).map_or(0.0, |&locks| locks as f64);
        }
        *swept = true;
    }
}

impl FirmwareErrors {
    /// Takes any record of a lock: notices an update of its firmware.
    fn heard(&mut self, device: DeviceIx, lock: &Lock, now_ms: i64) {
        let lane = lane(&mut self.state.lanes, device);
        let fw = lock.labels.fw;
        if fw == lane.fw || fw == Sym::NONE {
            return;
        }
        let first = lane.fw == Sym::NONE;
        let group = lane.group.take();
        lane.fw = fw;
        lane.since_ms = now_ms;
        if !first {
            lane.role = if lane.history_days >= self.params.history_days { Role::Updated } else { Role::Unknown };
        }
        if let Some(group) = group {
            self.leave(device, group);
        }
    }

    /// Takes an error report.
    fn error(&mut self, device: DeviceIx, code: Sym, record: RecordRef, now_ms: i64) {
        if code == Sym::NONE || !self.knows(code) {
            return;
        }
        let Some(lane) = self.state.lanes.get_mut(device.0 as usize) else { return };
        let hour = now_ms.div_euclid(HOUR_MS);
        let entry = match lane.codes.iter().position(|count| count.code == code) {
            Some(entry) => entry,
            None => {
                lane.codes.push(CodeCount { code, history: 0.0, today: 0, hour: i64::MIN });
                lane.codes.len() - 1
            }
        };
        if lane.codes[entry].hour == hour {
            return;
        }
        lane.codes[entry].hour = hour;
        let Some(group) = lane.group else {
            lane.codes[entry].today = lane.codes[entry].today.saturating_add(1);
            return;
        };
        let key = self.state.groups[group as usize];
        let rate = self.state.rates.get(&(key.like, code)).map_or(RARE_PER_DAY, Rate::per_day);
        let cap = DAY_CAP.max(4.0 * rate * lane.propensity(lane.own(code), rate));
        if f64::from(lane.codes[entry].today) >= cap {
            return;
        }
        lane.codes[entry].today += 1;
        let groups = self.state.groups.len();
        self.state.counts.entry(code).or_insert_with(|| vec![0.0; groups])[group as usize] += 1.0;
        if key.updated {
            let case = self.state.cases.entry((key.fw, code)).or_default();
            if case.locks.len() < MAX_LOCKS || case.locks.contains_key(&device) {
                let seen = case.locks.entry(device).or_insert((0, record));
                *seen = (seen.0 + 1, record);
            }
        }
    }

    fn knows(&mut self, code: Sym) -> bool {
        if self.state.codes.contains(&code) {
            return true;
        }
        if self.state.codes.len() >= MAX_CODES {
            return false;
        }
        self.state.codes.push(code);
        true
    }

    /// Where the codes are used up, removes those that one lock alone reports: they are no evidence about a version.
    fn make_room(&mut self) {
        let State { lanes, codes, rates, dispersion, cases, pasts, clocks, .. } = &mut self.state;
        if codes.len() < MAX_CODES {
            return;
        }
        let mut reporters: BTreeMap<Sym, usize> = BTreeMap::new();
        for count in lanes.iter().flat_map(|lane| &lane.codes) {
            *reporters.entry(count.code).or_default() += 1;
        }
        codes.retain(|code| reporters.get(code).is_some_and(|&locks| locks > 1));
        rates.retain(|(_, code), _| codes.contains(code));
        dispersion.retain(|code, _| codes.contains(code));
        cases.retain(|(_, code), _| codes.contains(code));
        pasts.retain(|(_, code), _| codes.contains(code));
        clocks.retain(|code, _| codes.contains(code));
        lanes.iter_mut().for_each(|lane| lane.codes.retain(|count| codes.contains(&count.code)));
    }

    /// Takes a lock's weight out of its group until the next day sorts it anew.
    fn leave(&mut self, device: DeviceIx, group: u32) {
        let State { lanes, codes, rates, groups, weights, .. } = &mut self.state;
        let like = groups[group as usize].like;
        for &code in codes.iter() {
            let rate = rates.get(&(like, code)).map_or(RARE_PER_DAY, Rate::per_day);
            let lane = &lanes[device.0 as usize];
            let share = rate * lane.propensity(lane.own(code), rate);
            if let Some(weight) = weights.get_mut(&code).and_then(|weights| weights.get_mut(group as usize)) {
                // The rounding error of a difference of equal sums is no weight.
                *weight = if *weight - share < 1e-9 { 0.0 } else { *weight - share };
            }
        }
        if let Some(cells) = &mut self.state.cells {
            cells.quiet.clear();
        }
    }

    fn learn_day(&mut self, now: EngineTime, locks: &[Lock]) {
        let State { lanes, codes, rates, groups, dispersion, swept, .. } = &mut self.state;
        let known: BTreeSet<Sym> = codes.iter().copied().chain(rates.keys().map(|&(_, code)| code)).collect();
        let mut spread: Vec<(Sym, f64, f64)> = known.into_iter().map(|code| (code, 0.0, 0.0)).collect();
        let mut kinds: BTreeMap<Like, Vec<(usize, Rate)>> = BTreeMap::new();
        for (lane, lock) in lanes.iter_mut().zip(locks) {
            let awake = now.ms() - lock.heard_ms < SILENT_MS && lock.labels.fw != Sym::NONE;
            let old = now.ms() - lane.since_ms >= self.params.watch_ms;
            if lane.role != Role::Settled && old {
                lane.role = Role::Settled;
            }
            if lane.role == Role::Settled && awake && !lock.maintenance {
                let like = Like { model: lock.labels.model, hw_rev: lock.labels.hw_rev };
                let of_kind = kinds.entry(like).or_insert_with(|| rates_of(like, codes, rates, &spread));
                let is_sorted = *swept && lane.group.is_some_and(|group| !groups[group as usize].updated);
                for (place, rate) in of_kind {
                    let (code, sum, count) = &mut spread[*place];
                    let own = lane.own(*code);
                    let events = own.map_or(0.0, |count| f64::from(count.today));
                    let expected = rate.mean() * lane.propensity(own, rate.mean());
                    if is_sorted && expected > 1e-4 {
                        *sum += (events - expected) * (events - expected) / expected;
                        *count += 1.0;
                    }
                    rate.events += events;
                    rate.lock_days += 1.0;
                }
                lane.codes.iter_mut().for_each(|count| count.history += f32::from(count.today));
                lane.history_days += 1.0;
            }
            lane.codes.iter_mut().for_each(|count| count.today = 0);
        }
        for (like, of_kind) in kinds {
            rates.extend(of_kind.into_iter().map(|(place, rate)| ((like, spread[place].0), rate)));
        }
        for (code, sum, count) in spread.into_iter().filter(|&(_, _, count)| count > 0.0) {
            let day = (sum / count).clamp(0.0, 25.0);
            let known = dispersion.entry(code).or_insert(1.0);
            *known += 0.1 * (day - *known);
        }
    }

    fn sort_groups(&mut self, now: EngineTime, locks: &[Lock]) {
        let State { lanes, codes, rates, groups, weights, cells, .. } = &mut self.state;
        let mut numbers: BTreeMap<Group, u32> = BTreeMap::new();
        let mut kinds: BTreeMap<Like, Vec<f64>> = BTreeMap::new();
        let mut sums: Vec<(Sym, Vec<f64>)> = codes.iter().map(|&code| (code, Vec::new())).collect();
        groups.clear();
        *cells = None;
        for (lane, lock) in lanes.iter_mut().zip(locks) {
            lane.group = None;
            let awake = now.ms() - lock.heard_ms < SILENT_MS && lane.fw != Sym::NONE && !lock.maintenance;
            if !awake || lane.role == Role::Unknown {
                continue;
            }
            let like = Like { model: lock.labels.model, hw_rev: lock.labels.hw_rev };
            let key = Group { like, site: lock.site, fw: lane.fw, updated: lane.role == Role::Updated };
            let number = *numbers.entry(key).or_insert_with(|| {
                groups.push(key);
                sums.iter_mut().for_each(|(_, weights)| weights.push(0.0));
                groups.len() as u32 - 1
            });
            lane.group = Some(number);
            let per_day = |code: Sym| rates.get(&(like, code)).map_or(RARE_PER_DAY, Rate::per_day);
            let of_kind = kinds.entry(like).or_insert_with(|| codes.iter().map(|&code| per_day(code)).collect());
            for ((code, weights), &rate) in sums.iter_mut().zip(&*of_kind) {
                weights[number as usize] += rate * lane.propensity(lane.own(*code), rate);
            }
        }
        *weights = sums.into_iter().collect();
    }

    /// Adds an hour's events of one code to the case of one version.
    fn weigh(&mut self, version: &Version, hour: &Hour<'_>, now: EngineTime) {
        let State { groups, dispersion, cases, .. } = &mut self.state;
        let dispersion = dispersion.get(&hour.code).copied().unwrap_or(1.0).max(1.0);
        let case = cases.entry((version.fw, hour.code)).or_default();
        if case.started_ms == 0 {
            case.started_ms = now.ms() - HOUR_MS;
        }
        let mut all = hour.quiet_version.all.clone();
        // Places without an event carry no evidence.
        let mut within: BTreeMap<usize, Split> = BTreeMap::new();
        for &at in hour.heard {
            let events = hour.events[at];
            let of = |split: &mut Split| match (groups[at].fw == version.fw, groups[at].updated) {
                (true, true) => split.tested.events += events,
                (true, false) => {}
                (false, _) => split.others.events += events,
            };
            let (like, place) = hour.cells.of_group[at];
            if let Ok(like) = version.likes.binary_search_by_key(&like, |&(like, _)| like) {
                of(&mut all[like]);
            }
            if let Ok(place) = version.places.binary_search(&place) {
                of(within.entry(place).or_insert(hour.quiet_version.within[place]));
            }
        }
        for of_site in version.by_site.chunk_by(|(a, _), (b, _)| a == b) {
            let site = case.sites.entry(of_site[0].0).or_default();
            let weights = &hour.quiet.weights;
            of_site.iter().for_each(|&(_, at)| *site = (site.0 + hour.events[at], site.1 + weights[at]));
        }
        let kinds = all.into_iter().zip(version.likes.iter().map(|&(_, hw_rev)| hw_rev));
        case.add(kinds, within.into_values(), dispersion);
    }
}
