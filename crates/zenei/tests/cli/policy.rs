//! The files of the desk's policy: what `config check` and `runbook check` say of them, and that an incident follows
//! its runbook; and which customers its incidents concern.
use crate::support::{Folder, REGISTRY, zenei};
use serde_json::Value as Json;
use zenei_desk::DeskDriver;
use zenei_detect::{Component, Findings, Urgency};
use zenei_kit::anomaly;
use zenei_store::{Clock, Control, Layout};
use zenei_wire::EngineTime;

const CONFIG: &str = "state_dir = 'state'\n[ingress]\nlisten = '127.0.0.1:0'\n[desk]\nenabled = true\n\
    [desk.files]\nservices = 'services.toml'\nrunbooks = 'runbooks'\n";

const SERVICES: &str = "version = 2\nlabel = 'ours'\ndefault = 'home'\n\
    [service.home]\nname_en = 'Home'\nname_ja = 'ホーム'\n\
    [[person]]\nid = 'sato'\nname = '佐藤'\nslack = 'U1'\nroles = ['quality']\n";

const RUNBOOK: &str = "id = 'battery'\nversion = 4\nlabel = 'ours'\ntitle_en = 'Battery'\ntitle_ja = '電池'\n\
    invite = ['@quality']\nmatch = { service = 'home', component = 'battery' }\n\
    [[step]]\nid = 'look'\ntext_en = 'Look.'\ntext_ja = '確認'\non_done = { status = 'investigating' }\n\
    [[step]]\nid = 'swap'\ntext_en = 'Swap.'\ntext_ja = '交換'\non_done = { event = 'temp_fix_done' }\n";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("zenei.toml", CONFIG);
    folder.write("services.toml", SERVICES);
    folder.write("runbooks/battery.toml", RUNBOOK);
    folder
}

#[test]
fn good_files_pass_and_the_runbooks_say_what_they_are_for() {
    let folder = folder();
    assert_eq!(zenei(&["config", "check"]).in_folder(&folder).run().code, 0);
    for line in [&["runbook", "check", "--config", "zenei.toml"][..], &["runbook", "check"]] {
        let ended = zenei(line).in_folder(&folder).run();
        assert_eq!(ended.stdout, "ok: battery v4 (ours): for service home, component battery: look, swap\n");
    }
    // Triage too knows the services of the configuration that is there.
    assert_eq!(zenei(&["triage", "--service", "home"]).in_folder(&folder).run().code, 0);
    assert_eq!(zenei(&["triage", "--service", "homehub"]).in_folder(&folder).run().code, 2);
    let folder = Folder::new();
    let ended = zenei(&["runbook", "check"]).in_folder(&folder).run();
    assert_eq!((ended.code, ended.stdout.lines().count()), (0, 3), "{}", ended.stdout);
    let ended = zenei(&["runbook", "check", "--json"]).in_folder(&folder).run();
    assert!(ended.stdout.lines().all(|line| serde_json::from_str::<Json>(line).unwrap()["label"] == "zenei default"));
}

#[test]
fn a_bad_file_is_named_with_line_and_key_by_every_command_that_reads_it() {
    let folder = folder();
    folder.write("runbooks/battery.toml", &RUNBOOK.replace("'temp_fix_done'", "'completed'"));
    for line in [&["config", "check"][..], &["runbook", "check", "--config", "zenei.toml"], &["run"]] {
        let ended = zenei(line).in_folder(&folder).run();
        assert_eq!((ended.code, ended.stdout.as_str()), (78, ""), "{line:?}");
        let wanted = "battery.toml:17: step.on_done.event: found \"completed\"; nothing completes an incident";
        assert!(ended.stderr.contains(wanted), "{line:?}: {}", ended.stderr);
    }
    let alone = Folder::new();
    alone.write("runbooks/battery.toml", RUNBOOK);
    let ended = zenei(&["runbook", "check", "runbooks"]).in_folder(&alone).run();
    assert!(ended.stderr.contains("invite: found \"@quality\"; there are none"), "{}", ended.stderr);
    folder.write("services.toml", &SERVICES.replace("'home'\n[", "'hom'\n["));
    let ended = zenei(&["config", "check"]).in_folder(&folder).run();
    assert!(ended.stderr.contains("services.toml:3: default: found \"hom\"; allowed are home"), "{}", ended.stderr);
}

#[test]
fn a_folder_without_a_runbook_and_a_service_that_no_lock_has_are_refused() {
    let folder = folder();
    folder.write("empty/notes.txt", "");
    let ended = zenei(&["runbook", "check", "empty"]).in_folder(&folder).run();
    assert!(ended.code == 78 && ended.stderr.contains("holds 0 runbooks; allowed are 1 to 1000"), "{}", ended.stderr);
    let target = "[notify.hook]\nkind = 'webhook'\nurl = 'https://hooks.example.com/zenei'\nservices = ['hoem']\n";
    folder.write("zenei.toml", &format!("{CONFIG}{target}"));
    let ended = zenei(&["config", "check"]).in_folder(&folder).run();
    let wanted = "`notify.hook.services`: \"hoem\" is no service; allowed are home";
    assert!(ended.code == 78 && ended.stderr.contains(wanted), "{}", ended.stderr);
}

