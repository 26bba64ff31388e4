//! Properties of the incident log over random sequences of findings and people's steps. The checker reads the log with
//! rules of its own, written apart from the fold; each of its rules is itself checked against a log that breaks it.
//! Must not know how the casebook decides. Called by cargo's test runner.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use zenei_detect::{Anomaly, Component, Domain, Evidence, Findings, Scope, ScopeKind, Urgency};
use zenei_incident::event::{
    Acknowledged, ActionItemAdded, ActionItemChanged, ActionKind, ActionStatus, Completed, DomainChanged, EffortAdded,
    Judged, MergedInto, Note, OwnerAssigned, PostmortemHeld, Reopened, RunbookStepDone, StatusChanged,
    TelemetryRecovered, TempFixDone, UrgencyChanged, Work,
};
use zenei_incident::policy::Texts;
use zenei_incident::{ApplyError, Casebook, Event, Matcher, Policy, Silence, SilenceKind, Status, Verdict, What};
use zenei_kit::{Dice, anomaly};
use zenei_wire::{EngineTime, Id};

/// So many sequences are drawn; a tenth where the test is not optimized (100,000 of them took 98 s of CPU time so).
const SEQUENCES: u64 = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
/// So many steps has each at most.
const STEPS_MAX: u64 = 28;

/// A finding of few rules, places and locks, so that they meet often.
fn finding(dice: &mut Dice, at_s: i64) -> Anomaly {
    const LOCKS: [&[&str]; 4] = [&["A"], &["B"], &["A", "B"], &["A", "B", "C"]];
    let rule = ["motor_effort", "reboot"][dice.one_of(2)];
    let (kind, value, locks) = match dice.one_of(5) {
        0 | 1 => (ScopeKind::Device, "A", LOCKS[0]),
        2 => (ScopeKind::Device, "B", LOCKS[1]),
        3 => (ScopeKind::Fw, "3.3.0", LOCKS[2 + dice.one_of(2)]),
        _ => (ScopeKind::Gateway, "G", LOCKS[2 + dice.one_of(2)]),
    };
    let mut found = anomaly(rule, value, at_s);
    found.scope = Scope { kind, value: value.into() };
    found.device_id = (kind == ScopeKind::Device).then(|| value.to_owned());
    (found.domain, found.component) = match (rule, kind) {
        (_, ScopeKind::Gateway) => (Domain::Software, Component::Gateway),
        ("reboot", _) => (Domain::Firmware, Component::BleLink),
        _ => (Domain::Hardware, Component::Motor),
    };
    found.urgency = Urgency::ALL[dice.one_of(Urgency::ALL.len())];
    let records = 1 + dice.one_of(2) as u32;
    let record = |lock: &str, seq| Evidence { device_id: lock.to_owned(), boot: 1, seq, ts_ms: at_s * 1_000 };
    found.evidence = locks.iter().flat_map(|lock| (0..records).map(|seq| record(lock, seq))).collect();
    found
}

