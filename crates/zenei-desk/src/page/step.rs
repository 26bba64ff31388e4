//! A person's step on an incident, from a form: the fields of the form become the fields of the step, who asks becomes
//! who takes it, and the incident's page is shown again. Must not know whether an incident allows a step: its rules
//! decide. Mounted by [`super::routes`].
use super::look::Look;
use super::{Fault, Shown, incident, to};
use crate::Request;
use crate::request::Reason;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// The fields of a form.
pub(super) type Fields = BTreeMap<String, String>;

/// How a field of a form becomes one of a step.
#[derive(Clone, Copy, Debug)]
enum How {
    Text,
    /// Left out where it is empty.
    Optional,
    /// Several, with commas between them.
    List,
    Number,
    /// A date and a time in the desk's zone; left out where it is empty.
    Time,
}

/// The fields of each kind of step, as [`zenei_incident::step::KINDS`] names it.
const FIELDS: &[(&str, &[(&str, How)])] = &[
    ("acknowledge", &[]),
    ("note", &[("text", How::Text)]),
    ("status", &[("to", How::Text)]),
    ("owner", &[("owner", How::Text)]),
    ("urgency", &[("to", How::Text), ("reason", How::Text)]),
    ("temp_fix_done", &[]),
    ("postmortem_held", &[("roles", How::List), ("attendees", How::List)]),
    ("verdict", &[("verdict", How::Text)]),
    ("complete", &[]),
    ("reopen", &[("reason", How::Text)]),
    ("merge", &[("incident", How::Text)]),
    ("domain", &[("to", How::Text), ("component", How::Text), ("reason", How::Text)]),
    ("postmortem_scheduled", &[("at_ms", How::Time)]),
    ("runbook_step", &[("step", How::Text)]),
    ("action_item", &[("text", How::Text), ("kind_of", How::Text), ("owner", How::Optional), ("due_ms", How::Time)]),
    ("action_item_status", &[("item", How::Text), ("status", How::Text)]),
    ("effort", &[("minutes", How::Number), ("work", How::Text)]),
];

/// Carries a step out, and leads back to the incident; the incident's page with what is missing where it is refused.
pub(super) async fn take(
    State(shown): State<Shown>,
    look: Look,
    Path(id): Path<String>,
    form: Result<Form<Fields>, FormRejection>,
) -> Response {
    shown
        .draw(look, move |shown, look| {
            let Form(form) = form.map_err(|error| Fault::malformed(error.to_string()))?;
            carry_out(shown, look, &id, &form)
        })
        .await
}

fn carry_out(shown: &Shown, look: &Look, id: &str, form: &Fields) -> Result<Response, Fault> {
    let id = incident::find(shown, id)?.to_string();
    let desk = shown.desk()?;
    let by = shown.name(look)?;
    let kind = form.get("kind").cloned().unwrap_or_default();
    let mut body = match body(&kind, form, &shown.handles.zone) {
        Ok(body) => body,
        Err(wrong) => return incident::make(shown, look, &id, Some(&wrong)),
    };
    if kind == "action_item" {
        body.insert("item".to_owned(), json!(next_item(shown, &id)));
    }
    let request = Request::Step { incident: id.clone(), kind, by, body };
    match request.carry_out(desk, shown.handles.clock.now()) {
        Ok(_) => Ok(to(&format!("/incidents/{id}#timeline"))),
        Err(refusal) if refusal.reason == Reason::Broken => Err(Fault::unavailable(refusal.text)),
        Err(refusal) => incident::make(shown, look, &id, Some(&refusal.text)),
    }
}

/// The id of the next action item: `a` and the first free number from the count on.
fn next_item(shown: &Shown, id: &str) -> String {
    let book = shown.handles.incidents.read();
    let incident = zenei_wire::Id::parse(id).and_then(|id| book.incident(id));
    let items = incident.map(|incident| &incident.action_items);
    let mut number = items.map_or(0, BTreeMap::len) + 1;
    while items.is_some_and(|items| items.contains_key(&format!("a{number}"))) {
        number += 1;
    }
    format!("a{number}")
}

