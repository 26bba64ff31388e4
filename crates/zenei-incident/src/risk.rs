//! Which customers are at risk of leaving (解約リスク): the heat of the urgent incidents at each customer's doors over 30
//! and 90 days. Pure arithmetic over the log's incidents and the registry's lines; must not know where either is.
//! Called by the command `customers`. Customers' inquiries are no part of it.
//!
//! Both windows are those that the field looks at; the weights and the limit are guesses.
use crate::incident::Incident;
use crate::kinds::Verdict;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use zenei_detect::Urgency;
use zenei_wire::{EngineTime, Id};

/// The windows, days before now.
pub const WINDOWS_DAYS: [u32; 2] = [30, 90];

/// What an incident of urgency `highest` weighs; one of `high` weighs 1, others nothing. A guess.
pub const HIGHEST_WEIGHS: u32 = 3;

/// From this heat over 30 days on a customer counts as at risk: one incident of urgency `highest`, or three of `high`.
/// A guess.
pub const AT_RISK_FROM: u32 = 3;

/// The rule of incidents about zenei itself, such as a target that can't be told: they are at nobody's door.
pub const OWN_RULE: &str = "zenei-delivery";

const DAY_MS: i64 = 24 * 3_600_000;

/// Where a lock is, and whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    /// The customer; empty if the registry does not say.
    pub customer: String,
    /// The site; empty if the registry does not say.
    pub site: String,
    /// The door; empty if the registry does not say.
    pub door: String,
}

/// The urgent incidents of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Heat {
    /// Those of urgency `highest` (最高).
    pub highest: u32,
    /// Those of urgency `high` (高).
    pub high: u32,
    /// Their weight: [`HIGHEST_WEIGHS`] times the first and the second.
    pub heat: u32,
}

/// A door of a customer, with the incidents that concern it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Door {
    /// The lock.
    pub device: String,
    /// Its site, as the registry says.
    pub site: String,
    /// The door, as the registry says.
    pub door: String,
    /// The incidents.
    pub incidents: BTreeSet<Id>,
}

/// A customer with urgent incidents within the longest window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Customer {
    /// The customer, as the registry says.
    pub customer: String,
    /// Whether the heat over 30 days is at least [`AT_RISK_FROM`].
    pub at_risk: bool,
    /// Over 30 days.
    pub days_30: Heat,
    /// Over 90 days.
    pub days_90: Heat,
    /// How many of the incidents are still open.
    pub open: u32,
    /// The doors concerned, by lock.
    pub doors: Vec<Door>,
}

/// The customers, and what could not be counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customers {
    /// The hottest over 30 days first, then over 90, then by name.
    pub customers: Vec<Customer>,
    /// How many urgent incidents were counted.
    pub incidents: usize,
    /// Locks with urgent incidents whose customer is unknown.
    pub unknown: BTreeSet<String>,
}

/// One fault, whatever number of incidents were about it.
#[derive(Default)]
struct Fault<'a> {
    urgency: Option<Urgency>,
    /// When the first of its incidents was opened.
    opened: Option<EngineTime>,
    is_open: bool,
    locks: BTreeMap<&'a str, EngineTime>,
}

impl Customer {
    /// The heat over so many days, one of [`WINDOWS_DAYS`].
    pub const fn over(&self, days: u32) -> Heat {
        if days <= WINDOWS_DAYS[0] { self.days_30 } else { self.days_90 }
    }
}

/// The customers at whose doors there were urgent incidents. `owned` gives whose a lock was at a time.
///
/// An incident counts from its opening, by its present urgency, once for each customer with a lock among its evidence.
/// A false positive does not count, nor an incident about zenei itself; what was merged, or judged a duplicate, counts
/// as one with the other.
pub fn customers<'a>(
    incidents: impl Iterator<Item = &'a Incident>,
    owned: impl Fn(&str, EngineTime) -> Option<Owned>,
    now: EngineTime,
) -> Customers {
    let faults = faults(incidents, now);
    let mut found = Customers { incidents: faults.len(), ..Customers::default() };
    let mut all: BTreeMap<String, (Customer, BTreeMap<&str, Door>)> = BTreeMap::new();
    for (id, fault) in &faults {
        let mut counted = BTreeSet::new();
        for (lock, at) in &fault.locks {
            let Some(place) = owned(lock, *at).filter(|place| !place.customer.is_empty()) else {
                found.unknown.insert((*lock).to_owned());
                continue;
            };
            let (customer, doors) = all.entry(place.customer.clone()).or_default();
            if counted.insert(place.customer.clone()) {
                customer.count(fault, now);
            }
            let door = doors.entry(lock).or_default();
            (door.device, door.site, door.door) = ((*lock).to_owned(), place.site, place.door);
            door.incidents.insert(*id);
        }
    }
    found.customers = all.into_iter().map(|(name, (customer, doors))| customer.finished(name, doors)).collect();
    // Stable: of equal heat by name.
    found.customers.sort_by_key(|one| std::cmp::Reverse((one.days_30.heat, one.days_90.heat)));
    found
}

