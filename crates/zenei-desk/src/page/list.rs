//! The list of incidents, by state, domain, service, urgency and rule. Must not know how a page is drawn. Mounted by
//! [`super::routes`].
use super::look::Look;
use super::render::shape;
use super::row::IncidentRow;
use super::{Fault, Shown};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use minijinja::context;
use serde::{Deserialize, Serialize};
use zenei_detect::{Domain, Urgency};
use zenei_incident::{Incident, Status};

/// The incidents of one page. A guess: what a person scrolls through.
const PAGE_ROWS: usize = 100;

/// What a reader asks for; an empty field asks for nothing.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Filter {
    /// A status, or `open` or `ended` for several.
    status: String,
    domain: String,
    urgency: String,
    service: String,
    rule: String,
    /// The page, from 1.
    page: Option<usize>,
}

impl Filter {
    fn fits(&self, incident: &Incident) -> bool {
        let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        let status = match self.status.as_str() {
            "open" => incident.is_open(),
            "ended" => !incident.is_open(),
            other => is(other, incident.status.as_str()),
        };
        status
            && is(&self.domain, incident.domain.as_str())
            && is(&self.urgency, incident.urgency.as_str())
            && is(&self.service, incident.service.as_deref().unwrap_or_default())
            && is(&self.rule, &incident.rule)
    }
}

/// Answers with the list.
pub(super) async fn show(
    State(shown): State<Shown>,
    look: Look,
    query: Result<Query<Filter>, QueryRejection>,
) -> Response {
    let filter = query.map(|Query(filter)| filter).unwrap_or_default();
    shown.draw(look, move |shown, look| make(shown, look, &filter)).await
}

fn make(shown: &Shown, look: &Look, filter: &Filter) -> Result<Response, Fault> {
    let (handles, lang) = (&shown.handles, shown.pages.lang(look));
    let page = filter.page.unwrap_or(1).max(1);
    let (rows, total, services, rules) = {
        let book = handles.incidents.read();
        let mut found: Vec<&Incident> = book.incidents().filter(|incident| filter.fits(incident)).collect();
        found.sort_by_key(|one| (!one.is_open(), std::cmp::Reverse(one.urgency), std::cmp::Reverse(one.opened)));
        let seen = found.iter().skip((page - 1).saturating_mul(PAGE_ROWS)).take(PAGE_ROWS);
        let rows: Vec<IncidentRow> = seen.map(|one| IncidentRow::of(one, &handles.policy, lang)).collect();
        let names = |name: &dyn Fn(&Incident) -> Option<String>| {
            let all: std::collections::BTreeSet<String> = book.incidents().filter_map(name).collect();
            all.into_iter().collect::<Vec<_>>()
        };
        (rows, found.len(), names(&|one| one.service.clone()), names(&|one| Some(one.rule.clone())))
    };
    let context = context! {
        now_ms => handles.clock.now().ms(),
        rows => shape(&rows),
        filter => shape(filter),
        total,
        page,
        pages => total.div_ceil(PAGE_ROWS).max(1),
        page_at => (page > 1).then(|| look.with("page", &(page - 1).to_string())),
        services,
        rules,
        statuses => Status::ALL.iter().map(|status| status.as_str()).collect::<Vec<_>>(),
        domains => Domain::ALL.iter().map(|domain| domain.as_str()).collect::<Vec<_>>(),
        urgencies => Urgency::ALL.iter().rev().map(|urgency| urgency.as_str()).collect::<Vec<_>>(),
    };
    Ok(shown.pages.page("incidents.html", look, context))
}
