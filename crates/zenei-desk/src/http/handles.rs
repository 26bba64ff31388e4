//! Which values does the server read? Handles that other parts keep up to date. Must not know how the values are
//! shown. Filled in by the binary; read by the router and `metrics`.
use super::own_metrics::OwnMetrics;
use crate::Incidents;
use tokio::sync::watch;
use zenei_store::Ledger;
use zenei_store::clickhouse::Shipped;
use zenei_store::control::TailProgress;

/// What the server shows.
#[derive(Clone, Debug)]
pub struct Handles {
    /// Where the records have gone.
    pub ledger: watch::Receiver<Ledger>,
    /// What a remote store has of them; `None` where there is none.
    pub shipped: Option<watch::Receiver<Shipped>>,
    /// What the radio counts, asked at each scrape; `None` where there is none.
    pub radio: Option<OwnMetrics>,
    /// How far a desk over many gateways has taken what they shipped; `None` where there is none.
    pub tail: Option<watch::Receiver<TailProgress>>,
    /// The incidents.
    pub incidents: Incidents,
    /// Whether records are heard and kept.
    pub ready: watch::Receiver<bool>,
}
