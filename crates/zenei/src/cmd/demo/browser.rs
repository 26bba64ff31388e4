//! Opens a page in the person's browser, where there is a display. Must not know the page. Called by `demo`, and only
//! where a person watches.
use std::process::{Command, Stdio};

/// What opens an address on this system.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Asks the system to open this address; does nothing without a display, and where there is no browser: the address
/// stands in the terminal too.
pub(super) fn open(address: &str) {
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if !has_display && !cfg!(target_os = "macos") {
        return;
    }
    let quiet =
        Command::new(OPENER).arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Ok(mut opener) = quiet {
        // It ends when the browser has the address; nobody waits for it.
        std::thread::spawn(move || opener.wait());
    }
}
