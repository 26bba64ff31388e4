//! Tests that incidents reach a real Alertmanager and come back: Debian's runs on a free port, told by the desk's own
//! sender, with its webhook to the desk's own server and to a receiver that keeps what it is told.
use remote_sim::{Faults, Receiver, Server};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use zenei_desk::notify::alertmanager::{AlertmanagerConfig, LABEL};
use zenei_desk::notify::sender::Pace;
use zenei_desk::notify::{Common, Http, Request, Sender, Target, TargetConfig};
use zenei_desk::{DeskClock, DeskDriver, Handles, Inward, SharedDesk};
use zenei_detect::{Findings, Urgency};
use zenei_incident::event::{StatusChanged, UrgencyChanged};
use zenei_incident::message::Lang;
use zenei_incident::{Status, What};
use zenei_kit::anomaly;
use zenei_kit::bound::within;
use zenei_store::{Clock, Control};
use zenei_wire::Id;

/// The path on Debian.
const ALERTMANAGER: &str = "/usr/bin/prometheus-alertmanager";
/// How long anything that must happen may take; a guess for two busy cores.
const BOUND: Duration = Duration::from_secs(120);
/// When an alert ends that nobody refreshes. Twenty seconds pass between a refresh that is due and that end: a busy
/// machine must not miss it.
const ENDS_AFTER_S: u32 = 30;
/// The shortest that a configuration may say, so that a test sees an alert end by itself.
const ENDS_SOON_S: u32 = 15;
const TOKEN: &str = "the-token-of-the-test-0123";
/// Text that would call everybody, turn the line and break a label, beside Japanese.
const HOSTILE: &str = "\u{202e}電池 <!channel> @here\u{0}\"}]";

/// An Alertmanager that tells a receiver and the desk; killed when dropped.
struct Real {
    child: Child,
    url: String,
}

