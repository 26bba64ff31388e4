//! `zenei config`: checks a configuration, shows it as it takes effect, prints an example, prints the JSON Schema.
//! Must not open a socket. Called by `cmd`.
use crate::cli::{Config as Command, WithConfig};
use crate::config;
use crate::daemon::{access, contents};
use crate::exit::Failure;
use crate::output::{Colour, Output};
use serde_json::json;

/// Runs `config check`, `show`, `init` or `schema`.
///
/// # Errors
/// Every problem of the configuration.
pub(crate) fn run(command: Command, out: &mut Output<'_>) -> Result<(), Failure> {
    match command {
        Command::Check(arguments) => check(&arguments, out),
        Command::Show(arguments) => show(&arguments, out),
        Command::Init => out.line(config::EXAMPLE.trim_end()),
        Command::Schema => {
            let text = serde_json::to_string_pretty(&config::schema());
            out.line(text.map_err(|error| Failure::broken("can't write the schema", error))?)
        }
    }
}

fn check(arguments: &WithConfig, out: &mut Output<'_>) -> Result<(), Failure> {
    let checked = config::load(&arguments.file.config, &config::variables())
        .and_then(|loaded| contents::read(&loaded).map(|contents| (loaded, contents)))
        .and_then(|(loaded, contents)| config::usable(&loaded).map(|()| (loaded, contents)))
        .and_then(|(loaded, contents)| access::check(&loaded).map(|warning| (loaded, contents, warning)));
    let (loaded, contents, warning) = match checked {
        Ok(good) => good,
        Err(problems) if arguments.json => {
            let list: Vec<_> = problems.list.iter().map(|problem| problem.to_json(&problems.file)).collect();
            out.json(&json!({"version": 1, "file": problems.file, "good": false, "problems": list}))?;
            out.flush()?;
            return Err(Failure::Config(problems));
        }
        Err(problems) => return Err(Failure::Config(problems)),
    };
    let waiting = config::runnable(&loaded).err().map(|problems| problems.list).unwrap_or_default();
    if arguments.json {
        let list: Vec<_> = waiting.iter().map(|problem| problem.to_json(&loaded.file)).collect();
        return out.json(&json!({"version": 1, "file": loaded.file, "good": true, "unavailable": list, "warnings": warning.as_slice()}));
    }
    let ok = out.paint(Colour::Green, "ok");
    out.line(format!("{ok}: {}: {}", loaded.file, contents.summary()))?;
    for problem in waiting {
        let warning = out.paint(Colour::Yellow, "run will refuse this");
        out.line(format!("{warning}: {}", problem.shown(&loaded.file)))?;
    }
    if let Some(text) = warning {
        out.line(format!("{}: {text}", out.paint(Colour::Yellow, "note")))?;
    }
    Ok(())
}

fn show(arguments: &WithConfig, out: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = config::load(&arguments.file.config, &config::variables()).map_err(Failure::Config)?;
    let failed = |error| Failure::broken("can't write the configuration", error);
    if arguments.json {
        return out.json(&config::to_json(&loaded.config).map_err(|error| failed(error.into()))?);
    }
    out.line(config::to_toml(&loaded.config).map_err(failed)?.trim_end())
}