/// A step of a person, of a remote or of a version that this one does not know; many of them are refused.
fn step(dice: &mut Dice, ids: &[Id]) -> What {
    let by = || "sato".to_owned();
    let other = ids[dice.one_of(ids.len())];
    match dice.one_of(20) {
        0 | 1 => StatusChanged { to: Status::ALL[dice.one_of(Status::ALL.len())], by: by() }.into(),
        2 => StatusChanged { to: Status::Resolved, by: by() }.into(),
        3 | 4 => TempFixDone { by: by() }.into(),
        5 | 6 => {
            let spelt = [["development", "support", "quality"], ["support", " Support", " "]][dice.one_of(2)];
            let roles = spelt.iter().take(1 + dice.one_of(3));
            PostmortemHeld { roles: roles.map(|role| (*role).to_owned()).collect(), attendees: vec![by()], by: by() }
                .into()
        }
        7 => {
            let of = if dice.one_of(4) == 0 { Id(7) } else { other };
            let verdict = [Verdict::True, Verdict::FalsePositive, Verdict::DuplicateOf(of)][dice.one_of(3)];
            Judged { verdict, by: by() }.into()
        }
        8..=10 => Completed { by: by() }.into(),
        11 | 12 => Reopened { reason: ["it is back", ""][dice.one_of(2)].into(), by: by() }.into(),
        13 => MergedInto { incident: other, by: by() }.into(),
        14 => TelemetryRecovered { why: "back at 300 mA".into() }.into(),
        15 => {
            let to = Urgency::ALL[dice.one_of(Urgency::ALL.len())];
            let by = (dice.one_of(2) == 0).then(by);
            UrgencyChanged { to, reason: "r".into(), ground: None, by }.into()
        }
        16 => {
            let (item, text) = (dice.one_of(2).to_string(), "grease".into());
            ActionItemAdded { item, text, kind: ActionKind::Fix, owner: None, due_ms: Some(5), by: by() }.into()
        }
        17 => {
            let item = dice.one_of(3).to_string();
            ActionItemChanged { item, status: ActionStatus::ALL[dice.one_of(3)], by: by() }.into()
        }
        18 => What::Other { kind: "of_tomorrow".into(), body: format!("{{ \"score\" : {}.50 }}", dice.byte()) },
        _ => match dice.one_of(7) {
            5 | 6 => {
                let step = ["look", "grease", "taken"][dice.one_of(3)].to_owned();
                RunbookStepDone { step, by: by() }.into()
            }
            0 => Acknowledged { by: by() }.into(),
            1 => OwnerAssigned { owner: "mori".into(), by: by() }.into(),
            2 => Note { text: "=HYPERLINK(\u{202e}@channel)".into(), by: by() }.into(),
            3 => EffortAdded { minutes: dice.byte().into(), work: Work::Customer, by: by() }.into(),
            _ => {
                let (to, component, reason) = (Domain::Firmware, Component::FwImage, "logs".into());
                DomainChanged { to, component, reason, by: by() }.into()
            }
        },
    }
}

/// A runbook for every incident, with all that a runbook may do.
const RUNBOOK: &str = r#"
id = "any"
version = 1
label = "ours"
title_en = "Any"
title_ja = "全て"
match = { rule = "*" }
[[step]]
id = "look"
text_en = "Look."
text_ja = "確認"
on_done = { status = "investigating" }
[[step]]
id = "grease"
text_en = "Grease."
text_ja = "注油"
on_done = { event = "temp_fix_done", status = "resolved" }
[[auto]]
id = "taken"
when = "acknowledged"
do = { status = "fixing", note = "taken" }
[[auto]]
id = "fixed"
when = "temp_fix_done"
do = { note = "fixed" }
[[auto]]
id = "calm"
when = "telemetry_recovered"
for_hours = 1
do = { note = "calm" }
"#;

fn policy() -> Arc<Policy> {
    static READ: OnceLock<Arc<Policy>> = OnceLock::new();
    let runbooks = || Some(vec![("any.toml".to_owned(), RUNBOOK.to_owned())]);
    let read = || Policy::read(&Texts { runbooks: runbooks(), ..Texts::default() }).expect("it is good").into();
    Arc::clone(READ.get_or_init(read))
}