impl Drop for Real {
    fn drop(&mut self) {
        // One that has already ended needs no kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A desk that tells a real Alertmanager, and who hears of it.
struct House {
    real: Real,
    desk: SharedDesk,
    target: TargetConfig,
    told: Server<Receiver>,
    http: Http,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl House {
    fn start() -> Self {
        Self::start_with(ENDS_AFTER_S)
    }

    fn start_with(ends_after_s: u32) -> Self {
        // Another process may take the free port before Alertmanager does.
        let started = (0..5).find_map(|_| Self::try_start(ends_after_s));
        started.expect("alertmanager does not start, five times: apt-get install prometheus-alertmanager")
    }

    fn try_start(ends_after_s: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|taken| taken.local_addr());
        let listen = port.expect("a port is free").to_string();
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, TOKEN).expect("a token can be written");
        let target = TargetConfig::Alertmanager(AlertmanagerConfig {
            common: Common { allow_private: true, ..Common::default() },
            url: format!("http://{listen}"),
            token_file: None,
            username: None,
            password_file: None,
            webhook_token_file: Some(token_file),
            ends_after_s,
        });
        let control = Control::open(&folder.path().join("control.sqlite")).expect("a database can be made");
        let driver = DeskDriver::open(control, vec![target.route("am")]).expect("a desk opens");
        let desk = SharedDesk::new(driver);
        let runtime = Runtime::new().expect("a runtime starts");
        let inward = Inward::new(&[opened(&target)], &desk, &DeskClock::new(Clock::System));
        let rules = Arc::new(zenei_detect::Rules::embedded().expect("the rules in the program can be read"));
        let handles = Handles::of(desk.incidents(), DeskClock::new(Clock::System), rules);
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let served = runtime.block_on(zenei_desk::serve(any, handles, inward, std::future::pending()));
        let desk_url = format!("http://{}/alertmanager/webhook", served.expect("the desk listens"));
        let told = runtime.block_on(Server::start(Receiver::default(), Faults::none())).expect("a receiver listens");
        let child = spawn(folder.path(), &listen, &desk_url, told.base_url());
        let mut real = Real { child, url: format!("http://{listen}") };
        let http = Http::new(true).expect("a client can be made");
        let is_ready = || {
            let ended = real.child.try_wait().expect("a child can be waited for").is_some();
            let asked = runtime.block_on(http.send(Request::new("GET", format!("http://{listen}/-/ready"))));
            if ended { Some(false) } else { asked.is_ok_and(|answer| answer.is_success()).then_some(true) }
        };
        let is_ready = within(BOUND, is_ready) == Some(true);
        is_ready.then_some(Self { real, desk, target, told, http, runtime, _folder: folder })
    }

    /// Starts the sender; it ends when the returned switch is turned or dropped.
    fn tell(&self) -> watch::Sender<bool> {
        let (stop, stops) = watch::channel(false);
        let clock = DeskClock::new(Clock::System);
        let pace = Pace { look_every: Duration::from_millis(100), ..Pace::default() };
        let sender = Sender::new(self.desk.clone(), Arc::new(opened(&self.target)), Lang::Ja, move || clock.now());
        self.runtime.spawn(sender.with_pace(pace).run(stops));
        stop
    }

    /// Opens an incident.
    fn open(&self, lock: &str, title: &str) -> Id {
        self.open_by("motor-effort", lock, title)
    }

    fn open_by(&self, rule: &str, lock: &str, title: &str) -> Id {
        let mut found = anomaly(rule, lock, 1_700_000_000);
        found.title = title.to_owned();
        let findings = Findings { anomalies: vec![found], ..Findings::default() };
        let now = DeskClock::new(Clock::System).now();
        self.desk.take(now, &findings).expect("a finding is taken").opened[0]
    }

    fn add(&self, incident: Id, what: impl Into<What>) {
        self.desk.add(incident, DeskClock::new(Clock::System).now(), what).expect("the incident takes it");
    }

    fn ask(&self, request: Request) -> Value {
        let answer = self.runtime.block_on(self.http.send(request)).expect("alertmanager answers");
        assert!(answer.is_success(), "{}", answer.shown());
        answer.json()
    }

    /// The one alert of an incident that has not ended; `None` where there is none.
    fn alert(&self, incident: Id) -> Option<Value> {
        let url = format!("{}/api/v2/alerts?filter={LABEL}%3D%22zenei-{incident}%22", self.real.url);
        let mut found = self.ask(Request::new("GET", url)).as_array().cloned().expect("a list of alerts");
        assert!(found.len() <= 1, "{found:?}");
        found.pop()
    }

    fn wait_for<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        within(BOUND, look).unwrap_or_else(|| panic!("{what}: not within {BOUND:?}"))
    }

    /// What the receiver was told of an incident with this status, the latest first.
    fn told(&self, incident: Id, status: &str) -> Vec<Value> {
        let of = |alert: &Value| alert["labels"][LABEL] == format!("zenei-{incident}") && alert["status"] == status;
        let bodies = self.told.with(|receiver| receiver.calls.iter().map(|call| call.body.clone()).collect::<Vec<_>>());
        let alerts = bodies.iter().rev().flat_map(|body| body["alerts"].as_array().cloned().unwrap_or_default());
        alerts.filter(of).collect()
    }

    /// The notes in an incident's log.
    fn notes(&self, incident: Id) -> Vec<String> {
        let rows = self.desk.lock().control().events_of(incident).expect("the log can be read");
        rows.into_iter().filter(|row| row.kind == "note").map(|row| row.body).collect()
    }

    fn status(&self, incident: Id) -> Status {
        self.desk.incidents().read().incident(incident).expect("the incident is known").status
    }
}

fn opened(target: &TargetConfig) -> Target {
    Target::open("am", target).expect("a target that can be opened")
}

