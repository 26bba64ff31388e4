//! The keys that a person presses, read by a thread of their own, because reading the terminal blocks. Must not know
//! what a key means. Called by `scan` and `top`.
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long one poll for a key may take.
const LOOK: Duration = Duration::from_millis(100);

/// The keys; the thread ends with this value.
pub(super) struct Keys {
    keys: mpsc::Receiver<KeyEvent>,
    stop: Arc<AtomicBool>,
}

impl Keys {
    /// Begins to listen.
    pub(super) fn listen() -> Self {
        let (sender, keys) = mpsc::channel(64);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let event = match event::poll(LOOK) {
                    Ok(true) => event::read(),
                    Ok(false) => continue,
                    Err(error) => Err(error),
                };
                match event {
                    Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                        if sender.blocking_send(key).is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    // Without a keyboard only signals end the command.
                    Err(_) => return,
                }
            }
        });
        Self { keys, stop }
    }

    /// The next key; never, where there is no keyboard.
    pub(super) async fn next(&mut self) -> KeyEvent {
        match self.keys.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
