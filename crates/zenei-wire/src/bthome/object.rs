//! Splits a BTHome payload into its objects: an id and as many bytes as the standard gives it. Must not know what a
//! value means. Called by `reading`.
use super::format::OpenError;

/// Length of an object's value in bytes, by the BTHome v2 format of 2025; `None` for an id that the format does not
/// define.
///
/// Text (0x53) and raw (0x54) have their length in a byte of their own: `Length::Counted`.
pub const fn length_of(id: u8) -> Option<Length> {
    let bytes = match id {
        0x00 | 0x01 | 0x09 | 0x0F..=0x11 | 0x15..=0x2F | 0x3A | 0x46 | 0x57..=0x59 | 0x60 | 0x64 => 1,
        0x02 | 0x03 | 0x06..=0x08 | 0x0C..=0x0E | 0x12..=0x14 => 2,
        0x3C | 0x3D | 0x3F..=0x41 | 0x43..=0x45 | 0x47..=0x4A | 0x51 | 0x52 | 0x56 => 2,
        0x5A | 0x5D..=0x5F | 0x61 | 0xF0 => 2,
        0x04 | 0x05 | 0x0A | 0x0B | 0x42 | 0x4B | 0xF2 => 3,
        0x3E | 0x4C..=0x50 | 0x55 | 0x5B | 0x5C | 0x62 | 0x63 | 0xF1 => 4,
        0x53 | 0x54 => return Some(Length::Counted),
        _ => return None,
    };
    Some(Length::Bytes(bytes))
}

/// How long a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Bytes(usize),
    /// As many bytes as its first byte gives.
    Counted,
}

/// One object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    /// What it is.
    pub id: u8,
    /// Its value, little endian; of text and raw without their length.
    pub value: &'a [u8],
}

/// The objects of a payload, in order. The iteration ends before the first id that the standard does not define: its
/// length is unknown.
#[derive(Clone, Debug)]
pub struct Objects<'a> {
    payload: &'a [u8],
    at: usize,
    unknown: Option<u8>,
}

impl<'a> Objects<'a> {
    /// The objects of this payload.
    pub fn of(payload: &'a [u8]) -> Self {
        Self { payload, at: 0, unknown: None }
    }

    /// The undefined id before which the iteration ended, once it has ended.
    pub fn unknown(&self) -> Option<u8> {
        self.unknown
    }

    fn take(&mut self, id: u8, length: Length) -> Result<Object<'a>, OpenError> {
        let start = self.at;
        let mut left = &self.payload[start + 1..];
        let cut = |found: usize, needed: usize| OpenError::Cut { id, at: start, found, needed };
        let needed = match length {
            Length::Bytes(bytes) => bytes,
            Length::Counted => {
                let (&bytes, rest) = left.split_first().ok_or(cut(0, 1))?;
                left = rest;
                usize::from(bytes)
            }
        };
        let value = left.get(..needed).ok_or(cut(left.len(), needed))?;
        self.at = self.payload.len() - left.len() + needed;
        Ok(Object { id, value })
    }
}

impl<'a> Iterator for Objects<'a> {
    type Item = Result<Object<'a>, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        let &id = self.payload.get(self.at)?;
        let Some(length) = length_of(id) else {
            (self.unknown, self.at) = (Some(id), self.payload.len());
            return None;
        };
        let taken = self.take(id, length);
        if taken.is_err() {
            self.at = self.payload.len();
        }
        Some(taken)
    }
}
