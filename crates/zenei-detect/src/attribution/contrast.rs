//! How far locks with one value of a dimension show a symptom more than their like: locks of the same model and service
//! that report as many of the records in which the symptom can show. Must not know causes that last. Called by
//! `attribution`.
use super::cause::{is_since, since_ms, values};
use crate::anomaly::ScopeKind;
use crate::detect::running::Window;
use crate::fleet::{DeviceIx, Sym};
use crate::lock::Lock;
use crate::symptom::Symptom;
use crate::time::DAY_MS;
use std::collections::{BTreeMap, BTreeSet};

/// A lock without records for so long does not count.
pub(super) const AWAKE_MS: i64 = 7 * DAY_MS;
/// The locks whose weight the rate of all others has in the rate of a stratum: small strata say little. A guess.
const POOLED_LOCKS: f64 = 10.0;
/// What is known of a rate before anything is seen: half a finding (Jeffreys' prior of a Poisson rate).
const BEFORE: f64 = 0.5;
/// How many times as much as the like of this week earlier weeks count at most: seasons change. A guess.
const PAST_SHARE: f64 = 3.0;
/// Below this share of locks without the value there is no like to compare with; its own past is then. A guess.
const LIKE_SHARE: f64 = 0.02;

/// Where the matched locks are worth less than this share of those with the value, they are too few to compare with: a
/// site may be all that has a service. All others then show what the season does, and the locks' own past what is usual
/// for them. A guess.
const MATCHED_SHARE: f64 = 0.25;

/// Findings within so long count together, as in `attribution`.
const WEEK_MS: i64 = 7 * DAY_MS;
/// A lock that got its version just now was watched for so large a part of the week at least: a finding is told with
/// the hour.
const EXPOSED_MIN: f64 = 1.0 / 168.0;

/// What earlier weeks showed of a symptom.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    /// How many locks of the fleet began to show it.
    pub(super) found: f64,
    /// In how many weeks of a lock.
    pub(super) lock_weeks: f64,
    /// Those that began in the last of them, and how many weeks those are.
    pub(super) began: BTreeSet<DeviceIx>,
    pub(super) weeks: f64,
}

/// The locks that show a symptom, and when each began to, by the engine, ms.
pub(super) type Affected = BTreeMap<DeviceIx, i64>;

/// The locks of the fleet beside their like.
pub(super) struct Contrast<'a> {
    locks: &'a [Lock],
    affected: &'a Affected,
    now_ms: i64,
    symptom: Symptom,
    /// The stratum of each lock; `None` where it can't show the symptom.
    strata: Vec<Option<usize>>,
    count: usize,
    past: Past,
}

/// Locks with one value beside their like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    /// How many of its locks show it.
    pub(super) inside: usize,
    /// How many could.
    pub(super) members: f64,
    /// How many would by the rate of their like, in the part of the week for which they had the value.
    pub(super) expected: f64,
    /// How many would in a whole week.
    pub(super) weekly: f64,
    /// The probability of so many, by their like this week; 1 where there is no like.
    pub(super) by_like: f64,
    /// The same, by their like and earlier weeks.
    pub(super) by_all: f64,
    /// The same, by their own past alone; 1 where there is none.
    pub(super) by_own: f64,
    /// Whether nearly all locks that could show it have the value.
    pub(super) is_alone: bool,
}

impl Judged {
    /// How many would show it by the rate of their like, with what is not known of the rate.
    pub(super) fn expected_max(&self) -> f64 {
        self.expected + libm::sqrt(self.expected)
    }

    /// The log likelihood ratio of a rate of its own.
    pub(super) fn explains(&self) -> f64 {
        let (inside, expected) = (self.inside as f64, self.weekly.max(1e-9));
        inside * libm::log(inside / expected) - (inside - expected)
    }
}

impl<'a> Contrast<'a> {
    /// `apart` are locks that another cause explains: they are no like.
    pub(super) fn of(
        symptom: Symptom,
        affected: &'a Affected,
        apart: &BTreeSet<DeviceIx>,
        past: Past,
        window: Window<'a>,
    ) -> Self {
        let Window { now, locks, .. } = window;
        let mut numbers = BTreeMap::new();
        let stratum = |(at, lock): (u32, &Lock)| {
            let shows = affected.contains_key(&DeviceIx(at));
            let weekly = weekly(symptom, lock);
            if !shows && (apart.contains(&DeviceIx(at)) || weekly == 0 || now.ms() - lock.heard_ms >= AWAKE_MS) {
                return None;
            }
            // Four times as many records make another stratum.
            let key = (lock.labels.model, lock.labels.service, (weekly + 1).ilog2() / 2);
            let next = numbers.len();
            Some(*numbers.entry(key).or_insert(next))
        };
        let strata = (0..).zip(locks).map(stratum).collect();
        let count = numbers.len();
        Self { locks, affected, now_ms: now.ms(), symptom, strata, count, past }
    }

