//! How the fleet's history stands in the description of the API. Must not know a route. Named by the types of the
//! routes on locks, cohorts and gateways.
use super::field::Field;
use super::shapes::{bool_, counts, integer, list, number, object, or_null, string, words};
use utoipa::openapi::schema::{OneOfBuilder, Type};
use utoipa::openapi::{Object, RefOr, Schema};
use zenei_store::history::{Dimension, LockSort};

/// The order of locks.
pub(super) fn lock_sort() -> Object {
    words(&LockSort::ALL.map(LockSort::as_str))
}

/// What locks may share.
pub(super) fn dimension() -> Object {
    words(&Dimension::ALL.map(Dimension::as_str))
}

/// What is measured of a lock over time.
pub(super) fn field() -> Object {
    words(Field::WORDS)
}

fn nullable(schema: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
    let null = utoipa::openapi::ObjectBuilder::new().schema_type(Type::Null);
    Schema::from(OneOfBuilder::new().item(schema).item(null).build()).into()
}

fn span() -> RefOr<Schema> {
    nullable(object([
        ("min", number().into()),
        ("mean", number().into()),
        ("max", number().into()),
        ("count", integer()),
    ]))
}

/// A lock as it is now.
pub(super) fn lock() -> Object {
    let due =
        object([("early_days", number().into()), ("likely_days", number().into()), ("late_days", number().into())]);
    object([
        ("device_id", string()),
        ("site", string()),
        ("gateway", string()),
        ("model", string()),
        ("hw_rev", string()),
        ("lot", string()),
        ("fw", string()),
        ("service", string()),
        ("heard_ms", integer()),
        ("battery_pct", or_null(Type::Integer)),
        ("battery_mv", or_null(Type::Integer)),
        ("rssi_dbm", or_null(Type::Integer)),
        ("records", integer()),
        ("errors_7d", integer()),
        ("authenticated", bool_()),
        ("battery_due", nullable(due)),
    ])
}

pub(super) fn locks() -> Schema {
    list(lock())
}

/// Changes of the firmware.
pub(super) fn firmware() -> Schema {
    list(object([("at_ms", integer()), ("from", string()), ("to", string())]))
}

/// Operations with the motor's current.
pub(super) fn profiles() -> Schema {
    list(object([
        ("at_ms", integer()),
        ("kind", string()),
        ("result", string()),
        ("current_ma", list_of_integers()),
        ("step_ms", integer()),
    ]))
}

fn list_of_integers() -> RefOr<Schema> {
    list(integer()).into()
}

/// What a lock did in spans of time.
pub(super) fn buckets() -> Schema {
    list(object([
        ("start_ms", integer()),
        ("length_ms", integer()),
        ("battery_mv", span()),
        ("load_mv", span()),
        ("battery_pct", span()),
        ("resistance_mohm", span()),
        ("peak_ma", span()),
        ("effort_mc", span()),
        ("temp_c", span()),
        ("rssi_dbm", span()),
        ("records", integer()),
        ("operations", integer()),
        ("failed", integer()),
        ("errors", counts().into()),
        ("fw", string()),
    ]))
}

/// What a cohort did in spans of time.
pub(super) fn cohort_buckets() -> Schema {
    list(object([
        ("start_ms", integer()),
        ("length_ms", integer()),
        ("locks", integer()),
        ("records", integer()),
        ("operations", integer()),
        ("failed", integer()),
        ("errors", counts().into()),
        ("resistance_mohm", span()),
        ("peak_ma", span()),
    ]))
}

/// The extent of a group of locks.
pub(super) fn group() -> Object {
    object([
        ("value", string()),
        ("locks", integer()),
        ("read", integer()),
        ("lock_days", number().into()),
        ("operations", integer()),
        ("failed", integer()),
        ("errors", integer()),
    ])
}

/// What was measured of two groups.
pub(super) fn compared() -> Schema {
    let interval =
        || nullable(object([("low", number().into()), ("value", number().into()), ("high", number().into())]));
    let what = ["failed_share", "error_rate", "resistance", "peak_current", "effort", "battery"];
    list(object([
        ("what", words(&what).into()),
        ("unit", string()),
        ("a", interval()),
        ("b", interval()),
        ("difference", interval()),
    ]))
}

/// Gateways, hubs and services.
pub(super) fn gateways() -> Schema {
    list(object([
        ("id", string()),
        ("site", string()),
        ("version", string()),
        ("heard_ms", integer()),
        ("locks", integer()),
        ("records", integer()),
        ("queue_depth", or_null(Type::Integer)),
        ("publish_errors", or_null(Type::Integer)),
        ("api_errors", or_null(Type::Integer)),
        ("api_latency_ms", or_null(Type::Integer)),
        ("locks_heard", or_null(Type::Integer)),
    ]))
}

/// How well gateways hear advertisements.
pub(super) fn receptions() -> Schema {
    list(object([
        ("device_id", string()),
        ("gateway", string()),
        ("rssi_last_dbm", or_null(Type::Integer)),
        ("rssi_min_dbm", or_null(Type::Integer)),
        ("rssi_max_dbm", or_null(Type::Integer)),
        ("advertisements", integer()),
        ("heard_ms", integer()),
        ("trusted", bool_()),
    ]))
}

/// A dimension's word in a path.
#[derive(Debug)]
pub(super) enum DimensionWord {}

impl utoipa::PartialSchema for DimensionWord {
    fn schema() -> RefOr<Schema> {
        dimension().into()
    }
}

impl utoipa::ToSchema for DimensionWord {}
