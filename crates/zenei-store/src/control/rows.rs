//! The rows of the control database as its callers see them. Must not know SQL. Called by all its files and by their
//! callers.
use crate::ledger::Ledger;
use crate::registry::Registration;
use serde::{Deserialize, Serialize};
use zenei_wire::{EngineTime, Id};

/// How far every received message is in the store; a place in the order in which seals are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sealed {
    /// All messages below this offset went through intake.
    pub offset: u64,
    /// The time to which intake was advanced.
    pub advanced_to: EngineTime,
}

/// Where a restart begins: committed in one transaction with all that follows from the records before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// How far everything is sealed.
    pub sealed: Sealed,
    /// The file with the state of intake and engine at that place; `None` before the first one.
    pub snapshot: Option<String>,
    /// The counts at that place.
    pub ledger: Ledger,
}

/// A range that is about to be written to the store. Committed before the first byte is written, so that after a crash
/// the same range is sealed again, to the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealPlan {
    /// First offset.
    pub from: u64,
    /// Where the range ends, and up to which time intake was advanced with it. The range may be empty where time alone
    /// released rows.
    pub to: Sealed,
}

/// One event of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// The incident.
    pub incident: Id,
    /// Its number within the incident, from 0.
    pub seq: u32,
    /// When it happened, ms since 1970.
    pub at_ms: i64,
    /// The kind of event; the word of `zenei-incident`.
    pub kind: String,
    /// The event, JSON.
    pub body: String,
}

/// A message to a remote that must be sent once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its identity, from target, incident and event: the same message enqueued again is the same row.
    pub id: Id,
    /// Name of the target in the configuration.
    pub target: String,
    /// The incident.
    pub incident: Id,
    /// The event that it reports.
    pub event_seq: u32,
    /// The message's body, JSON.
    pub body: String,
    /// How often it was tried.
    pub attempt: u32,
    /// Not before this time, ms since 1970.
    pub next_at_ms: i64,
    /// How many times it may have reached the remote without an answer that was seen.
    pub unanswered: u32,
    /// When it failed first, ms since 1970; `None`: it has not failed.
    pub tried_from_ms: Option<i64>,
}

/// What happened to a silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilenceRow {
    /// The silence.
    pub silence: Id,
    /// When it happened, ms since 1970.
    pub at_ms: i64,
    /// The kind of event; the word of `zenei-incident`.
    pub kind: String,
    /// The event, JSON.
    pub body: String,
}

/// How an outbox row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendEnd {
    /// The target has it.
    Delivered,
    /// The target refuses it for good, or it was retried for too long.
    GivenUp,
}

/// A customer's inquiry as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InquiryRow {
    /// Its id.
    pub id: String,
    /// When the customer made contact, ms since 1970.
    pub received_at_ms: i64,
    /// The inquiry, JSON.
    pub body: String,
}

/// A line of the asset registry with the time for which it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredSpan {
    /// The line.
    pub registration: Registration,
    /// From when on, ms since 1970.
    pub valid_from_ms: i64,
    /// Until when; `None`: still.
    pub valid_to_ms: Option<i64>,
}

/// What an import of the registry changed, in lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Locks without a present line before.
    pub added: u64,
    /// Locks whose line has changed; the old line stays with its dates.
    pub changed: u64,
    /// Locks whose line is the same.
    pub unchanged: u64,
    /// Locks that are no longer in the file; their line stays with its dates.
    pub ended: u64,
}
