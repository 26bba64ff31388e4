//! `/api/v1/silences`: what is silenced, a new silence, what it would match, and its end. Who sets or ends one is who
//! asks. Must not know how a silence is stored. Called by the router.
use super::ask::{Asked, In, Millis, Plain, Said, Within, Wrong, apart};
use super::locks::{Nothing, unread};
use super::served::Api;
use crate::Request;
use crate::http::gate::{Caller, Subject};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Deserializer, Serialize};
use std::cmp::Reverse;
use utoipa::ToSchema;
use zenei_detect::{Component, Domain, ScopeKind, Urgency};
use zenei_incident::silence::LENGTH_MAX_MS;
use zenei_incident::{Matcher, SilenceKind, Silences};
use zenei_store::history::LockFilter;
use zenei_wire::{EngineTime, Id};

/// The most silences of one answer, the latest beginning first; a guess.
const LISTED_MAX: usize = 500;
/// The most incidents that a preview names; all are counted. A guess.
const PREVIEWED_MAX: usize = 100;

/// A silence or a maintenance window.
#[derive(Serialize, ToSchema)]
#[schema(as = Silence)]
pub(super) struct Shown {
    #[schema(schema_with = super::shapes::id)]
    id: Id,
    #[schema(schema_with = super::shapes::silence_kind)]
    kind: SilenceKind,
    #[schema(schema_with = super::shapes::matcher)]
    matches: Matcher,
    from_ms: i64,
    until_ms: i64,
    /// When it ends: at its end, or when a person ended it.
    end_ms: i64,
    in_force: bool,
    reason: String,
    by: String,
}

/// The silences, the latest beginning first; at most 500.
#[derive(Serialize, ToSchema)]
#[schema(as = SilenceList)]
pub(super) struct Listed {
    silences: Vec<Shown>,
}

/// What a silence is about; what is given must all hold, and at least one must be given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Matches {
    #[serde(default, deserialize_with = "there")]
    rule: Option<Plain>,
    #[serde(default, deserialize_with = "there")]
    domain: Option<Domain>,
    #[serde(default, deserialize_with = "there")]
    component: Option<Component>,
    #[serde(default, deserialize_with = "there")]
    scope_kind: Option<ScopeKind>,
    #[serde(default, deserialize_with = "there")]
    scope_value: Option<Plain>,
    #[serde(default, deserialize_with = "there")]
    device: Option<Plain>,
    #[serde(default, deserialize_with = "there")]
    site: Option<Plain>,
    #[serde(default, deserialize_with = "there")]
    service: Option<Plain>,
}

/// A field is given or left out; null is neither.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl From<Matches> for Matcher {
    fn from(matches: Matches) -> Self {
        let text = |word: Option<Plain>| word.map(|word| word.0);
        Self {
            rule: text(matches.rule),
            domain: matches.domain,
            component: matches.component,
            scope_kind: matches.scope_kind,
            scope_value: text(matches.scope_value),
            device: text(matches.device),
            site: text(matches.site),
            service: text(matches.service),
        }
    }
}

/// A silence to be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSilence)]
pub(super) struct New {
    /// `silence` where it is absent: nobody is told. `maintenance`: nothing opens.
    #[serde(default = "silence")]
    #[schema(schema_with = super::shapes::silence_kind, required = false)]
    kind: SilenceKind,
    #[schema(schema_with = super::shapes::matcher)]
    matches: Matches,
    /// From when, ms since 1970; now where it is absent.
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 253402300799999_i64)]
    from_ms: Option<Millis>,
    /// For how long, ms: at most 366 days.
    #[schema(value_type = i64, minimum = 1, maximum = 31622400000_i64)]
    length_ms: Within<1, LENGTH_MAX_MS>,
    /// Why.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$", value_type = String)]
    reason: Plain,
}

fn silence() -> SilenceKind {
    SilenceKind::Silence
}

/// What a silence would be about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SilencePreviewRequest)]
pub(super) struct Asks {
    #[schema(schema_with = super::shapes::matcher)]
    matches: Matches,
}

/// What a silence would match now.
#[derive(Serialize, ToSchema)]
#[schema(as = SilencePreview)]
pub(super) struct Preview {
    /// How many open incidents.
    open: u64,
    /// The newest of them; at most 100.
    incidents: Vec<Matched>,
    /// How many locks are at that place; null where the silence names no device, site or service.
    #[schema(required = true)]
    locks: Option<u64>,
}

/// An open incident that a silence would match.
#[derive(Serialize, ToSchema)]
#[schema(as = MatchedIncident)]
struct Matched {
    #[schema(schema_with = super::shapes::id)]
    id: Id,
    title: String,
    #[schema(schema_with = super::shapes::urgency)]
    urgency: Urgency,
}

/// The end of a silence.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = SilenceEnd)]
pub(super) struct Ended {
    #[schema(schema_with = super::shapes::id)]
    silence: Id,
    ended_ms: i64,
}

