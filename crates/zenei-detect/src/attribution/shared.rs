//! A shared cause that lasts, and which findings about its locks are part of it. Must not know how it was found. Called
//! by `attribution`.
use super::cause::Cause;
use crate::anomaly::{Anomaly, Component, Decision, Domain, Evidence, PartOf, Scope, ScopeKind};
use crate::fleet::{DeviceIx, Fleet};
use crate::lock::Lock;
use crate::symptom::Symptom;
use crate::time::DAY_MS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Findings are near one another within so long, by the time since the update where the cause is a version. A guess:
/// what a cause does to its locks shows on all of them within days, or goes on showing on some each week.
const NEAR_MS: i64 = 7 * DAY_MS;
/// The largest part of the findings near one another that may be of the locks' own, for a new one to be part of the
/// cause. A guess.
const OWN_SHARE_MAX: f64 = 1.0 / 3.0;
/// How many times as high the resistance of a nearly empty cell is as at its usual charge, at most, after the detector
/// has taken out what charge and cold do to the model. A guess: what is left of that is less than the whole.
const EMPTY_TIMES: f64 = 1.6;
/// The used share from which a cell is nearly empty; of one that is less used it rises less in proportion. A guess:
/// datasheets of alkaline and of lithium cells show the resistance nearly level up to there.
const NEARLY_EMPTY: f64 = 0.75;
/// The same of a cell of which nothing is left. A guess.
const USED_UP_TIMES: f64 = 2.0;
/// How many times as fast as the median member a lock departs that has a fault of its own. A guess: batteries and doors
/// of one kind differ by less.
const FASTER: f32 = 4.0;
/// How many times as fast as any member. A guess.
const FASTEST: f32 = 1.5;
/// What a collapsed battery has lost beyond what the cause takes, as a share of what is a finding: half of six standard
/// deviations. A guess.
const COLLAPSED: f64 = 0.5;
/// A fall that began within so long after the update to a version that drains may have begun with it: the line before
/// it weighs more than the few days since. As long as a fall is fresh in `course`. A guess.
const WITH_UPDATE_MS: i64 = 4 * DAY_MS;
/// The fewest members that such a comparison needs.
const COMPARED_MIN: usize = 5;

/// A lock that showed the symptom as part of the cause.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Member {
    /// When it first showed a symptom of this system: by the engine, or since its update.
    phase_ms: i64,
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    /// Whether it had another battery then, or was another lock.
    pub(super) is_of_former: bool,
    /// How fast it departed, in its unit a day, and the unit.
    rate: f32,
    unit: u32,
    /// The last finding that was not reported because of the cause.
    pub(super) absorbed: Option<Box<Anomaly>>,
}

/// What is known of a shared cause.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Shared {
    /// When it was last seen to explain more than chance does.
    pub(super) last_ms: i64,
    pub(super) reported_ms: i64,
    pub(super) fresh: BTreeMap<DeviceIx, Evidence>,
    /// Locks that were part of it; they stay part of it when their values change, as the last client version does.
    pub(super) members: BTreeMap<DeviceIx, Member>,
    /// The anomaly that it was opened with; `None` where a detector found the shared cause itself.
    pub(super) anomaly: Option<Anomaly>,
    /// Domain and part that the detector named then.
    pub(super) noted: Option<(Domain, Component)>,
    /// How many of its locks would show the symptom in a week by the rate of their like.
    pub(super) own_weekly: f64,
    /// What it takes from a lock a day, and of which unit, as the detector that found it says.
    pub(super) rate: Option<(f32, u32)>,
}

impl Shared {
    /// Whether the lock has the cause's value, or had it.
    pub(super) fn has(&self, cause: &Cause, device: DeviceIx, lock: &Lock) -> bool {
        cause.is_of(lock) || self.members.contains_key(&device)
    }

