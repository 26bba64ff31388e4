//! The stand-in of Waroom against what its documentation says.
use super::*;

fn waroom(quirks: Quirks) -> Waroom {
    Waroom::new(quirks, &[("ik-home", "homehub"), ("ik-device", "device")], "api")
}

fn request(method: &str, path: &str, key: &str, body: &Value) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Request {
        method: method.into(),
        path: path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        query: crate::http::form(query),
        headers: BTreeMap::from([("authorization".into(), format!("Bearer {key}"))]),
        body: body.to_string().into_bytes(),
    }
}

fn event(key: &str, severity: &str, status: &str) -> Value {
    let event = json!({ "title": "t", "aggregation_key": key, "severity": severity, "status": status });
    json!({ "event": event })
}

#[test]
fn events_of_one_key_are_one_incident_of_the_keys_service() {
    let mut waroom = waroom(Quirks::default());
    for (at, status) in ["detected", "fixing"].iter().enumerate() {
        let answer = waroom.answer(&request("POST", "/v1/events", "ik-home", &event("zenei-1", "high", status)));
        assert_eq!((answer.status, answer.body["incident_id"].as_i64()), (200, Some(1)), "event {at}");
    }
    assert_eq!(waroom.incidents.len(), 1);
    assert_eq!((waroom.incidents[0].service.as_str(), waroom.incidents[0].status.as_str()), ("homehub", "fixing"));
    // The same key under the integration key of another service is another incident.
    waroom.answer(&request("POST", "/v1/events", "ik-device", &event("zenei-1", "high", "detected")));
    assert_eq!(waroom.of_key("zenei-1").len(), 2);
}

#[test]
fn a_wrong_key_a_missing_wrapper_and_an_unknown_word_are_refused() {
    let mut waroom = waroom(Quirks::default());
    let cases = [
        ("nobody", event("k", "high", "detected"), 401),
        ("ik-home", event("k", "high", "detected")["event"].clone(), 422),
        ("ik-home", event("k", "unknown", "detected"), 422),
        ("ik-home", event("k", "high", "検出"), 422),
    ];
    for (key, body, code) in cases {
        assert_eq!(waroom.answer(&request("POST", "/v1/events", key, &body)).status, code, "{body}");
    }
    assert_eq!(waroom.answer(&request("GET", "/api/v0/incidents", "ik-home", &Value::Null)).status, 401);
    assert!(waroom.incidents.is_empty());
}

#[test]
fn pages_end_with_a_null_and_statuses_are_localised_on_demand() {
    let mut waroom = waroom(Quirks { localised: true, ..Quirks::default() });
    for at in 0..5 {
        waroom.answer(&request("POST", "/v1/events", "ik-home", &event(&format!("zenei-{at}"), "low", "resolved")));
    }
    let page = |waroom: &mut Waroom, page: u32| {
        let path = format!("/api/v0/incidents?per_page=2&page={page}&service_names=homehub&from=2026-06-01");
        waroom.answer(&request("GET", &path, "api", &Value::Null)).body
    };
    let (first, last) = (page(&mut waroom, 1), page(&mut waroom, 3));
    assert_eq!(
        (&first["response_metadata"]["next_page"], &first["incidents"][0]["status"]),
        (&json!(2), &json!("解決"))
    );
    assert_eq!(
        (&last["response_metadata"]["next_page"], last["incidents"].as_array().map(Vec::len)),
        (&Value::Null, Some(1))
    );
    // The newest comes first.
    assert_eq!(first["incidents"][0]["uuid"], uuid_of(5));
}

#[test]
fn a_change_is_accepted_by_the_methods_of_the_quirk_only() {
    for (change_by, refused, put, patch) in
        [(ChangeBy::Both, 405, 200, 200), (ChangeBy::Put, 405, 200, 405), (ChangeBy::Patch, 404, 404, 200)]
    {
        let mut waroom = waroom(Quirks { change_by, refused, ..Quirks::default() });
        waroom.answer(&request("POST", "/v1/events", "ik-home", &event("zenei-1", "low", "detected")));
        let path = format!("/api/v0/incidents/{}/status", uuid_of(1));
        for (method, code) in [("PUT", put), ("PATCH", patch)] {
            assert_eq!(waroom.answer(&request(method, &path, "api", &json!({ "status": "fixing" }))).status, code);
        }
        assert_eq!(waroom.incidents[0].status, "fixing");
        assert_ne!(waroom.answer(&request("PUT", &path, "api", &json!({ "status": "unknown" }))).status, 200);
    }
}

#[test]
fn each_quirk_changes_what_it_names_and_without_it_that_stays() {
    let post = |waroom: &mut Waroom, key: &str, status: &str| {
        waroom.answer(&request("POST", "/v1/events", key, &event("zenei-1", "low", status)))
    };
    for on in [false, true] {
        let mut localised = waroom(Quirks { localised: on, ..Quirks::default() });
        post(&mut localised, "ik-home", "fixing");
        let shown = localised.answer(&request("GET", "/api/v0/incidents", "api", &Value::Null)).body;
        assert_eq!(shown["incidents"][0]["status"], if on { "修正中" } else { "fixing" });
        let code = if on { 201 } else { 200 };
        assert_eq!(post(&mut waroom(Quirks { kept: code, ..Quirks::default() }), "ik-home", "fixing").status, code);
        let mut overwrites = waroom(Quirks { overwrites: on, ..Quirks::default() });
        for status in ["detected", "fixing"] {
            post(&mut overwrites, "ik-home", status);
        }
        assert_eq!(overwrites.incidents[0].status, if on { "fixing" } else { "detected" });
        let mut gives = waroom(Quirks { gives_incident_uuid: on, ..Quirks::default() });
        let answer = post(&mut gives, "ik-home", "detected");
        assert_eq!(answer.body["uuid"] == json!(gives.incidents[0].uuid), on);
        let mut opens = waroom(Quirks { opens_after_close: on, ..Quirks::default() });
        for status in ["close", "detected"] {
            post(&mut opens, "ik-home", status);
        }
        assert_eq!(opens.incidents.len(), if on { 2 } else { 1 });
        let mut bound = waroom(Quirks { key_of_service: on, ..Quirks::default() });
        for key in ["ik-home", "ik-device"] {
            post(&mut bound, key, "detected");
        }
        assert_eq!(bound.incidents.len(), if on { 2 } else { 1 });
    }
}
