//! What every page's handler needs, and why a page can't be shown. Must not know a page. Used by all of them; made by
//! the module that lists their addresses.
use super::customers::Customers;
use super::look::Look;
use super::offered::Offered;
use super::render::Pages;
use crate::SharedDesk;
use crate::http::Handles;
use crate::http::gate::Role;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

/// What every page's handler needs: `State<Shown>`.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// Draws the pages.
    pub(crate) pages: Pages,
    /// The values that they show.
    pub(crate) handles: Handles,
    /// What the filter of the fleet offers, counted now and then.
    pub(crate) offered: Offered,
    /// Customers at risk, counted beside the pages.
    pub(crate) customers: Customers,
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

impl Shown {
    /// The desk that carries requests out.
    pub(crate) fn desk(&self) -> Result<&SharedDesk, Fault> {
        let off = "no desk works here; [desk] enabled = true turns it on";
        self.handles.desk.as_ref().ok_or(Fault { status: StatusCode::CONFLICT, text: off.to_owned() })
    }

    /// In whose name a request is carried out.
    pub(crate) fn name(&self, look: &Look) -> Result<String, Fault> {
        let known = look.caller.as_ref().filter(|caller| caller.role >= Role::Operator);
        let known = known.map(|caller| caller.name.clone());
        known.ok_or_else(|| Fault::forbidden("this needs the role operator; log in with a token that has it"))
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

    /// What the caller may not do.
    pub(crate) fn forbidden(text: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, text: text.into() }
    }

    /// Something here does not work now.
    pub(crate) fn unavailable(text: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, text: text.into() }
    }

    /// Something here does not work; the log has it too.
    pub(crate) fn broken(error: &(dyn std::error::Error + 'static)) -> Self {
        let text = zenei_store::with_causes(error);
        tracing::error!(error = %text, "a page can't be made");
        Self::unavailable(text)
    }
}

/// Leads to another page of this server.
pub(crate) fn to(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path.to_owned())]).into_response()
}
