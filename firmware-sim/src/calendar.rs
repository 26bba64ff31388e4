//! Dates without a clock: local days to milliseconds and back. The proleptic Gregorian arithmetic is Howard Hinnant's
//! ("chrono-compatible low-level date algorithms"). Knows no time zone but a fixed offset; Japan has no summer time.

/// One day in ms.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// One hour in ms.
pub(crate) const HOUR_MS: i64 = 3_600_000;
/// One minute in ms.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// Days since 1970-01-01 of a date written `2026-01-12`; `None` for any other text.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = (year.parse::<i64>().ok()?, month.parse::<i64>().ok()?, day.parse::<i64>().ok()?);
    let days = days_from_civil(year, month, day);
    ((1970..=2200).contains(&year) && civil_from_days(days) == (year, month, day)).then_some(days)
}

/// A time as RFC 3339 in UTC with whole seconds: `2026-01-12T00:00:00Z`.
pub(crate) fn rfc3339(ms: i64) -> String {
    let (year, month, day) = civil_from_days(ms.div_euclid(DAY_MS));
    let second = ms.rem_euclid(DAY_MS) / 1000;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Whether the day (days since 1970-01-01, a Thursday) is a Saturday or Sunday.
pub(crate) fn is_weekend(day: i64) -> bool {
    (day + 3).rem_euclid(7) >= 5
}

/// Day of the year from 0.
pub(crate) fn day_of_year(day: i64) -> i64 {
    day - days_from_civil(civil_from_days(day).0, 1, 1)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted - era * 400;
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted - era * 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
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
