//! The pages that people read in a browser: drawn by the server, in Japanese and English, without a script of a
//! foreign host. Everything that a form can do works without a script. Must not know how findings are made or where
//! they are stored: values come through the [`Handles`]. Called by the HTTP server.
mod assets;
mod batteries;
mod ble;
mod board;
mod budget;
mod compare;
mod concerns;
mod customers;
mod dead_letters;
mod drawn;
mod dressed;
mod evidence;
mod figures;
mod fleet;
mod gateways;
mod incident;
mod link;
mod list;
mod lock;
mod lock_figures;
mod login;
mod look;
mod offered;
mod past;
pub mod render;
mod row;
mod rules;
mod search;
mod silence;
mod step;
mod words;

pub(crate) use dressed::for_browsers;
pub use look::{Look, Theme};
pub use render::Pages;

use crate::SharedDesk;
use crate::http::Handles;
use crate::http::gate::{Guarded, Need, Role};
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
    offered: offered::Offered,
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

impl Shown {
    /// The desk that carries requests out.
    fn desk(&self) -> Result<&SharedDesk, Fault> {
        let off = "no desk works here; [desk] enabled = true turns it on";
        self.handles.desk.as_ref().ok_or(Fault { status: StatusCode::CONFLICT, text: off.to_owned() })
    }

    /// In whose name a request is carried out.
    fn name(&self, look: &Look) -> Result<String, Fault> {
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
fn to(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path.to_owned())]).into_response()
}

/// The pages in the desk's language and zone; `None`, and a word in the log, where a template has a mistake.
pub(crate) fn pages(handles: &Handles) -> Option<Pages> {
    let made = Pages::new(handles.language, handles.zone.clone(), &handles.gateway);
    made.inspect_err(|error| {
        tracing::error!(error = %zenei_store::with_causes(error), "a template has a mistake: there are no pages");
    })
    .ok()
}

/// The addresses of the pages, with what each needs.
pub(crate) fn routes(handles: &Handles) -> Guarded {
    let assets = Guarded::new().get("/assets/{name}", Need::Open, assets::serve);
    match pages(handles) {
        Some(pages) => {
            let shown = Shown {
                pages,
                handles: handles.clone(),
                customers: customers::Customers::default(),
                offered: Default::default(),
            };
            assets.merge(addresses().with_state(shown))
        }
        None => assets,
    }
}

fn addresses() -> Guarded<Shown> {
    Guarded::new()
        .get("/", Need::View, board::show)
        .get("/incidents", Need::View, list::show)
        .get("/incidents/{id}", Need::View, incident::show)
        .get("/incidents/{id}/chart.svg", Need::View, incident::picture)
        .post("/incidents/{id}/events", Need::Operate, step::take)
        .get("/silences", Need::View, silence::list)
        .post("/silences", Need::Operate, silence::add)
        .post("/silences/preview", Need::View, silence::preview)
        .post("/silences/{id}/end", Need::Operate, silence::end)
        .get("/login", Need::Open, login::show)
        .merge(panels())
}

/// The pages about locks, the fleet, rules and what is heard.
fn panels() -> Guarded<Shown> {
    Guarded::new()
        .get("/locks/{id}", Need::View, lock::show)
        .get("/locks/{id}/series.json", Need::View, lock::series)
        .get("/fleet", Need::View, fleet::show)
        .get("/fleet/batteries", Need::View, batteries::show)
        .get("/fleet/batteries.csv", Need::View, batteries::csv)
        .get("/fleet/compare", Need::View, compare::show)
        .get("/fleet/compare/series.json", Need::View, compare::series)
        .get("/rules", Need::View, rules::list)
        .get("/rules/{id}", Need::View, rules::show)
        .get("/gateways", Need::View, gateways::show)
        .get("/ble", Need::View, ble::show)
        .get("/dead-letters", Need::View, dead_letters::show)
        .get("/search", Need::View, search::show)
}

#[cfg(test)]
mod panel_tests;
#[cfg(test)]
mod tests;
