//! Tests of the looks that follow a doubtful insert, against a server that says what the test wants: when it is asked,
//! what is done about the answer, and that shipping goes on whatever it is.
use super::*;
use crate::clickhouse::fake::{DENIED, Said};

/// When the rows of these tests were heard.
const HEARD_MS: i64 = 1_777_626_001_000;
const HOUR_S: i64 = 1_777_626_000;
const BASE: &str = "record:gw-1:0-100-3600000";

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// What rows of the shipment there are.
    Rows,
    Clock,
    /// How the cohorts differ.
    Cohorts,
    /// The filling of no hour, to see whether that is allowed.
    Probe,
    Fill,
    Remove,
}

fn about(sql: &str) -> About {
    match sql {
        _ if sql.contains("DELETE WHERE") => About::Remove,
        _ if sql.contains("INSERT INTO") && sql.contains("\r\n\r\n[]\r\n") => About::Probe,
        _ if sql.contains("INSERT INTO") => About::Fill,
        _ if sql.contains("HAVING") => About::Cohorts,
        _ if sql.contains("spool_offset") => About::Rows,
        _ => About::Clock,
    }
}

/// The answer that the server has this row of the shipment of a single record, so many times.
fn there(rows: u64) -> Said {
    Said::Lines(format!("{{\"first\":1,\"second\":0,\"at_ms\":{HEARD_MS},\"rows\":{rows}}}\n"))
}

/// The answer that an hour has so many records too many, `days` after it.
fn differing(records: i64, days: i64) -> Said {
    let now_s = HOUR_S + 86_400 * days;
    Said::Lines(format!("{{\"hour_s\":{HOUR_S},\"records\":{records},\"operations\":0,\"now_s\":{now_s}}}\n"))
}

fn clock() -> Said {
    Said::Lines(format!("{{\"now_ms\":{}}}\n", HEARD_MS + HOUR_MS))
}

fn nothing() -> Said {
    Said::Lines(String::new())
}

/// A server that takes each insert; `says` answers a request by what it is about and by how many of these there were.
fn taking(says: impl Fn(About, usize) -> Said + Send + Sync + 'static) -> FakeServer {
    let counts = std::sync::Mutex::new(Vec::new());
    FakeServer::start_with(
        |_, _| Answer::Taken,
        move |sql, _| {
            let about = about(sql);
            let mut counts = counts.lock().unwrap();
            let before = counts.iter().filter(|one| **one == about).count();
            counts.push(about);
            says(about, before)
        },
    )
}

fn abouts(server: &FakeServer) -> Vec<About> {
    server.looked().iter().map(|sql| about(sql)).collect()
}

/// Ships one record, patiently; what the server was asked, and the tokens of the inserts.
fn ship(server: &FakeServer) -> (Stage, Vec<About>, Vec<String>) {
    let mut stage = Stage::new(&[vec![state(0, 1, 2900)]], server, 0);
    assert_eq!(stage.ship(99), Ended::Done);
    assert_eq!(stage.shipper.shipped().unwrap().records, 1);
    let tokens = server.asked().into_iter().map(|asked| asked.token).collect();
    (stage, abouts(server), tokens)
}

#[test]
fn a_process_looks_with_its_first_shipment_and_then_only_after_a_doubtful_insert() {
    let trouble = std::sync::atomic::AtomicBool::new(false);
    let (flag, looks) =
        (Arc::new(trouble), |sql: &str, _| if about(sql) == About::Rows { there(1) } else { nothing() });
    let is_broken = Arc::clone(&flag);
    let server = FakeServer::start_with(
        move |_, _| {
            if is_broken.swap(false, std::sync::atomic::Ordering::SeqCst) { Answer::HangUp } else { Answer::Taken }
        },
        looks,
    );
    let (first, second) = (vec![state(0, 1, 2900)], vec![state(0, 1, 2900)]);
    let mut stage = Stage::new(&[first.clone(), second.clone()], &server, 24 * HOUR_MS);
    assert_eq!(stage.ship(9), Ended::Done);
    assert_eq!(abouts(&server), [About::Rows, About::Cohorts], "two shipments, the first one looked at");
    flag.store(true, std::sync::atomic::Ordering::SeqCst);
    seal(&stage.disk, &[first, second.clone(), second], &mut stage.shipper.control);
    assert_eq!(stage.ship(9), Ended::Done);
    assert_eq!(abouts(&server), [About::Rows, About::Cohorts, About::Rows, About::Cohorts]);
}

