//! Which values does the server read? Handles that other parts keep up to date. Must not know how the values are
//! shown. Filled in by the binary; read by the router and `metrics`.
use super::own_metrics::OwnMetrics;
use crate::Incidents;
use std::sync::Arc;
use tokio::sync::watch;
use zenei_incident::Policy;
use zenei_store::Ledger;
use zenei_store::clickhouse::Shipped;
use zenei_store::control::TailProgress;

/// The values that the server shows.
#[derive(Clone, Debug)]
pub struct Handles {
    /// Where the records have gone.
    pub ledger: watch::Receiver<Ledger>,
    /// Which of them a remote store has; `None` without one.
    pub shipped: Option<watch::Receiver<Shipped>>,
    /// The radio's metrics, read at each scrape; `None` without a radio.
    pub radio: Option<OwnMetrics>,
    /// How far a desk over many gateways has taken their shipments; `None` without such a desk.
    pub tail: Option<watch::Receiver<TailProgress>>,
    /// The incidents.
    pub incidents: Incidents,
    /// By what triage judges.
    pub policy: Arc<Policy>,
    /// Whether records are received and stored.
    pub ready: watch::Receiver<bool>,
}
