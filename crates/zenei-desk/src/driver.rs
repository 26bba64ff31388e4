//! Turns the engine's findings into incidents and decisions: the casebook derives the events, and one transaction
//! stores findings, events and decisions. The casebook in memory changes only after the commit. Synchronous; time
//! comes with the call. Must not know records or sockets. Called through `daemon::desk` (`run`, `demo`, `forget`) and
//! through `replay::course` (`replay`, `rules test`).
//!
//! A finding that comes again, after a crash or in a replay, has an id that is stored already and changes nothing. An
//! error leaves memory and store unchanged.
use crate::Incidents;
use crate::log::{IncidentLog, OpenError};
use crate::own_fault;
use crate::route::Route;
use std::collections::BTreeSet;
use std::sync::Arc;
use zenei_detect::Findings;
use zenei_incident::places::Places;
use zenei_incident::silence::SilenceError;
use zenei_incident::{
    ApplyError, Casebook, Changes, Consequences, Draft, Event, Inquiry, Policy, ReadError, Silence, SilenceEvent, Tell,
    What,
};
use zenei_store::control::{Control, ControlError, EventRow, InquiryRow, OutboxRow, SendEnd, SilenceRow, Txn};
use zenei_wire::{EngineTime, Id};

/// Under this name the driver says, in the log at level trace, that it has decided and begins to commit.
pub const COMMITS: &str = "zenei_desk::commits";

/// The desk's driver; it alone writes findings, events and decisions.
#[derive(Debug)]
pub struct DeskDriver {
    control: Control,
    incidents: Incidents,
    policy: Arc<Policy>,
    routes: Vec<Route>,
}

/// How an attempt to send a message ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Attempt {
    /// The target has it.
    Delivered {
        /// What happened, for people.
        remark: String,
        /// What to remember of this incident at this target, by name.
        remember: Vec<(String, String)>,
        /// What the target's answer means for the incident.
        events: Vec<What>,
    },
    /// It is tried again.
    PutOff {
        /// How often it was tried.
        attempt: u32,
        /// Not before this time, ms since 1970.
        next_at_ms: i64,
        /// How many times it may have reached the target without an answer that was seen.
        unanswered: u32,
        /// What happened, for people.
        remark: String,
    },
    /// The target refuses it for good, or it was tried for too long.
    GivenUp {
        /// What happened, for people.
        remark: String,
        /// What it means for the incident.
        events: Vec<What>,
    },
}

/// What a target was seen to say of an incident, unasked or in a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The incident.
    pub incident: Id,
    /// What follows here; empty where only the memory changes.
    pub events: Vec<What>,
    /// What to remember.
    pub remember: Vec<(String, String)>,
}

/// What a call of [`DeskDriver::take`] stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Findings that were new.
    pub anomalies: u64,
    /// Findings whose id was stored already.
    pub repeated: u64,
    /// Events of incidents.
    pub events: u64,
    /// Decisions that were new, the engine's and the casebook's.
    pub decisions: u64,
    /// Incidents that were opened, in order.
    pub opened: Vec<Id>,
}

