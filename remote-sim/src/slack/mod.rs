//! What would Slack have answered, and what would it have kept? The methods of the Web API that open channels, invite
//! and post, incoming webhooks, and the `response_url` of a slash command; errors come as 200 with `"ok": false`. Must
//! not know who calls. Called through [`crate::Server`].
mod conversations;
mod messages;

use crate::http::{Answer, Request};
use crate::server::Remote;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use std::collections::BTreeSet;

/// How many messages it keeps; one more is refused.
const MESSAGES_MAX: usize = 100_000;

/// A channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channel {
    /// Its id, `C…`.
    pub id: String,
    /// Its name, without `#`.
    pub name: String,
    /// Whether only members see it.
    pub is_private: bool,
    /// Its topic.
    pub topic: String,
    /// Its members, `U…`.
    pub members: BTreeSet<String>,
    /// The `ts` of the messages that are pinned.
    pub pins: BTreeSet<String>,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted {
    /// The channel's id; the path of the webhook for one that came by a webhook.
    pub channel: String,
    /// Its time stamp, which is its id within the channel; empty for one that came by a webhook.
    pub ts: String,
    /// The message under which it stands; `None` if it is no reply.
    pub thread_ts: Option<String>,
    /// Its text.
    pub text: String,
    /// Its blocks; `Null` without.
    pub blocks: Value,
    /// Its metadata; `Null` without.
    pub metadata: Value,
}

/// The stand-in.
#[derive(Clone, Debug, Default)]
pub struct Slack {
    /// The tokens that are valid.
    pub tokens: Vec<String>,
    /// The users that exist; inviting another gives `user_not_found`.
    pub users: BTreeSet<String>,
    /// The paths of incoming webhooks (`services/…`) and of response URLs (`commands/…`).
    pub hooks: BTreeSet<String>,
    /// The channels, the oldest first.
    pub channels: Vec<Channel>,
    /// The messages, the oldest first.
    pub messages: Vec<Posted>,
    /// Methods that the token's scopes don't allow: they give `missing_scope`.
    pub without_scope: BTreeSet<String>,
    /// How many messages a page of a history has at most, whatever the caller asks for; 0 means as asked.
    pub page_max: usize,
}

impl Slack {
    /// One with this token and these channels.
    pub fn new(token: &str, channels: &[&str]) -> Self {
        let mut slack = Self { tokens: vec![token.to_owned()], ..Self::default() };
        for name in channels {
            slack.add_channel(name, false);
        }
        slack
    }

    /// The channel of this id or name, with or without `#`.
    pub fn channel(&self, id_or_name: &str) -> Option<&Channel> {
        let name = id_or_name.strip_prefix('#').unwrap_or(id_or_name);
        self.channels.iter().find(|channel| channel.id == id_or_name || channel.name == name)
    }

    /// The messages of a channel, the oldest first.
    pub fn in_channel(&self, id_or_name: &str) -> Vec<&Posted> {
        let Some(channel) = self.channel(id_or_name) else {
            return Vec::new();
        };
        self.messages.iter().filter(|message| message.channel == channel.id).collect()
    }

    fn add_channel(&mut self, name: &str, is_private: bool) -> usize {
        let id = format!("C{:08}", self.channels.len() + 1);
        self.channels.push(Channel { id, name: name.to_owned(), is_private, ..Channel::default() });
        self.channels.len() - 1
    }

    /// The place of the channel that a call names by its id, or the error.
    fn place(&self, parameters: &Map<String, Value>) -> Result<usize, Answer> {
        let named = text(parameters, "channel");
        self.channels.iter().position(|channel| channel.id == named).ok_or_else(|| error("channel_not_found"))
    }

    /// The place of the channel that a call names by its id or its name, as only posting allows.
    fn place_by_name(&self, parameters: &Map<String, Value>) -> Result<usize, Answer> {
        let named = text(parameters, "channel");
        let name = named.strip_prefix('#').unwrap_or(&named);
        let found = self.channels.iter().position(|channel| channel.id == named || channel.name == name);
        found.ok_or_else(|| error("channel_not_found"))
    }

    fn method(&mut self, name: &str, parameters: &Map<String, Value>) -> Result<Answer, Answer> {
        match name {
            "auth.test" => Ok(ok(json!({ "team": "stand-in", "user": "zenei", "user_id": "U0ZENEI", "bot_id": "B0" }))),
            "conversations.create" => self.create(parameters),
            "conversations.list" => Ok(self.list(parameters)),
            "conversations.invite" => self.invite(parameters),
            "conversations.setTopic" => self.set_topic(parameters),
            "conversations.history" => self.history(parameters),
            "conversations.replies" => self.replies(parameters),
            "pins.add" => self.pin(parameters),
            "chat.postMessage" => self.post(parameters),
            "chat.update" => self.update(parameters),
            _ => Err(error("unknown_method")),
        }
    }
}

impl Remote for Slack {
    fn answer(&mut self, request: &Request) -> Answer {
        let parameters = request.parameters();
        match request.segments().as_slice() {
            ["api", method] => {
                if request.bearer().is_empty() {
                    return error("not_authed");
                }
                if !self.tokens.iter().any(|token| token == request.bearer()) {
                    return error("invalid_auth");
                }
                if self.without_scope.contains(*method) {
                    return error("missing_scope");
                }
                self.method(method, &parameters).unwrap_or_else(|error| error)
            }
            path @ ["services" | "commands", ..] if request.method == "POST" => self.hook(&path.join("/"), &parameters),
            _ => Answer::json(404, json!({ "error": "not found" })),
        }
    }
}

/// The signature of a request that Slack sends: `v0=` and the hex of HMAC-SHA256 over `v0:{timestamp}:{body}`.
pub fn signature(signing_secret: &str, timestamp: &str, body: &str) -> String {
    // HMAC takes a key of any length, so that this never falls back.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(signing_secret.as_bytes()) else {
        return String::new();
    };
    mac.update(format!("v0:{timestamp}:{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v0={hex}")
}

fn ok(mut body: Value) -> Answer {
    body["ok"] = json!(true);
    Answer::json(200, body)
}

fn error(word: &str) -> Answer {
    Answer::json(200, json!({ "ok": false, "error": word }))
}

fn text(parameters: &Map<String, Value>, name: &str) -> String {
    parameters.get(name).and_then(Value::as_str).unwrap_or("").to_owned()
}

fn number(parameters: &Map<String, Value>, name: &str) -> Option<usize> {
    let value = parameters.get(name)?;
    value.as_u64().map(|number| number as usize).or_else(|| value.as_str()?.parse().ok())
}

fn is_true(parameters: &Map<String, Value>, name: &str) -> bool {
    let value = parameters.get(name).unwrap_or(&Value::Null);
    value.as_bool().unwrap_or_else(|| matches!(value.as_str(), Some("true" | "1")))
}

#[cfg(test)]
mod tests;
