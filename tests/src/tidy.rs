//! What is kept tidy in every file: lengths, leftovers, clocks, panics, the opening words. Reads text, not syntax: each
//! check is a function over a path and its text, and is itself checked against a text that breaks the rule.
use crate::repository::{top, tracked_files};
use crate::rust_text::{test_files, without_tests};
use std::collections::BTreeSet;

/// The most lines of a source file, unless its opening words hold [`REASON`].
const MAX_LINES: usize = 500;
/// The most lines of any source file.
const MAX_LINES_WITH_REASON: usize = 800;
/// The product files that may convert one of the three times into another: those that put records in order, those
/// that read a gateway's output, and the clock at which people's events enter the log.
const RELATE_TIMES: &[&str] = &[
    "crates/zenei-detect/src/adverts.rs",
    "crates/zenei-detect/src/pipeline.rs",
    "crates/zenei-desk/src/shared.rs",
    "crates/zenei-desk/src/tail/mod.rs",
    "crates/zenei-gateway/src/driver/mod.rs",
    "crates/zenei-store/src/clickhouse/feed.rs",
    "crates/zenei-wire/src/bthome/keyring.rs",
    "crates/zenei-wire/src/time.rs",
];
/// The beginning of the reason for a file's length in its opening words.
const REASON: &str = "Over 500 lines because";
/// The most columns of a comment; the formatter wraps code and leaves comments.
const MAX_COMMENT_COLUMNS: usize = 120;
/// The most lines of the README.
const MAX_README_LINES: usize = 150;
/// The largest tracked file, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// The one source file that may ask the machine for the time.
const CLOCK: &str = "crates/zenei-store/src/clock.rs";

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

/// Whether a whole file is test, benchmark or example code.
fn is_beside_the_product(path: &str) -> bool {
    ["tests/", "benches/", "fuzz/"].iter().any(|top| path.starts_with(top))
        || has_folder(path, &["tests", "benches", "examples"])
}

fn has_folder(path: &str, names: &[&str]) -> bool {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders.split('/').any(|folder| names.contains(&folder))
}

fn too_long(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let has_reason = text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.contains(REASON));
    let allowed = match (path, has_reason) {
        ("README.md", _) => MAX_README_LINES,
        (_, true) => MAX_LINES_WITH_REASON,
        (_, false) => MAX_LINES,
    };
    if (is_rust(path) || path == "README.md") && lines > allowed {
        vec![format!("{path} has {lines} lines; {allowed} are allowed")]
    } else {
        Vec::new()
    }
}

fn wide_comments(path: &str, text: &str) -> Vec<String> {
    let is_wide = |line: &str| line.trim_start().starts_with("//") && line.chars().count() > MAX_COMMENT_COLUMNS;
    let lines = text.lines().enumerate().filter(|(_, line)| is_rust(path) && is_wide(line));
    lines.map(|(at, _)| format!("{path}:{}: the comment has over {MAX_COMMENT_COLUMNS} columns", at + 1)).collect()
}

fn without_opening_words(path: &str, text: &str) -> Vec<String> {
    if is_rust(path) && !text.starts_with("//!") { vec![format!("{path} does not start with //!")] } else { Vec::new() }
}

/// Leftovers of work. The words are assembled here, so that this file does not contain them.
fn leftovers(path: &str, text: &str) -> Vec<String> {
    let words = [
        ["to", "do!"],
        ["unimple", "mented!"],
        ["db", "g!("],
        ["FIX", "ME"],
        ["XX", "X"],
        ["#[ig", "nore"],
        ["[al", "low("],
    ];
    lines_with(path, text, &words.map(|halves| halves.concat()))
}

fn clocks(path: &str, text: &str) -> Vec<String> {
    if path == CLOCK || has_folder(path, &["examples", "benches"]) {
        return Vec::new();
    }
    lines_with(path, text, &[["Instant::", "now"].concat(), ["SystemTime::", "now"].concat()])
}

fn related_times(path: &str, text: &str) -> Vec<String> {
    if RELATE_TIMES.contains(&path) || is_beside_the_product(path) {
        return Vec::new();
    }
    lines_with(path, &without_tests(text), &[".as_engine()".into(), ".as_device()".into()])
}

fn panics(path: &str, text: &str) -> Vec<String> {
    if is_beside_the_product(path) {
        return Vec::new();
    }
    lines_with(path, &without_tests(text), &[".unwrap()".into(), ".expect(".into()])
}

/// The lines of a Rust file, comments left out, that contain one of these words.
fn lines_with(path: &str, text: &str, words: &[String]) -> Vec<String> {
    if !is_rust(path) {
        return Vec::new();
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("///"));
    let holds = |line: &str| words.iter().find(|word| line.contains(word.as_str())).cloned();
    lines.filter_map(|(at, line)| holds(line).map(|word| format!("{path}:{} holds {word}", at + 1))).collect()
}