impl Customer {
    fn count(&mut self, fault: &Fault<'_>, now: EngineTime) {
        self.open += u32::from(fault.is_open);
        let age_ms = fault.opened.map_or(i64::MAX, |opened| now.ms().saturating_sub(opened.ms()));
        for (days, heat) in WINDOWS_DAYS.into_iter().zip([&mut self.days_30, &mut self.days_90]) {
            if age_ms > i64::from(days) * DAY_MS {
                continue;
            }
            match fault.urgency {
                Some(Urgency::Highest) => heat.highest += 1,
                Some(Urgency::High) => heat.high += 1,
                Some(Urgency::Medium | Urgency::Low) | None => {}
            }
            heat.heat = heat.highest * HIGHEST_WEIGHS + heat.high;
        }
    }

    fn finished(self, customer: String, doors: BTreeMap<&str, Door>) -> Self {
        let at_risk = self.days_30.heat >= AT_RISK_FROM;
        Self { customer, at_risk, doors: doors.into_values().collect(), ..self }
    }
}

/// The urgent faults of the longest window, by the incident that stands for each.
fn faults<'a>(incidents: impl Iterator<Item = &'a Incident>, now: EngineTime) -> BTreeMap<Id, Fault<'a>> {
    let all: BTreeMap<Id, &Incident> = incidents.map(|incident| (incident.id, incident)).collect();
    let mut faults: BTreeMap<Id, Fault<'_>> = BTreeMap::new();
    let counts = |incident: &&&Incident| incident.verdict != Some(Verdict::FalsePositive) && incident.rule != OWN_RULE;
    for incident in all.values().filter(counts) {
        let root = root(incident, &all);
        if all.get(&root).is_some_and(|root| root.verdict == Some(Verdict::FalsePositive)) {
            continue;
        }
        let fault = faults.entry(root).or_default();
        fault.urgency = fault.urgency.max(Some(incident.urgency));
        fault.opened = Some(fault.opened.map_or(incident.opened, |opened| opened.min(incident.opened)));
        fault.is_open |= incident.is_open();
        for lock in &incident.devices {
            let first = fault.locks.entry(lock).or_insert(incident.opened);
            *first = (*first).min(incident.opened);
        }
    }
    let [.., longest] = WINDOWS_DAYS;
    let is_recent =
        |opened: EngineTime| now.ms().saturating_sub(opened.ms()) <= i64::from(longest) * DAY_MS && opened <= now;
    faults.retain(|_, fault| fault.urgency >= Some(Urgency::High) && fault.opened.is_some_and(is_recent));
    faults
}

/// The incident that stands for this one: itself, or the one that it was merged into or is a duplicate of.
fn root(incident: &Incident, all: &BTreeMap<Id, &Incident>) -> Id {
    let (mut at, mut seen) = (incident.id, BTreeSet::new());
    // People may have judged two incidents duplicates of each other: then the first by id stands for both.
    while seen.insert(at) {
        let duplicate = |incident: &&Incident| match incident.verdict {
            Some(Verdict::DuplicateOf(other)) => Some(other),
            Some(Verdict::True | Verdict::FalsePositive) | None => None,
        };
        let next = all.get(&at).and_then(|incident| incident.merged_into.or_else(|| duplicate(incident)));
        match next.filter(|next| all.contains_key(next)) {
            Some(next) => at = next,
            None => return at,
        }
    }
    seen.into_iter().next().unwrap_or(at)
}

#[cfg(test)]
#[path = "risk_tests.rs"]
mod tests;
