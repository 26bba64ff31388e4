//! Tests of the casebook: timelines of findings in, timelines of events and decisions out; and its properties.
use super::*;
use crate::event::{Completed, Judged, StatusChanged, TelemetryRecovered};
use crate::{Status, Verdict};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use zenei_detect::{Component, Domain, Evidence, Scope, ScopeKind, Urgency};
use zenei_kit::anomaly;

/// A finding from one line: `at_s rule scope=value domain/component urgency locks`, for example `60 motor device=A
/// hardware/motor high A`.
fn finding(line: &str) -> Anomaly {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [at_s, rule, scope, cause, urgency, locks] = words[..] else { panic!("six words, not {line:?}") };
    let mut found = anomaly(rule, "", at_s.parse().unwrap());
    let (kind, value) = scope.split_once('=').unwrap();
    found.scope = Scope { kind: ScopeKind::parse(kind).unwrap(), value: value.into() };
    found.device_id = (kind == "device").then(|| value.to_owned());
    let (domain, component) = cause.split_once('/').unwrap();
    found.domain = Domain::parse(domain).unwrap();
    found.component = Component::parse(component).unwrap();
    found.urgency = Urgency::parse(urgency).unwrap();
    found.title = format!("Title of {rule}");
    let record = |lock: &str, seq| Evidence { device_id: lock.into(), boot: 1, seq, ts_ms: found.at.ms() };
    found.evidence = locks.split(',').flat_map(|lock| [record(lock, 0), record(lock, 1)]).collect();
    found.id = Anomaly::identify(rule, 1, &found.scope, &found.evidence[0]);
    found
}

/// One stored step, and the casebook after it.
fn step(book: &mut Casebook, log: &mut Vec<Event>, line: &str) -> Correlated {
    let mut draft = book.draft();
    let outcome = match line.split_once(" !") {
        Some((at_s, word)) => {
            let at = EngineTime(at_s.parse::<i64>().unwrap() * 1_000);
            let id = log.last().unwrap().incident;
            let by = || "sato".to_owned();
            let what: What = match word {
                "resolve" => StatusChanged { to: Status::Resolved, by: by() }.into(),
                "false" => Judged { verdict: Verdict::FalsePositive, by: by() }.into(),
                "complete" => Completed { by: by() }.into(),
                "lower" => {
                    UrgencyChanged { to: Urgency::Low, reason: "one door".into(), ground: None, by: Some(by()) }.into()
                }
                "recover" => TelemetryRecovered { why: "back at 300 mA".into() }.into(),
                other => panic!("no such step: {other}"),
            };
            Correlated { events: vec![draft.add(id, at, what).unwrap()], decisions: Vec::new() }
        }
        None => draft.decide(&finding(line)).unwrap(),
    };
    let changes = draft.into_changes();
    book.absorb(changes);
    log.extend(outcome.events.iter().cloned());
    outcome
}

fn print(book: &Casebook, names: &mut Vec<Id>, outcome: &Correlated) -> String {
    let mut text = String::new();
    for event in &outcome.events {
        if !names.contains(&event.incident) {
            names.push(event.incident);
        }
        let name =
            |id: Id| names.iter().position(|known| *known == id).map_or("?".to_owned(), |at| format!("#{}", at + 1));
        let more = if let What::Opened(opened) = &event.what {
            let recurs = opened.recurs_of.map_or(String::new(), |id| format!(", recurs of {}", name(id)));
            format!(" {} {}{recurs}", opened.urgency, opened.title)
        } else if let What::EvidenceAdded(_) = &event.what {
            format!(" {} locks", book.incident(event.incident).unwrap().devices.len())
        } else if let What::UrgencyChanged(changed) = &event.what {
            format!(" {} {}", changed.to, changed.reason)
        } else {
            String::new()
        };
        text +=
            &format!("{} {}.{} {}{more}\n", event.at.ms() / 1_000, name(event.incident), event.seq, event.kind_word());
    }
    for decision in &outcome.decisions {
        text += &format!("{} not opened: {}\n", decision.at.ms() / 1_000, decision.reason);
    }
    text
}

fn check(timeline: &str, expected: Expect) {
    let (mut book, mut log, mut names, mut text) = (Casebook::default(), Vec::new(), Vec::new(), String::new());
    for line in timeline.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let outcome = step(&mut book, &mut log, line);
        text += &print(&book, &mut names, &outcome);
    }
    expected.assert_eq(&text);
    assert_eq!(Casebook::fold(Arc::default(), &log).unwrap(), book);
}

