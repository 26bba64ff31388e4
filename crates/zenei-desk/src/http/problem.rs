//! An answer that reports an error, as JSON. Must not know what went wrong. Called by the routes and by the gate.
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// An answer that reports an error: what was found, what is allowed.
pub(crate) fn problem(code: StatusCode, text: &str) -> Response {
    (code, axum::Json(serde_json::json!({ "error": text }))).into_response()
}
