//! An incident with the times that its state does not keep. Must not know what is counted. Called by the figures, and
//! by the desk, which reads the events.
use crate::event::{Event, What};
use crate::incident::Incident;
use zenei_wire::EngineTime;

/// An incident with the times of its work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// Since when it has its status.
    pub status_since: EngineTime,
    /// When the temporary fix was done first; after a reopening, first since then.
    pub temp_fixed: Option<EngineTime>,
    /// When the latest note was written.
    pub noted: Option<EngineTime>,
}

impl<'a> Case<'a> {
    /// The kinds of events that [`Case::of`] needs; others have no effect.
    pub const KINDS: [&'static str; 6] =
        ["status_changed", "completed", "merged_into", "reopened", "temp_fix_done", "note"];

    /// The case of this incident and its events, in their order.
    pub fn of<'e>(incident: &'a Incident, events: impl IntoIterator<Item = &'e Event>) -> Self {
        let mut case = Self { incident, status_since: incident.opened, temp_fixed: None, noted: None };
        for event in events {
            case.take(event);
        }
        case
    }

    fn take(&mut self, event: &Event) {
        match &event.what {
            What::StatusChanged(_) | What::Completed(_) | What::MergedInto(_) => self.status_since = event.at,
            What::Reopened(_) => (self.status_since, self.temp_fixed) = (event.at, None),
            What::TempFixDone(_) => _ = self.temp_fixed.get_or_insert(event.at),
            What::Note(_) => self.noted = Some(event.at),
            What::Opened(_) | What::EvidenceAdded(_) | What::Acknowledged(_) | What::OwnerAssigned(_) => {}
            What::UrgencyChanged(_) | What::DomainChanged(_) | What::InquiryLinked(_) | What::InquiryUnlinked(_) => {}
            What::TelemetryRecovered(_) | What::PostmortemHeld(_) | What::PostmortemScheduled(_) => {}
            What::Judged(_) | What::FlappingStarted(_) | What::FlappingEnded(_) | What::ChannelOpened(_) => {}
            What::Invited(_) | What::RunbookAttached(_) | What::RunbookStepDone(_) | What::ActionItemAdded(_) => {}
            What::ActionItemChanged(_) | What::EffortAdded(_) | What::DeliveryFailed(_) => {}
            What::DeliveryDuplicated(_) | What::SimilarFound(_) | What::Muted(_) | What::Unmuted(_) => {}
            What::Other { .. } => {}
        }
    }
}
