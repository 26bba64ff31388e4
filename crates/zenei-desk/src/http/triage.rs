//! `POST /api/v1/triage`: how urgent is what somebody saw, and would it open an incident? Judges facts by the desk's
//! policy, as `zenei triage --stdin` does, and changes nothing. Must not know the store. Called by the router.
use super::api::{FactsShape, JudgedShape};
use super::gate::{Guarded, Need};
use super::problem::problem;
use crate::Incidents;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use zenei_incident::Policy;
use zenei_incident::urgency::Facts;

/// The longest facts, bytes; a guess, a hundred times the usual.
const FACTS_MAX_BYTES: usize = 1 << 16;

/// The route.
pub(super) fn routes(policy: Arc<Policy>, incidents: Incidents) -> Guarded {
    Guarded::new().post("/api/v1/triage", Need::View, judge).body_max(FACTS_MAX_BYTES).with_state((policy, incidents))
}

/// Judges how urgent it is what somebody saw, and whether it would open an incident; changes nothing.
#[utoipa::path(
    post, path = "/api/v1/triage", tag = "incidents",
    request_body(content = inline(FactsShape)),
    responses(
        (status = 200, description = "The judgement", body = inline(JudgedShape)),
        (status = 404, description = "No lock is of this service"),
    ),
)]
pub(super) async fn judge(State((policy, incidents)): State<(Arc<Policy>, Incidents)>, body: Bytes) -> Response {
    match super::api::read::<Facts>(&body) {
        Ok(facts) => match (facts.check(), policy.asked(&facts, &incidents.read().places)) {
            (Err(text), _) => problem(StatusCode::BAD_REQUEST, &text),
            (Ok(()), Ok(judged)) => axum::Json(judged).into_response(),
            (Ok(()), Err(text)) => problem(StatusCode::NOT_FOUND, &text),
        },
        Err(error) => problem(StatusCode::BAD_REQUEST, &format!("these are no facts: {error}")),
    }
}
