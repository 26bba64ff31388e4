//! The estimators by their definitions: sums over the whole history, sorted lists, an elimination over every
//! observation. The slow detectors use them, and the tests here compare the fast estimators with them.
use proptest::prelude::*;
use zenei_detect::estimate::eprocess::{RATIOS, RateRatio};
use zenei_detect::estimate::excess::{ALTERNATIVES, Excess};
use zenei_detect::estimate::fall::Fall;
use zenei_detect::estimate::high::High;
use zenei_detect::estimate::median::{common, median};
use zenei_detect::estimate::slopes::Slopes;

/// The largest sum of `gains` that ends at the last one; 0 where each is below.
pub(super) fn largest_tail(gains: &[f64]) -> f64 {
    let (mut tail, mut largest) = (0.0, 0.0_f64);
    for gain in gains.iter().rev() {
        tail += gain;
        largest = largest.max(tail);
    }
    largest
}

/// The median by sorting.
pub(super) fn median_by_sorting(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    Some((sorted[last / 2] + sorted[sorted.len() / 2]) / 2.0)
}

/// Weight, covariates, response.
pub(super) type Observation = (f64, [f64; 2], f64);

/// The slopes that make the squares least over all observations, the prior counted as observations of its own.
pub(super) fn slopes_by_elimination(observations: &[Observation], prior: [f64; 2], prior_weight: [f64; 2]) -> [f64; 2] {
    let mut all = observations.to_vec();
    all.push((prior_weight[0], [1.0, 0.0], prior[0]));
    all.push((prior_weight[1], [0.0, 1.0], prior[1]));
    let sum = |of: fn(&Observation) -> f64| all.iter().map(of).sum::<f64>();
    let (a, b) = (sum(|(w, x, _)| w * x[0] * x[0]), sum(|(w, x, _)| w * x[0] * x[1]));
    let (d, p) = (sum(|(w, x, _)| w * x[1] * x[1]), sum(|(w, x, y)| w * x[0] * y));
    let q = sum(|(w, x, y)| w * x[1] * y);
    // The second row less its multiple of the first one.
    let second = (q - p * b / a) / (d - b * b / a);
    [(p - b * second) / a, second]
}

/// Events and expected events of the group under test, of the others; how much more than Poisson they vary.
pub(super) type Window = (f64, f64, f64, f64, f64);

/// The logarithm of the mixture's evidence over windows, by the binomial likelihoods themselves.
pub(super) fn evidence_by_summation(windows: &[Window]) -> f64 {
    let log_likelihood = |ratio: f64| {
        let of = |&(events, weight, others, others_weight, dispersion): &Window| {
            let tested = weight * ratio / (weight * ratio + others_weight);
            let null = weight / (weight + others_weight);
            (events * (tested / null).ln() + others * ((1.0 - tested) / (1.0 - null)).ln()) / dispersion
        };
        windows.iter().map(of).sum::<f64>()
    };
    let all = RATIOS.map(log_likelihood);
    // Factored out of the exponent, so that large evidence does not become infinite.
    let top = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + (all.iter().map(|log| (log - top).exp()).sum::<f64>() / RATIOS.len() as f64).ln()
}

/// Events, how many are normally expected, and how many with each fault.
pub(super) type Step = (f64, f64, [f64; ALTERNATIVES]);

/// The logarithm of the evidence against the normal rate: the largest Poisson log likelihood ratio of any run of steps
/// that ends at the last one.
pub(super) fn excess_by_tails(steps: &[Step]) -> f64 {
    let of = |at: usize| {
        let counts = steps.iter().filter(|(_, expected, faulty)| *expected > 0.0 && faulty[at] > *expected);
        let gains: Vec<f64> = counts
            .map(|(events, expected, faulty)| events * (faulty[at] / expected).ln() - (faulty[at] - expected))
            .collect();
        largest_tail(&gains)
    };
    (0..ALTERNATIVES).map(of).fold(0.0, f64::max)
}

