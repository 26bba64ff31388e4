//! Two groups of locks beside each other: each measure with its interval, the difference with its own, the
//! denominators, a plain sentence, and the same over time. Must not know how an interval is computed. Called by the
//! router.
use super::figures::{Chart, Figures, Kind, Series, rounded};
use super::{Look, Shown, drawn, link, past, words};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use minijinja::{Value, context};
use std::collections::{BTreeMap, BTreeSet};
use zenei_incident::message::Lang;
use zenei_store::history::{CohortBucket, CohortHistory, Compared, ComparedRow, Dimension, Group, Interval, Measure};

const DAY_MS: i64 = 86_400_000;
const DAYS: i64 = 30;
const DAYS_MAX: i64 = 90;
/// Points of a chart of both groups: at 30 days, six hours each.
const POINTS: usize = 120;

/// What a reader asked for.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    by: Dimension,
    a: String,
    b: String,
    days: i64,
}

/// `GET /fleet/compare`.
pub(super) async fn show(
    State(shown): State<Shown>,
    Query(query): Query<BTreeMap<String, String>>,
    look: Look,
) -> Response {
    let pair = Pair::read(&query);
    let lang = shown.pages.lang(&look);
    let (asked, to_ms) = (pair.clone(), shown.handles.clock.now().ms() + 1_000);
    let answer = past::ask(&shown, move |history| {
        let options = history.values(asked.by)?;
        if !asked.is_whole() {
            return Ok((options, None));
        }
        let from_ms = to_ms - asked.days * DAY_MS;
        let compared = history.compare(asked.by, &asked.a, &asked.b, from_ms, to_ms)?;
        let of = |value: &str| history.cohort(asked.by, value, from_ms, to_ms, POINTS);
        Ok((options, Some((compared, of(&asked.a)?, of(&asked.b)?))))
    });
    let Some((options, answer)) = answer.await else { return past::unreadable(&shown, &look) };
    let form = pair.form(&options);
    let say = |key| words::find(key, lang).unwrap_or_default();
    let rest = match &answer {
        None if pair.a.is_empty() || pair.b.is_empty() => context! { problem => say("fleet_compare_how") },
        None => context! { problem => say("fleet_compare_same") },
        Some((compared, ..)) if compared.a.locks == 0 && compared.b.locks == 0 => {
            context! { problem => say("fleet_compare_none") }
        }
        Some((compared, a, b)) => pair.context(compared, &pair.figures(&shown.handles.zone, to_ms, [a, b]), lang),
    };
    shown.pages.page("compare.html", &look, context! { ..form, ..rest })
}

/// `GET /fleet/compare/series.json`: the figures of its charts.
pub(super) async fn series(State(shown): State<Shown>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let pair = Pair::read(&query);
    if !pair.is_whole() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let (asked, to_ms) = (pair.clone(), shown.handles.clock.now().ms() + 1_000);
    let answer = past::ask(&shown, move |history| {
        let of = |value: &str| history.cohort(asked.by, value, to_ms - asked.days * DAY_MS, to_ms, POINTS);
        Ok((of(&asked.a)?, of(&asked.b)?))
    });
    match answer.await {
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some((a, b)) => axum::Json(pair.figures(&shown.handles.zone, to_ms, [&a, &b])).into_response(),
    }
}

impl Pair {
    pub(super) fn read(query: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| query.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
        let days = query.get("days").and_then(|days| days.parse().ok());
        Self {
            by: Dimension::parse(&text("dimension")).unwrap_or(Dimension::Fw),
            a: text("a"),
            b: text("b"),
            days: days.filter(|days| (1..=DAYS_MAX).contains(days)).unwrap_or(DAYS),
        }
    }

    fn is_whole(&self) -> bool {
        !self.a.is_empty() && !self.b.is_empty() && self.a != self.b
    }

    pub(super) fn form(&self, options: &[(String, u64)]) -> Value {
        let options: Vec<String> =
            options.iter().map(|(value, _)| value.clone()).filter(|value| !value.is_empty()).collect();
        let dimensions: Vec<Value> =
            Dimension::ALL.iter().map(|dimension| context! { word => dimension.as_str() }).collect();
        let pair = context! { a => self.a.as_str(), b => self.b.as_str(), days => self.days, options };
        context! { by => self.by.as_str(), dimensions, pair }
    }

    pub(super) fn context(&self, compared: &Compared, figures: &Figures, lang: Lang) -> Value {
        let locks = |value: &str| link::with_query("/fleet", [(self.by.as_str(), value)]);
        let group = |group: &Group| context! { value => group.value.as_str(), href => locks(&group.value) };
        let days = self.days.to_string();
        let query = [("dimension", self.by.as_str()), ("a", &*self.a), ("b", &*self.b), ("days", &*days)];
        let none = words::find("lock_no_values", lang).unwrap_or_default();
        context! {
            problem => None::<&str>,
            sentence => sentence(compared, lang),
            a => group(&compared.a),
            b => group(&compared.b),
            rows => compared.rows.iter().map(|row| shown_row(row, &compared.b.value, lang)).collect::<Vec<_>>(),
            basis => basis(compared, lang),
            notes => notes(compared, lang),
            series_at => link::with_query("/fleet/compare/series.json", query),
            charts => drawn::charts(figures, |_| None, none, lang),
        }
    }

