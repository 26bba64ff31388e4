//! The layout of the comparison of firmware versions: which groups of locks are compared, and how many errors each
//! version is expected to have in an hour without events. It is computed once a day, so that an hour costs only the
//! events in it. It must not hold state that a snapshot needs. Called by `firmware_errors`.
use super::groups::{Group, Like};
use crate::fleet::Sym;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Events of an hour, and the events expected in it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Sums {
    pub(super) events: f64,
    pub(super) weight: f64,
}

/// Which groups are alike, which belong to one kind and site, and which run a version under test; computed once a day.
pub(super) struct Cells {
    pub(super) likes: usize,
    pub(super) places: usize,
    /// For each group: the number of its kind, and that of its kind and site.
    pub(super) of_group: Vec<(usize, usize)>,
    /// For each group: whether it is under test.
    pub(super) tested: Vec<bool>,
    pub(super) versions: Vec<Version>,
    /// For each code: an hour without an event; emptied where a weight has changed.
    pub(super) quiet: BTreeMap<Sym, Quiet>,
}

/// A version under test.
pub(super) struct Version {
    pub(super) fw: Sym,
    pub(super) members: Vec<Member>,
    /// The kinds that it runs on, by number, each with its board.
    pub(super) likes: Vec<(usize, Sym)>,
    /// The kinds and sites that it runs on, by number.
    pub(super) places: Vec<usize>,
    /// The groups under test by their sites.
    pub(super) by_site: Vec<(Sym, usize)>,
}

/// A group that runs the version.
pub(super) struct Member {
    pub(super) at: usize,
    /// Places in the version's own lists.
    pub(super) like: usize,
    pub(super) place: usize,
    pub(super) updated: bool,
}

impl Cells {
    pub(super) fn of(groups: &[Group]) -> Self {
        let mut likes: BTreeMap<Like, usize> = BTreeMap::new();
        let mut places: BTreeMap<(Like, Sym), usize> = BTreeMap::new();
        let mut of_group = Vec::with_capacity(groups.len());
        for group in groups {
            let (next_like, next_place) = (likes.len(), places.len());
            let like = *likes.entry(group.like).or_insert(next_like);
            of_group.push((like, *places.entry((group.like, group.site)).or_insert(next_place)));
        }
        let tested = groups.iter().map(|group| group.updated).collect();
        let fws: BTreeSet<Sym> = groups.iter().filter(|group| group.updated).map(|group| group.fw).collect();
        let versions = fws.into_iter().map(|fw| Version::of(fw, groups, &of_group)).collect();
        Self { likes: likes.len(), places: places.len(), of_group, tested, versions, quiet: BTreeMap::new() }
    }
}

impl Version {
    pub(super) fn of(fw: Sym, groups: &[Group], of_group: &[(usize, usize)]) -> Self {
        let mine = || groups.iter().enumerate().filter(|(_, group)| group.fw == fw);
        let mut likes: Vec<(usize, Sym)> = mine().map(|(at, group)| (of_group[at].0, group.like.hw_rev)).collect();
        let mut places: Vec<usize> = mine().map(|(at, _)| of_group[at].1).collect();
        let mut by_site: Vec<(Sym, usize)> =
            mine().filter(|(_, group)| group.updated).map(|(at, group)| (group.site, at)).collect();
        by_site.sort_unstable();
        likes.sort_unstable();
        likes.dedup();
        places.sort_unstable();
        places.dedup();
        let members = mine().map(|(at, group)| Member {
            at,
            like: likes.partition_point(|&(like, _)| like < of_group[at].0),
            place: places.partition_point(|&place| place < of_group[at].1),
            updated: group.updated,
        });
        Self { fw, members: members.collect(), likes, places, by_site }
    }
}

/// One code's hour for one version under test.
pub(super) struct Hour<'a> {
    pub(super) code: Sym,
    /// Groups with events.
    pub(super) heard: &'a [usize],
    /// For each group.
    pub(super) events: &'a [f64],
    pub(super) cells: &'a Cells,
    pub(super) quiet: &'a Quiet,
    pub(super) quiet_version: &'a QuietVersion,
}

/// One code's hour without an event: what is expected. Hours with events differ from it in a few places.
pub(super) struct Quiet {
    /// For each group.
    pub(super) weights: Vec<f64>,
    /// Of all groups that are not under test.
    pub(super) settled: f64,
    /// For each version under test.
    pub(super) versions: Vec<QuietVersion>,
}

/// A version under test against the others, on each of its kinds and in each of its places.
pub(super) struct QuietVersion {
    pub(super) all: Vec<Split>,
    pub(super) within: Vec<Split>,
}

impl Quiet {
    pub(super) fn of(cells: &Cells, per_day: &[f64]) -> Self {
        let weights: Vec<f64> = per_day.iter().map(|weight| weight / 24.0).collect();
        let mut likes = vec![0.0; cells.likes];
        let mut places = vec![0.0; cells.places];
        let tested = |at: &usize| cells.tested[*at];
        let settled = (0..weights.len()).filter(|at| !tested(at)).map(|at| weights[at]).sum();
        for (weight, &(like, place)) in weights.iter().zip(&cells.of_group) {
            likes[like] += weight;
            places[place] += weight;
        }
        // The version's part, and the others' part without all of the version.
        let of_version = |version: &Version| {
            let mut all: Vec<Split> = version.likes.iter().map(|&(like, _)| Split::new(likes[like])).collect();
            let mut within: Vec<Split> = version.places.iter().map(|&place| Split::new(places[place])).collect();
            for &Member { at, like, place, updated } in &version.members {
                all[like].take(weights[at], updated);
                within[place].take(weights[at], updated);
            }
            QuietVersion { all, within }
        };
        Self { versions: cells.versions.iter().map(of_version).collect(), settled, weights }
    }
}

/// A version under test against the others.
#[derive(Clone, Copy)]
pub(super) struct Split {
    pub(super) tested: Sums,
    pub(super) others: Sums,
}

impl Split {
    pub(super) fn new(weight: f64) -> Self {
        Self { tested: Sums::default(), others: Sums { events: 0.0, weight } }
    }

    /// Takes the weight of a group of the version out of the others; only updated locks are under test.
    fn take(&mut self, weight: f64, updated: bool) {
        self.others.weight -= weight;
        // The rounding error of a difference of equal sums is no weight.
        if self.others.weight < 1e-9 {
            self.others.weight = 0.0;
        }
        if updated {
            self.tested.weight += weight;
        }
    }
}