    /// Whether a finding about the lock is part of it: the symptom is its own or one that it brings about, in a lock
    /// that showed it already or at a time at which others do, and no faster than they.
    /// `first_ms`: when the lock first showed any symptom of this system.
    pub(super) fn takes(
        &self,
        cause: &Cause,
        symptom: Symptom,
        of: (DeviceIx, &Lock),
        anomaly: &Anomaly,
        first_ms: i64,
    ) -> bool {
        let (device, lock) = of;
        if cause.symptom != symptom {
            return self.brings_about(cause, symptom, of, anomaly);
        }
        // An empty battery says so as often as its lock is used, whatever emptied it.
        let says_empty = cause.symptom == Symptom::Drain && anomaly.unit == "reports/day" && lock.is_spent();
        if !says_empty && self.collapses(cause, lock, anomaly) {
            return false;
        }
        if self.members.contains_key(&device) {
            return true;
        }
        if !cause.is_of(lock) || (!says_empty && self.is_faster(cause, lock, anomaly)) {
            return false;
        }
        if self.anomaly.is_none() {
            // The detector judged all locks with the value together.
            return true;
        }
        let phase_ms = phase_ms(cause, lock, first_ms);
        let near = self.members.values().filter(|member| (member.phase_ms - phase_ms).abs() <= NEAR_MS).count() as f64;
        // By the calendar the week after it is still to come.
        let weeks = if is_version(cause) { 2.0 } else { 1.0 };
        near >= 1.0 && self.own_weekly * weeks <= OWN_SHARE_MAX * near
    }

    fn brings_about(&self, cause: &Cause, symptom: Symptom, of: (DeviceIx, &Lock), anomaly: &Anomaly) -> bool {
        let (device, lock) = of;
        // A cause that empties batteries early raises their resistance early, by so much; a battery that is not nearly
        // empty, or that nothing has emptied, has another cause.
        let is_told = anomaly.unit == "mohm";
        let rises = |times: f64| !is_told || anomaly.value <= times * anomaly.baseline;
        // A version ages no cell: on its locks even a small rise is that of the charge that it took.
        let is_small = is_told && is_version(cause) && rises(resistance_of(lock.discharged.sqrt()));
        let empties = (cause.symptom, symptom) == (Symptom::Drain, Symptom::Resistance)
            && (is_small || (lock.is_emptied() && rises(EMPTY_TIMES)));
        // A drive that goes hard fails sooner or later too; one that fails needs not go hard.
        let hard = matches!(cause.symptom, Symptom::Effort | Symptom::Shape);
        let drives = hard && symptom.is_drive() && self.members.contains_key(&device);
        (empties && self.has(cause, device, lock)) || drives
    }

    /// Whether a lock departs much faster than those that are part of the cause.
    fn is_faster(&self, cause: &Cause, lock: &Lock, anomaly: &Anomaly) -> bool {
        let unit = unit(anomaly);
        let mut rates: Vec<f32> =
            self.members.values().filter(|member| member.unit == unit).map(|member| member.rate).collect();
        if rates.len() < COMPARED_MIN {
            return false;
        }
        rates.sort_by(f32::total_cmp);
        let rate = rate(anomaly, time_ms(cause, lock, anomaly));
        rate > FASTER * rates[rates.len() / 2] && rates.last().is_some_and(|most| rate > FASTEST * most)
    }

    /// Whether a battery has lost so much in so short a time that it would be a finding also if the cause took several
    /// times as much from it as from the others: a collapsed cell in a lock whose version drains slowly.
    fn collapses(&self, cause: &Cause, lock: &Lock, anomaly: &Anomaly) -> bool {
        let unit = unit(anomaly);
        let mut rates: Vec<f32> =
            self.members.values().filter(|member| member.unit == unit).map(|member| member.rate).collect();
        rates.sort_by(f32::total_cmp);
        let own = self.rate.filter(|&(_, of)| of == unit).map(|(rate, _)| rate);
        let usual = if rates.len() < COMPARED_MIN { own } else { Some(rates[rates.len() / 2]) };
        // What is told for each day is no loss.
        let is_loss = cause.symptom == Symptom::Drain && !is_rate(anomaly);
        let Some(usual) = usual.filter(|_| is_loss) else { return false };
        let time_ms = time_ms(cause, lock, anomaly);
        let explained = f64::from(FASTER * usual) * time_ms as f64 / DAY_MS as f64;
        (anomaly.baseline - anomaly.value).abs() - explained >= COLLAPSED * (anomaly.baseline - anomaly.threshold).abs()
    }

    /// Notes what the cause takes from a lock a day, where the detector that found it says so.
    pub(super) fn takes_a_day(&mut self, anomaly: &Anomaly) {
        let of = anomaly.unit.strip_suffix("/d");
        self.rate = of.map(|of| (anomaly.value as f32, number(&anomaly.rule, of)));
    }

