//! `zenei rules`: `list` and `check` are here, `explain` and `test` have files of their own. Must not know a detector.
//! Called by `cmd`.
mod explain;
mod test;

use crate::cli::{Rules as Command, RulesIn};
use crate::daemon::contents;
use crate::exit::Failure;
use crate::output::{Colour, Output, table};
use explain::to_json;
use serde_json::json;
use zenei_detect::Rule;

/// Runs `rules list` or `check`.
///
/// # Errors
/// Everything that is wrong with the rules: [`Failure::Rules`].
pub(crate) fn run(command: Command, out: &mut Output<'_>) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(&arguments, out),
        Command::Check(arguments) => check(&arguments, out),
        Command::Test(arguments) => test::run(&arguments, out),
        Command::Explain(arguments) => explain::run(&arguments, out),
    }
}

fn list(arguments: &RulesIn, out: &mut Output<'_>) -> Result<(), Failure> {
    let rules = contents::rules(arguments.rules.as_deref()).map_err(Failure::Rules)?;
    if arguments.json {
        return rules.iter().try_for_each(|rule| out.json(&to_json(rule)));
    }
    let row = |rule: &Rule| {
        let texts = [
            rule.id.as_str(),
            rule.state.as_str(),
            rule.domain.as_str(),
            rule.component.as_str(),
            rule.urgency.as_str(),
        ];
        let mut row: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        row.insert(1, rule.version.to_string());
        row.push(rule.title.clone());
        row
    };
    let rows: Vec<Vec<String>> = rules.iter().map(row).collect();
    let head = ["rule", "version", "state", "domain", "component", "urgency", "title"];
    table(&head, &rows).iter().try_for_each(|line| out.line(line))
}

fn check(arguments: &RulesIn, out: &mut Output<'_>) -> Result<(), Failure> {
    let rules = contents::live_rules(arguments.rules.as_deref()).map_err(Failure::Rules)?;
    let (count, digest) = (rules.iter().count(), rules.digest());
    if arguments.json {
        return out.json(&json!({"version": 1, "good": true, "rules": count, "digest": digest}));
    }
    let ok = out.paint(Colour::Green, "ok");
    out.line(format!("{ok}: {count} rules, digest {digest}"))
}
