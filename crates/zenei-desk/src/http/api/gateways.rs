//! `/api/v1/gateways`, `/receptions`, `/dead-letters`, `/search`, `/rules`: what hears, what could not be read, what is
//! found by a name, and by which rules zenei judges. Must not know the store. Called by the router.
use super::ask::{Asked, Within, Word, Wrong, apart};
use super::fleet_shapes as shape;
use super::locks::{Nothing, unread};
use super::served::Api;
use crate::http::gate::Caller;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use zenei_detect::{Component, Domain, Urgency};
use zenei_store::history::{DeadLetterShown, GatewayNow, Hit, HitKind, Reception};

/// The rows of an answer where nobody says; a guess: a screen.
const ROWS: usize = 100;

/// How many rows.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Few {
    /// How many; 100 where it is absent.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1000)]
    limit: Option<Within<1, 1_000>>,
}

/// The gateways, hubs and services.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayList)]
pub(super) struct Gateways {
    #[schema(schema_with = shape::gateways)]
    gateways: Vec<GatewayNow>,
}

/// Lists gateways, hubs and services.
#[utoipa::path(
    get, path = "/api/v1/gateways", tag = "gateways",
    responses((status = 200, description = "The gateways", body = Gateways)),
)]
pub(super) async fn gateways(State(api): State<Api>, Asked(_): Asked<Nothing>) -> Result<Response, Wrong> {
    let history = api.handles.history.clone();
    let gateways = apart(move || history.gateways().map_err(unread)).await?;
    Ok(Json(Gateways { gateways }).into_response())
}

/// How well gateways hear advertisements.
#[derive(Serialize, ToSchema)]
#[schema(as = ReceptionList)]
pub(super) struct Receptions {
    #[schema(schema_with = shape::receptions)]
    receptions: Vec<Reception>,
}

/// Lists which gateway hears which lock's advertisements, and how well.
#[utoipa::path(
    get, path = "/api/v1/receptions", tag = "gateways", params(Few),
    responses((status = 200, description = "The receptions", body = Receptions)),
)]
pub(super) async fn receptions(State(api): State<Api>, Asked(few): Asked<Few>) -> Result<Response, Wrong> {
    let (history, limit) = (api.handles.history.clone(), few.limit.map_or(ROWS, Within::count));
    let receptions = apart(move || history.receptions(limit).map_err(unread)).await?;
    Ok(Json(Receptions { receptions }).into_response())
}

/// What could not be read, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterList)]
pub(super) struct DeadLetters {
    dead_letters: Vec<DeadLetter>,
}

/// A message that could not be read.
#[derive(Serialize, ToSchema)]
struct DeadLetter {
    reason: String,
    /// What was found and what was allowed.
    detail: String,
    /// Untrusted.
    topic: String,
    at_ms: i64,
    /// The first bytes, untrusted; at most 4 KiB.
    #[schema(pattern = "^[A-Za-z0-9+/]*={0,2}$")]
    bytes_b64: String,
    /// How many bytes are stored.
    length: u64,
    /// Whether more were received.
    cut: bool,
}

impl From<DeadLetterShown> for DeadLetter {
    fn from(shown: DeadLetterShown) -> Self {
        let DeadLetterShown { reason, detail, topic, at_ms, bytes, length, cut } = shown;
        Self { reason, detail, topic, at_ms, bytes_b64: STANDARD.encode(bytes), length, cut }
    }
}

/// Lists what could not be read, with its reason and its bytes.
#[utoipa::path(
    get, path = "/api/v1/dead-letters", tag = "gateways", params(Few),
    responses((status = 200, description = "The dead letters", body = DeadLetters)),
)]
pub(super) async fn dead_letters(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(few): Asked<Few>,
) -> Result<Response, Wrong> {
    let (history, limit) = (api.handles.history.clone(), few.limit.map_or(ROWS, Within::count));
    let found = apart(move || history.dead_letters(limit).map_err(unread)).await?;
    let shown = |letter: DeadLetterShown| match caller.residents {
        true => letter,
        false => letter.without_operations(),
    };
    let dead_letters = found.into_iter().map(|letter| DeadLetter::from(shown(letter))).collect();
    Ok(Json(DeadLetters { dead_letters }).into_response())
}

