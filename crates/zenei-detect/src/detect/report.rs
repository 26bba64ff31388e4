//! Makes an anomaly or a decision, with all fields of the interface contract, from what a detector measured; each of
//! its numbers is finite. Must not know a detector. Called by the detectors.
use crate::anomaly::{Anomaly, Component, Decision, DecisionReason, Domain, Evidence, Scope, ScopeKind, finite};
use crate::fleet::{DeviceIx, Fleet};
use crate::lock::RecordRef;
use crate::rule::Rule;
use crate::time::DAY_MS;
use zenei_wire::EngineTime;

/// A finding that lasts is reported again after so long, ms.
pub const REPEAT_MS: i64 = 7 * DAY_MS;

/// Whether something that was last reported at `last_ms` is to be reported now, where it is repeated `every_ms`.
pub fn is_due(last_ms: Option<i64>, now: EngineTime, every_ms: i64) -> bool {
    last_ms.is_none_or(|last_ms| now.ms() - last_ms >= every_ms)
}

/// A measurement of a lock, or of several.
pub struct Seen<'a> {
    /// What was observed, in `unit`.
    pub value: f64,
    /// What is normal.
    pub baseline: f64,
    /// The threshold of the rule.
    pub threshold: f64,
    /// Unit of the three.
    pub unit: &'a str,
    /// When the departure began, ms of the engine.
    pub since_ms: i64,
    /// Confidence, 0 to 1.
    pub confidence: f64,
    /// One sentence for people.
    pub why: String,
}

/// What locks with the same symptom share.
pub struct Shared {
    /// The locks.
    pub scope: Scope,
    /// Where the cause is likely to lie.
    pub domain: Domain,
    /// The likely part.
    pub component: Component,
}

/// Why a measurement is no anomaly.
pub struct Noted<'a> {
    /// Why nothing is opened.
    pub reason: DecisionReason,
    /// What was observed, in `unit`.
    pub value: f64,
    /// The threshold of the rule.
    pub threshold: f64,
    /// Unit of both.
    pub unit: &'a str,
    /// One sentence for people.
    pub why: String,
}

/// The scope of one lock.
pub fn device_scope(device: DeviceIx, fleet: &Fleet) -> Scope {
    Scope { kind: ScopeKind::Device, value: fleet.device_id(device).to_owned() }
}

/// The evidence of one lock's records.
pub fn evidence(device: DeviceIx, fleet: &Fleet, records: impl IntoIterator<Item = RecordRef>) -> Vec<Evidence> {
    let device_id = fleet.device_id(device);
    let of = |record: RecordRef| Evidence {
        device_id: device_id.to_owned(),
        boot: record.boot,
        seq: record.seq,
        ts_ms: record.ts,
    };
    records.into_iter().map(of).collect()
}

/// The anomaly about one lock; `None` where no record is behind it.
pub fn anomaly(
    rule: &Rule,
    device: DeviceIx,
    seen: Seen<'_>,
    records: impl IntoIterator<Item = RecordRef>,
    now: EngineTime,
    fleet: &Fleet,
) -> Option<Anomaly> {
    let evidence = evidence(device, fleet, records);
    let scope = device_scope(device, fleet);
    let of = Shared { scope, domain: rule.domain, component: rule.component };
    shared(rule, of, seen, evidence, now)
}

/// The anomaly about what locks share; `None` where no record is behind it.
pub fn shared(rule: &Rule, of: Shared, seen: Seen<'_>, evidence: Vec<Evidence>, now: EngineTime) -> Option<Anomaly> {
    let Shared { scope, domain, component } = of;
    Some(Anomaly {
        id: Anomaly::identify(&rule.id, rule.version, &scope, evidence.first()?),
        at: now,
        device_id: (scope.kind == ScopeKind::Device).then(|| scope.value.clone()),
        rule: rule.id.clone(),
        rule_version: rule.version,
        domain,
        component,
        value: finite(seen.value),
        baseline: finite(seen.baseline),
        threshold: finite(seen.threshold),
        unit: seen.unit.to_owned(),
        window_ms: (now.ms() - seen.since_ms).max(1),
        scope,
        evidence,
        urgency: rule.urgency,
        confidence: finite(seen.confidence).clamp(0.0, 1.0),
        why: seen.why,
        title: rule.title.clone(),
        owner: rule.owner.clone(),
        runbook: rule.runbook.clone(),
        title_ja: rule.title_ja.clone(),
        runbook_ja: rule.runbook_ja.clone(),
    })
}

/// The decision not to report what was noted.
pub fn decision(rule: &Rule, scope: Scope, noted: Noted<'_>, now: EngineTime) -> Decision {
    Decision {
        at: now,
        rule: rule.id.clone(),
        rule_version: rule.version,
        scope,
        reason: noted.reason,
        value: finite(noted.value),
        threshold: finite(noted.threshold),
        unit: noted.unit.to_owned(),
        why: noted.why,
        part_of: None,
    }
}

/// The confidence of a sum of evidence: a half at the limit, towards 1 far beyond it.
pub fn confidence(evidence: f64, limit: f64) -> f64 {
    (1.0 - 0.5 * limit / evidence.max(limit)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rules;

    #[test]
    fn an_anomaly_has_its_rules_words_and_finite_numbers() {
        let rules = Rules::embedded().unwrap();
        let rule = rules.get("motor-effort").unwrap();
        let mut fleet = Fleet::new();
        let device = fleet.number("A");
        let seen = |value, confidence| Seen {
            value,
            baseline: f64::NEG_INFINITY,
            threshold: f64::NAN,
            unit: "mC",
            since_ms: 0,
            confidence,
            why: String::new(),
        };
        let of =
            |seen, records: &[RecordRef]| anomaly(rule, device, seen, records.iter().copied(), EngineTime(5), &fleet);
        let record = RecordRef { boot: 1, seq: 2, ts: 3 };
        let found = of(seen(f64::INFINITY, f64::NAN), &[record]).unwrap();
        assert_eq!((&found.title, &found.owner, &found.runbook), (&rule.title, &rule.owner, &rule.runbook));
        assert_eq!((found.value, found.baseline, found.threshold), (f64::MAX, f64::MIN, 0.0));
        assert_eq!((found.confidence, found.device_id.as_deref()), (0.0, Some("A")));
        assert!(of(seen(1.0, 1.0), &[]).is_none(), "without a record there is no finding");
        let noted = Noted {
            reason: DecisionReason::BelowEffect,
            value: f64::NAN,
            threshold: 1.0,
            unit: "mC",
            why: String::new(),
        };
        assert_eq!(decision(rule, device_scope(device, &fleet), noted, EngineTime(5)).value, 0.0);
    }
}
