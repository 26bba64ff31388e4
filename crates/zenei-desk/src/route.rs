//! Which targets a desk tells of which events. Must not know how a target is reached. Filled in from the
//! configuration; asked by the driver, which writes the messages in the transaction of the events.
use crate::own_fault;
use std::collections::BTreeSet;
use zenei_detect::{Domain, Urgency};
use zenei_incident::{Event, Incident, What};
use zenei_store::control::OutboxRow;
use zenei_wire::Id;

/// A target, and what it is told.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name in the configuration.
    pub target: String,
    /// It is told of incidents of at least this urgency; one that was told of an incident is told of its end too, also
    /// where the incident moved to another domain.
    pub min_urgency: Urgency,
    /// It is told of these domains; empty: of all.
    pub domains: BTreeSet<Domain>,
    /// It is told of these services; empty: of all.
    pub services: BTreeSet<String>,
    /// The kinds of event that it can use.
    pub wants: fn(&Event) -> bool,
}

impl Route {
    /// Whether the target is told of this event of an incident, which stands as after the event, also if it was told of
    /// none before.
    pub fn takes(&self, incident: &Incident, event: &Event) -> bool {
        self.follows(incident, event) && self.chooses(incident)
    }

    /// Whether the target is told of this event of an incident that it knows, whatever the incident has become: who was
    /// told that it is open must hear of its end.
    pub fn follows(&self, incident: &Incident, event: &Event) -> bool {
        // A target that failed is not told, over itself, that it failed.
        let is_fault = incident.rule == own_fault::RULE;
        let is_own_fault = is_fault && incident.scope.value == self.target;
        // A failure is told once, by the incident about the target. Were each told, a target that takes nothing would
        // be told of its failure to take the last one, and two of them would be told of each other's, without an end.
        let is_failure =
            matches!(event.what, What::DeliveryFailed(_)) || (is_fault && matches!(event.what, What::EvidenceAdded(_)));
        let names_it = own_fault::target_of(&event.what).is_some_and(|target| target == self.target);
        (self.wants)(event) && !is_own_fault && !is_failure && !names_it
    }

    fn chooses(&self, incident: &Incident) -> bool {
        // The level that the tables gave counts too: a person who lowers the urgency does not cut off those who know.
        let urgency = incident.urgency.max(incident.assessed);
        urgency >= self.min_urgency
            && (self.domains.is_empty() || self.domains.contains(&incident.domain))
            && self.is_of_service(incident)
    }

    /// An incident of no service is zenei's own, or from before services: everyone is told of it.
    fn is_of_service(&self, incident: &Incident) -> bool {
        let is_one = |service: &String| self.services.contains(service);
        self.services.is_empty() || incident.service.as_ref().is_none_or(is_one)
    }

    /// The message about an event, to go out not before this time (ms since 1970); the same event gives the same
    /// message.
    pub fn message(&self, event: &Event, not_before_ms: i64) -> OutboxRow {
        let seq = event.seq.to_string();
        OutboxRow {
            id: Id::of(&[self.target.as_bytes(), event.incident.to_string().as_bytes(), seq.as_bytes()]),
            target: self.target.clone(),
            incident: event.incident,
            event_seq: event.seq,
            // The text is made when it is sent, from the log up to this event.
            body: "{}".to_owned(),
            attempt: 0,
            next_at_ms: not_before_ms,
            unanswered: 0,
            tried_from_ms: None,
        }
    }
}
