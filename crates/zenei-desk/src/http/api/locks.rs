//! `/api/v1/locks`: which locks are there, and what did one of them do? Single operations of residents are shown only
//! to callers who may see them; what a lock did in a span of time is not about a person. Must not know the store.
//! Called by the router.
use super::ask::{Asked, In, Millis, Within, Word, Wrong, apart};
use super::field::Field;
use super::fleet_shapes as shape;
use super::served::Api;
use crate::http::gate::Caller;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use zenei_store::history::{
    Bucket, Firmware, HistoryError, LockFilter, LockHistory, LockNow, LockSort, POINTS_MAX, Profile, Span,
};
use zenei_wire::Id;

/// The span of a lock that is shown where nobody says, ms: 90 days, as the field asks.
const LOCK_SPAN_MS: i64 = 90 * 86_400_000;
/// The most locks of one answer.
const LOCKS_MAX: i64 = 500;

/// Which locks, in which order, which page; what is absent holds for all.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    site: Option<Word>,
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    gateway: Option<Word>,
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    model: Option<Word>,
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    hw_rev: Option<Word>,
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    lot: Option<Word>,
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    fw: Option<Word>,
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    service: Option<Word>,
    /// A part of the id.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    text: Option<Word>,
    /// Only locks that reported less battery, percent.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 101)]
    battery_below_pct: Option<Within<0, 101>>,
    /// Only locks whose battery is likely due within so many days.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 3660)]
    due_within_days: Option<Within<0, 3_660>>,
    #[param(schema_with = shape::lock_sort)]
    sort: Option<Sort>,
    /// `next` of the answer before.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    after: Option<Word>,
    /// How many.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    limit: Option<Within<1, LOCKS_MAX>>,
}

/// An order of locks by its word.
#[derive(Clone, Copy, Debug)]
struct Sort(LockSort);

impl<'de> Deserialize<'de> for Sort {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        LockSort::parse(&word).map(Self).ok_or_else(|| {
            let allowed = LockSort::ALL.map(LockSort::as_str).join(", ");
            serde::de::Error::custom(format!("the order is {word:?}; {allowed} are allowed"))
        })
    }
}

/// A page of locks.
#[derive(Serialize, ToSchema)]
#[schema(as = LockList)]
pub(super) struct Locks {
    #[schema(schema_with = shape::locks)]
    locks: Vec<LockNow>,
    /// How many the filter matches on all pages.
    total: u64,
    /// What `after` takes for the next page; null on the last one.
    #[schema(required = true)]
    next: Option<String>,
}

/// Lists locks.
#[utoipa::path(
    get, path = "/api/v1/locks", tag = "locks", params(Filter),
    responses(
        (status = 200, description = "The locks", body = Locks),
        (status = 404, description = "`after` is the `next` of no answer"),
    ),
)]
pub(super) async fn list(State(api): State<Api>, Asked(filter): Asked<Filter>) -> Result<Response, Wrong> {
    let text = |word: Option<Word>| word.map(|word| word.0);
    let filter = LockFilter {
        site: text(filter.site),
        gateway: text(filter.gateway),
        model: text(filter.model),
        hw_rev: text(filter.hw_rev),
        lot: text(filter.lot),
        fw: text(filter.fw),
        service: text(filter.service),
        text: text(filter.text),
        battery_below_pct: filter.battery_below_pct.and_then(|pct| u8::try_from(pct.get()).ok()),
        due_within_days: filter.due_within_days.and_then(|days| u32::try_from(days.get()).ok()),
        sort: filter.sort.map(|sort| sort.0).unwrap_or_default(),
        after: text(filter.after),
        limit: filter.limit.map_or(0, Within::count),
    };
    let history = api.handles.history.clone();
    let page = apart(move || history.locks(&filter).map_err(unread)).await?;
    Ok(Json(Locks { locks: page.locks, total: page.total, next: page.next }).into_response())
}

/// One lock.
#[derive(Serialize, ToSchema)]
pub(super) struct Lock {
    #[schema(schema_with = shape::lock)]
    now: LockNow,
    #[schema(schema_with = shape::firmware)]
    firmware: Vec<Firmware>,
    /// The incidents with evidence of it, the newest first.
    incidents: Vec<OfLock>,
}

/// An incident of a lock.
#[derive(Serialize, ToSchema)]
#[schema(as = LockIncident)]
struct OfLock {
    #[schema(schema_with = super::shapes::id)]
    id: Id,
    opened_ms: i64,
    #[schema(schema_with = super::shapes::status)]
    status: zenei_incident::Status,
    #[schema(schema_with = super::shapes::urgency)]
    urgency: zenei_detect::Urgency,
    title: String,
}

/// Shows a lock as it is now, with the changes of its firmware and its incidents.
#[utoipa::path(
    get, path = "/api/v1/locks/{id}", tag = "locks",
    params(("id" = String, Path, description = "The lock's id", min_length = 1, max_length = 200)),
    responses((status = 200, description = "The lock", body = Lock)),
)]
pub(super) async fn show(
    State(api): State<Api>,
    In(id): In<Word>,
    Asked(_): Asked<Nothing>,
) -> Result<Response, Wrong> {
    let to_ms = api.handles.clock.now().ms();
    let found = read(&api, id.clone(), (to_ms.saturating_sub(LOCK_SPAN_MS), to_ms), 1).await?;
    let book = api.handles.incidents.read();
    let of_lock = book.incidents().filter(|incident| incident.devices.contains(&id.0));
    let mut incidents: Vec<OfLock> = of_lock
        .map(|incident| OfLock {
            id: incident.id,
            opened_ms: incident.opened.ms(),
            status: incident.status,
            urgency: incident.urgency,
            title: incident.title.clone(),
        })
        .collect();
    incidents.sort_by_key(|incident| (std::cmp::Reverse(incident.opened_ms), incident.id));
    Ok(Json(Lock { now: found.now, firmware: found.firmware, incidents }).into_response())
}

