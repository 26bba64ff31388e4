//! What would Alertmanager's API v2 have answered, and what would it have kept? As version 0.25 was measured: a batch
//! with one bad alert is answered 400 although its good alerts are taken, and a later alert without annotations erases
//! them. Must not know who calls, nor the time: an alert's `endsAt` is kept as it came. Called through
//! [`crate::Server`].
use crate::http::{Answer, Request};
use crate::server::Remote;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many alerts it keeps; one more is refused.
const KEPT_MAX: usize = 20_000;

/// An alert's labels.
pub type Labels = BTreeMap<String, String>;

/// The stand-in.
#[derive(Clone, Debug, Default)]
pub struct Alertmanager {
    /// The token that it asks for; `None`: none.
    pub token: Option<String>,
    /// The latest state of each alert, by its labels.
    pub alerts: BTreeMap<Labels, Value>,
    /// Every alert that was taken, in order.
    pub taken: Vec<Value>,
    /// Silences by their id, as its API shows them.
    pub silences: BTreeMap<String, Value>,
    /// Which silences match which alerts: the value of a label, and the silence's id.
    pub silenced: Vec<(String, String)>,
}

impl Alertmanager {
    /// The alerts with this label, as they are now.
    pub fn with_label(&self, name: &str, value: &str) -> Vec<&Value> {
        let has = |labels: &Labels| labels.get(name).is_some_and(|found| found == value);
        self.alerts.iter().filter(|(labels, _)| has(labels)).map(|(_, alert)| alert).collect()
    }

    fn post(&mut self, body: &Value) -> Answer {
        let Some(alerts) = body.as_array() else {
            return Answer::json(400, json!({ "code": 601, "message": "parsing alerts body failed" }));
        };
        let mut bad = Vec::new();
        for alert in alerts {
            match labels(&alert["labels"]) {
                Ok(labels) if self.alerts.len() < KEPT_MAX || self.alerts.contains_key(&labels) => {
                    self.alerts.insert(labels, alert.clone());
                    self.taken.push(alert.clone());
                }
                Ok(_) => return Answer::json(500, json!("full")),
                Err(why) => bad.push(why),
            }
        }
        if bad.is_empty() { Answer::json(200, Value::Null) } else { Answer::json(400, json!(bad.join("; "))) }
    }

    fn suppressed(&self) -> Value {
        let of = |labels: &Labels, alert: &Value| {
            let ids: Vec<&str> = self
                .silenced
                .iter()
                .filter(|(value, _)| labels.values().any(|label| label == value))
                .map(|(_, id)| id.as_str())
                .collect();
            let status = json!({ "state": "suppressed", "silencedBy": ids, "inhibitedBy": [] });
            let shown = json!({ "labels": alert["labels"], "annotations": alert["annotations"], "status": status });
            (!ids.is_empty()).then_some(shown)
        };
        self.alerts.iter().filter_map(|(labels, alert)| of(labels, alert)).collect()
    }
}

impl Remote for Alertmanager {
    fn answer(&mut self, request: &Request) -> Answer {
        if self.token.as_deref().is_some_and(|token| token != request.bearer()) {
            return Answer::text(401, "Unauthorized");
        }
        match (request.method.as_str(), request.segments().as_slice()) {
            ("POST", ["api", "v2", "alerts"]) => self.post(&request.json()),
            ("GET", ["api", "v2", "alerts"]) => Answer::json(200, self.suppressed()),
            ("GET", ["api", "v2", "silence", id]) => match self.silences.get(*id) {
                Some(silence) => Answer::json(200, silence.clone()),
                None => Answer::json(404, json!("no such silence")),
            },
            ("GET", ["api", "v2", "status"]) => Answer::json(
                200,
                json!({ "cluster": { "status": "ready", "peers": [] }, "versionInfo": { "version": "0.25.0" } }),
            ),
            _ => Answer::text(404, "404 page not found"),
        }
    }
}

/// The labels of an alert, if each name is one and at least one has a value; a label without a value is none.
fn labels(found: &Value) -> Result<Labels, String> {
    let mut labels = Labels::new();
    for (name, value) in found.as_object().into_iter().flatten() {
        let mut letters = name.bytes();
        let begins = letters.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if !begins || !letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("invalid label set: invalid name {name:?}"));
        }
        match value.as_str() {
            Some("") => {}
            Some(value) => _ = labels.insert(name.clone(), value.to_owned()),
            None => return Err(format!("label {name:?} is no text")),
        }
    }
    if labels.is_empty() { Err("at least one label pair required".to_owned()) } else { Ok(labels) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(sim: &mut Alertmanager, body: &Value) -> u16 {
        let path = ["api", "v2", "alerts"].map(str::to_owned).to_vec();
        let body = body.to_string().into_bytes();
        sim.answer(&Request { method: "POST".into(), path, body, ..Request::default() }).status
    }

    #[test]
    fn a_batch_with_a_bad_alert_is_400_and_its_good_ones_are_taken() {
        let mut sim = Alertmanager::default();
        let good = json!({ "labels": { "alertname": "電池" }, "annotations": { "summary": "s" } });
        assert_eq!(post(&mut sim, &json!([{ "labels": { "名": "x" } }, good])), 400);
        assert_eq!(sim.with_label("alertname", "電池"), [&good]);
    }

    #[test]
    fn an_alert_without_annotations_erases_them() {
        let mut sim = Alertmanager::default();
        let labels = json!({ "alertname": "a", "empty": "" });
        assert_eq!(post(&mut sim, &json!([{ "labels": labels, "annotations": { "summary": "s" } }])), 200);
        assert_eq!(post(&mut sim, &json!([{ "labels": { "alertname": "a" }, "endsAt": "now" }])), 200);
        assert_eq!((sim.alerts.len(), sim.with_label("alertname", "a")[0].get("annotations")), (1, None));
    }
}
