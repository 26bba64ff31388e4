//! Incidents as rows of a list on the page of something else: of a lock, of a rule, of a search. Must not know which
//! list. Copies what it needs, so that the casebook is held for a moment only. Called by those pages.
use super::figures::Band;
use super::link;
use crate::Incidents;
use serde::Serialize;
use std::cmp::Reverse;
use zenei_detect::Component;
use zenei_incident::Incident;
use zenei_incident::message::Lang;
use zenei_wire::Id;

/// The most rows. A guess: what a person reads through.
pub(super) const ROWS_MAX: usize = 100;

/// An incident in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Concern {
    #[serde(skip)]
    pub(super) id: Id,
    pub(super) href: String,
    pub(super) title: String,
    pub(super) urgency: &'static str,
    pub(super) status: &'static str,
    pub(super) opened_ms: i64,
    pub(super) ended_ms: Option<i64>,
    /// It is open, and about a battery.
    pub(super) is_failing_battery: bool,
}

/// The incidents that `is_meant`, the newest first; at most [`ROWS_MAX`].
pub(super) fn of(incidents: &Incidents, lang: Lang, is_meant: impl Fn(&Incident) -> bool) -> Vec<Concern> {
    let mut rows: Vec<Concern> =
        incidents.read().incidents().filter(|one| is_meant(one)).map(|one| Concern::new(one, lang)).collect();
    rows.sort_by_key(|row| (Reverse(row.opened_ms), row.id));
    rows.truncate(ROWS_MAX);
    rows
}

/// Their time as bands of a chart that ends at `to_ms`.
pub(super) fn bands(rows: &[Concern], to_ms: i64) -> Vec<Band> {
    let band = |row: &Concern| Band {
        from_s: row.opened_ms / 1_000,
        to_s: row.ended_ms.unwrap_or(to_ms) / 1_000,
        name: row.title.clone(),
    };
    rows.iter().map(band).collect()
}

/// The line for people, in their language where the rule has one.
pub(super) fn title(incident: &Incident, lang: Lang) -> &str {
    match (lang, &incident.title_ja) {
        (Lang::Ja, Some(title)) => title,
        (Lang::Ja, None) | (Lang::En, _) => &incident.title,
    }
}

impl Concern {
    fn new(incident: &Incident, lang: Lang) -> Self {
        Self {
            id: incident.id,
            href: link::incident(incident.id),
            title: title(incident, lang).to_owned(),
            urgency: incident.urgency.as_str(),
            status: incident.status.as_str(),
            opened_ms: incident.opened.ms(),
            ended_ms: incident.ended.map(|ended| ended.ms()),
            is_failing_battery: incident.is_open() && incident.component == Component::Battery,
        }
    }
}
