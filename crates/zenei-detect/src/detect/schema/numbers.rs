//! Whether a lock numbers its records as the contract says: on how many days records came under numbers that were used
//! before, behind the newest ones, far beyond them, or from a start that nobody announced. Once is a power cut or a new
//! board; again and again, the lock keeps no counters, or two locks send under one id. Must not know heartbeats. Called
//! by `schema`.
use crate::detect::report::{REPEAT_MS, Seen, is_due};
use crate::detect::trail::Trail;
use crate::lock::RecordRef;
use crate::time::{DAY_MS, HOUR_MS};
use serde::{Deserialize, Serialize};
use zenei_wire::EngineTime;

/// On so many days within so long it is again and again. A guess: batteries are replaced once in some months, and what
/// happens within a day has one cause.
const DAYS: usize = 3;
const WITHIN_DAYS: i64 = 30;

/// The records whose numbers are not as expected.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Again {
    records: u32,
    on_days: u32,
    /// The newest of these days since 1970, ascending.
    newest: Vec<i64>,
    trail: Trail,
    last_ms: i64,
    told_ms: Option<i64>,
}

impl Again {
    /// Takes such a record.
    pub(super) fn add(&mut self, record: RecordRef, now_ms: i64) {
        let day = now_ms.div_euclid(DAY_MS);
        if self.newest.last().is_some_and(|last| day - last > WITHIN_DAYS) {
            *self = Self::default();
        }
        if self.newest.last() != Some(&day) {
            self.newest.push(day);
            self.on_days = self.on_days.saturating_add(1);
        }
        if self.newest.len() > DAYS {
            self.newest.remove(0);
        }
        self.records = self.records.saturating_add(1);
        self.trail.add(record, now_ms);
        self.last_ms = now_ms;
    }

    /// What is to be told of it now, of a lock whose last record in order was heard at `heard_ms`.
    pub(super) fn judge(&mut self, now: EngineTime, heard_ms: i64) -> Option<(Seen<'static>, Vec<RecordRef>)> {
        let again = self.newest.len() == DAYS && self.newest[DAYS - 1] - self.newest[0] <= WITHIN_DAYS;
        let is_new = self.told_ms.is_none_or(|told_ms| self.last_ms > told_ms);
        if !again || !is_new || !is_due(self.told_ms, now, REPEAT_MS) {
            return None;
        }
        self.told_ms = Some(now.ms());
        let since_ms = self.trail.since_ms().unwrap_or(self.last_ms);
        let unheard_h = (self.last_ms - heard_ms) / HOUR_MS;
        let refused = if unheard_h < 24 {
            String::new()
        } else {
            format!("; it is heard, but for {unheard_h} h no record followed its newest one, so none of them is judged")
        };
        let why = format!(
            "{} records on {} days came under numbers (boot, seq) that it had used for others, or that do not follow \
             its newest ones: it loses its counters, or two locks send under this id{refused}",
            self.records, self.on_days
        );
        let seen = Seen {
            value: f64::from(self.on_days),
            baseline: 0.0,
            threshold: DAYS as f64,
            unit: "days",
            since_ms,
            confidence: 0.9,
            why,
        };
        Some((seen, self.trail.records().collect()))
    }
}
