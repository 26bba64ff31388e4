//! Inspects a spool after a crash: where it ends, which bytes at its end were never acknowledged, which offsets below
//! are damaged. It reads the newest segment of each lane that has a frame; damage in older segments is reported as
//! holes when they are read. Must not know what a message means. Called when a spool is opened, and by the reader.
use super::frame::read_entries;
use super::segment::{Segment, list};
use super::{Lane, SpoolError};
use crate::disk::Disk;
use std::ops::Range;
use std::path::Path;
use zenei_wire::GatewayTime;

/// The result of opening the spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The next message's offset; all before it are durable.
    pub next: u64,
    /// Bytes at the ends of the lanes that belonged to no whole group; their messages were never acknowledged. Now
    /// zeros.
    pub torn_bytes: u64,
    /// Offsets that were durable once and are damaged now, as far as the newest segments show it. A reader that passes
    /// them reports them again ([`super::Hole`]); count them there, not here.
    pub damaged: Vec<Range<u64>>,
}

/// One frame on the way through a segment.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) end: u64,
    pub(crate) group: Range<u64>,
}

/// The newest segment of a lane that has a frame (else the oldest there is), and its frames.
#[derive(Debug)]
pub(crate) struct LaneEnd {
    pub(crate) segment: Segment,
    pub(crate) steps: Vec<Step>,
    /// Segments after it; none of them has a frame.
    pub(crate) blank: Vec<u64>,
    offsets: Vec<u64>,
    last_heard: Option<GatewayTime>,
}

/// Both lanes' ends, and their joint consequences.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) lanes: [Option<LaneEnd>; 2],
    /// The next offset.
    pub(crate) next: u64,
    /// The start of the group that was never whole; frames from here on must be removed.
    pub(crate) cut: Option<u64>,
    pub(crate) damaged: Vec<Range<u64>>,
    pub(crate) last_heard: Option<GatewayTime>,
}

/// Looks at both lanes and changes nothing.
///
/// # Errors
/// [`SpoolError::Foreign`], [`SpoolError::Disk`].
pub(crate) fn inspect(disk: &dyn Disk, dir: &Path, writable: bool) -> Result<Ends, SpoolError> {
    let [priority, routine] = list(disk, dir)?;
    let priority = lane_end(disk, dir, Lane::Priority, &priority, writable)?;
    let routine = lane_end(disk, dir, Lane::Routine, &routine, writable)?;
    let lanes = [priority, routine];
    let present = lanes.iter().flatten();
    let groups = || present.clone().flat_map(|lane| &lane.steps).map(|step| &step.group);
    let witnessed = groups().map(|group| group.start).max().unwrap_or(0);
    let end = groups().map(|group| group.end).max().unwrap_or(0);
    let mut offsets: Vec<u64> = present.clone().flat_map(|lane| lane.offsets.iter().copied()).collect();
    offsets.sort_unstable();
    offsets.dedup();
    let newest = &offsets[offsets.partition_point(|&offset| offset < witnessed)..];
    let whole = newest.len() as u64 == end.saturating_sub(witnessed);
    let next = if whole { end } else { witnessed };
    // Below the younger of the two first offsets, one lane's share was not looked at.
    let known_from = present.clone().map(|lane| lane.segment.first).max().unwrap_or(next);
    let damaged = holes(&offsets, known_from..next);
    let last_heard = present.filter_map(|lane| lane.last_heard).max();
    Ok(Ends { next, cut: (!whole).then_some(witnessed), damaged, last_heard, lanes })
}

fn lane_end(
    disk: &dyn Disk,
    dir: &Path,
    lane: Lane,
    firsts: &[u64],
    writable: bool,
) -> Result<Option<LaneEnd>, SpoolError> {
    for (at, &first) in firsts.iter().enumerate().rev() {
        let path = dir.join(super::segment::name(lane, first));
        let walked = Segment::open(disk, dir, lane, first, writable).and_then(walk);
        let mut end = walked.map_err(SpoolError::disk("read", &path))?;
        if !end.steps.is_empty() || at == 0 {
            end.blank = firsts[at + 1..].to_vec();
            return Ok(Some(end));
        }
    }
    Ok(None)
}

