//! What ails one lock at a given time: its own faults and those of its version, gateway and client, as factors, offsets
//! and windows. For a sound lock each answer is exactly neutral (0, 1 or nothing), so that its numbers do not change.
//! Must not know records. Called by `lock`.
use crate::calendar::MINUTE_MS;
use crate::fault::{Alterer, Effect, Harm, Ramp};
use crate::identity::Kinds;
use crate::message::Manner;
use crate::operation::Drive;
use crate::rng::{Draws, Purpose};
use crate::scenario::Single;
use crate::world::World;

/// An error of a clock below which the ways of records hide it, ms; a guess, for scenarios with a field.
const CLOCK_TOLD_MS: i64 = 60_000;
/// The highest share of failing attempts: some still succeed.
const SHARE_MAX: f64 = 0.95;

/// One lock's faults, except the one that its twin runs without.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ailments {
    own: Vec<(Single, Ramp)>,
    without: Option<usize>,
    /// When the lock can't reach its gateway, latest first; they do not overlap.
    cuts: Vec<Cut>,
    /// When the door is rehung (C3) or the lock gets a new battery (C2), latest first.
    visits: Vec<(i64, Single)>,
}

/// A time without a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) from_ms: i64,
    pub(crate) until_ms: i64,
    /// What happens to requests through the gateway: they do not arrive, come late, or are served as usual.
    pub(crate) remote: Remote,
}

/// What happens to requests through the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remote {
    Lost,
    Late,
    Served,
}

impl Ailments {
    pub(crate) fn of(world: &World, lock: usize, kinds: &Kinds, without: Option<usize>) -> Self {
        let mut all = Self { without, ..Self::default() };
        for (_, planned) in world.plan.iter().enumerate().filter(|(at, _)| Some(*at) != without) {
            match &planned.effect {
                Effect::Lock { lock: hit, kind, ramp } if *hit == lock => all.take(*kind, *ramp),
                Effect::Gateway { site, number, late_ms }
                    if (*site, *number) == (kinds.site, kinds.gateway) && !kinds.phone =>
                {
                    all.cut_off(world, lock, (planned.onset_ms, planned.until_ms), *late_ms);
                }
                Effect::Leaky { site, number, ramp }
                    if (*site, *number) == (kinds.site, kinds.gateway) && !kinds.phone =>
                {
                    all.take(Single::S5, *ramp);
                }
                Effect::Lock { .. }
                | Effect::Gateway { .. }
                | Effect::Leaky { .. }
                | Effect::Version(_)
                | Effect::Cloud(_)
                | Effect::Drift(_)
                | Effect::Cold { .. }
                | Effect::Holiday { .. }
                | Effect::Rollout { .. } => {}
            }
        }
        all.visits.sort_unstable_by_key(|(at_ms, _)| -at_ms);
        all.order_cuts();
        all
    }

    fn take(&mut self, kind: Single, ramp: Ramp) {
        match kind {
            Single::C5 => {
                let (from_ms, until_ms) = (ramp.onset_ms, ramp.until_ms);
                self.cuts.push(Cut { from_ms, until_ms, remote: Remote::Served });
            }
            Single::C2 => self.visits.push((ramp.onset_ms, kind)),
            Single::C3 => {
                self.visits.push((ramp.onset_ms, kind));
                self.own.push((kind, ramp));
            }
            Single::H1
            | Single::H2
            | Single::H3
            | Single::H4
            | Single::H5
            | Single::H6
            | Single::H8
            | Single::S1
            | Single::S4
            | Single::S5
            | Single::S6 => self.own.push((kind, ramp)),
        }
    }

    /// The gateway is away, or present but late: then it passes messages on only at intervals.
    fn cut_off(&mut self, world: &World, lock: usize, (onset_ms, until_ms): (i64, i64), late_ms: i64) {
        if late_ms <= 0 {
            let mut draws = Draws::new(world.seed, lock, Purpose::Link, onset_ms as u64);
            let back_ms = world.scenario.failure.reconnect_min * draws.uniform() * MINUTE_MS as f64;
            let until_ms = until_ms.saturating_add(back_ms as i64);
            return self.cuts.push(Cut { from_ms: onset_ms, until_ms, remote: Remote::Lost });
        }
        let mut from_ms = onset_ms;
        while from_ms < until_ms {
            let until_ms = (from_ms + late_ms).min(until_ms);
            self.cuts.push(Cut { from_ms, until_ms, remote: Remote::Late });
            from_ms = until_ms;
        }
    }

