//! One look at a running zenei: its counters from `/metrics` where the server of `[http]` answers, else from the last
//! checkpoint; what is not told there (the senders' backlog) from the control database. Must not know how it is shown.
//! Called by `top`.
use crate::config::Config;
use crate::daemon::own_http;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use zenei_desk::IncidentLog;
use zenei_detect::Urgency;
use zenei_store::{Control, ControlError, Layout, Ledger};

/// Where the counters come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum From {
    /// `/metrics` of the zenei that runs: as it is now.
    Metrics(String),
    /// The control database, and why not `/metrics`: as it was at the last checkpoint.
    Checkpoint(String),
}

/// A part of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) name: String,
    #[serde(rename = "ready")]
    pub(super) is_ready: bool,
    #[serde(default)]
    pub(super) why: String,
}

/// What was seen; counts are of records since the state directory was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Look {
    pub(super) from: From,
    pub(super) received: BTreeMap<String, u64>,
    pub(super) stored: u64,
    pub(super) duplicate: u64,
    /// By reason, without those that are 0; so is the next.
    pub(super) dead_letter: BTreeMap<String, u64>,
    pub(super) dropped: BTreeMap<String, u64>,
    /// Received and not yet sealed.
    pub(super) lag: u64,
    pub(super) spool_bytes: u64,
    /// Stored here, and not yet in ClickHouse; `None` without one.
    pub(super) ship_lag: Option<u64>,
    /// Open incidents by urgency.
    pub(super) open: BTreeMap<String, u64>,
    /// Messages that wait to be sent, by target; 0 for one that waits for nothing.
    pub(super) waiting: BTreeMap<String, u64>,
    /// `None` where nothing answers.
    pub(super) is_ready: Option<bool>,
    pub(super) parts: Vec<Part>,
}

impl Look {
    /// All received records.
    pub(super) fn received_total(&self) -> u64 {
        self.received.values().sum()
    }
}

/// Looks once.
///
/// # Errors
/// Why neither `/metrics` nor the control database can be read.
pub(super) fn look(config: &Config, token: Option<&str>) -> Result<Look, String> {
    let control = open(&config.state_dir);
    let mut look = match metrics(config, token) {
        Ok((url, text)) => of_metrics(&text, url),
        Err(why) => {
            let control = control.as_ref().map_err(|what| format!("{why}; {what}"))?;
            of_control(control, why).map_err(|error| zenei_store::with_causes(&error))?
        }
    };
    look.ship_lag = look.ship_lag.filter(|_| config.store.clickhouse.is_some());
    look.waiting = config.notify.keys().map(|target| (target.clone(), 0)).collect();
    if let Ok(control) = &control {
        for row in control.undelivered().map_err(|error| zenei_store::with_causes(&error))? {
            *look.waiting.entry(row.target).or_default() += 1;
        }
    }
    if let (From::Metrics(_), Some(http)) = (&look.from, &config.http)
        && let Ok((status, body)) = own_http::get(http.listen, "/readyz", token)
    {
        look.is_ready = Some(status == 200);
        look.parts = parts(&body);
    }
    Ok(look)
}

fn open(state_dir: &Path) -> Result<Control, String> {
    let path = Layout::new(state_dir).control();
    if !path.is_file() {
        return Err(format!("{} does not exist: no zenei has run with this state_dir yet", path.display()));
    }
    Control::open_read_only(&path).map_err(|error| zenei_store::with_causes(&error))
}

/// The address and text of `/metrics`, or why there is none.
fn metrics(config: &Config, token: Option<&str>) -> Result<(String, String), String> {
    let http = config.http.as_ref().ok_or_else(|| "[http] is not configured".to_owned())?;
    let url = format!("http://{}/metrics", own_http::reachable(http.listen));
    match own_http::get(http.listen, "/metrics", token) {
        Ok((200, text)) if text.contains("zenei_stored_total") => Ok((url, text)),
        Ok((401 | 403, _)) => Err(format!("{url} wants a token: --token-file")),
        Ok((status, _)) => Err(format!("{url} answers {status}, and is no zenei's")),
        Err(why) => Err(format!("{url}: {why}")),
    }
}

/// The parts of an answer of `/readyz`; none where it has another form.
fn parts(body: &str) -> Vec<Part> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        parts: Vec<Part>,
    }
    serde_json::from_str::<Answer>(body).map(|answer| answer.parts).unwrap_or_default()
}

/// The values of `/metrics`: name, its labels, value.
fn samples(text: &str) -> impl Iterator<Item = (&str, BTreeMap<&str, &str>, u64)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        // The names that are read here have labels of plain words.
        let labels = labels.strip_suffix('}')?.split(',').filter_map(|pair| pair.split_once('='));
        let labels = labels.map(|(label, value)| (label, value.trim_matches('"'))).collect();
        Some((name, labels, value.parse().ok()?))
    })
}

