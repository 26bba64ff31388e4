//! A symptom of all locks with one value of a dimension: which values a lock has, and what a dimension says of the
//! domain. Must not know how such a cause is found. Called by `attribution`.
use crate::anomaly::{Anomaly, Component, Domain, ScopeKind};
use crate::batch::Labels;
use crate::fleet::{Fleet, Sym};
use crate::lock::Lock;
use crate::symptom::Symptom;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// A symptom of all locks with one value of a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Cause {
    pub(super) symptom: Symptom,
    pub(super) kind: ScopeKind,
    pub(super) value: Sym,
    /// The board revision for `fw_hw`; else `Sym::NONE`.
    pub(super) with: Sym,
}

/// By so many nats a lot may explain what ages better than the value that is blamed: as much as the favour of a version
/// is worth. Where it does so by more, the next locks will show it. A guess.
const CLOSE: f64 = 1.1;

/// The dimensions, most specific first where they tie.
pub(super) const DIMENSIONS: [ScopeKind; 7] = [
    ScopeKind::FwHw,
    ScopeKind::Gateway,
    ScopeKind::Fw,
    ScopeKind::ClientVersion,
    ScopeKind::Site,
    ScopeKind::Lot,
    ScopeKind::HwRev,
];

/// The values of a dimension that a lock has, with the board for `fw_hw`; empty where the value is unknown.
pub(super) fn values(kind: ScopeKind, lock: &Lock) -> SmallVec<[(Sym, Sym); 4]> {
    let Labels { model, hw_rev, lot, fw, service, gw, .. } = lock.labels;
    let one = |value: Sym| SmallVec::from_iter((value != Sym::NONE).then_some((value, Sym::NONE)));
    match kind {
        ScopeKind::FwHw if fw != Sym::NONE && hw_rev != Sym::NONE => SmallVec::from_iter([(fw, hw_rev)]),
        ScopeKind::FwHw | ScopeKind::Device => SmallVec::new(),
        ScopeKind::ClientVersion => lock.clients().map(|client| (client, Sym::NONE)).collect(),
        ScopeKind::Gateway => one(gw),
        ScopeKind::Fw => one(fw),
        ScopeKind::Site => one(lock.site),
        ScopeKind::Lot => one(lot),
        ScopeKind::HwRev => one(hw_rev),
        ScopeKind::Model => one(model),
        ScopeKind::Service => one(service),
    }
}

impl Cause {
    /// Whether a thing of this kind can bring about the symptom at all. What a motor takes, which shape its current has
    /// and a battery's resistance are of the lock and its door: apps, hubs and gateways reach none of them. An app's or
    /// a hub's version drains no battery more than its requests do, and those are operations.
    pub(super) fn can_be(&self) -> bool {
        let is_away = match self.kind {
            ScopeKind::ClientVersion => true,
            ScopeKind::Gateway | ScopeKind::Service => self.symptom != Symptom::Drain,
            ScopeKind::Device
            | ScopeKind::Site
            | ScopeKind::Fw
            | ScopeKind::FwHw
            | ScopeKind::Lot
            | ScopeKind::HwRev
            | ScopeKind::Model => false,
        };
        !(is_away
            && (self.symptom.is_power() || matches!(self.symptom, Symptom::Effort | Symptom::Shape | Symptom::Part)))
    }

    /// Whether it is a lot whose drives or cells age: no version does that to them, and a lot is on locks of several.
    fn ages(&self) -> bool {
        self.kind == ScopeKind::Lot && matches!(self.symptom, Symptom::Resistance | Symptom::Effort | Symptom::Shape)
    }

    pub(super) fn is_of(&self, lock: &Lock) -> bool {
        values(self.kind, lock).contains(&(self.value, self.with))
    }

