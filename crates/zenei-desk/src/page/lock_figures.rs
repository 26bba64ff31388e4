//! What do the charts and the table of a lock's page show? One axis of time: battery, resistance, motor, temperature,
//! signal, errors, operations, with its incidents and its changes of firmware. Single operations have no time here.
//! Must not know HTTP. Called by the page of a lock.
use super::figures::{Band, Chart, Curve, Figures, Kind, Mark, Series};
use super::words;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use zenei_incident::message::Lang;
use zenei_store::history::{Bucket, LockHistory, Profile, Span};

/// The most error codes with a colour of their own; the others are one more. A guess: what a reader can tell apart.
const CODES_MAX: usize = 6;
const DAY_MS: i64 = 86_400_000;

/// A window of time, ms since 1970, and the zone in which its days are counted.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) zone: TimeZone,
}

/// One day of a lock, by the spans of time that begin in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Day {
    pub(super) start_ms: i64,
    pub(super) battery_pct: Option<Span>,
    pub(super) battery_mv: Option<Span>,
    pub(super) load_mv: Option<Span>,
    pub(super) resistance_mohm: Option<Span>,
    pub(super) peak_ma: Option<Span>,
    pub(super) effort_mc: Option<Span>,
    pub(super) temp_c: Option<Span>,
    pub(super) rssi_dbm: Option<Span>,
    pub(super) records: u64,
    pub(super) operations: u64,
    pub(super) failed: u64,
    pub(super) errors: BTreeMap<String, u64>,
}

/// The figures of a lock's charts; `bands` are its incidents, `shows_operations` is whether the reader may see when
/// somebody opened the door.
pub(super) fn figures(
    lock: &LockHistory,
    window: &Window,
    bands: Vec<Band>,
    shows_operations: bool,
    lang: Lang,
) -> Figures {
    let buckets = with_gaps(&lock.buckets);
    let days = days(&lock.buckets, &window.zone);
    let mut charts = lines(&buckets, lang);
    charts.extend(bars(&days, lang));
    Figures {
        zone: window.zone.iana_name().unwrap_or("UTC").to_owned(),
        from_s: window.from_ms / 1_000,
        to_s: window.to_ms / 1_000,
        x: buckets.iter().map(|(at_ms, _)| at_ms / 1_000).collect(),
        charts,
        bands,
        marks: lock
            .firmware
            .iter()
            .map(|change| Mark { at_s: change.at_ms / 1_000, name: change.to.clone() })
            .collect(),
        profiles: curves(lock, shows_operations, window, lang),
    }
}

/// Whether a profile can be drawn over time.
pub(super) fn is_drawn(profile: &Profile) -> bool {
    profile.step_ms > 0 && !profile.current_ma.is_empty()
}

/// The days with a record, ascending.
pub(super) fn days(buckets: &[Bucket], zone: &TimeZone) -> Vec<Day> {
    let mut days: BTreeMap<i64, Day> = BTreeMap::new();
    for bucket in buckets {
        let start_ms = start_of_day(bucket.start_ms, zone);
        days.entry(start_ms).or_insert_with(|| Day { start_ms, ..Day::default() }).add(bucket);
    }
    days.into_values().collect()
}

impl Day {
    fn add(&mut self, bucket: &Bucket) {
        join(&mut self.battery_pct, bucket.battery_pct);
        join(&mut self.battery_mv, bucket.battery_mv);
        join(&mut self.load_mv, bucket.load_mv);
        join(&mut self.resistance_mohm, bucket.resistance_mohm);
        join(&mut self.peak_ma, bucket.peak_ma);
        join(&mut self.effort_mc, bucket.effort_mc);
        join(&mut self.temp_c, bucket.temp_c);
        join(&mut self.rssi_dbm, bucket.rssi_dbm);
        self.records += bucket.records;
        self.operations += bucket.operations;
        self.failed += bucket.failed;
        for (code, count) in &bucket.errors {
            *self.errors.entry(code.clone()).or_default() += count;
        }
    }
}

/// The values of two spans of time together.
fn join(into: &mut Option<Span>, more: Option<Span>) {
    let Some(more) = more else { return };
    *into = Some(match *into {
        None => more,
        Some(one) => {
            let count = one.count + more.count;
            let share = if count == 0 { 0.5 } else { more.count as f64 / count as f64 };
            Span {
                min: one.min.min(more.min),
                mean: one.mean + (more.mean - one.mean) * share,
                max: one.max.max(more.max),
                count,
            }
        }
    });
}

