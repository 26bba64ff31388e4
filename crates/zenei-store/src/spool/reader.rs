//! Reads the spool: both lanes as one sequence, with each hole reported. Must not know the writer; it may run in
//! another process while the writer runs. Called by the gateway's driver (from the checkpoint on), `record list`,
//! `doctor` and `forget`.
use super::frame::{Header, read_entries};
use super::recovery::inspect;
use super::segment::{self, Segment};
use super::{Lane, SpoolError, StoredMessage};
use crate::disk::Disk;
use crate::ledger::DropReason;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How often a release may come between reading a directory and opening its segments. A guess: releases are seconds
/// apart.
const MAX_RACES: u32 = 8;

/// Offsets that were given once and are not there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The offsets; each was one message.
    pub offsets: Range<u64>,
    /// Why they are gone. [`DropReason::SpoolFull`] if the routine lane begins after them (also for released ones that
    /// a reader meets below its checkpoint), else [`DropReason::CorruptSpool`].
    pub reason: DropReason,
}

/// How far a call of [`SpoolReader::read_from`] came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The offset at which to continue.
    pub next: u64,
    /// The holes between the start and `next`, ascending.
    pub holes: Vec<Hole>,
}

/// A reader; it has its place, so that continuing needs no search.
#[derive(Debug)]
pub struct SpoolReader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    lanes: [LaneReader; 2],
    next: Option<u64>,
}

#[derive(Debug)]
struct LaneReader {
    lane: Lane,
    /// First offsets of the lane's segments, ascending, when the directory was last read.
    firsts: Vec<u64>,
    current: Option<Segment>,
    at: u64,
    queue: VecDeque<StoredMessage>,
    /// Nothing is behind `at`: this call has searched already, and everything that it may read was written before it.
    searched: bool,
}

impl SpoolReader {
    /// A reader of a directory.
    ///
    /// # Errors
    /// [`SpoolError::Foreign`], [`SpoolError::Disk`].
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, SpoolError> {
        segment::list(&*disk, dir)?;
        let lanes = Lane::ALL.map(|lane| LaneReader {
            lane,
            firsts: Vec::new(),
            current: None,
            at: 0,
            queue: VecDeque::new(),
            searched: false,
        });
        Ok(Self { disk, dir: dir.to_path_buf(), lanes, next: None })
    }

