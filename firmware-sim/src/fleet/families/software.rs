//! Tests of the families of software faults, of the controls, and of the gateways' own reports: the second half of
//! `families`.
use super::*;

/// A gateway with locks, by its number over all sites, and one of those.
fn manned() -> (usize, usize) {
    let scenario = scenario(&[]);
    let kinds = identity::draw(&scenario, 1, 0).1;
    let before: usize = scenario.site[..kinds.site].iter().map(|site| site.gateways).sum();
    (before + kinds.gateway, 0)
}

#[test]
fn s1_nothing_is_heard_while_a_gateway_is_away_and_all_of_it_after() {
    let (gateway, lock) = manned();
    let twins = twins(&format!("family = 'S1'\nlock = {gateway}\nday = 10.2\nlasts_days = 1.5"), lock);
    twins.check(false);
    let until_ms = twins.truth.end_ms;
    let within = |messages: &[Message]| {
        messages.iter().filter(|message| (twins.onset_ms..until_ms).contains(&message.at_ms)).count()
    };
    assert_eq!(within(&twins.faulty), 0);
    assert!(within(&twins.sound) > 10);
    let back = |message: &&Message| (until_ms..until_ms + 5 * 60_000).contains(&message.at_ms);
    let array = |message: &Message| matches!(message.payload[0], b'[' | 0x80..=0x9F);
    assert!(twins.faulty.iter().filter(back).any(array), "no backlog");
    // Requests through the gateway did not arrive; all other records are there.
    let other = |record: &Record<'_>| !matches!(&record.body, Body::Op(op) if op.source == Some(OpSource::Remote));
    let (faulty, sound) = twins.counts(other);
    assert!(faulty.abs_diff(sound) <= 3, "{faulty} {sound}");
    assert_eq!((&*twins.truth.scope.kind, twins.truth.domain.as_deref()), ("gateway", Some("software")));
}

#[test]
fn s1_a_late_gateway_passes_on_only_so_often() {
    let (gateway, lock) = manned();
    let twins = twins(&format!("family = 'S1'\nlock = {gateway}\nday = 10\nlasts_days = 2\nstrength = 45"), lock);
    twins.check(false);
    for message in twins.faulty.iter().filter(|m| (twins.onset_ms..twins.truth.end_ms).contains(&m.at_ms)) {
        assert_eq!((message.at_ms - twins.onset_ms) % (45 * 60_000), 0);
    }
    let (faulty, sound) = twins.counts(|_| true);
    assert_eq!(faulty, sound);
}

#[test]
fn s2_requests_of_one_client_version_meet_errors_while_it_lasts() {
    let fault =
        "family = 'S2'\nclient = 'ios-5.3.2'\nday = 8\ndays = 10\ncode = 'cloud_timeout'\nshare = 0.3\nlate_ms = 2600";
    let scenario = scenario(&[fault]);
    let mut fleet = Fleet::new(&scenario, 1).unwrap();
    let mut messages = Vec::new();
    fleet.advance(fleet.end_ms(), &mut messages);
    let truth = fleet.truth().swap_remove(0);
    let mut errors = [0, 0];
    each(&messages, |message, record| {
        if is_error(record, "cloud_timeout") && record.client_version.is_some() {
            assert_eq!(record.client_version.as_deref(), Some("ios-5.3.2"));
            assert!(truth.devices.contains(&fleet.locks()[message.lock].device_id));
            let ts_ms = record.ts.ms();
            errors[usize::from((truth.onset_ms..truth.end_ms + 60_000).contains(&ts_ms))] += 1;
        }
    });
    assert!(errors[0] == 0 && errors[1] > 10, "{errors:?}");
    assert!(truth.onset_ms <= truth.detectable_ms.unwrap() && truth.onset_ms <= truth.customer_ms.unwrap());
}

#[test]
fn a_client_that_a_lock_never_names_alters_nothing_of_it() {
    let scenario = scenario(&[]);
    let kinds: Vec<_> = (0..100).map(|lock| identity::draw(&scenario, 1, lock).1).collect();
    let (with, without): (Vec<_>, Vec<_>) = kinds.iter().partition(|kinds| kinds.hub.is_some());
    let service = |kinds: &&identity::Kinds| scenario.service[kinds.service].name.clone();
    assert!(!without.is_empty() && without.iter().all(|kinds| service(kinds) == "device"));
    assert!(!with.is_empty() && with.iter().all(|kinds| service(kinds) != "device"));
    let hubs = || (0..scenario.client.len()).filter(|&client| scenario.client[client].hub);
    assert!(without.iter().all(|kinds| !hubs().any(|hub| kinds.speaks_with(hub)) && kinds.speaks_with(kinds.app)));
    assert!(with.iter().all(|kinds| hubs().filter(|&hub| kinds.speaks_with(hub)).count() == 1));
}

