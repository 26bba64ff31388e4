//! `GET /api/v1/incidents`: which incidents are there? Must not know the store. Called by the router.
use super::ask::{Asked, In, Within, Word, Wrong, apart};
use super::incident::{self, Line, Shown};
use super::served::Api;
use super::shapes::IncidentId;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use utoipa::ToSchema;
use zenei_detect::{Domain, ScopeKind, Urgency};
use zenei_incident::{Incident, Status};
use zenei_wire::{EngineTime, Id};

/// The most incidents of one answer, and how many there are where nobody says; a guess: what a page can show.
const LISTED_MAX: i64 = 500;
/// The most events of an incident in one answer; a guess.
const TIMELINE_MAX: usize = 200;

/// Which incidents to list; what is absent holds for all.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// How far the work is.
    #[param(schema_with = super::shapes::status)]
    status: Option<Status>,
    /// Where the cause probably lies.
    #[param(schema_with = super::shapes::domain)]
    domain: Option<Domain>,
    /// How soon a person must act.
    #[param(schema_with = super::shapes::urgency)]
    urgency: Option<Urgency>,
    /// The service.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    service: Option<Word>,
    /// What its locks share.
    #[param(schema_with = super::shapes::scope_kind)]
    scope: Option<ScopeKind>,
    /// The value that they share.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    scope_value: Option<Word>,
    /// A lock with evidence.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    device: Option<Word>,
    /// How many.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    limit: Option<Within<1, LISTED_MAX>>,
    /// `next` of the answer before.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,15}-[0-9a-f]{32}$")]
    after: Option<String>,
}

/// The incidents, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = IncidentList)]
pub(super) struct Listed<'a> {
    incidents: Vec<Line<'a>>,
    /// What `after` takes for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Lists incidents, the newest first.
#[utoipa::path(
    get, path = "/api/v1/incidents", tag = "incidents", params(Filter),
    responses((status = 200, description = "The incidents", body = Listed)),
)]
pub(super) async fn list(State(api): State<Api>, Asked(filter): Asked<Filter>) -> Result<Response, Wrong> {
    let after = filter.after.as_deref().map(cursor).transpose()?;
    apart(move || {
        let inquiries = incident::inquiries(&api)?;
        let limit = filter.limit.map_or(LISTED_MAX as usize, Within::count);
        let book = api.handles.incidents.read();
        let key = |incident: &Incident| (Reverse(incident.opened), incident.id);
        let is_later = |incident: &&Incident| after.is_none_or(|after| key(incident) > after);
        let mut found: Vec<&Incident> = book.incidents().filter(|it| filter.has(it)).filter(is_later).collect();
        found.sort_by_key(|incident| key(incident));
        let is_last = found.len() <= limit;
        found.truncate(limit);
        let next = found.last().filter(|_| !is_last).map(|last| format!("{}-{}", last.opened.ms(), last.id));
        let incidents = found.into_iter().map(|incident| Line::of(incident, &inquiries)).collect();
        Ok(Json(Listed { incidents, next }).into_response())
    })
    .await
}

/// Which part of an incident's timeline to show.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// `timeline_before` of the answer before: the events before this number.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 4_294_967_295_i64)]
    before: Option<Within<1, 4_294_967_295>>,
}

/// Shows an incident with its timeline, its evidence and its deliveries.
#[utoipa::path(
    get, path = "/api/v1/incidents/{id}", tag = "incidents",
    params(("id" = inline(IncidentId), Path, description = "The incident's id, or that behind `zenei-`"), Part),
    responses((status = 200, description = "The incident", body = Shown)),
)]
pub(super) async fn show(
    State(api): State<Api>,
    In(id): In<IncidentId>,
    Asked(part): Asked<Part>,
) -> Result<Response, Wrong> {
    let id = known(&api, &id)?;
    let before = part.before.and_then(|before| u32::try_from(before.get()).ok());
    apart(move || {
        let (log, inquiries) = (incident::log(&api, id, before, TIMELINE_MAX)?, incident::inquiries(&api)?);
        let book = api.handles.incidents.read();
        let found = book.incident(id).ok_or_else(none)?;
        Ok(Json(Shown::of(found, &book, &api.handles.policy, log, &inquiries)).into_response())
    })
    .await
}

/// The id of an incident that there is.
pub(super) fn known(api: &Api, id: &IncidentId) -> Result<Id, Wrong> {
    let id = id.read()?;
    api.handles.incidents.read().incident(id).map(|incident| incident.id).ok_or_else(none)
}

fn none() -> Wrong {
    Wrong::unknown("there is no incident of this id")
}

/// Where a list goes on.
fn cursor(text: &str) -> Result<(Reverse<EngineTime>, Id), Wrong> {
    let parts = text.split_once('-').and_then(|(ms, id)| Some((ms.parse().ok()?, Id::parse(id)?)));
    let (ms, id) = parts.ok_or_else(|| Wrong::bad("`after` is the `next` of an answer, and nothing else"))?;
    Ok((Reverse(EngineTime(ms)), id))
}

impl Filter {
    fn has(&self, incident: &Incident) -> bool {
        let is = |wanted: &Option<Word>, found: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| found == Some(wanted.0.as_str()))
        };
        self.status.is_none_or(|status| status == incident.status)
            && self.domain.is_none_or(|domain| domain == incident.domain)
            && self.urgency.is_none_or(|urgency| urgency == incident.urgency)
            && self.scope.is_none_or(|scope| scope == incident.scope.kind)
            && is(&self.service, incident.service.as_deref())
            && is(&self.scope_value, Some(&incident.scope.value))
            && self.device.as_ref().is_none_or(|device| incident.devices.contains(&device.0))
    }
}
