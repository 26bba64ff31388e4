//! Finds what affected locks share: one finding about a version, a gateway or a lot instead of one finding for each of
//! its locks.
//!
//! Findings about single locks arrive here with their symptom. Where locks with one value of a dimension (firmware,
//! gateway, …) show a symptom far more often than all other locks do in the same days, the value is the finding and its
//! locks are part of it. A finding that is likely to be shared (its lock was updated lately, or its symptom usually
//! affects several locks) waits some hours for further ones. Must not know detectors' insides or incidents. Called by
//! the engine.
mod cause;
mod company;
mod contrast;
mod shared;
mod told;
mod version;

use crate::anomaly::{Anomaly, Decision, DecisionReason, EVIDENCE_MAX, Evidence, Findings, Scope, ScopeKind};
use crate::detect::running::Window;
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::lock::Lock;
use crate::symptom::Symptom;
use crate::time::DAY_MS;
use cause::{Cause, DIMENSIONS, best, domain, is_since, values};
use company::expects_company;
use contrast::{AWAKE_MS, Affected, Contrast, Judged, Past};
use serde::{Deserialize, Serialize};
use shared::{Shared, is_alike, part};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use version::{is_rollout, widen};
use zenei_wire::EngineTime;

/// Findings within so long count together. A guess: rollouts are staged over days.
const WINDOW_MS: i64 = 7 * DAY_MS;
/// The fewest locks that share a cause.
const LOCKS_MIN: usize = 3;
/// The probability of so many locks by chance, by their like and earlier weeks, below which a value is the finding. A
/// fleet of some hundred locks judges some ten values a day: one false alarm in thirty years, where locks are
/// independent.
const CHANCE_MAX: f64 = 1e-5;
/// The same by this week's like alone, which a season or a detector that has just learned enough does not deceive. A
/// guess: some hundred values meet such a week.
const LIKE_MAX: f64 = 5e-3;
/// The same by the locks' own past alone, which shows what is usual for the way in which they are used. A guess.
const OWN_MAX: f64 = 0.02;
/// The weeks before the last one that are their own past; findings are kept for as long.
const PAST_WEEKS: f64 = 2.0;
/// How many times as likely a version is beforehand that most of its locks were updated to lately: a rollout is the
/// likeliest common cause. A guess.
const UPDATED_FAVOUR: f64 = 3.0;
/// How many times as often as their like the locks show it at least: most of what they show has this cause then.
const TIMES_MIN: f64 = 3.0;
/// How many times as often they show it while the cause goes on. A guess: half of what they show has another cause
/// then.
const TIMES_LEFT: f64 = 2.0;
/// So many unlike symptoms no one thing brings about. A guess: a version that restarts its locks makes errors, failed
/// operations and silence.
const UNLIKE_MAX: usize = 3;
/// The share of its locks that show it at least where all locks have the value.
const ALONE_SHARE_MIN: f64 = 0.5;
/// The probability of so many locks by this week's like up to which a cause goes on. A guess.
const HOLDS_MAX: f64 = 0.05;
/// A shared cause is kept for so long after it last explained more than chance does.
const LASTS_MS: i64 = 21 * DAY_MS;
/// The interval after which it is reported again with its new locks.
const REPEAT_MS: i64 = DAY_MS;
/// A lasting finding is repeated weekly; one that was not repeated for so long is over.
const REPEATED_MS: i64 = 8 * DAY_MS;

/// Findings that wait or count, and shared causes that last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Attribution {
    recent: Vec<Alone>,
    held: Vec<Held>,
    shared: BTreeMap<Cause, Shared>,
    /// What the weeks before the last one showed: findings by symptom, and days of a lock.
    before: BTreeMap<Symptom, u32>,
    lock_days: u64,
    /// How many locks were heard on each day of the last week.
    awake: VecDeque<u64>,
}

/// A finding of the last days.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Alone {
    symptom: Symptom,
    device: DeviceIx,
    /// When it was first found; a lasting finding is repeated, and a repetition is not new.
    at_ms: i64,
    last_ms: i64,
    /// Whether the lock had another battery then, or was another one.
    is_of_former: bool,
    anomaly: Anomaly,
}

