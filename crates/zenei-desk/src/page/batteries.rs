//! Which locks need a battery soon: a list by the likely day with its interval, and the same as CSV. Must not know how
//! the day is estimated. Called by the router.
use super::lock::{DAY_MS, due_from};
use super::{Look, Shown, link, past};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Value, context};
use std::collections::BTreeMap;
use zenei_store::history::{History, HistoryError, LOCKS_MAX, LockFilter, LockNow, LockPage, LockSort};

const WINDOWS: [u32; 3] = [14, 30, 90];
const WINDOW: u32 = 30;
/// The most days that may be asked for.
const DAYS_MAX: u32 = 3_650;
const PAGE: usize = 100;
/// The most rows of a CSV file, as pages of [`LOCKS_MAX`]: 50,000 locks. A guess: what a spreadsheet opens at ease.
const CSV_PAGES_MAX: usize = 100;

/// `GET /fleet/batteries`.
pub(super) async fn show(
    State(shown): State<Shown>,
    Query(query): Query<BTreeMap<String, String>>,
    look: Look,
) -> Response {
    let days = chosen_days(&query);
    let filter = LockFilter { after: query.get("after").cloned(), limit: PAGE, ..due_within(days) };
    let answer = past::ask(&shown, move |history| match history.locks(&filter) {
        Err(HistoryError::Cursor { .. }) => Ok(None),
        other => other.map(Some),
    });
    let Some(page) = answer.await else { return past::unreadable(&shown, &look) };
    let Some(page) = page else {
        let text = "no page of this list goes on there; start at /fleet/batteries";
        return shown.pages.error(StatusCode::BAD_REQUEST, &look, text);
    };
    let context = view(&page, days, shown.handles.clock.now().ms());
    shown.pages.page("batteries.html", &look, context)
}

pub(super) fn view(page: &LockPage, days: u32, now_ms: i64) -> Value {
    let here = |days: u32| format!("/fleet/batteries?days={days}");
    let windows = WINDOWS.map(|choice| context! { days => choice, href => here(choice), is_chosen => choice == days });
    let days_text = days.to_string();
    let after = |next| link::with_query("/fleet/batteries", [("days", days_text.as_str()), ("after", next)]);
    context! {
        days,
        windows => windows.to_vec(),
        total => page.total,
        locks => page.locks.iter().map(|lock| row(lock, now_ms)).collect::<Vec<_>>(),
        csv_at => format!("/fleet/batteries.csv?days={days}"),
        next_at => page.next.as_deref().map(after),
    }
}

/// `GET /fleet/batteries.csv`.
pub(super) async fn csv(State(shown): State<Shown>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let days = chosen_days(&query);
    let now_ms = shown.handles.clock.now().ms();
    let Some(text) = past::ask(&shown, move |history| whole(history, days, now_ms)).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the history can't be read; the log says why\n").into_response();
    };
    let disposition = format!("attachment; filename=\"batteries-{days}-days.csv\"");
    let headers =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    (headers, text).into_response()
}

fn chosen_days(query: &BTreeMap<String, String>) -> u32 {
    let asked = query.get("days").and_then(|days| days.parse::<u32>().ok());
    asked.filter(|days| (1..=DAYS_MAX).contains(days)).unwrap_or(WINDOW)
}

fn due_within(days: u32) -> LockFilter {
    LockFilter { due_within_days: Some(days), sort: LockSort::Due, ..LockFilter::default() }
}

fn row(lock: &LockNow, now_ms: i64) -> Value {
    let due = lock.battery_due.map(|due| due_from(due, lock.heard_ms, now_ms));
    let at_ms = |days: f64| days.is_finite().then(|| now_ms + (days * DAY_MS as f64) as i64);
    context! {
        lock => Serde(lock),
        href => link::lock(&lock.device_id),
        site_at => link::with_query("/fleet", [("site", lock.site.as_str())]),
        likely_ms => due.and_then(|due| at_ms(due.likely_days)),
        early_ms => due.and_then(|due| at_ms(due.early_days)),
        late_ms => due.and_then(|due| at_ms(due.late_days)),
        is_overdue => due.is_some_and(|due| due.likely_days < 0.0),
    }
}

/// The list as CSV (RFC 4180), days counted from now.
fn whole(history: &History, days: u32, now_ms: i64) -> Result<String, HistoryError> {
    let head = "device_id,site,gateway,model,hw_rev,lot,fw,service,battery_pct,battery_mv,likely_days,early_days,late_days,heard_ms";
    let mut text = format!("{head}\r\n");
    let mut filter = LockFilter { limit: LOCKS_MAX, ..due_within(days) };
    for _ in 0..CSV_PAGES_MAX {
        let page = history.locks(&filter)?;
        for lock in &page.locks {
            text.push_str(&line(lock, now_ms));
        }
        match page.next {
            Some(next) => filter.after = Some(next),
            None => break,
        }
    }
    Ok(text)
}

fn line(lock: &LockNow, now_ms: i64) -> String {
    let due = lock.battery_due.map(|due| due_from(due, lock.heard_ms, now_ms));
    let days =
        |days: Option<f64>| days.filter(|days| days.is_finite()).map(|days| format!("{days:.1}")).unwrap_or_default();
    let texts =
        [&lock.device_id, &lock.site, &lock.gateway, &lock.model, &lock.hw_rev, &lock.lot, &lock.fw, &lock.service];
    let mut cells: Vec<String> = texts.into_iter().map(|text| cell(text)).collect();
    cells.push(lock.battery_pct.map(|percent| percent.to_string()).unwrap_or_default());
    cells.push(lock.battery_mv.map(|mv| mv.to_string()).unwrap_or_default());
    cells.extend([
        days(due.map(|due| due.likely_days)),
        days(due.map(|due| due.early_days)),
        days(due.map(|due| due.late_days)),
        lock.heard_ms.to_string(),
    ]);
    format!("{}\r\n", cells.join(","))
}

/// A text that came from outside as a cell: quoted, and no formula to a spreadsheet (it would begin with one of
/// `= + - @`, a tab or a carriage return).
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let quote = if is_formula { "'" } else { "" };
    if is_formula || text.contains([',', '"', '\n', '\r']) {
        format!("\"{quote}{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_store::history::Due;

    #[test]
    fn a_text_of_a_device_is_no_formula_and_no_second_cell() {
        assert_eq!(cell("lock-1"), "lock-1");
        assert_eq!(cell("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(cell("a,b\nc"), "\"a,b\nc\"");
    }

    #[test]
    fn days_count_from_now_and_an_end_that_can_not_be_told_is_empty() {
        let due = Due { early_days: 3.0, likely_days: 5.0, late_days: f64::INFINITY };
        let lock = LockNow { device_id: "L1".into(), battery_due: Some(due), heard_ms: 0, ..LockNow::default() };
        assert_eq!(line(&lock, 2 * DAY_MS), "L1,,,,,,,,,,3.0,1.0,,0\r\n");
    }

    #[test]
    fn days_out_of_range_are_the_usual_ones() {
        let days = |text: &str| chosen_days(&BTreeMap::from([("days".to_owned(), text.to_owned())]));
        assert_eq!([days("0"), days("90"), days("-1"), days("x")], [30, 90, 30, 30]);
    }
}
