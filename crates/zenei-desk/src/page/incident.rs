//! One incident: why it was opened, the figures and the records behind it, what happened since, what to do next. Must
//! not know how a step is carried out ([`super::step`]) or how a page is drawn. Mounted by [`super::routes`].
use super::evidence::{self, Evidence};
use super::look::Look;
use super::render::shape;
use super::row::IncidentRow;
use super::{Fault, Shown};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use minijinja::{Value, context};
use serde::Serialize;
use zenei_detect::{Component, Domain, Urgency};
use zenei_incident::event::{ActionKind, ActionStatus, Work};
use zenei_incident::message::{self, Lang, in_language};
use zenei_incident::{Event, Incident, Policy, Status, Verdict, What};
use zenei_store::control::{ControlError, Delivery, EventRow};
use zenei_wire::{EngineTime, Id};

/// The most locks that a page links; the incident may have the whole fleet's. A guess: more are a matter for the fleet.
const LOCKS_SHOWN: usize = 60;
/// The most lines of the timeline; findings in a row are one line. A guess.
const TIMELINE_SHOWN: usize = 200;
/// How many of the latest events are read, and the opening. A guess: a page costs the same whatever an incident holds.
const EVENTS_READ: u32 = 1_000;
/// The most open incidents that are offered for a merge.
const OFFERED: usize = 30;

/// What the casebook says, copied.
struct Seen {
    incident: Value,
    row: IncidentRow,
    similar: Vec<IncidentRow>,
    offered: Vec<IncidentRow>,
    records: Vec<zenei_detect::Evidence>,
    scope: Value,
}

/// A line of the timeline.
#[derive(Clone, Debug, Serialize)]
struct Moment {
    at_ms: i64,
    kind: String,
    /// Who; `None`: zenei by itself.
    by: Option<String>,
    text: String,
    /// Further findings that this line stands for.
    more: usize,
}

/// A step of the runbook.
#[derive(Clone, Debug, Serialize)]
struct StepRow {
    id: String,
    text: String,
    is_done: bool,
    /// Whether the steps before it are done.
    is_next: bool,
}

/// Answers with the incident of this id, or of these first digits.
pub(super) async fn show(State(shown): State<Shown>, look: Look, Path(id): Path<String>) -> Response {
    shown.draw(look, move |shown, look| make(shown, look, &id, None)).await
}

/// Answers with the picture of an incident's values, for documents and messages.
pub(super) async fn picture(State(shown): State<Shown>, look: Look, Path(id): Path<String>) -> Response {
    shown
        .draw(look, move |shown, look| {
            let lang = shown.pages.lang(look);
            let (events, _) = logged(shown, find(shown, &id)?)?;
            let svg = Evidence::of(&events, lang).picture(&shown.handles.history, lang);
            match svg.map_err(|error| Fault::broken(&error))? {
                Some(svg) => Ok(([(CONTENT_TYPE, "image/svg+xml")], svg).into_response()),
                None => Err(Fault::missing("there are no values to draw for this incident")),
            }
        })
        .await
}

/// The page; `refused`: what was wrong with a step that the reader asked for.
pub(super) fn make(shown: &Shown, look: &Look, id: &str, refused: Option<&str>) -> Result<Response, Fault> {
    let (handles, lang) = (&shown.handles, shown.pages.lang(look));
    let id = find(shown, id)?;
    let seen = seen(shown, id, lang)?;
    let (events, deliveries) = logged(shown, id)?;
    let evidence = Evidence::of(&events, lang);
    // A page without its picture is better than none.
    let picture = evidence.picture(&handles.history, lang).unwrap_or_else(|error| {
        tracing::warn!(error = %zenei_store::with_causes(&error), "an incident's picture can't be drawn");
        None
    });
    let deliveries: Vec<Value> = deliveries
        .iter()
        .map(|one| {
            context! {
                target => one.target.clone(), kind => one.event_kind.clone(), attempt => one.attempt,
                ended_ms => one.ended_at_ms, next_ms => one.next_at_ms, outcome => one.outcome.clone(),
                remark => one.remark.clone(),
            }
        })
        .collect();
    let context = context! {
        now_ms => handles.clock.now().ms(),
        is_desk => handles.desk.is_some(),
        one => seen.incident,
        row => shape(&seen.row),
        similar => shape(&seen.similar),
        offered => shape(&seen.offered),
        records => evidence::records(&seen.records),
        evidence => shape(&evidence),
        picture => picture.map(Value::from_safe_string),
        scope => seen.scope,
        timeline => shape(&timeline(&events, lang)),
        deliveries,
        refused,
        choices => choices(),
    };
    let status = if refused.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    Ok(shown.pages.page_with(status, "incident.html", look, context))
}