impl Alone {
    fn new(symptom: Symptom, device: DeviceIx, at_ms: i64, last_ms: i64, anomaly: Anomaly) -> Self {
        Self { symptom, device, at_ms, last_ms, is_of_former: false, anomaly }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    symptom: Symptom,
    device: DeviceIx,
    until_ms: i64,
    anomaly: Anomaly,
}

impl Attribution {
    /// Takes the findings about single locks; passes on those that stay findings, and a decision for each of the
    /// others.
    pub(crate) fn take(&mut self, found: Vec<(Symptom, DeviceIx, Anomaly)>, window: Window<'_>, out: &mut Findings) {
        let Window { now, locks, .. } = window;
        self.recent.retain(|past| now.ms() - past.last_ms < LASTS_MS);
        self.shared.retain(|_, shared| now.ms() - shared.last_ms < LASTS_MS);
        for (symptom, device, anomaly) in found {
            let lock = &locks[device.0 as usize];
            if let Some(cause) = self.part_of(symptom, device, lock, &anomaly) {
                self.join(cause, device, &anomaly, window, out);
                continue;
            }
            let is_known = |past: &&mut Alone| past.symptom == symptom && past.device == device && !past.is_of_former;
            let known = self.recent.iter_mut().find(is_known);
            let is_news = known.is_none();
            match known {
                Some(past) => past.last_ms = now.ms(),
                None => {
                    self.recent.push(Alone::new(symptom, device, now.ms(), now.ms(), anomaly.clone()));
                }
            }
            if !is_news {
                // It was reported alone when it was first found.
                out.anomalies.push(anomaly);
            } else if let Some(cause) = self.concentrates(symptom, device, &anomaly, window) {
                self.found(cause, &anomaly, device, window, out);
            } else if let Some(hold_ms) = expects_company(symptom, lock, &anomaly) {
                self.held.push(Held { symptom, device, until_ms: now.ms() + hold_ms, anomaly });
            } else {
                out.anomalies.push(anomaly);
            }
        }
        self.release(window, out);
        if now.ms().rem_euclid(DAY_MS) == 0 {
            self.judge_anew(window, out);
            self.remember(window);
        }
        self.repeat(window, out);
    }

    /// A detector found a shared cause itself: findings about its locks are part of it.
    pub(crate) fn note(&mut self, symptom: Symptom, anomaly: &Anomaly, fleet: &Fleet, now: EngineTime) {
        if symptom == Symptom::Silence {
            // The detector `silence` decides which locks' silence a gateway explains, and for how long.
            return;
        }
        let scope = &anomaly.scope;
        let (value, with) = match scope.value.split_once('+') {
            Some((value, with)) if scope.kind == ScopeKind::FwHw => (value, with),
            Some(_) | None => (scope.value.as_str(), ""),
        };
        let Some(value) = fleet.find_word(value) else { return };
        let cause = Cause { symptom, kind: scope.kind, value, with: fleet.find_word(with).unwrap_or(Sym::NONE) };
        let fresh = || Shared { reported_ms: now.ms(), ..Shared::default() };
        let shared = self.shared.entry(cause).or_insert_with(fresh);
        (shared.last_ms, shared.noted) = (now.ms(), Some((anomaly.domain, anomaly.component)));
        shared.takes_a_day(anomaly);
    }

    /// Whether the lock's battery fails because of something that it shares with others.
    pub(crate) fn weakens(&self, device: DeviceIx, lock: &Lock) -> bool {
        self.shared.iter().any(|(cause, shared)| cause.symptom.is_power() && shared.has(cause, device, lock))
    }

    fn part_of(&self, symptom: Symptom, device: DeviceIx, lock: &Lock, anomaly: &Anomaly) -> Option<Cause> {
        let first_ms = self.first_ms(symptom, device, anomaly.at.ms());
        let takes =
            |(cause, shared): &(&Cause, &Shared)| shared.takes(cause, symptom, (device, lock), anomaly, first_ms);
        self.shared.iter().find(takes).map(|(cause, _)| *cause)
    }

