//! Whom the demo tells: a stand-in of Waroom and one of Slack on this machine, each told by the daemon's own sender.
//! What has each heard of an incident, and has it heard of each exactly once? Must not know the fleet. Called by
//! `demo`.
use crate::exit::Failure;
use remote_sim::{Faults, RemoteIncident, Server, Slack, Waroom, WaroomQuirks};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use zenei_desk::notify::slack::SlackConfig;
use zenei_desk::notify::waroom::WaroomConfig;
use zenei_desk::notify::{Common, Pace, Sender, Target, TargetConfig};
use zenei_desk::{DeskClock, Incidents, Route, SharedDesk};
use zenei_incident::message::Lang;
use zenei_wire::Id;

/// The channel where support posts what customers report.
const INQUIRIES: &str = "dev_前衛";
/// The service that Waroom's integration key is bound to.
const SERVICE: &str = "device";
/// What stands in for a secret.
const KEY: &str = "demo";
/// How long the messages may take after the last record; a guess, many times what they take on a busy machine.
const TOLD_WITHIN: Duration = Duration::from_secs(30);
/// How often the outbox is looked at meanwhile; a guess.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// No limit of a service holds here.
const PER_SECOND: f64 = 10_000.0;

/// Those who are told.
pub(super) struct Audience {
    waroom: Server<Waroom>,
    slack: Server<Slack>,
    targets: BTreeMap<&'static str, TargetConfig>,
    stop: watch::Sender<bool>,
    /// How many of Slack's messages were read out.
    read: usize,
    /// The status that was read out, by Waroom's id.
    statuses: BTreeMap<String, String>,
}

/// What was told of one incident.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    /// The channels of Slack that have a message of their own about it, and the first one's text.
    pub(super) slack: Option<(Vec<String>, String)>,
    /// The incident at Waroom.
    pub(super) waroom: Option<RemoteIncident>,
}

impl Audience {
    /// Seats it; the files that stand in for secrets are in `folder`.
    pub(super) async fn seat(folder: &Path) -> Result<Self, Failure> {
        let broken = |error| Failure::broken("the demo can't start its stand-ins of Waroom and Slack", error);
        let waroom = Waroom::new(WaroomQuirks::default(), &[(KEY, SERVICE)], KEY);
        let waroom = Server::start(waroom, Faults::none()).await.map_err(broken)?;
        let slack = Server::start(Slack::new(KEY, &[INQUIRIES]), Faults::none()).await.map_err(broken)?;
        let file = folder.join("stand-in.key");
        std::fs::write(&file, KEY).map_err(broken)?;
        let targets = targets(waroom.base_url(), slack.base_url(), &file);
        let (stop, _) = watch::channel(false);
        Ok(Self { waroom, slack, targets, stop, read: 0, statuses: BTreeMap::new() })
    }

    /// Which events go to whom.
    pub(super) fn routes(&self) -> Vec<Route> {
        self.targets.iter().map(|(name, target)| target.route(name)).collect()
    }

    /// Starts the senders.
    pub(super) fn listen(&self, desk: &SharedDesk, clock: &DeskClock) -> Result<(), Failure> {
        for (name, config) in &self.targets {
            let target = Target::open(name, config).map_err(|error| Failure::broken("the demo can't tell", error))?;
            let clock = clock.clone();
            let pace = Pace { per_second: Some(PER_SECOND), ..Pace::default() };
            let sender = Sender::new(desk.clone(), Arc::new(target), Lang::Ja, move || clock.now()).with_pace(pace);
            tokio::spawn(sender.run(self.stop.subscribe()));
        }
        Ok(())
    }

