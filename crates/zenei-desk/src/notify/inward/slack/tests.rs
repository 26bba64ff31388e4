//! Requests as Slack sends them, signed by the stand-in.
use super::*;
use crate::DeskDriver;
use crate::notify::Request as Outward;
use crate::notify::slack_text::ACTIONS;
use remote_sim::{Faults, Server, Slack, slack_signature};
use zenei_detect::Findings;
use zenei_kit::anomaly;
use zenei_store::{Clock, Control};

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// A desk with one incident, whose commands are served.
struct Served {
    desk: SharedDesk,
    id: String,
    base: String,
    clock: DeskClock,
}

impl Served {
    async fn start(title: &str, base_url: Option<String>) -> Self {
        let desk = SharedDesk::new(DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap());
        let mut found = anomaly("motor-effort", "A", 1);
        found.title = title.to_owned();
        desk.take(EngineTime(1_000), &Findings { anomalies: vec![found], ..Findings::default() }).unwrap();
        let id = desk.incidents().read().incidents().next().unwrap().id.to_string();
        let clock = DeskClock::new(Clock::System);
        let app = App { signing_secret: Secret::from(SECRET), http: Http::new(true).unwrap(), base_url };
        let state = SlackInward::new(vec![app], desk.clone(), clock.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes(state)).await });
        Self { desk, id, base, clock }
    }

    /// Status and text of the answer to a request with this body, signed so many seconds ago.
    async fn ask(&self, path: &str, body: &str, signed_with: &str, late_s: i64) -> (u16, String) {
        let at = (self.clock.now().ms() / 1_000 - late_s).to_string();
        let request = Outward::new("POST", format!("{}{path}", self.base))
            .body("application/x-www-form-urlencoded", body.as_bytes().to_vec())
            .header("x-slack-request-timestamp", at.clone())
            .header("x-slack-signature", slack_signature(signed_with, &at, body));
        let answer = Http::new(true).unwrap().send(request).await.unwrap();
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    /// What a person reads who types this.
    async fn typed(&self, trigger: &str, user: &str, text: &str) -> String {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let body = format!("user_id={}&text={}&trigger_id={trigger}", encode(user), encode(text));
        let (status, answer) = self.ask("/slack/command", &body, SECRET, 0).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, answer["response_type"].as_str()), (200, Some("ephemeral")));
        for block in answer["blocks"].as_array().unwrap() {
            assert_eq!(block["text"]["type"], "plain_text");
        }
        answer["text"].as_str().unwrap().to_owned()
    }

    /// The status of the answer to a button.
    async fn press(&self, action: &str, response_url: &str) -> u16 {
        let id = &self.id;
        let payload = json!({
            "user": { "id": "U1" }, "trigger_id": action, "response_url": response_url,
            "actions": [{ "action_id": action, "value": id }],
        });
        let encoded: String = payload.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        self.ask("/slack/action", &format!("payload={encoded}"), SECRET, 0).await.0
    }

    fn incident(&self) -> Incident {
        self.desk.incidents().read().incidents().next().unwrap().clone()
    }
}

#[tokio::test]
async fn a_signed_command_changes_the_incident_and_another_changes_nothing() {
    let served = Served::start("The motor's effort rises: lock A", None).await;
    let body = format!("user_id=U1&text=ack+{}", &served.id[..8]);
    for (secret, late_s) in [("other", 0), (SECRET, 600), (SECRET, -600)] {
        let (status, _) = served.ask("/slack/command", &body, secret, late_s).await;
        assert_eq!((status, served.incident().acknowledged_by), (401, None), "{late_s} s late");
    }
    let (status, text) = served.ask("/slack/command", &body, SECRET, 0).await;
    assert!(status == 200 && text.contains("ephemeral") && text.contains("recorded"), "{text}");
    assert_eq!(served.incident().acknowledged_by.as_deref(), Some("slack:U1"));
    let refused = served.typed("1", "U1", &format!("complete {}", served.id)).await;
    assert!(refused.contains("temporary fix") && refused.contains("postmortem"), "{refused}");
    let listed = served.typed("2", "U1", "list").await;
    assert!(listed.contains(&served.id[..12]), "{listed}");
    let nobody = served.typed("3", "<!here>", &format!("note {} x", served.id)).await;
    assert!(nobody.contains("refused"), "{nobody}");
}

