//! The form that exchanges a token for a session. Must not know tokens or sessions: the gate takes the form. Mounted by
//! [`super::routes`].
use super::Shown;
use super::look::Look;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;
use serde::Deserialize;

/// What the gate says to the form.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// The path to go on to.
    #[serde(default)]
    next: String,
    /// Whether a token was refused.
    failed: Option<String>,
}

#[cfg(test)]
impl Asked {
    pub(super) fn of(next: &str) -> Self {
        Self { next: next.to_owned(), failed: Some(next.to_owned()) }
    }
}

/// Answers with the form.
pub(super) async fn show(
    State(shown): State<Shown>,
    look: Look,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    let failed = asked.failed.is_some();
    let status = if failed { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    shown.pages.page_with(status, "login.html", &look, context! { next => asked.next, failed })
}
