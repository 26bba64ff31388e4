//! The simulator's dates: texts to days and back, weekends, the day of the year. The calendar itself is zenei-wire's.
//! Must not know time zones: local time is UTC plus the scenario's fixed offset, since Japan has no summer time. Called
//! by all modules that count in days, hours or minutes: habits, weather, the scenario, the plan of faults.
use zenei_wire::calendar::{Date, date, days_since_1970};

pub(crate) use zenei_wire::calendar::DAY_MS;

/// One hour in ms.
pub(crate) const HOUR_MS: i64 = 3_600_000;
/// One minute in ms.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// Days since 1970-01-01 of a date written `2026-01-12`; `None` for any other text.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = (year.parse::<i64>().ok()?, month.parse::<i64>().ok()?, day.parse::<i64>().ok()?);
    if !(1970..=2200).contains(&year) {
        return None;
    }
    let days = days_since_1970(year, month, day);
    (date(days) == Date { year, month, day }).then_some(days)
}

/// A time as RFC 3339 in UTC with whole seconds: `2026-01-12T00:00:00Z`.
pub(crate) fn rfc3339(ms: i64) -> String {
    let Date { year, month, day } = date(ms.div_euclid(DAY_MS));
    let second = ms.rem_euclid(DAY_MS) / 1000;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Whether the day (days since 1970-01-01, a Thursday) is a Saturday or Sunday.
pub(crate) fn is_weekend(day: i64) -> bool {
    (day + 3).rem_euclid(7) >= 5
}

/// Day of the year from 0.
pub(crate) fn day_of_year(day: i64) -> i64 {
    day - days_since_1970(date(day).year, 1, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert_eq!(rfc3339(1_777_626_000_000), "2026-05-01T09:00:00Z");
        assert_eq!(parse_date("2024-02-29").map(|day| rfc3339(day * DAY_MS)), Some("2024-02-29T00:00:00Z".into()));
        assert_eq!(parse_date("2026-02-29"), None);
        assert_eq!(parse_date("yesterday"), None);
    }

    #[test]
    fn the_weekend_is_saturday_and_sunday() {
        let days: Vec<bool> = (10..17).filter_map(|d| parse_date(&format!("2026-01-{d}")).map(is_weekend)).collect();
        assert_eq!(days, [true, true, false, false, false, false, false]);
        assert_eq!(parse_date("2026-02-01").map(day_of_year), Some(31));
    }
}