    /// Up to where everything is durable, as far as the files show it; for a reader in another process than the
    /// writer's.
    ///
    /// # Errors
    /// [`SpoolError::Foreign`], [`SpoolError::Disk`].
    pub fn durable_end(&self) -> Result<u64, SpoolError> {
        let mut tries = 0;
        loop {
            match inspect(&*self.disk, &self.dir, false) {
                // A segment that was released while its directory was read; the next look finds what there is now.
                Err(SpoolError::Disk { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && tries < MAX_RACES =>
                {
                    tries += 1;
                }
                other => return Ok(other?.next),
            }
        }
    }

    /// Adds the messages from `offset` on, in order of their offsets, to `out`: those below `up_to` (the writer's
    /// [`super::Spool::next_offset`], or [`SpoolReader::durable_end`]), until topics and payloads have `max_bytes` (but
    /// at least one message where there is one).
    ///
    /// # Errors
    /// [`SpoolError::Foreign`], [`SpoolError::Disk`]; the messages read until then are in `out`.
    pub fn read_from(
        &mut self,
        offset: u64,
        up_to: u64,
        max_bytes: usize,
        out: &mut Vec<StoredMessage>,
    ) -> Result<Progress, SpoolError> {
        if self.next != Some(offset) {
            self.seek(offset)?;
        }
        let mut progress = Progress { next: offset, holes: Vec::new() };
        let mut bytes = 0;
        self.next = None;
        for lane in &mut self.lanes {
            lane.searched = false;
        }
        while progress.next < up_to && bytes < max_bytes {
            self.pass_over(progress.next);
            let wanted = progress.next..up_to;
            self.fill(&wanted, false)?;
            if self.front() != Some(progress.next) && self.fill_deeply(&wanted)? {
                continue;
            }
            let front = self.front();
            if front == Some(progress.next)
                && let Some(message) = self.pop(progress.next)
            {
                bytes += message.topic.len() + message.payload.len();
                out.push(message);
                progress.next += 1;
                continue;
            }
            let end = front.map_or(up_to, |front| front.min(up_to));
            self.name_hole(progress.next..end, &mut progress.holes);
            progress.next = end;
        }
        self.next = Some(progress.next);
        Ok(progress)
    }

    fn seek(&mut self, offset: u64) -> Result<(), SpoolError> {
        self.refresh()?;
        for lane in &mut self.lanes {
            lane.queue.clear();
            lane.at = 0;
            let after = lane.firsts.partition_point(|&first| first <= offset);
            let first = lane.firsts.get(after.saturating_sub(1)).copied();
            lane.current = None;
            lane.open_from(&*self.disk, &self.dir, first)?;
        }
        Ok(())
    }

    fn refresh(&mut self) -> Result<(), SpoolError> {
        let [priority, routine] = segment::list(&*self.disk, &self.dir)?;
        self.lanes[Lane::Priority.at()].firsts = priority;
        self.lanes[Lane::Routine.at()].firsts = routine;
        Ok(())
    }

    fn fill(&mut self, wanted: &Range<u64>, deep: bool) -> Result<bool, SpoolError> {
        let mut found = false;
        for lane in &mut self.lanes {
            if lane.queue.is_empty() {
                found |= lane.fill(&*self.disk, &self.dir, wanted, deep)?;
            }
        }
        Ok(found)
    }

    /// The next offset is in no frame that follows directly: looks for newer segments, and past damage. True where that
    /// found something.
    fn fill_deeply(&mut self, wanted: &Range<u64>) -> Result<bool, SpoolError> {
        self.refresh()?;
        self.fill(wanted, true)
    }

    /// No offset comes twice: if a damaged lane repeats one, the first counts.
    fn pass_over(&mut self, next: u64) {
        for lane in &mut self.lanes {
            while lane.queue.front().is_some_and(|message| message.offset < next) {
                lane.queue.pop_front();
            }
        }
    }

    fn front(&self) -> Option<u64> {
        self.lanes.iter().filter_map(|lane| lane.queue.front()).map(|message| message.offset).min()
    }

    fn pop(&mut self, offset: u64) -> Option<StoredMessage> {
        let at_front = |lane: &&mut LaneReader| lane.queue.front().is_some_and(|message| message.offset == offset);
        self.lanes.iter_mut().find(at_front)?.queue.pop_front()
    }

    /// Names a hole, in two where the routine lane begins inside of it.
    fn name_hole(&self, offsets: Range<u64>, holes: &mut Vec<Hole>) {
        let routine_from = self.lanes[Lane::Routine.at()].firsts.first().copied().unwrap_or(0);
        let border = routine_from.clamp(offsets.start, offsets.end);
        for (offsets, reason) in
            [(offsets.start..border, DropReason::SpoolFull), (border..offsets.end, DropReason::CorruptSpool)]
        {
            match holes.last_mut() {
                Some(last) if last.reason == reason && last.offsets.end == offsets.start => {
                    last.offsets.end = offsets.end;
                }
                Some(_) | None if !offsets.is_empty() => holes.push(Hole { offsets, reason }),
                Some(_) | None => {}
            }
        }
    }
}

impl LaneReader {
    /// Opens the segment that starts at `first`, or the next one that is still there.
    fn open_from(&mut self, disk: &dyn Disk, dir: &Path, first: Option<u64>) -> Result<bool, SpoolError> {
        let Some(first) = first else { return Ok(false) };
        let from = self.firsts.partition_point(|&known| known < first);
        for &first in &self.firsts[from..] {
            match Segment::open(disk, dir, self.lane, first, false) {
                Ok(segment) => {
                    self.current = Some(segment);
                    self.at = 0;
                    return Ok(true);
                }
                // Released since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => {
                    let path = dir.join(segment::name(self.lane, first));
                    return Err(SpoolError::Disk { what: "open", path, source });
                }
            }
        }
        Ok(false)
    }

    /// Queues the messages from `wanted.start` on of the next frame that has any; false where there is none. Frames
    /// that begin at `wanted.end` or after it stay unread: they may be half written. `deep`: also past damage in the
    /// newest segment.
    fn fill(&mut self, disk: &dyn Disk, dir: &Path, wanted: &Range<u64>, deep: bool) -> Result<bool, SpoolError> {
        loop {
            let Some(current) = &self.current else {
                let first = self.firsts.first().copied();
                if self.open_from(disk, dir, first)? {
                    continue;
                }
                return Ok(false);
            };
            let found = current.frame(self.at, wanted);
            let failed = |source| {
                let path = dir.join(segment::name(self.lane, current.first));
                SpoolError::Disk { what: "read", path, source }
            };
            match found.map_err(failed)? {
                Some((header, _)) if header.group.start >= wanted.end => return Ok(false),
                Some((header, body)) => {
                    self.at += header.frame_bytes();
                    self.queue_entries(body, &header, wanted.start);
                    if !self.queue.is_empty() {
                        return Ok(true);
                    }
                }
                None if self.go_on(disk, dir, deep)? => {}
                None => return Ok(false),
            }
        }
    }

    fn queue_entries(&mut self, body: Option<Bytes>, header: &Header, from: u64) {
        let Some(body) = body else { return };
        read_entries(&body, header, |message| {
            if message.offset >= from {
                self.queue.push_back(message);
            }
        });
    }

    /// There is no frame at this place: continues behind damage, or in the next segment; false if there is neither.
    fn go_on(&mut self, disk: &dyn Disk, dir: &Path, deep: bool) -> Result<bool, SpoolError> {
        let Some(current) = &self.current else { return Ok(false) };
        let newer = self.firsts.get(self.firsts.partition_point(|&first| first <= current.first)).copied();
        if newer.is_some() || (deep && !self.searched) {
            let path = dir.join(segment::name(self.lane, current.first));
            let found = current.search(self.at);
            if let Some(next) = found.map_err(|source| SpoolError::Disk { what: "read", path, source })? {
                self.at = next;
                return Ok(true);
            }
        }
        self.searched |= deep;
        if newer.is_some() { self.open_from(disk, dir, newer) } else { Ok(false) }
    }
}
