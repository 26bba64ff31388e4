//! Which open incident explains another, so that people are told of the cause alone: a gateway that is down explains
//! that its locks are not heard. Must not know the casebook or silences. Called by the casebook's muting.
use crate::incident::Incident;
use crate::places::Places;
use zenei_detect::{Component, ScopeKind};

/// The longest time for which one incident mutes another, ms: a day. A guess: a cause that stays open for longer may
/// hide a fault of its own.
pub const INHIBITION_MAX_MS: i64 = 24 * 3_600_000;

/// A kind of cause and what it explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inhibition {
    /// The component of the cause.
    pub cause: Component,
    /// The kind of the cause's scope.
    pub cause_scope: ScopeKind,
    /// The components that it explains.
    pub explains: Vec<Component>,
}

impl Inhibition {
    /// Our default: a gateway explains its locks' silence, lost records and weak radio.
    pub fn gateway() -> Self {
        Self { cause: Component::Gateway, cause_scope: ScopeKind::Gateway, explains: vec![Component::BleLink] }
    }

    /// Whether an incident is such a cause: open, and not recovered.
    pub fn is_cause(&self, incident: &Incident) -> bool {
        incident.is_open()
            && incident.recovered.is_none()
            && incident.component == self.cause
            && incident.scope.kind == self.cause_scope
    }

    /// Whether this cause explains the other incident: each lock of the other has evidence in the cause, or is
    /// registered on that gateway.
    pub fn explains(&self, cause: &Incident, other: &Incident, places: &Places) -> bool {
        let is_behind = |lock: &String| {
            let gateway = places.of(lock).and_then(|place| place.gateway.as_ref());
            cause.devices.contains(lock) || gateway == Some(&cause.scope.value)
        };
        self.is_cause(cause)
            && cause.id != other.id
            && self.explains.contains(&other.component)
            && !other.devices.is_empty()
            && other.devices.iter().all(is_behind)
    }
}
