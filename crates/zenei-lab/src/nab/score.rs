//! The Numenta Anomaly Benchmark's score, as published: what each detection is worth, and the best threshold for the
//! scores of one detector. Must not know the values, only rows and windows. Called by `nab`, `corpus` and `folds`; a
//! test reproduces the published scores of two detectors.
//!
//! The first min(⌊0.15 n⌋, 750) rows of a file are probation and are never scored. A detection at row i of a window
//! l..r of w rows is worth s(−(r−i+1)/w)/s(−1), with s(y) = 2/(1+exp(5y)) − 1, and −1 for y > 3; only the earliest
//! counts. A window without one costs A_FN. A detection outside costs A_FP·s((i−r')/(w'−1)) of the window before it, or
//! A_FP before the first. A window without a row to score is ignored.

/// The worth of right and wrong detections; a right detection is worth 1 at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// The cost of a false detection.
    pub false_positive: f64,
    /// The cost of a missed window.
    pub missed: f64,
}

/// The benchmark's three profiles.
pub const PROFILES: [Profile; 3] = [
    Profile { name: "standard", false_positive: 0.11, missed: 1.0 },
    Profile { name: "low FP", false_positive: 0.22, missed: 1.0 },
    Profile { name: "low FN", false_positive: 0.11, missed: 2.0 },
];

/// The kind of a detection at a row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum DetectionAt {
    Probation,
    Inside { window: usize, worth: f64 },
    Outside { penalty: f64 },
}

/// The worth of detections in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Worth {
    rows: Vec<DetectionAt>,
    windows: usize,
}

/// How many rows of a file with `rows` rows are not scored.
pub fn probation(rows: usize) -> usize {
    (rows * 15 / 100).min(750)
}

impl Worth {
    /// The worth in a file with so many rows and these windows (first and last row), in order.
    pub fn of(rows: usize, windows: &[(usize, usize)]) -> Self {
        let probation = probation(rows);
        let row = |at: usize| {
            if at < probation {
                return DetectionAt::Probation;
            }
            if let Some(window) = windows.iter().position(|(first, last)| (*first..=*last).contains(&at)) {
                let (first, last) = windows[window];
                let along = (last - at + 1) as f64 / (last - first + 1) as f64;
                return DetectionAt::Inside { window, worth: sigmoid(-along) / sigmoid(-1.0) };
            }
            let before = windows.iter().rfind(|(_, last)| *last < at);
            let penalty = before.map_or(1.0, |(first, last)| -sigmoid((at - last) as f64 / (last - first) as f64));
            DetectionAt::Outside { penalty }
        };
        let rows = (0..rows).map(row).collect();
        Self { rows, windows: windows.iter().filter(|(_, last)| *last >= probation).count() }
    }

    /// How many windows are scored.
    pub fn windows(&self) -> usize {
        self.windows
    }

    /// The worth of detections at these rows, ascending, by a profile; without any, minus the cost of the file's
    /// windows.
    pub fn raw(&self, detections: impl IntoIterator<Item = usize>, profile: &Profile) -> f64 {
        let (mut hit, mut sum, mut hits) = (None, 0.0, 0);
        for row in detections.into_iter().filter_map(|at| self.rows.get(at)) {
            match *row {
                DetectionAt::Probation => {}
                DetectionAt::Outside { penalty } => sum -= profile.false_positive * penalty,
                // Windows come in order and do not overlap: the first detection in a window is the earliest.
                DetectionAt::Inside { window, worth } if hit != Some(window) => {
                    (hit, hits, sum) = (Some(window), hits + 1, sum + worth);
                }
                DetectionAt::Inside { .. } => {}
            }
        }
        sum - profile.missed * (self.windows - hits) as f64
    }
}

/// From the sum over files to the score: 0 for no detections, 100 for perfect ones.
pub fn normalized(raw: f64, windows: usize, profile: &Profile) -> f64 {
    let null = -profile.missed * windows as f64;
    100.0 * (raw - null) / (windows as f64 - null)
}

