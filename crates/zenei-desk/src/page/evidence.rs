//! What an incident's findings measured: observed, baseline and threshold, at the opening and since; and a picture of
//! it. Must not know the casebook: the log's events and the history are enough. Called by [`super::incident`].
use crate::chart::{self, Chart, Level, LevelKind, Point, Series};
use minijinja::{Value, context};
use serde::Serialize;
use zenei_detect::Anomaly;
use zenei_incident::message::{Lang, place_word};
use zenei_incident::{Event, What};
use zenei_store::history::{History, HistoryError};

/// The most findings in the table. A guess; the picture has more.
const ROWS_MAX: usize = 24;
/// The most findings in the picture; of more the first and the latest.
const POINTS_MAX: usize = 240;

/// The findings of one incident.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Evidence {
    /// The finding that opened it.
    first: Option<Finding>,
    /// The latest one, where it is another.
    latest: Option<Finding>,
    /// The first and the latest findings, in order; at most 24.
    rows: Vec<Finding>,
    /// How many are left out between them.
    hidden: usize,
    /// The findings of the picture.
    #[serde(skip)]
    points: Vec<Finding>,
    /// The finding that opened it, as it was found.
    #[serde(skip)]
    opening: Option<Anomaly>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) at_ms: i64,
    pub(super) rule: String,
    rule_version: u32,
    pub(super) value: f64,
    pub(super) baseline: f64,
    pub(super) threshold: f64,
    pub(super) unit: String,
    window_ms: i64,
    place: String,
    why: String,
}

impl Finding {
    fn of(anomaly: &Anomaly, lang: Lang) -> Self {
        Self {
            at_ms: anomaly.at.ms(),
            rule: anomaly.rule.clone(),
            rule_version: anomaly.rule_version,
            value: anomaly.value,
            baseline: anomaly.baseline,
            threshold: anomaly.threshold,
            unit: anomaly.unit.clone(),
            window_ms: anomaly.window_ms,
            place: place_word(&anomaly.scope, lang),
            why: anomaly.why.clone(),
        }
    }
}

impl Evidence {
    /// Of an incident with these events.
    pub(super) fn of(events: &[Event], lang: Lang) -> Self {
        let found: Vec<Finding> =
            events.iter().filter_map(|event| finding(&event.what)).map(|anomaly| Finding::of(anomaly, lang)).collect();
        let ends = |max: usize| -> Vec<Finding> {
            let half = max / 2;
            let tail = found.len().saturating_sub(half).max(half.min(found.len()));
            found.iter().take(half).chain(found.iter().skip(tail)).cloned().collect()
        };
        let rows = ends(ROWS_MAX);
        let opening = events.iter().find_map(|event| finding(&event.what)).cloned();
        Self {
            first: found.first().cloned(),
            latest: if found.len() > 1 { found.last().cloned() } else { None },
            hidden: found.len() - rows.len(),
            points: ends(POINTS_MAX),
            rows,
            opening,
        }
    }

    /// A picture of the values behind the opening, with baseline, threshold and the finding, as an SVG; of the findings
    /// themselves where the history has no such values; `None` where there is nothing to draw.
    ///
    /// # Errors
    /// Where the history can't be read.
    pub(super) fn picture(&self, history: &History, lang: Lang) -> Result<Option<String>, HistoryError> {
        let Some(opening) = &self.opening else { return Ok(None) };
        let measured = chart::evidence(history, opening, lang)?;
        Ok(measured.or_else(|| self.of_findings(opening)).map(|chart| chart::svg(&chart, lang)))
    }

    fn of_findings(&self, opening: &Anomaly) -> Option<Chart> {
        let alike = self.points.iter().filter(|one| one.unit == opening.unit && one.rule == opening.rule);
        let points: Vec<Point> =
            alike.map(|one| Point { at_ms: one.at_ms, min: one.value, mean: one.value, max: one.value }).collect();
        let (from_ms, to_ms) = (points.first()?.at_ms, points.last()?.at_ms);
        if from_ms == to_ms {
            return None;
        }
        let levels = [(LevelKind::Baseline, opening.baseline), (LevelKind::Threshold, opening.threshold)];
        Some(Chart {
            title: opening.rule.clone(),
            about: opening.why.clone(),
            unit: opening.unit.clone(),
            from_ms,
            to_ms,
            series: vec![Series { name: opening.rule.clone(), unit: opening.unit.clone(), points }],
            levels: levels.into_iter().map(|(kind, value)| Level { kind, value }).collect(),
            ..Chart::default()
        })
    }
}

fn finding(what: &What) -> Option<&Anomaly> {
    if let What::Opened(opened) = what {
        return Some(&opened.anomaly);
    }
    if let What::EvidenceAdded(added) = what { Some(&added.anomaly) } else { None }
}

/// The records behind the findings, as a page lists them.
pub(super) fn records(records: &[zenei_detect::Evidence]) -> Vec<Value> {
    records
        .iter()
        .map(|one| {
            context! { lock => one.device_id.clone(), boot => one.boot, seq => one.seq, ts_ms => one.ts_ms }
        })
        .collect()
}
