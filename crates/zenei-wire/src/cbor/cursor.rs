//! Parses CBOR strictly by RFC 8949: bytes that are not well-formed are refused, also in values that are skipped. It
//! reads definite and indefinite lengths and all widths of integers and floats. It skips the tags 0 (a text that is a
//! time) and 55799 (this is CBOR), because they add no meaning; a value under any other tag is of a foreign type,
//! because a tag may change what a number means (1: seconds, not milliseconds). Must not know fields or records. Called
//! by `cbor`.
use crate::fault::Fault;
use crate::value::{Samples, Value};
use alloc::borrow::Cow;
use alloc::string::String;

pub(crate) const BYTES: u8 = 2;
pub(crate) const TEXT: u8 = 3;
pub(crate) const ARRAY: u8 = 4;
pub(crate) const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;
/// The additional information for an indefinite length; under `SIMPLE`, for a break.
const INDEFINITE: u8 = 31;
const BREAK: u8 = 0xFF;

/// The head of an item.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// Where it starts.
    at: usize,
    /// The major type, 0 to 7.
    pub(crate) major: u8,
    /// The additional information, 0 to 27 or 31.
    info: u8,
    /// The argument; 0 where the length is indefinite.
    argument: u64,
    /// Whether a tag before it changes its meaning.
    pub(crate) tagged: bool,
}

/// How many items of an array or map are left; `None` until a break.
pub(crate) struct Items(Option<u64>);

/// A place in CBOR bytes.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    depth_max: usize,
}

impl<'a> Cursor<'a> {
    /// The start of bytes that may be nested `depth_max` deep.
    pub(crate) const fn new(bytes: &'a [u8], depth_max: usize) -> Self {
        Self { bytes, at: 0, depth_max }
    }

