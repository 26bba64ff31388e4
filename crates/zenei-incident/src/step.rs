//! The steps that a person may take on an incident, by the words of the interface contract; every other kind of event
//! has another producer. Must not know whether an incident allows a step: its fold decides that. Called by the desk,
//! for the command line and chat alike.
use crate::event::What;
use crate::stage::RUNBOOK_BY;
use serde_json::{Map, Value as Json};

/// The steps: the word of a request, and the kind of event that it makes. The kind's own word is accepted too.
pub const KINDS: [(&str, &str); 17] = [
    ("acknowledge", "acknowledged"),
    ("note", "note"),
    ("status", "status_changed"),
    ("owner", "owner_assigned"),
    ("urgency", "urgency_changed"),
    ("temp_fix_done", "temp_fix_done"),
    ("postmortem_held", "postmortem_held"),
    ("verdict", "verdict"),
    ("complete", "completed"),
    ("reopen", "reopened"),
    ("merge", "merged_into"),
    ("domain", "domain_changed"),
    ("postmortem_scheduled", "postmortem_scheduled"),
    ("runbook_step", "runbook_step_done"),
    ("action_item", "action_item_added"),
    ("action_item_status", "action_item_changed"),
    ("effort", "effort_added"),
];

/// The longest text (a note, a reason, an action), in characters. A guess: a page.
pub const TEXT_CHARS_MAX: usize = 4_000;
/// The longest name (a person, a role, an item's id), in characters. A guess: a line.
pub const NAME_CHARS_MAX: usize = 100;

/// Why a request is no step.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Another kind.
    #[error("{found:?} is no step that a person takes; allowed are {allowed}")]
    Kind {
        /// What was asked for.
        found: String,
        /// The allowed words.
        allowed: String,
    },
    /// Nobody takes it.
    #[error("`by` is empty; say who takes the step")]
    Nobody,
    /// The name of a runbook in the place of a person.
    #[error("`by` is {found:?}; what begins with {RUNBOOK_BY:?} is no person")]
    NoPerson {
        /// What was given.
        found: String,
    },
    /// A field's text is empty, too long, or has control characters.
    #[error("`{field}` {why}")]
    Text {
        /// The field.
        field: String,
        /// What was found, and what is allowed.
        why: String,
    },
    /// The fields are not those of the step.
    #[error("the step {kind:?} has other fields")]
    Fields {
        /// The step.
        kind: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
}

/// The event of a step by this person, with these other fields.
///
/// # Errors
/// See [`StepError`].
pub fn read(kind: &str, by: &str, fields: &Map<String, Json>) -> Result<What, StepError> {
    let Some((_, word)) = KINDS.iter().find(|(step, word)| *step == kind || *word == kind) else {
        let allowed = KINDS.map(|(step, _)| step).join(", ");
        return Err(StepError::Kind { found: kind.to_owned(), allowed });
    };
    if by.trim().is_empty() {
        return Err(StepError::Nobody);
    }
    if by.starts_with(RUNBOOK_BY) {
        return Err(StepError::NoPerson { found: by.to_owned() });
    }
    check_text("by", by)?;
    for (field, value) in fields {
        check_field(field, value)?;
    }
    let mut fields = fields.clone();
    fields.insert("by".to_owned(), Json::from(by));
    let body = Json::Object(fields).to_string();
    What::read(word, &body).map_err(|source| StepError::Fields { kind: kind.to_owned(), source })
}

/// Every text of a field; fields of other kinds are left to the event's own form.
fn check_field(field: &str, value: &Json) -> Result<(), StepError> {
    match value {
        Json::String(text) => check_text(field, text),
        Json::Array(list) => list.iter().try_for_each(|value| check_field(field, value)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => Ok(()),
    }
}

/// A text is not blank and not too long; a name is one line, and a text may have more.
fn check_text(field: &str, text: &str) -> Result<(), StepError> {
    let wrong = |why: String| Err(StepError::Text { field: field.to_owned(), why });
    let is_long = matches!(field, "text" | "reason");
    let chars_max = if is_long { TEXT_CHARS_MAX } else { NAME_CHARS_MAX };
    let chars = text.chars().count();
    let is_refused = |c: char| c.is_control() && !(is_long && matches!(c, '\n' | '\r' | '\t'));
    if text.trim().is_empty() {
        return wrong("is empty; it says something, or the step is left out".to_owned());
    }
    if chars > chars_max {
        return wrong(format!("has {chars} characters; at most {chars_max} are allowed"));
    }
    if text.chars().any(is_refused) {
        return wrong("has control characters, which are not allowed there".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(kind: &str, by: &str, fields: Json) -> Option<String> {
        read(kind, by, fields.as_object().unwrap()).err().map(|error| error.to_string())
    }

    #[test]
    fn a_blank_an_endless_and_a_broken_text_are_refused_with_the_fields_name() {
        let empty = |field: &str| Some(format!("`{field}` is empty; it says something, or the step is left out"));
        assert_eq!(refused("owner", "sato", json!({"owner": " "})), empty("owner"));
        assert_eq!(refused("note", "sato", json!({"text": ""})), empty("text"));
        assert_eq!(refused("urgency", "sato", json!({"to": "high", "reason": ""})), empty("reason"));
        assert_eq!(refused("postmortem_held", "sato", json!({"roles": ["support", " "]})), empty("roles"));
        let broken = |field: &str| Some(format!("`{field}` has control characters, which are not allowed there"));
        assert_eq!(refused("owner", "sato", json!({"owner": "mo\nri"})), broken("owner"));
        assert_eq!(refused("acknowledge", "sa\u{1b}[2Jto", json!({})), broken("by"));
        assert_eq!(refused("note", "sato", json!({"text": "a\u{7}"})), broken("text"));
        let text = "あ".repeat(TEXT_CHARS_MAX);
        assert_eq!(refused("note", "sato", json!({"text": text})), None);
        assert_eq!(refused("note", "sato", json!({"text": "two\n\tlines"})), None);
        let long = Some("`text` has 4001 characters; at most 4000 are allowed".to_owned());
        assert_eq!(refused("note", "sato", json!({"text": format!("{text}a")})), long);
        let long = Some("`owner` has 101 characters; at most 100 are allowed".to_owned());
        assert_eq!(refused("owner", "sato", json!({"owner": "a".repeat(101)})), long);
    }
}
