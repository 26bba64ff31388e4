//! When are processed rows written to the store? Set by the caller of the gateway, read by the driver. Must not know
//! how they are written.
use std::time::Duration;

/// When processed rows go to the store: at the first limit reached, and always when the gateway stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealLimits {
    /// Rows that are not sealed yet. They are in memory, some 500 bytes each.
    pub rows: usize,
    /// Bytes of dead letters that are not sealed yet; they are in memory.
    pub dead_letter_bytes: usize,
    /// Time since the first message that is not sealed yet, by the machine's monotonic clock.
    pub age: Duration,
    /// How far time may advance without a message, in ms of engine time, until that is sealed as well; `None` means
    /// without bound. A desk that waits for this gateway's records needs to learn that there are none.
    pub idle_ms: Option<i64>,
}

impl Default for SealLimits {
    /// 50,000 rows, 16 MiB of dead letters, 10 s. Guesses: columns compress well from some ten thousand rows on, and a
    /// person who queries the store waits no longer than 10 s. Idle time is not sealed.
    fn default() -> Self {
        Self { rows: 50_000, dead_letter_bytes: 16 * 1024 * 1024, age: Duration::from_secs(10), idle_ms: None }
    }
}
