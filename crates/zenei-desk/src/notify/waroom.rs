//! Waroom: incidents by its events (`v1/events`), which deduplicate by `aggregation_key`, and status and severity by
//! API v0 where a key for it is configured; a round reads back what people change there. What docs.waroom.com leaves
//! open is not relied on: whether a later event overwrites, whose `uuid` the answer has, what a key does once its
//! incident is closed. Must not know the outbox. Called through [`super::Target`].
use super::delivery::{Common, Delivery, SendError, Sent, Watched};
use super::fault::Fault;
use super::http::{Answer, Http, Request};
use super::secret::Secret;
use super::waroom_text::{description, is_titled, list, parse_status, severity, text, title, urgency, uuid};
use crate::driver::Seen;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use zenei_incident::event::{Completed, Note, Reopened, StatusChanged, UrgencyChanged};
use zenei_incident::message::{plain, rfc3339};
use zenei_incident::{Event, Incident, Status, What};
use zenei_wire::EngineTime;

/// The real service.
const REAL: &str = "https://api.app.waroom.com";
/// The word of the last status.
const CLOSE: &str = "close";
/// Who last set a field there: zenei told it, or people were seen to have set it.
const TOLD: &str = "told";
const SEEN: &str = "seen";
/// Who changed what people changed at Waroom: its API does not say which person.
pub const BY: &str = "waroom";
/// Incidents on a page of API v0: the most that it allows.
const PER_PAGE: u32 = 100;
/// The most pages of one look: 5,000 incidents. A guess.
const PAGES_MAX: u32 = 50;
/// One day in ms: an incident may have another date at Waroom than here.
const DAY_MS: i64 = 86_400_000;

/// Waroom.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WaroomConfig {
    /// What every target has.
    #[serde(flatten)]
    pub common: Common,
    /// File that holds the integration key of services without one of their own.
    #[schemars(extend("format" = "file", "examples" = ["waroom.key"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration_key_file: Option<PathBuf>,
    /// Files that hold an integration key each, by service: Waroom binds a key to one service.
    #[schemars(extend("examples" = [{"homehub": "homehub.key", "device": "device.key"}]))]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub service_keys: BTreeMap<String, PathBuf>,
    /// File that holds a key of API v0: status and severity go both ways. Absent: they only go out, and `close` never.
    #[schemars(extend("format" = "file", "examples" = ["waroom-api.key"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Whether Waroom opens a Slack channel of its own for each incident whose urgency has one by opening.toml.
    pub with_slack_channel: bool,
}

/// A Waroom that can be sent to.
#[derive(Debug)]
pub struct Waroom {
    base: String,
    key: Option<Secret>,
    service_keys: BTreeMap<String, Secret>,
    api: Option<Secret>,
    with_slack_channel: bool,
}

/// Whether Waroom is told of this event: of what it can show.
pub(super) fn wants(event: &Event) -> bool {
    match &event.what {
        What::Opened(_) | What::Acknowledged(_) | What::Completed(_) | What::Reopened(_) | What::MergedInto(_) => true,
        // What was muted is told when the muting ends.
        What::TempFixDone(_) | What::RunbookStepDone(_) | What::Unmuted(_) => true,
        // Also what people changed there: where an older change from here was still on its way, it is put right again;
        // otherwise nothing differs and no request is made.
        What::StatusChanged(_) | What::UrgencyChanged(_) => true,
        What::EvidenceAdded(_) | What::OwnerAssigned(_) | What::DomainChanged(_) | What::InquiryLinked(_) => false,
        What::InquiryUnlinked(_) | What::Note(_) | What::TelemetryRecovered(_) | What::PostmortemHeld(_) => false,
        What::Judged(_) | What::PostmortemScheduled(_) | What::FlappingStarted(_) | What::FlappingEnded(_) => false,
        What::ChannelOpened(_) | What::Invited(_) | What::RunbookAttached(_) | What::ActionItemAdded(_) => false,
        What::ActionItemChanged(_) | What::EffortAdded(_) | What::DeliveryFailed(_) => false,
        What::DeliveryDuplicated(_) | What::SimilarFound(_) | What::Muted(_) => false,
        What::Other { .. } => false,
    }
}

impl Waroom {
    /// Reads the keys.
    ///
    /// # Errors
    /// What is missing or can't be read; never a key.
    pub(super) fn open(config: &WaroomConfig) -> Result<Self, Fault> {
        let read =
            |key: &str, file: &Option<PathBuf>| file.as_deref().map(Secret::read).transpose().map_err(Fault::at(key));
        let of_service = |(name, file): (&String, &PathBuf)| {
            let key = Secret::read(file).map_err(Fault::at(format!("service_keys.{name}")));
            key.map(|key| (name.clone(), key))
        };
        let service_keys: BTreeMap<String, Secret> =
            config.service_keys.iter().map(of_service).collect::<Result<_, Fault>>()?;
        let key = read("integration_key_file", &config.integration_key_file)?;
        if key.is_none() && service_keys.is_empty() {
            return Err("`integration_key_file` or `service_keys` is needed".to_owned().into());
        }
        Ok(Self {
            base: config.common.base(REAL).to_owned(),
            key,
            service_keys,
            api: read("api_key_file", &config.api_key_file)?,
            with_slack_channel: config.with_slack_channel,
        })
    }