/// What to look for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Text {
    /// A part of a name.
    #[param(value_type = String, min_length = 1, max_length = 200)]
    q: Word,
    /// How many; 100 where it is absent.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1000)]
    limit: Option<Within<1, 1_000>>,
}

/// What a search found.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchResult)]
pub(super) struct Hits {
    hits: Vec<Found>,
}

/// Something that a search found.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchHit)]
struct Found {
    /// `lock`, or what locks share.
    kind: &'static str,
    value: String,
    /// How many locks it has.
    locks: u64,
}

impl From<Hit> for Found {
    fn from(hit: Hit) -> Self {
        let kind = match hit.kind {
            HitKind::Lock => "lock",
            HitKind::Cohort(dimension) => dimension.as_str(),
        };
        Self { kind, value: hit.value, locks: hit.locks }
    }
}

/// Searches locks and cohorts by a part of their name.
#[utoipa::path(
    get, path = "/api/v1/search", tag = "locks", params(Text),
    responses((status = 200, description = "What was found", body = Hits)),
)]
pub(super) async fn search(State(api): State<Api>, Asked(text): Asked<Text>) -> Result<Response, Wrong> {
    let (history, limit) = (api.handles.history.clone(), text.limit.map_or(ROWS, Within::count));
    let found = apart(move || history.search(&text.q.0, limit).map_err(unread)).await?;
    Ok(Json(Hits { hits: found.into_iter().map(Found::from).collect() }).into_response())
}

/// The rules in force.
#[derive(Serialize, ToSchema)]
#[schema(as = RuleList)]
pub(super) struct Rules<'a> {
    rules: Vec<Rule<'a>>,
}

/// A rule.
#[derive(Serialize, ToSchema)]
struct Rule<'a> {
    id: &'a str,
    version: u32,
    title: &'a str,
    title_ja: &'a str,
    /// `shadow`, `canary` or `live`.
    state: &'static str,
    #[schema(schema_with = super::shapes::domain)]
    domain: Domain,
    #[schema(schema_with = super::shapes::component)]
    component: Component,
    #[schema(schema_with = super::shapes::urgency)]
    urgency: Urgency,
    owner: &'a str,
    runbook: &'a str,
    /// The detector's word.
    detector: &'static str,
    #[schema(schema_with = super::shapes::numbers)]
    parameters: &'a BTreeMap<String, f64>,
    /// False alarms that it may raise, a device and year.
    #[schema(schema_with = super::shapes::number)]
    budget_per_device_year: f64,
}

impl<'a> Rule<'a> {
    fn of(rule: &'a zenei_detect::Rule) -> Self {
        Self {
            id: &rule.id,
            version: rule.version,
            title: &rule.title,
            title_ja: &rule.title_ja,
            state: rule.state.as_str(),
            domain: rule.domain,
            component: rule.component,
            urgency: rule.urgency,
            owner: &rule.owner,
            runbook: &rule.runbook,
            detector: rule.detector.word,
            parameters: &rule.parameters,
            budget_per_device_year: rule.budget_per_device_year,
        }
    }
}

/// Lists the rules in force.
#[utoipa::path(
    get, path = "/api/v1/rules", tag = "rules",
    responses((status = 200, description = "The rules", body = Rules)),
)]
pub(super) async fn rules(State(api): State<Api>, Asked(_): Asked<Nothing>) -> Result<Response, Wrong> {
    let rules = api.handles.rules.iter().map(Rule::of).collect();
    Ok(Json(Rules { rules }).into_response())
}
