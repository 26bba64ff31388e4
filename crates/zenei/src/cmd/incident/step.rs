//! The steps of a person on an incident: hands each to the desk that writes, the daemon's or this command's own. Must
//! not know whether an incident allows a step. Called by `incident`.
use crate::cli::Step;
use crate::cli::incident::On;
use crate::config::{self, Loaded};
use crate::daemon::ask;
use crate::exit::Failure;
use crate::output::{Output, escaped};
use serde_json::{Map, Value as Json, json};
use zenei_desk::Request;
use zenei_detect::Urgency;
use zenei_incident::Status;
use zenei_incident::message::{Lang, urgency_word};

/// Takes the step.
///
/// # Errors
/// Where the incident's rules refuse it, with what is missing; where no desk can be asked.
pub(super) fn run(step: &Step, out: &mut Output<'_>) -> Result<(), Failure> {
    let (on, kind, fields) = form(step)?;
    let loaded = config::load(&on.common.file.config, &config::variables()).map_err(Failure::Config)?;
    let body = match fields {
        Json::Object(body) => body,
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => Map::new(),
    };
    let request = Request::Step { incident: on.id.clone(), kind: kind.to_owned(), by: by(on)?, body };
    let done = asked(&loaded, &request, on.common.json, out)?;
    if on.common.json {
        return out.json(&done);
    }
    let word = |name: &str| done.get(name).and_then(Json::as_str).unwrap_or("").to_owned();
    let seq = done.get("seq").and_then(Json::as_u64).unwrap_or(0);
    out.line(format!("incident {}: {} (event {seq})", escaped(&word("incident")), escaped(&word("kind"))))
}

/// The desk's answer; a program that reads JSON is told of a refusal on standard output too.
///
/// # Errors
/// What the desk refused and why; where no desk can be asked.
pub(crate) fn asked(loaded: &Loaded, request: &Request, is_json: bool, out: &mut Output<'_>) -> Result<Json, Failure> {
    let done = ask::desk(loaded, request);
    if let (Err(failure), true) = (&done, is_json) {
        out.json(&json!({"version": 1, "error": failure.text()}))?;
        out.flush()?;
    }
    done
}

/// The step as a request: which incident, the kind of step, the event's fields.
fn form(step: &Step) -> Result<(&On, &'static str, Json), Failure> {
    Ok(match step {
        Step::Ack { on } => (on, "acknowledge", json!({})),
        Step::Note { on, text } => (on, "note", json!({"text": text})),
        Step::Status { on, to } => (on, "status", json!({"to": status(to)?})),
        Step::Owner { on, owner } => (on, "owner", json!({"owner": owner})),
        Step::Urgency { on, to, reason } => (on, "urgency", json!({"to": urgency(to)?, "reason": reason})),
        Step::TempFix { on } => (on, "temp_fix_done", json!({})),
        Step::Postmortem { on, roles, attendees } => {
            (on, "postmortem_held", json!({"roles": roles, "attendees": attendees}))
        }
        Step::Reopen { on, reason } => (on, "reopen", json!({"reason": reason})),
        Step::Merge { on, into } => (on, "merge", json!({"incident": into.strip_prefix("zenei-").unwrap_or(into)})),
        Step::Domain { on, to, component, reason } => {
            (on, "domain", json!({"to": to, "component": component, "reason": reason}))
        }
        Step::Action { on, item, text, kind, owner } => {
            (on, "action_item", json!({"item": item, "text": text, "kind": kind, "owner": owner, "due_ms": null}))
        }
        Step::ActionStatus { on, item, status } => (on, "action_item_status", json!({"item": item, "status": status})),
        Step::Runbook { on, step } => (on, "runbook_step", json!({"step": step})),
        Step::Effort { on, minutes, work } => (on, "effort", json!({"minutes": minutes, "work": work})),
        Step::Verdict { on, verdict, duplicate_of } => {
            let verdict = duplicate_of.as_ref().map_or_else(|| json!(verdict), |id| json!({"duplicate_of": id}));
            (on, "verdict", json!({"verdict": verdict}))
        }
        Step::Complete { on } => (on, "complete", json!({})),
    })
}

/// A status that can be set.
fn status(word: &str) -> Result<&'static str, Failure> {
    let found = Status::parse(word).filter(|status| *status != Status::Close).map(Status::as_str);
    found.ok_or_else(|| {
        Failure::Usage(format!(
            "the status is {word:?}; detected, investigating, fixing or resolved are wanted, and completion is \
             `zenei incident complete`"
        ))
    })
}

/// A level, in English or in Japanese.
fn urgency(word: &str) -> Result<&'static str, Failure> {
    let is_ja = |level: &&Urgency| urgency_word(**level, Lang::Ja) == word;
    let found = Urgency::parse(word).or_else(|| Urgency::ALL.iter().find(is_ja).copied()).map(Urgency::as_str);
    found.ok_or_else(|| {
        Failure::Usage(format!("the urgency is {word:?}; highest, high, medium or low (最高, 高, 中, 低) are wanted"))
    })
}

fn by(on: &On) -> Result<String, Failure> {
    named(on.by.by.as_deref())
}

/// Who takes a step: the given name, or the user's.
///
/// # Errors
/// Where neither is there.
pub(crate) fn named(given: Option<&str>) -> Result<String, Failure> {
    let said = given.map(str::to_owned).or_else(|| std::env::var("USER").ok()).filter(|by| !by.trim().is_empty());
    said.ok_or_else(|| Failure::Usage("nobody is named: give --by NAME (USER is not set)".to_owned()))
}
