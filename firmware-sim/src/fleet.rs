//! All locks and gateways of a run in one queue of next actions: emits messages in order of time, independent of the
//! size of the steps. Called by the binary, the demo, the lab, the benches and tests.
use crate::carriage::{Carriage, Mail};
use crate::gateway::Gateway;
use crate::identity::{self, Identity, Kinds};
use crate::lock::Lock;
use crate::message::{Message, Outbox};
use crate::scenario::{Scenario, ScenarioError};
use crate::truth::{self, Truth};
use crate::world::World;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A simulated fleet.
#[derive(Debug)]
pub struct Fleet {
    world: World,
    identities: Vec<Identity>,
    kinds: Vec<Kinds>,
    locks: Vec<Lock>,
    gateways: Vec<Gateway>,
    /// For each lock its gateway, and the last interval of the gateway in which it was received; empty without reports.
    heard: Vec<(usize, u32)>,
    /// How each lock's messages are carried, and those on their way; empty without a field.
    carriages: Vec<Carriage>,
    mail: Mail,
    /// When each lock acts next, then each gateway; of equal times the lower number comes first.
    queue: BinaryHeap<Reverse<(i64, u32)>>,
}

impl Fleet {
    /// A fleet at the start of its run. The same scenario and seed give the same messages, byte for byte.
    ///
    /// # Errors
    /// Where the scenario refers to a name that does not exist, or has a number out of range.
    pub fn new(scenario: &Scenario, seed: u64) -> Result<Self, ScenarioError> {
        let world = World::new(scenario, seed)?;
        let (identities, kinds): (Vec<_>, Vec<_>) =
            (0..scenario.locks).map(|number| identity::draw(scenario, seed, number)).unzip();
        let locks: Vec<Lock> =
            kinds.iter().enumerate().map(|(number, &kinds)| Lock::new(&world, number, kinds, None)).collect();
        let gateways = Gateway::all(&world);
        let before = |site: usize| scenario.site[..site].iter().map(|site| site.gateways).sum::<usize>();
        let heard = match gateways.is_empty() {
            true => Vec::new(),
            false => kinds.iter().map(|kinds| (before(kinds.site) + kinds.gateway, 0)).collect(),
        };
        let next = locks.iter().map(Lock::next_ms).chain(gateways.iter().map(Gateway::next_ms));
        let queue = next.zip(0..).map(|(at_ms, number)| Reverse((at_ms, number))).collect();
        let carriages = match &scenario.field {
            None => Vec::new(),
            Some(_) => kinds.iter().map(|kinds| Carriage::of(scenario, seed, kinds)).collect(),
        };
        Ok(Self { carriages, mail: Mail::default(), world, identities, kinds, locks, gateways, heard, queue })
    }

    /// Start of the run, ms since 1970: local midnight of the scenario's first day.
    pub fn start_ms(&self) -> i64 {
        self.world.start_ms
    }

    /// End of the run, ms since 1970.
    pub fn end_ms(&self) -> i64 {
        self.world.end_ms
    }

    /// Every lock, by its number.
    pub fn locks(&self) -> &[Identity] {
        &self.identities
    }

    /// Adds every message sent after the last call's time and up to `to_ms`, in order of `at_ms`; nothing is sent after
    /// [`Fleet::end_ms`].
    pub fn advance(&mut self, to_ms: i64, out: &mut Vec<Message>) {
        let to_ms = to_ms.min(self.world.end_ms);
        while let Some(mut next) = self.queue.peek_mut() {
            let Reverse((at_ms, number)) = *next;
            if at_ms > to_ms {
                break;
            }
            self.mail.deliver(at_ms, out);
            let (place, before) = (number as usize, out.len());
            let Some(lock) = self.locks.get_mut(place) else {
                let gateway = &mut self.gateways[place - self.locks.len()];
                gateway.step(&self.world, out);
                *next = Reverse((gateway.next_ms(), number));
                continue;
            };
            lock.step(&self.world, &self.identities[place], &mut Outbox(out));
            *next = Reverse((lock.next_ms(), number));
            let is_heard = out.len() > before && !self.kinds[place].phone;
            if let Some((gateway, last)) = self.heard.get_mut(place).filter(|_| is_heard) {
                self.gateways[*gateway].hear(last);
            }
            if let Some(carriage) = self.carriages.get(place) {
                self.mail.post(carriage, self.world.seed, before, out);
            }
        }
        self.mail.deliver(to_ms, out);
    }

    /// The true faults and their times: one entry for each seeded fault and control that begins within the run. The
    /// affected locks are simulated anew from the start, once or twice each, so it may be called at any time, and costs
    /// time.
    pub fn truth(&self) -> Vec<Truth> {
        truth::of(&self.world, &self.identities, &self.kinds)
    }

    /// The asset registry: CSV with a header (telemetry contract, "Asset registry").
    pub fn registry_csv(&self) -> String {
        identity::registry_csv(self.identities.iter())
    }
}

#[cfg(test)]
mod families;
#[cfg(test)]
mod tests;
