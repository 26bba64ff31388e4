//! What would Waroom have answered, and what would it have kept? The events (`v1/events`), the deployments, and API v0,
//! as far as docs.waroom.com and the public clients describe them; [`Quirks`] chooses where they leave it open or
//! contradict each other. Must not know who calls. Called through [`crate::Server`].
mod api;

use crate::http::{Answer, Request};
use crate::server::Remote;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many incidents it keeps; one more is refused.
const INCIDENTS_MAX: usize = 20_000;
/// The statuses, with their Japanese words.
pub(crate) const STATUSES: &[(&str, &str)] =
    &[("detected", "検出"), ("investigating", "調査中"), ("fixing", "修正中"), ("resolved", "解決"), ("close", "完了")];
/// The severities of an event; API v0 knows `unknown` too.
pub(crate) const SEVERITIES: &[&str] = &["info", "low", "high", "critical"];

/// How a change of status or severity is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChangeBy {
    /// By PUT and by PATCH.
    #[default]
    Both,
    /// By PUT; PATCH gives [`Quirks::refused`].
    Put,
    /// By PATCH; PUT gives [`Quirks::refused`].
    Patch,
}

/// What the documentation leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// Whether API v0 answers with Japanese words of the statuses.
    pub localised: bool,
    /// How changes are accepted.
    pub change_by: ChangeBy,
    /// The status code of the method that is not accepted: 404 or 405.
    pub refused: u16,
    /// The status code of a kept event: 200 or 201.
    pub kept: u16,
    /// Whether a later event with the same key overwrites status and severity.
    pub overwrites: bool,
    /// Whether the answer to an event has the incident's uuid; if not, one of the event.
    pub gives_incident_uuid: bool,
    /// Whether a key whose incident is closed opens a new one; if not, the event joins the closed one.
    pub opens_after_close: bool,
    /// Whether an aggregation key counts within the service of the integration key; if not, over all services.
    pub key_of_service: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            localised: false,
            change_by: ChangeBy::Both,
            refused: 405,
            kept: 200,
            overwrites: true,
            gives_incident_uuid: true,
            opens_after_close: false,
            key_of_service: true,
        }
    }
}

/// An incident that it keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteIncident {
    /// Its id.
    pub uuid: String,
    /// The service whose integration key opened it.
    pub service: String,
    /// The `aggregation_key`; `None` if it was opened by API v0.
    pub key: Option<String>,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// Its severity.
    pub severity: String,
    /// Its status, in English.
    pub status: String,
    /// Whether an event asked for a Slack channel.
    pub with_slack_channel: bool,
    /// How many events it took.
    pub events: u32,
    /// When it was opened, ms since 1970.
    pub created_ms: i64,
}

/// A deployment that it was told of.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// The organisation of the path.
    pub organization: String,
    /// The service of the path.
    pub service: String,
    /// The body.
    pub body: Value,
}

/// The stand-in.
#[derive(Clone, Debug, Default)]
pub struct Waroom {
    /// What the documentation leaves open.
    pub quirks: Quirks,
    /// Integration keys, each with its service.
    pub integration_keys: BTreeMap<String, String>,
    /// Keys of API v0.
    pub api_keys: Vec<String>,
    /// Deployment integration keys.
    pub deployment_keys: Vec<String>,
    /// The incidents, the oldest first.
    pub incidents: Vec<RemoteIncident>,
    /// The postmortems, as they were sent.
    pub postmortems: Vec<Value>,
    /// The deployments.
    pub deployments: Vec<Deployment>,
    /// Its time, ms since 1970: the caller sets it; each kept event moves it by 1 s.
    pub now_ms: i64,
    events: i64,
}

impl Waroom {
    /// One with this integration key for each service, and one key of API v0.
    pub fn new(quirks: Quirks, integration_keys: &[(&str, &str)], api_key: &str) -> Self {
        let owned = |(key, service): &(&str, &str)| ((*key).to_owned(), (*service).to_owned());
        Self {
            quirks,
            integration_keys: integration_keys.iter().map(owned).collect(),
            api_keys: vec![api_key.to_owned()],
            // 2026-06-01T00:00:00Z; any day will do.
            now_ms: 1_780_272_000_000,
            ..Self::default()
        }
    }

    /// The incidents of this aggregation key.
    pub fn of_key(&self, key: &str) -> Vec<&RemoteIncident> {
        self.incidents.iter().filter(|incident| incident.key.as_deref() == Some(key)).collect()
    }

