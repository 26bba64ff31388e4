//! Tests that each record reaches ClickHouse once, in its table and in the views, however often the daemon dies between
//! seal, insert and checkpoint. Kills `zenei run` by SIGKILL at random points under load, before a real engine. The
//! negative controls remove what makes a repeated insert count once, and must be seen to duplicate rows.
//! `ZENEI_SHIP_KILLS=1000` kills more often.
#![expect(clippy::print_stdout, reason = "figures are shown beside what is asserted")]
use crate::between::{Inserts, Spoil};
use crate::clickhouse::{Difference, Ground, TABLES, shipped_all};
use crate::daemon::Daemon;
use crate::hub::{Hubs, Load, Lock};
use crate::program::succeed;
use std::time::Duration;
use zenei_kit::Dice;
use zenei_kit::bound::{Deadline, look_again, within};

/// Kills in one run by default.
const KILLS: usize = 100;
/// Kills in a negative control, each while an answer is on its way.
const CONTROL_KILLS: usize = 3;
/// Kills of the daemon for each crash of the engine.
const KILLS_A_CRASH: usize = 7;
/// How long any step between two kills may take on a busy machine. A guess.
const STEP_WITHIN: Duration = Duration::from_secs(120);
/// The hubs' load. The fleet of 10 million locks for which one engine is designed sends 12,000 records a second; one
/// gateway less than half of it.
const LOAD: Load = Load { hubs: 4, locks: 100, window: 400, records_per_s: Some(5_000), step_ms: 1_000, seed: 1 };
/// Ranges so small that one is always in transit.
const STORE: &str = "seal_rows = 2000\nseal_s = 1";

/// The moment of the next kill.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the start, at any stage: recovery and the test of the server, too.
    Started(Duration),
    /// So long after an insert was begun: the engine has a part of it, or is at work.
    Begun(Duration),
    /// So long after the last byte of an insert.
    Sent(Duration),
    /// So long after the engine's answer: before or during the write of the checkpoint.
    Answered(Duration),
    /// While the answer to an insert is in transit: only the engine has the information that it was taken.
    Unanswered,
    /// So long after the files of a range began to change: a seal or its checkpoint.
    Sealing(Duration),
}

impl Moment {
    fn drawn(dice: &mut Dice) -> Self {
        let mut ms = |bound| Duration::from_millis(dice.below(bound));
        let moments = [
            Self::Started(ms(600)),
            Self::Begun(ms(40)),
            Self::Sent(ms(20)),
            Self::Answered(ms(8)),
            Self::Unanswered,
            Self::Sealing(ms(30)),
        ];
        moments[dice.below(moments.len() as u64) as usize]
    }
}

/// A run of kills in front of one engine.
struct Run {
    ground: Ground,
    hubs: Hubs,
}

impl Run {
    fn new(spoil: Spoil) -> Option<Self> {
        let ground = Ground::new(spoil, STORE)?;
        succeed(&mut ground.site.zenei(&["schema", "apply"]));
        Some(Self { ground, hubs: Hubs::start(LOAD) })
    }

    fn start(&self) -> Daemon {
        let daemon = self.ground.site.start();
        self.hubs.speak_to(Some(daemon.ingress()));
        daemon
    }

    fn kill_at(&self, moment: Moment) {
        let daemon = match moment {
            Moment::Started(after) => {
                let mut daemon = self.ground.site.spawn(&mut self.ground.site.zenei(&["run"]));
                let started = Deadline::after(after);
                while !started.is_over() {
                    if !self.hubs.have_an_address() && daemon.has_listened() {
                        self.hubs.speak_to(Some(daemon.ingress()));
                    }
                    look_again();
                }
                daemon
            }
            Moment::Begun(after) => self.after_insert(after, |inserts| inserts.begun),
            Moment::Sent(after) => self.after_insert(after, |inserts| inserts.sent),
            Moment::Answered(after) => self.after_insert(after, |inserts| inserts.answered),
            Moment::Unanswered => {
                self.ground.between.hold_answers(true);
                self.after_insert(Duration::ZERO, |inserts| inserts.answered)
            }
            Moment::Sealing(after) => {
                let before = sealed(&self.ground);
                let daemon = self.start();
                self.wait("a seal", &daemon, || sealed(&self.ground) != before);
                std::thread::park_timeout(after);
                daemon
            }
        };
        daemon.kill9();
        self.hubs.speak_to(None);
        self.ground.between.hold_answers(false);
    }

