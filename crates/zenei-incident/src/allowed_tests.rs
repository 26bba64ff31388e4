//! Tests of the rules for new steps.
use super::*;
use crate::correlate::Casebook;
use crate::event::{Acknowledged, Completed, Judged, OwnerAssigned, PostmortemHeld, Reopened, TempFixDone};
use crate::incident::ApplyError;
use zenei_detect::Findings;
use zenei_kit::anomaly;
use zenei_wire::EngineTime;

const BY: &str = "sato";

fn held(roles: &[&str]) -> What {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    PostmortemHeld { roles, attendees: Vec::new(), by: BY.into() }.into()
}

fn judged(verdict: Verdict) -> What {
    Judged { verdict, by: BY.into() }.into()
}

fn fixed() -> What {
    TempFixDone { by: BY.into() }.into()
}

fn completed() -> What {
    Completed { by: BY.into() }.into()
}

fn seen() -> What {
    Acknowledged { by: BY.into() }.into()
}

/// The first refusal of these steps, on the first of two incidents; the steps may name both.
fn refused(steps: impl Fn(Id, Id) -> Vec<What>) -> Option<Refused> {
    let mut book = Casebook::default();
    let anomalies = vec![anomaly("motor_effort", "A", 1), anomaly("motor_effort", "B", 1)];
    let findings = Findings { anomalies, ..Findings::default() };
    let mut draft = book.draft();
    let opened: Vec<Id> = draft.take(&findings, |_| Ok::<_, ApplyError>(true)).unwrap().opened().collect();
    for what in steps(opened[0], opened[1]) {
        if let Err(error) = draft.act(opened[0], EngineTime(5_000), what) {
            return Some(error.reason);
        }
    }
    let changes = draft.into_changes();
    book.absorb(changes);
    None
}

#[test]
fn a_duplicate_is_one_of_another_incident_that_exists() {
    assert_eq!(refused(|_, other| vec![judged(Verdict::DuplicateOf(other)), completed()]), None);
    let is_refused = |found: Option<Refused>| matches!(found, Some(Refused::NotDuplicate { .. }));
    assert!(is_refused(refused(|this, _| vec![judged(Verdict::DuplicateOf(this))])));
    assert!(is_refused(refused(|_, _| vec![judged(Verdict::DuplicateOf(Id(7)))])));
}

#[test]
fn two_roles_are_two_words_and_not_one_spelt_twice() {
    let incomplete = Some(Refused::Incomplete { temp_fix: true, roles: 1 });
    for one in [["a", " a"], ["x", "X"], ["", "support"]] {
        assert_eq!(refused(|_, _| vec![fixed(), held(&one), completed()]), incomplete, "{one:?}");
    }
    assert_eq!(refused(|_, _| vec![fixed(), held(&[" "])]), Some(Refused::NoRole));
    assert_eq!(refused(|_, _| vec![fixed(), held(&["a", "b"]), completed()]), None);
}

#[test]
fn a_complete_incident_takes_no_verdict_owner_or_fix_until_it_is_open_again() {
    let over = |step: What| vec![judged(Verdict::FalsePositive), completed(), step];
    let owner = || OwnerAssigned { owner: "mori".into(), by: BY.into() }.into();
    for step in [judged(Verdict::True), owner(), fixed(), seen()] {
        assert_eq!(refused(|_, _| over(step.clone())), Some(Refused::Over), "{step:?}");
    }
    let again = || Reopened { reason: "it is back".into(), by: BY.into() }.into();
    let reopened = |_, _| over(again()).into_iter().chain([judged(Verdict::True), fixed()]).collect();
    assert_eq!(refused(reopened), None);
}

#[test]
fn a_second_acknowledgement_by_the_same_person_is_refused() {
    assert!(matches!(refused(|_, _| vec![seen(), seen()]), Some(Refused::OtherState { .. })));
    let other = || Acknowledged { by: "mori".into() }.into();
    assert_eq!(refused(|_, _| vec![seen(), other()]), None);
}

#[test]
fn a_log_of_an_earlier_version_folds_as_it_stands() {
    let mut book = Casebook::default();
    let findings = Findings { anomalies: vec![anomaly("motor_effort", "A", 1)], ..Findings::default() };
    let mut draft = book.draft();
    let mut log = draft.take(&findings, |_| Ok::<_, ApplyError>(true)).unwrap().events;
    let first = log[0].clone();
    for what in [fixed(), held(&["a", " a"]), completed(), judged(Verdict::True), seen(), seen()] {
        log.push(Event { seq: log.len() as u32, what, ..first.clone() });
    }
    book = Casebook::fold(std::sync::Arc::default(), &log).unwrap();
    assert_eq!(book.incidents().map(|incident| incident.status).collect::<Vec<_>>(), [Status::Close]);
}

#[test]
fn a_refused_completion_names_only_what_is_missing() {
    let text = |steps: Vec<What>| refused(|_, _| steps.clone()).unwrap().to_string();
    assert_eq!(
        text(vec![fixed(), completed()]),
        "complete needs a postmortem with 2 roles (held with 0), or a verdict other than true"
    );
    let both = held(&["support", "quality"]);
    assert_eq!(text(vec![both, completed()]), "complete needs the temporary fix, or a verdict other than true");
}
