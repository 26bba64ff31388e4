//! Tests that hostile text is inert in every message of every connector: each text of the corpus in every field that a
//! device, a customer, a person or a remote can set, through every kind of event, to a stand-in of each target. What
//! the stand-in has is judged by the properties of its medium; the same properties find the raw text dangerous.
use remote_sim::{Alertmanager, Faults, PagerDuty, Receiver, Server, Slack, Waroom, WaroomQuirks};
use serde_json::{Value, json};
use std::path::Path;
use zenei_desk::notify::{Delivery, Letter, Queue, Target, TargetConfig};
use zenei_desk::{DeskDriver, Route, SharedDesk};
use zenei_detect::{Anomaly, Findings, Scope, ScopeKind};
use zenei_incident::kinds::WORDS;
use zenei_incident::message::{Lang, Message};
use zenei_incident::{Event, Incident};
use zenei_kit::hostile::{calls_people, disturbs, texts};
use zenei_store::Control;
use zenei_store::control::OutboxRow;
use zenei_wire::{EngineTime, Id};

const NOW: EngineTime = EngineTime(1_780_272_000_000);
const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";
const HOOK: &str = "services/T0/B0/secret";

/// An incident of which every text is this one, and its opening event.
fn opened(text: &str) -> (Incident, Event) {
    let owned = || text.to_owned();
    let mut found: Anomaly = zenei_kit::anomaly("motor-effort", "A", 5);
    found.device_id = Some(owned());
    found.scope = Scope { kind: ScopeKind::Device, value: owned() };
    found.evidence.iter_mut().for_each(|record| record.device_id = owned());
    (found.unit, found.why, found.title) = (owned(), owned(), owned());
    (found.owner, found.runbook) = (owned(), owned());
    let desk = SharedDesk::new(DeskDriver::open(Control::in_memory().expect("a database"), vec![]).expect("a desk"));
    let findings = Findings { anomalies: vec![found], ..Findings::default() };
    let taken = desk.take(NOW, &findings).expect("a finding that can be taken");
    let row = OutboxRow {
        id: Id(1),
        target: String::new(),
        incident: *taken.opened.first().expect("an incident"),
        event_seq: 0,
        body: "{}".into(),
        attempt: 0,
        next_at_ms: 0,
        unanswered: 0,
        tried_from_ms: None,
    };
    let Letter { mut incident, event, .. } = desk.letter(&row).expect("a letter");
    (incident.urgency_reason, incident.owner, incident.service) = (owned(), Some(owned()), Some(owned()));
    incident.acknowledged_by = Some(owned());
    (incident, event)
}

/// An event of each kind with this text in each field that holds text.
fn events(first: &Event, text: &str) -> Vec<Event> {
    let id = Id(7);
    let mut all = Vec::new();
    for (at, kind) in WORDS.iter().enumerate() {
        let of_opened: Value = serde_json::from_str(&first.body().expect("a body")).expect("JSON");
        let body = if *kind == "opened" {
            of_opened
        } else {
            // Each kind takes the fields that it has.
            let to = match *kind {
                "urgency_changed" => "highest",
                "domain_changed" => "firmware",
                _ => "fixing",
            };
            json!({
                "by": text, "owner": text, "reason": text, "why": text, "text": text, "inquiry": text, "method": text,
                "roles": [text, text], "attendees": [text], "people": [text], "target": text, "channel": text,
                "url": text, "runbook": text, "step": text, "item": text, "to": to, "component": "motor",
                "status": "open", "kind": "fix", "work": "other", "verdict": "true", "incident": id,
                "incidents": [id], "received_ms": 1, "at_ms": 1, "cycles": 3, "window_ms": 1, "version": 1,
                "due_ms": 1, "minutes": 1, "at_event": 1, "anomaly": of_opened["anomaly"],
            })
        };
        let seq = u32::try_from(at).expect("few kinds");
        let event = Event::read(first.incident, seq, NOW, kind, &body.to_string());
        all.push(event.unwrap_or_else(|error| panic!("{error}: {body}")));
    }
    all.push(Event::read(first.incident, 99, NOW, text, &json!({"by": text}).to_string()).expect("an unknown kind"));
    all
}

