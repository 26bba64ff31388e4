//! Operations under conditions that are known, old or unknown.
use super::*;
use crate::condition::AGE_MS_MAX;
use zenei_wire::{CentiCelsius, Milliamps, Millivolts, Profile};

const OP: Op = Op {
    duration_ms: Some(800),
    peak_ma: Some(Milliamps(600)),
    mean_ma: Some(Milliamps(300)),
    battery_min_mv: Some(Millivolts(2_400)),
    ..Op::of(OpKind::Lock, OpResult::Ok)
};

fn lock(temp: Option<CentiCelsius>) -> Lock {
    let mut lock = Lock::default();
    lock.state(&State { battery_mv: Some(Millivolts(2_880)), temp_c: temp, ..State::default() }, 0);
    lock
}

#[test]
fn an_operation_gives_charge_and_resistance_with_its_conditions() {
    let operation = lock(Some(CentiCelsius(1_850))).operation(&OP, 1).unwrap();
    assert_eq!((operation.charge_mc, operation.resistance_ohm), (Some(240.0), Some(0.8)));
    assert!((operation.temp_c - 18.5).abs() < 1e-6 && operation.direction == 0);
}

#[test]
fn the_profile_stands_in_for_mean_and_duration() {
    let op = Op {
        duration_ms: None,
        mean_ma: None,
        current_ma: Profile::new(&[600, 200, 200, 200]),
        sample_ms: Some(200),
        ..OP
    };
    assert_eq!(lock(None).operation(&op, 1).unwrap().charge_mc, Some(240.0));
}

#[test]
fn conditions_must_be_known_and_fresh() {
    let warm = Some(CentiCelsius(1_850));
    let told = |mut lock: Lock, ts: i64| {
        let operation = lock.operation(&OP, ts).unwrap();
        (operation.charge_mc, operation.resistance_ohm.is_some(), operation.temp_c)
    };
    assert_eq!(told(lock(warm), AGE_MS_MAX), (Some(240.0), true, 18.5));
    // A battery is not judged by an old voltage; the motor's charge is reported all the same.
    assert_eq!(told(lock(warm), AGE_MS_MAX + 1), (Some(240.0), false, 18.5));
    assert_eq!(told(lock(warm), -1), (Some(240.0), false, 18.5));
    assert_eq!(told(Lock::default(), 1), (Some(240.0), false, 0.0));
    assert_eq!(told(lock(None), 1), (Some(240.0), true, 0.0));
}

#[test]
fn without_a_voltage_at_rest_the_one_under_load_tells_the_speed() {
    let mut lock = lock(None);
    let usual = (0..40).filter_map(|_| lock.operation(&OP, 1)).last().unwrap();
    assert!(usual.log_speed.abs() < 1e-6, "{usual:?}");
    let low = Op { battery_min_mv: Some(Millivolts(1_900)), ..OP };
    let slow = lock.operation(&low, AGE_MS_MAX + 1).unwrap();
    // 2.38 V at rest by 0.8 ohm at 0.6 A: 2.14 V under the usual load, where it was 2.64 V.
    assert!(
        (slow.log_speed - libm::log((2.14 / 2.64 - WINDING_SHARE) / (1.0 - WINDING_SHARE))).abs() < 1e-3,
        "{slow:?}"
    );
}

#[test]
fn an_advertisement_tells_voltage_and_temperature_as_a_heartbeat_does() {
    let adv = Adv { battery_mv: Some(Millivolts(2_880)), temp_c: Some(CentiCelsius(1_850)), ..Adv::default() };
    let mut lock = Lock::default();
    lock.advertised(&adv, 1_000);
    for ts in [1_000 - AGE_MS_MAX, 1_000, 1_000 + AGE_MS_MAX] {
        let operation = lock.operation(&OP, ts).unwrap();
        assert_eq!((operation.resistance_ohm, operation.temp_c), (Some(0.8), 18.5));
    }
    let old = lock.operation(&OP, 1_001 + AGE_MS_MAX).unwrap();
    assert_eq!(old.resistance_ohm, None, "the clocks differ, or it is too old");
    // The newest counts; where it does not fit the lock's clock, the other one does.
    let years = 5 * 365 * 86_400_000;
    lock.state(&State { battery_mv: Some(Millivolts(3_000)), ..State::default() }, years);
    lock.state(&State { temp_c: Some(CentiCelsius(0)), ..State::default() }, years);
    lock.advertised(&adv, 2_000);
    assert_eq!(lock.operation(&OP, years).unwrap().resistance_ohm, Some(1.0));
    assert_eq!(lock.operation(&OP, 2_000).unwrap().resistance_ohm, Some(0.8));
    lock.battery_replaced();
    assert!(lock.operation(&OP, 2_000).is_none(), "nobody knows what the new battery gives");
}

