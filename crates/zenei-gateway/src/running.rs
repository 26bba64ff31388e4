//! A running gateway as its owner sees it: what it reports, what it can be asked for, how it is stopped. Must not know
//! how it was assembled. Called by the binary's `run`, `demo` and `forget`, and by end-to-end tests.
use crate::driver::{DriverError, Progress};
use crate::processing::Processing;
use crate::source::Counters;
use crate::source::ble::BleHandle;
use crate::spool::Closed;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zenei_store::{Clock, Ledger};
use zenei_wire::GatewayTime;

/// How long the sources may take to end. A guess, longer than each of them gives its peer.
const SOURCES_WITHIN: Duration = Duration::from_secs(15);

/// Why a running gateway does not fulfil a request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GatewayError {
    /// The driver stopped with an error.
    #[error("processing has stopped")]
    Driver(#[source] Arc<DriverError>),
    /// A thread panicked: a fault in the program.
    #[error("a thread of the gateway has panicked")]
    Panicked,
    /// It was stopped before.
    #[error("the gateway has stopped")]
    Stopped,
}

/// A running gateway. Dropping it stops it, too, but waits for nothing.
pub struct Running {
    pub(crate) ingress_addr: Option<SocketAddr>,
    pub(crate) processing: Processing,
    pub(crate) counters: Arc<Counters>,
    pub(crate) radio: Option<BleHandle>,
    pub(crate) clock: Clock,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) sources: JoinSet<()>,
}

impl Running {
    /// The ingress's address; `None` without an ingress.
    pub fn ingress_addr(&self) -> Option<SocketAddr> {
        self.ingress_addr
    }

    /// The ledger as it was last published.
    pub fn ledger(&self) -> watch::Receiver<Ledger> {
        self.processing.ledger.clone()
    }

    /// How far processing has come.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.processing.progress.clone()
    }

    /// The counters of the sources.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// The radio; `None` without one.
    pub fn radio(&self) -> Option<BleHandle> {
        self.radio.clone()
    }

    /// The gateway's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sets a simulated clock to `now` and advances time to it, after everything acknowledged so far.
    ///
    /// # Errors
    /// Where the gateway has stopped.
    pub async fn tick(&self, now: GatewayTime) -> Result<(), GatewayError> {
        self.clock.set(now);
        self.mark().await.map(drop)
    }

    /// Waits until everything acknowledged so far is processed, and time has advanced to the clock.
    ///
    /// # Errors
    /// Where the gateway has stopped, or stops before that.
    pub async fn drain(&self) -> Result<Progress, GatewayError> {
        let end = self.mark().await?;
        let at_ms = self.processing.durable.view().at.ms();
        self.reach(|progress| progress.processed >= end && progress.now.ms() >= at_ms).await
    }

    /// Waits until everything acknowledged so far is processed and in the store.
    ///
    /// # Errors
    /// Where the gateway has stopped, or stops before that.
    pub async fn seal(&self) -> Result<Progress, GatewayError> {
        self.mark().await?;
        let mut wish = 0;
        self.processing.durable.change(|view| {
            view.seal_wishes += 1;
            wish = view.seal_wishes;
        });
        self.reach(|progress| progress.seal_wishes >= wish).await
    }

    /// Returns when processing has stopped by itself.
    pub async fn failed(&self) -> GatewayError {
        let mut outcome = self.processing.outcome.clone();
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Err(error))) => GatewayError::Driver(Arc::clone(error)),
            Ok(Some(Ok(()))) => GatewayError::Stopped,
            Ok(None) | Err(_) => GatewayError::Panicked,
        }
    }

    /// Stops: the sources acknowledge the messages they have received and close, the rest is processed and sealed, the
    /// checkpoint is committed, the threads end.
    ///
    /// # Errors
    /// Where processing failed; acknowledged messages are safe, and the next start continues from the last checkpoint.
    pub async fn stop(mut self) -> Result<Ledger, GatewayError> {
        self.stop.send_replace(true);
        let ended = async { while self.sources.join_next().await.is_some() {} };
        if tokio::time::timeout(SOURCES_WITHIN, ended).await.is_err() {
            tracing::warn!("the sources did not end in time and are cut off");
        }
        self.sources.shutdown().await;
        self.processing.inlet.close();
        let end = self.failed().await;
        for thread in std::mem::take(&mut self.processing.threads) {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                return Err(GatewayError::Panicked);
            }
        }
        match end {
            GatewayError::Stopped => Ok(self.processing.ledger.borrow().clone()),
            GatewayError::Driver(_) | GatewayError::Panicked => Err(end),
        }
    }

    async fn mark(&self) -> Result<u64, GatewayError> {
        match self.processing.inlet.mark().await {
            Ok(end) => Ok(end),
            Err(Closed) => Err(self.failed().await),
        }
    }

    async fn reach(&self, reached: impl FnMut(&Progress) -> bool) -> Result<Progress, GatewayError> {
        let mut progress = self.processing.progress.clone();
        match progress.wait_for(reached).await.as_deref() {
            Ok(&progress) => Ok(progress),
            Err(_) => Err(self.failed().await),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.processing.inlet.close();
    }
}
