//! From what is known of each client and service to a finding, or to a decision why there is none. Must not know how
//! evidence adds up. Called by `requests`.
use super::count::{Cell, Count, Value};
use super::watch::Watch;
use super::{PACE_WEIGHT, Requests};
use crate::anomaly::{Component, DecisionReason, Domain, EVIDENCE_MAX, Evidence, Findings, Scope, ScopeKind};
use crate::detect::report::{self, Noted, REPEAT_MS, Seen, Shared};
use crate::detect::running::Window;
use crate::estimate::surge::Surge;
use crate::fleet::{DeviceIx, Sym};
use crate::lock::RecordRef;
use crate::time::HOUR_MS;
use std::collections::{BTreeMap, BTreeSet};
use zenei_wire::EngineTime;

/// Evidence beyond so many limits is not kept, so that what has ended is known to have ended. A guess.
const MOST: f64 = 1.3;
/// The share of the limit down to which a finding goes on to explain its requests. A guess.
const EXPLAINS: f64 = 0.5;

impl Requests {
    /// Adds the hour to each client and each service.
    pub(super) fn weigh(&mut self, hour: &BTreeMap<Cell, Count>, now: EngineTime) {
        let mut values: BTreeSet<Value> = self.state.watches.keys().copied().collect();
        values.extend(hour.keys().map(|cell| (ScopeKind::Service, cell.service)));
        values.extend(hour.keys().map(|cell| (ScopeKind::ClientVersion, cell.client)));
        values.extend(self.state.hubs.services().into_iter().map(|service| (ScopeKind::Service, service)));
        let least = EXPLAINS * self.params.limit;
        let explains = |(_, watch): &(&Value, &Watch)| watch.alarm_ms.is_some() && watch.evidence() >= least;
        let active: BTreeSet<Value> = self.state.watches.iter().filter(explains).map(|(&value, _)| value).collect();
        let bounds = (self.params.least_excess, MOST * self.params.limit);
        for value in values.into_iter().filter(|(_, word)| *word != Sym::NONE) {
            let mut parts: Vec<(Cell, Count)> = Vec::new();
            for (&cell, count) in hour {
                let pair = (cell.service, cell.client);
                if has(pair, value) && !active.iter().any(|&other| other != value && has(pair, other)) {
                    let expected = count.expected * self.pace(pair, value, &active);
                    parts.push((cell, Count { expected, ..*count }));
                }
            }
            let hubs = if value.0 == ScopeKind::Service { self.state.hubs.of(value.1) } else { (Vec::new(), 0.0) };
            let watch = self.state.watches.entry(value).or_default();
            if watch.is_over() {
                *watch = Watch { since_ms: now.ms() - HOUR_MS, ..Watch::default() };
            }
            watch.add(&parts, hubs, bounds);
            for failure in &self.state.failures {
                if has((failure.cell.service, failure.cell.client), value) && watch.locks.len() < EVIDENCE_MAX {
                    watch.locks.insert(failure.device, failure.record);
                }
            }
        }
        self.state.watches.retain(|_, watch| !watch.is_over());
    }

    /// How others fare at this time against what their locks let expect: other clients in the same service, or the same
    /// client in other services.
    fn pace(&self, cell: (Sym, Sym), value: Value, active: &BTreeSet<Value>) -> f64 {
        let mut others = Count::default();
        for (&other, count) in &self.state.lately {
            let is_like = if value.0 == ScopeKind::Service { other.1 == cell.1 } else { other.0 == cell.0 };
            if is_like && !has(other, value) && !active.iter().any(|&known| has(other, known)) {
                others.add(count);
            }
        }
        (others.failed + PACE_WEIGHT) / (others.expected + PACE_WEIGHT)
    }

