//! A running gateway: sources, appender and driver, started in the order in which each needs the next, and stopped in the other one. Knows how they are
//! connected and nothing of what they do. Called by the binary's `run` and `demo`, and by end-to-end tests.
use crate::appender::{AckPolicy, Appender, Closed, Ignored, Inlet, queue};
use crate::driver::{Driver, DriverError, Parts, Progress, RecoverError, Saved};
use crate::horizon::Horizon;
use crate::seal_limits::SealLimits;
use crate::source::ble::{self, BleConfig, BleHandle, Feed};
use crate::source::ingress::{Ingress, IngressLimits};
use crate::source::mqtt::{MqttConfig, MqttConfigError, Subscriber};
use crate::source::sessions::Sessions;
use crate::source::{Counters, Stop};
use crate::stamp::Stamp;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zenei_detect::{Desk, Keyring, Registration};
use zenei_store::clock::Clock;
use zenei_store::disk::{Disk, RealDisk};
use zenei_store::layout::{LockError, StateLock};
use zenei_store::{Control, Layout, Ledger, PipelineMaker, Source, Spool, SpoolError, SpoolOptions};
use zenei_wire::GatewayTime;

/// How long the sources may take to end. A guess, longer than each of them gives its peer.
const SOURCES_WITHIN: Duration = Duration::from_secs(15);

/// What a gateway hears, where it keeps it, and how.
pub struct GatewayConfig {
    /// The state directory; one gateway at a time uses it.
    pub state_dir: PathBuf,
    /// The gateway's id, stamped on every stored row.
    pub gateway_id: String,
    /// What time it is.
    pub clock: Clock,
    /// Where hubs publish directly; `None`: nowhere.
    pub ingress: Option<SocketAddr>,
    /// What those hubs may take.
    pub ingress_limits: IngressLimits,
    /// The broker; `None`: none.
    pub mqtt: Option<MqttConfig>,
    /// The radio; `None`: none.
    pub ble: Option<BleConfig>,
    /// What the asset registry says.
    pub registry: Vec<Registration>,
    /// Whose the addresses of advertisements are, and with which keys they speak.
    pub keys: Arc<Keyring>,
    /// Makes intake and engine, of a snapshot or without history.
    pub pipeline: PipelineMaker,
    /// When what was processed goes to the store.
    pub seal: SealLimits,
    /// How large the spool may become.
    pub spool: SpoolOptions,
    /// When a source is told that a message is safe.
    pub ack: AckPolicy,
}

