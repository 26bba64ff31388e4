//! A token made by the command lets a running daemon be asked, is shown once, is in no file and no log, and ends when
//! it is revoked; who changed what is kept.
use crate::steps::{CONFIG, status, with_incident};
use crate::support::{Daemon, Folder, zenei};
use serde_json::{Value as Json, json};
use std::time::Duration;
use zenei_kit::bound::within;
use zenei_store::{Control, Layout};

/// A guess, for a machine whose cores are all busy.
const WITHIN: Duration = Duration::from_secs(60);
const HTTP: &str = "[http]\nlisten = '127.0.0.1:0'\ntoken_file = 'tokens'\n";

fn made(folder: &Folder, name: &str, role: &str) -> String {
    let ended = zenei(&["token", "add", name, "--role", role]).in_folder(folder).run();
    assert_eq!((ended.code, ended.stdout.lines().count()), (0, 1), "{}", ended.stderr);
    ended.stdout.trim_end().to_owned()
}

#[test]
fn a_token_changes_something_in_a_running_daemon_until_it_is_revoked() {
    let (folder, id) = with_incident();
    folder.write("zenei.toml", &format!("{CONFIG}{HTTP}"));
    let [operator, viewer, admin] =
        [("sato", "operator"), ("wall", "viewer"), ("boss", "admin")].map(|(name, role)| made(&folder, name, role));
    let daemon = Daemon::start(&folder, &["run", "--log", "trace", "--log-format", "json"]);
    let shown: Json = serde_json::from_str(&daemon.ask("GET", "/api/v1/incidents", &[], "").1).unwrap();
    let whole = shown["incidents"][0]["id"].as_str().unwrap().to_owned();
    assert!(whole.starts_with(&id));
    let path = format!("/api/v1/incidents/{whole}/events");
    let step = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        daemon.ask("POST", &path, &headers, r#"{"kind":"acknowledge"}"#).0
    };
    assert_eq!(daemon.ask("POST", &path, &[("content-type", "application/json")], r#"{"kind":"acknowledge"}"#).0, 401);
    assert_eq!((step("zenei_none"), step(&viewer)), (401, 403));
    assert_eq!(status(&folder, &id).1, 1, "nothing was written");
    let done = step(&operator);
    assert!((200..300).contains(&done), "{done}");
    assert_eq!(status(&folder, &id).1, 2);
    let form = format!("token={operator}");
    let login = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(daemon.ask("POST", "/login", &login, &form).0, 303);
    let revoked = zenei(&["token", "revoke", "sato"]).in_folder(&folder).run();
    assert_eq!((revoked.code, revoked.stdout.as_str()), (0, "revoked sato\n"));
    assert!(within(WITHIN, || (step(&operator) == 401).then_some(())).is_some(), "a revoked token is still taken");
    let bearer = format!("Bearer {admin}");
    let (code, listed) = daemon.ask("GET", "/api/v1/audit", &[("authorization", &bearer)], "");
    let listed: Json = serde_json::from_str(&listed).unwrap();
    let first = listed["audit"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (code, &first["name"], &first["status"], &first["subject"]),
        (200, &json!("wall"), &json!(403), &json!(whole))
    );
    let audit = zenei(&["token", "audit", "--json"]).in_folder(&folder).run();
    assert!(audit.stdout.contains(r#""name":"sato""#) && audit.stdout.contains("/events"), "{}", audit.stdout);
    assert_eq!(daemon.end(), 0);
    for token in [&operator, &viewer, &admin] {
        assert_eq!(folder.holding(&token[6..]), Vec::<String>::new());
        assert!(!audit.stdout.contains(token.as_str()) && !listed.to_string().contains(token.as_str()));
    }
}

#[test]
fn tokens_are_listed_without_their_hashes_and_a_name_is_given_once() {
    let folder = Folder::new();
    folder.write("zenei.toml", &format!("{CONFIG}{HTTP}"));
    made(&folder, "sato", "operator");
    let again = zenei(&["token", "add", "sato", "--role", "admin"]).in_folder(&folder).run();
    assert!(again.code == 1 && again.stderr.contains("there is a token \"sato\""), "{}", again.stderr);
    let unknown = zenei(&["token", "revoke", "ken"]).in_folder(&folder).run();
    assert!(unknown.code == 1 && unknown.stderr.contains("zenei token list"), "{}", unknown.stderr);
    let list = zenei(&["token", "list"]).in_folder(&folder).run();
    let file = std::fs::read_to_string(folder.path().join("tokens")).unwrap();
    let hash = file.trim_end().rsplit(' ').next().unwrap();
    assert!(hash.len() == 64 && list.stdout.contains("sato") && !list.stdout.contains(hash), "{}", list.stdout);
    let line = zenei(&["token", "list", "--json"]).in_folder(&folder).run().stdout;
    assert!(line.starts_with(r#"{"created_ms":"#) && line.contains(r#""role":"operator""#), "{line}");
}

#[test]
fn what_is_reached_from_other_machines_needs_a_token_file_and_the_file_is_checked() {
    let folder = Folder::new();
    let check = |http: &str| {
        folder.write("zenei.toml", &format!("{CONFIG}[http]\n{http}\n"));
        let [check, run] =
            [["config", "check"].as_slice(), &["run"]].map(|command| zenei(command).in_folder(&folder).run());
        assert_eq!((check.code, run.code), (78, 78), "{}{}", check.stdout, check.stderr);
        assert_eq!(check.stderr, run.stderr);
        check.stderr
    };
    let open = check("listen = '0.0.0.0:0'");
    assert!(
        open.starts_with("zenei.toml:7:10: `http.listen` is reached") && open.contains("`http.token_file`"),
        "{open}"
    );
    let public = check("listen = '127.0.0.1:0'\npublic_url = 'https://zenei.example'");
    assert!(public.starts_with("zenei.toml:8:14: `http.public_url`"), "{public}");
    let none = check("listen = '127.0.0.1:0'\ntoken_file = 'tokens'");
    assert!(
        none.starts_with("zenei.toml:8:14: `http.token_file`: the file") && none.contains("zenei token add"),
        "{none}"
    );
    folder.write("tokens", "# mine\nsato root - 1 zenei_canary\n");
    let bad = check("listen = '127.0.0.1:0'\ntoken_file = 'tokens'");
    assert!(
        bad.contains("tokens:2: the role is none; viewer, operator and admin are") && !bad.contains("canary"),
        "{bad}"
    );
    let path = check("listen = '127.0.0.1:0'\npublic_url = 'https://zenei.example/x'");
    assert!(path.contains("without a path"), "{path}");
}

#[test]
fn a_desk_that_is_off_keeps_who_asked() {
    let folder = Folder::new();
    folder.write("zenei.toml", &format!("state_dir = 'state'\n[ingress]\nlisten = '127.0.0.1:0'\n{HTTP}"));
    let token = made(&folder, "sato", "operator");
    let daemon = Daemon::start(&folder, &["run"]);
    let path = format!("/api/v1/incidents/{}/events", "0".repeat(32));
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let code = daemon.ask("POST", &path, &headers, r#"{"kind":"acknowledge"}"#).0;
    assert!(matches!(code, 404 | 409), "{code}");
    assert_eq!(daemon.end(), 0);
    let control = Control::open_read_only(&Layout::new(&folder.path().join("state")).control()).unwrap();
    let rows = control.audit(None, 9).unwrap();
    assert_eq!(rows.iter().map(|row| row.status).collect::<Vec<_>>(), [Some(code)]);
}

#[test]
fn a_daemon_whose_broker_is_away_is_not_ready_and_says_so() {
    let folder = Folder::new();
    let mqtt = "[mqtt]\nurl = 'mqtt://127.0.0.1:9'\n[http]\nlisten = '127.0.0.1:0'\n";
    folder.write("zenei.toml", &format!("{CONFIG}{mqtt}"));
    let daemon = Daemon::start(&folder, &["run"]);
    let (code, body) = daemon.ask("GET", "/readyz", &[], "");
    let found: Json = serde_json::from_str(&body).unwrap();
    let part =
        |name: &str| found["parts"].as_array().unwrap().iter().find(|part| part["name"] == name).cloned().unwrap();
    assert_eq!((code, &found["status"]), (503, &json!("not ready")));
    assert!(part("broker")["why"].as_str().unwrap().starts_with("127.0.0.1:9 is not connected"), "{body}");
    assert_eq!(
        (&part("broker")["ready"], &part("intake")["ready"], &part("disk")["ready"]),
        (&json!(false), &json!(true), &json!(true))
    );
    assert_eq!(daemon.end(), 0);
}