    /// Adds a lock, or sees it again. `first_ms` as for `takes`.
    pub(super) fn add(
        &mut self,
        cause: &Cause,
        of: (DeviceIx, &Lock),
        anomaly: &Anomaly,
        first_ms: i64,
        is_told: bool,
    ) {
        let (device, lock) = of;
        let at_ms = anomaly.at.ms();
        let absorbed = (!is_told).then(|| Box::new(anomaly.clone()));
        let member = self.members.entry(device).or_insert_with(|| Member {
            phase_ms: phase_ms(cause, lock, first_ms),
            first_ms: at_ms,
            last_ms: at_ms,
            is_of_former: false,
            rate: rate(anomaly, time_ms(cause, lock, anomaly)),
            unit: unit(anomaly),
            absorbed: None,
        });
        member.last_ms = at_ms;
        if cause.symptom.is_drive() || absorbed.is_some() {
            member.absorbed = absorbed;
        }
    }
}

impl Shared {
    /// The finding about the cause.
    pub(super) fn whole(&self, cause: &Cause, fleet: &Fleet) -> PartOf {
        if let Some(anomaly) = &self.anomaly {
            return anomaly.whole();
        }
        let (domain, component) = self.noted.unwrap_or((Domain::Firmware, Component::FwImage));
        let scope = Scope { kind: cause.kind, value: cause.text(fleet) };
        PartOf { scope, domain, component, rule: None, incident: None }
    }
}

/// The decision about a finding that is part of a cause.
pub(super) fn part(anomaly: Anomaly, whole: PartOf) -> Decision {
    let why = format!("part of what the locks with {} {} share", whole.scope.kind, whole.scope.value);
    anomaly.part(whole, why)
}

/// How many times as high the resistance of a cell is, at most, of which this share is used.
fn resistance_of(used: f64) -> f64 {
    let empty = ((used - NEARLY_EMPTY) / (1.0 - NEARLY_EMPTY)).clamp(0.0, 1.0);
    1.0 + (EMPTY_TIMES - 1.0) * (used / NEARLY_EMPTY).min(1.0) + (USED_UP_TIMES - EMPTY_TIMES) * empty
}

/// When in the course of the cause something is: of a version since the lock's update to it.
fn phase_ms(cause: &Cause, lock: &Lock, at_ms: i64) -> i64 {
    lock.updated_ms.filter(|_| is_version(cause)).map_or(at_ms, |updated_ms| (at_ms - updated_ms).max(0))
}

fn is_version(cause: &Cause) -> bool {
    matches!(cause.kind, ScopeKind::Fw | ScopeKind::FwHw)
}

/// Whether two findings of a symptom may have one cause by how fast the locks depart: what takes a battery's charge
/// takes about as much from each.
pub(super) fn is_alike(a: &Anomaly, b: &Anomaly) -> bool {
    let of = |anomaly: &Anomaly| rate(anomaly, anomaly.window_ms);
    let (fast, slow) = (of(a).max(of(b)), of(a).min(of(b)));
    unit(a) != unit(b) || fast <= FASTER * slow
}

fn is_rate(anomaly: &Anomaly) -> bool {
    anomaly.unit.ends_with("/d") || anomaly.unit.ends_with("/day")
}

/// For how long the cause may have acted on a lock when a finding was made, ms: since the beginning that the finding
/// tells, or since the update that it may have begun with.
fn time_ms(cause: &Cause, lock: &Lock, anomaly: &Anomaly) -> i64 {
    let updated = lock.updated_ms.filter(|_| is_version(cause)).map(|updated_ms| anomaly.at.ms() - updated_ms);
    let with_update = updated.filter(|since_ms| since_ms - anomaly.window_ms < WITH_UPDATE_MS);
    with_update.unwrap_or(0).max(anomaly.window_ms)
}

/// How fast a lock departs, in the finding's unit a day. What is told for each day is so already.
fn rate(anomaly: &Anomaly, time_ms: i64) -> f32 {
    let days = if is_rate(anomaly) { 1.0 } else { (time_ms as f64 / DAY_MS as f64).max(0.5) };
    ((anomaly.value - anomaly.baseline).abs() / days) as f32
}