#[test]
fn an_incident_follows_its_runbook_and_is_shown_with_it() {
    let folder = folder();
    let layout = Layout::new(&folder.path().join("state"));
    std::fs::create_dir_all(layout.root()).unwrap();
    let services = ("services.toml".to_owned(), SERVICES.to_owned());
    let texts = zenei_incident::policy::Texts {
        services: Some(services),
        runbooks: Some(vec![("battery.toml".to_owned(), RUNBOOK.to_owned())]),
        ..Default::default()
    };
    let policy = zenei_incident::Policy::read(&texts).unwrap();
    let control = Control::open(&layout.control()).unwrap();
    let mut desk = DeskDriver::open_with(control, Vec::new(), policy.into()).unwrap();
    let mut finding = anomaly("battery-drain", "BL1", 1_777_626_000);
    finding.component = Component::Battery;
    let findings = Findings { anomalies: vec![finding], decisions: Vec::new(), recoveries: Vec::new() };
    let id = desk.take(EngineTime(1_777_626_000_000), &findings).unwrap().opened[0].to_string();
    drop(desk);
    let step = |step: &str| zenei(&["incident", "runbook-step", &id, step, "--by", "sato"]).in_folder(&folder).run();
    let refused = step("swap");
    assert!(refused.code == 1 && refused.stderr.contains("it comes after look"), "{}", refused.stderr);
    assert_eq!(step("look").code, 0);
    assert_eq!(step("swap").code, 0);
    let shown = zenei(&["incident", "show", &id]).in_folder(&folder).run().stdout;
    for line in ["  service     home", "runbook battery v4: Battery 電池", "  done swap         Swap. 交換"] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    let shown = zenei(&["incident", "show", &id, "--json"]).in_folder(&folder).run().stdout;
    let shown: Json = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["status"], &shown["service"]), (&"investigating".into(), &"home".into()));
    let kinds: Vec<&str> = shown["events"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    let wanted =
        ["opened", "runbook_attached", "runbook_step_done", "status_changed", "runbook_step_done", "temp_fix_done"];
    assert_eq!(kinds, wanted);
    folder.write("runbooks/battery.toml", &RUNBOOK.replace("version = 4", "version = 5"));
    let shown = zenei(&["incident", "show", &id]).in_folder(&folder).run().stdout;
    assert!(shown.contains("runbook battery v4, now v5: Battery 電池"), "{shown}");
}

#[test]
fn customers_at_risk_are_listed_with_their_doors_and_the_source_of_the_figures() {
    let folder = Folder::new();
    folder.write("zenei.toml", "state_dir = 'state'\n[registry]\nfile = 'locks.csv'\n[desk]\nenabled = true\n");
    folder.write("locks.csv", &REGISTRY.replace("c1", "\u{202e}=c1"));
    let layout = Layout::new(&folder.path().join("state"));
    std::fs::create_dir_all(layout.root()).unwrap();
    let mut desk = DeskDriver::open(Control::open(&layout.control()).unwrap(), Vec::new()).unwrap();
    let now_s = Clock::System.now().ms() / 1_000;
    let found = |lock: &str, days: i64, urgency| {
        let mut found = anomaly(&format!("rule-{days}"), lock, now_s - days * 86_400);
        (found.urgency, found.component) = (urgency, Component::Unknown);
        found
    };
    let anomalies =
        vec![found("BL1", 40, Urgency::High), found("BL1", 2, Urgency::Highest), found("BL9", 1, Urgency::High)];
    let findings = Findings { anomalies, ..Findings::default() };
    assert_eq!(desk.take(Clock::System.now().as_engine(), &findings).unwrap().opened.len(), 3);
    drop(desk);
    let shown = zenei(&["customers"]).in_folder(&folder).run();
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    let wanted = [
        "at risk",
        "tokyo-01 front (BL1)",
        "from 3 urgent faults of 90 days in the incident log, and the registry; inquiries are not counted",
        "guesses: 最高 weighs 3",
        "not counted: the registry names no customer of BL9",
    ];
    for line in wanted {
        assert!(shown.stdout.contains(line), "{line} is not in {}", shown.stdout);
    }
    assert!(!shown.stdout.contains('\u{202e}'), "{}", shown.stdout);
    let json = zenei(&["customers", "--json", "--days", "90"]).in_folder(&folder).run().stdout;
    let json: Json = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["days_30"]["heat"], &json["days_90"]["heat"]), (&3.into(), &4.into()));
    assert_eq!((json["open"].as_u64(), json["doors"][0]["incidents"].as_array().map(Vec::len)), (Some(2), Some(2)));
    assert_eq!(zenei(&["customers", "--days", "7"]).in_folder(&folder).run().code, 2);
}