/// A high value by stochastic approximation of the 99th percentile, from the first value on; 0 of none.
/// Single precision, as the state of a lock is: hundreds of small steps would drift apart otherwise.
pub(super) fn high_by_list(values: &[f64]) -> f64 {
    let mut log = f32::NEG_INFINITY;
    for (before, value) in values.iter().enumerate() {
        let (count, value) = (before + 1, (*value as f32).ln());
        if count == 1 || (count < 20 && value > log) {
            log = value;
        } else {
            let step = (1.0 / count as f32).max(0.05);
            log += if value > log { 0.99 * step.max(0.5 * (value - log)) } else { -0.01 * step };
        }
    }
    if values.is_empty() { 0.0 } else { f64::from(log).exp() }
}

/// The fall of a quantity.
#[derive(Debug, Default)]
pub(super) struct Fallen {
    /// Smoothed.
    pub(super) value: f64,
    pub(super) reference: f64,
    pub(super) since_ms: i64,
    /// The standard deviation of a reading.
    pub(super) noise: f64,
    /// Each smoothed value that may be the reference, less the allowed loss since, and its time.
    stood: Vec<(f64, i64)>,
}

impl Fallen {
    pub(super) fn depth(&self) -> f64 {
        (self.reference - self.value).max(0.0)
    }

    /// The noise of the depth, which is the difference of two exponential means.
    pub(super) fn noise_of_depth(&self) -> f64 {
        self.noise * (2.0 * 0.22 / (2.0 - 0.22_f64)).sqrt()
    }
}

/// A fall over all readings (value, ms): the reference is the highest of the smoothed values from the tenth reading on,
/// each less what might be lost since.
pub(super) fn fall_by_list(readings: &[(f64, i64)], allowed_per_day: f64, noise_least: f64) -> Fallen {
    let Some(&(first, _)) = readings.first() else { return Fallen::default() };
    let (mut smooth, mut noise) = (vec![first], noise_least);
    for (at, pair) in readings.windows(2).enumerate() {
        let (count, last) = ((at + 1) as f64, smooth[at]);
        let step = (pair[1].0 - pair[0].0).abs() * std::f64::consts::PI.sqrt() / 2.0;
        let bounded = if count < 5.0 { step } else { step.min(4.0 * noise) };
        noise = (noise + (1.0 / count).max(0.06) * (bounded - noise)).max(noise_least);
        smooth.push(last + (1.0 / (count + 1.0)).max(0.22) * (pair[1].0 - last));
    }
    let newest = readings.len() - 1;
    let left = |at: usize| smooth[at] - allowed_per_day * (readings[newest].1 - readings[at].1) as f64 / 86_400_000.0;
    let stood: Vec<(f64, i64)> = (newest.min(9)..=newest).map(|at| (left(at), readings[at].1)).collect();
    let reference = stood.iter().map(|of| of.0).fold(f64::NEG_INFINITY, f64::max);
    // Of equal values the last one.
    let since_ms = stood.iter().rfind(|of| of.0 == reference).map_or(readings[newest].1, |of| of.1);
    Fallen { value: smooth[newest], reference, since_ms, noise, stood }
}

/// Equal up to single precision.
pub(super) fn close(fast: f64, slow: f64) -> bool {
    (fast - slow).abs() <= 1e-4 * (1.0 + slow.abs())
}

