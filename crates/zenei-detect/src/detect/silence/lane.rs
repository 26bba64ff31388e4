//! One lock's habit of speaking: its longest usual interval, and whether it is late. Must not know rules, gateways or
//! findings. Called by `silence`.
use crate::estimate::high::High;
use crate::lock::RecordRef;
use crate::time::{HOUR_MS, MINUTE_MS};
use serde::{Deserialize, Serialize};

/// The number of intervals after which a lock's usual interval is known.
const KNOWN: u32 = 20;
/// The number of intervals after which the habit of a lock that speaks by use alone is known: of a hundred, one shows
/// the 99th percentile. A guess.
const KNOWN_BY_USE: u32 = 100;
/// Locks of like intervals: those whose longest usual interval is below so many hours, each twice the one before.
pub(super) const LIKE_H: [f64; 4] = [1.5, 3.0, 6.0, 12.0];
/// The natural logarithms of these, ms.
const LIKE_LOG: [f32; LIKE_H.len()] = [15.50173, 16.19488, 16.88802, 17.58117];
/// For so many intervals after an update the usual interval is not known: a new version may report more rarely. A
/// guess: the estimate follows by half of the way each time.
const FRESH: u8 = 6;
/// The slowest heartbeat, ms (6 h, telemetry contract).
const SLOWEST_MS: f64 = 6.0 * HOUR_MS as f64;
/// A lock is late after so many times its longest usual interval (the 99th percentile). That most locks of a gateway
/// are late at one time by chance is a hundredth to the power of their number.
const LATE: f64 = 1.25;
/// A lock is never late before so long: a restart of a hub or a router takes minutes, an update an hour or so. A guess.
const LATE_MIN_MS: i64 = 2 * HOUR_MS;
/// For so many hours after an interval that was longer than usual the lock's habit may be changing: the contract's
/// slowest heartbeat.
const STRETCHED_H: i64 = 6;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lane {
    pub(super) heard_ms: i64,
    /// When its last readable record arrived: what can't be read shows that something sends, not that it works.
    pub(super) read_ms: i64,
    pub(super) usual: High,
    pub(super) last: RecordRef,
    pub(super) alarm_ms: Option<i64>,
    pub(super) noted: bool,
    /// After how many hours of silence it was first reported.
    pub(super) told_h: u16,
    /// How many intervals since an update are still to come before its habit is known again.
    pub(super) fresh: u8,
    /// The hour since 1970 in which its last interval ended that was longer than it usually is.
    stretched_h: u32,
}

impl Lane {
    pub(super) fn known(&self) -> bool {
        self.usual.count() >= KNOWN
    }

    /// Whether it has no heartbeat, for it is usually silent for longer than the contract's slowest one, and its people
    /// were not watched for long.
    pub(super) fn speaks_by_use(&self) -> bool {
        self.usual.count() < KNOWN_BY_USE && self.usual.get() > LATE * SLOWEST_MS
    }

    /// Which locks have like intervals.
    pub(super) fn like(&self) -> usize {
        LIKE_LOG.iter().position(|&below| self.usual.log() < below).unwrap_or(LIKE_H.len())
    }

    pub(super) fn late(&self, now_ms: i64) -> bool {
        let silent_ms = now_ms - self.heard_ms;
        // Most locks sent a record just now: their usual interval is not even computed.
        let slowest_ms = if self.fresh > 0 { SLOWEST_MS } else { 0.0 };
        silent_ms >= LATE_MIN_MS && silent_ms >= (LATE * self.usual.get().max(slowest_ms)) as i64
    }

    /// Takes an interval that ended now and belongs to the lock's habit.
    pub(super) fn learn(&mut self, interval_ms: i64, now_ms: i64) {
        // Records of one window (an operation and its error) are no interval.
        if interval_ms <= MINUTE_MS {
            return;
        }
        if self.known() && interval_ms as f64 > LATE * self.usual.get() {
            self.stretched_h = now_ms.div_euclid(HOUR_MS) as u32;
        }
        self.usual.add(interval_ms as f64);
        self.fresh = self.fresh.saturating_sub(1);
    }

    /// Marks that the lock was updated.
    pub(super) fn updated(&mut self) {
        self.fresh = FRESH;
    }

    /// Whether it was heard lately after a longer interval than is usual for it.
    pub(super) fn stretched(&self, now_ms: i64) -> bool {
        now_ms.div_euclid(HOUR_MS) - i64::from(self.stretched_h) <= STRETCHED_H
    }
}