struct Remotes {
    waroom: Server<Waroom>,
    pagerduty: Server<PagerDuty>,
    slack: Server<Slack>,
    webhook: Server<Receiver>,
    alertmanager: Server<Alertmanager>,
}

impl Remotes {
    async fn start() -> Self {
        let waroom = Waroom::new(WaroomQuirks::default(), &[("key", "device")], "api");
        let slack = Slack { hooks: [HOOK.to_owned()].into(), ..Slack::new("xoxb", &["inquiries"]) };
        let faults = Faults::none;
        Self {
            waroom: Server::start(waroom, faults()).await.expect("a port"),
            pagerduty: Server::start(PagerDuty::new(ROUTING_KEY), faults()).await.expect("a port"),
            slack: Server::start(slack, faults()).await.expect("a port"),
            webhook: Server::start(Receiver::default(), faults()).await.expect("a port"),
            alertmanager: Server::start(Alertmanager::default(), faults()).await.expect("a port"),
        }
    }

    fn targets(&self, folder: &Path) -> Vec<(Target, Route)> {
        let secret = |name: &str, text: &str| {
            let file = folder.join(name);
            std::fs::write(&file, text).expect("a folder that can be written");
            file
        };
        let all = json!({
            "waroom": {"kind": "waroom", "base_url": self.waroom.base_url(), "allow_private": true,
                "integration_key_file": secret("waroom", "key")},
            "pagerduty": {"kind": "pagerduty", "base_url": self.pagerduty.base_url(), "allow_private": true,
                "routing_key_file": secret("pagerduty", ROUTING_KEY)},
            "slack": {"kind": "slack", "base_url": self.slack.base_url(), "allow_private": true,
                "token_file": secret("slack", "xoxb"), "inquiry_channel": "#inquiries",
                "signing_secret_file": secret("signing", "secret")},
            "hook": {"kind": "slack", "allow_private": true,
                "webhook_url_file": secret("hook", &format!("{}/{HOOK}", self.slack.base_url()))},
            "webhook": {"kind": "webhook", "url": format!("{}/", self.webhook.base_url()), "allow_private": true},
            "alertmanager": {"kind": "alertmanager", "url": self.alertmanager.base_url(), "allow_private": true},
        });
        let all: std::collections::BTreeMap<String, TargetConfig> = serde_json::from_value(all).expect("targets");
        let open = |(name, config): (&String, &TargetConfig)| {
            (Target::open(name, config).expect("a target that opens"), config.route(name))
        };
        all.iter().map(open).collect()
    }

    /// What is wrong with what they have.
    fn complaints(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut judge = |place: &str, text: &str, has_lines: bool, chats: bool| {
            let calls = if chats { calls_people(text) } else { None };
            if let Some(why) = disturbs(text, has_lines).or(calls) {
                found.push(format!("{place}: {why}: {:?}", text.chars().take(200).collect::<String>()));
            }
        };
        self.waroom.with(|waroom| {
            for incident in &waroom.incidents {
                judge("waroom's title", &incident.title, false, true);
                judge("waroom's description", &incident.description, true, true);
            }
        });
        self.pagerduty.with(|pager| {
            let each = |alert: &remote_sim::Alert| strings(&alert.payload);
            pager.alerts.iter().flat_map(each).for_each(|text| judge("pagerduty", &text, false, false));
        });
        self.slack.with(|slack| {
            for message in &slack.messages {
                let is_ours = |inside: &String| inside.starts_with("#C") && inside.len() == 10;
                for inside in message.active().iter().filter(|inside| !is_ours(inside)) {
                    judge("slack, active", &format!("<!{inside}"), false, true);
                }
                let mut all = strings(&message.blocks);
                all.push(message.text.clone());
                // Our own link to the incident's channel; a field is a name, a line feed and a value.
                all.iter().filter(|text| !text.contains(": <#C")).for_each(|text| judge("slack", text, true, true));
            }
            slack.channels.iter().for_each(|channel| judge("slack's topic", &channel.topic, false, true));
        });
        self.webhook.with(|receiver| {
            for call in &receiver.calls {
                strings(&call.body["data"]["text"]).iter().for_each(|text| judge("webhook", text, true, false));
            }
        });
        self.alertmanager.with(|alerts| {
            for alert in &alerts.taken {
                strings(&alert["labels"]).iter().for_each(|text| judge("label", text, false, true));
                strings(&alert["annotations"]).iter().for_each(|text| judge("annotation", text, true, true));
            }
        });
        found
    }
}

