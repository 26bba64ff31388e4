//! The latest reported conditions of a lock, and for how long they are valid: the battery's voltage at rest, and the
//! temperature. Must not know rules or rows. Used by `lock`, by the detectors `drain` and `schema`, and by the shipper
//! of `zenei-store`, so that a row in ClickHouse and a detector use the same voltage for one operation.
use crate::time::HOUR_MS;
use core::ops::RangeInclusive;
use serde::{Deserialize, Serialize};
use zenei_wire::Millivolts;

/// How old a heartbeat's temperature and rest voltage may be for an operation, by the lock's own clock, ms: the
/// contract's slowest heartbeat is 6 h, and one may be lost.
pub const AGE_MS_MAX: i64 = 12 * HOUR_MS;
/// From one lithium cell nearly empty to four in series full, mV: a range that no lock's battery leaves.
const BATTERY_MV: RangeInclusive<u16> = 500..=18_000;

/// The voltage where a battery can have it; a voltage that no battery has is no measurement.
pub fn possible(battery: Option<Millivolts>) -> Option<Millivolts> {
    battery.filter(|battery| BATTERY_MV.contains(&battery.0))
}

/// The battery's voltage at rest, as the lock's heartbeats and its trusted advertisements last reported it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RestVoltage(Condition);

impl RestVoltage {
    /// Takes the value of a heartbeat; `ts` by the lock's clock, ms. An impossible value changes nothing.
    pub fn heartbeat(&mut self, battery: Option<Millivolts>, ts: i64) {
        self.0.heartbeat(possible(battery).map(|battery| battery.0.into()), ts);
    }

    /// Takes the value of an advertisement; `at_ms` by its gateway's clock. An impossible value changes nothing.
    pub fn advertised(&mut self, battery: Option<Millivolts>, at_ms: i64) {
        self.0.advertised(possible(battery).map(|battery| battery.0.into()), at_ms);
    }

    /// The value at `ts` of the lock's clock; `None` where it was never reported, or only longer than [`AGE_MS_MAX`]
    /// ago.
    pub fn at(&self, ts: i64) -> Option<Millivolts> {
        // Whole millivolts went in, and a float holds each of them.
        self.0.at(ts).map(|battery_mv| Millivolts(battery_mv as u16))
    }
}

/// A condition as the lock last reported it, by its own clock in heartbeats and by its gateway's in advertisements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Condition {
    heartbeat: Option<(f32, i64)>,
    air: Option<(f32, i64)>,
    /// Which one came last.
    air_last: bool,
}

impl Condition {
    /// Takes the value of a heartbeat, where it has one.
    pub(crate) fn heartbeat(&mut self, value: Option<f32>, ts: i64) {
        if let Some(value) = value {
            *self = Self { heartbeat: Some((value, ts)), air_last: false, ..*self };
        }
    }

    /// Takes the value of an advertisement, where it has one.
    pub(crate) fn advertised(&mut self, value: Option<f32>, at_ms: i64) {
        if let Some(value) = value {
            *self = Self { air: Some((value, at_ms)), air_last: true, ..*self };
        }
    }

    /// The value at `ts` of the lock's clock, where it is not too old. An advertisement counts where both clocks show
    /// about the same time: it may have been received after an operation that was reported late.
    pub(crate) fn at(&self, ts: i64) -> Option<f64> {
        let age = |at: i64| ts.saturating_sub(at);
        let heartbeat = self.heartbeat.filter(|&(_, at)| (0..=AGE_MS_MAX).contains(&age(at)));
        let air = self.air.filter(|&(_, at)| (-AGE_MS_MAX..=AGE_MS_MAX).contains(&age(at)));
        let found = if self.air_last { air.or(heartbeat) } else { heartbeat.or(air) };
        found.map(|(value, _)| value.into())
    }

    /// The last reported value, however old.
    pub(crate) fn last(&self) -> Option<f64> {
        let found = if self.air_last { self.air.or(self.heartbeat) } else { self.heartbeat.or(self.air) };
        found.map(|(value, _)| value.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voltage_counts_for_twelve_hours_and_only_where_a_battery_can_have_it() {
        let mut rest = RestVoltage::default();
        assert_eq!(rest.at(0), None, "nobody told it");
        rest.heartbeat(Some(Millivolts(2_900)), 1_000);
        for (ts, expected) in
            [(999, None), (1_000, Some(2_900)), (1_000 + AGE_MS_MAX, Some(2_900)), (1_001 + AGE_MS_MAX, None)]
        {
            assert_eq!(rest.at(ts), expected.map(Millivolts), "{ts}");
        }
        for battery in [None, Some(0), Some(499), Some(18_001), Some(u16::MAX)] {
            rest.heartbeat(battery.map(Millivolts), 2_000);
            rest.advertised(battery.map(Millivolts), 2_000);
            assert_eq!(rest.at(2_000), Some(Millivolts(2_900)), "{battery:?} is no measurement");
        }
        rest.advertised(Some(Millivolts(18_000)), 2_000);
        assert_eq!(rest.at(1_500), Some(Millivolts(18_000)), "the two clocks may differ");
    }
}