    pub(super) async fn send(&self, http: &Http, delivery: &Delivery<'_>) -> Result<Sent, SendError> {
        match (&self.api, delivery.remote.contains_key("service")) {
            (Some(api), true) => self.change(http, api, delivery).await,
            (Some(_) | None, _) => self.event(http, delivery).await,
        }
    }

    /// A test is an incident of its own, resolved from its beginning; each test is another event of the same one.
    pub(super) async fn test(&self, http: &Http, now: EngineTime) -> Result<String, SendError> {
        let keys = self.service_keys.iter().map(|(name, key)| (name.as_str(), key));
        let mut answers = Vec::new();
        for (name, key) in self.key.iter().map(|key| ("integration key", key)).chain(keys) {
            let event = json!({
                "title": "[zenei test] Nothing has happened. テスト送信です。",
                "description": format!("`zenei notify test` at {}", rfc3339(now)),
                "aggregation_key": "zenei-test", "severity": "info", "status": "resolved", "with_slack_channel": false,
            });
            let answer = self.post_event(http, key, &event).await?;
            answers.push(format!("{name}: HTTP {}", answer.status));
        }
        Ok(answers.join("; "))
    }

    /// With a key of API v0 it reads the services; an integration key has no request that opens nothing.
    pub(super) async fn check(&self, http: &Http) -> Result<String, SendError> {
        let untried = "integration keys are tried by a test only";
        let Some(api) = &self.api else {
            http.reach(&self.base).await?;
            return Ok(format!("its address is allowed; {untried}"));
        };
        let answer = http.send(Request::new("GET", self.api_url("services")).bearer(api)).await?.success()?;
        let answer = answer.expecting("JSON with `services`", |it| it.json()["services"].is_array())?;
        let there: Vec<String> = list(&answer.json()["services"]).iter().map(|one| text(&one["name"])).collect();
        let missing: Vec<&String> = self.service_keys.keys().filter(|name| !there.contains(*name)).collect();
        if missing.is_empty() {
            return Ok(format!("the API key is valid, {} services; {untried}", there.len()));
        }
        let known: Vec<String> = there.iter().map(|name| plain(name, 40)).collect();
        Err(SendError::never(format!("service_keys has {missing:?}; Waroom has the services {known:?}")))
    }

    /// Tells of the incident as it is now; the aggregation key makes one remote incident of all of these.
    async fn event(&self, http: &Http, delivery: &Delivery<'_>) -> Result<Sent, SendError> {
        let incident = delivery.incident;
        let (service, key) = self.key_of(delivery)?;
        let event = json!({
            "title": title(incident), "description": description(delivery), "aggregation_key": delivery.message.key,
            "severity": severity(incident.urgency), "status": self.status(incident).as_str(),
            "with_slack_channel": self.with_slack_channel && delivery.opens_channel,
        });
        let answer = self.post_event(http, key, &event).await?;
        let mut sent = Sent::remark(format!("HTTP {}, incident {}", answer.status, shown_id(&answer)));
        sent.remember = vec![("service".into(), service)];
        sent.remember.extend(set("status", self.status(incident).as_str(), TOLD));
        sent.remember.extend(set("severity", severity(incident.urgency), TOLD));
        if let Some(api) = &self.api {
            // It has arrived; where the search fails, the next event or round searches again.
            let offered = uuid(&answer.json()["uuid"]);
            if let Ok(Some(found)) = self.find(http, api, incident, offered).await {
                sent.remember.push(("uuid".into(), found));
            }
        }
        Ok(sent)
    }

    async fn post_event(&self, http: &Http, key: &Secret, event: &Value) -> Result<Answer, SendError> {
        let url = format!("{}/v1/events", self.base);
        let answer = http.send(Request::post(url, &json!({ "event": event })).bearer(key)).await?.success()?;
        answer.expecting("JSON with an `incident_id`", |it| it.json()["incident_id"].is_i64())
    }

