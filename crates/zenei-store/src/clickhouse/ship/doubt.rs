//! What may be wrong on the server although each insert was answered. A server that is not replicated notes an insert's
//! token and adds its rows in two steps, in each table and in the table behind each view: killed between them, it takes
//! a retry for rows that it does not have, or has rows whose token it does not know. Must not know SQL. Called by the
//! steps that carry and look.
use crate::control::{Control, ControlError, Txn};
use zenei_wire::EngineTime;

const HOUR_MS: i64 = 3_600_000;
/// How often hours are put off before they are given up. A guess: the first time for an hour that many gateways fill,
/// the others for a server that is restarted.
const MAX_PUT_OFF: u32 = 3;
/// So long after an hour's end nobody inserts into it any more, but for gateways with a backlog. A guess.
const QUIET_MS: i64 = 900_000;
const CURSORS: [&str; 2] = ["ship/doubt_from_ms", "ship/doubt_to_ms"];

/// What is in doubt.
#[derive(Debug)]
pub(super) struct Doubt {
    /// Whether it is ever looked at.
    looks: bool,
    /// Whether this process has shipped nothing yet: the process before may have been cut off in the same shipment.
    first: bool,
    /// The hours whose cohorts may be wrong: from, to (not in it), ms.
    hours: Option<(i64, i64)>,
    /// When the hours are looked at again; `None`: now.
    after: Option<EngineTime>,
    /// How often they were put off.
    put_off: u32,
    /// Whether it was told that the server may not be asked.
    told: bool,
}

impl Doubt {
    pub(super) fn new(looks: bool) -> Self {
        Self { looks, first: true, hours: None, after: None, put_off: 0, told: false }
    }

    pub(super) fn looks(&self) -> bool {
        self.looks
    }

    pub(super) fn is_first(&self) -> bool {
        self.first
    }

    /// A shipment was carried and everything that could be looked at was.
    pub(super) fn is_shipped(&mut self) {
        self.first = false;
    }

    /// Adds the hours of records that were heard at these times, ms; they are due now.
    pub(super) fn add(&mut self, heard: Option<(i64, i64)>) {
        let Some((first, last)) = heard else { return };
        let from = first.div_euclid(HOUR_MS) * HOUR_MS;
        let to = (last.div_euclid(HOUR_MS) + 1) * HOUR_MS;
        let known = self.hours.unwrap_or((from, to));
        self.hours = Some((known.0.min(from), known.1.max(to)));
        (self.after, self.put_off) = (None, 0);
    }

    /// The hours to look at now.
    pub(super) fn due(&self, now: EngineTime) -> Option<(i64, i64)> {
        self.hours.filter(|_| self.after.is_none_or(|after| after <= now))
    }

    /// They are right, or nothing more can be done.
    pub(super) fn settle(&mut self) {
        (self.hours, self.after, self.put_off) = (None, None, 0);
    }

    /// They could not be looked at or put right: again when they are over, or a quarter of an hour from now. False:
    /// that was tried often enough, and they are given up.
    pub(super) fn put_off(&mut self, now: EngineTime) -> bool {
        if self.put_off >= MAX_PUT_OFF {
            self.settle();
            return false;
        }
        let end = self.hours.map_or(0, |(_, to)| to);
        self.after = Some(EngineTime(end.max(now.ms()).saturating_add(QUIET_MS)));
        self.put_off += 1;
        true
    }

    /// Whether it is the first time in this process.
    pub(super) fn tell_once(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    /// Takes up the hours that a process before left in doubt.
    pub(super) fn recall(&mut self, control: &Control) -> Result<(), ControlError> {
        if !self.first || self.hours.is_some() {
            return Ok(());
        }
        let [from, to] = [control.cursor(CURSORS[0])?, control.cursor(CURSORS[1])?];
        let ms = |value: Option<u64>| i64::try_from(value.unwrap_or(0)).unwrap_or(0);
        if ms(from) < ms(to) {
            self.hours = Some((ms(from), ms(to)));
        }
        Ok(())
    }

    /// Stores the hours for the process after this one.
    pub(super) fn keep(&self, txn: &Txn<'_>) -> Result<(), ControlError> {
        let (from, to) = self.hours.unwrap_or((0, 0));
        for (name, ms) in CURSORS.into_iter().zip([from, to]) {
            txn.set_cursor(name, u64::try_from(ms).unwrap_or(0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_put_off_until_they_are_over_and_given_up_after_some_times() {
        let mut doubt = Doubt::new(true);
        doubt.add(Some((HOUR_MS + 1, 2 * HOUR_MS)));
        let hours = Some((HOUR_MS, 3 * HOUR_MS));
        assert_eq!(doubt.due(EngineTime(0)), hours);
        let mut now = EngineTime(2 * HOUR_MS);
        for _ in 0..MAX_PUT_OFF {
            assert!(doubt.put_off(now));
            assert_eq!(doubt.due(now), None);
            now = EngineTime(now.ms().max(3 * HOUR_MS) + QUIET_MS);
            assert_eq!(doubt.due(now), hours);
        }
        assert!(!doubt.put_off(now), "often enough");
        assert_eq!(doubt.due(now), None);
    }

    #[test]
    fn the_hours_in_doubt_grow_by_those_of_another_shipment_and_are_due_at_once() {
        let mut doubt = Doubt::new(true);
        doubt.add(None);
        assert_eq!(doubt.due(EngineTime(0)), None);
        doubt.add(Some((HOUR_MS, HOUR_MS)));
        doubt.put_off(EngineTime(HOUR_MS));
        doubt.add(Some((-1, 5)));
        assert_eq!(doubt.due(EngineTime(HOUR_MS)), Some((-HOUR_MS, 2 * HOUR_MS)));
        doubt.settle();
        assert_eq!(doubt.due(EngineTime(9 * HOUR_MS)), None);
    }
}
