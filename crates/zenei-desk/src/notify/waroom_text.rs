//! What an incident looks like in Waroom, and what Waroom's words mean here: status, severity, the title by which it is
//! found again. Nothing is active in it that a device, a customer or a remote wrote. Must not know Waroom's requests.
//! Called by the connector.
use super::delivery::Delivery;
use serde_json::Value;
use zenei_detect::Urgency;
use zenei_incident::message::plain;
use zenei_incident::{Incident, Status};
use zenei_wire::Id;

/// Digits of the incident's id in the title, by which API v0 is searched: it shows no aggregation key. 48 bits: one
/// chance in 10^5 that any two of 70,000 incidents have the same.
const MARK_DIGITS: usize = 12;
/// The most characters of a title and of a description; the limits are not documented, so these are guesses.
const TITLE_MAX: usize = 200;
const DESCRIPTION_MAX: usize = 8_000;

/// A status in English, or in Japanese as API v0 was seen to answer.
pub(super) fn parse_status(word: &str) -> Option<Status> {
    match word {
        "検出" | "検知" => Some(Status::Detected),
        "調査中" => Some(Status::Investigating),
        "修正中" => Some(Status::Fixing),
        "解決" => Some(Status::Resolved),
        "完了" => Some(Status::Close),
        word => Status::parse(word),
    }
}

pub(super) const fn severity(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Highest => "critical",
        Urgency::High => "high",
        Urgency::Medium => "low",
        Urgency::Low => "info",
    }
}

/// The urgency of a severity; none of `unknown`.
pub(super) fn urgency(severity: &str) -> Option<Urgency> {
    match severity {
        "critical" => Some(Urgency::Highest),
        "high" => Some(Urgency::High),
        "low" => Some(Urgency::Medium),
        "info" => Some(Urgency::Low),
        _ => None,
    }
}

/// By which an incident is found in a list: `zenei-` and the first digits of its id.
pub(super) fn mark(incident: Id) -> String {
    let digits = incident.to_string();
    format!("zenei-{}", digits.get(..MARK_DIGITS).unwrap_or(&digits))
}

/// Whether a remote incident has this incident's title. Only its beginning counts: what follows may quote another's.
pub(super) fn is_titled(remote: &Value, incident: Id) -> bool {
    text(&remote["title"]).starts_with(&format!("[{}]", mark(incident)))
}

pub(super) fn title(incident: &Incident) -> String {
    plain(&format!("[{}] {}", mark(incident.id), inert(&incident.title)), TITLE_MAX)
}

pub(super) fn description(delivery: &Delivery<'_>) -> String {
    let text = inert(&delivery.message.text());
    let kept: String = text.chars().take(DESCRIPTION_MAX).collect();
    format!("{kept}\n{}", delivery.message.key)
}

/// Waroom shows the text in Slack too: what either gives a meaning is replaced by its full-width form.
fn inert(text: &str) -> String {
    text.replace('<', "＜")
        .replace('>', "＞")
        .replace('@', "＠")
        .replace('[', "［")
        .replace(']', "］")
        .replace('`', "｀")
}

/// A uuid that may stand in a path.
pub(super) fn uuid(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    ((1..=64).contains(&text.len()) && text.chars().all(is_plain)).then(|| text.to_owned())
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
