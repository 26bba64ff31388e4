//! Writes findings, incidents and decisions as JSON, one line each, in the form of the interface contract. Equal input
//! gives equal bytes; only fields that the contract names may be null or empty. Must not know files. Called by
//! `replay`, by `incident list` and by the API.
use crate::incident::Incident;
use crate::inquiry::{Inquiries, first_inquiry};
use serde::Serialize;
use zenei_detect::anomaly::write_finite;
use zenei_detect::{Anomaly, Component, Decision, Domain, Evidence, Scope, Urgency};
use zenei_wire::Id;

use crate::event::Status;

/// A line of `incidents.ndjson`: the contract's fields in its order, then the owner and the first steps, if a rule or a
/// person gave them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the contract's field names")]
pub struct IncidentLine<'a> {
    pub id: Id,
    pub fingerprint: Id,
    pub opened_ms: i64,
    pub updated_ms: i64,
    pub status: Status,
    pub urgency: Urgency,
    pub domain: Domain,
    pub component: Component,
    pub confidence: f64,
    pub scope: &'a Scope,
    pub devices: Vec<&'a str>,
    pub rule: &'a str,
    pub rule_version: u32,
    pub title: &'a str,
    pub why: &'a str,
    pub recurs_of: Option<Id>,
    pub first_inquiry_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbook: Option<&'a str>,
}

#[derive(Serialize)]
struct AnomalyLine<'a> {
    id: Id,
    at_ms: i64,
    device_id: Option<&'a str>,
    rule: &'a str,
    rule_version: u32,
    domain: Domain,
    component: Component,
    #[serde(serialize_with = "write_finite")]
    value: f64,
    #[serde(serialize_with = "write_finite")]
    baseline: f64,
    #[serde(serialize_with = "write_finite")]
    threshold: f64,
    unit: &'a str,
    window_ms: i64,
    scope: &'a Scope,
    evidence: &'a [Evidence],
}

impl<'a> IncidentLine<'a> {
    /// The line of this incident; its first inquiry comes from `inquiries` and from the inquiries linked to it.
    pub fn of(incident: &'a Incident, inquiries: &Inquiries) -> Self {
        Self {
            id: incident.id,
            fingerprint: incident.fingerprint,
            opened_ms: incident.opened.ms(),
            updated_ms: incident.updated.ms(),
            status: incident.status,
            urgency: incident.urgency,
            domain: incident.domain,
            component: incident.component,
            confidence: incident.confidence,
            scope: &incident.scope,
            devices: incident.devices.iter().map(String::as_str).collect(),
            rule: &incident.rule,
            rule_version: incident.rule_version,
            title: &incident.title,
            why: &incident.why,
            recurs_of: incident.recurs_of,
            first_inquiry_ms: first_inquiry(incident, inquiries),
            service: incident.service.as_deref(),
            owner: incident.owner.as_deref(),
            runbook: incident.runbook.as_deref(),
        }
    }
}

/// A line of `incidents.ndjson`, without the line end.
///
/// # Errors
/// None that a value of these types can cause.
pub fn incident_line(incident: &Incident, inquiries: &Inquiries) -> Result<String, serde_json::Error> {
    serde_json::to_string(&IncidentLine::of(incident, inquiries))
}

/// A line of `anomalies.ndjson`, without the line end.
///
/// # Errors
/// None that a value of these types can cause.
pub fn anomaly_line(anomaly: &Anomaly) -> Result<String, serde_json::Error> {
    serde_json::to_string(&AnomalyLine {
        id: anomaly.id,
        at_ms: anomaly.at.ms(),
        device_id: anomaly.device_id.as_deref(),
        rule: &anomaly.rule,
        rule_version: anomaly.rule_version,
        domain: anomaly.domain,
        component: anomaly.component,
        value: anomaly.value,
        baseline: anomaly.baseline,
        threshold: anomaly.threshold,
        unit: &anomaly.unit,
        window_ms: anomaly.window_ms,
        scope: &anomaly.scope,
        evidence: &anomaly.evidence,
    })
}

