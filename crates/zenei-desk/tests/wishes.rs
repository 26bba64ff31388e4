//! What users of other incident tools ask for, on the remotes' side: what do Waroom, Slack and PagerDuty have in the
//! end? One test a wish, with the product and the number of its issue; what the pure core answers is tested there.
//! Desk, outbox, senders and connectors are the daemon's, and the remotes are stand-ins. Called by cargo's test runner.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use remote_sim::{Fault, Faults, PagerDuty, Server, Slack, Waroom, WaroomQuirks};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use zenei_desk::notify::pagerduty::PagerDutyConfig;
use zenei_desk::notify::slack::SlackConfig;
use zenei_desk::notify::waroom::WaroomConfig;
use zenei_desk::notify::{Common, Pace, Sender, Target, TargetConfig};
use zenei_desk::{DeskDriver, SharedDesk};
use zenei_detect::{Component, Findings};
use zenei_incident::event::{Acknowledged, Completed, Judged, StatusChanged, TelemetryRecovered};
use zenei_incident::message::Lang;
use zenei_incident::{Matcher, Silence, SilenceKind, Status, Verdict, What};
use zenei_kit::anomaly;
use zenei_store::Control;
use zenei_wire::{EngineTime, Id};

/// The stand-in of Waroom begins then, in ms since 1970.
const START_MS: i64 = 1_780_272_000_000;
const KEY: &str = "0123456789abcdef0123456789abcdef";
const CHANNEL: &str = "inquiries";

/// A desk, its senders, and the remotes.
struct House {
    folder: tempfile::TempDir,
    waroom: Server<Waroom>,
    slack: Server<Slack>,
    pager: Server<PagerDuty>,
    now_ms: Arc<AtomicI64>,
    desk: SharedDesk,
    stop: watch::Sender<bool>,
}