#[test]
fn s3_records_of_a_drifted_field_are_refused_or_lose_it() {
    let (lock, hub) = (0, {
        let scenario = scenario(&[]);
        scenario.client[identity::draw(&scenario, 1, 0).1.hub.unwrap()].version.clone()
    });
    let drifted = |how: &str| {
        twins(&format!("family = 'S3'\nclient = '{hub}'\nday = 9\nfield = 'battery_mv'\nhow = '{how}'"), lock)
    };
    let text = drifted("text");
    text.check(true);
    let states = text.counts(|record| matches!(record.body, Body::State(_)));
    assert!(states.0 == 0 && states.1 > 50, "{states:?}");
    let renamed = drifted("renamed");
    let lost = renamed.counts(|record| matches!(&record.body, Body::State(state) if state.battery_mv.is_none()));
    assert!(lost.0 > 50 && lost.1 == 0, "{lost:?}");
    let (tenths, millivolts) = drifted("tenths").means(rest_mv);
    assert!((tenths / millivolts - 10.0).abs() < 0.01);
    assert_eq!(text.truth.customer_ms, None);
}

#[test]
fn s4_a_clock_jumps_and_is_set_right_again() {
    let twins = twins("family = 'S4'\nlock = 2\nday = 9\nstrength = -30\nlasts_days = 5", 2);
    twins.check(true);
    let (mut behind, mut right) = (0, 0);
    let (from_ms, until_ms) = (twins.onset_ms + DAY_MS / 24, twins.truth.end_ms);
    each(&twins.faulty, |message, record| {
        let lag_ms = message.at_ms - record.ts.ms();
        if (from_ms..until_ms).contains(&message.at_ms) {
            assert!(lag_ms >= 30 * 3_600_000, "{lag_ms}");
            behind += 1;
        } else if message.at_ms > until_ms + DAY_MS / 2 {
            right += usize::from(lag_ms < 3_600_000);
        }
    });
    assert!(behind > 30 && right > 100, "{behind} {right}");
}

#[test]
fn s5_a_bad_link_loses_records_and_doubles_others() {
    let twins = twins("family = 'S5'\nlock = 1\nday = 5\nstrength = 0.2", 1);
    twins.check(true);
    let (mut seen, mut doubled, mut holes, mut last) = (0, 0, 0, None);
    each(&twins.faulty, |message, record| {
        let now = (record.boot, record.seq);
        if message.at_ms >= twins.onset_ms {
            seen += 1;
            doubled += usize::from(last == Some(now));
            holes += last
                .filter(|last| last.0 == now.0)
                .map_or(0, |last| now.1.unwrap().saturating_sub(last.1.unwrap() + 1));
        }
        last = Some(now);
    });
    assert!(seen > 200 && doubled > seen / 8 && holes as usize > seen / 8, "{seen} {doubled} {holes}");
}

#[test]
fn s6_a_silent_lock_is_heard_no_more_though_its_people_still_come() {
    let twins = twins("family = 'S6'\nlock = 3\nday = 7.5\nstrength = 1", 3);
    twins.check(false);
    assert!(twins.faulty.iter().all(|message| message.at_ms < twins.onset_ms));
}

#[test]
fn controls_serve_nobody_worse() {
    let controls = [
        "family = 'H7'\nregion = 'hokkaido'\nday = 8\ndays = 3\ndrop_c = 12",
        "family = 'C1'\nday = 7\ndays = 4\nops = 0.6",
        "family = 'C2'\ncount = 5\nday = 3\ndays = 15",
        "family = 'C3'\ncount = 5\nday = 5\nday_spread = 9\nstrength = 0.08",
        "family = 'C5'\ncount = 5\nday = 5\nday_spread = 9\nlasts_days = 0.4",
    ];
    let without = run(&scenario(&[]));
    for control in controls {
        let with = run(&scenario(&[control]));
        let failed = |messages: &[Message]| {
            let bad = |record: &Record<'_>| matches!(&record.body, Body::Op(op) if op.result != OpResult::Ok);
            count(messages, 0, bad)
        };
        assert!(with != without, "{control} does nothing");
        assert!(failed(&with) <= failed(&without) + 2, "{control}: {} {}", failed(&with), failed(&without));
        let mut alone = scenario(&[control]);
        alone.rollout.clear();
        let truth = Fleet::new(&alone, 1).unwrap().truth();
        assert!(!truth.is_empty());
        assert!(truth.iter().all(|truth| truth.control && truth.customer_ms.is_none() && truth.domain.is_none()));
    }
}

