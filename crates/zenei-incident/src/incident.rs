//! The state of one incident: the fold of its events, and the rules that every event must satisfy. Equal logs give
//! equal incidents. Must not know other incidents or which findings belong to it; the casebook ([`crate::correlate`]),
//! which calls it, decides that.
//!
//! Rules: event numbers have no holes; a resolved or complete incident takes no evidence; only a person lowers the
//! urgency; completion needs a temporary fix and a postmortem with two roles, unless the verdict is a false positive or
//! a duplicate; only a person, with a reason, opens a resolved or complete incident again, and then completion needs
//! both once more. Action items, notes and effort are taken after completion too. No event stands for silence, and no
//! incident closes by itself.
use crate::event::{
    ActionItemAdded, ActionKind, ActionStatus, EFFORT_MAX_MINUTES, Event, Ground, MergedInto, Opened, Status,
    UrgencyChanged, Verdict, What, Work,
};
use crate::flap::Flap;
use crate::refused::refuse;
pub use crate::refused::{ApplyError, POSTMORTEM_ROLES_MIN, Refused};
use crate::wording::title_ja;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use zenei_detect::{Anomaly, Component, Domain, Evidence, Scope, ScopeKind, Urgency};
use zenei_wire::{EngineTime, Id};

/// How many of the first records, and how many of the latest, an incident shows; all are counted. A guess: what fits on
/// one page.
pub const EVIDENCE_SHOWN: usize = 32;

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
    /// The line of the urgency table that gave the level; `None` if a person did, or a version without a table.
    pub ground: Option<Ground>,
    /// The service whose locks are affected, if the policy names one.
    pub service: Option<String>,
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
    /// The same in Japanese; `None` where the rule has no Japanese title.
    pub title_ja: Option<String>,
    /// Why it was opened, for people.
    pub why: String,
    /// The incident before it of the same fingerprint.
    pub recurs_of: Option<Id>,
    /// How many findings it took, including the first.
    pub findings: u64,
    /// The time of its latest finding.
    pub evidence_at: EngineTime,
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
    /// The same in Japanese; `None` where the rule has none in Japanese.
    pub runbook_ja: Option<String>,
    /// Whether the temporary fix is done.
    pub is_temp_fixed: bool,
    /// The roles that took part in the postmortem.
    pub postmortem_roles: BTreeSet<String>,
    /// The people who took part in it.
    pub attendees: BTreeSet<String>,
    /// The date of the postmortem, ms since 1970.
    pub postmortem_at_ms: Option<i64>,
    /// When the postmortem was held, by the first event that says so.
    pub postmortem_held: Option<EngineTime>,
    /// People's verdict.
    pub verdict: Option<Verdict>,
    /// The incident that takes its findings.
    pub merged_into: Option<Id>,
    /// How often a person opened it again.
    pub reopened: u32,
    /// What is to be done, by the item's id.
    pub action_items: BTreeMap<String, ActionItem>,
    /// The minutes spent, by the kind of work.
    pub effort_min: BTreeMap<Work, u64>,
    /// Where people work on it, by target.
    pub channels: BTreeMap<String, Channel>,
    /// The people invited, by their id in the policy.
    pub invited: BTreeSet<String>,
    /// The id and version of the runbook that applies.
    pub runbook_attached: Option<(String, u32)>,
    /// The steps of the runbook that are done.
    pub steps_done: BTreeSet<String>,
    /// Earlier incidents that may help.
    pub similar: Vec<Id>,
    /// Why nobody is told of findings; `None` if people are told.
    pub muted: Option<Mute>,
    /// Whether people may know of it: it was opened unmuted, or was unmuted since.
    pub is_announced: bool,
    /// Whether, and how, it comes and goes.
    pub flap: Flap,
    /// When it became resolved or complete; `None` while it is open.
    pub ended: Option<EngineTime>,
    /// When the telemetry looked normal again; `None` after newer evidence.
    pub recovered: Option<EngineTime>,
    /// The rules whose findings it has.
    pub rules: BTreeSet<String>,
    /// Inquiries about it, with the time of the customer's contact in ms.
    pub inquiries: BTreeMap<String, i64>,
}

/// Something to be done about an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionItem {
    /// What.
    pub text: String,
    /// What for.
    pub kind: ActionKind,
    /// Who does it.
    pub owner: Option<String>,
    /// By when, ms since 1970.
    pub due_ms: Option<i64>,
    /// How far it is.
    pub status: ActionStatus,
}

/// A place where people work on an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name or id at the target.
    pub channel: String,
    /// Its address; empty if the target gave none.
    pub url: String,
}

