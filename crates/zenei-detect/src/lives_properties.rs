//! Properties of a lock's lives, over random records: each one is stored once, and a restart changes nothing.
use crate::batch::{Row, Succession};
use crate::lives_tests::{Said, Says, run, shown};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A lock with right clocks: lives of so many records, each record a minute after the one before.
fn made(lives: &[(u32, u32, bool)]) -> Vec<Said> {
    let mut made: Vec<Said> = Vec::new();
    for (life, &(boot, records, announced)) in lives.iter().enumerate() {
        for seq in 0..records {
            let ts_s = made.len() as i64 * 60 + life as i64 * 7_200;
            let kind = if seq == 0 && announced && life > 0 { Says::Installed } else { Says::State };
            made.push(Said { boot, seq, ts_s, at_s: ts_s, kind });
        }
    }
    made
}

fn boots() -> impl Strategy<Value = u32> {
    prop_oneof![0_u32..3, Just(u32::MAX)]
}

fn seqs() -> impl Strategy<Value = u32> {
    prop_oneof![0_u32..8, Just(u32::MAX), Just(150_000)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Delays of less than the wait and redeliveries: each record is stored once, whatever lives there are, and where
    /// there is but one life none begins. Of lives before the last but one nothing is stored here.
    #[test]
    fn each_record_is_stored_once_through_all_lives(
        lives in prop::collection::vec((0_u32..4, 4_u32..90, any::<bool>()), 1..3),
        delays in prop::collection::vec(0_i64..100, 300),
        copies in prop::collection::vec((0_usize..300, 1_i64..20_000), 0..60),
    ) {
        let clean = made(&lives);
        let delayed = |(said, delay): (&Said, &i64)| Said { at_s: said.at_s + delay, ..*said };
        let mut said: Vec<Said> = clean.iter().zip(delays.iter().cycle()).map(delayed).collect();
        let copy = |&(at, later_s): &(usize, i64)| {
            let first = said[at % said.len()];
            Said { at_s: first.at_s + later_s, ..first }
        };
        let again: Vec<Said> = copies.iter().map(copy).collect();
        said.extend(&again);
        said.sort_by_key(|said| said.at_s);
        let whole = run(&said, said.len(), false);
        let stored: Vec<_> = whole.0.rows.iter().map(|row| (row.boot, row.seq, row.ts, row.body.kind())).collect();
        let each: BTreeSet<_> = stored.iter().collect();
        let twice = stored.iter().enumerate().find(|(at, one)| stored[..*at].contains(one));
        prop_assert!(twice.is_none() && each.len() == clean.len(), "{twice:?} of\n{}", shown(&whole.0.rows));
        prop_assert_eq!(whole.0.duplicates, again.len() as u64);
        prop_assert!(lives.len() > 1 || (whole.0.lives, whole.0.reused, whole.0.late) == (0, 0, 0));
        prop_assert!(run(&said, 11, true) == whole);
    }

    /// Any numbers at all: each is a row or a duplicate, and a restart changes nothing.
    #[test]
    fn any_numbers_are_kept(
        numbers in prop::collection::vec((boots(), seqs(), 0_i64..40, 0_i64..9_000, 0_u8..9), 1..150),
    ) {
        let said = |&(boot, seq, ts_s, at_s, of): &(u32, u32, i64, i64, u8)| {
            let kind = match of { 0 => Says::Installed, 1..4 => Says::Error, _ => Says::State };
            Said { boot, seq, ts_s, at_s, kind }
        };
        let mut said: Vec<Said> = numbers.iter().map(said).collect();
        said.sort_by_key(|said| said.at_s);
        let whole = run(&said, said.len(), false);
        prop_assert!(run(&said, 1, true) == whole);
        let lives: Vec<u32> = whole.0.rows.iter().filter(|row| !row.late).map(|row| row.life).collect();
        prop_assert!(lives.is_sorted(), "{lives:?}");
        let is_reused = |row: &&Row| row.succession == Succession::Reused;
        prop_assert_eq!(whole.0.rows.iter().filter(is_reused).count() as u64, whole.0.reused);
    }
}
