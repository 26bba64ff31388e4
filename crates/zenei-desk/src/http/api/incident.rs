//! One incident as JSON: the contract's line, and all that a person needs to know about it. Must not know who asks.
//! Called by [`super::incidents`].
use super::ask::Wrong;
use super::served::Api;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;
use zenei_detect::{Component, Domain, Evidence, Scope, Urgency};
use zenei_incident::document::IncidentLine;
use zenei_incident::event::Work;
use zenei_incident::incident::{ActionItem, Channel, Mute};
use zenei_incident::similar::similar;
use zenei_incident::{Casebook, Incident, Inquiries, Policy, Status, Verdict};
use zenei_store::control::{Delivery, EventRow};
use zenei_wire::Id;

/// An incident as the interface contract writes it.
#[derive(Serialize, ToSchema)]
#[schema(as = IncidentLine)]
pub(super) struct Line<'a> {
    #[schema(schema_with = super::shapes::id)]
    id: Id,
    #[schema(schema_with = super::shapes::id)]
    fingerprint: Id,
    /// When it was opened, ms since 1970.
    opened_ms: i64,
    /// The latest time of its events, ms since 1970.
    updated_ms: i64,
    #[schema(schema_with = super::shapes::status)]
    status: Status,
    #[schema(schema_with = super::shapes::urgency)]
    urgency: Urgency,
    #[schema(schema_with = super::shapes::domain)]
    domain: Domain,
    #[schema(schema_with = super::shapes::component)]
    component: Component,
    /// 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    confidence: f64,
    #[schema(schema_with = super::shapes::scope)]
    scope: &'a Scope,
    /// The locks with evidence, ascending.
    devices: Vec<&'a str>,
    rule: &'a str,
    rule_version: u32,
    title: &'a str,
    why: &'a str,
    #[schema(schema_with = super::shapes::id_or_null)]
    recurs_of: Option<Id>,
    #[schema(required = true)]
    first_inquiry_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runbook: Option<&'a str>,
}

impl<'a> Line<'a> {
    pub(super) fn of(incident: &'a Incident, inquiries: &Inquiries) -> Self {
        let line = IncidentLine::of(incident, inquiries);
        Self {
            id: line.id,
            fingerprint: line.fingerprint,
            opened_ms: line.opened_ms,
            updated_ms: line.updated_ms,
            status: line.status,
            urgency: line.urgency,
            domain: line.domain,
            component: line.component,
            confidence: line.confidence,
            scope: line.scope,
            devices: line.devices,
            rule: line.rule,
            rule_version: line.rule_version,
            title: line.title,
            why: line.why,
            recurs_of: line.recurs_of,
            first_inquiry_ms: line.first_inquiry_ms,
            service: line.service,
            owner: line.owner,
            runbook: line.runbook,
        }
    }
}

/// An incident with all that is known about it.
#[derive(Serialize, ToSchema)]
#[schema(as = Incident)]
pub(super) struct Shown<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    /// The title in Japanese, where the rule has one.
    title_ja: Option<&'a str>,
    /// Why this level (根拠).
    reason: &'a str,
    /// The same.
    urgency_reason: &'a str,
    acknowledged_by: Option<&'a str>,
    /// How many findings it took.
    findings: u64,
    /// How many records are behind it.
    records: u64,
    /// The first of them and the latest.
    #[schema(schema_with = super::shapes::evidence)]
    evidence: Vec<&'a Evidence>,
    #[schema(schema_with = super::shapes::verdict_or_null)]
    verdict: Option<Verdict>,
    postmortem: Postmortem<'a>,
    /// What is to be done, by the item's id.
    #[schema(schema_with = super::shapes::actions)]
    actions: &'a BTreeMap<String, ActionItem>,
    /// The minutes spent, by the kind of work.
    #[schema(schema_with = super::shapes::counts)]
    effort: &'a BTreeMap<Work, u64>,
    #[schema(schema_with = super::shapes::id_or_null)]
    merged_into: Option<Id>,
    /// How often a person opened it again.
    reopened: u32,
    is_temp_fixed: bool,
    /// When the telemetry looked normal again, ms since 1970.
    recovered_ms: Option<i64>,
    /// When it was resolved or complete, ms since 1970.
    ended_ms: Option<i64>,
    /// Why nobody is told of findings.
    #[schema(schema_with = super::shapes::mute)]
    muted: Option<&'a Mute>,
    /// Where people work on it, by target.
    #[schema(schema_with = super::shapes::channels)]
    channels: &'a BTreeMap<String, Channel>,
    invited: &'a BTreeSet<String>,
    /// Inquiries linked to it, with the time of the customer's contact, ms since 1970.
    #[schema(schema_with = super::shapes::times)]
    inquiries: &'a BTreeMap<String, i64>,
    similar: Vec<Alike>,
    runbook_steps: Vec<RunbookStep<'a>>,
    timeline: Vec<Told>,
    /// What `before` takes for earlier events; absent where the timeline is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline_before: Option<u32>,
    deliveries: Vec<Sent>,
}

/// The postmortem.
#[derive(Serialize, ToSchema)]
struct Postmortem<'a> {
    /// Its date, ms since 1970.
    at_ms: Option<i64>,
    /// When it was said to be held, ms since 1970.
    held_ms: Option<i64>,
    roles: &'a BTreeSet<String>,
    attendees: &'a BTreeSet<String>,
}

/// A past incident that resembles it.
#[derive(Serialize, ToSchema)]
#[schema(as = SimilarIncident)]
struct Alike {
    #[schema(schema_with = super::shapes::id)]
    incident: Id,
    title: String,
    score: u32,
    /// What both share.
    shared: Vec<&'static str>,
    has_postmortem: bool,
}

