//! The estimators by their definitions: sums over the whole history, sorted lists, an elimination over every observation.
use crate::estimate::cusum::Cusum;
use crate::estimate::eprocess::{RATIOS, RateRatio};
use crate::estimate::median::{common, median};
use crate::estimate::slopes::Slopes;
use proptest::prelude::*;

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
    // Taken out of the exponent, so that much evidence is no infinity.
    let top = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + (all.iter().map(|log| (log - top).exp()).sum::<f64>() / RATIOS.len() as f64).ln()
}

/// Equal but for single precision.
pub(super) fn close(fast: f64, slow: f64) -> bool {
    (fast - slow).abs() <= 1e-4 * (1.0 + slow.abs())
}

proptest! {
    #[test]
    fn the_sum_of_residuals_is_the_largest_tail(residuals in prop::collection::vec(-4.0..4.0_f64, 0..200), slack in 0.1..2.0_f64) {
        let mut fast = Cusum::default();
        residuals.iter().for_each(|&z| fast.add(z, slack));
        let up: Vec<f64> = residuals.iter().map(|z| z - slack).collect();
        let down: Vec<f64> = residuals.iter().map(|z| -z - slack).collect();
        prop_assert!(close(f64::from(fast.up), largest_tail(&up)), "{} {}", fast.up, largest_tail(&up));
        prop_assert!(close(f64::from(fast.down), largest_tail(&down)), "{} {}", fast.down, largest_tail(&down));
    }

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
}
