//! A radio that is kept listening, as its users see it: how to start it, how to take advertisements, how to stop it;
//! and a check whether the adapter is there. Must not know what the bytes mean. Called by the feed (which spools), by
//! the binary's `scan` (which shows) and by `doctor` (which checks the adapter).
use super::advertisement::{Advertisement, Judge, RadioCounters, Standing};
use super::air::Air;
use super::radio::{Adapter, RadioError, Station};
use super::status::{Hearing, Status};
use super::supervisor::Ladder;
use super::{service, tend};
use crate::source::Stop;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zenei_store::Clock;

/// How to listen.
pub struct ListenOptions {
    /// The adapter, `hci0`; `None` means the first one.
    pub adapter: Option<String>,
    /// The address of the D-Bus bus on which BlueZ is; `None` means the system bus, or the one in
    /// `DBUS_SYSTEM_BUS_ADDRESS`.
    pub bus: Option<String>,
    /// The watchdog's steps when registered locks fall silent.
    pub ladder: Ladder,
    /// Whether repetitions and floods of strangers are held back: for callers that store advertisements. A caller that
    /// only shows them takes all.
    pub news_only: bool,
    /// Judges whose an advertisement is. Called for each received one: it must be quick and not wait.
    pub judge: Judge,
    /// The clock.
    pub clock: Clock,
}

impl ListenOptions {
    /// The first adapter, the machine's clock, no registered locks, no watchdog: for a caller that only shows
    /// advertisements.
    pub fn onlooker() -> Self {
        let ladder = Ladder { watch: false, power_cycle: false, exit: false };
        Self {
            adapter: None,
            bus: None,
            ladder,
            news_only: false,
            judge: Box::new(|_| Standing::Stranger),
            clock: Clock::System,
        }
    }
}

/// A radio that is kept listening; dropping it ends the scan.
pub struct Listening {
    air: Arc<Air>,
    status: watch::Receiver<Status>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Starts to listen, within a tokio runtime, also where there is no adapter yet: then [`Listening::status`] reports
/// that, and opening is retried.
pub fn listen(options: ListenOptions) -> Listening {
    listen_and_count(options, Arc::default())
}

/// As [`listen`], with counters that another part reads, too.
pub(crate) fn listen_and_count(options: ListenOptions, counters: Arc<RadioCounters>) -> Listening {
    let ListenOptions { adapter, bus, ladder, news_only, judge, clock } = options;
    let station = Station { adapter, bus };
    let air = Arc::new(Air::new(judge, news_only, clock, counters));
    let (told, status) = watch::channel(Status::default());
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(tend::tend(station, ladder, Arc::clone(&air), told, Stop::new(stopped)));
    Listening { air, status, stop, task }
}

/// Checks whether the adapter of this name, or any, is there; changes nothing. Within a tokio runtime; the caller sets
/// the timeout.
///
/// # Errors
/// What is missing.
pub async fn look(adapter: Option<&str>) -> Result<Adapter, RadioError> {
    service::look(&Station { adapter: adapter.map(str::to_owned), bus: None }).await
}

impl Listening {
    /// The next advertisement; waits for one. Safe to cancel. Slow callers lose the oldest of each sender, counted in
    /// [`RadioCounters::dropped`].
    pub async fn next(&mut self) -> Advertisement {
        self.air.next().await
    }

    /// The next advertisement, if one waits already.
    pub fn take(&mut self) -> Option<Advertisement> {
        self.air.take()
    }

    /// The radio's status, now and after every change.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The counters.
    pub fn counters(&self) -> Arc<RadioCounters> {
        Arc::clone(&self.air.counters)
    }

    /// Waits for the end of the first attempt to open the radio. Safe to cancel.
    ///
    /// # Errors
    /// Why it does not listen, in one line; opening is retried all the same.
    pub async fn opened(&self) -> Result<(), String> {
        let mut status = self.status.clone();
        let tried = status.wait_for(|status| status.hearing != Hearing::Opening).await;
        match tried.as_deref().map(|status| &status.hearing) {
            Ok(Hearing::Down { reason }) => Err(reason.clone()),
            Ok(Hearing::Opening | Hearing::Scanning | Hearing::GivenUp) => Ok(()),
            Err(_) => Err("the listener has ended".to_owned()),
        }
    }

    /// Ends the scan and waits until the connection is closed.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // A task that panicked has closed its connection, too.
        drop((&mut self.task).await);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
