//! Up to which offset is the spool durable, and how far may time advance? Written by the appender after each group and
//! each tick, read by the driver; the running gateway adds its requests to seal, and `processing` closes it when a
//! thread panics. Must not know a message. Invariant: `at` is at or after every `heard_at` before `end`, and at or
//! before every later one.
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zenei_store::spool::BySource;
use zenei_wire::GatewayTime;

/// What the appender has made durable, and what is requested from the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// The first offset that is not durable.
    pub(crate) end: u64,
    /// The time up to which nothing more will be received.
    pub(crate) at: GatewayTime,
    /// How many requests there were to seal everything up to here.
    pub(crate) seal_wishes: u64,
    /// Nothing more will come.
    pub(crate) closed: bool,
    /// Bytes that the spool holds.
    pub(crate) spool_bytes: u64,
    /// Messages that this process has made durable.
    pub(crate) appended: BySource,
}

/// The view, shared by the two threads.
#[derive(Debug)]
pub(crate) struct DurableUpTo {
    view: Mutex<View>,
    moved: Condvar,
}

impl DurableUpTo {
    pub(crate) fn new(end: u64, at: GatewayTime) -> Self {
        let view = View { end, at, seal_wishes: 0, closed: false, spool_bytes: 0, appended: BySource::default() };
        Self { view: Mutex::new(view), moved: Condvar::new() }
    }

    /// Changes the view and wakes the driver.
    pub(crate) fn change(&self, with: impl FnOnce(&mut View)) {
        with(&mut self.lock());
        self.moved.notify_all();
    }

    pub(crate) fn view(&self) -> View {
        *self.lock()
    }

    /// The view once it differs from `seen`, or after `bound` as it is then.
    pub(crate) fn wait(&self, seen: View, bound: Duration) -> View {
        let waited = self.moved.wait_timeout_while(self.lock(), bound, |view| *view == seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits for `bound`, or until nothing more will come.
    pub(crate) fn pause(&self, bound: Duration) -> View {
        let waited = self.moved.wait_timeout_while(self.lock(), bound, |view| !view.closed);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        // Each change leaves a whole view; a panic elsewhere changes nothing of that.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
