//! Does a rule do what its author claims? Runs a rule's test case (synthetic records, or a recording) through the same
//! intake, engine and desk as `replay`, and compares the resulting incidents with the expected ones. Must not know a
//! detector, or how an outcome is shown. Called by `rules test`.
mod case;
mod formula;
mod outcome;
mod read;
mod records;

pub(crate) use case::{Case, Expected};
pub(crate) use outcome::{Outcome, ResultingIncident};
pub(crate) use read::read;

use crate::daemon::contents::Registry;
use crate::exit::Failure;
use crate::replay::{Course, PlayError, Recording, STEP_MESSAGES};
use case::Input;
use std::path::Path;
use zenei_detect::Rules;
use zenei_detect::rules::folder::{KINDS, kind};
use zenei_store::RuleText;

/// Runs a case under all the rules, or under its own rule alone where the case demands that.
///
/// # Errors
/// [`Failure::Rules`] where its recording can't be read, [`Failure::Broken`] where the desk fails.
pub(crate) fn check(rules: &Rules, rule: &str, file: &RuleText, case: &Case) -> Result<Outcome, Failure> {
    let broken = |error| Failure::broken(format!("{} can't be run", file.file), error);
    // As if they were live: a rule is tested before it is promoted.
    let rules = if case.alone { rules.only(rule) } else { rules.clone() };
    let mut course = Course::new(rules.promoted(), Registry::default()).map_err(broken)?;
    let start_ms = match &case.input {
        Input::Made(stream) => {
            for step in records::messages(stream).chunks(STEP_MESSAGES) {
                course.messages(step).map_err(broken)?;
            }
            Some(records::START_MS)
        }
        Input::Recording(path) => {
            let beside = Path::new(&file.file).parent().unwrap_or(Path::new("")).join(path);
            play(&beside, &mut course)?
        }
    };
    course.end().map_err(broken)?;
    let mut outcome = Outcome::of(&case.expect, found(&course, start_ms.unwrap_or(0)));
    let dead = &course.counts().dead_letters;
    if !dead.is_empty() && matches!(case.input, Input::Made(_)) {
        let dead: Vec<String> = dead.iter().map(|(reason, count)| format!("{count} {}", reason.as_str())).collect();
        outcome.faults.push(format!("its records can't all be read: {}", dead.join(", ")));
    }
    outcome.faults.extend(faults(rule, file, case));
    Ok(outcome)
}

/// Plays a recording; returns the time of its first message.
fn play(path: &Path, course: &mut Course) -> Result<Option<i64>, Failure> {
    let mut recording = Recording::open(path).map_err(Failure::Rules)?;
    let start = recording.play(course).map_err(|error| match error {
        PlayError::Recording(what) => Failure::Rules(what),
        PlayError::Course(error) => Failure::broken(format!("{} can't be played", path.display()), error),
    })?;
    Ok(start.map(|start| start.ms()))
}

fn found(course: &Course, start_ms: i64) -> Vec<ResultingIncident> {
    let book = course.desk().incidents();
    let book = book.read();
    let mut incidents: Vec<_> = book.incidents().collect();
    incidents.sort_by_key(|incident| (incident.opened, incident.id));
    let found = incidents.into_iter().map(|incident| ResultingIncident {
        rule: incident.rule.clone(),
        scope: incident.scope.clone(),
        domain: incident.domain,
        component: incident.component,
        day: (incident.opened.ms() - start_ms) as f64 / 86_400_000.0,
    });
    found.collect()
}

/// The faults of a case that does not contain what its kind promises.
fn faults(rule: &str, file: &RuleText, case: &Case) -> Vec<String> {
    let expects = case.expect.iter().any(|expected| expected.rule == rule);
    let mut faults = Vec::new();
    match kind(&file.name) {
        Some("positive") if !expects => faults.push(format!("a positive case expects an incident of {rule}")),
        Some("negative") if expects => faults.push(format!("a negative case expects no incident of {rule}")),
        Some("gap") if !case.may_have_gap() => faults.push("a gap case has a [[gap]]".to_owned()),
        Some(_) => {}
        None => {
            faults.push(format!("a case is named {}, with - and more words where there are several", KINDS.join(", ")));
        }
    }
    if records::end_ms(case).is_some_and(|end| {
        case.expect.iter().any(|expected| records::START_MS as f64 + expected.days.0 * 86_400_000.0 >= end as f64)
    }) {
        faults.push("an expected incident would open after the stream's end".to_owned());
    }
    faults
}
