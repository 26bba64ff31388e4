//! What people do in Waroom reaches the desk through a sender's rounds, and what they may not do is noted once.
use super::*;
use crate::notify::sender::Pace;
use crate::notify::{Sender, Target, TargetConfig};
use crate::{DeskDriver, SharedDesk};
use remote_sim::{Faults, Server, WaroomQuirks};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use zenei_detect::Findings;
use zenei_incident::event::{PostmortemHeld, TempFixDone};
use zenei_incident::message::Lang;
use zenei_kit::anomaly;
use zenei_store::Control;
use zenei_wire::Id;

/// One incident, told to a stand-in of Waroom whose people change it.
struct Work {
    desk: SharedDesk,
    server: Server<remote_sim::Waroom>,
    now_ms: Arc<AtomicI64>,
    incident: Id,
    _stop: watch::Sender<bool>,
    _keys: tempfile::TempDir,
}

impl Work {
    async fn start(localised: bool) -> Self {
        let quirks = WaroomQuirks { localised, ..WaroomQuirks::default() };
        let server = remote_sim::Waroom::new(quirks, &[("ik", "device")], "api");
        let start_ms = server.now_ms;
        let server = Server::start(server, Faults::none()).await.unwrap();
        let keys = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = keys.path().join(name);
            std::fs::write(&path, name).unwrap();
            Some(path)
        };
        let common = Common { base_url: Some(server.base_url().to_owned()), allow_private: true, ..Common::default() };
        let config = WaroomConfig {
            common,
            integration_key_file: file("ik"),
            api_key_file: file("api"),
            ..WaroomConfig::default()
        };
        let config = TargetConfig::Waroom(config);
        let routes = vec![config.route("quality")];
        let desk = SharedDesk::new(DeskDriver::open(Control::in_memory().unwrap(), routes).unwrap());
        let now_ms = Arc::new(AtomicI64::new(start_ms));
        let (clock, target) = (Arc::clone(&now_ms), Arc::new(Target::open("quality", &config).unwrap()));
        let pace = Pace { look_every: Duration::from_millis(5), per_second: Some(1e6), ..Pace::default() };
        let now = move || EngineTime(clock.load(Ordering::SeqCst));
        let sender = Sender::new(desk.clone(), target, Lang::Ja, now).with_pace(pace);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(sender.run(stopped));
        let anomalies = vec![anomaly("motor-effort", "A", start_ms / 1_000)];
        let opened = desk.take(EngineTime(start_ms), &Findings { anomalies, ..Findings::default() }).unwrap().opened;
        let work = Self { desk, server, now_ms, incident: opened[0], _stop: stop, _keys: keys };
        work.until("it is told", |work| work.server.with(|kept| kept.incidents.len()) == 1).await;
        work
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
        waited.unwrap_or_else(|_| panic!("it never became true that {what}: {:?}", self.words()));
    }

    /// What a person sets there, and what has followed here after three rounds.
    async fn set(&self, status: &str) -> Vec<String> {
        let before = self.words().len();
        self.server.with(|kept| kept.incidents[0].status = status.to_owned());
        self.rounds(3).await;
        self.words().split_off(before)
    }

    /// Waits for so many rounds more, each at a minute of its own, and until what they saw is stored and sent.
    async fn rounds(&self, rounds: u64) {
        for _ in 0..rounds {
            let before = self.server.requests();
            // A round that is being made reads the clock at its end: the time goes on until the next one.
            let is_made = |work: &Self| {
                work.now_ms.fetch_add(61_000, Ordering::SeqCst);
                work.server.requests() > before
            };
            self.until("a round is made", is_made).await;
        }
        let is_stored = |work: &Self| {
            let control = work.desk.lock();
            let known = control.control().remote("quality", work.incident).unwrap();
            known.get("status").map(String::as_str) == Some(work.there().as_str())
        };
        self.until("what was seen is stored", is_stored).await;
        self.until("all is sent", Self::is_sent).await;
    }

    fn is_sent(&self) -> bool {
        self.desk.lock().control().due_outbox_of("quality", i64::MAX, 1).unwrap().is_empty()
    }

    /// The kinds of the incident's events after the opening.
    fn words(&self) -> Vec<String> {
        let rows = self.desk.lock().control().events_of(self.incident).unwrap();
        rows.into_iter()
            .skip(1)
            .map(|row| row.kind)
            .filter(|kind| !kind.starts_with("runbook") && kind != "similar_found")
            .collect()
    }

    fn there(&self) -> String {
        self.server.with(|kept| kept.incidents[0].status.clone())
    }

    fn here(&self) -> Status {
        self.desk.incidents().read().incident(self.incident).unwrap().status
    }

    fn add(&self, what: impl Into<What>) {
        self.desk.add(self.incident, EngineTime(self.now_ms.load(Ordering::SeqCst)), what).unwrap();
    }
}

fn by() -> String {
    "sato".to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_people_set_in_waroom_becomes_an_event_once_whichever_language_it_answers_in() {
    for localised in [false, true] {
        let work = Work::start(localised).await;
        assert_eq!(work.set("investigating").await, ["status_changed"], "localised: {localised}");
        assert_eq!(work.set("fixing").await, ["status_changed"]);
        assert_eq!(work.set("resolved").await, ["status_changed"]);
        assert_eq!(work.set("detected").await, ["reopened", "status_changed"], "the work goes on");
        assert_eq!((work.here(), work.there().as_str()), (Status::Detected, "detected"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_in_waroom_completes_nothing_before_its_conditions_hold_and_is_noted_once() {
    let work = Work::start(true).await;
    assert_eq!(work.set("close").await, ["note", "status_changed"]);
    assert_eq!((work.here(), work.there().as_str()), (Status::Resolved, "close"));
    let rows = work.desk.lock().control().events_of(work.incident).unwrap();
    let note = rows.iter().find(|row| row.kind == "note").unwrap();
    assert!(note.body.contains("postmortem") && note.body.contains("waroom"), "{}", note.body);
    let before = work.words().len();
    work.rounds(5).await;
    assert_eq!(work.words().len(), before, "it is noted once, not in each round");
    // The work ends here; what was closed there stays closed.
    work.add(TempFixDone { by: by() });
    let roles = vec!["development".to_owned(), "support".to_owned()];
    work.add(PostmortemHeld { roles, attendees: Vec::new(), by: by() });
    work.add(Completed { by: by() });
    work.until("all is sent", Work::is_sent).await;
    assert_eq!((work.here(), work.there().as_str()), (Status::Close, "close"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_comes_twice_in_one_round_is_noted_once() {
    let work = Work::start(false).await;
    work.server.with(|kept| {
        kept.incidents[0].status = "close".to_owned();
        let again = kept.incidents[0].clone();
        kept.incidents.push(again);
    });
    work.rounds(3).await;
    assert_eq!(work.words(), ["note", "status_changed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_in_waroom_completes_what_may_be_completed() {
    let work = Work::start(false).await;
    work.add(TempFixDone { by: by() });
    let roles = vec!["development".to_owned(), "support".to_owned()];
    work.add(PostmortemHeld { roles, attendees: Vec::new(), by: by() });
    work.server.with(|kept| kept.incidents[0].status = "close".to_owned());
    work.now_ms.fetch_add(61_000, Ordering::SeqCst);
    work.until("it is completed", |work| work.here() == Status::Close).await;
    assert_eq!(work.words().last().map(String::as_str), Some("completed"));
}
