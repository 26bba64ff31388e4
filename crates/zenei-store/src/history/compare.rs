//! Do two groups of locks differ? Estimates with intervals of 95 %, from what each lock did. Pure. Must not know SQL.
//! Called by both sources.
//!
//! The unit is the lock: one lock that fails a thousand times says little about its group, so where locks differ more
//! from each other than chance explains, shares and rates count for fewer events (the design effect of a survey), and
//! means are means over locks. Shares have Wilson's interval, rates the exact one of Poisson counts (Garwood), means
//! Student's. A difference combines the two intervals by squares, which for shares is Newcombe's method.
use super::types::{Compared, ComparedRow, Group, Interval, Measure};

/// The two-sided 95 % of the normal distribution.
const Z_95: f64 = 1.959_964;

/// What one lock did in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct LockSums {
    /// Days on which it was heard.
    pub(super) days: f64,
    pub(super) operations: u64,
    pub(super) failed: u64,
    pub(super) errors: u64,
    /// Sum and count of each measure that is a mean over locks: [`MEANS`].
    pub(super) means: [(f64, u64); MEANS.len()],
}

/// The measures that are means over locks, with their units.
pub(super) const MEANS: [(Measure, &str); 4] =
    [(Measure::Resistance, "mΩ"), (Measure::PeakCurrent, "mA"), (Measure::Effort, "mC"), (Measure::Battery, "mV")];

/// Puts two groups beside each other. `locks` is how many each has, of which those given were read.
pub(super) fn compared(a: (&str, u64, &[LockSums]), b: (&str, u64, &[LockSums])) -> Compared {
    let group = |(value, locks, read): (&str, u64, &[LockSums])| Group {
        value: value.to_owned(),
        locks,
        read: read.len() as u64,
        lock_days: read.iter().map(|lock| lock.days).sum(),
        operations: read.iter().map(|lock| lock.operations).sum(),
        failed: read.iter().map(|lock| lock.failed).sum(),
        errors: read.iter().map(|lock| lock.errors).sum(),
    };
    let row = |what: Measure, unit: &'static str, of: &dyn Fn(&[LockSums]) -> Option<Interval>| {
        let (a, b) = (of(a.2), of(b.2));
        ComparedRow { what, unit, a, b, difference: a.zip(b).map(|(a, b)| difference(a, b)) }
    };
    let mut rows = vec![row(Measure::FailedShare, "", &failed_share), row(Measure::ErrorRate, "1/d", &error_rate)];
    let means = MEANS.iter().enumerate();
    rows.extend(means.map(|(at, &(what, unit))| row(what, unit, &|locks: &[LockSums]| mean_of(locks, at))));
    Compared { a: group(a), b: group(b), rows }
}

fn failed_share(locks: &[LockSums]) -> Option<Interval> {
    let pairs: Vec<(f64, f64)> = locks.iter().map(|lock| (lock.failed as f64, lock.operations as f64)).collect();
    let (failed, operations) = sums(&pairs);
    let share = failed / operations;
    let effect = design_effect(&pairs, share, share * (1.0 - share) / operations);
    (operations > 0.0).then(|| wilson(failed / effect, operations / effect))
}

fn error_rate(locks: &[LockSums]) -> Option<Interval> {
    let pairs: Vec<(f64, f64)> = locks.iter().map(|lock| (lock.errors as f64, lock.days)).collect();
    let (errors, days) = sums(&pairs);
    let rate = errors / days;
    let effect = design_effect(&pairs, rate, rate / days);
    (days > 0.0).then(|| poisson(errors / effect, days / effect))
}

/// The mean over locks of each lock's mean.
fn mean_of(locks: &[LockSums], at: usize) -> Option<Interval> {
    let means = locks.iter().map(|lock| lock.means[at]).filter(|(_, count)| *count > 0);
    let means: Vec<f64> = means.map(|(sum, count)| sum / count as f64).collect();
    student(&means)
}

fn sums(pairs: &[(f64, f64)]) -> (f64, f64) {
    pairs.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y))
}

