//! Which gateways are told as silent or as holding records back, and which of those are back; and why one is not told
//! that looks so. Must not know how a lock's own silence is judged. Called by `silence`.
use super::held::{self, Holding};
use super::lane::Lane;
use super::quiet::{Behind, Silent};
use super::{Down, RETURN_MS, Silence};
use crate::anomaly::{Anomaly, Component, DecisionReason, Domain, EVIDENCE_MAX, Findings, Recovery, Scope, ScopeKind};
use crate::detect::report::{self, REPEAT_MS, Seen, Shared};
use crate::detect::running::Window;
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::lock::Lock;
use crate::rule::Rule;
use crate::time::DAY_MS;
use std::collections::{BTreeMap, BTreeSet};
use zenei_wire::EngineTime;

/// From this share of a gateway's locks on, and so many, that are late at once, their habit may be changing. A guess.
const MANY: (f64, u32) = (0.3, 3);
const HABIT_CHANGES: &str = "many locks of most gateways speak more rarely than before: a habit changes";

/// A gateway that looks silent: how many locks are behind it and how many of them are late, and how long it is quiet
/// where that is what shows it.
type Looks<'a> = (Sym, (u32, u32), Option<&'a Silent>);

impl Silence {
    /// Judges gateways; returns those of whose locks many are late.
    pub(super) fn close_gateways(&mut self, window: Window<'_>, findings: &mut Findings) -> BTreeSet<Sym> {
        let Window { now, locks, fleet } = window;
        // A lock that has been silent for long does not count for its gateway.
        let counts = |(lane, lock): &(&Lane, &Lock)| {
            lane.known() && now.ms() - lane.heard_ms < 14 * DAY_MS && !lock.maintenance && lock.labels.gw != Sym::NONE
        };
        let known = || self.state.lanes.iter().zip(locks).filter(counts);
        let mut behind: BTreeMap<Sym, (u32, u32)> = BTreeMap::new();
        for (_, lock) in known().filter(|(lane, _)| lane.late(now.ms())) {
            behind.entry(lock.labels.gw).or_default().1 += 1;
        }
        // Where no lock is late, the total is not needed.
        if !behind.is_empty() {
            for (_, lock) in known() {
                if let Some((all, _)) = behind.get_mut(&lock.labels.gw) {
                    *all += 1;
                }
            }
        }
        let hubs = behind_gateways(known());
        let silent = self.state.quiet.close(&hubs, self.params.gateway_locks, fleet);
        let is_quiet = |gw: &Sym| silent.get(gw).is_some_and(|of| of.common.is_none());
        let share = |gw: &Sym| behind.get(gw).map_or(0.0, |&(all, late)| f64::from(late) / f64::from(all.max(1)));
        self.state.gateways.retain(|gw, down| {
            if share(gw) >= 0.5 * self.params.gateway_share || is_quiet(gw) {
                down.last_ms = now.ms();
            } else {
                down.told_ms = None;
            }
            now.ms() - down.last_ms < RETURN_MS
        });
        let (locks_min, share_min) = (self.params.gateway_locks, self.params.gateway_share);
        let is_down = |gw: &Sym, late: u32| late >= locks_min && share(gw) >= share_min;
        let due = |gateways: &BTreeMap<Sym, Down>, gw: &Sym| {
            report::is_due(gateways.get(gw).and_then(|down| down.told_ms), now, REPEAT_MS)
        };
        let late = behind.iter().filter(|(gw, (_, late))| is_down(gw, *late)).map(|(&gw, _)| gw);
        let looks: BTreeSet<Sym> = late.chain(silent.keys().copied()).collect();
        let changes = !looks.is_empty() && self.habits_change(now, locks);
        for gw in looks.into_iter().filter(|gw| due(&self.state.gateways, gw)).collect::<Vec<_>>() {
            let counts = behind.get(&gw).copied().unwrap_or_default();
            // That most are as quiet does not spare one whose locks are late for their own habits.
            let seen = silent.get(&gw).filter(|of| of.common.is_none() || !is_down(&gw, counts.1));
            let of = (gw, counts, seen);
            let common = seen.and_then(|of| of.common);
            if let Some(why) = changes.then_some(HABIT_CHANGES).or(common) {
                self.spare(of, why, window, findings);
                continue;
            }
            self.state.gateways.insert(gw, Down { told_ms: Some(now.ms()), last_ms: now.ms() });
            self.state.awaited.insert(gw, now.ms());
            findings.anomalies.extend(self.silent_gateway(of, window));
        }
        self.state.spared.retain(|_, at_ms| now.ms() - *at_ms < REPEAT_MS);
        let many = behind.iter().filter(|(gw, (_, late))| *late >= MANY.1 && share(gw) >= MANY.0);
        many.map(|(&gw, _)| gw).collect()
    }

