//! Alertmanager, API v2: an incident is an alert that is sent whole each time, because a later one without annotations
//! erases them. Alertmanager ends an alert by its `endsAt`, so a round sends the open ones again before that. The label
//! set is the alert's identity, so a message may be sent twice. Must not know the outbox. Called through
//! [`super::Target`].
use super::delivery::{Common, Delivery, Round, SendError, Sent, Watched};
use super::fault::Fault;
use super::http::{Answer, Http, Request};
use super::secret::Secret;
use crate::driver::Seen;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use zenei_detect::Urgency;
use zenei_incident::event::Note;
use zenei_incident::message::{Message, key, plain, rfc3339};
use zenei_incident::{Event, Incident, What};
use zenei_wire::EngineTime;

/// The label that holds an incident's key; nothing else has a label of this name.
pub const LABEL: &str = "zenei_incident";
/// Who says what Alertmanager is seen to do.
pub const BY: &str = "alertmanager";
/// What the labels of the alert that is open there are remembered as.
const LABELS: &str = "labels";
/// What silences and inhibitions were seen last is remembered as.
const SUPPRESSED: &str = "suppressed";
/// How many alerts one request holds; a guess: below 1 MB.
const BATCH: usize = 100;
/// How many silences, or inhibiting alerts, of one alert are looked at; a guess. More say nothing new to people.
const IDS_MAX: usize = 4;
/// How many silences one round looks up; a guess, the next round sees the rest.
const SILENCES_MAX: usize = 20;
/// The most characters of a label's value; a guess. A longer one is cut.
const VALUE_MAX: usize = 255;
/// The most characters of an annotation; a guess, several screens.
const TEXT_MAX: usize = 8_000;
/// The fewest characters of the webhook's token; a guess: 64 random bits in hexadecimal.
const TOKEN_MIN: usize = 16;
/// How many refreshes may fail before an alert ends there by itself.
const REFRESHES: u32 = 3;

/// Alertmanager.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AlertmanagerConfig {
    /// What every target has.
    #[serde(flatten)]
    pub common: Common,
    /// Its URL, without /api/v2.
    #[schemars(extend("format" = "http-url", "examples" = ["http://alertmanager.example.com:9093"]))]
    pub url: String,
    /// File that holds a token for a proxy before it.
    #[schemars(extend("format" = "file", "examples" = ["alertmanager.token"]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// User name, where it asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// File that holds the password.
    #[schemars(extend("format" = "file", "examples" = ["alertmanager.pw"]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// File that holds the token that its webhook sends to zenei, of at least 16 characters; absent: none is taken.
    #[schemars(extend("format" = "file", "examples" = ["alertmanager-webhook.token"]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_token_file: Option<PathBuf>,
    /// After how many seconds without zenei an alert ends there; an open one is sent again after a third of that.
    #[schemars(range(min = 15, max = 86400))]
    #[serde(default = "quarter_of_an_hour")]
    pub ends_after_s: u32,
}

/// A guess: a restart of zenei ends no alert, and one that nobody ends is gone before the hour.
const fn quarter_of_an_hour() -> u32 {
    900
}

/// An Alertmanager that can be sent to.
#[derive(Debug)]
pub struct Alertmanager {
    base: String,
    authorization: Option<Secret>,
    ends_after: Duration,
    webhook_token: Option<Secret>,
}

/// Whether Alertmanager is told of this event: of what changes an alert's labels, its text or its end.
pub(super) fn wants(event: &Event) -> bool {
    match &event.what {
        What::Opened(_) | What::Acknowledged(_) | What::Completed(_) | What::Reopened(_) | What::MergedInto(_) => true,
        // What was muted is told when the muting ends.
        What::StatusChanged(_) | What::UrgencyChanged(_) | What::DomainChanged(_) | What::Unmuted(_) => true,
        What::OwnerAssigned(_) => true,
        What::EvidenceAdded(_) | What::InquiryLinked(_) | What::InquiryUnlinked(_) | What::Note(_) => false,
        What::TempFixDone(_) | What::TelemetryRecovered(_) | What::PostmortemHeld(_) | What::Judged(_) => false,
        What::PostmortemScheduled(_) | What::FlappingStarted(_) | What::FlappingEnded(_) => false,
        What::ChannelOpened(_) | What::Invited(_) | What::RunbookAttached(_) | What::RunbookStepDone(_) => false,
        What::ActionItemAdded(_) | What::ActionItemChanged(_) | What::EffortAdded(_) => false,
        What::DeliveryFailed(_) | What::DeliveryDuplicated(_) | What::SimilarFound(_) | What::Muted(_) => false,
        What::Other { .. } => false,
    }
}

