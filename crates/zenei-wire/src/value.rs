//! One field's value in the form that JSON and CBOR share, and its conversion into the contract's types. Must not know
//! either syntax. Called by both codecs (which make values) and by `draft` (which asks for a type).
use crate::limits::MAX_TEXT_BYTES;
use crate::record::{Profile, Text};
use crate::refusal::{Reason, Refusal};
use crate::rfc3339::{self, TimeError};
use crate::time::DeviceTime;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

/// A value as a codec read it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// Reads as absent. CBOR's `undefined` too.
    Null,
    /// True or false; no field of the contract is one.
    Bool,
    /// An integer that fits 64 bits.
    Int(i64),
    /// Every other number: JSON's with a fraction, an exponent or too many digits, rounded to the nearest double, so
    /// that both codecs round alike.
    Float(f64),
    /// A text, its escapes resolved.
    Text(Cow<'a, str>),
    /// An array; its elements are in the codec's [`Samples`].
    Array,
    /// An object or map.
    Map,
    /// A value that only CBOR has: a byte string, a tagged value, a simple value.
    Foreign,
}

/// The elements of the array read last, as far as they are a motor current profile. Reused, so that an array costs no
/// allocation.
#[derive(Debug)]
pub(crate) struct Samples {
    profile: Profile,
    fault: Option<Reason>,
}

impl Samples {
    pub(crate) const fn new() -> Self {
        Self { profile: Profile::EMPTY, fault: None }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    /// Adds an element; the fault of the first one that is not a sample is stored.
    pub(crate) fn push(&mut self, element: &Value<'_>) {
        if self.fault.is_some() {
            return;
        }
        self.fault = match whole(element) {
            Ok(number) => match u16::try_from(number) {
                Ok(sample) if self.profile.push(sample) => None,
                Ok(_) | Err(_) => Some(Reason::OutOfRange),
            },
            Err(reason) => Some(reason),
        };
    }
}

impl Value<'_> {
    /// A description of the value, for a refusal's detail; at most 64 bytes of the input, escaped.
    fn describe(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool => "a boolean".into(),
            Self::Int(number) => format!("{number}"),
            Self::Float(number) => format!("{number:e}"),
            Self::Text(text) => format!("\"{}\"", excerpt(text)),
            Self::Array => "an array".into(),
            Self::Map => "an object".into(),
            Self::Foreign => "a byte string, tagged or simple value".into(),
        }
    }
}

/// The start of a text, escaped, in at most 64 bytes.
pub(crate) fn excerpt(text: &str) -> String {
    let mut shown = String::new();
    for escaped in text.chars().map(char::escape_default) {
        if shown.len() + escaped.len() > 64 {
            break;
        }
        shown.extend(escaped);
    }
    shown
}

/// The integer that a value is. A fraction of zero is none: 12.0 is 12.
fn whole(value: &Value<'_>) -> Result<i64, Reason> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::Float(number) => {
            // A cast saturates beyond 2^63, and makes NaN 0; both are outside every type of the contract.
            let integer = *number as i64;
            if number.is_nan() || integer == i64::MAX || integer == i64::MIN {
                Err(Reason::OutOfRange)
            } else if integer as f64 == *number {
                Ok(integer)
            } else {
                Err(Reason::WrongType)
            }
        }
        Value::Null | Value::Bool | Value::Text(_) | Value::Array | Value::Map | Value::Foreign => {
            Err(Reason::WrongType)
        }
    }
}

#[cold]
pub(crate) fn refuse(reason: Reason, name: &str, value: &Value<'_>, allowed: &str) -> Refusal {
    Refusal::new(reason, format!("{name} is {}; {allowed} is allowed", value.describe()))
}

/// An unsigned integer of 32 bits.
pub(crate) fn number32(name: &str, value: &Value<'_>) -> Result<Option<u32>, Refusal> {
    ranged(name, value, (0, u32::MAX.into()))
}

/// An integer from `least` to `most`, which its type can hold; `None` for null.
#[inline]
pub(crate) fn ranged<T: TryFrom<i64>>(
    name: &str,
    value: &Value<'_>,
    (least, most): (i64, i64),
) -> Result<Option<T>, Refusal> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::Int(number) => Ok(*number),
        Value::Float(_) | Value::Bool | Value::Text(_) | Value::Array | Value::Map | Value::Foreign => whole(value),
    };
    let refused = |reason| refuse(reason, name, value, &format!("an integer from {least} to {most}"));
    match number {
        Ok(number) if (least..=most).contains(&number) => {
            T::try_from(number).map(Some).map_err(|_| refused(Reason::OutOfRange))
        }
        Ok(_) => Err(refused(Reason::OutOfRange)),
        Err(reason) => Err(refused(reason)),
    }
}

