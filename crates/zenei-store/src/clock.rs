//! The time. This is the only product file that reads the machine's clock; everywhere else `now` is an argument.
//! (Clocks of CPU time, and the stopwatches of tests and benches, measure how long something took.) Must not know what
//! the time is used for. Called by the gateway's sources, its appender and its driver, by the tail and by the commands.
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use zenei_wire::{DeviceTime, GatewayTime};

/// How many locks must have reached a time before [`Clock::follow_records`] accepts it (interface contract).
pub const WITNESSES: usize = 8;
/// The last millisecond of the year 9999, the last one that RFC 3339 can write: no clock shows a `ts` beyond it.
const LAST_MS: i64 = 253_402_300_799_999;

/// A source of gateway time. Clones share one time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's own. It may step back; the appender holds it at its highest value so far.
    System,
    /// Set from outside, in lock-step with the published messages.
    Simulated(SimulatedTime),
    /// The highest `ts` that [`WITNESSES`] locks have reached; while fewer are received, the highest that all of them
    /// have reached. A single lock moves it no further than the machine's own time. A `ts` before 1970 or beyond the
    /// year 9999 is ignored.
    FollowRecords(RecordTime),
}

/// A time that is constant until it is set. Never goes back.
#[derive(Clone, Debug)]
pub struct SimulatedTime(Arc<AtomicI64>);

/// A time that follows the locks' clocks. Never goes back.
#[derive(Clone, Debug, Default)]
pub struct RecordTime(Arc<Mutex<Leaders>>);

impl Clock {
    /// A clock that shows `at` until [`Clock::set`].
    pub fn simulated(at: GatewayTime) -> Self {
        Self::Simulated(SimulatedTime(Arc::new(AtomicI64::new(at.ms()))))
    }

    /// A clock that follows the records, from 1970 on until [`Clock::raise`] or the first record.
    pub fn follow_records() -> Self {
        Self::FollowRecords(RecordTime::default())
    }

    /// The time.
    pub fn now(&self) -> GatewayTime {
        match self {
            Self::System => GatewayTime(system_ms()),
            Self::Simulated(time) => GatewayTime(time.0.load(Ordering::SeqCst)),
            Self::FollowRecords(time) => GatewayTime(time.lock().now_ms()),
        }
    }

    /// Raises a simulated clock, or one that follows the records, to at least `at`: the place where a restart
    /// continues. The machine's own clock stays as it is.
    pub fn raise(&self, at: GatewayTime) {
        match self {
            Self::System => {}
            Self::Simulated(time) => {
                time.0.fetch_max(at.ms(), Ordering::SeqCst);
            }
            Self::FollowRecords(time) => {
                let mut leaders = time.lock();
                leaders.floor_ms = leaders.floor_ms.max(at.ms());
            }
        }
    }

    /// Sets a simulated clock; an earlier time than the present one is ignored, and so is a call on any other clock.
    pub fn set(&self, at: GatewayTime) {
        if let Self::Simulated(_) = self {
            self.raise(at);
        }
    }

    /// Whether the clock needs the locks' times ([`Clock::observe`]).
    pub fn follows_records(&self) -> bool {
        matches!(self, Self::FollowRecords(_))
    }

    /// Gives one lock's time to a clock that follows the records; any other clock ignores it.
    pub fn observe(&self, device_id: &str, ts: DeviceTime) {
        if let Self::FollowRecords(time) = self {
            time.lock().observe(device_id, ts.ms(), system_ms());
        }
    }
}

impl RecordTime {
    fn lock(&self) -> std::sync::MutexGuard<'_, Leaders> {
        // A panic while the lock was held loses at most one observation; the list is in order after each step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The locks whose clocks are furthest, highest first, at most [`WITNESSES`]. A lock outside the list has never had a
/// higher time than the last one of it. A lock's highest `ts` only grows and the list's last only grows, so the list
/// alone is exact: no map of the whole fleet is needed.
#[derive(Debug)]
struct Leaders {
    furthest: Vec<(i64, Box<str>)>,
    floor_ms: i64,
}

impl Default for Leaders {
    fn default() -> Self {
        Self { furthest: Vec::with_capacity(WITNESSES + 1), floor_ms: 0 }
    }
}

impl Leaders {
    /// `machine_ms` is the machine's own time: it bounds a lock that no other lock confirms.
    fn observe(&mut self, device_id: &str, ts_ms: i64, machine_ms: i64) {
        if !(0..=LAST_MS).contains(&ts_ms) {
            return;
        }
        match self.furthest.iter().position(|(_, id)| **id == *device_id) {
            Some(at) if self.furthest[at].0 >= ts_ms => return,
            Some(at) => {
                self.furthest.remove(at);
            }
            None => {}
        }
        let at = self.furthest.partition_point(|&(ms, _)| ms >= ts_ms);
        if at < WITNESSES {
            self.furthest.insert(at, (ts_ms, device_id.into()));
            self.furthest.truncate(WITNESSES);
        }
        // The list is ordered, highest first: all of its locks have reached its last entry.
        let reached_ms = match self.furthest.as_slice() {
            [] => return,
            [(alone_ms, _)] => (*alone_ms).min(machine_ms),
            [.., (reached_ms, _)] => *reached_ms,
        };
        self.floor_ms = self.floor_ms.max(reached_ms);
    }

