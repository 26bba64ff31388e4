//! Tests on the benchmark's own data, where they are present: the scorer reproduces the published scores of two
//! detectors, and zenei's detector reaches the score that its documentation states. The data are not part of the
//! repository; the tests look for them in `shared/data/nab` beside it. Without them the tests print a notice and check
//! nothing; with `ZENEI_REQUIRE_NAB` set they fail.
use super::*;
use std::fs;
use std::path::PathBuf;

fn nab() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/nab");
    if beside.is_dir() {
        return Some(beside);
    }
    let required = std::env::var_os("ZENEI_REQUIRE_NAB").is_some();
    assert!(!required, "{} is not there, and ZENEI_REQUIRE_NAB is set", beside.display());
    println!("SKIPPED: {} is not there; nothing was checked", beside.display());
    None
}

fn files(nab: &Path) -> Vec<Series> {
    corpus::read(&nab.join("data"), &nab.join("labels/combined_windows.json"), &nab.join("files.txt")).unwrap()
}

/// A detector's published scores of a file.
fn published(nab: &Path, detector: &str, file: &Series) -> Vec<f64> {
    let (folder, name) = file.name.split_once('/').unwrap();
    let text = fs::read_to_string(nab.join(format!("results/{detector}/{folder}/{detector}_{name}"))).unwrap();
    text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect()
}

#[test]
fn the_published_scores_of_two_detectors_are_reproduced() {
    let Some(nab) = nab() else { return };
    let files = files(&nab);
    for (detector, expected) in [("numenta", [71.35, 65.76, 75.36]), ("windowedGaussian", [40.72, 27.79, 46.59])] {
        let scores: Vec<Vec<f64>> = files.iter().map(|file| published(&nab, detector, file)).collect();
        let of: Vec<_> = files.iter().zip(&scores).map(|(file, scores)| (&file.worth, scores.as_slice())).collect();
        for (profile, expected) in PROFILES.iter().zip(expected) {
            let (found, threshold) = score::best(&of, profile);
            assert!((found - expected).abs() < 0.006, "{detector} {}: {found:.3}", profile.name);
            // The sweep and the direct computation agree.
            let windows = files.iter().map(|file| file.worth.windows()).sum();
            let alarms =
                |scores: &Vec<f64>| (0..scores.len()).filter(|&at| scores[at] >= threshold).collect::<Vec<usize>>();
            let raw: f64 =
                files.iter().zip(&scores).map(|(file, scores)| file.worth.raw(alarms(scores), profile)).sum();
            assert!((normalized(raw, windows, profile) - found).abs() < 1e-9);
        }
    }
}

#[test]
fn the_estimators_do_better_than_the_prototypes_and_no_row_is_left_out() {
    let Some(nab) = nab() else { return };
    let folder = tempfile::tempdir().unwrap();
    let arguments = Nab {
        data: nab.join("data"),
        labels: nab.join("labels/combined_windows.json"),
        files: nab.join("files.txt"),
        out: folder.path().join("scores.csv"),
        threshold: Alarm::SCORE,
        folds: 0,
    };
    let mut out = Vec::new();
    bench(&arguments, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let score = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse::<f64>().unwrap()
    };
    // The goals; the benchmark prints the exact scores.
    assert!(score("standard") >= 55.0 && score("low FN") >= 55.0 && score("low FP") >= 45.0, "{text}");
    let rows = fs::read_to_string(&arguments.out).unwrap();
    let files = files(&nab);
    assert_eq!(rows.lines().count(), 1 + files.iter().map(|file| file.values.len()).sum::<usize>());
    let scores = rows.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse::<f64>().unwrap());
    assert!(scores.into_iter().all(|score| (0.0..=1.0).contains(&score)));
}

#[test]
fn a_row_is_scored_without_a_look_at_later_ones() {
    let Some(nab) = nab() else { return };
    let files = files(&nab);
    for file in files.iter().step_by(4) {
        let (whole, half) = (file.values.len(), file.values.len() / 2);
        let mut cut = file.clone();
        cut.values.truncate(half);
        let mut seconds = 0.0;
        let scores = scored(file, &Tuning::default(), &mut seconds);
        assert_eq!((scores.len(), &scores[..half]), (whole, &scored(&cut, &Tuning::default(), &mut seconds)[..]));
    }
}

#[test]
fn numbers_chosen_on_some_files_carry_over_to_the_others() {
    let Some(nab) = nab() else { return };
    let candidates: Vec<Tuning> = folds::candidates().into_iter().step_by(27).collect();
    let validated = folds::validate(&files(&nab), &candidates, 5);
    assert!(validated.held_out[0] >= 55.0, "{validated:?}");
    assert_eq!(validated.table.len(), 6);
}