    /// Sets status and severity there to what they are here.
    async fn change(&self, http: &Http, api: &Secret, delivery: &Delivery<'_>) -> Result<Sent, SendError> {
        let incident = delivery.incident;
        let known = delivery.remote.get("uuid").cloned();
        let found = match known {
            Some(known) => Some(known),
            None => self.find(http, api, incident, None).await?,
        };
        let Some(found) = found else {
            return self.event(http, delivery).await;
        };
        let mut sent = Sent { remember: vec![("uuid".into(), found.clone())], ..Sent::default() };
        let mut remarks = Vec::new();
        for (field, word) in [("status", incident.status.as_str()), ("severity", severity(incident.urgency))] {
            let there = delivery.remote.get(field).map(String::as_str);
            // What people closed there stays closed until the work goes on here.
            let is_closed = field == "status" && there == Some(CLOSE) && incident.status == Status::Resolved;
            // What follows from what they set must not undo what they have set since.
            let is_theirs =
                is_by_waroom(delivery.event) && delivery.remote.get(&from(field)).is_some_and(|it| it == SEEN);
            if there == Some(word) || is_closed || is_theirs {
                continue;
            }
            let url = self.api_url(&format!("incidents/{found}/{field}"));
            let answer = put_or_patch(http, api, &url, &json!({ field: word })).await?;
            remarks.push(format!("{field} {word}: HTTP {}", answer.status));
            sent.remember.extend(set(field, word, TOLD));
        }
        sent.remark = if remarks.is_empty() { "nothing to change there".into() } else { remarks.join("; ") };
        Ok(sent)
    }

    /// Looks for what people changed there. An incident is found by its remembered uuid or by the mark in its title.
    ///
    /// # Errors
    /// [`SendError`]; nothing is lost, the next round sees the same.
    pub(super) async fn round(&self, http: &Http, watched: &[Watched]) -> Result<Vec<Seen>, SendError> {
        let (Some(api), Some(oldest)) = (&self.api, watched.iter().map(|one| one.incident.opened).min()) else {
            return Ok(Vec::new());
        };
        let (mut seen, mut met) = (Vec::new(), BTreeSet::new());
        for page in 1..=PAGES_MAX {
            let (found, is_last) = self.page(http, api, oldest, page).await?;
            for remote in &found {
                let is_it = |one: &&Watched| {
                    one.remote.contains_key("service")
                        && match one.remote.get("uuid") {
                            Some(known) => uuid(&remote["uuid"]).as_ref() == Some(known),
                            None => is_titled(remote, one.incident.id),
                        }
                };
                // One that is opened while we read moves others to the next page, where they come again.
                let one = watched.iter().find(is_it).filter(|one| met.insert(one.incident.id));
                seen.extend(one.and_then(|one| difference(one, remote)));
            }
            if is_last {
                break;
            }
        }
        Ok(seen)
    }

    /// The uuid of our incident there; `offered` is one that may be it.
    async fn find(
        &self,
        http: &Http,
        api: &Secret,
        incident: &Incident,
        offered: Option<String>,
    ) -> Result<Option<String>, SendError> {
        if let Some(offered) = offered {
            let url = self.api_url(&format!("incidents/{offered}"));
            let answer = http.send(Request::new("GET", url).bearer(api)).await?;
            let body = answer.json();
            let shown = body.get("incident").unwrap_or(&body);
            if answer.is_success() && is_titled(shown, incident.id) {
                return Ok(Some(offered));
            }
        }
        for page in 1..=PAGES_MAX {
            let (found, is_last) = self.page(http, api, incident.opened, page).await?;
            let it = found.iter().find(|remote| is_titled(remote, incident.id));
            if let Some(found) = it.and_then(|remote| uuid(&remote["uuid"])) {
                return Ok(Some(found));
            }
            if is_last {
                break;
            }
        }
        Ok(None)
    }

    /// One page of the incidents since about this time, and whether it is the last.
    async fn page(
        &self,
        http: &Http,
        api: &Secret,
        since: EngineTime,
        page: u32,
    ) -> Result<(Vec<Value>, bool), SendError> {
        let from = rfc3339(EngineTime(since.ms().saturating_sub(DAY_MS)));
        let from = from.get(..10).unwrap_or("1970-01-01");
        let url = self.api_url(&format!("incidents?page={page}&per_page={PER_PAGE}&from={from}"));
        let body = http.send(Request::new("GET", url).bearer(api)).await?.success()?.json();
        let Some(found) = body["incidents"].as_array() else {
            return Err(SendError::again("API v0 answered a list of incidents without `incidents`"));
        };
        Ok((found.clone(), body["response_metadata"]["next_page"].is_null()))
    }

    fn api_url(&self, path: &str) -> String {
        format!("{}/api/v0/{path}", self.base)
    }

