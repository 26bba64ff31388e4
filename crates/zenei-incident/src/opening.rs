//! Decides whether a finding may open an incident: one condition per urgency. It looks at one finding alone and stores
//! no state that a restart could lose; the rule itself confirms over time, in the engine. Must not know incidents.
//! Called by the casebook.
//!
//! The defaults are ours, and guesses: findings of the highest and of low urgency open at the first evidence (low ones
//! go into a digest); the others need a second record, a second lock, or an observation that lasted.
use crate::wording::count;
use std::collections::BTreeSet;
use zenei_detect::{Anomaly, Urgency};

/// The condition that confirms a finding; any one of its minimums is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// So many records behind it.
    pub records_min: usize,
    /// So many locks behind it.
    pub locks_min: usize,
    /// Observed for so long: the rule's window, or from the first to the last record, ms.
    pub observed_ms_min: i64,
}

/// One condition per urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// For the lowest urgency.
    pub low: Condition,
    /// For medium.
    pub medium: Condition,
    /// For high.
    pub high: Condition,
    /// For the highest.
    pub highest: Condition,
}

impl Default for Opening {
    fn default() -> Self {
        let at_once = Condition { records_min: 1, locks_min: 1, observed_ms_min: 0 };
        // Two heartbeats of the lock with the shortest interval (15 min, telemetry contract).
        let high = Condition { records_min: 2, locks_min: 2, observed_ms_min: 30 * 60_000 };
        // A day, or as many records as can't be one bad reading and its echo.
        let medium = Condition { records_min: 3, locks_min: 2, observed_ms_min: 24 * 3_600_000 };
        Self { low: at_once, medium, high, highest: at_once }
    }
}

impl Opening {
    /// The condition of this urgency.
    pub fn condition(&self, urgency: Urgency) -> Condition {
        match urgency {
            Urgency::Low => self.low,
            Urgency::Medium => self.medium,
            Urgency::High => self.high,
            Urgency::Highest => self.highest,
        }
    }

    /// Whether the finding is confirmed for this urgency.
    ///
    /// # Errors
    /// What was observed and what is required, for people.
    pub fn check(&self, anomaly: &Anomaly, urgency: Urgency) -> Result<(), String> {
        let wanted = self.condition(urgency);
        let records = anomaly.evidence.len();
        let locks = anomaly.evidence.iter().map(|record| &record.device_id).collect::<BTreeSet<_>>().len();
        let observed_ms = anomaly.window_ms.max(span_ms(anomaly));
        let is_met =
            records >= wanted.records_min || locks >= wanted.locks_min || observed_ms >= wanted.observed_ms_min;
        if is_met && records > 0 {
            return Ok(());
        }
        Err(format!(
            "not confirmed for urgency {urgency}: {} of {} over {observed_ms} ms; wanted are {} or {} or {} ms",
            count(records, "record"),
            count(locks, "lock"),
            count(wanted.records_min, "record"),
            count(wanted.locks_min, "lock"),
            wanted.observed_ms_min,
        ))
    }
}

fn span_ms(anomaly: &Anomaly) -> i64 {
    let times = || anomaly.evidence.iter().map(|record| record.ts_ms);
    match (times().min(), times().max()) {
        (Some(first), Some(last)) => last.saturating_sub(first),
        (None, _) | (_, None) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_kit::anomaly;

    fn check(urgency: Urgency, records: usize, window_ms: i64, expected: Result<(), &str>) {
        let mut finding = anomaly("motor_effort", "A", 5);
        let first = finding.evidence[0].clone();
        finding.evidence = vec![first; records];
        finding.window_ms = window_ms;
        assert_eq!(Opening::default().check(&finding, urgency), expected.map_err(str::to_owned));
    }

    #[test]
    fn each_urgency_opens_by_its_own_condition() {
        check(Urgency::Highest, 1, 0, Ok(()));
        check(Urgency::Low, 1, 0, Ok(()));
        check(Urgency::High, 2, 0, Ok(()));
        check(Urgency::High, 1, 1_800_000, Ok(()));
        check(Urgency::Medium, 1, 86_400_000, Ok(()));
        check(
            Urgency::High,
            1,
            60_000,
            Err(
                "not confirmed for urgency high: 1 record of 1 lock over 60000 ms; wanted are 2 records or 2 locks or 1800000 ms",
            ),
        );
    }

    #[test]
    fn a_finding_without_a_record_never_opens() {
        for &urgency in Urgency::ALL {
            let mut finding = anomaly("motor_effort", "A", 5);
            finding.evidence.clear();
            assert!(Opening::default().check(&finding, urgency).is_err());
        }
    }
}