/// Why findings were not stored; nothing of the call was.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The control database.
    #[error("the findings were not kept")]
    Control(#[from] ControlError),
    /// An event that can't be written as JSON.
    #[error("an event can't be written")]
    Write(#[from] ReadError),
    /// The casebook broke an invariant of its log: a fault in this program.
    #[error("an event does not fit its incident")]
    Log(#[from] ApplyError),
    /// A silence that can't be set or ended.
    #[error("the silence is refused")]
    Silence(#[from] SilenceError),
    /// A silence that can't be written as JSON.
    #[error("a silence can't be written")]
    WriteSilence(#[source] serde_json::Error),
    /// Another process wrote to the same log.
    #[error("event {seq} of incident {incident} is in the log already: only one desk may write to a control database")]
    Diverged {
        /// The incident.
        incident: Id,
        /// The event's number.
        seq: u32,
    },
}

impl DeskDriver {
    /// A driver on this control database, with the incidents of its log, that tells these targets.
    ///
    /// # Errors
    /// Where the log can't be read or breaks its own rules, see [`OpenError`].
    pub fn open(control: Control, routes: Vec<Route>) -> Result<Self, OpenError> {
        Self::open_with(control, routes, Arc::default())
    }

    /// The same, with this policy.
    ///
    /// # Errors
    /// Those of [`DeskDriver::open`].
    pub fn open_with(control: Control, routes: Vec<Route>, policy: Arc<Policy>) -> Result<Self, OpenError> {
        control.check_log()?;
        let IncidentLog { book, events: _ } = IncidentLog::read(&control, Arc::clone(&policy))?;
        Ok(Self { control, incidents: Incidents::new(book), policy, routes })
    }

    /// The same, with the places of the locks that the asset registry names.
    #[must_use]
    pub fn with_places(self, places: Places) -> Self {
        self.incidents.set_places(Arc::new(places));
        self
    }

    /// Stores the engine's findings and the events and decisions that follow; durable on return. `now` is the engine's
    /// time, used for logs only: stored times are those of the findings, so that they do not depend on how records were
    /// split into calls.
    ///
    /// # Errors
    /// [`TakeError`]; then nothing of this call is stored, and the same findings may be passed again.
    pub fn take(&mut self, now: EngineTime, findings: &Findings) -> Result<Taken, TakeError> {
        if findings.is_empty() {
            return Ok(Taken::default());
        }
        let (taken, changes) = self.keep(findings, now)?;
        self.incidents.absorb(changes);
        self.tell(now, &taken);
        Ok(taken)
    }

    /// Stores one event of another origin (an operator's, or a recovery), with what the runbook lets follow.
    ///
    /// # Errors
    /// [`TakeError::Log`] where there is no such incident or its rules refuse the event; after any error nothing is
    /// stored.
    pub fn add(&mut self, incident: Id, at: EngineTime, what: impl Into<What>) -> Result<Event, TakeError> {
        let (event, changes) = {
            let book = self.incidents.read();
            let mut draft = book.draft();
            let mut events = draft.act(incident, at, what)?;
            let txn = self.control.begin()?;
            append(&txn, &draft, &self.routes, &events, at)?;
            txn.commit()?;
            (events.swap_remove(0), draft.into_changes())
        };
        self.incidents.absorb(changes);
        Ok(event)
    }

    /// Stores how an attempt to send a message ended, with what follows from it; a message that has ended before
    /// changes nothing. While a target stays failed, only the first message that is given up is an event and a finding;
    /// the outbox has the others. An event that the incident refuses (a channel of an incident that was completed
    /// meanwhile) is logged and left out: the message itself was sent.
    ///
    /// # Errors
    /// [`TakeError`]; then nothing of this call is stored, and the message is sent again.
    pub fn settle(&mut self, row: &OutboxRow, attempt: &Attempt, at: EngineTime) -> Result<(), TakeError> {
        let changes = {
            let book = self.incidents.read();
            let mut draft = book.draft();
            let txn = self.control.begin()?;
            let (end, remark, events) = match attempt {
                Attempt::PutOff { attempt, next_at_ms, unanswered, remark } => {
                    let (attempt, next_at_ms, unanswered) = (*attempt, *next_at_ms, *unanswered);
                    let tried_from_ms = row.tried_from_ms.or(Some(at.ms()));
                    txn.put_off(&OutboxRow { attempt, next_at_ms, unanswered, tried_from_ms, ..row.clone() }, remark)?;
                    txn.commit()?;
                    return Ok(());
                }
                Attempt::Delivered { remark, events, .. } => (SendEnd::Delivered, remark, events),
                Attempt::GivenUp { remark, events } => (SendEnd::GivenUp, remark, events),
            };
            let was_failed = txn.is_failed(&row.target)?;
            if !txn.end(row.id, end, at.ms(), remark)? {
                return Ok(());
            }
            if let Attempt::Delivered { remember, .. } = attempt {
                for (name, value) in remember {
                    txn.remember(&row.target, row.incident, name, value)?;
                }
            }
            let is_given_up = matches!(attempt, Attempt::GivenUp { .. });
            let says = if is_given_up { says(&txn, &book, row, was_failed)? } else { Says::Event };
            if says == Says::EventAndFinding || says == Says::Event {
                let added = add_all(&mut draft, &row.target, row.incident, events, at);
                append(&txn, &draft, &self.routes, &added, at)?;
            }
            if says == Says::EventAndFinding || says == Says::Finding {
                let findings = own_fault::undelivered(row, remark, at);
                let found = draft.take(&findings, |anomaly| Ok::<bool, TakeError>(txn.insert_anomaly(anomaly)?))?;
                append(&txn, &draft, &self.routes, &found.events, at)?;
            }
            txn.commit()?;
            draft.into_changes()
        };
        self.incidents.absorb(changes);
        Ok(())
    }

    /// Stores that a message is about to be sent: a later sender then knows that the remote may have it.
    ///
    /// # Errors
    /// [`TakeError::Control`]; then nothing is stored.
    pub fn begin_sending(&mut self, row: Id) -> Result<(), TakeError> {
        let txn = self.control.begin()?;
        txn.begin_sending(row)?;
        Ok(txn.commit()?)
    }

    /// Stores what a target was seen to say of one incident: events and what to remember, or neither. An event that
    /// the incident refuses is logged and left out. Returns how many events.
    ///
    /// # Errors
    /// [`TakeError`]; then nothing of this call is stored, and the target may say it again.
    pub fn saw(&mut self, target: &str, seen: &Seen, at: EngineTime) -> Result<usize, TakeError> {
        let (changes, count) = {
            let book = self.incidents.read();
            let mut draft = book.draft();
            let txn = self.control.begin()?;
            for (name, value) in &seen.remember {
                txn.remember(target, seen.incident, name, value)?;
            }
            let added = add_all(&mut draft, target, seen.incident, &seen.events, at);
            append(&txn, &draft, &self.routes, &added, at)?;
            txn.commit()?;
            (draft.into_changes(), added.len())
        };
        self.incidents.absorb(changes);
        Ok(count)
    }

    /// Sets a silence; open incidents that it matches are muted with it.
    ///
    /// # Errors
    /// [`TakeError`]; then nothing is stored.
    pub fn add_silence(&mut self, silence: Silence, at: EngineTime) -> Result<(), TakeError> {
        self.change(at, |_| None, |draft| Ok(Some(draft.add_silence(silence, at)?))).map(drop)
    }

    /// Ends a silence before its end; people are then told of the open incidents that it muted.
    ///
    /// # Errors
    /// [`TakeError::Silence`] where there is no such silence, or it was ended before; then nothing is stored.
    pub fn end_silence(&mut self, silence: Id, by: &str, at: EngineTime) -> Result<(), TakeError> {
        self.change(at, |_| None, |draft| Ok(Some(draft.end_silence(silence, by, at)?))).map(drop)
    }

    /// Stores a customer's inquiry, once by its id: false where this very one was stored before, `None` where the id is
    /// that of another, which stays.
    ///
    /// # Errors
    /// [`TakeError::Control`]; then nothing is stored.
    pub fn add_inquiry(&mut self, inquiry: &Inquiry) -> Result<Option<bool>, TakeError> {
        let Inquiry { id, received_ms, customer, device_id, urgency, text } = inquiry;
        let body = serde_json::json!({
            "id": id, "received_ms": received_ms, "customer": customer, "device_id": device_id, "urgency": urgency,
            "text": text,
        });
        let row = InquiryRow { id: id.clone(), received_at_ms: *received_ms, body: body.to_string() };
        let txn = self.control.begin()?;
        let is_new = txn.insert_inquiry(&row)?;
        txn.commit()?;
        Ok(if is_new { Some(true) } else { (self.control.inquiry(id)?.as_ref() == Some(&row)).then_some(false) })
    }

    /// Stores what time alone brings: silences that begin or end, causes that ended, flapping that stopped. `heard`
    /// gives the last time at which a lock was heard. Returns how many events.
    ///
    /// # Errors
    /// [`TakeError`]; then nothing is stored.
    pub fn pass(&mut self, now: EngineTime, heard: impl Fn(&str) -> Option<EngineTime>) -> Result<usize, TakeError> {
        self.change(now, heard, |_| Ok(None))
    }

    fn change(
        &mut self,
        at: EngineTime,
        heard: impl Fn(&str) -> Option<EngineTime>,
        change: impl FnOnce(&mut Draft<'_>) -> Result<Option<SilenceEvent>, TakeError>,
    ) -> Result<usize, TakeError> {
        let (changes, count) = {
            let book = self.incidents.read();
            let mut draft = book.draft();
            let silence = change(&mut draft)?;
            let events = draft.pass(at, heard)?;
            if silence.is_none() && events.is_empty() {
                return Ok(0);
            }
            let txn = self.control.begin()?;
            if let Some(event) = &silence {
                let body = event.body().map_err(TakeError::WriteSilence)?;
                let kind = event.kind_word().to_owned();
                txn.append_silence(&SilenceRow { silence: event.silence, at_ms: at.ms(), kind, body })?;
            }
            append(&txn, &draft, &self.routes, &events, at)?;
            txn.commit()?;
            (draft.into_changes(), events.len())
        };
        self.incidents.absorb(changes);
        Ok(count)
    }

    /// The incidents, for readers.
    pub fn incidents(&self) -> &Incidents {
        &self.incidents
    }

    /// The control database, to read findings and decisions back.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The policy in use.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy)
    }

    fn tell(&self, now: EngineTime, taken: &Taken) {
        let book = self.incidents.read();
        for incident in taken.opened.iter().filter_map(|id| book.incident(*id)) {
            let lag_ms = now.ms().saturating_sub(incident.opened.ms());
            let (urgency, domain) = (incident.urgency.as_str(), incident.domain.as_str());
            tracing::warn!(incident = %incident.id, urgency, domain, title = incident.title, lag_ms, "incident opened");
        }
    }

    fn keep(&mut self, findings: &Findings, now: EngineTime) -> Result<(Taken, Changes), TakeError> {
        let book = self.incidents.read();
        let mut draft = book.draft();
        let txn = self.control.begin()?;
        let found = draft.take(findings, |anomaly| Ok::<bool, TakeError>(txn.insert_anomaly(anomaly)?))?;
        append(&txn, &draft, &self.routes, &found.events, now)?;
        let mut decisions = 0;
        for decision in &found.decisions {
            decisions += u64::from(txn.insert_decision(decision)?);
        }
        tracing::trace!(target: COMMITS, events = found.events.len(), decisions, "commit begins");
        txn.commit()?;
        let Consequences { anomalies, repeated, events, .. } = &found;
        let (events, opened) = (events.len() as u64, found.opened().collect());
        Ok((Taken { anomalies: *anomalies, repeated: *repeated, events, decisions, opened }, draft.into_changes()))
    }
}

/// What the end of a message says in the logs of incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Event,
    Finding,
    EventAndFinding,
    Nothing,
}

/// What a message that was given up says. Whatever it says goes to the other targets, which may fail too: so a target
/// that stays failed says nothing more, and news of a delivery that is not taken becomes no event of its own.
fn says(txn: &Txn<'_>, book: &Casebook, row: &OutboxRow, was_failed: bool) -> Result<Says, TakeError> {
    if was_failed {
        return Ok(Says::Nothing);
    }
    let rule = book.incident(row.incident).map_or("", |incident| incident.rule.as_str());
    let kind = txn.event_kind(row.incident, row.event_seq)?.unwrap_or_default();
    let is_known = || book.incidents().any(|incident| own_fault::is_about(incident, &row.target));
    Ok(match own_fault::is_news(rule, &kind) {
        false => Says::EventAndFinding,
        true if is_known() => Says::Nothing,
        true => Says::Finding,
    })
}

/// Adds what a target said of an incident; what the incident refuses is logged and left out.
fn add_all(draft: &mut Draft<'_>, target: &str, incident: Id, events: &[What], at: EngineTime) -> Vec<Event> {
    let mut added = Vec::new();
    for what in events {
        match draft.act(incident, at, what.clone()) {
            Ok(events) => added.extend(events),
            Err(error) => tracing::warn!(%error, target, "what a target answered is left out"),
        }
    }
    added
}

/// Writes events, the messages about them, and which incidents are open after them.
///
/// A message about an event of a resolved or muted incident is written where [`Draft::tell`] allows it.
fn append(
    txn: &Txn<'_>,
    draft: &Draft<'_>,
    routes: &[Route],
    events: &[Event],
    now: EngineTime,
) -> Result<(), TakeError> {
    for event in events {
        let row = EventRow {
            incident: event.incident,
            seq: event.seq,
            at_ms: event.at.ms(),
            kind: event.kind_word().to_owned(),
            body: event.body()?,
        };
        if !txn.append_event(&row)? {
            return Err(TakeError::Diverged { incident: event.incident, seq: event.seq });
        }
    }
    let touched: BTreeSet<Id> = events.iter().map(|event| event.incident).collect();
    let touched: Vec<_> = touched.into_iter().filter_map(|id| draft.incident(id)).collect();
    for incident in touched.iter().filter(|incident| !incident.is_open()) {
        txn.set_ended(incident.id)?;
    }
    for incident in touched.iter().filter(|incident| incident.is_open()) {
        txn.set_open(incident.fingerprint, incident.id)?;
    }
    for event in events {
        let Some(incident) = draft.incident(event.incident) else { continue };
        let not_before_ms = match draft.tell(event, now) {
            Tell::Now => event.at.ms(),
            Tell::NotBefore(ms) => ms,
            Tell::Never { .. } => continue,
        };
        for route in routes.iter().filter(|route| route.follows(incident, event)) {
            if route.takes(incident, event) || txn.is_followed(&route.target, incident.id)? {
                txn.enqueue(&route.message(event, not_before_ms))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
