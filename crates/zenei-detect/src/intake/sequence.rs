//! The state that intake keeps of one lock: which numbers of which boots it released, which are missing, which records
//! wait at a hole, and the labels that the lock last reported. Must not know other locks, times or detectors. Called by
//! `intake`.
use crate::batch::{Labels, Row};
use serde::{Deserialize, Serialize};
use zenei_wire::EngineTime;

/// The most holes stored of one boot, so that a late record is distinguished from a duplicate. Beyond it the oldest are
/// merged into a mark below which only the stored identities decide. A guess: a boot with 256 open holes has lost more
/// than its order.
pub const MAX_MISSING: usize = 256;
/// The most boots stored of one lock, newest first; for older ones only the stored identities decide. A guess: backlogs
/// span a boot or two.
pub const MAX_BOOTS: usize = 8;
/// How many identities are stored of a lock, of records that no sequence distinguishes: two full backlogs (1,000
/// records each).
pub const MAX_RECENT: usize = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) boot: u32,
    pub(super) seq: u32,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lane {
    pub(super) said: Labels,
    pub(super) registered: Labels,
    pub(super) newest: Option<Place>,
    /// What was released of each boot, ascending.
    pub(super) boots: Vec<Boot>,
    pub(super) held: Vec<(Place, Row)>,
    pub(super) waits_since: EngineTime,
    pub(super) recent: Recent,
    /// Identities from sources that may not speak for the lock; such records must not change any field above.
    pub(super) untrusted: Recent,
}

/// The newest identities, as a ring.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Recent {
    pub(super) identities: Vec<u64>,
    pub(super) next: u32,
}

/// What was released of one boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Boot {
    pub(super) boot: u32,
    /// Of the newest boot it may lag behind the lane's `newest`.
    pub(super) highest: u32,
    pub(super) missing: Vec<Missing>,
    /// Below this number holes were dropped.
    pub(super) unsure_below: u32,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Missing {
    pub(super) from: u32,
    pub(super) to: u32,
    /// Whether the hole lies between received records of one boot, and so is a loss. Before the first record of a boot
    /// that is unknown.
    pub(super) counted: bool,
}

impl Boot {
    /// Goes on to `seq`, beyond everything released of this boot.
    pub(super) fn reach(&mut self, seq: u32) {
        if seq > self.highest + 1 {
            self.missing.push(Missing { from: self.highest + 1, to: seq - 1, counted: true });
            self.bound();
        }
        self.highest = seq;
    }

    /// Merges the oldest holes where there are too many.
    pub(super) fn bound(&mut self) {
        while self.missing.len() > MAX_MISSING {
            let oldest = self.missing.remove(0);
            self.unsure_below = self.unsure_below.max(oldest.to + 1);
        }
    }

    /// Takes `seq` out of the hole that contains it; false where there is none.
    pub(super) fn fill(&mut self, seq: u32) -> bool {
        let Some(at) = self.missing.iter().position(|hole| (hole.from..=hole.to).contains(&seq)) else { return false };
        let hole = self.missing.remove(at);
        if hole.to > seq {
            self.missing.insert(at, Missing { from: seq + 1, counted: true, ..hole });
        }
        if hole.from < seq {
            self.missing.insert(at, Missing { to: seq - 1, ..hole });
        }
        self.bound();
        true
    }
}

impl Recent {
    /// Stores an identity; false where it was stored already.
    pub(super) fn remember(&mut self, identity: u64) -> bool {
        if self.identities.contains(&identity) {
            return false;
        }
        if self.identities.len() < MAX_RECENT {
            self.identities.push(identity);
        } else {
            self.identities[self.next as usize] = identity;
            self.next = (self.next + 1) % MAX_RECENT as u32;
        }
        true
    }
}

impl Lane {
    /// Whether a row is the very next one of the newest boot, and nothing waits.
    pub(super) fn is_continued_by(&self, row: &Row) -> bool {
        let next = self.newest.and_then(|Place { boot, seq }| Some((boot, seq.checked_add(1)?)));
        next.is_some() && row.boot.zip(row.seq) == next && self.held.is_empty()
    }

    /// Notes how far the newest boot has come, before something else than the next `seq` is noted.
    pub(super) fn catch_up(&mut self, newest: Option<Place>) {
        let known =
            newest.and_then(|Place { boot, seq }| Some((self.boots.iter_mut().find(|of| of.boot == boot)?, seq)));
        if let Some((known, seq)) = known {
            known.highest = known.highest.max(seq);
        }
    }

    /// Notes a place as released, beyond all of its boot.
    pub(super) fn reach(&mut self, place: Place) {
        match self.boots.iter_mut().find(|boot| boot.boot == place.boot) {
            Some(boot) => boot.reach(place.seq),
            None => self.begin(place),
        }
    }

    /// Stores the first received place of a boot. Earlier records may still arrive, but whether there were any is
    /// unknown.
    pub(super) fn begin(&mut self, place: Place) {
        let Place { boot, seq } = place;
        let hole = (seq > 0).then(|| Missing { from: 0, to: seq.wrapping_sub(1), counted: false });
        let at = self.boots.partition_point(|other| other.boot < boot);
        self.boots.insert(at, Boot { boot, highest: seq, missing: hole.into_iter().collect(), unsure_below: 0 });
        if self.boots.len() > MAX_BOOTS {
            self.boots.remove(0);
        }
    }

    /// Whether a place behind the newest one is new; notes it.
    pub(super) fn take_behind(&mut self, place: Place) -> bool {
        self.catch_up(self.newest);
        let Place { boot, seq } = place;
        let is_full = self.boots.len() >= MAX_BOOTS;
        let oldest = self.boots.first().map_or(0, |boot| boot.boot);
        let Some(known) = self.boots.iter_mut().find(|known| known.boot == boot) else {
            if is_full && boot < oldest {
                return self.recent.remember(u64::from(boot) << 32 | u64::from(seq));
            }
            self.begin(place);
            return true;
        };
        if seq > known.highest {
            known.reach(seq);
            return true;
        }
        known.fill(seq) || (seq < known.unsure_below && self.recent.remember(u64::from(boot) << 32 | u64::from(seq)))
    }

    /// How many `seq` numbers are missing between received ones of one boot.
    pub(super) fn missing(&self) -> u64 {
        let holes = self.boots.iter().flat_map(|boot| &boot.missing).filter(|hole| hole.counted);
        holes.map(|hole| u64::from(hole.to - hole.from) + 1).sum()
    }

    /// Fills the row's labels: its own, else the lock's last reported ones, else the registry's.
    pub(super) fn stamp(&mut self, row: &mut Row) {
        let labels = &mut row.labels;
        for (own, said, registered) in [
            (&mut labels.model, &mut self.said.model, self.registered.model),
            (&mut labels.hw_rev, &mut self.said.hw_rev, self.registered.hw_rev),
            (&mut labels.lot, &mut self.said.lot, self.registered.lot),
            (&mut labels.fw, &mut self.said.fw, self.registered.fw),
            (&mut labels.service, &mut self.said.service, self.registered.service),
            (&mut labels.gw, &mut self.said.gw, self.registered.gw),
            (&mut labels.client_version, &mut self.said.client_version, self.registered.client_version),
        ] {
            if own.0 != 0 {
                *said = *own;
            } else if said.0 != 0 {
                *own = *said;
            } else {
                *own = registered;
            }
        }
    }
}
