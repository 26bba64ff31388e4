//! The median of a few numbers: what a group has in common, unaffected by a few faulty members. Called by the detectors
//! `drift` and `drain`.

/// The median; `None` of nothing. Reorders the slice. NaN must not be in it.
pub fn median(values: &mut [f64]) -> Option<f64> {
    let len = values.len();
    if len == 0 {
        return None;
    }
    let (below, &mut middle, _) = values.select_nth_unstable_by(len / 2, f64::total_cmp);
    if len % 2 == 1 {
        return Some(middle);
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some((lower + middle) / 2.0)
}

/// What a group of `values` has in common: its median, drawn to 0 by `weight` imagined members at 0, so that two locks
/// alone do not count as a group.
pub fn common(values: &mut [f64], weight: f64) -> f64 {
    let count = values.len() as f64;
    median(values).map_or(0.0, |median| median * count / (count + weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_odd_and_even_counts() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn a_few_outliers_move_it_little_and_few_members_count_little() {
        assert_eq!(common(&mut [0.0, 0.0, 0.0, 0.0, 9.0], 4.0), 0.0);
        assert_eq!(common(&mut [1.0], 4.0), 0.2);
    }
}
