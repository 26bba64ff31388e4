//! Does a request pass? The one place that decides who may ask what. Must not know what a route does. A layer around
//! every route of [`super::Guarded`].
use super::caller::{Caller, Role};
use super::need::{Need, Route};
use crate::http::problem::problem;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use std::net::SocketAddr;
use std::sync::Arc;

/// How the gate is set.
#[derive(Clone, Debug)]
pub struct GateSettings {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// What callers on this machine may do without a token; `None`: nothing.
    pub loopback: Option<Role>,
}

/// The gate of one server; clones share one state.
#[derive(Clone, Debug)]
pub struct Gate(Arc<GateSettings>);

impl Gate {
    /// A gate with these settings.
    pub fn new(settings: GateSettings) -> Self {
        Self(Arc::new(settings))
    }

    /// A gate on loopback, without tokens: everybody on this machine reads, nobody changes anything.
    pub fn loopback() -> Self {
        Self::new(GateSettings { listen: ([127, 0, 0, 1], 0).into(), loopback: Some(Role::Viewer) })
    }

    fn caller(&self) -> Option<Caller> {
        let is_near = self.0.listen.ip().is_loopback();
        self.0.loopback.filter(|_| is_near).map(Caller::loopback)
    }
}

/// The gate as one route meets it.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) gate: Gate,
    pub(super) route: Route,
}

/// Lets a request through, or answers in its place.
pub(super) async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let Some(least) = guard.route.need.role() else { return next.run(request).await };
    match guard.gate.caller() {
        Some(caller) if caller.role >= least => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Some(_) | None => problem(StatusCode::UNAUTHORIZED, wants(guard.route.need)),
    }
}

fn wants(need: Need) -> &'static str {
    match need {
        Need::Open => "this needs nothing",
        Need::View => "this needs a token: Authorization: Bearer …",
        Need::Operate => "this needs the token of an operator: Authorization: Bearer …",
        Need::Administer => "this needs the token of an admin: Authorization: Bearer …",
    }
}
