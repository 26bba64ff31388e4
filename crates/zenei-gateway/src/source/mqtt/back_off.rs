//! How long to wait before the next attempt? Doubling waits with jitter, so that a site's gateways don't all come back
//! at once. Must not know what is attempted. Called by the subscriber and its subscription.
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

/// The waits after failures in a row.
#[derive(Debug)]
pub(super) struct BackOff {
    least: Duration,
    most: Duration,
    failures: u32,
}

impl BackOff {
    /// Waits from `least` to `most`, each of them less up to a half.
    pub(super) fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, failures: 0 }
    }

    /// The next wait; it starts small again where the last attempt `was_good`.
    pub(super) fn next(&mut self, was_good: bool) -> Duration {
        self.failures = if was_good { 1 } else { self.failures.saturating_add(1) };
        let full = self.least.saturating_mul(1 << (self.failures - 1).min(16)).min(self.most);
        // Between half and all of it. The standard library seeds each of these anew; no more randomness is needed.
        let share = std::hash::RandomState::new().build_hasher().finish() % 512;
        full / 2 + full.saturating_mul(u32::try_from(share).unwrap_or(0)) / 1_024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_most_with_jitter_and_start_again_after_a_good_attempt() {
        let (least, most) = (Duration::from_millis(500), Duration::from_secs(30));
        let mut waits = BackOff::new(least, most);
        let first = waits.next(false);
        assert!(first >= least / 2 && first <= least, "{first:?}");
        let last = (0..40).map(|_| waits.next(false)).last().unwrap();
        assert!(last >= most / 2 && last <= most, "{last:?}");
        let again = waits.next(true);
        assert!(again <= least, "{again:?}");
    }
}
