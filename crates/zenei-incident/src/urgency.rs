//! How soon a person must act, and why (根拠). One table for the detector and, later, for people who triage an inquiry.
//! Pure arithmetic over the rule's hint and the impact. Must not know incidents. Called by the casebook for each
//! finding that may open an incident and for each that adds evidence.
//!
//! The table is our default, and its figures are guesses: no maker has published theirs. The level is the highest that
//! any line gives:
//!
//! | line | level |
//! |---|---|
//! | the rule's urgency | its hint |
//! | a whole site | at least high |
//! | [`MANY_LOCKS`] locks or more | one above the hint |
//! | [`VERY_MANY_LOCKS`] locks or more | two above the hint |
use crate::wording::count;
use zenei_detect::{ScopeKind, Urgency};

/// So many locks raise the hint by one level. A guess: more than one household's or one office's doors.
pub const MANY_LOCKS: usize = 10;

/// So many locks raise the hint by two levels. A guess: 1 % of a firmware cohort of 10,000.
pub const VERY_MANY_LOCKS: usize = 100;

/// The facts of a fault from which its urgency follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impact {
    /// The highest urgency that a rule gave.
    pub hint: Urgency,
    /// The property that the affected locks share.
    pub scope: ScopeKind,
    /// How many locks have evidence.
    pub locks: usize,
}

/// A level with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// How soon a person must act.
    pub level: Urgency,
    /// Why (根拠).
    pub reason: String,
}

/// The level that the table gives.
pub fn assess(impact: Impact) -> Assessment {
    let locks = count(impact.locks, "lock");
    let mut lines = vec![(impact.hint, format!("the rule says {}; {locks} affected", impact.hint))];
    if impact.scope == ScopeKind::Site {
        lines.push((Urgency::High, format!("a whole site is affected ({locks} with evidence)")));
    }
    if impact.locks >= VERY_MANY_LOCKS {
        let level = above(above(impact.hint));
        lines.push((level, format!("{locks} affected, {VERY_MANY_LOCKS} or more: two levels above {}", impact.hint)));
    } else if impact.locks >= MANY_LOCKS {
        let level = above(impact.hint);
        lines.push((level, format!("{locks} affected, {MANY_LOCKS} or more: one level above {}", impact.hint)));
    }
    let mut best = Assessment { level: Urgency::Low, reason: String::new() };
    for (level, reason) in lines {
        if best.reason.is_empty() || level > best.level {
            best = Assessment { level, reason };
        }
    }
    best
}

fn above(level: Urgency) -> Urgency {
    match level {
        Urgency::Low => Urgency::Medium,
        Urgency::Medium => Urgency::High,
        Urgency::High | Urgency::Highest => Urgency::Highest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hint: Urgency, scope: ScopeKind, locks: usize, expected: &str) {
        let found = assess(Impact { hint, scope, locks });
        assert_eq!(format!("{}: {}", found.level, found.reason), expected);
    }

    #[test]
    fn every_level_has_a_reason() {
        use ScopeKind::{Device, Fw, Site};
        check(Urgency::Low, Device, 1, "low: the rule says low; 1 lock affected");
        check(Urgency::Medium, Fw, 9, "medium: the rule says medium; 9 locks affected");
        check(Urgency::Medium, Fw, 10, "high: 10 locks affected, 10 or more: one level above medium");
        check(Urgency::Low, Fw, 100, "high: 100 locks affected, 100 or more: two levels above low");
        check(Urgency::Low, Site, 3, "high: a whole site is affected (3 locks with evidence)");
        check(Urgency::Highest, Fw, 500, "highest: the rule says highest; 500 locks affected");
    }

    #[test]
    fn more_locks_never_lower_the_level() {
        for &hint in Urgency::ALL {
            let levels =
                [1, 9, 10, 99, 100, 10_000].map(|locks| assess(Impact { hint, scope: ScopeKind::Fw, locks }).level);
            assert!(levels.is_sorted());
            assert!(levels[0] == hint);
        }
    }
}
