//! What may the server look at? Values that others keep up to date. Must not know how they are shown. Called by the
//! binary, which fills it in.
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