/// The step's fields; what is wrong with the form where it gives none.
fn body(kind: &str, form: &Fields, zone: &TimeZone) -> Result<Map<String, Json>, String> {
    let known = FIELDS.iter().find(|(word, _)| *word == kind);
    let (_, fields) = known.ok_or_else(|| format!("{kind:.40} is no step; reload the page and try again"))?;
    let mut body = Map::new();
    for (name, how) in *fields {
        let text = form.get(*name).map_or("", String::as_str).trim();
        let value = match how {
            How::Text => Some(json!(text)),
            How::Optional => Some(json!(Some(text).filter(|text| !text.is_empty()))),
            How::List => Some(json!(listed(text))),
            How::Number => Some(json!(
                text.parse::<u32>().map_err(|_| format!("`{name}` is {text:.40}; a whole number is needed"))?
            )),
            How::Time => Some(json!(time(name, text, zone)?)),
        };
        body.extend(value.map(|value| ((*name).to_owned(), value)));
    }
    // The form's `kind` is the step's.
    if let Some(kind) = body.remove("kind_of") {
        body.insert("kind".to_owned(), kind);
    }
    if kind == "verdict"
        && let Some(other) = form.get("duplicate_of").filter(|_| body.get("verdict") == Some(&json!("duplicate_of")))
    {
        body.insert("verdict".to_owned(), json!({ "duplicate_of": other.trim() }));
    }
    Ok(body)
}

fn listed(text: &str) -> Vec<&str> {
    text.split([',', '、', '，']).map(str::trim).filter(|word| !word.is_empty()).collect()
}

/// The time of a form's field in this zone, ms since 1970; `None` where it is empty.
pub(super) fn time(name: &str, text: &str, zone: &TimeZone) -> Result<Option<i64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_| format!("`{name}` is {text:.40}; a date and a time such as 2026-12-01T10:30 is needed");
    let civil: DateTime = text.parse().map_err(wrong)?;
    let zoned = civil.to_zoned(zone.clone()).map_err(wrong)?;
    Ok(Some(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOSTILE, danger, look, shown, text};
    use super::*;
    use crate::http::gate::{Caller, How as Known, Role};
    use axum::http::StatusCode;
    use zenei_incident::message::Lang;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn operator() -> Look {
        let caller = Caller { name: "sato".into(), role: Role::Operator, residents: false, how: Known::Session };
        Look { caller: Some(caller), ..look(Lang::En) }
    }

    async fn ask(shown: &Shown, id: &str, pairs: &[(&str, &str)]) -> (StatusCode, String) {
        text(take(State(shown.clone()), operator(), Path(id.into()), Ok(Form(fields(pairs)))).await).await
    }

    #[test]
    fn every_step_of_a_person_has_a_form() {
        let kinds: Vec<&str> = zenei_incident::step::KINDS.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(FIELDS.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), kinds);
    }

    #[tokio::test]
    async fn an_incident_is_carried_to_its_end_and_a_refusal_says_what_is_missing() {
        let (shown, id) = shown();
        let id = id.to_string();
        let done = |(status, _): (StatusCode, String)| assert_eq!(status, StatusCode::SEE_OTHER);
        done(ask(&shown, &id, &[("kind", "acknowledge")]).await);
        done(ask(&shown, &id, &[("kind", "note"), ("text", HOSTILE)]).await);
        let (status, page) = ask(&shown, &id, &[("kind", "complete")]).await;
        assert!(status == StatusCode::CONFLICT && page.contains("temporary fix"), "{page}");
        assert_eq!(danger(&page), None);
        let (status, page) = ask(&shown, &id, &[("kind", "effort"), ("minutes", "many"), ("work", "fix")]).await;
        assert!(status == StatusCode::CONFLICT && page.contains("a whole number is needed"), "{page}");
        let item =
            [("kind", "action_item"), ("text", "a new gear"), ("kind_of", "fix"), ("due_ms", "2026-12-01T10:30")];
        for _ in 0..2 {
            done(ask(&shown, &id, &item).await);
        }
        done(ask(&shown, &id, &[("kind", "temp_fix_done")]).await);
        let held = [("kind", "postmortem_held"), ("roles", "development, support"), ("attendees", "")];
        done(ask(&shown, &id, &held).await);
        done(ask(&shown, &id, &[("kind", "complete")]).await);
    }

    #[tokio::test]
    async fn who_shows_nothing_takes_no_step() {
        let (shown, id) = shown();
        let form = Ok(Form(fields(&[("kind", "acknowledge")])));
        let (status, _) = text(take(State(shown), look(Lang::En), Path(id.to_string()), form).await).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }

    #[test]
    fn a_time_of_a_form_is_one_of_the_zone() {
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        assert_eq!(time("at_ms", "2026-11-30T21:00", &tokyo), Ok(Some(1_796_040_000_000)));
        assert_eq!(time("at_ms", "", &tokyo), Ok(None));
        assert!(time("at_ms", "tomorrow", &tokyo).unwrap_err().contains("2026-12-01T10:30"));
    }
}
