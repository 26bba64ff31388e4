//! How many locks have each value of each property: what the fields of the fleet's filter offer. Kept for a moment,
//! because every count reads an index of all locks. Must not know a page. Called by the page of the fleet.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    is_counting: bool,
}

impl Offered {
    /// The counts of every dimension. Only the first reader waits for them: where they are old, the old ones are
    /// returned and counted anew beside the page, because a count of 100,000 locks takes a third of a second on a busy
    /// machine.
    ///
    /// # Errors
    /// Those of [`History::values`]; then nothing is kept.
    pub(super) fn counts(
        &self,
        history: &History,
        now_ms: i64,
    ) -> Result<Arc<BTreeMap<Dimension, Counts>>, HistoryError> {
        // Held while the first reader counts, so that many at once cause one count.
        let mut kept = self.lock();
        let Some(at_ms) = kept.at_ms else {
            kept.counts = Arc::new(counted(history)?);
            kept.at_ms = Some(now_ms);
            return Ok(kept.counts.clone());
        };
        if !(at_ms..at_ms + KEPT_MS).contains(&now_ms) && !kept.is_counting {
            kept.is_counting = true;
            let (offered, history) = (self.clone(), history.clone());
            let work = move || offered.count(&history, now_ms);
            kept.is_counting = std::thread::Builder::new().name("offered".to_owned()).spawn(work).is_ok();
        }
        Ok(kept.counts.clone())
    }

    /// Counts anew; where that fails, the old counts stay, and the next reader tries again.
    fn count(&self, history: &History, now_ms: i64) {
        let made = counted(history);
        let mut kept = self.lock();
        kept.is_counting = false;
        match made {
            Ok(counts) => (kept.counts, kept.at_ms) = (Arc::new(counts), Some(now_ms)),
            Err(error) => {
                tracing::warn!(error = zenei_store::with_causes(&error), "what the fleet has can't be counted");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic leaves the counts before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn counted(history: &History) -> Result<BTreeMap<Dimension, Counts>, HistoryError> {
    Dimension::ALL.into_iter().map(|dimension| history.values(dimension).map(|counts| (dimension, counts))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use zenei_kit::bound::within;

    #[test]
    fn counts_are_kept_for_a_moment_and_made_anew_beside_the_reader() {
        let offered = Offered::default();
        let counts = |now_ms| offered.counts(&History::empty(), now_ms).unwrap();
        let first = counts(1_000);
        assert_eq!(first.len(), Dimension::ALL.len());
        assert!(Arc::ptr_eq(&first, &counts(1_000 + KEPT_MS - 1)));
        let later_ms = 1_000 + KEPT_MS;
        // The first who asks later still gets what is there.
        assert!(Arc::ptr_eq(&first, &counts(later_ms)));
        let newer = |old: &Arc<_>, now_ms| {
            let new = counts(now_ms);
            (!Arc::ptr_eq(old, &new)).then_some(new)
        };
        let second = within(Duration::from_secs(60), || newer(&first, later_ms)).expect("they are counted anew");
        within(Duration::from_secs(60), || newer(&second, 500)).expect("the clock went back");
    }

    #[test]
    fn while_one_counts_nobody_waits_and_nobody_counts_too() {
        let offered = Offered::default();
        let first = offered.counts(&History::empty(), 0).unwrap();
        offered.lock().is_counting = true;
        let second = offered.counts(&History::empty(), 10 * KEPT_MS).unwrap();
        assert!(Arc::ptr_eq(&first, &second) && offered.lock().at_ms == Some(0));
    }
}
