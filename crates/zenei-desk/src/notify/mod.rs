//! How people and other systems are told of incidents: one file a kind of target, each with its own configuration type,
//! and what they share. The list of kinds is closed: [`TargetConfig`] is what a configuration may say, [`Target`] what
//! it becomes. Must not know how findings become incidents. Called by the sender and by the binary, which makes the
//! targets and asks for tests and checks.
pub mod alertmanager;
pub mod bucket;
pub mod delivery;
mod fault;
pub mod guard;
mod hidden;
pub mod http;
pub mod inward;
pub mod pagerduty;
pub mod queue;
mod retry_after;
pub mod secret;
pub mod sender;
pub mod slack;
mod slack_api;
mod slack_hook;
mod slack_progress;
mod slack_text;
#[cfg(test)]
mod trial;
pub mod waroom;
mod waroom_text;
pub mod webhook;

pub use delivery::{Common, Delivery, Invitee, Round, SendError, Sent, Watched};
pub use http::{Answer, Http, Request};
pub use queue::{Letter, Queue};
pub use secret::Secret;
pub use sender::{Pace, Remote, Sender};

use crate::driver::Seen;
use crate::route::Route;
use alertmanager::AlertmanagerConfig;
use fault::{Fault, check_url};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slack::SlackConfig;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zenei_detect::Urgency;
use zenei_wire::EngineTime;

/// A target as a configuration describes it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum TargetConfig {
    /// Any HTTP endpoint: Standard Webhooks and CloudEvents.
    Webhook(webhook::WebhookConfig),
    /// PagerDuty.
    PagerDuty(pagerduty::PagerDutyConfig),
    /// Slack.
    Slack(SlackConfig),
    /// Waroom.
    Waroom(waroom::WaroomConfig),
    /// Alertmanager.
    Alertmanager(AlertmanagerConfig),
}

impl TargetConfig {
    /// The keys that every target has.
    pub const fn common(&self) -> &Common {
        match self {
            Self::Webhook(config) => &config.common,
            Self::PagerDuty(config) => &config.common,
            Self::Slack(config) => &config.common,
            Self::Waroom(config) => &config.common,
            Self::Alertmanager(config) => &config.common,
        }
    }

    /// Its kind, as a configuration writes it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::PagerDuty(_) => "pagerduty",
            Self::Slack(_) => "slack",
            Self::Waroom(_) => "waroom",
            Self::Alertmanager(_) => "alertmanager",
        }
    }

    /// The files that hold its secrets.
    pub fn secret_files(&self) -> Vec<&Path> {
        let files: Vec<Option<&PathBuf>> = match self {
            Self::Webhook(config) => vec![config.url_file.as_ref(), config.secret_file.as_ref()],
            Self::PagerDuty(config) => vec![Some(&config.routing_key_file)],
            Self::Slack(config) => {
                let SlackConfig { token_file, signing_secret_file, webhook_url_file, .. } = config;
                vec![token_file.as_ref(), signing_secret_file.as_ref(), webhook_url_file.as_ref()]
            }
            Self::Waroom(config) => {
                let keys = [config.integration_key_file.as_ref(), config.api_key_file.as_ref()];
                keys.into_iter().chain(config.service_keys.values().map(Some)).collect()
            }
            Self::Alertmanager(config) => {
                let AlertmanagerConfig { token_file, password_file, webhook_token_file, .. } = config;
                vec![token_file.as_ref(), password_file.as_ref(), webhook_token_file.as_ref()]
            }
        };
        files.into_iter().flatten().map(PathBuf::as_path).collect()
    }

    /// Its addresses, each with the key that gives it; of a key that names a file, what is in the file.
    fn addresses(&self) -> Result<Vec<(&'static str, String)>, Fault> {
        let own = match self {
            Self::Webhook(config) => {
                vec![("url", config.url.clone()), ("url_file", read("url_file", &config.url_file)?)]
            }
            Self::Slack(config) => vec![("webhook_url_file", read("webhook_url_file", &config.webhook_url_file)?)],
            Self::Alertmanager(config) => vec![("url", Some(config.url.clone()))],
            Self::PagerDuty(_) | Self::Waroom(_) => Vec::new(),
        };
        let all = own.into_iter().chain([("base_url", self.common().base_url.clone())]);
        Ok(all.filter_map(|(key, url)| Some((key, url?))).collect())
    }

    /// Which events of which incidents this target is told of.
    pub fn route(&self, name: &str) -> Route {
        let common = self.common();
        Route {
            target: name.to_owned(),
            min_urgency: common.min_urgency.unwrap_or(Urgency::Low),
            domains: common.domains.iter().copied().collect(),
            services: common.services.iter().cloned().collect(),
            wants: match self {
                Self::Webhook(_) => webhook::wants,
                Self::PagerDuty(_) => pagerduty::wants,
                Self::Slack(_) => slack::wants,
                Self::Waroom(_) => waroom::wants,
                Self::Alertmanager(_) => alertmanager::wants,
            },
        }
    }
}

