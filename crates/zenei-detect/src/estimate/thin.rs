//! Which two neighbours of a list of past blocks are merged, so that a long past fits into few: the newest stay as they
//! are, and the older ones grow with their age, as in the exponential histogram of Datar et al. (2002). Must not know
//! locks. Called by `estimate::course` and by the detector `leak`.

/// The index of the pair `(i, i + 1)` that is merged next: the one that spans the least of its age, `None` of fewer
/// than two blocks older than the `newest`. `time`: when a block began, ascending, in any unit.
pub fn pair<B>(blocks: &[B], time: impl Fn(&B) -> u32, newest: usize) -> Option<usize> {
    let now = time(blocks.last()?);
    let old = &blocks[..blocks.len().saturating_sub(newest)];
    // Two shares are compared by their cross products, which are exact, and cheaper than quotients.
    let mut least: Option<(usize, u64, u64)> = None;
    for (at, pair) in old.windows(2).enumerate() {
        let (from, to) = (time(&pair[0]), time(&pair[1]));
        let (span, age) = (u64::from(to - from), u64::from((now - from).max(1)));
        if least.is_none_or(|(_, least_span, of)| span * of < least_span * age) {
            least = Some((at, span, age));
        }
    }
    least.map(|(at, _, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_blocks_hold_months_with_the_last_days_in_full() {
        let mut times: Vec<u32> = Vec::new();
        for hour in 0..2_400 {
            times.push(hour * 12);
            if times.len() > 20 {
                let at = pair(&times, |&at| at, 6).unwrap();
                times.remove(at + 1);
            }
        }
        let ages: Vec<u32> = times.iter().map(|at| (2_399 * 12 - at) / 12).collect();
        assert_eq!(ages[14..], [5, 4, 3, 2, 1, 0]);
        assert!(ages[0] > 2_000 && ages.windows(2).all(|pair| pair[0] < 3 * pair[1] + 3), "{ages:?}");
        assert_eq!((pair(&[], |&at: &u32| at, 2), pair(&[1, 2, 3], |&at| at, 2)), (None, None));
    }
}