    fn event(&mut self, request: &Request) -> Answer {
        let Some(service) = self.integration_keys.get(request.bearer()).cloned() else {
            return unauthorized();
        };
        let body = request.json();
        let Some(event) = body.get("event").filter(|event| event.is_object()) else {
            return invalid("event is missing");
        };
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let (title, severity, status) = (text("title"), text("severity"), text("status"));
        if title.is_empty() {
            return invalid("title can't be blank");
        }
        if !SEVERITIES.contains(&severity.as_str()) {
            return invalid("severity is not included in the list");
        }
        if !STATUSES.iter().any(|(word, _)| *word == status) {
            return invalid("status is not included in the list");
        }
        let wants_channel = match event.get("with_slack_channel") {
            None => false,
            Some(Value::Bool(wants)) => *wants,
            Some(_) => return invalid("with_slack_channel is no boolean"),
        };
        let key = text("aggregation_key");
        let Quirks { opens_after_close, key_of_service, .. } = self.quirks;
        let takes = |incident: &RemoteIncident| {
            incident.key.as_deref() == Some(&key)
                && (incident.service == service || !key_of_service)
                && !(opens_after_close && incident.status == "close")
        };
        self.events += 1;
        self.now_ms += 1_000;
        let at = match self.incidents.iter().position(|incident| !key.is_empty() && takes(incident)) {
            Some(at) => at,
            None if self.incidents.len() >= INCIDENTS_MAX => return Answer::json(500, json!({ "error": "full" })),
            None => {
                let key = (!key.is_empty()).then_some(key);
                self.open(&service, key, &title, &severity, &status)
            }
        };
        let overwrites = self.quirks.overwrites;
        let incident = &mut self.incidents[at];
        incident.description = text("description");
        incident.with_slack_channel |= wants_channel;
        incident.events += 1;
        if overwrites {
            (incident.title, incident.severity, incident.status) = (title, severity, status);
        }
        let gives = self.quirks.gives_incident_uuid;
        let uuid = if gives { incident.uuid.clone() } else { uuid_of(1_000_000 + self.events) };
        let created_at = time_text(self.now_ms);
        Answer::json(
            self.quirks.kept,
            json!({
                "id": self.events, "title": text("title"), "description": text("description"),
                "service_id": self.service_id(&service), "incident_id": at + 1, "uuid": uuid, "author_id": 1,
                "created_at": created_at,
            }),
        )
    }

    /// Keeps a new incident and returns its place.
    fn open(&mut self, service: &str, key: Option<String>, title: &str, severity: &str, status: &str) -> usize {
        let at = self.incidents.len();
        self.incidents.push(RemoteIncident {
            uuid: uuid_of(at as i64 + 1),
            service: service.to_owned(),
            key,
            title: title.to_owned(),
            description: String::new(),
            severity: severity.to_owned(),
            status: status.to_owned(),
            with_slack_channel: false,
            events: 0,
            created_ms: self.now_ms,
        });
        at
    }

    fn service_id(&self, service: &str) -> usize {
        let mut services: Vec<&String> = self.integration_keys.values().collect();
        services.sort();
        services.dedup();
        services.iter().position(|known| *known == service).map_or(0, |at| at + 1)
    }

    fn deployment(&mut self, request: &Request, organization: &str, service: &str) -> Answer {
        if !self.deployment_keys.iter().any(|key| key == request.bearer()) {
            return unauthorized();
        }
        let body = request.json();
        if body.get("ref").and_then(Value::as_str).is_none_or(str::is_empty) {
            return invalid("ref can't be blank");
        }
        if self.deployments.len() >= INCIDENTS_MAX {
            return Answer::json(500, json!({ "error": "full" }));
        }
        self.deployments.push(Deployment { organization: organization.into(), service: service.into(), body });
        Answer::json(200, json!({}))
    }
}

impl Remote for Waroom {
    fn answer(&mut self, request: &Request) -> Answer {
        match (request.method.as_str(), request.segments().as_slice()) {
            ("POST", ["v1", "events"]) => self.event(request),
            ("POST", ["v1", "organizations", organization, "services", service, "deployments"]) => {
                self.deployment(request, organization, service)
            }
            (_, ["api", "v0", rest @ ..]) => {
                if !self.api_keys.iter().any(|key| key == request.bearer()) {
                    return unauthorized();
                }
                self.api(request, rest)
            }
            _ => not_found(),
        }
    }
}

fn unauthorized() -> Answer {
    Answer::json(401, json!({ "error": "Unauthorized" }))
}

fn not_found() -> Answer {
    Answer::json(404, json!({ "error": "Not Found" }))
}

fn invalid(why: &str) -> Answer {
    Answer::json(422, json!({ "error": why }))
}

/// Ids in the form of a UUID.
fn uuid_of(number: i64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// ISO 8601, UTC.
fn time_text(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
