//! What is known of one client or service while its requests fail. Must not know a rule. Called by `requests` and
//! `judge`.
use super::count::{Cell, Count};
use crate::estimate::surge::Surge;
use crate::fleet::{DeviceIx, Sym};
use crate::lock::RecordRef;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The share of the limit that must remain without the gateway, or the firmware version, of the largest excess. A
/// guess.
const ROBUST_SHARE: f64 = 0.3;

/// A client or a service since its requests began to fail.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Watch {
    pub(super) requests: Surge,
    pub(super) calls: Surge,
    pub(super) since_ms: i64,
    pub(super) count: Count,
    pub(super) locks: BTreeMap<DeviceIx, RecordRef>,
    pub(super) gateways: BTreeMap<Sym, Count>,
    pub(super) versions: BTreeMap<Sym, Count>,
    pub(super) hubs: BTreeMap<DeviceIx, RecordRef>,
    pub(super) alarm_ms: Option<i64>,
    pub(super) noted: bool,
}

impl Watch {
    pub(super) fn evidence(&self) -> f64 {
        self.requests.evidence() + self.calls.evidence()
    }

    /// Adds an hour's requests and bad gateways; a share `least` beyond what is expected speaks for nothing, and no sum
    /// grows beyond `most`.
    pub(super) fn add(
        &mut self,
        parts: &[(Cell, Count)],
        (bad, usual): (Vec<(DeviceIx, RecordRef)>, f64),
        (least, most): (f64, f64),
    ) {
        let mut hour = Count::default();
        for (cell, count) in parts {
            hour.add(count);
            self.gateways.entry(cell.gw).or_default().add(count);
            self.versions.entry(cell.fw).or_default().add(count);
        }
        self.count.add(&hour);
        self.requests.add(hour.failed, hour.allowed(least), most);
        self.calls.add(bad.len() as f64, usual, most);
        self.hubs.extend(bad);
    }

    pub(super) fn is_over(&self) -> bool {
        self.requests.is_over() && self.calls.is_over()
    }

    /// Whether it shows without the gateway of the largest excess, and without the firmware version, where there are
    /// several.
    pub(super) fn is_wide(&self, least: f64, limit: f64) -> bool {
        let rest = |parts: &BTreeMap<Sym, Count>| {
            let excess = |count: &Count| count.failed - count.allowed(least);
            let most = parts.values().copied().max_by(|a, b| excess(a).total_cmp(&excess(b))).unwrap_or_default();
            let allowed = self.count.allowed(least) - most.allowed(least);
            evidence(self.count.failed - most.failed, allowed) >= ROBUST_SHARE * limit
        };
        self.hubs.len() >= 2 || (rest(&self.gateways) && (self.versions.len() < 2 || rest(&self.versions)))
    }
}

/// Logarithm of the likelihood ratio of the rate that fits best; 0 where events are no more than expected.
fn evidence(events: f64, expected: f64) -> f64 {
    if events <= expected { 0.0 } else { events * libm::log(events / expected.max(1e-9)) - (events - expected) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The evidence of so many hours of 200 requests, of which one in a thousand was expected to fail and this share
    /// does.
    fn evidence_of(share: f64, hours: u32, least: f64) -> f64 {
        let cell = Cell { service: Sym(1), client: Sym(2), fw: Sym(3), gw: Sym(4) };
        let count = Count { requests: 200.0, failed: 200.0 * share, expected: 0.2 };
        let mut watch = Watch::default();
        (0..hours).for_each(|_| watch.add(&[(cell, count)], (Vec::new(), 1.0), (least, 100.0)));
        watch.evidence()
    }

    #[test]
    fn a_share_of_failures_that_nobody_notices_is_no_evidence_however_long_it_lasts() {
        assert!(evidence_of(0.004, 2_000, 0.005) < 1.0);
        assert!(evidence_of(0.004, 2_000, 0.0) > 14.0, "without the least excess it would be a finding");
        assert!(evidence_of(0.05, 24, 0.005) > 14.0, "five more of a hundred are found within a day");
    }
}
