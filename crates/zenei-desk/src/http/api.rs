//! `/api/v1/incidents`: incidents as JSON. An unknown query parameter is refused, so that a mistyped filter never
//! lists everything. Must not know the store. Called by the router.
use super::gate::{Guarded, Need};
use super::problem::problem;
use crate::Incidents;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use zenei_detect::{Domain, Evidence, Urgency};
use zenei_incident::document::IncidentLine;
use zenei_incident::{Incident, Inquiries, Status};
use zenei_wire::Id;

/// The routes of the API.
pub(super) fn routes(incidents: Incidents) -> Guarded {
    Guarded::new()
        .get("/api/v1/incidents", Need::View, list)
        .get("/api/v1/incidents/{id}", Need::View, show)
        .with_state(incidents)
}

#[derive(Serialize)]
struct Listed<'a> {
    incidents: Vec<IncidentLine<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    line: IncidentLine<'a>,
    urgency_reason: &'a str,
    acknowledged_by: Option<&'a str>,
    findings: u64,
    records: u64,
    evidence: Vec<&'a Evidence>,
}

/// Which incidents to list; `None` means any.
#[derive(Debug, Default, PartialEq)]
struct Filter {
    status: Option<Status>,
    domain: Option<Domain>,
    urgency: Option<Urgency>,
    service: Option<String>,
}

async fn list(State(incidents): State<Incidents>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let filter = match Filter::parse(&query) {
        Ok(filter) => filter,
        Err(text) => return problem(StatusCode::BAD_REQUEST, &text),
    };
    let book = incidents.read();
    let mut found: Vec<&Incident> = book.incidents().filter(|incident| filter.has(incident)).collect();
    // The newest first.
    found.sort_by_key(|incident| (Reverse(incident.opened), incident.id));
    let none = Inquiries::default();
    axum::Json(Listed { incidents: found.into_iter().map(|incident| IncidentLine::of(incident, &none)).collect() })
        .into_response()
}

async fn show(State(incidents): State<Incidents>, Path(id): Path<String>) -> Response {
    let Some(id) = Id::parse(id.strip_prefix("zenei-").unwrap_or(&id)) else {
        return problem(StatusCode::NOT_FOUND, "an incident's id is 32 lower-case hex digits");
    };
    let book = incidents.read();
    let Some(incident) = book.incident(id) else {
        return problem(StatusCode::NOT_FOUND, "there is no incident of this id");
    };
    axum::Json(Shown {
        line: IncidentLine::of(incident, &Inquiries::default()),
        urgency_reason: &incident.urgency_reason,
        acknowledged_by: incident.acknowledged_by.as_deref(),
        findings: incident.findings,
        records: incident.records,
        evidence: incident.evidence_first.iter().chain(&incident.evidence_latest).collect(),
    })
    .into_response()
}

impl Filter {
    fn parse(query: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut filter = Self::default();
        for (key, value) in query {
            let is_known = match key.as_str() {
                "status" => Status::parse(value).map(|status| filter.status = Some(status)),
                "domain" => Domain::parse(value).map(|domain| filter.domain = Some(domain)),
                "urgency" => Urgency::parse(value).map(|urgency| filter.urgency = Some(urgency)),
                "service" => Some(value.clone()).map(|service| filter.service = Some(service)),
                _ => {
                    return Err(format!("the parameter {key:?} is not known; status, domain, service and urgency are"));
                }
            };
            is_known.ok_or_else(|| format!("{key} is {value:?}, which is none of its words"))?;
        }
        Ok(filter)
    }

    fn has(&self, incident: &Incident) -> bool {
        self.status.is_none_or(|status| status == incident.status)
            && self.domain.is_none_or(|domain| domain == incident.domain)
            && self.urgency.is_none_or(|urgency| urgency == incident.urgency)
            && self.service.as_ref().is_none_or(|service| incident.service.as_ref() == Some(service))
    }
}
