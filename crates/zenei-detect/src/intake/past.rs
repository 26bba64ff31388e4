//! What was said under the numbers of one life, as far as it is needed to distinguish a repetition from numbers that
//! are used again, and a late record from one that contradicts the order. Must not know which numbers are missing.
//! Called by `sequence`.
//!
//! Of the newest numbers a digest is stored. Of older ones, which would need memory without end, the device times of a
//! few spans are: what lies outside of its span was never said there, so no repetition is taken for something new; a
//! record under old numbers whose time lies within their span is taken for a repetition.
use super::place::{Place, Seen};
use serde::{Deserialize, Serialize};

/// How many of the newest `seq` numbers have a digest. A guess: a client sends 10 to 50 messages again after a
/// reconnect, and 64 are 128 bytes a lock.
const DIGESTS: usize = 64;
/// How many spans are stored of a lock, and how many records the first ones hold. A guess: 128 bytes a lock.
const SPANS: usize = 4;
const SPAN_RECORDS: u32 = 64;
/// After so many records of the order in a row that are older than the latest one by the device's clock the clock was
/// set back: as many as begin a new life (telemetry contract).
const SET_BACK: u8 = 3;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Past {
    /// By `seq` modulo their number; 0 where nothing was noted.
    digests: Vec<u16>,
    /// Ascending; the last one ends at the newest numbers.
    spans: Vec<Span>,
    /// The latest `ts` and `heard_at` of the order, ms.
    latest: Option<(i64, i64)>,
    /// Records of the order in a row whose `ts` is not later than the latest.
    older: u8,
}

/// The device times of neighbouring numbers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Span {
    to: Place,
    records: u32,
    earliest: i64,
    latest: i64,
}

impl Span {
    fn widen(&mut self, ts: i64) {
        (self.earliest, self.latest) = (self.earliest.min(ts), self.latest.max(ts));
    }
}

impl Past {
    /// Notes a record that becomes the newest of the order.
    pub(super) fn note(&mut self, seen: &Seen) {
        self.keep_digest(seen);
        match self.spans.last_mut().filter(|span| span.records < SPAN_RECORDS) {
            Some(span) => {
                span.widen(seen.ts);
                (span.to, span.records) = (seen.place, span.records + 1);
            }
            None => {
                self.spans.push(Span { to: seen.place, records: 1, earliest: seen.ts, latest: seen.ts });
                self.merge();
            }
        }
        let (ts, heard_at) = self.latest.unwrap_or((i64::MIN, i64::MIN));
        let is_older = seen.ts <= ts;
        self.older = if is_older { self.older + 1 } else { 0 };
        let is_set_back = self.older >= SET_BACK;
        if is_set_back {
            self.older = 0;
        }
        self.latest = Some((if is_set_back { seen.ts } else { ts.max(seen.ts) }, heard_at.max(seen.heard_at)));
    }

    /// Notes a late record that the order expected.
    pub(super) fn note_late(&mut self, seen: &Seen, newest: Option<Place>) {
        if newest.is_some_and(|newest| is_recent(seen.place, newest)) {
            self.keep_digest(seen);
        }
        if let Some(span) = self.spans.iter_mut().find(|span| seen.place <= span.to) {
            span.widen(seen.ts);
        }
    }

    /// Whether a record under numbers that were heard repeats what was said there.
    pub(super) fn is_repeated_by(&self, seen: &Seen, newest: Option<Place>) -> bool {
        if self.has_digest(seen) {
            return true;
        }
        if newest.is_some_and(|newest| is_recent(seen.place, newest)) {
            return false;
        }
        let span = self.spans.iter().find(|span| seen.place <= span.to);
        span.is_none_or(|span| (span.earliest..=span.latest).contains(&seen.ts))
    }

    /// Whether this very record is among those of which a digest is stored.
    pub(super) fn has_digest(&self, seen: &Seen) -> bool {
        self.digests.get(slot(seen.place)) == Some(&seen.digest())
    }

    /// Whether a record is later than all of the order, by both clocks.
    pub(super) fn is_before(&self, seen: &Seen) -> bool {
        self.latest.is_some_and(|(ts, heard_at)| seen.ts > ts && seen.heard_at > heard_at)
    }

    /// The latest `ts` of the order, ms.
    pub(super) fn latest_ts(&self) -> Option<i64> {
        self.latest.map(|(ts, _)| ts)
    }

    fn keep_digest(&mut self, seen: &Seen) {
        if self.digests.is_empty() {
            self.digests = vec![0; DIGESTS];
        }
        self.digests[slot(seen.place)] = seen.digest();
    }

    /// Merges the two neighbouring spans with the fewest records where there are too many.
    fn merge(&mut self) {
        if self.spans.len() <= SPANS {
            return;
        }
        let records = |at: &usize| u64::from(self.spans[*at].records) + u64::from(self.spans[*at + 1].records);
        // The newest span is still being filled.
        let Some(at) = (0..self.spans.len() - 2).min_by_key(records) else { return };
        let first = self.spans.remove(at);
        let span = &mut self.spans[at];
        span.widen(first.earliest);
        span.widen(first.latest);
        span.records = span.records.saturating_add(first.records);
    }
}

/// Whether numbers that were heard have a digest of their own.
fn is_recent(place: Place, newest: Place) -> bool {
    place.boot == newest.boot && newest.seq.checked_sub(place.seq).is_some_and(|back| (back as usize) < DIGESTS)
}

fn slot(place: Place) -> usize {
    place.seq as usize % DIGESTS
}
