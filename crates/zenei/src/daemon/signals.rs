//! Requests to end the process: the first SIGINT (Ctrl-C) or SIGTERM asks for a clean end, a later one ends the
//! process at once. Called by `run`, `demo` and `scan`.
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Signals within this time count as one request: `timeout` and process managers signal the process and then its whole
/// group. A guess, shorter than a second press of a key.
const ONE_WISH: Duration = Duration::from_millis(300);

/// Turns true once the end is requested. Clones share the state.
#[derive(Clone, Debug)]
pub(crate) struct Asked(watch::Receiver<bool>);

impl Asked {
    /// Whether the end was requested.
    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once the end is requested. Safe to cancel.
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
            let number = either(&mut interrupt, &mut terminate).await;
            if sender.send_replace(true) {
                // Acknowledged messages are durable: ending here loses nothing. The shell's code for an end by a
                // signal.
                std::process::exit(128 + number);
            }
            tracing::info!(signal = number, "ending; once more ends at once");
            let wish = tokio::time::sleep(ONE_WISH);
            tokio::pin!(wish);
            loop {
                tokio::select! {
                    () = &mut wish => break,
                    _ = either(&mut interrupt, &mut terminate) => {}
                }
            }
        }
    });
    Ok(Asked(receiver))
}

/// The next signal's number.
async fn either(interrupt: &mut Signal, terminate: &mut Signal) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
    }
}
