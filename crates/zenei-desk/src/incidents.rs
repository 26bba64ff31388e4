//! The casebook behind a lock: one writer, many readers. Must not know what is written or read. Called by the driver,
//! which applies changes, and by the HTTP server and the binary, which read incidents.
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use zenei_incident::places::Places;
use zenei_incident::{Casebook, Changes};

/// A handle on the one casebook of a process; clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Incidents(Arc<RwLock<Casebook>>);

impl Incidents {
    /// A handle on this casebook.
    pub fn new(casebook: Casebook) -> Self {
        Self(Arc::new(RwLock::new(casebook)))
    }

    /// The casebook, unchanged until the guard is dropped. Hold the guard for a short time only: the driver waits.
    pub fn read(&self) -> RwLockReadGuard<'_, Casebook> {
        // A reader that panicked has changed nothing.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_places(&self, places: Arc<Places>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).set_places(places);
    }

    pub(crate) fn absorb(&self, changes: Changes) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).absorb(changes);
    }
}