fn check_each_file(check: fn(&str, &str) -> Vec<String>, except: &BTreeSet<String>) {
    let mut found = Vec::new();
    for path in tracked_files().into_iter().filter(|path| is_rust(path) || path == "README.md") {
        if !except.contains(&path) {
            found.extend(check(&path, &read(&path)));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn read(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).expect("a source file is UTF-8")
}

#[test]
fn no_file_is_too_long() {
    check_each_file(too_long, &BTreeSet::new());
}

#[test]
fn no_comment_is_wider_than_the_formatter_makes_code() {
    check_each_file(wide_comments, &BTreeSet::new());
}

#[test]
fn every_source_file_says_what_it_answers() {
    check_each_file(without_opening_words, &BTreeSet::new());
}

#[test]
fn no_leftovers_stand_in_the_source() {
    check_each_file(leftovers, &BTreeSet::new());
}

#[test]
fn only_the_clock_asks_the_machine_for_the_time() {
    check_each_file(clocks, &BTreeSet::new());
}

#[test]
fn only_named_files_turn_one_time_into_another() {
    check_each_file(related_times, &BTreeSet::new());
    assert_eq!(related_times("crates/zenei-detect/src/engine.rs", "let at = row.heard_at.as_engine();").len(), 1);
}

#[test]
fn nothing_panics_on_purpose_outside_tests() {
    let sources = tracked_files().into_iter().filter(|path| is_rust(path));
    let mut tests: BTreeSet<String> = sources.flat_map(|path| test_files(&path, &read(&path))).collect();
    let folders: Vec<String> = tests.iter().map(|test| test.replace(".rs", "/")).collect();
    // The modules of a test file are tests as well.
    tests.extend(tracked_files().into_iter().filter(|path| folders.iter().any(|folder| path.starts_with(folder))));
    check_each_file(panics, &tests);
}

#[test]
fn no_tracked_file_is_over_a_mebibyte() {
    let size = |path: &str| std::fs::metadata(top().join(path)).map_or(0, |file| file.len());
    let large: Vec<_> = tracked_files().into_iter().filter(|path| is_too_large(size(path))).collect();
    assert!(large.is_empty(), "{large:?}");
}

fn is_too_large(bytes: u64) -> bool {
    bytes > MAX_FILE_BYTES
}

#[test]
fn the_checks_find_what_they_look_for() {
    let long = "//!\n".repeat(MAX_LINES);
    assert_eq!(too_long("a.rs", &long).len(), 0);
    assert_eq!(too_long("a.rs", &(long.clone() + "x")).len(), 1);
    let reason = format!("//! {REASON} it is one table.\n");
    assert_eq!(too_long("a.rs", &(reason.clone() + &long + "x")).len(), 0);
    assert_eq!(too_long("a.rs", &(reason + &"x\n".repeat(MAX_LINES_WITH_REASON))).len(), 1);
    assert_eq!(too_long("README.md", &"x\n".repeat(MAX_README_LINES)).len(), 0);
    assert_eq!(too_long("README.md", &long).len(), 1);
    assert_eq!(too_long("notes.txt", &(long + "x")).len(), 0);

    let comment = |columns: usize| format!("// {}", "é".repeat(columns - 3));
    assert_eq!(wide_comments("a.rs", &comment(MAX_COMMENT_COLUMNS + 1)).len(), 1);
    assert_eq!(wide_comments("a.rs", &comment(MAX_COMMENT_COLUMNS)).len(), 0);

    assert_eq!(without_opening_words("a.rs", "//! Yes.").len(), 0);
    assert_eq!(without_opening_words("a.rs", "use std;").len(), 1);

    assert!(is_too_large(MAX_FILE_BYTES + 1) && !is_too_large(MAX_FILE_BYTES));
}

#[test]
fn leftovers_are_found_wherever_they_stand() {
    for halves in
        [("to", "do!()"), ("db", "g!(x)"), ("// FIX", "ME: later"), ("#[ig", "nore]"), ("#![al", "low(warnings)]")]
    {
        let line = format!("    {}{}", halves.0, halves.1);
        assert_eq!(leftovers("a.rs", &line).len(), 1, "{line}");
    }
    assert_eq!(leftovers("a.rs", "let allowed = 1; // allowed here").len(), 0);
}

#[test]
fn clocks_are_found_outside_the_clock() {
    let line = ["let now = Instant::", "now();"].concat();
    assert_eq!(
        clocks("crates/zenei-desk/src/driver.rs", &line),
        ["crates/zenei-desk/src/driver.rs:1 holds Instant::".to_owned() + "now"]
    );
    assert_eq!(clocks("tests/src/chaos.rs", &line).len(), 1);
    assert_eq!(clocks(CLOCK, &line).len(), 0);
    assert_eq!(clocks("crates/zenei-wire/examples/decode_speed.rs", &line).len(), 0);
}

#[test]
fn panics_are_found_outside_test_modules() {
    let text =
        "fn f() {\n    x.unwrap();\n}\n\n#[cfg(test)]\nmod tests {\n    fn g() {\n        y.unwrap();\n    }\n}\n";
    assert_eq!(panics("crates/a/src/lib.rs", text), ["crates/a/src/lib.rs:2 holds .unwrap()"]);
    let after = "#[cfg(test)]\nmod tests;\n\nfn f() {\n    x.expect(\"y\");\n}\n";
    assert_eq!(panics("crates/a/src/lib.rs", after), ["crates/a/src/lib.rs:5 holds .expect("]);
    let alone = "#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;\nfn f() {\n    x.unwrap();\n}\n";
    assert_eq!(panics("crates/a/src/lib.rs", alone), ["crates/a/src/lib.rs:5 holds .unwrap()"]);
    let inner = "impl A {\n    #[cfg(test)]\n    fn g() {\n        x.unwrap();\n    }\n\n    fn h() {\n        x.unwrap();\n    }\n}\n";
    assert_eq!(panics("crates/a/src/lib.rs", inner), ["crates/a/src/lib.rs:8 holds .unwrap()"]);
    assert_eq!(panics("crates/a/src/lib.rs", "/// x.unwrap()\n").len(), 0);
    assert_eq!(panics("tests/src/chaos.rs", text).len(), 0);
}
