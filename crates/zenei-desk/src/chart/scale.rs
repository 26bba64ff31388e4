//! Round numbers and days for the axes of a picture. Pure. Must not know SVG. Called by `svg`.

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The values from which and to which an axis goes, with its ticks: some four to eight round numbers.
pub(super) fn values(low: f64, high: f64) -> (f64, f64, Vec<f64>) {
    let (low, high) = if low.is_finite() && high.is_finite() { (low, high) } else { (0.0, 1.0) };
    let room = if high > low { high - low } else { high.abs().max(1.0) * 0.1 };
    let (low, high) = if high > low { (low, high) } else { (low - room, high + room) };
    let step = round(room / 5.0);
    let (from, to) = ((low / step).floor(), (high / step).ceil());
    // A hostile range can't make more: a step is a fifth of it, rounded up.
    let count = (to - from).clamp(1.0, 12.0) as u32;
    let ticks = (0..=count).map(|at| (from + f64::from(at)) * step).collect();
    (from * step, (from + f64::from(count)) * step, ticks)
}

/// The next of 1, 2, 5 times a power of ten.
fn round(raw: f64) -> f64 {
    let power = 10_f64.powf(raw.max(1e-9).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= raw * 0.999_999);
    step.unwrap_or(10.0) * power
}

/// A tick's text: as many decimals as its step needs.
pub(super) fn value_text(value: f64, step: f64) -> String {
    let decimals = if step >= 1.0 { 0 } else { (-step.log10().floor()).clamp(0.0, 6.0) as usize };
    let text = format!("{value:.decimals$}");
    if text.trim_start_matches('-').chars().all(|c| matches!(c, '0' | '.')) { "0".to_owned() } else { text }
}

/// The ticks of time between two moments: at most nine, at round places of UTC, with how long the step is.
pub(super) fn times(from_ms: i64, to_ms: i64) -> (Vec<i64>, i64) {
    let steps = [
        1,
        5,
        10,
        50,
        100,
        500,
        1_000,
        10 * 1_000,
        MINUTE_MS,
        10 * MINUTE_MS,
        HOUR_MS,
        3 * HOUR_MS,
        6 * HOUR_MS,
        12 * HOUR_MS,
        DAY_MS,
        2 * DAY_MS,
        5 * DAY_MS,
        10 * DAY_MS,
        15 * DAY_MS,
        30 * DAY_MS,
        60 * DAY_MS,
        120 * DAY_MS,
    ];
    let length = to_ms.saturating_sub(from_ms).max(1);
    let step = steps.into_iter().find(|step| length / step <= 8).unwrap_or(length / 8 + 1);
    let first = from_ms.div_euclid(step).saturating_mul(step);
    let ticks = (0..10).map(|at| first.saturating_add(step.saturating_mul(at)));
    (ticks.filter(|at| (from_ms..=to_ms).contains(at)).collect(), step)
}

/// Whether ticks of this step are told by the day.
pub(super) const fn is_days(step_ms: i64) -> bool {
    step_ms >= DAY_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_a_few_round_numbers_around_all_values() {
        for (low, high) in
            [(0.0, 1.0), (2_431.0, 2_987.0), (-97.0, -40.0), (5.0, 5.0), (0.0, 0.003), (-1e12, 1e12), (0.0, 0.0)]
        {
            let (from, to, ticks) = values(low, high);
            assert!(from <= low && to >= high, "{low}..{high}: {from}..{to}");
            assert!((2..=13).contains(&ticks.len()), "{low}..{high}: {ticks:?}");
        }
        for broken in [(f64::NAN, 1.0), (0.0, f64::INFINITY), (f64::MIN, f64::MAX)] {
            assert!(values(broken.0, broken.1).2.len() <= 13, "{broken:?}");
        }
        assert_eq!(value_text(-0.0, 1.0), "0");
        assert_eq!(value_text(0.25, 0.05), "0.25");
    }

    #[test]
    fn times_have_at_most_nine_ticks_within() {
        for length in [1, 40, 900, 5_000, HOUR_MS, DAY_MS, 7 * DAY_MS, 90 * DAY_MS, 4_000 * DAY_MS] {
            let (ticks, _) = times(1_780_000_000_000, 1_780_000_000_000 + length);
            assert!(ticks.len() <= 9, "{length}: {}", ticks.len());
        }
        assert_eq!(times(0, 90 * DAY_MS).1, 15 * DAY_MS);
        assert!(times(i64::MIN, i64::MAX).0.len() <= 10);
    }
}