    /// Orders the cuts latest first, without overlap.
    fn order_cuts(&mut self) {
        self.cuts.sort_unstable_by_key(|cut| cut.from_ms);
        let mut free_ms = i64::MIN;
        self.cuts.retain_mut(|cut| {
            cut.from_ms = cut.from_ms.max(free_ms);
            let stays = cut.from_ms < cut.until_ms;
            free_ms = free_ms.max(cut.until_ms);
            stays
        });
        self.cuts.reverse();
    }

    /// The current or next time without a link.
    pub(crate) fn next_cut(&self) -> Option<Cut> {
        self.cuts.last().copied()
    }

    pub(crate) fn end_cut(&mut self) {
        self.cuts.pop();
    }

    /// When a person next comes to the lock.
    pub(crate) fn next_visit_ms(&self) -> i64 {
        self.visits.last().map_or(i64::MAX, |&(at_ms, _)| at_ms)
    }

    pub(crate) fn end_visit(&mut self) -> Option<Single> {
        self.visits.pop().map(|(_, kind)| kind)
    }

    /// Sum of the values of one family.
    fn sum(&self, kind: Single, at_ms: i64) -> f64 {
        self.own.iter().filter(|(own, _)| *own == kind).map(|(_, ramp)| ramp.value(at_ms)).sum()
    }

    fn is_on(&self, kind: Single, at_ms: i64) -> bool {
        self.own.iter().any(|(own, ramp)| *own == kind && ramp.is_on(at_ms))
    }

    /// Factor of all friction.
    pub(crate) fn friction(&self, at_ms: i64) -> f64 {
        let grown = |(kind, ramp): &(Single, Ramp)| match kind {
            Single::H1 | Single::C3 => 1.0 + ramp.value(at_ms),
            Single::H2
            | Single::H3
            | Single::H4
            | Single::H5
            | Single::H6
            | Single::H8
            | Single::S1
            | Single::S4
            | Single::S5
            | Single::S6
            | Single::C2
            | Single::C5 => 1.0,
        };
        self.own.iter().map(grown).product()
    }

    /// The drive's other ailments.
    pub(crate) fn drive(&self, world: &World, at_ms: i64) -> Drive {
        if self.own.is_empty() {
            return Drive::default();
        }
        // A rehung door rubs a little at another place; half of its change of friction is a guess.
        let moved = self.sum(Single::C3, at_ms);
        let rub = self.sum(Single::H2, at_ms) + 0.5 * moved.abs();
        Drive {
            rub,
            tooth: self.sum(Single::H4, at_ms),
            no_contact: self.sum(Single::H3, at_ms).min(SHARE_MAX),
            angle_deg: rub * world.scenario.failure.rub_deg,
        }
    }

    /// Factor of the cells' resistance.
    pub(crate) fn resistance(&self, world: &World, at_ms: i64) -> f64 {
        if self.own.is_empty() {
            return 1.0;
        }
        (1.0 + self.sum(Single::H5, at_ms)) * (1.0 + world.scenario.failure.cell_ohm * self.sum(Single::H6, at_ms))
    }

    /// How much a collapsed cell lowers the pack's voltage, mV.
    pub(crate) fn cell_mv(&self, world: &World, at_ms: i64) -> f64 {
        world.scenario.failure.cell_mv * self.sum(Single::H6, at_ms)
    }

    /// Current that leaks through moisture, µA.
    pub(crate) fn leak_ua(&self, at_ms: i64) -> f64 {
        1000.0 * self.sum(Single::H8, at_ms)
    }

    /// Change of the signal, dB.
    pub(crate) fn signal_db(&self, world: &World, at_ms: i64) -> f64 {
        world.scenario.failure.moved_db * self.sum(Single::C3, at_ms)
    }

