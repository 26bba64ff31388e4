//! Tests of a lock's lives, as timelines: records in, releases out. Numbers that begin anew, are used again, or are
//! absurd; and, as controls, what must not be taken for any of that.
use crate::anomaly::Findings;
use crate::batch::{Batch, Heard, Portion, Row};
use crate::pipeline::Pipeline;
use crate::rules::Rules;
use expect_test::{Expect, expect};
use std::fmt::Write as _;
use zenei_wire::{Body, DeviceTime, ErrorReport, Event, EventKind, GatewayTime, Name, Record, State};

/// One received record: numbers, the device's second, the second of receipt, and what it says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) boot: u32,
    pub(crate) seq: u32,
    pub(crate) ts_s: i64,
    pub(crate) at_s: i64,
    pub(crate) kind: Says,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Says {
    State,
    Error,
    Installed,
}

fn heard(said: &Said) -> Heard<'static> {
    let body = match said.kind {
        Says::State => Body::State(State::default()),
        Says::Error => Body::Error(ErrorReport { code: "jam".into(), count: 1, detail: None }),
        Says::Installed => Body::Event(Event { event: EventKind::Installed, fw_from: None, fw_to: None }),
    };
    let record = Record {
        ts: DeviceTime(said.ts_s * 1_000),
        boot: Some(said.boot),
        seq: Some(said.seq),
        model: None,
        hw_rev: None,
        lot: None,
        fw: None,
        service: None,
        gw: None,
        client_version: None,
        uptime_s: None,
        body,
        unknown_fields: 0,
    };
    Heard {
        site: Name::new("tokyo-01").unwrap(),
        device: Name::new("a").unwrap(),
        record,
        identity: 0,
        heard_at: GatewayTime(said.at_s * 1_000),
        offset: 0,
        index: 0,
        authenticated: true,
    }
}

/// `boot:seq ts at [kind]`, seconds; or `boot:from-to ts at`: one record each hour from then on.
fn parse(line: &str) -> Vec<Said> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (boot, seqs) = words[0].split_once(':').unwrap();
    let (from, to) = seqs.split_once('-').unwrap_or((seqs, seqs));
    let (from, to): (u32, u32) = (from.parse().unwrap(), to.parse().unwrap());
    let (ts_s, at_s): (i64, i64) = (words[1].parse().unwrap(), words[2].parse().unwrap());
    let kind = match words.get(3) {
        Some(&"error") => Says::Error,
        Some(&"installed") => Says::Installed,
        _ => Says::State,
    };
    let said = |seq: u32| {
        let later_s = i64::from(seq - from) * 3_600;
        Said { boot: boot.parse().unwrap(), seq, ts_s: ts_s + later_s, at_s: at_s + later_s, kind }
    };
    (from..=to).map(said).collect()
}

fn read(records: &str) -> Vec<Said> {
    records.lines().map(str::trim).filter(|line| !line.is_empty()).flat_map(parse).collect()
}

/// All records in portions of this size; `snapshots`: the pipeline is stored and restored after each.
pub(crate) fn run(said: &[Said], portion: usize, snapshots: bool) -> (Batch, Findings, u64) {
    run_by(said, portion, snapshots, || None)
}

/// As [`run`], with the detector that tells of numbers.
fn told(said: &[Said], portion: usize, snapshots: bool) -> (Batch, Findings, u64) {
    run_by(said, portion, snapshots, || Some(Rules::embedded().unwrap().only("schema-drift")))
}

fn run_by(said: &[Said], portion: usize, snapshots: bool, rules: fn() -> Option<Rules>) -> (Batch, Findings, u64) {
    let mut pipeline = Pipeline::new(rules());
    let (mut batch, mut findings) = (Batch::default(), Findings::default());
    for said in said.chunks(portion) {
        let heard: Vec<Heard<'_>> = said.iter().map(heard).collect();
        let until = heard.iter().map(|heard| heard.heard_at).max();
        pipeline.take(Portion { heard: &heard, unreadable: &[], until }, &mut batch, &mut findings);
        if snapshots {
            pipeline = Pipeline::restore(&pipeline.snapshot().unwrap(), rules()).unwrap();
        }
    }
    pipeline.finish(&mut batch, &mut findings);
    assert_eq!(batch.rows.len() as u64 + batch.duplicates, said.len() as u64, "each one is a row or a duplicate");
    (batch, findings, pipeline.missing())
}

