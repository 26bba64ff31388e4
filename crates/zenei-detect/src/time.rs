//! Durations in milliseconds, the units of all windows and limits of this crate. Must not know anything else. Used by
//! the whole crate.

/// A minute, ms.
pub const MINUTE_MS: i64 = 60_000;
/// An hour, ms.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// A day, ms.
pub const DAY_MS: i64 = 24 * HOUR_MS;
