//! Finds what affected locks share: one finding about a version, a gateway or a lot instead of one finding for each of
//! its locks.
//!
//! Findings about single locks arrive here with their symptom. Where locks with one value of a dimension (firmware,
//! gateway, …) show a symptom far more often than all other locks do in the same days, the value is the finding and its
//! locks are part of it. A finding that is likely to be shared (its lock was updated lately, or its symptom usually
//! affects several locks) waits some hours for further ones. Must not know detectors' insides or incidents. Called by
//! the engine.
use crate::anomaly::{
    Anomaly, Component, Decision, DecisionReason, Domain, EVIDENCE_MAX, Evidence, Findings, Scope, ScopeKind,
};
use crate::batch::Labels;
use crate::detect::running::Window;
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::lock::Lock;
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use zenei_wire::EngineTime;

/// Findings within so long count together. A guess: rollouts are staged over days.
const WINDOW_MS: i64 = 7 * DAY_MS;
/// How long a finding waits for similar findings on other locks. A guess: what a gateway or a client does shows on
/// several locks within hours.
const HOLD_MS: i64 = 6 * HOUR_MS;
/// How long it waits where its lock was updated lately. A guess: of a rollout's locks the third shows within a day of
/// the first.
const HOLD_UPDATED_MS: i64 = DAY_MS;
/// For so long after an update the update is the likeliest common cause. A guess: the time for which a rollout is
/// watched.
const UPDATED_MS: i64 = 30 * DAY_MS;
/// For so long after an update a finding waits for other locks. A guess: what a version does to all its locks shows on
/// the first of them within days.
const COMPANY_MS: i64 = 10 * DAY_MS;
/// The fewest locks that share a cause.
const LOCKS_MIN: usize = 3;
/// The probability of so many locks by chance below which a value is the finding. With some thousand values of seven
/// dimensions, tested a few times a day, this makes one false alarm in some hundred years.
const CHANCE_MAX: f64 = 1e-7;
/// The same for a version that most of its locks were updated to lately: a rollout is the likeliest common cause. A
/// guess.
const CHANCE_UPDATED_MAX: f64 = 1e-5;
/// Probability that all locks of a version that show it have one board by chance, below which the board is part of the
/// cause. A guess.
const BOARD_CHANCE_MAX: f64 = 1e-3;
/// A shared cause is kept for so long after its last finding.
const LASTS_MS: i64 = 21 * DAY_MS;
/// The interval after which it is reported again with its new locks.
const REPEAT_MS: i64 = DAY_MS;
/// A lock without records for so long does not count among the locks of its value.
const AWAKE_MS: i64 = 7 * DAY_MS;

/// Findings that wait or count, and shared causes that last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Attribution {
    recent: Vec<Past>,
    held: Vec<Held>,
    shared: BTreeMap<Cause, Shared>,
}

/// A finding of the last days.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Past {
    symptom: Symptom,
    device: DeviceIx,
    /// When it was first found; a lasting finding is repeated, and a repetition is not new.
    at_ms: i64,
    last_ms: i64,
    evidence: Evidence,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    symptom: Symptom,
    device: DeviceIx,
    until_ms: i64,
    anomaly: Anomaly,
}

/// A symptom of all locks with one value of a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Cause {
    symptom: Symptom,
    kind: ScopeKind,
    value: Sym,
    /// The board revision for `fw_hw`; else `Sym::NONE`.
    with: Sym,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Shared {
    last_ms: i64,
    reported_ms: i64,
    fresh: BTreeMap<DeviceIx, Evidence>,
    /// Locks that were part of it; they stay part of it when their values change, as the last client version does.
    members: BTreeSet<DeviceIx>,
    /// The anomaly that it was opened with; `None` where a detector found the shared cause itself.
    anomaly: Option<Anomaly>,
}

/// The dimensions, most specific first where they tie.
const DIMENSIONS: [ScopeKind; 7] = [
    ScopeKind::FwHw,
    ScopeKind::Gateway,
    ScopeKind::Fw,
    ScopeKind::ClientVersion,
    ScopeKind::Site,
    ScopeKind::Lot,
    ScopeKind::HwRev,
];

