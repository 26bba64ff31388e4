//! Converts RFC 3339 texts to milliseconds since 1970. Must not know time zones beyond the offset in the text. Called
//! by the decoders for `ts`.
use crate::calendar::{DAY_MS, days_in_month, days_since_1970};
use crate::time::DeviceTime;

/// Why a text is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeError {
    /// Not of the shape `2026-05-01T09:00:00.000Z`.
    Shape,
    /// Of that shape, but there is no such month, day, hour, minute, second or offset.
    Range,
}

/// Reads a time. Digits of the fraction beyond the third are cut off. A leap second, which only the last minute of a
/// UTC day has, reads as the first second of the next day, as POSIX counts it. As RFC 3339 allows, `t`, a space and `z`
/// stand for `T` and `Z`.
///
/// # Errors
/// See [`TimeError`].
pub(crate) fn parse(text: &str) -> Result<DeviceTime, TimeError> {
    let (date_time, rest) = text.as_bytes().split_first_chunk::<19>().ok_or(TimeError::Shape)?;
    let mark = |at: usize, allowed: &[u8]| allowed.contains(&date_time[at]);
    if !(mark(4, b"-") && mark(7, b"-") && mark(10, b"Tt ") && mark(13, b":") && mark(16, b":")) {
        return Err(TimeError::Shape);
    }
    let two = |at: usize| digits(&date_time[at..at + 2]);
    let (year, month, day) = (digits(&date_time[..4])?, two(5)?, two(8)?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    let (fraction_ms, offset) = fraction(rest)?;
    let offset_minutes = offset_minutes(offset)?;
    let is_date = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return Err(TimeError::Range);
    }
    let minute_of_day = hour * 60 + minute - offset_minutes;
    if second == 60 && minute_of_day.rem_euclid(24 * 60) != 24 * 60 - 1 {
        return Err(TimeError::Range);
    }
    let of_day_ms = (minute_of_day * 60 + second) * 1000 + fraction_ms;
    Ok(DeviceTime(days_since_1970(year, month, day) * DAY_MS + of_day_ms))
}

fn digits(text: &[u8]) -> Result<i64, TimeError> {
    text.iter().try_fold(0, |number, &byte| match byte {
        b'0'..=b'9' => Ok(number * 10 + i64::from(byte - b'0')),
        _ => Err(TimeError::Shape),
    })
}

/// Milliseconds of the fraction, and what follows it.
fn fraction(rest: &[u8]) -> Result<(i64, &[u8]), TimeError> {
    let Some((b'.', after)) = rest.split_first() else {
        return Ok((0, rest));
    };
    let length = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return Err(TimeError::Shape);
    }
    let ms = (0..3).try_fold(0, |ms, at| Ok(ms * 10 + if at < length { digits(&after[at..=at])? } else { 0 }))?;
    Ok((ms, &after[length..]))
}

/// `Z` or `+09:00`, in minutes.
fn offset_minutes(text: &[u8]) -> Result<i64, TimeError> {
    match text {
        [b'Z' | b'z'] => Ok(0),
        [sign @ (b'+' | b'-'), hours @ .., b':', tens, ones] if hours.len() == 2 => {
            let (hours, minutes) = (digits(hours)?, digits(&[*tens, *ones])?);
            if hours > 23 || minutes > 59 {
                return Err(TimeError::Range);
            }
            let total = hours * 60 + minutes;
            Ok(if *sign == b'-' { -total } else { total })
        }
        _ => Err(TimeError::Shape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Result<i64, TimeError> {
        parse(text).map(DeviceTime::ms)
    }

    #[test]
    fn times_read_as_the_calendar_says() {
        assert_eq!(ms("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(ms("2026-05-01T09:00:00.000Z"), Ok(1_777_626_000_000));
        assert_eq!(ms("2000-02-29T12:34:56.789Z"), Ok(951_827_696_789));
        assert_eq!(ms("1969-12-31T23:59:59.999Z"), Ok(-1));
        assert_eq!(ms("0000-01-01T00:00:00Z"), Ok(-62_167_219_200_000));
        assert_eq!(ms("9999-12-31T23:59:59.999Z"), Ok(253_402_300_799_999));
    }

    #[test]
    fn an_offset_is_taken_off() {
        assert_eq!(ms("2026-05-01T18:00:00+09:00"), Ok(1_777_626_000_000));
        assert_eq!(ms("2026-05-01T03:30:00-05:30"), Ok(1_777_626_000_000));
        assert_eq!(ms("2026-05-01t09:00:00z"), Ok(1_777_626_000_000));
        assert_eq!(ms("2026-05-01 09:00:00-00:00"), Ok(1_777_626_000_000));
    }

    #[test]
    fn a_fraction_is_cut_to_milliseconds() {
        assert_eq!(ms("1970-01-01T00:00:00.5Z"), Ok(500));
        assert_eq!(ms("1970-01-01T00:00:00.0019999999999Z"), Ok(1));
    }

    #[test]
    fn a_leap_second_is_the_next_days_first() {
        assert_eq!(ms("2016-12-31T23:59:60Z"), ms("2017-01-01T00:00:00Z"));
        assert_eq!(ms("2017-01-01T08:59:60+09:00"), ms("2017-01-01T00:00:00Z"));
        assert_eq!(ms("2016-12-31T23:58:60Z"), Err(TimeError::Range));
    }

    #[test]
    fn what_names_no_time_is_out_of_range() {
        for text in [
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+00:60",
        ] {
            assert_eq!(ms(text), Err(TimeError::Range), "{text}");
        }
    }

    #[test]
    fn another_shape_is_no_time() {
        for text in [
            "",
            "yesterday",
            "2026-05-01",
            "2026-05-01T09:00:00",
            "2026-05-01T09:00Z",
            "2026-05-01T09:00:00.Z",
            "2026-05-01T09:00:00,5Z",
            "2026-05-01T09:00:00+0900",
            "2026-05-01T09:00:00+9:00",
            "2026-05-01T09:00:00Z ",
            "26-05-01T09:00:00.000Z",
            "2026-05-01T09:00:00.000ZZ",
            "２０２６-05-01T09:00:00Z",
        ] {
            assert_eq!(ms(text), Err(TimeError::Shape), "{text}");
        }
    }
}
