//! The page of one lock: what it is, when its battery is due, its past on one axis of time, its incidents, the currents
//! of its motor. When a door was opened is shown to callers with `residents` only. Must not know how the past is kept.
//! Called by the router.
use super::concerns::{self, Concern};
use super::drawn;
use super::figures::Figures;
use super::lock_figures::{self, Window};
use super::{Look, Shown, link, past, words};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Value, context};
use std::collections::BTreeMap;
use zenei_incident::message::Lang;
use zenei_store::history::{Due, LockHistory, LockNow, POINTS_MAX, Profile};

/// The windows that a reader can choose, days.
const WINDOWS: [i64; 3] = [7, 30, 90];
const WINDOW: i64 = 30;
/// Points of a drawing that the server makes: with nine charts on a page, some 100 kB. Scripts get [`POINTS_MAX`].
const PAGE_POINTS: usize = 240;
pub(super) const DAY_MS: i64 = 86_400_000;

/// `GET /locks/{id}`.
pub(super) async fn show(
    State(shown): State<Shown>,
    Path(id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    look: Look,
) -> Response {
    let days = chosen_days(&query);
    let lang = shown.pages.lang(&look);
    let Some(found) = read(&shown, &id, days, PAGE_POINTS).await else { return past::unreadable(&shown, &look) };
    let Some(lock) = found else {
        let text = words::find("lock_missing", lang).unwrap_or_default();
        return shown.pages.error(StatusCode::NOT_FOUND, &look, text);
    };
    let concerns = concerns::of(&shown.handles.incidents, lang, |incident| incident.devices.contains(&id));
    let page = Page {
        lock: &lock,
        window: window(&shown, days),
        days,
        shows_operations: shows_operations(&look),
        concerns,
        lang,
    };
    shown.pages.page("lock.html", &look, page.context())
}

/// `GET /locks/{id}/series.json`: the figures of its charts.
pub(super) async fn series(
    State(shown): State<Shown>,
    Path(id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    look: Look,
) -> Response {
    let days = chosen_days(&query);
    let lang = shown.pages.lang(&look);
    match read(&shown, &id, days, POINTS_MAX).await {
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(None) => StatusCode::NOT_FOUND.into_response(),
        Some(Some(lock)) => {
            let window = window(&shown, days);
            let rows = concerns::of(&shown.handles.incidents, lang, |incident| incident.devices.contains(&id));
            let bands = concerns::bands(&rows, window.to_ms);
            axum::Json(lock_figures::figures(&lock, &window, bands, shows_operations(&look), lang)).into_response()
        }
    }
}

/// The lock's past; the outer `None` where it can't be read, the inner one for a lock without a record.
async fn read(shown: &Shown, id: &str, days: i64, points: usize) -> Option<Option<LockHistory>> {
    let Window { from_ms, to_ms, .. } = window(shown, days);
    let id = id.to_owned();
    past::ask(shown, move |history| history.lock(&id, from_ms, to_ms, points)).await
}

fn chosen_days(query: &BTreeMap<String, String>) -> i64 {
    let asked = query.get("days").and_then(|days| days.parse().ok());
    asked.filter(|days| WINDOWS.contains(days)).unwrap_or(WINDOW)
}

fn window(shown: &Shown, days: i64) -> Window {
    // Up to the end of this second, so that what is being heard is in it.
    let to_ms = shown.handles.clock.now().ms() + 1_000;
    Window { from_ms: to_ms - days * DAY_MS, to_ms, zone: shown.handles.zone.clone() }
}

fn shows_operations(look: &Look) -> bool {
    look.caller.as_ref().is_some_and(|caller| caller.residents)
}

/// What the page shows.
pub(super) struct Page<'l> {
    pub(super) lock: &'l LockHistory,
    pub(super) window: Window,
    pub(super) days: i64,
    pub(super) shows_operations: bool,
    pub(super) concerns: Vec<Concern>,
    pub(super) lang: Lang,
}

impl Page<'_> {
    pub(super) fn context(&self) -> Value {
        let now = &self.lock.now;
        let bands = concerns::bands(&self.concerns, self.window.to_ms);
        let figures = lock_figures::figures(self.lock, &self.window, bands, self.shows_operations, self.lang);
        let days = lock_figures::days(&self.lock.buckets, &self.window.zone);
        let here = link::lock(&now.device_id);
        let windows = WINDOWS.map(|days| {
            context! { days, href => format!("{here}?days={days}"), is_chosen => days == self.days }
        });
        let span_hours = self.lock.buckets.iter().map(|bucket| bucket.length_ms / 3_600_000).max().unwrap_or(0);
        context! {
            lock => Serde(now),
            at => links(now),
            now => self.window.to_ms,
            due => due_text(now, self.window.to_ms, self.lang),
            windows => windows.to_vec(),
            series_at => format!("{here}/series.json?days={}", self.days),
            charts => self.charts(&figures),
            profiles => self.profiles(&figures),
            profiles_svg => drawn::curves(&figures.profiles, self.lang),
            residents => self.shows_operations,
            concerns => Serde(&self.concerns),
            firmware => self.firmware(),
            firmware_compare => self.lock.firmware.last().map(|change| {
                link::with_query("/fleet/compare", [("dimension", "fw"), ("a", &*change.from), ("b", &*change.to)])
            }),
            days => Serde(&days),
            span_hours,
        }
    }

    fn charts(&self, figures: &Figures) -> Vec<Value> {
        if self.lock.buckets.is_empty() {
            return Vec::new();
        }
        let about = |id: &str| match id {
            "lock_effort" => words::find("lock_effort_about", self.lang),
            "lock_errors" => words::find("lock_a_day", self.lang),
            _ => None,
        };
        let none = words::find("lock_no_values", self.lang).unwrap_or_default();
        drawn::charts(figures, about, none, self.lang)
    }

    /// The last operations of the motor; what tells when a door was opened is left out for those who may not see it.
    fn profiles(&self, figures: &Figures) -> Vec<Value> {
        let usable = self.lock.profiles.iter().filter(|profile| lock_figures::is_drawn(profile));
        let row = |(profile, name): (&Profile, &str)| {
            let peak_ma = profile.current_ma.iter().max().copied();
            let length_ms = profile.current_ma.len() as u64 * u64::from(profile.step_ms);
            let result = profile.result.as_str();
            let shown = self.shows_operations;
            context! {
                name, result, peak_ma, length_ms,
                at_ms => shown.then_some(profile.at_ms),
                kind => shown.then(|| words::find(&format!("op_{}", profile.kind), self.lang).unwrap_or(&profile.kind)),
            }
        };
        usable.zip(figures.profiles.iter().map(|curve| curve.name.as_str())).map(row).collect()
    }

    fn firmware(&self) -> Vec<Value> {
        let of = |fw: &str| link::with_query("/fleet", [("fw", fw)]);
        let row = |change: &zenei_store::history::Firmware| {
            context! {
                at_ms => change.at_ms, from => change.from.as_str(), to => change.to.as_str(),
                from_at => of(&change.from), to_at => of(&change.to),
            }
        };
        self.lock.firmware.iter().rev().map(row).collect()
    }
}

