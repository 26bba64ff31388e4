//! Which time is stamped on a received message? The clock's, but never an earlier one than before. When the machine's
//! clock was set back, time advances at the pace of the monotonic clock, so that no wait lasts for ever; a simulated
//! clock stands until it is set. Must not know the spool. Called by the appender; made by `processing`.
use std::time::Duration;
use zenei_store::clock::{Clock, Elapsed};
use zenei_wire::{GatewayTime, Heading};

/// The step by which time advances while the machine's clock is behind. A guess: far below any duration that is waited
/// for.
const PACE: Duration = Duration::from_millis(100);

/// The appender's time.
pub(crate) struct Stamp {
    clock: Clock,
    last: GatewayTime,
    /// Since `last` was set.
    since: Elapsed,
}

impl Stamp {
    /// Continues from `last`.
    pub(crate) fn new(clock: Clock, last: GatewayTime) -> Self {
        Self { clock, last, since: Elapsed::start() }
    }

    /// The time; never earlier than before.
    pub(crate) fn now(&mut self) -> GatewayTime {
        let passed = match &self.clock {
            Clock::System => self.since.so_far(),
            // These stand still until they are set: that is their purpose.
            Clock::Simulated(_) | Clock::FollowRecords(_) => Duration::ZERO,
        };
        if let Some(next) = onward(self.last, self.clock.now(), passed) {
            self.last = next;
            self.since = Elapsed::start();
        }
        self.last
    }

    /// The time of a message; where the clock follows the records, this message's records count already.
    pub(crate) fn of_message(&mut self, topic: &str, payload: &[u8]) -> GatewayTime {
        if self.clock.follows_records() {
            observe(&self.clock, topic, payload);
            self.now();
        }
        self.last
    }
}

/// The time that follows `last` when the clock shows `shown`, `passed` after `last` was set; `None` where it stays.
fn onward(last: GatewayTime, shown: GatewayTime, passed: Duration) -> Option<GatewayTime> {
    if shown > last {
        return Some(shown);
    }
    (shown < last && passed >= PACE).then(|| last.plus_ms(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)))
}

/// Sets the clock to the times of the records in this message.
fn observe(clock: &Clock, topic: &str, payload: &[u8]) {
    let Ok(Heading::Record(topic)) = zenei_wire::Topic::parse(topic) else { return };
    let Ok(records) = zenei_wire::decode(&topic, payload) else { return };
    for record in records.iter().filter_map(|decoded| decoded.record.as_ref().ok()) {
        clock.observe(topic.device.as_str(), record.ts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_goes_on_at_its_pace_and_one_set_forward_is_followed() {
        let check = |last: i64, shown: i64, passed_ms: u64, expected: Option<i64>| {
            let next = onward(GatewayTime(last), GatewayTime(shown), Duration::from_millis(passed_ms));
            assert_eq!(next, expected.map(GatewayTime), "{last} {shown} {passed_ms}");
        };
        check(1_000, 1_050, 50, Some(1_050));
        check(1_000, 9_000, 50, Some(9_000));
        check(1_000, 1_000, 5_000, None);
        check(9_000, 1_000, 99, None);
        check(9_000, 1_000, 150, Some(9_150));
        check(i64::MAX, 1_000, 150, Some(i64::MAX));
    }

    #[test]
    fn a_simulated_clock_behind_the_checkpoint_stands_there() {
        let clock = Clock::simulated(GatewayTime(1_000));
        let mut stamp = Stamp::new(clock.clone(), GatewayTime(5_000));
        assert_eq!(stamp.now(), GatewayTime(5_000));
        clock.set(GatewayTime(6_000));
        assert_eq!(stamp.of_message("t", b""), GatewayTime(5_000), "one time for a group");
        assert_eq!(stamp.now(), GatewayTime(6_000));
    }
}
