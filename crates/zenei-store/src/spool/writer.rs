//! Writes the spool: a group of messages becomes durable, or the process ends. Must not know what a message means.
//! Called by the gateway's appender, the one writer of a directory.
use super::frame::{self, ENTRY_BYTES, FrameAt, Header, frame_bytes, push_entry};
use super::recovery::{Ends, Recovered, inspect, repair};
use super::segment::{self, Segment};
use super::{FullPolicy, Lane, SpoolError, SpoolMessage, SpoolOptions};
use crate::disk::Disk;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zenei_wire::GatewayTime;

/// The most bytes of one group in one lane, which is in memory twice while it is written. A guess, far above what one
/// sync gathers.
const MAX_GROUP_BYTES: usize = 256 << 20;

/// Routine segments that were dropped from a full spool, the oldest first; one range covers any number of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The range of offsets of their messages; messages of the priority lane in between are still there.
    pub offsets: Range<u64>,
    /// How many segments.
    pub segments: u64,
    /// How many messages they had.
    pub messages: u64,
}

/// The writer.
#[derive(Debug)]
pub struct Spool {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: SpoolOptions,
    lanes: [LaneWriter; 2],
    next: u64,
    /// How far a frame on the disk states that everything is durable.
    witnessed: u64,
    last_heard: GatewayTime,
    dropped: Option<Dropped>,
    ended: bool,
}

#[derive(Debug)]
struct LaneWriter {
    lane: Lane,
    /// First offset and length of each segment, oldest first; the last one is `active`.
    segments: Vec<(u64, u64)>,
    active: Option<Segment>,
    /// The position of the next frame in `active`.
    at: u64,
    body: Vec<u8>,
    count: u32,
}

