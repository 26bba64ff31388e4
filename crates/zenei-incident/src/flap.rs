//! Whether a fault comes and goes, and how seldom people are told of one that does. Counts by the times of the events
//! alone. Must not know incidents. Called by the fold ([`crate::incident`]), which counts, and by the casebook, which
//! starts and ends a state of flapping.
use crate::event::{Event, What};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use zenei_wire::EngineTime;

/// So many cycles of recovery and new evidence are flapping. Our default; the field names three.
pub const CYCLES_MIN: usize = 3;

/// The time in which the cycles are counted, and the quiet time that ends flapping, ms: a day.
pub const WINDOW_MS: i64 = 24 * 3_600_000;

/// While a fault flaps, people are told of findings and recoveries at most once in this time, ms: four hours.
pub const MESSAGE_INTERVAL_MS: i64 = 4 * 3_600_000;

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
    /// The times of evidence after a recovery, the latest [`CYCLES_MIN`].
    returns: VecDeque<EngineTime>,
    /// The latest events that people are told of while it flaps: their numbers, and the earliest time of telling.
    booked: VecDeque<(u32, EngineTime)>,
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
            if self.returns.len() > CYCLES_MIN {
                self.returns.pop_front();
            }
        } else if let What::FlappingStarted(_) = &event.what {
            self.since = Some(event.at);
            self.booked = VecDeque::from([(event.seq, event.at)]);
        } else if let What::FlappingEnded(_) | What::Reopened(_) = &event.what {
            *self = Self::default();
        }
        if self.since.is_some() && is_limited(&event.what) {
            self.book(event);
        }
    }

    /// How many cycles there were within [`WINDOW_MS`] before this time.
    pub fn cycles(&self, at: EngineTime) -> usize {
        let since = at.ms().saturating_sub(WINDOW_MS);
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
        let next = EngineTime(last.ms().saturating_add(MESSAGE_INTERVAL_MS));
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