/// Which part of a lock's past, in how many points.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Past {
    /// From when, ms since 1970; 90 days before `to` where it is absent.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 253_402_300_799_999_i64)]
    from: Option<Millis>,
    /// Until when, ms since 1970; now where it is absent.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 253_402_300_799_999_i64)]
    to: Option<Millis>,
    /// In how many points at most.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 720)]
    points: Option<Within<1, 720>>,
    /// One field alone; all where it is absent.
    #[param(schema_with = shape::field)]
    field: Option<Field>,
}

/// A lock's past: every measure in buckets, or one field in points.
#[derive(Serialize, ToSchema)]
#[schema(as = LockSeries)]
pub(super) struct Series {
    /// From when, ms since 1970.
    from_ms: i64,
    /// Until when, ms since 1970.
    to_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    /// One field: a point for each bucket that has a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<Vec<Point>>,
    /// All fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = shape::buckets)]
    buckets: Option<Vec<Bucket>>,
}

/// A bucket of one field; its extremes stay visible.
#[derive(Serialize, ToSchema)]
#[schema(as = SeriesPoint)]
struct Point {
    start_ms: i64,
    length_ms: i64,
    min: f64,
    mean: f64,
    max: f64,
    count: u64,
}

/// Shows a lock's past in at most 720 points.
#[utoipa::path(
    get, path = "/api/v1/locks/{id}/series", tag = "locks",
    params(("id" = String, Path, description = "The lock's id", min_length = 1, max_length = 200), Past),
    responses(
        (status = 200, description = "The lock's past", body = Series),
        (status = 409, description = "The span ends before it begins"),
    ),
)]
pub(super) async fn series(
    State(api): State<Api>,
    In(id): In<Word>,
    Asked(past): Asked<Past>,
) -> Result<Response, Wrong> {
    let (from_ms, to_ms) = span(&api, past.from, past.to, LOCK_SPAN_MS)?;
    let points = past.points.map_or(POINTS_MAX, Within::count);
    let found = read(&api, id, (from_ms, to_ms), points).await?;
    let Some(field) = past.field else {
        let buckets = Some(found.buckets);
        return Ok(Json(Series { from_ms, to_ms, field: None, unit: None, points: None, buckets }).into_response());
    };
    let point = |bucket: &Bucket| {
        let Span { min, mean, max, count } = field.of(bucket)?;
        Some(Point { start_ms: bucket.start_ms, length_ms: bucket.length_ms, min, mean, max, count })
    };
    let points = Some(found.buckets.iter().filter_map(point).collect());
    let (field, unit) = (Some(field.as_str()), Some(field.unit()));
    Ok(Json(Series { from_ms, to_ms, field, unit, points, buckets: None }).into_response())
}

/// The latest operations of a lock.
#[derive(Serialize, ToSchema)]
#[schema(as = LockOperations)]
pub(super) struct Operations {
    /// The newest first; at most 8.
    #[schema(schema_with = shape::profiles)]
    operations: Vec<Profile>,
}

/// Shows single operations of residents, with the motor's current: only to a caller who may see them.
#[utoipa::path(
    get, path = "/api/v1/locks/{id}/operations", tag = "locks",
    params(("id" = String, Path, description = "The lock's id", min_length = 1, max_length = 200)),
    responses((status = 200, description = "The operations", body = Operations)),
)]
pub(super) async fn operations(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    In(id): In<Word>,
    Asked(_): Asked<Nothing>,
) -> Result<Response, Wrong> {
    if !caller.residents {
        let text =
            "who opened a door when is a resident's private matter: this needs a token that was added with --residents";
        return Err(Wrong::new(StatusCode::FORBIDDEN, text));
    }
    let to_ms = api.handles.clock.now().ms();
    let found = read(&api, id, (to_ms.saturating_sub(LOCK_SPAN_MS), to_ms), 1).await?;
    Ok(Json(Operations { operations: found.profiles }).into_response())
}

/// No parameter at all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

async fn read(api: &Api, id: Word, (from_ms, to_ms): (i64, i64), points: usize) -> Result<LockHistory, Wrong> {
    let history = api.handles.history.clone();
    let found = apart(move || history.lock(&id.0, from_ms, to_ms, points).map_err(unread)).await?;
    found.ok_or_else(|| Wrong::unknown("no lock of this id was heard"))
}

/// The span of time that is asked for; the last part of `usual_ms` where nobody says.
pub(super) fn span(api: &Api, from: Option<Millis>, to: Option<Millis>, usual_ms: i64) -> Result<(i64, i64), Wrong> {
    let to_ms = to.map_or_else(|| api.handles.clock.now().ms(), Within::get);
    let from_ms = from.map_or_else(|| to_ms.saturating_sub(usual_ms).max(0), Within::get);
    match from_ms < to_ms {
        true => Ok((from_ms, to_ms)),
        false => Err(Wrong::conflict(format!("from is {from_ms} and to is {to_ms}: a span ends after its beginning"))),
    }
}

/// What a history that can't be read answers.
pub(super) fn unread(error: HistoryError) -> Wrong {
    if let HistoryError::Cursor { .. } = error { Wrong::unknown(error.to_string()) } else { Wrong::broken(&error) }
}