    pub(super) fn judge(&self, kind: ScopeKind, value: (Sym, Sym)) -> Judged {
        self.judge_those(kind, |lock| values(kind, lock).contains(&value), |_| false)
    }

    /// Judges the locks that have a value of a dimension, and such as had it: how they fare counts for it still.
    pub(super) fn judge_those(
        &self,
        kind: ScopeKind,
        has: impl Fn(&Lock) -> bool,
        had: impl Fn(DeviceIx) -> bool,
    ) -> Judged {
        let mut cells = vec![[[0.0; 2]; 2]; self.count];
        let (mut began, mut exposed) = (0.0, 0.0);
        for (at, (lock, stratum)) in (0..).zip(self.locks.iter().zip(&self.strata)) {
            let (Some(stratum), device) = (stratum, DeviceIx(at)) else { continue };
            let (has, symptom) = (has(lock), self.symptom);
            let of_it = has || had(device);
            // What a lock showed before it got the value, and shows since, is not of the value.
            let is_of = |&shown_ms: &i64| !has || is_since(symptom, kind, lock, shown_ms);
            let shows = self.affected.get(&device).is_some_and(is_of);
            let cell = &mut cells[*stratum][usize::from(of_it)];
            cell[0] += 1.0;
            cell[1] += f64::from(u8::from(shows));
            began += f64::from(u8::from(of_it && self.past.began.contains(&device)));
            let since_ms = if has { since_ms(symptom, kind, lock) } else { None };
            exposed += if of_it { self.exposed(since_ms) } else { 0.0 };
        }
        self.weigh(&cells, began, exposed)
    }

    /// The part of the week for which a lock had a value that it has since then.
    fn exposed(&self, since_ms: Option<i64>) -> f64 {
        since_ms.map_or(1.0, |at_ms| ((self.now_ms - at_ms) as f64 / WEEK_MS as f64).clamp(EXPOSED_MIN, 1.0))
    }

    fn weigh(&self, cells: &[[[f64; 2]; 2]], began: f64, exposed: f64) -> Judged {
        let sum = |has: usize, what: usize| cells.iter().map(|cell| cell[has][what]).sum::<f64>();
        let (members, others) = (sum(1, 0), sum(0, 0));
        let pooled = (sum(0, 1) + BEFORE) / (others + 1.0);
        let mut expected = 0.0;
        let mut unsure = 0.0;
        for [[like, like_shows], [members_here, _]] in cells {
            let rate = (like_shows + POOLED_LOCKS * pooled) / (like + POOLED_LOCKS);
            expected += members_here * rate;
            let share = members_here / members.max(1.0);
            unsure += share * share / (like + BEFORE);
        }
        let mut like = unsure.max(1e-9).recip();
        let inside = sum(1, 1) as usize;
        let has_past = self.past.weeks >= 1.0;
        let part = exposed / members.max(1.0);
        let by_own = if has_past { tail(inside, BEFORE + began, part / self.past.weeks) } else { 1.0 };
        let is_thin = like < MATCHED_SHARE * members;
        if is_thin && has_past {
            like = others.max(BEFORE);
            expected = (members * pooled).max(began / self.past.weeks);
        }
        let shown = BEFORE + expected / members.max(1.0) * like;
        let by_like = tail(inside, shown, exposed / like);
        let weeks = self.past.lock_weeks.min(PAST_SHARE * others.max(members));
        let earlier = self.past.found * weeks / self.past.lock_weeks.max(1.0);
        Judged {
            inside,
            members,
            expected: expected * part,
            weekly: expected,
            by_like: if is_thin { by_like.max(by_own) } else { by_like },
            by_all: tail(inside, shown + earlier, exposed / (like + weeks)),
            by_own,
            is_alone: others <= LIKE_SHARE * members,
        }
    }
}