    fn now_ms(&self) -> i64 {
        self.floor_ms
    }
}

/// How long something has taken, for progress, time limits and back-off; never for stored data.
#[derive(Clone, Copy, Debug)]
pub struct Elapsed(Instant);

impl Elapsed {
    /// Starts measuring.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Since the start.
    pub fn so_far(&self) -> Duration {
        self.0.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn system_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::Dice;

    const YEAR_2099_MS: i64 = 4_070_908_800_000;

    fn follow(said: &[(&str, i64)]) -> Clock {
        let clock = Clock::follow_records();
        for &(device_id, ts) in said {
            clock.observe(device_id, DeviceTime(ts));
        }
        clock
    }

    #[test]
    fn with_fewer_than_eight_locks_the_slowest_one_rules() {
        assert_eq!(follow(&[("a", 100)]).now(), GatewayTime(100));
        assert_eq!(follow(&[("a", 300), ("a", 900)]).now(), GatewayTime(900));
    }

    #[test]
    fn one_lock_with_a_wrong_clock_moves_nothing() {
        let mut said: Vec<(String, i64)> = (0..9).map(|n| (format!("lock-{n}"), 1_000 + n)).collect();
        said.push(("liar".into(), YEAR_2099_MS));
        said.push(("liar".into(), i64::MIN));
        let clock = Clock::follow_records();
        clock.observe("lock-0", DeviceTime(1_000));
        for (device_id, ts) in &said {
            clock.observe(device_id, DeviceTime(*ts));
        }
        assert_eq!(clock.now(), GatewayTime(1_002), "the eighth of 1,000 to 1,008 and a liar");
    }

    #[test]
    fn a_lock_that_is_heard_first_and_lives_in_2099_does_not_fix_the_time_for_ever() {
        let mut leaders = Leaders::default();
        leaders.observe("liar", YEAR_2099_MS, 5_000);
        assert_eq!(leaders.now_ms(), 5_000, "alone it leads no further than the machine's own time");
        leaders.observe("liar", YEAR_2099_MS + 1, 5_500);
        assert_eq!(leaders.now_ms(), 5_500);
        leaders.observe("a", 9_000, 5_500);
        assert_eq!(leaders.now_ms(), 9_000, "what two have reached needs no machine");
        leaders.observe("b", 7_000, 5_500);
        leaders.observe("a", 9_500, 5_500);
        assert_eq!(leaders.now_ms(), 9_000, "the third one lags");
        leaders.observe("b", 9_200, 5_500);
        assert_eq!(leaders.now_ms(), 9_200);
    }

    #[test]
    fn a_ts_that_no_clock_shows_is_no_witness() {
        let clock = follow(&[("a", i64::MAX), ("b", LAST_MS + 1), ("c", -1), ("d", i64::MIN)]);
        assert_eq!(clock.now(), GatewayTime(0));
        for device_id in ["a", "b"] {
            clock.observe(device_id, DeviceTime(LAST_MS));
        }
        assert_eq!(clock.now(), GatewayTime(LAST_MS), "the last one that counts");
    }

    #[test]
    fn it_never_goes_back() {
        let clock = follow(&[("a", 500)]);
        clock.observe("b", DeviceTime(100));
        assert_eq!(clock.now(), GatewayTime(500), "a second lock that lags does not pull it back");
        clock.raise(GatewayTime(400));
        assert_eq!(clock.now(), GatewayTime(500));
        clock.raise(GatewayTime(600));
        assert_eq!(clock.now(), GatewayTime(600));
    }

    #[test]
    fn the_short_list_agrees_with_a_map_of_the_whole_fleet() {
        let mut dice = Dice(1);
        let clock = Clock::follow_records();
        let mut highest: std::collections::BTreeMap<u64, i64> = std::collections::BTreeMap::new();
        let mut expected = 0;
        for step in 0..20_000_i64 {
            let (device, ts) = (dice.below(40), step / 4 + i64::try_from(dice.below(200)).unwrap());
            clock.observe(&device.to_string(), DeviceTime(ts));
            let known = highest.entry(device).or_insert(ts);
            *known = (*known).max(ts);
            let mut all: Vec<i64> = highest.values().copied().collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            expected = expected.max(all[all.len().min(WITNESSES) - 1]);
            assert_eq!(clock.now(), GatewayTime(expected), "step {step}");
        }
    }

    #[test]
    fn a_simulated_clock_stands_until_it_is_set_and_never_goes_back() {
        let clock = Clock::simulated(GatewayTime(1_000));
        let other = clock.clone();
        clock.set(GatewayTime(2_000));
        clock.set(GatewayTime(1_500));
        assert_eq!(other.now(), GatewayTime(2_000));
    }
}
