//! From what a detector saw of one lock to an anomaly with all that the interface asks of it.
//! Called by the detectors; knows none of them.
use crate::anomaly::{Anomaly, Evidence, Scope, ScopeKind};
use crate::fleet::{DeviceIx, Fleet};
use crate::lock::RecordRef;
use crate::rules::Rule;
use zenei_wire::EngineTime;

/// What was seen of a lock.
pub struct Seen {
    /// What was observed, in `unit`.
    pub value: f64,
    /// What is normal.
    pub baseline: f64,
    /// Where the rule draws the line.
    pub threshold: f64,
    /// Unit of the three.
    pub unit: &'static str,
    /// When the departure began, ms of the engine.
    pub since_ms: i64,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// One sentence for people.
    pub why: String,
}

/// The scope of one lock.
pub fn device_scope(device: DeviceIx, fleet: &Fleet) -> Scope {
    Scope { kind: ScopeKind::Device, value: fleet.device_id(device).to_owned() }
}

/// The evidence of one lock's records.
pub fn evidence(device: DeviceIx, fleet: &Fleet, records: impl Iterator<Item = RecordRef>) -> Vec<Evidence> {
    let device_id = fleet.device_id(device);
    let of = |record: RecordRef| Evidence {
        device_id: device_id.to_owned(),
        boot: record.boot,
        seq: record.seq,
        ts_ms: record.ts,
    };
    records.map(of).collect()
}

/// The anomaly about one lock; `None` where no record is behind it.
pub fn anomaly(
    rule: &Rule,
    device: DeviceIx,
    seen: Seen,
    records: impl Iterator<Item = RecordRef>,
    now: EngineTime,
    fleet: &Fleet,
) -> Option<Anomaly> {
    let evidence = evidence(device, fleet, records);
    let scope = device_scope(device, fleet);
    Some(Anomaly {
        id: Anomaly::identify(&rule.id, rule.version, &scope, evidence.first()?),
        at: now,
        device_id: Some(scope.value.clone()),
        rule: rule.id.clone(),
        rule_version: rule.version,
        domain: rule.domain,
        component: rule.component,
        value: seen.value,
        baseline: seen.baseline,
        threshold: seen.threshold,
        unit: seen.unit.to_owned(),
        window_ms: (now.ms() - seen.since_ms).max(1),
        scope,
        evidence,
        urgency: rule.urgency,
        confidence: seen.confidence.clamp(0.0, 1.0),
        why: seen.why,
    })
}

/// How sure a sum of evidence makes: half at the limit, 1 far beyond it.
pub fn confidence(evidence: f64, limit: f64) -> f64 {
    (1.0 - 0.5 * limit / evidence.max(limit)).clamp(0.0, 1.0)
}