/// How many records a week a lock reports in which the symptom can show.
fn weekly(symptom: Symptom, lock: &Lock) -> u32 {
    let [operations, states] = lock.weekly();
    match symptom {
        Symptom::Resistance | Symptom::Effort | Symptom::Shape | Symptom::Trouble => operations,
        Symptom::Drain | Symptom::Memory | Symptom::Schema => states,
        Symptom::Requests => operations,
        Symptom::Errors | Symptom::Part | Symptom::Silence | Symptom::Clock | Symptom::Loss | Symptom::Stream => {
            operations.saturating_add(states)
        }
    }
}

/// Probability of `count` or more among locks of which like ones, `ratio` times fewer, showed `shown` (negative
/// binomial: a Poisson count whose rate is known from another one only).
fn tail(count: usize, shown: f64, ratio: f64) -> f64 {
    let share = ratio / (1.0 + ratio);
    let at = count as f64;
    let first = libm::lgamma(at + shown) - libm::lgamma(shown) - libm::lgamma(at + 1.0)
        + shown * libm::log1p(-share)
        + at * libm::log(share.max(1e-300));
    let mut term = libm::exp(first);
    let mut sum = term;
    for more in 0..20_000 {
        let next = at + f64::from(more);
        term *= (next + shown) / (next + 1.0) * share;
        sum += term;
        if term < 1e-9 * sum {
            break;
        }
    }
    if count == 0 { 1.0 } else { sum.min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Fleet;
    use crate::lock::test_lock;
    use zenei_wire::EngineTime;

    /// Locks that were found to show a symptom just now.
    fn shown(locks: impl Iterator<Item = usize>) -> Affected {
        locks.map(|at| (DeviceIx(at as u32), DAY_MS)).collect()
    }

    /// Locks of one model: of each hundred so many have the value and so many of either kind show a symptom.
    fn judge(with: usize, show_with: usize, show_without: usize, past: Past) -> Judged {
        let mut fleet = Fleet::new();
        let (value, other) = (fleet.intern("hub-2"), fleet.intern("hub-1"));
        let lock = |at: usize| {
            let mut lock = test_lock(DAY_MS, 100);
            lock.labels.fw = if at < with { value } else { other };
            lock
        };
        let locks: Vec<Lock> = (0..100).map(lock).collect();
        let affected = shown((0..show_with).chain(with..with + show_without));
        let window = Window { now: EngineTime(DAY_MS), locks: &locks, fleet: &fleet };
        Contrast::of(Symptom::Memory, &affected, &BTreeSet::new(), past, window)
            .judge(ScopeKind::Fw, (value, Sym::NONE))
    }

    #[test]
    fn the_tail_is_the_one_of_the_negative_binomial() {
        // One seen among as many: P(X >= k) = 2^-k.
        assert!((tail(3, 1.0, 1.0) - 0.125).abs() < 1e-6 && (tail(0, 1.0, 1.0) - 1.0).abs() < 1e-6);
        // A rate that is known well: the Poisson tail 1 - 2.5/e at mean 1.
        assert!((tail(3, 1e7, 1e-7) - (1.0 - 2.5 / core::f64::consts::E)).abs() < 1e-4);
    }

    #[test]
    fn a_value_that_nearly_all_have_explains_nothing_by_itself() {
        let common = judge(97, 20, 0, Past::default());
        assert!(common.by_like > 0.01, "{common:?}");
        let rare = judge(20, 10, 0, Past::default());
        assert!(rare.by_like < 1e-4 && rare.expected < 1.0, "{rare:?}");
        let usual = judge(50, 10, 10, Past::default());
        assert!(usual.by_like > 0.3 && (usual.expected - 10.0).abs() < 1.0, "{usual:?}");
    }

    #[test]
    fn where_all_have_the_value_their_own_past_is_the_contrast() {
        let past = |found| Past { found, lock_weeks: 500.0, ..Past::default() };
        let calm = judge(100, 20, 0, past(0.0));
        assert!(calm.is_alone && calm.by_all < 1e-9 && calm.by_like > 0.01, "{calm:?}");
        let busy = judge(100, 20, 0, past(100.0));
        assert!(busy.by_all > 0.1, "{busy:?}");
    }

    #[test]
    fn without_like_locks_their_own_past_and_all_others_are_the_contrast() {
        let fleet = Fleet::new();
        let mut locks = vec![test_lock(DAY_MS, 100); 100];
        for (at, lock) in locks.iter_mut().enumerate() {
            (lock.labels.service, lock.site) = if at < 40 { (Sym(1), Sym(3)) } else { (Sym(2), Sym(4)) };
        }
        let affected = shown(0..12);
        let window = Window { now: EngineTime(DAY_MS), locks: &locks, fleet: &fleet };
        let judge = |began: BTreeSet<DeviceIx>| {
            let past = Past { weeks: 2.0, lock_weeks: 200.0, found: began.len() as f64, began };
            Contrast::of(Symptom::Drain, &affected, &BTreeSet::new(), past, window)
                .judge(ScopeKind::Site, (Sym(3), Sym::NONE))
        };
        let new = judge(BTreeSet::new());
        assert!(new.by_like < 1e-3 && new.by_own < 1e-3, "{new:?}");
        let usual = judge((12..36).map(DeviceIx).collect());
        assert!(usual.by_like > 0.1, "these locks show it each week: {usual:?}");
    }

    #[test]
    fn locks_that_cannot_show_it_are_no_like() {
        let fleet = Fleet::new();
        let mut locks = vec![test_lock(DAY_MS, 100); 10];
        locks.extend(vec![test_lock(DAY_MS, 0); 90]);
        for (at, lock) in locks.iter_mut().enumerate() {
            lock.labels.fw = Sym(if at < 10 { 1 } else { 2 });
        }
        let affected = shown(0..6);
        let window = Window { now: EngineTime(DAY_MS), locks: &locks, fleet: &fleet };
        let judged = Contrast::of(Symptom::Memory, &affected, &BTreeSet::new(), Past::default(), window);
        assert!(judged.judge(ScopeKind::Fw, (Sym(1), Sym::NONE)).by_like > 0.1);
    }

    #[test]
    fn locks_that_left_a_version_count_for_it_as_long_as_those_that_never_changed() {
        let fleet = Fleet::new();
        let mut locks = vec![test_lock(DAY_MS, 100); 100];
        for (at, lock) in locks.iter_mut().enumerate() {
            // Ten left the version an hour ago.
            let left = at < 10;
            lock.labels.fw = Sym(if left || at >= 20 { 2 } else { 1 });
            lock.updated_ms = left.then_some(DAY_MS - 3_600_000);
        }
        let affected = shown(0..5);
        let window = Window { now: EngineTime(DAY_MS), locks: &locks, fleet: &fleet };
        let judged = Contrast::of(Symptom::Errors, &affected, &BTreeSet::new(), Past::default(), window).judge_those(
            ScopeKind::Fw,
            |lock| lock.labels.fw == Sym(1),
            |device| device.0 < 10,
        );
        assert!(judged.inside == 5 && judged.members == 20.0, "{judged:?}");
        assert!((judged.expected - judged.weekly).abs() < 1e-9, "exposed for the whole week: {judged:?}");
    }

    #[test]
    fn a_version_answers_only_for_the_time_for_which_its_locks_ran_it() {
        let fleet = Fleet::new();
        let mut locks = vec![test_lock(DAY_MS, 100); 100];
        let judge_at = |locks: &mut [Lock], symptom, hours: i64, shown_ms| {
            for (at, lock) in locks.iter_mut().enumerate() {
                let is_new = at < 20;
                lock.labels.fw = Sym(if is_new { 1 } else { 2 });
                lock.updated_ms = is_new.then_some(DAY_MS - hours * 3_600_000);
            }
            let affected = (0..3).map(|at| (DeviceIx(at), shown_ms)).collect();
            let window = Window { now: EngineTime(DAY_MS), locks, fleet: &fleet };
            Contrast::of(symptom, &affected, &BTreeSet::new(), Past::default(), window)
                .judge(ScopeKind::Fw, (Sym(1), Sym::NONE))
        };
        let judge = |locks: &mut [Lock], symptom, hours| judge_at(locks, symptom, hours, DAY_MS);
        let (fresh, old) = (judge(&mut locks, Symptom::Errors, 12), judge(&mut locks, Symptom::Errors, 400));
        assert!(fresh.by_like < 1e-4 && old.by_like > 1e-3, "three restart within half a day: {fresh:?} {old:?}");
        assert!((fresh.explains() - old.explains()).abs() < 1e-9, "it explains no more than another value would");
        let aged = judge(&mut locks, Symptom::Resistance, 12);
        assert!((aged.by_like - old.by_like).abs() < 1e-9, "a cell aged before it: {aged:?}");
        let before = judge_at(&mut locks, Symptom::Errors, 12, DAY_MS / 4);
        assert!(before.inside == 0 && before.by_like == 1.0, "three restarted before their update: {before:?}");
        let aged = judge_at(&mut locks, Symptom::Resistance, 12, DAY_MS / 4);
        assert!(aged.inside == 3, "{aged:?}");
    }
}
