//! Findings for the tests of this crate.
use zenei_detect::{Anomaly, Component, Domain, Evidence, Scope, ScopeKind, Urgency};
use zenei_wire::EngineTime;

/// A finding about the gear of one lock at second `at_s`, with two records.
pub(crate) fn anomaly(lock: &str, at_s: i64) -> Anomaly {
    let scope = Scope { kind: ScopeKind::Device, value: lock.into() };
    let record = |seq| Evidence { device_id: lock.into(), boot: 1, seq, ts_ms: at_s * 1_000 + i64::from(seq) };
    let evidence = vec![record(0), record(1)];
    Anomaly {
        id: Anomaly::identify("motor-effort", 1, &scope, &evidence[0]),
        at: EngineTime(at_s * 1_000),
        device_id: Some(lock.into()),
        rule: "motor-effort".into(),
        rule_version: 1,
        domain: Domain::Hardware,
        component: Component::Gear,
        value: 412.0,
        baseline: 300.0,
        threshold: 380.0,
        unit: "mA".into(),
        window_ms: 86_400_000,
        scope,
        evidence,
        urgency: Urgency::High,
        confidence: 0.9,
        why: "the motor needs more current than it did".into(),
        title: "The motor's effort rises".into(),
        owner: "hardware".into(),
        runbook: "Look at the gear.".into(),
    }
}
