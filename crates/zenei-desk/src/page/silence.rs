//! Silences and maintenance windows: those that there are, a form for a new one, what it would match, and its end. Must
//! not know how a match is made. Mounted by [`super::routes`].
use super::look::Look;
use super::render::shape;
use super::row::IncidentRow;
use super::step::{Fields, time};
use super::{Fault, Shown, to};
use crate::Request;
use crate::http::gate::Subject;
use crate::request::Reason;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Form};
use minijinja::{Value, context};
use serde_json::{Map, json};
use zenei_detect::{Component, Domain, ScopeKind};
use zenei_incident::{Incident, Matcher, Silence, SilenceKind};

/// The fields of a matcher, in the order of the form.
const MATCHES: [&str; 8] = ["rule", "domain", "component", "scope_kind", "scope_value", "device", "site", "service"];
/// The lengths that the form offers, hours.
const HOURS: [u32; 7] = [1, 4, 8, 24, 72, 168, 720];
/// The most incidents that a preview lists.
const SHOWN_MAX: usize = 50;
/// The most ended silences that are listed.
const ENDED_MAX: usize = 50;
const HOUR_MS: i64 = 3_600_000;

/// Answers with the silences, and the form; the query fills the form.
pub(super) async fn list(
    State(shown): State<Shown>,
    look: Look,
    query: Result<Query<Fields>, QueryRejection>,
) -> Response {
    let form = query.map(|Query(form)| form).unwrap_or_default();
    shown.draw(look, move |shown, look| page(shown, look, &form, None)).await
}

/// Answers with what a silence of the form would match.
pub(super) async fn preview(
    State(shown): State<Shown>,
    look: Look,
    form: Result<Form<Fields>, FormRejection>,
) -> Response {
    shown.draw(look, move |shown, look| matched(shown, look, &fields(form)?)).await
}

/// Sets the silence of the form.
pub(super) async fn add(State(shown): State<Shown>, look: Look, form: Result<Form<Fields>, FormRejection>) -> Response {
    shown.draw(look, move |shown, look| set(shown, look, &fields(form)?)).await
}

/// Ends a silence before its end.
pub(super) async fn end(State(shown): State<Shown>, look: Look, Path(id): Path<String>) -> Response {
    shown
        .draw(look, move |shown, look| {
            let request = Request::EndSilence { silence: id, by: shown.name(look)? };
            match request.carry_out(shown.desk()?, shown.handles.clock.now()) {
                Ok(_) => Ok(to("/silences")),
                Err(refusal) if refusal.reason == Reason::Broken => Err(Fault::unavailable(refusal.text)),
                Err(refusal) => page(shown, look, &Fields::new(), Some(&refusal.text)),
            }
        })
        .await
}

fn fields(form: Result<Form<Fields>, FormRejection>) -> Result<Fields, Fault> {
    form.map(|Form(fields)| fields).map_err(|error| Fault::malformed(error.to_string()))
}

/// What a form asks for.
struct Wanted {
    kind: SilenceKind,
    matches: Matcher,
    from_ms: Option<i64>,
    length_ms: i64,
    reason: String,
}

impl Wanted {
    fn of(form: &Fields, shown: &Shown) -> Result<Self, String> {
        let text = |name: &str| form.get(name).map_or("", String::as_str).trim();
        let given = MATCHES.iter().filter(|name| !text(name).is_empty());
        let fields: Map<String, serde_json::Value> =
            given.map(|name| ((*name).to_owned(), json!(text(name)))).collect();
        let matches = serde_json::from_value(fields.into()).map_err(|error| error.to_string())?;
        let kind = serde_json::from_value(json!(text("kind"))).map_err(|error| error.to_string())?;
        let wrong = || format!("`hours` is {:.20}; 1 to 720 is allowed", text("hours"));
        let hours: u32 = text("hours").parse().map_err(|_| wrong())?;
        if !(1..=720).contains(&hours) {
            return Err(wrong());
        }
        let from_ms = time("from", text("from"), &shown.handles.zone)?;
        Ok(Self { kind, matches, from_ms, length_ms: i64::from(hours) * HOUR_MS, reason: text("reason").to_owned() })
    }
}