/// A number for rule and unit: only equal ones can be compared.
fn unit(anomaly: &Anomaly) -> u32 {
    number(&anomaly.rule, &anomaly.unit)
}

fn number(rule: &str, unit: &str) -> u32 {
    rule.bytes().chain(unit.bytes()).fold(0, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Sym;
    use zenei_wire::{Percent, State};

    #[test]
    fn what_is_told_a_day_is_no_faster_where_it_was_watched_for_less_time() {
        let cause = Cause { symptom: Symptom::Drain, kind: ScopeKind::Fw, value: Sym(1), with: Sym::NONE };
        let mut lock = Lock::default();
        lock.labels.fw = Sym(1);
        let finding = |value: f64, days: f64, unit: &str| Anomaly {
            value,
            baseline: 0.02,
            window_ms: (days * DAY_MS as f64) as i64,
            unit: unit.to_owned(),
            ..Anomaly::of_lock("A", 30 * DAY_MS)
        };
        for (unit, is_part) in [("reports/day", true), ("percent", false)] {
            let mut shared = Shared::default();
            (0..6)
                .for_each(|at| shared.add(&cause, (DeviceIx(at), &lock), &finding(4.0, 4.0, unit), 30 * DAY_MS, false));
            let late = finding(6.0, 0.8, unit);
            assert_eq!(
                shared.takes(&cause, Symptom::Drain, (DeviceIx(9), &lock), &late, 30 * DAY_MS),
                is_part,
                "{unit}"
            );
        }
    }

    #[test]
    fn an_empty_battery_says_so_as_often_as_its_lock_is_used() {
        let cause = Cause { symptom: Symptom::Drain, kind: ScopeKind::Fw, value: Sym(1), with: Sym::NONE };
        let finding = |value: f64| Anomaly {
            value,
            baseline: 0.02,
            threshold: 0.1,
            window_ms: DAY_MS / 2,
            unit: "reports/day".to_owned(),
            ..Anomaly::of_lock("A", 30 * DAY_MS)
        };
        for (percent, is_part) in [(2, true), (50, false)] {
            let mut lock = Lock::default();
            lock.labels.fw = Sym(1);
            lock.state(&State { battery_pct: Some(Percent(percent)), ..State::default() }, 0);
            let mut shared = Shared::default();
            (0..6).for_each(|at| shared.add(&cause, (DeviceIx(at), &lock), &finding(1.0), 30 * DAY_MS, false));
            let often = finding(10.0);
            assert_eq!(
                shared.takes(&cause, Symptom::Drain, (DeviceIx(9), &lock), &often, 30 * DAY_MS),
                is_part,
                "{percent} %"
            );
        }
    }

    #[test]
    fn the_less_is_left_in_a_cell_the_higher_its_resistance_may_be() {
        let times = [0.0, 0.375, 0.75, 0.875, 1.0].map(resistance_of);
        for (times, expected) in times.into_iter().zip([1.0, 1.3, 1.6, 1.8, 2.0]) {
            assert!((times - expected).abs() < 1e-9, "{times} {expected}");
        }
    }

    #[test]
    fn what_began_in_the_days_after_an_update_is_measured_from_the_update_on() {
        let cause = Cause { symptom: Symptom::Drain, kind: ScopeKind::Fw, value: Sym(1), with: Sym::NONE };
        let takes = |updated_day: i64| {
            let mut lock = Lock::default();
            (lock.labels.fw, lock.updated_ms) = (Sym(1), Some(updated_day * DAY_MS));
            let mut shared = Shared { rate: None, ..Shared::default() };
            let told = Anomaly { value: 0.8, unit: "percent/d".to_owned(), ..Anomaly::of_lock("A", 28 * DAY_MS) };
            shared.takes_a_day(&told);
            let window_ms = DAY_MS / 4;
            let unit = "percent".to_owned();
            let fall = Anomaly { value: 85.2, baseline: 91.0, threshold: 85.5, window_ms, unit, ..told };
            shared.takes(&cause, Symptom::Drain, (DeviceIx(9), &lock), &fall, 28 * DAY_MS)
        };
        assert!(takes(25), "six percent in three days are four times what it takes, though the fall seems sudden");
        assert!(!takes(10), "weeks after its update a battery that falls within hours has collapsed");
    }
}
