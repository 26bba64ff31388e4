//! Tests of a full spool: it removes released segments first, then the oldest routine segment, never an error.
use super::*;

#[test]
fn release_deletes_whole_segments_below_and_keeps_the_rest_readable() {
    let disk = SimDisk::new(0);
    let (mut spool, _) = open(&disk, small());
    for _ in 0..60 {
        append(&mut spool, &[0, 1, 0, 0]).unwrap();
    }
    let before = spool.bytes();
    spool.release(150).unwrap();
    assert!(spool.bytes() < before, "{} of {before}", spool.bytes());
    let (messages, holes) = read_all(&disk, 150, 240);
    assert_eq!((messages.len(), holes), (90, Vec::new()));
    drop(spool);
    disk.crash(Loss::All);
    let (spool, recovered) = open(&disk, small());
    assert_eq!((recovered.next, recovered.damaged), (240, Vec::new()));
    assert_eq!(read_all(&disk, 150, spool.next_offset()).0.len(), 90);
}

#[test]
fn a_full_spool_drops_the_oldest_routine_segment_and_never_an_error() {
    let disk = SimDisk::new(0);
    let options = SpoolOptions { max_bytes: Some(6 * 4096), ..small() };
    let (mut spool, _) = open(&disk, options);
    let mut dropped = 0;
    for round in 0..100 {
        append(&mut spool, if round % 20 == 0 { &[1, 0, 0] } else { &[0, 0, 0] }).unwrap();
        dropped += spool.take_dropped().map_or(0, |dropped| dropped.messages);
        assert!(spool.bytes() <= 6 * 4096);
    }
    let (messages, holes) = read_all(&disk, 0, 300);
    let missing: u64 = holes.iter().map(|hole| hole.offsets.end - hole.offsets.start).sum();
    assert!(dropped > 0 && missing == dropped, "{missing} are missing, {dropped} were dropped");
    assert!(holes.iter().all(|hole| hole.reason == DropReason::SpoolFull), "{holes:?}");
    assert_eq!(messages.iter().filter(|message| message.topic == TOPICS[1]).count(), 5);
    let (_, recovered) = open(&disk, options);
    assert_eq!((recovered.next, recovered.damaged), (300, Vec::new()));
}

#[test]
fn a_full_spool_that_may_not_drop_refuses_until_something_is_released() {
    let disk = SimDisk::new(0);
    let options = SpoolOptions { max_bytes: Some(4 * 4096), when_full: FullPolicy::Refuse, ..small() };
    let (mut spool, _) = open(&disk, options);
    let full = loop {
        if let Err(error) = append(&mut spool, &[0, 0, 0]) {
            break error;
        }
    };
    assert!(matches!(full, SpoolError::Full { bytes: 16384, allowed: 16384, wanted: 4096 }), "{full}");
    assert!(!full.is_fatal());
    let kept = spool.next_offset();
    spool.release(kept).unwrap();
    assert_eq!(append(&mut spool, &[0, 0, 0]).unwrap().start, kept, "the refused group took no offset");
    assert_eq!(read_all(&disk, kept, kept + 3).0.len(), 3);
}

#[test]
fn a_full_disk_makes_room_too_and_a_start_on_it_needs_none() {
    let disk = SimDisk::new(0);
    disk.set_capacity(Some(4 * 4096));
    let (mut spool, _) = open(&disk, small());
    for _ in 0..60 {
        append(&mut spool, &[0, 0, 0]).unwrap();
    }
    let dropped = spool.take_dropped().unwrap();
    assert!(
        dropped.offsets.start == 0 && dropped.segments > 1 && dropped.messages == dropped.offsets.end,
        "{dropped:?}"
    );
    assert_eq!(spool.take_dropped(), None);
    drop(spool);
    disk.set_capacity(Some(0));
    let (spool, recovered) = open(&disk, small());
    assert_eq!((spool.next_offset(), recovered.torn_bytes), (180, 0));
}
