//! Findings about zenei itself: a target that can't be told. They open incidents as any other finding does, so that a
//! broken connection is seen. Must not know how messages are sent. Called by the driver.
use zenei_detect::{Anomaly, Component, Domain, Evidence, Findings, Scope, ScopeKind, Urgency};
use zenei_incident::event::{DeliveryDuplicated, DeliveryFailed};
use zenei_incident::{Incident, What};
use zenei_store::control::OutboxRow;
use zenei_wire::EngineTime;

/// The rule's word in an incident about a target.
pub(crate) const RULE: &str = zenei_incident::risk::OWN_RULE;
/// What stands where a lock's id stands: the finding is about this program.
const DEVICE: &str = "zenei";

/// The target that this event says was not told, or told twice.
pub(crate) fn target_of(what: &What) -> Option<&str> {
    if let What::DeliveryFailed(DeliveryFailed { target, .. })
    | What::DeliveryDuplicated(DeliveryDuplicated { target, .. }) = what
    {
        return Some(target);
    }
    None
}

/// Whether an event of this kind, of an incident of this rule, is itself news of a delivery. A target that does not
/// take such news opens its incident, and no more follows: two targets that fail would feed each other.
pub(crate) fn is_news(rule: &str, kind: &str) -> bool {
    rule == RULE || kind == "delivery_failed" || kind == "delivery_duplicated"
}

/// Whether this is the open incident about this target.
pub(crate) fn is_about(incident: &Incident, target: &str) -> bool {
    incident.rule == RULE && incident.scope.value == target && incident.is_open()
}

/// The finding that a message was given up: the first attempt and the last stand behind it. Its scope is the target,
/// so that all messages that one target does not take make one incident.
pub(crate) fn undelivered(row: &OutboxRow, why: &str, at: EngineTime) -> Findings {
    let scope = Scope { kind: ScopeKind::Service, value: row.target.clone() };
    let record = |ts_ms: i64| Evidence { device_id: DEVICE.to_owned(), boot: 0, seq: row.event_seq, ts_ms };
    let evidence = vec![record(row.next_at_ms), record(at.ms())];
    let message = Scope { kind: ScopeKind::Service, value: format!("{}/{}", row.target, row.id) };
    let anomaly = Anomaly {
        // One message is one finding: the id names it.
        id: Anomaly::identify(RULE, 1, &message, &evidence[0]),
        at,
        device_id: None,
        rule: RULE.to_owned(),
        rule_version: 1,
        domain: Domain::Software,
        // Of no part of a lock: the fingerprint then names the rule.
        component: Component::Unknown,
        value: 1.0,
        baseline: 0.0,
        threshold: 1.0,
        unit: "messages".to_owned(),
        window_ms: at.ms().saturating_sub(row.next_at_ms).max(1),
        scope,
        evidence,
        urgency: Urgency::High,
        confidence: 1.0,
        why: format!("the target {} does not take a message about incident {}: {why}", row.target, row.incident),
        title: "A target is not told of incidents".to_owned(),
        owner: "zenei".to_owned(),
        runbook: "Run `zenei notify test` for the target; mend its address or key; tell its people by other means."
            .to_owned(),
        title_ja: "通知先にインシデントが届かない".to_owned(),
        runbook_ja:
            "その通知先に `zenei notify test` を実行する。アドレスまたは鍵を直す。関係者には別の方法で知らせる。"
                .to_owned(),
    };
    Findings { anomalies: vec![anomaly], ..Findings::default() }
}
