//! Slack's `/zenei` and its buttons: who asks for which step, and what does the person read? Slack waits 3 s for the
//! answer; it goes to the person alone. Must not know how a step changes an incident. Called by [`super::Inward`].
mod command;
mod signature;

use crate::notify::slack_text::inert;
use crate::notify::{Http, Secret};
use crate::request::Request;
use crate::shared::{DeskClock, SharedDesk};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use command::{Command, HELP, parse, pressed, quoted};
use serde_json::{Value, json};
use signature::{Remembered, verifies};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;
use zenei_incident::{Incident, Status};
use zenei_wire::EngineTime;

/// How long a step may take before the person is told to look later: Slack waits 3 s.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_500);
/// How many incidents a list shows; a guess, one screen.
const LISTED_MAX: usize = 20;
/// The most characters of a line of an answer.
const LINE_MAX: usize = 300;
/// The most characters of a section; Slack's limit is 3,000.
const SECTION_MAX: usize = 2_900;
/// Where Slack takes later answers, by its documentation.
const HOOKS: &str = "hooks.slack.com";

/// An app of Slack that sends requests.
#[derive(Clone, Debug)]
pub struct App {
    /// Its signing secret.
    pub signing_secret: Secret,
    /// The client for answers to buttons.
    pub http: Http,
    /// Another address of Slack's, to which answers to buttons may go too; `None`: the real one alone.
    pub base_url: Option<String>,
}

/// What the routes need.
#[derive(Clone, Debug)]
pub struct SlackInward {
    /// The apps, one a configured workspace.
    pub apps: Vec<App>,
    /// The desk.
    pub desk: SharedDesk,
    /// Its time.
    pub clock: DeskClock,
    remembered: Arc<Remembered>,
}

impl SlackInward {
    /// For these apps, nothing remembered.
    pub fn new(apps: Vec<App>, desk: SharedDesk, clock: DeskClock) -> Self {
        Self { apps, desk, clock, remembered: Arc::default() }
    }

    /// The app whose request this is.
    fn app(&self, headers: &HeaderMap, body: &[u8]) -> Option<&App> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let (at, signature) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
        let now = self.clock.now();
        self.apps.iter().find(|app| verifies(&app.signing_secret, at, body, signature, now))
    }
}

/// Where Slack sends commands, and what people press.
pub const PATHS: [&str; 2] = ["/slack/command", "/slack/action"];

/// `POST /slack/command` and `POST /slack/action`.
pub fn routes(state: SlackInward) -> Router {
    let [commands, actions] = PATHS;
    Router::new().route(commands, post(command)).route(actions, post(action)).with_state(state)
}

async fn command(State(state): State<SlackInward>, headers: HeaderMap, body: Bytes) -> Response {
    if state.app(&headers, &body).is_none() {
        return unsigned();
    }
    let form = form(&body);
    let text = match parse(field(&form, "text")) {
        Ok(command) => carry_out(&state, command, &person(field(&form, "user_id")), &body).await,
        Err(why) => why,
    };
    axum::Json(said(&text)).into_response()
}

/// Slack shows nothing of the answer to a button's request: what the person reads goes to the request's `response_url`,
/// once and without another try, because what was done appears in the thread, as every event does.
async fn action(State(state): State<SlackInward>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(app) = state.app(&headers, &body) else {
        return unsigned();
    };
    let form = form(&body);
    let payload: Value = serde_json::from_str(field(&form, "payload")).unwrap_or(Value::Null);
    let Some(command) = pressed(&payload) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let by = person(payload["user"]["id"].as_str().unwrap_or(""));
    let text = carry_out(&state, command, &by, &body).await;
    let url = payload["response_url"].as_str().unwrap_or("");
    if is_answerable(url, app.base_url.as_deref()) {
        let mut answer = said(&text);
        answer["replace_original"] = json!(false);
        let (http, request) = (app.http.clone(), crate::notify::Request::post(url, &answer));
        tokio::spawn(async move {
            if let Err(error) = http.send(request).await {
                tracing::warn!(%error, "the answer to a button of Slack is lost");
            }
        });
    }
    StatusCode::OK.into_response()
}

/// Whether an answer may go there: to Slack, and nowhere else.
fn is_answerable(url: &str, base_url: Option<&str>) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let is_base = |base: &str| reqwest::Url::parse(base).is_ok_and(|base| base.origin() == url.origin());
    (url.scheme() == "https" && url.host_str() == Some(HOOKS) && url.port().is_none()) || base_url.is_some_and(is_base)
}

fn unsigned() -> Response {
    (StatusCode::UNAUTHORIZED, "the signature is missing, wrong or over 5 minutes old").into_response()
}

async fn carry_out(state: &SlackInward, command: Command, by: &str, body: &[u8]) -> String {
    let now = state.clock.now();
    if matches!(command, Command::Step { .. }) && !state.remembered.is_new(body, now) {
        return "受け取り済みです / this came before and is not done twice: look with `show`".to_owned();
    }
    let (desk, by) = (state.desk.clone(), by.to_owned());
    let work = tokio::task::spawn_blocking(move || answer(&desk, command, &by, now));
    match tokio::time::timeout(ANSWER_WITHIN, work).await {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => "the desk failed; its log says why".to_owned(),
        Err(_) => "the desk is busy and goes on with it: look with `show` in a moment".to_owned(),
    }
}

/// What the person reads, for them alone. In `plain_text` nothing of it becomes a link or markup.
fn said(text: &str) -> Value {
    let mut sections: Vec<String> = Vec::new();
    for line in text.lines() {
        match sections.last_mut() {
            Some(last) if last.chars().count() + line.chars().count() < SECTION_MAX => {
                last.push('\n');
                last.push_str(line);
            }
            Some(_) | None => sections.push(line.chars().take(SECTION_MAX).collect()),
        }
    }
    let section =
        |text: &String| json!({ "type": "section", "text": { "type": "plain_text", "text": text, "emoji": false } });
    let blocks: Vec<Value> = sections.iter().map(section).collect();
    json!({ "response_type": "ephemeral", "text": text, "blocks": blocks })
}

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

/// Who: an id of Slack has letters and digits only, and another is nobody, whom no step accepts.
fn person(id: &str) -> String {
    let is_id = (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_id { format!("slack:{id}") } else { String::new() }
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