/// Where a property of a lock links to: the locks that share it.
fn links(lock: &LockNow) -> BTreeMap<&'static str, String> {
    let properties = [
        ("site", &lock.site),
        ("gateway", &lock.gateway),
        ("model", &lock.model),
        ("hw_rev", &lock.hw_rev),
        ("lot", &lock.lot),
        ("fw", &lock.fw),
        ("service", &lock.service),
    ];
    properties.into_iter().map(|(name, value)| (name, link::with_query("/fleet", [(name, value.as_str())]))).collect()
}

/// The days from now on: those of the history are after the lock's newest record.
pub(super) fn due_from(due: Due, heard_ms: i64, now_ms: i64) -> Due {
    let passed = (now_ms - heard_ms).max(0) as f64 / DAY_MS as f64;
    Due {
        early_days: due.early_days - passed,
        likely_days: due.likely_days - passed,
        late_days: due.late_days - passed,
    }
}

fn due_text(lock: &LockNow, now_ms: i64, lang: Lang) -> String {
    let Some(due) = lock.battery_due else {
        return words::find("lock_due_unknown", lang).unwrap_or_default().to_owned();
    };
    let due = due_from(due, lock.heard_ms, now_ms);
    let days = |days: f64| format!("{:.0}", days.max(0.0));
    let key = if due.late_days.is_finite() { "lock_due_in" } else { "lock_due_in_open" };
    let values = [("likely", days(due.likely_days)), ("early", days(due.early_days)), ("late", days(due.late_days))];
    words::filled(key, lang, &values)
}