#[test]
fn c1_holidays_empty_the_doors_and_only_then() {
    let (with, without) = (run(&scenario(&["family = 'C1'\nday = 7\ndays = 4\nops = 0.5"])), run(&scenario(&[])));
    let start_ms = Fleet::new(&scenario(&[]), 1).unwrap().start_ms();
    let ops = |messages: &[Message], from: i64, to: i64| {
        let mut count = 0;
        each(messages, |_, record| {
            let day = (record.ts.ms() - start_ms) / DAY_MS;
            count += usize::from(matches!(record.body, Body::Op(_)) && (from..to).contains(&day));
        });
        count
    };
    assert!(2 * ops(&with, 7, 11) < ops(&without, 7, 11));
    assert_eq!(ops(&with, 0, 7), ops(&without, 0, 7));
    assert_eq!(ops(&with, 12, 30), ops(&without, 12, 30));
}

#[test]
fn c3_a_door_hung_anew_says_so_and_c5_a_backlog_comes_late_but_whole() {
    let moved = run(&scenario(&["family = 'C3'\ncount = 5\nday = 5\nday_spread = 9\nstrength = 0.08"]));
    assert_eq!(count(&moved, 0, |r| matches!(&r.body, Body::Event(event) if event.event == EventKind::Moved)), 5);
    let late = run(&scenario(&["family = 'C5'\nlock = 3\nday = 5\nlasts_days = 0.4"]));
    let records = |messages: &[Message]| count(messages, 0, |_| true);
    assert_eq!(records(&late), records(&run(&scenario(&[]))));
}

#[test]
fn gateways_report_every_quarter_hour_and_their_wills_tell_when_one_is_lost() {
    let (gateway, _) = manned();
    let mut scenario = scenario(&[&format!("family = 'S1'\nlock = {gateway}\nday = 1.2\nlasts_days = 0.5")]);
    scenario.days = 3.0;
    let reports = GatewayReports {
        version: "1.8.2".into(),
        every_min: 15.0,
        api_ms: 120.0,
        api_errors_per_day: 1.5,
        will_s: 90.0,
    };
    scenario.gateway_report = Some(reports);
    let messages = run(&scenario);
    let outage = World::new(&scenario, 1).unwrap().plan.remove(0);
    assert!(matches!(outage.effect, Effect::Gateway { .. }));
    assert!(messages.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
    let of = |number: usize| messages.iter().filter(move |message| message.lock == scenario.locks + number);
    let online: Vec<&[u8]> = of(gateway).filter(|m| m.retain).map(|m| m.payload.as_slice()).collect();
    assert_eq!(online, [b"1", b"0", b"1"]);
    let (lost, other) = (of(gateway).count() - 3, of((gateway + 1) % 24).count() - 1);
    assert!((238..=240).contains(&lost) && other == 288, "{lost} {other}");
    let mut line = String::new();
    let said = of(gateway).find(|message| message.retain).unwrap();
    zenei_wire::recording::write_line(&said.topic, GatewayTime(said.at_ms), &said.payload, &mut line);
    let read = zenei_wire::recording::parse_line(line.trim_end()).unwrap();
    assert!(matches!(read, Line::Message { payload, .. } if *payload == *b"1"), "{line}");
    let mut heard = 0;
    let reports: Vec<Message> = of(gateway).cloned().collect();
    each(&reports, |message, record| {
        let Body::Gateway(report) = &record.body else { panic!("no report") };
        heard += report.locks_heard.unwrap();
        assert!(!outage.is_on(message.at_ms) && report.queue_depth == Some(0));
    });
    assert!(heard > 10, "{heard}");
}

#[test]
fn the_large_scenario_has_every_family_and_is_small_enough_when_it_is_small() {
    let mut scenario = Scenario::fleet().unwrap();
    (scenario.locks, scenario.days) = (150, 20.0);
    let truth = Fleet::new(&scenario, 1).unwrap().truth();
    let mut families: Vec<&str> = truth.iter().map(|truth| truth.family.as_str()).collect();
    families.sort_unstable();
    families.dedup();
    let all = [
        "C1", "C2", "C3", "C4", "C5", "F1", "F2", "F3", "F4", "F5", "H1", "H2", "H3", "H4", "H5", "H6", "H7", "H8",
        "S1", "S2", "S3", "S4", "S5", "S6",
    ];
    assert_eq!(families, all);
    for truth in &truth {
        assert_eq!(truth.domain.as_deref().and_then(|domain| domain.chars().next()).is_none(), truth.control);
        let letter = match truth.family.as_bytes()[0] {
            b'H' => "hardware",
            b'F' => "firmware",
            _ => "software",
        };
        assert!(truth.control || truth.domain.as_deref() == Some(letter), "{truth:?}");
        assert!(truth.onset_ms <= truth.end_ms && truth.detectable_ms.is_none_or(|at_ms| truth.onset_ms <= at_ms));
    }
}

fn run(scenario: &Scenario) -> Vec<Message> {
    let mut fleet = Fleet::new(scenario, 1).unwrap();
    let mut messages = Vec::new();
    fleet.advance(fleet.end_ms(), &mut messages);
    messages
}
