//! Whether a fault comes and goes, and how seldom people are told of one that does. Counts by the times of the events
//! alone. Must not know incidents. Called by the fold ([`crate::incident`]), which counts, and by the casebook, which
//! starts and ends a state of flapping.
use crate::event::{Event, What};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use zenei_wire::EngineTime;

/// When a fault flaps, and how seldom people are then told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flapping {
    /// So many cycles of recovery and new evidence, 2 to [`CYCLES_MAX`].
    pub cycles: u32,
    /// The time in which they are counted, and the quiet time that ends flapping, ms.
    pub window_ms: i64,
    /// While a fault flaps, people are told of findings and recoveries at most once in this time, ms.
    pub interval_ms: i64,
}

impl Default for Flapping {
    /// Three cycles in a day, a message every four hours: the field names three cycles, the rest is a guess.
    fn default() -> Self {
        Self { cycles: 3, window_ms: 24 * 3_600_000, interval_ms: 4 * 3_600_000 }
    }
}

/// The most cycles that are counted. A guess: one that flaps more often was seen to flap long before.
pub const CYCLES_MAX: usize = 20;

/// How many booked messages are remembered. Events of one transaction that span more than so many intervals lose the
/// message about the earliest of them.
const BOOKED_MAX: usize = 8;

/// A fault that comes and goes, or does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flap {
    /// Since when it flaps; `None` if it does not.
    pub since: Option<EngineTime>,
    /// Whether the last of recovery and evidence was a recovery.
    is_recovered: bool,
    /// The times of evidence after a recovery, the latest [`CYCLES_MAX`].
    returns: VecDeque<EngineTime>,
    /// The latest events that people are told of while it flaps: their numbers, and the earliest time of telling.
    booked: VecDeque<(u32, EngineTime)>,
    /// The least time between two messages while it flaps, ms, as the event that says so has it.
    interval_ms: i64,
}

impl Flap {
    /// Takes the next event of the incident.
    pub(crate) fn count(&mut self, event: &Event) {
        if let What::TelemetryRecovered(_) = &event.what {
            self.is_recovered = true;
        } else if let What::EvidenceAdded(_) = &event.what {
            if std::mem::take(&mut self.is_recovered) {
                self.returns.push_back(event.at);
            }
            if self.returns.len() > CYCLES_MAX {
                self.returns.pop_front();
            }
        } else if let What::FlappingStarted(started) = &event.what {
            self.since = Some(event.at);
            self.interval_ms = started.interval_ms.unwrap_or(Flapping::default().interval_ms);
            self.booked = VecDeque::from([(event.seq, event.at)]);
        } else if let What::FlappingEnded(_) | What::Reopened(_) = &event.what {
            *self = Self::default();
        }
        if self.since.is_some() && is_limited(&event.what) {
            self.book(event);
        }
    }

    /// How many cycles there were within this time (ms) before another one.
    pub fn cycles(&self, at: EngineTime, window_ms: i64) -> usize {
        let since = at.ms().saturating_sub(window_ms);
        self.returns.iter().filter(|time| time.ms() > since).count()
    }

    /// From when people may be told of this event; `None` if a message that is told, or will be, stands for it.
    pub fn told_from(&self, event: &Event) -> Option<EngineTime> {
        if self.since.is_none() || !is_limited(&event.what) {
            return Some(event.at);
        }
        self.booked.iter().find(|(seq, _)| *seq == event.seq).map(|(_, at)| *at)
    }

    /// Books the event for now or for the end of the interval, unless one is booked for that end already.
    fn book(&mut self, event: &Event) {
        let Some((_, last)) = self.booked.back() else { return };
        if *last > event.at {
            return;
        }
        let next = EngineTime(last.ms().saturating_add(self.interval_ms));
        self.booked.push_back((event.seq, next.max(event.at)));
        if self.booked.len() > BOOKED_MAX {
            self.booked.pop_front();
        }
    }
}

/// The events that are told seldom while a fault flaps. What people do, and a rise of the urgency, are told at once.
fn is_limited(what: &What) -> bool {
    matches!(what, What::EvidenceAdded(_) | What::TelemetryRecovered(_))
}