    /// Reports the value that explains most, if any; what it explains is no evidence about the others.
    pub(super) fn judge(&mut self, window: Window<'_>, findings: &mut Findings) {
        let limit = self.params.limit;
        let is_due = |watch: &Watch| report::is_due(watch.alarm_ms, window.now, REPEAT_MS);
        let over = self.state.watches.iter().filter(|(_, watch)| watch.evidence() >= limit && is_due(watch));
        let mut over: Vec<(Value, f64)> = over.map(|(&value, watch)| (value, watch.evidence())).collect();
        over.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for (value, _) in over {
            let refused = self.refused(value);
            self.report(value, refused, window, findings);
            let is_found = refused.is_none();
            for (&other, watch) in &mut self.state.watches {
                if other == value {
                    watch.noted |= !is_found;
                    watch.alarm_ms = if is_found { Some(window.now.ms()) } else { watch.alarm_ms };
                } else if is_found && watch.alarm_ms.is_none() {
                    (watch.requests, watch.calls) = (Surge::default(), Surge::default());
                }
            }
            if is_found {
                return;
            }
        }
    }

    /// Why a value over the limit is no finding.
    fn refused(&self, value: Value) -> Option<(DecisionReason, &'static str)> {
        let watch = self.state.watches.get(&value)?;
        if watch.locks.len() < self.params.min_locks && watch.hubs.len() < 2 {
            Some((DecisionReason::TooFewMatched, "too few locks have failed requests"))
        } else if !watch.is_wide(self.params.least_excess, self.params.limit) {
            Some((DecisionReason::Unconfirmed, "one gateway or one firmware version has most of the failures"))
        } else {
            None
        }
    }

    fn report(
        &self,
        value: Value,
        refused: Option<(DecisionReason, &str)>,
        window: Window<'_>,
        findings: &mut Findings,
    ) {
        let Window { now, fleet, .. } = window;
        let Some(watch) = self.state.watches.get(&value) else { return };
        let scope = Scope { kind: value.0, value: fleet.word(value.1).unwrap_or("unknown").to_owned() };
        let requests = watch.count.requests.max(1.0);
        let (share, usual) = (100.0 * watch.count.failed / requests, 100.0 * watch.count.expected / requests);
        if let Some((reason, why)) = refused {
            if !watch.noted {
                let noted = Noted { reason, value: share, threshold: usual, unit: "percent", why: why.to_owned() };
                findings.decisions.push(report::decision(&self.rule, scope, noted, now));
            }
            return;
        }
        let of = |(&device, &record): (&DeviceIx, &RecordRef)| report::evidence(device, fleet, [record]);
        let mut evidence: Vec<Evidence> = watch.locks.iter().flat_map(of).collect();
        if evidence.is_empty() {
            evidence = watch.hubs.iter().take(EVIDENCE_MAX).flat_map(of).collect();
        }
        let sum = watch.evidence();
        let why = format!(
            "{:.0} of {:.0} requests by {} {} failed, {:.1} were expected as others fare; {} gateways report \
             failed calls beyond what is usual for them; evidence e^{sum:.1}, limit e^{:.1}",
            watch.count.failed,
            watch.count.requests,
            scope.kind,
            scope.value,
            watch.count.expected,
            watch.hubs.len(),
            self.params.limit,
        );
        let seen = Seen {
            value: share,
            baseline: usual,
            threshold: (usual + (share - usual) * self.params.limit / sum.max(self.params.limit)).min(share),
            unit: "percent",
            since_ms: watch.since_ms,
            confidence: report::confidence(sum, self.params.limit),
            why,
        };
        let component = if value.0 == ScopeKind::Service { Component::Cloud } else { Component::App };
        let of = Shared { scope, domain: Domain::Software, component };
        findings.anomalies.extend(report::shared(&self.rule, of, seen, evidence, now));
    }
}

/// Whether the cell (service, client) has the value.
fn has(cell: (Sym, Sym), value: Value) -> bool {
    if value.0 == ScopeKind::Service { cell.0 == value.1 } else { cell.1 == value.1 }
}
