//! How many motor operations and heartbeats a lock reports a week: locks that report other numbers of them are no like
//! in what shows in them. Must not know a rule. `lock` holds one for each lock.
use crate::time::DAY_MS;
use serde::{Deserialize, Serialize};
use zenei_wire::Body;

/// Counts of the running week and of the one before, in 12 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    week: u32,
    now: [u16; 2],
    before: [u16; 2],
}

impl Pace {
    /// These counts of the first week.
    #[cfg(test)]
    pub fn of(now: [u16; 2]) -> Self {
        Self { now, ..Self::default() }
    }

    /// Counts a record of this time, ms of the engine.
    pub fn count(&mut self, body: &Body<'_>, now_ms: i64) {
        let of = match body {
            Body::Op(_) => 0,
            Body::State(_) | Body::Adv(_) => 1,
            Body::Error(_) | Body::Event(_) | Body::Gateway(_) => return,
        };
        let week = u32::try_from(now_ms.div_euclid(7 * DAY_MS)).unwrap_or(0);
        if week != self.week {
            self.before = if week == self.week.saturating_add(1) { self.now } else { [0; 2] };
            (self.week, self.now) = (week, [0; 2]);
        }
        self.now[of] = self.now[of].saturating_add(1);
    }

    /// Operations and heartbeats in the fuller one of the running week and the one before.
    pub fn weekly(&self) -> [u32; 2] {
        [0, 1].map(|of: usize| u32::from(self.now[of].max(self.before[of])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_wire::State;

    #[test]
    fn a_week_counts_until_the_week_after_it_ends() {
        let mut pace = Pace::default();
        let state = Body::State(State::default());
        (0..12).for_each(|hour| pace.count(&state, 700 * DAY_MS + hour));
        assert_eq!(pace.weekly(), [0, 12]);
        pace.count(&state, 707 * DAY_MS);
        assert_eq!(pace.weekly(), [0, 12]);
        pace.count(&state, 714 * DAY_MS);
        assert_eq!(pace.weekly(), [0, 1]);
    }
}