/// Why nobody is told of findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// The silence that matches.
    pub by_silence: Option<Id>,
    /// The open incident that explains this one.
    pub by_inhibition: Option<Id>,
    /// Until when, ms since 1970.
    pub until_ms: Option<i64>,
    /// For people.
    pub why: String,
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
            ground: opened.ground.as_deref().cloned(),
            service: opened.service.clone(),
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
            title_ja: title_ja(anomaly),
            why: opened.why.clone(),
            recurs_of: opened.recurs_of,
            findings: 0,
            evidence_at: anomaly.at,
            records: 0,
            evidence_first: Vec::new(),
            evidence_latest: VecDeque::new(),
            acknowledged_by: None,
            owner: said(&anomaly.owner),
            runbook: said(&anomaly.runbook),
            runbook_ja: said(&anomaly.runbook_ja),
            is_temp_fixed: false,
            postmortem_roles: BTreeSet::new(),
            attendees: BTreeSet::new(),
            postmortem_at_ms: None,
            postmortem_held: None,
            verdict: None,
            merged_into: None,
            reopened: 0,
            action_items: BTreeMap::new(),
            effort_min: BTreeMap::new(),
            channels: BTreeMap::new(),
            invited: BTreeSet::new(),
            runbook_attached: None,
            steps_done: BTreeSet::new(),
            similar: Vec::new(),
            muted: None,
            is_announced: true,
            flap: Flap::default(),
            ended: None,
            recovered: None,
            rules: BTreeSet::new(),
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
        self.flap.count(event);
        // Whether people are told of a fault is no news about it.
        if !matches!(event.what, What::Muted(_) | What::Unmuted(_)) {
            self.updated = self.updated.max(event.at);
        }
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
            What::Judged(judged) => self.verdict = Some(judged.verdict),
            What::Completed(_) => self.status = Status::Close,
            What::MergedInto(merged) => (self.status, self.merged_into) = (Status::Resolved, Some(merged.incident)),
            What::Reopened(_) => self.reopen(),
            What::Opened(_) | What::Note(_) | What::Other { .. } => {}
            What::FlappingStarted(_) | What::FlappingEnded(_) => {}
            What::DeliveryFailed(_) | What::DeliveryDuplicated(_) => {}
            What::PostmortemHeld(_)
            | What::PostmortemScheduled(_)
            | What::ActionItemAdded(_)
            | What::ActionItemChanged(_)
            | What::EffortAdded(_)
            | What::ChannelOpened(_)
            | What::Invited(_)
            | What::RunbookAttached(_)
            | What::RunbookStepDone(_)
            | What::SimilarFound(_)
            | What::Muted(_)
            | What::Unmuted(_) => self.record(event),
        }
        self.ended = (!self.is_open()).then(|| self.ended.unwrap_or(event.at));
        Ok(())
    }

    /// The events that change no status and no evidence.
    fn record(&mut self, event: &Event) {
        match &event.what {
            What::PostmortemHeld(held) => {
                self.postmortem_roles.extend(held.roles.iter().cloned());
                self.attendees.extend(held.attendees.iter().cloned());
                self.postmortem_held.get_or_insert(event.at);
            }
            What::PostmortemScheduled(scheduled) => self.postmortem_at_ms = Some(scheduled.at_ms),
            What::ActionItemAdded(added) => _ = self.action_items.insert(added.item.clone(), ActionItem::of(added)),
            What::ActionItemChanged(changed) => {
                if let Some(item) = self.action_items.get_mut(&changed.item) {
                    item.status = changed.status;
                }
            }
            What::EffortAdded(added) => *self.effort_min.entry(added.work).or_default() += u64::from(added.minutes),
            What::ChannelOpened(opened) => {
                let channel = Channel { channel: opened.channel.clone(), url: opened.url.clone() };
                self.channels.insert(opened.target.clone(), channel);
            }
            What::Invited(invited) => self.invited.extend(invited.people.iter().cloned()),
            What::RunbookAttached(at) => self.runbook_attached = Some((at.runbook.clone(), at.version)),
            What::RunbookStepDone(done) => _ = self.steps_done.insert(done.step.clone()),
            What::SimilarFound(found) => self.similar.clone_from(&found.incidents),
            What::Muted(muted) => {
                self.is_announced &= !muted.from_opening;
                self.muted = Some(Mute {
                    by_silence: muted.by_silence,
                    by_inhibition: muted.by_inhibition,
                    until_ms: muted.until_ms,
                    why: muted.why.clone(),
                });
            }
            What::Unmuted(_) => (self.muted, self.is_announced) = (None, true),
            What::Opened(_) | What::EvidenceAdded(_) | What::Acknowledged(_) | What::OwnerAssigned(_) => {}
            What::UrgencyChanged(_) | What::DomainChanged(_) | What::StatusChanged(_) => {}
            What::InquiryLinked(_) | What::InquiryUnlinked(_) | What::Note(_) | What::TempFixDone(_) => {}
            What::TelemetryRecovered(_) | What::Judged(_) | What::Completed(_) | What::Other { .. } => {}
            What::MergedInto(_) | What::Reopened(_) | What::FlappingStarted(_) | What::FlappingEnded(_) => {}
            What::DeliveryFailed(_) | What::DeliveryDuplicated(_) => {}
        }
    }

    /// What was done before counts no more: the fix did not hold, or the verdict was wrong.
    fn reopen(&mut self) {
        self.status = Status::Investigating;
        self.reopened += 1;
        self.is_temp_fixed = false;
        self.postmortem_roles.clear();
        self.steps_done.clear();
        (self.postmortem_at_ms, self.postmortem_held) = (None, None);
        (self.verdict, self.merged_into, self.recovered) = (None, None, None);
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
            What::Completed(_) => self.check_completion(self.postmortem_roles.len()),
            What::Reopened(again) if self.is_open() || again.reason.trim().is_empty() => {
                Err(Refused::NotReopenable { status: self.status })
            }
            What::MergedInto(merged) => self.check_merge(merged),
            What::ActionItemAdded(added) if self.action_items.contains_key(&added.item) => {
                Err(Refused::ActionItem { item: added.item.clone(), found: "known already" })
            }
            What::ActionItemChanged(changed) if !self.action_items.contains_key(&changed.item) => {
                Err(Refused::ActionItem { item: changed.item.clone(), found: "not known" })
            }
            What::EffortAdded(added) if !(1..=EFFORT_MAX_MINUTES).contains(&added.minutes) => {
                Err(Refused::Effort { minutes: added.minutes })
            }
            What::FlappingStarted(_) if !self.is_open() || self.flap.since.is_some() => {
                Err(Refused::OtherState { found: "is not open, or flaps already" })
            }
            What::FlappingEnded(_) if self.flap.since.is_none() => Err(Refused::OtherState { found: "does not flap" }),
            What::Unmuted(_) if self.muted.is_none() => Err(Refused::OtherState { found: "is not muted" }),
            What::EvidenceAdded(_) | What::UrgencyChanged(_) | What::Acknowledged(_) | What::OwnerAssigned(_) => Ok(()),
            What::DomainChanged(_) | What::InquiryLinked(_) | What::InquiryUnlinked(_) | What::Note(_) => Ok(()),
            What::TempFixDone(_) | What::TelemetryRecovered(_) | What::PostmortemHeld(_) | What::Judged(_) => Ok(()),
            What::PostmortemScheduled(_) | What::Reopened(_) | What::FlappingStarted(_) | What::FlappingEnded(_) => {
                Ok(())
            }
            What::ChannelOpened(_) | What::Invited(_) | What::RunbookAttached(_) | What::RunbookStepDone(_) => Ok(()),
            What::ActionItemAdded(_) | What::ActionItemChanged(_) | What::EffortAdded(_) => Ok(()),
            What::DeliveryFailed(_) | What::DeliveryDuplicated(_) | What::SimilarFound(_) => Ok(()),
            What::Muted(_) | What::Unmuted(_) | What::Other { .. } => Ok(()),
        }
    }

    /// The casebook checks the other incident.
    fn check_merge(&self, merged: &MergedInto) -> Result<(), Refused> {
        let refused = |why| Err(Refused::NotMergeable { into: merged.incident, why });
        match merged.incident == self.id {
            true => refused("it is this same incident"),
            false if !self.is_open() => refused("only an open incident is merged into another"),
            false => Ok(()),
        }
    }

    /// An incident that takes no more evidence becomes open again by [`crate::event::Reopened`] alone: a recurrence is
    /// a new incident with `recurs_of`.
    fn check_status(&self, to: Status) -> Result<(), Refused> {
        if self.is_open() && to != Status::Close { Ok(()) } else { Err(Refused::StatusOrder { from: self.status, to }) }
    }

    fn change_urgency(&mut self, changed: &UrgencyChanged) {
        self.urgency = changed.to;
        self.urgency_reason.clone_from(&changed.reason);
        self.ground.clone_from(&changed.ground);
        if changed.by.is_none() {
            self.assessed = changed.to;
        }
    }

    fn take_evidence(&mut self, anomaly: &Anomaly) {
        self.findings += 1;
        self.evidence_at = self.evidence_at.max(anomaly.at);
        self.hint = self.hint.max(anomaly.urgency);
        self.confidence = self.confidence.max(anomaly.confidence).min(1.0);
        self.recovered = None;
        if !self.rules.contains(&anomaly.rule) {
            self.rules.insert(anomaly.rule.clone());
        }
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

impl ActionItem {
    fn of(added: &ActionItemAdded) -> Self {
        Self {
            text: added.text.clone(),
            kind: added.kind,
            owner: added.owner.clone(),
            due_ms: added.due_ms,
            status: ActionStatus::Open,
        }
    }
}

/// A rule's words, where it has any.
fn said(words: &str) -> Option<String> {
    (!words.is_empty()).then(|| words.to_owned())
}

#[cfg(test)]
#[path = "incident_tests.rs"]
mod tests;
