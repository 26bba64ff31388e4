//! The API as its callers see it: steps of people, and the stream over a socket.
use super::*;
use crate::http::gate::{Caller, How, Role};
use crate::{DeskClock, DeskDriver, Inward, SharedDesk};
use ask::{In, Said, Wrong};
use axum::Extension;
use axum::body::to_bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zenei_detect::{Findings, Rules};
use zenei_kit::anomaly;
use zenei_store::{Clock, Control};
use zenei_wire::{EngineTime, Id};

/// A desk with one open incident.
pub(super) fn desk() -> (SharedDesk, Id) {
    let desk = SharedDesk::new(DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap());
    let id = finds(&desk, "A");
    (desk, id)
}

fn finds(desk: &SharedDesk, lock: &str) -> Id {
    let anomalies = vec![anomaly("motor-effort", lock, 1)];
    desk.take(EngineTime(1_000), &Findings { anomalies, ..Findings::default() }).unwrap().opened[0]
}

pub(super) fn handles(desk: &SharedDesk) -> Handles {
    let rules = Arc::new(Rules::embedded().unwrap());
    let handles = Handles::of(desk.incidents(), DeskClock::new(Clock::System), rules);
    Handles { desk: Some(desk.clone()), ..handles }
}

pub(super) fn api(desk: &SharedDesk) -> Api {
    let handles = Arc::new(handles(desk));
    Api { stream: Arc::new(Stream::new(Arc::clone(&handles))), handles }
}

pub(super) fn sato() -> Extension<Caller> {
    Extension(Caller { name: "sato".into(), role: Role::Operator, residents: false, how: How::Token })
}

/// Code and body of an answer.
pub(super) async fn read(answer: Result<Response, Wrong>) -> (u16, Json) {
    let answer = answer.unwrap_or_else(IntoResponse::into_response);
    let code = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (code, serde_json::from_slice(&body).unwrap())
}

fn path<T: serde::de::DeserializeOwned>(text: impl ToString) -> In<T> {
    In(serde_json::from_value(Json::from(text.to_string())).unwrap())
}

async fn step(api: &Api, id: Id, body: Json) -> (u16, Json) {
    let said = Said(serde_json::from_value(body).unwrap());
    read(events::add(State(api.clone()), sato(), path(id), said).await).await
}

#[tokio::test]
async fn an_incident_is_carried_to_its_end_by_the_caller_and_a_refusal_says_what_is_missing() {
    let (desk, id) = desk();
    let api = api(&desk);
    let (code, event) = step(&api, id, json!({"kind": "acknowledge"})).await;
    assert_eq!((code, &event["kind"], &event["body"]["by"]), (201, &json!("acknowledged"), &json!("sato")));
    let (code, refused) = step(&api, id, json!({"kind": "complete"})).await;
    let text = refused["error"].as_str().unwrap();
    assert!(code == 409 && text.contains("temporary fix") && text.contains("postmortem"), "{code} {text}");
    let item = json!({"kind": "action_item", "item": "1", "text": "another gear", "for": "fix"});
    assert_eq!(step(&api, id, item).await.1["body"]["kind"], json!("fix"));
    assert_eq!(step(&api, id, json!({"kind": "temp_fix_done"})).await.0, 201);
    assert_eq!(step(&api, id, json!({"kind": "postmortem_held", "roles": ["a", "b"]})).await.0, 201);
    assert_eq!(step(&api, id, json!({"kind": "completed"})).await.1["seq"], json!(5));
    let asked = ask::Asked(serde_json::from_value(json!({})).unwrap());
    let (code, shown) = read(incidents::show(State(api.clone()), path(id), asked).await).await;
    assert_eq!((code, &shown["status"], &shown["actions"]["1"]["kind"]), (200, &json!("close"), &json!("fix")));
    let kinds: Vec<&str> =
        shown["timeline"].as_array().unwrap().iter().filter_map(|event| event["kind"].as_str()).collect();
    let told = ["opened", "acknowledged", "action_item_added", "temp_fix_done", "postmortem_held", "completed"];
    assert_eq!(kinds, told);
}

