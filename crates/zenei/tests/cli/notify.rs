//! `zenei notify`, what `zenei doctor` says of targets, and in which language a target is told.
use crate::steps::CONFIG;
use crate::support::{Daemon, Folder, zenei};
use remote_sim::{Alertmanager, Faults, PagerDuty, Receiver, Server};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use tokio::runtime::Runtime;
use zenei_desk::DeskDriver;
use zenei_detect::Findings;
use zenei_kit::anomaly;
use zenei_kit::bound::within;
use zenei_store::{Control, Layout};
use zenei_wire::EngineTime;

const KEY: &str = "canary0123456789abcdef0123456789";
/// How long a daemon may take to tell; a guess for two busy cores.
const TOLD_WITHIN: Duration = Duration::from_secs(120);

/// Two stand-ins, and a configuration that names both and one at which nobody listens.
struct Targets {
    alerts: Server<Alertmanager>,
    pager: Server<PagerDuty>,
    folder: Folder,
    _runtime: Runtime,
}

fn targets() -> Targets {
    let runtime = Runtime::new().unwrap();
    let alerts = runtime.block_on(Server::start(Alertmanager::default(), Faults::none())).unwrap();
    let pager = runtime.block_on(Server::start(PagerDuty::new(KEY), Faults::none())).unwrap();
    let folder = Folder::new();
    folder.write("pager.key", KEY);
    private(&folder, "pager.key");
    let config = format!(
        "{CONFIG}[notify.alerts]\nkind = 'alertmanager'\nurl = '{}'\nallow_private = true\ndomains = ['hardware']\n\
         [notify.gone]\nkind = 'alertmanager'\nurl = 'http://127.0.0.1:9'\nallow_private = true\n\
         [notify.pager]\nkind = 'pagerduty'\nbase_url = '{}'\nrouting_key_file = 'pager.key'\nallow_private = true\n\
         min_urgency = 'high'\n",
        alerts.base_url(),
        pager.base_url()
    );
    folder.write("zenei.toml", &config);
    Targets { alerts, pager, folder, _runtime: runtime }
}

fn private(folder: &Folder, name: &str) {
    std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_list_says_who_is_told_of_what_and_sends_nothing() {
    let targets = targets();
    let ended = zenei(&["notify", "list"]).in_folder(&targets.folder).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let pager = ended.stdout.lines().find(|line| line.starts_with("pager")).unwrap();
    assert!(pager.contains("pagerduty") && pager.contains("high") && pager.contains("all"), "{pager}");
    let ended = zenei(&["notify", "list", "--json"]).in_folder(&targets.folder).run();
    let listed: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((listed.len(), listed[0]["target"].as_str()), (3, Some("alerts")));
    assert_eq!((&listed[0]["domains"][0], &listed[0]["language"]), (&"hardware".into(), &"ja".into()));
    assert_eq!((targets.alerts.requests(), targets.pager.requests()), (0, 0));
}

#[test]
fn a_test_says_what_the_target_answered_and_leaves_nothing_open() {
    let targets = targets();
    let test = |name: &str| zenei(&["notify", "test", name]).in_folder(&targets.folder).run();
    let ended = test("pager");
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.starts_with("pager (pagerduty) answered: HTTP 202"), "{}", ended.stdout);
    assert_eq!(targets.pager.with(|pager| pager.alerts[0].status.clone()), "resolved");
    assert!(test("alerts").stdout.starts_with("alerts (alertmanager) answered: HTTP 200"));
    let ended = test("gone");
    assert!(ended.code == 69 && ended.stderr.contains("did not take the test"), "{} {}", ended.code, ended.stderr);
    targets.folder.write("pager.key", &KEY.replace("canary", "Canary"));
    let ended = test("pager");
    assert!(ended.code == 1 && ended.stderr.contains("refused"), "{} {}", ended.code, ended.stderr);
    assert!(!ended.stderr.to_lowercase().contains("canary"), "{}", ended.stderr);
    let ended = test("pagre");
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.stderr.contains("known: alerts, gone, pager"), "{}", ended.stderr);
}

