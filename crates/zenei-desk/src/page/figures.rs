//! The figures behind the charts of a page: lines with their extremes, bars on each other, incidents as bands, changes
//! of firmware as marks, on one axis of time. `assets/charts.js` reads them as JSON, and the same figures make the
//! server's own drawing. Must not know a lock or a cohort. Made by the pages of a lock and of a comparison.
use serde::Serialize;
use zenei_store::history::Span;

/// The figures of all charts of a page.
#[derive(Debug, Default, Serialize)]
pub(super) struct Figures {
    /// The IANA name of the zone in which times are shown.
    pub(super) zone: String,
    /// Where the axis begins, s since 1970.
    pub(super) from_s: i64,
    /// Where it ends, s since 1970.
    pub(super) to_s: i64,
    /// The times of the values, s since 1970, ascending; of every chart that has no own ones.
    pub(super) x: Vec<i64>,
    /// The charts, in the order of the page.
    pub(super) charts: Vec<Chart>,
    /// Spans of time to be marked.
    pub(super) bands: Vec<Band>,
    /// Moments to be marked.
    pub(super) marks: Vec<Mark>,
    /// Motor currents, the newest first.
    pub(super) profiles: Vec<Curve>,
}

/// One chart.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    /// Its id on the page, and the key of its title.
    pub(super) id: &'static str,
    /// The unit of its values; empty for counts.
    pub(super) unit: &'static str,
    /// How many digits behind the point are shown.
    pub(super) digits: u8,
    /// How it is drawn.
    pub(super) kind: Kind,
    /// Times of its own, s since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) x: Option<Vec<i64>>,
    /// Its values.
    pub(super) series: Vec<Series>,
}

/// How a chart is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Means as lines, with the range from the least to the greatest around them.
    Line,
    /// Counts on each other, the first at the bottom.
    Bars,
}

/// Values over time; each list is as long as the times.
#[derive(Debug, Default, Serialize)]
pub(super) struct Series {
    /// What they are.
    pub(super) name: String,
    /// Means, or counts.
    pub(super) mean: Vec<Option<f64>>,
    /// The least of each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min: Option<Vec<Option<f64>>>,
    /// The greatest of each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max: Option<Vec<Option<f64>>>,
}

/// A span of time, an incident's.
#[derive(Debug, Serialize)]
pub(super) struct Band {
    pub(super) from_s: i64,
    pub(super) to_s: i64,
    pub(super) name: String,
}

/// A moment, a change of firmware.
#[derive(Debug, Serialize)]
pub(super) struct Mark {
    pub(super) at_s: i64,
    pub(super) name: String,
}

/// A motor current.
#[derive(Debug, Serialize)]
pub(super) struct Curve {
    pub(super) name: String,
    /// The spacing, ms.
    pub(super) step_ms: u16,
    /// The current, mA.
    pub(super) ma: Vec<u16>,
}

impl Series {
    /// Counts, or means without extremes.
    pub(super) fn plain(name: impl Into<String>, mean: Vec<Option<f64>>) -> Self {
        Self { name: name.into(), mean, min: None, max: None }
    }

    /// Means with their extremes.
    pub(super) fn spans(name: impl Into<String>, spans: &[Option<Span>]) -> Self {
        let all =
            |value: fn(&Span) -> f64| spans.iter().map(|span| span.as_ref().map(value).and_then(rounded)).collect();
        Self {
            name: name.into(),
            mean: all(|span| span.mean),
            min: Some(all(|span| span.min)),
            max: Some(all(|span| span.max)),
        }
    }

    fn has_value(&self) -> bool {
        self.mean.iter().any(Option::is_some)
    }
}

impl Chart {
    /// Whether it has a value at all.
    pub(super) fn has_value(&self) -> bool {
        self.series.iter().any(Series::has_value)
    }
}

/// Three digits behind the point: more than any chart shows, and a third of the bytes. JSON has no other numbers than
/// finite ones.
pub(super) fn rounded(value: f64) -> Option<f64> {
    value.is_finite().then(|| (value * 1_000.0).round() / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_its_extremes_and_its_gaps() {
        let span = Span { min: 1.0, mean: 2.000_04, max: 9.0, count: 3 };
        let series = Series::spans("<b>", &[Some(span), None]);
        let json = serde_json::to_string(&series).unwrap();
        assert_eq!(json, r#"{"name":"<b>","mean":[2.0,null],"min":[1.0,null],"max":[9.0,null]}"#);
        assert!(series.has_value());
        assert!(!Series::plain("none", vec![None, None]).has_value());
        assert_eq!(rounded(f64::NAN), None);
    }
}