/// Every text in a value, the names of its members too.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(strings).collect(),
        Value::Object(members) => {
            members.iter().flat_map(|(name, value)| [vec![name.clone()], strings(value)].concat()).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_text_is_inert_in_every_message_of_every_connector() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, text) in texts().iter().enumerate() {
        let remotes = Remotes::start().await;
        let targets = remotes.targets(folder.path());
        let (incident, first) = opened(text);
        let mut sent = 0;
        for lang in [Lang::Ja, Lang::En] {
            for event in events(&first, text) {
                let message = Message::of(&incident, &event, incident.service.as_deref(), lang);
                for (target, _) in targets.iter().filter(|(_, route)| (route.wants)(&event)) {
                    let row = Id::of(&[text.as_bytes(), &event.seq.to_be_bytes()]);
                    let delivery = Delivery {
                        target: &target.name,
                        row,
                        attempt: 0,
                        unanswered: 0,
                        incident: &incident,
                        event: &event,
                        message: &message,
                        remote: &std::collections::BTreeMap::new(),
                        invitees: &[],
                        opens_channel: true,
                        now: NOW,
                    };
                    let answer = target.send(&delivery).await;
                    assert!(answer.is_ok(), "{} {} {text:?}: {answer:?}", target.name, event.kind_word());
                    sent += 1;
                }
            }
        }
        let complaints = remotes.complaints();
        assert!(complaints.is_empty(), "text {number}, {text:?}:\n{}", complaints.join("\n"));
        assert!(sent > 100, "only {sent} messages");
    }
}

/// The negative control: a stand-in that was sent the raw texts.
#[tokio::test]
async fn the_same_check_finds_raw_text_at_every_target() {
    let remotes = Remotes::start().await;
    let raw = texts().pop().expect("all texts in one");
    remotes.pagerduty.with(|pager| {
        let payload = json!({ "summary": raw });
        pager.alerts.push(remote_sim::Alert { dedup_key: String::new(), status: String::new(), triggers: 1, payload });
    });
    remotes.alertmanager.with(|alerts| alerts.taken.push(json!({"labels": {"a": raw}, "annotations": {"b": raw}})));
    remotes.slack.with(|slack| {
        slack.channels.iter_mut().for_each(|channel| channel.topic.clone_from(&raw));
        slack.messages.push(remote_sim::Posted {
            channel: "C1".into(),
            ts: "1".into(),
            thread_ts: None,
            text: raw.clone(),
            blocks: json!([{"text": raw}]),
            metadata: Value::Null,
        });
    });
    remotes.webhook.with(|receiver| {
        let body = json!({"data": {"text": {"plain": raw}}});
        let (id, timestamp, content_type) = (String::new(), String::new(), String::new());
        receiver.calls.push(remote_sim::Hook { id, timestamp, content_type, body });
    });
    remotes.waroom.with(|waroom| {
        waroom.incidents.push(remote_sim::RemoteIncident {
            uuid: String::new(),
            service: String::new(),
            key: None,
            title: raw.clone(),
            description: raw.clone(),
            severity: String::new(),
            status: String::new(),
            with_slack_channel: false,
            events: 1,
            created_ms: 0,
        });
    });
    let found = remotes.complaints();
    for place in ["waroom's title", "waroom's desc", "pagerduty", "slack:", "slack's topic", "webhook", "label", "anno"]
    {
        assert!(found.iter().any(|line| line.starts_with(place)), "raw text at {place} is not found: {found:?}");
    }
}
