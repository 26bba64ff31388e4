//! A version's locks before and after their update, as lists of hours and of histories. Called by `firmware`, the slow
//! version of `firmware_errors`.
use super::case::{Sums, evidence, expected, ratio};
use std::collections::{BTreeMap, BTreeSet};
use zenei_detect::fleet::Sym;

/// By version, code, board and whether before the update; and what locks that were not updated did on each day.
#[derive(Default)]
pub(super) struct Pasts {
    pub(super) parts: BTreeMap<(Sym, Sym, Sym, bool), Sums>,
    pub(super) settled: BTreeMap<(Sym, i32), Sums>,
    pub(super) day: i32,
    /// Versions and codes whose locks have added their histories.
    pub(super) ready: BTreeSet<(Sym, Sym)>,
}

impl Pasts {
    /// Locks that were not updated: each day counts nine tenths of the one after it.
    pub(super) fn clock(&self, code: Sym) -> Sums {
        let of = self.settled.iter().filter(|((of, _), _)| *of == code);
        Sums::of(of.map(|(&(_, day), sums)| {
            let kept = 0.9_f64.powi(self.day - day);
            Sums(sums.0 * kept, sums.1 * kept)
        }))
    }

    pub(super) fn pace(&self, code: Sym) -> f64 {
        let clock = self.clock(code);
        (clock.0 + 10.0) / (clock.1 + 10.0)
    }

    /// After the update and before it.
    fn sides(&self, fw: Sym, code: Sym, of: impl Fn(Sym) -> bool) -> [Sums; 2] {
        let side = |earlier: bool| {
            let all = self.parts.range((fw, code, Sym::NONE, false)..=(fw, code, Sym(u32::MAX), true));
            Sums::of(all.filter(|((_, _, board, is), _)| *is == earlier && of(*board)).map(|(_, sums)| *sums))
        };
        let (after, before) = (side(false), side(true));
        if before.0 <= 0.0 {
            return [after, before];
        }
        let worth = 1.0 / (1.0 / before.0 + 1.0 / (self.clock(code).0 + 200.0));
        [after, Sums(worth, before.1 * worth / before.0)]
    }

    fn boards(&self, fw: Sym, code: Sym) -> BTreeSet<Sym> {
        let all = self.parts.range((fw, code, Sym::NONE, false)..=(fw, code, Sym(u32::MAX), true));
        all.map(|((_, _, board, _), _)| *board).collect()
    }

    /// The evidence, the board that shows it, and what is compared; `None` where nothing is known.
    pub(super) fn verdict(&self, fw: Sym, code: Sym, dispersion: f64) -> Option<(f64, Option<Sym>, [Sums; 2])> {
        let boards = self.boards(fw, code);
        if boards.is_empty() {
            return None;
        }
        let whole = self.sides(fw, code, |_| true);
        let of_all = evidence(whole, dispersion);
        let of = |board: Sym| self.sides(fw, code, |other| other == board);
        let known: Vec<Sym> = boards.into_iter().filter(|&board| board != Sym::NONE && of(board)[0].1 > 0.0).collect();
        if known.len() < 2 {
            return Some((of_all, None, whole));
        }
        let each: BTreeMap<Sym, f64> = known.iter().map(|&board| (board, evidence(of(board), dispersion))).collect();
        let mean = each.values().map(|of| (of - of_all).exp()).sum::<f64>() / each.len() as f64;
        let mut best = *known.first()?;
        for &board in &known {
            best = if each[&board] > each[&best] { board } else { best };
        }
        let (here, there) = (of(best), self.sides(fw, code, |other| other != best));
        let as_usual = expected(there);
        let as_here = as_usual * ratio(here);
        let sound = there[0].0 + 2.0 * as_here.sqrt() < as_here && there[0].0 <= as_usual + 2.0 * as_usual.sqrt();
        let evidence = of_all + (0.5 + 0.5 * mean).ln();
        Some(if each[&best] > of_all && sound { (evidence, Some(best), here) } else { (evidence, None, whole) })
    }

    /// Whether a code that was hardly known came about as much as others went.
    pub(super) fn is_renamed(&self, fw: Sym, code: Sym, known: &[Sym]) -> bool {
        let change = |code: Sym| {
            let of = |board: Sym| self.sides(fw, code, |other| other == board);
            let sum = |all: Vec<f64>| all.iter().sum::<f64>();
            let boards = self.boards(fw, code);
            (
                sum(boards.iter().map(|&board| of(board)[0].0).collect()),
                sum(boards.iter().map(|&board| expected(of(board))).collect()),
            )
        };
        let (events, usual) = change(code);
        let came = if usual <= 0.1 * events { events - usual } else { 0.0 };
        let others = known.iter().filter(|&&other| other != code).map(|&other| change(other));
        let fewer = others.filter(|(events, usual)| usual - events > 2.0 * usual.sqrt());
        let gone: f64 = fewer.map(|(events, usual)| usual - events).sum();
        came > 0.0 && gone >= 0.5 * came
    }
}