/// A number in hundredths, rounded half away from zero.
pub(crate) fn hundredths(name: &str, value: &Value<'_>) -> Result<Option<i16>, Refusal> {
    const ALLOWED: &str = "a number from -327.68 to 327.67";
    let rounded = match value {
        Value::Null => return Ok(None),
        Value::Int(number) => number.saturating_mul(100),
        Value::Float(number) if number.is_nan() => return Err(refuse(Reason::OutOfRange, name, value, ALLOWED)),
        Value::Float(number) => round(number * 100.0),
        Value::Bool | Value::Text(_) | Value::Array | Value::Map | Value::Foreign => {
            return Err(refuse(Reason::WrongType, name, value, ALLOWED));
        }
    };
    i16::try_from(rounded).map(Some).map_err(|_| refuse(Reason::OutOfRange, name, value, ALLOWED))
}

/// The nearest integer, half away from zero; saturates.
fn round(number: f64) -> i64 {
    let toward_zero = number as i64;
    let rest = number - toward_zero as f64;
    if rest >= 0.5 {
        toward_zero.saturating_add(1)
    } else if rest <= -0.5 {
        toward_zero.saturating_sub(1)
    } else {
        toward_zero
    }
}

/// A text of at most 256 bytes without control characters.
pub(crate) fn text<'a>(name: &str, value: Value<'a>) -> Result<Option<Text<'a>>, Refusal> {
    const ALLOWED: &str = "a text of at most 256 bytes without control characters";
    match value {
        Value::Null => Ok(None),
        Value::Text(text) if is_plain(&text) => Ok(Some(text)),
        Value::Text(_) => Err(refuse(Reason::BadString, name, &value, ALLOWED)),
        Value::Bool | Value::Int(_) | Value::Float(_) | Value::Array | Value::Map | Value::Foreign => {
            Err(refuse(Reason::WrongType, name, &value, ALLOWED))
        }
    }
}

fn is_plain(text: &str) -> bool {
    let printable_ascii = |byte: &u8| (0x20..0x7F).contains(byte);
    text.len() <= MAX_TEXT_BYTES && (text.as_bytes().iter().all(printable_ascii) || !text.chars().any(char::is_control))
}

/// One of these words: its place among them.
pub(crate) fn word(name: &str, value: Value<'_>, all: &[&str]) -> Result<Option<u8>, Refusal> {
    let Some(text) = text(name, value)? else {
        return Ok(None);
    };
    match (0..).zip(all).find(|(_, word)| **word == text) {
        Some((place, _)) => Ok(Some(place)),
        None => Err(refuse(Reason::OutOfRange, name, &Value::Text(text), "only a word of the contract")),
    }
}

/// An error code: `^[a-z][a-z0-9_]{0,47}$`.
pub(crate) fn code<'a>(name: &str, value: Value<'a>) -> Result<Option<Text<'a>>, Refusal> {
    let Some(text) = text(name, value)? else {
        return Ok(None);
    };
    let rest = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    match text.as_bytes() {
        [first, more @ ..] if first.is_ascii_lowercase() && more.len() <= 47 && more.iter().all(rest) => Ok(Some(text)),
        _ => Err(refuse(Reason::BadString, name, &Value::Text(text), "^[a-z][a-z0-9_]{0,47}$")),
    }
}

/// A time: an RFC 3339 text, or an integer of milliseconds since 1970. A text of another shape is `wrong_type`, one
/// that names no time `out_of_range`.
pub(crate) fn time(name: &str, value: Value<'_>) -> Result<Option<DeviceTime>, Refusal> {
    const ALLOWED: &str = "an RFC 3339 text or an integer of milliseconds since 1970";
    match value {
        Value::Text(_) => {
            let Some(text) = text(name, value)? else {
                return Ok(None);
            };
            rfc3339::parse(&text).map(Some).map_err(|error| {
                let reason = match error {
                    TimeError::Shape => Reason::WrongType,
                    TimeError::Range => Reason::OutOfRange,
                };
                refuse(reason, name, &Value::Text(text), ALLOWED)
            })
        }
        Value::Null | Value::Bool | Value::Int(_) | Value::Float(_) | Value::Array | Value::Map | Value::Foreign => {
            if value == Value::Null {
                return Ok(None);
            }
            let ms = whole(&value).map_err(|reason| refuse(reason, name, &value, ALLOWED))?;
            Ok(Some(DeviceTime(ms)))
        }
    }
}

/// A motor current profile: up to 64 integers of 16 bits.
pub(crate) fn profile(name: &str, value: &Value<'_>, samples: &Samples) -> Result<Option<Profile>, Refusal> {
    const ALLOWED: &str = "an array of up to 64 integers from 0 to 65535";
    match value {
        Value::Null => Ok(None),
        Value::Array => match samples.fault {
            None => Ok(Some(samples.profile)),
            Some(reason) => Err(refuse(reason, name, value, ALLOWED)),
        },
        Value::Bool | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Map | Value::Foreign => {
            Err(refuse(Reason::WrongType, name, value, ALLOWED))
        }
    }
}