/// What the log has of an incident: the opening and its latest events, in order, and how its messages fared.
fn logged(shown: &Shown, id: Id) -> Result<(Vec<Event>, Vec<Delivery>), Fault> {
    let broken = |error: ControlError| Fault::broken(&error);
    let Some(desk) = &shown.handles.desk else { return Ok((Vec::new(), Vec::new())) };
    let (rows, deliveries) = {
        let driver = desk.lock();
        let mut rows = driver.control().events_before(id, None, EVENTS_READ).map_err(broken)?;
        if let Some(first) = rows.first().map(|row| row.seq).filter(|seq| *seq > 0) {
            let opening = driver.control().events_before(id, Some(first.min(1)), 1).map_err(broken)?;
            rows.splice(0..0, opening);
        }
        (rows, driver.control().deliveries_of(id).map_err(broken)?)
    };
    // An event of another version that can't be read is left out; the log keeps it.
    let read = |row: EventRow| Event::read(row.incident, row.seq, EngineTime(row.at_ms), &row.kind, &row.body).ok();
    Ok((rows.into_iter().filter_map(read).collect(), deliveries))
}

/// The incident whose id begins so.
pub(super) fn find(shown: &Shown, wanted: &str) -> Result<Id, Fault> {
    let digits = wanted.strip_prefix("zenei-").unwrap_or(wanted);
    let book = shown.handles.incidents.read();
    if let Some(id) = Id::parse(digits).filter(|id| book.incident(*id).is_some()) {
        return Ok(id);
    }
    let mut found = book.incidents().map(|incident| incident.id).filter(|id| id.to_string().starts_with(digits));
    match (found.next(), found.next()) {
        (Some(id), None) if digits.len() >= 4 => Ok(id),
        _ => Err(Fault::missing(format!("there is no incident {digits:.40}; the list of incidents has all"))),
    }
}

fn seen(shown: &Shown, id: Id, lang: Lang) -> Result<Seen, Fault> {
    let policy = &shown.handles.policy;
    let book = shown.handles.incidents.read();
    let Some(incident) = book.incident(id) else {
        return Err(Fault::missing(format!("there is no incident {id}")));
    };
    let row = |one: &Incident| IncidentRow::of(one, policy, lang);
    let open = book.incidents().filter(|other| other.is_open() && other.id != id);
    Ok(Seen {
        incident: described(incident, policy, lang),
        row: row(incident),
        scope: context! { kind => incident.scope.kind.as_str(), value => incident.scope.value.clone() },
        similar: incident.similar.iter().filter_map(|id| book.incident(*id)).map(row).collect(),
        offered: open.take(OFFERED).map(row).collect(),
        records: incident.evidence_first.iter().chain(&incident.evidence_latest).cloned().collect(),
    })
}