    /// Tells of gateways that hold records back, and of those that do so no more.
    pub(super) fn close_held(&mut self, Window { now, fleet, .. }: Window<'_>, findings: &mut Findings) {
        let held::Found { holding, common, ended } = self.state.held.close(now, fleet);
        let of = |holding: &Holding| {
            let scope = scope(holding.gateway, fleet)?;
            let evidence = report::evidence(holding.device, fleet, [holding.record]);
            let seen = holding.seen(&scope.value);
            report::shared(&self.rule, of_gateway(scope), seen, evidence, now)
        };
        findings.anomalies.extend(holding.iter().filter_map(of));
        let spared = common.iter().filter_map(of).map(|anomaly| {
            let why = format!("{}; most gateways do at the same time: what they send to is slow", anomaly.why);
            anomaly.decision(DecisionReason::CohortMoved, why)
        });
        findings.decisions.extend(spared);
        // A gateway that is awaited as well is back once its locks are heard again.
        for gw in ended.into_iter().filter(|gw| !self.state.awaited.contains_key(gw)) {
            if let Some(scope) = scope(gw, fleet) {
                let why = format!("gateway {} holds nothing back any more", scope.value);
                findings.recoveries.push(back(&self.rule, scope, why, now));
            }
        }
    }

    /// Tells which gateways are heard again: those of whose locks, by their latest record, so many sent a readable one
    /// since its latest report that not even half of the share is left that reports one. Locks that have been silent
    /// for long count too: that they stay away does not bring a gateway back. Nor is one back that holds records back.
    pub(super) fn tell_gateways_back(&mut self, Window { now, locks, fleet }: Window<'_>, findings: &mut Findings) {
        let (lanes, held, share) = (&self.state.lanes, &self.state.held, self.params.gateway_share);
        self.state.awaited.retain(|&gw, told_ms| {
            let behind = lanes.iter().zip(locks).filter(|(lane, lock)| lane.known() && lock.labels.gw == gw);
            let (mut all, mut heard) = (0_u32, 0_u32);
            for (lane, _) in behind {
                (all, heard) = (all + 1, heard + u32::from(lane.read_ms > *told_ms));
            }
            let is_back =
                heard > 0 && !held.is_open(gw, fleet) && f64::from(heard) >= (1.0 - 0.5 * share) * f64::from(all);
            if let Some(scope) = scope(gw, fleet).filter(|_| is_back) {
                let why = format!("{heard} of the {all} locks behind gateway {} are heard again", scope.value);
                findings.recoveries.push(back(&self.rule, scope, why, now));
            }
            !is_back
        });
    }

    /// Notes once why a gateway is not told that looks silent.
    fn spare(&mut self, of: Looks<'_>, why: &str, window: Window<'_>, findings: &mut Findings) {
        if self.state.spared.contains_key(&of.0) {
            return;
        }
        self.state.spared.insert(of.0, window.now.ms());
        if let Some(anomaly) = self.silent_gateway(of, window) {
            let why = format!("{}; {why}", anomaly.why);
            findings.decisions.push(anomaly.decision(DecisionReason::CohortMoved, why));
        }
    }

