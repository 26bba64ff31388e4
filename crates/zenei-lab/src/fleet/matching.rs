//! Which true fault is an incident about? By scope and time, strictly: an incident that can't be about a fault is
//! false. Pure. Called by `measure`, `cards` and `backtest`.
//!
//! An incident is about a fault where
//! - it was opened between the fault's onset and its end, or within [`AFTER_END_MS`] of the end; and
//! - its scope is the fault's; or, of a fault that many locks share, it is about one of them, about a version whose one
//!   revision has it, or about another group of which more than half are among them, and it names the fault's domain or
//!   a part in which the fault shows. The last condition matters: a shared fault touches thousands of locks for months,
//!   and without it would excuse any other incident about them; or
//! - of a fault of one lock, its evidence is of this lock alone, whichever scope it names.
//!
//! `zenei demo` is stricter: there an incident that names another scope or domain is about no fault. Here scope and
//! domain are measured separately.
//!
//! An incident is about one fault at most: first the one whose scope it names, then the one whose domain it names, then
//! the one that began last.
use crate::opened::Opened;
use firmware_sim::Truth;
use std::cmp::Reverse;
use zenei_detect::{Component, ScopeKind};

/// How long after its end a fault may still be found: one day, the longest window at whose close detection decides. A
/// guess.
pub const AFTER_END_MS: i64 = 86_400_000;

/// One fault and the incidents about it, in order of opening.
#[derive(Clone, Debug)]
pub struct JudgedFault<'a> {
    /// The true fault.
    pub truth: &'a Truth,
    /// The incidents about it; the first one counts as its finding, the others only as incidents per cause.
    pub incidents: Vec<&'a Opened>,
}

/// Every incident, assigned to a fault or to none.
#[derive(Clone, Debug)]
pub struct Matched<'a> {
    /// One for each true fault, controls left out, in the order of the truth.
    pub cases: Vec<JudgedFault<'a>>,
    /// Incidents about no true fault: false ones.
    pub others: Vec<&'a Opened>,
}

impl<'a> Matched<'a> {
    /// Assigns the incidents; `incidents` in order of opening.
    pub fn of(truth: &'a [Truth], incidents: &'a [Opened]) -> Self {
        let faults = truth.iter().filter(|truth| !truth.control);
        let mut cases: Vec<JudgedFault<'a>> =
            faults.map(|truth| JudgedFault { truth, incidents: Vec::new() }).collect();
        let mut others = Vec::new();
        for incident in incidents {
            let fits = cases.iter_mut().filter_map(|case| Some((fit(case.truth, incident)?, case)));
            match fits.min_by_key(|(fit, _)| *fit) {
                Some((_, case)) => case.incidents.push(incident),
                None => others.push(incident),
            }
        }
        Self { cases, others }
    }
}

impl JudgedFault<'_> {
    /// When it was found.
    pub fn opened_ms(&self) -> Option<i64> {
        self.incidents.first().map(|incident| incident.at_ms)
    }

    /// Whether the first incident names the fault's domain.
    pub fn is_domain_right(&self) -> bool {
        self.incidents.first().is_some_and(|incident| names_domain(self.truth, incident))
    }

    /// Whether the first incident names the fault's scope.
    pub fn is_scope_right(&self) -> bool {
        self.incidents.first().is_some_and(|incident| names_scope(self.truth, incident))
    }

    /// Whether the first incident names the fault's part.
    pub fn is_component_right(&self) -> bool {
        let named = self.incidents.first().map(|incident| incident.component.as_str());
        named.is_some() && named == self.truth.component.as_deref()
    }
}

/// How well an incident fits a fault, smaller is better; `None` where it can't be about it.
fn fit(truth: &Truth, incident: &Opened) -> Option<(bool, bool, Reverse<i64>)> {
    let is_in_time = incident.at_ms >= truth.onset_ms && incident.at_ms <= truth.end_ms.saturating_add(AFTER_END_MS);
    let is_about = names_scope(truth, incident)
        || if truth.scope.kind == "device" { is_of_this_lock(truth, incident) } else { is_part(truth, incident) };
    (is_in_time && is_about)
        .then(|| (!names_scope(truth, incident), !names_domain(truth, incident), Reverse(truth.onset_ms)))
}

fn names_scope(truth: &Truth, incident: &Opened) -> bool {
    truth.is_scope(incident.scope.kind.as_str(), &incident.scope.value)
}

fn names_domain(truth: &Truth, incident: &Opened) -> bool {
    truth.is_domain(incident.domain.as_str())
}

fn is_of_this_lock(truth: &Truth, incident: &Opened) -> bool {
    !incident.devices.is_empty() && incident.devices.iter().all(|device| *device == truth.scope.value)
}

fn is_part(truth: &Truth, incident: &Opened) -> bool {
    let among = |device: &String| truth.devices.binary_search(device).is_ok();
    let is_inside = if incident.scope.kind == ScopeKind::Device {
        among(&incident.scope.value)
    } else if incident.scope.kind == ScopeKind::Fw && truth.scope.kind == "fw_hw" {
        truth.scope.value.strip_prefix(&incident.scope.value).is_some_and(|rest| rest.starts_with('+'))
    } else {
        2 * incident.devices.iter().filter(|device| among(device)).count() > incident.devices.len()
    };
    is_inside && (names_domain(truth, incident) || shows_in(&truth.family).contains(&incident.component))
}

/// The parts in which a shared fault shows beside those of its own domain: a version that drains shows in the battery,
/// one that restarts or leaks in the boards.
fn shows_in(family: &str) -> &'static [Component] {
    match family {
        "F1" => &[Component::Battery, Component::BatteryBox, Component::PowerBoard],
        "F2" | "F4" => &[Component::PowerBoard, Component::CommBoard],
        _ => &[],
    }
}

#[cfg(test)]
#[path = "matching_tests.rs"]
mod tests;
