//! `zenei incident`: lists the incidents, and shows one with its events and evidence. Reads the control database, also
//! while a daemon runs; must not write: steps are in `step`. Called by `cmd`.
pub(crate) mod step;

use crate::cli::{Incident as Command, IncidentList, IncidentShow, WithConfig};
use crate::config;
use crate::daemon::{control, policy};
use crate::exit::Failure;
use crate::output::{Colour, Output, escaped, table, time};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use zenei_desk::IncidentLog;
use zenei_detect::Urgency;
use zenei_incident::document::IncidentLine;
use zenei_incident::incident::Refused;
use zenei_incident::message::{Lang, Message};
use zenei_incident::{Event, Incident, Inquiries, Policy};

/// Runs `incident list` or `show`.
///
/// # Errors
/// Where the control database can't be read, or holds no such incident.
pub(crate) fn run(command: Command, out: &mut Output<'_>) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(&arguments, out),
        Command::Show(arguments) => show(&arguments, out),
        Command::Step(step) => step::run(&step, out),
    }
}

fn read(arguments: &WithConfig) -> Result<IncidentLog, Failure> {
    let loaded = config::load(&arguments.file.config, &config::variables()).map_err(Failure::Config)?;
    let control = control::open(&loaded.config.state_dir)?;
    IncidentLog::read(&control, Arc::default()).map_err(|error| Failure::broken("can't read the incidents", error))
}

fn list(arguments: &IncidentList, out: &mut Output<'_>) -> Result<(), Failure> {
    let log = read(&arguments.common)?;
    let is_listed = |incident: &&Incident| !arguments.open || incident.is_open();
    let mut incidents: Vec<&Incident> = log.book.incidents().filter(is_listed).collect();
    incidents.sort_by_key(|incident| (incident.opened, incident.id));
    let none = Inquiries::default();
    if arguments.common.json {
        return incidents.iter().try_for_each(|incident| out.json(&IncidentLine::of(incident, &none)));
    }
    if incidents.is_empty() {
        return out.line(if arguments.open { "no open incident" } else { "no incident" });
    }
    let row = |incident: &&Incident| {
        vec![
            incident.id.to_string()[..SHOWN_DIGITS].to_owned(),
            time(incident.opened),
            incident.status.as_str().to_owned(),
            incident.urgency.as_str().to_owned(),
            incident.domain.as_str().to_owned(),
            escaped(&format!("{} {}", incident.scope.kind, incident.scope.value)),
            said(incident.owner.as_deref()),
            escaped(&incident.title),
        ]
    };
    let rows: Vec<Vec<String>> = incidents.iter().map(row).collect();
    let head = ["incident", "opened", "status", "urgency", "domain", "scope", "owner", "title"];
    table(&head, &rows).iter().try_for_each(|line| out.line(line))
}

/// A text given by a person or a rule, or a dash.
fn said(words: Option<&str>) -> String {
    words.map_or_else(|| "-".to_owned(), escaped)
}

/// How many digits of an id a list shows: enough to distinguish a few million incidents, and `show` accepts them.
const SHOWN_DIGITS: usize = 12;

