//! How many locks have each value of each property: what the fields of the fleet's filter offer. Kept for a moment,
//! because every count reads an index of all locks. Must not know a page. Called by the page of the fleet.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use zenei_store::history::{Dimension, History, HistoryError};

/// How many locks have each value of a dimension, most locks first.
pub(super) type Counts = Vec<(String, u64)>;

/// For how long a count is taken as it is, ms. A guess: nobody counts locks by the second.
const KEPT_MS: i64 = 10_000;

/// The counts; a clone has the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offered(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    at_ms: Option<i64>,
    counts: Arc<BTreeMap<Dimension, Counts>>,
}

impl Offered {
    /// The counts of every dimension.
    ///
    /// # Errors
    /// Those of [`History::values`]; then nothing is kept.
    pub(super) fn counts(
        &self,
        history: &History,
        now_ms: i64,
    ) -> Result<Arc<BTreeMap<Dimension, Counts>>, HistoryError> {
        // Held while counting, so that many readers at once cause one count. A panic leaves the counts before.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.at_ms.is_none_or(|at_ms| !(at_ms..at_ms + KEPT_MS).contains(&now_ms)) {
            let counted = Dimension::ALL.map(|dimension| history.values(dimension).map(|counts| (dimension, counts)));
            kept.counts = Arc::new(counted.into_iter().collect::<Result<_, _>>()?);
            kept.at_ms = Some(now_ms);
        }
        Ok(kept.counts.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_for_a_moment_and_not_past_a_step_of_the_clock() {
        let offered = Offered::default();
        let counts = |now_ms| offered.counts(&History::empty(), now_ms).unwrap();
        let first = counts(1_000);
        assert_eq!(first.len(), Dimension::ALL.len());
        assert!(Arc::ptr_eq(&first, &counts(1_000 + KEPT_MS - 1)));
        assert!(!Arc::ptr_eq(&first, &counts(1_000 + KEPT_MS)));
        let second = counts(1_000 + KEPT_MS);
        assert!(!Arc::ptr_eq(&second, &counts(500)), "the clock went back");
    }
}
