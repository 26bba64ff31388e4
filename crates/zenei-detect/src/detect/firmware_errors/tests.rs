//! Small worlds in which a version covers all locks, and the comparison with the past under the null hypothesis.
use super::cells::Sums;
use super::past::{Clock, Past};
use crate::anomaly::Findings;
use crate::batch::{Batch, Heard, Portion};
use crate::estimate::eprocess::RateRatio;
use crate::fleet::Sym;
use crate::pipeline::Pipeline;
use crate::rules::Rules;
use crate::time::HOUR_MS;
use zenei_kit::Dice;
use zenei_wire::{Body, DeviceTime, ErrorReport, GatewayTime, Name, Record, State};

const NAMES: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN";

/// Forty locks over 30 days, updated one after another within two days from day 12 on; `codes` gives, for a lock that
/// was updated or was not, the codes with their reports a day. Returns the scopes of the findings and the decisions'
/// reasons.
fn rollout(codes: impl Fn(bool, usize) -> Vec<(&'static str, f64)>) -> (Vec<String>, Vec<String>) {
    let mut pipeline = Pipeline::new(Some(Rules::embedded().unwrap()));
    let (mut batch, mut findings) = (Batch::default(), Findings::default());
    let (mut dice, mut seqs) = (Dice(11), [0_u32; 40]);
    for hour in 0..30 * 24_i64 {
        for (at, seq) in seqs.iter_mut().enumerate() {
            let is_new = hour >= 12 * 24 + at as i64;
            let mut said: Vec<Body<'static>> = Vec::new();
            if hour % 4 == at as i64 % 4 {
                said.push(Body::State(State::default()));
            }
            for (code, per_day) in codes(is_new, at) {
                if dice.is(per_day / 24.0) {
                    said.push(Body::Error(ErrorReport { code: code.into(), count: 1, detail: None }));
                }
            }
            for body in said {
                let heard_at = GatewayTime(hour * HOUR_MS + at as i64 * 60_000);
                let fw = if is_new { "2.0" } else { "1.9" };
                let heard = record((&NAMES[at..=at], at), *seq, fw, heard_at, body);
                *seq += 1;
                pipeline.take(Portion::new(&[heard], heard_at), &mut batch, &mut findings);
                batch.clear();
            }
        }
    }
    let of_rule = |rule: &str| rule == "firmware-errors";
    let found = findings.anomalies.iter().filter(|anomaly| of_rule(&anomaly.rule));
    let noted = findings.decisions.iter().filter(|decision| of_rule(&decision.rule));
    (
        found.map(|anomaly| format!("{} {}", anomaly.scope.kind, anomaly.scope.value)).collect(),
        noted.map(|decision| decision.why.clone()).collect(),
    )
}

/// What lock number `at` of this name says.
pub(super) fn record<'a>(
    (name, at): (&'a str, usize),
    seq: u32,
    fw: &'a str,
    heard_at: GatewayTime,
    body: Body<'a>,
) -> Heard<'a> {
    let record = Record {
        ts: DeviceTime(heard_at.ms()),
        boot: Some(1),
        seq: Some(seq),
        model: Some("mini".into()),
        hw_rev: Some(if at.is_multiple_of(4) { "C1" } else { "C2" }.into()),
        lot: None,
        fw: Some(fw.into()),
        service: None,
        gw: None,
        client_version: None,
        uptime_s: None,
        body,
        unknown_fields: 0,
    };
    Heard {
        site: Name::new(if at % 8 < 4 { "north" } else { "south" }).unwrap(),
        device: Name::new(name).unwrap(),
        record,
        identity: 0,
        heard_at,
        offset: 0,
        index: 0,
        authenticated: true,
    }
}

#[test]
fn a_version_that_soon_covers_all_locks_is_compared_with_their_past() {
    let (found, _) = rollout(|is_new, _| vec![("ble_disconnect", if is_new { 0.6 } else { 0.2 })]);
    assert_eq!(found.first().map(String::as_str), Some("fw 2.0"), "{found:?}");
    let (sound, _) = rollout(|_, _| vec![("ble_disconnect", 0.2)]);
    assert!(sound.is_empty(), "{sound:?}");
}

#[test]
fn a_code_that_no_lock_ever_reported_is_found_where_a_version_brings_it() {
    let (found, _) = rollout(|is_new, _| vec![("flash_wear", if is_new { 0.1 } else { 0.0 })]);
    assert_eq!(found.first().map(String::as_str), Some("fw 2.0"), "{found:?}");
}

#[test]
fn a_code_with_a_new_name_at_an_unchanged_rate_is_noted_and_not_found() {
    let (found, noted) = rollout(|is_new, _| vec![(if is_new { "ble_host_reset" } else { "ble_stack_reset" }, 0.3)]);
    assert!(found.is_empty(), "{found:?}");
    assert!(noted.iter().any(|why| why.contains("a code has a new name")), "{noted:?}");
}

