//! A segment: one file of one lane. Its name, and the iteration over its frames, whole or damaged. Must not know other
//! segments; the reader and recovery, which call it, check which offsets should exist.
use super::frame::{ALIGNMENT, FrameAt, HEADER_BYTES, Header};
use super::{Lane, SpoolError};
use crate::disk::{Disk, DiskFile};
use bytes::Bytes;
use std::io;
use std::ops::Range;
use std::path::Path;

/// The ending of a segment's name; the digit is the version of the format.
const ENDING: &str = ".zs1";
/// How much is read at once when looking for a frame after damage.
const SEARCH_BYTES: usize = 1 << 16;

/// The name of a lane's segment whose first group starts at `first`.
pub(crate) fn name(lane: Lane, first: u64) -> String {
    format!("{}-{first:020}{ENDING}", lane.letter())
}

/// The first offsets of the segments in a directory, ascending, of the priority and of the routine lane.
///
/// # Errors
/// [`SpoolError::Foreign`] for a file that is no segment, [`SpoolError::Disk`].
pub(crate) fn list(disk: &dyn Disk, dir: &Path) -> Result<[Vec<u64>; 2], SpoolError> {
    let mut lanes = [Vec::new(), Vec::new()];
    for found in disk.list(dir).map_err(SpoolError::disk("list", dir))? {
        let (lane, first) = parse(&found).ok_or(SpoolError::Foreign { name: found })?;
        lanes[lane.at()].push(first);
    }
    Ok(lanes)
}

fn parse(found: &str) -> Option<(Lane, u64)> {
    let (letter, digits) = found.strip_suffix(ENDING)?.split_once('-')?;
    let lane = Lane::ALL.into_iter().find(|lane| letter == lane.letter().to_string())?;
    let first = digits.parse().ok()?;
    (name(lane, first) == found).then_some((lane, first))
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) lane: Lane,
    pub(crate) first: u64,
    pub(crate) file: Box<dyn DiskFile>,
}

impl Segment {
    /// Opens a segment.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, lane: Lane, first: u64, writable: bool) -> io::Result<Self> {
        Ok(Self { lane, first, file: disk.open(&dir.join(name(lane, first)), writable)? })
    }

    /// The header at `at`.
    pub(crate) fn header(&self, at: u64) -> io::Result<Option<Header>> {
        let mut bytes = [0; HEADER_BYTES];
        if self.file.read_at(at, &mut bytes)? < HEADER_BYTES {
            return Ok(None);
        }
        Ok(Header::decode(&bytes, self.lane, FrameAt { segment: self.first, at }))
    }

    /// The body of the frame at `at`; `None` where it is damaged.
    pub(crate) fn body(&self, at: u64, header: &Header) -> io::Result<Option<Bytes>> {
        let end = at + (HEADER_BYTES as u64) + u64::from(header.body_bytes);
        if end > self.file.len()? {
            return Ok(None);
        }
        let mut body = vec![0; header.body_bytes as usize];
        let read = self.file.read_at(at + HEADER_BYTES as u64, &mut body)?;
        let whole = read == body.len() && crc32fast::hash(&body) == header.body_crc;
        Ok(whole.then(|| body.into()))
    }

    /// The header at `at`, with its body where the frame's group touches `wanted` and the body is whole.
    pub(crate) fn frame(&self, at: u64, wanted: &Range<u64>) -> io::Result<Option<(Header, Option<Bytes>)>> {
        let Some(header) = self.header(at)? else { return Ok(None) };
        let is_wanted = header.group.start < wanted.end && wanted.start < header.group.end;
        let body = if is_wanted { self.body(at, &header)? } else { None };
        Ok(Some((header, body)))
    }

    /// The position of the first right header at `from` or after it.
    pub(crate) fn search(&self, from: u64) -> io::Result<Option<u64>> {
        let mut bytes = vec![0; SEARCH_BYTES + HEADER_BYTES];
        let mut at = from.next_multiple_of(ALIGNMENT);
        loop {
            let read = self.file.read_at(at, &mut bytes)?;
            if read < HEADER_BYTES {
                return Ok(None);
            }
            for start in (0..=read - HEADER_BYTES).step_by(ALIGNMENT as usize) {
                let place = FrameAt { segment: self.first, at: at + start as u64 };
                if bytes[start] != 0 && Header::decode(&bytes[start..read], self.lane, place).is_some() {
                    return Ok(Some(place.at));
                }
            }
            at += SEARCH_BYTES as u64;
        }
    }

    /// The end of the last byte at `from` or after it that is not zero; `None` where there is none.
    pub(crate) fn last_used(&self, from: u64) -> io::Result<Option<u64>> {
        let mut bytes = vec![0; SEARCH_BYTES];
        let (mut at, mut last) = (from, None);
        loop {
            let read = self.file.read_at(at, &mut bytes)?;
            if read == 0 {
                return Ok(last);
            }
            if let Some(used) = bytes[..read].iter().rposition(|&byte| byte != 0) {
                last = Some(at + used as u64 + 1);
            }
            at += read as u64;
        }
    }

    /// How many messages the headers count.
    pub(crate) fn count(&self) -> io::Result<u64> {
        let (mut at, mut messages) = (0, 0);
        loop {
            match self.header(at)? {
                Some(header) => {
                    messages += u64::from(header.count);
                    at += header.frame_bytes();
                }
                None => match self.search(at)? {
                    Some(next) => at = next,
                    None => return Ok(messages),
                },
            }
        }
    }
}
