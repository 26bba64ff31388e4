//! A damaged spool: any bytes as its segments, flipped bits, a power cut in the middle of a group. It opens without a
//! panic; what it reads was written; every whole record is read; missing records are reported; what was never whole is
//! cut off. Called by libFuzzer and by `smoke`.
//!
//! The first byte of an input selects the damage (`FOREIGN` and the others); the functions below read the rest.
mod layout;

use crate::input::Input;
use layout::{Entry, Segment};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use zenei_store::disk::{Disk as _, Loss, SimDisk, read_whole};
use zenei_store::spool::{Hole, Recovered};
use zenei_store::{DropReason, Source, Spool, SpoolMessage, SpoolOptions, SpoolReader, StoredMessage};
use zenei_wire::GatewayTime;

/// The input holds the segments themselves.
const FOREIGN: u8 = 1;
/// Their frames get valid checksums, so that the input reaches the code behind the check.
const SEALED: u8 = 2;
/// The power fails while the last groups are written; otherwise bits are flipped.
const CUT: u8 = 4;
/// Before bits are flipped, the spool is closed cleanly: its last group has a witness.
const CLOSED: u8 = 8;

const TOPICS: [&str; 4] = ["bitlock/v1/s/a/state", "bitlock/v1/s/a/error", "bitlock/v1/s/b/op", "x"];
/// Small, so that a few groups fill several segments.
const SEGMENT_BYTES: u64 = 1_000;

/// The content of a spool: its messages, and the holes between them.
type Read = fn(&SimDisk, u64) -> (Vec<StoredMessage>, Vec<Hole>);

/// Checks one spool.
///
/// # Panics
/// Where a promise is broken.
pub fn check(input: &[u8]) {
    check_with(input, read);
}

fn check_with(input: &[u8], read: Read) {
    let mut input = Input(input);
    let what = input.byte();
    match what & (FOREIGN | CUT) {
        0 => flipped(&mut input, what & CLOSED != 0, read),
        CUT => cut(&mut input, read),
        _ => foreign(&mut input, what & SEALED != 0, read),
    }
}

fn directory() -> &'static Path {
    Path::new("/spool")
}

fn open(disk: &SimDisk) -> (Spool, Recovered) {
    let options = SpoolOptions { segment_bytes: SEGMENT_BYTES, ..SpoolOptions::default() };
    Spool::open(Arc::new(disk.clone()), directory(), options).expect("segments of any bytes open")
}

fn read(disk: &SimDisk, end: u64) -> (Vec<StoredMessage>, Vec<Hole>) {
    let mut reader = SpoolReader::open(Arc::new(disk.clone()), directory()).expect("a spool can be read");
    let mut messages = Vec::new();
    let progress = reader.read_from(0, end, usize::MAX, &mut messages).expect("a spool can be read to its end");
    assert_eq!(progress.next, end, "a reader comes to the end");
    (messages, progress.holes)
}

/// Segments of any bytes: at most four, with a lane (1 byte), a first offset (2), a length (2), and bytes.
fn foreign(input: &mut Input<'_>, sealed: bool, read: Read) {
    let mut segments = BTreeMap::new();
    while segments.len() < 4 && !input.is_empty() {
        let letter = if input.byte() & 1 == 0 { b'p' } else { b'r' };
        let (first, len) = (input.number().into(), input.number().into());
        let mut segment = Segment { letter, first, bytes: input.piece(len).to_vec() };
        if sealed {
            segment.seal();
        }
        segments.insert(segment.name(), segment);
    }
    let disk = SimDisk::new(1);
    disk.create_dir(directory()).expect("a folder can be made");
    for (name, segment) in &segments {
        let file = disk.create(&directory().join(name), segment.bytes.len() as u64).expect("a file can be made");
        file.write_at(0, &segment.bytes).expect("a file can be written");
    }
    let written: Vec<Entry> = segments.values().flat_map(Segment::frames).filter_map(|f| f.entries).flatten().collect();
    let (mut spool, recovered) = open(&disk);
    let (messages, holes) = read(&disk, recovered.next);
    check_sequence(&messages, &holes, recovered.next);
    let is_written = |message: &StoredMessage| written.contains(&entry(message));
    assert!(messages.iter().all(is_written), "a message is read that no whole frame holds");
    if sealed {
        // The frames have contents that no writer writes: such a spool may refuse, with an error.
        drop(spool.append_group(&[message(TOPICS[0], b"new")]));
    } else {
        check_goes_on(&disk, spool, recovered.next, read);
    }
}

