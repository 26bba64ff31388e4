//! Tests of each family of faults: the faulty lock departs from its sound twin at the onset and not before, in the
//! direction that the physics gives, and its true times are in order. Hardware and firmware here, software and controls
//! in `software`.
mod software;

use crate::fault::Effect;
use crate::identity;
use crate::lock::Lock;
use crate::message::{Message, Outbox};
use crate::scenario::{Fault, GatewayReports, Scenario};
use crate::truth::Truth;
use crate::world::World;
use crate::{Fleet, calendar::DAY_MS};
use zenei_wire::recording::Line;
use zenei_wire::{Body, EventKind, GatewayTime, Heading, OpResult, OpSource, Record, ResetReason, Topic};

/// A small fleet with these faults alone; 3.3.0 comes to all locks with 3.0.4 and 3.2.1 on days 6 to 7.
fn scenario(faults: &[&str]) -> Scenario {
    let mut scenario = Scenario::demo().unwrap();
    (scenario.locks, scenario.days) = (40, 30.0);
    scenario.fault = faults.iter().map(|fault| toml::from_str::<Fault>(fault).unwrap()).collect();
    (scenario.rollout[1].day, scenario.rollout[1].days, scenario.rollout[1].share) = (6.0, 1.0, 1.0);
    scenario
}

/// One lock with the first planned fault and without it.
struct Twins {
    faulty: Vec<Message>,
    sound: Vec<Message>,
    onset_ms: i64,
    truth: Truth,
}

fn twins(fault: &str, lock: usize) -> Twins {
    let scenario = scenario(&[fault]);
    let world = World::new(&scenario, 1).unwrap();
    let (identity, kinds) = identity::draw(&scenario, 1, lock);
    let run = |without| {
        let mut messages = Vec::new();
        let mut lock = Lock::new(&world, lock, kinds, without);
        while lock.next_ms() <= world.end_ms {
            lock.step(&world, &identity, &mut Outbox(&mut messages));
        }
        messages
    };
    let truth = Fleet::new(&scenario, 1).unwrap().truth().swap_remove(0);
    Twins { faulty: run(None), sound: run(Some(0)), onset_ms: world.plan[0].onset_ms, truth }
}

