//! A share with its denominator. Must not know what is counted. Called by the figures.
use serde::Serialize;

/// A part of a whole; the whole is always there, so that 1 of 2 does not look like 50 of 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// How many of them.
    pub part: u64,
    /// Of how many.
    pub of: u64,
}

impl Share {
    /// The part as a fraction, 0 to 1; `None` of nothing.
    pub fn fraction(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts of people's work are far below 2^52")]
        let fraction = self.part as f64 / self.of as f64;
        (self.of > 0).then_some(fraction)
    }

    pub(super) const fn count(&mut self, is_part: bool) {
        self.of += 1;
        self.part += is_part as u64;
    }
}
