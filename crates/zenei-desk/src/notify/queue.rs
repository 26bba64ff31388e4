//! What the sender needs of the desk: messages that are due, what each is about, and a place for how it went. The desk
//! implements it on the control database; tests have one in memory. Must not know a remote. Called by the sender.
use super::delivery::{Invitee, Watched};
use crate::driver::{Attempt, Seen, TakeError};
use crate::log::OpenError;
use crate::shared::SharedDesk;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use tokio::sync::watch;
use zenei_incident::services::Person;
use zenei_incident::{Event, Incident, Policy, Status};
use zenei_store::control::{ControlError, OutboxRow};
use zenei_wire::EngineTime;

/// The most incidents of one round; a guess, far above what people can work on.
pub const WATCHED_MAX: usize = 10_000;

/// What one message is about.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The incident as it was after the event.
    pub incident: Incident,
    /// The event.
    pub event: Event,
    /// What is remembered of the incident at the target.
    pub remote: BTreeMap<String, String>,
    /// Whom the policy invites to the incident.
    pub invitees: Vec<Invitee>,
    /// Whether the policy opens a channel for an incident of this urgency.
    pub opens_channel: bool,
}

/// Why the desk can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The outbox can't be read.
    #[error("the outbox can't be read")]
    Control(#[from] ControlError),
    /// The log up to a message's event can't be read.
    #[error("the incident of a message can't be read")]
    Log(#[from] OpenError),
    /// A message about an event that the log does not have.
    #[error("message {row} is about an event that the log does not have")]
    NoEvent {
        /// The message.
        row: zenei_wire::Id,
    },
    /// How a message went can't be stored.
    #[error("how a message went can't be stored")]
    Settle(#[from] TakeError),
}

/// The outbox as a sender sees it.
pub trait Queue: Clone + Send + Sync + 'static {
    /// The first unfinished message of each incident to this target that may go out now, at most `limit`.
    ///
    /// # Errors
    /// [`QueueError`].
    fn due(&self, target: &str, now: EngineTime, limit: u32) -> Result<Vec<OutboxRow>, QueueError>;

    /// What a message is about.
    ///
    /// # Errors
    /// [`QueueError`].
    fn letter(&self, row: &OutboxRow) -> Result<Letter, QueueError>;

    /// Stores that a message is about to be sent; durable on return.
    ///
    /// # Errors
    /// [`QueueError`]; then it must not be sent.
    fn begin(&self, row: &OutboxRow) -> Result<(), QueueError>;

    /// The incidents that are not completed and of which the target was told; the newest, if there are more than
    /// [`WATCHED_MAX`].
    ///
    /// # Errors
    /// [`QueueError`].
    fn watched(&self, target: &str) -> Result<Vec<Watched>, QueueError>;

    /// Stores what a target was seen to say; durable on return.
    ///
    /// # Errors
    /// [`QueueError`].
    fn saw(&self, target: &str, seen: &Seen, at: EngineTime) -> Result<(), QueueError>;

    /// Stores how an attempt went; durable on return.
    ///
    /// # Errors
    /// [`QueueError`]; then nothing is stored.
    fn settle(&self, row: &OutboxRow, attempt: &Attempt, at: EngineTime) -> Result<(), QueueError>;

    /// Changes when there may be new messages.
    fn written(&self) -> watch::Receiver<u64>;
}

impl Queue for SharedDesk {
    fn due(&self, target: &str, now: EngineTime, limit: u32) -> Result<Vec<OutboxRow>, QueueError> {
        Ok(self.lock().control().due_outbox_of(target, now.ms(), limit)?)
    }

    fn letter(&self, row: &OutboxRow) -> Result<Letter, QueueError> {
        let (rows, remote, policy) = {
            let driver = self.lock();
            let control = driver.control();
            (control.events_of(row.incident)?, control.remote(&row.target, row.incident)?, driver.policy())
        };
        let mut found: Option<(Incident, Event)> = None;
        for stored in rows.iter().take_while(|stored| stored.seq <= row.event_seq) {
            let at = EngineTime(stored.at_ms);
            let event = Event::read(stored.incident, stored.seq, at, &stored.kind, &stored.body);
            let event = event.map_err(OpenError::from)?;
            let incident = match found.take() {
                None => Incident::open(&event).map_err(OpenError::from)?,
                Some((mut incident, _)) => {
                    incident.apply(&event).map_err(OpenError::from)?;
                    incident
                }
            };
            found = Some((incident, event));
        }
        let (incident, event) =
            found.filter(|(_, event)| event.seq == row.event_seq).ok_or(QueueError::NoEvent { row: row.id })?;
        let invitees = invitees(&policy, &incident);
        let opens_channel = policy.opening.condition(incident.urgency).channel;
        Ok(Letter { incident, event, remote, invitees, opens_channel })
    }

    fn begin(&self, row: &OutboxRow) -> Result<(), QueueError> {
        Ok(self.begin_sending(row.id)?)
    }

    fn watched(&self, target: &str) -> Result<Vec<Watched>, QueueError> {
        let driver = self.lock();
        let book = driver.incidents().read();
        let mut open: Vec<&Incident> = book.incidents().filter(|one| one.status != Status::Close).collect();
        open.sort_by_key(|one| (Reverse(one.opened), one.id));
        let mut watched = Vec::new();
        for incident in open.into_iter().take(WATCHED_MAX) {
            if driver.control().is_told(target, incident.id)? {
                let remote = driver.control().remote(target, incident.id)?;
                watched.push(Watched { incident: incident.clone(), remote });
            }
        }
        Ok(watched)
    }

    fn saw(&self, target: &str, seen: &Seen, at: EngineTime) -> Result<(), QueueError> {
        Ok(Self::saw(self, target, seen, at)?)
    }

    fn settle(&self, row: &OutboxRow, attempt: &Attempt, at: EngineTime) -> Result<(), QueueError> {
        Ok(Self::settle(self, row, attempt, at)?)
    }

    fn written(&self) -> watch::Receiver<u64> {
        Self::written(self)
    }
}

/// Whom the policy invites to this incident; a person without an id at Slack can't be invited there.
fn invitees(policy: &Policy, incident: &Incident) -> Vec<Invitee> {
    let invitee = |person: &Person| {
        let slack = person.slack.clone()?;
        Some(Invitee { id: person.id.clone(), slack })
    };
    policy.invitees(incident).into_iter().filter_map(invitee).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::DeskDriver;
    use crate::route::Route;
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use zenei_detect::{Findings, Urgency};
    use zenei_incident::places::{Place, Places};
    use zenei_incident::policy::Texts;
    use zenei_kit::anomaly;
    use zenei_store::Control;

    const PEOPLE: &str = "\n[[person]]\nid = 'sato'\nname = '佐藤'\nslack = 'U1'\n[[person]]\nid = 'mori'\nname = '森'\n\
                          [[stakeholder]]\npeople = ['sato', 'mori']\nservices = ['homehub']\n";

    /// A desk whose targets `all`, `homes` and `works` choose by service.
    fn desk() -> SharedDesk {
        let services = include_str!("../../../zenei-incident/defaults/services.toml").to_owned() + PEOPLE;
        let texts = Texts { services: Some(("services.toml".to_owned(), services)), ..Texts::default() };
        let route = |target: &str, services: &[&str]| Route {
            target: target.to_owned(),
            min_urgency: Urgency::Low,
            domains: BTreeSet::new(),
            services: services.iter().map(|service| (*service).to_owned()).collect(),
            wants: |_| true,
        };
        let routes = vec![route("all", &[]), route("homes", &["homehub"]), route("works", &["workhub"])];
        let policy = Arc::new(Policy::read(&texts).unwrap());
        let driver = DeskDriver::open_with(Control::in_memory().unwrap(), routes, policy).unwrap();
        let place = Place { service: Some("homehub".to_owned()), ..Place::default() };
        SharedDesk::new(driver.with_places(Places::from_iter([("A".to_owned(), place)])))
    }

    #[test]
    fn a_message_knows_its_service_and_whom_to_invite_and_goes_to_the_targets_of_that_service() {
        let desk = desk();
        let findings = Findings { anomalies: vec![anomaly("motor-effort", "A", 1)], ..Findings::default() };
        desk.take(EngineTime(9_000), &findings).unwrap();
        let due = |target: &str| desk.due(target, EngineTime(9_000), 9).unwrap();
        assert_eq!((due("all").len(), due("homes").len(), due("works").len()), (1, 1, 0));
        let letter = desk.letter(&due("homes")[0]).unwrap();
        assert!(letter.opens_channel, "the opening table gives the urgency `high` one");
        assert_eq!(letter.incident.service.as_deref(), Some("homehub"));
        assert_eq!(letter.invitees, [Invitee { id: "sato".into(), slack: "U1".into() }], "mori has no id at Slack");
    }
}
