//! Which steps may be added to an incident now, and what its completion lacks. The rules for new steps hold for them
//! alone: a log that an earlier version wrote is folded as it stands ([`crate::incident`]). Must not know stores or the
//! form of a request ([`crate::step`] reads it). Called by [`crate::correlate::Draft::act`].
use crate::event::{Event, Status, Verdict, What};
use crate::incident::Incident;
use crate::refused::{POSTMORTEM_ROLES_MIN, Refused};
use std::collections::BTreeSet;
use zenei_wire::Id;

/// A role as it counts: `Support` and ` support` are one.
pub(crate) fn role(word: &str) -> String {
    word.trim().to_lowercase()
}

/// The roles that count for a completion, whatever version stored them.
pub(crate) fn roles<'w>(words: impl IntoIterator<Item = &'w String>) -> BTreeSet<String> {
    words.into_iter().map(|word| role(word)).filter(|role| !role.is_empty()).collect()
}

/// The step as it is stored: its roles as they count, each once.
pub(crate) fn tidied(mut what: What) -> What {
    if let What::PostmortemHeld(held) = &mut what {
        held.roles = roles(&held.roles).into_iter().collect();
    }
    what
}

/// Whether the incident takes this new event; `is_known` says whether an incident has that id.
pub(crate) fn check(incident: &Incident, event: &Event, is_known: impl Fn(Id) -> bool) -> Result<(), Refused> {
    let is_complete = incident.status == Status::Close;
    match &event.what {
        What::Judged(_)
        | What::Acknowledged(_)
        | What::OwnerAssigned(_)
        | What::TempFixDone(_)
        | What::DomainChanged(_)
        | What::UrgencyChanged(_)
            if is_complete =>
        {
            Err(Refused::Over)
        }
        What::Judged(judged) => duplicate(incident, judged.verdict, is_known),
        What::Completed(_) if !is_complete => {
            if let Some(verdict) = incident.verdict {
                duplicate(incident, verdict, is_known)?;
            }
            incident.check_complete()
        }
        What::PostmortemHeld(held) if held.roles.is_empty() => Err(Refused::NoRole),
        // After a reopening a person may say again that they are on it.
        What::Acknowledged(seen) if incident.reopened == 0 && incident.acknowledged_by.as_ref() == Some(&seen.by) => {
            Err(Refused::OtherState { found: "was acknowledged by this person before" })
        }
        What::Opened(_) | What::EvidenceAdded(_) | What::UrgencyChanged(_) | What::DomainChanged(_) => Ok(()),
        What::Acknowledged(_) | What::OwnerAssigned(_) | What::StatusChanged(_) | What::Note(_) => Ok(()),
        What::InquiryLinked(_) | What::InquiryUnlinked(_) | What::TempFixDone(_) | What::Completed(_) => Ok(()),
        What::TelemetryRecovered(_) | What::PostmortemHeld(_) | What::PostmortemScheduled(_) => Ok(()),
        What::MergedInto(_) | What::Reopened(_) | What::FlappingStarted(_) | What::FlappingEnded(_) => Ok(()),
        What::ChannelOpened(_) | What::Invited(_) | What::RunbookAttached(_) | What::RunbookStepDone(_) => Ok(()),
        What::ActionItemAdded(_) | What::ActionItemChanged(_) | What::EffortAdded(_) => Ok(()),
        What::DeliveryFailed(_) | What::DeliveryDuplicated(_) | What::SimilarFound(_) => Ok(()),
        What::Muted(_) | What::Unmuted(_) | What::Other { .. } => Ok(()),
    }
}

/// A duplicate is one of another incident, which exists.
fn duplicate(incident: &Incident, verdict: Verdict, is_known: impl Fn(Id) -> bool) -> Result<(), Refused> {
    match verdict {
        Verdict::DuplicateOf(of) if of == incident.id => {
            Err(Refused::NotDuplicate { of, why: "it is this same incident" })
        }
        Verdict::DuplicateOf(of) if !is_known(of) => {
            Err(Refused::NotDuplicate { of, why: "there is no such incident; `zenei incident list` names all" })
        }
        Verdict::DuplicateOf(_) | Verdict::True | Verdict::FalsePositive => Ok(()),
    }
}

impl Incident {
    /// Whether it may be completed (完了): the temporary fix is done and the postmortem was held, or there was no fault.
    ///
    /// # Errors
    /// [`Refused`] with what is missing.
    pub fn check_complete(&self) -> Result<(), Refused> {
        self.check_completion(roles(&self.postmortem_roles).len())
    }

    /// As [`Self::check_complete`], with so many roles: a stored log counts the roles as it has them.
    pub(crate) fn check_completion(&self, roles: usize) -> Result<(), Refused> {
        if self.status == Status::Close {
            return Err(Refused::StatusOrder { from: self.status, to: Status::Close });
        }
        let is_no_fault = matches!(self.verdict, Some(Verdict::FalsePositive | Verdict::DuplicateOf(_)));
        if is_no_fault || (self.is_temp_fixed && roles >= POSTMORTEM_ROLES_MIN) {
            return Ok(());
        }
        Err(Refused::Incomplete { temp_fix: self.is_temp_fixed, roles })
    }
}

#[cfg(test)]
#[path = "allowed_tests.rs"]
mod tests;
