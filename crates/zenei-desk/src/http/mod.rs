//! The HTTP server of the desk: health, readiness, metrics, incidents as JSON, triage, and the addresses of remotes
//! that prove who sends ([`Inward`]). Every other route stands behind the [`gate`], by one list of routes. Must not
//! open a store: all values come through the [`Handles`]. Called by the binary's `run` and `demo`.
mod api;
mod dress;
mod exposition;
pub mod gate;
mod handles;
mod metrics;
mod own_metrics;
mod patient;
pub(crate) mod problem;
pub mod readiness;
mod rule_metrics;
mod server;
mod traffic;
mod triage;

pub use gate::{Gate, GateSettings, Guarded};
pub use handles::Handles;
pub use own_metrics::{Metric, MetricValue, OwnMetrics};
pub use readiness::{Part, Readiness};
pub use traffic::Traffic;

use crate::notify::inward::Inward;
use crate::page::for_browsers;
use axum::Router;
use axum::extract::{Extension, Request};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use gate::{Caller, Need};
use problem::problem;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Why the server can't start.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {listen}")]
pub struct ServeError {
    /// The requested address.
    pub listen: SocketAddr,
    /// The system's error.
    #[source]
    pub source: std::io::Error,
}

/// Serves in a task of its own until `shutdown`, and returns the bound address (with the port chosen by the system
/// where port 0 was requested). Open requests are answered to their end.
///
/// # Errors
/// Where the address can't be listened on.
pub async fn serve(
    listen: SocketAddr,
    handles: Handles,
    inward: Inward,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<SocketAddr, ServeError> {
    let failed = |source| ServeError { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tokio::spawn(server::accept(
        listener,
        router(&handles, inward),
        (handles.gate, handles.traffic, server::CONNECTIONS_MAX),
        shutdown,
    ));
    tracing::info!(%address, "http is served");
    Ok(address)
}

/// Every route of the server with what it needs.
fn routes(handles: &Handles, inward: Inward) -> Guarded {
    let mut measured = handles.clone();
    measured.own.push(own_metrics(handles.traffic.clone(), handles.gate.clone()));
    let metrics = Arc::new(metrics::registry(measured));
    let (ready, readiness) = (handles.ready.clone(), handles.readiness.clone());
    Guarded::new()
        .get("/healthz", Need::Open, async || axum::Json(serde_json::json!({ "status": "ok" })))
        .get("/readyz", Need::Open, move |caller: Option<Extension<Caller>>| {
            shown(*ready.borrow(), readiness.clone(), caller.is_some())
        })
        .get("/metrics", Need::View, async move |headers: HeaderMap| exposition::answer(metrics.clone(), headers).await)
        .merge(api::routes(handles))
        .merge(triage::routes(handles.policy.clone(), handles.incidents.clone()))
        .merge(crate::page::routes(handles))
        .merge(gate::login::routes(handles.gate.clone()))
        .merge(gate::enter::routes(handles.gate.clone()))
        .merge(gate::changes::routes(handles.gate.clone()))
        .checked_by_itself(inward.routes(), inward.into_router())
}

fn router(handles: &Handles, inward: Inward) -> Router {
    let traffic = handles.traffic.clone();
    let remotes: Arc<[&'static str]> = inward.routes().iter().map(|route| route.path).collect();
    let pages = crate::page::pages(handles);
    routes(handles, inward)
        .into_router(&handles.gate)
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async |method: Method| {
            problem(StatusCode::METHOD_NOT_ALLOWED, &format!("this path does not answer {method}"))
        })
        .layer(from_fn_with_state(pages, for_browsers))
        .layer(map_response(dress::dress))
        .layer(from_fn(move |request: Request, next: Next| traffic.clone().count(Arc::clone(&remotes), request, next)))
}

fn own_metrics(traffic: Traffic, gate: Gate) -> OwnMetrics {
    OwnMetrics::new(move || traffic.metrics(gate.refused_connections()))
}

#[derive(Serialize)]
struct Shown {
    status: &'static str,
    parts: Vec<Part>,
}

/// Ready where records are received and stored, and every part is. Why is told to those who may read: it names hosts.
async fn shown(is_ready: bool, readiness: Readiness, is_known: bool) -> Response {
    // The disk may be slow, and the outbox busy.
    let Ok(mut parts) = tokio::task::spawn_blocking(move || readiness.parts()).await else {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "a part can't be asked");
    };
    if !is_known {
        parts.iter_mut().for_each(|part| part.why.clear());
    }
    let (code, status) = if is_ready && parts.iter().all(|part| part.is_ready) {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    (code, axum::Json(Shown { status, parts })).into_response()
}

#[cfg(test)]
mod gate_stay_tests;
#[cfg(test)]
mod gate_tests;
#[cfg(test)]
mod tests;
