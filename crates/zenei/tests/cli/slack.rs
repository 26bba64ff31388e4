//! Slack reaches the running program: what Slack signed is done, and nothing else.
use crate::steps::{CONFIG, status, with_incident};
use crate::support::{Daemon, Folder};
use remote_sim::slack_signature;
use zenei_store::Clock;

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// The status of the answer to what a person typed, signed so many seconds ago, and its text.
fn typed(daemon: &Daemon, secret: &str, late_s: i64, trigger: &str, text: &str) -> (u16, String) {
    let at = (Clock::System.now().ms() / 1_000 - late_s).to_string();
    let body = format!("user_id=U1&trigger_id={trigger}&text={}", text.replace(' ', "+"));
    let signature = slack_signature(secret, &at, &body);
    let headers = [
        ("x-slack-request-timestamp", at.as_str()),
        ("x-slack-signature", signature.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    daemon.ask("POST", "/slack/command", &headers, &body)
}

fn with_slack() -> (Folder, String) {
    let (folder, id) = with_incident();
    folder.write("room.token", "xoxb-1");
    folder.write("room.secret", SECRET);
    // Nothing of an incident of another day is told; a target at loopback would be refused without allow_private.
    let room = "[notify.room]\nkind = 'slack'\nbase_url = 'http://127.0.0.1:9'\nallow_private = true\n\
                token_file = 'room.token'\nsigning_secret_file = 'room.secret'\n";
    folder.write("zenei.toml", &format!("{CONFIG}[http]\nlisten = '127.0.0.1:0'\n{room}"));
    (folder, id)
}

#[test]
fn a_command_that_slack_signed_acknowledges_an_incident_of_the_running_daemon() {
    let (folder, id) = with_slack();
    let daemon = Daemon::start(&folder, &["run"]);
    let line = format!("ack {id}");
    for (secret, late_s) in [("another", 0), (SECRET, 400)] {
        assert_eq!(typed(&daemon, secret, late_s, "1", &line).0, 401, "{late_s} s late");
    }
    assert_eq!(daemon.ask("POST", "/slack/command", &[], &format!("user_id=U1&text={line}")).0, 401);
    assert_eq!(status(&folder, &id).1, 1, "nothing was written");
    let (code, text) = typed(&daemon, SECRET, 0, "1", &line);
    assert!(code == 200 && text.contains("recorded") && text.contains("ephemeral"), "{code} {text}");
    assert_eq!(status(&folder, &id).1, 2);
    let (code, text) = typed(&daemon, SECRET, 0, "1", &line);
    assert!(code == 200 && text.contains("not done twice"), "{code} {text}");
    let (code, text) = typed(&daemon, SECRET, 0, "2", &format!("complete {id}"));
    assert!(code == 200 && text.contains("temporary fix") && text.contains("postmortem"), "{code} {text}");
    assert_eq!(status(&folder, &id).1, 2);
    // One byte more than 1 MiB, so that nothing is left unread when it is refused.
    assert_eq!(daemon.ask("POST", "/slack/command", &[], &"x".repeat((1 << 20) + 1)).0, 413, "a body has a bound");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn without_a_signing_secret_slack_has_no_address() {
    let (folder, id) = with_incident();
    folder.write("zenei.toml", &format!("{CONFIG}[http]\nlisten = '127.0.0.1:0'\n"));
    let daemon = Daemon::start(&folder, &["run"]);
    assert_eq!(typed(&daemon, SECRET, 0, "1", &format!("ack {id}")).0, 404);
    assert_eq!(daemon.end(), 0);
}
