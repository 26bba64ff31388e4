//! Slack's `/zenei` and its buttons: is the request Slack's, which step is it, and what does the person read? Slack
//! signs each request (`v0`, HMAC-SHA-256 over time and body); an old or unsigned one changes nothing. Slack waits 3 s.
//! Must not know how a step changes an incident. Called by [`super::Inward`].
use crate::notify::Secret;
use crate::notify::slack_text::{ACTIONS, inert};
use crate::request::Request;
use crate::shared::{DeskClock, SharedDesk};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use std::cmp::Reverse;
use std::time::Duration;
use zenei_incident::{Incident, Status};
use zenei_wire::EngineTime;

/// How far a request's time may be from ours, in seconds, by Slack's documentation.
const SKEW_MAX_S: u64 = 300;
/// How long a step may take before the person is told to look later: Slack waits 3 s.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_500);
/// How many incidents a list shows; a guess, one screen.
const LISTED_MAX: usize = 20;
/// The most characters of a line of an answer.
const LINE_MAX: usize = 300;
const HELP: &str = "/zenei list | show ID | ack ID | note ID TEXT | status ID detected|investigating|fixing|resolved | \
                    temp-fix ID | postmortem ID ROLE,ROLE | complete ID";

/// What the routes need.
#[derive(Clone, Debug)]
pub struct SlackInward {
    /// The signing secrets of the apps, one a configured workspace.
    pub secrets: Vec<Secret>,
    /// The desk.
    pub desk: SharedDesk,
    /// Its time.
    pub clock: DeskClock,
}

/// What a person typed or pressed.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// What can be typed.
    Help,
    /// The open incidents.
    List,
    /// One incident, by the beginning of its id.
    Show(String),
    /// A step of [`zenei_incident::step`].
    Step {
        /// The incident, by the beginning of its id.
        incident: String,
        /// The step's word.
        kind: &'static str,
        /// Its fields.
        body: Map<String, Value>,
    },
}

/// `POST /slack/command` and `POST /slack/action`.
pub fn routes(state: SlackInward) -> Router {
    Router::new().route("/slack/command", post(command)).route("/slack/action", post(action)).with_state(state)
}

async fn command(State(state): State<SlackInward>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_signed(&state, &headers, &body) {
        return unsigned();
    }
    let form = form(&body);
    let text = match parse(field(&form, "text")) {
        Ok(command) => carry_out(&state, command, &person(field(&form, "user_id"))).await,
        Err(why) => why,
    };
    axum::Json(json!({ "response_type": "ephemeral", "text": text })).into_response()
}

/// A button's answer has no text of its own: what was done appears in the thread, as every event does.
async fn action(State(state): State<SlackInward>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_signed(&state, &headers, &body) {
        return unsigned();
    }
    let form = form(&body);
    let payload: Value = serde_json::from_str(field(&form, "payload")).unwrap_or(Value::Null);
    let Some(command) = pressed(&payload) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let by = person(payload["user"]["id"].as_str().unwrap_or(""));
    let said = carry_out(&state, command, &by).await;
    tracing::info!(by, said, "a button of Slack");
    StatusCode::OK.into_response()
}

fn unsigned() -> Response {
    (StatusCode::UNAUTHORIZED, "the signature is missing, wrong or over 5 minutes old").into_response()
}

fn is_signed(state: &SlackInward, headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let (at, signature) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
    let now = state.clock.now();
    state.secrets.iter().any(|secret| verifies(secret, at, body, signature, now))
}

/// Whether this is Slack's signature of the body at this time (seconds since 1970), and the time is ours to 5 minutes.
/// The comparison takes the same time wherever it differs.
pub fn verifies(secret: &Secret, at: &str, body: &[u8], signature: &str, now: EngineTime) -> bool {
    let is_number = at.len() <= 12 && at.bytes().all(|byte| byte.is_ascii_digit());
    let Some(seconds) = at.parse::<i64>().ok().filter(|_| is_number) else {
        return false;
    };
    if now.ms().div_euclid(1_000).abs_diff(seconds) > SKEW_MAX_S {
        return false;
    }
    let given = signature.strip_prefix("v0=").and_then(bytes_of_hex);
    let mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes());
    match (given, mac) {
        (Some(given), Ok(mut mac)) => {
            for part in [b"v0:", at.as_bytes(), b":", body] {
                mac.update(part);
            }
            mac.verify_slice(&given).is_ok()
        }
        (Some(_) | None, _) => false,
    }
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pairs = (0..text.len()).step_by(2);
    is_hex.then(|| pairs.map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()).flatten()
}

