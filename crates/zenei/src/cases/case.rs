//! A test case of a rule: a small stream of synthetic records (or the path of a recording), and the incidents that
//! must result. Must not know a case file's format, a rule or a detector. Built by `read`; `records` makes the
//! messages of a stream, and `cases` runs the case.
use super::formula::Formula;
use serde::Deserialize;
use std::collections::BTreeMap;
use zenei_detect::{Component, Domain, ScopeKind};

/// The labels of a lock, by the contract, and its site.
pub(crate) const LABELS: [&str; 8] = ["site", "model", "hw_rev", "lot", "fw", "service", "gw", "client_version"];
/// The names that a formula may use besides signals.
pub(crate) const KNOWN: [&str; 7] = ["day", "hour", "lock", "since", "uptime_h", "x", "absent"];

/// A case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Case {
    /// What the case shows, for people.
    pub(crate) why: String,
    /// Whether the rule runs without the others, so that their findings on missing records do not matter.
    pub(crate) alone: bool,
    /// Where the records come from.
    pub(crate) input: Input,
    /// The incidents that must result, and no other.
    pub(crate) expect: Vec<Expected>,
}

/// Where a case's records come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    /// They are generated.
    Made(Box<Stream>),
    /// A recording; the path is relative to the case's file.
    Recording(String),
}

/// A stream to generate.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stream {
    /// Chooses every random number.
    pub(crate) seed: u64,
    /// How long, days.
    pub(crate) days: f64,
    /// How many locks: `L00`, `L01`, …
    pub(crate) locks: usize,
    /// The locks' labels: each list is assigned to the locks in turn.
    pub(crate) labels: BTreeMap<String, Vec<String>>,
    /// Numbers that formulas name.
    pub(crate) signals: BTreeMap<String, Formula>,
    /// The records that the locks send, and when.
    pub(crate) records: Vec<RecordKind>,
    /// Differences of some locks during some time.
    pub(crate) changes: Vec<Change>,
    /// Events at a time.
    pub(crate) events: Vec<Event>,
    /// Restarts of the firmware.
    pub(crate) restarts: Vec<Restart>,
    /// Records that are lost or late.
    pub(crate) gaps: Vec<Gap>,
}

/// One kind of record that each lock sends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecordKind {
    /// The topic's last level.
    pub(crate) kind: String,
    /// When.
    pub(crate) when: When,
    /// Its numbers.
    pub(crate) numbers: BTreeMap<String, Formula>,
    /// Its words.
    pub(crate) words: BTreeMap<String, Words>,
    /// Its current profile: how many samples, and their formula over `x` from 0 to 1.
    pub(crate) profile: Option<(usize, Formula)>,
}

/// How often a record is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum When {
    /// Every so many hours, each lock at its own offset.
    Every(f64),
    /// At random, this many a day (Poisson).
    PerDay(Formula),
}

/// The word of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Words {
    /// These in turn.
    InTurn(Vec<String>),
    /// Each with a probability; otherwise the last one.
    ByChance(Vec<(String, Formula)>, String),
}

/// Locks and a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Part {
    /// Their names; `None` means all.
    pub(crate) locks: Option<Vec<String>>,
    /// Only each so-many-th.
    pub(crate) every: Option<usize>,
    /// Only of this site.
    pub(crate) site: Option<String>,
    /// From which day.
    pub(crate) from_day: f64,
    /// Up to which day.
    pub(crate) to_day: f64,
}

/// A difference.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// Which locks, and when.
    pub(crate) part: Part,
    /// Signals with another formula.
    pub(crate) signals: BTreeMap<String, Formula>,
    /// Labels with another value.
    pub(crate) labels: BTreeMap<String, String>,
}

/// An event of a lock, at the beginning of its part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// Which locks, and when.
    pub(crate) part: Part,
    /// The contract's word.
    pub(crate) event: String,
}

/// Restarts of a lock's firmware: this many a day at random, or one at the beginning of its part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Restart {
    /// Which locks, and when.
    pub(crate) part: Part,
    /// This many a day; `None` means one.
    pub(crate) per_day: Option<Formula>,
    /// The contract's word.
    pub(crate) reset_reason: String,
}

/// A gap.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gap {
    /// Which locks, and when.
    pub(crate) part: Part,
    /// Which kind.
    pub(crate) kind: GapKind,
    /// Of which share of the records, 0 to 1.
    pub(crate) share: f64,
}

/// What happens to records in a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GapKind {
    /// The lock sends nothing: its sequence numbers continue without a hole.
    Silent,
    /// It sends, and nothing arrives: a hole in its sequence numbers.
    Lost,
    /// Its records arrive at the end of the gap, all at once and in order.
    Backlog,
    /// Its records arrive twice: no gap, but a fault of the link as well.
    Twice,
}

/// An incident that must result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expected {
    /// The rule that opened it.
    pub(crate) rule: String,
    /// Scope kind.
    pub(crate) scope_kind: ScopeKind,
    /// Scope value.
    pub(crate) scope_value: String,
    /// Its domain.
    pub(crate) domain: Domain,
    /// Its component.
    pub(crate) component: Component,
    /// Opened within these days of the stream's start.
    pub(crate) days: (f64, f64),
}

impl Case {
    /// Whether it may contain a gap: a stream with one, and any recording, because its content is unknown beforehand.
    pub(crate) fn may_have_gap(&self) -> bool {
        match &self.input {
            Input::Made(stream) => stream.gaps.iter().any(|gap| gap.kind != GapKind::Twice),
            Input::Recording(_) => true,
        }
    }
}

impl Part {
    /// Whether it includes this lock.
    pub(crate) fn has(&self, lock: usize, name: &str, site: &str) -> bool {
        self.locks.as_ref().is_none_or(|locks| locks.iter().any(|known| known == name))
            && self.every.is_none_or(|every| lock.is_multiple_of(every))
            && self.site.as_ref().is_none_or(|known| known == site)
    }

    /// Whether it includes this day.
    pub(crate) fn lasts(&self, day: f64) -> bool {
        (self.from_day..self.to_day).contains(&day)
    }
}

/// The name of a generated lock.
pub(crate) fn lock_name(lock: usize) -> String {
    format!("L{lock:02}")
}
