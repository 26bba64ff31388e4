//! One firmware version and error code under test: what was observed on the version's locks and on the others, and what
//! follows from it. Must not know a rule. Called by `firmware_errors`.
use super::cells::{Split, Sums};
use super::contrast::Contrast;
use crate::estimate::eprocess::RateRatio;
use crate::fleet::{DeviceIx, Sym};
use crate::lock::RecordRef;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The share of all excess errors that one board revision must have to be named. A guess.
const BOARD_SHARE: f64 = 0.8;

/// One version and code under test.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Case {
    pub(super) all: RateRatio,
    pub(super) within: RateRatio,
    pub(super) started_ms: i64,
    pub(super) lock_days: f64,
    pub(super) events: f64,
    pub(super) weight: f64,
    pub(super) others: f64,
    pub(super) others_weight: f64,
    pub(super) sites: BTreeMap<Sym, (f64, f64)>,
    /// Events and what is expected of them by the others' rate, for each board revision.
    pub(super) boards: BTreeMap<Sym, (f64, f64)>,
    /// The board revision that was named when it was first reported: a finding keeps its scope.
    pub(super) named: Option<Option<Sym>>,
    pub(super) locks: BTreeMap<DeviceIx, (u32, RecordRef)>,
    pub(super) alarm: Option<(i64, f64)>,
    pub(super) noted: bool,
}

impl Case {
    /// Adds an hour of the version against the others: on each kind of lock, with its board revision, and in each place
    /// that had an event.
    pub(super) fn add(
        &mut self,
        kinds: impl Iterator<Item = (Split, Sym)>,
        places: impl Iterator<Item = Split>,
        dispersion: f64,
    ) {
        for (Split { tested, others }, hw_rev) in kinds {
            if others.weight > 0.0 {
                let board = self.boards.entry(hw_rev).or_default();
                *board = (board.0 + tested.events, board.1 + tested.weight);
            }
            if tested.weight > 0.0 && others.weight > 0.0 {
                self.all.add(tested.events, tested.weight, others.events, others.weight, dispersion);
                self.events += tested.events;
                self.weight += tested.weight;
                self.others += others.events;
                self.others_weight += others.weight;
            }
        }
        for Split { tested, others } in places {
            self.within.add(tested.events, tested.weight, others.events, others.weight, dispersion);
        }
    }

    /// The version against the others.
    pub(super) fn contrast(&self) -> Contrast {
        let (events, weight) = (self.others, self.others_weight);
        let tested = Sums { events: self.events, weight: self.weight };
        Contrast { tested, others: Sums { events, weight } }
    }

    /// The one board revision on which the version makes more errors, where it does not on other boards.
    pub(super) fn board(&self) -> Option<Sym> {
        let rate = self.others / self.others_weight.max(1e-9);
        let excess = |&(events, weight): &(f64, f64)| events - weight * rate;
        let known = || self.boards.iter().filter(|(board, (_, weight))| **board != Sym::NONE && *weight > 0.0);
        let (&worst, of_worst) = known().max_by(|(_, a), (_, b)| excess(a).total_cmp(&excess(b)))?;
        let rest = known().filter(|(board, _)| **board != worst);
        let (events, weight) = rest.fold((0.0, 0.0), |sum, (_, of)| (sum.0 + of.0, sum.1 + of.1));
        let expected = weight * rate;
        // Two standard deviations of a Poisson count: the other boards must have had enough exposure without the
        // errors.
        let others_are_sound = expected >= 2.0 && events <= expected + 2.0 * libm::sqrt(expected);
        (others_are_sound && excess(of_worst) >= BOARD_SHARE * (excess(of_worst) + (events - expected).max(0.0)))
            .then_some(worst)
    }

    /// A comparison without the site of the largest excess, in which no lock counts more than the least of the
    /// twentieth that report most (at least two locks): a version makes many locks report a little more, and among many
    /// locks some report more by chance. With `each_once` a lock counts once. `None` with one site alone.
    pub(super) fn without_loudest(&self, of: Contrast, each_once: bool) -> Option<Contrast> {
        let excess = |&&(events, weight): &&(f64, f64)| events - weight;
        let &(events, weight) = self.sites.values().max_by(|a, b| excess(a).total_cmp(&excess(b)))?;
        if self.sites.values().filter(|(_, weight)| *weight > 0.0).count() < 2 {
            return None;
        }
        let all = self.sites.values().fold((0.0, 0.0), |sum, site| (sum.0 + site.0, sum.1 + site.1));
        let kept = |part: f64, all: f64| if all > 0.0 { (1.0 - part / all).max(0.0) } else { 1.0 };
        let mut loud: Vec<u32> = self.locks.values().map(|&(count, _)| count).collect();
        loud.sort_unstable_by(|a, b| b.cmp(a));
        let most = if each_once { 1 } else { loud.get((loud.len() / 20).max(1)).copied().unwrap_or(0) };
        let loudest: u32 = loud.iter().map(|&count| count.saturating_sub(most)).sum();
        let Sums { events: tested, weight: expected } = of.tested;
        let rest = (tested * kept(events, all.0) - f64::from(loudest)).max(0.0);
        Some(Contrast { tested: Sums { events: rest, weight: expected * kept(weight, all.1) }, ..of })
    }
}
