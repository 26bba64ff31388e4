//! When a random occurrence happens next, also where its rate changes in between. Each kind of occurrence is a unit
//! Poisson process in its own hazard time: a higher rate makes the same draws come sooner and changes no other draws.
//! Must not know records. Called by `lock`.
use crate::calendar::DAY_MS;
use crate::rng::{Draws, Purpose};

/// The clock of one kind of occurrence of one lock.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    kind: u64,
    count: u64,
    /// Hazard left until the next occurrence.
    left: f64,
    since_ms: i64,
    per_day: f64,
}

impl Clock {
    pub(crate) fn new(seed: u64, lock: usize, kind: usize, at_ms: i64, per_day: f64) -> Self {
        let mut clock = Self { kind: kind as u64, count: 0, left: 0.0, since_ms: at_ms, per_day };
        clock.wind(seed, lock, at_ms);
        clock
    }

    /// When the next occurrence is due; `i64::MAX` where it never is.
    pub(crate) fn due_ms(&self) -> i64 {
        let days = self.left / self.per_day;
        if days < 1e6 { self.since_ms + (days * DAY_MS as f64) as i64 } else { i64::MAX }
    }

    /// Changes the rate from now on.
    pub(crate) fn change(&mut self, at_ms: i64, per_day: f64) {
        let passed = (at_ms - self.since_ms) as f64 / DAY_MS as f64 * self.per_day;
        (self.left, self.since_ms, self.per_day) = ((self.left - passed).max(0.0), at_ms, per_day);
    }

    /// Draws the next occurrence after one has happened.
    pub(crate) fn wind(&mut self, seed: u64, lock: usize, at_ms: i64) {
        let index = self.kind << 32 | self.count;
        (self.left, self.since_ms) = (Draws::new(seed, lock, Purpose::ErrorClock, index).exponential(), at_ms);
        self.count += 1;
    }

    /// How many occurrences there were.
    pub(crate) fn struck(&self) -> u64 {
        self.count - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_and_a_change_loses_nothing() {
        let mut clock = Clock::new(1, 2, 3, 0, 2.0);
        while clock.due_ms() < 1000 * DAY_MS {
            let at_ms = clock.due_ms();
            clock.wind(1, 2, at_ms);
        }
        // Five standard deviations of a Poisson count of 2,000.
        assert!((1776..2224).contains(&clock.struck()), "{}", clock.struck());
        let before_ms = clock.due_ms();
        clock.change(1000 * DAY_MS, 4.0);
        assert!((clock.due_ms() - 1000 * DAY_MS - (before_ms - 1000 * DAY_MS) / 2).abs() <= 1);
        clock.change(1000 * DAY_MS, 0.0);
        assert_eq!(clock.due_ms(), i64::MAX);
    }
}
