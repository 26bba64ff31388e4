//! The fleet explorer: locks by what they share, sorted and page by page; how many locks have each value; the form that
//! compares two groups. Must not know how the past is kept. Called by the router.
use super::lock::due_from;
use super::offered::Counts;
use super::{Look, Shown, link, past, words};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use std::collections::BTreeMap;
use std::sync::Arc;
use zenei_incident::message::Lang;
use zenei_store::history::{Dimension, HistoryError, LockFilter, LockNow, LockPage, LockSort};

/// Locks on a page. A guess: what a person reads through.
const PAGE: usize = 50;
/// A history that is further behind says so. A guess: longer than it takes to seal what was heard.
const LATE_MS: i64 = 30 * 60_000;
/// Values that a field offers, and rows of the counts. A guess, likewise.
const OPTIONS: usize = 40;
/// The properties with a field of their own.
const FIELDS: [Dimension; 7] = [
    Dimension::Site,
    Dimension::Gateway,
    Dimension::Model,
    Dimension::HwRev,
    Dimension::Lot,
    Dimension::Fw,
    Dimension::Service,
];

/// What a reader asked for.
#[derive(Debug)]
pub(super) struct Asked {
    filter: LockFilter,
    by: Dimension,
    /// The pairs of the query that filter and sort, for links.
    kept: BTreeMap<String, String>,
    /// Why a pair of the query counts for nothing.
    problem: Option<String>,
}

/// `GET /fleet`.
pub(super) async fn show(
    State(shown): State<Shown>,
    Query(query): Query<BTreeMap<String, String>>,
    look: Look,
) -> Response {
    let asked = Asked::read(&query);
    let (filter, offered) = (asked.filter.clone(), shown.offered.clone());
    let now_ms = shown.handles.clock.now().ms();
    let answer = past::ask(&shown, move |history| {
        let page = match history.locks(&filter) {
            Err(HistoryError::Cursor { .. }) => Err(StatusCode::BAD_REQUEST),
            other => Ok(other?),
        };
        Ok((page, offered.counts(history, now_ms)?, history.up_to_ms()?))
    });
    let Some((page, values, up_to_ms)) = answer.await else { return past::unreadable(&shown, &look) };
    let page = match page {
        Ok(page) => page,
        Err(code) => return shown.pages.error(code, &look, "no page of this list goes on there; start at /fleet"),
    };
    let past = Past { page, values, up_to_ms };
    let context = view(&asked, &past, now_ms, shown.pages.lang(&look));
    shown.pages.page("fleet.html", &look, context)
}

/// What the history answered.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) page: LockPage,
    pub(super) values: Arc<BTreeMap<Dimension, Counts>>,
    pub(super) up_to_ms: i64,
}

pub(super) fn view(asked: &Asked, past: &Past, now_ms: i64, lang: Lang) -> Value {
    context! {
        fields => fields(asked, &past.values),
        asked => Serde(&asked.kept_of(&["text", "battery_below", "due_within", "sort"])),
        now => now_ms,
        problem => asked.problem.as_deref(),
        is_filtered => asked.is_filtered(),
        total => past.page.total,
        locks => past.page.locks.iter().map(|lock| row(lock, now_ms)).collect::<Vec<_>>(),
        columns => columns(asked, lang),
        next_at => past.page.next.as_deref().map(|next| asked.link(&[("after", next)])),
        first_at => asked.filter.after.as_ref().map(|_| asked.link(&[])),
        late_ms => (past.up_to_ms > 0 && now_ms - past.up_to_ms > LATE_MS).then_some(past.up_to_ms),
        ..cohorts(asked, past.values.get(&asked.by).map(Vec::as_slice).unwrap_or_default())
    }
}

impl Asked {
    pub(super) fn read(query: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| query.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut problem = None;
        let mut number = |name: &str, max: u32| {
            let found = text(name)?;
            let value = found.parse::<u32>().ok().filter(|value| *value <= max);
            if value.is_none() {
                problem = Some(format!("{name} is {found:?}; allowed is a whole number from 0 to {max}"));
            }
            value
        };
        let battery_below_pct = number("battery_below", 100).and_then(|percent| u8::try_from(percent).ok());
        let due_within_days = number("due_within", 3_650);
        let filter = LockFilter {
            site: text("site"),
            gateway: text("gateway"),
            model: text("model"),
            hw_rev: text("hw_rev"),
            lot: text("lot"),
            fw: text("fw"),
            service: text("service"),
            text: text("text"),
            battery_below_pct,
            due_within_days,
            sort: text("sort").and_then(|word| LockSort::parse(&word)).unwrap_or_default(),
            after: text("after"),
            limit: PAGE,
        };
        let by = text("by").and_then(|word| Dimension::parse(&word)).unwrap_or(Dimension::Fw);
        let names =
            FIELDS.map(Dimension::as_str).into_iter().chain(["text", "battery_below", "due_within", "sort", "by"]);
        let kept = names.filter_map(|name| Some((name.to_owned(), text(name)?))).collect();
        Self { filter, by, kept, problem }
    }

    fn is_filtered(&self) -> bool {
        self.kept.keys().any(|name| name != "sort" && name != "by")
    }

    /// The values of these fields, empty where the reader gave none.
    fn kept_of<'n>(&self, names: &[&'n str]) -> BTreeMap<&'n str, &str> {
        names.iter().map(|name| (*name, self.kept.get(*name).map(String::as_str).unwrap_or_default())).collect()
    }

    /// This list with these pairs instead of, or beside, its own.
    fn link(&self, with: &[(&str, &str)]) -> String {
        let own = self.kept.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let own = own.filter(|(name, _)| !with.iter().any(|(other, _)| other == name));
        link::with_query("/fleet", own.chain(with.iter().copied()))
    }
}

