//! The folder `broken`: configurations that a person could write, and what `config check` and `run` say of each. The
//! same files are checked without a network by `tests/run`.
use crate::support::{Folder, zenei};
use expect_test::expect_file;
use std::path::{Path, PathBuf};

fn configurations() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/broken");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    found.sort();
    found
}

/// Runs a command with a copy of the configuration and of the files beside it; exit code, standard output and error.
fn told(configuration: &Path, command: &[&str]) -> (i32, String, String) {
    let folder = Folder::new();
    let from = configuration.parent().unwrap();
    for name in [Path::new("pager.key"), Path::new(configuration.file_name().unwrap())] {
        std::fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    let name = configuration.file_name().unwrap().to_str().unwrap();
    let ended = zenei(&[command, &["--config", name]].concat()).in_folder(&folder).run();
    assert!(!folder.path().join("state").exists(), "{name}: something was started");
    (ended.code, ended.stdout, ended.stderr.replace(&folder.path().display().to_string(), "DIR"))
}

#[test]
fn each_is_refused_with_file_line_and_key_by_the_check_as_by_the_daemon() {
    let all = configurations();
    assert!(all.len() >= 12, "{all:?}");
    for configuration in all {
        let (code, stdout, stderr) = told(&configuration, &["config", "check"]);
        assert_eq!((code, stdout.as_str()), (78, ""), "{}: {stderr}", configuration.display());
        expect_file![configuration.with_extension("txt")].assert_eq(&stderr);
        let name = configuration.file_name().unwrap().to_str().unwrap();
        for line in stderr.lines() {
            let place =
                line.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')).unwrap_or_else(|| panic!("{line}"));
            let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<usize>().is_ok());
            let mut parts = place.split(':');
            assert!(is_number(parts.next()) && is_number(parts.next()), "line and column: {line}");
        }
        assert!(!stderr.contains("canary"), "a secret is shown: {stderr}");
        assert_eq!(told(&configuration, &["run"]), (78, String::new(), stderr), "run says something else");
    }
}

#[test]
fn one_that_is_good_but_whose_servers_are_down_passes() {
    let folder = Folder::new();
    let text = "state_dir = 'state'\n[mqtt]\nurl = 'mqtt://127.0.0.1:1'\n[store]\nkind = 'clickhouse'\n[store.clickhouse]\n\
        url = 'http://no-such-host.invalid:8123'\n[desk]\nenabled = true\n[notify.hook]\nkind = 'webhook'\n\
        url = 'https://no-such-host.invalid/x'\n[notify.here]\nkind = 'webhook'\nurl = 'http://127.0.0.1:1/'\nallow_private = true\n";
    folder.write("zenei.toml", text);
    let ended = zenei(&["config", "check"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(!ended.stdout.contains("refuse"), "{}", ended.stdout);
}
