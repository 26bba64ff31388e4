//! Any HTTP endpoint: a CloudEvent (1.0, structured JSON) as the body, signed by Standard Webhooks (1.0.0). The header
//! `webhook-id` is the same over retries: by it the receiver drops what comes twice. 410 ends the target until the next
//! start. Must not know the outbox. Called through [`super::Target`].
use super::delivery::{Common, Delivery, SendError, Sent};
use super::fault::Fault;
use super::http::{Answer, Http, Request};
use super::secret::Secret;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use zenei_incident::Event;
use zenei_incident::message::{Message, rfc3339};
use zenei_wire::{EngineTime, Id};

/// How many of an incident's locks an event names: with them it stays below the 20 kB that Standard Webhooks advises.
const LOCKS_MAX: usize = 200;
/// The most characters of a text as the log has it; a guess, some screens of a note. The log has the rest.
const TEXT_MAX: usize = 1_000;

/// Any HTTP endpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WebhookConfig {
    /// What every target has.
    #[serde(flatten)]
    pub common: Common,
    /// URL to post to, where it is no secret.
    #[schemars(extend("format" = "http-url", "examples" = ["https://hooks.example.com/zenei"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// File that holds the URL to post to, where it is a secret.
    #[schemars(extend("format" = "file", "examples" = ["hook.url"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// File that holds the signing secret, whsec_ and base64 of 24 to 64 bytes; while it changes a line each, all sign.
    /// Absent: nothing is signed.
    #[schemars(extend("format" = "file", "examples" = ["hook.secret"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
}

/// An endpoint that can be sent to.
#[derive(Debug)]
pub struct Webhook {
    url: Secret,
    keys: Vec<Key>,
    gone: AtomicBool,
}

/// A signing key, in bytes.
struct Key(Vec<u8>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(key)")
    }
}

impl Key {
    fn of(secret: &Secret) -> Result<Self, String> {
        let text = secret.reveal().strip_prefix("whsec_").ok_or("a secret begins with whsec_")?;
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| "a secret is whsec_ and base64")?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(format!("a secret of {} bytes was found; 24 to 64 are allowed", bytes.len()));
        }
        Ok(Self(bytes))
    }

    /// `v1,` and base64 of the HMAC-SHA-256 over `id.timestamp.body`.
    fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        // HMAC takes a key of any length: there is no error to report.
        let signed = Hmac::<Sha256>::new_from_slice(&self.0).map(|mut mac| {
            for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                mac.update(part);
            }
            BASE64_STANDARD.encode(mac.finalize().into_bytes())
        });
        format!("v1,{}", signed.unwrap_or_default())
    }
}

/// Whether an endpoint is told of this event: of all.
pub(super) const fn wants(_: &Event) -> bool {
    true
}

impl Webhook {
    /// Reads the URL and the secrets.
    ///
    /// # Errors
    /// What is missing or has a wrong form; never a secret.
    pub(super) fn open(config: &WebhookConfig) -> Result<Self, Fault> {
        let url = match (&config.url, &config.url_file) {
            (Some(url), None) => Secret::from(url.as_str()),
            (None, Some(file)) => Secret::read(file).map_err(Fault::at("url_file"))?,
            (Some(_), Some(_)) | (None, None) => return Err("one of `url` and `url_file` is needed".to_owned().into()),
        };
        let at = || Fault::at("secret_file");
        let secrets =
            config.secret_file.as_deref().map(Secret::read_all).transpose().map_err(at())?.unwrap_or_default();
        if config.secret_file.is_some() && secrets.is_empty() {
            return Err(at()("the file is empty".to_owned()));
        }
        let keys = secrets.iter().map(Key::of).collect::<Result<_, _>>().map_err(at())?;
        Ok(Self { url, keys, gone: AtomicBool::new(false) })
    }

    pub(super) async fn send(&self, http: &Http, delivery: &Delivery<'_>) -> Result<Sent, SendError> {
        let body = event_of(delivery).to_string().into_bytes();
        let answer = self.post(http, delivery.row, delivery.now, body).await?;
        Ok(Sent::remark(answer.shown()))
    }

    pub(super) async fn test(&self, http: &Http, now: EngineTime) -> Result<String, SendError> {
        let id = Id::of(&[b"test", now.ms().to_string().as_bytes()]);
        let data = json!({"mark": "test", "text": "A test of zenei: nothing has happened. テスト送信です。"});
        let event = envelope(&id.to_string(), "jp.zenei.test.v1", &id.to_string(), now, &data);
        Ok(self.post(http, id, now, event.to_string().into_bytes()).await?.shown())
    }

    /// An endpoint has no request that does nothing; only its address is checked.
    pub(super) async fn check(&self, http: &Http) -> Result<String, SendError> {
        http.reach(self.url.reveal()).await?;
        let signed = match self.keys.len() {
            0 => "messages are not signed: set `secret_file`".to_owned(),
            1 => "messages are signed".to_owned(),
            many => format!("messages are signed with {many} secrets"),
        };
        Ok(format!("its address is allowed and {signed}; only a test shows whether it accepts them"))
    }