/// A line of `decisions.ndjson`, without the line end: every field of [`Decision`] in its order.
///
/// # Errors
/// None that a value of these types can cause.
pub fn decision_line(decision: &Decision) -> Result<String, serde_json::Error> {
    serde_json::to_string(decision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Casebook;
    use expect_test::{Expect, expect};
    use zenei_detect::ScopeKind;
    use zenei_kit::anomaly;

    fn check(found: Result<String, serde_json::Error>, expected: Expect) {
        expected.assert_eq(&found.unwrap());
    }

    #[test]
    fn an_incident_line_has_the_contracts_fields_in_its_order() {
        let mut book = Casebook::default();
        let mut draft = book.draft();
        draft.decide(&anomaly("motor_effort", "BL0000123", 5)).unwrap();
        let changes = draft.into_changes();
        book.absorb(changes);
        let incident = book.incidents().next().unwrap();
        let inquiries =
            Inquiries::parse("id,received_at,customer,device_id,urgency,text\n1,1970-01-02T00:00:00Z,c,BL0000123,高,x");
        check(
            incident_line(incident, &inquiries),
            expect![[
                r#"{"id":"9361a8accfa9d51353ef4445cbc0cd11","fingerprint":"1bd3f266cdb0bd7199b9f9539204f575","opened_ms":5000,"updated_ms":5000,"status":"detected","urgency":"high","domain":"hardware","component":"motor","confidence":0.9,"scope":{"kind":"device","value":"BL0000123"},"devices":["BL0000123"],"rule":"motor_effort","rule_version":1,"title":"The motor's effort rises: lock BL0000123","why":"the motor needs more current than it did (rule motor_effort v1: observed 412.3 mA, baseline 300 mA, threshold 380 mA, window 2 d, 2 records on lock BL0000123)","recurs_of":null,"first_inquiry_ms":86400000,"service":"device","owner":"hardware","runbook":"Look at the gear."}"#
            ]],
        );
    }

    #[test]
    fn an_anomaly_line_has_the_contracts_fields_in_its_order() {
        check(
            anomaly_line(&anomaly("motor_effort", "BL0000123", 5)),
            expect![[
                r#"{"id":"28e693f8713393093d3417cb4b127d7b","at_ms":5000,"device_id":"BL0000123","rule":"motor_effort","rule_version":1,"domain":"hardware","component":"motor","value":412.345,"baseline":300.0,"threshold":380.0,"unit":"mA","window_ms":172800000,"scope":{"kind":"device","value":"BL0000123"},"evidence":[{"device_id":"BL0000123","boot":1,"seq":0,"ts_ms":5000},{"device_id":"BL0000123","boot":1,"seq":1,"ts_ms":5001}]}"#
            ]],
        );
    }

    #[test]
    fn only_the_device_of_an_anomaly_may_be_null() {
        let mut found = anomaly("reboot", "A", 5);
        (found.value, found.baseline) = (f64::NEG_INFINITY, f64::NAN);
        found.device_id = None;
        found.scope = Scope { kind: ScopeKind::Fw, value: "3.3.0".into() };
        let line = anomaly_line(&found).unwrap();
        assert_eq!(line.matches("null").count(), 1);
        assert!(line.contains("\"device_id\":null"));
    }

    #[test]
    fn a_decision_line_says_what_was_decided_and_why() {
        let mut found = anomaly("motor_effort", "A", 5);
        (found.window_ms, _) = (0, found.evidence.truncate(1));
        let outcome = Casebook::default().draft().decide(&found).unwrap();
        check(
            decision_line(&outcome.decisions[0]),
            expect![[
                r#"{"at_ms":5000,"rule":"motor_effort","rule_version":1,"scope":{"kind":"device","value":"A"},"reason":"unconfirmed","value":412.345,"threshold":380.0,"unit":"mA","why":"not confirmed for urgency high: 1 record of 1 lock over 0 ms; wanted are 2 records or 2 locks or 30 min"}"#
            ]],
        );
    }
}
