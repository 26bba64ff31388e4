//! What is normal at this time of day: a mean and a mean deviation for each part of the day. Called by `stream`.
use crate::time::DAY_MS;
use serde::{Deserialize, Serialize};

/// Parts of a day: half an hour each, the rhythm of people at doors and of servers alike. A guess.
const PARTS: usize = HALVES * HALF;
/// The halves of a day, and the parts of each: snapshots hold lists of a fixed length up to 32.
const HALVES: usize = 2;
const HALF: usize = 24;
/// The number of visits from which on a part of the day is known. A guess: the first visit may be no day like others.
const KNOWN_VISITS: u32 = 2;

/// The parts of a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Season {
    rate: f64,
    parts: [[Part; HALF]; HALVES],
    last: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Part {
    visits: u32,
    count: f64,
    mean: f64,
    deviation: f64,
}

impl Season {
    /// A season that each observation moves by `rate` (0 to 1) in its part of the day.
    pub fn new(rate: f64) -> Self {
        Self { rate, parts: [[Part::default(); HALF]; HALVES], last: PARTS }
    }

    /// How far a value is from what is normal at this time, and how far values usually are; `None` until this part of
    /// the day is known.
    pub fn deviation(&self, value: f64, at_ms: i64) -> Option<(f64, f64)> {
        let part = &self.parts.as_flattened()[place(at_ms)];
        (part.visits >= KNOWN_VISITS).then(|| ((value - part.mean).abs(), part.deviation))
    }

    /// Adds an observation.
    pub fn add(&mut self, value: f64, at_ms: i64) {
        let place = place(at_ms);
        let part = &mut self.parts.as_flattened_mut()[place];
        if place != self.last {
            part.visits = part.visits.saturating_add(1);
            self.last = place;
        }
        part.count += 1.0;
        let weight = self.rate.max(1.0 / part.count);
        let off = (value - part.mean).abs();
        // The first observation is no deviation.
        part.deviation += if part.count > 1.0 { weight * (off - part.deviation) } else { 0.0 };
        part.mean += weight * (value - part.mean);
    }
}

fn place(at_ms: i64) -> usize {
    (at_ms.rem_euclid(DAY_MS) / (DAY_MS / PARTS as i64)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daily_rhythm_is_normal_and_its_absence_is_not() {
        let mut season = Season::new(0.05);
        let value = |hour: i64| if (8..20).contains(&(hour % 24)) { 100.0 + (hour % 5) as f64 } else { 0.0 };
        assert_eq!(season.deviation(0.0, 0), None);
        (0..240).for_each(|hour| season.add(value(hour), hour * 3_600_000));
        let (off, usual) = season.deviation(value(252), 252 * 3_600_000).unwrap();
        assert!(off < 3.0 * usual, "{off} {usual}");
        let (off, usual) = season.deviation(0.0, 252 * 3_600_000).unwrap();
        assert!(off > 20.0 * usual, "{off} {usual}");
    }

    #[test]
    fn times_before_1970_have_their_part_too() {
        assert_eq!((place(-1), place(0), place(DAY_MS - 1)), (PARTS - 1, 0, PARTS - 1));
    }
}
