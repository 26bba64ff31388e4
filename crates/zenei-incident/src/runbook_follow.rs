//! What a runbook does to an incident: it is attached when the incident opens, a step that a person has done sets the
//! incident's status, and facts at hand do what the runbook says, each once. All of it in the draft of the event that
//! caused it. Must not know stores. Called by the casebook's [`Draft::add`] (the check of a step), by [`crate::mute`]
//! for what follows from findings and from time, and by the desk for the steps of people ([`Draft::act`]).
use crate::allowed;
use crate::correlate::Draft;
use crate::event::{Event, Note, RunbookAttached, RunbookStepDone, StatusChanged, TempFixDone, What};
use crate::incident::{ApplyError, Incident};
use crate::policy::Policy;
use crate::refused::refuse;
use crate::runbook::{Auto, When};
use crate::stage::RUNBOOK_BY;
use zenei_wire::{EngineTime, Id};

impl Draft<'_> {
    /// Adds an event of another origin than findings, and what the incident's runbook lets follow. The event itself is
    /// the first of those returned.
    ///
    /// # Errors
    /// Those of [`Draft::add`] for the event itself, and where the incident takes no such step now.
    pub fn act(&mut self, incident: Id, at: EngineTime, what: impl Into<What>) -> Result<Vec<Event>, ApplyError> {
        let what = allowed::tidied(what.into());
        self.check_new(incident, at, &what)?;
        let mut events = vec![self.add(incident, at, what)?];
        let mut next = 0;
        // Each step and each automatic rule acts once: this ends.
        while let Some(event) = events.get(next).cloned() {
            for what in self.following(&event) {
                events.push(self.add(incident, at, what)?);
            }
            next += 1;
        }
        Ok(events)
    }

    /// Whether the incident takes this step now; what is stored already is not asked again.
    fn check_new(&self, id: Id, at: EngineTime, what: &What) -> Result<(), ApplyError> {
        let Some(incident) = self.incident(id) else { return Ok(()) };
        let event = Event { incident: id, seq: incident.seq.saturating_add(1), at, what: what.clone() };
        let checked = allowed::check(incident, &event, |other| self.incident(other).is_some());
        checked.map_err(|reason| refuse(&event, reason))
    }

    /// The runbook for an incident that was just opened.
    pub(crate) fn attached(&self, incident: &Incident) -> Option<What> {
        let book = self.policy().runbook_of(incident)?;
        Some(RunbookAttached { runbook: book.id.clone(), version: book.version }.into())
    }

    /// What time alone brings: facts that have lasted for as long as the runbook asks.
    pub(crate) fn lasted(&self, incident: &Incident, now: EngineTime) -> Vec<What> {
        let Some(recovered) = incident.recovered.filter(|_| incident.is_open()) else { return Vec::new() };
        let has_lasted = |auto: &Auto| {
            auto.when == When::TelemetryRecovered && now.ms().saturating_sub(recovered.ms()) >= auto.for_ms
        };
        by_itself(self.policy(), incident, has_lasted)
    }

    fn following(&self, event: &Event) -> Vec<What> {
        let Some(incident) = self.incident(event.incident) else { return Vec::new() };
        if let What::RunbookStepDone(done) = &event.what
            && !done.by.starts_with(RUNBOOK_BY)
        {
            return self.after_step(incident, done);
        }
        let Some(fact) = fact(&event.what) else { return Vec::new() };
        by_itself(self.policy(), incident, |auto| auto.when == fact && auto.for_ms == 0)
    }

    fn after_step(&self, incident: &Incident, done: &RunbookStepDone) -> Vec<What> {
        let attached = incident.runbook_attached.as_ref();
        let book = attached.and_then(|(id, _)| self.policy().runbooks.get(id));
        let Some(step) = book.and_then(|book| book.step(&done.step)) else { return Vec::new() };
        let by = || done.by.clone();
        let fix = (step.is_temp_fix && !incident.is_temp_fixed).then(|| TempFixDone { by: by() }.into());
        let status = step.status.filter(|to| incident.is_open() && *to > incident.status);
        let status = status.map(|to| StatusChanged { to, by: by() }.into());
        fix.into_iter().chain(status).collect()
    }
}

/// What the automatic rules that `holds` selects do, with the mark that they did it.
fn by_itself(policy: &Policy, incident: &Incident, holds: impl Fn(&Auto) -> bool) -> Vec<What> {
    let attached = incident.runbook_attached.as_ref().and_then(|(id, _)| policy.runbooks.get(id));
    let Some(book) = attached else { return Vec::new() };
    let by = || format!("{RUNBOOK_BY}{}", book.id);
    let mut reached = incident.status;
    let mut all = Vec::new();
    for auto in book.autos.iter().filter(|auto| !incident.steps_done.contains(&auto.id) && holds(auto)) {
        all.push(RunbookStepDone { step: auto.id.clone(), by: by() }.into());
        all.extend(auto.note.clone().map(|text| Note { text, by: by() }.into()));
        if let Some(to) = auto.status.filter(|to| incident.is_open() && *to > reached) {
            reached = to;
            all.push(StatusChanged { to, by: by() }.into());
        }
    }
    all
}

fn fact(what: &What) -> Option<When> {
    match what {
        What::Acknowledged(_) => Some(When::Acknowledged),
        What::OwnerAssigned(_) => Some(When::OwnerAssigned),
        What::ChannelOpened(_) => Some(When::ChannelOpened),
        What::TempFixDone(_) => Some(When::TempFixDone),
        What::TelemetryRecovered(_) => Some(When::TelemetryRecovered),
        What::PostmortemHeld(_) => Some(When::PostmortemHeld),
        What::Opened(_) | What::EvidenceAdded(_) | What::UrgencyChanged(_) | What::DomainChanged(_) => None,
        What::StatusChanged(_) | What::InquiryLinked(_) | What::InquiryUnlinked(_) | What::Note(_) => None,
        What::Judged(_) | What::PostmortemScheduled(_) | What::MergedInto(_) | What::Reopened(_) => None,
        What::FlappingStarted(_) | What::FlappingEnded(_) | What::Invited(_) | What::RunbookAttached(_) => None,
        What::RunbookStepDone(_) | What::ActionItemAdded(_) | What::ActionItemChanged(_) => None,
        What::EffortAdded(_) | What::DeliveryFailed(_) | What::DeliveryDuplicated(_) => None,
        What::SimilarFound(_) | What::Muted(_) | What::Unmuted(_) | What::Completed(_) | What::Other { .. } => None,
    }
}

#[cfg(test)]
#[path = "runbook_follow_tests.rs"]
mod tests;