/// The casebook and the log after one random sequence.
fn run(seed: u64) -> (Casebook, Vec<Event>) {
    let mut dice = Dice(zenei_kit::scattered(seed));
    let (mut book, mut log, mut ids) = (Casebook::new(policy()), Vec::new(), Vec::new());
    let mut at_s = 0;
    // In one of eight, faults come and go.
    let recoveries = if dice.one_of(8) == 0 { 0.6 } else { 0.0 };
    for _ in 0..4 + dice.below(STEPS_MAX - 4) {
        at_s += dice.below(7_200) as i64;
        let at = EngineTime(at_s * 1_000);
        let mut draft = book.draft();
        let events = match dice.one_of(9) {
            0 => {
                if dice.one_of(4) == 0 {
                    let matches = Matcher { device: Some("A".into()), ..Matcher::default() };
                    let kind = SilenceKind::ALL[dice.one_of(2)];
                    let times = (at.ms(), at.ms() + 7_200_000);
                    let silence = Silence::new(kind, matches, times, ("swap", "sato"), at).expect("it is complete");
                    draft.add_silence(silence, at).expect("its time makes it new");
                }
                draft.pass(at, |_| Some(at)).expect("time breaks no rule")
            }
            1..=4 => {
                let findings = Findings { anomalies: vec![finding(&mut dice, at_s)], ..Findings::default() };
                draft.take(&findings, |_| Ok::<bool, ApplyError>(true)).expect("findings break no rule").events
            }
            _ if ids.is_empty() => Vec::new(),
            _ => {
                let recovered = || TelemetryRecovered { why: "back at 300 mA".into() }.into();
                let what = if dice.is(recoveries) { recovered() } else { step(&mut dice, &ids) };
                let id = ids[dice.one_of(ids.len())];
                draft.act(id, at, what).unwrap_or_default()
            }
        };
        let changes = draft.into_changes();
        book.absorb(changes);
        ids.extend(events.iter().filter(|event| event.seq == 0).map(|event| event.incident));
        log.extend(events);
    }
    (book, log)
}

/// What the checker knows of one incident.
#[derive(Default)]
struct Seen {
    events: u32,
    fingerprint: Option<Id>,
    is_open: bool,
    is_complete: bool,
    is_fixed: bool,
    roles: BTreeSet<String>,
    is_no_fault: bool,
}

/// The rules that a log breaks.
fn broken(log: &[Event]) -> BTreeSet<&'static str> {
    let (mut all, mut found) = (BTreeMap::<Id, Seen>::new(), BTreeSet::new());
    for event in log {
        let is_known = |id: Id| id != event.incident && all.contains_key(&id);
        let is_other =
            matches!(&event.what, What::Judged(Judged { verdict: Verdict::DuplicateOf(of), .. }) if is_known(*of));
        let seen = all.entry(event.incident).or_default();
        if event.seq != seen.events {
            found.insert("gapless");
        }
        seen.events += 1;
        let was_open = seen.is_open;
        if let What::Opened(opened) = &event.what {
            (seen.fingerprint, seen.is_open) = (Some(opened.fingerprint), true);
        } else if let What::EvidenceAdded(_) = &event.what {
            if !was_open {
                found.insert("a terminal incident takes no lock");
            }
        } else if let What::StatusChanged(changed) = &event.what {
            seen.is_open = changed.to != Status::Resolved && changed.to != Status::Close;
        } else if let What::MergedInto(_) = &event.what {
            seen.is_open = false;
        } else if let What::TempFixDone(_) = &event.what {
            seen.is_fixed = true;
        } else if let What::PostmortemHeld(held) = &event.what {
            let named = held.roles.iter().map(|role| role.trim().to_lowercase());
            seen.roles.extend(named.filter(|role| !role.is_empty()));
        } else if let What::Judged(judged) = &event.what {
            seen.is_no_fault = judged.verdict == Verdict::FalsePositive || is_other;
            if seen.is_complete {
                found.insert("completion");
            }
        } else if let What::Completed(_) = &event.what {
            if !(seen.is_no_fault || seen.is_fixed && seen.roles.len() >= 2) {
                found.insert("completion");
            }
            (seen.is_open, seen.is_complete) = (false, true);
        } else if let What::Reopened(_) = &event.what {
            let (events, fingerprint) = (seen.events, seen.fingerprint);
            *seen = Seen { events, fingerprint, is_open: true, ..Seen::default() };
        }
        let open = all.values().filter(|seen| seen.is_open).map(|seen| seen.fingerprint);
        let (count, different) = (open.clone().count(), open.collect::<BTreeSet<_>>().len());
        if count != different {
            found.insert("one open incident of a fingerprint");
        }
    }
    found
}

/// A log as a store has it.
type Rows = Vec<(Id, u32, EngineTime, String, String)>;