fn show(arguments: &IncidentShow, out: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = config::load(&arguments.common.file.config, &config::variables()).map_err(Failure::Config)?;
    let log = read(&arguments.common)?;
    let wanted = arguments.id.strip_prefix("zenei-").unwrap_or(&arguments.id);
    let mut found = log.book.incidents().filter(|incident| incident.id.to_string().starts_with(wanted));
    let incident = match (found.next(), found.next()) {
        (Some(incident), None) if !wanted.is_empty() => incident,
        (Some(_), _) => {
            return Err(Failure::Failed(format!("`{wanted}` begins more than one incident; give more digits")));
        }
        (None, _) => {
            return Err(Failure::Failed(format!("there is no incident `{wanted}`; `zenei incident list` names all")));
        }
    };
    let events = log.events.iter().filter(|event| event.incident == incident.id);
    if arguments.common.json {
        return out.json(&to_json(incident, events)?);
    }
    let urgency = match incident.urgency {
        Urgency::Highest | Urgency::High => Colour::Red,
        Urgency::Medium => Colour::Yellow,
        Urgency::Low => Colour::Green,
    };
    out.line(escaped(&incident.title))?;
    let fields = [
        ("incident", incident.id.to_string()),
        ("status", incident.status.as_str().to_owned()),
        (
            "urgency",
            format!("{} ({})", out.paint(urgency, incident.urgency.as_str()), escaped(&incident.urgency_reason)),
        ),
        ("cause", format!("{}, {} (confidence {:.2})", incident.domain, incident.component, incident.confidence)),
        ("scope", escaped(&format!("{} {}", incident.scope.kind, incident.scope.value))),
        ("why", escaped(&incident.why)),
        ("service", said(incident.service.as_deref())),
        ("owner", said(incident.owner.as_deref())),
        ("first steps", said(incident.runbook.as_deref())),
        ("opened", time(incident.opened)),
        ("updated", time(incident.updated)),
        (
            "behind it",
            format!("{} findings, {} records, {} locks", incident.findings, incident.records, incident.devices.len()),
        ),
        ("locks", escaped(&incident.devices.iter().cloned().collect::<Vec<_>>().join(", "))),
    ];
    fields.iter().try_for_each(|(name, value)| out.line(format!("  {name:<11} {value}")))?;
    if let Some(before) = incident.recurs_of {
        out.line(format!("  {:<11} {before}", "recurs of"))?;
    }
    if let Err(missing @ Refused::Incomplete { .. }) = incident.check_complete() {
        out.line(format!("  {:<11} {missing}", "for 完了"))?;
    }
    // An incident is shown also while the policy's files are being edited: its own log names the runbook.
    let policy = policy::read(&loaded.config.desk).ok();
    runbook(incident, policy.as_ref(), out)?;
    out.line("events")?;
    let line = |event: &Event| {
        let told = Message::of(incident, event, None, Lang::En).headline;
        format!("  {} {:<20} {told}", time(event.at), event.kind_word())
    };
    events.map(line).try_for_each(|line| out.line(escaped(&line)))
}

/// The runbook that is attached, with what is done and what comes next.
fn runbook(incident: &Incident, policy: Option<&Policy>, out: &mut Output<'_>) -> Result<(), Failure> {
    let Some((id, version)) = &incident.runbook_attached else { return Ok(()) };
    let book = policy.and_then(|policy| policy.runbooks.get(id));
    let title = book.map_or_else(String::new, |book| {
        let now = if book.version == *version { String::new() } else { format!(", now v{}", book.version) };
        format!("{now}: {} {}", book.title_en, book.title_ja)
    });
    out.line(escaped(&format!("runbook {id} v{version}{title}")))?;
    let next: Vec<&str> = book.iter().flat_map(|book| book.next(&incident.steps_done)).map(|step| &*step.id).collect();
    for step in book.iter().flat_map(|book| &book.steps) {
        let mark = match (incident.steps_done.contains(&step.id), next.contains(&step.id.as_str())) {
            (true, _) => "done",
            (false, true) => "next",
            (false, false) => "",
        };
        out.line(escaped(&format!("  {mark:<4} {:<12} {} {}", step.id, step.text_en, step.text_ja)))?;
    }
    Ok(())
}

fn to_json<'a>(incident: &Incident, events: impl Iterator<Item = &'a Event>) -> Result<Json, Failure> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| Failure::broken("can't write the incident", error);
    let mut list = Vec::new();
    for event in events {
        let body = event.body().map_err(|error| failed(error.into()))?;
        let body: Json = serde_json::from_str(&body).map_err(|error| failed(error.into()))?;
        list.push(json!({"seq": event.seq, "at_ms": event.at, "kind": event.kind_word(), "body": body}));
    }
    let line = IncidentLine::of(incident, &Inquiries::default());
    let mut found = serde_json::to_value(line).map_err(|error| failed(error.into()))?;
    found["urgency_reason"] = json!(incident.urgency_reason);
    found["service"] = json!(incident.service);
    found["invited"] = json!(incident.invited);
    found["runbook_attached"] = match &incident.runbook_attached {
        Some((id, version)) => json!({"runbook": id, "version": version, "steps_done": incident.steps_done}),
        None => Json::Null,
    };
    found["findings"] = json!(incident.findings);
    found["records"] = json!(incident.records);
    found["evidence_first"] = json!(incident.evidence_first);
    found["evidence_latest"] = json!(incident.evidence_latest);
    found["events"] = Json::Array(list);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_wire::EngineTime;

    #[test]
    fn a_time_is_told_in_utc_and_never_fails() {
        assert_eq!(time(EngineTime(1_777_626_000_123)), "2026-05-01T09:00:00Z");
        assert_eq!(time(EngineTime(i64::MAX)), "9223372036854775807 ms");
    }
}