impl Spool {
    /// Opens the spool of a directory, and creates it if it does not exist. Unacknowledged bytes at its end are gone
    /// afterwards.
    ///
    /// # Errors
    /// [`SpoolError::Foreign`], [`SpoolError::Disk`], [`SpoolError::SyncFailed`], [`SpoolError::WriteFailed`].
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, options: SpoolOptions) -> Result<(Self, Recovered), SpoolError> {
        disk.create_dir(dir).map_err(SpoolError::disk("make", dir))?;
        let mut ends = inspect(&*disk, dir, true)?;
        let torn_bytes = repair(&*disk, dir, &mut ends)?;
        let listed = segment::list(&*disk, dir)?;
        let Ends { lanes: [priority, routine], next, damaged, last_heard, .. } = ends;
        let [mut first, mut second] = [LaneWriter::new(Lane::Priority), LaneWriter::new(Lane::Routine)];
        for (writer, end) in [(&mut first, priority), (&mut second, routine)] {
            for &first in &listed[writer.lane.at()] {
                let path = dir.join(segment::name(writer.lane, first));
                let file = disk.open(&path, false).and_then(|file| file.len());
                writer.segments.push((first, file.map_err(SpoolError::disk("read", &path))?));
            }
            if let Some(end) = end {
                writer.at = end.steps.last().map_or(0, |step| step.end);
                writer.active = Some(end.segment);
            }
        }
        let next = next.max(options.resume_at);
        let after = |range: Range<u64>| range.start.max(options.resume_at)..range.end;
        let damaged = damaged.into_iter().map(after).filter(|range| !range.is_empty()).collect();
        let spool = Self {
            disk,
            dir: dir.to_path_buf(),
            options,
            lanes: [first, second],
            next,
            witnessed: 0,
            last_heard: last_heard.unwrap_or(GatewayTime(i64::MIN)),
            dropped: None,
            ended: false,
        };
        Ok((spool, Recovered { next, torn_bytes, damaged }))
    }

    /// Stores messages, in this order, and returns their offsets when they are durable: they may be acknowledged now.
    ///
    /// # Errors
    /// After [`SpoolError::SyncFailed`] and [`SpoolError::WriteFailed`] the process must abort
    /// ([`SpoolError::is_fatal`]); every later call answers [`SpoolError::Ended`]. After all others nothing was written
    /// and the call may be repeated.
    pub fn append_group(&mut self, messages: &[SpoolMessage<'_>]) -> Result<Range<u64>, SpoolError> {
        self.check_usable()?;
        let group = self.next..self.next + messages.len() as u64;
        if group.is_empty() {
            return Ok(group);
        }
        self.encode(messages)?;
        for lane in Lane::ALL {
            if self.lanes[lane.at()].count > 0 {
                self.make_room(lane, group.start)?;
            }
        }
        self.write_frames(&group)?;
        self.next = group.end;
        self.witnessed = group.start;
        Ok(group)
    }

    /// Writes how far everything is durable, if no frame states that for the last group yet: otherwise damage to the
    /// last group would look like a write that never ended. Called when there is nothing to append for a while, and
    /// before a clean end.
    ///
    /// # Errors
    /// As [`Spool::append_group`]; where there is no room, nothing happens.
    pub fn mark(&mut self) -> Result<(), SpoolError> {
        self.check_usable()?;
        if self.witnessed >= self.next {
            return Ok(());
        }
        let has_room = |writer: &&mut LaneWriter| {
            let len = writer.segments.last().map_or(0, |&(_, len)| len);
            writer.active.is_some() && writer.at + frame_bytes(0) <= len
        };
        // The routine lane first: its segments are dropped first, and a mark has no use once a later group is there.
        let Some(writer) = self.lanes.iter_mut().rev().find(has_room) else {
            return Ok(());
        };
        let written = writer.write(&self.dir, self.next..self.next);
        self.note(written)?;
        self.witnessed = self.next;
        Ok(())
    }

    /// A last mark; see [`Spool::mark`].
    ///
    /// # Errors
    /// As [`Spool::mark`].
    pub fn close(mut self) -> Result<(), SpoolError> {
        self.mark()
    }

    /// Deletes the segments whose messages all lie below `before`: those of a committed checkpoint.
    ///
    /// # Errors
    /// [`SpoolError::Disk`], [`SpoolError::SyncFailed`], [`SpoolError::Ended`].
    pub fn release(&mut self, before: u64) -> Result<(), SpoolError> {
        self.check_usable()?;
        let mut removed = false;
        for lane in Lane::ALL {
            while let [_, (second, _), ..] = self.lanes[lane.at()].segments[..]
                && second <= before
            {
                self.remove_oldest(lane)?;
                removed = true;
            }
        }
        if removed { self.sync_dir() } else { Ok(()) }
    }

    /// The end of the durable messages: the next message's offset. Readers may read up to here.
    pub fn next_offset(&self) -> u64 {
        self.next
    }

    /// The bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.lanes.iter().flat_map(|lane| &lane.segments).map(|&(_, len)| len).sum()
    }

    /// The segments dropped since the last call. For the log; the ledger counts the holes that the reader meets, so
    /// that a restart counts each once.
    pub fn take_dropped(&mut self) -> Option<Dropped> {
        self.dropped.take()
    }

    fn check_usable(&self) -> Result<(), SpoolError> {
        if self.ended { Err(SpoolError::Ended) } else { Ok(()) }
    }

    fn note<T>(&mut self, result: Result<T, SpoolError>) -> Result<T, SpoolError> {
        if let Err(error) = &result {
            self.ended |= error.is_fatal();
        }
        result
    }

    fn encode(&mut self, messages: &[SpoolMessage<'_>]) -> Result<(), SpoolError> {
        for writer in &mut self.lanes {
            writer.body.clear();
            writer.count = 0;
        }
        let mut last_heard = self.last_heard;
        for (offset, message) in (self.next..).zip(messages) {
            limit("topic", message.topic.len(), usize::from(u16::MAX))?;
            limit("payload", message.payload.len(), MAX_GROUP_BYTES)?;
            last_heard = last_heard.max(message.heard_at);
            let writer = &mut self.lanes[Lane::of_topic(message.topic).at()];
            let entry_bytes = ENTRY_BYTES + message.topic.len() + message.payload.len();
            limit("group", writer.body.len() + entry_bytes, MAX_GROUP_BYTES)?;
            push_entry(&mut writer.body, offset, last_heard, message);
            writer.count += 1;
        }
        self.last_heard = last_heard;
        Ok(())
    }

    /// Makes sure that the lane's frame fits into its active segment.
    fn make_room(&mut self, lane: Lane, first: u64) -> Result<(), SpoolError> {
        let writer = &self.lanes[lane.at()];
        let wanted = frame_bytes(writer.body.len());
        let len = writer.segments.last().map_or(0, |&(_, len)| len);
        if writer.active.is_some() && writer.at + wanted <= len {
            return Ok(());
        }
        let quarter = self.options.max_bytes.map_or(u64::MAX, |max| max / 4);
        let len = wanted.max(self.options.segment_bytes.min(quarter));
        let path = self.dir.join(segment::name(lane, first));
        loop {
            let allowed = self.options.max_bytes.unwrap_or(u64::MAX);
            if self.bytes() + len > allowed {
                self.drop_oldest(lane, allowed, len)?;
                continue;
            }
            match self.disk.create(&path, len) {
                Ok(file) => return self.start_segment(Segment { lane, first, file }, &path, len),
                Err(error) if error.kind() == io::ErrorKind::StorageFull => self.drop_oldest(lane, u64::MAX, len)?,
                Err(source) => return Err(SpoolError::Disk { what: "make", path, source }),
            }
        }
    }

    fn start_segment(&mut self, segment: Segment, path: &Path, len: u64) -> Result<(), SpoolError> {
        let synced = segment.file.sync_data();
        let synced = synced.map_err(|source| SpoolError::SyncFailed { path: path.to_path_buf(), source });
        self.note(synced)?;
        self.sync_dir()?;
        let writer = &mut self.lanes[segment.lane.at()];
        writer.segments.push((segment.first, len));
        writer.active = Some(segment);
        writer.at = 0;
        Ok(())
    }

    /// Drops the oldest routine segment to make room for a segment of `lane`. The active segment is dropped only if the
    /// routine lane itself is at its end and has no other.
    fn drop_oldest(&mut self, lane: Lane, allowed: u64, wanted: u64) -> Result<(), SpoolError> {
        let routine = &self.lanes[Lane::Routine.at()];
        let kept = match lane {
            Lane::Priority => 1,
            Lane::Routine => 0,
        };
        let may_drop = match self.options.when_full {
            FullPolicy::DropOldestRoutine => routine.segments.len() > kept,
            FullPolicy::Refuse => false,
        };
        if !may_drop {
            return Err(SpoolError::Full { bytes: self.bytes(), allowed, wanted });
        }
        let (first, _) = routine.segments[0];
        let end = routine.segments.get(1).map_or(self.next, |&(first, _)| first);
        let path = self.dir.join(segment::name(Lane::Routine, first));
        let opened = Segment::open(&*self.disk, &self.dir, Lane::Routine, first, false);
        let messages = opened.and_then(|segment| segment.count()).map_err(SpoolError::disk("read", &path))?;
        self.remove_oldest(Lane::Routine)?;
        self.sync_dir()?;
        let before = self.dropped.take();
        self.dropped = Some(Dropped {
            offsets: before.as_ref().map_or(first, |before| before.offsets.start)..end,
            segments: before.as_ref().map_or(0, |before| before.segments) + 1,
            messages: before.as_ref().map_or(0, |before| before.messages) + messages,
        });
        Ok(())
    }

    fn remove_oldest(&mut self, lane: Lane) -> Result<(), SpoolError> {
        let writer = &mut self.lanes[lane.at()];
        let Some(&(first, _)) = writer.segments.first() else { return Ok(()) };
        let path = self.dir.join(segment::name(lane, first));
        self.disk.remove(&path).map_err(SpoolError::disk("remove", &path))?;
        writer.segments.remove(0);
        if writer.segments.is_empty() {
            writer.active = None;
        }
        Ok(())
    }

    fn sync_dir(&mut self) -> Result<(), SpoolError> {
        let synced = self.disk.sync_dir(&self.dir);
        self.note(synced.map_err(|source| SpoolError::SyncFailed { path: self.dir.clone(), source }))
    }

    fn write_frames(&mut self, group: &Range<u64>) -> Result<(), SpoolError> {
        for lane in Lane::ALL {
            let writer = &mut self.lanes[lane.at()];
            if writer.count > 0 {
                let written = writer.write(&self.dir, group.clone());
                self.note(written)?;
            }
        }
        Ok(())
    }
}