fn fields(asked: &Asked, values: &BTreeMap<Dimension, Counts>) -> Vec<Value> {
    let field = |dimension: &Dimension| {
        let name = dimension.as_str();
        let options = values.get(dimension).map(Vec::as_slice).unwrap_or_default();
        let options: Vec<String> =
            options.iter().map(|(value, _)| value.clone()).filter(|value| !value.is_empty()).take(OPTIONS).collect();
        context! { name, value => asked.kept.get(name).map(String::as_str).unwrap_or_default(), options }
    };
    FIELDS.iter().map(field).collect()
}

/// A lock in a list.
fn row(lock: &LockNow, now_ms: i64) -> Value {
    let due = lock.battery_due.map(|due| due_from(due, lock.heard_ms, now_ms));
    let days = |days: f64| format!("{:.0}", days.max(0.0));
    let due = due.map_or_else(
        || "–".to_owned(),
        |due| {
            let late = if due.late_days.is_finite() { days(due.late_days) } else { "∞".to_owned() };
            format!("{} ({}–{late})", days(due.likely_days), days(due.early_days))
        },
    );
    context! {
        lock => Serde(lock),
        href => link::lock(&lock.device_id),
        site_at => link::with_query("/fleet", [("site", lock.site.as_str())]),
        due,
    }
}

/// The heads of the table: by which one the list is sorted, and a link that sorts by another.
fn columns(asked: &Asked, lang: Lang) -> Vec<Value> {
    let columns: [(&str, Option<LockSort>, bool); 8] = [
        ("fleet_lock", Some(LockSort::Device), false),
        ("fleet_where", None, false),
        ("fleet_made", None, false),
        ("fleet_runs", None, false),
        ("fleet_battery", Some(LockSort::Battery), true),
        ("fleet_due", Some(LockSort::Due), true),
        ("fleet_signal", Some(LockSort::Signal), true),
        ("fleet_errors", Some(LockSort::Errors), true),
    ];
    let heard = ("fleet_heard", Some(LockSort::Heard), false);
    let column = |(key, sort, is_number): (&'static str, Option<LockSort>, bool)| {
        context! {
            name => words::find(key, lang).unwrap_or(key),
            is_number,
            is_sorted => sort == Some(asked.filter.sort),
            order => if sort == Some(LockSort::Errors) { "descending" } else { "ascending" },
            href => sort.map(|sort| asked.link(&[("sort", sort.as_str())])),
        }
    };
    columns.into_iter().chain([heard]).map(column).collect()
}

/// How many locks have each value of the chosen dimension, and the form that compares two of them.
fn cohorts(asked: &Asked, counts: &[(String, u64)]) -> Value {
    let all: u64 = counts.iter().map(|(_, locks)| locks).sum::<u64>().max(1);
    let by = asked.by.as_str();
    let row = |(value, locks): &(String, u64)| {
        // Firmware and board together are no field of the filter: their parts are.
        let pairs = match (asked.by, value.split_once('+')) {
            (Dimension::FwHw, Some((fw, board))) => vec![("fw", fw), ("hw_rev", board)],
            (Dimension::FwHw, None) => Vec::new(),
            (
                Dimension::Site
                | Dimension::Gateway
                | Dimension::Model
                | Dimension::HwRev
                | Dimension::Lot
                | Dimension::Fw
                | Dimension::Service,
                _,
            ) => vec![(by, value.as_str())],
        };
        context! {
            value => value.as_str(), locks,
            permille => locks * 1_000 / all,
            share => format!("{:.1}", *locks as f64 * 100.0 / all as f64),
            href => link::with_query("/fleet", pairs),
        }
    };
    let dimensions: Vec<Value> = Dimension::ALL
        .iter()
        .map(|dimension| context! { word => dimension.as_str(), href => asked.link(&[("by", dimension.as_str())]) })
        .collect();
    let options: Vec<String> =
        counts.iter().map(|(value, _)| value.clone()).filter(|value| !value.is_empty()).take(OPTIONS).collect();
    let pair = context! { a => options.get(1).cloned().unwrap_or_default(), b => options.first().cloned().unwrap_or_default(), days => 30, options };
    context! {
        by, dimensions, pair,
        cohorts => counts.iter().take(OPTIONS).map(row).collect::<Vec<_>>(),
        cohorts_all => counts.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> Asked {
        Asked::read(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_link_keeps_the_filter_and_never_the_place_in_another_order() {
        let found = asked(&[("site", "s&1"), ("sort", "battery"), ("after", "20:x"), ("text", " ")]);
        assert_eq!(found.link(&[("sort", "due")]), "/fleet?site=s%261&sort=due");
        assert_eq!(found.link(&[("after", "n")]), "/fleet?site=s%261&sort=battery&after=n");
        assert_eq!((found.filter.sort, found.filter.text.is_none()), (LockSort::Battery, true));
        assert!(found.is_filtered() && !asked(&[("sort", "due"), ("by", "lot")]).is_filtered());
    }

    #[test]
    fn a_number_that_is_none_is_told_and_filters_nothing() {
        let found = asked(&[("battery_below", "101"), ("due_within", "30")]);
        assert_eq!((found.filter.battery_below_pct, found.filter.due_within_days), (None, Some(30)));
        assert!(found.problem.unwrap().starts_with("battery_below is \"101\"; allowed is"));
    }
}
