//! The advertisements that one radio received, between the task that reads the bus and the task that takes them.
//! Counts and stamps each one, stores when a valid one was last received, and never makes the reading task wait. Must
//! not know a bus or a registry. Called by the radio (which puts), the listener (which takes) and `tend` (which reads
//! the time of the last valid one).
use super::advertisement::{Advertisement, Judge, RadioCounters, Standing};
use super::gate::{Gate, Passage};
use super::place::Waiting;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use zenei_store::clock::{Clock, Elapsed};
use zenei_wire::DbMilliwatts;
use zenei_wire::bthome::{Address, MAX_SERVICE_DATA_BYTES};

/// Stands for a reception that has not happened.
const NEVER_HEARD: u64 = u64::MAX;

/// Where the radio puts its advertisements.
pub(crate) struct Air {
    place: Mutex<Waiting>,
    /// Present where only new advertisements are wanted.
    gate: Option<Mutex<Gate>>,
    arrived: Notify,
    judge: Judge,
    clock: Clock,
    began: Elapsed,
    /// Of the last valid one, ms since `began`.
    valid_at_ms: AtomicU64,
    pub(crate) counters: Arc<RadioCounters>,
}

impl Air {
    pub(crate) fn new(judge: Judge, news_only: bool, clock: Clock, counters: Arc<RadioCounters>) -> Self {
        Self {
            place: Mutex::new(Waiting::default()),
            gate: news_only.then(|| Mutex::new(Gate::new())),
            arrived: Notify::new(),
            judge,
            clock,
            began: Elapsed::start(),
            valid_at_ms: AtomicU64::new(NEVER_HEARD),
            counters,
        }
    }

    /// Since the start.
    pub(crate) fn now(&self) -> Duration {
        self.began.so_far()
    }

    /// When a valid advertisement of a registered lock was last received, since the start.
    pub(crate) fn valid_at(&self) -> Option<Duration> {
        let at = self.valid_at_ms.load(Ordering::Relaxed);
        (at != NEVER_HEARD).then(|| Duration::from_millis(at))
    }

    /// Takes an advertisement that the radio received; never waits.
    pub(crate) fn hear(&self, address: Address, rssi_dbm: Option<DbMilliwatts>, service_data: Vec<u8>) {
        self.counters.heard.fetch_add(1, Ordering::Relaxed);
        if service_data.len() > MAX_SERVICE_DATA_BYTES {
            self.counters.too_long.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let heard_at = self.clock.now();
        let advertisement = Advertisement { address, rssi_dbm, service_data, heard_at };
        let standing = (self.judge)(&advertisement);
        let now = self.now();
        if standing.shows_hearing() {
            let now_ms = u64::try_from(now.as_millis()).unwrap_or(NEVER_HEARD - 1);
            self.valid_at_ms.store(now_ms, Ordering::Relaxed);
            self.counters.valid.fetch_add(1, Ordering::Relaxed);
        }
        let Advertisement { address, service_data, .. } = &advertisement;
        let passage = self.gate.as_ref().map_or(Passage::Passes, |gate| {
            // A pass leaves a whole gate; a panic elsewhere changes nothing of that.
            let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
            gate.pass(*address, service_data, standing, now)
        });
        match passage {
            Passage::Passes => {}
            Passage::Repeated => {
                self.counters.repeated.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Passage::Refused => {
                self.counters.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        let dropped = self.lock().put(advertisement, standing != Standing::Stranger);
        self.counters.dropped.fetch_add(dropped, Ordering::Relaxed);
        self.arrived.notify_one();
    }

    /// The next advertisement; waits for one. Safe to cancel.
    pub(crate) async fn next(&self) -> Advertisement {
        loop {
            // Registered before the check: an arrival in between wakes it at once.
            let arrived = self.arrived.notified();
            if let Some(advertisement) = self.take() {
                return advertisement;
            }
            arrived.await;
        }
    }

    /// The next advertisement that waits.
    pub(crate) fn take(&self) -> Option<Advertisement> {
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        // Each put and take leaves a whole place; a panic elsewhere changes nothing of that.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
