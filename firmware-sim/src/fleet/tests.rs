//! Tests of the fleet as a whole: determinism, order, whether the contract's reader accepts its records, and whether
//! the true times of its faults are consistent.
use super::*;
use crate::calendar::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::scenario::Fault;
use std::collections::HashMap;
use zenei_wire::{Body, EventKind, Heading, Record, Topic};

fn small() -> Scenario {
    let mut scenario = Scenario::demo().unwrap();
    (scenario.locks, scenario.days) = (40, 12.0);
    scenario
}

fn run(scenario: &Scenario, seed: u64, step_ms: i64) -> Vec<Message> {
    let mut fleet = Fleet::new(scenario, seed).unwrap();
    let mut messages = Vec::new();
    let mut to_ms = fleet.start_ms();
    while to_ms < fleet.end_ms() {
        to_ms += step_ms;
        fleet.advance(to_ms, &mut messages);
    }
    messages
}

/// FNV-1a over 64 bits (Fowler, Noll, Vo), which no release of the language changes.
fn fingerprint(messages: &[Message]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bytes: &[u8]| {
        for &byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for message in messages {
        take(&message.at_ms.to_le_bytes());
        take(message.topic.as_bytes());
        take(&message.payload);
    }
    hash
}

#[test]
fn the_first_day_of_the_demo_keeps_its_bytes() {
    let mut fleet = Fleet::new(&Scenario::demo().unwrap(), 1).unwrap();
    let mut messages = Vec::new();
    fleet.advance(fleet.start_ms() + DAY_MS, &mut messages);
    assert_eq!((messages.len(), fingerprint(&messages)), (8601, 0x4f99_a2e0_629f_3efc));
}

fn each_record(messages: &[Message], mut each: impl FnMut(&Message, &Record<'_>)) {
    for message in messages {
        let Heading::Record(topic) = Topic::parse(&message.topic).unwrap() else { panic!("{}", message.topic) };
        for decoded in zenei_wire::decode(&topic, &message.payload).unwrap() {
            each(message, &decoded.record.unwrap());
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_in_whatever_steps() {
    let whole = run(&small(), 5, 12 * DAY_MS);
    assert!(whole.len() > 3000);
    assert!(whole.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
    for step_ms in [7 * HOUR_MS + 1, 13 * MINUTE_MS] {
        assert!(run(&small(), 5, step_ms) == whole, "steps of {step_ms} ms");
    }
    assert!(run(&small(), 6, 12 * DAY_MS) != whole);
}

#[test]
fn a_sound_link_loses_and_doubles_the_share_that_the_scenario_states() {
    let mut scenario = small();
    (scenario.radio.loss_share, scenario.radio.loss_sigma) = (0.01, 0.0);
    let (mut heard, mut doubled, mut lost) = (0_u32, 0_u32, 0_u32);
    let mut last: HashMap<usize, (u32, u32)> = HashMap::new();
    each_record(&run(&scenario, 9, DAY_MS), |message, record| {
        let (boot, seq) = (record.boot.unwrap(), record.seq.unwrap());
        heard += 1;
        if let Some((last_boot, last_seq)) = last.insert(message.lock, (boot, seq))
            && last_boot == boot
        {
            doubled += u32::from(seq == last_seq);
            lost += seq.saturating_sub(last_seq + 1);
        }
    });
    // Four standard deviations of a count.
    let expected = 0.01 * f64::from(heard);
    let near = |count: u32| (f64::from(count) - expected).abs() < 4.0 * expected.sqrt();
    assert!(expected > 20.0 && near(doubled) && near(lost), "{heard} heard, {doubled} doubled, {lost} lost");
}

#[test]
fn every_record_reads_back_in_order_of_boot_and_seq_without_a_hole() {
    let messages = run(&small(), 9, DAY_MS);
    let mut last: HashMap<usize, (u32, u32, i64)> = HashMap::new();
    let (mut cbor, mut arrays) = (0, 0);
    each_record(&messages, |message, record| {
        let (boot, seq) = (record.boot.unwrap(), record.seq.unwrap());
        if let Some((last_boot, last_seq, last_ts)) = last.insert(message.lock, (boot, seq, record.ts.ms())) {
            let follows = if boot == last_boot { seq == last_seq + 1 } else { boot == last_boot + 1 && seq == 0 };
            assert!(follows, "{boot}/{seq} after {last_boot}/{last_seq}");
            assert!(record.ts.ms() >= last_ts);
        }
        assert!(record.ts.ms() <= message.at_ms);
        assert_eq!(record.unknown_fields, 0);
        assert_eq!(message.retain, matches!(record.body, Body::State(_)));
        cbor += usize::from(message.payload[0] >= 0x80);
        arrays += usize::from(message.payload[0] == b'[');
    });
    assert!(cbor > 100 && arrays > 0, "{cbor} in CBOR, {arrays} in arrays");
}

#[test]
fn a_lock_that_was_offline_sends_all_that_it_held() {
    let mut scenario = small();
    let online = {
        scenario.radio.offline_per_day = 0.0;
        run(&scenario, 3, DAY_MS)
    };
    scenario.radio.offline_per_day = 1.0;
    let patchy = run(&scenario, 3, DAY_MS);
    let count = |messages: &[Message]| {
        let mut ops = 0;
        each_record(messages, |_, record| ops += usize::from(matches!(record.body, Body::Op(_))));
        ops
    };
    // Records still held at the end by offline locks are missing; the plan of operations is the same.
    assert!(count(&patchy) <= count(&online) && count(&patchy) + 40 > count(&online));
    assert!(patchy.len() < online.len());
}

#[test]
fn the_sag_is_current_times_resistance_within_the_noise() {
    let scenario = small();
    let messages = run(&scenario, 4, DAY_MS);
    let mut rest_mv: HashMap<usize, f64> = HashMap::new();
    let mut ohms: HashMap<usize, Vec<f64>> = HashMap::new();
    each_record(&messages, |message, record| match &record.body {
        Body::State(state) => drop(rest_mv.insert(message.lock, f64::from(state.battery_mv.unwrap().0))),
        Body::Op(op) => {
            if let (Some(rest_mv), Some(low), Some(peak)) = (rest_mv.get(&message.lock), op.battery_min_mv, op.peak_ma)
            {
                ohms.entry(message.lock).or_default().push((rest_mv - f64::from(low.0)) / f64::from(peak.0));
            }
        }
        Body::Error(_) | Body::Event(_) | Body::Gateway(_) | Body::Adv(_) => {}
    });
    for (lock, ohms) in ohms.iter().filter(|(_, ohms)| ohms.len() >= 20) {
        let mean = ohms.iter().sum::<f64>() / ohms.len() as f64;
        let sd = (ohms.iter().map(|ohm| (ohm - mean).powi(2)).sum::<f64>() / ohms.len() as f64).sqrt();
        assert!((0.2..1.6).contains(&mean), "lock {lock}: {mean} ohm");
        assert!(sd < 0.12, "lock {lock}: {sd} ohm");
    }
}

#[test]
fn controls_show_in_the_records_as_what_they_are() {
    let mut scenario = Scenario::demo().unwrap();
    scenario.locks = 120;
    let mut replaced = 0;
    let mut updated = 0;
    each_record(&run(&scenario, 2, DAY_MS), |_, record| {
        if let Body::Event(event) = &record.body {
            replaced += usize::from(event.event == EventKind::BatteryReplaced);
            updated += usize::from(event.event == EventKind::OtaDone);
        }
    });
    assert_eq!(replaced, 6);
    assert!((24..80).contains(&updated), "{updated}");
}

#[test]
fn a_twin_is_equal_before_the_onset_and_other_locks_always() {
    let mut with = Scenario::demo().unwrap();
    with.locks = 60;
    let mut without = with.clone();
    without.fault.retain(|fault| !matches!(fault, Fault::H1(_)));
    // The removed fault must not change the seed's other choices: they are drawn per fault, by number.
    let h1_at = with.fault.iter().position(|fault| matches!(fault, Fault::H1(_))).unwrap();
    without.fault.insert(h1_at, Fault::H1(crate::scenario::Growth { strength: 0.0, ..growth(&with.fault[h1_at]) }));
    let truth = Fleet::new(&with, 1).unwrap().truth();
    let h1 = truth.iter().find(|truth| truth.family == "H1").unwrap();
    let (with, without) = (run(&with, 1, 30 * DAY_MS), run(&without, 1, 30 * DAY_MS));
    let device = format!("/{}/", h1.devices[0]);
    let split = |messages: Vec<Message>| -> (Vec<Message>, Vec<Message>) {
        messages.into_iter().partition(|message| message.topic.contains(&device) && message.at_ms >= h1.onset_ms)
    };
    let ((faulty, others), (sound, other_others)) = (split(with), split(without));
    assert!(others == other_others, "only the faulty lock may differ, and only from its onset");
    assert!(faulty != sound && faulty.len() > 50);
}

#[test]
fn a_faulty_version_drops_links_three_times_as_often_and_answers_late_only_after_its_days() {
    let scenario = Scenario::demo().unwrap();
    let fleet = Fleet::new(&scenario, 3).unwrap();
    let mut lock_days: HashMap<bool, f64> = HashMap::new();
    let mut drops: HashMap<bool, f64> = HashMap::new();
    let mut since: HashMap<usize, i64> = HashMap::new();
    let mut early_and_late = [0, 0];
    each_record(&run(&scenario, 3, DAY_MS), |message, record| {
        let faulty = record.fw.as_deref() == Some("3.3.0");
        if faulty {
            since.entry(message.lock).or_insert(message.at_ms);
        }
        match &record.body {
            Body::Error(error) if error.code == "ble_disconnect" => *drops.entry(faulty).or_default() += 1.0,
            Body::Op(op) if faulty && op.latency_ms.is_some_and(|latency| latency.0 > 4000) => {
                early_and_late[usize::from(record.uptime_s.unwrap() >= 5 * 86_400)] += 1;
            }
            Body::Error(_) | Body::Op(_) | Body::State(_) | Body::Event(_) | Body::Gateway(_) | Body::Adv(_) => {}
        }
    });
    let faulty_days = since.values().map(|&from| (fleet.end_ms() - from) as f64 / DAY_MS as f64).sum::<f64>();
    lock_days.insert(true, faulty_days);
    lock_days.insert(false, scenario.locks as f64 * scenario.days - faulty_days);
    let ratio = (drops[&true] / lock_days[&true]) / (drops[&false] / lock_days[&false]);
    // Some 1,100 against 2,700 drops, and a spread of 0.4 between locks: five standard errors of the ratio are near
    // 0.8.
    assert!((2.2..3.8).contains(&ratio), "{ratio}");
    assert!(early_and_late[1] > 20 && early_and_late[0] * 10 < early_and_late[1], "{early_and_late:?}");
}

fn growth(fault: &Fault) -> crate::scenario::Growth {
    fault.single().unwrap().1
}

#[test]
fn true_times_stand_in_order_for_every_seed() {
    for seed in 1..=3 {
        let fleet = Fleet::new(&Scenario::demo().unwrap(), seed).unwrap();
        let day = |at_ms: Option<i64>| at_ms.map(|at_ms| (at_ms - fleet.start_ms()) as f64 / DAY_MS as f64);
        let truth = fleet.truth();
        let real: Vec<&Truth> = truth.iter().filter(|truth| !truth.control).collect();
        assert_eq!(real.iter().map(|truth| truth.family.as_str()).collect::<Vec<_>>(), ["F3", "H1", "H5"]);
        for truth in real {
            let (detectable, customer) = (day(truth.detectable_ms), day(truth.customer_ms));
            println!(
                "seed {seed} {} onset {:.1} detectable {detectable:.1?} customer {customer:.1?} devices {}",
                truth.family,
                day(Some(truth.onset_ms)).unwrap(),
                truth.devices.len()
            );
            assert!(truth.onset_ms <= truth.detectable_ms.unwrap());
            assert!(truth.detectable_ms <= truth.customer_ms, "seed {seed} {}", truth.family);
        }
    }
}