    fn join(&mut self, cause: Cause, device: DeviceIx, anomaly: &Anomaly, window: Window<'_>, out: &mut Findings) {
        let Window { locks, fleet, .. } = window;
        let first_ms = self.first_ms(cause.symptom, device, anomaly.at.ms());
        if let Some(shared) = self.shared.get_mut(&cause) {
            shared.add(&cause, (device, &locks[device.0 as usize]), anomaly, first_ms, false);
            if shared.fresh.len() < EVIDENCE_MAX {
                shared.fresh.insert(device, anomaly.evidence[0].clone());
            }
            out.decisions.push(part(anomaly.clone(), shared.whole(&cause, fleet)));
        }
    }

    /// The locks that are part of other causes of a symptom than this one.
    fn apart(&self, symptom: Symptom, cause: Option<Cause>) -> BTreeSet<DeviceIx> {
        let others = self.shared.iter().filter(|(other, _)| other.symptom == symptom && Some(**other) != cause);
        others.flat_map(|(_, shared)| shared.members.keys().copied()).collect()
    }

    /// The locks of no such cause that show a symptom alone.
    fn affected(&self, symptom: Symptom, apart: &BTreeSet<DeviceIx>, counts: impl Fn(&Alone) -> bool) -> Affected {
        let counts = |alone: &&Alone| alone.symptom == symptom && counts(alone) && !apart.contains(&alone.device);
        self.recent.iter().filter(counts).map(|alone| (alone.device, alone.at_ms)).collect()
    }

    /// The value whose locks show the symptom by more than chance, if any; of several the one that explains it best.
    fn concentrates(&self, symptom: Symptom, device: DeviceIx, anomaly: &Anomaly, window: Window<'_>) -> Option<Cause> {
        let Window { now, locks, .. } = window;
        let apart = self.apart(symptom, None);
        let alike = |alone: &Alone| symptom != Symptom::Drain || is_alike(&alone.anomaly, anomaly);
        let counts = |alone: &Alone| now.ms() - alone.at_ms < WINDOW_MS && alike(alone);
        let affected = self.affected(symptom, &apart, counts);
        if affected.len() < LOCKS_MIN {
            return None;
        }
        let lock = &locks[device.0 as usize];
        let contrast = Contrast::of(symptom, &affected, &apart, self.past(symptom, now), window);
        let mut judged_values = Vec::new();
        let wanted = DIMENSIONS.iter().flat_map(|&kind| values(kind, lock).into_iter().map(move |value| (kind, value)));
        for (kind, wanted) in wanted {
            let has = |lock: &Lock| values(kind, lock).contains(&wanted);
            if affected.keys().filter(|device| has(&locks[device.0 as usize])).count() < LOCKS_MIN {
                continue;
            }
            let judged = contrast.judge(kind, wanted);
            let cause = Cause { symptom, kind, value: wanted.0, with: wanted.1 };
            let is_shown = cause.can_be() && is_shared(&judged, &cause, is_rollout(&cause, window));
            judged_values.push((judged.explains(), is_shown, cause));
        }
        best(&judged_values).map(|cause| widen(cause, &affected, lock, window))
    }

    /// What the weeks before the last one showed of a symptom.
    fn past(&self, symptom: Symptom, now: EngineTime) -> Past {
        let found = f64::from(self.before.get(&symptom).copied().unwrap_or(0));
        let awake = self.awake.back().copied().unwrap_or(0).max(1) as f64;
        let weeks = (self.lock_days as f64 / 7.0 / awake).min(PAST_WEEKS);
        let began = |alone: &&Alone| {
            let weeks_ago = (now.ms() - alone.at_ms - WINDOW_MS) as f64 / (7 * DAY_MS) as f64;
            alone.symptom == symptom && (0.0..weeks).contains(&weeks_ago)
        };
        let began = self.recent.iter().filter(began).map(|alone| alone.device).collect();
        Past { found, lock_weeks: self.lock_days as f64 / 7.0, began, weeks }
    }

