//! What would PagerDuty's Events API v2 have answered, and what would it have kept? Must not know who calls. Called
//! through [`crate::Server`].
use crate::http::{Answer, Request};
use crate::server::Remote;
use serde_json::{Value, json};

/// How many alerts and changes it keeps; one more is refused.
const KEPT_MAX: usize = 20_000;
/// The largest event, in bytes.
const EVENT_MAX: usize = 512 * 1024;

/// An alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// The key under which it is deduplicated.
    pub dedup_key: String,
    /// `triggered`, `acknowledged` or `resolved`.
    pub status: String,
    /// How many triggers it took.
    pub triggers: u32,
    /// The latest payload.
    pub payload: Value,
}

/// A change event, which opens no alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its payload.
    pub payload: Value,
}

/// The stand-in.
#[derive(Clone, Debug, Default)]
pub struct PagerDuty {
    /// The routing keys, of 32 characters.
    pub routing_keys: Vec<String>,
    /// The alerts, the oldest first; one that is resolved stays.
    pub alerts: Vec<Alert>,
    /// The changes.
    pub changes: Vec<Change>,
    /// How many acknowledgements and resolutions met no open alert: they are accepted and dropped.
    pub dropped: u32,
}

impl PagerDuty {
    /// One with this routing key.
    pub fn new(routing_key: &str) -> Self {
        Self { routing_keys: vec![routing_key.to_owned()], ..Self::default() }
    }

    /// The alerts of this key, the resolved ones too.
    pub fn of_key(&self, dedup_key: &str) -> Vec<&Alert> {
        self.alerts.iter().filter(|alert| alert.dedup_key == dedup_key).collect()
    }

    fn enqueue(&mut self, body: &Value) -> Answer {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or("");
        let (action, mut key) = (text("event_action"), text("dedup_key").to_owned());
        if key.len() > 255 {
            return invalid("'dedup_key' is longer than 255");
        }
        let open = self.alerts.iter_mut().rev().find(|alert| alert.dedup_key == key && alert.status != "resolved");
        match (action, open) {
            ("trigger", open) => {
                if let Err(refused) = payload_check(&body["payload"]) {
                    return refused;
                }
                let payload = body["payload"].clone();
                if let Some(alert) = open {
                    alert.triggers += 1;
                    alert.payload = payload;
                } else if self.alerts.len() >= KEPT_MAX {
                    return Answer::json(500, json!({ "status": "full" }));
                } else {
                    if key.is_empty() {
                        key = format!("{:032x}", self.alerts.len() + 1);
                    }
                    let status = "triggered".to_owned();
                    self.alerts.push(Alert { dedup_key: key.clone(), status, triggers: 1, payload });
                }
            }
            ("acknowledge" | "resolve", _) if key.is_empty() => return invalid("'dedup_key' is missing"),
            ("acknowledge" | "resolve", None) => self.dropped += 1,
            ("acknowledge", Some(alert)) => alert.status = "acknowledged".into(),
            ("resolve", Some(alert)) => alert.status = "resolved".into(),
            _ => return invalid("'event_action' must be trigger, acknowledge or resolve"),
        }
        Answer::json(202, json!({ "status": "success", "message": "Event processed", "dedup_key": key }))
    }

    fn change(&mut self, body: &Value) -> Answer {
        if body["payload"]["summary"].as_str().is_none_or(str::is_empty) {
            return invalid("'payload.summary' is missing or blank");
        }
        if self.changes.len() < KEPT_MAX {
            self.changes.push(Change { payload: body["payload"].clone() });
        }
        Answer::json(202, json!({ "status": "success", "message": "Change event processed" }))
    }
}

impl Remote for PagerDuty {
    fn answer(&mut self, request: &Request) -> Answer {
        if request.body.len() > EVENT_MAX {
            return Answer::json(413, json!({ "status": "too large" }));
        }
        let body = request.json();
        let is_known = |key: &Value| self.routing_keys.iter().any(|known| key == known);
        match (request.method.as_str(), request.segments().as_slice()) {
            ("POST", ["v2", "enqueue" | "change", ..]) if !is_known(&body["routing_key"]) => {
                invalid("'routing_key' is not a valid routing key")
            }
            ("POST", ["v2", "enqueue"]) => self.enqueue(&body),
            ("POST", ["v2", "change", "enqueue"]) => self.change(&body),
            _ => Answer::json(404, json!({ "status": "not found" })),
        }
    }
}

fn payload_check(payload: &Value) -> Result<(), Answer> {
    let text = |name: &str| payload.get(name).and_then(Value::as_str).unwrap_or("");
    if text("summary").is_empty() || text("summary").chars().count() > 1_024 {
        return Err(invalid("'payload.summary' is missing, blank or longer than 1024"));
    }
    if text("source").is_empty() {
        return Err(invalid("'payload.source' is missing or blank"));
    }
    if !["critical", "error", "warning", "info"].contains(&text("severity")) {
        return Err(invalid("'payload.severity' is none of critical, error, warning, info"));
    }
    Ok(())
}

fn invalid(why: &str) -> Answer {
    Answer::json(400, json!({ "status": "invalid event", "message": "Event object is invalid", "errors": [why] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(pager: &mut PagerDuty, action: &str, key: &str) -> u16 {
        let payload = json!({ "summary": "s", "source": "zenei", "severity": "error" });
        let body = json!({ "routing_key": "R", "event_action": action, "dedup_key": key, "payload": payload });
        post(pager, &["v2", "enqueue"], &body)
    }

    fn post(pager: &mut PagerDuty, path: &[&str], body: &Value) -> u16 {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        let body = body.to_string().into_bytes();
        pager.answer(&Request { method: "POST".into(), path, body, ..Request::default() }).status
    }

    #[test]
    fn a_trigger_joins_the_open_alert_and_after_a_resolve_opens_another() {
        let mut pager = PagerDuty::new("R");
        for (action, alerts) in [("resolve", 0), ("trigger", 1), ("trigger", 1), ("acknowledge", 1), ("resolve", 1)] {
            assert_eq!((send(&mut pager, action, "k"), pager.alerts.len()), (202, alerts), "{action}");
        }
        assert_eq!((pager.alerts[0].triggers, pager.alerts[0].status.as_str(), pager.dropped), (2, "resolved", 1));
        send(&mut pager, "trigger", "k");
        assert_eq!(pager.of_key("k").len(), 2);
    }

    #[test]
    fn a_wrong_key_a_wrong_severity_and_an_empty_change_are_400() {
        let mut pager = PagerDuty::new("R");
        let wrong = json!({ "routing_key": "Q", "event_action": "trigger" });
        assert_eq!(post(&mut pager, &["v2", "enqueue"], &wrong), 400);
        let payload = json!({ "summary": "s", "source": "z", "severity": "high" });
        let odd = json!({ "routing_key": "R", "event_action": "trigger", "payload": payload });
        assert_eq!(post(&mut pager, &["v2", "enqueue"], &odd), 400);
        assert_eq!(post(&mut pager, &["v2", "change", "enqueue"], &json!({ "routing_key": "R" })), 400);
        let change = json!({ "routing_key": "R", "payload": { "summary": "firmware 3.2.1" } });
        assert_eq!(post(&mut pager, &["v2", "change", "enqueue"], &change), 202);
        assert_eq!((pager.alerts.len(), pager.changes.len()), (0, 1));
    }
}
