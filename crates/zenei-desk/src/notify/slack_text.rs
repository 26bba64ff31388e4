//! What a message looks like in Slack, with nothing active in it that a device, a customer or a remote wrote: `&`, `<`
//! and `>` are escaped, which leaves no mention and no link; `@channel` and its like have a full-width `＠`; the texts
//! stand in `plain_text`, where Slack reads no markup. Must not know Slack's methods. Called by the connector and by
//! the answers to commands.
use serde_json::{Value, json};
use zenei_incident::message::{Lang, Message, plain, status_word, urgency_word};
use zenei_wire::Id;

/// The most characters of a header.
const HEADER_MAX: usize = 150;
/// The most fields of a section.
const FIELDS_MAX: usize = 10;
/// The most characters of a field; Slack's limit is 2,000, and escaping can make five of one.
const FIELD_MAX: usize = 390;
/// The most characters of a section; Slack's limit is 3,000, and escaping can make five of one.
const SECTION_MAX: usize = 590;
/// The most characters of a topic.
const TOPIC_MAX: usize = 250;

/// The buttons of a message: the value of each is the incident's id.
pub const ACTIONS: [(&str, &str, &str); 3] = [
    ("zenei_acknowledge", "Acknowledge", "確認"),
    ("zenei_investigating", "Investigating", "調査開始"),
    ("zenei_fixing", "Fixing", "対策開始"),
];

/// A message's two forms: blocks, and the text of notifications.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// For notifications and for clients without blocks.
    pub text: String,
    /// For people.
    pub blocks: Value,
}

/// Text without meaning to Slack, on one line, at most so many characters before escaping.
pub fn inert(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    for c in plain(text, chars_max).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.push('＠'),
            c => out.push(c),
        }
    }
    out
}

/// [`inert`], and shortened until it has at most `max` characters after escaping too.
fn fitted(text: &str, max: usize) -> String {
    let mut chars = max;
    loop {
        let shown = inert(text, chars);
        let length = shown.chars().count();
        if length <= max {
            return shown;
        }
        chars = chars.saturating_sub((length - max).div_ceil(4).max(1));
    }
}

/// The message that opens a channel, or stands for the incident in the inquiry channel: as a support person would
/// write it, marked as detected automatically. With `buttons`, people can answer.
pub fn opening(message: &Message, incident: Id, buttons: bool, channel: Option<&str>) -> Shown {
    let level = urgency_word(message.urgency, message.lang);
    let headline = format!("【{}】{} {}", message.mark, bracketed(message.lang, level), message.title);
    let mut fields: Vec<Value> = message.lines.iter().map(|(name, value)| field(name, value)).collect();
    let mut blocks = vec![json!({ "type": "header", "text": words(&fitted(&headline, HEADER_MAX)) })];
    blocks.push(section(&message.headline));
    if let Some(channel) = channel {
        // A link that is ours: Slack gave the id, and it has letters and digits only.
        blocks.push(json!({
            "type": "section",
            "text": { "type": "mrkdwn", "verbatim": true, "text": format!("{}: <#{channel}>", pick(message.lang, "Channel", "インシデントch")) },
        }));
    }
    while !fields.is_empty() {
        let rest = fields.split_off(fields.len().min(FIELDS_MAX));
        blocks.push(json!({ "type": "section", "fields": fields }));
        fields = rest;
    }
    blocks.push(json!({ "type": "context", "elements": [words(&fitted(&message.key, SECTION_MAX))] }));
    if buttons {
        let button = |(action, en, ja): (&str, &str, &str)| {
            json!({
                "type": "button", "action_id": action, "value": incident.to_string(),
                "text": words(pick(message.lang, en, ja)),
            })
        };
        let elements: Vec<Value> = ACTIONS.into_iter().map(button).collect();
        blocks.push(json!({ "type": "actions", "elements": elements }));
    }
    Shown { text: fitted(&headline, SECTION_MAX), blocks: Value::Array(blocks) }
}

/// What happened since, for a thread.
pub fn update(message: &Message) -> Shown {
    let state = format!(
        "{}: {} / {}: {}",
        pick(message.lang, "Urgency", "緊急度"),
        urgency_word(message.urgency, message.lang),
        pick(message.lang, "Status", "ステータス"),
        status_word(message.status, message.lang)
    );
    let blocks = json!([
        section(&message.headline),
        { "type": "context", "elements": [words(&fitted(&state, SECTION_MAX))] },
    ]);
    Shown { text: fitted(&message.headline, SECTION_MAX), blocks }
}

/// Everything in one message, for a webhook, which has no threads.
pub fn whole(message: &Message, incident: Id) -> Shown {
    if message.event_kind == "opened" {
        return opening(message, incident, false, None);
    }
    let mut shown = update(message);
    let title = format!("【{}】{} ({})", message.mark, message.title, message.key);
    if let Some(blocks) = shown.blocks.as_array_mut() {
        blocks.insert(0, json!({ "type": "context", "elements": [words(&fitted(&title, SECTION_MAX))] }));
    }
    shown.text = fitted(&format!("{title} {}", message.headline), SECTION_MAX);
    shown
}

/// The topic of an incident's channel.
pub fn topic(message: &Message) -> String {
    let (urgency, status) = (urgency_word(message.urgency, message.lang), status_word(message.status, message.lang));
    fitted(&format!("{urgency} | {status} | {} | {}", message.title, message.key), TOPIC_MAX)
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": words(&fitted(text, 3_000)) })
}

fn field(name: &str, value: &str) -> Value {
    words(&format!("{}\n{}", inert(name, 40), inert(value, FIELD_MAX - 40)))
}

fn words(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

fn bracketed(lang: Lang, level: &str) -> String {
    match lang {
        Lang::En => format!("[{level}]"),
        Lang::Ja => format!("【緊急度: {level}】"),
    }
}

const fn pick<'a>(lang: Lang, en: &'a str, ja: &'a str) -> &'a str {
    match lang {
        Lang::En => en,
        Lang::Ja => ja,
    }
}