    /// Waits until nothing is left to send; false where time is up before.
    pub(super) async fn told(&self, desk: &SharedDesk) -> Result<bool, Failure> {
        let wait = async {
            loop {
                let left = desk.lock().control().undelivered();
                match left.map_err(|error| Failure::broken("the demo can't read its outbox", error))?.is_empty() {
                    true => return Ok(()),
                    false => tokio::time::sleep(LOOK_EVERY).await,
                }
            }
        };
        match tokio::time::timeout(TOLD_WITHIN, wait).await {
            Ok(done) => done.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// What was told of this incident.
    pub(super) fn about(&self, incident: Id) -> Told {
        let waroom = self.waroom.with(|kept| kept.of_key(&key(incident)).first().map(|one| (*one).clone()));
        let slack = self.slack.with(|kept| {
            let own = ["root", "inquiry"].map(|what| format!("{}/{what}", key(incident)));
            let about = kept.messages.iter().filter(|message| own.iter().any(|key| message_key(message) == *key));
            let mut about = about.peekable();
            let text = about.peek().map(|message| message.text.clone())?;
            Some((about.map(|message| channel(kept, &message.channel)).collect(), text))
        });
        Told { slack, waroom }
    }

    /// What is wrong with what was told of these incidents: each must be at Waroom once and in the channel of inquiries
    /// once, and nothing may be told twice.
    pub(super) fn wrong(&self, incidents: &Incidents) -> Vec<String> {
        let book = incidents.read();
        let mut wrong = Vec::new();
        let mut expected = 0;
        for incident in book.incidents() {
            expected += 1;
            let key = key(incident.id);
            let times = self.waroom.with(|kept| kept.of_key(&key).len());
            if times != 1 {
                wrong.push(format!("Waroom has the incident {key} {times} times; it must have it once"));
            }
            let post = format!("{key}/inquiry");
            let times =
                self.slack.with(|kept| kept.messages.iter().filter(|message| message_key(message) == post).count());
            if times != 1 {
                wrong.push(format!("Slack has the post about {key} {times} times; it must have it once"));
            }
        }
        let found = self.waroom.with(|kept| kept.incidents.len());
        if found != expected {
            wrong.push(format!("Waroom has {found} incidents; there are {expected}"));
        }
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        self.slack.with(|kept| kept.messages.iter().for_each(|one| *times.entry(message_key(one)).or_default() += 1));
        let twice = times.iter().filter(|(_, times)| **times != 1);
        wrong.extend(twice.map(|(key, times)| format!("Slack has the message {key} {times} times")));
        wrong
    }

    /// What was told since the last call, a line each.
    pub(super) fn news(&mut self) -> Vec<String> {
        let read = self.read;
        let (all, mut lines) = self.slack.with(|kept| {
            let new = kept.messages.iter().skip(read);
            let lines = new.map(|message| format!("Slack   {}: {}", channel(kept, &message.channel), message.text));
            (kept.messages.len(), lines.collect::<Vec<_>>())
        });
        self.read = all;
        for one in self.waroom.with(|kept| kept.incidents.clone()) {
            if self.statuses.get(&one.uuid) != Some(&one.status) {
                lines.push(format!("Waroom  {}: {}", one.title, one.status));
                self.statuses.insert(one.uuid, one.status);
            }
        }
        lines
    }

    /// Ends the senders.
    pub(super) fn leave(&self) {
        self.stop.send_replace(true);
    }
}

impl Told {
    /// For programs.
    pub(super) fn to_json(&self, incident: Id) -> Json {
        let slack = self.slack.as_ref().map(|(channels, text)| json!({ "channels": channels, "text": text }));
        let waroom = self.waroom.as_ref().map(
            |one| json!({ "title": one.title, "service": one.service, "status": one.status, "severity": one.severity }),
        );
        json!({ "incident": incident, "slack": slack, "waroom": waroom })
    }
}

fn targets(waroom: &str, slack: &str, file: &Path) -> BTreeMap<&'static str, TargetConfig> {
    // The stand-ins are on this machine.
    let at = |base: &str| Common { base_url: Some(base.to_owned()), allow_private: true, ..Common::default() };
    let key: Option<PathBuf> = Some(file.to_owned());
    let quality = WaroomConfig {
        common: at(waroom),
        integration_key_file: key.clone(),
        api_key_file: key.clone(),
        ..WaroomConfig::default()
    };
    let room = SlackConfig {
        common: at(slack),
        token_file: key,
        inquiry_channel: Some(format!("#{INQUIRIES}")),
        ..SlackConfig::default()
    };
    BTreeMap::from([("quality", TargetConfig::Waroom(quality)), ("room", TargetConfig::Slack(room))])
}

/// The key by which a remote knows an incident.
fn key(incident: Id) -> String {
    format!("zenei-{incident}")
}

fn message_key(message: &remote_sim::Posted) -> String {
    message.metadata["event_payload"]["key"].as_str().unwrap_or("").to_owned()
}

/// A channel's name.
fn channel(slack: &Slack, id: &str) -> String {
    slack.channel(id).map_or_else(|| id.to_owned(), |channel| format!("#{}", channel.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_desk::DeskDriver;
    use zenei_detect::Findings;
    use zenei_kit::anomaly;
    use zenei_store::{Clock, Control};
    use zenei_wire::EngineTime;

    #[tokio::test(flavor = "multi_thread")]
    async fn each_is_told_once_and_what_is_missing_or_doubled_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let mut audience = Audience::seat(folder.path()).await.unwrap();
        let desk = SharedDesk::new(DeskDriver::open(Control::in_memory().unwrap(), audience.routes()).unwrap());
        let anomalies = vec![anomaly("motor-effort", "A", 1)];
        let opened = desk.take(EngineTime(2_000), &Findings { anomalies, ..Findings::default() }).unwrap().opened;
        let wrong = audience.wrong(&desk.incidents());
        assert_eq!(wrong.iter().filter(|line| line.contains("0 times")).count(), 2, "{wrong:?}");
        audience.listen(&desk, &DeskClock::new(Clock::System)).unwrap();
        assert!(audience.told(&desk).await.unwrap());
        assert_eq!(audience.wrong(&desk.incidents()), Vec::<String>::new());
        let Told { slack: Some((channels, text)), waroom: Some(waroom) } = audience.about(opened[0]) else {
            panic!("{:?}", audience.about(opened[0]));
        };
        assert!(channels.contains(&format!("#{INQUIRIES}")) && text.contains("自動検知"), "{channels:?} {text}");
        assert_eq!((waroom.service.as_str(), waroom.status.as_str()), (SERVICE, "detected"));
        assert!(!audience.news().is_empty());
        assert_eq!(audience.news(), Vec::<String>::new(), "read out once");
        audience.waroom.with(|kept| kept.incidents.extend(kept.incidents.clone()));
        audience.slack.with(|kept| kept.messages.extend(kept.messages.clone()));
        let wrong = audience.wrong(&desk.incidents());
        assert!(wrong.iter().filter(|line| line.contains("2 times")).count() >= 3, "{wrong:?}");
        audience.leave();
    }
}
