//! Tests of silences: what they match, when, and that they end.
use super::*;
use zenei_kit::anomaly;

const AT: EngineTime = EngineTime(1_000);

fn of(matches: Matcher) -> Result<Silence, SilenceError> {
    Silence::new(SilenceKind::Silence, matches, (2_000, 9_000), ("battery swap", "sato"), AT)
}

fn device(lock: &str) -> Matcher {
    Matcher { device: Some(lock.into()), ..Matcher::default() }
}

fn matches(matcher: &Matcher, places: &Places) -> bool {
    matcher.fits(&Subject::finding(&anomaly("motor_effort", "A", 1), None), places)
}

#[test]
fn a_silence_has_an_end_a_reason_and_something_that_it_is_about() {
    assert!(matches!(of(Matcher::default()), Err(SilenceError::MatchesAll)));
    let new = |times, words| Silence::new(SilenceKind::Silence, device("A"), times, words, AT);
    assert!(matches!(new((2_000, 9_000), (" ", "sato")), Err(SilenceError::Missing { missing: "reason" })));
    assert!(matches!(new((2_000, 9_000), ("swap", "")), Err(SilenceError::Missing { missing: "by" })));
    for times in [(2_000, 2_000), (0, 1_000), (2_000, 2_001 + LENGTH_MAX_MS), (i64::MIN, i64::MAX)] {
        assert!(matches!(new(times, ("swap", "sato")), Err(SilenceError::Length { .. })), "{times:?}");
    }
    assert!(new((2_000, 2_000 + LENGTH_MAX_MS), ("swap", "sato")).is_ok());
}

#[test]
fn everything_that_is_given_must_hold() {
    let places = Places::default();
    assert!(matches(&device("A"), &places));
    assert!(!matches(&device("B"), &places));
    assert!(!matches(&Matcher { domain: Some(Domain::Software), ..device("A") }, &places));
    assert!(matches(&Matcher { rule: Some("motor_effort".into()), ..device("A") }, &places));
    assert!(!matches(&Matcher::default(), &places));
}

#[test]
fn a_site_matches_its_locks_by_the_registry_and_nothing_without_one() {
    let site = Matcher { site: Some("tokyo".into()), ..Matcher::default() };
    assert!(!matches(&site, &Places::default()));
    let place = Place { site: Some("tokyo".into()), ..Place::default() };
    assert!(matches(&site, &Places::from_iter([("A".to_owned(), place)])));
}

#[test]
fn a_silence_of_one_lock_leaves_what_concerns_others_too() {
    let mut wide = anomaly("motor_effort", "A", 1);
    wide.evidence.extend(anomaly("motor_effort", "B", 1).evidence);
    assert!(!device("A").fits(&Subject::finding(&wide, None), &Places::default()));
}

#[test]
fn a_silence_is_in_force_from_its_beginning_until_its_end_or_until_a_person_ends_it() {
    let silence = of(device("A")).unwrap();
    let added = SilenceEvent { silence: silence.id, at: AT, what: SilenceWhat::Added(silence.clone()) };
    let what = SilenceWhat::Ended(Ended { by: "mori".into() });
    let ended = SilenceEvent { silence: silence.id, at: EngineTime(5_000), what };
    let in_force = |silences: &Silences| {
        [1_999, 2_000, 4_999, 5_000, 8_999, 9_000].map(|at| silences.is_in_force(&silence, EngineTime(at)))
    };
    assert_eq!(in_force(&Silences::fold([&added]).unwrap()), [false, true, true, true, true, false]);
    assert_eq!(in_force(&Silences::fold([&added, &ended]).unwrap()), [false, true, true, false, false, false]);
    for wrong in [vec![&ended], vec![&added, &added], vec![&added, &ended, &ended]] {
        assert!(matches!(Silences::fold(wrong), Err(SilenceError::Order { .. })));
    }
}

#[test]
fn a_stored_silence_reads_back_and_its_id_is_of_its_content() {
    let silence = of(device("A")).unwrap();
    let event = SilenceEvent { silence: silence.id, at: AT, what: SilenceWhat::Added(silence.clone()) };
    let read = SilenceEvent::read(silence.id, AT, event.kind_word(), &event.body().unwrap()).unwrap();
    assert_eq!(read, Some(event));
    assert_eq!(SilenceEvent::read(silence.id, AT, "of_tomorrow", "{}").unwrap(), None);
    assert!(SilenceEvent::read(silence.id, AT, "ended", "{}").is_err());
    assert_eq!(of(device("A")).unwrap().id, silence.id);
    assert_ne!(of(device("B")).unwrap().id, silence.id);
}