#[test]
fn rows_that_are_not_there_are_inserted_again_under_a_new_token_until_they_are() {
    let server = taking(|about, before| match about {
        About::Rows if before < 2 => nothing(),
        About::Rows => there(1),
        About::Clock => clock(),
        About::Cohorts | About::Probe | About::Fill | About::Remove => nothing(),
    });
    let (_, asked, tokens) = ship(&server);
    let (rows, clock) = (About::Rows, About::Clock);
    assert_eq!(asked, [rows, clock, rows, clock, rows, About::Cohorts]);
    assert_eq!(tokens, [BASE.to_owned(), format!("{BASE}:again-1"), format!("{BASE}:again-2")]);
    let inserts = server.asked();
    assert_eq!(inserts[1].body, inserts[0].body);
}

#[test]
fn rows_that_never_come_or_are_old_enough_to_be_gone_stop_nothing() {
    let never = taking(|about, _| if about == About::Clock { clock() } else { nothing() });
    assert_eq!(ship(&never).2.len(), 4, "inserted again three times");
    let later = HEARD_MS + 24 * HOUR_MS * i64::from(Retention::default().record);
    let old = taking(move |about, _| match about {
        About::Clock => Said::Lines(format!("{{\"now_ms\":{later}}}\n")),
        About::Rows | About::Cohorts | About::Probe | About::Fill | About::Remove => nothing(),
    });
    assert_eq!(ship(&old).2, [BASE]);
}

#[test]
fn a_row_that_is_there_twice_is_left_to_its_readers() {
    let server = taking(|about, _| if about == About::Rows { there(2) } else { nothing() });
    let (_, asked, tokens) = ship(&server);
    assert_eq!((asked, tokens), (vec![About::Rows, About::Cohorts], vec![BASE.to_owned()]));
}

#[test]
fn an_hour_that_differs_in_three_looks_in_a_row_is_removed_and_filled_by_every_view() {
    let server = taking(|about, before| match about {
        About::Rows => there(1),
        // Once, an insert of another gateway was between two tables.
        About::Cohorts if before == 0 => differing(5, 0),
        About::Cohorts if before < 4 => differing(-1, 0),
        About::Cohorts | About::Clock | About::Probe | About::Fill | About::Remove => nothing(),
    });
    let (_, asked, _) = ship(&server);
    let looks = [About::Cohorts; 4];
    let work = [About::Probe, About::Probe, About::Remove, About::Fill, About::Fill, About::Cohorts];
    assert_eq!(asked[1..], [looks.as_slice(), &work].concat());
    let looked = server.looked();
    let remove = looked.iter().find(|sql| about(sql) == About::Remove).unwrap();
    assert!(remove.contains("ALTER TABLE zenei.cohort_hour DELETE WHERE has({hours:Array(UInt32)}"), "{remove}");
    assert!(remove.contains(&format!("[{HOUR_S}]")), "only this hour: {remove}");
}

#[test]
fn a_difference_that_never_stays_the_same_is_put_off_and_looked_at_again_also_by_the_next_process() {
    let restless = || {
        taking(|about, before| match about {
            About::Rows => there(1),
            About::Cohorts => differing(i64::try_from(before).unwrap() + 1, 0),
            About::Clock | About::Probe | About::Fill | About::Remove => nothing(),
        })
    };
    let server = restless();
    let (stage, asked, _) = ship(&server);
    assert!(!asked.contains(&About::Remove), "{asked:?}");
    let control = stage.shipper.control;
    let hours = ["ship/doubt_from_ms", "ship/doubt_to_ms"].map(|name| control.cursor(name).unwrap().unwrap());
    assert_eq!(hours, [1_777_626_000_000, 1_777_629_600_000]);
    // The next process ships what was heard an hour later.
    let later = Row { heard_at: GatewayTime(HEARD_MS + HOUR_MS), ..state(0, 2, 2900) };
    let (quiet, disk, mut control) = (taking(|_, _| nothing()), SimDisk::new(2), control);
    seal(&disk, &[vec![state(0, 1, 2900)], vec![later]], &mut control);
    let mut shipper = shipper(&disk, control, &quiet, 24 * HOUR_MS);
    assert_eq!(shipper.ship(&mut |_| Go::On).unwrap(), Ended::Done);
    let looked = quiet.looked();
    let look = looked.iter().find(|sql| about(sql) == About::Cohorts).unwrap();
    assert!(look.contains("1777626000000") && look.contains("1777633200000"), "both hours: {look}");
    assert_eq!(shipper.control.cursor("ship/doubt_to_ms").unwrap(), Some(0), "they are right");
}