/// A step of the runbook that applies.
#[derive(Serialize, ToSchema)]
struct RunbookStep<'a> {
    id: &'a str,
    text_en: &'a str,
    text_ja: &'a str,
    /// The steps that must be done before it.
    after: &'a BTreeSet<String>,
    is_temp_fix: bool,
    is_done: bool,
}

/// An event.
#[derive(Serialize, ToSchema)]
#[schema(as = TimelineEvent)]
struct Told {
    seq: u32,
    /// ms since 1970.
    at_ms: i64,
    kind: String,
    #[schema(value_type = Object)]
    body: Json,
}

/// A message to a remote.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
struct Sent {
    target: String,
    /// The event that it reports.
    event_seq: u32,
    #[schema(schema_with = super::shapes::delivery_state)]
    state: String,
    /// How often it was tried.
    attempt: u32,
    /// Not before this time it is tried again, ms since 1970.
    next_at_ms: Option<i64>,
    /// When it was delivered or given up, ms since 1970.
    ended_at_ms: Option<i64>,
    /// What happened at the last attempt.
    remark: Option<String>,
}

/// What the control database has of an incident.
#[derive(Debug, Default)]
pub(super) struct Log {
    events: Vec<EventRow>,
    deliveries: Vec<Delivery>,
}

/// Reads the events before a number, at most so many, and the latest deliveries.
pub(super) fn log(api: &Api, id: Id, before: Option<u32>, limit: usize) -> Result<Log, Wrong> {
    let Some(desk) = &api.handles.desk else { return Ok(Log::default()) };
    let desk = desk.lock();
    let control = desk.control();
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let events = control.events_before(id, before, limit).map_err(|error| Wrong::broken(&error))?;
    let deliveries = control.deliveries_of(id).map_err(|error| Wrong::broken(&error))?;
    Ok(Log { events, deliveries })
}

/// The inquiries that are stored.
pub(super) fn inquiries(api: &Api) -> Result<Inquiries, Wrong> {
    let Some(desk) = &api.handles.desk else { return Ok(Inquiries::default()) };
    let rows = desk.lock().control().inquiries().map_err(|error| Wrong::broken(&error))?;
    Ok(Inquiries::of(rows.into_iter().filter_map(|row| serde_json::from_str(&row.body).ok())))
}

impl<'a> Shown<'a> {
    pub(super) fn of(
        incident: &'a Incident,
        book: &Casebook,
        policy: &'a Policy,
        log: Log,
        inquiries: &Inquiries,
    ) -> Self {
        let first = log.events.first().map(|event| event.seq).filter(|&seq| seq > 0);
        Self {
            line: Line::of(incident, inquiries),
            title_ja: incident.title_ja.as_deref(),
            reason: &incident.urgency_reason,
            urgency_reason: &incident.urgency_reason,
            acknowledged_by: incident.acknowledged_by.as_deref(),
            findings: incident.findings,
            records: incident.records,
            evidence: incident.evidence_first.iter().chain(&incident.evidence_latest).collect(),
            verdict: incident.verdict,
            postmortem: Postmortem {
                at_ms: incident.postmortem_at_ms,
                held_ms: incident.postmortem_held.map(|at| at.ms()),
                roles: &incident.postmortem_roles,
                attendees: &incident.attendees,
            },
            actions: &incident.action_items,
            effort: &incident.effort_min,
            merged_into: incident.merged_into,
            reopened: incident.reopened,
            is_temp_fixed: incident.is_temp_fixed,
            recovered_ms: incident.recovered.map(|at| at.ms()),
            ended_ms: incident.ended.map(|at| at.ms()),
            muted: incident.muted.as_ref(),
            channels: &incident.channels,
            invited: &incident.invited,
            inquiries: &incident.inquiries,
            similar: alike(incident, book),
            runbook_steps: steps(incident, policy),
            timeline: log.events.into_iter().map(told).collect(),
            timeline_before: first,
            deliveries: log.deliveries.into_iter().map(sent).collect(),
        }
    }
}

fn alike(incident: &Incident, book: &Casebook) -> Vec<Alike> {
    let found = similar(incident, book.incidents()).into_iter();
    let named = |found: zenei_incident::similar::Similar| Alike {
        incident: found.incident,
        title: book.incident(found.incident).map(|other| other.title.clone()).unwrap_or_default(),
        score: found.score,
        shared: found.shared,
        has_postmortem: found.has_postmortem,
    };
    found.map(named).collect()
}

fn steps<'a>(incident: &Incident, policy: &'a Policy) -> Vec<RunbookStep<'a>> {
    let steps = policy.runbook_of(incident).map(|runbook| runbook.steps.as_slice()).unwrap_or_default();
    let shown = |step: &'a zenei_incident::runbook::Step| RunbookStep {
        id: &step.id,
        text_en: &step.text_en,
        text_ja: &step.text_ja,
        after: &step.after,
        is_temp_fix: step.is_temp_fix,
        is_done: incident.steps_done.contains(&step.id),
    };
    steps.iter().map(shown).collect()
}

fn told(event: EventRow) -> Told {
    let EventRow { incident: _, seq, at_ms, kind, body } = event;
    Told { seq, at_ms, kind, body: serde_json::from_str(&body).unwrap_or_else(|_| Json::Object(Default::default())) }
}

fn sent(delivery: Delivery) -> Sent {
    let is_waiting = delivery.ended_at_ms.is_none();
    Sent {
        state: delivery.outcome.unwrap_or_else(|| "waiting".to_owned()),
        target: delivery.target,
        event_seq: delivery.event_seq,
        attempt: delivery.attempt,
        next_at_ms: is_waiting.then_some(delivery.next_at_ms),
        ended_at_ms: delivery.ended_at_ms,
        remark: delivery.remark,
    }
}
