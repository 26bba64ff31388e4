//! The limits of a message, from the telemetry contract. Must not know JSON or CBOR. Called by both codecs, by the
//! gateway's queue and by the store.

/// The largest payload, in bytes (telemetry contract).
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
/// The most records of one array (telemetry contract).
pub const MAX_RECORDS: usize = 1_000;
/// The deepest nesting (telemetry contract): an object is level 1, an array of objects makes them level 2.
pub const MAX_DEPTH: usize = 4;
/// The longest text, in bytes (telemetry contract).
pub const MAX_TEXT_BYTES: usize = 256;
