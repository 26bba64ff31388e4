//! Alertmanager's webhook (version 4): what it tells its receivers of zenei's own alerts. An alert that ended there
//! while its incident is open here becomes a note, once; it never ends an incident, and the next round opens it again.
//! What fires is known here already; alerts of others are not zenei's and change nothing. Alertmanager sends again what
//! was answered 5xx only, so what can't be stored now is answered 503. Must not know how an alert is sent.
use crate::driver::{Seen, TakeError};
use crate::notify::Secret;
use crate::notify::alertmanager::{BY, LABEL, inert, labels, remembered};
use crate::shared::{DeskClock, SharedDesk};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::time::Duration;
use zenei_incident::event::Note;
use zenei_wire::{EngineTime, Id};

/// How long Alertmanager waits at most here; a guess: it gives up after the receiver's group_interval.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// The version of the webhook's body that is known.
const VERSION: &str = "4";
/// The most alerts of one request that are looked at; a guess. Of more, Alertmanager is asked to send fewer.
const ALERTS_MAX: usize = 1_000;
/// What was noted last is remembered as.
const ENDED: &str = "ended";

/// Who may send, and to which desk it goes.
#[derive(Clone, Debug)]
pub struct AlertmanagerInward {
    /// The targets' names and the tokens that their Alertmanagers send.
    pub tokens: Vec<(String, Secret)>,
    /// The desk.
    pub desk: SharedDesk,
    /// Its time.
    pub clock: DeskClock,
}

/// What it sends; keys that are not read are not named here.
#[derive(Debug, Deserialize)]
struct Webhook {
    version: String,
    #[serde(default)]
    receiver: String,
    #[serde(default, rename = "truncatedAlerts")]
    truncated: u64,
    alerts: Vec<Alert>,
}

#[derive(Debug, Deserialize)]
struct Alert {
    status: String,
    labels: BTreeMap<String, String>,
    #[serde(default, rename = "endsAt")]
    ends_at: String,
}

/// Where Alertmanager sends its webhook.
pub const PATHS: [&str; 1] = ["/alertmanager/webhook"];

/// `POST /alertmanager/webhook`.
pub fn routes(state: AlertmanagerInward) -> Router {
    let [webhooks] = PATHS;
    Router::new().route(webhooks, post(webhook)).with_state(state)
}

/// Refuses who has no token by the head of the request alone, so that strangers take none of the places that these
/// routes have.
pub fn with_token(routes: Router, state: AlertmanagerInward) -> Router {
    routes.layer(from_fn_with_state(state, known))
}

async fn known(State(state): State<AlertmanagerInward>, request: Request, next: Next) -> Response {
    if state.target(request.headers()).is_none() { stranger() } else { next.run(request).await }
}

fn stranger() -> Response {
    (StatusCode::UNAUTHORIZED, "the bearer token is missing or none of the configured ones").into_response()
}

impl AlertmanagerInward {
    /// The target whose Alertmanager has the token of this head.
    fn target(&self, headers: &HeaderMap) -> Option<&String> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or("");
        let given = given.strip_prefix("Bearer ").unwrap_or("");
        self.tokens.iter().find(|(_, token)| is_same(token, given)).map(|(target, _)| target)
    }
}

async fn webhook(State(state): State<AlertmanagerInward>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(target) = state.target(&headers) else { return stranger() };
    let webhook = match serde_json::from_slice::<Webhook>(&body) {
        Ok(webhook) if webhook.version == VERSION => webhook,
        Ok(webhook) => {
            let text = format!("version {:?} was found; {VERSION:?} is known", inert(&webhook.version, 20));
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
        Err(error) => return (StatusCode::BAD_REQUEST, format!("no webhook of Alertmanager: {error}")).into_response(),
    };
    if webhook.alerts.len() > ALERTS_MAX {
        let text = format!("{} alerts; at most {ALERTS_MAX} are taken: set max_alerts", webhook.alerts.len());
        return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
    }
    if webhook.truncated > 0 {
        tracing::warn!(target, left_out = webhook.truncated, "Alertmanager left alerts out (max_alerts)");
    }
    let (desk, now, target) = (state.desk.clone(), state.clock.now(), target.clone());
    let work = tokio::task::spawn_blocking(move || take(&desk, &target, &webhook, now));
    match tokio::time::timeout(ANSWER_WITHIN, work).await {
        Ok(Ok(Ok(noted))) => (StatusCode::OK, format!("{noted} noted")).into_response(),
        Ok(Ok(Err(error))) => {
            tracing::error!(error = &error as &dyn std::error::Error, "what Alertmanager said can't be stored");
            unavailable("it can't be stored now")
        }
        Ok(Err(_)) => unavailable("the desk failed; its log says why"),
        Err(_) => unavailable("the desk is busy"),
    }
}

/// Never 429: Alertmanager does not send that again.
fn unavailable(text: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// Whether the token is this; the digests are compared, in the same time wherever they differ.
fn is_same(token: &Secret, given: &str) -> bool {
    let digest = |text: &str| {
        let mac = Hmac::<Sha256>::new_from_slice(text.as_bytes());
        mac.map(|mac| mac.chain_update(b"zenei token"))
    };
    match (digest(token.reveal()), digest(given)) {
        (Ok(token), Ok(given)) => token.verify(&given.finalize().into_bytes()).is_ok(),
        (Ok(_) | Err(_), _) => false,
    }
}

/// Stores what is new; returns how many notes.
fn take(desk: &SharedDesk, target: &str, webhook: &Webhook, now: EngineTime) -> Result<usize, TakeError> {
    let mut noted = 0;
    for alert in webhook.alerts.iter().filter(|alert| alert.status == "resolved") {
        let Some(id) = alert.labels.get(LABEL).and_then(|key| Id::parse(key.strip_prefix("zenei-")?)) else {
            continue;
        };
        let ended_at = inert(&alert.ends_at, 40);
        let is_noted = desk.look(target, id, now, |incident, remote| {
            // Ended by zenei: resolved, or replaced by an alert with other labels; the answer to that may not be stored
            // yet.
            let is_current = remembered(remote).as_ref() == Some(&alert.labels) && labels(incident) == alert.labels;
            let is_expected = !incident.is_open() || !is_current;
            if is_expected || remote.get(ENDED) == Some(&ended_at) {
                return None;
            }
            let text = format!(
                "Alertmanager がアラートを {ended_at} に終了しました(受信者 {receiver})。インシデントは継続中です。 (Its \
                 alert ended there, but not by zenei; the incident stays open.)",
                receiver = inert(&webhook.receiver, 100)
            );
            let events = vec![Note { text, by: BY.to_owned() }.into()];
            Some(Seen { incident: id, events, remember: vec![(ENDED.to_owned(), ended_at.clone())] })
        })?;
        noted += usize::from(is_noted);
    }
    Ok(noted)
}

#[cfg(test)]
mod tests;
