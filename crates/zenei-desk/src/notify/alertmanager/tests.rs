//! The connector against the stand-in; what only the real one shows (that an alert ends by itself, that a silence holds
//! its receivers still) is tested with the real one.
use super::super::trial::{Trial, portal};
use super::*;
use remote_sim::{Alertmanager as Sim, Faults, Server};
use zenei_incident::Status;
use zenei_incident::event::{Acknowledged, Reopened, UrgencyChanged};
use zenei_incident::message::Lang;

const NOW: EngineTime = EngineTime(1_780_272_000_000);

fn connector(base: &str) -> Alertmanager {
    Alertmanager {
        base: base.to_owned(),
        authorization: None,
        ends_after: Duration::from_secs(900),
        webhook_token: None,
    }
}

async fn tell(am: &Alertmanager, http: &Http, trial: &mut Trial) -> Sent {
    trial.send(async |delivery| am.send(http, delivery).await).await.unwrap()
}

async fn round(am: &Alertmanager, http: &Http, trial: &mut Trial, now: EngineTime) -> Vec<String> {
    let watched = [Watched { incident: trial.incident.clone(), remote: trial.remote.clone() }];
    let seen = am.round(http, &Round { watched: &watched, lang: Lang::Ja, now }).await.unwrap();
    trial.remote.extend(seen.iter().flat_map(|one| one.remember.clone()));
    let note = |what: &What| {
        let What::Note(note) = what else { panic!("{what:?}") };
        note.text.clone()
    };
    seen.iter().flat_map(|one| &one.events).map(note).collect()
}

fn raised(trial: &mut Trial) {
    trial.incident.urgency = Urgency::Highest;
    trial.then(UrgencyChanged { to: Urgency::Highest, reason: "r".into(), ground: None, by: None });
}

/// Alertmanager 2370: the resolved alert has the texts of the open one.
#[tokio::test]
async fn an_alert_keeps_its_texts_when_it_is_refreshed_and_when_it_ends() {
    let server = Server::start(Sim::default(), Faults::none()).await.unwrap();
    let (am, http) = (connector(server.base_url()), Http::new(true).unwrap());
    let mut trial = Trial::new(Urgency::High, "Motor");
    tell(&am, &http, &mut trial).await;
    round(&am, &http, &mut trial, EngineTime(NOW.ms() + 300_000)).await;
    trial.status(Status::Resolved);
    tell(&am, &http, &mut trial).await;
    let taken = server.with(|sim| sim.taken.clone());
    let ends: Vec<&str> = taken.iter().map(|alert| alert["endsAt"].as_str().unwrap()).collect();
    assert_eq!(ends, ["2026-06-01T00:15:00Z", "2026-06-01T00:20:00Z", "2026-06-01T00:00:00Z"]);
    for alert in &taken {
        assert_eq!(alert["labels"], taken[0]["labels"]);
        assert_eq!(alert["startsAt"], taken[0]["startsAt"]);
        assert_eq!(alert["annotations"]["summary"], "[自動検知] Motor");
        let text = alert["annotations"]["description"].as_str().unwrap();
        assert!(text.contains("ステータス: ") && text.contains("検知内容: "), "{text}");
    }
}

/// Alertmanager 3015, 510 and 4251: it is told of the end exactly when there is one, also over lost answers.
#[tokio::test]
async fn whatever_is_lost_the_last_word_about_an_incident_is_its_end() {
    for seed in 0..40 {
        let server = Server::start(Sim::default(), Faults { retry_after_s: 0, ..Faults::mixed(seed) }).await.unwrap();
        let (am, http) = (connector(server.base_url()), Http::new(true).unwrap());
        let mut trial = Trial::new(Urgency::High, "Motor");
        trial.forgets = true;
        tell(&am, &http, &mut trial).await;
        raised(&mut trial);
        tell(&am, &http, &mut trial).await;
        trial.status(Status::Resolved);
        tell(&am, &http, &mut trial).await;
        server.set_faults(Faults::none());
        round(&am, &http, &mut trial, EngineTime(NOW.ms() + 300_000)).await;
        let ends: Vec<Value> = server.with(|sim| sim.alerts.values().map(|alert| alert["endsAt"].clone()).collect());
        assert_eq!(ends, ["2026-06-01T00:00:00Z", "2026-06-01T00:00:00Z"], "seed {seed}");
    }
}

