//! What `zenei doctor` says of the state directory and of the HTTP server.
use crate::steps::{step, with_incident};
use crate::support::{Daemon, Folder, zenei};
use std::os::unix::fs::PermissionsExt as _;

/// The line about one thing, and the exit code.
fn line(folder: &Folder, what: &str) -> (i32, String) {
    let ended = zenei(&["doctor"]).in_folder(folder).run();
    let found = ended.stdout.lines().find(|line| line[6..].split(' ').next() == Some(what)).unwrap_or("");
    (ended.code, found.to_owned())
}

#[test]
fn an_incident_log_that_something_else_has_changed_is_found() {
    let (folder, id) = with_incident();
    assert_eq!(step(&folder, &["note", &id, "the door is fine"]).code, 0);
    let (_, before) = line(&folder, "log");
    assert!(before.starts_with("ok    log") && before.contains("each linked to the one before"), "{before}");
    let path = folder.path().join("state/control.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let (was, is) = (b"the door is fine", b"the door is open");
    let found: Vec<usize> = (0..bytes.len() - was.len()).filter(|&at| bytes[at..].starts_with(was)).collect();
    assert!(!found.is_empty(), "the note is in the file");
    for at in found {
        bytes[at..at + is.len()].copy_from_slice(is);
    }
    std::fs::write(&path, bytes).unwrap();
    let (code, after) = line(&folder, "log");
    assert_eq!(code, 69);
    assert!(after.starts_with("fail  log") && after.contains("put back a backup"), "{after}");
}

#[test]
fn a_history_that_is_no_database_is_told_with_what_makes_it_anew() {
    let (folder, _) = with_incident();
    folder.write("state/history.db", "no database at all, and long enough to be read as the head of a file");
    let (_, said) = line(&folder, "history");
    assert!(said.starts_with("warn  history") && said.contains("made anew from the Parquet store"), "{said}");
}

#[test]
fn who_may_ask_over_http_is_told_and_so_is_whether_what_runs_is_ready() {
    let folder = Folder::new();
    let config = |http: &str| {
        format!(
            "state_dir = 'state'\n[ingress]\nlisten = '127.0.0.1:0'\n[desk]\nenabled = true\n[http]\nlisten = '{http}'\n"
        )
    };
    folder.write("zenei.toml", &config("127.0.0.1:0"));
    let (code, said) = line(&folder, "tokens");
    assert!(code == 0 && said.contains("nobody may change anything over HTTP"), "{said}");
    let daemon = Daemon::start(&folder, &["run"]);
    folder.write("zenei.toml", &config(daemon.http()));
    assert_eq!(line(&folder, "ready").1, "ok    ready       the zenei that runs here is ready");
    assert_eq!(daemon.end(), 0);
    assert_eq!(line(&folder, "ready").1, "", "nothing runs");
    let tokens = folder.path().join("tokens");
    folder.write("tokens", "");
    std::fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o644)).unwrap();
    folder.write("zenei.toml", &format!("{}token_file = 'tokens'\n", config("127.0.0.1:0")));
    let (_, said) = line(&folder, "tokens");
    assert!(said.starts_with("warn  tokens") && said.contains("chmod 600"), "{said}");
    std::fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (_, said) = line(&folder, "tokens");
    assert!(said.starts_with("warn  tokens") && said.contains("holds none"), "{said}");
}

#[test]
fn each_line_has_a_verdict_and_each_that_is_not_ok_a_remedy_in_one_line() {
    // No zenei.toml: the usual places on one machine, of which a test machine serves none.
    let folder = Folder::new();
    let ended = zenei(&["doctor", "--json"]).in_folder(&folder).run();
    let failed = ended.stdout.contains(r#""verdict":"fail""#);
    assert_eq!(ended.code, if failed { 69 } else { 0 }, "{}", ended.stdout);
    for line in ended.stdout.lines() {
        let look: serde_json::Value = serde_json::from_str(line).unwrap();
        let (verdict, remedy) = (look["verdict"].as_str().unwrap(), look["remedy"].as_str().unwrap());
        assert!(["ok", "warn", "fail"].contains(&verdict), "{line}");
        assert_eq!(remedy.is_empty(), verdict == "ok", "{line}");
        assert!(!remedy.contains('\n'), "{line}");
    }
}
