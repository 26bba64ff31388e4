//! How often values of about this size have occurred: a histogram over the sign and the logarithm of a deviation. A
//! deviation that occurred often before is no surprise. Called by `stream`.
use serde::{Deserialize, Serialize};

/// Symbols: signs and sizes.
const SYMBOLS: usize = SIGNS * SIZES;
/// The signs, and the sizes of each: snapshots hold lists of a fixed length up to 32.
const SIGNS: usize = 2;
const SIZES: usize = 32;
/// Symbols for each factor e of size. With 64 symbols they reach to sizes of 200.
const PER_E: f64 = 6.0;
/// The weight of observations at which all older ones are halved.
const KEPT: f64 = 3_000.0;
/// The fewest observations for a result. A guess.
const KNOWN: f64 = 50.0;

/// How often each symbol was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Symbols {
    counts: [[f64; SIZES]; SIGNS],
    sum: f64,
}

impl Symbols {
    /// How surprising a deviation (in units of the usual one) is, in nats: minus the logarithm of its share, to which
    /// neighbours count half. `None` while too little was seen.
    pub fn surprise(&self, deviation: f64) -> Option<f64> {
        if self.sum <= KNOWN {
            return None;
        }
        let at = symbol(deviation);
        let counts = self.counts.as_flattened();
        let beside = counts[at.saturating_sub(1)] + counts[(at + 1).min(SYMBOLS - 1)];
        let seen = counts[at] + 0.5 * beside;
        Some(libm::log((self.sum + 1.0) / (seen + 1.0)).max(0.0))
    }

    /// Adds a deviation.
    pub fn add(&mut self, deviation: f64) {
        self.counts.as_flattened_mut()[symbol(deviation)] += 1.0;
        self.sum += 1.0;
        if self.sum > KEPT {
            self.counts.as_flattened_mut().iter_mut().for_each(|count| *count /= 2.0);
            self.sum /= 2.0;
        }
    }
}

fn symbol(deviation: f64) -> usize {
    let size = PER_E * libm::log(1.0 + deviation.abs());
    let middle = SYMBOLS as f64 / 2.0;
    (middle + size.copysign(deviation)).clamp(0.0, SYMBOLS as f64 - 1.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_seen_surprises_and_what_came_often_does_not() {
        let mut symbols = Symbols::default();
        (0..50).for_each(|_| symbols.add(0.5));
        assert_eq!(symbols.surprise(0.5), None);
        (0..50).for_each(|_| symbols.add(0.5));
        assert!(symbols.surprise(0.5).unwrap() < 0.1);
        let new = symbols.surprise(30.0).unwrap();
        assert!(new > 4.0 && symbols.surprise(-30.0).unwrap() > 4.0);
        (0..20).for_each(|_| symbols.add(30.0));
        assert!(symbols.surprise(30.0).unwrap() < new - 2.0);
    }

    #[test]
    fn sizes_without_end_have_a_symbol() {
        assert_eq!((symbol(f64::INFINITY), symbol(f64::NEG_INFINITY)), (SYMBOLS - 1, 0));
        assert_eq!((symbol(f64::MAX), symbol(0.0)), (SYMBOLS - 1, SYMBOLS / 2));
    }
}
