//! Which values does the server read? Handles that other parts keep up to date. Must not know how the values are
//! shown. Filled in by the binary; read by the router and `metrics`.
use super::gate::Gate;
use super::own_metrics::OwnMetrics;
use super::readiness::Readiness;
use super::traffic::Traffic;
use crate::{DeskClock, Incidents, SharedDesk};
use std::sync::Arc;
use tokio::sync::watch;
use zenei_detect::Rules;
use zenei_incident::Policy;
use zenei_incident::message::Lang;
use zenei_store::Ledger;
use zenei_store::clickhouse::Shipped;
use zenei_store::control::TailProgress;
use zenei_store::history::History;
use zenei_wire::EngineTime;

/// The values that the server shows.
#[derive(Clone, Debug)]
pub struct Handles {
    /// Where the records have gone.
    pub ledger: watch::Receiver<Ledger>,
    /// Which of them a remote store has; `None` without one.
    pub shipped: Option<watch::Receiver<Shipped>>,
    /// The metrics of parts outside the desk (radio, disk, outbox, …), read at each scrape.
    pub own: Vec<OwnMetrics>,
    /// How far a desk over many gateways has taken their shipments; `None` without such a desk.
    pub tail: Option<watch::Receiver<TailProgress>>,
    /// The incidents.
    pub incidents: Incidents,
    /// By what triage judges.
    pub policy: Arc<Policy>,
    /// Whether records are received and stored.
    pub ready: watch::Receiver<bool>,
    /// The parts of this process, each with whether it does what it is for.
    pub readiness: Readiness,
    /// Through it people's requests are carried out; `None` where the desk is off: each is then refused.
    pub desk: Option<SharedDesk>,
    /// The time at which people's events enter the log.
    pub clock: DeskClock,
    /// The rules in force.
    pub rules: Arc<Rules>,
    /// The past of locks, gateways and cohorts.
    pub history: History,
    /// The gateway's id.
    pub gateway: String,
    /// The language of a page whose reader asks for none.
    pub language: Lang,
    /// The zone in which pages show times.
    pub zone: jiff::tz::TimeZone,
    /// Who may ask what.
    pub gate: Gate,
    /// How much the server is asked.
    pub traffic: Traffic,
    /// When this process started.
    pub started: EngineTime,
}

impl Handles {
    /// Those of a server that shows these incidents and nothing else, on loopback; for `..` in a literal, and for
    /// tests.
    pub fn of(incidents: Incidents, clock: DeskClock, rules: Arc<Rules>) -> Self {
        Self {
            ledger: watch::channel(Ledger::default()).1,
            shipped: None,
            own: Vec::new(),
            tail: None,
            incidents,
            policy: Arc::default(),
            ready: watch::channel(true).1,
            readiness: Readiness::default(),
            desk: None,
            started: clock.now(),
            clock,
            rules,
            history: History::empty(),
            gateway: "zenei".to_owned(),
            language: Lang::Ja,
            zone: jiff::tz::TimeZone::UTC,
            gate: Gate::loopback(),
            traffic: Traffic::default(),
        }
    }
}