/// An alert's labels.
pub(super) type Labels = BTreeMap<String, String>;

impl Alertmanager {
    /// Reads the secrets.
    ///
    /// # Errors
    /// What is missing or can't be read; never a secret.
    pub(super) fn open(config: &AlertmanagerConfig) -> Result<Self, Fault> {
        let read =
            |key: &str, file: &Option<PathBuf>| file.as_deref().map(Secret::read).transpose().map_err(Fault::at(key));
        let authorization = match (
            read("token_file", &config.token_file)?,
            &config.username,
            read("password_file", &config.password_file)?,
        ) {
            (None, None, None) => None,
            (Some(token), None, None) => Some(Secret::from(format!("Bearer {}", token.reveal()).as_str())),
            (None, Some(user), Some(password)) => {
                let pair = BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()));
                Some(Secret::from(format!("Basic {pair}").as_str()))
            }
            _ => return Err("either `token_file`, or `username` and `password_file`".to_owned().into()),
        };
        let webhook_token = read("webhook_token_file", &config.webhook_token_file)?;
        let length = webhook_token.as_ref().map_or(TOKEN_MIN, |token| token.reveal().chars().count());
        if length < TOKEN_MIN {
            return Err(Fault::at("webhook_token_file")(format!(
                "the file holds {length} characters; a token that nobody guesses has at least {TOKEN_MIN}"
            )));
        }
        let base = config.common.base(&config.url).trim_end_matches('/').to_owned();
        Ok(Self { base, authorization, ends_after: Duration::from_secs(config.ends_after_s.into()), webhook_token })
    }

    /// The token that its webhook sends.
    pub(super) const fn webhook_token(&self) -> Option<&Secret> {
        self.webhook_token.as_ref()
    }

    /// How often the open alerts are sent again.
    pub(super) const fn refreshes_every(&self) -> Duration {
        match self.ends_after.checked_div(REFRESHES) {
            Some(third) => third,
            None => self.ends_after,
        }
    }

    pub(super) async fn send(&self, http: &Http, delivery: &Delivery<'_>) -> Result<Sent, SendError> {
        let incident = delivery.incident;
        let told = remembered(delivery.remote);
        let mut alerts = Vec::new();
        let labels = if incident.is_open() { Some(labels(incident)) } else { None };
        // What it knows under other labels ends: the urgency is one of them.
        if let Some(former) = told.as_ref().filter(|former| Some(*former) != labels.as_ref()) {
            alerts.push(alert(incident, former, delivery.message, delivery.now));
        }
        if let Some(labels) = &labels {
            alerts.push(alert(incident, labels, delivery.message, self.ends_at(delivery.now)));
        }
        if alerts.is_empty() {
            return Ok(Sent::remark("Alertmanager was not told of this incident"));
        }
        let answer = self.post(http, &alerts).await?;
        let text = labels.map_or_else(String::new, |labels| json!(labels).to_string());
        let (said, remember) = (if text.is_empty() { "ended" } else { "open" }, vec![(LABELS.to_owned(), text)]);
        Ok(Sent { remember, ..Sent::remark(format!("{said}: {}", answer.shown())) })
    }

    /// Sends the open alerts again, and looks which of them are silenced or inhibited there.
    ///
    /// # Errors
    /// [`SendError`]: the first of what failed; all others were sent.
    pub(super) async fn round(&self, http: &Http, round: &Round<'_>) -> Result<Vec<Seen>, SendError> {
        let is_open = |one: &&Watched| one.incident.is_open();
        let open: Vec<(&Watched, Labels)> =
            round.watched.iter().filter(is_open).filter_map(|one| Some((one, remembered(&one.remote)?))).collect();
        let ends_at = self.ends_at(round.now);
        let mut failed = None;
        for batch in open.chunks(BATCH) {
            let again = |(one, labels): &(&Watched, Labels)| {
                let incident = &one.incident;
                let message = Message::standing(incident, incident.service.as_deref(), round.lang);
                alert(incident, labels, &message, ends_at)
            };
            let alerts: Vec<Value> = batch.iter().map(again).collect();
            // One that is refused keeps no other from being sent again.
            if let Err(error) = self.post(http, &alerts).await {
                failed.get_or_insert(error);
            }
        }
        match failed {
            Some(error) => Err(error),
            None if open.is_empty() => Ok(Vec::new()),
            None => self.suppressed(http, &open).await,
        }
    }

    /// Shows a marked alert for a minute.
    pub(super) async fn test(&self, http: &Http, now: EngineTime) -> Result<String, SendError> {
        let text = "A test of zenei: nothing has happened (テスト)";
        let ends_at = rfc3339(EngineTime(now.ms().saturating_add(60_000)));
        let alert = json!({
            "labels": {"alertname": "zenei_test", "severity": "info", "zenei_test": "true"},
            "annotations": {"summary": text, "description": text}, "startsAt": rfc3339(now), "endsAt": ends_at,
        });
        let answer = self.post(http, &[alert]).await?;
        Ok(format!("{}; the alert zenei_test ends within a minute", answer.shown()))
    }

    pub(super) async fn check(&self, http: &Http) -> Result<String, SendError> {
        let request = Request::new("GET", format!("{}/api/v2/status", self.base));
        let answer = http.send(self.authorized(request)).await?.success()?;
        let has =
            |status: Value| status["versionInfo"]["version"].is_string() && status["cluster"]["status"].is_string();
        let expected = "JSON with `versionInfo` and `cluster`";
        let status = answer.expecting(expected, |it| has(it.json()))?.json();
        let word = |value: &Value| inert(value.as_str().unwrap_or_default(), 40);
        let (version, cluster) = (word(&status["versionInfo"]["version"]), word(&status["cluster"]["status"]));
        Ok(format!("Alertmanager {version}, cluster {cluster}"))
    }

    /// Which alerts are suppressed there: a note where that changed.
    async fn suppressed(&self, http: &Http, open: &[(&Watched, Labels)]) -> Result<Vec<Seen>, SendError> {
        let path = format!("alerts?active=false&unprocessed=false&filter={LABEL}%3D~%22zenei-.%2B%22");
        let found = self.get(http, &path).await?;
        let Some(found) = found.as_array() else {
            return Err(SendError::again("Alertmanager answered no list of alerts"));
        };
        let labelled = |alert: &Value| -> Option<(Labels, Value)> {
            let labels = serde_json::from_value::<Labels>(alert["labels"].clone()).ok()?;
            Some((labels, alert["status"].clone()))
        };
        let found: BTreeMap<Labels, Value> = found.iter().filter_map(labelled).collect();
        let mut silences = BTreeMap::new();
        let mut seen = Vec::new();
        for (one, labels) in open {
            let status = found.get(labels);
            let by = |name: &str| status.map(|status| ids(&status[name])).unwrap_or_default();
            let (silenced, inhibited) = (by("silencedBy"), by("inhibitedBy"));
            let now = json!([silenced, !inhibited.is_empty()]).to_string();
            let before = one.remote.get(SUPPRESSED).map_or(r#"[[],false]"#, String::as_str);
            if now == before {
                continue;
            }
            for id in &silenced {
                if !silences.contains_key(id) && silences.len() < SILENCES_MAX {
                    let silence = match self.get(http, &format!("silence/{id}")).await {
                        // It ended meanwhile.
                        Err(SendError::Never { .. }) => Value::Null,
                        answered @ (Ok(_) | Err(SendError::Again { .. })) => answered?,
                    };
                    silences.insert(id.clone(), silence);
                }
            }
            if silenced.iter().any(|id| !silences.contains_key(id)) {
                continue;
            }
            let text = told(silenced.iter().filter_map(|id| silences.get(id)), !inhibited.is_empty());
            let note = Note { text, by: BY.to_owned() };
            let remember = vec![(SUPPRESSED.to_owned(), now)];
            seen.push(Seen { incident: one.incident.id, events: vec![note.into()], remember });
        }
        Ok(seen)
    }

    async fn post(&self, http: &Http, alerts: &[Value]) -> Result<Answer, SendError> {
        let request = Request::post(format!("{}/api/v2/alerts", self.base), &json!(alerts));
        http.send(self.authorized(request)).await?.success()
    }

    async fn get(&self, http: &Http, path: &str) -> Result<Value, SendError> {
        let request = Request::new("GET", format!("{}/api/v2/{path}", self.base));
        Ok(http.send(self.authorized(request)).await?.success()?.json())
    }

    fn authorized(&self, request: Request) -> Request {
        match &self.authorization {
            Some(secret) => request.header("authorization", secret.reveal()),
            None => request,
        }
    }

    fn ends_at(&self, now: EngineTime) -> EngineTime {
        let ms = i64::try_from(self.ends_after.as_millis()).unwrap_or(i64::MAX);
        EngineTime(now.ms().saturating_add(ms))
    }
}