fn spawn(folder: &Path, listen: &str, desk_url: &str, receiver_url: &str) -> Child {
    let config = folder.join("alertmanager.yml");
    let text = format!(
        "route: {{receiver: ear, group_by: ['...'], group_wait: 100ms, group_interval: 500ms, repeat_interval: 1h,\n  \
         routes: [{{receiver: zenei, continue: true}}, {{receiver: ear}}]}}\nreceivers:\n- name: zenei\n  \
         webhook_configs:\n  - {{url: '{desk_url}', max_alerts: 100, http_config: {{authorization: {{credentials: \
         {TOKEN}}}}}}}\n- name: ear\n  webhook_configs: [{{url: '{receiver_url}/'}}]\ninhibit_rules:\n\
         - {{source_matchers: ['alertname = the-cause'], target_matchers: ['scope = behind']}}\n"
    );
    std::fs::write(&config, text).expect("a configuration can be written");
    let log = std::fs::File::create(folder.join("alertmanager.log")).expect("a log can be made");
    let mut command = Command::new(ALERTMANAGER);
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.path={}", folder.join("alertmanager").display()));
    command.arg(format!("--web.listen-address={listen}")).arg("--cluster.listen-address=");
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
    child.unwrap_or_else(|error| panic!("{ALERTMANAGER}: {error}: apt-get install prometheus-alertmanager"))
}

fn text<'v>(alert: &'v Value, name: &str) -> &'v str {
    alert[name].as_str().unwrap_or_default()
}

/// Alertmanager 2370, 3015, 510 and 4251.
#[test]
fn an_open_incident_outlives_its_alerts_end_and_its_resolve_keeps_the_texts() {
    let house = House::start();
    let _telling = house.tell();
    let (incident, other) = (house.open("A", "モーターの負荷が増えています"), house.open(HOSTILE, HOSTILE));
    // Open, also with text that breaks what is badly made.
    let first = house.wait_for("the alert is open", || house.alert(incident));
    let hostile = house.wait_for("the hostile one is open too", || house.alert(other));
    assert!(!hostile.to_string().contains(['<', '@', '\u{202e}']), "{hostile}");
    assert!(text(&hostile["labels"], "scope").contains("電池"), "{hostile}");
    // Refreshed: beyond its first end it is the same alert, and nobody was told of an end.
    let mut end = text(&first, "endsAt").to_owned();
    for refresh in 1..=4 {
        let moved = || Some(text(&house.alert(incident)?, "endsAt").to_owned()).filter(|now| *now > end);
        end = house.wait_for(&format!("refresh {refresh}"), moved);
    }
    let now = house.alert(incident).expect("still open");
    assert_eq!((&now["fingerprint"], &now["startsAt"]), (&first["fingerprint"], &first["startsAt"]));
    assert_eq!((house.told(incident, "firing").len(), house.told(incident, "resolved").len()), (1, 0));
    // Resolved, with the texts.
    house.add(incident, StatusChanged { to: Status::Resolved, by: "sato".into() });
    let resolved = house.wait_for("the receiver hears the end", || house.told(incident, "resolved").pop());
    let summary = text(&resolved["annotations"], "summary");
    assert!(summary.contains("モーターの負荷が増えています"), "{resolved}");
    assert!(text(&resolved["annotations"], "description").contains("検知内容"), "{resolved}");
    assert_eq!(house.alert(incident), None);
    // Zenei ended it itself: that is no news.
    assert_eq!(house.notes(incident), [""; 0]);
    // The check can tell: an alert that is ended without its texts loses them.
    let bare = |more: Value| {
        let mut alert = json!({"labels": {"alertname": "bare", LABEL: "zenei-1"}});
        alert.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        house.ask(Request::post(format!("{}/api/v2/alerts", house.real.url), &json!([alert])));
    };
    bare(json!({"annotations": {"summary": "s"}}));
    house.wait_for("the bare one is heard", || named(&house, "bare", "firing"));
    bare(json!({"endsAt": text(&now, "updatedAt")}));
    let ended = house.wait_for("its end is heard", || named(&house, "bare", "resolved"));
    assert_eq!(ended["annotations"], json!({}));
}

fn named(house: &House, name: &str, status: &str) -> Option<Value> {
    let bodies = house.told.with(|receiver| receiver.calls.iter().map(|call| call.body.clone()).collect::<Vec<_>>());
    let mut alerts = bodies.iter().flat_map(|body| body["alerts"].as_array().cloned().unwrap_or_default());
    alerts.find(|alert| alert["labels"]["alertname"] == name && alert["status"] == status)
}

