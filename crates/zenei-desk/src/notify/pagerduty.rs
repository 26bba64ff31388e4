//! PagerDuty, Events API v2: an alert a incident, by the deduplication key; acknowledged and resolved with it. The key
//! makes a repeated event harmless. Must not know the outbox. Called through [`super::Target`].
use super::delivery::{Common, Delivery, SendError, Sent};
use super::fault::Fault;
use super::http::{Answer, Http, Request};
use super::secret::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;
use zenei_detect::Urgency;
use zenei_incident::message::{plain, rfc3339};
use zenei_incident::{Event, Status};
use zenei_wire::EngineTime;

const REAL: &str = "https://events.pagerduty.com";
/// The most characters of a summary (Events API v2).
const SUMMARY_MAX: usize = 1_024;
/// The length of a routing key (Events API v2).
const KEY_LENGTH: usize = 32;

/// PagerDuty.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PagerDutyConfig {
    /// What every target has.
    #[serde(flatten)]
    pub common: Common,
    /// File that holds the routing key of an integration of the kind Events API v2.
    #[schemars(extend("format" = "file", "examples" = ["pagerduty.key"]))]
    pub routing_key_file: PathBuf,
}

/// An integration that can be sent to.
#[derive(Debug)]
pub struct PagerDuty {
    url: String,
    key: Secret,
}

/// Whether PagerDuty is told of this event: of what changes an alert.
pub(super) fn wants(event: &Event) -> bool {
    let kinds = ["opened", "unmuted", "urgency_changed", "acknowledged", "status_changed", "reopened"];
    kinds.contains(&event.kind_word()) || ["merged_into", "completed"].contains(&event.kind_word())
}

impl PagerDuty {
    /// Reads the routing key.
    ///
    /// # Errors
    /// Where it can't be read or has another length; never the key.
    pub(super) fn open(config: &PagerDutyConfig) -> Result<Self, Fault> {
        let at = || Fault::at("routing_key_file");
        let key = Secret::read(&config.routing_key_file).map_err(at())?;
        let length = key.reveal().chars().count();
        if length != KEY_LENGTH {
            return Err(at()(format!("a routing key of {length} characters was found; it has {KEY_LENGTH}")));
        }
        Ok(Self { url: format!("{}/v2/enqueue", config.common.base(REAL)), key })
    }

    pub(super) async fn send(&self, http: &Http, delivery: &Delivery<'_>) -> Result<Sent, SendError> {
        let Some(action) = action(delivery) else {
            return Ok(Sent::remark("nothing changes at PagerDuty"));
        };
        let answer = self.enqueue(http, &event_of(delivery, action, &self.key)).await?;
        Ok(Sent::remark(format!("{action}: {}", answer.shown())))
    }

    /// Opens an alert of the lowest severity and resolves it at once.
    pub(super) async fn test(&self, http: &Http, now: EngineTime) -> Result<String, SendError> {
        let key = format!("zenei-test-{}", now.ms());
        let payload = json!({"summary": "A test of zenei: nothing has happened (テスト)", "source": "zenei",
            "severity": "info", "timestamp": rfc3339(now)});
        let event = |action: &str| json!({"routing_key": self.key.reveal(), "event_action": action, "dedup_key": key, "payload": payload});
        let answer = self.enqueue(http, &event("trigger")).await?;
        self.enqueue(http, &event("resolve")).await?;
        Ok(format!("{}; the test alert was resolved again", answer.shown()))
    }

    /// The API has no request that does nothing; only the address is checked.
    pub(super) async fn check(&self, http: &Http) -> Result<String, SendError> {
        http.reach(&self.url).await?;
        Ok("the routing key has the right length; only a test shows whether PagerDuty knows it".to_owned())
    }

    async fn enqueue(&self, http: &Http, event: &Value) -> Result<Answer, SendError> {
        let answer = http.send(Request::post(&self.url, event).hiding(&self.key)).await?.success()?;
        answer.expecting("HTTP 202 with a JSON `status`", |it| it.status == 202 && it.json()["status"].is_string())
    }
}

