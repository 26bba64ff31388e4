//! One field that finds locks, incidents, rules, gateways, sites and every other value that locks share; an exact id
//! leads there at once. Must not know how the past is kept. Called by the router.
use super::concerns;
use super::{Look, Shown, link, past};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::value::Serde;
use minijinja::{Value, context};
use std::collections::BTreeMap;
use zenei_detect::Rule;
use zenei_incident::Incident;
use zenei_incident::message::Lang;
use zenei_store::history::{Dimension, Hit, HitKind};
use zenei_wire::Id;

/// The most hits of locks and groups.
const HITS: usize = 60;
/// The least and the most characters that are searched for. Guesses: one letter finds everything, and no name is
/// longer.
const CHARS_MIN: usize = 2;
const CHARS_MAX: usize = 100;

/// `GET /search`.
pub(super) async fn show(
    State(shown): State<Shown>,
    Query(query): Query<BTreeMap<String, String>>,
    look: Look,
) -> Response {
    let text: String = query.get("q").map(|text| text.trim().chars().take(CHARS_MAX).collect()).unwrap_or_default();
    let is_asked = text.chars().count() >= CHARS_MIN;
    if let Some(place) = named(&shown, &text) {
        return Redirect::to(&place).into_response();
    }
    let hits = if is_asked {
        let text = text.clone();
        past::ask(&shown, move |history| history.search(&text, HITS)).await
    } else {
        Some(Vec::new())
    };
    let Some(hits) = hits else { return past::unreadable(&shown, &look) };
    if let Some(hit) = hits.iter().find(|hit| hit.kind == HitKind::Lock && hit.value == text) {
        return Redirect::to(&link::lock(&hit.value)).into_response();
    }
    let lang = shown.pages.lang(&look);
    let wanted = text.to_lowercase();
    let concerns = if is_asked {
        concerns::of(&shown.handles.incidents, lang, |incident| is_meant(incident, &wanted))
    } else {
        Vec::new()
    };
    let rules = shown.handles.rules.iter().filter(|rule| is_asked && is_named(rule, &wanted));
    let rules: Vec<Value> = rules.map(|rule| found_rule(rule, lang)).collect();
    let now = shown.handles.clock.now().ms();
    let context = context! { is_asked, concerns => Serde(&concerns), rules, now, ..view(&text, &hits) };
    shown.pages.page("search.html", &look, context)
}

pub(super) fn view(text: &str, hits: &[Hit]) -> Value {
    context! {
        text,
        locks => hits.iter().filter(|hit| hit.kind == HitKind::Lock).map(lock).collect::<Vec<_>>(),
        cohorts => hits.iter().filter_map(cohort).collect::<Vec<_>>(),
        is_cut => hits.len() >= HITS,
        shown => HITS,
    }
}

/// The place of what this text names exactly.
fn named(shown: &Shown, text: &str) -> Option<String> {
    if let Some(id) = Id::parse(text.strip_prefix("zenei-").unwrap_or(text)) {
        return shown.handles.incidents.read().incident(id).map(|incident| link::incident(incident.id));
    }
    shown.handles.rules.get(text).map(|rule| link::rule(&rule.id))
}

/// Whether an incident's id begins with the text, or its title, its place or its reason contains it.
fn is_meant(incident: &Incident, wanted: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(wanted);
    incident.id.to_string().starts_with(wanted.strip_prefix("zenei-").unwrap_or(wanted))
        || has(&incident.title)
        || incident.title_ja.as_deref().is_some_and(has)
        || has(&incident.scope.value)
        || has(&incident.why)
        || incident.devices.iter().any(|device| device.eq_ignore_ascii_case(wanted))
}

fn is_named(rule: &Rule, wanted: &str) -> bool {
    [&rule.id, &rule.title, &rule.title_ja].into_iter().any(|text| text.to_lowercase().contains(wanted))
}

fn found_rule(rule: &Rule, lang: Lang) -> Value {
    let is_ja = lang == Lang::Ja && !rule.title_ja.is_empty();
    let title = if is_ja { &rule.title_ja } else { &rule.title };
    context! { id => rule.id.as_str(), title => title.as_str(), href => link::rule(&rule.id) }
}

fn lock(hit: &Hit) -> Value {
    context! { value => hit.value.as_str(), href => link::lock(&hit.value) }
}

fn cohort(hit: &Hit) -> Option<Value> {
    let dimension = match hit.kind {
        HitKind::Lock => return None,
        HitKind::Cohort(dimension) => dimension,
    };
    let parts = hit.value.split_once('+').filter(|_| dimension == Dimension::FwHw);
    let pairs = match parts {
        Some((fw, board)) => vec![("fw", fw), ("hw_rev", board)],
        None => vec![(dimension.as_str(), hit.value.as_str())],
    };
    Some(context! {
        value => hit.value.as_str(),
        locks => hit.locks,
        dimension => dimension.as_str(),
        href => link::with_query("/fleet", pairs),
    })
}
