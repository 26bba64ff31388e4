//! How long a finding waits for other locks with the same symptom before it is reported alone. Must not know causes.
//! Called by `attribution`.
use crate::anomaly::Anomaly;
use crate::lock::Lock;
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS};

/// How long a finding waits for similar findings on other locks. A guess: what a gateway or a client does shows on
/// several locks within hours.
const HOLD_MS: i64 = 6 * HOUR_MS;
/// How long it waits where its lock was updated lately. A guess: of a rollout's locks the third shows within a day of
/// the first.
const HOLD_UPDATED_MS: i64 = DAY_MS;
/// For so long after an update a finding waits for other locks. A guess: what a version does to all its locks shows on
/// the first of them within days.
const COMPANY_MS: i64 = 10 * DAY_MS;
/// What a version does to a motor, it does from its first operations on; what begins later after the update is the
/// door's. Two days of use. A guess.
const AT_ONCE_MS: i64 = 2 * DAY_MS;

/// How long a finding waits for other locks with the same symptom, ms; `None` where none is expected.
pub(super) fn expects_company(symptom: Symptom, lock: &Lock, anomaly: &Anomaly) -> Option<i64> {
    let at_ms = anomaly.at.ms();
    let updated = lock.updated_ms.is_some_and(|updated_ms| at_ms - updated_ms < COMPANY_MS);
    let began_with_it = lock.updated_ms.is_some_and(|updated_ms| at_ms - anomaly.window_ms - updated_ms < AT_ONCE_MS);
    match symptom {
        // A gateway's silence is found before that of its locks, and its losses are separated from a lock's; those of a
        // version are spread over days.
        Symptom::Silence | Symptom::Loss => None,
        Symptom::Memory
        | Symptom::Errors
        | Symptom::Part
        | Symptom::Clock
        | Symptom::Schema
        | Symptom::Stream
        | Symptom::Requests => Some(if updated { HOLD_UPDATED_MS } else { HOLD_MS }),
        Symptom::Drain => (updated && (began_with_it || anomaly.window_ms > DAY_MS)).then_some(HOLD_UPDATED_MS),
        Symptom::Resistance | Symptom::Effort | Symptom::Shape | Symptom::Trouble => {
            (updated && began_with_it).then_some(HOLD_UPDATED_MS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_door_does_days_after_an_update_waits_for_no_other_lock() {
        let mut updated = Lock::default();
        updated.updated_ms = Some(10 * DAY_MS);
        let waits = |symptom, since_ms: i64| {
            let anomaly = Anomaly { window_ms: 15 * DAY_MS - since_ms, ..Anomaly::of_lock("L1", 15 * DAY_MS) };
            expects_company(symptom, &updated, &anomaly)
        };
        assert_eq!(waits(Symptom::Trouble, 14 * DAY_MS), None);
        assert_eq!(waits(Symptom::Trouble, 11 * DAY_MS), Some(HOLD_UPDATED_MS), "it began with the update");
        assert_eq!(waits(Symptom::Drain, 13 * DAY_MS), Some(HOLD_UPDATED_MS), "a version drains slowly");
        assert_eq!(waits(Symptom::Drain, 14 * DAY_MS + 1), None, "a cell collapses within a day");
    }
}
