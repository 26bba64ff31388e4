//! When somebody wants the process to end: SIGINT (Ctrl-C) or SIGTERM asks, and a second one is obeyed at once. Called by `run` and `demo`.
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Turns true once somebody asks for the end. Clones tell the same.
#[derive(Clone, Debug)]
pub(crate) struct Asked(watch::Receiver<bool>);

impl Asked {
    /// Whether somebody asked.
    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once somebody asks. Safe to cancel.
    pub(crate) async fn wait(&mut self) {
        // The sender lives as long as the process.
        drop(self.0.wait_for(|&asked| asked).await);
    }
}

/// Listens for signals on the runtime that this is called in.
///
/// # Errors
/// Where the system does not allow it.
pub(crate) fn listen() -> io::Result<Asked> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            let number = tokio::select! {
                _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
                _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
            };
            if sender.send_replace(true) {
                // What is acknowledged is durable: ending here loses nothing. The shell's code for an end by a signal.
                std::process::exit(128 + number);
            }
            tracing::info!(signal = number, "ending; once more ends at once");
        }
    });
    Ok(Asked(receiver))
}