    async fn post(&self, http: &Http, id: Id, now: EngineTime, body: Vec<u8>) -> Result<Answer, SendError> {
        let gone = "the endpoint answered 410 Gone: nothing is sent to it until zenei starts again";
        if self.gone.load(Ordering::Relaxed) {
            return Err(SendError::never(gone));
        }
        let (id, timestamp) = (format!("msg_{id}"), now.ms().div_euclid(1_000).to_string());
        let signatures: Vec<String> = self.keys.iter().map(|key| key.sign(&id, &timestamp, &body)).collect();
        let mut request = Request::new("POST", self.url.reveal())
            .hiding(&self.url)
            .body("application/cloudevents+json; charset=utf-8", body)
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp);
        if !signatures.is_empty() {
            request = request.header("webhook-signature", signatures.join(" "));
        }
        let answer = http.send(request).await?;
        match answer.status {
            200..=299 => Ok(answer),
            410 => {
                self.gone.store(true, Ordering::Relaxed);
                Err(SendError::never(gone))
            }
            // Standard Webhooks: whatever is no success is tried again, until the retries are used up.
            _ => Err(SendError::Again { why: answer.shown(), after: answer.retry_after, maybe_sent: false }),
        }
    }
}

/// The CloudEvent of a message.
fn event_of(delivery: &Delivery<'_>) -> Value {
    let Delivery { incident, event, message, .. } = *delivery;
    let kind = format!("jp.zenei.incident.{}.v1", event.kind_word());
    let body: Value = event.body().ok().and_then(|body| serde_json::from_str(&body).ok()).unwrap_or(Value::Null);
    let locks: Vec<&String> = incident.devices.iter().take(LOCKS_MAX).collect();
    let data = json!({
        "incident": {
            "id": incident.id, "key": message.key, "opened_ms": incident.opened.ms(), "status": incident.status,
            "urgency": incident.urgency, "urgency_reason": incident.urgency_reason, "domain": incident.domain,
            "component": incident.component, "service": message.service, "scope": incident.scope,
            "devices": locks, "device_count": incident.devices.len(), "rule": incident.rule,
            "rule_version": incident.rule_version, "title": incident.title, "why": incident.why,
            "owner": incident.owner, "recurs_of": incident.recurs_of, "url": message.url,
        },
        "event": {"seq": event.seq, "kind": event.kind_word(), "at_ms": event.at.ms(), "body": shortened(body)},
        "mark": message.mark,
    });
    let mut data = cut(data);
    // Bounded already, and of several lines.
    data["text"] = text(message);
    let id = format!("{}-{}", message.key, event.seq);
    envelope(&id, &kind, &incident.id.to_string(), event.at, &data)
}

/// The body of an event without the records behind it: they are many, and the incident can be asked for them.
fn shortened(mut body: Value) -> Value {
    if let Some(anomaly) = body.get_mut("anomaly").and_then(Value::as_object_mut) {
        anomaly.remove("evidence");
    }
    body
}

/// A value whose texts have at most [`TEXT_MAX`] characters; what is cut off is shown by `…`.
fn cut(value: Value) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(TEXT_MAX) {
            Some((at, _)) => Value::from(format!("{}…", &text[..at])),
            None => Value::String(text),
        },
        Value::Array(all) => all.into_iter().map(cut).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, cut(value))).collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
    }
}

fn text(message: &Message) -> Value {
    json!({"title": message.title, "headline": message.headline, "plain": message.text()})
}

fn envelope(id: &str, kind: &str, subject: &str, at: EngineTime, data: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "urn:zenei:desk", "type": kind, "subject": subject,
        "time": rfc3339(at), "datacontenttype": "application/json", "data": data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signatures were computed with Python's hmac and hashlib.
    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        let check = |secret: &str, body: &str, signature: &str| {
            let key = Key::of(&Secret::from(secret)).unwrap();
            assert_eq!(key.sign("msg_1", "1700000000", body.as_bytes()), signature);
        };
        let first = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        check(first, r#"{"a":1}"#, "v1,AMaOha7DUT/0J0JMycRuYOBSvbx3WtwLd2khXXbaVj4=");
        check(first, r#"{"text":"前衛: 錠が開きません"}"#, "v1,KIsJwkDpnNFkmkD/Yj4vDXJ+ehgzR0PG/Pac5JVKqas=");
        let second = "whsec_a2tra2tra2tra2tra2tra2tra2tra2tr";
        check(second, r#"{"a":1}"#, "v1,bYr7Rz93bX8WqNI5XVthzq7NE/LcYrDkos9dgSLYHOc=");
    }

    #[test]
    fn a_secret_of_a_wrong_form_is_refused_and_not_shown() {
        for wrong in ["canary", "whsec_canary!", "whsec_Y2FuYXJ5"] {
            assert!(!Key::of(&Secret::from(wrong)).unwrap_err().contains("canary"));
        }
    }
}
