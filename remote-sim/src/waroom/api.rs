//! API v0 of the stand-in: incidents, their status and severity, services and postmortems. Must not know the events.
//! Called by the stand-in once the key is checked.
use super::{ChangeBy, RemoteIncident, SEVERITIES, STATUSES, Waroom, invalid, not_found, time_text};
use crate::http::{Answer, Request};
use serde_json::{Value, json};

/// Incidents on a page, where the caller doesn't say.
const PER_PAGE: usize = 50;
/// The most incidents on a page.
const PER_PAGE_MAX: usize = 100;

impl Waroom {
    pub(super) fn api(&mut self, request: &Request, path: &[&str]) -> Answer {
        match (request.method.as_str(), path) {
            ("GET", ["incidents"]) => self.list(request),
            ("POST", ["incidents"]) => self.create(&request.json()),
            ("GET", ["incidents", uuid]) => match self.incidents.iter().find(|incident| incident.uuid == *uuid) {
                Some(incident) => Answer::json(200, json!({ "incident": self.shown(incident) })),
                None => not_found(),
            },
            (method @ ("PUT" | "PATCH"), ["incidents", uuid, field @ ("status" | "severity")]) => {
                self.change(method, uuid, field, &request.json())
            }
            ("GET", ["services"]) => {
                let mut names: Vec<&String> = self.integration_keys.values().collect();
                names.sort();
                names.dedup();
                let services: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
                Answer::json(200, json!({ "services": services }))
            }
            ("GET", ["postmortems"]) => Answer::json(200, json!({ "postmortems": self.postmortems })),
            ("POST", ["postmortems"]) => self.postmortem(request.json()),
            _ => not_found(),
        }
    }

    fn create(&mut self, body: &Value) -> Answer {
        let Some(incident) = body.get("incident").filter(|incident| incident.is_object()) else {
            return invalid("incident is missing");
        };
        let text = |name: &str| incident.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let (service, title, severity) = (text("service_name"), text("title"), text("severity"));
        if !self.integration_keys.values().any(|known| *known == service) {
            return not_found();
        }
        if title.is_empty() || !is_severity(&severity) {
            return invalid("title can't be blank, severity is one of the list");
        }
        self.now_ms += 1_000;
        let at = self.open(&service, None, &title, &severity, "detected");
        self.incidents[at].description = text("description");
        Answer::json(201, json!({ "incident": self.shown(&self.incidents[at]) }))
    }

    fn change(&mut self, method: &str, uuid: &str, field: &str, body: &Value) -> Answer {
        let is_taken = match self.quirks.change_by {
            ChangeBy::Both => true,
            ChangeBy::Put => method == "PUT",
            ChangeBy::Patch => method == "PATCH",
        };
        if !is_taken {
            return Answer::json(self.quirks.refused, json!({ "error": "no route" }));
        }
        let word = body.get(field).and_then(Value::as_str).unwrap_or("");
        let is_known = match field {
            "status" => STATUSES.iter().any(|(known, _)| *known == word),
            _ => is_severity(word),
        };
        if !is_known {
            return invalid("the value is not included in the list");
        }
        let Some(incident) = self.incidents.iter_mut().find(|incident| incident.uuid == uuid) else {
            return not_found();
        };
        match field {
            "status" => incident.status = word.to_owned(),
            _ => incident.severity = word.to_owned(),
        }
        Answer::json(200, json!({}))
    }

    fn postmortem(&mut self, body: Value) -> Answer {
        let is_whole = ["title", "blob"].iter().all(|name| body.get(name).is_some_and(Value::is_string))
            && body.get("incident_uuids").is_some_and(Value::is_array);
        if !is_whole {
            return invalid("title, blob and incident_uuids are wanted");
        }
        self.postmortems.push(body);
        Answer::json(201, json!({}))
    }

    /// The newest first, filtered, in pages.
    fn list(&self, request: &Request) -> Answer {
        let number = |name: &str, otherwise: usize| request.query.get(name).map_or(Ok(otherwise), |text| text.parse());
        let (Ok(page), Ok(per_page)) = (number("page", 1), number("per_page", PER_PAGE)) else {
            return invalid("page and per_page are numbers");
        };
        if page == 0 || per_page == 0 || per_page > PER_PAGE_MAX {
            return invalid("page is from 1, per_page from 1 to 100");
        }
        let mut found: Vec<&RemoteIncident> = self.incidents.iter().filter(|one| has(one, request)).collect();
        found.sort_by_key(|incident| std::cmp::Reverse(incident.created_ms));
        let total = found.len();
        let pages = total.div_ceil(per_page);
        let shown: Vec<Value> =
            found.into_iter().skip((page - 1) * per_page).take(per_page).map(|incident| self.shown(incident)).collect();
        let next = (page < pages).then_some(page + 1);
        let previous = (page > 1).then_some(page - 1);
        let metadata = json!({
            "current_page": page, "next_page": next, "prev_page": previous, "total_pages": pages, "total_count": total,
        });
        Answer::json(200, json!({ "incidents": shown, "response_metadata": metadata }))
    }

    fn shown(&self, incident: &RemoteIncident) -> Value {
        let localised = |(_, japanese): &(&str, &'static str)| *japanese;
        let known = STATUSES.iter().find(|(word, _)| *word == incident.status).filter(|_| self.quirks.localised);
        let status = known.map_or(incident.status.as_str(), localised);
        let of_incident = |postmortem: &&Value| {
            postmortem["incident_uuids"].as_array().is_some_and(|uuids| uuids.iter().any(|uuid| *uuid == incident.uuid))
        };
        let postmortems: Vec<&Value> = self.postmortems.iter().filter(of_incident).collect();
        json!({
            "uuid": incident.uuid, "title": incident.title, "severity": incident.severity, "status": status,
            "root_cause": "unspecified", "experimental": false, "service": { "name": incident.service }, "labels": [],
            "metrics": { "ttd": null, "tta": null, "tti": null, "ttf": null, "ttr": null },
            "created_at": time_text(incident.created_ms), "postmortems": postmortems,
        })
    }
}

fn is_severity(word: &str) -> bool {
    word == "unknown" || SEVERITIES.contains(&word)
}

fn has(incident: &RemoteIncident, request: &Request) -> bool {
    let given = |name: &str| request.query.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let is_in = |name: &str, value: &str| given(name).is_none_or(|list| list.split(',').any(|one| one == value));
    let day = time_text(incident.created_ms).get(..10).unwrap_or("").to_owned();
    is_in("service_names", &incident.service)
        && is_in("severities", &incident.severity)
        && given("status").is_none_or(|status| status == incident.status)
        && given("from").is_none_or(|from| day.as_str() >= from)
        && given("to").is_none_or(|to| day.as_str() <= to)
}
