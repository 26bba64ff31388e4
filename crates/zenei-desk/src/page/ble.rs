//! How well the locks that advertise are heard: by this gateway's radio, and as stored. Must not know a radio. Called
//! by the router.
use super::{Look, Shown, link, past};
use crate::http::{Metric, MetricValue, OwnMetrics};
use axum::extract::State;
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use std::cmp::Reverse;
use zenei_store::history::Reception;

/// The most rows. A guess: more than one radio hears at a time.
const ROWS: usize = 500;
/// How the names of a radio's metrics begin.
const RADIO: &str = "zenei_ble_";

/// `GET /ble`.
pub(super) async fn show(State(shown): State<Shown>, look: Look) -> Response {
    let Some(rows) = past::ask(&shown, |history| history.receptions(ROWS)).await else {
        return past::unreadable(&shown, &look);
    };
    let metrics = shown.handles.own.iter().flat_map(OwnMetrics::read);
    let metrics: Vec<Metric> = metrics.filter(|metric| metric.name.starts_with(RADIO)).collect();
    shown.pages.page("ble.html", &look, view(rows, &metrics))
}

pub(super) fn view(mut rows: Vec<Reception>, metrics: &[Metric]) -> Value {
    sort(&mut rows);
    let row =
        |reception: &Reception| context! { reception => Serde(reception), href => link::lock(&reception.device_id) };
    let radio: Vec<Value> = metrics.iter().flat_map(figures).collect();
    context! { radio => (!radio.is_empty()).then_some(radio), rows => rows.iter().map(row).collect::<Vec<_>>() }
}

/// The strongest first, those without a value last; equals by lock and gateway.
fn sort(rows: &mut [Reception]) {
    rows.sort_by(|a, b| {
        let key = |one: &Reception| Reverse(one.rssi_last_dbm.map_or(i16::MIN, i16::from));
        key(a).cmp(&key(b)).then_with(|| (&a.device_id, &a.gateway).cmp(&(&b.device_id, &b.gateway)))
    });
}

/// A metric as lines of a table.
fn figures(metric: &Metric) -> Vec<Value> {
    let line = |what: &str, value: i64| {
        let name = if what.is_empty() { metric.help.to_owned() } else { format!("{}: {what}", metric.help) };
        context! { name, value }
    };
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    match &metric.value {
        MetricValue::Level(level) => vec![line("", *level)],
        MetricValue::Levels { levels, .. } => levels.iter().map(|(what, level)| line(what, *level)).collect(),
        MetricValue::Count(value) => vec![line("", count(*value))],
        MetricValue::Counts { counts, .. } => counts.iter().map(|(what, value)| line(what, count(*value))).collect(),
        MetricValue::CountsByTwo { counts, .. } => {
            counts.iter().map(|([a, b], value)| line(&format!("{a}, {b}"), count(*value))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_is_first_and_one_without_a_value_last() {
        let row = |id: &str, rssi| Reception { device_id: id.into(), rssi_last_dbm: rssi, ..Reception::default() };
        let mut rows = [row("c", None), row("b", Some(-90)), row("a", Some(-40))];
        sort(&mut rows);
        assert_eq!(rows.map(|row| row.device_id), ["a", "b", "c"]);
    }
}
