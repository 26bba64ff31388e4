//! The state that intake keeps of one lock: the numbers of its present life, what speaks against them, which records
//! wait at a hole, and the labels that the lock last reported. Must not know other locks or detectors. Called by
//! `intake` and its files.
use super::place::{Place, Seen};
use super::sequence::{Known, Order};
use crate::batch::{Labels, Row};
use serde::{Deserialize, Serialize};
use zenei_wire::EngineTime;

/// How many identities are stored of a lock, of records that no sequence distinguishes: two full backlogs (1,000
/// records each).
pub const MAX_RECENT: usize = 2_000;
/// So many records in a row that contradict the order begin a new life (telemetry contract).
const CONTRADICTIONS: usize = 3;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lane {
    pub(super) said: Labels,
    pub(super) registered: Labels,
    /// How many lives ended before this one.
    pub(super) life: u32,
    pub(super) order: Order,
    /// What hardly a lock has.
    doubts: Option<Box<Doubts>>,
    pub(super) held: Vec<(Place, Row)>,
    pub(super) waits_since: EngineTime,
    pub(super) recent: Recent,
    /// Identities from sources that may not speak for the lock; such records must not change any field above.
    pub(super) untrusted: Recent,
}

/// What speaks against the present order, and the one before.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Doubts {
    /// The last record, where its numbers were far beyond the newest.
    ahead: Option<Seen>,
    /// The last records in a row, each continuing the one before, that contradict the order and are later than all of
    /// it.
    against: Vec<Seen>,
    ended: Option<Ended>,
}

/// The life before.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ended {
    order: Order,
    /// The device's time at the beginning of the present life, ms.
    until: i64,
}

/// The newest identities, as a ring.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Recent {
    identities: Vec<u64>,
    next: u32,
}

impl Recent {
    /// Whether an identity is stored.
    pub(super) fn has(&self, identity: u64) -> bool {
        self.identities.contains(&identity)
    }

    /// Stores an identity; false where it was stored already.
    pub(super) fn remember(&mut self, identity: u64) -> bool {
        if self.has(identity) {
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
    /// Whether a record is the very next one of the newest boot, nothing waits, and nothing speaks against the order.
    pub(super) fn is_continued_by(&self, place: Place) -> bool {
        self.held.is_empty()
            && self.doubts.is_none()
            && self.order.newest.is_some_and(|newest| newest.is_followed_by(place))
    }

    /// Drops what the last records said against the order: one that is of the order came.
    pub(super) fn trust(&mut self) {
        if let Some(doubts) = &mut self.doubts {
            doubts.ahead = None;
            doubts.against.clear();
            if doubts.ended.is_none() {
                self.doubts = None;
            }
        }
    }

    /// Notes a record far beyond the newest.
    pub(super) fn set_ahead(&mut self, seen: Seen) {
        let doubts = self.doubts.get_or_insert_default();
        doubts.against.clear();
        doubts.ahead = Some(seen);
    }

    /// The record far beyond the newest that these numbers continue.
    pub(super) fn ahead_of(&self, place: Place) -> Option<Seen> {
        self.doubts.as_ref()?.ahead.filter(|ahead| ahead.place.is_continued_by(place))
    }

    /// Notes a record that is not of the order. Returns those that speak against the order together with it, once they
    /// are enough to begin a new life.
    pub(super) fn contradict(&mut self, seen: Seen) -> Option<Vec<Seen>> {
        let is_later = self.order.past.is_before(&seen);
        if !is_later {
            self.trust();
            return None;
        }
        let doubts = self.doubts.get_or_insert_default();
        doubts.ahead = None;
        if doubts.against.last().is_some_and(|last| !last.place.is_continued_by(seen.place)) {
            doubts.against.clear();
        }
        if doubts.against.len() + 1 < CONTRADICTIONS {
            doubts.against.push(seen);
            return None;
        }
        Some(std::mem::take(&mut doubts.against))
    }

    /// Ends the present life; the next one begins with these records that were heard before, or else with `first`.
    pub(super) fn begin_life(&mut self, before: &[Seen], first: &Seen) {
        let order = std::mem::take(&mut self.order);
        let until = before.first().unwrap_or(first).ts;
        self.doubts = Some(Box::new(Doubts { ended: Some(Ended { order, until }), ..Doubts::default() }));
        self.life = self.life.saturating_add(1);
        for seen in before {
            self.order.enter(seen);
        }
    }

    /// The order of the life before, where a record belongs to it: it was heard there, or it is not the next one of the
    /// present life, and was made before that began or continues the order before, far from the present one.
    /// `announces`: the record says that a new life begins.
    pub(super) fn ended(&mut self, seen: &Seen, announces: bool) -> Option<&mut Order> {
        self.doubts.as_ref()?.ended.as_ref()?;
        if self.order.known(seen.place) == Known::Heard && self.order.is_repeated_by(seen) {
            return None;
        }
        let newest = self.order.newest;
        let is_next = newest.is_some_and(|newest| newest.is_followed_by(seen.place));
        let is_near = newest.is_some_and(|newest| newest.is_near(seen.place));
        let Ended { order, until } = self.doubts.as_mut()?.ended.as_mut()?;
        let is_known = order.past.latest_ts().is_some_and(|latest| seen.ts <= latest);
        let is_before = seen.ts < *until && (is_known || Some(seen.place) > order.newest);
        let is_heard = is_known
            && order.known(seen.place) == Known::Heard
            && (order.past.has_digest(seen) || (is_before && order.is_repeated_by(seen)));
        let continues = !is_near && order.newest.is_some_and(|newest| newest.is_followed_by(seen.place));
        (is_heard || (!announces && ((is_before && !is_next) || continues))).then_some(order)
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