proptest! {
    #[test]
    fn the_median_is_that_of_a_sorted_list(mut values in prop::collection::vec(-1e3..1e3_f64, 0..40), weight in 0.0..9.0_f64) {
        let slow = median_by_sorting(&values);
        let drawn = slow.map_or(0.0, |median| median * values.len() as f64 / (values.len() as f64 + weight));
        prop_assert!((common(&mut values, weight) - drawn).abs() < 1e-9);
        prop_assert_eq!(median(&mut values), slow);
    }

    #[test]
    fn the_slopes_are_those_of_least_squares(
        observations in prop::collection::vec((0.1..1.0_f64, prop::array::uniform2(-9.0..9.0_f64), -9.0..9.0_f64), 0..60),
        prior in prop::array::uniform2(-1.0..1.0_f64),
        weight in prop::array::uniform2(0.5..50.0_f64),
    ) {
        let mut fast = Slopes::new(prior, weight);
        observations.iter().for_each(|&(share, x, y)| fast.add(x, y, share));
        let slow = slopes_by_elimination(&observations, prior, weight);
        prop_assert!(fast.get().iter().zip(slow).all(|(fast, slow)| (fast - slow).abs() < 1e-9), "{:?} {slow:?}", fast.get());
    }

    #[test]
    fn the_evidence_is_that_of_the_likelihoods(
        windows in prop::collection::vec((0..6_u32, 0.1..3.0_f64, 0..20_u32, 0.1..9.0_f64), 0..60), dispersion in 1.0..4.0_f64,
    ) {
        let windows: Vec<Window> = windows.iter().map(|&(a, b, c, d)| (f64::from(a), b, f64::from(c), d, dispersion)).collect();
        let (mut fast, mut first, mut second) = (RateRatio::default(), RateRatio::default(), RateRatio::default());
        for (at, &(events, weight, others, others_weight, dispersion)) in windows.iter().enumerate() {
            fast.add(events, weight, others, others_weight, dispersion);
            let half = if at % 2 == 0 { &mut first } else { &mut second };
            half.add(events, weight, others, others_weight, dispersion);
        }
        let slow = evidence_by_summation(&windows);
        prop_assert!((fast.log_evidence() - slow).abs() < 1e-6 * (1.0 + slow.abs()), "{} {slow}", fast.log_evidence());
        let rest = fast.without(&second).log_evidence();
        prop_assert!((rest - first.log_evidence()).abs() < 1e-6 * (1.0 + rest.abs()));
        first.join(&second);
        prop_assert!((first.log_evidence() - slow).abs() < 1e-6 * (1.0 + slow.abs()));
    }

    #[test]
    fn the_excess_is_the_largest_likelihood_ratio_of_a_run_of_steps(
        steps in prop::collection::vec((0..3_u32, 0.0..2.0_f64, prop::array::uniform3(0.0..6.0_f64)), 0..200),
    ) {
        let steps: Vec<Step> = steps.iter().map(|&(events, expected, faulty)| (f64::from(events), expected, faulty)).collect();
        let mut fast = Excess::default();
        steps.iter().for_each(|&(events, expected, faulty)| fast.add(events, expected, faulty));
        let slow = excess_by_tails(&steps);
        prop_assert!(close(fast.evidence(), slow), "{} {slow}", fast.evidence());
    }

    #[test]
    fn the_high_value_is_that_of_the_list(values in prop::collection::vec(1.0..1e6_f64, 0..100)) {
        // A value that equals the estimate up to rounding may raise or lower it.
        let ties = |at: usize| (high_by_list(&values[..at]) / values[at] - 1.0).abs() < 1e-4;
        prop_assume!(!(1..values.len()).any(ties));
        let mut fast = High::default();
        values.iter().for_each(|&value| fast.add(value));
        let slow = high_by_list(&values);
        prop_assert!((fast.get() - slow).abs() <= 1e-4 * slow, "{} {slow}", fast.get());
        prop_assert_eq!(fast.count() as usize, values.len());
    }

    #[test]
    fn the_fall_is_what_is_missing_to_the_highest_of_all(
        steps in prop::collection::vec((-4.0..3.0_f64, 0..20_i64), 0..120), allowed in 0.0..5.0_f64, least in 0.1..2.0_f64,
    ) {
        let (mut fast, mut readings, mut value, mut at_ms) = (Fall::default(), Vec::new(), 500.0, 1_i64 << 40);
        for (step, hours) in steps {
            (value, at_ms) = (value + step, at_ms + hours * 3_600_000);
            readings.push((value, at_ms));
            fast.add(value, at_ms, allowed, least);
            let slow = fall_by_list(&readings, allowed, least);
            prop_assert!((fast.depth() - slow.depth()).abs() < 1e-2, "{fast:?} {slow:?}");
            prop_assert!((fast.value() - slow.value).abs() < 1e-2 && (fast.reference() - slow.reference).abs() < 1e-2);
            prop_assert!(close(fast.noise_of_depth(), slow.noise_of_depth()), "{fast:?} {slow:?}");
            // Where readings are equal up to rounding, each may be the highest.
            let is_highest = |of: &&(f64, i64)| of.0 > slow.reference - 1e-2 && of.1 == fast.since_ms();
            prop_assert!(slow.stood.iter().any(|of| is_highest(&of)), "{fast:?} {slow:?}");
        }
    }
}