    /// Ends a day: what is a week old belongs to the past.
    fn remember(&mut self, window: Window<'_>) {
        let Window { now, locks, .. } = window;
        self.awake.push_back(locks.iter().filter(|lock| now.ms() - lock.heard_ms < AWAKE_MS).count() as u64);
        if self.awake.len() > 7 {
            self.lock_days += self.awake.pop_front().unwrap_or(0);
        }
        let is_past = |alone: &&Alone| (WINDOW_MS..WINDOW_MS + DAY_MS).contains(&(now.ms() - alone.at_ms));
        let is_shared = |alone: &&Alone| {
            let mut causes = self.shared.iter().filter(|(cause, _)| cause.symptom == alone.symptom);
            causes.any(|(_, shared)| shared.members.contains_key(&alone.device))
        };
        let past: Vec<Symptom> =
            self.recent.iter().filter(is_past).filter(|alone| !is_shared(alone)).map(|alone| alone.symptom).collect();
        past.into_iter().for_each(|symptom| *self.before.entry(symptom).or_insert(0) += 1);
    }

    /// Judges each cause by the last week: it goes on where it explains more than chance does. One that was found here
    /// is dissolved where its locks show the symptom as often as their like, and what it had absorbed stands again; one
    /// that a detector found ends some weeks after that.
    fn judge_anew(&mut self, window: Window<'_>, out: &mut Findings) {
        let Window { now, fleet, .. } = window;
        let mut dissolved = Vec::new();
        let causes: Vec<Cause> = self.shared.keys().copied().collect();
        for cause in causes {
            let is_recent = |at_ms: i64| now.ms() - at_ms < REPEATED_MS;
            let apart = self.apart(cause.symptom, Some(cause));
            let mut affected = self.affected(cause.symptom, &apart, |alone| is_recent(alone.last_ms));
            let Some(shared) = self.shared.get(&cause) else { continue };
            let still = shared.members.iter().filter(|(_, member)| is_recent(member.last_ms));
            affected.extend(still.map(|(device, member)| (*device, member.last_ms)));
            let past = self.past(cause.symptom, now);
            let had = |device: DeviceIx| shared.members.contains_key(&device);
            let contrast = Contrast::of(cause.symptom, &affected, &apart, past, window);
            let judged = contrast.judge_those(cause.kind, |lock| cause.is_of(lock), had);
            let times = judged.inside as f64 / judged.expected_max();
            let Some(shared) = self.shared.get_mut(&cause) else { continue };
            let is_ours = shared.anomaly.is_some();
            if (judged.is_alone && is_ours) || (times >= TIMES_LEFT && judged.by_like <= HOLDS_MAX) {
                (shared.last_ms, shared.own_weekly) = (now.ms(), judged.weekly);
            } else if is_ours && times < TIMES_LEFT && (judged.inside >= LOCKS_MIN || judged.expected >= 1.0) {
                // Few locks to compare with show nothing either way.
                dissolved.push(cause);
            }
        }
        for cause in dissolved {
            let Some(shared) = self.shared.remove(&cause) else { continue };
            if let Some(anomaly) = &shared.anomaly {
                let why = format!(
                    "locks with {} {} show it no more often than their like now; what was part of it stands again",
                    cause.kind,
                    cause.text(fleet)
                );
                out.decisions.push(Decision { at: now, ..anomaly.decision(DecisionReason::Unconfirmed, why) });
            }
            for (device, member) in shared.members {
                let (Some(absorbed), true) = (member.absorbed, now.ms() - member.last_ms < REPEATED_MS) else {
                    continue;
                };
                let anomaly = Anomaly { at: now, ..*absorbed };
                out.anomalies.push(anomaly.clone());
                self.recent.push(Alone::new(cause.symptom, device, member.first_ms, member.last_ms, anomaly));
            }
        }
    }