impl GatewayConfig {
    /// A gateway that hears nothing yet, by the machine's clock, with the default limits.
    pub fn new(state_dir: impl Into<PathBuf>, gateway_id: impl Into<String>, pipeline: PipelineMaker) -> Self {
        Self {
            state_dir: state_dir.into(),
            gateway_id: gateway_id.into(),
            clock: Clock::System,
            ingress: None,
            ingress_limits: IngressLimits::default(),
            mqtt: None,
            ble: None,
            registry: Vec::new(),
            keys: Arc::default(),
            pipeline,
            seal: SealLimits::default(),
            spool: SpoolOptions::default(),
            ack: AckPolicy::default(),
        }
    }
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Called outside of a tokio runtime.
    #[error("no tokio runtime is there; a gateway is started within one")]
    NoRuntime,
    /// The state directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The broker's configuration.
    #[error(transparent)]
    Mqtt(#[from] MqttConfigError),
    /// The address of the ingress.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file of the sessions.
    #[error("the sessions at {path} can't be read or written")]
    Sessions {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The spool.
    #[error("the spool can't be opened")]
    Spool(#[from] SpoolError),
    /// What a former run has left.
    #[error("the state of the last run can't be gone on with")]
    Recover(#[from] RecoverError),
    /// A thread.
    #[error("a thread can't be started")]
    Thread(#[source] io::Error),
}

/// Why a running gateway no longer does what it is asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GatewayError {
    /// The driver could not go on.
    #[error("processing has stopped")]
    Driver(#[source] Arc<DriverError>),
    /// A thread panicked: a fault in the program.
    #[error("a thread of the gateway has panicked")]
    Panicked,
    /// It was stopped before.
    #[error("the gateway has stopped")]
    Stopped,
}

/// How the driver ended; `None` while it runs.
type Outcome = Option<Result<(), Arc<DriverError>>>;

/// A running gateway. Dropping it stops it, too, but waits for nothing.
pub struct Running {
    ingress_addr: Option<SocketAddr>,
    core: Core,
    counters: Arc<Counters>,
    radio: Option<BleHandle>,
    clock: Clock,
    stop: watch::Sender<bool>,
    sources: JoinSet<()>,
}

/// The gateway.
#[derive(Debug)]
pub struct Gateway;

impl Gateway {
    /// Starts a gateway; call it within a tokio runtime. On return the ingress listens, and what the last run left is being processed.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(config: GatewayConfig, desk: impl Desk + 'static) -> Result<Running, StartError> {
        Self::start_on(config, desk, Arc::new(RealDisk))
    }

    fn start_on(config: GatewayConfig, desk: impl Desk + 'static, disk: Arc<dyn Disk>) -> Result<Running, StartError> {
        Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        if let Some(mqtt) = &config.mqtt {
            mqtt.check()?;
        }
        let layout = Layout::new(&config.state_dir);
        let lock = layout.lock()?;
        let listener = config.ingress.map(listen).transpose()?;
        let path = config.state_dir.join("sessions");
        let sessions = Sessions::open(&path).map_err(|source| StartError::Sessions { path, source })?;
        let (clock, ingress_limits, mqtt) = (config.clock.clone(), config.ingress_limits, config.mqtt.clone());
        let (radio, keys, heard) = (config.ble.clone(), Arc::clone(&config.keys), Arc::<ble::Counters>::default());
        let core = Core::start(config, Box::new(desk), disk, layout, lock, Arc::clone(&heard))?;

        let counters = Arc::new(Counters::default());
        let (stop, stopped) = watch::channel(false);
        let stopped = Stop::new(stopped);
        let mut sources = JoinSet::new();
        let mut ingress_addr = None;
        if let Some((listener, address)) = listener {
            let (inlet, sessions, counters) = (core.inlet.clone(), Arc::new(sessions), Arc::clone(&counters));
            let ingress = Ingress { inlet, sessions, counters, limits: ingress_limits };
            sources.spawn(ingress.listen(listener, stopped.clone()));
            ingress_addr = Some(address);
        }
        if let Some(config) = mqtt {
            let subscriber = Subscriber { config, inlet: core.inlet.clone(), counters: Arc::clone(&counters) };
            sources.spawn(subscriber.run(stopped.clone()));
        }
        let radio = radio.map(|config| {
            let (feed, handle) = Feed::start(config, keys, clock.clone(), core.inlet.clone(), heard);
            sources.spawn(feed.run(stopped));
            handle
        });
        Ok(Running { ingress_addr, core, counters, radio, clock, stop, sources })
    }
}

/// Appender and driver, connected.
struct Core {
    ledger: watch::Receiver<Ledger>,
    progress: watch::Receiver<Progress>,
    outcome: watch::Receiver<Outcome>,
    inlet: Inlet,
    horizon: Arc<Horizon>,
    threads: Vec<JoinHandle<()>>,
}

impl Core {
    /// Opens what the last run left and starts both threads. The lock is held until both have ended.
    fn start(
        config: GatewayConfig,
        desk: Box<dyn Desk>,
        disk: Arc<dyn Disk>,
        layout: Layout,
        lock: StateLock,
        radio: Arc<ble::Counters>,
    ) -> Result<Self, StartError> {
        let control = Control::open(&layout.control()).map_err(RecoverError::from)?;
        let saved = Saved::read(&control)?;
        let options = SpoolOptions { resume_at: saved.resume_at(), ..config.spool };
        let (spool, recovered) = Spool::open(Arc::clone(&disk), &layout.spool(), options)?;
        if recovered.torn_bytes > 0 || !recovered.damaged.is_empty() {
            tracing::warn!(torn_bytes = recovered.torn_bytes, damaged = ?recovered.damaged, "the spool was repaired");
        }
        let last = GatewayTime(saved.not_before().ms());
        config.clock.raise(last);
        let (inlet, commands) = queue();
        let (horizon, ignored) = (Arc::new(Horizon::new(recovered.next, last)), Arc::new(Ignored::default()));
        let (published, ledger) = watch::channel(saved.checkpoint.ledger.clone());
        let (reached, progress) = watch::channel(Progress::default());
        let parts = Parts {
            disk,
            layout,
            control,
            desk,
            pipeline: config.pipeline,
            registry: config.registry,
            keys: config.keys,
            gateway_id: config.gateway_id,
            limits: config.seal,
            lost_source: lost_source(config.mqtt.is_some(), config.ingress.is_some()),
            radio,
            horizon: Arc::clone(&horizon),
            inlet: inlet.clone(),
            ignored: Arc::clone(&ignored),
            published,
            progress: reached,
        };
        let driver = Driver::recover(parts, saved)?;
        let stamp = Stamp::new(config.clock, last);
        let appender = Appender::new(spool, stamp, config.ack, Arc::clone(&horizon), ignored);
        let lock = Arc::new(lock);
        let held = || (CloseOnDrop(inlet.clone(), Arc::clone(&horizon)), Arc::clone(&lock));
        let (for_appender, for_driver) = (held(), held());
        let appending = spawn("appender", move || {
            appender.run(&commands);
            drop(for_appender);
        })?;
        let (ended, outcome) = watch::channel(None);
        let driving = spawn("driver", move || drive(driver, &ended, for_driver))?;
        Ok(Self { ledger, progress, outcome, inlet, horizon, threads: vec![appending, driving] })
    }
}

/// Whose a message counts as that the spool has lost: the way by which most come in.
fn lost_source(has_broker: bool, has_ingress: bool) -> Source {
    match (has_broker, has_ingress) {
        (true, _) => Source::Mqtt,
        (false, true) => Source::Ingress,
        (false, false) => Source::Ble,
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((TcpListener::from_std(listener)?, address))
    });
    bound.map_err(|source| StartError::Listen { address, source })
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(StartError::Thread)
}

fn drive<T>(mut driver: Driver, ended: &watch::Sender<Outcome>, held: T) {
    let result = driver.run().map_err(Arc::new);
    if let Err(error) = &result {
        tracing::error!(
            error = zenei_store::with_causes(error),
            "processing has stopped; what was acknowledged is kept"
        );
    }
    // The state directory is free again before anybody hears that this has ended.
    drop((driver, held));
    ended.send_replace(Some(result));
}

/// However a thread ends, the other one must not wait for it for ever.
struct CloseOnDrop(Inlet, Arc<Horizon>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
        if std::thread::panicking() {
            self.1.change(|view| view.closed = true);
        }
    }
}

impl Running {
    /// Where the ingress listens; `None` where there is none.
    pub fn ingress_addr(&self) -> Option<SocketAddr> {
        self.ingress_addr
    }

    /// The ledger as it was last published.
    pub fn ledger(&self) -> watch::Receiver<Ledger> {
        self.core.ledger.clone()
    }

    /// How far processing has come.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.core.progress.clone()
    }

    /// What the sources count.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// The radio; `None` where there is none.
    pub fn radio(&self) -> Option<BleHandle> {
        self.radio.clone()
    }

    /// The gateway's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sets a simulated clock to `now` and lets time go on to what the clock shows, behind everything acknowledged so far.
    ///
    /// # Errors
    /// Where the gateway has stopped.
    pub async fn tick(&self, now: GatewayTime) -> Result<(), GatewayError> {
        self.clock.set(now);
        self.mark().await.map(drop)
    }

    /// Waits until everything acknowledged so far is processed, and time has gone on to what the clock shows now.
    ///
    /// # Errors
    /// Where the gateway has stopped, or stops before that.
    pub async fn drain(&self) -> Result<Progress, GatewayError> {
        let end = self.mark().await?;
        let at_ms = self.core.horizon.view().at.ms();
        self.reach(|progress| progress.processed >= end && progress.now.ms() >= at_ms).await
    }

    /// Waits until everything acknowledged so far is processed and in the store.
    ///
    /// # Errors
    /// Where the gateway has stopped, or stops before that.
    pub async fn seal(&self) -> Result<Progress, GatewayError> {
        self.mark().await?;
        let mut wish = 0;
        self.core.horizon.change(|view| {
            view.seal_wishes += 1;
            wish = view.seal_wishes;
        });
        self.reach(|progress| progress.seal_wishes >= wish).await
    }

    /// Returns when processing has stopped without having been told to.
    pub async fn failed(&self) -> GatewayError {
        let mut outcome = self.core.outcome.clone();
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Err(error))) => GatewayError::Driver(Arc::clone(error)),
            Ok(Some(Ok(()))) => GatewayError::Stopped,
            Ok(None) | Err(_) => GatewayError::Panicked,
        }
    }

    /// Stops: the sources acknowledge what they have heard and close, the rest is processed and sealed, the checkpoint is committed, the threads end.
    ///
    /// # Errors
    /// Where processing failed; what was acknowledged is kept, and the next start goes on from the last checkpoint.
    pub async fn stop(mut self) -> Result<Ledger, GatewayError> {
        self.stop.send_replace(true);
        let ended = async { while self.sources.join_next().await.is_some() {} };
        if tokio::time::timeout(SOURCES_WITHIN, ended).await.is_err() {
            tracing::warn!("the sources did not end in time and are cut off");
        }
        self.sources.shutdown().await;
        self.core.inlet.close();
        let end = self.failed().await;
        for thread in std::mem::take(&mut self.core.threads) {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                return Err(GatewayError::Panicked);
            }
        }
        match end {
            GatewayError::Stopped => Ok(self.core.ledger.borrow().clone()),
            GatewayError::Driver(_) | GatewayError::Panicked => Err(end),
        }
    }

    async fn mark(&self) -> Result<u64, GatewayError> {
        match self.core.inlet.mark().await {
            Ok(end) => Ok(end),
            Err(Closed) => Err(self.failed().await),
        }
    }

    async fn reach(&self, reached: impl FnMut(&Progress) -> bool) -> Result<Progress, GatewayError> {
        let mut progress = self.core.progress.clone();
        match progress.wait_for(reached).await.as_deref() {
            Ok(&progress) => Ok(progress),
            Err(_) => Err(self.failed().await),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.core.inlet.close();
    }
}

#[cfg(test)]
#[path = "gateway_tests.rs"]
mod tests;
