//! `zenei notify`: lists the targets of a configuration, and sends a marked test to one. Must not know a target's kind,
//! nor the incidents; needs no daemon. Called by `cmd`.
use crate::cli::WithConfig;
use crate::cli::notify::{Notify as Command, NotifyTest};
use crate::config::{self, Loaded};
use crate::daemon::start::runtime;
use crate::exit::Failure;
use crate::output::{Output, escaped, table};
use serde_json::json;
use zenei_desk::DeskClock;
use zenei_desk::notify::{SendError, Target, TargetConfig};
use zenei_store::Clock;

/// Runs `notify list` or `notify test`.
///
/// # Errors
/// A bad configuration, a target that is not in it; what the target refuses, or that it can't be reached.
pub(crate) fn run(command: Command, out: &mut Output<'_>) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(&arguments, out),
        Command::Test(arguments) => test(&arguments, out),
    }
}

fn load(common: &WithConfig) -> Result<Loaded, Failure> {
    config::load(&common.file.config, &config::variables()).map_err(Failure::Config)
}

fn list(arguments: &WithConfig, out: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = load(arguments)?;
    if arguments.json {
        for (name, target) in &loaded.config.notify {
            let common = target.common();
            out.json(&json!({"version": 1, "target": name, "kind": target.kind(), "domains": common.domains,
                "min_urgency": common.min_urgency, "services": common.services,
                "language": common.lang.unwrap_or(loaded.config.desk.language)}))?;
        }
        return Ok(());
    }
    if loaded.config.notify.is_empty() {
        return out.line("nobody is told: there is no [notify.NAME] in the configuration");
    }
    let rows: Vec<Vec<String>> = loaded.config.notify.iter().map(|(name, target)| row(name, target)).collect();
    table(&["target", "kind", "from", "domains", "services"], &rows).into_iter().try_for_each(|line| out.line(line))
}

fn row(name: &str, target: &TargetConfig) -> Vec<String> {
    let common = target.common();
    let all = |words: Vec<&str>| if words.is_empty() { "all".to_owned() } else { words.join(", ") };
    vec![
        escaped(name),
        target.kind().to_owned(),
        common.min_urgency.map_or("low", |least| least.as_str()).to_owned(),
        all(common.domains.iter().map(|domain| domain.as_str()).collect()),
        escaped(&all(common.services.iter().map(String::as_str).collect())),
    ]
}

fn test(arguments: &NotifyTest, out: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = load(&arguments.common)?;
    let targets = &loaded.config.notify;
    let name = &arguments.target;
    let Some(config) = targets.get(name) else {
        let known: Vec<&str> = targets.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
        return Err(Failure::Usage(escaped(&format!("{name:?} is no target of {}; known: {known}", loaded.file))));
    };
    let target = Target::open(name, config).map_err(|error| Failure::Failed(error.to_string()))?;
    let answer = match runtime()?.block_on(target.test(DeskClock::new(Clock::System).now())) {
        Ok(answer) => answer,
        Err(SendError::Never { why }) => {
            return Err(Failure::Failed(escaped(&format!("{name} refused the test: {why}"))));
        }
        Err(SendError::Again { why, .. }) => {
            return Err(Failure::Unreachable(escaped(&format!("{name} did not take the test: {why}"))));
        }
    };
    if arguments.common.json {
        return out.json(&json!({"version": 1, "target": name, "kind": target.kind(), "answer": answer}));
    }
    out.line(escaped(&format!("{name} ({}) answered: {answer}", target.kind())))
}