/// Alertmanager 889; and what nobody refreshes ends there, which the webhook tells.
#[test]
fn an_alert_that_ends_while_nobody_refreshes_it_is_noted_and_opens_again_with_the_next_sender() {
    let house = House::start_with(ENDS_SOON_S);
    let telling = house.tell();
    let incident = house.open("A", "t");
    house.wait_for("the alert is open", || house.alert(incident));
    telling.send_replace(true);
    house.wait_for("it ends by itself", || house.alert(incident).is_none().then_some(()));
    let note = house.wait_for("the webhook tells the desk", || house.notes(incident).pop());
    assert!(note.contains("stays open"), "{note}");
    assert_eq!(house.status(incident), Status::Detected);
    let _telling = house.tell();
    house.wait_for("it is open again", || house.alert(incident));
    assert_eq!(house.notes(incident).len(), 1);
}

#[test]
fn a_silence_that_is_set_there_is_noted_and_holds_its_receivers_still() {
    let house = House::start();
    let _telling = house.tell();
    let silence = json!({"matchers": [{"name": "scope", "value": "静かな錠", "isRegex": false, "isEqual": true}],
        "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "<!here> sato",
        "comment": "電池交換"});
    let set = house.ask(Request::post(format!("{}/api/v2/silences", house.real.url), &silence));
    let (silenced, loud) = (house.open("静かな錠", "t"), house.open("B", "t"));
    let note = house.wait_for("the silence is noted", || house.notes(silenced).pop());
    assert!(note.contains("電池交換") && note.contains("2099-01-01") && !note.contains('<'), "{note}");
    house.wait_for("the other one is heard", || house.told(loud, "firing").pop());
    assert_eq!((house.told(silenced, "firing").len(), house.notes(loud).len()), (0, 0));
    assert_eq!(house.alert(silenced).expect("an alert")["status"]["state"], "suppressed");
    let url = format!("{}/api/v2/silence/{}", house.real.url, text(&set, "silenceID"));
    house.ask(Request::new("DELETE", url));
    house.wait_for("its end is noted", || (house.notes(silenced).len() == 2).then_some(()));
    house.wait_for("it is heard now", || house.told(silenced, "firing").pop());
}

#[test]
fn an_alert_that_inhibits_another_there_is_noted_at_the_other() {
    let house = House::start();
    let _telling = house.tell();
    let cause = house.open_by("the-cause", "A", "t");
    house.wait_for("the cause is open", || house.alert(cause));
    let behind = house.open("behind", "t");
    let note = house.wait_for("the inhibition is noted", || house.notes(behind).pop());
    assert!(note.contains("inhibited in Alertmanager"), "{note}");
    assert_eq!((house.told(behind, "firing").len(), house.notes(cause).len()), (0, 0));
}

#[test]
fn when_the_urgency_rises_receivers_are_chosen_anew_and_one_alert_stays_open() {
    let house = House::start();
    let _telling = house.tell();
    let incident = house.open("A", "t");
    let first = house.wait_for("it is heard", || house.told(incident, "firing").pop());
    assert_ne!(text(&first["labels"], "severity"), "critical");
    let why = "three customers".to_owned();
    house.add(incident, UrgencyChanged { to: Urgency::Highest, reason: why.clone(), by: None, ground: None });
    let risen = |alert: &Value| alert["labels"]["severity"] == "critical";
    let firing = || house.told(incident, "firing").into_iter().find(|alert| risen(alert));
    let second = house.wait_for("it is heard as critical", firing);
    assert!(text(&second["annotations"], "description").contains(&why), "{second}");
    house.wait_for("the former one ended", || house.told(incident, "resolved").pop());
    assert!(house.alert(incident).as_ref().is_some_and(risen));
    assert_eq!(house.notes(incident), [""; 0]);
}

#[test]
fn a_test_is_answered_and_a_check_names_the_version() {
    let house = House::start();
    let target = opened(&house.target);
    let checked = house.runtime.block_on(target.check()).expect("a check succeeds");
    assert!(checked.starts_with("Alertmanager 0."), "{checked}");
    let tested = house.runtime.block_on(target.test(DeskClock::new(Clock::System).now())).expect("a test is taken");
    assert!(tested.starts_with("HTTP 200"), "{tested}");
    house.wait_for("the receiver hears the test", || named(&house, "zenei_test", "firing"));
}
