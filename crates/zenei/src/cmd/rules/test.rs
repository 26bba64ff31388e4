//! `zenei rules test`: each rule's cases through the same intake, engine and desk as `replay`, and the INCIDENTS that result against those that must.
//! Answers whether the rules do what their writers say. Knows no detector. Called by `rules`.
use super::super::replay::{Course, Played, Recording};
use super::case::{Case, Expected, Input};
use super::stream;
use crate::cli::RulesTest;
use crate::daemon::contents;
use crate::daemon::contents::Registry;
use crate::exit::Failure;
use crate::output::{Colour, Output};
use serde_json::json;
use std::fmt;
use std::path::Path;
use zenei_detect::rules::folder::{KINDS, kind};
use zenei_detect::{Component, Domain, Rules, Scope};
use zenei_store::{RuleText, StoredMessage};

/// How many messages are taken in one step; how they are split changes no result.
const STEP_MESSAGES: usize = 4_096;

/// An incident that resulted.
#[derive(Clone, Debug, PartialEq)]
struct Found {
    rule: String,
    scope: Scope,
    domain: Domain,
    component: Component,
    /// Opened, days from the stream's start.
    day: f64,
}

/// What came of a case.
#[derive(Debug, Default)]
struct Outcome {
    expected: Vec<Expected>,
    found: Vec<Found>,
    missing: Vec<Expected>,
    unexpected: Vec<Found>,
    /// What is wrong with the case itself.
    faults: Vec<String>,
}

/// Runs `rules test`.
///
/// # Errors
/// [`Failure::Failed`] where a case failed or is missing, [`Failure::Rules`] where a rule or a case can't be read.
pub(crate) fn run(arguments: &RulesTest, out: &mut Output<'_>) -> Result<(), Failure> {
    let rules = contents::rules(arguments.rules.as_deref()).map_err(Failure::Rules)?;
    let files = contents::cases(arguments.rules.as_deref()).map_err(Failure::Rules)?;
    let chosen: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
    if let Some(unknown) = arguments.only.iter().find(|id| !chosen.contains(&id.as_str())) {
        return Err(Failure::Usage(format!("there is no rule {unknown:?}; there are {}", chosen.join(", "))));
    }
    let is_chosen = |rule: &str| arguments.only.is_empty() || arguments.only.iter().any(|id| id == rule);
    let orphans = files.iter().filter(|file| !chosen.contains(&file.rule.as_str()));
    let orphans: Vec<String> = orphans.map(|file| format!("{}: there is no rule {:?}", file.file, file.rule)).collect();
    if !orphans.is_empty() {
        return Err(Failure::Rules(orphans.join("\n")));
    }
    let (mut run, mut failed) = (0, 0);
    for rule in rules.iter().filter(|rule| is_chosen(&rule.id)) {
        let cases: Vec<&RuleText> = files.iter().filter(|file| file.rule == rule.id).collect();
        for file in &cases {
            let case = Case::parse(&file.file, &file.text).map_err(|found| Failure::Rules(found.join("\n")))?;
            let outcome = check(&rules, &rule.id, file, &case)?;
            (run, failed) = (run + 1, failed + usize::from(!outcome.is_good()));
            tell(file, &case, &outcome, arguments.json, out)?;
        }
        let has = |wanted: &str| cases.iter().any(|file| kind(&file.name) == Some(wanted));
        for missing in KINDS.into_iter().filter(|kind| !has(kind)) {
            (run, failed) = (run + 1, failed + 1);
            let fault =
                format!("there is no such case; it belongs in {}/{missing}.toml below the folder of rules", rule.id);
            tell_missing(&rule.id, missing, &fault, arguments.json, out)?;
        }
    }
    if failed > 0 {
        return Err(Failure::Failed(format!("{failed} of {run} cases failed")));
    }
    if !arguments.json {
        let ok = out.paint(Colour::Green, "ok");
        out.line(format!("{ok}: {run} cases of {} rules", rules.iter().filter(|rule| is_chosen(&rule.id)).count()))?;
    }
    Ok(())
}

/// Runs a case under all the rules.
fn check(rules: &Rules, rule: &str, file: &RuleText, case: &Case) -> Result<Outcome, Failure> {
    let broken = |error| Failure::broken(format!("{} can't be run", file.file), error);
    // As if they were live: a rule is tested before it is promoted.
    let rules = if case.alone { rules.only(rule) } else { rules.clone() };
    let mut course = Course::new(rules.promoted(), Registry::default()).map_err(broken)?;
    let start_ms = match &case.input {
        Input::Made(stream) => {
            for step in stream::messages(stream).chunks(STEP_MESSAGES) {
                course.messages(step).map_err(broken)?;
            }
            Some(stream::START_MS)
        }
        Input::Recording(path) => {
            let beside = Path::new(&file.file).parent().unwrap_or(Path::new("")).join(path);
            play(&beside, &mut course)?
        }
    };
    course.end().map_err(broken)?;
    let mut outcome = compare(&case.expect, found(&course, start_ms.unwrap_or(0)));
    let dead = &course.counts().dead_letters;
    if !dead.is_empty() && matches!(case.input, Input::Made(_)) {
        let dead: Vec<String> = dead.iter().map(|(reason, count)| format!("{count} {}", reason.as_str())).collect();
        outcome.faults.push(format!("its records can't all be read: {}", dead.join(", ")));
    }
    outcome.faults.extend(faults(rule, file, case));
    Ok(outcome)
}

