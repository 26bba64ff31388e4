//! The pages that people read in a browser: drawn by the server, in Japanese and English, without a script of a
//! foreign host. Everything that a form can do works without a script. Must not know how findings are made or where
//! they are stored: values come through the [`crate::Handles`]. Called by the HTTP server.
mod assets;
mod look;
pub mod render;
mod words;

pub use look::{Look, Theme};
pub use render::Pages;

use crate::http::gate::{Guarded, Need};

/// The addresses of the pages.
pub(crate) fn routes() -> Guarded {
    Guarded::new().get("/assets/{name}", Need::Open, assets::serve)
}
