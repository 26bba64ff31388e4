//! What explains that a lock's battery fails, and how long locks were watched. Must not know how a cause is found, and
//! no incident. Called by the engine.
use super::Attribution;
use super::cause::Cause;
use super::shared::Shared;
use crate::anomaly::{Component, Domain, PartOf, Scope, ScopeKind};
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
