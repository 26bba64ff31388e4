//! The state of each lock and kind of lock in the comparison of firmware versions: which codes it reported, which
//! version it runs since when, and which locks form one group. Must not know a rule. Called by `firmware_errors`.
use crate::fleet::Sym;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Imagined events in a lock's own history, at its peers' rate: one, so that a lock without history is like its peers.
pub(super) const HISTORY_WEIGHT: f64 = 1.0;

/// The rate of a code that a kind of lock never reported: once in 27 years of a lock. A guess; it makes a new code
/// comparable, and its size cancels between the version's locks and the others.
pub(super) const RARE_PER_DAY: f64 = 1e-4;

/// Locks that may be compared: one model, one board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Like {
    pub(super) model: Sym,
    pub(super) hw_rev: Sym,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Role {
    /// On its version since before it was watched, or for long.
    #[default]
    Settled,
    /// Updated while watched: its version is under test.
    Updated,
    /// Updated, but with too little history from before the update.
    Unknown,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lane {
    pub(super) fw: Sym,
    pub(super) role: Role,
    pub(super) since_ms: i64,
    pub(super) history_days: f32,
    pub(super) group: Option<u32>,
    /// The version whose comparison with the past has this lock's history.
    pub(super) joined: Sym,
    pub(super) codes: Vec<CodeCount>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct CodeCount {
    pub(super) code: Sym,
    pub(super) history: f32,
    pub(super) today: u16,
    pub(super) hour: i64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Rate {
    pub(super) events: f64,
    pub(super) lock_days: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) like: Like,
    pub(super) site: Sym,
    pub(super) fw: Sym,
    pub(super) updated: bool,
}

impl Lane {
    /// Events expected of this lock relative to its peers: its own history, drawn to 1.
    pub(super) fn propensity(&self, own: Option<&CodeCount>, rate: f64) -> f64 {
        let own = own.map_or(0.0, |count| f64::from(count.history));
        (own + HISTORY_WEIGHT) / (rate * f64::from(self.history_days) + HISTORY_WEIGHT)
    }

    /// What it reported of this code.
    pub(super) fn own(&self, code: Sym) -> Option<&CodeCount> {
        self.codes.iter().find(|count| count.code == code)
    }
}

impl Rate {
    /// Events per lock and day, as they were.
    pub(super) fn mean(&self) -> f64 {
        if self.lock_days > 0.0 { self.events / self.lock_days } else { 0.0 }
    }

    /// Events per lock and day to expect; a code is never rarer than [`RARE_PER_DAY`].
    pub(super) fn per_day(&self) -> f64 {
        self.mean().max(RARE_PER_DAY)
    }
}

/// The rates of a kind by their places in `codes`, so that a day goes through them in order; each code that was ever
/// reported gets one.
pub(super) fn rates_of(
    like: Like,
    heard: &[Sym],
    rates: &mut BTreeMap<(Like, Sym), Rate>,
    codes: &[(Sym, f64, f64)],
) -> Vec<(usize, Rate)> {
    heard.iter().for_each(|&code| _ = rates.entry((like, code)).or_default());
    let of_kind = rates.range((like, Sym::NONE)..=(like, Sym(u32::MAX)));
    let place = |code: Sym| codes.partition_point(|&(other, ..)| other < code);
    of_kind.map(|(&(_, code), &rate)| (place(code), rate)).collect()
}
