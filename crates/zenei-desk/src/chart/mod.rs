//! Charts: what a line over time shows, as values for the browser and as an SVG for pages without scripts, messages and
//! documents. Must not know where values come from, but for `of`, which draws the history. Called by the page, the
//! API and the documents.
//!
//! Each point has its least, mean and greatest value, so that a peak of a minute stays visible in a chart of 90 days.
mod of;
mod scale;
mod svg;
mod words;

pub use of::{Measured, evidence, of_cohort, of_lock, of_profiles};
pub use svg::svg;

use serde::Serialize;
use serde_json::{Value, json};

/// The most points of a series in a picture: as many as it has pixels between its axes.
pub const PIXELS: usize = 640;

/// A chart.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Chart {
    /// Its title.
    pub title: String,
    /// What it shows, in a sentence, for those who can't see it.
    pub about: String,
    /// The unit of its values.
    pub unit: String,
    /// The left end, ms since 1970; of profiles: ms of an operation.
    pub from_ms: i64,
    /// The right end.
    pub to_ms: i64,
    /// Its lines.
    pub series: Vec<Series>,
    /// Values that hold for all of it.
    pub levels: Vec<Level>,
    /// Moments.
    pub marks: Vec<Mark>,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its points, ascending by time.
    pub points: Vec<Point>,
}

/// One point: a span of time with its values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The middle of the span, ms since 1970.
    pub at_ms: i64,
    /// The least value in it.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The greatest.
    pub max: f64,
}

/// A value that holds for all of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Level {
    /// What it is.
    pub kind: LevelKind,
    /// The value.
    pub value: f64,
}

/// What a level is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LevelKind {
    /// What is normal.
    Baseline,
    /// From where on it is a finding.
    Threshold,
}

/// A moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mark {
    /// When, ms since 1970.
    pub at_ms: i64,
    /// What happened.
    pub kind: MarkKind,
    /// A few words; untrusted.
    pub label: String,
    /// The value that was seen, where the mark is a finding.
    pub value: Option<f64>,
}

/// What happened at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// A finding.
    Anomaly,
    /// A new firmware.
    Firmware,
    /// An incident was opened.
    Incident,
}

impl Chart {
    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.is_empty())
    }

    /// The values as uPlot takes them: times in seconds, then mean, least and greatest of each series; null where a
    /// series has no point at that time.
    pub fn to_uplot(&self) -> Value {
        let mut times: Vec<i64> =
            self.series.iter().flat_map(|series| series.points.iter().map(|point| point.at_ms)).collect();
        times.sort_unstable();
        times.dedup();
        let seconds: Vec<f64> = times.iter().map(|&at_ms| at_ms as f64 / 1_000.0).collect();
        let mut columns = vec![json!(seconds)];
        for series in &self.series {
            let at = |at_ms: &i64| {
                let found = series.points.binary_search_by_key(at_ms, |point| point.at_ms);
                found.ok().map(|at| series.points[at])
            };
            let points: Vec<Option<Point>> = times.iter().map(at).collect();
            for value in [|point: Point| point.mean, |point: Point| point.min, |point: Point| point.max] {
                columns.push(json!(points.iter().map(|point| point.map(value)).collect::<Vec<_>>()));
            }
        }
        let names: Vec<Value> =
            self.series.iter().map(|series| json!({"name": series.name, "unit": series.unit})).collect();
        json!({
            "title": self.title, "about": self.about, "unit": self.unit, "from_ms": self.from_ms, "to_ms": self.to_ms,
            "series": names, "data": columns, "levels": self.levels, "marks": self.marks,
        })
    }
}

/// At most `most` points in equal spans of time: each keeps the least and the greatest of its span.
pub fn downsampled(points: &[Point], most: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let most = most.max(1);
    if points.len() <= most {
        return points.to_vec();
    }
    let length = (last.at_ms - first.at_ms + 1).max(1) as f64 / most as f64;
    let mut found: Vec<(usize, Point, f64)> = Vec::with_capacity(most);
    for point in points {
        let span = (((point.at_ms - first.at_ms) as f64 / length) as usize).min(most - 1);
        match found.last_mut() {
            Some((at, kept, count)) if *at == span => {
                kept.min = kept.min.min(point.min);
                kept.max = kept.max.max(point.max);
                kept.mean += (point.mean - kept.mean) / (*count + 1.0);
                *count += 1.0;
            }
            Some(_) | None => found.push((span, *point, 1.0)),
        }
    }
    found.into_iter().map(|(_, point, _)| point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_ms: i64, value: f64) -> Point {
        Point { at_ms, min: value, mean: value, max: value }
    }

    #[test]
    fn a_peak_of_one_point_survives_any_downsampling() {
        let mut points: Vec<Point> = (0..10_000).map(|at| point(at * 1_000, 5.0)).collect();
        points[7_777] = point(7_777_000, 900.0);
        points[1_234] = point(1_234_000, -3.0);
        for most in [1, 2, 100, 640] {
            let found = downsampled(&points, most);
            assert!(found.len() <= most, "{}", found.len());
            assert!(found.iter().any(|point| point.max == 900.0) && found.iter().any(|point| point.min == -3.0));
            assert!(found.windows(2).all(|pair| pair[0].at_ms < pair[1].at_ms));
        }
        assert_eq!(downsampled(&points[..5], 5), points[..5], "few points stay as they are");
        assert_eq!(downsampled(&[], 5), []);
    }

    #[test]
    fn series_with_different_times_share_one_axis() {
        let series = |name: &str, points: Vec<Point>| Series { name: name.to_owned(), points, ..Series::default() };
        let chart = Chart {
            series: vec![series("a", vec![point(1_000, 1.0), point(3_000, 3.0)]), series("b", vec![point(2_000, 2.0)])],
            ..Chart::default()
        };
        let found = chart.to_uplot();
        assert_eq!(found["data"][0], json!([1.0, 2.0, 3.0]));
        assert_eq!(found["data"][1], json!([1.0, null, 3.0]));
        assert_eq!(found["data"][4], json!([null, 2.0, null]));
    }
}