fn walk(segment: Segment) -> std::io::Result<LaneEnd> {
    let mut found = LaneEnd { segment, steps: Vec::new(), blank: Vec::new(), offsets: Vec::new(), last_heard: None };
    let mut at = 0;
    loop {
        match found.segment.header(at)? {
            Some(header) => {
                if let Some(body) = found.segment.body(at, &header)? {
                    read_entries(&body, &header, |message| {
                        found.offsets.push(message.offset);
                        found.last_heard = found.last_heard.max(Some(message.heard_at));
                    });
                }
                let end = at + header.frame_bytes();
                found.steps.push(Step { end, group: header.group });
                at = end;
            }
            None => match found.segment.search(at)? {
                Some(next) => at = next,
                None => return Ok(found),
            },
        }
    }
}

/// The parts of `range` that are missing in ascending `offsets`.
fn holes(offsets: &[u64], range: Range<u64>) -> Vec<Range<u64>> {
    let mut holes = Vec::new();
    let mut expected = range.start;
    let inside = offsets.iter().copied().filter(|offset| range.contains(offset));
    for offset in inside.chain([range.end]) {
        if offset > expected {
            holes.push(expected..offset);
        }
        expected = expected.max(offset + 1);
    }
    holes
}

/// Applies the result of [`inspect`] to the disk: zeroes unfinished groups, and removes segments without a frame that
/// lie ahead. A lane then continues at the end of its last frame.
///
/// # Errors
/// [`SpoolError::Disk`], [`SpoolError::SyncFailed`].
pub(crate) fn repair(disk: &dyn Disk, dir: &Path, ends: &mut Ends) -> Result<u64, SpoolError> {
    let mut torn_bytes = 0;
    for slot in &mut ends.lanes {
        let Some(lane) = slot else { continue };
        if let Some(cut) = ends.cut {
            lane.steps.retain(|step| step.group.start < cut || step.group.is_empty());
        }
        torn_bytes += blank_tail(dir, lane)?;
        let empty_ahead = lane.steps.is_empty() && lane.segment.first >= ends.next;
        let unused = lane.blank.iter().copied().chain(empty_ahead.then_some(lane.segment.first));
        for first in unused {
            let path = dir.join(super::segment::name(lane.segment.lane, first));
            disk.remove(&path).map_err(SpoolError::disk("remove", &path))?;
        }
        lane.blank.clear();
        if empty_ahead {
            *slot = None;
        }
    }
    disk.sync_dir(dir).map_err(|source| SpoolError::SyncFailed { path: dir.to_path_buf(), source })?;
    Ok(torn_bytes)
}

/// Zeroes the bytes after the last frame, and makes the whole segment durable: after a mere kill its bytes may be in
/// memory only, and the next group's mark will state that they are durable.
fn blank_tail(dir: &Path, lane: &LaneEnd) -> Result<u64, SpoolError> {
    let path = dir.join(super::segment::name(lane.segment.lane, lane.segment.first));
    let tail = lane.steps.last().map_or(0, |step| step.end);
    let used = lane.segment.last_used(tail).map_err(SpoolError::disk("read", &path))?;
    let torn = used.map_or(0, |end| end - tail);
    let zeros = vec![0; 1 << 16];
    let mut at = tail;
    while let Some(end) = used.filter(|&end| at < end) {
        let len = usize::try_from(end - at).map_or(zeros.len(), |left| left.min(zeros.len()));
        let write = lane.segment.file.write_at(at, &zeros[..len]);
        write.map_err(|source| SpoolError::WriteFailed { path: path.clone(), source })?;
        at += len as u64;
    }
    lane.segment.file.sync_data().map_err(|source| SpoolError::SyncFailed { path, source })?;
    Ok(torn)
}