    /// The byte position.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// The bytes from `start` to here.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    /// That no more bytes follow.
    pub(crate) const fn end(&self) -> Result<(), Fault> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(Fault::Syntax { at: self.at, allowed: "only the end of the message" })
        }
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8], Fault> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let Some(taken) = end.and_then(|end| self.bytes.get(self.at..end)) else {
            return Err(Fault::Syntax { at: self.bytes.len(), allowed: "no end before the length that was announced" });
        };
        self.at += taken.len();
        Ok(taken)
    }

    /// The head of the next item, past its tags.
    #[inline]
    pub(crate) fn head(&mut self) -> Result<Head, Fault> {
        let mut head = self.bare_head()?;
        let mut tagged = false;
        while head.major == TAG {
            tagged |= !matches!(head.argument, 0 | 55_799);
            head = self.bare_head()?;
        }
        Ok(Head { tagged, ..head })
    }

    #[inline]
    fn bare_head(&mut self) -> Result<Head, Fault> {
        let at = self.at;
        let Some(&first) = self.bytes.get(at) else {
            return Err(Fault::Syntax { at, allowed: "an item" });
        };
        self.at += 1;
        let (major, info) = (first >> 5, first & 31);
        let argument = match info {
            0..24 => u64::from(info),
            24 => self.number::<1>()?,
            25 => self.number::<2>()?,
            26 => self.number::<4>()?,
            27 => self.number::<8>()?,
            INDEFINITE if matches!(major, BYTES | TEXT | ARRAY | MAP) => 0,
            // 28 to 30 are reserved; 31 is a break, which is valid only where an item of indefinite length may end.
            _ => return Err(Fault::Syntax { at, allowed: "an item" }),
        };
        if major == SIMPLE && info == 24 && argument < 32 {
            return Err(Fault::Syntax { at, allowed: "a simple value in its shortest form" });
        }
        Ok(Head { at, major, info, argument, tagged: false })
    }

    #[inline]
    fn number<const N: usize>(&mut self) -> Result<u64, Fault> {
        let big_endian = self.take(N as u64)?;
        Ok(big_endian.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// Opens an array or map as level `depth`.
    pub(crate) const fn open(&self, head: Head, depth: usize) -> Result<Items, Fault> {
        if depth > self.depth_max {
            return Err(Fault::TooDeep { at: head.at, levels: self.depth_max });
        }
        Ok(Items(if head.info == INDEFINITE { None } else { Some(head.argument) }))
    }

    /// Whether another item (of a map: pair) follows; takes the break where none does.
    #[inline]
    pub(crate) fn more(&mut self, items: &mut Items) -> bool {
        match &mut items.0 {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => {
                let ends = self.bytes.get(self.at) == Some(&BREAK);
                self.at += usize::from(ends);
                !ends
            }
        }
    }

    /// The name of a field of a record.
    #[inline]
    pub(crate) fn name(&mut self) -> Result<Cow<'a, str>, Fault> {
        let head = self.head()?;
        if head.major != TEXT {
            return Err(Fault::Syntax { at: head.at, allowed: "a text as a field's name" });
        }
        self.text(head)
    }

    /// Any value of an array or map of level `depth`. The elements of an array go into `samples`.
    #[inline]
    pub(crate) fn value(&mut self, depth: usize, samples: &mut Samples) -> Result<Value<'a>, Fault> {
        let head = self.head()?;
        if head.major == ARRAY && !head.tagged {
            self.array(head, depth + 1, samples)?;
            return Ok(Value::Array);
        }
        self.rest(head, depth)
    }

    /// The rest of an item of an array or map of level `depth`, whose head is read.
    pub(crate) fn rest(&mut self, head: Head, depth: usize) -> Result<Value<'a>, Fault> {
        let value = match head.major {
            BYTES => {
                self.byte_string(head)?;
                Value::Foreign
            }
            TEXT => Value::Text(self.text(head)?),
            ARRAY => {
                let mut items = self.open(head, depth + 1)?;
                while self.more(&mut items) {
                    self.skip(depth + 1)?;
                }
                Value::Array
            }
            MAP => {
                let mut items = self.open(head, depth + 1)?;
                while self.more(&mut items) {
                    self.skip(depth + 1)?;
                    self.skip(depth + 1)?;
                }
                Value::Map
            }
            _ => scalar(head),
        };
        Ok(if head.tagged { Value::Foreign } else { value })
    }

    fn skip(&mut self, depth: usize) -> Result<(), Fault> {
        let head = self.head()?;
        self.rest(head, depth).map(drop)
    }

    fn array(&mut self, head: Head, depth: usize, samples: &mut Samples) -> Result<(), Fault> {
        samples.clear();
        let mut items = self.open(head, depth)?;
        while self.more(&mut items) {
            let element = self.head()?;
            let element = self.rest(element, depth)?;
            samples.push(&element);
        }
        Ok(())
    }

    #[inline]
    fn text(&mut self, head: Head) -> Result<Cow<'a, str>, Fault> {
        if head.info != INDEFINITE {
            return self.utf8(head.argument).map(Cow::Borrowed);
        }
        let mut whole = String::new();
        while let Some(length) = self.chunk(TEXT)? {
            whole.push_str(self.utf8(length)?);
        }
        Ok(Cow::Owned(whole))
    }

    #[inline]
    fn utf8(&mut self, length: u64) -> Result<&'a str, Fault> {
        let start = self.at;
        let bytes = self.take(length)?;
        core::str::from_utf8(bytes).map_err(|error| Fault::Utf8 { at: start + error.valid_up_to() })
    }

    fn byte_string(&mut self, head: Head) -> Result<(), Fault> {
        if head.info != INDEFINITE {
            return self.take(head.argument).map(drop);
        }
        while let Some(length) = self.chunk(BYTES)? {
            self.take(length)?;
        }
        Ok(())
    }

    /// The length of the next chunk of a string of indefinite length; `None` at its break.
    fn chunk(&mut self, major: u8) -> Result<Option<u64>, Fault> {
        if self.bytes.get(self.at) == Some(&BREAK) {
            self.at += 1;
            return Ok(None);
        }
        let head = self.bare_head()?;
        if head.major != major || head.info == INDEFINITE {
            return Err(Fault::Syntax { at: head.at, allowed: "a chunk of the string's type and of definite length" });
        }
        Ok(Some(head.argument))
    }
}

/// The value of a head alone: integers, floats, simple values.
fn scalar(head: Head) -> Value<'static> {
    match (head.major, head.info) {
        (0, _) => i64::try_from(head.argument).map_or(Value::Float(head.argument as f64), Value::Int),
        (1, _) => {
            let number = i64::try_from(head.argument).map(|number| -1 - number);
            number.map_or(Value::Float(-1.0 - head.argument as f64), Value::Int)
        }
        (SIMPLE, 20 | 21) => Value::Bool,
        // `undefined` has no more meaning than null.
        (SIMPLE, 22 | 23) => Value::Null,
        (SIMPLE, 25) => Value::Float(half(head.argument)),
        (SIMPLE, 26) => Value::Float(f64::from(f32::from_bits(head.argument as u32))),
        (SIMPLE, 27) => Value::Float(f64::from_bits(head.argument)),
        _ => Value::Foreign,
    }
}

/// A float of 16 bits: sign, 5 bits of exponent, 10 of fraction (RFC 8949, appendix D).
fn half(bits: u64) -> f64 {
    const TWO_TO_MINUS_24: f64 = 1.0 / 16_777_216.0;
    let (exponent, fraction) = ((bits >> 10) & 31, bits & 0x3FF);
    let magnitude = match exponent {
        0 => fraction as f64 * TWO_TO_MINUS_24,
        31 if fraction == 0 => f64::INFINITY,
        31 => f64::NAN,
        // An exponent of 1 is the smallest normal one: a step of 2^-24.
        _ => ((1024 + fraction) << (exponent - 1)) as f64 * TWO_TO_MINUS_24,
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}
