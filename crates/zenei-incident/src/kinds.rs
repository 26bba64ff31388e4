//! The kinds of events: what can happen to an incident, in the words and the JSON that are stored. A kind that this
//! version does not define is kept as its word and its JSON. Must not know an incident's state or who stores an event.
//! Called by [`crate::event`], which numbers and stores them, and by whoever makes or reads one.
//!
//! A field that a released version did not write has a default, so that its logs can be read; one that is absent is
//! not written, so that the bytes of old events stay as they are.
use serde::{Deserialize, Serialize};
use zenei_detect::{Anomaly, Component, Domain, Urgency};
use zenei_wire::Id;

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

zenei_wire::words! {
    /// What an action item is for. No completion depends on one: a permanent fix is never required.
    ActionKind {
        /// Permanent fix (恒久対策).
        Fix = "fix",
        /// Against a recurrence (再発防止).
        Prevent = "prevent",
        /// Earlier detection (事前検知).
        Detect = "detect",
        /// A change of a process (プロセス改善).
        Process = "process",
        /// Anything else.
        Other = "other",
    }
}

zenei_wire::words! {
    /// How far an action item is.
    ActionStatus {
        /// To be done.
        Open = "open",
        /// Done.
        Closed = "closed",
        /// People decided against it.
        Skipped = "skipped",
    }
}

zenei_wire::words! {
    /// What time was spent on.
    Work {
        /// Finding the cause (調査).
        Investigation = "investigation",
        /// Containing it (火消し).
        Firefighting = "firefighting",
        /// Talking with customers (お客様調整).
        Customer = "customer",
        /// Building and shipping the fix.
        Fix = "fix",
        /// The postmortem (振り返り).
        Postmortem = "postmortem",
        /// Anything else.
        Other = "other",
    }
}

/// The line of the urgency table that gave a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// The table's version.
    pub table_version: u32,
    /// The id of its rule.
    pub rule: String,
    /// The reason in Japanese; absent in logs of versions that kept none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_ja: Option<String>,
}

/// The most minutes of one entry of effort: a week. A guess: longer entries are slips of the keyboard.
pub const EFFORT_MAX_MINUTES: u32 = 7 * 24 * 60;

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
        /// The words of all kinds that this version defines.
        pub const WORDS: &[&str] = &[$($word),+];
        impl What {
            /// The word of this kind.
            pub fn word(&self) -> &str {
                match self { $(Self::$kind(_) => $word,)+ Self::Other { kind, .. } => kind }
            }
            pub(crate) fn body(&self) -> Result<String, serde_json::Error> {
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
        /// The line of the urgency table; absent in logs of versions without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ground: Option<Box<Ground>>,
        /// The service whose locks are affected; absent in logs of versions without services.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
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
        /// The line of the urgency table, if the rules changed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ground: Option<Ground>,
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
        /// The people who took part.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attendees: Vec<String>,
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
    /// The postmortem has a date.
    PostmortemScheduled = "postmortem_scheduled" {
        /// The date, ms since 1970.
        at_ms: i64,
        /// Who.
        by: String,
    }
    /// This incident was about the same fault as another one, which takes its later findings. It is resolved by this.
    MergedInto = "merged_into" {
        /// The other incident.
        incident: Id,
        /// Who.
        by: String,
    }
    /// A person opened the incident again. What was done before does not count for the next completion.
    Reopened = "reopened" {
        /// Why.
        reason: String,
        /// Who.
        by: String,
    }
    /// The fault comes and goes.
    FlappingStarted = "flapping_started" {
        /// How often it recovered and came back.
        cycles: u32,
        /// In which time, ms.
        window_ms: i64,
        /// The least time between two messages from now on, ms; absent in logs of versions with a fixed one: 4 hours.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interval_ms: Option<i64>,
    }
    /// The fault no longer comes and goes. The incident stays open.
    FlappingEnded = "flapping_ended" {
        /// The observation.
        why: String,
    }
    /// A place to work on the incident was made.
    ChannelOpened = "channel_opened" {
        /// The target, by its name in the configuration.
        target: String,
        /// The channel's name or id there.
        channel: String,
        /// Its address; empty if the target gave none.
        url: String,
    }
    /// People were invited.
    Invited = "invited" {
        /// The target.
        target: String,
        /// Their ids in the policy.
        people: Vec<String>,
    }
    /// A runbook applies.
    RunbookAttached = "runbook_attached" {
        /// Its id.
        runbook: String,
        /// Its version.
        version: u32,
    }
    /// A step of the runbook is done.
    RunbookStepDone = "runbook_step_done" {
        /// The step's id.
        step: String,
        /// Who.
        by: String,
    }
    /// Something is to be done; also after completion.
    ActionItemAdded = "action_item_added" {
        /// Its id within the incident.
        item: String,
        /// What is to be done.
        text: String,
        /// What for.
        kind: ActionKind,
        /// Who does it.
        owner: Option<String>,
        /// By when, ms since 1970.
        due_ms: Option<i64>,
        /// Who added it.
        by: String,
    }
    /// An action item went on.
    ActionItemChanged = "action_item_changed" {
        /// Its id within the incident.
        item: String,
        /// How far it is.
        status: ActionStatus,
        /// Who.
        by: String,
    }
    /// Time was spent.
    EffortAdded = "effort_added" {
        /// So many minutes, 1 to [`EFFORT_MAX_MINUTES`].
        minutes: u32,
        /// On what.
        work: Work,
        /// Who.
        by: String,
    }
    /// A message was given up.
    DeliveryFailed = "delivery_failed" {
        /// The target.
        target: String,
        /// Why.
        why: String,
        /// The number of the event that it was about.
        at_event: u32,
    }
    /// A message may have arrived twice: the target has no key to look it up by.
    DeliveryDuplicated = "delivery_duplicated" {
        /// The target.
        target: String,
        /// Why.
        why: String,
    }
    /// Earlier incidents that may help.
    SimilarFound = "similar_found" {
        /// Them, the most similar first.
        incidents: Vec<Id>,
    }
    /// From now on nobody is told of findings.
    Muted = "muted" {
        /// Whether from the opening on, so that nobody knows of the incident.
        #[serde(default)]
        from_opening: bool,
        /// The silence that matches.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by_silence: Option<Id>,
        /// The open incident that explains this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by_inhibition: Option<Id>,
        /// Until when, ms since 1970; `None` if it has no fixed end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_ms: Option<i64>,
        /// Why, for people.
        why: String,
    }
    /// People are told again.
    Unmuted = "unmuted" {
        /// Why, for people.
        why: String,
    }
    /// The work is complete (完了).
    Completed = "completed" {
        /// Who.
        by: String,
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
