//! What a gateway does to the records of all its locks: it loses some, or hands some over twice, for hours.
//!
//! Each gateway (where none is known, each site) has a past of its own, as a lock has, and is a finding when it departs
//! from that while most others do not, on several of its locks and for several hours. A hole that began before the link
//! was last quiet is no such loss: the gateway was away, and what it lost then is one event. Must not know incidents or
//! stores. Called by `loss`.
use crate::anomaly::{Component, Domain, EVIDENCE_MAX, Findings, Scope, ScopeKind};
use crate::detect::report::{self, REPEAT_MS, Seen};
use crate::detect::running::Window;
use crate::estimate::habit::{Alike, Departure, Habit, Nature};
use crate::fleet::{DeviceIx, Sym};
use crate::lock::{Lock, RecordRef};
use crate::rule::Rule;
use crate::time::{HOUR_MS, MINUTE_MS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A link is quiet after so long without a record, and at least so many times its mean interval: by chance that happens
/// once in e^8 records.
const QUIET_MS: i64 = 30 * MINUTE_MS;
const QUIET_TIMES: f64 = 8.0;
/// And so many times the longest usual interval: locks that report by one clock leave the same gap each hour. A longer
/// one doubles what is usual at most, so that gaps that come again are soon usual, and an outage is not. A guess.
const LONGEST_TIMES: f32 = 2.0;
/// How fast the mean interval follows.
const FOLLOW: f32 = 0.02;
/// How links differ. Of those that always lose much the mean is 1 in 10, four fifths lie between 1 in 600 and 1 in 4:
/// a guess, what links between radio and no radio may be. The past is some months of a lock that says 20 records a
/// day: a guess. In three fleets of another simulator the variance of a day's holes is 1.5 times the mean in half of
/// the locks that lose often, 3 times in a tenth of them: so much holes of one burst, and of one gateway, vary. How
/// bursts vary is learned (`noise`).
pub(super) const LINKS: Nature =
    Nature { chronic: (0.5, 5.0), past_max: 2_000.0, raised: [0.03, 0.1, 0.3], temper: 1.5 };
/// An hour is worth at most so much of the limit: what a gateway does lasts for hours, an accident does not. A
/// guess.
const HOUR_SHARE: f64 = 0.35;
/// The fewest locks that show what their gateway does.
const LOCKS_MIN: usize = 3;
/// The least share of a gateway's locks that show it. A guess: what loses 3 % of all records shows on a fifth of its
/// locks within some hundred records.
const LOCKS_SHARE: f64 = 0.2;
/// From so many locks of one gateway with holes in one hour on, and so many times what it is used to, the holes are the
/// gateway's.
const TOGETHER: (f64, f64) = (3.0, 10.0);
/// Imagined records at the prior share in what all links lose or repeat.
const WEIGHT: f64 = 20_000.0;
/// The most links that can be told apart; further ones are not judged. A guess: a fleet of ten million locks has a
/// million gateways.
const LINKS_MAX: usize = 1 << 20;

/// All links.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Links {
    links: Vec<Link>,
    numbers: BTreeMap<Sym, u32>,
    /// Records, holes and repetitions of all links.
    all: [f64; 3],
}

/// One gateway, or one site without gateways.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Link {
    value: Sym,
    is_site: bool,
    heard_ms: i64,
    /// When it was last heard again after it had been quiet, ms.
    quiet_ms: Option<i64>,
    interval_ms: f32,
    /// The longest usual interval, ms.
    longest_ms: f32,
    /// Records of this hour.
    records: u32,
    loses: Course,
    repeats: Course,
    together: bool,
}

/// The course of one thing that a link may do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Course {
    /// Locks that showed it in this hour, each with its latest record.
    hour: BTreeMap<DeviceIx, RecordRef>,
    habit: Habit,
    departure: Departure,
    since_ms: i64,
    events: u32,
    records: u32,
    /// Locks that showed it since then, each with its first record and the hours in which it did.
    shown: BTreeMap<DeviceIx, (RecordRef, u32)>,
    alarm_ms: Option<i64>,
}

/// What all links are judged by.
pub(super) struct Shared<'a> {
    pub(super) limit: f64,
    pub(super) prior: Alike,
    pub(super) rule: &'a Rule,
}

/// What a link may do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Loses,
    Repeats,
}

impl Link {
    /// When it was last heard again after it had been quiet, ms.
    pub(super) fn quiet_ms(&self) -> i64 {
        self.quiet_ms.unwrap_or(i64::MIN)
    }

    fn heard(&mut self, now_ms: i64) {
        self.records = self.records.saturating_add(1);
        let interval_ms = now_ms - self.heard_ms;
        if self.heard_ms == 0 {
            self.heard_ms = now_ms;
            return;
        }
        let usual_ms = LONGEST_TIMES * self.longest_ms;
        let is_long = interval_ms >= QUIET_MS && interval_ms as f64 >= QUIET_TIMES * f64::from(self.interval_ms);
        if is_long && interval_ms as f32 >= usual_ms {
            self.quiet_ms = Some(now_ms);
        }
        let first_ms = QUIET_MS as f32 / 8.0;
        self.longest_ms = self.longest_ms.max((interval_ms as f32).min(usual_ms.max(first_ms)));
        self.interval_ms +=
            (interval_ms as f32 - self.interval_ms) * if self.interval_ms == 0.0 { 1.0 } else { FOLLOW };
        self.heard_ms = now_ms;
    }

