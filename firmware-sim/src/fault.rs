//! What a concrete fault is: which lock, gateway, version or region has it, from when to when, and how strong it is at
//! a time. A fault acts through physics, rates, the link or the encoding of a field; no record names it. Must not know
//! random numbers. Made by `plan`; called by `ailment`, `gateway`, `operation`, `message` and `truth`.
use crate::scenario::{DriftField, DriftKind, Single};

/// A growing quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ramp {
    pub(crate) onset_ms: i64,
    pub(crate) until_ms: i64,
    pub(crate) ramp_ms: f64,
    pub(crate) strength: f64,
    pub(crate) power: f64,
    /// Whether it keeps its strength from the end of the ramp; otherwise it grows on.
    pub(crate) holds: bool,
}

impl Ramp {
    /// Its strength at a time; 0 before the onset and after the repair.
    pub(crate) fn value(&self, at_ms: i64) -> f64 {
        if !self.is_on(at_ms) {
            return 0.0;
        }
        let along = if self.ramp_ms > 0.0 { (at_ms - self.onset_ms) as f64 / self.ramp_ms } else { 1.0 };
        let along = if self.holds { along.min(1.0) } else { along };
        self.strength * along.powf(self.power)
    }

    /// Whether it has begun and is not repaired.
    pub(crate) fn is_on(&self, at_ms: i64) -> bool {
        (self.onset_ms..self.until_ms).contains(&at_ms)
    }
}

/// A share of requests that come late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Late {
    pub(crate) share: f64,
    pub(crate) ms: f64,
}

/// A firmware version's bug; versions, codes and revisions by their place in the scenario.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bug {
    pub(crate) version: usize,
    pub(crate) harm: Harm,
}

/// What a bug does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Harm {
    /// F1: a factor of the sleep current.
    Drain { factor: f64 },
    /// F2: restarts, each with a time without answers.
    Reboots { per_day: f64, boot_ms: i64 },
    /// F3, F5: a code comes more often; requests come late above some uptime.
    Errors { hw_rev: Option<usize>, code: usize, factor: f64, late: Late, late_after_ms: i64 },
    /// F4: heap is lost; requests come late when little is left.
    Leak { b_per_day: f64, low_b: f64, late: Late, boot_ms: i64 },
}

/// S2: requests of a client version meet an error code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cloud {
    pub(crate) client: usize,
    pub(crate) code: usize,
    pub(crate) late: Late,
}

/// S3: which version alters which field, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Altered {
    pub(crate) by: Alterer,
    pub(crate) field: DriftField,
    pub(crate) how: DriftKind,
}

/// Which version alters a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alterer {
    Version(usize),
    Client(usize),
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// On one lock.
    Lock { kind: Single, lock: usize, ramp: Ramp },
    /// S1 on one gateway; with `late_ms` above 0 it passes messages on only at this interval.
    Gateway { site: usize, number: usize, late_ms: i64 },
    /// S5 of one gateway: this share of every record through it is lost, and as many come twice.
    Leaky { site: usize, number: usize, ramp: Ramp },
    /// F1 to F5.
    Version(Bug),
    /// S2.
    Cloud(Cloud),
    /// S3.
    Drift(Altered),
    /// H7: in this region; `weather` applies it.
    Cold { region: usize },
    /// C1: a factor of operations.
    Holiday { ops: f64 },
    /// C4: this rollout.
    Rollout { rollout: usize },
}

/// One concrete fault or control.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Planned {
    pub(crate) onset_ms: i64,
    /// Repaired, or the end of the run.
    pub(crate) until_ms: i64,
    pub(crate) effect: Effect,
}

impl Planned {
    /// Whether it has begun and is not repaired.
    pub(crate) fn is_on(&self, at_ms: i64) -> bool {
        (self.onset_ms..self.until_ms).contains(&at_ms)
    }
}

impl Bug {
    /// The benchmark's name.
    pub(crate) fn family(&self) -> &'static str {
        match self.harm {
            Harm::Drain { .. } => "F1",
            Harm::Reboots { .. } => "F2",
            Harm::Errors { hw_rev: None, .. } => "F3",
            Harm::Leak { .. } => "F4",
            Harm::Errors { hw_rev: Some(_), .. } => "F5",
        }
    }

    /// Whether it hits this board revision.
    pub(crate) fn hits(&self, revision: usize) -> bool {
        match self.harm {
            Harm::Errors { hw_rev, .. } => hw_rev.is_none_or(|hit| hit == revision),
            Harm::Drain { .. } | Harm::Reboots { .. } | Harm::Leak { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_departs_at_its_onset_reaches_its_strength_and_ends() {
        let ramp = Ramp { onset_ms: 1000, until_ms: 2000, ramp_ms: 100.0, strength: 0.5, power: 2.0, holds: false };
        assert_eq!([ramp.value(0), ramp.value(1000), ramp.value(1100), ramp.value(2000)], [0.0, 0.0, 0.5, 0.0]);
        assert!(ramp.value(1050) < 0.25 && ramp.value(1200) > 0.5);
        let held = Ramp { holds: true, ..ramp };
        assert_eq!(held.value(1900), 0.5);
        assert_eq!(Ramp { ramp_ms: 0.0, ..held }.value(1000), 0.5);
    }
}
