//! How often may somebody ask? Token buckets by name, bounded in number. Time is an argument. Must not know a request.
//! Called by the gate.
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// At most so many callers are told apart; further ones share a bucket. A guess: some 400 KiB.
const CALLERS_MAX: usize = 4_096;

/// A rate with a burst.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// How many a second in the long run.
    pub(super) per_second: f64,
    /// How many at once after a quiet time.
    pub(super) burst: f64,
}

/// The buckets of all callers at one rate.
#[derive(Debug)]
pub(super) struct Buckets {
    rate: Rate,
    callers: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Buckets {
    /// Full buckets.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, callers: Mutex::default() }
    }

    /// Takes one; else how long to wait for the next, in whole seconds and at least one.
    pub(super) fn take(&self, caller: &str, at: Duration) -> Result<(), u64> {
        let Rate { per_second, burst } = self.rate;
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = |bucket: &Bucket| {
            let passed = at.saturating_sub(bucket.at).as_secs_f64();
            passed.mul_add(per_second, bucket.tokens).min(burst)
        };
        if callers.len() >= CALLERS_MAX && !callers.contains_key(caller) {
            // A full bucket is as good as none.
            callers.retain(|_, bucket| now(bucket) < burst);
        }
        let is_room = callers.len() < CALLERS_MAX || callers.contains_key(caller);
        let caller = if is_room { caller } else { "" };
        let tokens = callers.get(caller).map_or(burst, now);
        let left = if tokens >= 1.0 { tokens - 1.0 } else { tokens };
        callers.insert(caller.to_owned(), Bucket { tokens: left, at });
        if tokens >= 1.0 { Ok(()) } else { Err((((1.0 - tokens) / per_second).ceil() as u64).max(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate_holds_for_each_caller_alone() {
        let buckets = Buckets::new(Rate { per_second: 0.5, burst: 3.0 });
        let take = |caller: &str, s: u64| buckets.take(caller, Duration::from_secs(s));
        assert_eq!([(); 4].map(|()| take("a", 0)), [Ok(()), Ok(()), Ok(()), Err(2)]);
        assert_eq!(take("b", 0), Ok(()));
        assert_eq!((take("a", 1), take("a", 2), take("a", 3)), (Err(1), Ok(()), Err(1)));
        assert_eq!([(); 4].map(|()| take("a", 86_400)), [Ok(()), Ok(()), Ok(()), Err(2)]);
    }

    #[test]
    fn strangers_without_number_share_one_bucket_and_take_no_memory() {
        let buckets = Buckets::new(Rate { per_second: 1.0, burst: 2.0 });
        let refused = (0..CALLERS_MAX * 3).filter(|n| buckets.take(&n.to_string(), Duration::ZERO).is_err()).count();
        assert!(buckets.callers.lock().unwrap().len() <= CALLERS_MAX + 1);
        assert!(refused > CALLERS_MAX, "{refused}");
        // Those of before have rested and make room.
        assert_eq!(buckets.take("new", Duration::from_secs(9)), Ok(()));
        assert_eq!(buckets.callers.lock().unwrap().len(), 1);
    }
}