    fn course(&mut self, act: Act) -> &mut Course {
        match act {
            Act::Loses => &mut self.loses,
            Act::Repeats => &mut self.repeats,
        }
    }

    /// How many times as often as it is used to the link did this in this hour; 0 where it did not.
    fn times(&self, act: Act, usual: f64) -> f64 {
        let course = if act == Act::Loses { &self.loses } else { &self.repeats };
        let own = (f64::from(course.habit.events) + 1.0) / (f64::from(course.habit.exposure) + 1.0 / usual);
        course.hour.len() as f64 / (own * f64::from(self.records)).max(1e-9)
    }
}

impl Course {
    /// Notes which locks showed it in this hour.
    fn show(&mut self) {
        for (device, record) in &self.hour {
            if self.shown.len() < EVIDENCE_MAX || self.shown.contains_key(device) {
                self.shown.entry(*device).or_insert((*record, 0)).1 += 1;
            }
        }
    }

    /// The evidence that is left without the lock that shows most: what a link does, it does to all its locks, and one
    /// lock that loses much is no gateway's fault.
    fn of_others(&self, behind: usize, usual: f64) -> f64 {
        let worst = self.shown.values().map(|&(_, hours)| hours).max().unwrap_or(0);
        let events = f64::from(self.events - worst);
        let records = f64::from(self.records) * (1.0 - 1.0 / behind.max(2) as f64);
        let (before, since) = (self.habit.events - self.events as f32, self.habit.exposure - self.records as f32);
        let own = (f64::from(before.max(0.0)) + 1.0) / (f64::from(since.max(0.0)) + 1.0 / usual);
        let of = |rate: f64| events * libm::log(rate / own) - (rate - own) * records;
        LINKS.raised.map(of).into_iter().fold(0.0, f64::max) / LINKS.temper
    }
}

impl Links {
    /// The link that a lock's record came through, where it is known.
    pub(super) fn through(&mut self, known: &mut Option<(Sym, u32)>, lock: &Lock, now_ms: i64) -> Option<&mut Link> {
        let value = lock.behind();
        if known.is_none_or(|(of, _)| of != value) {
            *known = self.number(value, lock.labels.gw == Sym::NONE).map(|number| (value, number));
        }
        let link = self.links.get_mut((*known)?.1 as usize)?;
        link.heard(now_ms);
        Some(link)
    }

    fn number(&mut self, value: Sym, is_site: bool) -> Option<u32> {
        if value == Sym::NONE {
            return None;
        }
        if let Some(&number) = self.numbers.get(&value) {
            return Some(number);
        }
        if self.links.len() >= LINKS_MAX {
            return None;
        }
        let number = self.links.len() as u32;
        self.links.push(Link { value, is_site, ..Link::default() });
        self.numbers.insert(value, number);
        Some(number)
    }

    /// Takes a hole of this hour.
    pub(super) fn hole(&mut self, of: Option<(Sym, u32)>, device: DeviceIx, record: RecordRef) {
        if let Some(link) = of.and_then(|(_, number)| self.links.get_mut(number as usize)) {
            link.loses.hour.insert(device, record);
        }
    }

    /// Takes a record that came twice.
    pub(super) fn repeated(&mut self, of: Option<(Sym, u32)>, device: DeviceIx, record: RecordRef) {
        if let Some(link) = of.and_then(|(_, number)| self.links.get_mut(number as usize)) {
            link.repeats.hour.insert(device, record);
        }
    }

    /// Whether the holes of the hour that was closed last are the gateway's.
    pub(super) fn together(&self, of: Option<(Sym, u32)>) -> bool {
        of.and_then(|(_, number)| self.links.get(number as usize)).is_some_and(|link| link.together)
    }

    /// Ends the hour.
    pub(super) fn close(&mut self, shared: &Shared<'_>, window: Window<'_>, findings: &mut Findings) {
        // How many locks are behind each gateway, counted where that is asked for.
        let mut behind = None;
        for (act, at) in [(Act::Loses, 1), (Act::Repeats, 2)] {
            let usual = (self.all[at] + WEIGHT * shared.prior.usual) / (self.all[0] + WEIGHT);
            let (mut spoke, mut many) = (0_usize, 0_usize);
            for link in self.links.iter().filter(|link| link.records > 0) {
                spoke += 1;
                many += usize::from(link.times(act, usual) > 3.0);
            }
            // What most links do at once is done elsewhere.
            let everywhere = spoke >= 3 && 2 * many > spoke;
            for number in 0..self.links.len() {
                if self.links[number].records > 0 {
                    let alike = Alike { usual, chronic: shared.prior.chronic };
                    self.judge((number, act), (alike, everywhere), &mut behind, shared, window, findings);
                }
            }
        }
        for link in &mut self.links {
            self.all[0] += f64::from(core::mem::take(&mut link.records));
            self.all[1] += core::mem::take(&mut link.loses.hour).len() as f64;
            self.all[2] += core::mem::take(&mut link.repeats.hour).len() as f64;
        }
    }