    /// Whether phones and gateway can't reach the lock.
    pub(crate) fn is_mute(&self, at_ms: i64) -> bool {
        self.is_on(Single::S6, at_ms)
    }

    /// How a record of this moment leaves a lock whose link loses this share without a fault.
    pub(crate) fn manner<'a>(
        &self,
        world: &'a World,
        kinds: &Kinds,
        version: usize,
        (loss, twice): (f64, f64),
        at_ms: i64,
    ) -> Manner<'a> {
        let drift = world.drifts(at_ms, self.without).find(|altered| match altered.by {
            Alterer::Version(by) => by == version,
            Alterer::Client(by) => kinds.speaks_with(by),
        });
        if self.own.is_empty() {
            return Manner { drift, bad_share: loss, twice, ..Manner::default() };
        }
        Manner {
            mute: self.is_mute(at_ms),
            bad_share: loss + self.sum(Single::S5, at_ms),
            twice: twice + self.sum(Single::S5, at_ms),
            clock_least_ms: if world.scenario.field.is_some() { CLOCK_TOLD_MS } else { 0 },
            clock_ms: (self.sum(Single::S4, at_ms) * 3_600_000.0) as i64,
            drift,
        }
    }

    /// Factor of the sleep current by bugs of the version.
    pub(crate) fn sleep(&self, world: &World, version: usize) -> f64 {
        let factors = world.bugs(version, self.without).map(|bug| match bug.harm {
            Harm::Drain { factor } => factor,
            Harm::Reboots { .. } | Harm::Errors { .. } | Harm::Leak { .. } => 1.0,
        });
        factors.product()
    }

    /// Factor of a code's rate by bugs of the version.
    pub(crate) fn errors(&self, world: &World, kinds: &Kinds, version: usize, code: usize) -> f64 {
        let bugs = world.bugs(version, self.without).filter(|bug| bug.hits(kinds.hw_rev));
        bugs.map(|bug| match bug.harm {
            Harm::Errors { code: worse, factor, .. } if worse == code => factor,
            Harm::Errors { .. } | Harm::Drain { .. } | Harm::Reboots { .. } | Harm::Leak { .. } => 1.0,
        })
        .product()
    }

    /// Restarts a day by bugs of the version, and how long the lock does not answer after one, ms.
    pub(crate) fn reboots(&self, world: &World, version: usize) -> (f64, i64) {
        let mut bugs = world.bugs(version, self.without).filter_map(|bug| match bug.harm {
            Harm::Reboots { per_day, boot_ms } => Some((per_day, boot_ms)),
            Harm::Errors { .. } | Harm::Drain { .. } | Harm::Leak { .. } => None,
        });
        bugs.next().unwrap_or((0.0, 0))
    }

    /// Bytes of heap that a bug of the version loses a day, and how long the lock does not answer when all is lost, ms.
    pub(crate) fn heap(&self, world: &World, version: usize) -> (f64, i64) {
        let mut bugs = world.bugs(version, self.without).filter_map(|bug| match bug.harm {
            Harm::Leak { b_per_day, boot_ms, .. } => Some((b_per_day, boot_ms)),
            Harm::Errors { .. } | Harm::Drain { .. } | Harm::Reboots { .. } => None,
        });
        bugs.next().unwrap_or((0.0, 0))
    }

    /// The share of app and remote requests that bugs of the version now delay, and for how long, ms.
    pub(crate) fn held_up(&self, world: &World, kinds: &Kinds, version: usize, up_ms: i64, free_b: f64) -> (f64, f64) {
        let bugs = world.bugs(version, self.without).filter(|bug| bug.hits(kinds.hw_rev));
        let mut late = bugs.filter_map(|bug| match bug.harm {
            Harm::Errors { late, late_after_ms, .. } if up_ms >= late_after_ms => Some(late),
            Harm::Leak { late, low_b, .. } if free_b < low_b => Some(late),
            Harm::Errors { .. } | Harm::Leak { .. } | Harm::Drain { .. } | Harm::Reboots { .. } => None,
        });
        late.next().map_or((0.0, 0.0), |late| (late.share, late.ms))
    }

    /// The planned fault that this run of the lock leaves out.
    pub(crate) fn without(&self) -> Option<usize> {
        self.without
    }
}
