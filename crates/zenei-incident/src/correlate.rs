//! Decides which incident a finding belongs to: it opens an incident, joins an open one, joins a wider one, or does
//! neither; a decision always has a reason. A [`Draft`] decides, the caller stores the result ([`crate::take`]), and
//! only then the casebook absorbs the draft's [`Changes`], so that a failed store leaves the casebook unchanged. Must
//! not know stores or clocks. Called by [`crate::take`] for findings, by the desk, and by the lab and `demo`, which
//! hold a casebook in memory.
//!
//! No timer closes an incident, and there is no event for silence.
use crate::event::{Event, EvidenceAdded, MergedInto, Opened, TelemetryRecovered, UrgencyChanged, What};
use crate::fingerprint;
use crate::incident::{ApplyError, Incident, Refused};
use crate::places::Places;
use crate::policy::{Policy, check_step, facts_of};
use crate::refused::refuse;
use crate::silence::{Matcher, Silence, SilenceKind, Silences, Subject};
use crate::urgency::Facts;
use crate::wording::{count, place, title, why};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zenei_detect::{Anomaly, Decision, DecisionReason, Recovery};
use zenei_wire::{EngineTime, Id};

/// Every incident in the state that its events give. The casebook holds all of them in memory: their number is bounded
/// by what people can work on, not by the number of records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Casebook {
    incidents: BTreeMap<Id, Incident>,
    /// The latest incident of each fingerprint.
    latest: BTreeMap<Id, Id>,
    /// The open incident of each fingerprint that has one.
    open: BTreeMap<Id, Id>,
    /// Open incidents of a scope wider than one lock.
    open_wide: BTreeSet<Id>,
    /// Incidents that time may change.
    watched: BTreeSet<Id>,
    policy: Arc<Policy>,
    silences: Silences,
    /// Where each lock is, as it was last set.
    pub places: Arc<Places>,
}

/// The events and decisions that follow from one finding.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Correlated {
    /// New events, in order.
    pub(crate) events: Vec<Event>,
    /// Why nothing was opened; empty where an incident was.
    pub(crate) decisions: Vec<Decision>,
}

/// A casebook with changes that are not stored yet.
#[derive(Debug)]
pub struct Draft<'a> {
    book: &'a Casebook,
    changes: Changes,
}

/// The changes of a draft, for [`Casebook::absorb`] once they are stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    incidents: BTreeMap<Id, Incident>,
    latest: BTreeMap<Id, Id>,
    /// The open incident of a fingerprint; `None` if it is open no more.
    open: BTreeMap<Id, Option<Id>>,
    /// Those of the incidents whose scope is wider than one lock.
    wide: BTreeSet<Id>,
    silences: Option<Silences>,
}

