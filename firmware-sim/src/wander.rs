//! Noise that lasts: a smooth random course in time without memory, so that a lock and its twin share it and it can be
//! asked for at any time. Must not know what wanders. Called by `traits` and `lock`.
use crate::calendar::DAY_MS;
use crate::rng::{Draws, Purpose};

/// What wanders: each has a course of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    Friction = 1,
    Rest = 2,
    Radio = 3,
}

/// A value of mean 0 and standard deviation 1 at a time: normal values at knots `days` apart and, at half the height,
/// a quarter of that apart, with straight lines between them.
pub(crate) fn value(seed: u64, lock: usize, course: Course, at_ms: i64, days: f64) -> f64 {
    let slow = octave(seed, lock, course as u64 * 2, at_ms, days);
    let fast = octave(seed, lock, course as u64 * 2 + 1, at_ms, days / 4.0);
    // The variance of a line between two knots is 2/3 of a knot's on average; the two octaves add up.
    (slow + 0.5 * fast) / (1.25_f64 * 2.0 / 3.0).sqrt()
}

fn octave(seed: u64, lock: usize, course: u64, at_ms: i64, days: f64) -> f64 {
    let along = at_ms as f64 / DAY_MS as f64 / days.max(0.01);
    let (knot, part) = (along.floor(), along - along.floor());
    let at = |knot: f64| Draws::new(seed, lock, Purpose::Wander, course << 48 | knot as u64).normal();
    at(knot) * (1.0 - part) + at(knot + 1.0) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_its_standard_deviation_and_lasts() {
        let at = |lock: usize, hours: i64| value(5, lock, Course::Friction, hours * 3_600_000, 3.0);
        let values: Vec<f64> = (0..2_000).map(|lock| at(lock, 500_000 + lock as i64)).collect();
        let variance = values.iter().map(|value| value * value).sum::<f64>() / 2_000.0;
        assert!((0.85..1.15).contains(&variance), "{variance}");
        let near: f64 = (0..2_000).map(|lock| at(lock, 480_000) * at(lock, 480_003)).sum::<f64>() / 2_000.0;
        let far: f64 = (0..2_000).map(|lock| at(lock, 480_000) * at(lock, 480_240)).sum::<f64>() / 2_000.0;
        assert!(near > 0.7 && far.abs() < 0.12, "{near} {far}");
    }
}