#[test]
fn a_battery_is_spent_by_either_sign_until_another_one_is_put_in() {
    let mut lock = lock(None);
    assert_eq!((0..40).filter_map(|_| lock.operation(&OP, 1)).count(), 40);
    assert!(!lock.is_spent());
    let weak = |lock: &mut Lock, mv| {
        lock.operation(&Op { battery_min_mv: Some(Millivolts(mv)), ..OP }, AGE_MS_MAX + 1).unwrap();
        lock.is_spent()
    };
    assert!(!weak(&mut lock, 2_200), "a tenth less voltage slows a motor and stops none");
    assert!(weak(&mut lock, 1_400));
    lock.battery_replaced();
    assert!(!lock.is_spent());
    let tells = |lock: &mut Lock, percent| {
        lock.state(&State { battery_pct: Some(Percent(percent)), ..State::default() }, 2);
        lock.is_spent()
    };
    assert!(!tells(&mut lock, 30), "a battery at 30 % moves a bolt");
    assert!(tells(&mut lock, 8));
    lock.battery_replaced();
    assert!(!lock.is_spent());
}

#[test]
fn a_battery_is_emptied_where_it_lost_much_within_weeks_and_little_is_left() {
    let after = |percents: &[u8]| {
        let mut lock = Lock::default();
        for (day, percent) in (0_i64..).zip(percents) {
            lock.state(&State { battery_pct: Some(Percent(*percent)), ..State::default() }, day * 24 * HOUR_MS);
        }
        lock.is_emptied()
    };
    let falling = |from: u8, days: u8, per_day: u8| (0..days).map(|day| from - day * per_day).collect::<Vec<_>>();
    assert!(after(&falling(44, 30, 1)) && !after(&falling(80, 30, 1)), "half is left there");
    assert!(!after(&falling(20, 30, 0)), "an old battery is not emptied by anything");
    assert!(!after(&[15]) && !after(&[]));
}

#[test]
fn a_travel_takes_longer_the_less_voltage_is_left() {
    let mut lock = lock(None);
    assert_eq!(lock.slowness(), 1.0, "nothing is known yet");
    assert_eq!((0..40).filter_map(|_| lock.operation(&OP, 1)).count(), 40);
    assert!((lock.slowness() - 1.0).abs() < 1e-6, "{}", lock.slowness());
    lock.operation(&Op { battery_min_mv: Some(Millivolts(1_900)), ..OP }, AGE_MS_MAX + 1).unwrap();
    // 2.14 V under the usual load, where it was 2.64 V; half of that is lost in the winding.
    let expected = (1.0 - 0.5) / (2.14 / 2.64 - 0.5);
    assert!((lock.slowness() - expected).abs() < 1e-3, "{} {expected}", lock.slowness());
    lock.operation(&Op { battery_min_mv: Some(Millivolts(100)), ..OP }, AGE_MS_MAX + 1).unwrap();
    assert!((lock.slowness() - 20.0).abs() < 1e-9, "a motor that stands");
}

#[test]
fn an_operation_that_did_not_end_well_says_nothing_of_effort() {
    assert!(lock(None).operation(&Op { result: OpResult::Jam, ..OP }, 1).is_none());
    assert!(lock(None).operation(&Op { op: OpKind::Calibrate, ..OP }, 1).is_none());
}

#[test]
fn a_rising_resistance_slows_the_motor_by_what_it_takes_of_the_voltage() {
    let mut lock = lock(None);
    let first = (0..30).map(|_| lock.operation(&OP, 1).unwrap().log_speed).last().unwrap();
    let weak = Op { battery_min_mv: Some(Millivolts(1_900)), ..OP };
    let last = (0..60).map(|_| lock.operation(&weak, 1).unwrap().log_speed).last().unwrap();
    assert!(first.abs() < 0.01 && last < -0.05, "{first} {last}");
}

#[test]
fn a_lock_that_tells_no_voltage_is_slower_by_what_its_charge_says() {
    let mut lock = Lock::default();
    let mut of = |percent| {
        lock.state(&State { battery_pct: Some(Percent(percent)), ..State::default() }, 0);
        lock.operation(&OP, 1).unwrap().log_speed
    };
    let (full, half, empty) = (of(100), of(50), of(0));
    assert!(full.abs() < 1e-9 && (empty - libm::log((0.75 - 0.3) / 0.7)).abs() < 1e-6, "{full} {empty}");
    assert!(half < -0.15 && half > 0.6 * empty, "{half}");
}
