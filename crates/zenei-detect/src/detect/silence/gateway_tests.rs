//! Gateways that report of themselves each quarter of an hour, three locks behind each that speak each few hours: one
//! stops, one holds back what it hears.
use crate::anomaly::{DecisionReason, Findings};
use crate::batch::{Labels, Row, test_row};
use crate::engine::Engine;
use crate::fleet::Fleet;
use crate::rules::Rules;
use crate::time::{HOUR_MS, MINUTE_MS};
use zenei_kit::Dice;
use zenei_wire::{Body, EngineTime, GatewayReport, State};

const NAMES: [&str; 4] = ["gw-0", "gw-1", "gw-2", "gw-3"];
/// When it begins, in hours.
const FROM_H: i64 = 20 * 24;

/// What a gateway does at a time: what it reports that waits, if it reports, and whether its locks are heard.
type Does = (Option<u32>, bool);

/// The gateways that are told, with the hours from [`FROM_H`] on, in 25 days.
fn told(does: impl Fn(usize, i64) -> Does) -> Vec<(String, i64)> {
    let mut all: Vec<(String, i64)> = Vec::new();
    for anomaly in found(does).anomalies.iter().filter(|anomaly| anomaly.rule == "silence") {
        if all.iter().all(|(scope, _)| *scope != anomaly.scope.value) {
            all.push((anomaly.scope.value.clone(), anomaly.at.ms() / HOUR_MS - FROM_H));
        }
    }
    all
}

/// What is found in 25 days.
fn found(does: impl Fn(usize, i64) -> Does) -> Findings {
    let (mut fleet, mut findings, mut dice) = (Fleet::new(), Findings::default(), Dice(3));
    let mut engine = Engine::new(Rules::embedded().unwrap());
    let (mut seqs, mut next) = ([0; 16], [0_i64; 12]);
    for minute in (0..25 * 24 * 60).step_by(5) {
        let at_ms = minute * MINUTE_MS;
        for (at, seq) in seqs.iter_mut().enumerate() {
            let gateway = at % 4;
            let (depth, heard) = does(gateway, minute);
            let body = match (at < 12, depth) {
                (true, _) if heard && next[at] <= minute => {
                    // Each lock speaks after one to five hours.
                    next[at] = minute + 60 + (dice.uniform() * 240.0) as i64;
                    Body::State(State::default())
                }
                (false, Some(depth)) if minute % 15 == 0 => Body::Gateway(report(gateway, depth)),
                (true | false, _) => continue,
            };
            *seq += 1;
            let name = if at < 12 { format!("L{at:02}") } else { NAMES[gateway].to_owned() };
            let row = Row {
                site: fleet.intern("north"),
                labels: Labels { gw: fleet.intern(NAMES[gateway]), ..Labels::default() },
                ..test_row(fleet.number(&name), *seq, at_ms, body)
            };
            engine.ingest(&[row], &[], EngineTime(at_ms), &mut fleet, &mut findings);
        }
    }
    engine.advance(EngineTime(25 * 24 * HOUR_MS), &fleet, &mut findings);
    findings
}

/// Of the gateways that were spared by `silence` in 25 days: each with what is said of it.
fn spared(findings: &Findings) -> Vec<(&str, &str)> {
    let of = findings.decisions.iter().filter(|of| of.rule == "silence" && of.reason == DecisionReason::CohortMoved);
    of.map(|of| (&of.scope.value[..], &of.why[..])).collect()
}

/// The hours from [`FROM_H`] on in which a gateway is told as back.
fn back(findings: &Findings, gateway: &str) -> Vec<i64> {
    let of = findings.recoveries.iter().filter(|of| of.scope.value == gateway);
    of.map(|of| of.at.ms() / HOUR_MS - FROM_H).collect()
}

fn report(gateway: usize, depth: u32) -> GatewayReport<'static> {
    GatewayReport {
        gateway_id: Some(NAMES[gateway].into()),
        version: None,
        queue_depth: Some(depth),
        publish_errors: None,
        api_errors: None,
        api_latency_ms: None,
        locks_heard: None,
    }
}

/// For so many minutes from the beginning on.
fn during(minute: i64, lasts: i64) -> bool {
    (FROM_H * 60..FROM_H * 60 + lasts).contains(&minute)
}

#[test]
fn a_gateway_whose_reports_stop_is_found_within_hours_though_its_three_locks_seldom_speak() {
    let found =
        told(|gateway, minute| if gateway == 1 && during(minute, 20 * 60) { (None, false) } else { (Some(0), true) });
    assert!(matches!(&found[..], [(name, hours)] if name == "gw-1" && *hours <= 3), "{found:?}");
}

#[test]
fn a_gateway_whose_reports_stop_in_its_first_week_is_found_for_what_its_reports_are_is_known_sooner() {
    let found = told(|gateway, minute| {
        let is_away = gateway == 1 && (4 * 24 * 60..5 * 24 * 60).contains(&minute);
        if is_away { (None, false) } else { (Some(0), true) }
    });
    assert!(matches!(&found[..], [(name, hours)] if name == "gw-1" && *hours <= 4 * 24 + 3 - FROM_H), "{found:?}");
}

#[test]
fn a_gateway_that_leaves_out_its_reports_or_is_away_for_an_hour_is_not_silent() {
    let mute = told(|gateway, minute| (Some(0).filter(|_| gateway != 1 || !during(minute, 20 * 60)), true));
    assert_eq!(mute, []);
    let away = told(|gateway, minute| if gateway == 1 && during(minute, 60) { (None, false) } else { (Some(0), true) });
    assert_eq!(away, []);
}

