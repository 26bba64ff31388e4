//! What a finding is part of, in words and as the scope whose incident takes it; and how long locks were watched. Must
//! not know how a cause is found, and no incident. Called by `attribution` and the engine.
use super::Attribution;
use super::cause::Cause;
use super::shared::Shared;
use crate::anomaly::{Anomaly, Component, Decision, Domain, PartOf, Scope, ScopeKind};
use crate::fleet::{DeviceIx, Fleet};
use crate::lock::Lock;

impl Attribution {
    /// What explains that a lock's battery fails: the battery itself (`is_own`), or what it shares with others.
    pub(crate) fn weakening(&self, device: DeviceIx, lock: &Lock, is_own: bool, fleet: &Fleet) -> PartOf {
        let weakens = |(cause, shared): &(&Cause, &Shared)| cause.symptom.is_power() && shared.has(cause, device, lock);
        if let Some((cause, shared)) = self.shared.iter().find(weakens).filter(|_| !is_own) {
            return shared.whole(cause, fleet);
        }
        let scope = Scope { kind: ScopeKind::Device, value: fleet.device_id(device).to_owned() };
        PartOf { scope, domain: Domain::Hardware, component: Component::Battery, rule: None, incident: None }
    }

    /// On how many days locks were watched: one for each lock and day on which it had been heard within a week.
    pub(crate) fn lock_days(&self) -> u64 {
        self.lock_days + self.awake.iter().sum::<u64>()
    }
}

impl Shared {
    /// The finding about the cause.
    pub(super) fn whole(&self, cause: &Cause, fleet: &Fleet) -> PartOf {
        if let Some(anomaly) = &self.anomaly {
            return anomaly.whole();
        }
        let (domain, component) = self.noted.unwrap_or((Domain::Firmware, Component::FwImage));
        let scope = Scope { kind: cause.kind, value: cause.text(fleet) };
        PartOf { scope, domain, component, rule: None, incident: None }
    }
}

/// The decision about a finding that is part of a cause.
pub(super) fn part(anomaly: Anomaly, whole: PartOf) -> Decision {
    let why = format!("part of what the locks with {} {} share", whole.scope.kind, whole.scope.value);
    anomaly.part(whole, why)
}
