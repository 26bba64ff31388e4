//! `/api/v1/cohorts`: what do locks share, what did those that share a value do, and how do two groups differ? Must not
//! know the store. Called by the router.
use super::ask::{Asked, In, Millis, Within, Word, Wrong, apart};
use super::fleet_shapes as shape;
use super::locks::{Nothing, span, unread};
use super::served::Api;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use zenei_store::history::{CohortBucket, ComparedRow, Dimension, Group, POINTS_MAX};

/// The span of a cohort that is shown where nobody says, ms: 30 days, as the field asks.
const COHORT_SPAN_MS: i64 = 30 * 86_400_000;

/// What locks share, by its word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared(Dimension);

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        Dimension::parse(&word).map(Self).ok_or_else(|| {
            let allowed = Dimension::ALL.map(Dimension::as_str).join(", ");
            serde::de::Error::custom(format!("locks share no {word:?}; {allowed} are allowed"))
        })
    }
}

/// The values of a dimension.
#[derive(Serialize, ToSchema)]
#[schema(as = CohortValues)]
pub(super) struct Values {
    /// Most locks first; at most 1,000.
    values: Vec<Value>,
}

/// A value that locks share.
#[derive(Serialize, ToSchema)]
#[schema(as = CohortValue)]
struct Value {
    value: String,
    /// How many locks have it now.
    locks: u64,
}

/// Lists what locks share.
#[utoipa::path(
    get, path = "/api/v1/cohorts/{dimension}", tag = "cohorts",
    params(("dimension" = inline(shape::DimensionWord), Path, description = "What locks share")),
    responses((status = 200, description = "The values", body = Values)),
)]
pub(super) async fn values(
    State(api): State<Api>,
    In(Shared(dimension)): In<Shared>,
    Asked(_): Asked<Nothing>,
) -> Result<Response, Wrong> {
    let history = api.handles.history.clone();
    let found = apart(move || history.values(dimension).map_err(unread)).await?;
    let values = found.into_iter().map(|(value, locks)| Value { value, locks }).collect();
    Ok(Json(Values { values }).into_response())
}

/// Which part of a cohort's past, in how many points.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Past {
    /// From when, ms since 1970; 30 days before `to` where it is absent.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 253_402_300_799_999_i64)]
    from: Option<Millis>,
    /// Until when, ms since 1970; now where it is absent.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 253_402_300_799_999_i64)]
    to: Option<Millis>,
    /// In how many points at most.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 720)]
    points: Option<Within<1, 720>>,
}

/// A cohort's past.
#[derive(Serialize, ToSchema)]
pub(super) struct CohortSeries {
    from_ms: i64,
    to_ms: i64,
    #[schema(schema_with = shape::cohort_buckets)]
    buckets: Vec<CohortBucket>,
}

/// Shows what the locks that share a value did, in at most 720 points.
#[utoipa::path(
    get, path = "/api/v1/cohorts/{dimension}/{value}/series", tag = "cohorts",
    params(
        ("dimension" = inline(shape::DimensionWord), Path, description = "What locks share"),
        ("value" = String, Path, description = "Its value", min_length = 1, max_length = 200),
        Past,
    ),
    responses(
        (status = 200, description = "The cohort's past", body = CohortSeries),
        (status = 409, description = "The span ends before it begins"),
    ),
)]
pub(super) async fn series(
    State(api): State<Api>,
    In((Shared(dimension), value)): In<(Shared, Word)>,
    Asked(past): Asked<Past>,
) -> Result<Response, Wrong> {
    let (from_ms, to_ms) = span(&api, past.from, past.to, COHORT_SPAN_MS)?;
    let points = past.points.map_or(POINTS_MAX, Within::count);
    let history = api.handles.history.clone();
    let found = apart(move || history.cohort(dimension, &value.0, from_ms, to_ms, points).map_err(unread)).await?;
    Ok(Json(CohortSeries { from_ms, to_ms, buckets: found.buckets }).into_response())
}

/// Which two groups, over which time.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Two {
    #[param(inline, value_type = shape::DimensionWord)]
    dimension: Shared,
    /// The value of the one.
    #[param(value_type = String, min_length = 1, max_length = 200)]
    a: Word,
    /// The value of the other.
    #[param(value_type = String, min_length = 1, max_length = 200)]
    b: Word,
    /// From when, ms since 1970; 30 days before `to` where it is absent.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 253_402_300_799_999_i64)]
    from: Option<Millis>,
    /// Until when, ms since 1970; now where it is absent.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 253_402_300_799_999_i64)]
    to: Option<Millis>,
}

/// Two groups beside each other; all intervals are of 95 %.
#[derive(Serialize, ToSchema)]
#[schema(as = Comparison)]
pub(super) struct Beside {
    #[schema(schema_with = shape::group)]
    a: Group,
    #[schema(schema_with = shape::group)]
    b: Group,
    #[schema(schema_with = shape::compared)]
    rows: Vec<ComparedRow>,
}

/// Compares two groups of locks.
#[utoipa::path(
    get, path = "/api/v1/cohorts/compare", tag = "cohorts", params(Two),
    responses(
        (status = 200, description = "The groups", body = Beside),
        (status = 409, description = "The span ends before it begins"),
    ),
)]
pub(super) async fn compare(State(api): State<Api>, Asked(two): Asked<Two>) -> Result<Response, Wrong> {
    let (from_ms, to_ms) = span(&api, two.from, two.to, COHORT_SPAN_MS)?;
    let history = api.handles.history.clone();
    let Two { dimension: Shared(dimension), a, b, .. } = two;
    let found = apart(move || history.compare(dimension, &a.0, &b.0, from_ms, to_ms).map_err(unread)).await?;
    Ok(Json(Beside { a: found.a, b: found.b, rows: found.rows }).into_response())
}
