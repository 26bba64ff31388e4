//! Converts dates of the Gregorian calendar (also those before its introduction) to days since 1970-01-01 and back.
//! Must not know clocks or time zones. Called by the decoders for times in RFC 3339, and by the simulator.
//!
//! The arithmetic is Howard Hinnant's ("chrono-Compatible Low-Level Date Algorithms", days_from_civil and
//! civil_from_days): years are counted from March, so that the leap day is the last of its year. It holds for years up
//! to some hundred billions.

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// A day of the calendar. Ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// The year; 0 is the one before year 1.
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// From 1.
    pub day: i64,
}

/// How many days a month of 1 to 12 has.
pub const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date.
pub const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The date so many days after 1970-01-01.
pub const fn date(days_since_1970: i64) -> Date {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400;
    Date { year: if month <= 2 { year + 1 } else { year }, month, day }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut expected = days_since_1970(1900, 1, 1);
        for year in 1900..2300 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(days_since_1970(year, month, day), expected, "{year}-{month}-{day}");
                    assert_eq!(date(expected), Date { year, month, day });
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn years_before_1970_and_before_year_1_have_dates() {
        for (days, year, month, day) in
            [(0, 1970, 1, 1), (-1, 1969, 12, 31), (-719_528, 0, 1, 1), (-719_529, -1, 12, 31)]
        {
            assert_eq!((date(days), days_since_1970(year, month, day)), (Date { year, month, day }, days));
        }
    }
}
