//! The pages that people read in a browser: drawn by the server, in Japanese and English, without a script of a
//! foreign host. Everything that a form can do works without a script. Must not know how findings are made or where
//! they are stored: values come through the [`Handles`]. Called by the HTTP server.
mod assets;
mod look;
pub mod render;
mod words;

pub use look::{Look, Theme};
pub use render::Pages;

use crate::http::Handles;
use crate::http::gate::{Guarded, Need};

/// What every page's handler needs: `State<Shown>`.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// Draws the pages.
    pub(crate) pages: Pages,
    /// The values that they show.
    pub(crate) handles: Handles,
}

/// The addresses of the pages, with what each needs.
pub(crate) fn routes(handles: &Handles) -> Guarded {
    let assets = Guarded::new().get("/assets/{name}", Need::Open, assets::serve);
    match Pages::new(handles.language, handles.zone.clone(), &handles.gateway) {
        Ok(pages) => assets.merge(addresses().with_state(Shown { pages, handles: handles.clone() })),
        Err(error) => {
            tracing::error!(error = %zenei_store::with_causes(&error), "a template has a mistake: there are no pages");
            assets
        }
    }
}

fn addresses() -> Guarded<Shown> {
    Guarded::new()
}
