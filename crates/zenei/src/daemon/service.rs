//! What a service manager is told over its socket (`NOTIFY_SOCKET`, as systemd has it): that zenei is ready, that it
//! ends, and, where a watchdog is set, that records still go through. Without a service manager nothing is sent. Must
//! not know what a record is. Called by `run`.
use sd_notify::NotifyState;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use zenei_store::Ledger;

/// So many signs of life fit into the time after which the service manager takes a service for hung. A guess: it asks
/// for two, and one may be late on a busy machine.
const SIGNS: u32 = 4;

/// Tells that zenei listens, and where.
pub(crate) fn ready(listening: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(listening)]);
}

/// Tells that zenei ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("zenei ends: what was heard is stored")]);
}

/// Gives signs of life as long as the thread that processes records goes on: it shows its ledger at least once a
/// second, and no longer once it hangs. Returns when it has ended; at once where no watchdog is set.
pub(crate) async fn live(ledger: watch::Receiver<Ledger>) {
    if let Some(within) = sd_notify::watchdog_enabled() {
        live_within(ledger, within, || tell(&[NotifyState::Watchdog])).await;
    }
}

async fn live_within(mut ledger: watch::Receiver<Ledger>, within: Duration, mut sign: impl FnMut()) {
    while ledger.changed().await.is_ok() {
        sign();
        sleep(within / SIGNS).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager can't be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use tokio::time::timeout;

    /// How many signs come in ten seconds with a watchdog of two, while the ledger is shown in the first so many.
    async fn signs(shown_s: u32) -> u32 {
        let (shows, ledger) = watch::channel(Ledger::default());
        let signs = Cell::new(0);
        let shown = async {
            for second in 1..=u32::MAX {
                sleep(Duration::from_secs(1)).await;
                if second <= shown_s {
                    shows.send_replace(Ledger::default());
                }
            }
        };
        let live = live_within(ledger, Duration::from_secs(2), || signs.set(signs.get() + 1));
        let both = async { tokio::join!(shown, live) };
        assert!(timeout(Duration::from_millis(10_500), both).await.is_err());
        signs.get()
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_come_while_the_ledger_is_shown_and_end_with_it() {
        assert_eq!(signs(60).await, 10);
        assert_eq!(signs(3).await, 3, "a thread that hangs gives none");
    }
}
