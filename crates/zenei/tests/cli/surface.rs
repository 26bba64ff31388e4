//! What is the same for all commands: help, version, exit codes, pipes.
use crate::support::zenei;
use expect_test::expect_file;

#[test]
fn the_help_teaches() {
    let help = |command: &[&str]| {
        let ended = zenei(&[command, &["--help"]].concat()).run();
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        ended.stdout
    };
    expect_file!["help/zenei.txt"].assert_eq(&help(&[]));
    expect_file!["help/demo.txt"].assert_eq(&help(&["demo"]));
    expect_file!["help/run.txt"].assert_eq(&help(&["run"]));
    expect_file!["help/replay.txt"].assert_eq(&help(&["replay"]));
    expect_file!["help/scan.txt"].assert_eq(&help(&["scan"]));
    expect_file!["help/config_check.txt"].assert_eq(&help(&["config", "check"]));
}

#[test]
fn a_closed_pipe_is_no_error() {
    // The schema is larger than one write of the buffer, and the reader is gone before the first.
    let ended = zenei(&["config", "schema"]).into_closed_pipe();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let ended = zenei(&["--help"]).into_closed_pipe();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn a_command_that_needs_the_lab_names_the_build() {
    for command in [&["backtest", "--rules", "x"][..], &["bench", "nab", "--help"]] {
        let ended = zenei(command).run();
        assert_eq!(ended.code, 2);
        assert!(ended.stderr.contains("cargo build --release -p zenei --features lab"), "{}", ended.stderr);
    }
}

#[test]
fn an_unknown_command_is_a_usage_error() {
    let ended = zenei(&["demmo"]).run();
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("demo"), "{}", ended.stderr);
}

#[test]
fn the_version_is_told() {
    let ended = zenei(&["--version"]).run();
    assert_eq!((ended.code, ended.stdout), (0, format!("zenei {}\n", env!("CARGO_PKG_VERSION"))));
}