/// The first line of the file that this key names.
fn read(key: &str, file: &Option<PathBuf>) -> Result<Option<String>, Fault> {
    let read = file.as_deref().map(Secret::read).transpose().map_err(Fault::at(key))?;
    Ok(read.map(|secret| secret.reveal().to_owned()))
}

/// A target that can be sent to.
#[derive(Debug)]
pub struct Target {
    /// Its name in the configuration.
    pub name: String,
    /// The keys that every target has.
    pub common: Common,
    /// Its client, with the address check that its configuration asks for.
    pub http: Http,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Webhook(webhook::Webhook),
    PagerDuty(pagerduty::PagerDuty),
    Slack(slack::Slack),
    Waroom(waroom::Waroom),
    Alertmanager(alertmanager::Alertmanager),
}

/// Why a target can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}`: {why}", self.place())]
pub struct OpenError {
    /// The target's name.
    pub name: String,
    /// Its key that is wrong; `None` where one is missing, or several contradict each other.
    pub key: Option<String>,
    /// What is wrong; never a secret.
    pub why: String,
}

impl OpenError {
    fn of(name: &str, fault: Fault) -> Self {
        Self { name: name.to_owned(), key: fault.key, why: fault.why }
    }

    /// Where in a configuration: the key, or the target's table.
    pub fn place(&self) -> String {
        let key = self.key.as_ref().map(|key| format!(".{key}")).unwrap_or_default();
        format!("notify.{}{key}", self.name)
    }
}

impl Target {
    /// Reads the target's secrets, and refuses a private address by its letters unless it is allowed; opens no
    /// connection and asks no resolver. What passes may still be unreachable.
    ///
    /// # Errors
    /// As [`Self::open`]; an address that is not allowed.
    pub fn checked(name: &str, config: &TargetConfig) -> Result<Self, OpenError> {
        let target = Self::open(name, config)?;
        let allow_private = config.common().allow_private;
        let addresses = config.addresses().map_err(|fault| OpenError::of(name, fault))?;
        for (key, url) in addresses {
            let checked = check_url(&url, allow_private).map_err(Fault::at(key));
            checked.map_err(|fault| OpenError::of(name, fault))?;
        }
        Ok(target)
    }

    /// Reads the target's secrets; opens no connection.
    ///
    /// # Errors
    /// A secret that can't be read or has a wrong form.
    pub fn open(name: &str, config: &TargetConfig) -> Result<Self, OpenError> {
        let failed = |fault| OpenError::of(name, fault);
        let kind = match config {
            TargetConfig::Webhook(config) => webhook::Webhook::open(config).map(Kind::Webhook),
            TargetConfig::PagerDuty(config) => pagerduty::PagerDuty::open(config).map(Kind::PagerDuty),
            TargetConfig::Slack(config) => slack::Slack::open(config).map(Kind::Slack),
            TargetConfig::Waroom(config) => waroom::Waroom::open(config).map(Kind::Waroom),
            TargetConfig::Alertmanager(config) => alertmanager::Alertmanager::open(config).map(Kind::Alertmanager),
        }
        .map_err(failed)?;
        let common = config.common();
        let http = Http::new(common.allow_private).map_err(|why| failed(why.into()))?;
        Ok(Self { name: name.to_owned(), common: common.clone(), http, kind })
    }

