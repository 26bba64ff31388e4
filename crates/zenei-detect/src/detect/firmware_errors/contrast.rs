//! Events of a version beside those of what it is compared with: expected events, ratio, evidence. Must not know a lock
//! or a rule. Called by `case`, `past` and `verdict`.
use super::cells::Sums;
use crate::estimate::eprocess::RateRatio;

/// The version against what it is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contrast {
    pub(super) tested: Sums,
    pub(super) others: Sums,
}

impl Contrast {
    /// Events expected of the version by the others' rate.
    pub(super) fn expected(&self) -> f64 {
        if self.others.weight > 0.0 { self.tested.weight * self.others.events / self.others.weight } else { 0.0 }
    }

    /// The version's rate over that of the others. Half an event is added to the others, so that zero events there
    /// cause no division by zero.
    pub(super) fn ratio(&self) -> f64 {
        (self.tested.events / self.tested.weight.max(1e-9))
            / ((self.others.events + 0.5) / self.others.weight.max(1e-9))
    }

    /// The evidence of these counts alone.
    pub(super) fn evidence(&self, dispersion: f64) -> f64 {
        let mut process = RateRatio::default();
        let Self { tested, others } = self;
        process.add(tested.events, tested.weight, others.events, others.weight, dispersion);
        process.log_evidence()
    }

    /// The least ratio that would reach `limit` over what was seen so far, to 1 %.
    pub(super) fn least_ratio(&self, limit: f64, dispersion: f64) -> f64 {
        let mut ratio = 1.0;
        let with = |ratio: f64| {
            let tested = Sums { events: ratio * self.expected(), ..self.tested };
            Self { tested, ..*self }
        };
        while ratio < 100.0 && with(ratio).evidence(dispersion) < limit {
            ratio *= 1.01;
        }
        ratio
    }
}
