//! Where a rule on trial may open incidents: a share of the scopes (locks, versions, …), or some sites. The same scopes
//! are chosen at every time and for every rule, so that people know who takes part in trials. Must not know a detector.
//! Called by `rules`, which admits findings.
use crate::anomaly::Anomaly;
use zenei_wire::Id;

/// Part of the hash that chooses the scopes; another value would choose others.
const VERSION: &str = "zenei-canary-1";

/// Which part of the fleet a canary rule may open incidents for.
#[derive(Clone, Debug, PartialEq)]
pub enum Canary {
    /// This share of the scopes, 0 to 1, by a hash of the scope's value: of a finding about one lock its device id, of
    /// one about a version the version.
    Share(f64),
    /// These sites: of a finding about more than one lock, every lock of its evidence must be there.
    Sites(Vec<String>),
}

impl Canary {
    /// Whether the finding is in that part. `site_of` gives a lock's site.
    pub(crate) fn takes<'f>(&self, anomaly: &Anomaly, site_of: impl Fn(&str) -> Option<&'f str>) -> bool {
        match self {
            Self::Share(share) => place(&anomaly.scope.value) < *share,
            Self::Sites(sites) => {
                let is_there = |lock: &str| site_of(lock).is_some_and(|site| sites.iter().any(|known| known == site));
                !anomaly.evidence.is_empty() && anomaly.evidence.iter().all(|record| is_there(&record.device_id))
            }
        }
    }
}

/// The number of a name, from 0 to below 1; it never changes.
fn place(name: &str) -> f64 {
    // The highest 53 bits are what a float holds exactly.
    let high = (Id::of(&[VERSION.as_bytes(), name.as_bytes()]).0 >> 75) as u64;
    high as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_its_part_of_the_locks_and_a_larger_share_keeps_those() {
        let names: Vec<String> = (0..10_000).map(|lock| format!("BL{lock:07}")).collect();
        let in_share = |share: f64| names.iter().filter(|name| place(name) < share).count();
        // Four standard deviations of a binomial count around a tenth of 10,000 are 120.
        assert!((880..=1_120).contains(&in_share(0.1)), "{}", in_share(0.1));
        assert_eq!((in_share(0.0), in_share(1.0)), (0, 10_000));
        assert!(names.iter().filter(|name| place(name) < 0.1).all(|name| place(name) < 0.2));
    }

    #[test]
    fn a_name_keeps_its_place() {
        // Frozen: another place would move a trial to other locks.
        assert_eq!(format!("{:.6} {:.6}", place("BL0000123"), place("3.2.1")), "0.604027 0.807850");
    }
}
