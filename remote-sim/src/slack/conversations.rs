//! Channels of the stand-in: create, list, invite, topic, pins. Must not know messages. Called by the stand-in.
use super::{Slack, error, is_true, number, ok, text};
use crate::http::Answer;
use serde_json::{Map, Value, json};

/// The longest name of a channel, in characters.
const NAME_MAX: usize = 80;
/// The most users of one invitation.
const INVITED_MAX: usize = 1_000;
/// The longest topic, in characters.
const TOPIC_MAX: usize = 250;

impl Slack {
    pub(super) fn create(&mut self, parameters: &Map<String, Value>) -> Result<Answer, Answer> {
        let name = text(parameters, "name");
        if name.is_empty() {
            return Err(error("invalid_name_required"));
        }
        if name.chars().count() > NAME_MAX {
            return Err(error("invalid_name_maxlength"));
        }
        // Letters of any script are allowed; capitals, spaces and most punctuation are not.
        let is_allowed = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || c == '-' || c == '_';
        if !name.chars().all(is_allowed) {
            return Err(error("invalid_name_specials"));
        }
        if self.channels.iter().any(|channel| channel.name == name) {
            return Err(error("name_taken"));
        }
        let at = self.add_channel(&name, is_true(parameters, "is_private"));
        Ok(ok(json!({ "channel": self.shown(at) })))
    }

    pub(super) fn list(&self, parameters: &Map<String, Value>) -> Answer {
        let limit = number(parameters, "limit").unwrap_or(100).clamp(1, 1_000);
        let limit = if self.page_max == 0 { limit } else { limit.min(self.page_max) };
        let from: usize = text(parameters, "cursor").parse().unwrap_or(0);
        let types = text(parameters, "types");
        let has_private = types.split(',').any(|kind| kind == "private_channel");
        let all: Vec<usize> =
            (0..self.channels.len()).filter(|at| has_private || !self.channels[*at].is_private).collect();
        let shown: Vec<Value> = all.iter().skip(from).take(limit).map(|at| self.shown(*at)).collect();
        let next = if from + limit < all.len() { (from + limit).to_string() } else { String::new() };
        ok(json!({ "channels": shown, "response_metadata": { "next_cursor": next } }))
    }

    pub(super) fn invite(&mut self, parameters: &Map<String, Value>) -> Result<Answer, Answer> {
        let at = self.place(parameters)?;
        let users = text(parameters, "users");
        let users: Vec<&str> = users.split(',').map(str::trim).filter(|user| !user.is_empty()).collect();
        if users.is_empty() || users.len() > INVITED_MAX {
            return Err(error("no_user"));
        }
        if users.iter().any(|user| !self.users.contains(*user)) {
            return Err(error("user_not_found"));
        }
        let members = &mut self.channels[at].members;
        if users.iter().any(|user| members.contains(*user)) {
            return Err(error("already_in_channel"));
        }
        members.extend(users.into_iter().map(str::to_owned));
        Ok(ok(json!({ "channel": self.shown(at) })))
    }

    pub(super) fn set_topic(&mut self, parameters: &Map<String, Value>) -> Result<Answer, Answer> {
        let at = self.place(parameters)?;
        let topic = text(parameters, "topic");
        if topic.chars().count() > TOPIC_MAX {
            return Err(error("too_long"));
        }
        self.channels[at].topic = topic;
        Ok(ok(json!({ "channel": self.shown(at) })))
    }

    pub(super) fn pin(&mut self, parameters: &Map<String, Value>) -> Result<Answer, Answer> {
        let at = self.place(parameters)?;
        let ts = text(parameters, "timestamp");
        let id = &self.channels[at].id;
        if !self.messages.iter().any(|message| message.channel == *id && message.ts == ts) {
            return Err(error("message_not_found"));
        }
        if !self.channels[at].pins.insert(ts) {
            return Err(error("already_pinned"));
        }
        Ok(ok(json!({})))
    }

    fn shown(&self, at: usize) -> Value {
        let channel = &self.channels[at];
        json!({
            "id": channel.id, "name": channel.name, "is_private": channel.is_private, "is_archived": false,
            "topic": { "value": channel.topic },
        })
    }
}
