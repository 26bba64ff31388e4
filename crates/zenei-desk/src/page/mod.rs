//! The pages that people read in a browser: drawn by the server, in Japanese and English, without a script of a
//! foreign host. Everything that a form can do works without a script. Must not know how findings are made or where
//! they are stored: values come through the [`Handles`]. Called by the HTTP server.
mod assets;
mod board;
mod budget;
mod customers;
mod list;
mod look;
pub mod render;
mod row;
mod words;

pub use look::{Look, Theme};
pub use render::Pages;

use crate::http::Handles;
use crate::http::gate::{Guarded, Need};
use axum::http::StatusCode;
use axum::response::Response;

/// What every page's handler needs: `State<Shown>`.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// Draws the pages.
    pub(crate) pages: Pages,
    /// The values that they show.
    pub(crate) handles: Handles,
    /// Customers at risk, counted beside the pages.
    customers: customers::Customers,
}

impl Shown {
    /// Makes a page away from the threads that serve requests: it may read a store. The page that says what went wrong
    /// where it can't be made.
    pub(crate) async fn draw<F>(self, look: Look, make: F) -> Response
    where
        F: FnOnce(&Self, &Look) -> Result<Response, Fault> + Send + 'static,
    {
        let (pages, seen) = (self.pages.clone(), look.clone());
        let made = tokio::task::spawn_blocking(move || make(&self, &seen)).await;
        match made.unwrap_or_else(|error| Err(Fault::broken(&error))) {
            Ok(response) => response,
            Err(fault) => pages.error(fault.status, &look, &fault.text),
        }
    }
}

/// Why a page can't be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    /// What was found, for people.
    pub(crate) text: String,
}

impl Fault {
    /// There is nothing at this address.
    pub(crate) fn missing(text: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, text: text.into() }
    }

    /// The address or the form is none.
    pub(crate) fn malformed(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text: text.into() }
    }

    /// Something here does not work; the log has it too.
    pub(crate) fn broken(error: &(dyn std::error::Error + 'static)) -> Self {
        let text = zenei_store::with_causes(error);
        tracing::error!(error = %text, "a page can't be made");
        Self { status: StatusCode::SERVICE_UNAVAILABLE, text }
    }
}

/// The addresses of the pages, with what each needs.
pub(crate) fn routes(handles: &Handles) -> Guarded {
    let assets = Guarded::new().get("/assets/{name}", Need::Open, assets::serve);
    match Pages::new(handles.language, handles.zone.clone(), &handles.gateway) {
        Ok(pages) => {
            let shown = Shown { pages, handles: handles.clone(), customers: customers::Customers::default() };
            assets.merge(addresses().with_state(shown))
        }
        Err(error) => {
            tracing::error!(error = %zenei_store::with_causes(&error), "a template has a mistake: there are no pages");
            assets
        }
    }
}

fn addresses() -> Guarded<Shown> {
    Guarded::new().get("/", Need::View, board::show).get("/incidents", Need::View, list::show)
}

#[cfg(test)]
mod tests;