    fn judge(
        &mut self,
        (number, act): (usize, Act),
        (alike, everywhere): (Alike, bool),
        behind: &mut Option<BTreeMap<Sym, usize>>,
        shared: &Shared<'_>,
        window: Window<'_>,
        findings: &mut Findings,
    ) {
        let Window { now, locks, .. } = window;
        let link = &mut self.links[number];
        if act == Act::Loses {
            let count = link.loses.hour.len() as f64;
            link.together = count >= TOGETHER.0 && link.times(act, alike.usual) >= TOGETHER.1;
        }
        let (records, value) = (link.records, link.value);
        let course = link.course(act);
        if everywhere {
            return;
        }
        let events = course.hour.len() as u32;
        let step = (f64::from(events), f64::from(records));
        course.departure.add(step, &mut course.habit, &alike, &LINKS, HOUR_SHARE * shared.limit);
        let evidence = course.departure.evidence();
        if evidence <= 0.0 {
            (course.events, course.records, course.alarm_ms) = (0, 0, None);
            course.shown.clear();
            return;
        }
        if course.events == 0 {
            course.since_ms = now.ms() - HOUR_MS;
        }
        course.events += events;
        course.records += records;
        course.show();
        let shown = course.shown.len();
        if evidence < 0.5 * shared.limit || shown < LOCKS_MIN {
            return;
        }
        let behind = behind.get_or_insert_with(|| count_behind(locks)).get(&value).copied().unwrap_or(0);
        let evidence = evidence.min(course.of_others(behind, alike.usual));
        let is_due = report::is_due(course.alarm_ms, now, REPEAT_MS);
        link.together |= act == Act::Loses && evidence >= 0.5 * shared.limit;
        if evidence < shared.limit || !is_due || (shown as f64) < (LOCKS_SHARE * behind as f64).min(EVIDENCE_MAX as f64)
        {
            return;
        }
        let course = link.course(act);
        course.alarm_ms = Some(now.ms());
        let of = (link.value, link.is_site);
        tell(link.course(act), (act, of, behind, evidence), shared, window, findings);
    }

    /// Forgets links that no lock uses any more: none is removed, for locks know their numbers.
    pub(super) fn close_day(&mut self) {
        let most = 1e6;
        if self.all[0] > most {
            self.all = self.all.map(|sum| 0.5 * sum);
        }
    }
}

fn count_behind(locks: &[Lock]) -> BTreeMap<Sym, usize> {
    let mut behind = BTreeMap::new();
    for lock in locks {
        *behind.entry(lock.behind()).or_insert(0) += 1;
    }
    behind
}

fn tell(
    course: &Course,
    (act, (value, is_site), behind, evidence): (Act, (Sym, bool), usize, f64),
    shared: &Shared<'_>,
    window: Window<'_>,
    findings: &mut Findings,
) {
    let Window { now, fleet, .. } = window;
    let Some(name) = fleet.word(value) else { return };
    let (kind, place) = if is_site { (ScopeKind::Site, "site") } else { (ScopeKind::Gateway, "gateway") };
    let of = report::Shared {
        scope: Scope { kind, value: name.to_owned() },
        domain: Domain::Software,
        component: Component::Gateway,
    };
    let (events, records) = (f64::from(course.events), f64::from(course.records));
    let before = course.habit.exposure - course.records as f32;
    let own = f64::from((course.habit.events - course.events as f32).max(0.0)) / f64::from(before.max(1.0));
    let value = 100.0 * events / records.max(1.0);
    let seen = Seen {
        value,
        baseline: 100.0 * own,
        threshold: (value * shared.limit / evidence).max(100.0 * own),
        unit: "percent",
        since_ms: course.since_ms,
        confidence: report::confidence(evidence, shared.limit),
        why: format!(
            "{} of the {behind} locks behind {place} {name} {} in {:.0} h: {events:.0} times in {records:.0} records, \
             {:.2} % before, while other gateways do not; evidence e^{evidence:.1}, limit e^{:.1}",
            course.shown.len(),
            match act {
                Act::Loses => "lose records",
                Act::Repeats => "send records twice",
            },
            (now.ms() - course.since_ms) as f64 / HOUR_MS as f64,
            100.0 * own,
            shared.limit
        ),
    };
    let shown = course.shown.iter();
    let evidence = shown.flat_map(|(device, (record, _))| report::evidence(*device, fleet, [*record])).collect();
    findings.anomalies.extend(report::shared(shared.rule, of, seen, evidence, now));
}
