//! Keeps a radio listening: executes the supervisor's orders, one call at a time, drops a call that takes too long,
//! and reports the results to the supervisor. Must not decide anything. Called by `listening`, as a task of its own.
use super::air::Air;
use super::radio::{RadioError, RadioEvent, Station};
use super::service::Session;
use super::status::{Hearing, Status};
use super::supervisor::{Ladder, Order, Supervisor};
use crate::source::Stop;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Between two checks of the watchdog's clock while it is not armed. A guess: small compared with the silence that the
/// watchdog waits for.
const LOOK: Duration = Duration::from_secs(5);

type Opened = (Arc<Session>, mpsc::Receiver<RadioEvent>);
/// The result of a call: a session, where the call opens one.
type Call = Pin<Box<dyn Future<Output = Result<Option<Opened>, RadioError>> + Send>>;

struct Tended {
    station: Station,
    air: Arc<Air>,
    supervisor: Supervisor,
    session: Option<Arc<Session>>,
    events: Option<mpsc::Receiver<RadioEvent>>,
    call: Option<Call>,
    reason: String,
    given_up: bool,
}

/// The reason why the task woke.
enum Woken {
    Called(Result<Option<Opened>, RadioError>),
    Told(Option<RadioEvent>),
    Due,
    Stopped,
}

/// Tends until the gateway stops.
pub(super) async fn tend(
    station: Station,
    ladder: Ladder,
    air: Arc<Air>,
    status: watch::Sender<Status>,
    mut stop: Stop,
) {
    let supervisor = Supervisor::new(ladder);
    let reason = String::new();
    let mut tended =
        Tended { station, air, supervisor, session: None, events: None, call: None, reason, given_up: false };
    loop {
        tended.look();
        tended.tell(&status);
        match tended.wake(&mut stop).await {
            Woken::Stopped => return,
            Woken::Due => {}
            Woken::Called(result) => tended.called(result),
            Woken::Told(event) => tended.told(event),
        }
    }
}

impl Tended {
    /// Passes the time to the supervisor, and executes its orders.
    fn look(&mut self) {
        if let Some(at) = self.air.valid_at() {
            self.supervisor.heard_valid(at);
        }
        while let Some(order) = self.supervisor.poll(self.air.now()) {
            if order == Order::Close {
                RadioError::TimedOut.to_string().clone_into(&mut self.reason);
            }
            self.obey(order);
        }
    }

    async fn wake(&mut self, stop: &mut Stop) -> Woken {
        let due = self.supervisor.next_deadline().map_or(LOOK, |at| at.saturating_sub(self.air.now()).min(LOOK));
        let called = async {
            match &mut self.call {
                Some(call) => call.as_mut().await,
                None => std::future::pending().await,
            }
        };
        let told = async {
            match &mut self.events {
                Some(events) => events.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.wait() => Woken::Stopped,
            result = called => Woken::Called(result),
            event = told => Woken::Told(event),
            () = tokio::time::sleep(due) => Woken::Due,
        }
    }

    fn obey(&mut self, order: Order) {
        self.call = None;
        match order {
            Order::Open => {
                if self.session.is_some() {
                    let steps = self.supervisor.steps();
                    tracing::warn!(?steps, "the connection to the bluetooth service is made anew");
                }
                (self.session, self.events) = (None, None);
                let (station, air) = (self.station.clone(), Arc::clone(&self.air));
                self.call = Some(Box::pin(async move {
                    let (session, events) = Session::open(station, air).await?;
                    Ok(Some((Arc::new(session), events)))
                }));
            }
            Order::RestartScan | Order::PowerCycle => {
                tracing::warn!(?order, steps = ?self.supervisor.steps(), "the bluetooth scan is brought back");
                let session = self.session.clone();
                self.call = Some(Box::pin(async move {
                    let session = session.ok_or(RadioError::BusLost)?;
                    match order {
                        Order::PowerCycle => session.power_cycle().await?,
                        Order::RestartScan | Order::Open | Order::Close | Order::Exit => session.restart_scan().await?,
                    }
                    Ok(None)
                }));
            }
            Order::Close => {
                (self.session, self.events) = (None, None);
                tracing::warn!(reason = self.reason, "bluetooth is not heard; it is tried again");
            }
            Order::Exit => {
                (self.session, self.events) = (None, None);
                self.given_up = true;
                tracing::error!("registered locks stay silent whatever is done to the bluetooth adapter");
            }
        }
    }

    fn called(&mut self, result: Result<Option<Opened>, RadioError>) {
        self.call = None;
        match result {
            Ok(opened) => {
                if let Some((session, events)) = opened {
                    tracing::info!(adapter = session.adapter(), "bluetooth is heard");
                    (self.session, self.events) = (Some(session), Some(events));
                }
                self.supervisor.done(self.air.now());
            }
            Err(error) => {
                self.reason = zenei_store::with_causes(&error);
                let order = self.supervisor.failed(self.air.now());
                self.obey(order);
            }
        }
    }

    fn told(&mut self, event: Option<RadioEvent>) {
        let now = self.air.now();
        match event.unwrap_or(RadioEvent::Lost(RadioError::BusLost)) {
            RadioEvent::Lost(error) => {
                self.reason = zenei_store::with_causes(&error);
                let order = self.supervisor.lost(now);
                self.obey(order);
            }
            RadioEvent::Powered(on) => {
                tracing::info!(on, "the bluetooth adapter was switched");
                if !on {
                    "the Bluetooth adapter was switched off".clone_into(&mut self.reason);
                }
                if let Some(order) = self.supervisor.powered(on, now) {
                    self.obey(order);
                }
            }
        }
    }

    fn tell(&self, status: &watch::Sender<Status>) {
        let steps = self.supervisor.steps();
        let hearing = if self.given_up {
            Hearing::GivenUp
        } else if self.supervisor.is_scanning() {
            Hearing::Scanning
        } else if steps.opened + steps.failed == 0 {
            Hearing::Opening
        } else if self.call.is_some() && self.session.is_some() {
            // A scan that is started again is not down yet.
            Hearing::Scanning
        } else {
            Hearing::Down { reason: self.reason.clone() }
        };
        let now = Status { hearing, steps };
        status.send_if_modified(|shown| std::mem::replace(shown, now.clone()) != now);
    }
}