/// What becomes of the alert; `None` where nothing does. An alert of an incident that is over is never triggered: after
/// a resolve that would be a new one.
fn action(delivery: &Delivery<'_>) -> Option<&'static str> {
    match delivery.event.kind_word() {
        _ if !delivery.incident.is_open() => Some("resolve"),
        "acknowledged" => Some("acknowledge"),
        "status_changed" if delivery.incident.status != Status::Detected => Some("acknowledge"),
        // What was muted is told when the muting ends.
        "opened" | "unmuted" | "urgency_changed" | "reopened" => Some("trigger"),
        _ => None,
    }
}

fn event_of(delivery: &Delivery<'_>, action: &str, key: &Secret) -> Value {
    let (incident, message) = (delivery.incident, delivery.message);
    let severity = match incident.urgency {
        Urgency::Highest => "critical",
        Urgency::High => "error",
        Urgency::Medium => "warning",
        Urgency::Low => "info",
    };
    // PagerDuty refuses an alert without a source, and a name may have no visible character.
    let source = Some(plain(&incident.scope.value, 255)).filter(|source| !source.is_empty());
    let source = source.unwrap_or_else(|| "zenei".to_owned());
    let details: serde_json::Map<String, Value> =
        message.lines.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    json!({
        "routing_key": key.reveal(), "event_action": action, "dedup_key": message.key, "client": "zenei",
        "payload": {
            "summary": plain(&format!("[{}] {}", message.mark, message.title), SUMMARY_MAX),
            "source": source, "severity": severity,
            "timestamp": rfc3339(delivery.event.at), "component": incident.component,
            "group": message.service.as_deref().map(|service| plain(service, 255)), "class": incident.rule, "custom_details": details,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, portal};
    use super::*;
    use remote_sim::{Faults, Server};
    use zenei_incident::event::{Acknowledged, StatusChanged};
    use zenei_incident::message::{Lang, Message};
    use zenei_wire::Id;

    const KEY: &str = "canary0123456789abcdef0123456789";

    async fn tell(pager: &PagerDuty, http: &Http, trial: &Trial) -> Result<Sent, SendError> {
        let message = Message::of(&trial.incident, &trial.last, Some("device"), Lang::Ja);
        let delivery = Delivery {
            target: "pager",
            row: Id(1),
            attempt: 0,
            unanswered: 0,
            incident: &trial.incident,
            event: &trial.last,
            message: &message,
            remote: &trial.remote,
            invitees: &[],
            opens_channel: false,
            now: EngineTime(9_000),
        };
        pager.send(http, &delivery).await
    }

    #[tokio::test]
    async fn an_incident_is_one_alert_that_is_acknowledged_and_resolved_with_it() {
        let server = Server::start(remote_sim::PagerDuty::new(KEY), Faults::none()).await.unwrap();
        let pager = PagerDuty { url: format!("{}/v2/enqueue", server.base_url()), key: Secret::from(KEY) };
        let http = Http::new(true).unwrap();
        let mut trial = Trial::new(Urgency::Highest, "\u{202e}<!channel> @here\u{0}");
        for _ in 0..2 {
            tell(&pager, &http, &trial).await.unwrap();
        }
        trial.then(Acknowledged { by: "sato".into() });
        tell(&pager, &http, &trial).await.unwrap();
        assert_eq!(server.with(|remote| remote.alerts[0].status.clone()), "acknowledged");
        trial.then(StatusChanged { to: Status::Resolved, by: "sato".into() });
        tell(&pager, &http, &trial).await.unwrap();
        let (alerts, summary, status) = server.with(|remote| {
            let alert = &remote.alerts[0];
            (remote.alerts.len(), alert.payload["summary"].clone(), alert.status.clone())
        });
        assert_eq!((alerts, status.as_str()), (1, "resolved"));
        assert_eq!(summary, "[自動検知] <!channel> @here");
        let wrong = PagerDuty { key: Secret::from("canary-wrong-canary-wrong-canary"), ..pager };
        let refused = tell(&wrong, &http, &Trial::new(Urgency::Low, "t")).await;
        assert!(!format!("{wrong:?}{refused:?}").contains("canary"));
    }

    #[tokio::test]
    async fn only_202_with_a_status_is_an_answer_of_pagerduty() {
        let http = Http::new(true).unwrap();
        for says in ["<html>log in</html>", r#"{"status":"success"}"#] {
            let pager = PagerDuty { url: portal(says).await, key: Secret::from(KEY) };
            let refused = tell(&pager, &http, &Trial::new(Urgency::Low, "t")).await;
            assert!(
                matches!(&refused, Err(SendError::Again { why, .. }) if why.contains("HTTP 202 with")),
                "{refused:?}"
            );
        }
    }
}
