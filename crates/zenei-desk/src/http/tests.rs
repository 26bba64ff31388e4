//! The server as a client sees it: bytes in and bytes out over a socket.
use super::*;
use crate::{DeskClock, DeskDriver, Incidents};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::sync::watch;
use zenei_detect::{Findings, Rules};
use zenei_incident::Policy;
use zenei_kit::anomaly;
use zenei_store::clickhouse::Shipped;
use zenei_store::control::Control;
use zenei_store::control::TailProgress;
use zenei_store::{Clock, Ledger};
use zenei_store::{DropReason, Source};
use zenei_wire::{EngineTime, Reason};

struct Running {
    address: SocketAddr,
    ready: watch::Sender<bool>,
    ledger: watch::Sender<Ledger>,
    shipped: watch::Sender<Shipped>,
    tail: watch::Sender<TailProgress>,
    driver: DeskDriver,
    stop: oneshot::Sender<()>,
}

fn handles(incidents: Incidents) -> Handles {
    Handles::of(incidents, DeskClock::new(Clock::System), Arc::new(Rules::embedded().unwrap()))
}

async fn running() -> Running {
    let driver = DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap();
    let (ready, ready_seen) = watch::channel(false);
    let (ledger, ledger_seen) = watch::channel(Ledger::default());
    let (shipped, shipped_seen) = watch::channel(Shipped::default());
    let (tail, tail_seen) = watch::channel(TailProgress::default());
    let handles = Handles {
        ledger: ledger_seen,
        shipped: Some(shipped_seen),
        own: vec![OwnMetrics::new(|| {
            let counts = MetricValue::Counts { label: "kind", counts: vec![("a", 1), ("b", 2)] };
            let level = Metric { name: "zenei_test_level", help: "A level", value: MetricValue::Level(-3) };
            vec![level, Metric { name: "zenei_test", help: "Counts", value: counts }]
        })],
        tail: Some(tail_seen),
        ready: ready_seen,
        ..handles(driver.incidents().clone())
    };
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move { _ = stopped.await };
    let address = serve("127.0.0.1:0".parse().unwrap(), handles, Inward::default(), shutdown).await.unwrap();
    Running { address, ready, ledger, shipped, tail, driver, stop }
}

/// Head and body of the answer.
async fn ask(address: SocketAddr, method: &str, path: &str) -> (String, String) {
    send(address, method, path, "").await
}

/// Head and body of the answer to a request with this body.
async fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> (String, String) {
    send_with(address, method, path, "", body).await
}