/// Groups of messages: how many (1 byte), then for each one how many (1 byte), and for each of these topic and length
/// of the payload (1 byte each) and its bytes.
fn groups(input: &mut Input<'_>) -> Vec<Vec<(&'static str, Vec<u8>)>> {
    let message = |input: &mut Input<'_>| {
        let topic = TOPICS[usize::from(input.byte()) % TOPICS.len()];
        let len = input.byte();
        (topic, input.piece(len.into()).to_vec())
    };
    let group = |input: &mut Input<'_>| (0..=input.byte() % 4).map(|_| message(input)).collect();
    (0..=input.byte() % 12).map(|_| group(input)).collect()
}

/// Appends groups until one fails; returns what the spool promised to keep, and what was in progress.
fn append(spool: &mut Spool, groups: &[Vec<(&str, Vec<u8>)>]) -> (Vec<Entry>, Vec<Entry>) {
    let mut kept: Vec<Entry> = Vec::new();
    for group in groups {
        let messages: Vec<SpoolMessage<'_>> = group.iter().map(|(topic, payload)| message(topic, payload)).collect();
        let from = kept.len() as u64;
        let entries =
            (from..).zip(group).map(|(offset, (topic, payload))| (offset, (*topic).to_owned(), payload.clone()));
        let entries: Vec<Entry> = entries.collect();
        match spool.append_group(&messages) {
            Ok(offsets) => {
                assert_eq!(offsets, from..from + group.len() as u64);
                kept.extend(entries);
            }
            Err(_) => return (kept, entries),
        }
    }
    (kept, Vec::new())
}

fn message<'a>(topic: &'a str, payload: &'a [u8]) -> SpoolMessage<'a> {
    SpoolMessage { heard_at: GatewayTime(7), source: Source::Ingress, authenticated: true, topic, payload }
}

/// The power fails after some calls (1 byte), and a draw (1 byte) decides which of the unsynced bytes remain.
fn cut(input: &mut Input<'_>, read: Read) {
    let (calls, seed) = (input.byte(), input.byte());
    let disk = SimDisk::new(seed.into());
    let (mut spool, _) = open(&disk);
    disk.power_off_after(calls.into());
    let (mut kept, under_way) = append(&mut spool, &groups(input));
    drop(spool);
    disk.crash(Loss::Drawn);
    let (spool, recovered) = open(&disk);
    let acknowledged = kept.len() as u64;
    kept.extend(under_way);
    let ends = [acknowledged, kept.len() as u64];
    assert!(ends.contains(&recovered.next), "{recovered:?}: a group is there as a whole or not at all, {ends:?}");
    let (messages, holes) = read(&disk, recovered.next);
    check_sequence(&messages, &holes, recovered.next);
    kept.truncate(messages.len());
    assert!(holes.is_empty() && recovered.damaged.is_empty(), "a power cut damages nothing that was promised");
    assert_eq!(messages.iter().map(entry).collect::<Vec<_>>(), kept, "what was promised is read");
    check_goes_on(&disk, spool, recovered.next, read);
}

/// Bits are flipped on the disk: which segment, which byte (2 bytes) and which bit, until the input ends, at most
/// eight.
fn flipped(input: &mut Input<'_>, closed: bool, read: Read) {
    let disk = SimDisk::new(1);
    let (mut spool, _) = open(&disk);
    let (kept, _) = append(&mut spool, &groups(input));
    if closed {
        spool.close().expect("there is room for a mark");
    } else {
        drop(spool);
    }
    let end = kept.len() as u64;
    let before = frames(&disk);
    let names = disk.list(directory()).expect("a folder can be listed");
    for _ in 0..8 {
        if input.is_empty() || names.is_empty() {
            break;
        }
        let (file, at, bit) = (input.byte(), input.number(), input.byte());
        let path = directory().join(&names[usize::from(file) % names.len()]);
        disk.flip_bit(&path, u64::from(at) % SEGMENT_BYTES * 8 + u64::from(bit % 8));
    }
    let after = frames(&disk);
    let whole: Vec<Entry> = after.iter().filter_map(|frame| frame.entries.clone()).flatten().collect();
    let (spool, recovered) = open(&disk);
    let is_newest = |frame: &&layout::Frame| frame.group.end >= recovered.next && frame.group.end > 0;
    let newest =
        |frames: &[layout::Frame]| frames.iter().filter(is_newest).filter(|frame| frame.entries.is_some()).count();
    assert!(recovered.next == end || newest(&after) < newest(&before), "{recovered:?} of {end}: the end is lost");
    let (messages, holes) = read(&disk, recovered.next);
    check_sequence(&messages, &holes, recovered.next);
    let mut expected: Vec<Entry> = whole.into_iter().filter(|(offset, ..)| *offset < recovered.next).collect();
    expected.sort_unstable();
    assert_eq!(messages.iter().map(entry).collect::<Vec<_>>(), expected, "what is whole is read, and nothing else");
    // Records missing before the begin of the routine lane may be those that a full spool dropped.
    let routine_from = segments(&disk).iter().find(|segment| segment.letter == b'r').map_or(0, |segment| segment.first);
    let is_told = |hole: &Hole| hole.reason == DropReason::CorruptSpool || hole.offsets.end <= routine_from;
    assert!(holes.iter().all(is_told), "damage is told as such: {holes:?}");
    assert!(expected.iter().all(|entry| kept.contains(entry)), "what is read was written");
    check_goes_on(&disk, spool, recovered.next, read);
}

