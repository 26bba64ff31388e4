//! An incident as a line of a list: what the board, the list, the lock and the search show of one. Copies the few
//! fields that it needs, so that nobody holds the casebook while a page is drawn. Must not know a page.
use serde::Serialize;
use zenei_incident::message::{Lang, in_language, place_word};
use zenei_incident::{Incident, Policy};

/// A line of a list of incidents.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct IncidentRow {
    pub(crate) id: String,
    /// The first eight digits.
    pub(crate) short: String,
    pub(crate) title: String,
    pub(crate) urgency: &'static str,
    pub(crate) status: &'static str,
    pub(crate) domain: &'static str,
    pub(crate) component: &'static str,
    pub(crate) service: Option<String>,
    pub(crate) place: String,
    pub(crate) rule: String,
    pub(crate) opened_ms: i64,
    pub(crate) evidence_ms: i64,
    pub(crate) ended_ms: Option<i64>,
    pub(crate) owner: Option<String>,
    pub(crate) acknowledged_by: Option<String>,
    /// The runbook's next step, or the rule's first steps.
    pub(crate) next: Option<String>,
    pub(crate) locks: usize,
    pub(crate) inquiries: usize,
    pub(crate) is_open: bool,
    pub(crate) is_muted: bool,
    pub(crate) is_flapping: bool,
}

impl IncidentRow {
    /// Of this incident, in this language.
    pub(crate) fn of(incident: &Incident, policy: &Policy, lang: Lang) -> Self {
        let id = incident.id.to_string();
        let book = policy.runbook_of(incident).filter(|_| incident.is_open());
        let step = book.and_then(|book| book.next(&incident.steps_done).next());
        let text = step.map(|step| in_language(&step.text_en, Some(&step.text_ja), lang).to_owned());
        let first = || incident.runbook.as_deref().map(|en| in_language(en, incident.runbook_ja.as_deref(), lang));
        Self {
            short: id.chars().take(8).collect(),
            id,
            title: in_language(&incident.title, incident.title_ja.as_deref(), lang).to_owned(),
            urgency: incident.urgency.as_str(),
            status: incident.status.as_str(),
            domain: incident.domain.as_str(),
            component: incident.component.as_str(),
            service: incident.service.clone(),
            place: place_word(&incident.scope, lang),
            rule: incident.rule.clone(),
            opened_ms: incident.opened.ms(),
            evidence_ms: incident.evidence_at.ms(),
            ended_ms: incident.ended.map(zenei_wire::EngineTime::ms),
            owner: incident.owner.clone(),
            acknowledged_by: incident.acknowledged_by.clone(),
            next: text.or_else(|| first().map(str::to_owned)).filter(|_| incident.is_open()),
            locks: incident.devices.len(),
            inquiries: incident.inquiries.len(),
            is_open: incident.is_open(),
            is_muted: incident.muted.is_some(),
            is_flapping: incident.flap.since.is_some(),
        }
    }
}