impl Casebook {
    /// An empty one with this policy.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self { policy, ..Self::default() }
    }

    /// The casebook of a log. The events of one incident must be in order; events of other incidents may come between
    /// them.
    ///
    /// # Errors
    /// The first event that breaks a rule of the log.
    pub fn fold<'e>(policy: Arc<Policy>, events: impl IntoIterator<Item = &'e Event>) -> Result<Self, ApplyError> {
        let mut book = Self::new(policy);
        for event in events {
            match book.incidents.get_mut(&event.incident) {
                Some(incident) => incident.apply(event)?,
                None => _ = book.incidents.insert(event.incident, Incident::open(event)?),
            }
        }
        // A recurrence names the incident before it, so the latest is one that no other names. One that came too late
        // to be a recurrence names none, and was opened more than a day after the end of the one before it.
        let named: BTreeSet<Id> = book.incidents.values().filter_map(|incident| incident.recurs_of).collect();
        for incident in book.incidents.values() {
            keep(&mut book.open_wide, incident.id, incident.is_open() && incident.is_wide());
            keep(&mut book.watched, incident.id, is_watched(incident));
            if incident.is_open()
                && let Some(other) = book.open.insert(incident.fingerprint, incident.id)
            {
                return Err(doubled(incident, other));
            }
            let is_later = |other: &Id| {
                book.incidents.get(other).is_none_or(|other| (other.opened, other.id) < (incident.opened, incident.id))
            };
            if !named.contains(&incident.id) && book.latest.get(&incident.fingerprint).is_none_or(is_later) {
                book.latest.insert(incident.fingerprint, incident.id);
            }
        }
        Ok(book)
    }

    /// A draft on top of this casebook.
    pub fn draft(&self) -> Draft<'_> {
        Draft { book: self, changes: Changes::default() }
    }

    /// Applies the changes of a draft of this same casebook.
    pub fn absorb(&mut self, changes: Changes) {
        for (id, incident) in changes.incidents {
            keep(&mut self.open_wide, id, incident.is_open() && incident.is_wide());
            keep(&mut self.watched, id, is_watched(&incident));
            self.incidents.insert(id, incident);
        }
        self.latest.extend(changes.latest);
        for (fingerprint, open) in changes.open {
            match open {
                Some(id) => _ = self.open.insert(fingerprint, id),
                None => _ = self.open.remove(&fingerprint),
            }
        }
        if let Some(silences) = changes.silences {
            self.silences = silences;
        }
    }

    /// Takes the silences of a log.
    pub fn set_silences(&mut self, silences: Silences) {
        self.silences = silences;
    }

    /// Takes what the registry says about where locks are.
    pub fn set_places(&mut self, places: Arc<Places>) {
        self.places = places;
    }

    /// The silences.
    pub fn silences(&self) -> &Silences {
        &self.silences
    }

    /// The open incidents that a silence of this form would match now, by id.
    pub fn preview<'b>(&'b self, matches: &'b Matcher) -> impl Iterator<Item = &'b Incident> {
        self.incidents.values().filter(|incident| incident.is_open() && matches.matches(incident, &self.places))
    }

    /// The incident of this id.
    pub fn incident(&self, id: Id) -> Option<&Incident> {
        self.incidents.get(&id)
    }

    /// Every incident, by id.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values()
    }

    /// How many incidents there are.
    pub fn len(&self) -> usize {
        self.incidents.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.incidents.is_empty()
    }
}

