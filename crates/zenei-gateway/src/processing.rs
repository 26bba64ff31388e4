//! The two threads behind the sources: the appender, which makes messages durable, and the driver, which processes
//! them. Opens the state of the last run and starts both; when one ends, the other does not wait for it for ever. Must
//! not know how a source works. Called by the start; read and stopped through the running gateway.
use crate::config::GatewayConfig;
use crate::driver::{Driver, DriverError, Parts, Progress, RecoverError, Saved};
use crate::source::ble::RadioCounters;
use crate::spool::{Appender, DurableUpTo, Ignored, Inlet, Stamp, queue};
use crate::start_error::StartError;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::watch;
use zenei_detect::Desk;
use zenei_store::disk::Disk;
use zenei_store::layout::StateLock;
use zenei_store::{Control, Layout, Ledger, Spool, SpoolOptions};
use zenei_wire::GatewayTime;

/// How the driver ended; `None` while it runs.
pub(crate) type DriverEnd = Option<Result<(), Arc<DriverError>>>;

/// Appender and driver, running.
pub(crate) struct Processing {
    pub(crate) ledger: watch::Receiver<Ledger>,
    pub(crate) progress: watch::Receiver<Progress>,
    pub(crate) outcome: watch::Receiver<DriverEnd>,
    pub(crate) inlet: Inlet,
    pub(crate) durable: Arc<DurableUpTo>,
    pub(crate) threads: Vec<JoinHandle<()>>,
}

impl Processing {
    /// Opens the state of the last run and starts both threads. The lock is held until both have ended.
    pub(crate) fn start(
        config: GatewayConfig,
        desk: Box<dyn Desk>,
        disk: Arc<dyn Disk>,
        layout: Layout,
        lock: StateLock,
        radio: Arc<RadioCounters>,
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
        let (durable, ignored) = (Arc::new(DurableUpTo::new(recovered.next, last)), Arc::new(Ignored::default()));
        let (published, ledger) = watch::channel(saved.checkpoint.ledger.clone());
        let (reached, progress) = watch::channel(Progress::default());
        let (clock, ack) = (config.clock.clone(), config.ack);
        let parts = Parts {
            config,
            disk,
            layout,
            control,
            desk,
            radio,
            durable: Arc::clone(&durable),
            inlet: inlet.clone(),
            ignored: Arc::clone(&ignored),
            published,
            progress: reached,
        };
        let driver = Driver::recover(parts, saved)?;
        let stamp = Stamp::new(clock, last);
        let appender = Appender::new(spool, stamp, ack, Arc::clone(&durable), ignored);
        let lock = Arc::new(lock);
        let held = || (CloseOnDrop(inlet.clone(), Arc::clone(&durable)), Arc::clone(&lock));
        let (for_appender, for_driver) = (held(), held());
        let appending = spawn("appender", move || {
            appender.run(&commands);
            drop(for_appender);
        })?;
        let (ended, outcome) = watch::channel(None);
        let driving = spawn("driver", move || drive(driver, &ended, for_driver))?;
        Ok(Self { ledger, progress, outcome, inlet, durable, threads: vec![appending, driving] })
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(StartError::Thread)
}

fn drive<T>(mut driver: Driver, ended: &watch::Sender<DriverEnd>, held: T) {
    let result = driver.run().map_err(Arc::new);
    if let Err(error) = &result {
        tracing::error!(
            error = zenei_store::with_causes(error),
            "processing has stopped; what was acknowledged is kept"
        );
    }
    // The state directory is released before the end is published.
    drop((driver, held));
    ended.send_replace(Some(result));
}

/// However a thread ends, the other one must not wait for it for ever.
struct CloseOnDrop(Inlet, Arc<DurableUpTo>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
        if std::thread::panicking() {
            self.1.change(|view| view.closed = true);
        }
    }
}
