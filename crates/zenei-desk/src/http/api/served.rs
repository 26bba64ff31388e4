//! What the routes of the API work on. Must not know a route. Used by every route of the API.
use super::ask::Wrong;
use super::stream::Stream;
use crate::SharedDesk;
use crate::http::Handles;
use axum::extract::FromRef;
use std::sync::Arc;

/// What the routes of the API work on; clones share one.
#[derive(Clone, Debug)]
pub(in crate::http) struct Api {
    pub(super) handles: Arc<Handles>,
    pub(super) stream: Arc<Stream>,
}

impl Api {
    /// The desk, to write through.
    pub(super) fn desk(&self) -> Result<&SharedDesk, Wrong> {
        self.handles.desk.as_ref().ok_or_else(Wrong::no_desk)
    }
}

impl FromRef<Api> for Arc<Stream> {
    fn from_ref(api: &Api) -> Self {
        Self::clone(&api.stream)
    }
}