    /// Whether many locks of most gateways speak more rarely than before, late now or heard lately after a long
    /// interval, while some of them are still heard: a habit changes, as by an update of all, and no gateway is silent.
    /// That the locks of one gateway are late alone at this hour may be its turn.
    fn habits_change(&self, now: EngineTime, locks: &[Lock]) -> bool {
        let known = || {
            let all = self.state.lanes.iter().zip(locks);
            all.filter(|(lane, lock)| lane.known() && lock.labels.gw != Sym::NONE)
        };
        let mut all: BTreeMap<Sym, (u32, u32, u32)> = BTreeMap::new();
        for (lane, lock) in known() {
            let (count, rarer, heard) = all.entry(lock.labels.gw).or_default();
            let late = lane.late(now.ms());
            *count += 1;
            *rarer += u32::from(late || lane.stretched(now.ms()));
            *heard += u32::from(!late);
        }
        let many = all
            .values()
            .filter(|(count, rarer, _)| *rarer >= MANY.1 && f64::from(*rarer) >= MANY.0 * f64::from(*count));
        let (gateways, heard) = many.fold((0, 0), |(gateways, sum), (_, _, heard)| (gateways + 1, sum + heard));
        gateways >= 2 && 2 * gateways > all.len() && heard as usize >= gateways
    }

    /// The finding about a gateway that is silent.
    fn silent_gateway(&self, (gw, (all, late), quiet): Looks<'_>, window: Window<'_>) -> Option<Anomaly> {
        let Window { now, locks, fleet } = window;
        let silent = self.state.lanes.iter().zip(locks).enumerate().filter(|(_, (lane, lock))| {
            lock.labels.gw == gw
                && lane.known()
                && (quiet.is_some() || lane.late(now.ms()))
                && now.ms() - lane.heard_ms < 14 * DAY_MS
        });
        let last = silent.clone().map(|(_, (lane, _))| lane.heard_ms).max().unwrap_or(now.ms());
        let evidence: Vec<_> = silent
            .take(EVIDENCE_MAX)
            .flat_map(|(at, (lane, _))| report::evidence(DeviceIx(at as u32), fleet, [lane.last]))
            .collect();
        let scope = scope(gw, fleet)?;
        let name = &scope.value;
        let share = 100.0 * f64::from(late) / f64::from(all);
        let seen = match quiet {
            Some(quiet) => quiet.seen(name),
            None => Seen {
                value: share,
                baseline: 0.0,
                threshold: 100.0 * self.params.gateway_share,
                unit: "percent",
                since_ms: last,
                confidence: share / 100.0,
                why: format!(
                    "{late} of the {all} locks behind gateway {name} are silent for longer than they usually ever are"
                ),
            },
        };
        report::shared(&self.rule, of_gateway(scope), seen, evidence, now)
    }
}

fn scope(gw: Sym, fleet: &Fleet) -> Option<Scope> {
    Some(Scope { kind: ScopeKind::Gateway, value: fleet.word(gw)?.to_owned() })
}

fn of_gateway(scope: Scope) -> Shared {
    Shared { scope, domain: Domain::Software, component: Component::Gateway }
}

fn back(rule: &Rule, scope: Scope, why: String, at: EngineTime) -> Recovery {
    Recovery { at, rule: rule.id.clone(), domain: Domain::Software, component: Component::Gateway, scope, why }
}

/// The locks behind each gateway.
fn behind_gateways<'a>(known: impl Iterator<Item = (&'a Lane, &'a Lock)>) -> BTreeMap<Sym, Behind> {
    let mut all: Vec<Behind> = Vec::new();
    for (lane, lock) in known {
        let at = lock.labels.gw.0 as usize;
        if all.len() <= at {
            all.resize(at + 1, Behind::default());
        }
        let of = &mut all[at];
        of.locks += 1;
        of.fresh += u32::from(lane.fresh > 0);
        of.heard_ms = of.heard_ms.max(lane.heard_ms);
    }
    let some = all.into_iter().enumerate().filter(|(_, of)| of.locks > 0);
    some.map(|(at, of)| (Sym(at as u32), of)).collect()
}

#[cfg(test)]
#[path = "gateway_tests.rs"]
mod tests;