/// The best score of a detector over all thresholds, with its threshold, from each file's worth and the scores of its
/// rows.
pub fn best(files: &[(&Worth, &[f64])], profile: &Profile) -> (f64, f64) {
    let mut steps: Vec<(f64, usize, usize)> = Vec::new();
    for (file, (_, scores)) in files.iter().enumerate() {
        steps.extend(scores.iter().enumerate().map(|(row, &score)| (score, file, row)));
    }
    steps.sort_by(|one, other| other.0.total_cmp(&one.0));
    let windows = files.iter().map(|(worth, _)| worth.windows).sum();
    let mut sum = -profile.missed * windows as f64;
    let mut best = (sum, f64::INFINITY);
    let mut earliest: Vec<Vec<Option<(usize, f64)>>> = vec![Vec::new(); files.len()];
    for (at, &(score, file, row)) in steps.iter().enumerate() {
        match files[file].0.rows[row] {
            DetectionAt::Probation => {}
            DetectionAt::Outside { penalty } => sum -= profile.false_positive * penalty,
            DetectionAt::Inside { window, worth } => {
                let of_file = &mut earliest[file];
                of_file.resize(of_file.len().max(window + 1), None);
                match of_file[window] {
                    Some((first, _)) if first <= row => {}
                    Some((_, was)) => sum += worth - was,
                    None => sum += worth + profile.missed,
                }
                if of_file[window].is_none_or(|(first, _)| row < first) {
                    of_file[window] = Some((row, worth));
                }
            }
        }
        let is_last_of_score = steps.get(at + 1).is_none_or(|next| next.0 < score);
        if is_last_of_score && sum > best.0 {
            best = (sum, score);
        }
    }
    (normalized(best.0, windows, profile), best.1)
}

fn sigmoid(y: f64) -> f64 {
    if y > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * y).exp()) - 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: Profile = PROFILES[0];

    fn raw(detections: &[usize]) -> f64 {
        // 100 rows, 15 of them probation; windows of 10 rows at 40 and at 70.
        Worth::of(100, &[(40, 49), (70, 79)]).raw(detections.iter().copied(), &STANDARD)
    }

    #[test]
    fn saying_nothing_costs_the_windows_and_being_early_in_each_is_perfect() {
        assert_eq!((raw(&[]), raw(&[40, 70])), (-2.0, 2.0));
        assert_eq!([normalized(-2.0, 2, &STANDARD), normalized(2.0, 2, &STANDARD)], [0.0, 100.0]);
    }

    #[test]
    fn only_the_earliest_detection_of_a_window_counts() {
        assert_eq!(raw(&[45, 46, 47]), raw(&[45]));
        assert!(raw(&[45]) < raw(&[41]));
    }

    #[test]
    fn a_detection_outside_costs_less_just_after_a_window() {
        let cost = |at: usize| -2.0 - raw(&[at]);
        assert!((cost(20) - 0.11).abs() < 1e-12);
        assert!(cost(50) < cost(60) && cost(60) <= 0.11);
        assert_eq!(cost(5), 0.0, "probation is not scored");
    }

    #[test]
    fn a_window_within_probation_takes_no_part() {
        assert_eq!(Worth::of(100, &[(3, 9), (40, 49)]).windows(), 1);
        assert_eq!((probation(100), probation(10_000)), (15, 750));
    }

    #[test]
    fn the_best_threshold_is_found() {
        let worth = Worth::of(100, &[(40, 49)]);
        let mut scores = vec![0.0; 100];
        (scores[30], scores[44], scores[41]) = (0.3, 0.9, 0.5);
        let (score, threshold) = best(&[(&worth, &scores)], &STANDARD);
        let at = |detections: &[usize]| normalized(worth.raw(detections.iter().copied(), &STANDARD), 1, &STANDARD);
        assert_eq!((score, threshold), (at(&[41, 44]), 0.5));
        assert!(score > at(&[44]) && score > at(&[30, 41, 44]));
    }
}