/// Alertmanager 889: after a restart an open alert is sent again from what is stored, and an ended one is not.
#[tokio::test]
async fn a_round_needs_nothing_but_what_is_stored() {
    let server = Server::start(Sim::default(), Faults::none()).await.unwrap();
    let http = Http::new(true).unwrap();
    let mut trial = Trial::new(Urgency::High, "Motor");
    tell(&connector(server.base_url()), &http, &mut trial).await;
    server.with(|sim| sim.alerts.clear());
    let am = connector(server.base_url());
    round(&am, &http, &mut trial, NOW).await;
    assert_eq!(server.with(|sim| sim.alerts.len()), 1);
    trial.status(Status::Resolved);
    tell(&am, &http, &mut trial).await;
    let before = server.with(|sim| sim.taken.len());
    round(&am, &http, &mut trial, NOW).await;
    assert_eq!(server.with(|sim| sim.taken.len()), before);
    trial.incident.status = Status::Detected;
    trial.then(Reopened { reason: "it came back".into(), by: "sato".into() });
    tell(&am, &http, &mut trial).await;
    let open = server.with(|sim| (sim.alerts.len(), sim.taken.last().unwrap()["endsAt"].clone()));
    assert_eq!(open, (1, "2026-06-01T00:15:00Z".into()));
}

#[tokio::test]
async fn when_the_urgency_rises_the_former_alert_ends_in_the_same_request() {
    let server = Server::start(Sim::default(), Faults::none()).await.unwrap();
    let (am, http) = (connector(server.base_url()), Http::new(true).unwrap());
    let mut trial = Trial::new(Urgency::High, "Motor");
    tell(&am, &http, &mut trial).await;
    raised(&mut trial);
    tell(&am, &http, &mut trial).await;
    assert_eq!(server.requests(), 2);
    let by = |severity: &str| server.with(|sim| sim.with_label("severity", severity)[0]["endsAt"].clone());
    assert_eq!((by("error"), by("critical")), ("2026-06-01T00:00:00Z".into(), "2026-06-01T00:15:00Z".into()));
    let labels = server.with(|sim| sim.alerts.keys().map(|labels| labels[LABEL].clone()).collect::<Vec<_>>());
    assert_eq!(labels, vec![key(&trial.incident); 2]);
}

/// Alertmanager 1860, Grafana 13364 and OnCall 4760: who took it is shown, and an acknowledgement opens no new alert.
#[tokio::test]
async fn an_acknowledgement_is_shown_at_the_same_alert() {
    let server = Server::start(Sim::default(), Faults::none()).await.unwrap();
    let (am, http) = (connector(server.base_url()), Http::new(true).unwrap());
    let mut trial = Trial::new(Urgency::High, "Motor");
    tell(&am, &http, &mut trial).await;
    trial.incident.acknowledged_by = Some("sato".into());
    trial.then(Acknowledged { by: "sato".into() });
    tell(&am, &http, &mut trial).await;
    let alerts: Vec<Value> = server.with(|sim| sim.alerts.values().cloned().collect());
    assert_eq!((alerts.len(), &alerts[0]["annotations"]["acknowledged_by"]), (1, &Value::from("sato")));
}

