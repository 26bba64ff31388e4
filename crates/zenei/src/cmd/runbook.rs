//! `zenei runbook check`: whether runbooks are good, and which incidents each is for. Must not know how a runbook is
//! read or followed. Called by `cmd`.
use crate::cli::runbook::{Check, Runbook as Command};
use crate::config;
use crate::daemon::policy;
use crate::exit::Failure;
use crate::output::{Colour, Output, escaped};
use serde_json::json;

/// Runs `runbook check`.
///
/// # Errors
/// Everything that is wrong with the runbooks, or with the files that they refer to.
pub(crate) fn run(command: Command, out: &mut Output<'_>) -> Result<(), Failure> {
    match command {
        Command::Check(arguments) => check(&arguments, out),
    }
}

fn check(arguments: &Check, out: &mut Output<'_>) -> Result<(), Failure> {
    let desk = match config::given_or_here(arguments.config.as_deref()) {
        Some(file) => config::load(&file, &config::variables()).map_err(Failure::Config)?.config.desk,
        None => config::Desk::default(),
    };
    let read = match &arguments.folder {
        Some(folder) => policy::with_runbooks(&desk, Some(folder)),
        None => policy::read(&desk),
    };
    let runbooks = read.map_err(|errors| Failure::Rules(errors.join("\n")))?.runbooks;
    for book in runbooks.iter() {
        if arguments.json {
            out.json(&json!({
                "runbook": book.id, "version": book.version, "label": book.label, "matches": book.matches(),
                "steps": book.steps.iter().map(|step| &step.id).collect::<Vec<_>>(), "invite": book.invite,
            }))?;
            continue;
        }
        let ok = out.paint(Colour::Green, "ok");
        let steps = book.steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>().join(", ");
        let (id, version, label, matches) = (&book.id, book.version, &book.label, book.matches());
        out.line(format!("{ok}: {id} v{version} ({}): for {}: {steps}", escaped(label), escaped(&matches)))?;
    }
    Ok(())
}