#[test]
fn a_doctor_asks_each_target_opens_nothing_and_names_secrets_that_are_missing_or_open_to_others() {
    let targets = targets();
    let lines = || {
        let ended = zenei(&["doctor"]).in_folder(&targets.folder).run();
        assert!(!ended.stdout.contains("canary") && !ended.stderr.contains("canary"));
        let of_targets = ended.stdout.lines().filter(|line| line.contains("  notify")).map(str::to_owned);
        (ended.code, of_targets.collect::<Vec<_>>())
    };
    let (code, said) = lines();
    assert_eq!((code, said.len()), (69, 3), "{said:#?}");
    assert!(said[0].starts_with("ok") && said[0].contains("Alertmanager 0.25.0, cluster ready"), "{said:#?}");
    assert!(said[1].starts_with("fail") && said[1].contains("gone (alertmanager)"), "{said:#?}");
    assert!(said[2].starts_with("ok") && said[2].contains("pager (pagerduty)"), "{said:#?}");
    assert_eq!(targets.alerts.with(|alerts| alerts.taken.len()), 0);
    let key = targets.folder.path().join("pager.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (_, said) = lines();
    assert!(
        said[2].starts_with("warn") && said[2].contains("chmod 600 ") && said[2].contains("pager.key"),
        "{said:#?}"
    );
    targets.folder.write("pager.key", "");
    let (_, said) = lines();
    assert!(said[2].starts_with("fail") && said[2].contains("pager.key is empty"), "{said:#?}");
    std::fs::remove_file(&key).unwrap();
    let ended = zenei(&["doctor"]).in_folder(&targets.folder).run();
    assert!(ended.code == 78 && ended.stderr.contains("pager.key"), "{} {}", ended.code, ended.stderr);
    assert_eq!(targets.pager.requests(), 0);
}

#[test]
fn people_are_told_in_the_desks_language_unless_their_target_has_its_own() {
    let runtime = Runtime::new().unwrap();
    let started = || runtime.block_on(Server::start(Receiver::default(), Faults::none())).unwrap();
    let (desks, own) = (started(), started());
    let folder = Folder::new();
    let hook = |name: &str, server: &Server<Receiver>, more: &str| {
        let url = server.base_url();
        format!("[notify.{name}]\nkind = 'webhook'\nurl = '{url}'\nallow_private = true\n{more}\n")
    };
    let hooks = hook("desks", &desks, "") + &hook("own", &own, "lang = 'ja'");
    folder.write("zenei.toml", &format!("{CONFIG}language = 'en'\n{hooks}"));
    let layout = Layout::new(&folder.path().join("state"));
    std::fs::create_dir_all(layout.root()).unwrap();
    // As the daemon has it.
    let route = |name: &str| {
        let config = serde_json::from_value(serde_json::json!({"kind": "webhook", "url": "http://127.0.0.1:9"}));
        let config: zenei_desk::notify::TargetConfig = config.unwrap();
        config.route(name)
    };
    let routes = vec![route("desks"), route("own")];
    let mut desk = DeskDriver::open(Control::open(&layout.control()).unwrap(), routes).unwrap();
    let findings = Findings { anomalies: vec![anomaly("motor-effort", "BL1", 1_777_626_000)], ..Findings::default() };
    desk.take(EngineTime(1_777_626_000_000), &findings).unwrap();
    drop(desk);
    let daemon = Daemon::start(&folder, &["run"]);
    let said = |server: &Server<Receiver>| {
        let called = || server.with(|receiver| receiver.calls.first().map(|call| call.body.to_string()));
        within(TOLD_WITHIN, called).expect("the hook is told")
    };
    let (desks, own) = (said(&desks), said(&own));
    assert!(desks.contains("The incident was opened.") && !desks.contains("起票しました"), "{desks}");
    assert!(own.contains("起票しました"), "{own}");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn alertmanagers_webhook_reaches_a_running_daemon_with_its_token_only() {
    let targets = targets();
    let token = "0123456789abcdef";
    targets.folder.write("am.token", token);
    let alerts = targets.alerts.base_url();
    let config = format!(
        "{CONFIG}[http]\nlisten = '127.0.0.1:0'\n[notify.alerts]\nkind = 'alertmanager'\nurl = '{alerts}'\n\
         allow_private = true\nwebhook_token_file = 'am.token'\n"
    );
    targets.folder.write("zenei.toml", &config);
    let daemon = Daemon::start(&targets.folder, &["run"]);
    let body = r#"{"version":"4","alerts":[{"status":"resolved","labels":{"alertname":"x"}}]}"#;
    let ask = |credentials: &str| {
        let headers = [("authorization", credentials), ("content-type", "application/json")];
        daemon.ask("POST", "/alertmanager/webhook", &headers, body)
    };
    assert_eq!(ask("Bearer 0123456789abcdeF").0, 401);
    assert_eq!(ask(token).0, 401);
    let (code, text) = ask(&format!("Bearer {token}"));
    assert!(code == 200 && text.contains("0 noted"), "{code} {text}");
    assert_eq!(daemon.end(), 0);
}
