//! `POST /api/v1/incidents/{id}/events`: a person's step on an incident. Who takes it is who asks, never what the body
//! says. Must not know whether an incident allows a step: its rules decide. Called by the router.
use super::ask::{In, Said, Wrong, apart};
use super::served::Api;
use super::shapes::IncidentId;
use crate::Request;
use crate::http::gate::Caller;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;
use zenei_detect::{Component, Domain, Urgency};
use zenei_incident::event::{ActionKind, ActionStatus, EFFORT_MAX_MINUTES, Work};
use zenei_incident::{Status, Verdict};
use zenei_wire::Id;

/// A step on an incident, by its kind.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Step {
    /// Somebody is on it.
    #[serde(alias = "acknowledged")]
    Acknowledge {},
    /// A note.
    Note {
        /// What.
        #[schema(
            min_length = 1,
            max_length = 4000,
            pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
        )]
        text: String,
    },
    /// How far the work is; completion is a step of its own.
    #[serde(alias = "status_changed")]
    Status {
        /// The new status.
        #[schema(schema_with = super::shapes::status)]
        to: Status,
    },
    /// Who owns it.
    #[serde(alias = "owner_assigned")]
    Owner {
        /// The owner.
        #[schema(
            min_length = 1,
            max_length = 100,
            pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
        )]
        owner: String,
    },
    /// How urgent it is.
    #[serde(alias = "urgency_changed")]
    Urgency {
        /// The new level.
        #[schema(schema_with = super::shapes::urgency)]
        to: Urgency,
        /// Why (根拠).
        #[schema(
            min_length = 1,
            max_length = 4000,
            pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
        )]
        reason: String,
    },
    /// Where the cause lies.
    #[serde(alias = "domain_changed")]
    Domain {
        /// The new domain.
        #[schema(schema_with = super::shapes::domain)]
        to: Domain,
        /// The new component.
        #[schema(schema_with = super::shapes::component)]
        component: Component,
        /// Why.
        #[schema(
            min_length = 1,
            max_length = 4000,
            pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
        )]
        reason: String,
    },
    /// The temporary fix is done (暫定処置完了).
    TempFixDone {},
    /// The postmortem has a date.
    PostmortemScheduled {
        /// The date, ms since 1970.
        at_ms: i64,
    },
    /// The postmortem was held (振り返り).
    PostmortemHeld {
        /// The roles that took part.
        #[schema(schema_with = super::shapes::names)]
        roles: Vec<String>,
        /// The people who took part.
        #[serde(default)]
        #[schema(schema_with = super::shapes::names)]
        attendees: Vec<String>,
    },
    /// People's verdict.
    Verdict {
        /// `true`, `false_positive`, or `{"duplicate_of": ID}`.
        #[schema(schema_with = super::shapes::verdict)]
        verdict: Verdict,
    },
    /// It is about the same fault as another incident, which takes its later findings.
    #[serde(alias = "merged_into")]
    Merge {
        /// The other incident.
        #[schema(schema_with = super::shapes::id)]
        incident: Id,
    },
    /// A step of the runbook is done.
    #[serde(rename = "runbook_step", alias = "runbook_step_done")]
    Runbook {
        /// The step's id.
        #[schema(
            min_length = 1,
            max_length = 100,
            pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
        )]
        step: String,
    },
    /// Something is to be done.
    #[serde(alias = "action_item_added")]
    ActionItem {
        /// Its id within the incident.
        #[schema(
            min_length = 1,
            max_length = 100,
            pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
        )]
        item: String,
        /// What is to be done.
        #[schema(
            min_length = 1,
            max_length = 4000,
            pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
        )]
        text: String,
        /// What it is for.
        #[serde(rename = "for")]
        #[schema(schema_with = super::shapes::action_kind)]
        purpose: ActionKind,
        /// Who does it.
        #[schema(
            min_length = 1,
            max_length = 100,
            pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
        )]
        owner: Option<String>,
        /// By when, ms since 1970.
        due_ms: Option<i64>,
    },
    /// An action item went on.
    #[serde(alias = "action_item_changed")]
    ActionItemStatus {
        /// Its id within the incident.
        #[schema(
            min_length = 1,
            max_length = 100,
            pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
        )]
        item: String,
        /// How far it is.
        #[schema(schema_with = super::shapes::action_status)]
        status: ActionStatus,
    },
    /// Time was spent.
    #[serde(alias = "effort_added")]
    Effort {
        /// So many minutes.
        #[schema(minimum = 1, maximum = 10080)]
        minutes: u32,
        /// On what.
        #[schema(schema_with = super::shapes::work)]
        work: Work,
    },
    /// The work is complete (完了).
    #[serde(alias = "completed")]
    Complete {},
    /// It is open again.
    #[serde(alias = "reopened")]
    Reopen {
        /// Why.
        #[schema(
            min_length = 1,
            max_length = 4000,
            pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
        )]
        reason: String,
    },
}

/// The event that a step became.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = IncidentEvent)]
pub(super) struct Added {
    /// The incident.
    #[schema(schema_with = super::shapes::id)]
    incident: Id,
    /// The event's number within it.
    seq: u32,
    /// When, ms since 1970.
    at_ms: i64,
    /// The kind of event.
    kind: String,
    /// Its fields.
    #[schema(value_type = Object)]
    body: Json,
}

/// Takes a step on an incident.
#[utoipa::path(
    post, path = "/api/v1/incidents/{id}/events", tag = "incidents",
    params(("id" = inline(IncidentId), Path, description = "The incident's id, or that behind `zenei-`")),
    request_body = Step,
    responses(
        (status = 201, description = "The event", body = Added),
        (status = 409, description = "The incident's rules refuse the step; the text says what is missing"),
    ),
)]
pub(super) async fn add(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    In(incident): In<IncidentId>,
    Said(step): Said<Step>,
) -> Result<Response, Wrong> {
    let incident = super::incidents::known(&api, &incident)?.to_string();
    let (kind, body) = fields(&step)?;
    let desk = api.desk()?.clone();
    let at = api.handles.clock.now();
    let request = Request::Step { incident, kind, by: caller.name, body };
    let event = apart(move || Ok(request.carry_out(&desk, at)?)).await?;
    let event: Added = serde_json::from_value(event).map_err(|error| Wrong::broken(&error))?;
    Ok((StatusCode::CREATED, axum::Json(event)).into_response())
}

/// The kind of a step, and its other fields in the event's words.
fn fields(step: &Step) -> Result<(String, Map<String, Json>), Wrong> {
    if let Step::Effort { minutes, .. } = step
        && !(1..=EFFORT_MAX_MINUTES).contains(minutes)
    {
        return Err(Wrong::bad(format!("minutes is {minutes}; 1 to {EFFORT_MAX_MINUTES} are allowed")));
    }
    let mut fields = match serde_json::to_value(step) {
        Ok(Json::Object(fields)) => fields,
        Ok(Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_)) => Map::new(),
        Err(error) => return Err(Wrong::broken(&error)),
    };
    let kind = fields.remove("kind").and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    if let Some(purpose) = fields.remove("for") {
        fields.insert("kind".to_owned(), purpose);
    }
    Ok((kind, fields))
}

const _: () = assert!(EFFORT_MAX_MINUTES == 10_080, "the description of the API says so");
