//! The layout of the spool's segments, read and written by a second implementation from its description, so that the
//! spool is not checked against itself. Must not know recovery. Called by the target `spool`.
use std::ops::Range;

/// Length of a frame's header.
const HEADER_BYTES: usize = 40;
/// Frames start at multiples of this.
const ALIGNMENT: usize = 8;
/// Length of the fields before an entry's topic.
const ENTRY_BYTES: usize = 24;
const MAGIC: &[u8] = b"ZSG1";
/// The largest end of a group.
const MAX_OFFSET: u64 = i64::MAX as u64;

/// A file of a spool.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// `p` or `r`.
    pub(super) letter: u8,
    /// The first offset, from its name.
    pub(super) first: u64,
    pub(super) bytes: Vec<u8>,
}

/// A frame with a valid header.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) group: Range<u64>,
    /// The offsets, topics and payloads of its entries; `None` where the body is damaged.
    pub(super) entries: Option<Vec<Entry>>,
}

/// A message: offset, topic, payload.
pub(super) type Entry = (u64, String, Vec<u8>);

impl Segment {
    pub(super) fn name(&self) -> String {
        format!("{}-{:020}.zs1", char::from(self.letter), self.first)
    }

    /// Its frames, damaged places skipped.
    pub(super) fn frames(&self) -> Vec<Frame> {
        let (mut frames, mut at) = (Vec::new(), 0);
        while at + HEADER_BYTES <= self.bytes.len() {
            match self.frame(at) {
                Some((frame, len)) => {
                    frames.push(frame);
                    at += len;
                }
                None => at += ALIGNMENT,
            }
        }
        frames
    }

    fn frame(&self, at: usize) -> Option<(Frame, usize)> {
        let head = self.bytes.get(at..at + HEADER_BYTES)?;
        let group = long(head, 16)..long(head, 24);
        let is_right =
            head.starts_with(MAGIC) && head[4] == self.letter && group.start <= group.end && group.end <= MAX_OFFSET;
        if !is_right || int(head, 36) != self.header_crc(at) {
            return None;
        }
        let body = self.bytes.get(at + HEADER_BYTES..).and_then(|rest| rest.get(..int(head, 8) as usize));
        let body = body.filter(|body| crc32fast::hash(body) == int(head, 32));
        let entries = body.and_then(|body| entries(body, int(head, 12)));
        Some((Frame { group, entries }, (HEADER_BYTES + int(head, 8) as usize).next_multiple_of(ALIGNMENT)))
    }

    /// Writes valid checksums into everything that looks like a header: a fuzzer can't guess them.
    pub(super) fn seal(&mut self) {
        for at in (0..self.bytes.len().saturating_sub(HEADER_BYTES)).step_by(ALIGNMENT) {
            if self.bytes[at..].starts_with(MAGIC) {
                let end = (at + HEADER_BYTES).saturating_add(int(&self.bytes[at..], 8) as usize);
                let body = self.bytes.get(at + HEADER_BYTES..end).map_or(0, crc32fast::hash);
                self.bytes[at + 4] = self.letter;
                self.bytes[at + 32..at + 36].copy_from_slice(&body.to_le_bytes());
                let header = self.header_crc(at);
                self.bytes[at + 36..at + 40].copy_from_slice(&header.to_le_bytes());
            }
        }
    }

    fn header_crc(&self, at: usize) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.bytes[at..at + 36]);
        crc.update(&self.first.to_le_bytes());
        crc.update(&(at as u64).to_le_bytes());
        crc.finalize()
    }
}

/// The entries of a body, up to the first invalid one.
fn entries(body: &[u8], count: u32) -> Option<Vec<Entry>> {
    let (mut found, mut rest) = (Vec::new(), body);
    for _ in 0..count {
        let Some((entry, after)) = entry(rest) else { break };
        found.push(entry);
        rest = after;
    }
    Some(found)
}

fn entry(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    let (head, rest) = bytes.split_at_checked(ENTRY_BYTES)?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([head[18], head[19]])))?;
    let (payload, rest) = rest.split_at_checked(int(head, 20) as usize)?;
    let topic = String::from_utf8(topic.to_vec()).ok().filter(|_| head[16] <= 3)?;
    Some(((long(head, 0), topic, payload.to_vec()), rest))
}

fn int(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(int(bytes, at + 4)) << 32 | u64::from(int(bytes, at))
}