#[tokio::test]
async fn an_incident_is_carried_to_its_end_in_slack() {
    let served = Served::start("The motor's effort rises: lock A", None).await;
    let lines =
        ["owner ID 鈴木", "status ID fixing", "effort ID 30", "temp-fix ID", "postmortem ID development,support"];
    for (trigger, line) in lines.into_iter().chain(["complete ID"]).enumerate() {
        let said = served.typed(&trigger.to_string(), "U1", &line.replace("ID", &served.id[..8])).await;
        assert!(said.contains("recorded"), "{line}: {said}");
    }
    assert_eq!(served.incident().status, Status::Close);
}

#[tokio::test]
async fn a_request_that_comes_twice_is_carried_out_once() {
    let served = Served::start("The motor's effort rises: lock A", None).await;
    let line = format!("effort {} 30", served.id);
    let first = served.typed("a", "U1", &line).await;
    let again = served.typed("a", "U1", &line).await;
    assert!(first.contains("recorded") && again.contains("not done twice"), "{first} {again}");
    assert_eq!(served.incident().effort_min.values().sum::<u64>(), 30);
    // The control: another command with the same words is another command.
    assert!(served.typed("b", "U1", &line).await.contains("recorded"));
    assert_eq!(served.incident().effort_min.values().sum::<u64>(), 60);
    let list = served.typed("c", "U1", "list").await;
    assert_eq!(served.typed("c", "U1", "list").await, list, "what changes nothing may come again");
}

#[tokio::test]
async fn hostile_text_is_inert_in_an_answer() {
    let served = Served::start("<!channel> @here <http://x.example|ok> \u{202e}&\u{7}", None).await;
    for line in ["list", &format!("show {}", served.id), "<!here> @channel"] {
        let said = served.typed(line, "U1", line).await;
        assert!(!said.contains(['<', '>', '@', '\u{202e}', '\u{7}']), "{said}");
    }
    let note = |chars| format!("note {} {}", served.id, "長".repeat(chars));
    assert!(served.typed("long", "U1", &note(4_000)).await.contains("recorded"));
    assert!(served.typed("longer", "U1", &note(4_001)).await.contains("at most 4000 are allowed"));
    assert!(said(&"<".repeat(9_000)).to_string().len() < 20_000);
}

#[tokio::test]
async fn a_button_takes_its_step_and_an_unknown_one_none() {
    let served = Served::start("The motor's effort rises: lock A", None).await;
    let state = || (served.incident().status, served.incident().acknowledged_by);
    assert_eq!((served.press("zenei_complete", "").await, state()), (400, (Status::Detected, None)));
    for (action, ..) in ACTIONS {
        assert_eq!(served.press(action, "").await, 200, "{action}");
    }
    assert_eq!(state(), (Status::Fixing, Some("slack:U1".to_owned())));
}

#[tokio::test]
async fn who_presses_a_button_reads_a_refusal_where_slack_said_and_nowhere_else() {
    let mut slack = Slack::new("xoxb-1", &[]);
    slack.hooks.insert("commands/1".to_owned());
    let slack = Server::start(slack, Faults::none()).await.unwrap();
    let served = Served::start("The motor's effort rises: lock A", Some(slack.base_url().to_owned())).await;
    let elsewhere = Server::start(slack.with(|slack| slack.clone()), Faults::none()).await.unwrap();
    assert_eq!(served.press("zenei_fixing", &format!("{}/commands/1", elsewhere.base_url())).await, 200);
    assert_eq!(served.incident().status, Status::Fixing);
    assert_eq!(served.press("zenei_acknowledge", &format!("{}/commands/1", slack.base_url())).await, 200);
    let read = || slack.with(|slack| slack.messages.first().map(|message| message.text.clone()));
    let text = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            match read() {
                Some(text) => break text,
                None => tokio::task::yield_now().await,
            }
        }
    });
    assert!(text.await.unwrap().contains("recorded"));
    assert_eq!(elsewhere.requests(), 0, "an answer goes to Slack only");
    let real = "https://hooks.slack.com/actions/T1/2/x";
    assert!(is_answerable(real, None));
    let odd = [
        "http://hooks.slack.com/x",
        "https://hooks.slack.com.example/x",
        "https://hooks.slack.com@10.0.0.1/",
        "https://hooks.slack.com:81/",
        "file:///etc/passwd",
        "",
    ];
    for url in odd {
        assert!(!is_answerable(url, Some("https://slack.com")), "{url}");
    }
}