#[test]
fn a_finding_opens_and_its_like_joins() {
    check(
        "60 motor_effort device=A hardware/motor high A
         90 motor_effort device=A hardware/motor high A
         95 motor_duration device=A hardware/motor high A
         99 motor_effort device=B hardware/motor high B",
        expect![[r#"
            60 #1.0 opened high Title of motor_effort: lock A
            90 #1.1 evidence_added 1 locks
            90 not opened: already_open
            95 #1.2 evidence_added 1 locks
            95 not opened: already_open
            99 #2.0 opened high Title of motor_effort: lock B
        "#]],
    );
}

#[test]
fn a_resolved_incident_swallows_nothing() {
    check(
        "60 motor_effort device=A hardware/motor high A
         70 !resolve
         90 motor_effort device=A hardware/motor high A
         95 !false
         96 !complete
         97 motor_effort device=A hardware/motor high A",
        expect![[r#"
            60 #1.0 opened high Title of motor_effort: lock A
            70 #1.1 status_changed
            90 #2.0 opened high Title of motor_effort: lock A, recurs of #1
            95 #2.1 verdict
            96 #2.2 completed
            97 #3.0 opened high Title of motor_effort: lock A, recurs of #2
        "#]],
    );
}

#[test]
fn recovery_closes_nothing() {
    check(
        "60 motor_effort device=A hardware/motor high A
         70 !recover
         90 motor_effort device=A hardware/motor high A",
        expect![[r#"
            60 #1.0 opened high Title of motor_effort: lock A
            70 #1.1 telemetry_recovered
            90 #1.2 evidence_added 1 locks
            90 not opened: already_open
        "#]],
    );
}

#[test]
fn one_lock_of_a_wider_incident_joins_it_where_both_are_about_the_same() {
    check(
        "60 reboot fw=3.3.0 firmware/fw_image high A,B,C
         70 reboot device=B hardware/power_board high B
         71 crash device=C firmware/fw_image high C
         72 motor_effort device=C hardware/motor high C
         73 reboot device=D firmware/fw_image high D
         74 reboot site=S firmware/fw_image high A,B",
        expect![[r#"
            60 #1.0 opened high Title of reboot: firmware 3.3.0
            70 #1.1 evidence_added 3 locks
            70 not opened: part_of_wider
            71 #1.2 evidence_added 3 locks
            71 not opened: part_of_wider
            72 #2.0 opened high Title of motor_effort: lock C
            73 #3.0 opened high Title of reboot: lock D
            74 #4.0 opened high Title of reboot: site S
        "#]],
    );
}

#[test]
fn another_fault_of_a_lock_does_not_join_what_its_client_has() {
    check(
        "60 schema client_version=4.1 software/app high A,B,C
         70 schema device=A software/app high A
         71 clock device=A software/app high A",
        expect![[r#"
            60 #1.0 opened high Title of schema: client version 4.1
            70 #1.1 evidence_added 3 locks
            70 not opened: part_of_wider
            71 #2.0 opened high Title of clock: lock A
        "#]],
    );
}

#[test]
fn a_lock_that_stays_silent_when_its_gateway_is_back_is_no_part_of_it() {
    check(
        "60 silence gateway=G software/gateway high A,B,C
         70 silence device=B software/ble_link high B",
        expect![[r#"
            60 #1.0 opened high Title of silence: gateway G
            70 #2.0 opened high Title of silence: lock B
        "#]],
    );
}

#[test]
fn a_resolved_wider_incident_takes_no_part() {
    check(
        "60 reboot fw=3.3.0 firmware/fw_image high A,B,C
         65 !resolve
         70 reboot device=B firmware/fw_image high B",
        expect![[r#"
            60 #1.0 opened high Title of reboot: firmware 3.3.0
            65 #1.1 status_changed
            70 #2.0 opened high Title of reboot: lock B
        "#]],
    );
}

#[test]
fn more_locks_raise_the_urgency_and_a_lowered_one_stays_low_until_it_grows() {
    check(
        "60 reboot fw=3.3.0 firmware/fw_image medium A,B
         70 reboot fw=3.3.0 firmware/fw_image medium C,D,E,F,G,H,I,J
         75 !lower
         80 reboot fw=3.3.0 firmware/fw_image medium A,K
         90 reboot fw=3.3.0 firmware/fw_image high A",
        expect![[r#"
            60 #1.0 opened medium Title of reboot: firmware 3.3.0
            70 #1.1 evidence_added 10 locks
            70 #1.2 urgency_changed high 10 locks affected, 10 or more: one level above medium
            70 not opened: already_open
            75 #1.3 urgency_changed low one door
            80 #1.4 evidence_added 11 locks
            80 not opened: already_open
            90 #1.5 evidence_added 11 locks
            90 #1.6 urgency_changed highest 11 locks affected, 10 or more: one level above high
            90 not opened: already_open
        "#]],
    );
}

#[test]
fn what_is_not_confirmed_is_a_decision_with_its_reason() {
    let mut found = finding("60 motor_effort device=A hardware/motor high A");
    found.evidence.truncate(1);
    found.window_ms = 0;
    let book = Casebook::default();
    let outcome = book.draft().decide(&found).unwrap();
    assert!(outcome.events.is_empty());
    assert_eq!(outcome.decisions[0].reason, DecisionReason::Unconfirmed);
    assert_eq!(
        outcome.decisions[0].why,
        "not confirmed for urgency high: 1 record of 1 lock over 0 ms; wanted are 2 records or 2 locks or 30 min"
    );
}

#[test]
fn a_record_opens_one_incident_only() {
    let (mut book, mut log) = (Casebook::default(), Vec::new());
    let line = "60 motor_effort device=A hardware/motor high A";
    for expected in [1, 2, 2] {
        step(&mut book, &mut log, line);
        if book.len() == expected && book.incidents().any(Incident::is_open) {
            step(&mut book, &mut log, "61 !resolve");
        }
        assert_eq!(book.len(), expected);
    }
}

#[test]
fn a_draft_that_is_dropped_leaves_no_trace() {
    let (mut book, mut log) = (Casebook::default(), Vec::new());
    step(&mut book, &mut log, "60 motor_effort device=A hardware/motor high A");
    let before = book.clone();
    let mut draft = book.draft();
    draft.decide(&finding("61 motor_effort device=A hardware/motor high A")).unwrap();
    draft.decide(&finding("62 motor_effort device=B hardware/motor high B")).unwrap();
    drop(draft);
    assert_eq!(book, before);
}

#[test]
fn numbers_that_json_has_not_are_replaced_before_they_reach_the_log() {
    let mut found = finding("60 motor_effort device=A hardware/motor high A");
    (found.value, found.baseline, found.confidence) = (f64::INFINITY, f64::NAN, f64::NAN);
    let event = Casebook::default().draft().decide(&found).unwrap().events.remove(0);
    let body = event.body().unwrap();
    let read = Event::read(event.incident, 0, event.at, event.kind_word(), &body).unwrap();
    let What::Opened(opened) = &read.what else { panic!("{read:?}") };
    assert_eq!((opened.anomaly.value, opened.anomaly.baseline, opened.anomaly.confidence), (f64::MAX, 0.0, 0.0));
    assert_eq!(read.body().unwrap(), body);
    let fold = |event: &Event| Casebook::fold(Arc::default(), [event]).unwrap();
    assert_eq!(fold(&read), fold(&event), "memory and log are equal");
}

#[test]
fn a_storm_of_findings_about_one_fault_is_one_incident_of_bounded_size() {
    let mut book = Casebook::default();
    for batch in 0..100 {
        let mut draft = book.draft();
        for at_s in batch * 200..batch * 200 + 200 {
            draft.decide(&anomaly("motor_effort", "A", at_s)).unwrap();
        }
        let changes = draft.into_changes();
        book.absorb(changes);
    }
    let incident = book.incidents().next().unwrap();
    assert_eq!((book.len(), incident.findings, incident.devices.len()), (1, 20_000, 1));
    assert_eq!(incident.evidence_first.len() + incident.evidence_latest.len(), 2 * crate::incident::EVIDENCE_SHOWN);
}

fn findings() -> impl Strategy<Value = Vec<String>> {
    let rules = prop::sample::select(vec!["motor_effort", "motor_duration", "reboot", "error_rate"]);
    let scopes = prop::sample::select(vec!["device=A", "device=B", "device=C", "fw=3.3.0", "site=S", "lot=L"]);
    let causes = prop::sample::select(vec!["hardware/motor", "firmware/fw_image", "software/unknown"]);
    let urgencies = prop::sample::select(vec!["low", "medium", "high", "highest"]);
    let locks = prop::sample::select(vec!["A", "B", "A,B", "A,B,C", "C"]);
    let one = (0_u32..1_000, rules, scopes, causes, urgencies, locks, 0_u8..8).prop_map(
        |(at_s, rule, scope, cause, urgency, locks, other)| match other {
            0 => format!("{at_s} !resolve"),
            1 => format!("{at_s} !recover"),
            2 => format!("{at_s} !lower"),
            _ => format!("{at_s} {rule} {scope} {cause} {urgency} {locks}"),
        },
    );
    prop::collection::vec(one, 1..40)
}

/// Runs the lines, leaving out a person's steps that have no incident to act on.
fn run(lines: &[String]) -> (Casebook, Vec<Event>) {
    let (mut book, mut log) = (Casebook::default(), Vec::new());
    for line in lines {
        let last_is_open =
            log.last().and_then(|event: &Event| book.incident(event.incident)).is_some_and(Incident::is_open);
        if line.contains('!') && !last_is_open {
            continue;
        }
        step(&mut book, &mut log, line);
    }
    (book, log)
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_keeps_one_open_incident_for_each_fingerprint(lines in findings()) {
        let (book, _) = run(&lines);
        let open: Vec<_> = book.incidents().filter(|incident| incident.is_open()).collect();
        let keys: BTreeSet<_> = open.iter().map(|incident| (incident.fingerprint, &incident.scope)).collect();
        prop_assert_eq!(keys.len(), open.len());
        for incident in book.incidents() {
            prop_assert!(!incident.devices.is_empty() && !incident.why.is_empty() && !incident.title.is_empty());
            prop_assert!(!incident.urgency_reason.is_empty());
        }
        let watched: BTreeSet<_> = book.incidents().filter(|one| is_watched(one)).map(|one| one.id).collect();
        prop_assert_eq!(book.draft().watched(), watched);
    }

    #[test]
    fn every_finding_leaves_an_event_or_a_decision(lines in findings()) {
        let (mut book, mut log) = (Casebook::default(), Vec::new());
        for line in lines.iter().filter(|line| !line.contains('!')) {
            let outcome = step(&mut book, &mut log, line);
            let opens = outcome.events.iter().any(|event| matches!(event.what, What::Opened(_)));
            prop_assert_eq!(opens, outcome.decisions.is_empty());
        }
    }

    #[test]
    fn the_stored_log_gives_the_same_casebook_byte_for_byte(lines in findings()) {
        let (book, log) = run(&lines);
        let stored = log.iter().map(|event| {
            Event::read(event.incident, event.seq, event.at, event.kind_word(), &event.body().unwrap()).unwrap()
        });
        let stored: Vec<Event> = stored.collect();
        let read = Casebook::fold(Arc::default(), &stored).unwrap();
        prop_assert_eq!(&read, &book);
        let bytes = |book: &Casebook| serde_json::to_string(&book.incidents().collect::<Vec<_>>()).unwrap();
        prop_assert_eq!(bytes(&read), bytes(&book));
        let mut grouped = stored;
        grouped.sort_by_key(|event| (event.incident, event.seq));
        prop_assert_eq!(Casebook::fold(Arc::default(), &grouped).unwrap(), read);
        for incident in book.incidents() {
            let seqs: Vec<u32> = log.iter().filter(|event| event.incident == incident.id).map(|event| event.seq).collect();
            prop_assert_eq!(seqs, (0..=incident.seq).collect::<Vec<_>>());
        }
    }

    #[test]
    fn one_draft_for_many_findings_gives_what_many_drafts_give(lines in findings()) {
        let lines: Vec<_> = lines.iter().filter(|line| !line.contains('!')).collect();
        let (mut book, mut log) = (Casebook::default(), Vec::new());
        for line in &lines {
            step(&mut book, &mut log, line);
        }
        let mut together = Casebook::default();
        let mut draft = together.draft();
        let mut events = Vec::new();
        for line in &lines {
            events.extend(draft.decide(&finding(line)).unwrap().events);
        }
        let changes = draft.into_changes();
        together.absorb(changes);
        prop_assert_eq!(events, log);
        prop_assert_eq!(together, book);
    }
}

#[test]
fn a_log_with_a_fault_that_came_back_too_late_to_be_linked_gives_the_same_casebook() {
    let day = 86_400;
    let (mut book, mut log) = (Casebook::default(), Vec::new());
    for at_s in [0, 31 * day, 32 * day] {
        let mut draft = book.draft();
        log.extend(draft.decide(&anomaly("motor_effort", "A", at_s)).unwrap().events);
        let incident = log.last().unwrap().incident;
        let resolved = StatusChanged { to: Status::Resolved, by: "sato".into() };
        log.push(draft.add(incident, EngineTime(at_s * 1_000 + 10), resolved).unwrap());
        let changes = draft.into_changes();
        book.absorb(changes);
    }
    let recurs: Vec<bool> = book.incidents().map(|incident| incident.recurs_of.is_some()).collect();
    assert_eq!((recurs.len(), recurs.iter().filter(|linked| **linked).count()), (3, 1));
    assert_eq!(Casebook::fold(Arc::default(), &log).unwrap(), book);
}