fn stored(log: &[Event]) -> Rows {
    let row = |event: &Event| {
        (event.incident, event.seq, event.at, event.kind_word().to_owned(), event.body().expect("it can be written"))
    };
    log.iter().map(row).collect()
}

fn read(rows: &Rows) -> Vec<Event> {
    let event = |(incident, seq, at, kind, body): &(Id, u32, EngineTime, String, String)| {
        Event::read(*incident, *seq, *at, kind, body).expect("it was written by this program")
    };
    rows.iter().map(event).collect()
}

fn bytes(book: &Casebook) -> String {
    serde_json::to_string(&book.incidents().collect::<Vec<_>>()).expect("incidents can be written")
}

/// Whether the stored log gives the very bytes of the casebook that made it, in its order or grouped by incident, and
/// writes the rows that were read.
fn check_bytes(book: &Casebook, rows: &Rows, is_grouped: bool) -> Result<(), String> {
    let mut log = read(rows);
    if stored(&log) != *rows {
        return Err("a row is written otherwise than it was read".into());
    }
    if is_grouped {
        log.sort_by_key(|event| (event.incident, event.seq));
    }
    let mut fold = Casebook::fold(policy(), &log).map_err(|error| error.to_string())?;
    if bytes(&fold) != bytes(book) {
        return Err("the log gives other bytes".into());
    }
    // Silences have a log of their own.
    fold.set_silences(book.silences().clone());
    if fold == *book {
        Ok(())
    } else {
        Err("the log gives the same incidents, but other findings belong to them".into())
    }
}

fn check(seed: u64) -> Vec<&'static str> {
    let (book, log) = run(seed);
    assert_eq!(broken(&log), BTreeSet::new(), "sequence {seed}");
    let rows = stored(&log);
    assert_eq!(check_bytes(&book, &rows, seed.is_multiple_of(2)), Ok(()), "sequence {seed}");
    let kinds: BTreeSet<&str> = rows.iter().map(|row| row.3.as_str()).collect();
    zenei_incident::event::WORDS.iter().copied().chain(["of_tomorrow"]).filter(|word| kinds.contains(word)).collect()
}

#[test]
fn random_sequences_break_no_rule_of_the_log() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let kinds = std::thread::scope(|scope| {
        let part = |first: u64| move || (first..SEQUENCES).step_by(threads as usize).flat_map(check).collect();
        let parts: Vec<_> = (0..threads).map(|first| scope.spawn(part(first))).collect();
        let all: Vec<BTreeSet<&str>> = parts.into_iter().map(|part| part.join().expect("its sequences hold")).collect();
        all.into_iter().flatten().collect::<BTreeSet<&str>>()
    });
    // The sequences come everywhere: a property over logs without a reopening would say nothing about one.
    for kind in [
        "completed",
        "reopened",
        "merged_into",
        "muted",
        "unmuted",
        "flapping_started",
        "runbook_step_done",
        "of_tomorrow",
    ] {
        assert!(kinds.contains(kind), "{kind} is in no sequence; found are {kinds:?}");
    }
}

/// The logs of some sequences, each broken by `wreck` where it can be; the rule must be found broken every time.
fn control(rule: &str, wreck: impl Fn(&mut Vec<Event>) -> bool) {
    let mut wrecked = 0;
    for seed in 0..400 {
        let (_, mut log) = run(seed);
        if wreck(&mut log) {
            wrecked += 1;
            assert!(broken(&log).contains(rule), "sequence {seed}: the checker does not see it");
        }
    }
    assert!(wrecked >= 20, "only {wrecked} sequences could be wrecked");
}

fn next_of(log: &[Event], incident: Id) -> u32 {
    log.iter().filter(|event| event.incident == incident).count() as u32
}

#[test]
fn the_checker_sees_a_hole() {
    control("gapless", |log| {
        let last = log
            .iter()
            .rposition(|event| log.iter().any(|later| later.incident == event.incident && later.seq > event.seq));
        last.map(|at| log.remove(at)).is_some()
    });
}

