//! A few of the records behind a finding: the first one and the newest seven. Must not know a rule. Called by the
//! detectors.
use crate::lock::RecordRef;
use serde::{Deserialize, Serialize};

/// How many of the newest records are stored.
const NEWEST: usize = 7;

/// The first record of a departure and its newest ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trail {
    first: Option<(i64, RecordRef)>,
    newest: Vec<RecordRef>,
}

impl Trail {
    /// Adds a record that was released at `now_ms`.
    pub fn add(&mut self, record: RecordRef, now_ms: i64) {
        if self.first.is_none() {
            self.first = Some((now_ms, record));
            return;
        }
        if self.newest.len() < NEWEST {
            self.newest.push(record);
        } else {
            self.newest.rotate_left(1);
            self.newest[NEWEST - 1] = record;
        }
    }

    /// Removes all records.
    pub fn clear(&mut self) {
        self.first = None;
        self.newest.clear();
    }

    /// When the first one was released, ms.
    pub fn since_ms(&self) -> Option<i64> {
        self.first.map(|(since_ms, _)| since_ms)
    }

    /// All stored records, oldest first.
    pub fn records(&self) -> impl Iterator<Item = RecordRef> {
        self.first.iter().map(|&(_, record)| record).chain(self.newest.iter().copied())
    }
}
