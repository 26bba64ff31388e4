//! `/api/v1`: incidents, silences, locks, cohorts, gateways, inquiries and the desk's figures as JSON, and a stream of
//! what changes. An unknown parameter or field is refused, so that a mistyped filter never lists everything. Must not
//! know a store's form: all comes through the [`Handles`]. Called by the router.
mod ask;
mod cohorts;
mod events;
mod field;
mod figure_shapes;
mod figures;
mod fleet_shapes;
mod gateways;
mod incident;
mod incidents;
mod inquiries;
mod locks;
mod openapi;
mod served;
mod shapes;
mod silences;
mod stream;
mod triage_shapes;

use super::gate::{Guarded, Need};
use super::handles::Handles;
pub(super) use ask::read;
pub(super) use triage_shapes::{FactsShape, JudgedShape};

use served::Api;
use std::sync::Arc;
use stream::Stream;

/// The routes of the API.
pub(super) fn routes(handles: &Handles) -> Guarded {
    let handles = Arc::new(handles.clone());
    let api = Api { stream: Arc::new(Stream::new(Arc::clone(&handles))), handles };
    Guarded::new()
        .get("/api/v1/incidents", Need::View, incidents::list)
        .get("/api/v1/incidents/{id}", Need::View, incidents::show)
        .post("/api/v1/incidents/{id}/events", Need::Operate, events::add)
        .get("/api/v1/silences", Need::View, silences::list)
        .post("/api/v1/silences", Need::Operate, silences::add)
        .post("/api/v1/silences/preview", Need::View, silences::preview)
        .post("/api/v1/silences/{id}/end", Need::Operate, silences::end)
        .get("/api/v1/locks", Need::View, locks::list)
        .get("/api/v1/locks/{id}", Need::View, locks::show)
        .get("/api/v1/locks/{id}/series", Need::View, locks::series)
        .get("/api/v1/locks/{id}/operations", Need::View, locks::operations)
        .get("/api/v1/cohorts/compare", Need::View, cohorts::compare)
        .get("/api/v1/cohorts/{dimension}", Need::View, cohorts::values)
        .get("/api/v1/cohorts/{dimension}/{value}/series", Need::View, cohorts::series)
        .get("/api/v1/gateways", Need::View, gateways::gateways)
        .get("/api/v1/receptions", Need::View, gateways::receptions)
        .get("/api/v1/dead-letters", Need::View, gateways::dead_letters)
        .get("/api/v1/search", Need::View, gateways::search)
        .get("/api/v1/rules", Need::View, gateways::rules)
        .post("/api/v1/inquiries", Need::Operate, inquiries::add)
        .get("/api/v1/metrics/inquiries", Need::View, figures::inquiries)
        .get("/api/v1/metrics/channel_rate", Need::View, figures::channel_rate)
        .get("/api/v1/metrics/progress", Need::View, figures::progress)
        .get("/api/v1/metrics/postmortem_rate", Need::View, figures::postmortem_rate)
        .get("/api/v1/metrics/action_rate", Need::View, figures::action_rate)
        .get("/api/v1/metrics/lead_time", Need::View, figures::lead_time)
        .get("/api/openapi.json", Need::Open, openapi::show)
        .stream("/api/v1/stream", Need::View, stream::listen)
        .with_state(api)
}

#[cfg(test)]
mod tests;
