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
    let mut fields = fields.clone();
    fields.insert("by".to_owned(), Json::from(by));
    let body = Json::Object(fields).to_string();
    What::read(word, &body).map_err(|source| StepError::Fields { kind: kind.to_owned(), source })
}