/// Plays a recording; gives the time of its first message.
fn play(path: &Path, course: &mut Course) -> Result<Option<i64>, Failure> {
    let broken = |error| Failure::broken(format!("{} can't be played", path.display()), error);
    let mut recording = Recording::open(path).map_err(Failure::Rules)?;
    let (mut step, mut start): (Vec<StoredMessage>, Option<i64>) = (Vec::new(), None);
    while let Some(played) = recording.next().map_err(Failure::Rules)? {
        match played {
            Played::Message(message) => {
                start.get_or_insert(message.heard_at.ms());
                step.push(message);
            }
            Played::Refused { topic, reason } => course.refused(&topic, recording.heard_at(), reason),
        }
        if step.len() >= STEP_MESSAGES {
            course.messages(&step).map_err(broken)?;
            step.clear();
        }
    }
    course.messages(&step).map_err(broken)?;
    Ok(start)
}

fn found(course: &Course, start_ms: i64) -> Vec<Found> {
    let book = course.desk().incidents();
    let book = book.read();
    let mut incidents: Vec<_> = book.incidents().collect();
    incidents.sort_by_key(|incident| (incident.opened, incident.id));
    let found = incidents.into_iter().map(|incident| Found {
        rule: incident.rule.clone(),
        scope: incident.scope.clone(),
        domain: incident.domain,
        component: incident.component,
        day: (incident.opened.ms() - start_ms) as f64 / 86_400_000.0,
    });
    found.collect()
}

/// Pairs each expected incident with one that was found.
fn compare(expected: &[Expected], found: Vec<Found>) -> Outcome {
    let mut unexpected = found.clone();
    let mut missing = Vec::new();
    for expected in expected {
        match unexpected.iter().position(|found| found.is(expected)) {
            Some(at) => _ = unexpected.remove(at),
            None => missing.push(expected.clone()),
        }
    }
    Outcome { expected: expected.to_vec(), found, missing, unexpected, faults: Vec::new() }
}

/// What a case of its kind must hold, so that its name is no promise that it does not keep.
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
    if stream::end_ms(case).is_some_and(|end| {
        case.expect.iter().any(|expected| stream::START_MS as f64 + expected.days.0 * 86_400_000.0 >= end as f64)
    }) {
        faults.push("an expected incident would open after the stream's end".to_owned());
    }
    faults
}

impl Outcome {
    fn is_good(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.faults.is_empty()
    }
}

impl Found {
    fn is(&self, expected: &Expected) -> bool {
        self.rule == expected.rule
            && self.scope.kind == expected.scope_kind
            && self.scope.value == expected.scope_value
            && self.domain == expected.domain
            && self.component == expected.component
            && (expected.days.0..=expected.days.1).contains(&self.day)
    }

    fn json(&self) -> serde_json::Value {
        let day = (self.day * 100.0).round() / 100.0;
        json!({"rule": self.rule, "scope": self.scope, "domain": self.domain, "component": self.component, "opened_day": day})
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, scope, domain, component, day } = self;
        write!(f, "{rule}: {} {}, {domain}, {component}, opened on day {day:.2}", scope.kind, scope.value)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, scope_kind, scope_value, domain, component, days } = self;
        write!(f, "{rule}: {scope_kind} {scope_value}, {domain}, {component}, opened on day {} to {}", days.0, days.1)
    }
}

impl Expected {
    fn json(&self) -> serde_json::Value {
        json!({
            "rule": self.rule, "scope": {"kind": self.scope_kind, "value": self.scope_value}, "domain": self.domain,
            "component": self.component, "opened_day": [self.days.0, self.days.1],
        })
    }
}

fn tell(file: &RuleText, case: &Case, outcome: &Outcome, as_json: bool, out: &mut Output<'_>) -> Result<(), Failure> {
    if as_json {
        let list = |list: &[Expected]| list.iter().map(Expected::json).collect::<Vec<_>>();
        let found = |list: &[Found]| list.iter().map(Found::json).collect::<Vec<_>>();
        return out.json(&json!({
            "version": 1, "rule": file.rule, "case": file.name, "file": file.file, "why": case.why,
            "good": outcome.is_good(), "expected": list(&outcome.expected), "found": found(&outcome.found),
            "missing": list(&outcome.missing), "unexpected": found(&outcome.unexpected), "faults": outcome.faults,
        }));
    }
    if outcome.is_good() {
        let ok = out.paint(Colour::Green, "ok  ");
        let count = match outcome.found.len() {
            0 => "no incident, as expected".to_owned(),
            1 => "1 incident, as expected".to_owned(),
            count => format!("{count} incidents, as expected"),
        };
        return out.line(format!("{ok}  {} {}: {count}", file.rule, file.name));
    }
    let fail = out.paint(Colour::Red, "FAIL");
    out.line(format!("{fail}  {} {} ({}): {}", file.rule, file.name, file.file, case.why))?;
    let shown = |found: Vec<String>, none: &str| if found.is_empty() { vec![none.to_owned()] } else { found };
    for line in shown(outcome.expected.iter().map(ToString::to_string).collect(), "no incident") {
        out.line(format!("        expected  {line}"))?;
    }
    for line in shown(outcome.found.iter().map(ToString::to_string).collect(), "no incident") {
        out.line(format!("        found     {line}"))?;
    }
    outcome.faults.iter().try_for_each(|fault| out.line(format!("        {fault}")))
}

fn tell_missing(rule: &str, kind: &str, fault: &str, as_json: bool, out: &mut Output<'_>) -> Result<(), Failure> {
    if as_json {
        let none: [u8; 0] = [];
        return out.json(&json!({
            "version": 1, "rule": rule, "case": kind, "good": false, "expected": none, "found": none, "missing": none,
            "unexpected": none, "faults": [fault],
        }));
    }
    let fail = out.paint(Colour::Red, "FAIL");
    out.line(format!("{fail}  {rule} {kind}: {fault}"))
}