impl House {
    /// All of it, with running senders.
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), KEY).unwrap();
        let waroom = Waroom::new(WaroomQuirks::default(), &[(KEY, "device")], KEY);
        let waroom = Server::start(waroom, Faults::none()).await.unwrap();
        let slack = Server::start(Slack::new(KEY, &[CHANNEL]), Faults::none()).await.unwrap();
        let pager = Server::start(PagerDuty::new(KEY), Faults::none()).await.unwrap();
        let (stop, _) = watch::channel(false);
        let now_ms = Arc::new(AtomicI64::new(START_MS));
        let desk = SharedDesk::new(DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap());
        let mut house = Self { folder, waroom, slack, pager, now_ms, desk, stop };
        house.begin();
        house.send();
        house
    }

    fn targets(&self) -> [(&'static str, TargetConfig); 3] {
        let at = |base: &str| Common { base_url: Some(base.into()), allow_private: true, ..Common::default() };
        let key = self.folder.path().join("key");
        let some: Option<PathBuf> = Some(key.clone());
        let waroom = WaroomConfig {
            common: at(self.waroom.base_url()),
            integration_key_file: some.clone(),
            api_key_file: some.clone(),
            ..WaroomConfig::default()
        };
        let slack = SlackConfig {
            common: at(self.slack.base_url()),
            token_file: some,
            inquiry_channel: Some(format!("#{CHANNEL}")),
            ..SlackConfig::default()
        };
        let pager = PagerDutyConfig { common: at(self.pager.base_url()), routing_key_file: key };
        [
            ("quality", TargetConfig::Waroom(waroom)),
            ("room", TargetConfig::Slack(slack)),
            ("pager", TargetConfig::PagerDuty(pager)),
        ]
    }

    /// The desk of a process that starts: from what is on disk.
    fn begin(&mut self) {
        let control = Control::open(&self.folder.path().join("control.db")).unwrap();
        let routes = self.targets().iter().map(|(name, target)| target.route(name)).collect();
        self.desk = SharedDesk::new(DeskDriver::open(control, routes).unwrap());
    }

    /// Starts the senders.
    fn send(&self) {
        for (name, config) in self.targets() {
            let (target, clock) = (Target::open(name, &config).unwrap(), Arc::clone(&self.now_ms));
            let pace = Pace { look_every: Duration::from_millis(5), per_second: Some(1e6), ..Pace::default() };
            let now = move || EngineTime(clock.load(Ordering::SeqCst));
            let sender = Sender::new(self.desk.clone(), Arc::new(target), Lang::Ja, now).with_pace(pace);
            tokio::spawn(sender.run(self.stop.subscribe()));
        }
    }

    fn now(&self) -> EngineTime {
        EngineTime(self.now_ms.load(Ordering::SeqCst))
    }

    /// Takes a finding of this rule about lock A, so many seconds after the start; gives what it opened.
    fn find(&self, rule: &str, at_s: i64) -> Vec<Id> {
        let anomalies = vec![anomaly(rule, "A", START_MS / 1_000 + at_s)];
        self.now_ms.fetch_max(START_MS + at_s * 1_000, Ordering::SeqCst);
        self.desk.take(self.now(), &Findings { anomalies, ..Findings::default() }).unwrap().opened
    }

    fn add(&self, incident: Id, what: impl Into<What>) {
        self.desk.add(incident, self.now(), what).unwrap();
    }

    fn resolve(&self, incident: Id) {
        self.add(incident, StatusChanged { to: Status::Resolved, by: "sato".into() });
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is_so(self) {
                // What failed is due again later.
                self.now_ms.fetch_add(1_000, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
        waited.unwrap_or_else(|_| panic!("it never became true that {what}"));
    }

    /// Waits until nothing is left to send.
    async fn sent(&self) {
        self.until("all is sent", |house| house.desk.lock().control().undelivered().unwrap().is_empty()).await;
    }

    fn alerts(&self) -> Vec<(String, u32)> {
        self.pager.with(|kept| kept.alerts.iter().map(|one| (one.status.clone(), one.triggers)).collect())
    }

    fn at_waroom(&self) -> Vec<String> {
        self.waroom.with(|kept| kept.incidents.iter().map(|one| one.status.clone()).collect())
    }

    /// The posts in the channel of inquiries that are no replies.
    fn posts(&self) -> usize {
        self.slack.with(|kept| kept.in_channel(CHANNEL).iter().filter(|one| one.thread_ts.is_none()).count())
    }

    fn said(&self) -> Vec<String> {
        self.slack.with(|kept| kept.messages.iter().map(|one| one.text.clone()).collect())
    }
}

/// Alertmanager 1860 and Grafana 13364.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_it_is_known_at_the_remotes() {
    let house = House::open().await;
    let id = house.find("motor-effort", 0)[0];
    house.add(id, Acknowledged { by: "sato".into() });
    house.sent().await;
    assert_eq!(house.alerts(), [("acknowledged".to_owned(), 1)]);
    assert!(house.said().iter().any(|text| text.contains("sato")), "{:?}", house.said());
}

/// Alertmanager 2370 and 889.
#[tokio::test(flavor = "multi_thread")]
async fn a_resolution_reaches_the_remotes_although_zenei_ends_before_it_is_sent() {
    let mut house = House::open().await;
    let id = house.find("motor-effort", 0)[0];
    house.sent().await;
    house.stop.send_replace(true);
    house.until("the senders have ended", |house| house.stop.receiver_count() == 0).await;
    house.resolve(id);
    assert_eq!(house.alerts()[0].0, "triggered", "nobody sends");
    house.begin();
    house.stop.send_replace(false);
    house.send();
    house.sent().await;
    assert_eq!((house.alerts(), house.at_waroom()), (vec![("resolved".to_owned(), 1)], vec!["resolved".to_owned()]));
}

/// Alertmanager 3015, 510 and 4251.
#[tokio::test(flavor = "multi_thread")]
async fn a_resolution_is_sent_and_after_its_answer_not_again() {
    let house = House::open().await;
    let id = house.find("motor-effort", 0)[0];
    house.sent().await;
    house.pager.then([Fault::Failed, Fault::None]);
    house.resolve(id);
    house.sent().await;
    assert_eq!(house.alerts(), [("resolved".to_owned(), 1)]);
    assert_eq!(house.pager.with(|kept| kept.dropped), 0, "resolved once");
    let (pager, slack) = (house.pager.requests(), house.slack.requests());
    house.now_ms.fetch_add(7 * 86_400_000, Ordering::SeqCst);
    house.until("a week has passed in Waroom's rounds", |house| house.waroom.requests() > 20).await;
    assert_eq!((house.pager.requests(), house.slack.requests()), (pager, slack));
}

/// Keep 2481.
#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_is_over_at_a_remote_swallows_no_new_one() {
    let house = House::open().await;
    let first = house.find("motor-effort", 0)[0];
    house.resolve(first);
    house.add(first, Judged { verdict: Verdict::FalsePositive, by: "sato".into() });
    house.add(first, Completed { by: "sato".into() });
    house.sent().await;
    let second = house.find("motor-effort", 86_400);
    assert_eq!(second.len(), 1);
    house.sent().await;
    assert_eq!(house.at_waroom(), ["close", "detected"]);
    assert_eq!(house.alerts(), [("resolved".to_owned(), 1), ("triggered".to_owned(), 1)]);
    assert_eq!(house.posts(), 2);
}