    fn after_insert(&self, after: Duration, count: fn(Inserts) -> u64) -> Daemon {
        let daemon = self.start();
        let before = count(self.ground.between.inserts());
        self.wait("an insert", &daemon, || count(self.ground.between.inserts()) > before);
        std::thread::park_timeout(after);
        daemon
    }

    /// Polls more often than other waits: the awaited states last milliseconds.
    fn wait(&self, what: &str, daemon: &Daemon, is_there: impl Fn() -> bool) {
        let deadline = Deadline::after(STEP_WITHIN);
        while !is_there() {
            assert!(!deadline.is_over(), "no {what} within {STEP_WITHIN:?}: {}", daemon.log());
            std::thread::park_timeout(Duration::from_micros(200));
        }
    }

    /// Lets the last daemon ship everything; returns the sent records and how those in ClickHouse differ.
    fn settle(self) -> (Ground, Vec<Lock>, Difference) {
        let daemon = self.start();
        let seconds = self.hubs.seconds();
        let said = self.hubs.settle();
        let records = said.iter().map(|lock| u64::from(lock.records)).sum();
        let shipped = within(STEP_WITHIN, || shipped_all(&daemon, records));
        shipped
            .unwrap_or_else(|| panic!("{records} records are not shipped: {:?}: {}", daemon.metrics(), daemon.log()));
        println!("{records} records in {seconds:.0} s: {:.0} a second, restarts included", records as f64 / seconds);
        let metrics = daemon.metrics();
        assert_eq!(metrics.value("zenei_shipped_total"), records, "{metrics:?}");
        assert_eq!((metrics.dead(), metrics.dropped()), (0, 0), "{metrics:?}");
        daemon.end_cleanly();
        let difference = self.ground.difference(&said);
        (self.ground, said, difference)
    }
}

