//! Tests of intake, as timelines: records in, releases out.
use crate::batch::{Batch, Heard, Registered};
use crate::fleet::Fleet;
use crate::intake::{HOLE_WAIT_MS, Intake};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::fmt::Write as _;
use zenei_wire::{Body, DeviceTime, EngineTime, GatewayTime, Name, Record, State};

/// One received record: lock, place in its sequence (or an identity), second of receipt.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Said {
    lock: &'static str,
    place: Result<(u32, u32), u128>,
    at_s: i64,
    fw: &'static str,
    forged: bool,
}

fn heard(said: &Said) -> Heard<'static> {
    let (boot, seq) = said.place.map_or((None, None), |(boot, seq)| (Some(boot), Some(seq)));
    let record = Record {
        ts: DeviceTime(0),
        boot,
        seq,
        model: None,
        hw_rev: None,
        lot: None,
        fw: (!said.fw.is_empty()).then_some(said.fw.into()),
        service: None,
        gw: None,
        client_version: None,
        uptime_s: None,
        body: Body::State(State::default()),
        unknown_fields: 0,
    };
    Heard {
        site: Name::new("tokyo-01").unwrap(),
        device: Name::new(said.lock).unwrap(),
        record,
        identity: said.place.err().unwrap_or(0),
        heard_at: GatewayTime(said.at_s * 1000),
        offset: 0,
        index: 0,
        authenticated: !said.forged,
    }
}

struct Run {
    fleet: Fleet,
    intake: Intake,
    batch: Batch,
}

impl Run {
    fn new() -> Self {
        Self { fleet: Fleet::new(), intake: Intake::default(), batch: Batch::default() }
    }

    fn take(&mut self, said: &Said) {
        let now = EngineTime(said.at_s * 1000).max(self.intake.now());
        self.intake.advance(now, &mut self.batch);
        self.intake.take(&heard(said), now, &mut self.fleet, &mut self.batch);
    }

    fn end(&mut self) {
        self.intake.advance(self.intake.now().plus_ms(HOLE_WAIT_MS), &mut self.batch);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for row in &self.batch.rows {
            let lock = self.fleet.device_id(row.device);
            let place = match (row.boot, row.seq) {
                (Some(boot), Some(seq)) => format!("{boot}:{seq}"),
                _ => format!("#{}", row.identity),
            };
            let late = if row.late { " late" } else { "" };
            let fw = self.fleet.word(row.labels.fw).unwrap_or("-");
            writeln!(text, "{lock} {place} at {} s, fw {fw}{late}", row.released_at.ms() / 1000).unwrap();
        }
        for gap in &self.batch.gaps {
            let lock = self.fleet.device_id(gap.device);
            writeln!(text, "{lock} lost {}:{}-{} at {} s", gap.boot, gap.from_seq, gap.to_seq, gap.at.ms() / 1000)
                .unwrap();
        }
        let counts = (self.batch.duplicates, self.batch.late, self.intake.missing(), self.intake.held());
        writeln!(text, "duplicates {}, late {}, missing {}, held {}", counts.0, counts.1, counts.2, counts.3).unwrap();
        text
    }
}

/// `lock boot:seq second [fw [forged]]` or `lock #identity second`, a record a line.
fn parse(line: &'static str) -> Said {
    let mut words = line.split_whitespace();
    let (lock, place, at) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let place = match place.split_once(':') {
        Some((boot, seq)) => Ok((boot.parse().unwrap(), seq.parse().unwrap())),
        None => Err(place[1..].parse().unwrap()),
    };
    let fw = words.next().unwrap_or("");
    Said { lock, place, at_s: at.parse().unwrap(), fw, forged: words.next() == Some("forged") }
}

fn check(records: &'static str, expected: Expect) {
    let mut run = Run::new();
    for line in records.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line {
            "end" => run.end(),
            line => run.take(&parse(line)),
        }
    }
    expected.assert_eq(&run.text());
}