/// The values of a dimension that a lock has, with the board for `fw_hw`; empty where the value is unknown.
fn values(kind: ScopeKind, lock: &Lock) -> SmallVec<[(Sym, Sym); 4]> {
    let Labels { model, hw_rev, lot, fw, service, gw, .. } = lock.labels;
    let one = |value: Sym| SmallVec::from_iter((value != Sym::NONE).then_some((value, Sym::NONE)));
    match kind {
        ScopeKind::FwHw if fw != Sym::NONE && hw_rev != Sym::NONE => SmallVec::from_iter([(fw, hw_rev)]),
        ScopeKind::FwHw | ScopeKind::Device => SmallVec::new(),
        ScopeKind::ClientVersion => lock.clients().map(|client| (client, Sym::NONE)).collect(),
        ScopeKind::Gateway => one(gw),
        ScopeKind::Fw => one(fw),
        ScopeKind::Site => one(lock.site),
        ScopeKind::Lot => one(lot),
        ScopeKind::HwRev => one(hw_rev),
        ScopeKind::Model => one(model),
        ScopeKind::Service => one(service),
    }
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
            if let Some(cause) = self.part_of(symptom, device, lock) {
                self.join(cause, device, &anomaly, window, out);
                continue;
            }
            let evidence = anomaly.evidence[0].clone();
            let known = self.recent.iter_mut().find(|past| past.symptom == symptom && past.device == device);
            let is_news = known.is_none();
            match known {
                Some(past) => past.last_ms = now.ms(),
                None => self.recent.push(Past { symptom, device, at_ms: now.ms(), last_ms: now.ms(), evidence }),
            }
            if !is_news {
                // It was reported alone when it was first found.
                out.anomalies.push(anomaly);
            } else if let Some(cause) = self.concentrates(symptom, device, window) {
                self.found(cause, &anomaly, device, window, out);
            } else if let Some(hold_ms) = expects_company(symptom, lock, now) {
                self.held.push(Held { symptom, device, until_ms: now.ms() + hold_ms, anomaly });
            } else {
                out.anomalies.push(anomaly);
            }
        }
        self.release(window, out);
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
        let shared = self.shared.entry(cause).or_insert_with(|| Shared {
            last_ms: 0,
            reported_ms: now.ms(),
            fresh: BTreeMap::new(),
            members: BTreeSet::new(),
            anomaly: None,
        });
        shared.last_ms = now.ms();
    }

    /// Whether the lock's battery fails because of something that it shares with others.
    pub(crate) fn weakens(&self, device: DeviceIx, lock: &Lock) -> bool {
        self.shared.iter().any(|(cause, shared)| cause.symptom.is_power() && shared.has(cause, device, lock))
    }

    fn part_of(&self, symptom: Symptom, device: DeviceIx, lock: &Lock) -> Option<Cause> {
        // A cause that empties batteries early raises their resistance early; a battery that is not nearly empty has
        // another cause.
        let covers = |cause: Symptom| {
            cause == symptom || ((cause, symptom) == (Symptom::Drain, Symptom::Resistance) && lock.is_low())
        };
        let is_part = |(cause, shared): &(&Cause, &Shared)| covers(cause.symptom) && shared.has(cause, device, lock);
        self.shared.iter().find(is_part).map(|(cause, _)| *cause)
    }

    fn join(&mut self, cause: Cause, device: DeviceIx, anomaly: &Anomaly, window: Window<'_>, out: &mut Findings) {
        let Window { now, fleet, .. } = window;
        if let Some(shared) = self.shared.get_mut(&cause) {
            shared.last_ms = now.ms();
            shared.members.insert(device);
            if shared.fresh.len() < EVIDENCE_MAX {
                shared.fresh.insert(device, anomaly.evidence[0].clone());
            }
        }
        let why = format!("part of what the locks with {} {} share", cause.kind, cause.text(fleet));
        out.decisions.push(Decision { why, ..anomaly.clone().refused(DecisionReason::PartOfWider) });
    }

    /// The value whose locks show the symptom by more than chance, if any; of several the one that explains it best.
    fn concentrates(&self, symptom: Symptom, device: DeviceIx, window: Window<'_>) -> Option<Cause> {
        let Window { now, locks, .. } = window;
        let is_new = |past: &&Past| past.symptom == symptom && now.ms() - past.at_ms < WINDOW_MS;
        let affected: BTreeSet<DeviceIx> = self.recent.iter().filter(is_new).map(|past| past.device).collect();
        if affected.len() < LOCKS_MIN {
            return None;
        }
        let lock = &locks[device.0 as usize];
        let mut best: Option<(f64, Cause)> = None;
        let wanted = DIMENSIONS.iter().flat_map(|&kind| values(kind, lock).into_iter().map(move |value| (kind, value)));
        for (kind, wanted) in wanted {
            let has = |lock: &Lock| values(kind, lock).contains(&wanted);
            let inside = affected.iter().filter(|device| has(&locks[device.0 as usize])).count();
            if inside < LOCKS_MIN {
                continue;
            }
            let awake = || locks.iter().filter(|lock| now.ms() - lock.heard_ms < AWAKE_MS);
            let members = awake().filter(|lock| has(lock)).count().max(inside);
            let others = awake().count().saturating_sub(members);
            // Without others there is nothing to compare with.
            if others == 0 {
                continue;
            }
            let rate = ((affected.len() - inside) as f64 + 0.5) / (others as f64 + 1.0);
            let expected = rate * members as f64;
            let is_updated = |lock: &&Lock| lock.updated_ms.is_some_and(|at_ms| now.ms() - at_ms < UPDATED_MS);
            let lately = matches!(kind, ScopeKind::Fw | ScopeKind::FwHw)
                && 2 * awake().filter(|lock| has(lock)).filter(is_updated).count() > members;
            if chance(inside, expected) > if lately { CHANCE_UPDATED_MAX } else { CHANCE_MAX } {
                continue;
            }
            let explains = inside as f64 * libm::log(inside as f64 / expected) - (inside as f64 - expected);
            if best.is_none_or(|(before, _)| explains > before + 1e-9) {
                best = Some((explains, Cause { symptom, kind, value: wanted.0, with: wanted.1 }));
            }
        }
        best.map(|(_, cause)| cause).map(|cause| widen(cause, &affected, lock, window))
    }

    fn found(&mut self, cause: Cause, anomaly: &Anomaly, device: DeviceIx, window: Window<'_>, out: &mut Findings) {
        let Window { now, locks, fleet } = window;
        let has = |device: DeviceIx| cause.is_of(&locks[device.0 as usize]);
        let mut members: Vec<&Past> =
            self.recent.iter().filter(|past| past.symptom == cause.symptom && has(past.device)).collect();
        members.sort_by_key(|past| past.device);
        let evidence: Vec<Evidence> = members.iter().take(EVIDENCE_MAX).map(|past| past.evidence.clone()).collect();
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
        let (parts, held) = core::mem::take(&mut self.held)
            .into_iter()
            .partition::<Vec<Held>, _>(|held| held.symptom == cause.symptom && has(held.device));
        self.held = held;
        for part in parts {
            let why = format!("part of what the locks with {} {} share", cause.kind, cause.text(fleet));
            out.decisions.push(Decision { why, ..part.anomaly.refused(DecisionReason::PartOfWider) });
        }
        let kept = Shared {
            last_ms: now.ms(),
            reported_ms: now.ms(),
            fresh: BTreeMap::new(),
            members: members.iter().map(|past| past.device).collect(),
            anomaly: Some(shared.clone()),
        };
        self.shared.insert(cause, kept);
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
            match self.part_of(symptom, device, &locks[device.0 as usize]) {
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

impl Shared {
    fn has(&self, cause: &Cause, device: DeviceIx, lock: &Lock) -> bool {
        cause.is_of(lock) || self.members.contains(&device)
    }
}

impl Cause {
    fn is_of(&self, lock: &Lock) -> bool {
        values(self.kind, lock).contains(&(self.value, self.with))
    }

    fn text(&self, fleet: &Fleet) -> String {
        let word = |sym: Sym| fleet.word(sym).unwrap_or("unknown");
        match self.kind {
            ScopeKind::FwHw => format!("{}+{}", word(self.value), word(self.with)),
            ScopeKind::Device
            | ScopeKind::Gateway
            | ScopeKind::Site
            | ScopeKind::Fw
            | ScopeKind::Lot
            | ScopeKind::HwRev
            | ScopeKind::Model
            | ScopeKind::ClientVersion
            | ScopeKind::Service => word(self.value).to_owned(),
        }
    }
}

/// How long a finding waits for other locks with the same symptom, ms; `None` where none is expected.
fn expects_company(symptom: Symptom, lock: &Lock, now: EngineTime) -> Option<i64> {
    let updated = lock.updated_ms.is_some_and(|at_ms| now.ms() - at_ms < COMPANY_MS);
    match symptom {
        // A gateway's silence is found before that of its locks, and its losses are separated from a lock's; those of a
        // version are spread over days.
        Symptom::Silence | Symptom::Loss => None,
        Symptom::Memory | Symptom::Errors | Symptom::Part | Symptom::Clock | Symptom::Schema | Symptom::Stream => {
            Some(if updated { HOLD_UPDATED_MS } else { HOLD_MS })
        }
        Symptom::Resistance | Symptom::Drain | Symptom::Effort | Symptom::Shape | Symptom::Trouble => {
            updated.then_some(HOLD_UPDATED_MS)
        }
    }
}

/// Domain and component of a shared cause: the dimension determines them; what it leaves open comes from the lock's
/// finding.
fn domain(cause: Cause, anomaly: &Anomaly) -> (Domain, Component) {
    match cause.kind {
        // A change of the records concerns the interface, whichever side caused it.
        ScopeKind::Fw | ScopeKind::FwHw if cause.symptom == Symptom::Schema => (anomaly.domain, Component::FwImage),
        ScopeKind::Fw | ScopeKind::FwHw => (Domain::Firmware, Component::FwImage),
        ScopeKind::Gateway => (Domain::Software, Component::Gateway),
        ScopeKind::ClientVersion => (Domain::Software, Component::App),
        ScopeKind::Service => (Domain::Software, Component::Cloud),
        ScopeKind::Lot | ScopeKind::HwRev | ScopeKind::Model => (Domain::Hardware, anomaly.component),
        ScopeKind::Site | ScopeKind::Device => (anomaly.domain, anomaly.component),
    }
}

/// A version on one board revision alone is the cause only where the version's other boards had enough exposure to show
/// it; otherwise the version is.
fn widen(cause: Cause, affected: &BTreeSet<DeviceIx>, lock: &Lock, window: Window<'_>) -> Cause {
    if cause.kind != ScopeKind::FwHw {
        return cause;
    }
    let runs = |other: &&Lock| other.labels.fw == lock.labels.fw;
    let on_board = |other: &&Lock| runs(other) && other.labels.hw_rev == lock.labels.hw_rev;
    let (all, same) = (window.locks.iter().filter(runs).count(), window.locks.iter().filter(on_board).count());
    let found = affected.iter().map(|device| &window.locks[device.0 as usize]).filter(runs).count();
    let by_chance = libm::pow(same as f64 / all.max(1) as f64, found as f64);
    if by_chance < BOARD_CHANCE_MAX { cause } else { Cause { kind: ScopeKind::Fw, with: Sym::NONE, ..cause } }
}

/// Probability of `count` or more where `expected` are expected (Poisson).
fn chance(count: usize, expected: f64) -> f64 {
    let first = libm::exp(count as f64 * libm::log(expected) - expected - libm::lgamma(count as f64 + 1.0));
    let mut term = first;
    let mut sum = first;
    for more in 1..200 {
        term *= expected / (count + more) as f64;
        sum += term;
        if term < 1e-18 && (count + more) as f64 > expected {
            break;
        }
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_wire::{Percent, State};

    #[test]
    fn the_chance_is_the_poisson_tail() {
        // P(X >= 3) at mean 1 is 1 - 2.5/e.
        assert!((chance(3, 1.0) - (1.0 - 2.5 / core::f64::consts::E)).abs() < 1e-9);
        // Three of 1e-4 expected: (1e-4)^3 / 6.
        assert!((chance(3, 1e-4) / (1e-12 / 6.0) - 1.0).abs() < 1e-3 && chance(1, 50.0) > 0.999);
    }

    #[test]
    fn what_a_version_drains_explains_the_resistance_of_its_nearly_empty_locks_and_nothing_else() {
        let mut fleet = Fleet::new();
        let lock = |fw, percent| {
            let mut lock = Lock::default();
            lock.labels.fw = fw;
            lock.state(&State { battery_pct: Some(Percent(percent)), ..State::default() }, 0);
            lock
        };
        let (drains, other) = (lock(fleet.intern("2.0"), 20), lock(fleet.intern("1.9"), 20));
        let half_full = lock(drains.labels.fw, 50);
        let mut attribution = Attribution::default();
        let note = |attribution: &mut Attribution, symptom| {
            let cause = Cause { symptom, kind: ScopeKind::Fw, value: drains.labels.fw, with: Sym::NONE };
            let (fresh, members) = (BTreeMap::new(), BTreeSet::new());
            let shared = Shared { last_ms: 0, reported_ms: 0, fresh, members, anomaly: None };
            attribution.shared.insert(cause, shared);
        };
        note(&mut attribution, Symptom::Drain);
        let of = |attribution: &Attribution, symptom, lock| attribution.part_of(symptom, DeviceIx(0), lock).is_some();
        assert!(of(&attribution, Symptom::Resistance, &drains) && of(&attribution, Symptom::Drain, &drains));
        assert!(!of(&attribution, Symptom::Resistance, &other) && !of(&attribution, Symptom::Trouble, &drains));
        assert!(!of(&attribution, Symptom::Resistance, &half_full) && of(&attribution, Symptom::Drain, &half_full));
        // Not the other way round: an aged battery delivers less voltage, but loses no charge.
        let mut aged = Attribution::default();
        note(&mut aged, Symptom::Resistance);
        assert!(of(&aged, Symptom::Resistance, &drains) && !of(&aged, Symptom::Drain, &drains));
    }
}