/// The labels of the alert that is open there, as remembered.
pub(super) fn remembered(remote: &BTreeMap<String, String>) -> Option<Labels> {
    serde_json::from_str(remote.get(LABELS)?).ok()
}

/// By which an alert is routed, grouped and silenced. They stay as they are but for urgency, domain and what follows
/// from it; when these change, the alert is another one and the former ends.
pub(super) fn labels(incident: &Incident) -> Labels {
    let severity = match incident.urgency {
        Urgency::Highest => "critical",
        Urgency::High => "error",
        Urgency::Medium => "warning",
        Urgency::Low => "info",
    };
    let labels = [
        ("alertname", incident.rule.as_str()),
        (LABEL, &key(incident)),
        ("severity", severity),
        ("domain", incident.domain.as_str()),
        ("component", incident.component.as_str()),
        ("service", incident.service.as_deref().unwrap_or("")),
        ("scope_kind", incident.scope.kind.as_str()),
        ("scope", &incident.scope.value),
    ];
    let named = labels.into_iter().map(|(name, value)| (name.to_owned(), inert(value, VALUE_MAX)));
    // To Alertmanager an empty label is none.
    named.filter(|(_, value)| !value.is_empty()).collect()
}

/// The whole alert.
fn alert(incident: &Incident, labels: &Labels, message: &Message, ends_at: EngineTime) -> Value {
    let lines: Vec<String> =
        message.lines.iter().map(|(name, value)| format!("{}: {}", name, inert(value, TEXT_MAX))).collect();
    let mut annotations = BTreeMap::from([
        ("summary", inert(&format!("[{}] {}", message.mark, message.title), TEXT_MAX)),
        ("description", lines.join("\n").chars().take(TEXT_MAX).collect()),
    ]);
    if let Some(by) = &incident.acknowledged_by {
        annotations.insert("acknowledged_by", inert(by, VALUE_MAX));
    }
    // Alertmanager refuses an alert that ends before it starts.
    let (starts, ends) = (incident.opened, EngineTime(ends_at.ms().max(incident.opened.ms())));
    json!({ "labels": labels, "annotations": annotations, "startsAt": rfc3339(starts), "endsAt": rfc3339(ends) })
}