/// By how much the variance of a ratio over locks exceeds that of independent events; at least 1 (linearised: the
/// residual of each lock is its count less what the ratio expects).
fn design_effect(pairs: &[(f64, f64)], ratio: f64, plain: f64) -> f64 {
    let locks = pairs.iter().filter(|(_, below)| *below > 0.0).count() as f64;
    let below: f64 = pairs.iter().map(|(_, below)| below).sum();
    if locks < 2.0 || plain <= 0.0 || !plain.is_finite() {
        return 1.0;
    }
    let squares: f64 = pairs.iter().map(|(above, below)| (above - ratio * below).powi(2)).sum();
    (squares * locks / (locks - 1.0) / below.powi(2) / plain).max(1.0)
}

/// Wilson's interval of a share (1927).
fn wilson(hits: f64, of: f64) -> Interval {
    let (share, z2) = (hits / of, Z_95 * Z_95);
    let middle = (share + z2 / (2.0 * of)) / (1.0 + z2 / of);
    let half = Z_95 / (1.0 + z2 / of) * (share * (1.0 - share) / of + z2 / (4.0 * of * of)).sqrt();
    Interval { low: (middle - half).clamp(0.0, share), value: share, high: (middle + half).clamp(share, 1.0) }
}

/// The exact interval of a rate of Poisson counts (Garwood, 1936): quantiles of gamma distributions.
fn poisson(count: f64, over: f64) -> Interval {
    let low = if count > 0.0 { gamma_quantile(count, 0.025) } else { 0.0 };
    Interval { low: low / over, value: count / over, high: gamma_quantile(count + 1.0, 0.975) / over }
}

/// Student's interval of a mean; `None` for no value, and an unbounded one for a single value.
fn student(values: &[f64]) -> Option<Interval> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    match values.len() {
        0 => None,
        1 => Some(Interval { low: f64::NEG_INFINITY, value: mean, high: f64::INFINITY }),
        _ => {
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
            let half = student_quantile(count - 1.0) * (variance / count).sqrt();
            Some(Interval { low: mean - half, value: mean, high: mean + half })
        }
    }
}

/// The interval of `b - a` from those of both (Newcombe's method, 1998, for any two intervals).
fn difference(a: Interval, b: Interval) -> Interval {
    let value = b.value - a.value;
    let half = |x: f64, y: f64| x.hypot(y);
    Interval {
        low: value - half(b.value - b.low, a.high - a.value),
        value,
        high: value + half(b.high - b.value, a.value - a.low),
    }
}

/// The 97.5 % quantile of Student's distribution: exact for 1 and 2 degrees of freedom, else the expansion by Cornish
/// and Fisher, right to 1 % from 3 on.
fn student_quantile(freedom: f64) -> f64 {
    if freedom < 1.5 {
        return 12.706_205;
    }
    if freedom < 2.5 {
        return 4.302_653;
    }
    let (z, v) = (Z_95, freedom);
    let z3 = z.powi(3);
    let z5 = z.powi(5);
    let z7 = z.powi(7);
    z + (z3 + z) / (4.0 * v)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * v * v)
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * v.powi(3))
}

/// The value below which a gamma distribution of this shape (scale 1) has this share: by halving, to 1e-9 of it.
fn gamma_quantile(shape: f64, share: f64) -> f64 {
    let (mut low, mut high) = (0.0, shape + 20.0 * shape.sqrt() + 20.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if gamma_share(shape, middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// The share of a gamma distribution below `x`: its series below the shape, its continued fraction above (Lentz); for
/// large shapes Wilson and Hilferty's cube root, which is right to 1e-4 there.
fn gamma_share(shape: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if shape > 1_000.0 {
        let root = 3.0 * shape.sqrt() * ((x / shape).cbrt() - 1.0 + 1.0 / (9.0 * shape));
        return normal_share(root);
    }
    let front = (shape * x.ln() - x - ln_gamma(shape)).exp();
    if x < shape + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / shape, 1.0 / shape, shape);
        for _ in 0..10_000 {
            n += 1.0;
            term *= x / n;
            sum += term;
            if term < sum * 1e-15 {
                break;
            }
        }
        return front * sum;
    }
    let mut b = x + 1.0 - shape;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for n in 1..10_000 {
        let n = f64::from(n);
        let a = -n * (n - shape);
        b += 2.0;
        d = 1.0 / (a * d + b);
        c = b + a / c;
        let step = c * d;
        fraction *= step;
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    1.0 - front * fraction
}

/// The share of the normal distribution below `z` (Abramowitz and Stegun 26.2.17, right to 1e-7).
fn normal_share(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let tail = t
        * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))))
        * (-z * z / 2.0).exp()
        / (2.0 * std::f64::consts::PI).sqrt();
    if z < 0.0 { tail } else { 1.0 - tail }
}

