//! The stand-in of Slack against what its documentation says.
use super::*;
use std::collections::BTreeMap;

fn call(slack: &mut Slack, method: &str, parameters: Value) -> Value {
    let headers = BTreeMap::from([
        ("authorization".to_owned(), "Bearer xoxb".to_owned()),
        ("content-type".to_owned(), "application/json".to_owned()),
    ]);
    let path = vec!["api".to_owned(), method.to_owned()];
    let body = parameters.to_string().into_bytes();
    slack.answer(&Request { method: "POST".into(), path, headers, body, ..Request::default() }).body
}

#[test]
fn a_taken_name_a_member_and_a_pinned_message_are_errors_under_200() {
    let mut slack = Slack::new("xoxb", &["dev_前衛"]);
    slack.users.insert("U1".into());
    let name = json!({ "name": "inc-0601-ab" });
    assert_eq!(call(&mut slack, "conversations.create", name.clone())["channel"]["id"], "C00000002");
    assert_eq!(call(&mut slack, "conversations.create", name)["error"], "name_taken");
    assert_eq!(call(&mut slack, "conversations.create", json!({ "name": "A b" }))["error"], "invalid_name_specials");
    let invited = json!({ "channel": "C00000002", "users": "U1" });
    assert_eq!(call(&mut slack, "conversations.invite", invited.clone())["ok"], true);
    assert_eq!(call(&mut slack, "conversations.invite", invited)["error"], "already_in_channel");
    let nobody = json!({ "channel": "C00000002", "users": "U9" });
    assert_eq!(call(&mut slack, "conversations.invite", nobody)["error"], "user_not_found");
    let posted = call(&mut slack, "chat.postMessage", json!({ "channel": "#dev_前衛", "text": "a" }));
    let pin = json!({ "channel": posted["channel"], "timestamp": posted["ts"] });
    assert_eq!(call(&mut slack, "pins.add", pin.clone())["ok"], true);
    assert_eq!(call(&mut slack, "pins.add", pin)["error"], "already_pinned");
}

#[test]
fn a_history_gives_metadata_on_demand_in_pages_and_no_replies() {
    let mut slack = Slack { page_max: 2, ..Slack::new("xoxb", &["room"]) };
    let metadata = json!({ "event_type": "zenei", "event_payload": { "seq": 1 } });
    let root = call(&mut slack, "chat.postMessage", json!({ "channel": "room", "text": "0", "metadata": metadata }));
    let reply = json!({ "channel": "room", "text": "reply", "thread_ts": root["ts"] });
    call(&mut slack, "chat.postMessage", reply);
    for text in ["1", "2"] {
        call(&mut slack, "chat.postMessage", json!({ "channel": "room", "text": text }));
    }
    let first =
        call(&mut slack, "conversations.history", json!({ "channel": root["channel"], "include_all_metadata": true }));
    assert_eq!((&first["messages"][0]["text"], &first["has_more"]), (&json!("2"), &json!(true)));
    let cursor = &first["response_metadata"]["next_cursor"];
    let more = json!({ "channel": root["channel"], "cursor": cursor, "include_all_metadata": true });
    let last = call(&mut slack, "conversations.history", more);
    assert_eq!((&last["messages"][0]["metadata"], &last["has_more"]), (&metadata, &json!(false)));
    let bare = call(&mut slack, "conversations.replies", json!({ "channel": root["channel"], "ts": root["ts"] }));
    assert_eq!((bare["messages"].as_array().map(Vec::len), bare["messages"][0].get("metadata")), (Some(2), None));
}

#[test]
fn a_wrong_token_and_a_missing_scope_are_errors_and_what_is_active_is_found() {
    let mut slack = Slack::new("other", &["room"]);
    assert_eq!(call(&mut slack, "auth.test", json!({}))["error"], "invalid_auth");
    let mut slack = Slack::new("xoxb", &["room"]);
    slack.without_scope.insert("pins.add".into());
    assert_eq!(call(&mut slack, "pins.add", json!({}))["error"], "missing_scope");
    let blocks = json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "<https://a|b>" } }]);
    call(&mut slack, "chat.postMessage", json!({ "channel": "room", "text": "<!here> &lt;@U1&gt;", "blocks": blocks }));
    assert_eq!(slack.messages[0].active(), ["!here", "https://a|b"]);
    let long = json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "x".repeat(3_001) } }]);
    let refused = call(&mut slack, "chat.postMessage", json!({ "channel": "room", "text": "t", "blocks": long }));
    assert_eq!(refused["error"], "invalid_blocks");
}

#[test]
fn the_signature_is_the_one_of_slacks_documentation() {
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
                &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
                &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
                &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signed = signature("8f742231b10e8888abcd99yyyzzz85a5", "1531420618", body);
    assert_eq!(signed, "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503");
}
