//! Requests as Slack sends them, signed by the stand-in.
use super::*;
use crate::DeskDriver;
use remote_sim::slack_signature;
use zenei_detect::Findings;
use zenei_kit::anomaly;
use zenei_store::{Clock, Control};

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

fn desk() -> SharedDesk {
    let desk = SharedDesk::new(DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap());
    let anomalies = vec![anomaly("motor-effort", "A", 1)];
    desk.take(EngineTime(1_000), &Findings { anomalies, decisions: Vec::new() }).unwrap();
    desk
}

/// Status and text of the answer to a request signed at this time.
async fn ask(desk: &SharedDesk, path: &str, body: &str, signed_with: &str, late_s: i64) -> (u16, String) {
    let clock = DeskClock::new(Clock::System);
    let at = (clock.now().ms() / 1_000 - late_s).to_string();
    let state = SlackInward { secrets: vec![Secret::from(SECRET)], desk: desk.clone(), clock };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { axum::serve(listener, routes(state)).await });
    let request = crate::notify::Request::new("POST", url)
        .body("application/x-www-form-urlencoded", body.as_bytes().to_vec())
        .header("x-slack-request-timestamp", at.clone())
        .header("x-slack-signature", slack_signature(signed_with, &at, body));
    let answer = crate::notify::Http::new(true).unwrap().send(request).await.unwrap();
    task.abort();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

#[test]
fn the_signature_of_slacks_documentation_verifies_and_any_change_does_not() {
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
                &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
                &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554\
                %2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let at = 1_531_420_618_i64;
    let check = |secret: &str, at: &str, body: &str, signature: &str, now_s: i64| {
        verifies(&Secret::from(secret), at, body.as_bytes(), signature, EngineTime(now_s * 1_000))
    };
    for (late_s, is_right) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
        assert_eq!(check(SECRET, "1531420618", body, signature, at + late_s), is_right, "{late_s} s late");
    }
    assert!(!check("other", "1531420618", body, signature, at));
    assert!(!check(SECRET, "1531420619", body, signature, at));
    assert!(!check(SECRET, "1531420618", &body.replace("text=", "text=x"), signature, at));
    for wrong in ["", "v0=", "v0=zz", &signature[..66], &signature.replace("v0", "v1"), &format!("{signature}00")] {
        assert!(!check(SECRET, "1531420618", body, wrong, at), "{wrong:?}");
    }
    for odd in ["", "-1", "+1531420618", "1531420618 ", "9999999999999999999"] {
        assert!(!check(SECRET, odd, body, signature, at), "{odd:?}");
    }
}

#[test]
fn what_is_typed_becomes_a_step_or_a_refusal_with_help() {
    let step = |kind, body: Value| {
        Ok(Command::Step { incident: "abcd12".into(), kind, body: body.as_object().cloned().unwrap() })
    };
    let cases = [
        ("", Ok(Command::Help)),
        (" list ", Ok(Command::List)),
        ("show zenei-abcd12", Ok(Command::Show("zenei-abcd12".into()))),
        ("ack abcd12", step("acknowledge", json!({}))),
        ("note abcd12  現地 確認中", step("note", json!({ "text": "現地 確認中" }))),
        ("status abcd12 fixing", step("status", json!({ "to": "fixing" }))),
        ("temp-fix abcd12", step("temp_fix_done", json!({}))),
        (
            "postmortem abcd12 development, support",
            step("postmortem_held", json!({ "roles": ["development", "support"] })),
        ),
        ("complete abcd12", step("complete", json!({}))),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text), expected, "{text}");
    }
    for wrong in ["ack", "ack xyz1", "note abcd12", "status abcd12 close", "status abcd12 <!here>", "delete abcd12"] {
        let why = parse(wrong).unwrap_err();
        assert!(why.contains("/zenei list") && !why.contains('<'), "{why}");
    }
}

#[tokio::test]
async fn a_signed_command_changes_the_incident_and_another_changes_nothing() {
    let desk = desk();
    let id = desk.incidents().read().incidents().next().unwrap().id.to_string();
    let body = format!("user_id=U1&text=ack+{}", &id[..8]);
    let is_acknowledged = || desk.incidents().read().incidents().next().unwrap().acknowledged_by.clone();
    for (secret, late_s) in [("other", 0), (SECRET, 600), (SECRET, -600)] {
        let (status, _) = ask(&desk, "/slack/command", &body, secret, late_s).await;
        assert_eq!((status, is_acknowledged()), (401, None), "{late_s} s late");
    }
    let (status, text) = ask(&desk, "/slack/command", &body, SECRET, 0).await;
    assert!(status == 200 && text.contains("ephemeral") && text.contains("recorded"), "{text}");
    assert_eq!(is_acknowledged().as_deref(), Some("slack:U1"));
    let (_, refused) = ask(&desk, "/slack/command", &format!("user_id=U1&text=complete+{id}"), SECRET, 0).await;
    assert!(refused.contains("temporary fix") && refused.contains("postmortem"), "{refused}");
    let (_, listed) = ask(&desk, "/slack/command", "user_id=U1&text=list", SECRET, 0).await;
    assert!(listed.contains(&id[..12]), "{listed}");
    let (_, nobody) = ask(&desk, "/slack/command", &format!("user_id=%3C!here%3E&text=ack+{id}"), SECRET, 0).await;
    assert!(nobody.contains("refused"), "{nobody}");
}

#[tokio::test]
async fn a_button_takes_its_step_and_an_unknown_one_none() {
    let desk = desk();
    let id = desk.incidents().read().incidents().next().unwrap().id.to_string();
    let press = async |action: &str| {
        let payload = format!(r#"{{"user":{{"id":"U1"}},"actions":[{{"action_id":"{action}","value":"{id}"}}]}}"#);
        let encoded: String = payload.bytes().map(|byte| format!("%{byte:02X}")).collect();
        ask(&desk, "/slack/action", &format!("payload={encoded}"), SECRET, 0).await.0
    };
    let state = || {
        let incidents = desk.incidents();
        let book = incidents.read();
        let one = book.incidents().next().unwrap();
        (one.status, one.acknowledged_by.clone())
    };
    assert_eq!((press("zenei_complete").await, state()), (400, (Status::Detected, None)));
    for (action, ..) in ACTIONS {
        assert_eq!(press(action).await, 200, "{action}");
    }
    assert_eq!(state(), (Status::Fixing, Some("slack:U1".to_owned())));
}
