//! A finding for tests that need one and where any will do. Must not know how anomalies are found. Called by the tests
//! of the store, of incidents, of the desk and of the demo.
use zenei_detect::{Anomaly, Component, Domain, Evidence, Scope, ScopeKind, Urgency};
use zenei_wire::EngineTime;

/// A finding of this rule about one lock's motor, at second `at_s`, with two records. Urgent and confident enough to
/// open an incident.
pub fn anomaly(rule: &str, lock: &str, at_s: i64) -> Anomaly {
    let scope = Scope { kind: ScopeKind::Device, value: lock.into() };
    let record = |seq: u32| Evidence { device_id: lock.into(), boot: 1, seq, ts_ms: at_s * 1_000 + i64::from(seq) };
    let evidence = vec![record(0), record(1)];
    Anomaly {
        id: Anomaly::identify(rule, 1, &scope, &evidence[0]),
        at: EngineTime(at_s * 1_000),
        device_id: Some(lock.into()),
        rule: rule.into(),
        rule_version: 1,
        domain: Domain::Hardware,
        component: Component::Motor,
        value: 412.345,
        baseline: 300.0,
        threshold: 380.0,
        unit: "mA".into(),
        window_ms: 172_800_000,
        scope,
        evidence,
        urgency: Urgency::High,
        confidence: 0.9,
        why: "the motor needs more current than it did.".into(),
        title: "The motor's effort rises".into(),
        owner: "hardware".into(),
        runbook: "Look at the gear.".into(),
        title_ja: String::new(),
        runbook_ja: String::new(),
    }
}
