//! A dead letter: what could not become a record, why, and its bytes. Made by the driver from a refusal, kept by the stores.
use zenei_wire::{GatewayTime, MAX_PAYLOAD_BYTES, Reason};

/// The most bytes kept of one dead letter: as many as a payload may have, so only what is too large is cut.
pub const MAX_DEAD_LETTER_BYTES: usize = MAX_PAYLOAD_BYTES;

/// What could not become a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The contract's reason.
    pub reason: Reason,
    /// What was found, what was allowed, where.
    pub detail: String,
    /// The message's topic.
    pub topic: String,
    /// The record's own bytes (of an undecodable message: all), at most 64 KiB.
    pub bytes: Vec<u8>,
    /// Whether there were more.
    pub cut: bool,
    /// When it was heard.
    pub heard_at: GatewayTime,
    /// Offset of its message in the spool.
    pub offset: u64,
    /// Position within its message, from 0.
    pub index: u16,
}

impl DeadLetter {
    /// A dead letter of these bytes, cut where they are too many.
    pub fn new(
        refusal: zenei_wire::Refusal,
        topic: &str,
        bytes: &[u8],
        heard_at: GatewayTime,
        offset: u64,
        index: u16,
    ) -> Self {
        let kept = &bytes[..bytes.len().min(MAX_DEAD_LETTER_BYTES)];
        let cut = kept.len() < bytes.len();
        let (reason, detail) = (refusal.reason, refusal.detail);
        Self { reason, detail, topic: topic.to_owned(), bytes: kept.to_vec(), cut, heard_at, offset, index }
    }
}
