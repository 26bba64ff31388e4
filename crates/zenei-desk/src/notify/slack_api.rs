//! One call of Slack's Web API, and what its errors mean: they come as 200 with `"ok": false`. Must not know incidents.
//! Called by the connector.
use super::delivery::SendError;
use super::http::{Answer, Http, Request};
use super::secret::Secret;
use serde_json::{Value, json};
use zenei_incident::message::plain;

/// Messages or channels on a page; Slack advises at most 200.
const PER_PAGE: u32 = 200;
/// The most pages of one look: 1,000 messages above ours within the time that a delivery is retried. A guess.
const MESSAGE_PAGES_MAX: u32 = 5;
/// The most pages of channels: 20,000 of them. A guess.
const CHANNEL_PAGES_MAX: u32 = 100;
/// The type of our messages' metadata.
pub const EVENT_TYPE: &str = "zenei_incident";

/// Errors of Slack itself, which pass.
const PASSING: &[&str] = &["ratelimited", "internal_error", "fatal_error", "request_timeout", "service_unavailable"];
/// What the operator must do about an error.
const ADVICE: &[(&str, &str)] = &[
    ("missing_scope", "add the scope to the app and install it again"),
    ("invalid_auth", "the token is not valid: see token_file"),
    ("not_authed", "the token is not valid: see token_file"),
    ("token_revoked", "the token was revoked: install the app again"),
    ("account_inactive", "the app was removed from the workspace: install it again"),
    ("channel_not_found", "there is no such channel, or the app is not in it: invite the app"),
    ("not_in_channel", "invite the app to the channel"),
    ("is_archived", "the channel is archived"),
    ("restricted_action", "the workspace does not allow this to apps"),
];

/// The API with a token.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) base: String,
    pub(super) token: Secret,
}

/// Why a call failed.
pub(super) enum Failed {
    /// Slack's word, of an error that does not pass.
    Word(String),
    /// Anything else.
    Send(SendError),
}

impl Failed {
    /// As the sender sees it.
    pub(super) fn of(self, method: &str) -> SendError {
        match self {
            Self::Send(error) => error,
            Self::Word(word) => {
                let advice = ADVICE.iter().find(|(known, _)| *known == word).map(|(_, advice)| format!(": {advice}"));
                SendError::never(format!("Slack refuses {method} with {word}{}", advice.unwrap_or_default()))
            }
        }
    }
}

impl Api {
    /// Calls a method with these parameters.
    pub(super) async fn call(&self, http: &Http, method: &str, parameters: &Value) -> Result<Value, Failed> {
        let url = format!("{}/api/{method}", self.base);
        let answer = http.send(Request::post(url, parameters).bearer(&self.token)).await;
        self.judge(answer)
    }

    /// Calls a method that reads: those take their parameters in the URL, where all of Slack's methods accept them.
    async fn read(&self, http: &Http, method: &str, parameters: &[(&str, &str)]) -> Result<Value, Failed> {
        let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let url = format!("{}/api/{method}?{}", self.base, pairs.join("&"));
        let answer = http.send(Request::new("GET", url).bearer(&self.token)).await;
        self.judge(answer)
    }

    fn judge(&self, answer: Result<Answer, SendError>) -> Result<Value, Failed> {
        let answer = answer.and_then(Answer::success).map_err(Failed::Send)?;
        let body = answer.json();
        if body["ok"] == json!(true) {
            return Ok(body);
        }
        match body["error"].as_str().map(|word| plain(word, 60)) {
            Some(word) if PASSING.contains(&word.as_str()) => {
                let why = format!("Slack answered {word}");
                Err(Failed::Send(SendError::Again { why, after: answer.retry_after, maybe_sent: true }))
            }
            Some(word) => Err(Failed::Word(word)),
            None => Err(Failed::Send(SendError::again("the answer is none of Slack's"))),
        }
    }

    /// The id of the channel with this name; private ones are seen by members only.
    pub(super) async fn channel_of_name(&self, http: &Http, name: &str) -> Result<Option<String>, Failed> {
        let per_page = PER_PAGE.to_string();
        let mut cursor = String::new();
        for _ in 0..CHANNEL_PAGES_MAX {
            let parameters = [
                ("types", "public_channel,private_channel"),
                ("exclude_archived", "false"),
                ("limit", per_page.as_str()),
                ("cursor", cursor.as_str()),
            ];
            let body = self.read(http, "conversations.list", &parameters).await?;
            let found = list(&body["channels"]).iter().find(|channel| channel["name"].as_str() == Some(name));
            if let Some(id) = found.and_then(|channel| id(&channel["id"])) {
                return Ok(Some(id));
            }
            cursor = body["response_metadata"]["next_cursor"].as_str().unwrap_or("").to_owned();
            if cursor.is_empty() {
                break;
            }
        }
        Ok(None)
    }

    /// The `ts` of our message with this key in its metadata: in a thread, or in the channel itself.
    pub(super) async fn message_of_key(
        &self,
        http: &Http,
        channel: &str,
        thread: Option<&str>,
        key: &str,
    ) -> Result<Option<String>, Failed> {
        let per_page = PER_PAGE.to_string();
        let mut cursor = String::new();
        for _ in 0..MESSAGE_PAGES_MAX {
            let mut parameters = vec![
                ("channel", channel),
                ("include_all_metadata", "true"),
                ("limit", per_page.as_str()),
                ("cursor", cursor.as_str()),
            ];
            let method = match thread {
                Some(root) => {
                    parameters.push(("ts", root));
                    "conversations.replies"
                }
                None => "conversations.history",
            };
            let body = self.read(http, method, &parameters).await?;
            let is_it = |message: &&Value| {
                message["metadata"]["event_type"] == EVENT_TYPE && message["metadata"]["event_payload"]["key"] == key
            };
            if let Some(found) = list(&body["messages"]).iter().find(is_it) {
                return Ok(found["ts"].as_str().map(str::to_owned));
            }
            cursor = body["response_metadata"]["next_cursor"].as_str().unwrap_or("").to_owned();
            if cursor.is_empty() {
                break;
            }
        }
        Ok(None)
    }
}

/// An id of Slack: letters and digits.
pub(super) fn id(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    ((1..=32).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric())).then(|| text.to_owned())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Percent-encoded for a query.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
