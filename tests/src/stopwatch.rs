//! Elapsed time, for the pace of a load and for figures that are printed. No test asserts anything about it. Called by
//! the load generator and by the test of outages.
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Runs from its creation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Duration);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(read())
    }

    pub(crate) fn elapsed(self) -> Duration {
        read().saturating_sub(self.0)
    }

    pub(crate) fn seconds(self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}

fn read() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let parts = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(parts.0.expect("it began before now"), parts.1.expect("nanoseconds are below a second"))
}