    pub(super) fn figures(&self, zone: &TimeZone, to_ms: i64, groups: [&CohortHistory; 2]) -> Figures {
        let times: BTreeSet<i64> = groups
            .iter()
            .flat_map(|group| &group.buckets)
            .map(|bucket| bucket.start_ms + bucket.length_ms / 2)
            .collect();
        let line = |name: &str, group: &CohortHistory, read: fn(&CohortBucket) -> Option<f64>| {
            let values: BTreeMap<i64, Option<f64>> = group
                .buckets
                .iter()
                .map(|bucket| (bucket.start_ms + bucket.length_ms / 2, read(bucket).and_then(rounded)))
                .collect();
            Series::plain(name, times.iter().map(|at| values.get(at).copied().flatten()).collect())
        };
        let chart = |id, unit, digits, read: fn(&CohortBucket) -> Option<f64>| Chart {
            id,
            unit,
            digits,
            kind: Kind::Line,
            x: None,
            series: vec![line(&self.a, groups[0], read), line(&self.b, groups[1], read)],
        };
        Figures {
            zone: zone.iana_name().unwrap_or("UTC").to_owned(),
            from_s: (to_ms - self.days * DAY_MS) / 1_000,
            to_s: to_ms / 1_000,
            x: times.iter().map(|at_ms| at_ms / 1_000).collect(),
            charts: vec![
                chart("cohort_failed", "%", 2, failed_percent),
                chart("measure_error_rate", "", 3, errors_a_day),
                chart("cohort_resistance", "mΩ", 0, |bucket| bucket.resistance_mohm.map(|span| span.mean)),
                chart("cohort_peak", "mA", 0, |bucket| bucket.peak_ma.map(|span| span.mean)),
            ],
            ..Figures::default()
        }
    }
}

fn failed_percent(bucket: &CohortBucket) -> Option<f64> {
    (bucket.operations > 0).then(|| bucket.failed as f64 * 100.0 / bucket.operations as f64)
}

fn errors_a_day(bucket: &CohortBucket) -> Option<f64> {
    let lock_days = bucket.locks as f64 * bucket.length_ms as f64 / DAY_MS as f64;
    (lock_days > 0.0).then(|| bucket.errors.values().sum::<u64>() as f64 / lock_days)
}

/// How a measure is told: its key, the factor and the unit in which people read it, digits behind the point.
fn telling(measure: Measure) -> (&'static str, f64, Option<&'static str>, usize) {
    match measure {
        Measure::FailedShare => ("measure_failed_share", 100.0, Some("%"), 2),
        Measure::ErrorRate => ("measure_error_rate", 1.0, Some(""), 3),
        Measure::Resistance => ("measure_resistance", 1.0, None, 0),
        Measure::PeakCurrent => ("measure_peak_current", 1.0, None, 0),
        Measure::Effort => ("measure_effort", 1.0, None, 1),
        Measure::Battery => ("measure_battery", 1.0, None, 0),
    }
}

fn shown_row(row: &ComparedRow, b: &str, lang: Lang) -> Value {
    let (key, factor, unit, digits) = telling(row.what);
    let interval = |interval: Option<Interval>| match interval {
        None => "–".to_owned(),
        Some(Interval { low, value, high }) => {
            let [low, value, high] = [low, value, high].map(|number| format!("{:.digits$}", number * factor));
            format!("{value} ({low} – {high})")
        }
    };
    context! {
        name => words::find(key, lang).unwrap_or(key),
        unit => unit.unwrap_or(row.unit),
        a => interval(row.a),
        b => interval(row.b),
        difference => interval(row.difference),
        reading => reading(row.difference, b, lang),
        differs => row.difference.is_some_and(|difference| difference.low > 0.0 || difference.high < 0.0),
    }
}

/// What the interval of the difference says: an interval that holds 0 shows none.
fn reading(difference: Option<Interval>, b: &str, lang: Lang) -> String {
    let key = match difference {
        None => "fleet_too_few",
        Some(Interval { low, .. }) if low > 0.0 => "fleet_more",
        Some(Interval { high, .. }) if high < 0.0 => "fleet_less",
        Some(_) => "fleet_no_difference",
    };
    words::filled(key, lang, &[("b", b.to_owned())])
}

