//! What does the air say? Listens to BTHome advertisements through the system's Bluetooth service, keeps the radio listening, and hands over what was heard:
//! address, strength, bytes and time. Must not know what the bytes mean, nor who is registered: a judge that the caller brings says whose they are.
//! Called by the gateway (which spools) and by the binary's `scan` (which shows).
mod air;
#[cfg(target_os = "linux")]
mod bluez;
mod feed;
mod gate;
mod place;
mod radio;
mod supervisor;
mod tend;

pub use air::{Judge, Standing};
pub(crate) use feed::Feed;
pub use feed::{BleConfig, BleHandle};
pub use radio::RadioError;
pub use supervisor::{Ladder, Steps};

use crate::source::Stop;
use air::Air;
use radio::Station;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zenei_store::clock::Clock;
use zenei_wire::bthome::Address;
use zenei_wire::{DbMilliwatts, GatewayTime};

/// One advertisement with BTHome service data, as it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// Who sent it, as the radio names him.
    pub address: Address,
    /// How strong it was, where the system says so.
    pub rssi_dbm: Option<DbMilliwatts>,
    /// What stands under UUID 0xFCD2, at most 252 bytes.
    pub service_data: Vec<u8>,
    /// When it was heard.
    pub heard_at: GatewayTime,
}

/// How to listen.
pub struct ListenOptions {
    /// The adapter, `hci0`; `None`: the first one.
    pub adapter: Option<String>,
    /// The address of the D-Bus bus on which BlueZ is; `None`: the system's, or what `DBUS_SYSTEM_BUS_ADDRESS` says.
    pub bus: Option<String>,
    /// What to do when registered locks fall silent.
    pub ladder: Ladder,
    /// Whether repetitions and floods of strangers are held back: for whoever keeps what is heard. An onlooker wants all of it.
    pub news_only: bool,
    /// Whose an advertisement is. Called for each one that is heard: it must be quick and not wait.
    pub judge: Judge,
    /// What time it is.
    pub clock: Clock,
}

impl ListenOptions {
    /// The first adapter, by the machine's clock, nobody registered, no watchdog: for whoever looks on.
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

/// What a radio counts, since it was first opened.
#[derive(Debug, Default)]
pub struct Counters {
    /// Advertisements with BTHome service data.
    pub heard: AtomicU64,
    /// Of these: of registered locks, and made with their keys; of a lock without one: in the clear.
    pub valid: AtomicU64,
    /// Of these: held back because the same was heard a short while ago.
    pub repeated: AtomicU64,
    /// Of these: dropped because newer ones took their room, or because too many are heard that no key vouches for.
    pub dropped: AtomicU64,
    /// Of these: longer than an advertisement can be.
    pub too_long: AtomicU64,
}

/// Whether the radio listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hearing {
    /// Not opened yet.
    #[default]
    Opening,
    /// The scan runs, as far as the system says.
    Scanning,
    /// It does not; it is tried again.
    Down {
        /// Why, in one line.
        reason: String,
    },
    /// The watchdog has come to its last rung: the process should end, so that its service manager starts it anew.
    GivenUp,
}

/// What the supervisor has done, and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether the radio listens.
    pub hearing: Hearing,
    /// What was done so far.
    pub steps: Steps,
}

/// A radio that is kept listening; dropping it ends the scan.
pub struct Listening {
    air: Arc<Air>,
    status: watch::Receiver<Status>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Listens, within a tokio runtime; also where there is no adapter yet: then [`Listening::status`] says so, and it is tried again.
pub fn listen(options: ListenOptions) -> Listening {
    listen_and_count(options, Arc::default())
}

/// As [`listen`], with counters that somebody else reads, too.
pub(crate) fn listen_and_count(options: ListenOptions, counters: Arc<Counters>) -> Listening {
    let ListenOptions { adapter, bus, ladder, news_only, judge, clock } = options;
    let station = Station { adapter, bus };
    let air = Arc::new(Air::new(judge, news_only, clock, counters));
    let (told, status) = watch::channel(Status::default());
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(tend::tend(station, ladder, Arc::clone(&air), told, Stop::new(stopped)));
    Listening { air, status, stop, task }
}

/// An adapter that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Its name, `hci0`.
    pub adapter: String,
    /// Whether it is switched on.
    pub is_powered: bool,
}

/// Looks whether there is an adapter of this name, or any, and changes nothing. Within a tokio runtime; the caller sets the bound.
///
/// # Errors
/// What is missing.
pub async fn look(adapter: Option<&str>) -> Result<Adapter, RadioError> {
    radio::look(&Station { adapter: adapter.map(str::to_owned), bus: None }).await
}

impl Listening {
    /// The next advertisement; waits for one. Safe to cancel. Slow callers lose the oldest of each sender, counted in [`Counters::dropped`].
    pub async fn next(&mut self) -> Advertisement {
        self.air.next().await
    }

    /// The next advertisement that waits already.
    pub fn take(&mut self) -> Option<Advertisement> {
        self.air.take()
    }

    /// How the radio stands, now and whenever it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// What was counted.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.air.counters)
    }

    /// Waits for the end of the first attempt to open the radio. Safe to cancel.
    ///
    /// # Errors
    /// Why it does not listen, in one line; it is tried again all the same.
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