    /// Its kind, as a configuration writes it.
    pub const fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Webhook(_) => "webhook",
            Kind::PagerDuty(_) => "pagerduty",
            Kind::Slack(_) => "slack",
            Kind::Waroom(_) => "waroom",
            Kind::Alertmanager(_) => "alertmanager",
        }
    }

    /// Sends one message.
    ///
    /// # Errors
    /// [`SendError`]: whether to try again.
    pub async fn send(&self, delivery: &Delivery<'_>) -> Result<Sent, SendError> {
        match &self.kind {
            Kind::Webhook(webhook) => webhook.send(&self.http, delivery).await,
            Kind::PagerDuty(pager) => pager.send(&self.http, delivery).await,
            Kind::Slack(slack) => slack.send(&self.http, delivery).await,
            Kind::Waroom(waroom) => waroom.send(&self.http, delivery).await,
            Kind::Alertmanager(am) => am.send(&self.http, delivery).await,
        }
    }

    /// How many messages it takes a second, from its documented limit where it has one.
    const fn per_second(&self) -> f64 {
        match self.kind {
            // A guess: what any endpoint takes. Alertmanager was measured to take 2,000 a second.
            Kind::Webhook(_) | Kind::Alertmanager(_) => 10.0,
            // 120 a minute and key.
            Kind::PagerDuty(_) => 2.0,
            // Slack: one message a second to a channel. Waroom documents none; the same is a guess.
            Kind::Slack(_) | Kind::Waroom(_) => 1.0,
        }
    }

    /// Sends a marked test that opens nothing lasting, and says what the remote answered.
    ///
    /// # Errors
    /// [`SendError`]: what the remote refused, or that it can't be reached.
    pub async fn test(&self, now: EngineTime) -> Result<String, SendError> {
        match &self.kind {
            Kind::Webhook(webhook) => webhook.test(&self.http, now).await,
            Kind::PagerDuty(pager) => pager.test(&self.http, now).await,
            Kind::Slack(slack) => slack.test(&self.http, now).await,
            Kind::Waroom(waroom) => waroom.test(&self.http, now).await,
            Kind::Alertmanager(am) => am.test(&self.http, now).await,
        }
    }

    /// How often [`Self::round`] is due; `None`: never.
    const fn round_every(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Webhook(_) | Kind::PagerDuty(_) | Kind::Slack(_) => None,
            // A guess: people notice within a minute, and no limit is documented.
            Kind::Waroom(_) => Some(Duration::from_secs(60)),
            Kind::Alertmanager(am) => Some(am.refreshes_every()),
        }
    }

    /// Whether it deduplicates by a key, so that a message may be sent again without a look.
    const fn has_key(&self) -> bool {
        match self.kind {
            Kind::Webhook(_) | Kind::PagerDuty(_) | Kind::Waroom(_) | Kind::Alertmanager(_) => true,
            Kind::Slack(_) => false,
        }
    }

    /// What people changed at the remote since the last look, where it has to be asked for that.
    ///
    /// # Errors
    /// [`SendError`]; nothing is lost, the next round sees the same.
    pub async fn round(&self, round: &Round<'_>) -> Result<Vec<Seen>, SendError> {
        match &self.kind {
            Kind::Webhook(_) | Kind::PagerDuty(_) | Kind::Slack(_) => Ok(Vec::new()),
            Kind::Waroom(waroom) => waroom.round(&self.http, round.watched).await,
            Kind::Alertmanager(am) => am.round(&self.http, round).await,
        }
    }

    /// The secret that this target signs its requests to us with; `None` where it sends none.
    pub(super) const fn signing_secret(&self) -> Option<&Secret> {
        match &self.kind {
            Kind::Slack(slack) => slack.signing_secret(),
            Kind::Webhook(_) | Kind::PagerDuty(_) | Kind::Waroom(_) | Kind::Alertmanager(_) => None,
        }
    }

    /// The token that this target's own webhook sends; `None` where none is taken.
    pub(super) const fn webhook_token(&self) -> Option<&Secret> {
        match &self.kind {
            Kind::Alertmanager(am) => am.webhook_token(),
            Kind::Webhook(_) | Kind::PagerDuty(_) | Kind::Waroom(_) | Kind::Slack(_) => None,
        }
    }

    /// Checks credentials without opening anything, where the remote allows that; else says what could not be checked.
    ///
    /// # Errors
    /// [`SendError`]: what the remote refused, or that it can't be reached.
    pub async fn check(&self) -> Result<String, SendError> {
        match &self.kind {
            Kind::Webhook(webhook) => webhook.check(&self.http).await,
            Kind::PagerDuty(pager) => pager.check(&self.http).await,
            Kind::Slack(slack) => slack.check(&self.http).await,
            Kind::Waroom(waroom) => waroom.check(&self.http).await,
            Kind::Alertmanager(am) => am.check(&self.http).await,
        }
    }
}