#[tokio::test]
async fn an_end_of_what_it_was_never_told_of_is_not_sent() {
    let server = Server::start(Sim::default(), Faults::none()).await.unwrap();
    let mut trial = Trial::new(Urgency::High, "Motor");
    trial.status(Status::Resolved);
    tell(&connector(server.base_url()), &Http::new(true).unwrap(), &mut trial).await;
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn hostile_text_is_inert_and_no_label_breaks_the_batch() {
    let hostile = "\u{202e}<!channel> @here\u{0}<b>\n\"}]";
    let server = Server::start(Sim::default(), Faults::none()).await.unwrap();
    let (am, http) = (connector(server.base_url()), Http::new(true).unwrap());
    let mut trial = Trial::new(Urgency::High, hostile);
    trial.incident.scope.value = hostile.repeat(100);
    trial.incident.rule = hostile.to_owned();
    trial.incident.why = hostile.to_owned();
    trial.incident.acknowledged_by = Some(hostile.to_owned());
    tell(&am, &http, &mut trial).await;
    round(&am, &http, &mut trial, NOW).await;
    let dangerous = |text: &str| text.contains(['<', '>', '@', '\u{202e}', '\u{0}']);
    assert!(dangerous(hostile), "the check can tell");
    let taken = server.with(|sim| sim.taken.clone());
    assert_eq!(taken.len(), 2);
    for value in taken.iter().flat_map(|alert| [&alert["labels"], &alert["annotations"]]) {
        for text in value.as_object().unwrap().values().map(|text| text.as_str().unwrap()) {
            assert!(!dangerous(text) && text.chars().count() <= TEXT_MAX, "{text}");
        }
    }
}

#[tokio::test]
async fn a_silence_there_is_noted_once_with_who_set_it_and_again_when_it_ends() {
    let server = Server::start(Sim::default(), Faults::none()).await.unwrap();
    let (am, http) = (connector(server.base_url()), Http::new(true).unwrap());
    let mut trial = Trial::new(Urgency::High, "Motor");
    tell(&am, &http, &mut trial).await;
    assert_eq!(round(&am, &http, &mut trial, NOW).await, [""; 0]);
    server.with(|sim| {
        let silence = json!({"createdBy": "<!here>", "endsAt": "2026-06-02T00:00:00Z", "comment": "battery work"});
        sim.silences.insert("s-1".into(), silence);
        sim.silenced = vec![(key(&trial.incident), "s-1".into())];
    });
    let said = round(&am, &http, &mut trial, NOW).await;
    assert!(said.len() == 1 && said[0].contains("‹!here›") && said[0].contains("battery work"), "{said:?}");
    assert_eq!(round(&am, &http, &mut trial, NOW).await, [""; 0]);
    server.with(|sim| sim.silenced.clear());
    assert!(round(&am, &http, &mut trial, NOW).await[0].contains("no longer silenced"));
}

#[tokio::test]
async fn a_test_is_marked_and_ends_and_a_check_opens_nothing() {
    let sim = Sim { token: Some("canary".into()), ..Sim::default() };
    let server = Server::start(sim, Faults::none()).await.unwrap();
    let http = Http::new(true).unwrap();
    let bare = connector(server.base_url());
    assert!(matches!(bare.check(&http).await, Err(SendError::Never { why }) if why.contains("401")));
    let am = Alertmanager { authorization: Some(Secret::from("Bearer canary")), ..bare };
    assert_eq!(am.check(&http).await.unwrap(), "Alertmanager 0.25.0, cluster ready");
    assert_eq!(server.with(|sim| sim.taken.len()), 0);
    am.test(&http, NOW).await.unwrap();
    let taken = server.with(|sim| sim.taken.clone());
    assert_eq!((taken.len(), &taken[0]["endsAt"]), (1, &Value::from("2026-06-01T00:01:00Z")));
    assert_eq!(taken[0]["labels"]["zenei_test"], "true");
    assert!(!format!("{am:?}").contains("canary"));
}

#[tokio::test]
async fn more_silences_than_are_looked_up_are_noted_all_the_same() {
    let server = Server::start(Sim::default(), Faults::none()).await.unwrap();
    let (am, http) = (connector(server.base_url()), Http::new(true).unwrap());
    let mut trial = Trial::new(Urgency::High, "Motor");
    tell(&am, &http, &mut trial).await;
    server.with(|sim| {
        let silence = json!({"createdBy": "sato", "endsAt": "2026-06-02T00:00:00Z", "comment": "battery work"});
        for id in (0..10 * SILENCES_MAX).map(|number| format!("s-{number}")) {
            sim.silences.insert(id.clone(), silence.clone());
            sim.silenced.push((key(&trial.incident), id));
        }
    });
    assert_eq!(round(&am, &http, &mut trial, NOW).await.len(), 1);
    assert!(trial.remote[SUPPRESSED].len() < 1_000, "what is remembered is bounded");
    assert_eq!(round(&am, &http, &mut trial, NOW).await, [""; 0]);
}

#[tokio::test]
async fn a_status_without_version_and_cluster_is_not_that_of_alertmanager() {
    for says in ["<html>log in</html>", "{}", r#"{"versionInfo":{"version":"0.25.0"}}"#] {
        let refused = connector(&portal(says).await).check(&Http::new(true).unwrap()).await;
        assert!(matches!(refused, Err(SendError::Again { .. })), "{refused:?}");
    }
    let real = r#"{"versionInfo":{"version":"0.25.0"},"cluster":{"status":"ready"}}"#;
    let told = connector(&portal(real).await).check(&Http::new(true).unwrap()).await.unwrap();
    assert_eq!(told, "Alertmanager 0.25.0, cluster ready");
}
