//! Which steps of a delivery are done, while the process lives: the next attempt goes on from there. Nothing depends on
//! it: each step may be repeated, and after a restart all are. Must not know what a step is. Called by the connector.
use super::delivery::Delivery;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zenei_wire::Id;

/// How many incidents it remembers; one more forgets all, which costs repeated steps. A guess: one delivery of a target
/// is in flight at a time, so that only given-up ones pile up.
const INCIDENTS_MAX: usize = 1_000;

/// The steps of each incident's delivery.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<BTreeMap<Id, Steps>>);

/// The number of the event that a delivery is about, and what each of its steps gave.
type Steps = (u32, BTreeMap<String, String>);

impl Progress {
    /// What a step of this delivery gave.
    pub(super) fn of(&self, delivery: &Delivery<'_>, step: &str) -> Option<String> {
        let all = self.lock();
        let (seq, steps) = all.get(&delivery.incident.id)?;
        (*seq == delivery.event.seq).then(|| steps.get(step).cloned()).flatten()
    }

    /// A step is done. Those of another delivery of the incident are forgotten: its order is strict.
    pub(super) fn note(&self, delivery: &Delivery<'_>, step: &str, result: &str) {
        let mut all = self.lock();
        if all.len() >= INCIDENTS_MAX && !all.contains_key(&delivery.incident.id) {
            all.clear();
        }
        let seq = delivery.event.seq;
        let (of, steps) = all.entry(delivery.incident.id).or_default();
        if *of != seq {
            (*of, *steps) = (seq, BTreeMap::new());
        }
        steps.insert(step.to_owned(), result.to_owned());
    }

    /// How many steps are done.
    pub(super) fn count(&self, incident: Id) -> usize {
        self.lock().get(&incident).map_or(0, |(_, steps)| steps.len())
    }

    /// The delivery has ended.
    pub(super) fn end(&self, incident: Id) {
        self.lock().remove(&incident);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Id, Steps>> {
        // Each value is whole after each call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