impl Remote for Target {
    fn name(&self) -> &str {
        &self.name
    }

    fn per_second(&self) -> f64 {
        Self::per_second(self)
    }

    fn has_key(&self) -> bool {
        Self::has_key(self)
    }

    async fn send(&self, delivery: &Delivery<'_>) -> Result<Sent, SendError> {
        Self::send(self, delivery).await
    }

    fn round_every(&self) -> Option<Duration> {
        Self::round_every(self)
    }

    async fn round(&self, round: &Round<'_>) -> Result<Vec<Seen>, SendError> {
        Self::round(self, round).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_incident::Event;
    use zenei_wire::Id;

    #[test]
    fn every_kind_of_target_is_told_of_what_opens_and_of_what_was_muted() {
        let kinds = [
            ("webhook", webhook::wants as fn(&Event) -> bool),
            ("slack", slack::wants),
            ("waroom", waroom::wants),
            ("pagerduty", pagerduty::wants),
            ("alertmanager", alertmanager::wants),
        ];
        for (kind, body) in
            [("unmuted", r#"{"why":"the silence ended"}"#), ("reopened", r#"{"reason":"it came back","by":"sato"}"#)]
        {
            let event = Event::read(Id(1), 3, EngineTime(5), kind, body).unwrap();
            for (name, wants) in kinds {
                assert!(wants(&event), "{name} is not told of {kind}");
            }
        }
        let added = Event::read(Id(1), 3, EngineTime(5), "delivery_duplicated", r#"{"target":"a","why":"b"}"#).unwrap();
        assert!(!waroom::wants(&added) && !pagerduty::wants(&added), "the check can tell");
    }

    #[test]
    fn no_kind_of_target_shows_a_secret_in_its_debug_form() {
        let folder = tempfile::tempdir().unwrap();
        let file = |text: &str| {
            let path = folder.path().join(Id::of(&[text.as_bytes()]).to_string());
            std::fs::write(&path, text).unwrap();
            path
        };
        let all = serde_json::json!([
            {"kind": "webhook", "url_file": file("https://example.com/canary"),
                "secret_file": file("whsec_Y2FuYXJ5LXdlYmhvb2stc2lnbmluZy1rZXkh")},
            {"kind": "pagerduty", "routing_key_file": file("canary-pagerduty-routing-key-012")},
            {"kind": "slack", "token_file": file("xoxb-canary"), "signing_secret_file": file("canary-signing")},
            {"kind": "slack", "webhook_url_file": file("https://example.com/canary-hook")},
            {"kind": "waroom", "integration_key_file": file("canary-key"), "api_key_file": file("canary-api"),
                "service_keys": {"device": file("canary-device")}},
            {"kind": "alertmanager", "url": "https://example.com", "username": "zenei",
                "password_file": file("canary-password"), "webhook_token_file": file("canary-webhook-token")},
            {"kind": "alertmanager", "url": "https://example.com", "token_file": file("canary-token")},
        ]);
        let all: Vec<TargetConfig> = serde_json::from_value(all).unwrap();
        let opened = all.iter().map(|config| Target::open("a", config).unwrap());
        let kinds: std::collections::BTreeSet<&str> = opened
            .map(|target| {
                let shown = format!("{target:?}");
                assert!(
                    !shown.contains("canary") && !shown.contains("Y2FuYXJ5") && !shown.contains("[99, 97"),
                    "{shown}"
                );
                target.kind()
            })
            .collect();
        assert_eq!(kinds.len(), 5, "a kind is missing: {kinds:?}");
    }
}