/// The same with these header lines, each with its end.
async fn send_with(address: SocketAddr, method: &str, path: &str, lines: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{lines}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

async fn check(address: SocketAddr, path: &str, status: u16, body: &str) {
    let (head, found) = ask(address, "GET", path).await;
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    assert_eq!(found, body, "{path}");
}

fn take(running: &mut Running, anomalies: Vec<zenei_detect::Anomaly>) -> Vec<zenei_wire::Id> {
    let findings = Findings { anomalies, ..Findings::default() };
    running.driver.take(EngineTime(9_000), &findings).unwrap().opened
}

#[tokio::test]
async fn health_is_told_apart_from_readiness() {
    let running = running().await;
    check(running.address, "/healthz", 200, r#"{"status":"ok"}"#).await;
    check(running.address, "/readyz", 503, r#"{"status":"not ready","parts":[]}"#).await;
    running.ready.send_replace(true);
    check(running.address, "/readyz", 200, r#"{"status":"ready","parts":[]}"#).await;
}

#[tokio::test]
async fn metrics_have_the_contracts_names_line_by_line() {
    let mut running = running().await;
    take(&mut running, vec![anomaly("motor-effort", "A", 1), anomaly("motor-effort", "B", 2)]);
    running.ledger.send_modify(|ledger| {
        ledger.receive(Source::Mqtt, 12);
        (ledger.pending, ledger.stored, ledger.duplicate, ledger.spool_bytes) = (3, 5, 2, 4_096);
        ledger.dead_letter(Reason::BadJson);
        ledger.drop_records(DropReason::SpoolFull, 1);
        (ledger.late, ledger.reused, ledger.lives) = (3, 2, 1);
    });
    let (head, body) = ask(running.address, "GET", "/metrics").await;
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    let lines: Vec<&str> = body.lines().collect();
    let samples = [
        r#"zenei_received_total{source="mqtt"} 12"#,
        r#"zenei_received_total{source="ingress"} 0"#,
        "zenei_stored_total 5",
        "zenei_duplicate_total 2",
        r#"zenei_dead_letter_total{reason="bad_json"} 1"#,
        r#"zenei_dead_letter_total{reason="too_large"} 0"#,
        r#"zenei_dropped_total{reason="spool_full"} 1"#,
        "zenei_spool_bytes 4096",
        "zenei_spool_lag_records 3",
        r#"zenei_incidents_open{domain="hardware",urgency="high"} 2"#,
        r#"zenei_incidents_open{domain="software",urgency="low"} 0"#,
        "zenei_late_total 3",
        "zenei_reused_total 2",
        "zenei_lives_total 1",
        r#"zenei_ready{part="all"} 0"#,
        "zenei_http_connections 1",
        r#"zenei_http_requests_total{route="metrics",code="2xx"} 0"#,
        "zenei_stream_listeners 0",
        "# TYPE zenei_received counter",
        "# TYPE zenei_incidents_open gauge",
    ];
    for sample in samples {
        assert_eq!(lines.iter().filter(|line| **line == sample).count(), 1, "{sample} once in:\n{body}");
    }
    assert_eq!(lines.last(), Some(&"# EOF"));
    let (head, classic) = send_with(running.address, "GET", "/metrics", "accept: text/plain\r\n", "").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    // What the scrapes themselves count differs.
    let is_sample = |line: &&str| !line.starts_with('#') && !line.starts_with("zenei_http_");
    let samples = |text: &str| text.lines().filter(is_sample).map(str::to_owned).collect::<Vec<String>>();
    assert_eq!(samples(&classic), samples(&body));
    assert!(classic.contains("# TYPE zenei_received_total counter\n") && !classic.contains("# EOF"), "{classic}");
}

#[tokio::test]
async fn what_a_remote_store_has_is_shown_beside_the_ledger_which_still_adds_up() {
    let running = running().await;
    running.ledger.send_modify(|ledger| {
        ledger.receive(Source::Mqtt, 12);
        (ledger.pending, ledger.stored) = (2, 10);
    });
    running.shipped.send_modify(|shipped| (shipped.records, shipped.refused, shipped.damaged_ranges) = (6, 1, 3));
    running.tail.send_modify(|tail| {
        (tail.up_to, tail.records, tail.duplicates) = (Some(EngineTime(1_777_626_000_999)), 40, 2);
    });
    let (_, body) = ask(running.address, "GET", "/metrics").await;
    let samples = [
        "zenei_stored_total 9",
        r#"zenei_dead_letter_total{reason="refused_by_store"} 1"#,
        "zenei_shipped_total 6",
        "zenei_ship_lag_records 3",
        "zenei_test_level -3",
        "zenei_test_total{kind=\"b\"} 2",
        "zenei_ship_damaged_ranges_total 3",
        "zenei_tail_records_total 40",
        "zenei_tail_duplicate_total 2",
        "zenei_tail_up_to_seconds 1777626000",
    ];
    for sample in samples {
        assert_eq!(body.lines().filter(|line| *line == sample).count(), 1, "{sample} once in:\n{body}");
    }
}

#[tokio::test]
async fn incidents_are_listed_newest_first_and_filtered() {
    let mut running = running().await;
    check(running.address, "/api/v1/incidents", 200, r#"{"incidents":[]}"#).await;
    let opened = take(&mut running, vec![anomaly("motor-effort", "A", 1), anomaly("motor-effort", "B", 2)]);
    let (_, body) = ask(running.address, "GET", "/api/v1/incidents?status=detected&urgency=high").await;
    let found: serde_json::Value = serde_json::from_str(&body).unwrap();
    let ids: Vec<&str> = found["incidents"].as_array().unwrap().iter().filter_map(|line| line["id"].as_str()).collect();
    assert_eq!(ids, [opened[1].to_string(), opened[0].to_string()]);
    check(running.address, "/api/v1/incidents?domain=software", 200, r#"{"incidents":[]}"#).await;
    check(running.address, "/api/v1/incidents?service=nowhere", 200, r#"{"incidents":[]}"#).await;
    let service = running.driver.incidents().read().incident(opened[0]).unwrap().service.clone().unwrap();
    let (_, body) = ask(running.address, "GET", &format!("/api/v1/incidents?service={service}")).await;
    assert!(body.contains(&opened[0].to_string()), "{service}: {body}");
    let refusals = [
        ("domain=wet", "unknown variant `wet`, expected one of `hardware`"),
        ("door=1", "unknown field `door`, expected one of `status`, `domain`"),
        ("status=close&status=fixing", "duplicate field `status`"),
        ("limit=501", "a number is 501; 1 to 500 are allowed"),
        ("device=", "a word has 0 characters"),
    ];
    for (query, told) in refusals {
        let (head, body) = ask(running.address, "GET", &format!("/api/v1/incidents?{query}")).await;
        assert!(head.starts_with("HTTP/1.1 400 ") && body.contains(told), "{query}: {body}");
    }
    let (_, body) = ask(running.address, "GET", "/api/v1/incidents?limit=1").await;
    let first: serde_json::Value = serde_json::from_str(&body).unwrap();
    let next = format!("/api/v1/incidents?limit=1&after={}", first["next"].as_str().unwrap());
    let (_, body) = ask(running.address, "GET", &next).await;
    let second: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&second["incidents"][0]["id"], second.get("next")), (&opened[0].to_string().into(), None));
}

#[tokio::test]
async fn an_incident_is_shown_with_its_evidence_by_either_form_of_its_id() {
    let mut running = running().await;
    let id = take(&mut running, vec![anomaly("motor-effort", "A", 1)])[0];
    for path in [format!("/api/v1/incidents/{id}"), format!("/api/v1/incidents/zenei-{id}")] {
        let (_, body) = ask(running.address, "GET", &path).await;
        let found: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((found["devices"][0].as_str(), found["records"].as_u64()), (Some("A"), Some(2)));
        assert_eq!(found["evidence"][1]["ts_ms"].as_i64(), Some(1_001));
        assert_eq!(found["urgency_reason"].as_str(), Some("the rule says high; 1 lock affected"));
        assert_eq!(found["title"].as_str(), Some("The motor's effort rises: lock A"));
        assert_eq!((found["owner"].as_str(), found["runbook"].as_str()), (Some("hardware"), Some("Look at the gear.")));
    }
}

#[tokio::test]
async fn triage_judges_facts_by_the_policy_and_says_what_is_no_fact() {
    let running = running().await;
    let judge = async |facts: &str| send(running.address, "POST", "/api/v1/triage", facts).await;
    let facts = r#"{"symptoms":["locked_out"]}"#;
    let (head, body) = judge(facts).await;
    let expected = Policy::default().triage(&serde_json::from_str(facts).unwrap());
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, serde_json::to_string(&expected).unwrap());
    let found: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&found["urgency"]["level"], &found["opening"]["follows"]), (&"highest".into(), &"open".into()));
    assert_eq!(running.driver.incidents().read().incidents().count(), 0, "nothing is opened");
    for (facts, told) in [
        (r#"{"lock":1}"#, "unknown field `lock`"),
        ("", "EOF"),
        (r#"{"hint":"wet"}"#, "`wet`"),
        (r#"{"locks":0}"#, "locks is 0"),
    ] {
        let (head, body) = judge(facts).await;
        assert!(head.starts_with("HTTP/1.1 400 ") && body.contains(told), "{facts}: {head} {body}");
    }
    let (head, _) = judge(&" ".repeat((1 << 16) + 1)).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    assert!(ask(running.address, "GET", "/api/v1/triage").await.0.starts_with("HTTP/1.1 405 "));
}

#[tokio::test]
async fn what_is_not_there_is_a_json_answer_too() {
    let running = running().await;
    let unknown = "/api/v1/incidents/00000000000000000000000000000001";
    check(running.address, unknown, 404, r#"{"error":"there is no incident of this id"}"#).await;
    let bad = r#"{"error":"an incident's id is 32 lower-case hex digits"}"#;
    check(running.address, "/api/v1/incidents/..%2fetc", 404, bad).await;
    check(running.address, "/nothing", 404, r#"{"error":"there is nothing at this path"}"#).await;
    let (head, body) = ask(running.address, "POST", "/healthz").await;
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
    assert_eq!(body, r#"{"error":"this path does not answer POST"}"#);
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_names_it() {
    let running = running().await;
    let refused = serve(running.address, handles(Incidents::default()), Inward::default(), std::future::pending())
        .await
        .unwrap_err();
    assert_eq!(refused.to_string(), format!("can't listen on {}", running.address));
}

#[tokio::test]
async fn the_server_ends_when_it_is_told() {
    let running = running().await;
    check(running.address, "/healthz", 200, r#"{"status":"ok"}"#).await;
    running.stop.send(()).unwrap();
    let is_gone = async {
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), is_gone).await.unwrap();
}
