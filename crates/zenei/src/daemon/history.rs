//! The thread that keeps the history of this machine's store up to date while the daemon runs, and the history that
//! page and API read. It has a connection of its own and the lowest claim to a processor: nothing waits for it but the
//! stop, for a bounded time. Must not know what is asked. Started by `run` and by `demo`.
use super::{clickhouse, tailing};
use crate::config::{Config, StoreKind};
use crate::exit::Failure;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Duration;
use zenei_store::control::Sealed;
use zenei_store::disk::RealDisk;
use zenei_store::history::History;
use zenei_store::history::local::{Followed, Follower};
use zenei_store::{Control, Layout, ParquetStore};

/// How often the thread looks at the checkpoint. A guess: a seal comes every ten seconds.
const LOOK: Duration = Duration::from_secs(1);
/// How long it waits after an error.
const AFTER_ERROR: Duration = Duration::from_secs(30);
/// How many ranges it still takes at the end: those of the stop. More are left to the next start.
const LAST_RANGES: u32 = 20;
/// How long a stop waits for it. A guess; what is not taken is taken by the next start.
const END_WITHIN: Duration = Duration::from_secs(10);

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The thread; dropping this value requests its end.
pub(crate) struct Following {
    end: Sender<()>,
    /// Closed once the thread has ended.
    ended: Receiver<()>,
}

/// The history that a configuration's records have, to read: ClickHouse's where records go there or many gateways' are
/// read from there, else that of this machine.
///
/// # Errors
/// What the configuration names can't be used. An unreachable server is no error.
pub(crate) fn of(config: &Config) -> Result<History, Failure> {
    let remote = config.store.clickhouse.as_ref();
    match remote.filter(|_| config.store.kind == StoreKind::ClickHouse).or_else(|| tailing::source(config)) {
        Some(section) => Ok(History::remote(clickhouse::server(section)?, clickhouse::form(section, None)?)),
        None => Ok(History::local(&Layout::new(&config.state_dir).history())),
    }
}

impl Following {
    /// Starts the thread. The gateway of this state directory must have been started: it makes the control database.
    ///
    /// # Errors
    /// A file can't be opened, or the system gives no thread.
    pub(crate) fn start(layout: &Layout) -> Result<Self, Failure> {
        let broken = |error: Cause| Failure::broken("the history can't be kept", error);
        let store = ParquetStore::open_read_only(Arc::new(RealDisk), &layout.parquet());
        let follower = Follower::open(&layout.history(), store).map_err(|error| broken(error.into()))?;
        let control = Control::open_read_only(&layout.control()).map_err(|error| broken(error.into()))?;
        let (end, asked) = mpsc::channel();
        let (alive, ended) = mpsc::channel();
        let work = move || {
            yield_to_others();
            follow(follower, &control, &asked);
            drop(alive);
        };
        let spawned = std::thread::Builder::new().name("history".to_owned()).spawn(work);
        spawned.map_err(|error| broken(error.into()))?;
        Ok(Self { end, ended })
    }

    /// Requests the end, and waits for a bounded time until what the stop sealed is taken.
    pub(crate) fn stop(self) {
        // The thread may have ended by itself.
        let _ = self.end.send(());
        match self.ended.recv_timeout(END_WITHIN) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => tracing::warn!("the history is behind; the next start goes on with it"),
        }
    }
}

fn follow(mut follower: Follower, control: &Control, asked: &Receiver<()>) {
    let mut wait = LOOK;
    while asked.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        let mut is_over = false;
        let mut go_on = || {
            is_over |= asked.try_recv() != Err(TryRecvError::Empty);
            !is_over
        };
        wait = match take(&mut follower, control, &mut go_on) {
            Ok(_) => LOOK,
            Err(error) => {
                tracing::error!(
                    error = zenei_store::with_causes(&*error),
                    "the history stands still; it is tried again"
                );
                AFTER_ERROR
            }
        };
        if is_over {
            break;
        }
    }
    let mut left = LAST_RANGES;
    let mut go_on = || {
        left = left.saturating_sub(1);
        left > 0
    };
    if let Err(error) = take(&mut follower, control, &mut go_on) {
        tracing::warn!(error = zenei_store::with_causes(&*error), "the next start takes the rest into the history");
    }
}

/// Takes the ranges that the checkpoint counts; a range beyond it may still be sealed again.
fn take(follower: &mut Follower, control: &Control, go_on: &mut dyn FnMut() -> bool) -> Result<Followed, Cause> {
    let sealed = control.checkpoint()?.map_or_else(Sealed::default, |checkpoint| checkpoint.sealed);
    Ok(follower.follow(sealed, go_on)?)
}

/// On Linux the priority is the thread's own; elsewhere it would be the whole process's.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(%error, "the history is kept with ordinary priority");
    }
}
