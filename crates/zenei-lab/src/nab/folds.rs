//! How well parameters that are chosen on some files score on the others: cross-validation over candidates of one
//! family. Called by `nab`.
use super::corpus::Series;
use super::score::{PROFILES, Profile, normalized};
use crate::table::table;
use zenei_detect::estimate::stream::{Alarm, Stream, Tuning};

/// The profile by which parameters are chosen.
const CHOSEN_BY: Profile = PROFILES[0];

/// One candidate and its worth on each file, by profile.
struct Candidate {
    tuning: Tuning,
    raw: Vec<[f64; PROFILES.len()]>,
}

/// The result of cross-validation.
#[derive(Clone, Debug, PartialEq)]
pub struct Validated {
    /// The scores over all files, each by the parameters chosen on the other folds.
    pub held_out: [f64; PROFILES.len()],
    /// The table of folds.
    pub table: Vec<String>,
}

/// The candidates: memories and sizes around the default, and thresholds and rests.
pub fn candidates() -> Vec<Tuning> {
    let base = Tuning::default();
    let mut all = Vec::new();
    for (quick, slow, spread) in [0.05, 0.07, 0.1]
        .into_iter()
        .flat_map(|q| [0.004, 0.006, 0.01].into_iter().flat_map(move |s| [(q, s, 0.0015), (q, s, 0.0025)]))
    {
        for (smoothing, excess) in [(0.045, 0.12), (0.045, 0.2), (0.065, 0.12), (0.065, 0.2), (0.09, 0.12), (0.09, 0.2)]
        {
            let mut tuning = Tuning { quick, slow, spread, smoothing, ..base };
            tuning.tail.excess = excess;
            all.push(tuning);
        }
    }
    all
}

/// Thresholds and rests that each candidate is tried with.
const THRESHOLDS: [f64; 5] = [1.5, 1.75, 2.0, 2.25, 2.5];
const RESTS: [u32; 4] = [60, 90, 120, 180];

/// Validates over `folds` folds: file number i is held out in fold i mod `folds`.
pub fn validate(files: &[Series], candidates: &[Tuning], folds: usize) -> Validated {
    let candidates: Vec<Candidate> = candidates.iter().flat_map(|tuning| tried(files, tuning)).collect();
    let score = |candidate: &Candidate, profile: usize, is_in: &dyn Fn(usize) -> bool| {
        let of = || files.iter().enumerate().filter(|(at, _)| is_in(*at));
        let windows = of().map(|(_, file)| file.worth.windows()).sum();
        normalized(of().map(|(at, _)| candidate.raw[at][profile]).sum(), windows, &PROFILES[profile])
    };
    let (mut rows, mut sums) = (Vec::new(), [0.0; PROFILES.len()]);
    for fold in 0..folds {
        let (inside, outside) = (|at: usize| at % folds == fold, |at: usize| at % folds != fold);
        let chosen = candidates.iter().max_by(|a, b| score(a, 0, &outside).total_cmp(&score(b, 0, &outside)));
        let Some(chosen) = chosen else { continue };
        for (sum, profile) in sums.iter_mut().zip(0..) {
            *sum += (0..files.len()).filter(|&at| inside(at)).map(|at| chosen.raw[at][profile]).sum::<f64>();
        }
        let held = |profile| format!("{:.1}", score(chosen, profile, &inside));
        let windows: usize =
            files.iter().enumerate().filter(|(at, _)| inside(*at)).map(|(_, f)| f.worth.windows()).sum();
        let Tuning { quick, slow, spread, smoothing, threshold, rest, tail, .. } = chosen.tuning;
        rows.push(vec![
            (fold + 1).to_string(),
            (0..files.len()).filter(|&at| inside(at)).count().to_string(),
            windows.to_string(),
            format!("{:.1}", score(chosen, 0, &outside)),
            held(0),
            held(1),
            held(2),
            format!("quick {quick} slow {slow} spread {spread} excess {} smoothing {smoothing} threshold {threshold} rest {rest}", tail.excess),
        ]);
    }
    let windows = files.iter().map(|file| file.worth.windows()).sum();
    let held_out = std::array::from_fn(|at| normalized(sums[at], windows, &PROFILES[at]));
    let head = [
        "fold",
        "files",
        "windows",
        CHOSEN_BY.name,
        "held out",
        PROFILES[1].name,
        PROFILES[2].name,
        "chosen on the others",
    ];
    Validated { held_out, table: table(&head, &rows) }
}

/// A candidate with each threshold and rest: the evidence is the same.
fn tried(files: &[Series], tuning: &Tuning) -> Vec<Candidate> {
    let evidence = |file: &Series| {
        let mut stream = Stream::new(tuning);
        file.values.iter().zip(&file.at_ms).map(|(&value, &at_ms)| stream.add(value, at_ms)).collect::<Vec<f64>>()
    };
    let evidence: Vec<Vec<f64>> = files.iter().map(evidence).collect();
    let tunings =
        THRESHOLDS.iter().flat_map(|&threshold| RESTS.iter().map(move |&rest| Tuning { threshold, rest, ..*tuning }));
    let worth = |tuning: Tuning| {
        let raw = files.iter().zip(&evidence).map(|(file, evidence)| {
            let mut alarm = Alarm::new(tuning.threshold, tuning.rest);
            let mut alarms: Vec<usize> = (0..evidence.len()).collect();
            alarms.retain(|&at| alarm.score(evidence[at]) >= Alarm::SCORE);
            PROFILES.map(|profile| file.worth.raw(alarms.iter().copied(), &profile))
        });
        Candidate { tuning, raw: raw.collect() }
    };
    tunings.map(worth).collect()
}