/// The failures of both in one sentence; empty where one of them has no operation.
fn sentence(compared: &Compared, lang: Lang) -> String {
    let Some(row) = compared.rows.iter().find(|row| row.what == Measure::FailedShare) else { return String::new() };
    let (Some(a), Some(b)) = (row.a, row.b) else { return String::new() };
    let percent = |share: f64| format!("{:.2}", share * 100.0);
    let values = [
        ("a_value", percent(a.value)),
        ("a_low", percent(a.low)),
        ("a_high", percent(a.high)),
        ("a_of", thousands(compared.a.operations)),
        ("b_value", percent(b.value)),
        ("b_low", percent(b.low)),
        ("b_high", percent(b.high)),
        ("b_of", thousands(compared.b.operations)),
        ("reading", reading(row.difference, &compared.b.value, lang)),
        ("others", others(compared, lang)),
        // Last: what comes from outside may look like a field.
        ("a", compared.a.value.clone()),
        ("b", compared.b.value.clone()),
    ];
    words::filled("fleet_sentence", lang, &values)
}

/// Which of the other measures differ, so that the sentence tells what the table tells.
fn others(compared: &Compared, lang: Lang) -> String {
    let is_clear = |difference: Interval| difference.low > 0.0 || difference.high < 0.0;
    let differing = compared.rows.iter().filter(|row| row.what != Measure::FailedShare);
    let differing = differing.filter(|row| row.difference.is_some_and(is_clear));
    let list: Vec<String> = differing
        .map(|row| {
            format!(
                "{} ({})",
                words::find(telling(row.what).0, lang).unwrap_or_default(),
                reading(row.difference, &compared.b.value, lang)
            )
        })
        .collect();
    let key = if list.is_empty() { "fleet_others_none" } else { "fleet_others" };
    words::filled(key, lang, &[("list", list.join(", "))])
}

fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let comma = |at: usize| if at > 0 && (digits.len() - at).is_multiple_of(3) { "," } else { "" };
    digits.char_indices().map(|(at, digit)| format!("{}{digit}", comma(at))).collect()
}

fn basis(compared: &Compared, lang: Lang) -> Vec<Value> {
    type Read = fn(&Group) -> u64;
    let rows: [(&'static str, Read); 5] = [
        ("fleet_basis_locks", |group| group.locks),
        ("fleet_basis_lock_days", |group| group.lock_days.round() as u64),
        ("fleet_basis_operations", |group| group.operations),
        ("fleet_basis_failed", |group| group.failed),
        ("fleet_basis_errors", |group| group.errors),
    ];
    let row = |(key, read): (&'static str, Read)| {
        context! { name => words::find(key, lang).unwrap_or(key), a => read(&compared.a), b => read(&compared.b) }
    };
    rows.into_iter().map(row).collect()
}

fn notes(compared: &Compared, lang: Lang) -> Vec<String> {
    let sampled = [&compared.a, &compared.b].into_iter().filter(|group| group.read < group.locks);
    let note = |group: &Group| {
        let values = [("read", thousands(group.read)), ("locks", thousands(group.locks))];
        format!("{}: {}", group.value, words::filled("fleet_compare_sample", lang, &values))
    };
    sampled.map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(difference: Interval) -> Compared {
        let group = |value: &str, operations| Group {
            value: value.to_owned(),
            locks: 9,
            read: 9,
            operations,
            ..Group::default()
        };
        let row = ComparedRow {
            what: Measure::FailedShare,
            unit: "1",
            a: Some(Interval { low: 0.009, value: 0.012, high: 0.016 }),
            b: Some(Interval { low: 0.017, value: 0.021, high: 0.026 }),
            difference: Some(difference),
        };
        Compared { a: group("3.2.0", 3_900), b: group("3.2.1", 4_211), rows: vec![row] }
    }

    #[test]
    fn the_sentence_names_shares_intervals_and_denominators() {
        let text = sentence(&compared(Interval { low: 0.003, value: 0.009, high: 0.014 }), Lang::En);
        assert_eq!(
            text,
            "Failed operations: 3.2.1 2.10 % (1.70 to 2.60) of 4,211, 3.2.0 1.20 % (0.90 to 1.60) of 3,900: 3.2.1 more. \
             No other measure shows a difference."
        );
    }

    #[test]
    fn an_interval_with_zero_is_no_difference() {
        let told = |low, high| reading(Some(Interval { low, value: 0.0, high }), "B", Lang::En);
        assert_eq!([told(-0.1, 0.1), told(0.1, 0.2), told(-0.2, -0.1)], ["no difference shown", "B more", "B less"]);
        assert_eq!(reading(None, "B", Lang::En), "too few values");
    }

    #[test]
    fn a_group_is_not_compared_with_itself() {
        let pair = |a: &str, b: &str| {
            Pair::read(&BTreeMap::from([("a".to_owned(), a.to_owned()), ("b".to_owned(), b.to_owned())]))
        };
        assert!(pair("1", "2").is_whole() && !pair("1", "1").is_whole() && !pair("", "1").is_whole());
    }
}
