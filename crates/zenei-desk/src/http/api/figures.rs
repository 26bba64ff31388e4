//! `/api/v1/metrics/…`: the desk's figures, by the definitions of [`zenei_incident::views`], by Japanese calendar
//! months. Must not know how a figure is made. Called by the router.
use super::ask::{Asked, Within, Wrong, apart};
use super::figure_shapes as shape;
use super::incident::inquiries as stored;
use super::locks::Nothing;
use super::served::Api;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use zenei_incident::views::{
    self, ActionRate, Case, ChannelMonth, CustomerInquiries, Lead, LeadMonth, LeadTime, Month, PostmortemMonth,
    Progress, Trend,
};
use zenei_incident::{Casebook, Event};
use zenei_wire::{EngineTime, Id};

/// So many months where nobody says: half a year. A guess.
const MONTHS: u32 = 6;
/// The most incidents of the lead time in one answer; a guess.
const LEADS_MAX: usize = 500;

/// Over how many months.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Months {
    /// This month in Japan and those before it, together; 6 where it is absent.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 120)]
    months: Option<Within<1, 120>>,
}

impl Months {
    fn count(&self) -> u32 {
        self.months.and_then(|months| u32::try_from(months.get()).ok()).unwrap_or(MONTHS)
    }
}

/// Urgent inquiries by customer and month.
#[derive(Serialize, ToSchema)]
pub(super) struct InquiryTrend {
    /// When it was made, ms since 1970.
    at_ms: i64,
    /// The months, oldest first.
    #[schema(schema_with = shape::months)]
    months: Vec<Month>,
    /// The customers with any, most urgent first.
    #[schema(schema_with = shape::customers)]
    customers: Vec<CustomerInquiries>,
    /// Inquiries of these months that nobody has judged yet.
    untriaged: u64,
}

/// V1 前衛問い合わせ傾向: urgent inquiries by customer and month.
#[utoipa::path(
    get, path = "/api/v1/metrics/inquiries", tag = "metrics", params(Months),
    responses((status = 200, description = "The figure", body = InquiryTrend)),
)]
pub(super) async fn inquiries(State(api): State<Api>, Asked(months): Asked<Months>) -> Result<Response, Wrong> {
    let now = api.handles.clock.now();
    apart(move || {
        let Trend { months, customers, untriaged } = views::inquiries(stored(&api)?.rows(), months.count(), now);
        Ok(Json(InquiryTrend { at_ms: now.ms(), months, customers, untriaged }).into_response())
    })
    .await
}

/// For how many urgent inquiries a channel was opened, by month.
#[derive(Serialize, ToSchema)]
pub(super) struct ChannelRates {
    /// When it was made, ms since 1970.
    at_ms: i64,
    #[schema(schema_with = shape::channel_months)]
    months: Vec<ChannelMonth>,
}

/// V2 インシデントchの立ち上げ率: urgent inquiries with a channel, by month.
#[utoipa::path(
    get, path = "/api/v1/metrics/channel_rate", tag = "metrics", params(Months),
    responses((status = 200, description = "The figure", body = ChannelRates)),
)]
pub(super) async fn channel_rate(State(api): State<Api>, Asked(months): Asked<Months>) -> Result<Response, Wrong> {
    let now = api.handles.clock.now();
    apart(move || {
        let stored = stored(&api)?;
        let book = api.handles.incidents.read();
        let months = views::channel_rate(stored.rows(), book.incidents(), months.count(), now);
        Ok(Json(ChannelRates { at_ms: now.ms(), months }).into_response())
    })
    .await
}

/// The open incidents and how they stand.
#[derive(Serialize, ToSchema)]
pub(super) struct Standing {
    /// When it was made, ms since 1970.
    at_ms: i64,
    #[schema(schema_with = shape::progress)]
    incidents: Vec<Progress>,
}

/// V3 インシデントの進捗: the open incidents, the most urgent first.
#[utoipa::path(
    get, path = "/api/v1/metrics/progress", tag = "metrics",
    responses((status = 200, description = "The figure", body = Standing)),
)]
pub(super) async fn progress(State(api): State<Api>, Asked(_): Asked<Nothing>) -> Result<Response, Wrong> {
    let now = api.handles.clock.now();
    apart(move || {
        let log = Log::read(&api)?;
        let book = api.handles.incidents.read();
        let incidents = views::progress(log.cases(&book), &api.handles.policy, &log.waiting, now);
        Ok(Json(Standing { at_ms: now.ms(), incidents }).into_response())
    })
    .await
}

