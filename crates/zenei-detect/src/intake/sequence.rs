//! The numbers of one life of a lock: which of which boots were released, which are missing, and which is the newest.
//! Must not know other lives, other locks, times of release or detectors. Called by `intake` and its files.
use super::past::Past;
use super::place::{Place, Seen};
use serde::{Deserialize, Serialize};

/// The most holes stored of one boot, so that a late record is distinguished from a duplicate. Beyond it the oldest are
/// merged into a mark below which only the stored identities decide. A guess: a boot with 256 open holes has lost more
/// than its order.
pub const MAX_MISSING: usize = 256;
/// The most boots stored of one lock, newest first; for older ones only the stored identities decide. A guess: backlogs
/// span a boot or two.
pub const MAX_BOOTS: usize = 8;

/// The order of one life.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) newest: Option<Place>,
    /// What was released of each boot, ascending.
    boots: Vec<Boot>,
    pub(super) past: Past,
}

/// What is known of numbers that are not beyond the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// A record was heard under them.
    Heard,
    /// None was.
    Missing,
    /// What was heard there is no longer stored.
    Forgotten,
}

/// What was released of one boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Boot {
    boot: u32,
    /// Of the newest boot it may lag behind the order's `newest`.
    highest: u32,
    missing: Vec<Missing>,
    /// Below this number holes were dropped.
    unsure_below: u32,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Missing {
    from: u32,
    to: u32,
    /// Whether the hole lies between received records of one boot, and so is a loss. Before the first record of a boot
    /// that is unknown.
    counted: bool,
}

impl Boot {
    /// Goes on to `seq`, beyond everything released of this boot; `counted`: whether what lies between is a loss.
    fn reach(&mut self, seq: u32, counted: bool) {
        if seq > self.highest + 1 {
            self.missing.push(Missing { from: self.highest + 1, to: seq - 1, counted });
            self.bound();
        }
        self.highest = seq;
    }

    /// Merges the oldest holes where there are too many.
    fn bound(&mut self) {
        while self.missing.len() > MAX_MISSING {
            let oldest = self.missing.remove(0);
            self.unsure_below = self.unsure_below.max(oldest.to + 1);
        }
    }

    fn is_missing(&self, seq: u32) -> bool {
        self.missing.iter().any(|hole| (hole.from..=hole.to).contains(&seq))
    }

    /// Takes `seq` out of the hole that contains it.
    fn fill(&mut self, seq: u32) {
        let Some(at) = self.missing.iter().position(|hole| (hole.from..=hole.to).contains(&seq)) else { return };
        let hole = self.missing.remove(at);
        if hole.to > seq {
            self.missing.insert(at, Missing { from: seq + 1, counted: true, ..hole });
        }
        if hole.from < seq {
            self.missing.insert(at, Missing { to: seq - 1, ..hole });
        }
        self.bound();
    }
}

impl Order {
    /// Takes a record as the newest, beyond all others. Returns the first and the last `seq` that are lost before it.
    pub(super) fn enter(&mut self, seen: &Seen) -> Option<(u32, u32)> {
        let place = seen.place;
        let before = self.newest.replace(place);
        self.past.note(seen);
        let next = before.filter(|before| before.boot == place.boot).map(|before| before.seq + 1);
        // A place that continues by one is in `newest` already, as for nearly all records; the state of a boot lies
        // elsewhere in memory.
        if next == Some(place.seq) {
            return None;
        }
        self.catch_up(before);
        self.reach(place, true);
        next.filter(|next| *next < place.seq).map(|next| (next, place.seq - 1))
    }

    /// Takes a record far beyond all others as the newest: whether anything between was ever sent is unknown.
    pub(super) fn leap(&mut self, seen: &Seen) {
        self.catch_up(self.newest);
        self.newest = Some(seen.place);
        self.past.note(seen);
        self.reach(seen.place, false);
    }

    /// What is known of these numbers.
    pub(super) fn known(&mut self, place: Place) -> Known {
        self.catch_up(self.newest);
        let is_full = self.boots.len() >= MAX_BOOTS;
        let oldest = self.boots.first().map_or(0, |boot| boot.boot);
        match self.boots.iter().find(|boot| boot.boot == place.boot) {
            None if is_full && place.boot < oldest => Known::Forgotten,
            None => Known::Missing,
            Some(boot) if place.seq > boot.highest || boot.is_missing(place.seq) => Known::Missing,
            Some(boot) if place.seq < boot.unsure_below => Known::Forgotten,
            Some(_) => Known::Heard,
        }
    }

    /// Notes numbers as heard of which none were so far.
    pub(super) fn fill(&mut self, place: Place) {
        self.catch_up(self.newest);
        match self.boots.iter_mut().find(|boot| boot.boot == place.boot) {
            Some(boot) if place.seq > boot.highest => boot.reach(place.seq, true),
            Some(boot) => boot.fill(place.seq),
            None => self.begin(place),
        }
    }

    /// Whether a record under numbers that were heard repeats what was said there.
    pub(super) fn is_repeated_by(&self, seen: &Seen) -> bool {
        self.past.is_repeated_by(seen, self.newest)
    }

    /// How many `seq` numbers are missing between received ones of one boot.
    pub(super) fn missing(&self) -> u64 {
        let holes = self.boots.iter().flat_map(|boot| &boot.missing).filter(|hole| hole.counted);
        holes.map(|hole| u64::from(hole.to - hole.from) + 1).sum()
    }

    /// Notes how far the newest boot has come, before something else than the next `seq` is noted.
    fn catch_up(&mut self, newest: Option<Place>) {
        let known =
            newest.and_then(|Place { boot, seq }| Some((self.boots.iter_mut().find(|of| of.boot == boot)?, seq)));
        if let Some((known, seq)) = known {
            known.highest = known.highest.max(seq);
        }
    }

    fn reach(&mut self, place: Place, counted: bool) {
        match self.boots.iter_mut().find(|boot| boot.boot == place.boot) {
            Some(boot) => boot.reach(place.seq, counted),
            None => self.begin(place),
        }
    }

    /// Stores the first received place of a boot. Earlier records may still arrive, but whether there were any is
    /// unknown.
    fn begin(&mut self, place: Place) {
        let Place { boot, seq } = place;
        let hole = (seq > 0).then(|| Missing { from: 0, to: seq.wrapping_sub(1), counted: false });
        let at = self.boots.partition_point(|other| other.boot < boot);
        self.boots.insert(at, Boot { boot, highest: seq, missing: hole.into_iter().collect(), unsure_below: 0 });
        if self.boots.len() > MAX_BOOTS {
            self.boots.remove(0);
        }
    }
}
