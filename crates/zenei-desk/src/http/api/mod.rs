//! `/api/v1`: incidents, silences, locks, cohorts, gateways, inquiries and the desk's figures as JSON, and a stream of
//! what changes. An unknown parameter or field is refused, so that a mistyped filter never lists everything. Must not
//! know a store's form: all comes through the [`Handles`]. Called by the router.
mod ask;
mod events;
mod incident;
mod incidents;
mod shapes;
mod stream;

use super::gate::{Guarded, Need};
use super::handles::Handles;
use ask::Wrong;
use std::sync::Arc;
use stream::Stream;

/// What the routes of the API work on; clones share one.
#[derive(Clone, Debug)]
pub(super) struct Api {
    handles: Arc<Handles>,
    stream: Arc<Stream>,
}

impl Api {
    /// The desk, to write through.
    fn desk(&self) -> Result<&crate::SharedDesk, Wrong> {
        self.handles.desk.as_ref().ok_or_else(Wrong::no_desk)
    }
}

/// The routes of the API.
pub(super) fn routes(handles: &Handles) -> Guarded {
    let handles = Arc::new(handles.clone());
    let api = Api { stream: Arc::new(Stream::new(Arc::clone(&handles))), handles };
    Guarded::new()
        .get("/api/v1/incidents", Need::View, incidents::list)
        .get("/api/v1/incidents/{id}", Need::View, incidents::show)
        .post("/api/v1/incidents/{id}/events", Need::Operate, events::add)
        .stream("/api/v1/stream", Need::View, stream::listen)
        .with_state(api)
}

#[cfg(test)]
mod tests;