    fn found(&mut self, cause: Cause, anomaly: &Anomaly, device: DeviceIx, window: Window<'_>, out: &mut Findings) {
        let Window { now, locks, fleet } = window;
        let has = |device: DeviceIx| cause.is_of(&locks[device.0 as usize]);
        let alike = |other: &Anomaly| cause.symptom != Symptom::Drain || is_alike(other, anomaly);
        let is_member = |past: &&Alone| {
            let since = is_since(cause.symptom, cause.kind, &locks[past.device.0 as usize], past.at_ms);
            past.symptom == cause.symptom && has(past.device) && since && alike(&past.anomaly)
        };
        let mut members: Vec<&Alone> = self.recent.iter().filter(is_member).collect();
        members.sort_by_key(|past| past.device);
        let evidence: Vec<Evidence> =
            members.iter().take(EVIDENCE_MAX).map(|past| past.anomaly.evidence[0].clone()).collect();
        let since_ms = members.iter().map(|past| past.at_ms).min().unwrap_or(now.ms());
        let scope = Scope { kind: cause.kind, value: cause.text(fleet) };
        let (domain, component) = domain(cause, anomaly);
        let why = format!(
            "{} locks with {} {} show it within {:.1} days, far more than the others do; of {}: {}",
            members.len(),
            scope.kind,
            scope.value,
            ((now.ms() - since_ms) as f64 / DAY_MS as f64).max(0.1),
            fleet.device_id(device),
            anomaly.why
        );
        let shared = Anomaly {
            id: Anomaly::identify(&anomaly.rule, anomaly.rule_version, &scope, &evidence[0]),
            at: now,
            device_id: None,
            window_ms: (now.ms() - since_ms).max(anomaly.window_ms),
            domain,
            component,
            scope,
            evidence,
            why,
            ..anomaly.clone()
        };
        let mut kept = Shared { last_ms: now.ms(), reported_ms: now.ms(), ..Shared::default() };
        for member in &members {
            let of = (member.device, &locks[member.device.0 as usize]);
            let first_ms = self.first_ms(cause.symptom, member.device, member.at_ms);
            let anomaly = Anomaly { at: EngineTime(member.at_ms), ..member.anomaly.clone() };
            kept.add(&cause, of, &anomaly, first_ms, true);
        }
        let is_part = |held: &Held| held.symptom == cause.symptom && has(held.device) && alike(&held.anomaly);
        let (parts, held) = core::mem::take(&mut self.held).into_iter().partition::<Vec<Held>, _>(is_part);
        self.held = held;
        for Held { device, anomaly, .. } in parts {
            let first_ms = self.first_ms(cause.symptom, device, anomaly.at.ms());
            kept.add(&cause, (device, &locks[device.0 as usize]), &anomaly, first_ms, false);
            out.decisions.push(part(anomaly, shared.whole()));
        }
        kept.anomaly = Some(shared.clone());
        self.shared.insert(cause, kept);
        let unlike = self.unlike(cause);
        if unlike > UNLIKE_MAX {
            let why = format!(
                "{unlike} unlike symptoms are put down to {} {}, more than one thing brings about: its locks may differ \
                 in how they report or are used",
                shared.scope.kind, shared.scope.value
            );
            out.decisions.push(shared.decision(DecisionReason::Unconfirmed, why));
        }
        out.anomalies.push(shared);
    }

    /// Releases findings that waited long enough: alone, or as part of a shared cause that was found meanwhile.
    fn release(&mut self, window: Window<'_>, out: &mut Findings) {
        let Window { now, locks, .. } = window;
        let (due, held) =
            core::mem::take(&mut self.held).into_iter().partition::<Vec<Held>, _>(|held| held.until_ms <= now.ms());
        self.held = held;
        for Held { symptom, device, anomaly, .. } in due {
            let anomaly = Anomaly { at: now, ..anomaly };
            match self.part_of(symptom, device, &locks[device.0 as usize], &anomaly) {
                Some(cause) => self.join(cause, device, &anomaly, window, out),
                None => out.anomalies.push(anomaly),
            }
        }
    }