/// Text without meaning to what Alertmanager passes it on to: its Slack receiver escapes nothing, so that `<!channel>`
/// would call everybody.
pub(super) fn inert(text: &str, chars_max: usize) -> String {
    let full = |c| match c {
        '<' => '‹',
        '>' => '›',
        '@' => '＠',
        c => c,
    };
    plain(text, chars_max).chars().map(full).collect()
}

/// The first ids of silences or inhibiting alerts: letters, digits and hyphens, for they become part of a URL.
fn ids(found: &Value) -> Vec<String> {
    let is_id =
        |id: &&str| (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let mut ids: Vec<String> =
        found.as_array().into_iter().flatten().filter_map(Value::as_str).filter(is_id).map(str::to_owned).collect();
    ids.sort();
    ids.truncate(IDS_MAX);
    ids
}

/// What people read of a change.
fn told<'s>(silences: impl Iterator<Item = &'s Value>, is_inhibited: bool) -> String {
    let word = |value: &Value| inert(value.as_str().unwrap_or("—"), 200);
    let one = |silence: &Value| {
        let (by, until, why) = (word(&silence["createdBy"]), word(&silence["endsAt"]), word(&silence["comment"]));
        format!("{by} が {until} まで通知を止めています (silenced in Alertmanager): {why}")
    };
    let mut lines: Vec<String> = silences.map(one).collect();
    if is_inhibited {
        lines.push("別のアラートにより抑制されています (inhibited in Alertmanager by another alert)".to_owned());
    }
    if lines.is_empty() {
        lines.push("通知は止められていません (no longer silenced or inhibited in Alertmanager)".to_owned());
    }
    lines.join("; ")
}

#[cfg(test)]
mod tests;