/// Keep 2087.
#[tokio::test(flavor = "multi_thread")]
async fn what_people_resolve_at_one_remote_is_resolved_at_the_others() {
    let house = House::open().await;
    let id = house.find("motor-effort", 0)[0];
    house.sent().await;
    house.waroom.with(|kept| kept.incidents[0].status = "resolved".into());
    house.until("PagerDuty is told", |house| house.alerts()[0].0 == "resolved").await;
    assert_eq!(house.desk.incidents().read().incident(id).unwrap().status, Status::Resolved);
}

/// Keep 6567.
#[tokio::test(flavor = "multi_thread")]
async fn related_incidents_are_not_merged_at_a_remote() {
    let house = House::open().await;
    let mut battery = anomaly("battery-resistance", "A", START_MS / 1_000);
    battery.component = Component::Battery;
    let anomalies = vec![anomaly("motor-effort", "A", START_MS / 1_000), battery];
    let opened = house.desk.take(house.now(), &Findings { anomalies, ..Findings::default() }).unwrap().opened;
    assert_eq!(opened.len(), 2, "two faults of one lock");
    house.sent().await;
    assert_eq!((house.at_waroom().len(), house.alerts().len(), house.posts()), (2, 2, 2));
}

/// Keep 6793: a message that a remote takes for a known one is the same message.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_again_because_its_answer_was_lost_is_one_at_each_remote() {
    let house = House::open().await;
    house.waroom.then([Fault::Dropped, Fault::FailedLate]);
    house.slack.then([Fault::Dropped, Fault::FailedLate, Fault::Dropped, Fault::None, Fault::Dropped]);
    house.pager.then([Fault::FailedLate, Fault::Dropped]);
    house.find("motor-effort", 0);
    house.sent().await;
    assert_eq!((house.at_waroom().len(), house.alerts().len(), house.posts()), (1, 1, 1));
}

/// OnCall 1919.
#[tokio::test(flavor = "multi_thread")]
async fn planned_work_is_told_to_nobody_and_what_outlasts_it_once() {
    let house = House::open().await;
    let only_a = Matcher { device: Some("A".into()), ..Matcher::default() };
    let span = (START_MS, START_MS + 3_600_000);
    let planned = Silence::new(SilenceKind::Silence, only_a, span, ("battery exchange", "sato"), house.now()).unwrap();
    house.desk.add_silence(planned.clone(), house.now()).unwrap();
    let id = house.find("motor-effort", 60)[0];
    house.sent().await;
    assert_eq!((house.at_waroom().len(), house.alerts().len(), house.posts()), (0, 0, 0));
    house.desk.end_silence(planned.id, "sato", house.now()).unwrap();
    house.sent().await;
    assert_eq!((house.at_waroom().len(), house.alerts().len(), house.posts()), (1, 1, 1));
    assert!(house.desk.incidents().read().incident(id).unwrap().is_open());
}

/// Grafana 42683 and Uptrace 241.
#[tokio::test(flavor = "multi_thread")]
async fn recovery_and_silence_resolve_nothing_at_a_remote() {
    let house = House::open().await;
    let id = house.find("motor-effort", 0)[0];
    house.add(id, TelemetryRecovered { why: "normal for 6 h".into() });
    house.now_ms.fetch_add(86_400_000, Ordering::SeqCst);
    house.desk.pass(house.now(), |_| None).unwrap();
    house.sent().await;
    assert_eq!((house.alerts(), house.at_waroom()), (vec![("triggered".to_owned(), 1)], vec!["detected".to_owned()]));
}

/// OnCall 4760 and 3870.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_paged_again_after_the_acknowledgement() {
    let house = House::open().await;
    let id = house.find("motor-effort", 0)[0];
    house.add(id, Acknowledged { by: "sato".into() });
    house.sent().await;
    let (alerts, said) = (house.alerts(), house.said());
    for hour in 1..50 {
        assert_eq!(house.find("motor-effort", hour * 3_600), []);
    }
    house.sent().await;
    assert_eq!((house.alerts(), house.said()), (alerts, said));
}
