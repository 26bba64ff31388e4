//! Requests as Alertmanager 0.25 sends them.
use super::*;
use crate::DeskDriver;
use crate::notify::{Http, Request};
use serde_json::{Value, json};
use zenei_detect::{Findings, Urgency};
use zenei_incident::event::{StatusChanged, UrgencyChanged};
use zenei_incident::{Incident, Status};
use zenei_kit::anomaly;
use zenei_store::{Clock, Control};

const TOKEN: &str = "canary-0123456789";

struct Served {
    desk: SharedDesk,
    incident: Id,
    labels: Value,
    url: String,
}

impl Served {
    /// A desk with one incident, of which Alertmanager was told.
    async fn start(control: Control) -> Self {
        let desk = SharedDesk::new(DeskDriver::open(control, Vec::new()).unwrap());
        let found = anomaly("motor-effort", "A", 1);
        desk.take(EngineTime(1_000), &Findings { anomalies: vec![found], ..Findings::default() }).unwrap();
        let found = desk.incidents().read().incidents().next().unwrap().clone();
        let (incident, labels) = (found.id, json!(labels(&found)));
        let remember = vec![("labels".to_owned(), labels.to_string())];
        let told = Seen { incident, events: Vec::new(), remember };
        desk.look("am", incident, EngineTime(2_000), |_, _| Some(told)).unwrap();
        let clock = DeskClock::new(Clock::System);
        let tokens = vec![("am".to_owned(), Secret::from(TOKEN))];
        let state = AlertmanagerInward { tokens, desk: desk.clone(), clock };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/alertmanager/webhook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes(state)).await });
        Self { desk, incident, labels, url }
    }

    async fn send(&self, token: &str, body: &Value) -> (u16, String) {
        let request = Request::post(&self.url, body).bearer(&Secret::from(token));
        let answer = Http::new(true).unwrap().send(request).await.unwrap();
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    fn incident(&self) -> Incident {
        self.desk.incidents().read().incident(self.incident).unwrap().clone()
    }

    fn notes(&self) -> Vec<String> {
        let rows = self.desk.lock().control().events_of(self.incident).unwrap();
        rows.into_iter().filter(|row| row.kind == "note").map(|row| row.body).collect()
    }
}

fn body(status: &str, labels: &Value, ends_at: &str) -> Value {
    let alert = json!({"status": status, "labels": labels, "annotations": {"summary": "s"}, "endsAt": ends_at,
        "startsAt": "2026-06-01T00:00:00Z", "generatorURL": "", "fingerprint": "18e653c5d571b5bf"});
    json!({"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": status, "receiver": "<!channel>",
        "groupLabels": {}, "commonLabels": labels, "commonAnnotations": {}, "externalURL": "", "alerts": [alert]})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_ended_there_is_noted_once_and_its_incident_stays_open() {
    let served = Served::start(Control::in_memory().unwrap()).await;
    let ended = body("resolved", &served.labels, "2026-06-01T00:15:00Z");
    assert_eq!(served.send(TOKEN, &body("firing", &served.labels, "0001-01-01T00:00:00Z")).await.1, "0 noted");
    for (number, noted) in ["1 noted", "0 noted"].into_iter().enumerate() {
        assert_eq!(served.send(TOKEN, &ended).await, (200, noted.to_owned()), "{number}");
    }
    let notes = served.notes();
    assert!(notes.len() == 1 && notes[0].contains("2026-06-01T00:15:00Z"), "{notes:?}");
    assert!(notes[0].contains("‹!channel›") && !notes[0].contains('<'), "{notes:?}");
    assert_eq!(served.incident().status, Status::Detected);
    served.send(TOKEN, &body("resolved", &served.labels, "2026-06-01T09:15:00Z")).await;
    assert_eq!(served.notes().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_zenei_ended_itself_and_what_is_not_its_own_changes_nothing() {
    let served = Served::start(Control::in_memory().unwrap()).await;
    let former =
        json!({ "alertname": "motor-effort", LABEL: format!("zenei-{}", served.incident), "severity": "info" });
    let unknown = json!({ LABEL: format!("zenei-{}", Id(7)) });
    for labels in [former, unknown, json!({ LABEL: "zenei-é" }), json!({ "alertname": "NodeDown" })] {
        let answer = served.send(TOKEN, &body("resolved", &labels, "2026-06-01T00:15:00Z")).await;
        assert_eq!(answer, (200, "0 noted".to_owned()), "{labels}");
    }
    let resolved = StatusChanged { to: Status::Resolved, by: "sato".into() };
    served.desk.add(served.incident, EngineTime(3_000), resolved).unwrap();
    served.send(TOKEN, &body("resolved", &served.labels, "2026-06-01T00:15:00Z")).await;
    assert_eq!(served.notes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_alert_that_a_rise_replaces_is_no_news_before_the_answer_is_stored() {
    let served = Served::start(Control::in_memory().unwrap()).await;
    let rise = UrgencyChanged { to: Urgency::Highest, reason: "r".into(), by: None, ground: None };
    served.desk.add(served.incident, EngineTime(3_000), rise).unwrap();
    let answer = served.send(TOKEN, &body("resolved", &served.labels, "2026-06-01T00:15:00Z")).await;
    assert_eq!((answer, served.notes()), ((200, "0 noted".to_owned()), vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_nothing_is_taken() {
    let served = Served::start(Control::in_memory().unwrap()).await;
    let ended = body("resolved", &served.labels, "2026-06-01T00:15:00Z");
    for token in ["", "canary-012345678", "canary-01234567890", "Canary-0123456789"] {
        let (status, text) = served.send(token, &ended).await;
        assert!(status == 401 && !text.contains("canary"), "{token:?}: {status} {text}");
    }
    assert_eq!(served.notes(), [""; 0]);
    assert_eq!(served.send(TOKEN, &ended).await.0, 200, "the check can tell");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_no_json_and_too_many_alerts_are_refused_for_good() {
    let served = Served::start(Control::in_memory().unwrap()).await;
    let mut other = body("resolved", &served.labels, "2026-06-01T00:15:00Z");
    other["version"] = "3".into();
    assert_eq!(served.send(TOKEN, &other).await.0, 400);
    assert_eq!(served.send(TOKEN, &json!([1])).await.0, 400);
    let mut many = body("resolved", &served.labels, "2026-06-01T00:15:00Z");
    many["alerts"] = vec![many["alerts"][0].clone(); ALERTS_MAX + 1].into();
    assert_eq!(served.send(TOKEN, &many).await.0, 413);
    assert_eq!(served.notes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_stored_now_is_503_and_taken_when_it_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let served = Served::start(Control::open(&path).unwrap()).await;
    let ended = body("resolved", &served.labels, "2026-06-01T00:15:00Z");
    let mut other = Control::open(&path).unwrap();
    let held = other.begin().unwrap();
    assert_eq!(served.send(TOKEN, &ended).await.0, 503);
    assert_eq!(served.notes(), [""; 0]);
    drop(held);
    // The attempt that was answered 503 may still have been waiting for the database, and have stored it just now.
    assert_eq!(served.send(TOKEN, &ended).await.0, 200);
    assert_eq!(served.notes().len(), 1);
}
