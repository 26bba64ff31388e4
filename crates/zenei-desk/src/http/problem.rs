//! An answer that reports an error, as JSON. Must not know what went wrong. Called by the routes and by the gate.
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not carried out.
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem<'a> {
    /// What was found, what is allowed or missing.
    pub(crate) error: &'a str,
}

/// An answer that reports an error: what was found, what is allowed.
pub(crate) fn problem(code: StatusCode, text: &str) -> Response {
    (code, axum::Json(Problem { error: text })).into_response()
}
