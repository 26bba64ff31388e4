//! Asks the history for a page, off the threads that answer requests: every question of it blocks. Must not know what
//! is asked. Called by the pages that show the past.
use super::{Look, Shown, words};
use axum::http::StatusCode;
use axum::response::Response;
use zenei_store::history::{History, HistoryError};

/// The answer; `None` where the history can't be read, which the log says.
pub(super) async fn ask<T: Send + 'static>(
    shown: &Shown,
    question: impl FnOnce(&History) -> Result<T, HistoryError> + Send + 'static,
) -> Option<T> {
    let history = shown.handles.history.clone();
    match tokio::task::spawn_blocking(move || question(&history)).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::warn!(error = %zenei_store::with_causes(&error), "a page can't read the history");
            None
        }
        Err(error) => {
            tracing::error!(%error, "a question to the history panicked");
            None
        }
    }
}

/// The page instead.
pub(super) fn unreadable(shown: &Shown, look: &Look) -> Response {
    let text = words::find("past_unreadable", shown.pages.lang(look)).unwrap_or_default();
    shown.pages.error(StatusCode::SERVICE_UNAVAILABLE, look, text)
}
