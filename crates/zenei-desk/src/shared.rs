//! The desk's driver behind a lock, and the desk's time: the pipeline's thread, the sender and people's requests all
//! write through this one handle. Must not know what they write. Made by the binary.
use crate::driver::{Attempt, DeskDriver, Seen, TakeError, Taken};
use crate::incidents::Incidents;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use zenei_detect::Findings;
use zenei_incident::{Event, Incident, Inquiry, Silence, What};
use zenei_store::Clock;
use zenei_store::control::OutboxRow;
use zenei_wire::{EngineTime, Id};

/// A handle on the one driver of a process; clones write through the same.
#[derive(Clone, Debug)]
pub struct SharedDesk {
    driver: Arc<Mutex<DeskDriver>>,
    /// Counts the calls that wrote something; the sender waits for it.
    written: Arc<watch::Sender<u64>>,
}

impl SharedDesk {
    /// A handle on this driver.
    pub fn new(driver: DeskDriver) -> Self {
        Self { driver: Arc::new(Mutex::new(driver)), written: Arc::new(watch::Sender::new(0)) }
    }

    /// As [`DeskDriver::take`].
    ///
    /// # Errors
    /// Those of [`DeskDriver::take`].
    pub fn take(&self, now: EngineTime, findings: &Findings) -> Result<Taken, TakeError> {
        let taken = self.lock().take(now, findings)?;
        if taken.events > 0 {
            self.tell();
        }
        Ok(taken)
    }

    /// As [`DeskDriver::add`].
    ///
    /// # Errors
    /// Those of [`DeskDriver::add`].
    pub fn add(&self, incident: Id, at: EngineTime, what: impl Into<What>) -> Result<Event, TakeError> {
        let event = self.lock().add(incident, at, what)?;
        self.tell();
        Ok(event)
    }

    /// As [`DeskDriver::settle`].
    ///
    /// # Errors
    /// Those of [`DeskDriver::settle`].
    pub fn settle(&self, row: &OutboxRow, attempt: &Attempt, at: EngineTime) -> Result<(), TakeError> {
        self.lock().settle(row, attempt, at)
    }

    /// As [`DeskDriver::begin_sending`].
    ///
    /// # Errors
    /// Those of [`DeskDriver::begin_sending`].
    pub fn begin_sending(&self, row: Id) -> Result<(), TakeError> {
        self.lock().begin_sending(row)
    }

    /// As [`DeskDriver::saw`].
    ///
    /// # Errors
    /// Those of [`DeskDriver::saw`].
    pub fn saw(&self, target: &str, seen: &Seen, at: EngineTime) -> Result<(), TakeError> {
        if self.lock().saw(target, seen, at)? > 0 {
            self.tell();
        }
        Ok(())
    }

    /// Stores what `see` makes of an incident and of what is remembered of it at a target, with nothing in between;
    /// false where there is no such incident or nothing to store.
    ///
    /// # Errors
    /// Those of [`DeskDriver::saw`].
    pub fn look(
        &self,
        target: &str,
        incident: Id,
        at: EngineTime,
        see: impl FnOnce(&Incident, &BTreeMap<String, String>) -> Option<Seen>,
    ) -> Result<bool, TakeError> {
        let mut driver = self.lock();
        let Some(found) = driver.incidents().read().incident(incident).cloned() else { return Ok(false) };
        let remote = driver.control().remote(target, incident)?;
        let Some(seen) = see(&found, &remote) else { return Ok(false) };
        let events = driver.saw(target, &seen, at)?;
        drop(driver);
        if events > 0 {
            self.tell();
        }
        Ok(true)
    }

    /// As [`DeskDriver::add_silence`].
    ///
    /// # Errors
    /// Those of [`DeskDriver::add_silence`].
    pub fn add_silence(&self, silence: Silence, at: EngineTime) -> Result<(), TakeError> {
        self.lock().add_silence(silence, at)?;
        self.tell();
        Ok(())
    }

    /// As [`DeskDriver::end_silence`].
    ///
    /// # Errors
    /// Those of [`DeskDriver::end_silence`].
    pub fn end_silence(&self, silence: Id, by: &str, at: EngineTime) -> Result<(), TakeError> {
        self.lock().end_silence(silence, by, at)?;
        self.tell();
        Ok(())
    }

    /// As [`DeskDriver::add_inquiry`].
    ///
    /// # Errors
    /// Those of [`DeskDriver::add_inquiry`].
    pub fn add_inquiry(&self, inquiry: &Inquiry) -> Result<Option<bool>, TakeError> {
        self.lock().add_inquiry(inquiry)
    }

    /// As [`DeskDriver::pass`].
    ///
    /// # Errors
    /// Those of [`DeskDriver::pass`].
    pub fn pass(&self, now: EngineTime, heard: impl Fn(&str) -> Option<EngineTime>) -> Result<(), TakeError> {
        if self.lock().pass(now, heard)? > 0 {
            self.tell();
        }
        Ok(())
    }

    /// The incidents, for readers.
    pub fn incidents(&self) -> Incidents {
        self.lock().incidents().clone()
    }

    /// Changes whenever something was written that may have to be sent.
    pub fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// The driver, alone until the guard is dropped; not across an await.
    pub fn lock(&self) -> MutexGuard<'_, DeskDriver> {
        // A writer that panicked has changed nothing: memory follows the commit.
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.written.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// The time at which people's and remotes' events enter the log: the gateway's.
#[derive(Clone, Debug)]
pub struct DeskClock(Clock);

impl DeskClock {
    /// Of this clock.
    pub fn new(clock: Clock) -> Self {
        Self(clock)
    }

    /// The time.
    pub fn now(&self) -> EngineTime {
        self.0.now().as_engine()
    }
}
