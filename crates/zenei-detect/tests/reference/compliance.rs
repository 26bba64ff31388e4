//! Checks what every detector must do, whatever it looks for: a restart changes nothing, a reset discards what was
//! learned of the lock, records that are late or can't be read count only where the detector declares it, and how a
//! stream is split into calls changes nothing. Every detector in the list is checked. Each check has a control: a
//! deliberately broken promise must be detected.
use super::locks::{Life, Plan, stream, stream_of};
use super::stream::{Moment, Stream, restarted, show, start};
use zenei_detect::anomaly::{Findings, ScopeKind};
use zenei_detect::batch::{Row, UnreadableRow};
use zenei_detect::detect;
use zenei_detect::detect::running::{Detector, Spec};
use zenei_detect::engine::Engine;
use zenei_detect::{DeviceIx, Fleet, Rule, Rules};
use zenei_wire::{EngineTime, EventKind};

/// The streams; each detector has findings in some of them.
const STREAMS: [(u64, Plan); 5] = [
    (0x9e37_79b9_7f4a_7c15, Plan::FEW),
    (0x3c6e_f372_fe94_f82a, Plan::FEW),
    (0xdaa6_6d2c_7ddf_743f, Plan::FEW),
    (0x3c6e_f372_fe94_f82a, Plan::MANY),
    (0xdaa6_6d2c_7ddf_743f, Plan::MANY),
];
/// The number of moments between two restarts: no divisor of the number in an hour, so that restarts fall inside
/// windows.
const RESTARTED_EVERY: usize = 97;

/// A rule of this detector, live: an embedded one, or the one that the tests keep for a detector that no embedded rule
/// drives, `tests/reference/rules/<detector>.toml`.
fn rules(spec: &Spec) -> Rules {
    let embedded = Rules::embedded().unwrap().promoted();
    if let Some(rule) = embedded.iter().find(|rule| *rule.detector == spec.kind) {
        return embedded.only(&rule.id);
    }
    let path = format!("{}/tests/reference/rules/{}.toml", env!("CARGO_MANIFEST_DIR"), spec.kind.word);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    Rules::parse([(path.as_str(), text.as_str())]).unwrap()
}

fn each(check: impl Fn(&Spec, &Rule)) {
    for spec in detect::ALL {
        let rules = rules(spec);
        check(spec, rules.iter().next().unwrap());
    }
}

fn streams() -> Vec<Stream> {
    STREAMS.iter().map(|&(seed, plan)| stream(seed, plan)).collect()
}

/// The findings of a detector on a stream, and its state at the end; `after` may replace the detector after a moment.
fn run(
    rule: &Rule,
    stream: &Stream,
    after: impl Fn(usize, Box<dyn Detector>) -> Box<dyn Detector>,
) -> (Findings, Vec<u8>) {
    let (mut detector, mut findings) = (start(rule), Findings::default());
    for (at, moment) in stream.moments.iter().enumerate() {
        show(&mut *detector, moment, &stream.fleet, &mut findings);
        detector = after(at, detector);
    }
    (findings, detector.state().unwrap())
}

#[test]
fn a_restart_changes_nothing() {
    let streams = streams();
    each(|spec, rule| {
        let (mut lost, mut found) = (false, 0);
        for stream in &streams {
            let undisturbed = run(rule, stream, |_, detector| detector);
            let is_due = |at: usize| at.is_multiple_of(RESTARTED_EVERY);
            let again = run(rule, stream, |at, old| if is_due(at) { restarted(&*old) } else { old });
            assert!(again == undisturbed, "{}: a restart changes findings or state", spec.kind.word);
            // Control: a detector that starts without its state gives another result.
            lost |= run(rule, stream, |at, old| if is_due(at) { start(rule) } else { old }).0 != undisturbed.0;
            found += undisturbed.0.anomalies.len();
        }
        assert!(lost && found > 0, "{}: {found} findings, none depends on what is remembered", spec.kind.word);
    });
}

#[test]
fn records_that_are_late_or_cannot_be_read_count_only_where_the_detector_says_so() {
    let streams = streams();
    each(|spec, rule| {
        let (mut late, mut unreadable) = (false, false);
        for stream in &streams {
            let (mut detector, mut findings) = (start(rule), Findings::default());
            for moment in &stream.moments {
                let before = match moment {
                    Moment::Late(..) | Moment::Refused(..) => Some(detector.state().unwrap()),
                    Moment::Said(_) | Moment::Happened(..) | Moment::Close(..) => None,
                };
                show(&mut *detector, moment, &stream.fleet, &mut findings);
                let Some(before) = before else { continue };
                let is_touched = detector.state().unwrap() != before;
                match moment {
                    Moment::Late(..) => late |= is_touched,
                    Moment::Refused(..) => unreadable |= is_touched,
                    Moment::Said(_) | Moment::Happened(..) | Moment::Close(..) => {}
                }
            }
        }
        let says = (spec.counts_late, spec.counts_unreadable);
        assert_eq!((late, unreadable), says, "{}: late records, records that can't be read", spec.kind.word);
    });
}

/// The findings about locks in a second life, after a first life with the same ids, with `event` between the two.
fn second_life(rule: &Rule, (seed, plan): (u64, Plan), event: Option<EventKind>) -> (Findings, Vec<u8>) {
    let first = stream(seed, plan);
    let second = stream_of(!seed, plan, Life::after(plan, 'L'), first.fleet.clone());
    lives(rule, &first, &second, event)
}

