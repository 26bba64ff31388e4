//! What the gate keeps of those who are in, over a socket: what a row of the audit log names, how often a token
//! logs in, and when a listener has to leave. Must not know how. Stands beside [`super::gate_tests`], whose server
//! it uses.
use super::gate::{Role, tokens};
use super::gate_tests::{COOKIE, Guarding, WITHIN};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_row_names_the_silence_that_was_made_by_the_api_or_the_page() {
    let guarding = Guarding::local().await;
    let headers = format!("{}content-type: application/json\r\n", guarding.bearer(Role::Operator));
    let body = r#"{"kind":"silence","matches":{"device":"BL1"},"length_ms":3600000,"reason":"parts"}"#;
    let made = guarding.send("POST", "/api/v1/silences", &headers, body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let form = "content-type: application/x-www-form-urlencoded\r\norigin: http://localhost\r\n";
    let headers = format!("{}{form}", guarding.log_in(Role::Operator).await);
    let set = guarding.send("POST", "/silences", &headers, "kind=silence&device=BL2&hours=1&reason=parts").await;
    assert_eq!(set.status, 303, "{}", set.body);
    let listed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let silences = listed(&guarding.ask("GET", "/api/v1/silences", "").await.body);
    let mut ids: Vec<&str> =
        silences["silences"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    let audit = listed(&guarding.ask("GET", "/api/v1/audit", &guarding.bearer(Role::Admin)).await.body);
    let rows = audit["audit"].as_array().unwrap().iter();
    let rows = rows.filter(|row| row["path"].as_str().unwrap().ends_with("/silences"));
    let mut subjects: Vec<&str> = rows.map(|row| row["subject"].as_str().unwrap()).collect();
    ids.sort_unstable();
    subjects.sort_unstable();
    assert!(ids.len() == 2 && ids == subjects, "{ids:?} {subjects:?}");
}

#[tokio::test]
async fn who_logs_in_again_and_again_is_told_to_wait() {
    let guarding = Guarding::open_to_all().await;
    let form = format!("token={}", guarding.tokens[0]);
    // Forwarded, so that it does not count as near.
    let headers = "content-type: application/x-www-form-urlencoded\r\nx-forwarded-for: 192.0.2.1\r\n";
    // The bucket fills while a slow machine logs in, so it is emptied again before each try.
    for _ in 0..100 {
        while guarding.gate.count("token viewer", false, true).is_ok() {}
        let answer = guarding.send("POST", "/login", headers, &form).await;
        if answer.status == 429 {
            assert!(answer.head.contains("retry-after: ") && !answer.head.contains(COOKIE), "{}", answer.head);
            return;
        }
        assert_eq!(answer.status, 303, "{}", answer.head);
    }
    panic!("no login was told to wait");
}

#[tokio::test]
async fn a_stream_ends_when_the_token_of_its_listener_is_revoked() {
    let guarding = Guarding::open_to_all().await;
    let mut stream = TcpStream::connect(guarding.address).await.unwrap();
    let bearer = guarding.bearer(Role::Viewer);
    stream.write_all(format!("GET /api/v1/stream HTTP/1.1\r\nhost: x\r\n{bearer}\r\n").as_bytes()).await.unwrap();
    let mut bytes = vec![0; 1_024];
    let read = tokio::time::timeout(WITHIN, stream.read(&mut bytes)).await.unwrap().unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 200") && read > 0);
    assert!(tokens::revoke(&guarding.token_file(), "viewer").is_ok());
    // The file is looked at once a second of the gate's time.
    guarding.gate.skip(Duration::from_secs(2));
    let ended = tokio::time::timeout(WITHIN, async { while stream.read(&mut bytes).await.unwrap() > 0 {} });
    assert!(ended.await.is_ok(), "the stream goes on");
}
