//! From a topic and its payload to records: the one door that JSON and CBOR share. Must not know who sent the message, or when.
//! Called by the gateway's driver, by `replay`, and by everything that tests a writer.
use crate::digest::Id;
use crate::ids::Name;
use crate::record::Record;
use crate::refusal::{Reason, Refusal};
use crate::time::DeviceTime;
use crate::topic::Topic;
use crate::{cbor, json};
use alloc::format;
use smallvec::SmallVec;

/// The largest payload, in bytes (telemetry contract).
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
/// The most records of one array (telemetry contract).
pub const MAX_RECORDS: usize = 1_000;
/// The deepest nesting (telemetry contract): an object is level 1, an array of objects makes them level 2.
pub const MAX_DEPTH: usize = 4;
/// The longest text, in bytes (telemetry contract).
pub const MAX_TEXT_BYTES: usize = 256;

/// One element of a message: the record, or why it was refused, with its own bytes of the payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<'a> {
    /// The record, or why it was refused.
    pub record: Result<Record<'a>, Refusal>,
    /// The bytes of this record alone.
    pub raw: &'a [u8],
}

/// The records of one message, in its order; one is held inline.
pub type Records<'a> = SmallVec<[Decoded<'a>; 1]>;

/// Decodes one message: one record, or an array of up to 1,000. Never empty.
///
/// JSON where the first byte is `{`, `[` or white space, or where there is none; CBOR otherwise. (As CBOR those bytes would be
/// integers and byte strings, which are no message.) An empty array, or a value that is neither object nor array, is `bad_json` or `bad_cbor`;
/// an element of an array that is no object is refused alone as `wrong_type`. A text in CBOR that is no UTF-8 is `bad_utf8`, as in JSON.
/// A field that comes twice: each one is checked, the last one counts.
///
/// # Errors
/// Where the message as a whole can't be read (`too_large`, `bad_utf8`, `bad_json`, `bad_cbor`, `too_deep`, `too_many_records`; the first
/// in the order of the bytes); it then counts as one dead letter. A single bad record of an array is refused in its own [`Decoded`].
pub fn decode<'a>(topic: &Topic<'a>, payload: &'a [u8]) -> Result<Records<'a>, Refusal> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        let detail = format!("the payload has {} bytes; {MAX_PAYLOAD_BYTES} are allowed", payload.len());
        return Err(Refusal::new(Reason::TooLarge, detail));
    }
    match payload.first() {
        None | Some(b'{' | b'[' | b' ' | b'\t' | b'\n' | b'\r') => json::decode(topic, payload),
        Some(_) => cbor::decode(topic, payload),
    }
}

/// Identity of a record without `(boot, seq)`: [`Id::of`] device id, `ts` (8 bytes, big endian) and the record's bytes.
pub fn event_identity(device: Name<'_>, ts: DeviceTime, raw: &[u8]) -> u128 {
    Id::of(&[device.as_str().as_bytes(), &ts.ms().to_be_bytes(), raw]).0
}