/// The segments, grouped by lane and ascending.
fn segments(disk: &SimDisk) -> Vec<Segment> {
    let names = disk.list(directory()).expect("a folder can be listed");
    let segment = |name: &String| {
        let first = name[2..22].parse().expect("the name of a segment has 20 digits");
        let bytes = read_whole(disk, &directory().join(name)).expect("a segment can be read");
        Segment { letter: name.as_bytes()[0], first, bytes }
    };
    names.iter().map(segment).collect()
}

/// The frames of every segment.
fn frames(disk: &SimDisk) -> Vec<layout::Frame> {
    segments(disk).iter().flat_map(Segment::frames).collect()
}

/// Messages and holes cover every offset below the end once, in order.
fn check_sequence(messages: &[StoredMessage], holes: &[Hole], end: u64) {
    let of_messages = messages.iter().map(|message| (message.offset, message.offset + 1));
    let of_holes = holes.iter().map(|hole| (hole.offsets.start, hole.offsets.end));
    let mut ranges: Vec<(u64, u64)> = of_messages.chain(of_holes).collect();
    ranges.sort_unstable();
    let mut expected = 0;
    for (from, to) in ranges {
        assert!(from == expected && to > from, "offset {expected} is missing, or {from} comes twice");
        expected = to;
    }
    assert_eq!(expected, end, "nothing is read from behind the end");
}

/// A recovered spool takes a group, reads it back, and needs no further recovery.
fn check_goes_on(disk: &SimDisk, mut spool: Spool, next: u64, read: Read) {
    let mut expected: Vec<Entry> = read(disk, next).0.iter().map(entry).collect();
    let group = [message(TOPICS[0], b"new"), message(TOPICS[1], b"new")];
    assert_eq!(spool.append_group(&group).expect("a recovered spool takes messages"), next..next + 2);
    spool.close().expect("a recovered spool can be closed");
    let (_, recovered) = open(disk);
    assert_eq!((recovered.next, recovered.torn_bytes), (next + 2, 0), "what was recovered stays so");
    let (messages, holes) = read(disk, next + 2);
    check_sequence(&messages, &holes, next + 2);
    let new = (next..).zip(group);
    expected.extend(new.map(|(offset, message)| (offset, message.topic.to_owned(), message.payload.to_vec())));
    let found: Vec<Entry> = messages.iter().map(entry).collect();
    assert_eq!(found, expected, "what was there is there, and what is appended is read");
}

fn entry(message: &StoredMessage) -> Entry {
    (message.offset, message.topic.clone(), message.payload.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke::{find, smoke};

    #[test]
    fn the_promises_hold_over_corpus_and_mutations() {
        smoke("spool", check);
    }

    /// Does not report damage.
    fn quiet(disk: &SimDisk, end: u64) -> (Vec<StoredMessage>, Vec<Hole>) {
        (read(disk, end).0, Vec::new())
    }

    /// Reads one bit differently from what was written.
    fn garbling(disk: &SimDisk, end: u64) -> (Vec<StoredMessage>, Vec<Hole>) {
        let (mut messages, holes) = read(disk, end);
        if let Some(message) = messages.first_mut() {
            message.topic.push('x');
        }
        (messages, holes)
    }

    #[test]
    fn a_reader_that_keeps_quiet_about_damage_is_caught() {
        assert!(find("spool", |input| check_with(input, quiet)).is_some());
    }

    #[test]
    fn a_reader_that_makes_messages_up_is_caught() {
        assert!(find("spool", |input| check_with(input, garbling)).is_some());
    }
}