    pub(super) fn text(&self, fleet: &Fleet) -> String {
        let word = |sym: Sym| fleet.word(sym).unwrap_or("unknown");
        match self.kind {
            ScopeKind::FwHw => format!("{}+{}", word(self.value), word(self.with)),
            ScopeKind::Device
            | ScopeKind::Gateway
            | ScopeKind::Site
            | ScopeKind::Fw
            | ScopeKind::Lot
            | ScopeKind::HwRev
            | ScopeKind::Model
            | ScopeKind::ClientVersion
            | ScopeKind::Service => word(self.value).to_owned(),
        }
    }
}

/// Domain and component of a shared cause: the dimension determines them; what it leaves open comes from the lock's
/// finding.
pub(super) fn domain(cause: Cause, anomaly: &Anomaly) -> (Domain, Component) {
    match cause.kind {
        // A change of the records concerns the interface, whichever side caused it.
        ScopeKind::Fw | ScopeKind::FwHw if cause.symptom == Symptom::Schema => (anomaly.domain, Component::FwImage),
        ScopeKind::Fw | ScopeKind::FwHw => (Domain::Firmware, Component::FwImage),
        ScopeKind::Gateway => (Domain::Software, Component::Gateway),
        ScopeKind::ClientVersion => (Domain::Software, Component::App),
        ScopeKind::Service => (Domain::Software, Component::Cloud),
        ScopeKind::Lot | ScopeKind::HwRev | ScopeKind::Model => (Domain::Hardware, anomaly.component),
        ScopeKind::Site | ScopeKind::Device => (anomaly.domain, anomaly.component),
    }
}

/// Which of some values to blame, if any: by how much each explains the symptom, and whether that is more than chance.
/// The one that explains most; none yet where a lot whose drives or cells age explains it clearly better.
pub(super) fn best(judged: &[(f64, bool, Cause)]) -> Option<Cause> {
    let mut best: Option<(f64, Cause)> = None;
    for &(explains, is_shown, cause) in judged {
        if is_shown && best.is_none_or(|(before, _)| explains > before + 1e-9) {
            best = Some((explains, cause));
        }
    }
    let lots = judged.iter().filter(|(_, _, cause)| cause.ages()).map(|(explains, ..)| *explains);
    let most = lots.fold(0.0, f64::max);
    best.filter(|(explains, _)| explains + CLOSE >= most).map(|(_, cause)| cause)
}

/// Since when a lock has its value of a dimension, ms, as far as that is known and matters: a version since the update.
/// What shows within hours, as restarts and error codes do, a version did not bring about before it ran; a battery, a
/// motor, a memory or a heartbeat that is missing shows it days later.
pub(super) fn since_ms(symptom: Symptom, kind: ScopeKind, lock: &Lock) -> Option<i64> {
    let is_at_once = matches!(symptom, Symptom::Errors | Symptom::Part);
    lock.updated_ms.filter(|_| is_at_once && matches!(kind, ScopeKind::Fw | ScopeKind::FwHw))
}

/// Whether what a lock began to show at a time may be of its value of a dimension.
pub(super) fn is_since(symptom: Symptom, kind: ScopeKind, lock: &Lock, shown_ms: i64) -> bool {
    since_ms(symptom, kind, lock).is_none_or(|since_ms| shown_ms >= since_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_not_blamed_for_cells_that_a_lot_explains_better() {
        let of = |symptom, kind| Cause { symptom, kind, value: Sym(1), with: Sym::NONE };
        let blamed = |symptom, lot: f64, is_shown| {
            let lot = (lot, is_shown, of(symptom, ScopeKind::Lot));
            best(&[(10.0, true, of(symptom, ScopeKind::Fw)), lot]).map(|cause| cause.kind)
        };
        assert_eq!(blamed(Symptom::Resistance, 14.0, false), None, "the next locks will show whether it is the lot");
        assert_eq!(blamed(Symptom::Resistance, 14.0, true), Some(ScopeKind::Lot));
        assert_eq!(blamed(Symptom::Resistance, 10.5, false), Some(ScopeKind::Fw));
        assert_eq!(blamed(Symptom::Part, 14.0, false), Some(ScopeKind::Fw), "a lot restarts no lock");
    }
}
