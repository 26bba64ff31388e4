//! `zenei lock show`: one lock by its history, the registry and its incidents. Reads only, beside a running daemon or
//! without one; shows no single operation, because who opened a door when is a resident's private matter. Called by
//! `cmd`.
use crate::cli::lock::{Lock as Command, LockShow};
use crate::config;
use crate::daemon::{contents, control, history};
use crate::exit::Failure;
use crate::output::{Output, escaped, table, time};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use zenei_desk::IncidentLog;
use zenei_incident::Incident;
use zenei_store::history::{Bucket, Due, HistoryError, LockHistory, Span};
use zenei_store::{Layout, Registration};
use zenei_wire::EngineTime;

const DAY_MS: i64 = 86_400_000;
/// How wide a line of the past is, in signs.
const SIGNS: usize = 60;
/// How many incidents, errors and changes of firmware are shown; `--json` has all.
const ROWS: usize = 10;

/// What is measured in a span of time.
type Measure = fn(&Bucket) -> Option<Span>;

/// Runs `lock show`.
///
/// # Errors
/// Where there is no history yet, it has no such lock, or something can't be read.
pub(crate) fn run(command: Command, out: &mut Output<'_>) -> Result<(), Failure> {
    match command {
        Command::Show(arguments) => show(&arguments, out),
    }
}

fn show(arguments: &LockShow, out: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = config::load(&arguments.common.file.config, &config::variables()).map_err(Failure::Config)?;
    let config = &loaded.config;
    let history = history::of(config)?;
    let unread = |error: HistoryError| match error {
        error @ HistoryError::Remote(_) => Failure::Unreachable(zenei_store::with_causes(&error)),
        error @ (HistoryError::Local { .. }
        | HistoryError::Row { .. }
        | HistoryError::Store(_)
        | HistoryError::Disk { .. }
        | HistoryError::Cursor { .. }) => Failure::broken("the lock can't be shown", error),
    };
    let to_ms = history.up_to_ms().map_err(unread)?.saturating_add(1);
    let from_ms = to_ms - i64::from(arguments.days) * DAY_MS;
    let device = arguments.device.as_str();
    let Some(lock) = history.lock(device, from_ms, to_ms, SIGNS).map_err(unread)? else {
        let file = Layout::new(&config.state_dir).history();
        let what = match (to_ms, file.is_file()) {
            (..=1, false) => format!("{} does not exist: `zenei run` makes it", file.display()),
            (_, _) => format!("no record of {} is in the history", escaped(device)),
        };
        return Err(Failure::Failed(what));
    };
    let registry = config.registry.as_ref().map(|registry| &*registry.file);
    let lines = contents::registry(registry, None).map_err(Failure::Failed)?.lines;
    let line = lines.iter().find(|line| line.device_id == device);
    let control = control::open(&config.state_dir)?;
    let log = IncidentLog::read(&control, Arc::default());
    let log = log.map_err(|error| Failure::broken("can't read the incidents", error))?;
    let mut incidents: Vec<&Incident> =
        log.book.incidents().filter(|incident| incident.devices.contains(device)).collect();
    incidents.sort_by_key(|incident| (std::cmp::Reverse(incident.opened), incident.id));
    if arguments.common.json {
        return out.json(&to_json(&lock, line, &incidents, (from_ms, to_ms)));
    }
    tell(&lock, line, arguments.days, out)?;
    tell_events(&lock, &incidents, out)
}

fn to_json(lock: &LockHistory, line: Option<&Registration>, incidents: &[&Incident], span: (i64, i64)) -> Json {
    let incident = |incident: &&Incident| {
        json!({
            "id": incident.id, "opened_ms": incident.opened, "status": incident.status.as_str(),
            "urgency": incident.urgency.as_str(), "domain": incident.domain, "title": incident.title,
        })
    };
    json!({
        "version": 1, "device_id": lock.now.device_id, "from_ms": span.0, "to_ms": span.1, "now": lock.now,
        "registry": line.map(|line| json!({
            "customer": line.customer, "site": line.site, "door": line.door, "installed_at": line.installed_at,
        })),
        "buckets": lock.buckets, "firmware": lock.firmware, "errors": errors(&lock.buckets),
        "incidents": incidents.iter().map(incident).collect::<Vec<_>>(),
    })
}

fn tell(lock: &LockHistory, line: Option<&Registration>, days: u16, out: &mut Output<'_>) -> Result<(), Failure> {
    let now = &lock.now;
    let said = |text: &str| if text.is_empty() { "-".to_owned() } else { escaped(text) };
    out.line(escaped(&now.device_id))?;
    let trust = if now.authenticated { "" } else { " (its sender is not proven)" };
    let mut fields = vec![
        ("last heard", format!("{}{trust}", time(EngineTime(now.heard_ms)))),
        ("site", said(&now.site)),
        ("gateway", said(&now.gateway)),
        ("model", format!("{}, board {}, lot {}", said(&now.model), said(&now.hw_rev), said(&now.lot))),
        ("firmware", said(&now.fw)),
        ("service", said(&now.service)),
        ("battery", battery(lock)),
        ("battery due", due(now.battery_due)),
        ("records", format!("{}, {} errors in the last 7 days", now.records, now.errors_7d)),
    ];
    if let Some(line) = line {
        fields.insert(1, ("customer", said(&line.customer)));
        fields.insert(2, ("door", format!("{}, installed {}", said(&line.door), said(&line.installed_at))));
    }
    for (name, value) in fields {
        out.line(format!("  {name:<12} {value}"))?;
    }
    let (operations, failed) =
        lock.buckets.iter().fold((0, 0), |(all, failed), bucket| (all + bucket.operations, failed + bucket.failed));
    out.line(format!("the last {days} days: {operations} operations, {failed} failed"))?;
    let lines: [(&str, &str, Measure); 6] = [
        ("battery", "%", |bucket| bucket.battery_pct),
        ("under load", "mV", |bucket| bucket.load_mv),
        ("resistance", "mΩ", |bucket| bucket.resistance_mohm),
        ("motor", "mC", |bucket| bucket.effort_mc),
        ("temperature", "°C", |bucket| bucket.temp_c),
        ("signal", "dBm", |bucket| bucket.rssi_dbm),
    ];
    for (name, unit, value) in lines {
        if let Some(line) = past(&lock.buckets, value) {
            out.line(format!("  {name:<12} {line} {unit}"))?;
        }
    }
    Ok(())
}

