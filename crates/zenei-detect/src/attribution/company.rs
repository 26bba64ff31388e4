//! How long a finding waits for other locks with the same symptom before it is reported alone. Must not know causes.
//! Called by `attribution`.
use crate::lock::Lock;
use crate::symptom::Symptom;
use crate::time::{DAY_MS, HOUR_MS};
use zenei_wire::EngineTime;

/// How long a finding waits for similar findings on other locks. A guess: what a gateway or a client does shows on
/// several locks within hours.
const HOLD_MS: i64 = 6 * HOUR_MS;
/// How long it waits where its lock was updated lately. A guess: of a rollout's locks the third shows within a day of
/// the first.
const HOLD_UPDATED_MS: i64 = DAY_MS;
/// For so long after an update a finding waits for other locks. A guess: what a version does to all its locks shows on
/// the first of them within days.
const COMPANY_MS: i64 = 10 * DAY_MS;

/// How long a finding waits for other locks with the same symptom, ms; `None` where none is expected.
pub(super) fn expects_company(symptom: Symptom, lock: &Lock, now: EngineTime) -> Option<i64> {
    let updated = lock.updated_ms.is_some_and(|at_ms| now.ms() - at_ms < COMPANY_MS);
    match symptom {
        // A gateway's silence is found before that of its locks, and its losses are separated from a lock's; those of a
        // version are spread over days.
        Symptom::Silence | Symptom::Loss => None,
        Symptom::Memory | Symptom::Errors | Symptom::Part | Symptom::Clock | Symptom::Schema | Symptom::Stream => {
            Some(if updated { HOLD_UPDATED_MS } else { HOLD_MS })
        }
        Symptom::Resistance | Symptom::Drain | Symptom::Effort | Symptom::Shape | Symptom::Trouble => {
            updated.then_some(HOLD_UPDATED_MS)
        }
    }
}
