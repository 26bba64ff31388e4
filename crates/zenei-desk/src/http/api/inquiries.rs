//! `POST /api/v1/inquiries`: a customer's inquiry, as its row in a file says it. The same inquiry again changes
//! nothing, so that whoever sends may try again. Must not know how it is stored. Called by the router.
use super::ask::{Plain, Said, Wrong, apart};
use super::served::Api;
use crate::http::gate::Subject;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zenei_detect::Urgency;
use zenei_incident::Inquiry;

/// The longest text of an inquiry, in characters; a guess: several pages.
const TEXT_CHARS_MAX: usize = 10_000;

/// An inquiry.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewInquiry)]
pub(super) struct New {
    /// Its id where it comes from.
    #[schema(value_type = String, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    id: Plain,
    /// When the customer made contact, by RFC 3339 with its offset.
    #[schema(format = DateTime, value_type = String)]
    received_at: String,
    /// Who asked.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    customer: Option<Plain>,
    /// The lock, where it is known.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    device_id: Option<Plain>,
    /// `最高`, `高`, `中` or `低`, or these in English; absent until somebody judged it.
    #[serde(default)]
    #[schema(schema_with = super::shapes::level)]
    urgency: Option<Level>,
    /// What the customer said.
    #[serde(default)]
    #[schema(max_length = 10000)]
    text: String,
}

/// A level in English or in Japanese.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    #[serde(alias = "最高")]
    Highest,
    #[serde(alias = "高")]
    High,
    #[serde(alias = "中")]
    Medium,
    #[serde(alias = "低")]
    Low,
}

impl From<Level> for Urgency {
    fn from(level: Level) -> Self {
        match level {
            Level::Highest => Self::Highest,
            Level::High => Self::High,
            Level::Medium => Self::Medium,
            Level::Low => Self::Low,
        }
    }
}

/// An inquiry that is stored.
#[derive(Serialize, ToSchema)]
#[schema(as = StoredInquiry)]
pub(super) struct Stored {
    id: String,
    /// ms since 1970.
    received_ms: i64,
    /// Whether it was not stored before.
    is_new: bool,
}

/// Stores a customer's inquiry, once by its id.
#[utoipa::path(
    post, path = "/api/v1/inquiries", tag = "inquiries", request_body = New,
    responses(
        (status = 201, description = "It is stored", body = Stored),
        (status = 200, description = "It was stored before", body = Stored),
        (status = 409, description = "Another inquiry has this id, or no desk runs here"),
    ),
)]
pub(super) async fn add(State(api): State<Api>, Said(new): Said<New>) -> Result<Response, Wrong> {
    let inquiry = read(new)?;
    let desk = api.desk()?.clone();
    apart(move || {
        let (id, received_ms) = (inquiry.id.clone(), inquiry.received_ms);
        let is_new = desk.add_inquiry(&inquiry).map_err(|error| Wrong::broken(&error))?;
        let Some(is_new) = is_new else {
            return Err(Wrong::conflict(format!("another inquiry has the id {id:?}; an inquiry does not change")));
        };
        let code = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        let subject = Extension(Subject(id.clone()));
        Ok((code, subject, Json(Stored { id, received_ms, is_new })).into_response())
    })
    .await
}

fn read(new: New) -> Result<Inquiry, Wrong> {
    let found = &new.received_at;
    let received: jiff::Timestamp = found
        .parse()
        .map_err(|_| Wrong::bad(format!("received_at is {found:?}; a time by RFC 3339 with its offset is wanted")))?;
    let chars = new.text.chars().count();
    if chars > TEXT_CHARS_MAX {
        return Err(Wrong::bad(format!("text has {chars} characters; at most {TEXT_CHARS_MAX} are allowed")));
    }
    Ok(Inquiry {
        id: new.id.0,
        received_ms: received.as_millisecond(),
        customer: new.customer.map(|word| word.0).unwrap_or_default(),
        device_id: new.device_id.map(|word| word.0),
        urgency: new.urgency.map(Urgency::from),
        text: new.text,
    })
}
