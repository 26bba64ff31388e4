//! Tests of the listener as timelines: advertisements in, verdicts and merged records out.
use super::*;
use crate::units::{CentiCelsius, Millivolts};
use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;

/// `second set id value`: set `A` has the voltage, `B` the temperature, `W` both; id `#n` is a packet id, `n` a
/// counter.
fn half(line: &str) -> Half {
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap();
    let (at, set, id, value) = (word(), word(), word(), word());
    let number = value.parse().unwrap();
    let mut adv = Adv::default();
    match set {
        "A" => adv.battery_mv = Some(Millivolts(number)),
        "B" => adv.temp_c = Some(CentiCelsius(number.cast_signed())),
        _ => (adv.battery_mv, adv.temp_c) = (Some(Millivolts(number)), Some(CentiCelsius(number.cast_signed()))),
    }
    match id.strip_prefix('#') {
        Some(id) => adv.packet_id = Some(id.parse().unwrap()),
        None => adv.counter = Some(id.parse().unwrap()),
    }
    Half { adv, firmware: None, at: GatewayTime(at.parse::<i64>().unwrap() * 1000) }
}

fn shown(merged: &Merged) -> String {
    let Adv { battery_mv, temp_c, packet_id, counter, .. } = merged.adv;
    let id = counter.map(|counter| format!("{counter}")).or(packet_id.map(|id| format!("#{id}"))).unwrap_or_default();
    let number = |number: Option<i64>| number.map_or("-".into(), |number| format!("{number}"));
    let (voltage, temp) =
        (number(battery_mv.map(|voltage| voltage.0.into())), number(temp_c.map(|temp| temp.0.into())));
    format!(" [{id} at {} s: {voltage} {temp}]", merged.at.ms() / 1000)
}

/// One line for each advertisement: its verdict and the records yielded, after those that its time made due.
fn told(advertisements: &str) -> String {
    let (mut listener, mut told) = (Listener::default(), String::new());
    for line in advertisements.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let half = half(line);
        while let Some(due) = listener.deadline().filter(|due| *due <= half.at) {
            listener.give_up(|merged| writeln!(told, "due at {} s{}", due.ms() / 1000, shown(&merged)).unwrap());
        }
        let mut given = String::new();
        let verdict = listener.hear(half, |merged| given.push_str(&shown(&merged)));
        writeln!(told, "{verdict:?}{given}").unwrap();
    }
    told
}

fn check(advertisements: &str, expected: &[&str]) {
    let told = told(advertisements);
    assert_eq!(told.lines().collect::<alloc::vec::Vec<_>>(), expected, "{advertisements}");
}

#[test]
fn both_sets_make_one_record_with_the_later_counter() {
    check("0 A 1 2900\n 1 B 2 2000", &["News", "News [2 at 1 s: 2900 2000]"]);
    check("0 B 1 2000\n 1 A 2 2900", &["News", "News [2 at 1 s: 2900 2000]"]);
    check("0 A #1 2900\n 1 B #2 2000", &["News", "News [#2 at 1 s: 2900 2000]"]);
}

#[test]
fn what_is_heard_again_gives_nothing_until_it_is_old() {
    check(
        "0 A 1 2900\n 1 B 2 2000\n 2 A 1 2900\n 3 B 2 2000\n 900 A 1 2900\n 901 B 2 2000\n 902 A 1 2900",
        &["News", "News [2 at 1 s: 2900 2000]", "Again", "Again", "Again", "Again [2 at 901 s: 2900 2000]", "Again"],
    );
}

#[test]
fn new_counters_with_the_same_values_give_nothing_new() {
    check(
        "0 A 1 2900\n 1 B 2 2000\n 60 A 3 2900\n 61 B 4 2000\n 120 A 5 2890\n 121 B 6 2000",
        &["News", "News [2 at 1 s: 2900 2000]", "News", "News", "News", "News [6 at 121 s: 2890 2000]"],
    );
}

#[test]
fn a_set_that_repeats_what_it_said_completes_the_other_ones_news() {
    check(
        "0 A #1 2900\n 1 B #2 2000\n 60 A #3 2880\n 61 B #2 2000",
        &["News", "News [#2 at 1 s: 2900 2000]", "News", "Again [#3 at 60 s: 2880 2000]"],
    );
}

