//! Which step is it that a person typed after `/zenei` or pressed? The words are those of `zenei incident`. Must not
//! know how a step changes an incident. Called by [`super`].
use crate::notify::slack_text::{ACTIONS, inert};
use serde_json::{Map, Value, json};
use zenei_incident::Status;

/// What can be typed.
pub const HELP: &str = "/zenei list | show ID | ack ID | note ID TEXT | owner ID NAME | \
                        status ID detected|investigating|fixing|resolved | urgency ID LEVEL REASON | temp-fix ID | \
                        postmortem ID ROLE,ROLE | verdict ID true|false_positive | runbook-step ID STEP | \
                        effort ID MINUTES | complete ID | reopen ID REASON";

/// The commands about one incident.
const WITH_ID: [&str; 13] = [
    "show",
    "ack",
    "note",
    "owner",
    "status",
    "urgency",
    "temp-fix",
    "postmortem",
    "verdict",
    "runbook-step",
    "effort",
    "reopen",
    "complete",
];

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

/// What was typed after `/zenei`.
///
/// # Errors
/// What is wrong, and what can be typed.
pub fn parse(text: &str) -> Result<Command, String> {
    // Slack writes these three so; that it does in commands too is no part of its documentation.
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let (word, rest) = split(&text);
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
        word if WITH_ID.contains(&word) && !is_id(id) => {
            return Err(format!("{} is no id: 4 to 32 hex digits, as `list` shows them. {HELP}", quoted(id)));
        }
        _ => {}
    }
    let is_missing = |what: &str| Err(format!("{what} is missing. {HELP}"));
    match word {
        "show" => Ok(Command::Show(id.to_owned())),
        "ack" => step("acknowledge", json!({})),
        "note" if rest.is_empty() => is_missing("the note's text"),
        "note" => step("note", json!({ "text": rest })),
        "status" => match Status::parse(rest).filter(|status| *status != Status::Close) {
            Some(status) => step("status", json!({ "to": status.as_str() })),
            None => Err(format!("{} is no status that can be set. {HELP}", quoted(rest))),
        },
        "owner" if rest.is_empty() => is_missing("the owner's name"),
        "owner" => step("owner", json!({ "owner": rest })),
        "urgency" => match split(rest) {
            (_, "") => is_missing("the level or the reason (根拠)"),
            (level, reason) => step("urgency", json!({ "to": level, "reason": reason })),
        },
        "temp-fix" => step("temp_fix_done", json!({})),
        "postmortem" => {
            let roles: Vec<&str> = rest.split(',').map(str::trim).filter(|role| !role.is_empty()).collect();
            match roles.iter().find(|role| role.starts_with('-')) {
                Some(role) => {
                    Err(format!("{} is no role; here roles follow the id, with commas. {HELP}", quoted(role)))
                }
                None if roles.is_empty() => is_missing("the roles that took part (development,support)"),
                None => step("postmortem_held", json!({ "roles": roles })),
            }
        }
        "verdict" => step("verdict", json!({ "verdict": rest })),
        "runbook-step" if rest.is_empty() => is_missing("the step's id"),
        "runbook-step" => step("runbook_step", json!({ "step": rest })),
        "effort" => match rest.parse::<u32>() {
            Ok(minutes) => step("effort", json!({ "minutes": minutes, "work": "other" })),
            Err(_) => Err(format!("{} is no number of minutes. {HELP}", quoted(rest))),
        },
        "reopen" if rest.is_empty() => is_missing("the reason"),
        "reopen" => step("reopen", json!({ "reason": rest })),
        "complete" => step("complete", json!({})),
        other => Err(format!("{} is no command. {HELP}", quoted(other))),
    }
}

/// The step of a pressed button; `None` if it is none of ours.
pub fn pressed(payload: &Value) -> Option<Command> {
    let action = payload["actions"].as_array()?.first()?;
    let (known, ..) = ACTIONS.iter().find(|(known, ..)| action["action_id"] == *known)?;
    let incident = action["value"].as_str()?;
    let word = known.strip_prefix("zenei_")?;
    match word {
        "acknowledge" => parse(&format!("ack {incident}")).ok(),
        status => parse(&format!("status {incident} {status}")).ok(),
    }
}

/// What a person typed, repeated to them.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", inert(text, 60))
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_becomes_a_step_or_a_refusal_with_help() {
        let step = |kind, body: Value| {
            Ok(Command::Step { incident: "abcd12".into(), kind, body: body.as_object().cloned().unwrap() })
        };
        let cases = [
            ("", Ok(Command::Help)),
            (" list ", Ok(Command::List)),
            ("show zenei-abcd12", Ok(Command::Show("zenei-abcd12".into()))),
            ("ack abcd12", step("acknowledge", json!({}))),
            ("note abcd12  現地 確認中", step("note", json!({ "text": "現地 確認中" }))),
            ("note abcd12 a &lt;b&gt; &amp;amp; c", step("note", json!({ "text": "a <b> &amp; c" }))),
            ("status abcd12 fixing", step("status", json!({ "to": "fixing" }))),
            ("temp-fix abcd12", step("temp_fix_done", json!({}))),
            (
                "postmortem abcd12 development, support",
                step("postmortem_held", json!({ "roles": ["development", "support"] })),
            ),
            ("complete abcd12", step("complete", json!({}))),
            ("owner abcd12 鈴木 一", step("owner", json!({ "owner": "鈴木 一" }))),
            ("urgency abcd12 highest 締め出し", step("urgency", json!({ "to": "highest", "reason": "締め出し" }))),
            ("verdict abcd12 false_positive", step("verdict", json!({ "verdict": "false_positive" }))),
            ("runbook-step abcd12 swap", step("runbook_step", json!({ "step": "swap" }))),
            ("effort abcd12 30", step("effort", json!({ "minutes": 30, "work": "other" }))),
            ("reopen abcd12 再発", step("reopen", json!({ "reason": "再発" }))),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
        for wrong in [
            "ack",
            "ack xyz1",
            "note abcd12",
            "status abcd12 close",
            "status abcd12 <!here>",
            "delete abcd12",
            "postmortem abcd12 ,",
            "postmortem abcd12 --role development",
            "urgency abcd12 high",
            "effort abcd12 -1",
            "owner abcd12",
        ] {
            let why = parse(wrong).unwrap_err();
            assert!(why.contains("/zenei list") && !why.contains('<'), "{why}");
        }
    }
}