/// The logarithm of the gamma function (Lanczos, g = 7), for shapes above 0.
fn ln_gamma(shape: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if shape < 0.5 {
        return ln_gamma(shape + 1.0) - shape.ln();
    }
    let x = shape - 1.0;
    let start = 0.999_999_999_999_809_9;
    let sum = TERMS.iter().zip(1..).fold(start, |sum, (term, n)| sum + term / (x + f64::from(n)));
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64, by: f64) {
        assert!((found - expected).abs() <= by, "{found} is not {expected}");
    }

    #[test]
    fn intervals_equal_published_ones() {
        // Newcombe (1998), example (a): 56/70 and 48/80, method 10: 0.0524 to 0.3339.
        let difference = difference(wilson(48.0, 80.0), wilson(56.0, 70.0));
        near(difference.low, 0.0524, 5e-5);
        near(difference.high, 0.3339, 5e-5);
        // Wilson, 81 of 263: 0.2553 to 0.3662 (Newcombe 1998, table of single proportions).
        let share = wilson(81.0, 263.0);
        near(share.low, 0.2553, 5e-5);
        near(share.high, 0.3662, 5e-5);
        // Garwood's table: 0: 0 to 3.689; 1: 0.0253 to 5.572; 10: 4.795 to 18.390.
        for (count, low, high) in [(0.0, 0.0, 3.689), (1.0, 0.0253, 5.572), (10.0, 4.795, 18.390)] {
            let found = poisson(count, 1.0);
            near(found.low, low, 6e-4);
            near(found.high, high, 6e-4);
        }
        for (freedom, expected) in [(1.0, 12.706), (2.0, 4.303), (3.0, 3.182), (10.0, 2.228), (30.0, 2.042)] {
            near(student_quantile(freedom), expected, 0.01 * expected);
        }
    }

    #[test]
    fn large_counts_join_small_ones_without_a_step() {
        near(poisson(999.5, 1.0).high, poisson(998.5, 1.0).high + 1.03, 0.05);
        near(normal_share(1.959_964), 0.975, 1e-6);
    }

    #[test]
    fn one_bad_lock_is_no_bad_group() {
        let sound = LockSums { days: 30.0, operations: 300, failed: 1, ..LockSums::default() };
        let mut one_bad = vec![sound; 40];
        one_bad[7].failed = 120;
        let all_bad = vec![LockSums { failed: 4, ..sound }; 40];
        let share = |locks: &[LockSums]| failed_share(locks).unwrap();
        let between = |locks: &[LockSums]| difference(share(&[sound; 40]), share(locks));
        near(share(&one_bad).value, share(&all_bad).value, 1e-3);
        assert!(between(&all_bad).low > 0.0, "{:?}", between(&all_bad));
        assert!(between(&one_bad).low < 0.0, "{:?}", between(&one_bad));
    }

    #[test]
    fn a_group_without_a_value_has_none_and_its_denominators_say_so() {
        let compared = compared(("3.2.0", 0, &[]), ("3.2.1", 1, &[LockSums { days: 2.0, ..LockSums::default() }]));
        assert!(compared.rows.iter().all(|row| row.difference.is_none()));
        assert_eq!((compared.a.locks, compared.b.locks, compared.b.lock_days), (0, 1, 2.0));
    }
}