/// The findings about the same locks with new ids.
fn new_locks(rule: &Rule, (seed, plan): (u64, Plan)) -> (Findings, Vec<u8>) {
    let first = stream(seed, plan);
    let mut fleet = first.fleet.clone();
    // In the same order: shared statistics are learned from one lock after the other.
    for device in devices(&first.fleet) {
        fleet.number(&first.fleet.device_id(device).replace('L', "M"));
    }
    let second = stream_of(!seed, plan, Life::after(plan, 'M'), fleet);
    // The locks of the first life must not be what the new ones are compared with either.
    let (mut found, state) = lives(rule, &first, &second, Some(EventKind::Installed));
    // They are silent in the second life; findings about that concern no new lock.
    let is_old = |kind: ScopeKind, value: &str| kind == ScopeKind::Device && value.starts_with('L');
    found.anomalies.retain(|anomaly| !is_old(anomaly.scope.kind, &anomaly.scope.value));
    found.decisions.retain(|decision| !is_old(decision.scope.kind, &decision.scope.value));
    (found, state)
}

fn devices(fleet: &Fleet) -> impl Iterator<Item = DeviceIx> {
    (0..fleet.len() as u32).map(DeviceIx)
}

fn lives(rule: &Rule, first: &Stream, second: &Stream, event: Option<EventKind>) -> (Findings, Vec<u8>) {
    let (mut detector, mut findings) = (start(rule), Findings::default());
    for moment in &first.moments {
        show(&mut *detector, moment, &second.fleet, &mut findings);
    }
    findings.clear();
    for device in devices(&first.fleet) {
        event.into_iter().for_each(|event| detector.happened(event, device));
    }
    for moment in &second.moments {
        show(&mut *detector, moment, &second.fleet, &mut findings);
    }
    (findings, detector.state().unwrap())
}

/// Findings as text, with ids that begin alike, and without the digests that are made of them.
fn told(findings: &Findings) -> String {
    let mut findings = findings.clone();
    findings.anomalies.iter_mut().for_each(|anomaly| anomaly.id = zenei_wire::Id(0));
    let mut text = format!("{findings:#?}");
    for at in 0..100 {
        // In sentences too.
        text = text.replace(&format!("M{at:02}"), &format!("L{at:02}"));
    }
    text
}

/// Where two texts begin to differ.
fn difference(new: &str, installed: &str) -> String {
    let same = new.lines().zip(installed.lines()).take_while(|(new, installed)| new == installed).count();
    let from = |text: &str| text.lines().skip(same.saturating_sub(12)).take(40).collect::<Vec<_>>().join("\n");
    format!("of new locks:\n{}\nof installed ones:\n{}", from(new), from(installed))
}

#[test]
fn what_was_learned_of_a_lock_is_forgotten_when_another_one_is_installed() {
    each(|spec, rule| {
        let mut remembers = false;
        for stream in STREAMS {
            let new = told(&new_locks(rule, stream).0);
            let (found, state) = second_life(rule, stream, Some(EventKind::Installed));
            let installed = told(&found);
            assert!(new == installed, "{}: {}", spec.kind.word, difference(&new, &installed));
            // Control: without the event the past lasts.
            remembers |= second_life(rule, stream, None) != (found, state);
        }
        assert!(remembers, "{}: a past that is not forgotten changes nothing either", spec.kind.word);
    });
}

#[test]
fn how_a_stream_is_split_into_calls_changes_nothing() {
    let streams = streams();
    for spec in detect::ALL {
        let mut found = 0;
        for stream in &streams {
            let rules = rules(spec);
            let whole = engine(rules.clone(), stream, usize::MAX);
            for calls_of in [1, 1_000] {
                let split = engine(rules.clone(), stream, calls_of);
                assert!(split == whole, "{}: calls of {calls_of} records", spec.kind.word);
            }
            found += whole.anomalies.len() + whole.decisions.len();
        }
        assert!(found > 0, "{}: nothing is found", spec.kind.word);
    }
}

/// The engine's findings with so many records a call.
fn engine(rules: Rules, stream: &Stream, calls_of: usize) -> Findings {
    let (mut fleet, mut findings, mut engine) = (stream.fleet.clone(), Findings::default(), Engine::new(rules));
    let mut heard: Vec<(EngineTime, Result<&Row, UnreadableRow>)> = stream.moments.iter().filter_map(heard).collect();
    heard.sort_by_key(|(at, _)| *at);
    for call in heard.chunks(calls_of) {
        let rows: Vec<Row> = call.iter().filter_map(|(_, heard)| (*heard).ok().cloned()).collect();
        let unreadable: Vec<UnreadableRow> = call.iter().filter_map(|(_, heard)| (*heard).err()).collect();
        engine.ingest(&rows, &unreadable, call[call.len() - 1].0, &mut fleet, &mut findings);
    }
    findings
}

/// The record of a moment, and when the engine takes it.
fn heard(moment: &Moment) -> Option<(EngineTime, Result<&Row, UnreadableRow>)> {
    match moment {
        Moment::Said(said) => Some((said.row.released_at, Ok(&said.row))),
        Moment::Refused(device, at) => Some((*at, Err(UnreadableRow { device: *device, at: *at }))),
        Moment::Happened(..) | Moment::Late(..) | Moment::Close(..) => None,
    }
}