    /// Reports shared causes that have new locks again, once a day.
    fn repeat(&mut self, window: Window<'_>, out: &mut Findings) {
        let Window { now, fleet, .. } = window;
        for (cause, shared) in &mut self.shared {
            let due = now.ms() - shared.reported_ms >= REPEAT_MS && !shared.fresh.is_empty();
            let (Some(first), true) = (&shared.anomaly, due) else { continue };
            let evidence: Vec<Evidence> = core::mem::take(&mut shared.fresh).into_values().collect();
            shared.reported_ms = now.ms();
            let why = format!("{} more locks with {} {}", evidence.len(), cause.kind, cause.text(fleet));
            out.anomalies.push(Anomaly {
                id: Anomaly::identify(&first.rule, first.rule_version, &first.scope, &evidence[0]),
                at: now,
                evidence,
                why,
                ..first.clone()
            });
        }
    }
}

/// Whether the value is the finding. Where all locks have it, their own past is the contrast, and only what can bring
/// about such a symptom is blamed: a gateway stamps the times and carries the records of all its locks, and a version
/// that all run since lately does the rest.
fn is_shared(judged: &Judged, cause: &Cause, lately: bool) -> bool {
    if judged.inside < LOCKS_MIN {
        return false;
    }
    let favour = if lately { UPDATED_FAVOUR } else { 1.0 };
    if judged.is_alone {
        let carries = matches!(cause.symptom, Symptom::Clock | Symptom::Loss | Symptom::Schema);
        let can = if carries { cause.kind == ScopeKind::Gateway } else { lately && cause.kind == ScopeKind::Fw };
        return can && judged.by_all <= CHANCE_MAX && judged.inside as f64 >= ALONE_SHARE_MIN * judged.members;
    }
    judged.by_all <= CHANCE_MAX * favour
        && judged.by_like <= LIKE_MAX * favour
        && (judged.by_own <= OWN_MAX || judged.by_own >= 1.0)
        && judged.inside as f64 >= TIMES_MIN * judged.expected_max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_wire::{Percent, State};

    #[test]
    fn what_a_version_drains_explains_the_resistance_of_its_nearly_empty_locks_and_nothing_else() {
        let mut fleet = Fleet::new();
        let lock = |fw, percent| {
            let mut lock = Lock::default();
            lock.labels.fw = fw;
            let tell = |lock: &mut Lock, percent, at_ms| {
                lock.state(&State { battery_pct: Some(Percent(percent)), ..State::default() }, at_ms);
            };
            tell(&mut lock, 60, 0);
            tell(&mut lock, percent, DAY_MS);
            lock
        };
        let (drains, other) = (lock(fleet.intern("2.0"), 20), lock(fleet.intern("1.9"), 20));
        let half_full = lock(drains.labels.fw, 45);
        let mut attribution = Attribution::default();
        let note = |attribution: &mut Attribution, symptom| {
            let cause = Cause { symptom, kind: ScopeKind::Fw, value: drains.labels.fw, with: Sym::NONE };
            attribution.shared.insert(cause, Shared::default());
        };
        note(&mut attribution, Symptom::Drain);
        let of = |attribution: &Attribution, symptom, lock: &Lock| {
            attribution.part_of(symptom, DeviceIx(0), lock, &Anomaly::of_lock("A", 1)).is_some()
        };
        assert!(of(&attribution, Symptom::Resistance, &drains) && of(&attribution, Symptom::Drain, &drains));
        assert!(!of(&attribution, Symptom::Resistance, &other) && !of(&attribution, Symptom::Trouble, &drains));
        assert!(!of(&attribution, Symptom::Resistance, &half_full) && of(&attribution, Symptom::Drain, &half_full));
        // Half empty, its resistance may be higher by so much as the model's slope misses, and no more.
        let ohms = |lock: &Lock, value| {
            let anomaly = Anomaly { unit: "mohm".to_owned(), baseline: 400.0, value, ..Anomaly::of_lock("A", 1) };
            attribution.part_of(Symptom::Resistance, DeviceIx(0), lock, &anomaly).is_some()
        };
        assert!(ohms(&half_full, 460.0) && !ohms(&half_full, 600.0) && ohms(&drains, 600.0) && !ohms(&other, 460.0));
        // Not the other way round: an aged battery delivers less voltage, but loses no charge.
        let mut aged = Attribution::default();
        note(&mut aged, Symptom::Resistance);
        assert!(of(&aged, Symptom::Resistance, &drains) && !of(&aged, Symptom::Drain, &drains));
    }
}