impl Draft<'_> {
    /// The events and decisions that follow from this finding. The draft then has the state as if they were stored.
    ///
    /// # Errors
    /// Where the log would break one of its rules: a fault of this program.
    pub(crate) fn decide(&mut self, anomaly: &Anomaly) -> Result<Correlated, ApplyError> {
        let fingerprint = fingerprint::of(anomaly);
        let records = count(anomaly.evidence.len(), "record");
        if let Some(open) = self.open_of(fingerprint) {
            let why = format!("incident {open} is open for it and takes its {records}");
            return self.join(open, anomaly, DecisionReason::AlreadyOpen, why);
        }
        if let Some((merged, into)) = self.merged(fingerprint) {
            let why = format!("incident {merged} was merged into {into}, which is open and takes its {records}");
            return self.join(into, anomaly, DecisionReason::AlreadyOpen, why);
        }
        if let Some((wider, place)) = self.wider(anomaly).map(|incident| (incident.id, place(&incident.scope))) {
            let why = format!("the lock is among those of incident {wider} ({place}), which is about the same");
            return self.join(wider, anomaly, DecisionReason::PartOfWider, why);
        }
        let service = self.policy().services.of_finding(anomaly, self.places());
        let finding = Subject::finding(anomaly, service.as_deref());
        if let Some(work) = self.silences().covering(SilenceKind::Maintenance, &finding, self.places(), anomaly.at) {
            let Silence { id, reason, by, .. } = work;
            let why = format!("maintenance {id} by {by}: {reason}");
            return Ok(unopened(anomaly, DecisionReason::Maintenance, why));
        }
        let before = self.latest(fingerprint).filter(|latest| self.recurs(latest, anomaly)).map(|latest| latest.id);
        self.open(anomaly, fingerprint, before, service)
    }

    /// Whether a finding is a recurrence of an incident that takes no more: the policy says for how long after its end.
    fn recurs(&self, latest: &Incident, anomaly: &Anomaly) -> bool {
        let ended = latest.ended.unwrap_or(latest.updated);
        anomaly.at.ms().saturating_sub(ended.ms()) <= self.book.policy.opening.recurrence_ms
    }

    /// Whether an incident has taken this finding, which was told before: an open one has, and one that takes no more
    /// has if it took findings as late as this, or shows its first record.
    pub(crate) fn is_taken(&self, anomaly: &Anomaly) -> bool {
        let fingerprint = fingerprint::of(anomaly);
        let has_taken = |incident: &Incident| {
            let shown = || incident.evidence_first.iter().chain(&incident.evidence_latest);
            anomaly.at <= incident.evidence_at || shown().any(|record| Some(record) == anomaly.evidence.first())
        };
        self.open_of(fingerprint).is_some()
            || self.merged(fingerprint).is_some()
            || self.latest(fingerprint).is_some_and(has_taken)
            || self.wider(anomaly).is_some()
    }

    /// The event of a recovery, where an open incident has findings of its rule and scope and of no other, all of them
    /// before it. Where people merged others into it, the recovery of one fault says nothing of the others: people
    /// judge.
    ///
    /// # Errors
    /// Where the log would break one of its rules: a fault of this program.
    pub(crate) fn recover(&mut self, recovery: &Recovery) -> Result<Option<Event>, ApplyError> {
        let open = self.open_of(fingerprint::of_recovery(recovery)).and_then(|id| self.incident(id));
        let ended = open.filter(|incident| {
            incident.recovered.is_none()
                && incident.evidence_at < recovery.at
                && incident.rules.iter().eq([&recovery.rule])
                && !self.has_merged(incident)
        });
        let Some(id) = ended.map(|incident| incident.id) else { return Ok(None) };
        self.add(id, recovery.at, TelemetryRecovered { why: recovery.why.clone() }).map(Some)
    }

    /// Adds an event of another origin: an operator's, or a recovery.
    ///
    /// # Errors
    /// Where there is no such incident, or its rules refuse the event.
    pub fn add(&mut self, incident: Id, at: EngineTime, what: impl Into<What>) -> Result<Event, ApplyError> {
        let seq = self.incident(incident).map_or(0, |incident| incident.seq.saturating_add(1));
        let event = Event { incident, seq, at, what: what.into() };
        self.check_others(&event).map_err(|reason| refuse(&event, reason))?;
        self.apply(&event)?;
        Ok(event)
    }

    /// The rules that concern another incident.
    fn check_others(&self, event: &Event) -> Result<(), Refused> {
        if let What::MergedInto(MergedInto { incident: into, .. }) = event.what {
            let refused = |why| Err(Refused::NotMergeable { into, why });
            return match self.incident(into) {
                None => refused("there is no such incident"),
                Some(winner) if !winner.is_open() => refused("it is not open"),
                Some(_) => Ok(()),
            };
        }
        if let What::RunbookStepDone(done) = &event.what
            && let Some(incident) = self.incident(event.incident)
        {
            return check_step(&self.book.policy, incident, done);
        }
        let other = self.incident(event.incident).and_then(|incident| self.open_of(incident.fingerprint));
        match (&event.what, other) {
            (What::Reopened(_), Some(open)) if open != event.incident => Err(Refused::OtherOpen { open }),
            (_, _) => Ok(()),
        }
    }

    /// The incident of this id, as the draft has it.
    pub fn incident(&self, id: Id) -> Option<&Incident> {
        self.changes.incidents.get(&id).or_else(|| self.book.incidents.get(&id))
    }

    /// The changes of the draft.
    pub fn into_changes(self) -> Changes {
        self.changes
    }

    /// Every incident, as the draft has it.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        let kept = self.book.incidents.values().filter(|incident| !self.changes.incidents.contains_key(&incident.id));
        kept.chain(self.changes.incidents.values())
    }

    /// The open incidents of a scope wider than one lock, some of them twice.
    pub(crate) fn open_wide(&self) -> impl Iterator<Item = &Incident> {
        let ids = self.book.open_wide.iter().chain(&self.changes.wide);
        ids.filter_map(|id| self.incident(*id)).filter(|incident| incident.is_open())
    }

    /// The open incidents, some of them twice.
    pub(crate) fn open_incidents(&self) -> impl Iterator<Item = &Incident> {
        let kept = self.book.open.values().filter_map(|id| self.incident(*id));
        kept.chain(self.changes.incidents.values()).filter(|incident| incident.is_open())
    }

    /// The incidents that time may change: the open ones and the muted ones. Called with every step, so that it costs
    /// nothing for the many that are over.
    pub(crate) fn watched(&self) -> BTreeSet<Id> {
        let mut all = self.book.watched.clone();
        for (id, incident) in &self.changes.incidents {
            keep(&mut all, *id, is_watched(incident));
        }
        all
    }

    /// The silences, as the draft has them.
    pub fn silences(&self) -> &Silences {
        self.changes.silences.as_ref().unwrap_or(&self.book.silences)
    }

    pub(crate) fn silences_mut(&mut self) -> &mut Silences {
        self.changes.silences.get_or_insert_with(|| self.book.silences.clone())
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.book.policy
    }

    pub(crate) fn places(&self) -> &Places {
        &self.book.places
    }

    pub(crate) fn open_of(&self, fingerprint: Id) -> Option<Id> {
        let changed = self.changes.open.get(&fingerprint).copied();
        changed.unwrap_or_else(|| self.book.open.get(&fingerprint).copied())
    }

    /// The latest incident of a fingerprint if it was merged, and the open one that takes its findings. Only an open
    /// incident takes a merged one, and an open one is merged into none: the way from one to the next has no circle.
    pub(crate) fn merged(&self, fingerprint: Id) -> Option<(Id, Id)> {
        let latest = self.latest(fingerprint)?;
        let mut into = self.incident(latest.merged_into?)?;
        while let Some(next) = into.merged_into.and_then(|id| self.incident(id)) {
            into = next;
        }
        into.is_open().then_some((latest.id, into.id))
    }

    /// Whether another incident was merged into this one, or this one took the findings of one that was.
    fn has_merged(&self, incident: &Incident) -> bool {
        let is_alone = incident.is_wide() || incident.devices.iter().eq([&incident.scope.value]);
        !is_alone || self.incidents().any(|other| other.merged_into == Some(incident.id))
    }

    fn latest(&self, fingerprint: Id) -> Option<&Incident> {
        let id = self.changes.latest.get(&fingerprint).or_else(|| self.book.latest.get(&fingerprint))?;
        self.incident(*id)
    }

    fn join(
        &mut self,
        id: Id,
        anomaly: &Anomaly,
        reason: DecisionReason,
        why: String,
    ) -> Result<Correlated, ApplyError> {
        let mut events = vec![self.add(id, anomaly.at, EvidenceAdded { anomaly: anomaly.clone() })?];
        if let Some(raised) = self.incident(id).and_then(|incident| raised(&self.book.policy, incident)) {
            events.push(self.add(id, anomaly.at, raised)?);
        }
        Ok(Correlated { events, decisions: vec![anomaly.decision(reason, why)] })
    }

    fn open(
        &mut self,
        anomaly: &Anomaly,
        fingerprint: Id,
        recurs_of: Option<Id>,
        service: Option<String>,
    ) -> Result<Correlated, ApplyError> {
        let judged = self.book.policy.triage(&facts_of(anomaly, service.clone()));
        if !judged.opens() {
            return Ok(unopened(anomaly, DecisionReason::Unconfirmed, judged.opening.why));
        }
        let ids = anomaly.evidence.iter().map(|first| fingerprint::incident_id(fingerprint, &anomaly.scope, first));
        let Some(id) = ids.into_iter().find(|id| self.incident(*id).is_none()) else {
            let why = "every record behind it has opened an incident before; a new one needs a new record";
            return Ok(unopened(anomaly, DecisionReason::Unconfirmed, why.into()));
        };
        let opened = Opened {
            fingerprint,
            recurs_of,
            ground: Some(Box::new(judged.ground())),
            urgency: judged.urgency.level,
            urgency_reason: judged.urgency.reason,
            service,
            title: title(anomaly),
            why: why(anomaly),
            anomaly: anomaly.clone(),
        };
        let event = Event { incident: id, seq: 0, at: anomaly.at, what: opened.into() };
        self.apply(&event)?;
        Ok(Correlated { events: vec![event], decisions: Vec::new() })
    }

    fn apply(&mut self, event: &Event) -> Result<(), ApplyError> {
        if let Some(incident) = self.changes.incidents.get_mut(&event.incident) {
            incident.apply(event)?;
        } else if let Some(incident) = self.book.incidents.get(&event.incident) {
            let mut incident = incident.clone();
            incident.apply(event)?;
            keep(&mut self.changes.wide, incident.id, incident.is_wide());
            self.changes.incidents.insert(incident.id, incident);
        } else if matches!(event.what, What::Opened(_)) {
            let incident = Incident::open(event)?;
            if let Some(open) = self.open_of(incident.fingerprint) {
                return Err(refuse(event, Refused::AlreadyOpen { open }));
            }
            self.changes.latest.insert(incident.fingerprint, incident.id);
            keep(&mut self.changes.wide, incident.id, incident.is_wide());
            self.changes.incidents.insert(incident.id, incident);
        } else {
            return Err(refuse(event, Refused::Unknown));
        }
        self.note_open(event.incident);
        Ok(())
    }

    /// Keeps which incident of a fingerprint is open in step with an incident that changed.
    fn note_open(&mut self, id: Id) {
        let Some((fingerprint, is_open)) = self.incident(id).map(|found| (found.fingerprint, found.is_open())) else {
            return;
        };
        if is_open {
            self.changes.open.insert(fingerprint, Some(id));
        } else if self.open_of(fingerprint) == Some(id) {
            self.changes.open.insert(fingerprint, None);
        }
    }
}