/// How often a postmortem was held in time, by the month of the temporary fix.
#[derive(Serialize, ToSchema)]
pub(super) struct PostmortemRates {
    /// When it was made, ms since 1970.
    at_ms: i64,
    #[schema(schema_with = shape::postmortem_months)]
    months: Vec<PostmortemMonth>,
}

/// V4 ポストモーテム実施率: postmortems within 14 days, by the month of the temporary fix.
#[utoipa::path(
    get, path = "/api/v1/metrics/postmortem_rate", tag = "metrics", params(Months),
    responses((status = 200, description = "The figure", body = PostmortemRates)),
)]
pub(super) async fn postmortem_rate(State(api): State<Api>, Asked(months): Asked<Months>) -> Result<Response, Wrong> {
    let now = api.handles.clock.now();
    apart(move || {
        let log = Log::read(&api)?;
        let book = api.handles.incidents.read();
        let months = views::postmortem_rate(log.cases(&book), months.count(), now);
        Ok(Json(PostmortemRates { at_ms: now.ms(), months }).into_response())
    })
    .await
}

/// How many action items are done, by what they are for.
#[derive(Serialize, ToSchema)]
pub(super) struct ActionRates {
    /// When it was made, ms since 1970.
    at_ms: i64,
    #[schema(schema_with = shape::action_rates)]
    kinds: Vec<ActionRate>,
}

/// V5 アクションアイテム実施率: action items that are done.
#[utoipa::path(
    get, path = "/api/v1/metrics/action_rate", tag = "metrics",
    responses((status = 200, description = "The figure", body = ActionRates)),
)]
pub(super) async fn action_rate(State(api): State<Api>, Asked(_): Asked<Nothing>) -> Result<Response, Wrong> {
    let now = api.handles.clock.now();
    let kinds = views::action_rate(api.handles.incidents.read().incidents(), now);
    Ok(Json(ActionRates { at_ms: now.ms(), kinds }).into_response())
}

/// How long before the customers zenei knew.
#[derive(Serialize, ToSchema)]
pub(super) struct Leads {
    /// When it was made, ms since 1970.
    at_ms: i64,
    /// By the month of the opening, oldest first.
    #[schema(schema_with = shape::lead_months)]
    months: Vec<LeadMonth>,
    /// Those with an inquiry, the latest opening first; at most 500.
    #[schema(schema_with = shape::leads)]
    incidents: Vec<Lead>,
}

/// N1: how long before the first inquiry an incident was opened, by the month of its opening.
#[utoipa::path(
    get, path = "/api/v1/metrics/lead_time", tag = "metrics", params(Months),
    responses((status = 200, description = "The figure", body = Leads)),
)]
pub(super) async fn lead_time(State(api): State<Api>, Asked(months): Asked<Months>) -> Result<Response, Wrong> {
    let now = api.handles.clock.now();
    apart(move || {
        let stored = stored(&api)?;
        let book = api.handles.incidents.read();
        let LeadTime { months, mut incidents } = views::lead_time(book.incidents(), &stored, months.count(), now);
        incidents.truncate(LEADS_MAX);
        Ok(Json(Leads { at_ms: now.ms(), months, incidents }).into_response())
    })
    .await
}

/// What the figures need of the log.
#[derive(Default)]
struct Log {
    events: BTreeMap<Id, Vec<Event>>,
    waiting: BTreeMap<Id, i64>,
}

impl Log {
    fn read(api: &Api) -> Result<Self, Wrong> {
        let Some(desk) = &api.handles.desk else { return Ok(Self::default()) };
        let (rows, waiting) = {
            let desk = desk.lock();
            let control = desk.control();
            let rows = control.events_of_kinds(&Case::KINDS).map_err(|error| Wrong::broken(&error))?;
            (rows, control.waiting_since().map_err(|error| Wrong::broken(&error))?)
        };
        let mut events: BTreeMap<Id, Vec<Event>> = BTreeMap::new();
        for row in rows {
            let event = Event::read(row.incident, row.seq, EngineTime(row.at_ms), &row.kind, &row.body);
            events.entry(row.incident).or_default().push(event.map_err(|error| Wrong::broken(&error))?);
        }
        Ok(Self { events, waiting: waiting.into_iter().collect() })
    }

    fn cases<'a>(&'a self, book: &'a Casebook) -> impl Iterator<Item = Case<'a>> {
        book.incidents().map(|incident| Case::of(incident, self.events.get(&incident.id).into_iter().flatten()))
    }
}
