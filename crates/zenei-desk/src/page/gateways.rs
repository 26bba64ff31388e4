//! The gateways: this one with its queue, and every gateway, hub and service that records tell of, those that have gone
//! silent marked. Must not know how records are received. Called by the router.
use super::{Look, Shown, link, past};
use axum::extract::State;
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use std::collections::BTreeMap;
use zenei_detect::ScopeKind;
use zenei_store::history::{Dimension, GatewayNow, History, HistoryError};

/// A gateway that was not heard for this long while the newest record of any is younger is marked silent. A guess:
/// three of a gateway's five-minute reports.
const SILENT_MS: i64 = 15 * 60_000;
/// And for so many of its own usual gaps between records. A guess: where records come by chance, a gap of eight times
/// the usual one is one of 3,000.
const SILENT_GAPS: i64 = 8;
/// For how many gateways the records of the last hours are counted.
const RATED_MAX: usize = 50;
/// The hours that a rate is of.
const RATE_HOURS: i64 = 24;
const HOUR_MS: i64 = 3_600_000;

/// `GET /gateways`.
pub(super) async fn show(State(shown): State<Shown>, look: Look) -> Response {
    let now_ms = shown.handles.clock.now().ms();
    let answer = past::ask(&shown, move |history| {
        let (gateways, up_to_ms) = (history.gateways()?, history.up_to_ms()?);
        let rates = rates(history, &gateways, up_to_ms)?;
        Ok((gateways, rates, up_to_ms))
    });
    let Some((gateways, rates, up_to_ms)) = answer.await else { return past::unreadable(&shown, &look) };
    let incidents = open_incidents(&shown);
    let seen = Seen { gateways, rates, incidents, up_to_ms };
    let context = context! { here => here(&shown, now_ms), ..view(&seen) };
    shown.pages.page("gateways.html", &look, context)
}

/// What is known of the gateways.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) gateways: Vec<GatewayNow>,
    /// Records an hour, by gateway.
    pub(super) rates: BTreeMap<String, u64>,
    /// Where the newest open incident about it is, by gateway.
    pub(super) incidents: BTreeMap<String, String>,
    pub(super) up_to_ms: i64,
}

pub(super) fn view(seen: &Seen) -> Value {
    let row = |gateway: &GatewayNow| {
        context! {
            gateway => Serde(gateway),
            href => link::with_query("/fleet", [("gateway", gateway.id.as_str())]),
            site_at => link::with_query("/fleet", [("site", gateway.site.as_str())]),
            is_silent => is_silent(gateway, seen.rates.get(&gateway.id).copied(), seen.up_to_ms),
            per_hour => seen.rates.get(&gateway.id).copied(),
            incident_at => seen.incidents.get(&gateway.id).cloned(),
        }
    };
    context! {
        rows => seen.gateways.iter().map(row).collect::<Vec<_>>(),
        silent_min => SILENT_MS / 60_000,
        silent_gaps => SILENT_GAPS,
        rates_cut => (seen.gateways.len() > RATED_MAX).then_some(RATED_MAX),
    }
}

/// Against the newest record of any gateway, and the gateway's own records an hour where they are counted.
fn is_silent(gateway: &GatewayNow, per_hour: Option<u64>, up_to_ms: i64) -> bool {
    let usual = per_hour.and_then(|count| i64::try_from(count).ok()).map_or(0, |count| HOUR_MS / count.max(1));
    up_to_ms - gateway.heard_ms > SILENT_MS.max(SILENT_GAPS * usual)
}

/// Records an hour of the day before the newest record: what is not read yet counts for nothing.
fn rates(history: &History, gateways: &[GatewayNow], up_to_ms: i64) -> Result<BTreeMap<String, u64>, HistoryError> {
    let mut rates = BTreeMap::new();
    for gateway in gateways.iter().take(RATED_MAX) {
        let from_ms = up_to_ms - RATE_HOURS * HOUR_MS;
        let past = history.cohort(Dimension::Gateway, &gateway.id, from_ms, up_to_ms + 1, 24)?;
        let records: u64 = past.buckets.iter().map(|bucket| bucket.records).sum();
        rates.insert(gateway.id.clone(), records / RATE_HOURS as u64);
    }
    Ok(rates)
}

/// The newest open incident about each gateway.
fn open_incidents(shown: &Shown) -> BTreeMap<String, String> {
    let book = shown.handles.incidents.read();
    let open = book.incidents().filter(|one| one.is_open() && one.scope.kind == ScopeKind::Gateway);
    open.map(|one| (one.scope.value.clone(), link::incident(one.id))).collect()
}

/// This process.
pub(super) fn here(shown: &Shown, now_ms: i64) -> Value {
    let ledger = shown.handles.ledger.borrow();
    let started_ms = shown.handles.started.ms();
    context! {
        id => shown.handles.gateway.as_str(),
        version => env!("CARGO_PKG_VERSION"),
        started_ms,
        up_ms => now_ms - started_ms,
        received => ledger.received.values().sum::<u64>(),
        pending => ledger.pending,
        ship_lag => shown.handles.shipped.as_ref().map(|_| ledger.ship_lag_records),
        spool_mib => ledger.spool_bytes as f64 / (1 << 20) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_silent_against_the_newest_record_of_any() {
        let gateway = GatewayNow { heard_ms: 1_000, ..GatewayNow::default() };
        assert!(!is_silent(&gateway, None, 1_000 + SILENT_MS));
        assert!(is_silent(&gateway, None, 1_001 + SILENT_MS));
        // Twelve records an hour: a gap of five minutes is usual, so that 40 minutes are not.
        assert!(!is_silent(&gateway, Some(12), 1_000 + 40 * 60_000));
        assert!(is_silent(&gateway, Some(12), 1_001 + 40 * 60_000));
    }
}