#[test]
fn one_board_of_a_version_is_named_where_the_others_are_sound() {
    let (found, _) =
        rollout(|is_new, at| vec![("assert_failed", if is_new && at.is_multiple_of(4) { 1.5 } else { 0.2 })]);
    assert_eq!(found.first().map(String::as_str), Some("fw_hw 2.0+C1"), "{found:?}");
}

#[test]
fn a_battery_that_empties_on_a_few_locks_accuses_no_version() {
    let (found, _) =
        rollout(|is_new, at| vec![("low_battery", if is_new && at.is_multiple_of(8) { 3.0 } else { 0.01 })]);
    assert!(found.is_empty(), "{found:?}");
}

fn poisson(dice: &mut Dice, mean: f64) -> f64 {
    let (mut count, mut left) = (0.0, mean);
    loop {
        left += libm::log(1.0 - dice.uniform());
        if left < 0.0 {
            return count;
        }
        count += 1.0;
    }
}

/// What is known of 100 locks that were updated, of 10,000, each with 20 days of history and 0.05 reports a day.
struct Watched {
    past: Past,
    clock: Clock,
    /// Against the locks that were not updated.
    others: RateRatio,
    events: f64,
    expected: f64,
}

impl Watched {
    /// The evidence of both contrasts, each with half of the false alarms.
    fn evidence(&self) -> f64 {
        self.past.verdict(&self.clock, 1.0).evidence.max(self.others.log_evidence()) - core::f64::consts::LN_2
    }
}

/// The first hour of 60 days in which `alarms` says yes; the version makes `factor` times the reports.
fn first_alarm(seed: u64, factor: f64, alarms: &dyn Fn(&Watched) -> bool) -> Option<i64> {
    let mut dice = Dice(seed * 6_007 + 3);
    let (mine, theirs) = (5.0 / 24.0, 495.0 / 24.0);
    let mut of = Watched {
        past: Past::default(),
        clock: Clock::default(),
        others: RateRatio::default(),
        events: 0.0,
        expected: 0.0,
    };
    of.past.joins(Sym(1), Sums { events: poisson(&mut dice, 100.0), weight: 100.0 });
    (1..=60 * 24).find(|hour| {
        let (now, then) = (poisson(&mut dice, factor * mine), poisson(&mut dice, theirs));
        of.events += now;
        of.expected += mine;
        of.past.counts(Sym(1), Sums { events: now, weight: mine });
        of.clock.counts(Sums { events: then, weight: theirs });
        if hour % 24 == 0 {
            of.clock.fade();
        }
        of.others.add(now, mine, then, theirs, 1.0);
        now > 0.0 && alarms(&of)
    })
}

#[test]
fn a_thousand_rollouts_without_a_fault_looked_at_each_hour_keep_the_false_alarm_rate() {
    let limit = libm::log(1e3);
    let runs = |alarms: &dyn Fn(&Watched) -> bool| {
        (1..=1_000).filter(|&seed| first_alarm(seed, 1.0, alarms).is_some()).count()
    };
    let alarms = runs(&|of| of.evidence() >= limit);
    // Of 1,000 at 1e-3, more than 5 come with a probability of 6e-4.
    assert!(alarms <= 5, "{alarms} of 1,000");
    // Negative control: a test for one look, three standard deviations (1.3e-3), looked at each hour.
    let fixed = runs(&|of| of.expected > 5.0 && of.events > of.expected + 3.0 * libm::sqrt(of.expected));
    assert!(fixed > 5, "{fixed} of 1,000");
}

#[test]
fn errors_of_a_hundredth_of_the_fleet_are_found_within_twice_the_time_of_one_who_knows_both_rates() {
    let limit = libm::log(1e3);
    for (factor, allowed) in [(1.2, None), (1.5, Some(2)), (3.0, Some(2))] {
        let median = |alarms: &dyn Fn(&Watched) -> bool| {
            let mut hours: Vec<i64> =
                (1..=41).map(|seed| first_alarm(seed, factor, alarms).unwrap_or(i64::MAX)).collect();
            hours.sort_unstable();
            hours[20]
        };
        let ours = median(&|of| of.evidence() >= limit);
        let oracle = |of: &Watched| of.events * libm::log(factor) - of.expected * (factor - 1.0);
        let best = median(&|of| oracle(of) >= limit);
        println!("x {factor}: {ours} h, {best} h of one who knows both rates");
        assert!(
            allowed.is_none_or(|most| best < i64::MAX && ours <= most * best),
            "x {factor}: {ours} h against {best} h"
        );
    }
}