/// The rows, neighbours alike in one line.
pub(crate) fn shown(rows: &[Row]) -> String {
    let mut text = String::new();
    let how = |row: &Row| format!("life {}{} {:?}", row.life, if row.late { " late" } else { "" }, row.succession);
    let mut rows = rows.iter().peekable();
    while let Some(row) = rows.next() {
        let mut last = row;
        while let Some(next) = rows.next_if(|next| how(next) == how(row) && next.boot == row.boot) {
            last = next;
        }
        let to = if last.seq == row.seq { String::new() } else { format!("-{}", last.seq.unwrap()) };
        writeln!(text, "{}:{}{to} {}", row.boot.unwrap(), row.seq.unwrap(), how(row)).unwrap();
    }
    text
}

/// Checks a timeline, and that a restart changes nothing.
fn check_heard(records: &str, expected: Expect) -> Batch {
    let said = read(records);
    let whole = run(&said, said.len(), false);
    let (batch, _, missing) = &whole;
    let mut text = shown(&batch.rows);
    let Batch { duplicates, late, reused, lives, .. } = batch;
    writeln!(text, "duplicates {duplicates}, late {late}, reused {reused}, lives {lives}, missing {missing}").unwrap();
    expected.assert_eq(&text);
    assert!(run(&said, 1, true) == whole, "a restart after each record changes nothing");
    whole.0
}

/// As [`check_heard`]; and a replay of what was stored, in the order of its release, gives the same.
fn check(records: &str, expected: Expect) {
    let batch = check_heard(records, expected);
    // What a store gives back is counted anew in the same way.
    let stored: Vec<Row> = batch.rows.clone();
    let (mut again, mut pipeline) = (Batch::default(), Pipeline::new(None));
    let mut rows = stored.iter().cloned();
    let next = |fleet: &mut crate::Fleet| {
        fleet.number("a");
        fleet.intern("tokyo-01");
        Ok::<_, ()>(rows.next().map(|row| Row { life: 9, late: false, ..row }))
    };
    pipeline.take_rows(next, &[], &mut again, &mut Findings::default()).unwrap();
    pipeline.finish(&mut again, &mut Findings::default());
    assert_eq!(shown(&again.rows), shown(&stored), "a replay of what was stored");
}