#[test]
fn records_in_order_are_released_at_once() {
    check(
        "a 1:0 1
         a 1:1 2
         a 1:2 3",
        expect![[r#"
            a 1:0 at 1 s, fw -
            a 1:1 at 2 s, fw -
            a 1:2 at 3 s, fw -
            duplicates 0, late 0, missing 0, held 0
        "#]],
    );
}

#[test]
fn a_record_heard_twice_counts_once_wherever_it_stands() {
    check(
        "a 1:0 1
         a 1:0 2
         a 1:2 3
         a 1:2 4
         a 1:1 5
         a 1:1 6
         a 1:2 7",
        expect![[r#"
            a 1:0 at 1 s, fw -
            a 1:1 at 5 s, fw -
            a 1:2 at 5 s, fw -
            duplicates 4, late 0, missing 0, held 0
        "#]],
    );
}

#[test]
fn a_hole_waits_120_seconds_and_what_fills_it_later_is_late() {
    check(
        "a 1:0 0
         a 1:3 10
         a 1:4 20
         b 1:0 131
         a 1:1 140
         a 1:1 141",
        expect![[r#"
            a 1:0 at 0 s, fw -
            a 1:3 at 130 s, fw -
            a 1:4 at 130 s, fw -
            b 1:0 at 131 s, fw -
            a 1:1 at 140 s, fw - late
            a lost 1:1-2 at 130 s
            duplicates 1, late 1, missing 1, held 0
        "#]],
    );
}

#[test]
fn a_new_boot_waits_for_what_the_old_one_may_still_say() {
    check(
        "a 1:0 0
         a 2:0 10
         a 1:1 20
         end",
        expect![[r#"
            a 1:0 at 0 s, fw -
            a 1:1 at 20 s, fw -
            a 2:0 at 130 s, fw -
            duplicates 0, late 0, missing 0, held 0
        "#]],
    );
}

#[test]
fn a_lock_first_heard_in_the_middle_loses_nothing_and_counts_no_gap() {
    check(
        "a 7:100 0
         a 7:99 30
         end",
        expect![[r#"
            a 7:99 at 120 s, fw -
            a 7:100 at 120 s, fw -
            duplicates 0, late 0, missing 0, held 0
        "#]],
    );
}

#[test]
fn a_record_from_before_the_first_boot_heard_is_late_once() {
    check(
        "a 7:0 0
         a 6:5 1
         a 6:5 2",
        expect![[r#"
            a 7:0 at 0 s, fw -
            a 6:5 at 1 s, fw - late
            duplicates 1, late 1, missing 0, held 0
        "#]],
    );
}

#[test]
fn what_an_older_boot_had_left_to_say_is_late_once() {
    check(
        "a 1:0 0
         a 1:1 1
         a 2:0 2
         a 3:0 200
         a 1:3 500
         a 1:3 501
         a 1:2 502
         a 2:0 503
         end",
        expect![[r#"
            a 1:0 at 0 s, fw -
            a 1:1 at 1 s, fw -
            a 2:0 at 122 s, fw -
            a 3:0 at 320 s, fw -
            a 1:3 at 500 s, fw - late
            a 1:2 at 502 s, fw - late
            duplicates 2, late 2, missing 0, held 0
        "#]],
    );
}

#[test]
fn a_boot_that_was_skipped_and_a_counter_that_fell_back_lose_nothing() {
    check(
        "a 1:0 0
         a 9:0 1
         a 4:7 200
         a 4:5 201
         a 1:5 202
         a 4:5 203",
        expect![[r#"
            a 1:0 at 0 s, fw -
            a 9:0 at 121 s, fw -
            a 4:7 at 200 s, fw - late
            a 4:5 at 201 s, fw - late
            a 1:5 at 202 s, fw - late
            duplicates 1, late 3, missing 5, held 0
        "#]],
    );
}

#[test]
fn a_source_that_may_not_speak_for_a_lock_moves_nothing_of_it() {
    check(
        "a 7:0 0 3.1
         a 4294967295:0 1 evil forged
         a 7:1 2 evil forged
         a 7:1 3
         a 7:1 4 evil forged
         a 7:2 5",
        expect![[r#"
            a 7:0 at 0 s, fw 3.1
            a 4294967295:0 at 1 s, fw evil
            a 7:1 at 2 s, fw evil
            a 7:1 at 3 s, fw 3.1
            a 7:2 at 5 s, fw 3.1
            duplicates 1, late 0, missing 0, held 0
        "#]],
    );
}

#[test]
fn every_second_record_may_come_late_and_none_is_taken_for_heard() {
    let said = |seq: u32, at_s: i64| Said { lock: "a", place: Ok((1, seq)), at_s, fw: "", forged: false };
    let mut run = Run::new();
    (0..1_000).step_by(2).for_each(|seq| run.take(&said(seq, i64::from(seq))));
    run.end();
    for round in 0..2 {
        (1..1_000).step_by(2).for_each(|seq| run.take(&said(seq, 5_000 + round * 1_000 + i64::from(seq))));
    }
    // All but 999, which is ahead of 998.
    assert_eq!((run.batch.rows.len(), run.batch.late, run.batch.duplicates), (1_000, 499, 500));
}

#[test]
fn a_whole_backlog_without_a_sequence_may_be_redelivered() {
    let said = |identity: u128, at_s: i64| Said { lock: "a", place: Err(identity), at_s, fw: "", forged: false };
    let mut run = Run::new();
    for round in 0..2 {
        (1..=1_000).for_each(|identity| run.take(&said(identity, round)));
    }
    assert_eq!((run.batch.rows.len(), run.batch.duplicates), (1_000, 1_000));
}

#[test]
fn a_device_without_a_sequence_is_known_by_its_identity() {
    check(
        "a #5 0
         a #6 1
         a #5 2",
        expect![[r#"
            a #5 at 0 s, fw -
            a #6 at 1 s, fw -
            duplicates 1, late 0, missing 0, held 0
        "#]],
    );
}

#[test]
fn what_a_lock_last_said_is_stamped_in_its_order_not_in_the_order_of_hearing() {
    check(
        "a 1:0 0 3.1
         a 1:2 1 3.2
         a 1:1 2
         a 1:3 3",
        expect![[r#"
            a 1:0 at 0 s, fw 3.1
            a 1:1 at 2 s, fw 3.1
            a 1:2 at 2 s, fw 3.2
            a 1:3 at 3 s, fw 3.2
            duplicates 0, late 0, missing 0, held 0
        "#]],
    );
}

#[test]
fn the_registry_speaks_only_where_the_lock_does_not() {
    let mut run = Run::new();
    let registered = Registered { device_id: "a", lot: "2025W31", ..Registered::default() };
    run.intake.register(registered, &mut run.fleet);
    run.take(&parse("a 1:0 0"));
    assert_eq!(run.fleet.word(run.batch.rows[0].labels.lot), Some("2025W31"));
    assert_eq!(run.fleet.word(run.batch.rows[0].labels.model), None);
}

/// A stream of three locks in order, one record a second.
fn stream(len: usize) -> Vec<Said> {
    let said = |at: usize| {
        let place = (1 + at as u32 / 60, (at as u32 % 60) / 3);
        Said { lock: ["a", "b", "c"][at % 3], place: Ok(place), at_s: at as i64, fw: "", forged: false }
    };
    (0..len).map(said).collect()
}

fn order_of(run: &Run) -> Vec<(u32, Option<u32>, Option<u32>)> {
    let mut places: Vec<_> = run.batch.rows.iter().map(|row| (row.device.0, row.boot, row.seq)).collect();
    places.sort_by_key(|&(device, ..)| device);
    places
}

proptest! {
    #[test]
    fn duplicates_and_reordering_within_the_wait_change_nothing(
        delays in prop::collection::vec(0_i64..60, 150),
        copies in prop::collection::vec(0_usize..150, 0..30),
    ) {
        let clean = stream(150);
        let mut calm = Run::new();
        clean.iter().for_each(|said| calm.take(said));
        calm.end();
        let mut shuffled: Vec<Said> =
            clean.iter().zip(&delays).map(|(said, delay)| Said { at_s: said.at_s + delay, ..*said }).collect();
        let doubled: Vec<Said> = copies.iter().map(|&at| Said { at_s: shuffled[at].at_s + 5, ..shuffled[at] }).collect();
        shuffled.extend(&doubled);
        shuffled.sort_by_key(|said| said.at_s);
        let mut wild = Run::new();
        // Numbers are assigned in order of first receipt: the same in both runs only where all locks are known.
        ["a", "b", "c"].iter().for_each(|lock| { wild.fleet.number(lock); });
        shuffled.iter().for_each(|said| wild.take(said));
        wild.end();
        prop_assert_eq!(order_of(&calm), order_of(&wild));
        prop_assert_eq!((wild.batch.duplicates, wild.batch.late), (doubled.len() as u64, 0));
    }

    #[test]
    fn every_record_is_released_or_a_duplicate_or_waits(
        places in prop::collection::vec((0_u32..3, 0_u32..12, 0_i64..400), 0..200),
    ) {
        let mut run = Run::new();
        let mut said: Vec<Said> =
            places.iter().map(|&(boot, seq, at_s)| Said { lock: "a", place: Ok((boot, seq)), at_s, fw: "", forged: false }).collect();
        said.sort_by_key(|said| said.at_s);
        for said in &said {
            run.take(said);
        }
        let kept = run.batch.rows.len() as u64 + run.batch.duplicates + run.intake.held();
        prop_assert_eq!(kept, said.len() as u64);
        run.end();
        prop_assert_eq!(run.intake.held(), 0);
        let mut released: Vec<_> = run.batch.rows.iter().map(|row| (row.boot, row.seq)).collect();
        released.sort_unstable();
        let unique = released.len();
        released.dedup();
        prop_assert_eq!(released.len(), unique);
        let in_order: Vec<_> = run.batch.rows.iter().filter(|row| !row.late).map(|row| (row.boot, row.seq)).collect();
        prop_assert!(in_order.is_sorted());
    }
}
