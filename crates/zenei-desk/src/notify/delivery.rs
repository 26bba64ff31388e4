//! What every connector is given, what it answers, and the keys that every target has. Must not know a remote or the
//! outbox. Called by the connectors and by the sender.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use zenei_detect::{Domain, Urgency};
use zenei_incident::message::{Lang, Message};
use zenei_incident::{Event, Incident, What};
use zenei_wire::{EngineTime, Id};

/// The keys that every target has, whatever its kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Common {
    /// Base URL of its API; absent: the real service.
    #[schemars(extend("format" = "http-url", "examples" = ["https://api.example.com"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The lowest urgency of the incidents that it is told of; absent: all.
    #[schemars(with = "String", extend("enum" = ["low", "medium", "high", "highest"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_urgency: Option<Urgency>,
    /// The domains whose incidents it is told of; empty: all.
    #[schemars(extend("items" = {"type": "string", "enum": ["hardware", "firmware", "software"]}))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub domains: Vec<Domain>,
    /// The services whose incidents it is told of, as services.toml names them; empty: all.
    #[schemars(extend("examples" = [["homehub"]]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// The language of what it is told, ja or en; absent: that of the desk.
    #[schemars(with = "String", extend("enum" = ["ja", "en"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lang: Option<Lang>,
    /// Whether it may be at a private, link-local or loopback address. False refuses such an address, also where a name
    /// leads to it.
    pub allow_private: bool,
}

impl Common {
    /// The base URL without a slash at its end, or the real service's.
    pub fn base<'a>(&'a self, real: &'a str) -> &'a str {
        self.base_url.as_deref().unwrap_or(real).trim_end_matches('/')
    }
}

/// One message on its way to one target.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The target's name in the configuration.
    pub target: &'a str,
    /// The outbox row: constant over retries.
    pub row: Id,
    /// How many attempts were made before this one.
    pub attempt: u32,
    /// How many earlier attempts may have reached the remote although their answers were not seen.
    pub unanswered: u32,
    /// The incident as it is after this event.
    pub incident: &'a Incident,
    /// What happened.
    pub event: &'a Event,
    /// The same for people.
    pub message: &'a Message,
    /// What is remembered of this incident at this target.
    pub remote: &'a BTreeMap<String, String>,
    /// Whom the policy invites to this incident.
    pub invitees: &'a [Invitee],
    /// Whether the policy opens a channel for an incident of this urgency.
    pub opens_channel: bool,
    /// Now.
    pub now: EngineTime,
}

/// A person whom the policy invites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitee {
    /// The id in the policy.
    pub id: String,
    /// The id at Slack, U….
    pub slack: String,
}

/// The remote has the message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sent {
    /// What the remote answered, for people; never a secret.
    pub remark: String,
    /// What to remember of this incident at this target, by name.
    pub remember: Vec<(String, String)>,
    /// Events that follow: a channel was opened, a message may be doubled, …
    pub events: Vec<What>,
}

impl Sent {
    /// Nothing but the remark.
    pub fn remark(remark: impl Into<String>) -> Self {
        Self { remark: remark.into(), ..Self::default() }
    }
}

/// An incident that a round is about: it is not completed, and the target was told of it.
#[derive(Clone, Debug)]
pub struct Watched {
    /// As it is here.
    pub incident: Incident,
    /// What is remembered of it at this target.
    pub remote: BTreeMap<String, String>,
}

/// One round of a target that has to be visited: to see what people changed there, or to keep alive what would end.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    /// The incidents that it is about.
    pub watched: &'a [Watched],
    /// The language of what people read.
    pub lang: Lang,
    /// Now.
    pub now: EngineTime,
}

/// The remote does not have the message, or nobody knows. The texts never hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may succeed later.
    #[error("{why}")]
    Again {
        /// What was seen.
        why: String,
        /// How long the remote asked to wait.
        after: Option<Duration>,
        /// Whether the remote may have the message all the same: the connection was lost after the request.
        maybe_sent: bool,
    },
    /// It will never succeed: the remote refuses it as it is.
    #[error("{why}")]
    Never {
        /// What was seen.
        why: String,
    },
}

impl SendError {
    /// An attempt that may be repeated and did not reach the remote.
    pub fn again(why: impl Into<String>) -> Self {
        Self::Again { why: why.into(), after: None, maybe_sent: false }
    }

    /// An attempt that must not be repeated.
    pub fn never(why: impl Into<String>) -> Self {
        Self::Never { why: why.into() }
    }
}
