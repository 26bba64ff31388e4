//! Messages of the stand-in: post, update, read back, webhooks. Must not know how channels come to be. Called by the
//! stand-in.
use super::{MESSAGES_MAX, Posted, Slack, error, is_true, number, ok, text};
use crate::http::Answer;
use serde_json::{Map, Value, json};

/// The longest text of a message, in characters; Slack cuts longer ones, and this refuses them, so that a test sees it.
const TEXT_MAX: usize = 40_000;
/// The longest text of a section, in characters.
const SECTION_MAX: usize = 3_000;
/// The most blocks of a message.
const BLOCKS_MAX: usize = 50;

impl Posted {
    /// What Slack would make active in the text and in the blocks' texts: the insides of `<…>`, which are mentions and
    /// links.
    pub fn active(&self) -> Vec<String> {
        let mut texts = vec![self.text.clone()];
        collect_texts(&self.blocks, &mut texts);
        let inside = |text: &String| -> Vec<String> {
            let parts = text.split('<').skip(1).filter_map(|part| part.split_once('>'));
            parts.map(|(inside, _)| inside.to_owned()).collect()
        };
        texts.iter().flat_map(inside).collect()
    }
}

impl Slack {
    pub(super) fn post(&mut self, parameters: &Map<String, Value>) -> Result<Answer, Answer> {
        let at = self.place_by_name(parameters)?;
        let (said, blocks) = checked(parameters)?;
        let channel = self.channels[at].id.clone();
        let thread = text(parameters, "thread_ts");
        if !thread.is_empty() && !self.messages.iter().any(|old| old.channel == channel && old.ts == thread) {
            return Err(error("thread_not_found"));
        }
        if self.messages.len() >= MESSAGES_MAX {
            return Err(error("message_limit_exceeded"));
        }
        let ts = format!("17802720{:02}.{:06}", self.messages.len() / 1_000_000, self.messages.len() % 1_000_000);
        let metadata = parameters.get("metadata").cloned().unwrap_or(Value::Null);
        let is_metadata =
            metadata.is_null() || (metadata["event_type"].is_string() && metadata["event_payload"].is_object());
        if !is_metadata {
            return Err(error("invalid_metadata_format"));
        }
        let thread_ts = (!thread.is_empty()).then_some(thread);
        let posted = Posted { channel: channel.clone(), ts: ts.clone(), thread_ts, text: said, blocks, metadata };
        let shown = shown(&posted, true);
        self.messages.push(posted);
        Ok(ok(json!({ "channel": channel, "ts": ts, "message": shown })))
    }

    pub(super) fn update(&mut self, parameters: &Map<String, Value>) -> Result<Answer, Answer> {
        let at = self.place(parameters)?;
        let (said, blocks) = checked(parameters)?;
        let (channel, ts) = (self.channels[at].id.clone(), text(parameters, "ts"));
        let Some(message) = self.messages.iter_mut().find(|old| old.channel == channel && old.ts == ts) else {
            return Err(error("message_not_found"));
        };
        (message.text, message.blocks) = (said, blocks);
        if let Some(metadata) = parameters.get("metadata") {
            message.metadata = metadata.clone();
        }
        Ok(ok(json!({ "channel": channel, "ts": ts })))
    }

    /// The newest first, without replies.
    pub(super) fn history(&self, parameters: &Map<String, Value>) -> Result<Answer, Answer> {
        let id = &self.channels[self.place(parameters)?].id;
        let of_channel = self.messages.iter().rev().filter(|message| message.channel == *id);
        Ok(self.page(parameters, of_channel.filter(|message| message.thread_ts.is_none()).collect()))
    }

    /// The message that began the thread, then its replies, the oldest first.
    pub(super) fn replies(&self, parameters: &Map<String, Value>) -> Result<Answer, Answer> {
        let id = &self.channels[self.place(parameters)?].id;
        let root = text(parameters, "ts");
        let in_thread = |message: &&Posted| message.ts == root || message.thread_ts.as_ref() == Some(&root);
        let found: Vec<&Posted> = self.messages.iter().filter(|old| old.channel == *id).filter(in_thread).collect();
        if found.is_empty() { Err(error("thread_not_found")) } else { Ok(self.page(parameters, found)) }
    }

    /// A message that came by a URL that is itself the secret.
    pub(super) fn hook(&mut self, path: &str, parameters: &Map<String, Value>) -> Answer {
        if !self.hooks.contains(path) {
            return Answer::text(404, "no_service");
        }
        match checked(parameters) {
            Err(_) => Answer::text(400, "invalid_payload"),
            Ok(_) if self.messages.len() >= MESSAGES_MAX => Answer::text(500, "full"),
            Ok((said, blocks)) => {
                let metadata = Value::Null;
                let channel = path.to_owned();
                self.messages.push(Posted {
                    channel,
                    ts: String::new(),
                    thread_ts: None,
                    text: said,
                    blocks,
                    metadata,
                });
                Answer::text(200, "ok")
            }
        }
    }

    fn page(&self, parameters: &Map<String, Value>, all: Vec<&Posted>) -> Answer {
        let oldest = text(parameters, "oldest");
        let all: Vec<&Posted> = all.into_iter().filter(|message| oldest.is_empty() || message.ts > oldest).collect();
        let limit = number(parameters, "limit").unwrap_or(100).clamp(1, 999);
        let limit = if self.page_max == 0 { limit } else { limit.min(self.page_max) };
        let from: usize = text(parameters, "cursor").parse().unwrap_or(0);
        let with_metadata = is_true(parameters, "include_all_metadata");
        let messages: Vec<Value> =
            all.iter().skip(from).take(limit).map(|message| shown(message, with_metadata)).collect();
        let has_more = from + limit < all.len();
        let next = if has_more { (from + limit).to_string() } else { String::new() };
        ok(json!({ "messages": messages, "has_more": has_more, "response_metadata": { "next_cursor": next } }))
    }
}

fn shown(message: &Posted, with_metadata: bool) -> Value {
    let mut shown = json!({ "type": "message", "ts": message.ts, "text": message.text, "bot_id": "B0" });
    if let Some(thread) = &message.thread_ts {
        shown["thread_ts"] = json!(thread);
    }
    if with_metadata && !message.metadata.is_null() {
        shown["metadata"] = message.metadata.clone();
    }
    shown
}

/// Text and blocks of a message, or the error.
fn checked(parameters: &Map<String, Value>) -> Result<(String, Value), Answer> {
    let said = text(parameters, "text");
    let blocks = parameters.get("blocks").cloned().unwrap_or(Value::Null);
    if said.is_empty() && blocks.is_null() {
        return Err(error("no_text"));
    }
    if said.chars().count() > TEXT_MAX {
        return Err(error("msg_too_long"));
    }
    let sections = blocks.as_array().map_or(&[][..], Vec::as_slice);
    let length = |block: &Value| block["text"]["text"].as_str().map_or(0, |text| text.chars().count());
    let is_whole = (blocks.is_null() || blocks.is_array())
        && sections.len() <= BLOCKS_MAX
        && sections.iter().all(|block| block["type"].is_string() && length(block) <= SECTION_MAX);
    if is_whole { Ok((said, blocks)) } else { Err(error("invalid_blocks")) }
}

fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|one| collect_texts(one, texts)),
        Value::Object(members) => members.values().for_each(|one| collect_texts(one, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