/// Lists the silences.
#[utoipa::path(
    get, path = "/api/v1/silences", tag = "silences",
    responses((status = 200, description = "The silences", body = Listed)),
)]
pub(super) async fn list(State(api): State<Api>, Asked(_): Asked<Nothing>) -> Result<Response, Wrong> {
    let now = api.handles.clock.now();
    let book = api.handles.incidents.read();
    let silences = book.silences();
    let mut found: Vec<Shown> = silences.iter().map(|silence| shown(silence, silences, now)).collect();
    found.sort_by_key(|silence| (Reverse(silence.from_ms), silence.id));
    found.truncate(LISTED_MAX);
    Ok(Json(Listed { silences: found }).into_response())
}

/// Sets a silence in the caller's name.
#[utoipa::path(
    post, path = "/api/v1/silences", tag = "silences", request_body = New,
    responses(
        (status = 201, description = "The silence", body = Shown),
        (status = 409, description = "It would have ended already, or no desk runs here"),
    ),
)]
pub(super) async fn add(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Said(new): Said<New>,
) -> Result<Response, Wrong> {
    let desk = api.desk()?.clone();
    let at = api.handles.clock.now();
    let from_ms = new.from_ms.map(Within::get);
    let length_ms = new.length_ms.get();
    if from_ms.is_some_and(|from_ms| from_ms.saturating_add(length_ms) <= at.ms()) {
        return Err(Wrong::conflict("this silence would have ended already"));
    }
    let (kind, matches, reason, by) = (new.kind, Matcher::from(new.matches), new.reason.0, caller.name);
    let request = Request::AddSilence { kind, matches, from_ms, length_ms, reason, by };
    let answer = apart(move || Ok(request.carry_out(&desk, at)?)).await?;
    let id = answer.get("silence").and_then(|silence| silence.get("id")).and_then(|id| id.as_str()).and_then(Id::parse);
    let book = api.handles.incidents.read();
    let silences = book.silences();
    let found = id.and_then(|id| silences.get(id)).ok_or_else(|| Wrong::unknown("the silence has gone"))?;
    let subject = Extension(Subject(found.id.to_string()));
    Ok((StatusCode::CREATED, subject, Json(shown(found, silences, at))).into_response())
}

/// Says what a silence would match now, and sets none.
#[utoipa::path(
    post, path = "/api/v1/silences/preview", tag = "silences", request_body = Asks,
    responses((status = 200, description = "What it would match", body = Preview)),
)]
pub(super) async fn preview(State(api): State<Api>, Said(asks): Said<Asks>) -> Result<Response, Wrong> {
    let matches = Matcher::from(asks.matches);
    if matches == Matcher::default() {
        return Err(Wrong::bad(
            "a silence names at least one of rule, domain, component, scope, device, site and service",
        ));
    }
    apart(move || {
        let locks = locks(&api, &matches)?;
        let book = api.handles.incidents.read();
        let mut found: Vec<_> = book.preview(&matches).collect();
        let open = found.len() as u64;
        found.sort_by_key(|incident| (Reverse(incident.opened), incident.id));
        found.truncate(PREVIEWED_MAX);
        let named = |incident: &zenei_incident::Incident| Matched {
            id: incident.id,
            title: incident.title.clone(),
            urgency: incident.urgency,
        };
        Ok(Json(Preview { open, incidents: found.into_iter().map(named).collect(), locks }).into_response())
    })
    .await
}

/// Ends a silence before its end, in the caller's name.
#[utoipa::path(
    post, path = "/api/v1/silences/{id}/end", tag = "silences",
    params(("id" = inline(super::shapes::SilenceId), Path, description = "The silence's id")),
    responses(
        (status = 200, description = "Its end", body = Ended),
        (status = 409, description = "It was ended before, or no desk runs here"),
    ),
)]
pub(super) async fn end(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    In(silence): In<super::shapes::SilenceId>,
) -> Result<Response, Wrong> {
    let id = silence.read()?;
    let desk = api.desk()?.clone();
    let at = api.handles.clock.now();
    let request = Request::EndSilence { silence: id.to_string(), by: caller.name };
    let answer = apart(move || Ok(request.carry_out(&desk, at)?)).await?;
    let ended: Ended = serde_json::from_value(answer).map_err(|error| Wrong::broken(&error))?;
    Ok(Json(ended).into_response())
}

/// How many locks are where a silence is about; `None` where it names no place.
fn locks(api: &Api, matches: &Matcher) -> Result<Option<u64>, Wrong> {
    let (site, service) = (matches.site.clone(), matches.service.clone());
    if site.is_none() && service.is_none() && matches.device.is_none() {
        return Ok(None);
    }
    let filter = LockFilter { site, service, text: matches.device.clone(), limit: 500, ..LockFilter::default() };
    let page = api.handles.history.locks(&filter).map_err(unread)?;
    Ok(Some(match &matches.device {
        // The filter finds a part of an id.
        Some(device) => u64::from(page.locks.iter().any(|lock| lock.device_id == *device)),
        None => page.total,
    }))
}

fn shown(silence: &zenei_incident::Silence, all: &Silences, now: EngineTime) -> Shown {
    Shown {
        id: silence.id,
        kind: silence.kind,
        matches: silence.matches.clone(),
        from_ms: silence.from_ms,
        until_ms: silence.until_ms,
        end_ms: all.end_ms(silence),
        in_force: all.is_in_force(silence, now),
        reason: silence.reason.clone(),
        by: silence.by.clone(),
    }
}
