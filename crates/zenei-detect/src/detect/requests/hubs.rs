//! Gateways that tell of far more failed calls to their service than they usually do, hour by hour. Must not know
//! locks' requests. Called by `requests`.
use super::super::running::Window;
use crate::fleet::{DeviceIx, Sym};
use crate::lock::RecordRef;
use crate::time::DAY_MS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_wire::GatewayReport;

/// Reports that a gateway's usual count is learned from before it is judged. A guess: a day of hourly reports.
const LEARNED: f32 = 24.0;
/// Weight of a new report in the usual count.
const SHARE: f32 = 0.02;
/// Standard deviations (of a Poisson count, at least of a quarter) beyond the usual that make an hour bad. A guess.
const SIGMAS: f32 = 6.0;
/// Imagined gateway-hours, and bad ones among them: one in five hundred. A guess that the fleet replaces.
const PRIOR: (f64, f64) = (500.0, 1.0);
/// The share of a gateway's locks that one service must have for its calls to be the service's. A guess.
const MAIN: f64 = 0.8;

/// All gateways.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Hubs {
    hubs: BTreeMap<DeviceIx, Hub>,
    hours: f64,
    bad: f64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Hub {
    usual: f32,
    reports: f32,
    /// The service of most of its locks.
    service: Sym,
    /// This hour: whether it spoke, and the report that was far beyond the usual.
    spoke: bool,
    bad: Option<RecordRef>,
}

impl Hubs {
    /// Takes a gateway's report about itself.
    pub(super) fn take(&mut self, device: DeviceIx, report: &GatewayReport<'_>, record: RecordRef) {
        let Some(errors) = report.api_errors else { return };
        let hub = self.hubs.entry(device).or_default();
        let errors = errors as f32;
        let high = hub.usual + SIGMAS * libm::sqrtf(hub.usual + 0.25);
        let is_learned = hub.reports >= LEARNED;
        hub.spoke |= is_learned;
        if is_learned && errors > high {
            hub.bad = Some(record);
        }
        hub.reports += 1.0;
        // One report moves the usual count no further than the border.
        let weight = SHARE.max(hub.reports.recip());
        hub.usual += weight * (if is_learned { errors.min(high) } else { errors } - hub.usual);
    }

    /// For a service: gateways that had a bad hour, with the reports, and how many were expected to have one.
    pub(super) fn of(&self, service: Sym) -> (Vec<(DeviceIx, RecordRef)>, f64) {
        let mine = || self.hubs.iter().filter(|(_, hub)| hub.service == service && hub.spoke);
        let bad = mine().filter_map(|(&device, hub)| Some((device, hub.bad?))).collect();
        let chance = (self.bad + PRIOR.1) / (self.hours + PRIOR.0);
        (bad, mine().count() as f64 * chance)
    }

    /// The services that gateways have.
    pub(super) fn services(&self) -> Vec<Sym> {
        let mut all: Vec<Sym> = self.hubs.values().map(|hub| hub.service).filter(|of| *of != Sym::NONE).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Counts the hour as normal, if it belongs to no finding, and begins the next.
    pub(super) fn next_hour(&mut self) {
        for hub in self.hubs.values_mut() {
            self.hours += f64::from(u8::from(hub.spoke));
            self.bad += f64::from(u8::from(core::mem::take(&mut hub.bad).is_some() && hub.spoke));
            hub.spoke = false;
        }
    }

    /// Learns which service most locks of each gateway have.
    pub(super) fn place(&mut self, window: Window<'_>) {
        let mut locks: BTreeMap<Sym, BTreeMap<Sym, f64>> = BTreeMap::new();
        for lock in window.locks.iter().filter(|lock| window.now.ms() - lock.heard_ms < 7 * DAY_MS) {
            *locks.entry(lock.labels.gw).or_default().entry(lock.labels.service).or_default() += 1.0;
        }
        for (&device, hub) in &mut self.hubs {
            let of = window.fleet.find_word(window.fleet.device_id(device)).and_then(|gw| locks.get(&gw));
            let Some(services) = of else { continue };
            let all: f64 = services.values().sum();
            let main = services.iter().find(|(_, count)| **count >= MAIN * all);
            hub.service = main.map_or(Sym::NONE, |(&service, _)| service);
        }
    }
}
