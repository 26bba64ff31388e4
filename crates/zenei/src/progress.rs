//! How far is a long piece of work? A bar or a spinner on standard error while a person watches, and nothing in pipes:
//! results and logs stay as they are. Must not know the work. Called by commands that may take longer than a second.
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, Read};
use std::time::Duration;

/// How often a spinner turns. A guess: fast enough to look alive.
const TURN: Duration = Duration::from_millis(120);

/// A bar or a spinner; taken away when it is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar over so many bytes.
    pub(crate) fn bytes(what: &'static str, bytes: u64) -> Self {
        Self::shown(ProgressBar::new(bytes), what, "{msg} {bar:30} {bytes} of {total_bytes}, {eta} left")
    }

    /// A spinner, for work whose end nobody knows.
    pub(crate) fn spinner(what: &'static str) -> Self {
        let shown = Self::shown(ProgressBar::new_spinner(), what, "{spinner} {msg} {elapsed}");
        if !shown.0.is_hidden() {
            shown.0.enable_steady_tick(TURN);
        }
        shown
    }

    fn shown(bar: ProgressBar, what: &'static str, template: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        bar.set_message(what);
        Self(bar)
    }

    /// Counts what is read.
    pub(crate) fn reading<R: Read>(&self, from: R) -> impl Read + use<R> {
        self.0.wrap_read(from)
    }

    /// Says what is done now.
    pub(crate) fn say(&self, what: &'static str) {
        self.0.set_message(what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
