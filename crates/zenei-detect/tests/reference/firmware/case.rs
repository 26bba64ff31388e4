//! One version and code under test, as a list of hours. Called by `firmware`, the slow version of `firmware_errors`.
use super::{Group, Like};
use crate::estimators::evidence_by_summation;
use std::collections::{BTreeMap, BTreeSet};
use zenei_detect::estimate::eprocess::RATIOS;
use zenei_detect::fleet::Sym;

/// Events, and how many are expected.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums(pub(super) f64, pub(super) f64);

/// One hour of a version and code.
#[derive(Default)]
pub(super) struct Hour {
    /// Gains of each ratio of rates, against all and within sites.
    gains: [[f64; RATIOS.len()]; 2],
    tested: Sums,
    others: Sums,
    sites: BTreeMap<Sym, Sums>,
    boards: BTreeMap<Sym, Sums>,
}

#[derive(Default)]
pub(super) struct Case {
    pub(super) hours: Vec<Hour>,
    pub(super) started_ms: i64,
    pub(super) alarms: Vec<(i64, f64)>,
    pub(super) named: Option<Option<Sym>>,
    pub(super) noted: bool,
}

impl Sums {
    pub(super) fn add(&mut self, other: Self) {
        (self.0, self.1) = (self.0 + other.0, self.1 + other.1);
    }

    pub(super) fn of(all: impl Iterator<Item = Self>) -> Self {
        let mut sum = Self::default();
        all.for_each(|of| sum.add(of));
        sum
    }
}

/// Logarithms of the likelihood ratios of an hour's events, given how many there were in both.
fn gains(tested: Sums, others: Sums, dispersion: f64) -> [f64; RATIOS.len()] {
    if tested.1 <= 0.0 || others.1 <= 0.0 {
        return [0.0; RATIOS.len()];
    }
    let share = |ratio: f64| tested.1 * ratio / (tested.1 * ratio + others.1);
    let of = |ratio: f64| {
        tested.0 * (share(ratio) / share(1.0)).ln() + others.0 * ((1.0 - share(ratio)) / (1.0 - share(1.0))).ln()
    };
    RATIOS.map(|ratio| of(ratio) / dispersion)
}

impl Case {
    /// Evidence against all, and within sites.
    pub(super) fn evidence(&self) -> [f64; 2] {
        [0, 1].map(|which| {
            let mut sums = [0.0; RATIOS.len()];
            for hour in &self.hours {
                sums.iter_mut().zip(hour.gains[which]).for_each(|(sum, gain)| *sum += gain);
            }
            let top = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            top + (sums.iter().map(|sum| (sum - top).exp()).sum::<f64>() / RATIOS.len() as f64).ln()
        })
    }

    pub(super) fn tested(&self) -> Sums {
        Sums::of(self.hours.iter().map(|hour| hour.tested))
    }

    pub(super) fn others(&self) -> Sums {
        Sums::of(self.hours.iter().map(|hour| hour.others))
    }

    fn by(&self, of: fn(&Hour) -> &BTreeMap<Sym, Sums>) -> BTreeMap<Sym, Sums> {
        let mut all: BTreeMap<Sym, Sums> = BTreeMap::new();
        for (&key, &sums) in self.hours.iter().flat_map(of) {
            all.entry(key).or_default().add(sums);
        }
        all
    }

    /// The one board at fault, where another one had enough exposure without the errors.
    pub(super) fn board(&self) -> Option<Sym> {
        let rate = self.others().0 / self.others().1.max(1e-9);
        let mut boards = self.by(|hour| &hour.boards);
        boards.retain(|board, sums| *board != Sym::NONE && sums.1 > 0.0);
        let excess = |sums: &Sums| sums.0 - sums.1 * rate;
        let (worst, worst_sums) = boards.iter().max_by(|a, b| excess(a.1).total_cmp(&excess(b.1)))?;
        let rest = Sums::of(boards.iter().filter(|(board, _)| *board != worst).map(|(_, sums)| *sums));
        let expected = rest.1 * rate;
        let is_sound = expected >= 2.0 && rest.0 <= expected + 2.0 * expected.sqrt();
        let share = excess(worst_sums) / (excess(worst_sums) + (rest.0 - expected).max(0.0));
        (is_sound && share >= 0.8).then_some(*worst)
    }

