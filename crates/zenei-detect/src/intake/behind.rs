//! Records that are not next in their lock's order: late ones, repetitions, numbers that are used again, numbers far
//! beyond all others, and what begins a new life of the lock (telemetry contract). Must not know labels or detectors.
//! Called by `intake`.
use super::Intake;
use super::place::{Seen, is_installed};
use super::sequence::Known;
use crate::batch::{Batch, Row, Succession};

impl Intake {
    /// Takes a record behind the newest one released: it fills a hole that was given up, it lies where nothing was
    /// received so far, it is a duplicate, its numbers are used again, or it begins a new life.
    pub(super) fn take_behind(&mut self, seen: Seen, mut row: Row, batch: &mut Batch) {
        let lane = &mut self.lanes[row.device.0 as usize];
        let known = lane.order.known(seen.place);
        if known == Known::Heard && lane.order.is_repeated_by(&seen) {
            return self.drop_repeated(&row, batch);
        }
        if is_installed(&row) {
            return self.begin_life(&[], seen, row, batch);
        }
        let is_later = lane.order.past.is_before(&seen);
        if let Some(before) = lane.contradict(seen) {
            row.succession = Succession::Restarted;
            return self.begin_life(&before, seen, row, batch);
        }
        let missing_before = lane.order.missing();
        row.succession = match known {
            Known::Heard => Succession::Reused,
            Known::Missing | Known::Forgotten if is_later => Succession::Backward,
            Known::Missing | Known::Forgotten => Succession::Usual,
        };
        if known == Known::Missing {
            lane.order.fill(seen.place);
        }
        if row.succession == Succession::Usual && known == Known::Missing {
            lane.order.past.note_late(&seen, lane.order.newest);
        } else {
            lane.recent.remember(seen.content);
        }
        self.missing = (self.missing + lane.order.missing()).saturating_sub(missing_before);
        self.release_late(row, batch);
    }

    /// Takes a record of the life before the present one: a duplicate, or late.
    pub(super) fn take_ended(&mut self, seen: Seen, mut row: Row, batch: &mut Batch) {
        let lane = &mut self.lanes[row.device.0 as usize];
        let is_later = lane.order.past.is_before(&seen);
        let Some(order) = lane.ended(&seen, is_installed(&row)) else { return };
        let known = order.known(seen.place);
        if known == Known::Heard && order.is_repeated_by(&seen) {
            return self.drop_repeated(&row, batch);
        }
        row.life = row.life.saturating_sub(1);
        row.succession = match known {
            Known::Heard => Succession::Reused,
            Known::Missing | Known::Forgotten if is_later => Succession::Backward,
            Known::Missing | Known::Forgotten => Succession::Usual,
        };
        if known == Known::Missing {
            let missing_before = order.missing();
            order.fill(seen.place);
            order.newest = order.newest.max(Some(seen.place));
            self.missing = (self.missing + order.missing()).saturating_sub(missing_before);
        }
        lane.recent.remember(seen.content);
        if let Some(before) = lane.contradict(seen) {
            (row.life, row.succession) = (lane.life, Succession::Restarted);
            return self.begin_life(&before, seen, row, batch);
        }
        self.release_late(row, batch);
    }

    /// Takes a record whose numbers are far beyond the newest: it is stored, and moves nothing until the lock's next
    /// record continues it.
    pub(super) fn take_ahead(&mut self, seen: Seen, mut row: Row, batch: &mut Batch) {
        let lane = &mut self.lanes[row.device.0 as usize];
        lane.set_ahead(seen);
        lane.recent.remember(seen.content);
        row.succession = Succession::Ahead;
        self.release_late(row, batch);
    }

    /// Takes a record whose numbers another one uses that still waits.
    pub(super) fn take_reused(&mut self, seen: Seen, mut row: Row, batch: &mut Batch) {
        self.lanes[row.device.0 as usize].recent.remember(seen.content);
        row.succession = Succession::Reused;
        self.release_late(row, batch);
    }

    /// Goes on from a record far beyond the newest, which the next one continues.
    pub(super) fn leap(&mut self, ahead: &Seen, row: &Row, batch: &mut Batch) {
        self.release_all(row.device, batch);
        self.lanes[row.device.0 as usize].order.leap(ahead);
    }

    /// Begins a new life with this record; `before` are those that were released before, and belong to it.
    fn begin_life(&mut self, before: &[Seen], seen: Seen, mut row: Row, batch: &mut Batch) {
        // What still waits belongs to the life that ends.
        self.release_all(row.device, batch);
        let lane = &mut self.lanes[row.device.0 as usize];
        lane.begin_life(before, &seen);
        row.life = lane.life;
        batch.lives += 1;
        self.release(seen, row, batch);
    }

    /// Releases a record that is not of the order: its labels affect no other record.
    fn release_late(&mut self, mut row: Row, batch: &mut Batch) {
        let lane = &mut self.lanes[row.device.0 as usize];
        row.late = true;
        row.released_at = self.now;
        let said = lane.said;
        lane.stamp(&mut row);
        lane.said = said;
        batch.late += 1;
        batch.reused += u64::from(row.succession == Succession::Reused);
        batch.rows.push(row);
    }
}