/// Whether time alone may change it: it is open, or its muting may end.
fn is_watched(incident: &Incident) -> bool {
    incident.is_open() || incident.muted.is_some()
}

fn keep(ids: &mut BTreeSet<Id>, id: Id, is_in: bool) {
    if is_in {
        ids.insert(id);
    } else {
        ids.remove(&id);
    }
}

/// At most one incident of a fingerprint (which holds the scope) is the latest, and only the latest may be open.
fn doubled(incident: &Incident, open: Id) -> ApplyError {
    ApplyError { incident: incident.id, seq: 0, kind: "opened".into(), reason: Refused::AlreadyOpen { open } }
}

/// The event that raises the urgency, where the present impact gives a level above all that the rules gave before.
fn raised(policy: &Policy, incident: &Incident) -> Option<UrgencyChanged> {
    let facts = Facts {
        hint: Some(incident.hint),
        scope: Some(incident.scope.kind),
        locks: incident.devices.len(),
        domain: Some(incident.domain),
        component: Some(incident.component),
        service: incident.service.clone(),
        ..Facts::default()
    };
    let judged = policy.triage(&facts);
    let ground = Some(judged.ground());
    let found = judged.urgency;
    let is_higher = found.level > incident.assessed && found.level > incident.urgency;
    is_higher.then_some(UrgencyChanged { to: found.level, reason: found.reason, ground, by: None })
}

fn unopened(anomaly: &Anomaly, reason: DecisionReason, why: String) -> Correlated {
    Correlated { events: Vec::new(), decisions: vec![anomaly.decision(reason, why)] }
}

#[cfg(test)]
#[path = "correlate_tests.rs"]
mod tests;