fn described(incident: &Incident, policy: &Policy, lang: Lang) -> Value {
    let ground_ja = incident.ground.as_ref().and_then(|ground| ground.reason_ja.as_deref());
    let first_steps = incident.runbook.as_deref();
    let verdict = incident.verdict.map(|verdict| match verdict {
        Verdict::True => ("true", None),
        Verdict::FalsePositive => ("false_positive", None),
        Verdict::DuplicateOf(other) => ("duplicate", Some(other.to_string())),
    });
    let needs = (!incident.is_temp_fixed, incident.check_complete().err().map(|refused| refused.to_string()));
    let book = policy.runbook_of(incident);
    context! {
        id => incident.id.to_string(),
        key => message::key(incident),
        why => incident.why.clone(),
        ground => in_language(&incident.urgency_reason, ground_ja, lang),
        table => incident.ground.as_ref().map(|ground| format!("{} v{}", ground.rule, ground.table_version)),
        rule_version => incident.rule_version,
        rules => incident.rules.iter().cloned().collect::<Vec<_>>(),
        confidence => incident.confidence * 100.0,
        findings => incident.findings,
        records => incident.records,
        locks => incident.devices.iter().take(LOCKS_SHOWN).cloned().collect::<Vec<_>>(),
        locks_more => incident.devices.len().saturating_sub(LOCKS_SHOWN),
        recurs_of => incident.recurs_of.map(|id| id.to_string()),
        merged_into => incident.merged_into.map(|id| id.to_string()),
        reopened => incident.reopened,
        muted => incident.muted.as_ref().map(|mute| context! {
            why => mute.why.clone(), until_ms => mute.until_ms, silence => mute.by_silence.map(|id| id.to_string()),
            incident => mute.by_inhibition.map(|id| id.to_string()),
        }),
        recovered_ms => incident.recovered.map(EngineTime::ms),
        verdict => verdict.as_ref().map(|(word, _)| *word),
        duplicate_of => verdict.and_then(|(_, other)| other),
        is_temp_fixed => incident.is_temp_fixed,
        postmortem_at_ms => incident.postmortem_at_ms,
        postmortem_held_ms => incident.postmortem_held.map(EngineTime::ms),
        roles => incident.postmortem_roles.iter().cloned().collect::<Vec<_>>(),
        needs_fix => needs.0,
        needs => needs.1,
        is_closed => incident.status == Status::Close,
        channels => incident.channels.iter().map(|(target, at)| context! {
            target => target.clone(), channel => at.channel.clone(), url => safe_url(&at.url),
        }).collect::<Vec<_>>(),
        invited => incident.invited.iter().cloned().collect::<Vec<_>>(),
        actions => incident.action_items.iter().map(|(id, item)| context! {
            id => id.clone(), text => item.text.clone(), kind => item.kind.as_str(), owner => item.owner.clone(),
            due_ms => item.due_ms, status => item.status.as_str(),
        }).collect::<Vec<_>>(),
        effort => incident.effort_min.iter().map(|(work, minutes)| context! {
            work => work.as_str(), minutes => *minutes,
        }).collect::<Vec<_>>(),
        first_steps => first_steps.map(|en| in_language(en, incident.runbook_ja.as_deref(), lang).to_owned()),
        runbook => book.map(|book| in_language(&book.title_en, Some(&book.title_ja), lang).to_owned()),
        steps => shape(&steps(incident, policy, lang)),
        inquiries => incident.inquiries.iter().map(|(id, at)| context! { id => id.clone(), at_ms => *at })
            .collect::<Vec<_>>(),
    }
}

/// An address that a page may link: those of the web, and no other scheme.
fn safe_url(url: &str) -> Option<String> {
    (url.starts_with("https://") || url.starts_with("http://")).then(|| url.to_owned())
}

fn steps(incident: &Incident, policy: &Policy, lang: Lang) -> Vec<StepRow> {
    let Some(book) = policy.runbook_of(incident) else { return Vec::new() };
    let row = |step: &zenei_incident::runbook::Step| {
        let is_done = incident.steps_done.contains(&step.id);
        StepRow {
            id: step.id.clone(),
            text: in_language(&step.text_en, Some(&step.text_ja), lang).to_owned(),
            is_done,
            is_next: !is_done && step.after.is_subset(&incident.steps_done),
        }
    };
    book.steps.iter().map(row).collect()
}

/// What happened, the latest first; findings in a row are one line, and what is too old is left out.
fn timeline(events: &[Event], lang: Lang) -> Vec<Moment> {
    let mut lines: Vec<Moment> = Vec::new();
    for event in events.iter().rev() {
        let is_finding = matches!(event.what, What::EvidenceAdded(_));
        if let Some(last) = lines.last_mut()
            && is_finding
            && last.kind == event.kind_word()
        {
            last.more += 1;
            continue;
        }
        if lines.len() < TIMELINE_SHOWN {
            lines.push(Moment {
                at_ms: event.at.ms(),
                kind: event.kind_word().to_owned(),
                by: by(event),
                text: message::headline(event, lang),
                more: 0,
            });
        }
    }
    lines
}

fn by(event: &Event) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(&event.body().ok()?).ok()?;
    body.get("by")?.as_str().map(str::to_owned)
}

/// The words of every choice that a form offers.
fn choices() -> Value {
    let open: Vec<&str> = Status::ALL.iter().filter(|status| **status != Status::Close).map(|s| s.as_str()).collect();
    context! {
        statuses => open,
        urgencies => Urgency::ALL.iter().rev().map(|one| one.as_str()).collect::<Vec<_>>(),
        domains => Domain::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        components => Component::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        action_kinds => ActionKind::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        action_statuses => ActionStatus::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        works => Work::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
    }
}
