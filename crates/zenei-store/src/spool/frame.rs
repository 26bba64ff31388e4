//! A frame: the bytes of one group in one lane. Must not know files. Called by the writer, the reader and recovery.
//!
//! Header (40 bytes, little endian): magic `ZSG1`, lane letter and 3 zero bytes, body length u32, number of entries
//! u32, first offset of the group u64, end of the group u64 (both over both lanes), CRC-32 of the body, CRC-32 of the
//! header and of its position. Then the body, padded to 8 bytes. An entry: offset u64, heard_at i64 ms, source u8,
//! flags u8 (bit 0: authenticated), topic length u16, payload length u32, topic, payload. A frame without entries whose
//! group is empty is a mark: it only states how far everything is durable.
use super::{Lane, Source, SpoolMessage, StoredMessage};
use bytes::Bytes;
use std::ops::Range;
use zenei_wire::GatewayTime;

/// Length of a frame's header.
pub(crate) const HEADER_BYTES: usize = 40;
/// Frames start at multiples of this, so that a search for the next one after damage does not inspect each byte.
pub(crate) const ALIGNMENT: u64 = 8;
/// Length of the part of an entry before its topic.
pub(crate) const ENTRY_BYTES: usize = 24;

/// The largest end of a group: the control database stores offsets as signed integers of 64 bits.
const MAX_OFFSET: u64 = i64::MAX as u64;
const MAGIC: [u8; 4] = *b"ZSG1";

/// The position of a frame. The header's checksum covers it: bytes of a payload that look like a frame, or a misplaced
/// write, don't pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameAt {
    /// First offset of the segment, as in its name.
    pub(crate) segment: u64,
    /// Position in the segment, bytes.
    pub(crate) at: u64,
}

/// The fields of a frame's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) lane: Lane,
    pub(crate) body_bytes: u32,
    pub(crate) count: u32,
    /// The offsets of the whole group. All before its start were durable when this was written.
    pub(crate) group: Range<u64>,
    pub(crate) body_crc: u32,
}

impl Header {
    pub(crate) fn encode(&self, place: FrameAt) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = self.lane.letter() as u8;
        bytes[8..12].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.count.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.group.start.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.group.end.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = header_crc(&bytes, place);
        bytes[36..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header in these bytes; `None` if they are not a header, or not one for this position.
    pub(crate) fn decode(bytes: &[u8], lane: Lane, place: FrameAt) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        if bytes[..4] != MAGIC || u32_at(bytes, 36)? != header_crc(bytes, place) || bytes[4] != lane.letter() as u8 {
            return None;
        }
        let group = u64_at(bytes, 16)?..u64_at(bytes, 24)?;
        let header = Self {
            lane,
            body_bytes: u32_at(bytes, 8)?,
            count: u32_at(bytes, 12)?,
            group,
            body_crc: u32_at(bytes, 32)?,
        };
        (header.group.start <= header.group.end && header.group.end <= MAX_OFFSET).then_some(header)
    }

    /// The length with header and padding.
    pub(crate) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.body_bytes as usize)
    }
}

/// The length of a frame with a body of this many bytes.
pub(crate) fn frame_bytes(body_bytes: usize) -> u64 {
    ((HEADER_BYTES + body_bytes) as u64).next_multiple_of(ALIGNMENT)
}

/// Adds an entry to a body. The caller has checked both lengths.
pub(crate) fn push_entry(body: &mut Vec<u8>, offset: u64, heard_at: GatewayTime, message: &SpoolMessage<'_>) {
    let topic_bytes = u16::try_from(message.topic.len()).unwrap_or(u16::MAX);
    let payload_bytes = u32::try_from(message.payload.len()).unwrap_or(u32::MAX);
    body.extend_from_slice(&offset.to_le_bytes());
    body.extend_from_slice(&heard_at.ms().to_le_bytes());
    body.push(message.source.code());
    body.push(u8::from(message.authenticated));
    body.extend_from_slice(&topic_bytes.to_le_bytes());
    body.extend_from_slice(&payload_bytes.to_le_bytes());
    body.extend_from_slice(message.topic.as_bytes());
    body.extend_from_slice(message.payload);
}

/// Calls `each` for the entries of a body with a correct checksum, up to the first that is not an entry or lies outside
/// its group; false if the body does not match its header.
pub(crate) fn read_entries(body: &Bytes, header: &Header, mut each: impl FnMut(StoredMessage)) -> bool {
    let mut at = 0;
    for _ in 0..header.count {
        let entry = read_entry(body, at).filter(|(message, _)| header.group.contains(&message.offset));
        let Some((message, end)) = entry else { return false };
        each(message);
        at = end;
    }
    at == body.len()
}

fn read_entry(body: &Bytes, at: usize) -> Option<(StoredMessage, usize)> {
    let head = body.get(at..at + ENTRY_BYTES)?;
    let heard_at = GatewayTime(i64::from_le_bytes(head.get(8..16)?.try_into().ok()?));
    let source = Source::of_code(head[16])?;
    let topic_bytes = usize::from(u16::from_le_bytes(head.get(18..20)?.try_into().ok()?));
    let payload_bytes = u32_at(head, 20)? as usize;
    let topic_at = at + ENTRY_BYTES;
    let payload_at = topic_at + topic_bytes;
    let end = payload_at.checked_add(payload_bytes)?;
    let topic = core::str::from_utf8(body.get(topic_at..payload_at)?).ok()?.to_owned();
    body.get(payload_at..end)?;
    let (offset, authenticated) = (u64_at(head, 0)?, head[17] & 1 == 1);
    Some((StoredMessage { offset, heard_at, source, authenticated, topic, payload: body.slice(payload_at..end) }, end))
}

fn header_crc(bytes: &[u8; HEADER_BYTES], place: FrameAt) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[..36]);
    crc.update(&place.segment.to_le_bytes());
    crc.update(&place.at.to_le_bytes());
    crc.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