fn start_of_day(at_ms: i64, zone: &TimeZone) -> i64 {
    let begin =
        |at: Timestamp| at.to_zoned(zone.clone()).start_of_day().ok().map(|day| day.timestamp().as_millisecond());
    Timestamp::from_millisecond(at_ms).ok().and_then(begin).unwrap_or_else(|| at_ms - at_ms.rem_euclid(DAY_MS))
}

/// The middle of each bucket with the bucket; `None` between two that are not neighbours, so that a line is broken
/// where nothing was heard.
fn with_gaps(buckets: &[Bucket]) -> Vec<(i64, Option<&Bucket>)> {
    let mut out = Vec::with_capacity(buckets.len());
    let mut end_ms = None;
    for bucket in buckets {
        // A lock that reports every few hours leaves single buckets of a short chart empty: two
        // days, as `charts.js` has it.
        if end_ms.is_some_and(|end_ms| bucket.start_ms > end_ms + bucket.length_ms.max(2 * DAY_MS)) {
            out.push((bucket.start_ms - 1_000, None));
        }
        out.push((bucket.start_ms + bucket.length_ms / 2, Some(bucket)));
        end_ms = Some(bucket.start_ms + bucket.length_ms);
    }
    out
}

fn say(key: &'static str, lang: Lang) -> &'static str {
    words::find(key, lang).unwrap_or(key)
}

fn lines(buckets: &[(i64, Option<&Bucket>)], lang: Lang) -> Vec<Chart> {
    type Read = fn(&Bucket) -> Option<Span>;
    let series = |key: &'static str, read: Read| {
        let spans: Vec<Option<Span>> = buckets.iter().map(|(_, bucket)| bucket.and_then(read)).collect();
        Series::spans(say(key, lang), &spans)
    };
    let chart = |id, unit, digits, series| Chart { id, unit, digits, kind: Kind::Line, x: None, series };
    let rest = series("lock_rest", |bucket| bucket.battery_mv);
    let load = series("lock_load", |bucket| bucket.load_mv);
    vec![
        chart("lock_battery", "%", 0, vec![series("lock_battery", |bucket| bucket.battery_pct)]),
        chart("lock_voltage", "mV", 0, vec![rest, load]),
        chart("lock_resistance", "mΩ", 0, vec![series("lock_resistance", |bucket| bucket.resistance_mohm)]),
        chart("lock_effort", "mC", 0, vec![series("lock_effort", |bucket| bucket.effort_mc)]),
        chart("lock_peak", "mA", 0, vec![series("lock_peak", |bucket| bucket.peak_ma)]),
        chart("lock_temp", "°C", 1, vec![series("lock_temp", |bucket| bucket.temp_c)]),
        chart("lock_signal", "dBm", 0, vec![series("lock_signal", |bucket| bucket.rssi_dbm)]),
    ]
}

fn bars(days: &[Day], lang: Lang) -> [Chart; 2] {
    let x: Vec<i64> = days.iter().map(|day| day.start_ms / 1_000).collect();
    let counts = |count: &dyn Fn(&Day) -> u64| days.iter().map(|day| Some(count(day) as f64)).collect::<Vec<_>>();
    let codes = codes(days);
    let mut errors: Vec<Series> = codes
        .iter()
        .take(CODES_MAX)
        .map(|code| Series::plain(*code, counts(&|day| day.errors.get(*code).copied().unwrap_or(0))))
        .collect();
    let shown: BTreeSet<&str> = codes.iter().take(CODES_MAX).copied().collect();
    if codes.len() > CODES_MAX {
        let others =
            |day: &Day| day.errors.iter().filter(|(code, _)| !shown.contains(code.as_str())).map(|(_, n)| n).sum();
        errors.push(Series::plain(say("lock_other_codes", lang), counts(&others)));
    }
    let operations = vec![
        Series::plain(say("lock_op_done", lang), counts(&|day| day.operations.saturating_sub(day.failed))),
        Series::plain(say("lock_op_failed", lang), counts(&|day| day.failed)),
    ];
    let chart = |id, series| Chart { id, unit: "", digits: 0, kind: Kind::Bars, x: Some(x.clone()), series };
    [chart("lock_errors", errors), chart("lock_operations", operations)]
}

/// The error codes, the most frequent first; equals by their text.
fn codes(days: &[Day]) -> Vec<&str> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (code, count) in days.iter().flat_map(|day| &day.errors) {
        *counts.entry(code).or_default() += count;
    }
    let mut codes: Vec<(&str, u64)> = counts.into_iter().collect();
    codes.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    codes.into_iter().map(|(code, _)| code).collect()
}