#[test]
fn the_checker_sees_two_open_incidents_of_one_fingerprint() {
    control("one open incident of a fingerprint", |log| {
        let Some(first) = log.first().cloned() else { return false };
        log.insert(1, Event { incident: Id(1), ..first });
        true
    });
}

#[test]
fn the_checker_sees_a_completion_without_a_fix() {
    control("completion", |log| {
        let Some(first) = log.first().cloned() else { return false };
        log.truncate(1);
        log.push(Event { seq: 1, what: TempFixDone { by: "sato".into() }.into(), ..first.clone() });
        log.push(Event { seq: 2, what: Completed { by: "sato".into() }.into(), ..first });
        true
    });
}

#[test]
fn the_checker_sees_a_completion_with_one_role_spelt_twice_a_duplicate_of_nothing_or_a_later_verdict() {
    let by = || "sato".to_owned();
    let held = |roles: [&str; 2]| {
        PostmortemHeld { roles: roles.map(str::to_owned).into(), attendees: vec![], by: by() }.into()
    };
    let judged = |verdict| Judged { verdict, by: by() }.into();
    let fixed = || TempFixDone { by: by() }.into();
    let done = || Completed { by: by() }.into();
    let (_, log) = run(3);
    let first = log.first().expect("it has a finding").clone();
    let is_broken = |steps: Vec<What>| {
        let event = |(seq, what)| Event { seq, what, ..first.clone() };
        let log: Vec<Event> =
            [first.what.clone()].into_iter().chain(steps).zip(0..).map(|(what, seq)| event((seq, what))).collect();
        broken(&log).contains("completion")
    };
    assert!(!is_broken(vec![fixed(), held(["support", "quality"]), done()]));
    assert!(!is_broken(vec![judged(Verdict::FalsePositive), done()]));
    assert!(is_broken(vec![fixed(), held(["support", " Support"]), done()]));
    assert!(is_broken(vec![fixed(), held(["", "support"]), done()]));
    assert!(is_broken(vec![judged(Verdict::DuplicateOf(Id(7))), done()]));
    assert!(is_broken(vec![judged(Verdict::DuplicateOf(first.incident)), done()]));
    assert!(is_broken(vec![judged(Verdict::FalsePositive), done(), judged(Verdict::True)]));
}

#[test]
fn the_checker_sees_a_lock_that_joins_what_is_resolved() {
    control("a terminal incident takes no lock", |log| {
        let Some(evidence) = log.iter().find(|event| matches!(event.what, What::EvidenceAdded(_))).cloned() else {
            return false;
        };
        let resolved = StatusChanged { to: Status::Resolved, by: "sato".into() };
        let seq = next_of(log, evidence.incident);
        log.push(Event { seq, what: resolved.into(), ..evidence.clone() });
        log.push(Event { seq: seq + 1, ..evidence });
        true
    });
}

#[test]
fn the_checker_sees_a_byte_that_changed_and_the_fold_a_log_that_breaks_a_rule() {
    let (mut changed, mut refused) = (0, 0);
    for seed in 0..1_200 {
        let (book, log) = run(seed);
        let rows = stored(&log);
        let Some(at) = rows.iter().position(|row| row.3 == "owner_assigned") else { continue };
        let mut other = rows.clone();
        other[at].4 = other[at].4.replace("mori", "kato");
        let is_last = !rows[at + 1..].iter().any(|row| row.0 == rows[at].0 && row.3 == "owner_assigned");
        if is_last {
            changed += 1;
            assert!(check_bytes(&book, &other, false).is_err(), "sequence {seed}");
        }
        let mut hole = rows.clone();
        hole.remove(at);
        if hole[at..].iter().any(|row| row.0 == rows[at].0) {
            refused += 1;
            assert!(check_bytes(&book, &hole, false).is_err(), "sequence {seed}");
        }
    }
    assert!(changed >= 20 && refused >= 20, "{changed} changed, {refused} with a hole");
}
