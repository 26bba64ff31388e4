//! Computes the wait before a retry. Must not know what is retried. Called by both shippers; the thread that ships uses
//! the longest wait.
use std::time::Duration;
use zenei_wire::Id;

/// The first wait, at most. A guess: a server that restarts is away for seconds.
pub const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait. A guess: a hundred gateways then send some ten requests a second to a server that is away, and
/// after an outage the waiting rows begin to arrive within ten seconds.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Spreads the waits of many gateways, so that they don't come back to a server together. Each gateway has its own
/// sequence, always the same.
#[derive(Clone, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(gateway_id: &str) -> Self {
        // Any odd number will do; the lower half of a hash is one of 2^63.
        Self(Id::of(&[b"jitter", gateway_id.as_bytes()]).0 as u64 | 1)
    }

    /// The wait after this many failed attempts (from 0): doubled each time up to the longest, then between its half
    /// and its whole.
    pub(super) fn wait(&mut self, failed: u32) -> Duration {
        let whole = FIRST_WAIT.saturating_mul(1 << failed.min(16)).min(LONGEST_WAIT);
        // Marsaglia's xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let share = (self.0 >> 40) as f64 / (1_u64 << 24) as f64;
        whole.mul_f64(0.5 + share / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_differ_between_gateways() {
        let waits = |gateway: &str| {
            let mut jitter = Jitter::new(gateway);
            (0..40).map(|failed| jitter.wait(failed)).collect::<Vec<_>>()
        };
        let (first, other) = (waits("gw-1"), waits("gw-2"));
        assert_eq!(first, waits("gw-1"));
        assert!(first.iter().zip(&other).all(|(a, b)| a != b));
        for (failed, wait) in (0..).zip(&first) {
            let whole = FIRST_WAIT.saturating_mul(1 << failed.min(7)).min(LONGEST_WAIT);
            assert!(*wait >= whole / 2 && *wait <= whole, "after {failed}: {wait:?}");
        }
    }
}
