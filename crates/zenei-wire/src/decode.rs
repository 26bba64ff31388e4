//! From a topic and its payload to records: the one door that JSON and CBOR share.
use crate::ids::Name;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::time::DeviceTime;
use crate::topic::Topic;
use smallvec::SmallVec;

/// The largest payload, in bytes (telemetry contract).
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
/// The most records of one array (telemetry contract).
pub const MAX_RECORDS: usize = 1_000;
/// The deepest nesting (telemetry contract).
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

/// Decodes one message: one record, or an array of up to 1,000.
///
/// # Errors
/// Where the message as a whole can't be read (`too_large`, `bad_utf8`, `bad_json`, `bad_cbor`, `too_deep`, `too_many_records`);
/// it then counts as one dead letter. A single bad record of an array is refused in its own [`Decoded`].
pub fn decode<'a>(topic: &Topic<'a>, payload: &'a [u8]) -> Result<Records<'a>, Refusal> {
    let _ = (topic, payload);
    unimplemented!()
}

/// Identity of a record without `(boot, seq)`: the first 16 bytes of SHA-256 over device id, a zero byte, `ts` (8 bytes, big endian) and the record's bytes.
pub fn event_identity(device: Name<'_>, ts: DeviceTime, raw: &[u8]) -> u128 {
    let _ = (device, ts, raw);
    unimplemented!()
}