/// What was typed after `/zenei`.
///
/// # Errors
/// What is wrong, and what can be typed.
pub fn parse(text: &str) -> Result<Command, String> {
    let (word, rest) = split(text);
    let (id, rest) = split(rest);
    let step = |kind, body: Value| {
        let body = body.as_object().cloned().unwrap_or_default();
        Ok(Command::Step { incident: id.to_owned(), kind, body })
    };
    let is_id = |id: &str| {
        let digits = id.strip_prefix("zenei-").unwrap_or(id);
        (4..=32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    match word {
        "" | "help" => return Ok(Command::Help),
        "list" => return Ok(Command::List),
        "show" | "ack" | "note" | "status" | "temp-fix" | "postmortem" | "complete" if !is_id(id) => {
            return Err(format!("{} is no id: 4 to 32 hex digits, as `list` shows them. {HELP}", quoted(id)));
        }
        _ => {}
    }
    match word {
        "show" => Ok(Command::Show(id.to_owned())),
        "ack" => step("acknowledge", json!({})),
        "note" if rest.is_empty() => Err(format!("the note is empty. {HELP}")),
        "note" => step("note", json!({ "text": rest })),
        "status" => match Status::parse(rest).filter(|status| *status != Status::Close) {
            Some(status) => step("status", json!({ "to": status.as_str() })),
            None => Err(format!("{} is no status that can be set. {HELP}", quoted(rest))),
        },
        "temp-fix" => step("temp_fix_done", json!({})),
        "postmortem" => {
            let roles: Vec<&str> = rest.split(',').map(str::trim).filter(|role| !role.is_empty()).collect();
            step("postmortem_held", json!({ "roles": roles }))
        }
        "complete" => step("complete", json!({})),
        other => Err(format!("{} is no command. {HELP}", quoted(other))),
    }
}

/// The step of a pressed button; `None` if it is none of ours.
fn pressed(payload: &Value) -> Option<Command> {
    let action = payload["actions"].as_array()?.first()?;
    let (known, ..) = ACTIONS.iter().find(|(known, ..)| action["action_id"] == *known)?;
    let incident = action["value"].as_str()?;
    let word = known.strip_prefix("zenei_")?;
    match word {
        "acknowledge" => parse(&format!("ack {incident}")).ok(),
        status => parse(&format!("status {incident} {status}")).ok(),
    }
}

async fn carry_out(state: &SlackInward, command: Command, by: &str) -> String {
    let (desk, now, by) = (state.desk.clone(), state.clock.now(), by.to_owned());
    let work = tokio::task::spawn_blocking(move || answer(&desk, command, &by, now));
    match tokio::time::timeout(ANSWER_WITHIN, work).await {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => "the desk failed; its log says why".to_owned(),
        Err(_) => "the desk is busy and goes on with it: look with `show` in a moment".to_owned(),
    }
}

/// What the person reads.
fn answer(desk: &SharedDesk, command: Command, by: &str, now: EngineTime) -> String {
    match command {
        Command::Help => HELP.to_owned(),
        Command::List => listed(desk),
        Command::Show(id) => shown(desk, &id),
        Command::Step { incident, kind, body } => {
            let request = Request::Step { incident, kind: kind.to_owned(), by: by.to_owned(), body };
            match request.carry_out(desk, now) {
                Ok(event) => format!("記録しました / recorded: {kind} (#{})", event["seq"]),
                Err(refused) => format!("できません / refused: {}", inert(&refused.text, LINE_MAX)),
            }
        }
    }
}

fn listed(desk: &SharedDesk) -> String {
    let incidents = desk.incidents();
    let book = incidents.read();
    let mut open: Vec<&Incident> = book.incidents().filter(|one| one.status != Status::Close).collect();
    open.sort_by_key(|one| (Reverse(one.urgency), Reverse(one.opened), one.id));
    if open.is_empty() {
        return "未完了のインシデントはありません / no open incidents".to_owned();
    }
    let more = open.len().saturating_sub(LISTED_MAX);
    let mut lines: Vec<String> = open.into_iter().take(LISTED_MAX).map(line).collect();
    if more > 0 {
        lines.push(format!("… +{more}"));
    }
    lines.join("\n")
}

fn shown(desk: &SharedDesk, id: &str) -> String {
    let digits = id.strip_prefix("zenei-").unwrap_or(id);
    let incidents = desk.incidents();
    let book = incidents.read();
    let mut found = book.incidents().filter(|one| one.id.to_string().starts_with(digits));
    match (found.next(), found.next()) {
        (Some(one), None) => {
            let owner = one.owner.as_deref().unwrap_or("—");
            format!("{}\n{}\n{}", line(one), inert(&one.why, LINE_MAX), inert(owner, LINE_MAX))
        }
        (Some(_), Some(_)) => format!("{} begins more than one incident; give more digits", quoted(id)),
        (None, _) => format!("there is no incident {}", quoted(id)),
    }
}

fn line(one: &Incident) -> String {
    let id: String = one.id.to_string().chars().take(12).collect();
    format!("{id} {} {} {}", one.urgency, one.status, inert(&one.title, LINE_MAX))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", inert(text, 60))
}

/// Who: an id of Slack has letters and digits only, and another is nobody, whom no step accepts.
fn person(id: &str) -> String {
    let is_id = (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_id { format!("slack:{id}") } else { String::new() }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()))
}

fn form(body: &[u8]) -> Vec<(String, String)> {
    let url = format!("http://form/?{}", String::from_utf8_lossy(body));
    let parsed = reqwest::Url::parse(&url);
    parsed.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

fn field<'f>(form: &'f [(String, String)], name: &str) -> &'f str {
    form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

#[cfg(test)]
mod tests;
