//! Why an incident's log refuses an event: the rule that it breaks, with what was found and what is allowed. Must not
//! know an incident's state. Called by [`crate::incident`] and by the casebook ([`crate::correlate`]), which check the
//! rules.
use crate::event::{EFFORT_MAX_MINUTES, Event, Status};
use zenei_detect::Urgency;
use zenei_wire::Id;

/// How many roles a postmortem needs: the people who made the product, and a representative of its users.
pub const POSTMORTEM_ROLES_MIN: usize = 2;

/// Why an event can't be part of an incident's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {seq} of incident {incident} ({kind}): {reason}")]
pub struct ApplyError {
    /// The incident.
    pub incident: Id,
    /// The event's number.
    pub seq: u32,
    /// Its kind.
    pub kind: String,
    /// The rule that it breaks, with what was found and what is allowed.
    pub reason: Refused,
}

/// The rule that an event breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A log begins with `opened` at 0, and only there.
    #[error("a log begins with event 0, opened, and has no other such event")]
    NotFirst,
    /// A hole or a repetition.
    #[error("the next event has number {next}")]
    Hole {
        /// The number that comes next.
        next: u32,
    },
    /// The event names another incident.
    #[error("the log is of incident {log}")]
    OtherIncident {
        /// The incident of the log.
        log: Id,
    },
    /// Evidence for an incident that takes none.
    #[error("the incident is {status}; only an open one takes evidence")]
    TakesNoEvidence {
        /// Its status.
        status: Status,
    },
    /// The urgency would fall without a person.
    #[error("the urgency is {from}; without a person it rises only")]
    LowersAlone {
        /// The present level.
        from: Urgency,
    },
    /// The status can't change this way.
    #[error("the incident is {from}; it can't become {to} by this event")]
    StatusOrder {
        /// The present status.
        from: Status,
        /// The wanted one.
        to: Status,
    },
    /// Completion without a temporary fix or the postmortem.
    #[error("complete needs {}, or a verdict other than true", missing(*temp_fix, *roles))]
    Incomplete {
        /// Whether the temporary fix is done.
        temp_fix: bool,
        /// How many roles took part in the postmortem.
        roles: usize,
    },
    /// Only an incident that takes no evidence is opened again.
    #[error("the incident is {status}; only a resolved or complete one is opened again, and with a reason")]
    NotReopenable {
        /// Its status.
        status: Status,
    },
    /// A merge with an incident that can't take the findings.
    #[error("incident {into} can't take its findings: {why}")]
    NotMergeable {
        /// The incident that was named.
        into: Id,
        /// What is wrong, for people.
        why: &'static str,
    },
    /// An action item that is unknown, or known already.
    #[error("action item {item:?} is {found}")]
    ActionItem {
        /// Its id.
        item: String,
        /// What was found, for people.
        found: &'static str,
    },
    /// A step of a runbook that can't be done.
    #[error("the step {step:?} of the runbook can't be done: {why}")]
    RunbookStep {
        /// The step.
        step: String,
        /// What is wrong, with what is allowed.
        why: String,
    },
    /// A completed incident takes no such step.
    #[error("the incident is complete; open it again first (reopen, with a reason)")]
    Over,
    /// A duplicate of no other incident.
    #[error("it is no duplicate of {of}: {why}")]
    NotDuplicate {
        /// The incident that was named.
        of: Id,
        /// What is wrong, for people.
        why: &'static str,
    },
    /// A postmortem without a role.
    #[error("a postmortem names the roles that took part (development, support, quality, …); none was given")]
    NoRole,
    /// An effort out of bounds.
    #[error("an effort has 1 to {max} minutes, not {minutes}", max = EFFORT_MAX_MINUTES)]
    Effort {
        /// What was given.
        minutes: u32,
    },
    /// A change of muting or flapping from a state that the incident does not have.
    #[error("the incident {found}")]
    OtherState {
        /// The state that was found, for people.
        found: &'static str,
    },
    /// Another incident of its fingerprint is open.
    #[error("incident {open} of the same fingerprint is open; work there, or merge that one first")]
    OtherOpen {
        /// The other incident.
        open: Id,
    },
    /// No incident has this id.
    #[error("there is no such incident")]
    Unknown,
    /// A second incident of a fingerprint that does not come after the first.
    #[error("incident {open} has the same fingerprint and is not the one before it")]
    AlreadyOpen {
        /// The other incident.
        open: Id,
    },
}

/// What a completion lacks, in words.
fn missing(is_temp_fixed: bool, roles: usize) -> String {
    let fix = (!is_temp_fixed).then(|| "the temporary fix".to_owned());
    let postmortem = (roles < POSTMORTEM_ROLES_MIN)
        .then(|| format!("a postmortem with {POSTMORTEM_ROLES_MIN} roles (held with {roles})"));
    fix.into_iter().chain(postmortem).collect::<Vec<_>>().join(" and ")
}

pub(crate) fn refuse(event: &Event, reason: Refused) -> ApplyError {
    ApplyError { incident: event.incident, seq: event.seq, kind: event.kind_word().into(), reason }
}
