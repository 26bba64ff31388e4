//! `GET /api/v1/audit`: who changed what, newest first. An unknown query parameter is refused. Must not know what a
//! change is. Called by the router.
use super::guarded::Guarded;
use super::need::Need;
use super::place::Gate;
use crate::http::problem::problem;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zenei_store::control::Audited;

/// How many rows an answer has where none is asked for.
const LIMIT_USUAL: u32 = 100;
/// The most rows of an answer; a guess: some 200 KiB.
const LIMIT_MAX: u32 = 1_000;

/// The route.
pub(in crate::http) fn routes(gate: Gate) -> Guarded {
    Guarded::new().get("/api/v1/audit", Need::Administer, list).with_state(gate)
}

/// Which rows.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Asked {
    /// Rows before this number only.
    #[param(maximum = 18_446_744_073_709_551_615_u64)]
    before: Option<u64>,
    /// How many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Who changed what.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditList)]
pub(in crate::http) struct Listed {
    audit: Vec<Line>,
    /// `before` of the next answer; null at the end.
    #[schema(required = true)]
    next: Option<u64>,
}

/// A row as JSON.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLine)]
struct Line {
    number: u64,
    at_ms: i64,
    name: String,
    role: String,
    method: String,
    path: String,
    subject: String,
    status: Option<u16>,
}

/// Lists who changed what, the newest first.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit", params(Asked),
    responses((status = 200, description = "The changes", body = Listed)),
)]
pub(in crate::http) async fn list(
    State(gate): State<Gate>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Asked { before, limit } = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    let limit = limit.unwrap_or(LIMIT_USUAL);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return problem(StatusCode::BAD_REQUEST, &format!("limit is {limit}; 1 to {LIMIT_MAX} are allowed"));
    }
    let found = match &gate.settings().audit {
        Some(audit) => audit.newest(before, limit).await,
        None => Ok(Vec::new()),
    };
    match found {
        Ok(rows) => {
            let next =
                rows.last().filter(|last| rows.len() == limit as usize && last.number > 1).map(|last| last.number);
            axum::Json(Listed { audit: rows.into_iter().map(Line::from).collect(), next }).into_response()
        }
        Err(error) => {
            tracing::error!(error = zenei_store::with_causes(&error), "the audit log can't be read");
            problem(StatusCode::SERVICE_UNAVAILABLE, "the audit log can't be read; the log says why")
        }
    }
}

impl From<Audited> for Line {
    fn from(Audited { number, row, status }: Audited) -> Self {
        let zenei_store::control::AuditRow { at_ms, name, role, method, path, subject } = row;
        Self { number, at_ms, name, role, method, path, subject, status }
    }
}
