//! For the connectors' tests: an incident with its events, and a sender that tries again until the remote has each of
//! them. Must not know a connector. The real sender has the outbox; this one remembers in a map.
use super::delivery::{Delivery, Invitee, SendError, Sent};
use std::collections::BTreeMap;
use zenei_detect::{Anomaly, Findings, Urgency};
use zenei_incident::event::StatusChanged;
use zenei_incident::message::{Lang, Message};
use zenei_incident::{ApplyError, Casebook, Event, Incident, Policy, Status, What};
use zenei_kit::anomaly;
use zenei_wire::{EngineTime, Id};

/// How often a message is tried: at 60 % faults the chance that four calls in a row succeed is 2.6 %, and that none of
/// so many attempts does is below 10^-5.
const ATTEMPTS_MAX: u32 = 500;

/// An incident, and what this target remembers of it.
pub(super) struct Trial {
    pub(super) incident: Incident,
    pub(super) remote: BTreeMap<String, String>,
    /// The events that came back.
    pub(super) back: Vec<What>,
    pub(super) invitees: Vec<Invitee>,
    pub(super) service: String,
    pub(super) last: Event,
    pub(super) lang: Lang,
    /// Whether a kill of the process is simulated before each success is noted: then it is sent once more.
    pub(super) forgets: bool,
    /// How many attempts of an earlier process may have arrived.
    pub(super) unanswered: u32,
}

impl Trial {
    /// An incident of this urgency, whose texts are these.
    pub(super) fn new(urgency: Urgency, title: &str) -> Self {
        let mut finding: Anomaly = anomaly("motor-effort", "BL0000123", 5);
        finding.urgency = urgency;
        let findings = Findings { anomalies: vec![finding], ..Findings::default() };
        let book = Casebook::default();
        let taken = book.draft().take(&findings, |_| Ok::<_, ApplyError>(true)).expect("a finding that can be taken");
        let first = taken.events[0].clone();
        let mut incident = Incident::open(&first).expect("an opening event");
        (incident.urgency, incident.title) = (urgency, title.to_owned());
        Self {
            incident,
            remote: BTreeMap::new(),
            back: Vec::new(),
            invitees: Vec::new(),
            service: "device".into(),
            last: first,
            lang: Lang::Ja,
            forgets: false,
            unanswered: 0,
        }
    }

    /// The next event; it changes the incident's status if it says so.
    pub(super) fn then(&mut self, what: impl Into<What>) -> &mut Self {
        let what = what.into();
        if let What::StatusChanged(changed) = &what {
            self.incident.status = changed.to;
        }
        if let What::Completed(_) = &what {
            self.incident.status = Status::Close;
        }
        self.last = Event { seq: self.last.seq + 1, at: EngineTime(9_000), what, ..self.last.clone() };
        self
    }

    /// The status by a person.
    pub(super) fn status(&mut self, to: Status) -> &mut Self {
        self.then(StatusChanged { to, by: "sato".into() })
    }

    /// Sends the latest event until the remote has it; the error that ends it, if one does.
    pub(super) async fn send(
        &mut self,
        send: impl AsyncFn(&Delivery<'_>) -> Result<Sent, SendError>,
    ) -> Result<Sent, SendError> {
        let mut unanswered = self.unanswered;
        let mut forgets = self.forgets;
        for attempt in 0..ATTEMPTS_MAX {
            let message = Message::of(&self.incident, &self.last, Some(&self.service), self.lang);
            let delivery = Delivery {
                target: "room",
                row: Id::of(&[b"row"]),
                attempt,
                unanswered,
                incident: &self.incident,
                event: &self.last,
                message: &message,
                remote: &self.remote,
                invitees: &self.invitees,
                opens_channel: Policy::default().opening.condition(self.incident.urgency).channel,
                now: EngineTime(1_780_272_000_000),
            };
            match send(&delivery).await {
                // As if the process ended before this was stored.
                Ok(_) if forgets => forgets = false,
                Ok(sent) => {
                    self.remote.extend(sent.remember.iter().cloned());
                    self.back.extend(sent.events.iter().cloned());
                    return Ok(sent);
                }
                Err(SendError::Again { maybe_sent: lost, .. }) => unanswered += u32::from(lost),
                Err(error @ SendError::Never { .. }) => return Err(error),
            }
        }
        Err(SendError::again("all attempts failed"))
    }
}

/// The address of a server that answers 200 with this text to everything, as the login page of a network does.
pub(super) async fn portal(says: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(move || async move { says });
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}
