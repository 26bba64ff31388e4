//! The findings that a killed desk is fed with: a deterministic stream of anomalies of many faults, in batches of
//! random size. Must not know desks or targets. Called by the child, which takes them, and by the parent, which knows
//! from them what must be in the log.
use std::ops::Range;
use zenei_detect::{Anomaly, Findings};
use zenei_kit::{Dice, anomaly, scattered};

/// The largest batch is one less: small ones spend their time in the commit, large ones in deciding.
const BATCH_BELOW: u64 = 100;

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Feed {
    /// The time of the first anomaly, s since 1970; each later one comes a second after the one before.
    pub(super) base_s: i64,
    /// How many faults: a lock each.
    pub(super) faults: u64,
    /// How many anomalies; a multiple of the faults.
    pub(super) anomalies: u64,
}

impl Feed {
    /// The batches, by the numbers of their anomalies.
    pub(super) fn batches(&self) -> Vec<Range<u64>> {
        let mut dice = Dice(7);
        let mut batches = Vec::new();
        let mut from = 0;
        while from < self.anomalies {
            let to = (from + 1 + dice.below(BATCH_BELOW - 1)).min(self.anomalies);
            batches.push(from..to);
            from = to;
        }
        batches
    }

    /// The findings of these numbers.
    pub(super) fn findings(&self, numbers: Range<u64>) -> Findings {
        Findings { anomalies: numbers.map(|number| self.anomaly(number)).collect(), ..Findings::default() }
    }

    /// A new fault comes at even distances, so that incidents open all the time; what is between is about one of those
    /// that came before.
    fn anomaly(&self, number: u64) -> Anomaly {
        let each = self.anomalies / self.faults;
        let newest = number / each;
        let fault = if number.is_multiple_of(each) { newest } else { scattered(number) % (newest + 1) };
        let at_s = self.base_s + i64::try_from(number).expect("a number that fits");
        anomaly("motor-effort", &format!("BL{fault:07}"), at_s)
    }
}

#[test]
fn the_feed_has_each_fault_and_each_anomaly_once() {
    let feed = Feed { base_s: 1_780_272_000, faults: 50, anomalies: 1_000 };
    let all: Vec<Anomaly> = feed.batches().into_iter().flat_map(|batch| feed.findings(batch).anomalies).collect();
    let ids: std::collections::BTreeSet<_> = all.iter().map(|anomaly| anomaly.id).collect();
    let locks: std::collections::BTreeSet<_> = all.iter().map(|anomaly| anomaly.device_id.clone()).collect();
    assert_eq!((all.len(), ids.len(), locks.len()), (1_000, 1_000, 50));
}
