//! How long a remote asks to wait: the header `Retry-After`, in seconds or as a date (RFC 9110, 10.2.3). A date counts
//! from the answer's own `Date`, so that the remote's clock need not agree with ours. Must not know a remote. Called by
//! [`super::http`].
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use std::time::Duration;
use zenei_wire::calendar::days_since_1970;

/// The longest wait that is believed; a guess: beyond a day somebody should look.
const MAX: Duration = Duration::from_secs(86_400);

/// The wait that the headers ask for, at most a day; `None` where they ask for none, or not in a form that is defined.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(MAX));
    }
    let (until, now) = (seconds_of(asked)?, seconds_of(text(DATE)?)?);
    Some(Duration::from_secs(u64::try_from(until - now).unwrap_or(0)).min(MAX))
}

/// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that is still written.
fn seconds_of(date: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = date.split_once(", ")?.1.split(' ');
    let day = i64::from(parts.next()?.parse::<u8>().ok()?);
    let name = parts.next()?;
    let month = 1 + MONTHS.iter().position(|month| *month == name)? as i64;
    let year: i64 = parts.next()?.parse().ok().filter(|year| (1970..10_000).contains(year))?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<u8>().ok().map(i64::from));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let days = days_since_1970(year, month, day);
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: &str, now: &str, seconds: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, asked.parse().unwrap());
        headers.insert(DATE, now.parse().unwrap());
        assert_eq!(retry_after(&headers), seconds.map(Duration::from_secs), "{asked}");
    }

    #[test]
    fn seconds_and_dates_are_read_and_bounded() {
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        check("120", now, Some(120));
        check("Sun, 06 Nov 1994 08:51:00 GMT", now, Some(83));
        check("Sun, 06 Nov 1994 08:00:00 GMT", now, Some(0));
        check("Sun, 06 Nov 2094 08:00:00 GMT", now, Some(86_400));
        check("99999999999", now, Some(86_400));
        for wrong in [
            "soon",
            "-5",
            "1.5",
            "Sun, 06 Foo 1994 08:00:00 GMT",
            "Sun, 06 Nov 99999999999999 08:00:00 GMT",
            "Sun, 9223372036854775807 Nov 1994 08:00:00 GMT",
            "Sun, 06 Nov 1994 9223372036854775807:00:00 GMT",
        ] {
            check(wrong, now, None);
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
        assert_eq!(seconds_of("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds_of("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
    }
}