#[test]
fn a_gateway_that_holds_back_more_and_more_is_found_within_two_hours() {
    let found = told(|gateway, minute| {
        let waits = if gateway == 2 && during(minute, 20 * 60) { 2 + (minute - FROM_H * 60) / 4 } else { minute % 3 };
        (Some(waits as u32), true)
    });
    assert!(matches!(&found[..], [(name, hours)] if name == "gw-2" && *hours <= 2), "{found:?}");
}

#[test]
fn a_queue_of_half_an_hour_one_of_each_evening_and_queues_of_all_accuse_no_gateway() {
    let short = told(|gateway, minute| (Some(if gateway == 2 && during(minute, 35) { 40 } else { 0 }), true));
    assert_eq!(short, []);
    let evenings = told(|gateway, minute| {
        let is_evening = (18..21).contains(&(minute / 60 % 24));
        (Some(if gateway == 2 && is_evening { 40 } else { 0 }), true)
    });
    assert_eq!(evenings, []);
    let all = told(|_, minute| (Some(if during(minute, 10 * 60) { 40 } else { 0 }), true));
    assert_eq!(all, []);
}

#[test]
fn where_the_reports_of_all_stop_no_gateway_is_accused_whose_locks_say_little() {
    // The reports of one gateway alone, whose locks are as quiet, are a finding: see above.
    let all = found(|gateway, minute| {
        let is_quiet = gateway == 1 && during(minute, 6 * 60);
        (Some(0).filter(|_| !during(minute, 3 * 24 * 60)), !is_quiet)
    });
    assert!(all.anomalies.iter().all(|of| of.rule != "silence"), "{:?}", all.anomalies);
    let is_said = |of: &(&str, &str)| of.0 == "gw-1" && of.1.ends_with("most gateways have stopped to report");
    assert!(spared(&all).iter().any(is_said), "{:?}", spared(&all));
}

#[test]
fn a_gateway_whose_reports_stop_while_its_locks_are_heard_is_judged_by_its_locks_from_then_on() {
    // Its reports stop on the fifteenth day; five days later no lock is heard through it for a little longer than
    // usual.
    let found = told(|gateway, minute| {
        let is_mute = gateway == 1 && minute >= 15 * 24 * 60;
        (Some(0).filter(|_| !is_mute), !(gateway == 1 && during(minute, 3 * 60)))
    });
    assert_eq!(found, []);
}

#[test]
fn a_gateway_that_was_away_and_holds_records_back_is_back_once_it_does_so_no_more() {
    // Away for twenty hours; then its locks are heard again, while its queue is long for a day.
    let queue = |lasts_h: i64| {
        found(move |gateway, minute| {
            let since = minute - FROM_H * 60;
            let is_away = gateway == 1 && (0..20 * 60).contains(&since);
            let waits = if gateway == 1 && (20 * 60..lasts_h * 60).contains(&since) { 90 } else { 0 };
            (Some(waits).filter(|_| !is_away), !is_away)
        })
    };
    let (held, not_held) = (queue(44), queue(0));
    assert!(
        matches!(back(&not_held, "gw-1")[..], [hours] if (21..=26).contains(&hours)),
        "{:?}",
        back(&not_held, "gw-1")
    );
    assert!(matches!(back(&held, "gw-1")[..], [hours] if (45..=46).contains(&hours)), "{:?}", back(&held, "gw-1"));
}

#[test]
fn a_gateway_that_holds_nothing_back_any_more_is_told_as_back_and_one_that_stops_to_report_is_not() {
    let ends = |reports: bool| {
        found(move |gateway, minute| {
            let is_long = gateway == 2 && during(minute, 10 * 60);
            let is_mute = gateway == 2 && minute >= (FROM_H + 10) * 60 && !reports;
            (Some(if is_long { 40 } else { 0 }).filter(|_| !is_mute), true)
        })
    };
    assert!(matches!(back(&ends(true), "gw-2")[..], [11 | 12]), "{:?}", back(&ends(true), "gw-2"));
    assert_eq!(back(&ends(false), "gw-2"), []);
}

#[test]
fn queues_of_all_are_noted_and_gateways_that_are_gone_are_no_witness() {
    let all = found(|_, minute| (Some(if during(minute, 10 * 60) { 40 } else { 0 }), true));
    assert_eq!(spared(&all).len(), 4, "{:?}", spared(&all));
    // One of four has gone for good; two of the three that are left hold records back.
    let most = |is_gone: bool| {
        found(move |gateway, minute| {
            let is_gone = is_gone && gateway == 3 && minute >= (FROM_H - 5 * 24) * 60;
            let waits = if gateway < 2 && during(minute, 10 * 60) { 40 } else { 0 };
            (Some(waits).filter(|_| !is_gone), !is_gone)
        })
    };
    let held = |found: &Findings| found.anomalies.iter().filter(|of| of.unit == "messages").count();
    assert_eq!((held(&most(true)), held(&most(false))), (0, 2));
}

#[test]
fn long_queues_on_either_side_of_a_gap_are_no_row() {
    let gap = told(|gateway, minute| {
        let since = minute - FROM_H * 60;
        let is_mute = gateway == 2 && (30..26 * 60 + 30).contains(&since);
        let is_long = gateway == 2 && (0..27 * 60).contains(&since);
        (Some(if is_long { 40 } else { 0 }).filter(|_| !is_mute), true)
    });
    assert_eq!(gap, []);
}
