//! `zenei rules test`: runs the test cases of rules and prints the expected and the resulting incidents. Called by
//! `rules`.
use crate::cases::{Case, Expected, Outcome, ResultingIncident, check, read};
use crate::cli::RulesTest;
use crate::daemon::contents;
use crate::exit::Failure;
use crate::output::{Colour, Output};
use serde_json::json;
use zenei_detect::rules::folder::{KINDS, kind};
use zenei_detect::toml_place::shown;
use zenei_store::RuleText;

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
            let case = read(&file.file, &file.text).map_err(|errors| Failure::Rules(shown(&errors)))?;
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

fn tell(file: &RuleText, case: &Case, outcome: &Outcome, as_json: bool, out: &mut Output<'_>) -> Result<(), Failure> {
    if as_json {
        let list = |list: &[Expected]| list.iter().map(Expected::json).collect::<Vec<_>>();
        let found = |list: &[ResultingIncident]| list.iter().map(ResultingIncident::json).collect::<Vec<_>>();
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