fn tell_events(lock: &LockHistory, incidents: &[&Incident], out: &mut Output<'_>) -> Result<(), Failure> {
    let mut codes: Vec<(String, u64)> = errors(&lock.buckets).into_iter().collect();
    codes.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), code.clone()));
    let rows: Vec<Vec<String>> =
        codes.iter().take(ROWS).map(|(code, count)| vec![escaped(code), count.to_string()]).collect();
    rows_under(&["error", "count"], &rows, out)?;
    let newest = lock.firmware.iter().rev().take(ROWS);
    let change = |change: &zenei_store::history::Firmware| {
        vec![time(EngineTime(change.at_ms)), escaped(&change.from), escaped(&change.to)]
    };
    rows_under(&["new firmware", "from", "to"], &newest.map(change).collect::<Vec<_>>(), out)?;
    let incident = |incident: &&Incident| {
        vec![
            incident.id.to_string()[..12].to_owned(),
            time(incident.opened),
            incident.status.as_str().to_owned(),
            incident.urgency.as_str().to_owned(),
            escaped(&incident.title),
        ]
    };
    let rows: Vec<Vec<String>> = incidents.iter().take(ROWS).map(incident).collect();
    rows_under(&["incident", "opened", "status", "urgency", "title"], &rows, out)
}

fn rows_under(head: &[&str], rows: &[Vec<String>], out: &mut Output<'_>) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    table(head, rows).iter().try_for_each(|line| out.line(line))
}

fn errors(buckets: &[Bucket]) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for (code, count) in buckets.iter().flat_map(|bucket| &bucket.errors) {
        *found.entry(code.clone()).or_default() += count;
    }
    found
}

fn battery(lock: &LockHistory) -> String {
    let pct = lock.now.battery_pct.map_or_else(|| "-".to_owned(), |pct| format!("{pct} %"));
    lock.now.battery_mv.map_or_else(|| pct.clone(), |mv| format!("{pct}, {mv} mV at rest"))
}

/// When the battery is due, with its interval of 90 %.
fn due(due: Option<Due>) -> String {
    let Some(Due { early_days, likely_days, late_days }) = due else {
        return "can't be told from its records yet".to_owned();
    };
    if likely_days <= 0.0 {
        return "now".to_owned();
    }
    let early = early_days.max(0.0);
    if late_days.is_finite() {
        format!("in {likely_days:.0} days (90 %: {early:.0} to {late_days:.0})")
    } else {
        format!("in {likely_days:.0} days (95 %: not before {early:.0})")
    }
}

/// The means as a line of signs, with the least and the greatest value; `None` where there is none.
fn past(buckets: &[Bucket], value: fn(&Bucket) -> Option<Span>) -> Option<String> {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let spans: Vec<Span> = buckets.iter().filter_map(value).collect();
    let low = spans.iter().map(|span| span.min).fold(f64::INFINITY, f64::min);
    let high = spans.iter().map(|span| span.max).fold(f64::NEG_INFINITY, f64::max);
    let last = spans.last()?;
    let level = |mean: f64| {
        let share = if high > low { (mean - low) / (high - low) } else { 0.5 };
        LEVELS[((share * 7.0).round() as usize).min(7)]
    };
    let signs: String = buckets.iter().map(|bucket| value(bucket).map_or(' ', |span| level(span.mean))).collect();
    Some(format!("{signs} {low:.0} to {high:.0}, now {:.0}", last.mean))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_battery_says_when_and_how_sure() {
        let told = |early_days, likely_days, late_days| due(Some(Due { early_days, likely_days, late_days }));
        assert_eq!(told(12.4, 30.2, 55.0), "in 30 days (90 %: 12 to 55)");
        assert_eq!(told(-3.0, 30.2, f64::INFINITY), "in 30 days (95 %: not before 0)");
        assert_eq!(told(-9.0, -2.0, 1.0), "now");
        assert_eq!(due(None), "can't be told from its records yet");
    }

    #[test]
    fn a_past_has_its_extremes_and_a_blank_where_nothing_was_heard() {
        let bucket = |mean: Option<f64>| Bucket {
            battery_pct: mean.map(|mean| Span { min: mean - 1.0, mean, max: mean + 1.0, count: 2 }),
            ..Bucket::default()
        };
        let buckets = [bucket(Some(90.0)), bucket(None), bucket(Some(50.0))];
        assert_eq!(past(&buckets, |bucket| bucket.battery_pct).unwrap(), "█ ▁ 49 to 91, now 50");
        assert_eq!(past(&buckets, |bucket| bucket.peak_ma), None);
    }
}