fn curves(lock: &LockHistory, shows_operations: bool, window: &Window, lang: Lang) -> Vec<Curve> {
    let name = |(place, at_ms): (usize, i64)| match (shows_operations, Timestamp::from_millisecond(at_ms)) {
        (true, Ok(at)) => at.to_zoned(window.zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string(),
        (true, Err(_)) | (false, _) if place == 0 => say("lock_newest", lang).to_owned(),
        (true, Err(_)) | (false, _) => format!("−{place}"),
    };
    let usable = lock.profiles.iter().filter(|profile| is_drawn(profile));
    usable
        .enumerate()
        .map(|(place, profile)| Curve {
            name: name((place, profile.at_ms)),
            step_ms: profile.step_ms,
            ma: profile.current_ma.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const H6: i64 = 6 * 3_600_000;

    fn bucket(start_ms: i64, mv: f64, errors: &[(&str, u64)]) -> Bucket {
        let errors: BTreeMap<String, u64> = errors.iter().map(|(code, n)| ((*code).to_owned(), *n)).collect();
        let span = Span { min: mv - 10.0, mean: mv, max: mv + 10.0, count: 2 };
        Bucket {
            start_ms,
            length_ms: H6,
            battery_mv: Some(span),
            operations: 3,
            failed: 1,
            errors,
            ..Bucket::default()
        }
    }

    fn window() -> Window {
        Window { from_ms: 0, to_ms: 10 * DAY_MS, zone: TimeZone::get("Asia/Tokyo").unwrap() }
    }

    #[test]
    fn days_are_those_of_the_zone_and_keep_the_extremes() {
        // 15:00 UTC is midnight in Tokyo.
        let buckets = [
            bucket(0, 3_000.0, &[("E1", 1)]),
            bucket(12 * 3_600_000, 2_900.0, &[("E1", 2)]),
            bucket(18 * 3_600_000, 2_800.0, &[]),
        ];
        let days = days(&buckets, &window().zone);
        assert_eq!(days.iter().map(|day| day.start_ms).collect::<Vec<_>>(), [-9 * 3_600_000, 15 * 3_600_000]);
        let span = days[0].battery_mv.unwrap();
        assert_eq!((span.min, span.mean, span.max, span.count), (2_890.0, 2_950.0, 3_010.0, 4));
        assert_eq!((days[0].operations, days[0].failed, days[0].errors.values().sum::<u64>()), (6, 2, 3));
    }

    #[test]
    fn a_line_is_broken_where_nothing_was_heard_and_nowhere_else() {
        let buckets = [bucket(0, 1.0, &[]), bucket(H6, 1.0, &[]), bucket(3 * H6, 1.0, &[]), bucket(13 * H6, 1.0, &[])];
        let drawn: Vec<bool> = with_gaps(&buckets).iter().map(|(_, bucket)| bucket.is_some()).collect();
        assert_eq!(drawn, [true, true, true, false, true]);
    }

    #[test]
    fn rare_error_codes_are_one_series_and_no_error_is_lost() {
        let all = [("E1", 9), ("E2", 8), ("E3", 7), ("E4", 6), ("E5", 5), ("E6", 4), ("E7", 3), ("E8", 2)];
        let lock = LockHistory { buckets: vec![bucket(0, 1.0, &all)], ..LockHistory::default() };
        let figures = figures(&lock, &window(), Vec::new(), false, Lang::En);
        let errors = figures.charts.iter().find(|chart| chart.id == "lock_errors").unwrap();
        assert_eq!(errors.series.len(), CODES_MAX + 1);
        let sum: f64 = errors.series.iter().filter_map(|series| series.mean[0]).sum();
        assert_eq!(sum, 44.0);
    }

    #[test]
    fn the_time_of_an_operation_is_named_to_those_who_may_see_it_only() {
        let profile = Profile {
            at_ms: 1_796_040_000_000,
            kind: "lock".into(),
            result: "ok".into(),
            current_ma: vec![1],
            step_ms: 20,
        };
        let lock = LockHistory { profiles: vec![profile.clone(), profile], ..LockHistory::default() };
        let names = |shows| -> Vec<String> {
            figures(&lock, &window(), Vec::new(), shows, Lang::En)
                .profiles
                .into_iter()
                .map(|curve| curve.name)
                .collect()
        };
        assert_eq!(names(true)[0], "2026-11-30 21:00 JST");
        assert!(names(false).iter().all(|name| !name.contains("2026")), "{:?}", names(false));
    }
}
