//! What is known of locks and of the causes that last: what explains that a lock's battery fails, when a lock first
//! showed something, to how many symptoms a value is put down, how long locks were watched. Must not know how a cause
//! is found, and no incident. Called by the engine and by `attribution`.
use super::cause::Cause;
use super::shared::Shared;
use super::{Alone, Attribution};
use crate::anomaly::{Component, Domain, PartOf, Scope, ScopeKind};
use crate::fleet::{DeviceIx, Fleet};
use crate::lock::Lock;
use crate::symptom::Symptom;
use std::collections::BTreeSet;

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

    /// Another battery, or another lock, has this id from now on: what was found of the one before says nothing of when
    /// this one began to show something. It still counts for what they share.
    pub(crate) fn anew(&mut self, device: DeviceIx, is_battery: bool) {
        let of = |symptom: Symptom| !is_battery || symptom.is_power();
        let before = self.recent.iter_mut().filter(|alone| alone.device == device && of(alone.symptom));
        before.for_each(|alone| alone.is_of_former = true);
        for (_, shared) in self.shared.iter_mut().filter(|(cause, _)| of(cause.symptom)) {
            shared.members.entry(device).and_modify(|member| member.is_of_former = true);
        }
    }

    /// On how many days locks were watched: one for each lock and day on which it had been heard within a week.
    pub(crate) fn lock_days(&self) -> u64 {
        self.lock_days + self.awake.iter().sum::<u64>()
    }

    /// When a lock first showed any symptom of this one's system: a cell that collapses shows it by its charge first
    /// and by its resistance weeks later.
    pub(super) fn first_ms(&self, symptom: Symptom, device: DeviceIx, at_ms: i64) -> i64 {
        let system = symptom.system();
        let is_of = |alone: &&Alone| alone.device == device && alone.symptom.system() == system && !alone.is_of_former;
        let alone = self.recent.iter().filter(is_of).map(|alone| alone.at_ms);
        let shared = self.shared.iter().filter(|(cause, _)| cause.symptom.system() == system);
        let part = shared.filter_map(|(_, shared)| shared.members.get(&device));
        let part = part.filter(|member| !member.is_of_former).map(|member| member.first_ms);
        alone.chain(part).fold(at_ms, i64::min)
    }

    /// To how many unlike symptoms the cause's value is put down.
    pub(super) fn unlike(&self, cause: Cause) -> usize {
        let same = |other: &&Cause| (other.kind, other.value, other.with) == (cause.kind, cause.value, cause.with);
        self.shared.keys().filter(same).map(|other| other.symptom.system()).collect::<BTreeSet<_>>().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::Anomaly;

    #[test]
    fn another_battery_begins_anew_by_its_power_and_another_lock_by_all() {
        let of = |symptom| Alone::new(symptom, DeviceIx(1), 10, 10, Anomaly::of_lock("A", 10));
        let mut told = Attribution { recent: vec![of(Symptom::Drain), of(Symptom::Effort)], ..Attribution::default() };
        let firsts =
            |told: &Attribution| [Symptom::Drain, Symptom::Effort].map(|of| told.first_ms(of, DeviceIx(1), 90));
        assert_eq!(firsts(&told), [10, 10]);
        told.anew(DeviceIx(2), false);
        assert_eq!(firsts(&told), [10, 10], "another lock's");
        told.anew(DeviceIx(1), true);
        assert_eq!(firsts(&told), [90, 10]);
        told.anew(DeviceIx(1), false);
        assert_eq!(firsts(&told), [90, 90]);
        assert_eq!(told.recent.len(), 2, "they count still for what locks share");
    }
}