#[tokio::test]
async fn a_step_names_no_person_and_no_kind_that_has_another_producer() {
    let wrong = [
        (json!({"kind": "note", "text": "a", "by": "mori"}), "unknown field `by`"),
        (json!({"kind": "opened"}), "unknown variant `opened`"),
        (json!({"kind": "status", "to": "wet"}), "unknown variant `wet`"),
        (json!({"text": "a"}), "missing field `kind`"),
    ];
    for (body, told) in wrong {
        let error = serde_json::from_value::<events::Step>(body).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let (desk, id) = desk();
    let (api, other) = (api(&desk), Id(7));
    assert_eq!(step(&api, other, json!({"kind": "acknowledge"})).await.0, 404);
    for body in [json!({"kind": "note", "text": " "}), json!({"kind": "effort", "minutes": 0, "work": "fix"})] {
        assert_eq!(step(&api, id, body).await.0, 400);
    }
    let off = Api { handles: Arc::new(Handles { desk: None, ..handles(&desk) }), ..api };
    let (code, told) = step(&off, id, json!({"kind": "acknowledge"})).await;
    assert!(code == 409 && told["error"].as_str().unwrap().contains("[desk] enabled"), "{told}");
}

#[tokio::test]
async fn single_operations_are_shown_to_a_caller_for_residents_and_to_no_other() {
    let (desk, _) = desk();
    let api = api(&desk);
    let ask = async |residents: bool| {
        let Extension(caller) = sato();
        let caller = Extension(Caller { residents, role: Role::Admin, ..caller });
        let nothing = ask::Asked(serde_json::from_value(json!({})).unwrap());
        read(locks::operations(State(api.clone()), caller, path("A"), nothing).await).await
    };
    let (code, told) = ask(false).await;
    assert!(code == 403 && told["error"].as_str().unwrap().contains("--residents"), "{told}");
    // The history of this server is empty, so there is no such lock.
    assert_eq!(ask(true).await.0, 404);
}

async fn silence(api: &Api, body: Json) -> (u16, Json) {
    match serde_json::from_value(body) {
        Ok(new) => read(silences::add(State(api.clone()), sato(), Said(new)).await).await,
        Err(error) => (400, json!({"error": error.to_string()})),
    }
}

#[tokio::test]
async fn a_silence_is_previewed_set_listed_and_ended_by_the_caller() {
    let (desk, id) = desk();
    let api = api(&desk);
    let asks = Said(serde_json::from_value(json!({"matches": {"device": "A"}})).unwrap());
    let (code, seen) = read(silences::preview(State(api.clone()), asks).await).await;
    assert_eq!((code, &seen["open"], &seen["incidents"][0]["id"]), (200, &json!(1), &json!(id.to_string())));
    let nothing = Said(serde_json::from_value(json!({"matches": {}})).unwrap());
    assert_eq!(read(silences::preview(State(api.clone()), nothing).await).await.0, 400);
    let hour = json!({"matches": {"device": "A"}, "length_ms": 3_600_000, "reason": "work"});
    let (code, set) = silence(&api, hour.clone()).await;
    assert_eq!(
        (code, &set["by"], &set["in_force"], &set["kind"]),
        (201, &json!("sato"), &json!(true), &json!("silence"))
    );
    let wrong =
        [("by", json!("mori")), ("length_ms", json!(0)), ("reason", json!("")), ("matches", json!({"lock": "A"}))];
    for (field, value) in wrong {
        let mut body = hour.clone();
        body[field] = value;
        assert_eq!(silence(&api, body).await.0, 400, "{field}");
    }
    let end = async || {
        let id = path(set["id"].as_str().unwrap());
        read(silences::end(State(api.clone()), sato(), id).await).await
    };
    assert_eq!(end().await.0, 200);
    assert_eq!(end().await.0, 409);
    let nothing = ask::Asked(serde_json::from_value(json!({})).unwrap());
    let (_, listed) = read(silences::list(State(api.clone()), nothing).await).await;
    assert_eq!((&listed["silences"][0]["id"], &listed["silences"][0]["in_force"]), (&set["id"], &json!(false)));
}

#[tokio::test]
async fn an_inquiry_is_stored_once_and_counts_for_the_lead_time() {
    let (desk, _) = desk();
    let api = api(&desk);
    let send = async |text: &str| {
        let body = json!({"id": "Q1", "received_at": "1970-01-02T09:00:00+09:00", "device_id": "A", "urgency": "高", "text": text});
        read(inquiries::add(State(api.clone()), Said(serde_json::from_value(body).unwrap())).await).await
    };
    assert_eq!(send("it jams").await, (201, json!({"id": "Q1", "received_ms": 86_400_000, "is_new": true})));
    assert_eq!(send("it jams").await, (200, json!({"id": "Q1", "received_ms": 86_400_000, "is_new": false})));
    assert_eq!(send("it sticks").await.0, 409);
    let asked = ask::Asked(serde_json::from_value(json!({})).unwrap());
    let (_, listed) = read(incidents::list(State(api.clone()), asked).await).await;
    assert_eq!(listed["incidents"][0]["first_inquiry_ms"], json!(86_400_000));
}

#[tokio::test]
async fn what_a_device_says_is_text_in_json_that_no_browser_takes_for_a_page() {
    let (desk, _) = desk();
    let hostile = finds(&desk, "<script>alert(1)</script>\u{2028}\"");
    let anywhere = "127.0.0.1:0".parse().unwrap();
    let address = crate::serve(anywhere, handles(&desk), Inward::default(), std::future::pending()).await.unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /api/v1/incidents/{hostile} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    for line in ["HTTP/1.1 200 ", "content-type: application/json", "x-content-type-options: nosniff"] {
        assert!(head.contains(line), "{line}: {head}");
    }
    let shown: Json = serde_json::from_str(body).unwrap();
    assert_eq!(shown["devices"][0], json!("<script>alert(1)</script>\u{2028}\""));
}

#[test]
fn json_is_read_with_a_bound_on_its_depth_and_a_whole_number_may_have_a_point() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(ask::read::<Json>(nested(100).as_bytes()).is_ok());
    assert!(ask::read::<Json>(nested(200).as_bytes()).is_err());
    let read = |text: &str| ask::read::<std::collections::BTreeMap<String, u32>>(text.as_bytes()).ok();
    assert_eq!(read(r#"{"a": 7.0}"#).unwrap()["a"], 7);
    for wrong in [r#"{"a": 7.5}"#, r#"{"a": -7.0}"#, r#"{"a": 1e300}"#, r#"{"a": "7"}"#] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

/// What a listener gets, until it has this text.
async fn heard(stream: &mut TcpStream, seen: &mut String, text: &str) {
    let listen = async {
        while !seen.contains(text) {
            let mut bytes = [0; 4_096];
            let length = stream.read(&mut bytes).await.unwrap();
            assert!(length > 0, "the stream ended before {text:?}: {seen}");
            seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), listen).await.unwrap();
}

async fn listening(address: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET /api/v1/stream HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    let mut seen = String::new();
    heard(&mut stream, &mut seen, "\r\n\r\n").await;
    (stream, seen)
}

#[tokio::test]
async fn all_who_listen_get_a_board_and_each_incident_as_it_changes() {
    let (desk, id) = desk();
    let anywhere = "127.0.0.1:0".parse().unwrap();
    let address = crate::serve(anywhere, handles(&desk), Inward::default(), std::future::pending()).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..8 {
        let (mut stream, mut seen) = listening(address).await;
        assert!(seen.contains("content-type: text/event-stream"), "{seen}");
        heard(&mut stream, &mut seen, "event: board\n").await;
        heard(&mut stream, &mut seen, "\"hardware\":{\"high\":1,\"highest\":0,\"low\":0,\"medium\":0}").await;
        all.push((stream, seen));
    }
    let note = zenei_incident::event::Note { text: "x".into(), by: "a".into() };
    desk.add(id, EngineTime(2_000), note).unwrap();
    let later = finds(&desk, "B");
    for (stream, seen) in &mut all {
        heard(stream, seen, &format!("event: incident\ndata: {{\"id\":\"{id}\",\"seq\":1,")).await;
        heard(stream, seen, &format!("event: incident\ndata: {{\"id\":\"{later}\",\"seq\":0,")).await;
        heard(stream, seen, "\"hardware\":{\"high\":2,").await;
    }
}

#[tokio::test]
async fn one_listener_too_many_is_refused_and_a_place_that_is_left_is_free() {
    let (desk, _) = desk();
    let api = api(&desk);
    let mut all = Vec::new();
    for _ in 0..stream::LISTENERS_MAX {
        all.push(stream::listen(State(api.stream.clone())).await.unwrap());
    }
    let (code, told) = read(stream::listen(State(api.stream.clone())).await).await;
    assert!(code == 503 && told["error"].as_str().unwrap().contains("256"), "{told}");
    drop(all.pop());
    assert!(stream::listen(State(api.stream)).await.is_ok());
}
