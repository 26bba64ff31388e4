//! What a day's mean residual adds to the evidence of a lasting rise: log likelihood ratios of a few shifts. Must not
//! know locks, models or rules. Called by `drift`.

/// How many shifts are looked for.
pub(super) const EVIDENCE: usize = 4;
/// One day counts at most this many standard deviations: less than the limits with each of the shifts, so that a single
/// odd day can't open an incident.
pub(super) const DAY_CLIP: f64 = 5.0;
/// The shifts in the noise of a day, as multiples of the rule's, and the one in the noise of many days.
const OF_A_DAY: [f64; EVIDENCE - 1] = [0.5, 1.0, 2.0];
const LARGE: f64 = 2.0;

/// What a day adds for each of the shifts, nat: `z` is its mean residual in standard deviations of a day's mean,
/// `widened` how many times the variance of many days' mean is what independent days would have.
///
/// Most shifts are looked for in the noise of a day, and their evidence counts for less where days are not independent.
/// One is looked for in the noise of many days, as if it were a day's: what lies far outside of all that lasts for days
/// in a lock or its model is clear within days, where the noise of a day would have cut it first, so that twice the
/// noise made the wait twice as long for a rise of any size.
pub(super) fn gains(z: f64, widened: f64, slack: f64) -> [f64; EVIDENCE] {
    let of_a_day = OF_A_DAY.map(|share| {
        let shift = 2.0 * slack * share;
        shift * (z.clamp(-DAY_CLIP, DAY_CLIP) - shift / 2.0) / widened
    });
    let shift = 2.0 * slack * LARGE;
    let of_days = (z / libm::sqrt(widened)).clamp(-DAY_CLIP, DAY_CLIP);
    [of_a_day[0], of_a_day[1], of_a_day[2], shift * (of_days - shift / 2.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many days such a rise needs to a limit of e^27.
    fn days(z: f64, widened: f64) -> f64 {
        27.0 / gains(z, widened, 1.0).into_iter().fold(0.0, f64::max)
    }

    #[test]
    fn a_rise_far_outside_of_what_lasts_for_days_needs_no_longer_where_days_are_not_independent() {
        assert!(days(12.0, 1.0) > 2.0, "a single day is no finding: {}", days(12.0, 1.0));
        assert!((days(12.0, 4.0) - days(12.0, 1.0)).abs() < 1e-9, "{}", days(12.0, 4.0));
        assert!((days(2.0, 4.0) - 4.0 * days(2.0, 1.0)).abs() < 1e-9, "a small one does: {}", days(2.0, 4.0));
    }

    #[test]
    fn independent_days_bring_their_log_likelihood_ratios() {
        assert_eq!(gains(3.0, 1.0, 1.0), [2.5, 4.0, 4.0, 4.0]);
        assert_eq!(gains(-9.0, 1.0, 1.0)[1], -12.0);
    }
}
