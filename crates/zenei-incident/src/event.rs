//! The events of an incident, which are its only source of truth. Events of a kind that this version does not define
//! are stored unchanged. Must not know how events are stored or how they change an incident ([`crate::incident`] folds
//! them). Called by the casebook, which makes events, and by the desk, which stores [`Event::kind_word`] and
//! [`Event::body`] and reads them back with [`Event::read`].
use serde::{Deserialize, Serialize};
use zenei_detect::{Anomaly, Component, Domain, Urgency};
use zenei_wire::{EngineTime, Id};

/// One event of one incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The incident.
    pub incident: Id,
    /// Its number within the incident, from 0, without holes.
    pub seq: u32,
    /// When it happened, by the engine's clock.
    pub at: EngineTime,
    /// What happened.
    pub what: What,
}

zenei_wire::words! {
    /// The progress of the work on an incident, in the order of the work.
    Status {
        /// Detected; no person has looked at it yet.
        Detected = "detected",
        /// A person looks for the cause.
        Investigating = "investigating",
        /// The cause is known, and the fix is in progress.
        Fixing = "fixing",
        /// Fixed for now. The incident takes no new evidence.
        Resolved = "resolved",
        /// Complete (完了). The incident takes no new evidence.
        Close = "close",
    }
}

/// People's verdict on an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// There was a fault.
    True,
    /// There was no fault.
    FalsePositive,
    /// Another incident was about the same fault.
    DuplicateOf(Id),
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal { $($(#[$fdoc:meta])* $field:ident: $type:ty),* $(,)? })+) => {
        /// What happened to an incident.
        #[derive(Clone, Debug, PartialEq)]
        pub enum What {
            $($(#[$doc])* $kind($kind),)+
            /// A kind of another version of this program: stored unchanged, without effect on the incident's state.
            Other {
                /// Its word.
                kind: String,
                /// Its JSON, as it was read.
                body: String,
            },
        }
        $($(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $kind { $($(#[$fdoc])* pub $field: $type),* }
        impl From<$kind> for What {
            fn from(what: $kind) -> Self {
                Self::$kind(what)
            }
        })+
        impl What {
            /// The word of this kind.
            pub fn word(&self) -> &str {
                match self { $(Self::$kind(_) => $word,)+ Self::Other { kind, .. } => kind }
            }
            fn body(&self) -> Result<String, serde_json::Error> {
                match self {
                    $(Self::$kind(what) => serde_json::to_string(what),)+
                    Self::Other { body, .. } => Ok(body.clone()),
                }
            }
            pub(crate) fn read(kind: &str, body: &str) -> Result<Self, serde_json::Error> {
                match kind {
                    $($word => serde_json::from_str(body).map(Self::$kind),)+
                    _ => Ok(Self::Other { kind: kind.into(), body: body.into() }),
                }
            }
        }
    };
}

kinds! {
    /// The incident was opened; always event 0.
    Opened = "opened" {
        /// See [`crate::fingerprint::of`].
        fingerprint: Id,
        /// The latest incident of the same fingerprint, which takes no more evidence.
        recurs_of: Option<Id>,
        /// How soon a person must act.
        urgency: Urgency,
        /// Why that level (根拠).
        urgency_reason: String,
        /// A line for people: the rule's title, and the place.
        title: String,
        /// Rule, observed value, baseline, threshold, window and unit, for people.
        why: String,
        /// The finding that opened it, with the rule's owner and runbook.
        anomaly: Anomaly,
    }
    /// Another finding about the same fault.
    EvidenceAdded = "evidence_added" {
        /// The finding. Its scope may be one lock of a wider incident.
        anomaly: Anomaly,
    }
    /// A person has acknowledged the incident.
    Acknowledged = "acknowledged" {
        /// Who.
        by: String,
    }
    /// An owner was assigned.
    OwnerAssigned = "owner_assigned" {
        /// The owner.
        owner: String,
        /// The person who assigned the owner.
        by: String,
    }
    /// The urgency changed. Without a person it can only rise.
    UrgencyChanged = "urgency_changed" {
        /// The new level.
        to: Urgency,
        /// Why (根拠).
        reason: String,
        /// The person who changed it; `None` if the rules did.
        by: Option<String>,
    }
    /// The cause lies elsewhere than first assumed. The fingerprint does not change: it identifies the finding that
    /// opened the incident.
    DomainChanged = "domain_changed" {
        /// The new domain.
        to: Domain,
        /// The new part.
        component: Component,
        /// Why.
        reason: String,
        /// Who.
        by: String,
    }
    /// The status of the work changed. Only [`Completed`] sets `close`.
    StatusChanged = "status_changed" {
        /// The new status.
        to: Status,
        /// Who.
        by: String,
    }
    /// A customer's inquiry is about this.
    InquiryLinked = "inquiry_linked" {
        /// The inquiry's id.
        inquiry: String,
        /// When the customer made contact, ms since 1970.
        received_ms: i64,
        /// How the link was made.
        method: String,
    }
    /// A link was removed.
    InquiryUnlinked = "inquiry_unlinked" {
        /// The inquiry's id.
        inquiry: String,
        /// Who.
        by: String,
    }
    /// A note by a person.
    Note = "note" {
        /// The text.
        text: String,
        /// Who.
        by: String,
    }
    /// The temporary fix is done.
    TempFixDone = "temp_fix_done" {
        /// Who.
        by: String,
    }
    /// The telemetry looks normal again. This does not describe the work: it closes and resolves nothing.
    TelemetryRecovered = "telemetry_recovered" {
        /// The observation.
        why: String,
    }
    /// The postmortem was held.
    PostmortemHeld = "postmortem_held" {
        /// The roles that took part (development, quality, support, …).
        roles: Vec<String>,
        /// The person who reports it.
        by: String,
    }
    /// People judged the finding.
    Judged = "verdict" {
        /// Their verdict.
        verdict: Verdict,
        /// Who.
        by: String,
    }
    /// The work is complete (完了).
    Completed = "completed" {
        /// Who.
        by: String,
    }
}

/// Why an event can't be written or read.
#[derive(Debug, thiserror::Error)]
#[error("event {seq} of incident {incident}: {kind:?} has a body that is not of its kind")]
pub struct ReadError {
    /// The incident.
    pub incident: Id,
    /// The event's number.
    pub seq: u32,
    /// Its kind.
    pub kind: String,
    /// The JSON error.
    #[source]
    pub source: serde_json::Error,
}

impl Event {
    /// The word of its kind.
    pub fn kind_word(&self) -> &str {
        self.what.word()
    }

    /// Its body as JSON.
    ///
    /// # Errors
    /// None that a value of these types can cause.
    pub fn body(&self) -> Result<String, ReadError> {
        self.what.body().map_err(|source| ReadError {
            incident: self.incident,
            seq: self.seq,
            kind: self.kind_word().into(),
            source,
        })
    }

    /// The event of these columns.
    ///
    /// # Errors
    /// If a kind that this version defines has a body of another shape.
    pub fn read(incident: Id, seq: u32, at: EngineTime, kind: &str, body: &str) -> Result<Self, ReadError> {
        match What::read(kind, body) {
            Ok(what) => Ok(Self { incident, seq, at, what }),
            Err(source) => Err(ReadError { incident, seq, kind: kind.into(), source }),
        }
    }
}

impl Status {
    /// Whether an incident of this status takes new evidence.
    pub const fn is_open(self) -> bool {
        match self {
            Self::Detected | Self::Investigating | Self::Fixing => true,
            Self::Resolved | Self::Close => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(what: What) {
        let event = Event { incident: Id::of(&[b"x"]), seq: 3, at: EngineTime(5), what };
        let read = Event::read(event.incident, 3, event.at, event.kind_word(), &event.body().unwrap()).unwrap();
        assert_eq!(read, event);
    }

    #[test]
    fn an_event_reads_back_what_it_writes() {
        round_trip(StatusChanged { to: Status::Fixing, by: "sato".into() }.into());
        round_trip(Judged { verdict: Verdict::DuplicateOf(Id(7)), by: "sato".into() }.into());
        round_trip(UrgencyChanged { to: Urgency::High, reason: "12 locks".into(), by: None }.into());
    }

    #[test]
    fn a_kind_of_another_version_is_kept_byte_for_byte() {
        let body = r#"{ "score" : 1.50 }"#;
        let event = Event::read(Id(1), 4, EngineTime(9), "delivery_failed", body).unwrap();
        assert_eq!((event.kind_word(), event.body().unwrap().as_str()), ("delivery_failed", body));
    }

    #[test]
    fn a_known_kind_of_a_wrong_shape_is_refused_with_its_place() {
        let error = Event::read(Id(1), 4, EngineTime(9), "note", r#"{"text":1}"#).unwrap_err();
        let text = "event 4 of incident 00000000000000000000000000000001: \"note\" has a body that is not of its kind";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn the_words_of_a_status_are_those_that_serde_writes() {
        for &status in Status::ALL {
            assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{status}\""));
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
    }
}