#[test]
fn a_half_without_its_other_half_is_given_after_a_minute_or_before_the_next_one() {
    check(
        "0 A 1 2900\n 30 A 3 2890\n 89 A 3 2890\n 91 A 3 2890",
        &["News", "News [1 at 0 s: 2900 -]", "Again", "due at 90 s [3 at 30 s: 2890 -]", "Again"],
    );
}

#[test]
fn one_that_has_both_sets_waits_for_nothing() {
    check(
        "0 W #1 2900\n 5 W #2 2900\n 6 W #3 2890",
        &["News [#1 at 0 s: 2900 2900]", "News", "News [#3 at 6 s: 2890 2890]"],
    );
}

#[test]
fn a_lower_counter_is_a_replay_and_changes_nothing() {
    check(
        "0 A 10 2900\n 1 B 11 2000\n 2 A 8 3000\n 3 B 9 1000\n 4 B 10 1000\n 5 A 0 1\n 6 A 10 2900\n 901 B 11 2000",
        &[
            "News",
            "News [11 at 1 s: 2900 2000]",
            "Replayed",
            "Replayed",
            "Replayed",
            "Replayed",
            "Again",
            "Again [11 at 901 s: 2900 2000]",
        ],
    );
}

#[test]
fn the_other_half_of_the_pair_on_the_air_may_be_heard_second() {
    check("0 B 6 2000\n 1 A 5 2900\n 2 A 5 2900", &["News", "News [6 at 0 s: 2900 2000]", "Again"]);
    // But no older half, and no older counter of the same set.
    check("0 B 6 2000\n 1 A 4 2900", &["News", "Replayed"]);
    check("0 A 6 2900\n 1 A 5 2900", &["News", "Replayed"]);
    check("0 A 6 2900\n 1 B 5 2000\n 2 B 4 1", &["News", "News [6 at 0 s: 2900 2000]", "Replayed"]);
}

#[test]
fn a_packet_id_wraps_and_means_something_else_after_a_while() {
    check(
        "0 A #1 2900\n 1 A #1 2800\n 61 A #0 2800\n 62 B #1 2000\n 961 A #0 2700\n 962 B #1 2000",
        &[
            "News",
            "Again",
            "due at 60 s [#1 at 0 s: 2900 -]",
            "News",
            "News [#1 at 62 s: 2800 2000]",
            "News",
            "Again [#0 at 961 s: 2700 2000]",
        ],
    );
}

#[test]
fn the_signal_strength_of_a_record_is_the_newest_and_makes_none() {
    let mut listener = Listener::default();
    let mut given = alloc::vec::Vec::new();
    for (line, rssi) in [("0 A 1 2900", -50), ("1 B 2 2000", -60), ("2 B 2 2000", -70), ("901 B 2 2000", -80)] {
        let mut half = half(line);
        half.adv.rssi_dbm = Some(crate::DbMilliwatts(rssi));
        listener.hear(half, |merged| given.push(merged.adv.rssi_dbm.unwrap().0));
    }
    assert_eq!(given, [-60, -80]);
}

#[test]
fn an_identity_depends_on_the_counter_the_quarter_and_the_halves() {
    let merged = |line: &str| {
        let Half { adv, firmware, at } = half(line);
        Merged { adv, firmware, at }
    };
    let identity = |line: &str| merged(line).identity("BL0000123");
    // Stored identities must not change; computed by hand (docs/identity.md).
    assert_eq!(format!("{:032x}", identity("4500 W 7 2900")), "bda13a7f559df2dfb15992a36fb1a79d");
    assert_eq!(identity("4500 W 7 2900"), identity("5399 W 7 2890"));
    for other in ["4500 W 8 2900", "5400 W 7 2900", "4500 A 7 2900", "4500 B 7 2900", "4500 W #7 2900"] {
        assert_ne!(identity(other), identity("4500 W 7 2900"), "{other}");
    }
    assert_ne!(identity("4500 W 7 2900"), merged("4500 W 7 2900").identity("BL2"));
}

#[test]
fn time_that_goes_back_or_ends_breaks_nothing() {
    let mut listener = Listener::default();
    for (line, ms) in [("0 A 1 1", i64::MAX), ("0 B 2 1", i64::MIN), ("0 A 3 1", i64::MAX), ("0 A 3 1", i64::MIN)] {
        listener.hear(Half { at: GatewayTime(ms), ..half(line) }, drop);
        assert!(listener.deadline().is_none_or(|due| due.ms() > i64::MIN));
    }
}