/// The names of the files of ranges and states; they contain the end of each range, so a change of them shows a seal.
fn sealed(ground: &Ground) -> Vec<std::ffi::OsString> {
    let state = ground.site.state();
    let folders = ["parquet/records", "snapshots"].map(|folder| state.join(folder));
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let mut names: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

fn kills() -> usize {
    let asked = std::env::var("ZENEI_SHIP_KILLS").ok();
    asked.map_or(KILLS, |text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}")))
}

#[test]
fn kills_between_seal_send_and_checkpoint_lose_and_double_no_row() {
    let Some(run) = Run::new(Spoil::Nothing) else { return };
    let kills = kills();
    let mut dice = Dice(1);
    (0..kills).for_each(|_| run.kill_at(Moment::drawn(&mut dice)));
    let inserts = run.ground.between.inserts();
    let (_ground, said, difference) = run.settle();
    assert_eq!(difference, Difference::default());
    let records: u64 = said.iter().map(|lock| u64::from(lock.records)).sum();
    assert!(records > kills as u64 * 500, "only {records} records: that was no load");
    println!("{kills} kills, {inserts:?} of records, 0 lost, 0 doubled, cohorts right");
}

#[test]
fn crashes_of_the_engine_lose_and_double_no_row() {
    let Some(mut run) = Run::new(Spoil::Nothing) else { return };
    let daemon = run.start();
    let mut dice = Dice(2);
    let crashes = kills().div_ceil(KILLS_A_CRASH);
    for number in 0..crashes {
        let after = Duration::from_millis(dice.below(60));
        let count: fn(Inserts) -> u64 = if number % 2 == 0 { |inserts| inserts.begun } else { |inserts| inserts.sent };
        let before = count(run.ground.between.inserts());
        run.wait("an insert", &daemon, || count(run.ground.between.inserts()) > before);
        std::thread::park_timeout(after);
        run.ground.crash_engine();
    }
    daemon.kill9();
    run.hubs.speak_to(None);
    let (_ground, _, difference) = run.settle();
    println!("{crashes} crashes of the engine: {difference:?}");
    assert_eq!(difference, Difference::default());
}

#[test]
fn what_is_wrong_after_an_unanswered_insert_is_put_right_by_the_process_that_sent_it() {
    let Some(run) = Run::new(Spoil::Nothing) else { return };
    let daemon = run.start();
    run.ground.between.hold_answers_to(Some("record"));
    run.wait("an insert", &daemon, || run.ground.between.inserts().held > 0);
    run.hubs.speak_to(None);
    // As a crash between two steps leaves it: the token is there, what the view counted is not.
    let hour = run.ground.ask("SELECT toString(max(hour)) AS hour FROM zenei.cohort_hour");
    let hour = hour[0]["hour"].as_str().expect("an hour").to_owned();
    run.ground
        .execute(&format!("ALTER TABLE zenei.cohort_hour DELETE WHERE hour = '{hour}' SETTINGS mutations_sync = 1"));
    assert_ne!(in_tables(&run.ground), in_cohorts(&run.ground));
    run.ground.between.hold_answers(false);
    run.ground.between.refuse();
    run.ground.between.take_again();
    let right = within(STEP_WITHIN, || (in_tables(&run.ground) == in_cohorts(&run.ground)).then_some(()));
    right.unwrap_or_else(|| panic!("{} of {}: {}", in_cohorts(&run.ground), in_tables(&run.ground), daemon.log()));
    daemon.kill9();
    let (_ground, _, difference) = run.settle();
    assert_eq!(difference, Difference::default());
}

/// Records in the tables.
fn in_tables(ground: &Ground) -> u64 {
    ["record", "operation"].map(|table| ground.number(&format!("SELECT count() AS n FROM zenei.{table}"))).iter().sum()
}

/// Records by the views.
fn in_cohorts(ground: &Ground) -> u64 {
    ground.number("SELECT sum(records) AS n FROM zenei.cohort_hour WHERE dimension = 'fleet'")
}

/// Kills while answers are in transit; returns the difference.
fn spoiled(spoil: Spoil, with_window: bool) -> Option<Difference> {
    let run = Run::new(spoil)?;
    if !with_window {
        for table in TABLES {
            let setting = "MODIFY SETTING non_replicated_deduplication_window = 0";
            run.ground.execute(&format!("ALTER TABLE zenei.{table} {setting}"));
        }
    }
    (0..CONTROL_KILLS).for_each(|_| run.kill_at(Moment::Unanswered));
    let (_ground, _, difference) = run.settle();
    println!("{spoil:?}, window: {with_window}: {CONTROL_KILLS} kills: {difference:?}");
    Some(difference)
}

#[test]
fn kills_while_answers_are_on_their_way_double_nothing_by_token_and_window() {
    let Some(difference) = spoiled(Spoil::Nothing, true) else { return };
    assert_eq!(difference, Difference::default());
}

#[test]
fn without_a_token_rows_are_seen_to_double() {
    let Some(difference) = spoiled(Spoil::NoToken, true) else { return };
    assert!(difference.lost == 0 && difference.doubled > 0, "{difference:?}");
}

#[test]
fn with_a_token_that_each_try_makes_anew_rows_are_seen_to_double() {
    let Some(difference) = spoiled(Spoil::FreshToken, true) else { return };
    assert!(difference.lost == 0 && difference.doubled > 0, "{difference:?}");
}

#[test]
fn without_a_window_rows_are_seen_to_double() {
    let Some(difference) = spoiled(Spoil::Nothing, false) else { return };
    assert!(difference.lost == 0 && difference.doubled > 0, "{difference:?}");
}