#[test]
fn a_new_board_begins_a_new_life_and_what_the_old_one_left_behind_is_late() {
    check(
        "5:0-99 0 1
         5:101 400000 400001
         1:0 500000 500001 installed
         1:1-20 503600 503601
         5:99 356400 580000
         5:100 399000 580001
         5:102 403000 580002
         1:5 518000 580003
         1:21 590000 590001",
        expect![[r#"
            5:0-101 life 0 Usual
            1:0-20 life 1 Usual
            5:100-102 life 0 late Usual
            1:21 life 1 Usual
            duplicates 2, late 2, reused 0, lives 1, missing 0
        "#]],
    );
}

#[test]
fn a_lock_that_lost_its_counters_is_followed_from_its_third_record_on() {
    check(
        "5:0-449 0 1
         5:0-30 2000000 2000001
         5:2 2007200 2200000",
        expect![[r#"
            5:0-449 life 0 Usual
            5:0-1 life 0 late Reused
            5:2 life 1 Restarted
            5:3-30 life 1 Usual
            duplicates 1, late 2, reused 2, lives 1, missing 0
        "#]],
    );
    // It begins at one, and the boot is kept.
    check(
        "3:0-200 0 1
         3:1-9 900000 900001",
        expect![[r#"
            3:0-200 life 0 Usual
            3:1-2 life 0 late Reused
            3:3 life 1 Restarted
            3:4-9 life 1 Usual
            duplicates 0, late 2, reused 2, lives 1, missing 0
        "#]],
    );
}

#[test]
fn a_boot_that_falls_to_zero_begins_a_life_also_where_each_boot_has_one_record() {
    check(
        "7:0-50 0 1
         0:0-4 300000 300001
         7:50 180000 400000",
        expect![[r#"
            7:0-50 life 0 Usual
            0:0-1 life 0 late Backward
            0:2 life 1 Restarted
            0:3-4 life 1 Usual
            duplicates 1, late 2, reused 0, lives 1, missing 0
        "#]],
    );
    check(
        "7:0-50 0 1
         0:0 300000 300001
         1:0 303600 303601
         2:0 307200 307201
         2:1 310800 310801",
        expect![[r#"
            7:0-50 life 0 Usual
            0:0 life 0 late Backward
            1:0 life 0 late Backward
            2:0 life 1 Restarted
            2:1 life 1 Usual
            duplicates 0, late 2, reused 0, lives 1, missing 0
        "#]],
    );
}

#[test]
fn an_old_backlog_and_a_redelivery_begin_no_life() {
    // Three missing records in a row, and three that were heard, hours later: their device time says what they are.
    check(
        "2:0-10 0 1
         2:14-20 50400 50401
         2:11-13 39600 200000
         2:11-13 39600 300000
         2:4-9 14400 400000
         1:7-9 1 500000
         2:21 600000 600001",
        expect![[r#"
            2:0-20 life 0 Usual
            2:11-13 life 0 late Usual
            1:7-9 life 0 late Usual
            2:21 life 0 Usual
            duplicates 9, late 6, reused 0, lives 0, missing 0
        "#]],
    );
}

#[test]
fn one_or_two_records_against_the_order_begin_no_life() {
    check(
        "2:0-10 0 1
         2:3 40000 40001
         2:4 41000 41001
         2:11 42000 42001
         2:5 43000 43001
         2:4 41000 43002
         2:6 44000 44001
         2:12 45000 45001
         2:8 46000 46001
         2:10 47000 47001
         2:9 48000 48001",
        expect![[r#"
            2:0-10 life 0 Usual
            2:3-4 life 0 late Reused
            2:11 life 0 Usual
            2:5-6 life 0 late Reused
            2:12 life 0 Usual
            2:8-9 life 0 late Reused
            duplicates 1, late 7, reused 7, lives 0, missing 0
        "#]],
    );
}

#[test]
fn the_same_numbers_and_time_with_another_kind_are_no_duplicate_wherever_they_stand() {
    // Of two records that waited under the same numbers the store has the second one first.
    check_heard(
        "2:0-3 0 1
         2:3 10800 10900 error
         2:3 10800 10901 error
         2:5 18000 10902
         2:5 18000 10903 error
         2:5 18000 10904
         2:5 18000 10905 error
         2:4 14400 10906",
        expect![[r#"
            2:0-3 life 0 Usual
            2:3-5 life 0 late Reused
            2:4-5 life 0 Usual
            duplicates 3, late 2, reused 2, lives 0, missing 0
        "#]],
    );
}

#[test]
fn an_absurd_boot_or_number_is_kept_and_moves_nothing() {
    check(
        "2:0-10 0 1
         4000000000:0 40000 40001
         4000000000:0 40000 40002
         2:11 41000 41001
         2:4000000000 42000 42001
         2:12 43000 43001
         4294967295:4294967295 44000 44001
         2:13-14 45000 45001",
        expect![[r#"
            2:0-10 life 0 Usual
            4000000000:0 life 0 late Ahead
            2:11 life 0 Usual
            2:4000000000 life 0 late Ahead
            2:12 life 0 Usual
            4294967295:4294967295 life 0 late Ahead
            2:13-14 life 0 Usual
            duplicates 1, late 3, reused 0, lives 0, missing 0
        "#]],
    );
}

#[test]
fn an_absurd_boot_that_the_next_record_continues_was_none() {
    // In the store the record that waited stands between the two.
    check_heard(
        "2:0-10 0 1
         2:12 40000 39650
         5000:7 41000 39700
         5000:7 41000 39701
         5000:8 42000 39702
         5000:9-12 43000 43001
         5000:200000 60000 60001
         5000:200001 61000 61001",
        expect![[r#"
            2:0-10 life 0 Usual
            5000:7 life 0 late Ahead
            2:12 life 0 Usual
            5000:8-12 life 0 Usual
            5000:200000 life 0 late Ahead
            5000:200001 life 0 Usual
            duplicates 1, late 2, reused 0, lives 0, missing 1
        "#]],
    );
}

#[test]
fn an_absurd_first_record_is_left_behind_after_three() {
    check(
        "4000000000:5 0 1
         2:0-6 3600 3601",
        expect![[r#"
            4000000000:5 life 0 Usual
            2:0-1 life 0 late Backward
            2:2 life 1 Restarted
            2:3-6 life 1 Usual
            duplicates 0, late 2, reused 0, lives 1, missing 0
        "#]],
    );
}

#[test]
fn a_clock_that_was_ahead_for_a_moment_does_not_keep_a_lock_from_a_new_life() {
    check(
        "2:0-10 0 1
         2:11 4000000000 40000
         2:12-20 43200 43201
         2:0-5 90000 90001",
        expect![[r#"
            2:0-20 life 0 Usual
            2:0-1 life 0 late Reused
            2:2 life 1 Restarted
            2:3-5 life 1 Usual
            duplicates 0, late 2, reused 2, lives 1, missing 0
        "#]],
    );
}

#[test]
fn a_board_whose_clock_was_never_set_is_followed_once_it_says_that_it_was_installed() {
    check(
        "9:0-100 1000000 1000001
         0:0 5 1400000 installed
         0:1-10 3605 1403600
         0:11 1450000 1450001",
        expect![[r#"
            9:0-100 life 0 Usual
            0:0-11 life 1 Usual
            duplicates 0, late 0, reused 0, lives 1, missing 0
        "#]],
    );
}

/// Two locks that send under one id, each with numbers of its own, in turn: each is kept, and a finding tells of it.
#[test]
fn two_locks_under_one_id_are_kept_whole_and_told() {
    let turn = |at: i64| {
        let said = |boot, seq, late_s| Said {
            boot,
            seq,
            ts_s: at * 3_600 + late_s,
            at_s: at * 3_600 + late_s + 1,
            kind: Says::State,
        };
        [said(4, at as u32 + 300, 0), said(4, at as u32, 600)]
    };
    let said: Vec<Said> = (0..120).flat_map(turn).collect();
    let whole = told(&said, said.len(), false);
    let (batch, findings, _) = &whole;
    assert_eq!((batch.duplicates, batch.rows.len()), (0, 240));
    assert!(batch.late >= 118, "{}", batch.late);
    assert!(told(&said, 7, true) == whole, "a restart changes nothing");
    // From the second day on numbers that the other used would be needed; here they lie where nothing was heard.
    let texts: Vec<_> = findings.anomalies.iter().map(|anomaly| anomaly.why.as_str()).collect();
    assert_eq!(texts.len(), 1, "{texts:#?}");
    assert!(texts[0].contains("two locks send under this id"), "{texts:#?}");
    // Control: one of them alone is not told.
    let alone: Vec<Said> = said.iter().step_by(2).copied().collect();
    assert!(told(&alone, 7, false).1.anomalies.is_empty());
}

#[test]
fn a_lock_that_loses_its_counters_each_day_is_told_and_one_that_did_once_is_not() {
    let days = |restarts: i64| {
        let said = |hour: i64| {
            let seq = if hour / 24 < restarts { hour % 24 } else { hour - 24 * (restarts - 1).max(0) };
            Said { boot: 1, seq: seq as u32, ts_s: hour * 3_600, at_s: hour * 3_600 + 1, kind: Says::State }
        };
        let said: Vec<Said> = (0..24 * 12).map(said).collect();
        let (batch, findings, _) = told(&said, said.len(), false);
        assert_eq!(batch.duplicates, 0);
        (batch.lives, findings.anomalies.len())
    };
    assert_eq!(days(0), (0, 0));
    assert_eq!(days(2).1, 0);
    let (lives, told) = days(12);
    assert!(lives >= 10 && told >= 1, "{lives} lives, {told} findings");
}
