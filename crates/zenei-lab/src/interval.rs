//! Confidence intervals of a share (Wilson) and of a rate (exact Poisson), and order statistics. Called by the modules
//! of `fleet`.
use serde::Serialize;

/// Quantile of the standard normal for 95 %, two-sided.
const Z: f64 = 1.959_963_985;

/// `hits` of `of`, with its 95 % interval (Wilson 1927).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Share {
    /// How many.
    pub hits: usize,
    /// Of how many.
    pub of: usize,
}

impl Share {
    /// Counts how many of these satisfy `holds`.
    pub fn count<T>(all: impl IntoIterator<Item = T>, holds: impl Fn(&T) -> bool) -> Self {
        let mut share = Self::default();
        for one in all {
            share.of += 1;
            share.hits += usize::from(holds(&one));
        }
        share
    }

    /// The share; `None` where nothing was counted.
    pub fn value(self) -> Option<f64> {
        (self.of > 0).then(|| self.hits as f64 / self.of as f64)
    }

    /// Lower and upper end of the 95 % interval; 0 and 1 where nothing was counted.
    pub fn interval(self) -> (f64, f64) {
        if self.of == 0 {
            return (0.0, 1.0);
        }
        let (n, p) = (self.of as f64, self.hits as f64 / self.of as f64);
        let middle = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
    }
}

/// The exact interval of a Poisson mean after `count` events: each side is exceeded with probability `tail` (Garwood
/// 1936).
pub fn poisson(count: usize, tail: f64) -> (f64, f64) {
    let lower =
        if count == 0 { 0.0 } else { bisect(|mean| 1.0 - at_most(count - 1, mean) - tail, count as f64, false) };
    let upper = bisect(|mean| tail - at_most(count, mean), count as f64 + 1.0, true);
    (lower, upper)
}

/// Probability of at most `count` events.
fn at_most(count: usize, mean: f64) -> f64 {
    let (mut log_term, mut sum) = (-mean, (-mean).exp());
    for k in 1..=count {
        log_term += (mean / k as f64).ln();
        sum += log_term.exp();
    }
    sum.min(1.0)
}

/// Where a rising function crosses 0: between 0 and `from`, or, with `above`, perhaps beyond it.
fn bisect(rising: impl Fn(f64) -> f64, from: f64, above: bool) -> f64 {
    let (mut low, mut high) = (0.0, from);
    while above && rising(high) < 0.0 {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if rising(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// The value below which a share `q` of the values lies (nearest rank); `None` without values. NaN must not be among
/// them.
pub fn quantile(values: impl IntoIterator<Item = f64>, q: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

/// The median: of an even count the mean of the middle two.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let upper = sorted.get(half)?;
    Some(if sorted.len() % 2 == 1 { *upper } else { (sorted[half - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: (f64, f64), expected: (f64, f64)) {
        assert!((found.0 - expected.0).abs() < 6e-4 && (found.1 - expected.1).abs() < 6e-4, "{found:?} {expected:?}");
    }

    #[test]
    fn a_share_has_the_published_interval() {
        // Brown, Cai, DasGupta 2001; statsmodels gives the same.
        close(Share { hits: 9, of: 10 }.interval(), (0.5958, 0.9821));
        close(Share { hits: 0, of: 20 }.interval(), (0.0, 0.1611));
        close(Share::default().interval(), (0.0, 1.0));
    }

    #[test]
    fn a_count_has_the_published_interval() {
        // Tables of Garwood: 95 % two-sided.
        close(poisson(0, 0.025), (0.0, 3.6889));
        close(poisson(1, 0.025), (0.0253, 5.5716));
        close(poisson(10, 0.025), (4.7954, 18.3904));
        let (low, high) = poisson(1000, 0.025);
        assert!((low - 938.97).abs() < 0.1 && (high - 1063.96).abs() < 0.1, "{low} {high}");
    }

    #[test]
    fn quantiles_of_few_and_of_none() {
        assert_eq!(quantile([3.0, 1.0, 2.0], 0.9), Some(3.0));
        assert_eq!(quantile([3.0, 1.0, 2.0], 0.1), Some(1.0));
        assert_eq!((median([4.0, 1.0, 2.0, 3.0]), median([])), (Some(2.5), None));
    }
}