fn each(messages: &[Message], mut each: impl FnMut(&Message, &Record<'_>)) {
    for message in messages {
        let Heading::Record(topic) = Topic::parse(&message.topic).unwrap() else { continue };
        for decoded in zenei_wire::decode(&topic, &message.payload).unwrap() {
            if let Ok(record) = decoded.record {
                each(message, &record);
            }
        }
    }
}

type Value = fn(&Record<'_>) -> Option<f64>;

/// Mean over the records from a given time on.
fn mean(messages: &[Message], from_ms: i64, value: Value) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    each(messages, |message, record| {
        if let Some(value) = value(record).filter(|_| message.at_ms >= from_ms) {
            (sum, count) = (sum + value, count + 1.0);
        }
    });
    sum / count
}

/// Number of records from a given time on.
fn count(messages: &[Message], from_ms: i64, is: fn(&Record<'_>) -> bool) -> usize {
    let mut count = 0;
    each(messages, |message, record| count += usize::from(message.at_ms >= from_ms && is(record)));
    count
}

impl Twins {
    /// Equal before the onset and different after it; true times in order.
    fn check(&self, ordered: bool) {
        let before = |messages: &[Message]| messages.iter().take_while(|m| m.at_ms < self.onset_ms).count();
        let (faulty, sound) = (before(&self.faulty), before(&self.sound));
        assert!(sound > 20, "{sound} messages before the onset");
        assert!(self.faulty[..faulty] == self.sound[..sound], "it departs before its onset");
        assert!(self.faulty[faulty..] != self.sound[sound..], "it never departs");
        let truth = &self.truth;
        let (detectable_ms, customer_ms) = (truth.detectable_ms.unwrap(), truth.customer_ms.unwrap_or(i64::MAX));
        assert!(truth.onset_ms <= detectable_ms && truth.onset_ms <= customer_ms && detectable_ms <= truth.end_ms);
        assert!(!ordered || detectable_ms <= customer_ms, "a customer is first");
    }

    /// The mean over all days from the onset on: of the faulty lock, of its twin.
    fn means(&self, value: Value) -> (f64, f64) {
        (mean(&self.faulty, self.onset_ms, value), mean(&self.sound, self.onset_ms, value))
    }

    fn counts(&self, is: fn(&Record<'_>) -> bool) -> (usize, usize) {
        (count(&self.faulty, self.onset_ms, is), count(&self.sound, self.onset_ms, is))
    }
}

fn mean_ma(record: &Record<'_>) -> Option<f64> {
    if let Body::Op(op) = &record.body { op.mean_ma.map(|current| f64::from(current.0)) } else { None }
}

fn peak_ma(record: &Record<'_>) -> Option<f64> {
    if let Body::Op(op) = &record.body { op.peak_ma.map(|current| f64::from(current.0)) } else { None }
}

fn low_mv(record: &Record<'_>) -> Option<f64> {
    if let Body::Op(op) = &record.body { op.battery_min_mv.map(|voltage| f64::from(voltage.0)) } else { None }
}

fn angle(record: &Record<'_>) -> Option<f64> {
    if let Body::Op(op) = &record.body { op.angle_err_deg.map(|angle| f64::from(angle.0)) } else { None }
}

fn latency_ms(record: &Record<'_>) -> Option<f64> {
    if let Body::Op(op) = &record.body { op.latency_ms.map(|latency| f64::from(latency.0)) } else { None }
}

fn rest_mv(record: &Record<'_>) -> Option<f64> {
    if let Body::State(state) = &record.body { state.battery_mv.map(|voltage| f64::from(voltage.0)) } else { None }
}

fn heap_b(record: &Record<'_>) -> Option<f64> {
    if let Body::State(state) = &record.body { state.free_heap_b.map(|heap| f64::from(heap.0)) } else { None }
}

/// The largest step between neighbours of a profile after its start, mA.
fn roughness(record: &Record<'_>) -> Option<f64> {
    let Body::Op(op) = &record.body else { return None };
    let profile = op.current_ma?;
    let steps = profile.samples().windows(2).skip(3).map(|pair| f64::from(pair[0].abs_diff(pair[1])));
    Some(steps.fold(0.0, f64::max))
}

fn is_error(record: &Record<'_>, code: &str) -> bool {
    matches!(&record.body, Body::Error(error) if error.code == code)
}

#[test]
fn h1_friction_raises_the_current() {
    let twins = twins("family = 'H1'\nlock = 3\nday = 10\nramp_days = 15\nstrength = 0.8", 3);
    twins.check(true);
    let (faulty, sound) = twins.means(mean_ma);
    assert!(faulty > 1.1 * sound, "{faulty} {sound}");
}

#[test]
fn h2_misalignment_steps_current_and_end_position() {
    let twins = twins("family = 'H2'\nlock = 4\nday = 12.3\nstrength = 0.9", 4);
    twins.check(true);
    let ((faulty, sound), (turned, straight)) = (twins.means(mean_ma), twins.means(angle));
    assert!(faulty > 1.05 * sound, "{faulty} {sound}");
    // Hundredths of a degree.
    assert!(turned > straight + 200.0, "{turned} {straight}");
}

#[test]
fn h3_a_brush_without_contact_costs_attempts_then_stalls() {
    let twins = twins("family = 'H3'\nlock = 5\nday = 8\nramp_days = 12\nstrength = 0.5", 5);
    twins.check(true);
    let (faulty, sound) = twins.means(latency_ms);
    assert!(faulty > sound + 100.0, "{faulty} {sound}");
    let stalls = twins.counts(|record| matches!(&record.body, Body::Op(op) if op.result == OpResult::Stall));
    assert!(stalls.0 > stalls.1 + 3, "{stalls:?}");
}

#[test]
fn h4_a_worn_tooth_shows_in_the_profile_and_hardly_in_mean_and_peak() {
    let twins = twins("family = 'H4'\nlock = 6\nday = 8\nramp_days = 22\nstrength = 0.6", 6);
    twins.check(true);
    let ((rough, smooth), (mean, twin_mean), (peak, twin_peak)) =
        (twins.means(roughness), twins.means(mean_ma), twins.means(peak_ma));
    assert!(rough > 1.5 * smooth, "{rough} {smooth}");
    assert!((mean / twin_mean - 1.0).abs() < 0.03, "{mean} {twin_mean}");
    assert!((peak / twin_peak - 1.0).abs() < 0.03, "{peak} {twin_peak}");
}

#[test]
fn h5_an_aged_battery_sags_deeper() {
    let twins = twins("family = 'H5'\nlock = 7\nday = 8\nramp_days = 20\nstrength = 3", 7);
    twins.check(true);
    let ((faulty, sound), (rest, twin_rest)) = (twins.means(low_mv), twins.means(rest_mv));
    assert!(faulty < sound - 100.0, "{faulty} {sound}");
    assert!((rest - twin_rest).abs() < 10.0, "{rest} {twin_rest}");
}

#[test]
fn h6_a_collapsed_cell_steps_rest_voltage_and_resistance() {
    let twins = twins("family = 'H6'\nlock = 8\nday = 9\nramp_days = 0.1\nstrength = 0.6", 8);
    twins.check(true);
    let ((rest, twin_rest), (low, twin_low)) = (twins.means(rest_mv), twins.means(low_mv));
    assert!(rest < twin_rest - 150.0, "{rest} {twin_rest}");
    assert!(twin_low - low > twin_rest - rest + 50.0, "{low} {twin_low}");
}

#[test]
fn h8_moisture_drains_the_battery_until_it_is_dead() {
    let twins = twins("family = 'H8'\nlock = 9\nday = 6\nramp_days = 2\nstrength = 8", 9);
    twins.check(true);
    let late_ms = twins.onset_ms + 6 * DAY_MS;
    let (faulty, sound) = (mean(&twins.faulty, late_ms, rest_mv), mean(&twins.sound, late_ms, rest_mv));
    assert!(faulty < sound - 100.0, "{faulty} {sound}");
    assert!(twins.truth.customer_ms.is_some(), "nobody found it dead");
    assert!(twins.faulty.len() < twins.sound.len());
}

/// A lock that runs 3.3.0 at the end.
fn updated() -> usize {
    let world = World::new(&scenario(&[]), 1).unwrap();
    (0..40)
        .find(|&lock| world.scenario.firmware[identity::draw(&world.scenario, 1, lock).1.firmware].version == "3.2.1")
        .unwrap()
}

#[test]
fn f1_a_version_that_does_not_sleep_drains() {
    let twins = twins("family = 'F1'\nversion = '3.3.0'\nfactor = 12", updated());
    twins.check(true);
    let (faulty, sound) = twins.means(rest_mv);
    assert!(faulty < sound - 5.0, "{faulty} {sound}");
    assert_eq!((&*twins.truth.scope.kind, &*twins.truth.scope.value), ("fw", "3.3.0"));
}

#[test]
fn f2_a_version_that_restarts_counts_boots_for_watchdog_and_hard_fault() {
    let twins = twins("family = 'F2'\nversion = '3.3.0'\nper_day = 2\nboot_s = 9", updated());
    twins.check(true);
    let reset = |record: &Record<'_>| {
        matches!(&record.body, Body::State(state) if record.seq == Some(0)
            && matches!(state.reset_reason, Some(ResetReason::Watchdog | ResetReason::HardFault)))
    };
    let (faulty, sound) = twins.counts(reset);
    assert!((20..90).contains(&faulty) && sound < 4, "{faulty} {sound}");
}

#[test]
fn f3_rates_of_1_2_and_1_5_and_3_are_told_in_that_order_from_behind() {
    let told_ms = |factor: f64| {
        let fault = format!(
            "family = 'F3'\nversion = '3.3.0'\ncode = 'ble_disconnect'\nfactor = {factor}\nlate_share = 0\nlate_after_days = 9\nlate_ms = 0"
        );
        let mut scenario = scenario(&[&fault]);
        (scenario.locks, scenario.days) = (80, 28.0);
        scenario.rollout.remove(0);
        Fleet::new(&scenario, 1).unwrap().truth()[0].detectable_ms.unwrap_or(i64::MAX)
    };
    let (small, middle, large) = (told_ms(1.2), told_ms(1.5), told_ms(3.0));
    assert!(large < middle && middle < small, "{large} {middle} {small}");
}

#[test]
fn f4_a_leak_eats_the_heap_until_a_restart() {
    let fault = "family = 'F4'\nversion = '3.3.0'\nb_per_day = 6000\nlow_b = 8000\nlate_share = 0.3\nlate_ms = 4000\nboot_s = 9";
    let twins = twins(fault, updated());
    twins.check(true);
    let (faulty, sound) = twins.means(heap_b);
    assert!(faulty < 0.8 * sound, "{faulty} {sound}");
    let (crashes, others) = twins.counts(|record| is_error(record, "assert_failed") && record.boot.is_some());
    assert!(crashes > others, "{crashes} {others}");
    let (mut last, mut falls, mut rises) = (f64::NAN, 0, 0);
    each(&twins.faulty, |message, record| {
        if let Some(heap_b) = heap_b(record).filter(|_| message.at_ms > twins.onset_ms + 2 * DAY_MS) {
            falls += usize::from(heap_b < last);
            rises += usize::from(heap_b > last + 10_000.0);
            last = heap_b;
        }
    });
    assert!(falls > 50 && (1..10).contains(&rises), "{falls} {rises}");
}

#[test]
fn f5_only_one_revision_of_a_version_fails() {
    let fault = "family = 'F5'\nversion = '3.3.0'\nhw_rev = 'C1'\ncode = 'sync_failed'\nfactor = 40\nlate_share = 0\nlate_after_days = 9\nlate_ms = 0";
    let scenario = scenario(&[fault]);
    let mut fleet = Fleet::new(&scenario, 1).unwrap();
    let mut messages = Vec::new();
    fleet.advance(fleet.end_ms(), &mut messages);
    let mut failed = [0, 0];
    each(&messages, |message, record| {
        if is_error(record, "sync_failed") && record.fw.as_deref() == Some("3.3.0") {
            failed[usize::from(fleet.locks()[message.lock].hw_rev == "C1")] += 1;
        }
    });
    assert!(failed[1] > 5 * failed[0].max(1), "{failed:?}");
    let truth = &fleet.truth()[0];
    assert_eq!((&*truth.family, &*truth.scope.kind, &*truth.scope.value), ("F5", "fw_hw", "3.3.0+C1"));
    let hit = |device: &String| fleet.locks().iter().any(|lock| lock.device_id == *device && lock.hw_rev == "C1");
    assert!(!truth.devices.is_empty() && truth.devices.iter().all(hit));
    assert!(Some(truth.onset_ms) <= truth.detectable_ms);
}
