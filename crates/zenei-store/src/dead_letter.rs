//! A dead letter: bytes that are not a record, with the reason. Must not know detectors; a dead letter only proves that
//! its lock is present. Made by the decoder from a refusal and by the shipper from a row that ClickHouse refuses;
//! stored by the stores.
use crate::spool::{Source, StoredMessage};
use zenei_detect::Unreadable;
use zenei_wire::{GatewayTime, Heading, MAX_PAYLOAD_BYTES, Reason, Refusal, Topic};

/// The most bytes stored of one dead letter: as many as a payload may have, so only a payload that is too large is cut.
pub const MAX_DEAD_LETTER_BYTES: usize = MAX_PAYLOAD_BYTES;

/// Bytes that could not become a record.
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
    /// When it was received.
    pub heard_at: GatewayTime,
    /// Offset of its message in the spool.
    pub offset: u64,
    /// Position within its message, from 0.
    pub index: u16,
    /// Whether its source is authorized to send for the lock of its topic. False for letters of a version that did not
    /// store this.
    pub authenticated: bool,
}

impl DeadLetter {
    /// A dead letter of these bytes, cut if they are too many; its source is not authorized to send for a lock.
    pub fn new(refusal: Refusal, topic: &str, bytes: &[u8], heard_at: GatewayTime, offset: u64, index: u16) -> Self {
        let kept = &bytes[..bytes.len().min(MAX_DEAD_LETTER_BYTES)];
        let cut = kept.len() < bytes.len();
        let (reason, detail) = (refusal.reason, refusal.detail);
        let (topic, bytes) = (topic.to_owned(), kept.to_vec());
        Self { reason, detail, topic, bytes, cut, heard_at, offset, index, authenticated: false }
    }

    /// The dead letter at this place of a message, as [`DeadLetter::new`]. An advertisement that can't be read proves
    /// no sender.
    pub fn of(message: &StoredMessage, refusal: Refusal, bytes: &[u8], index: u16) -> Self {
        let authenticated = message.authenticated && message.source != Source::Ble;
        Self { authenticated, ..Self::new(refusal, &message.topic, bytes, message.heard_at, message.offset, index) }
    }

    /// The unreadable record that it proves, if its source is authorized to send for the lock of its topic: the lock is
    /// present, and nothing was lost.
    pub fn unreadable(&self) -> Option<Unreadable> {
        match (self.authenticated, Topic::parse(&self.topic)) {
            (true, Ok(Heading::Record(topic))) => {
                Some(Unreadable { device_id: topic.device.as_str().to_owned(), heard_at: self.heard_at })
            }
            (_, Ok(Heading::Record(_) | Heading::Online | Heading::Foreign) | Err(_)) => None,
        }
    }
}
