//! A token bucket: how long a sender must wait so that a remote is not sent more than it takes. Time is an argument.
//! Must not know a remote. Called by the sender, one bucket a target.
use std::time::Duration;
use zenei_wire::EngineTime;

/// How many messages may go out at once after a quiet time; a guess, small beside any documented limit.
const BURST: f64 = 3.0;

/// The tokens of one target.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    per_second: f64,
    tokens: f64,
    at: EngineTime,
}

impl Bucket {
    /// A full bucket that gains `per_second` tokens (above 0).
    pub fn new(per_second: f64, now: EngineTime) -> Self {
        Self { per_second: per_second.max(1e-3), tokens: BURST, at: now }
    }

    /// Takes one token, and returns how long to wait before it may be used. A clock that goes back gives no tokens.
    pub fn take(&mut self, now: EngineTime) -> Duration {
        let passed_ms = now.ms().saturating_sub(self.at.ms()).max(0);
        self.at = EngineTime(self.at.ms().max(now.ms()));
        self.tokens = (self.tokens + passed_ms as f64 / 1_000.0 * self.per_second).min(BURST) - 1.0;
        Duration::from_secs_f64((-self.tokens).max(0.0) / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_out_at_once_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(2.0, EngineTime(0));
        let waits: Vec<u128> = (0..6).map(|_| bucket.take(EngineTime(0)).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 500, 1_000, 1_500]);
        assert_eq!(bucket.take(EngineTime(2_000)).as_millis(), 0);
        assert_eq!(bucket.take(EngineTime(1_000)).as_millis(), 500);
    }

    #[test]
    fn a_quiet_day_gives_no_more_than_one_burst() {
        let mut bucket = Bucket::new(10.0, EngineTime(0));
        let waits: Vec<u128> = (0..4).map(|_| bucket.take(EngineTime(86_400_000)).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100]);
    }
}
