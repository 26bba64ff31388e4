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
mod shown;
mod silence;
mod step;
mod words;

pub(crate) use dressed::for_browsers;
pub use look::{Look, Theme};
pub use render::Pages;
pub(crate) use shown::{Fault, Shown, to};

use crate::http::Handles;
use crate::http::gate::{Guarded, Need};

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