fn matched(shown: &Shown, look: &Look, form: &Fields) -> Result<Response, Fault> {
    let (by, now) = (shown.name(look)?, shown.handles.clock.now());
    let wanted = match Wanted::of(form, shown) {
        Ok(wanted) => wanted,
        Err(wrong) => return page(shown, look, form, Some(&wrong)),
    };
    let from_ms = wanted.from_ms.unwrap_or(now.ms());
    let span = (from_ms, from_ms.saturating_add(wanted.length_ms));
    // What is wrong with the silence itself is said now, not after the confirmation.
    if let Err(error) = Silence::new(wanted.kind, wanted.matches.clone(), span, (&wanted.reason, &by), now) {
        return page(shown, look, form, Some(&error.to_string()));
    }
    let lang = shown.pages.lang(look);
    let (rows, total, locks) = {
        let book = shown.handles.incidents.read();
        let found: Vec<&Incident> = book.preview(&wanted.matches).collect();
        let row = |one: &&Incident| IncidentRow::of(one, &shown.handles.policy, lang);
        let locks: usize = found.iter().map(|one| one.devices.len()).sum();
        (found.iter().take(SHOWN_MAX).map(row).collect::<Vec<_>>(), found.len(), locks)
    };
    let context = context! {
        now_ms => now.ms(),
        form => shape(form),
        names => MATCHES,
        from_ms => span.0,
        until_ms => span.1,
        rows => shape(&rows),
        total,
        locks,
    };
    Ok(shown.pages.page("silence_preview.html", look, context))
}

fn set(shown: &Shown, look: &Look, form: &Fields) -> Result<Response, Fault> {
    let by = shown.name(look)?;
    let wanted = match Wanted::of(form, shown) {
        Ok(wanted) => wanted,
        Err(wrong) => return page(shown, look, form, Some(&wrong)),
    };
    let Wanted { kind, matches, from_ms, length_ms, reason } = wanted;
    let request = Request::AddSilence { kind, matches, from_ms, length_ms, reason, by };
    match request.carry_out(shown.desk()?, shown.handles.clock.now()) {
        Ok(made) => {
            let id = made["silence"]["id"].as_str().unwrap_or_default().to_owned();
            Ok((Extension(Subject(id)), to("/silences")).into_response())
        }
        Err(refusal) if refusal.reason == Reason::Broken => Err(Fault::unavailable(refusal.text)),
        Err(refusal) => page(shown, look, form, Some(&refusal.text)),
    }
}

/// The silences with the form, and what was refused.
fn page(shown: &Shown, look: &Look, form: &Fields, refused: Option<&str>) -> Result<Response, Fault> {
    let now = shown.handles.clock.now();
    let (running, ended) = {
        let book = shown.handles.incidents.read();
        let silences = book.silences();
        let row = |silence: &Silence| -> (bool, i64, Value) {
            let end_ms = silences.end_ms(silence);
            let is_over = end_ms <= now.ms();
            let shown = context! {
                id => silence.id.to_string(),
                kind => silence.kind.as_str(),
                matches => words(&silence.matches),
                from_ms => silence.from_ms,
                end_ms,
                reason => silence.reason.clone(),
                by => silence.by.clone(),
                is_in_force => silences.is_in_force(silence, now),
            };
            (is_over, end_ms, shown)
        };
        let mut all: Vec<(bool, i64, Value)> = silences.iter().map(row).collect();
        all.sort_by_key(|(_, end_ms, _)| std::cmp::Reverse(*end_ms));
        let of = |over: bool| all.iter().filter(move |one| one.0 == over).map(|one| one.2.clone());
        (of(false).collect::<Vec<_>>(), of(true).take(ENDED_MAX).collect::<Vec<_>>())
    };
    let context = context! {
        now_ms => now.ms(),
        running,
        ended,
        refused,
        form => shape(form),
        hours => HOURS,
        kinds => SilenceKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
        domains => Domain::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        components => Component::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        scope_kinds => ScopeKind::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        rules => shown.handles.rules.iter().map(|rule| rule.id.clone()).collect::<Vec<_>>(),
    };
    let status = if refused.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    Ok(shown.pages.page_with(status, "silences.html", look, context))
}

/// A matcher as names and values.
fn words(matches: &Matcher) -> Vec<(String, String)> {
    let fields = serde_json::to_value(matches).ok();
    let fields = fields.as_ref().and_then(serde_json::Value::as_object);
    let named =
        fields.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    named.collect()
}
