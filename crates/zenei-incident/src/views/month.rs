//! In which Japanese calendar month does an instant lie, and which months does a figure cover? Must not know what is
//! counted. Called by the figures.
use jiff::tz::Offset;
use serde::{Serialize, Serializer};
use std::fmt;
use zenei_wire::EngineTime;

/// The most months of one figure: ten years. A guess: what no chart shows any more.
pub const MONTHS_MAX: u32 = 120;

/// Japan's time; the country has known no other since 1951.
const JST: Offset = Offset::constant(9);

/// A calendar month in Japan, written `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    /// Months since January of the year 0.
    number: i32,
}

impl Month {
    /// The month in which this instant lies, ms since 1970; the first or the last known one beyond the calendar.
    pub fn of_ms(ms: i64) -> Self {
        let beyond = if ms < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let instant = jiff::Timestamp::from_millisecond(ms).unwrap_or(beyond);
        let date = JST.to_datetime(instant);
        Self { number: i32::from(date.year()) * 12 + i32::from(date.month()) - 1 }
    }

    /// The year.
    pub const fn year(self) -> i32 {
        self.number.div_euclid(12)
    }

    /// The month of the year, 1 to 12.
    pub const fn month(self) -> i32 {
        self.number.rem_euclid(12) + 1
    }

    /// The month of `now` and those before it, `count` together (1 to [`MONTHS_MAX`], else the nearest of these), the
    /// oldest first.
    pub fn up_to(now: EngineTime, count: u32) -> Vec<Self> {
        let last = Self::of_ms(now.ms()).number;
        let before = i32::try_from(count.clamp(1, MONTHS_MAX)).unwrap_or(1) - 1;
        (last - before..=last).map(|number| Self { number }).collect()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year(), self.month())
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
