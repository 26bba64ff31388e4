//! What many locks lose a day since a time of their own, such as their updates, beyond what each would have lost.
//! Must not know a rule. Called by the detector `drain`.
use super::course::Split;

/// A lock counts in the judgement of its version up to so many standard deviations: a cell that collapsed is its own.
const MEMBER_SIGMAS: f64 = 6.0;
/// The fewest locks for a mean.
const LOCKS_MIN: usize = 5;

/// What many locks lose a day beyond their lines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The mean.
    pub extra: f64,
    /// Its standard deviation.
    pub noise: f64,
    /// What they usually lose a day.
    pub usual: f64,
}

impl Rate {
    /// By least squares through the updates, less their `toll`; the noise is at least that of the scatter between the
    /// locks. `None` of fewer than five.
    pub fn of(splits: &[(Split, f64)], toll: f64) -> Option<Self> {
        if splits.len() < LOCKS_MIN {
            return None;
        }
        let points = || {
            splits.iter().map(|(split, _)| {
                let most = MEMBER_SIGMAS * split.noise;
                (split.days, split.lost.clamp(-most, most), 1.0 / (split.noise * split.noise))
            })
        };
        let squares: f64 = points().map(|(days, _, weight)| weight * days * days).sum();
        let extra = points().map(|(days, lost, weight)| weight * days * (lost - toll)).sum::<f64>() / squares;
        let off = points().map(|(days, lost, weight)| {
            let rest = lost - toll.min(lost.max(0.0)) - extra * days;
            weight * rest * rest
        });
        let scatter = (off.sum::<f64>() / (splits.len() - 1) as f64).max(1.0);
        let usual = splits.iter().map(|(_, usual)| usual).sum::<f64>() / splits.len() as f64;
        (squares > 0.0).then(|| Self { extra, noise: libm::sqrt(scatter / squares), usual })
    }

    /// Less what others lose more meanwhile.
    pub fn less(self, others: Option<Self>) -> Self {
        let common = others.map_or((0.0, 0.0), |others| (others.extra.max(0.0), others.noise));
        let noise = libm::sqrt(self.noise * self.noise + common.1 * common.1);
        Self { extra: self.extra - common.0, noise, ..self }
    }

    /// The mean in standard deviations.
    pub fn sigmas(&self) -> f64 {
        self.extra / self.noise
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(days: f64, lost: f64) -> (Split, f64) {
        (Split { since_ms: 0, lost, noise: 0.5, expected: 50.0, days, lasts: true }, 0.2)
    }

    #[test]
    fn twenty_locks_show_in_a_day_what_one_shows_in_a_week() {
        let noise = |at: usize| [-0.4, 0.3, 0.1, -0.2, 0.5, -0.3][at % 6];
        let rate = |extra: f64| {
            let splits: Vec<_> = (0..20)
                .map(|at| split(1.0 + 0.1 * at as f64, 0.2 + noise(at) + extra * (1.0 + 0.1 * at as f64)))
                .collect();
            Rate::of(&splits, 0.2).unwrap()
        };
        assert!(rate(0.0).sigmas() < 2.0, "{:?}", rate(0.0));
        assert!(rate(1.0).sigmas() > 6.0 && (rate(1.0).extra - 1.0).abs() < 0.1, "{:?}", rate(1.0));
        // What the others lose too is not the version's.
        assert!(rate(1.0).less(Some(rate(0.9))).sigmas() < 2.0);
    }

    #[test]
    fn a_cell_that_collapsed_does_not_make_a_version_drain() {
        let splits: Vec<_> = (0..20).map(|at| split(2.0, if at == 7 { 30.0 } else { 0.0 })).collect();
        assert!(Rate::of(&splits, 0.2).unwrap().sigmas() < 3.0, "{:?}", Rate::of(&splits, 0.2));
        assert_eq!(Rate::of(&splits[..4], 0.2), None);
    }
}