fn of_metrics(text: &str, url: String) -> Look {
    let mut look = Look { open: by_urgency(), ..none(From::Metrics(url)) };
    for (name, labels, value) in samples(text) {
        let label = |label: &str| labels.get(label).map(|&word| word.to_owned()).unwrap_or_default();
        match name {
            "zenei_received_total" => *look.received.entry(label("source")).or_default() += value,
            "zenei_stored_total" => look.stored = value,
            "zenei_duplicate_total" => look.duplicate = value,
            "zenei_dead_letter_total" if value > 0 => *look.dead_letter.entry(label("reason")).or_default() += value,
            "zenei_dropped_total" if value > 0 => *look.dropped.entry(label("reason")).or_default() += value,
            "zenei_spool_lag_records" => look.lag = value,
            "zenei_spool_bytes" => look.spool_bytes = value,
            "zenei_ship_lag_records" => look.ship_lag = Some(value),
            "zenei_incidents_open" => *look.open.entry(label("urgency")).or_default() += value,
            _ => {}
        }
    }
    look
}

fn of_control(control: &Control, why: String) -> Result<Look, ControlError> {
    let ledger: Ledger = control.checkpoint()?.unwrap_or_default().ledger;
    let mut look = Look { open: by_urgency(), ..none(From::Checkpoint(why)) };
    let log = IncidentLog::read(control, Arc::default());
    for incident in log.iter().flat_map(|log| log.book.incidents()).filter(|incident| incident.is_open()) {
        *look.open.entry(incident.urgency.as_str().to_owned()).or_default() += 1;
    }
    let said = |word: &str, &count: &u64| (word.to_owned(), count);
    look.received = ledger.received.iter().map(|(source, count)| said(source.as_str(), count)).collect();
    look.dead_letter = ledger.dead_letter.iter().map(|(reason, count)| said(reason.as_str(), count)).collect();
    look.dropped = ledger.dropped.iter().map(|(reason, count)| said(reason.as_str(), count)).collect();
    look.dead_letter.retain(|_, count| *count > 0);
    look.dropped.retain(|_, count| *count > 0);
    (look.stored, look.duplicate, look.lag) = (ledger.stored, ledger.duplicate, ledger.pending);
    (look.spool_bytes, look.ship_lag) = (ledger.spool_bytes, Some(ledger.ship_lag_records));
    Ok(look)
}

fn by_urgency() -> BTreeMap<String, u64> {
    Urgency::ALL.iter().map(|urgency| (urgency.as_str().to_owned(), 0)).collect()
}

fn none(from: From) -> Look {
    Look {
        from,
        received: BTreeMap::new(),
        stored: 0,
        duplicate: 0,
        dead_letter: BTreeMap::new(),
        dropped: BTreeMap::new(),
        lag: 0,
        spool_bytes: 0,
        ship_lag: None,
        open: BTreeMap::new(),
        waiting: BTreeMap::new(),
        is_ready: None,
        parts: Vec::new(),
    }
}

/// A look that saw nothing, for the tests of `shown`.
#[cfg(test)]
pub(super) fn tests_look() -> Look {
    none(From::Metrics("http://127.0.0.1:8080/metrics".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_metrics_are_read_and_sums_are_taken_over_other_labels() {
        let text = "# HELP zenei_received Records received\nzenei_received_total{source=\"mqtt\"} 7\n\
            zenei_received_total{source=\"ble\"} 0\nzenei_stored_total 5\nzenei_spool_lag_records 2\n\
            zenei_dead_letter_total{reason=\"bad_json\"} 0\nzenei_dead_letter_total{reason=\"too_deep\"} 1\n\
            zenei_incidents_open{domain=\"hardware\",urgency=\"high\"} 2\n\
            zenei_incidents_open{domain=\"software\",urgency=\"high\"} 1\nzenei_other 1.5\n# EOF\n";
        let look = of_metrics(text, "http://x".to_owned());
        assert_eq!((look.received_total(), look.stored, look.lag), (7, 5, 2));
        assert_eq!(look.dead_letter, BTreeMap::from([("too_deep".to_owned(), 1)]));
        assert_eq!((look.open["high"], look.open["low"]), (3, 0));
    }

    #[test]
    fn an_answer_about_readiness_of_another_form_has_no_parts() {
        let parts_of = |text: &str| parts(text).len();
        assert_eq!(parts_of(r#"{"status":"ready","parts":[{"name":"broker","ready":false,"why":"no SUBACK"}]}"#), 1);
        assert_eq!((parts_of("{}"), parts_of("ready")), (0, 0));
    }
}