#[test]
fn an_hour_of_which_records_may_be_gone_is_never_removed() {
    let days = i64::from(Retention::default().operation);
    for (days, is_removed) in [(days, false), (days - 3, true)] {
        let server = taking(move |about, before| match about {
            About::Rows => there(1),
            About::Cohorts if before < 3 => differing(7, days),
            About::Cohorts | About::Clock | About::Probe | About::Fill | About::Remove => nothing(),
        });
        assert_eq!(ship(&server).1.contains(&About::Remove), is_removed, "after {days} days");
    }
}

#[test]
fn who_may_not_fill_an_hour_does_not_remove_it_and_who_may_do_neither_ships_on() {
    for refused in [About::Rows, About::Cohorts, About::Probe, About::Remove] {
        let server = taking(move |about, _| match about {
            _ if about == refused => Said::Code(DENIED),
            About::Rows => there(1),
            About::Cohorts if refused != About::Rows => differing(-1, 0),
            About::Cohorts | About::Clock | About::Probe | About::Fill | About::Remove => nothing(),
        });
        let (_, asked, tokens) = ship(&server);
        assert_eq!(tokens, [BASE], "{refused:?}");
        assert_eq!(asked.last(), Some(if refused == About::Rows { &About::Cohorts } else { &refused }), "{asked:?}");
        assert!(!asked.contains(&About::Fill), "{refused:?}: {asked:?}");
    }
}

#[test]
fn a_server_that_goes_away_while_it_is_looked_at_is_asked_again_for_a_bounded_time() {
    let server = taking(|about, before| match about {
        About::Rows if before < 3 => Said::HangUp,
        About::Rows => there(1),
        About::Cohorts | About::Clock | About::Probe | About::Fill | About::Remove => Said::HangUp,
    });
    let (stage, asked, _) = ship(&server);
    assert_eq!(asked.iter().filter(|about| **about == About::Cohorts).count(), 12);
    assert_eq!(stage.shipper.control.cursor("ship/doubt_to_ms").unwrap(), Some(1_777_629_600_000), "looked at later");
    // A rebuild that broke off may have removed the hour: it is begun again until a look finds it right.
    let server = taking(|about, before| match about {
        About::Rows => there(1),
        About::Cohorts if before < 6 => differing(-1, 0),
        About::Fill if before == 0 => Said::HangUp,
        About::Cohorts | About::Clock | About::Probe | About::Fill | About::Remove => nothing(),
    });
    let (_, asked, _) = ship(&server);
    assert_eq!(asked.iter().filter(|about| **about == About::Remove).count(), 2);
    assert_eq!(asked[asked.len() - 3..], [About::Fill, About::Fill, About::Cohorts]);
}

#[test]
fn a_shipper_that_is_stopped_while_it_looks_ships_the_same_again_and_looks_again() {
    let server = taking(|about, _| match about {
        About::Rows => there(1),
        About::Cohorts => differing(-1, 0),
        About::Clock | About::Probe | About::Fill | About::Remove => nothing(),
    });
    let mut stage = Stage::new(&[vec![state(0, 1, 2900)]], &server, 0);
    assert_eq!(stage.ship(2), Ended::Stopped);
    assert_eq!(stage.shipper.shipped().unwrap(), Shipped::default(), "it is not shipped before it is right");
    assert!(!abouts(&server).contains(&About::Remove));
}
