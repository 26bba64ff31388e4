//! Which open incident explains another, so that people are told of the cause alone: a gateway that is down explains
//! that its locks are not heard. Must not know the casebook or silences. Called by the casebook's muting.
use crate::incident::Incident;
use crate::places::Places;
use zenei_detect::{Component, ScopeKind};

/// A kind of cause and what it explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inhibition {
    /// The component of the cause.
    pub cause: Component,
    /// The kind of the cause's scope.
    pub cause_scope: ScopeKind,
    /// The components that it explains.
    pub explains: Vec<Component>,
    /// The longest time for which one incident mutes another, ms: a cause that stays open for longer may hide a fault
    /// of its own.
    pub most_ms: i64,
}

impl Inhibition {
    /// Our default: a gateway explains its locks' silence, lost records and weak radio, for a day; the time is a guess.
    pub fn gateway() -> Self {
        let (cause, cause_scope, explains) = (Component::Gateway, ScopeKind::Gateway, vec![Component::BleLink]);
        Self { cause, cause_scope, explains, most_ms: 24 * 3_600_000 }
    }

    /// Whether an incident is such a cause: open, and not recovered.
    pub fn is_cause(&self, incident: &Incident) -> bool {
        incident.is_open()
            && incident.recovered.is_none()
            && incident.component == self.cause
            && incident.scope.kind == self.cause_scope
    }

    /// Whether this cause explains the other incident: each lock of the other has evidence in the cause, or is
    /// registered on that gateway, at that site or of that service.
    pub fn explains(&self, cause: &Incident, other: &Incident, places: &Places) -> bool {
        let is_behind = |lock: &String| {
            let registered = places.of(lock).and_then(|place| place.of_scope(cause.scope.kind));
            cause.devices.contains(lock) || registered == Some(&cause.scope.value)
        };
        self.is_cause(cause)
            && cause.id != other.id
            && self.explains.contains(&other.component)
            && !other.devices.is_empty()
            && other.devices.iter().all(is_behind)
    }
}