impl LaneWriter {
    fn new(lane: Lane) -> Self {
        Self { lane, segments: Vec::new(), active: None, at: 0, body: Vec::new(), count: 0 }
    }

    /// Writes the encoded frames (for an empty group: a mark) and waits until they are durable.
    fn write(&mut self, dir: &Path, group: Range<u64>) -> Result<(), SpoolError> {
        let Some(active) = &self.active else { return Ok(()) };
        if group.is_empty() {
            self.body.clear();
            self.count = 0;
        }
        let path = || dir.join(segment::name(self.lane, active.first));
        let header = Header {
            lane: self.lane,
            body_bytes: u32::try_from(self.body.len()).unwrap_or(u32::MAX),
            count: self.count,
            group,
            body_crc: crc32fast::hash(&self.body),
        };
        let head = header.encode(FrameAt { segment: active.first, at: self.at });
        let mut bytes = Vec::with_capacity(frame::HEADER_BYTES + self.body.len());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&self.body);
        let written = active.file.write_at(self.at, &bytes);
        written.map_err(|source| SpoolError::WriteFailed { path: path(), source })?;
        active.file.sync_data().map_err(|source| SpoolError::SyncFailed { path: path(), source })?;
        self.at += header.frame_bytes();
        Ok(())
    }
}

fn limit(what: &'static str, found: usize, allowed: usize) -> Result<(), SpoolError> {
    if found > allowed { Err(SpoolError::TooLarge { what, found, allowed }) } else { Ok(()) }
}
