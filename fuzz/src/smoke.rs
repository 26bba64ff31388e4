//! A target without a fuzzer: runs its committed corpus and some thousand mutated inputs, the same ones each time. Must
//! not know what a target checks. Called by the tests of the targets.
use crate::mutate::mutated;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use zenei_kit::Dice;

/// How many mutated inputs are tried: seconds for each target without optimization.
const MUTATIONS: usize = 4_000;
/// The most files of a corpus, and the most bytes of them together.
const MAX_FILES: usize = 40;
const MAX_CORPUS_BYTES: usize = 200 * 1024;

/// Checks that a target's promises hold.
///
/// # Panics
/// Where they do not, with the input, and where the corpus is missing or too large.
pub(crate) fn smoke(target: &str, check: fn(&[u8])) {
    if let Some(input) = find(target, check) {
        panic!("{target} breaks its promise for {} bytes: {}", input.len(), input.escape_ascii());
    }
}

/// The first input for which a check panics. The panic's text goes to standard error.
///
/// # Panics
/// Where the corpus is missing or too large.
pub(crate) fn find(target: &str, check: impl Fn(&[u8])) -> Option<Vec<u8>> {
    let corpus = corpus(target);
    let mut dice = Dice(1);
    let near = std::iter::repeat_with(|| mutated(&mut dice, &corpus)).take(MUTATIONS);
    let breaks = |input: &Vec<u8>| catch_unwind(AssertUnwindSafe(|| check(input))).is_err();
    corpus.iter().cloned().chain(near).find(breaks)
}

/// The committed inputs of a target, in the order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
    paths.sort();
    let inputs: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).expect("a file can be read")).collect();
    let bytes: usize = inputs.iter().map(Vec::len).sum();
    assert!(
        (1..=MAX_FILES).contains(&inputs.len()),
        "{target} has {} files; 1 to {MAX_FILES} are allowed",
        inputs.len()
    );
    assert!(bytes <= MAX_CORPUS_BYTES, "{target} has {bytes} bytes; {MAX_CORPUS_BYTES} are allowed");
    inputs
}