    /// The service and its key; an incident keeps the key that opened it, because another would open another.
    fn key_of(&self, delivery: &Delivery<'_>) -> Result<(String, &Secret), SendError> {
        let wanted = delivery.remote.get("service").cloned();
        let service = wanted.or_else(|| delivery.message.service.clone()).unwrap_or_default();
        let key = self.service_keys.get(&service).or(self.key.as_ref());
        let missing = || {
            let known: Vec<&String> = self.service_keys.keys().collect();
            let service = plain(&service, 40);
            SendError::never(format!(
                "there is no key for service {service:?}: add it to service_keys, which has {known:?}"
            ))
        };
        key.map(|key| (service.clone(), key)).ok_or_else(missing)
    }

    /// The status to tell. Without API v0 an incident is never closed there: whether an event with the key of a closed
    /// incident opens another is not documented, and a repeated `close` would then open one.
    fn status(&self, incident: &Incident) -> Status {
        match (incident.status, &self.api) {
            (Status::Close, None) => Status::Resolved,
            (status, _) => status,
        }
    }
}

/// Waroom's number of the incident, for people; whatever else stands there is made harmless.
fn shown_id(answer: &Answer) -> String {
    plain(&answer.json()["incident_id"].to_string(), 40)
}

/// PUT, as Topotal's own client sends, and PATCH where that is not found or not allowed, as the documentation says.
async fn put_or_patch(http: &Http, api: &Secret, url: &str, body: &Value) -> Result<Answer, SendError> {
    let answer = http.send(Request::new("PUT", url).json(body).bearer(api)).await?;
    match answer.status {
        404 | 405 => http.send(Request::new("PATCH", url).json(body).bearer(api)).await?.success(),
        _ => answer.success(),
    }
}

/// What to remember of a field: its word there, and whether we told it or people set it.
fn set(field: &str, word: &str, by: &str) -> [(String, String); 2] {
    [(field.into(), word.into()), (from(field), by.into())]
}

/// Under which name it is remembered who last set a field.
fn from(field: &str) -> String {
    format!("{field}_from")
}

/// Whether this event follows from what people set there.
fn is_by_waroom(event: &Event) -> bool {
    matches!(&event.what, What::StatusChanged(changed) if changed.by == BY)
        || matches!(&event.what, What::UrgencyChanged(changed) if changed.by.as_deref() == Some(BY))
        || matches!(&event.what, What::Reopened(again) if again.by == BY)
}

/// What people changed at this remote incident since it was last seen or told.
fn difference(watched: &Watched, remote: &Value) -> Option<Seen> {
    let incident = &watched.incident;
    let remembered = |field: &str| watched.remote.get(field).map(String::as_str);
    let mut seen = Seen { incident: incident.id, events: Vec::new(), remember: Vec::new() };
    if let (None, Some(found)) = (remembered("uuid"), uuid(&remote["uuid"])) {
        seen.remember.push(("uuid".into(), found));
    }
    let status = parse_status(&text(&remote["status"]));
    if let Some(status) = status.filter(|to| Some(to.as_str()) != remembered("status")) {
        seen.remember.extend(set("status", status.as_str(), SEEN));
        seen.events.extend(follows(incident, status));
    }
    let severity_there = text(&remote["severity"]);
    if let Some(to) = urgency(&severity_there).filter(|_| Some(severity_there.as_str()) != remembered("severity")) {
        seen.remember.extend(set("severity", &severity_there, SEEN));
        if to != incident.urgency {
            let reason = "Waroom で変更 (changed at Waroom)".to_owned();
            seen.events.push(UrgencyChanged { to, reason, ground: None, by: Some(BY.into()) }.into());
        }
    }
    (!seen.events.is_empty() || !seen.remember.is_empty()).then_some(seen)
}

/// What follows here from a status that people set there. Only what may be completed here is; the wish for it is noted
/// otherwise, with what is missing.
fn follows(incident: &Incident, there: Status) -> Vec<What> {
    let by = || BY.to_owned();
    match (incident.status, there) {
        (here, there) if here == there => Vec::new(),
        (Status::Close, _) => Vec::new(),
        (here, Status::Close) => match incident.check_complete() {
            Ok(()) => vec![Completed { by: by() }.into()],
            Err(refused) => {
                let text = format!(
                    "Waroom で完了にされましたが、zenei ではまだ完了できません (closed at Waroom, not completed here): {refused}"
                );
                let mut events = vec![Note { text, by: by() }.into()];
                if here != Status::Resolved {
                    events.push(StatusChanged { to: Status::Resolved, by: by() }.into());
                }
                events
            }
        },
        (Status::Resolved, to) => {
            let reason = format!("Waroom で再開 (reopened at Waroom as {to})");
            let mut events = vec![Reopened { reason, by: by() }.into()];
            // That is what reopening sets.
            if to != Status::Investigating {
                events.push(StatusChanged { to, by: by() }.into());
            }
            events
        }
        (_, to) => vec![StatusChanged { to, by: by() }.into()],
    }
}

#[cfg(test)]
mod rounds;
#[cfg(test)]
mod tests;
