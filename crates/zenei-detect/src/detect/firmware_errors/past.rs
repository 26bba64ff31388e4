//! A version's locks against the same locks before their update: the contrast that remains where a version soon covers
//! nearly all like locks.
//!
//! What a lock reported before its update says what to expect of it afterwards; what locks that were not updated
//! report of late, against their own past, says what the season, a holiday or a cloud does meanwhile. The evidence is
//! the Bayes factor of two Poisson rates with the scale-invariant prior of their common rate, which is an e-process
//! (Pérez-Ortiz, Lardy, de Heide, Grünwald 2024): over what was counted before and after, not over single hours. Must
//! not know a rule. Called by `firmware_errors`.
use super::cells::Sums;
use super::contrast::Contrast;
use crate::fleet::Sym;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Imagined events of locks that were not updated, at their own rate: with fewer real ones the pace is drawn to 1. A
/// guess.
const PACE_WEIGHT: f64 = 10.0;
/// What remains of those counts from one day to the next: ten days or so count, as long as weather and habits last. A
/// guess.
const PACE_KEPT: f64 = 0.9;
/// The past counts at most as so many events where no locks are there that were not updated: a season may change the
/// rate by a fourteenth unseen. A guess.
const PAST_MOST: f64 = 200.0;

/// What locks that were not updated report of late, and what their own past lets expect.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Clock(Sums);

impl Clock {
    pub(super) fn pace(&self) -> f64 {
        (self.0.events + PACE_WEIGHT) / (self.0.weight + PACE_WEIGHT)
    }

    /// Takes what locks reported that were not updated.
    pub(super) fn counts(&mut self, more: Sums) {
        self.0 = Sums { events: self.0.events + more.events, weight: self.0.weight + more.weight };
    }

    /// Ends a day.
    pub(super) fn fade(&mut self) {
        self.0 = Sums { events: PACE_KEPT * self.0.events, weight: PACE_KEPT * self.0.weight };
    }
}

/// One version and code: its locks after their update and before it, for each board revision.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Past {
    boards: BTreeMap<Sym, Own>,
    /// Whether the locks that run the version have added their history.
    pub(super) is_ready: bool,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Own {
    after: Sums,
    before: Sums,
}

/// What the past says about a version.
#[derive(Clone, Copy)]
pub(super) struct Verdict {
    /// Logarithm of the e-value.
    pub(super) evidence: f64,
    /// The board that shows it, where one does and others do not.
    pub(super) board: Option<Sym>,
    /// What is compared: of the board, or of all.
    pub(super) contrast: Contrast,
}

impl Own {
    fn add(&mut self, other: &Self) {
        for (sum, more) in [(&mut self.after, other.after), (&mut self.before, other.before)] {
            *sum = Sums { events: sum.events + more.events, weight: sum.weight + more.weight };
        }
    }

    /// As the two sides of a comparison: the past counts as no more events than its own and the clock's errors leave.
    fn contrast(&self, clock: &Clock) -> Contrast {
        let Self { after, before } = *self;
        let others = if before.events > 0.0 {
            let worth = (before.events.recip() + (clock.0.events + PAST_MOST).recip()).recip();
            Sums { events: worth, weight: before.weight * worth / before.events }
        } else {
            before
        };
        Contrast { tested: after, others }
    }
}

impl Past {
    /// Takes what updated locks with this board reported; the weight is what their past and the pace let expect.
    pub(super) fn counts(&mut self, board: Sym, after: Sums) {
        self.boards.entry(board).or_default().add(&Own { after, ..Own::default() });
    }

    /// Takes the history of a lock with this board.
    pub(super) fn joins(&mut self, board: Sym, before: Sums) {
        self.boards.entry(board).or_default().add(&Own { before, ..Own::default() });
    }

    /// Judges by the mean of the e-values of all boards together and of each alone.
    pub(super) fn verdict(&self, clock: &Clock, dispersion: f64) -> Verdict {
        let total = self.boards.values().fold(Own::default(), |mut sum, own| {
            sum.add(own);
            sum
        });
        let whole = total.contrast(clock);
        let of_all = whole.evidence(dispersion);
        let known = || self.boards.iter().filter(|(board, own)| **board != Sym::NONE && own.after.weight > 0.0);
        if known().count() < 2 {
            return Verdict { evidence: of_all, board: None, contrast: whole };
        }
        let mut best = (f64::NEG_INFINITY, None);
        let mut boards = 0.0;
        for (&board, own) in known() {
            let evidence = own.contrast(clock).evidence(dispersion);
            boards += libm::exp((evidence - of_all).min(700.0));
            best = if evidence > best.0 { (evidence, Some((board, *own))) } else { best };
        }
        let evidence = of_all + libm::log(0.5 + 0.5 * boards / known().count() as f64);
        match best.1.filter(|(board, own)| best.0 > of_all && self.is_alone(*board, own, clock)) {
            Some((board, own)) => Verdict { evidence, board: Some(board), contrast: own.contrast(clock) },
            None => Verdict { evidence, board: None, contrast: whole },
        }
    }

    /// Whether the other boards had enough exposure to show what this one shows, and do not.
    fn is_alone(&self, board: Sym, own: &Own, clock: &Clock) -> bool {
        let rest =
            self.boards.iter().filter(|(other, _)| **other != board).fold(Own::default(), |mut sum, (_, own)| {
                sum.add(own);
                sum
            });
        let (here, there) = (own.contrast(clock), rest.contrast(clock));
        // Two standard deviations of a Poisson count.
        let expected = there.expected();
        let as_here = expected * here.ratio();
        there.tested.events + 2.0 * libm::sqrt(as_here) < as_here
            && there.tested.events <= expected + 2.0 * libm::sqrt(expected)
    }

    /// Events after the update, and how many the past lets expect.
    pub(super) fn change(&self, clock: &Clock) -> (f64, f64) {
        let of = |own: &Own| (own.after.events, own.contrast(clock).expected());
        self.boards.values().map(of).fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
    }
}