    /// A comparison without the share of the site of the largest excess, in which no lock counts for more than `most`;
    /// `None` with one site alone.
    pub(super) fn without_loudest(&self, of: [Sums; 2], mut reports: Vec<f64>, each_once: bool) -> Option<[Sums; 2]> {
        let sites: Vec<Sums> = self.by(|hour| &hour.sites).into_values().collect();
        if sites.iter().filter(|sums| sums.1 > 0.0).count() < 2 {
            return None;
        }
        let worst = sites.iter().max_by(|a, b| (a.0 - a.1).total_cmp(&(b.0 - b.1))).copied().unwrap_or_default();
        let all = Sums::of(sites.into_iter());
        reports.sort_by(|a, b| b.total_cmp(a));
        let at = (reports.len() / 20).max(1);
        let most = if each_once { 1.0 } else { reports.get(at).copied().unwrap_or(0.0) };
        let loudest: f64 = reports.iter().map(|count| (count - most).max(0.0)).sum();
        let kept = |part: f64, all: f64| if all > 0.0 { (1.0 - part / all).max(0.0) } else { 1.0 };
        let events = (of[0].0 * kept(worst.0, all.0) - loudest).max(0.0);
        Some([Sums(events, of[0].1 * kept(worst.1, all.1)), of[1]])
    }
}

/// The ratio of rates of two sides, with half an event added to the second.
pub(super) fn ratio([tested, others]: [Sums; 2]) -> f64 {
    (tested.0 / tested.1.max(1e-9)) / ((others.0 + 0.5) / others.1.max(1e-9))
}

/// Events expected of the first side by the rate of the second.
pub(super) fn expected([tested, others]: [Sums; 2]) -> f64 {
    if others.1 > 0.0 { tested.1 * others.0 / others.1 } else { 0.0 }
}

/// The evidence of two sides' counts alone.
pub(super) fn evidence([tested, others]: [Sums; 2], dispersion: f64) -> f64 {
    if tested.1 <= 0.0 || others.1 <= 0.0 {
        return 0.0;
    }
    evidence_by_summation(&[(tested.0, tested.1, others.0, others.1, dispersion)])
}

/// The least ratio, in steps of a hundredth, that would be as much evidence.
pub(super) fn least_ratio(sides: [Sums; 2], limit: f64, dispersion: f64) -> f64 {
    let with = |ratio: f64| [Sums(ratio * expected(sides), sides[0].1), sides[1]];
    let mut ratio = 1.0;
    while ratio < 100.0 && evidence(with(ratio), dispersion) < limit {
        ratio *= 1.01;
    }
    ratio
}

/// Splits the groups' sums of an hour for a version: all of its locks are taken out of the others, those under test are
/// compared.
pub(super) fn hour(sums: &[(Group, Sums)], fw: Sym, dispersion: f64) -> Hour {
    let mut hour = Hour::default();
    let tests = |group: &Group| group.tested && group.fw == fw;
    let likes: BTreeSet<Like> = sums.iter().filter(|(group, _)| group.fw == fw).map(|(group, _)| group.like).collect();
    let add = |gains: &mut [f64; RATIOS.len()], more: [f64; RATIOS.len()]| {
        gains.iter_mut().zip(more).for_each(|(gain, more)| *gain += more);
    };
    for like in likes {
        let of = |keep: &dyn Fn(&Group) -> bool| {
            Sums::of(sums.iter().filter(|(group, _)| group.like == like && keep(group)).map(|(_, sums)| *sums))
        };
        let (tested, others) = (of(&tests), of(&|group| group.fw != fw));
        add(&mut hour.gains[0], gains(tested, others, dispersion));
        if others.1 > 0.0 {
            hour.boards.entry(like.1).or_default().add(tested);
        }
        if tested.1 > 0.0 && others.1 > 0.0 {
            hour.tested.add(tested);
            hour.others.add(others);
        }
        let sites: BTreeSet<Sym> = sums.iter().map(|(group, _)| group.site).collect();
        for site in sites {
            let tested = of(&|group| tests(group) && group.site == site);
            let others = of(&|group| group.fw != fw && group.site == site);
            add(&mut hour.gains[1], gains(tested, others, dispersion));
        }
    }
    for (group, of) in sums.iter().filter(|(group, _)| tests(group)) {
        hour.sites.entry(group.site).or_default().add(*of);
    }
    hour
}
