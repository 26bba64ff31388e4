//! The state of one incident: the fold of its events, and the rules that every event must satisfy. Equal logs give
//! equal incidents. Must not know other incidents or which findings belong to it; the casebook ([`crate::correlate`]),
//! which calls it, decides that.
//!
//! Rules: event numbers have no holes; a resolved or complete incident takes no evidence; only a person lowers the
//! urgency; completion needs a temporary fix and a postmortem with two roles, unless the verdict is a false positive or
//! a duplicate. No event stands for silence, and no incident closes by itself.
use crate::event::{Event, Opened, Status, UrgencyChanged, Verdict, What};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use zenei_detect::{Anomaly, Component, Domain, Evidence, Scope, ScopeKind, Urgency};
use zenei_wire::{EngineTime, Id};

/// How many of the first records, and how many of the latest, an incident shows; all are counted. A guess: what fits on
/// one page.
pub const EVIDENCE_SHOWN: usize = 32;

/// How many roles a postmortem needs: the people who made the product, and a representative of its users.
pub const POSTMORTEM_ROLES_MIN: usize = 2;

/// The state of an incident after its events. Its locks are bounded by the fleet, its records by [`EVIDENCE_SHOWN`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id, which is also the deduplication key of every remote, as `zenei-` + id.
    pub id: Id,
    /// The fingerprint of its findings, see [`crate::fingerprint::of`].
    pub fingerprint: Id,
    /// When it was opened.
    pub opened: EngineTime,
    /// The latest time of its events.
    pub updated: EngineTime,
    /// The number of its latest event.
    pub seq: u32,
    /// How far the work is.
    pub status: Status,
    /// How soon a person must act.
    pub urgency: Urgency,
    /// Why that level (根拠).
    pub urgency_reason: String,
    /// The highest level that the urgency table gave; after a person lowered the urgency, only a higher level raises it
    /// again.
    pub assessed: Urgency,
    /// The highest urgency of its findings, before impact.
    pub hint: Urgency,
    /// The domain in which the cause probably lies.
    pub domain: Domain,
    /// The component.
    pub component: Component,
    /// Confidence, 0 to 1: the highest of its findings.
    pub confidence: f64,
    /// The property that its locks share.
    pub scope: Scope,
    /// The locks with evidence.
    pub devices: BTreeSet<String>,
    /// The rule that opened it.
    pub rule: String,
    /// That rule's version.
    pub rule_version: u32,
    /// A line for people: the title of the rule that opened it, and the place.
    pub title: String,
    /// Why it was opened, for people.
    pub why: String,
    /// The incident before it of the same fingerprint.
    pub recurs_of: Option<Id>,
    /// How many findings it took, including the first.
    pub findings: u64,
    /// How many records are behind it.
    pub records: u64,
    /// The first records.
    pub evidence_first: Vec<Evidence>,
    /// The latest records that are not among the first.
    pub evidence_latest: VecDeque<Evidence>,
    /// The first person who acknowledged it.
    pub acknowledged_by: Option<String>,
    /// The owner: the owner of the rule that opened it, until a person assigns another. `None` if that rule has no
    /// owner, as in logs from before rules had one.
    pub owner: Option<String>,
    /// The first steps, from the rule that opened it; `None` as for the owner.
    pub runbook: Option<String>,
    /// Whether the temporary fix is done.
    pub is_temp_fixed: bool,
    /// The roles that took part in the postmortem.
    pub postmortem_roles: BTreeSet<String>,
    /// People's verdict.
    pub verdict: Option<Verdict>,
    /// When the telemetry looked normal again; `None` after newer evidence.
    pub recovered: Option<EngineTime>,
    /// Inquiries about it, with the time of the customer's contact in ms.
    pub inquiries: BTreeMap<String, i64>,
}

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
    #[error(
        "complete needs a temporary fix (done: {temp_fix}) and a postmortem with {min} roles (held with {roles}), \
         or a verdict other than true",
        min = POSTMORTEM_ROLES_MIN
    )]
    Incomplete {
        /// Whether the temporary fix is done.
        temp_fix: bool,
        /// How many roles took part in the postmortem.
        roles: usize,
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

impl Incident {
    /// The incident that this first event opens.
    ///
    /// # Errors
    /// Where the event is not `opened` with number 0.
    pub fn open(event: &Event) -> Result<Self, ApplyError> {
        let What::Opened(opened) = &event.what else {
            return Err(refuse(event, Refused::NotFirst));
        };
        if event.seq != 0 {
            return Err(refuse(event, Refused::NotFirst));
        }
        let mut incident = Self::of(event, opened);
        incident.take_evidence(&opened.anomaly);
        Ok(incident)
    }

    fn of(event: &Event, opened: &Opened) -> Self {
        let anomaly = &opened.anomaly;
        Self {
            id: event.incident,
            fingerprint: opened.fingerprint,
            opened: event.at,
            updated: event.at,
            seq: 0,
            status: Status::Detected,
            urgency: opened.urgency,
            urgency_reason: opened.urgency_reason.clone(),
            assessed: opened.urgency,
            hint: anomaly.urgency,
            domain: anomaly.domain,
            component: anomaly.component,
            confidence: 0.0,
            scope: anomaly.scope.clone(),
            devices: BTreeSet::new(),
            rule: anomaly.rule.clone(),
            rule_version: anomaly.rule_version,
            title: opened.title.clone(),
            why: opened.why.clone(),
            recurs_of: opened.recurs_of,
            findings: 0,
            records: 0,
            evidence_first: Vec::new(),
            evidence_latest: VecDeque::new(),
            acknowledged_by: None,
            owner: said(&anomaly.owner),
            runbook: said(&anomaly.runbook),
            is_temp_fixed: false,
            postmortem_roles: BTreeSet::new(),
            verdict: None,
            recovered: None,
            inquiries: BTreeMap::new(),
        }
    }

    /// Whether it takes new evidence.
    pub fn is_open(&self) -> bool {
        self.status.is_open()
    }

    /// Whether its scope covers more than one lock.
    pub fn is_wide(&self) -> bool {
        self.scope.kind != ScopeKind::Device
    }

    /// Adds the next event; an event that breaks a rule changes nothing.
    ///
    /// # Errors
    /// The rule that it breaks, see [`Refused`].
    pub fn apply(&mut self, event: &Event) -> Result<(), ApplyError> {
        self.check(event).map_err(|reason| refuse(event, reason))?;
        self.seq = event.seq;
        self.updated = self.updated.max(event.at);
        match &event.what {
            What::EvidenceAdded(added) => self.take_evidence(&added.anomaly),
            What::Acknowledged(seen) => _ = self.acknowledged_by.get_or_insert_with(|| seen.by.clone()),
            What::OwnerAssigned(assigned) => self.owner = Some(assigned.owner.clone()),
            What::UrgencyChanged(changed) => self.change_urgency(changed),
            What::DomainChanged(changed) => (self.domain, self.component) = (changed.to, changed.component),
            What::StatusChanged(changed) => self.status = changed.to,
            What::InquiryLinked(linked) => _ = self.inquiries.insert(linked.inquiry.clone(), linked.received_ms),
            What::InquiryUnlinked(unlinked) => _ = self.inquiries.remove(&unlinked.inquiry),
            What::TempFixDone(_) => self.is_temp_fixed = true,
            What::TelemetryRecovered(_) => self.recovered = Some(event.at),
            What::PostmortemHeld(held) => self.postmortem_roles.extend(held.roles.iter().cloned()),
            What::Judged(judged) => self.verdict = Some(judged.verdict),
            What::Completed(_) => self.status = Status::Close,
            What::Opened(_) | What::Note(_) | What::Other { .. } => {}
        }
        Ok(())
    }

    fn check(&self, event: &Event) -> Result<(), Refused> {
        if event.incident != self.id {
            return Err(Refused::OtherIncident { log: self.id });
        }
        let next = self.seq.saturating_add(1);
        if event.seq != next {
            return Err(Refused::Hole { next });
        }
        match &event.what {
            What::Opened(_) => Err(Refused::NotFirst),
            What::EvidenceAdded(_) if !self.is_open() => Err(Refused::TakesNoEvidence { status: self.status }),
            What::UrgencyChanged(changed) if changed.by.is_none() && changed.to <= self.urgency => {
                Err(Refused::LowersAlone { from: self.urgency })
            }
            What::StatusChanged(changed) => self.check_status(changed.to),
            What::Completed(_) => self.check_complete(),
            What::EvidenceAdded(_)
            | What::UrgencyChanged(_)
            | What::Acknowledged(_)
            | What::OwnerAssigned(_)
            | What::DomainChanged(_)
            | What::InquiryLinked(_)
            | What::InquiryUnlinked(_)
            | What::Note(_)
            | What::TempFixDone(_)
            | What::TelemetryRecovered(_)
            | What::PostmortemHeld(_)
            | What::Judged(_)
            | What::Other { .. } => Ok(()),
        }
    }

    /// An incident that takes no more evidence never becomes open again: a recurrence is a new incident with
    /// `recurs_of`.
    fn check_status(&self, to: Status) -> Result<(), Refused> {
        if self.is_open() && to != Status::Close { Ok(()) } else { Err(Refused::StatusOrder { from: self.status, to }) }
    }

    fn check_complete(&self) -> Result<(), Refused> {
        if self.status == Status::Close {
            return Err(Refused::StatusOrder { from: self.status, to: Status::Close });
        }
        let roles = self.postmortem_roles.len();
        let is_no_fault = matches!(self.verdict, Some(Verdict::FalsePositive | Verdict::DuplicateOf(_)));
        if is_no_fault || (self.is_temp_fixed && roles >= POSTMORTEM_ROLES_MIN) {
            return Ok(());
        }
        Err(Refused::Incomplete { temp_fix: self.is_temp_fixed, roles })
    }

    fn change_urgency(&mut self, changed: &UrgencyChanged) {
        self.urgency = changed.to;
        self.urgency_reason.clone_from(&changed.reason);
        if changed.by.is_none() {
            self.assessed = changed.to;
        }
    }

    fn take_evidence(&mut self, anomaly: &Anomaly) {
        self.findings += 1;
        self.hint = self.hint.max(anomaly.urgency);
        self.confidence = self.confidence.max(anomaly.confidence).min(1.0);
        self.recovered = None;
        for record in &anomaly.evidence {
            self.records += 1;
            if !self.devices.contains(&record.device_id) {
                self.devices.insert(record.device_id.clone());
            }
            if self.evidence_first.len() < EVIDENCE_SHOWN {
                self.evidence_first.push(record.clone());
                continue;
            }
            if self.evidence_latest.len() == EVIDENCE_SHOWN {
                self.evidence_latest.pop_front();
            }
            self.evidence_latest.push_back(record.clone());
        }
    }
}

/// A rule's words, where it has any.
fn said(words: &str) -> Option<String> {
    (!words.is_empty()).then(|| words.to_owned())
}

pub(crate) fn refuse(event: &Event, reason: Refused) -> ApplyError {
    ApplyError { incident: event.incident, seq: event.seq, kind: event.kind_word().into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        Completed, EvidenceAdded, Judged, Note, OwnerAssigned, PostmortemHeld, StatusChanged, TelemetryRecovered,
        TempFixDone,
    };
    use zenei_kit::anomaly;

    const AT: EngineTime = EngineTime(1_000);

    fn opened() -> Incident {
        Incident::open(&opened_event()).unwrap()
    }

    fn opened_event() -> Event {
        let what = Opened {
            fingerprint: Id(1),
            recurs_of: None,
            urgency: Urgency::High,
            urgency_reason: "the rule says high".into(),
            title: "t".into(),
            why: "w".into(),
            anomaly: anomaly("motor_effort", "A", 1),
        };
        Event { incident: Id(9), seq: 0, at: AT, what: what.into() }
    }

    fn then(incident: &mut Incident, what: impl Into<What>) -> Result<(), Refused> {
        let event = Event { incident: incident.id, seq: incident.seq + 1, at: AT, what: what.into() };
        incident.apply(&event).map_err(|error| error.reason)
    }

    fn to(status: Status) -> StatusChanged {
        StatusChanged { to: status, by: "sato".into() }
    }

    #[test]
    fn a_hole_a_repetition_and_a_second_opening_are_refused_and_change_nothing() {
        let mut incident = opened();
        let before = incident.clone();
        let note =
            |seq| Event { incident: Id(9), seq, at: AT, what: Note { text: "x".into(), by: "sato".into() }.into() };
        for seq in [0, 2] {
            assert_eq!(incident.apply(&note(seq)).unwrap_err().reason, Refused::Hole { next: 1 });
        }
        assert_eq!(Incident::open(&note(0)).unwrap_err().reason, Refused::NotFirst);
        assert_eq!(incident, before);
    }

    #[test]
    fn a_resolved_incident_takes_no_evidence_and_never_opens_again() {
        let mut incident = opened();
        then(&mut incident, to(Status::Resolved)).unwrap();
        let added = EvidenceAdded { anomaly: anomaly("motor_effort", "A", 2) };
        let refused = Refused::TakesNoEvidence { status: Status::Resolved };
        assert_eq!(then(&mut incident, added), Err(refused));
        assert!(then(&mut incident, to(Status::Investigating)).is_err());
    }

    #[test]
    fn recovery_adds_an_event_and_leaves_the_status() {
        let mut incident = opened();
        then(&mut incident, TelemetryRecovered { why: "effort back at 300 mA".into() }).unwrap();
        assert_eq!((incident.status, incident.recovered), (Status::Detected, Some(AT)));
    }

    #[test]
    fn urgency_falls_by_a_person_alone() {
        let mut incident = opened();
        let change =
            |level, by: Option<&str>| UrgencyChanged { to: level, reason: "r".into(), by: by.map(str::to_owned) };
        assert!(then(&mut incident, change(Urgency::Low, None)).is_err());
        then(&mut incident, change(Urgency::Low, Some("sato"))).unwrap();
        assert_eq!((incident.urgency, incident.assessed), (Urgency::Low, Urgency::High));
    }

    #[test]
    fn complete_needs_a_fix_and_a_postmortem_with_two_roles() {
        let mut incident = opened();
        let completed = || Completed { by: "sato".into() };
        assert!(then(&mut incident, completed()).is_err());
        then(&mut incident, TempFixDone { by: "sato".into() }).unwrap();
        let held = |role: &str| PostmortemHeld { roles: vec![role.into()], by: "sato".into() };
        then(&mut incident, held("development")).unwrap();
        let refused = Refused::Incomplete { temp_fix: true, roles: 1 };
        assert_eq!(then(&mut incident, completed()), Err(refused));
        then(&mut incident, held("support")).unwrap();
        assert!(then(&mut incident, to(Status::Close)).is_err());
        then(&mut incident, completed()).unwrap();
        assert_eq!(incident.status, Status::Close);
    }

    #[test]
    fn a_false_positive_is_complete_without_a_postmortem() {
        let mut incident = opened();
        then(&mut incident, Judged { verdict: Verdict::FalsePositive, by: "sato".into() }).unwrap();
        then(&mut incident, Completed { by: "sato".into() }).unwrap();
    }

    #[test]
    fn the_words_of_the_rule_that_opened_it_stand_until_a_person_says_otherwise() {
        let mut incident = opened();
        let words = |incident: &Incident| (incident.title.clone(), incident.owner.clone(), incident.runbook.clone());
        let before = ("t".to_owned(), Some("hardware".to_owned()), Some("Look at the gear.".to_owned()));
        assert_eq!(words(&incident), before);
        let mut other = anomaly("battery_drain", "A", 2);
        (other.title, other.owner, other.runbook) = ("Drain".into(), "firmware".into(), "Wait.".into());
        then(&mut incident, EvidenceAdded { anomaly: other }).unwrap();
        assert_eq!(words(&incident), before);
        then(&mut incident, OwnerAssigned { owner: "sato".into(), by: "mori".into() }).unwrap();
        assert_eq!(words(&incident), (before.0, Some("sato".into()), before.2));
    }

    #[test]
    fn a_log_from_before_rules_had_words_folds_without_an_owner() {
        let body = opened_event().body().unwrap();
        let mut old: serde_json::Value = serde_json::from_str(&body).unwrap();
        for name in ["title", "owner", "runbook"] {
            assert!(old["anomaly"].as_object_mut().unwrap().remove(name).is_some());
        }
        let event = Event::read(Id(9), 0, AT, "opened", &old.to_string()).unwrap();
        let incident = Incident::open(&event).unwrap();
        assert_eq!((incident.title.as_str(), incident.owner, incident.runbook), ("t", None, None));
    }

    #[test]
    fn evidence_is_bounded_and_counted() {
        let mut incident = opened();
        for at_s in 2..200 {
            then(&mut incident, EvidenceAdded { anomaly: anomaly("motor_effort", "A", at_s) }).unwrap();
        }
        assert_eq!((incident.findings, incident.records), (199, 398));
        assert_eq!((incident.evidence_first.len(), incident.evidence_latest.len()), (EVIDENCE_SHOWN, EVIDENCE_SHOWN));
        assert_eq!(incident.evidence_latest.back().map(|record| record.ts_ms), Some(199_001));
    }
}
