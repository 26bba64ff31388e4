//! How the desk's figures stand in the description of the API. Must not know a route. Named by the types of the routes
//! of the figures.
use super::shapes::{action_kind, channels, domain, id, integer, list, object, or_null, status, string, text, urgency};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{RefOr, Schema};

fn month() -> RefOr<Schema> {
    text().pattern(Some("^-?[0-9]{4}-[0-9]{2}$")).build().into()
}

fn share() -> RefOr<Schema> {
    object([("part", integer()), ("of", integer())]).into()
}

/// Months in Japan.
pub(super) fn months() -> Schema {
    list(month())
}

/// V1.
pub(super) fn customers() -> Schema {
    let by_month = object([("month", month()), ("highest", integer()), ("high", integer())]);
    list(object([
        ("customer", string()),
        ("highest", integer()),
        ("high", integer()),
        ("by_month", list(by_month).into()),
    ]))
}

/// V2.
pub(super) fn channel_months() -> Schema {
    list(object([("month", month()), ("highest", share()), ("high", share())]))
}

/// V3.
pub(super) fn progress() -> Schema {
    list(object([
        ("incident", id().into()),
        ("title", string()),
        ("status", status().into()),
        ("urgency", urgency().into()),
        ("domain", domain().into()),
        ("service", or_null(Type::String)),
        ("owner", or_null(Type::String)),
        ("acknowledged_by", or_null(Type::String)),
        ("age_ms", integer()),
        ("in_status_ms", integer()),
        ("next_step", or_null(Type::String)),
        ("last_note_age_ms", or_null(Type::Integer)),
        ("channels", channels().into()),
        ("sync_lag_ms", or_null(Type::Integer)),
    ]))
}

/// V4.
pub(super) fn postmortem_months() -> Schema {
    list(object([("month", month()), ("held", share()), ("immature", integer())]))
}

/// V5.
pub(super) fn action_rates() -> Schema {
    list(object([("kind", action_kind().into()), ("closed", share()), ("skipped", integer()), ("overdue", integer())]))
}

/// N1, by month.
pub(super) fn lead_months() -> Schema {
    list(object([
        ("month", month()),
        ("opened", integer()),
        ("asked", integer()),
        ("ahead", integer()),
        ("median_ms", or_null(Type::Integer)),
    ]))
}

/// N1, by incident.
pub(super) fn leads() -> Schema {
    list(object([
        ("incident", id().into()),
        ("opened_ms", integer()),
        ("first_inquiry_ms", integer()),
        ("lead_ms", integer()),
    ]))
}
