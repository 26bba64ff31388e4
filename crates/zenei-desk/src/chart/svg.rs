//! A chart as an SVG: equal values give equal bytes, every text is escaped, and no style or script is in it. Classes
//! let a page's own style colour it for light and dark; the attributes are for places without one. Must not know where
//! values come from. Called by the page, messages and documents.
use super::scale::{is_days, times, value_text, values};
use super::words::{Word, word};
use super::{Chart, Level, LevelKind, Mark, MarkKind, PIXELS, Point, downsampled};
use std::fmt::Write as _;
use zenei_incident::message::{Lang, is_mark};
use zenei_wire::calendar;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 30.0;
/// The colours of the lines, in their order; told apart by brightness too, and each line is named. Okabe and Ito, 2008.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
/// The most marks of a picture; more can't be told apart. A guess.
const MARKS_MAX: usize = 60;
/// The most characters of a text.
const TEXT_MAX: usize = 80;

/// Where values are in the picture.
struct Place {
    from_ms: i64,
    to_ms: i64,
    low: f64,
    high: f64,
}

impl Place {
    fn x(&self, at_ms: i64) -> f64 {
        let length = self.to_ms.saturating_sub(self.from_ms).max(1) as f64;
        let share = at_ms.saturating_sub(self.from_ms) as f64 / length;
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low).max(f64::MIN_POSITIVE);
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

/// The picture. Its times are of UTC.
pub fn svg(chart: &Chart, lang: Lang) -> String {
    let (place, ticks) = place(chart);
    let mut out = String::with_capacity(16_384);
    let (title, about) = (escaped(&chart.title), escaped(&chart.about));
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" class=\"chart\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"11\" fill=\"currentColor\"><title>{title}</title><desc>{about}</desc>\
         <text class=\"chart-title\" x=\"{LEFT}\" y=\"14\" font-size=\"13\">{title}</text>"
    );
    axes(&mut out, chart, &place, &ticks, lang);
    if chart.is_empty() {
        let (x, y) = (WIDTH / 2.0, HEIGHT / 2.0);
        let said = word(Word::NoValues, lang);
        let _ = write!(out, "<text class=\"chart-none\" x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{said}</text>");
    }
    for (number, series) in chart.series.iter().enumerate() {
        line(&mut out, &downsampled(&series.points, PIXELS), number, &place);
    }
    for level in &chart.levels {
        level_line(&mut out, *level, &place, lang);
    }
    for mark in chart.marks.iter().take(MARKS_MAX) {
        mark_line(&mut out, mark, &place);
    }
    legend(&mut out, chart);
    out.push_str("</svg>");
    out
}

fn place(chart: &Chart) -> (Place, Vec<f64>) {
    let points = chart.series.iter().flat_map(|series| &series.points);
    let found = points.flat_map(|point| [point.min, point.max]);
    let levels = chart.levels.iter().map(|level| level.value);
    let marks = chart.marks.iter().filter_map(|mark| mark.value);
    let all = found.chain(levels).chain(marks).filter(|value| value.is_finite());
    let (low, high) =
        all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high, ticks) = values(low, high);
    (Place { from_ms: chart.from_ms, to_ms: chart.to_ms, low, high }, ticks)
}

fn axes(out: &mut String, chart: &Chart, place: &Place, ticks: &[f64], lang: Lang) {
    let step = ticks.windows(2).next().map_or(1.0, |pair| pair[1] - pair[0]);
    let (left, right) = (LEFT - 6.0, WIDTH - RIGHT);
    for &tick in ticks {
        let (y, text) = (place.y(tick), value_text(tick, step));
        let below = y + 4.0;
        let _ = write!(
            out,
            "<line class=\"chart-grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#8886\"/>\
             <text class=\"chart-tick\" x=\"{left}\" y=\"{below:.1}\" text-anchor=\"end\">{text}</text>"
        );
    }
    let unit = escaped(&chart.unit);
    let _ = write!(out, "<text class=\"chart-unit\" x=\"4\" y=\"28\">{unit}</text>");
    let (ticks, step_ms) = times(chart.from_ms, chart.to_ms);
    let y = HEIGHT - BOTTOM + 16.0;
    for tick in ticks {
        let (x, text) = (place.x(tick), time_text(tick, step_ms, chart.from_ms >= 86_400_000));
        let _ = write!(out, "<text class=\"chart-tick\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>");
    }
    if chart.from_ms >= 86_400_000 {
        let (x, y) = (WIDTH - RIGHT, HEIGHT - 2.0);
        let zone = word(Word::Utc, lang);
        let _ = write!(
            out,
            "<text class=\"chart-zone\" x=\"{x}\" y=\"{y}\" text-anchor=\"end\" font-size=\"9\">{zone}</text>"
        );
    }
}

/// A moment's text: month and day, or the time of day; of a profile, ms.
fn time_text(at_ms: i64, step_ms: i64, is_calendar: bool) -> String {
    if !is_calendar {
        return format!("{at_ms} ms");
    }
    let (days, in_day) = (at_ms.div_euclid(86_400_000), at_ms.rem_euclid(86_400_000));
    let calendar::Date { month, day, .. } = calendar::date(days);
    if is_days(step_ms) || in_day == 0 {
        format!("{month:02}-{day:02}")
    } else {
        format!("{:02}:{:02}", in_day / 3_600_000, in_day / 60_000 % 60)
    }
}

/// The band from least to greatest, and the line of means; both end where there is no value for long.
fn line(out: &mut String, points: &[Point], number: usize, place: &Place) {
    let colour = COLOURS[number % COLOURS.len()];
    for run in runs(points) {
        let mut path = String::new();
        for (at, point) in run.iter().enumerate() {
            let command = if at == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", place.x(point.at_ms), place.y(point.mean));
        }
        if run.iter().any(|point| point.min < point.max) {
            let mut band = String::new();
            let upper = run.iter().map(|point| (point.at_ms, point.max));
            let lower = run.iter().rev().map(|point| (point.at_ms, point.min));
            for (at, (at_ms, value)) in upper.chain(lower).enumerate() {
                let command = if at == 0 { 'M' } else { 'L' };
                let _ = write!(band, "{command}{:.1} {:.1}", place.x(at_ms), place.y(value));
            }
            let _ = write!(
                out,
                "<path class=\"chart-band chart-{number}\" d=\"{band}Z\" fill=\"{colour}\" fill-opacity=\"0.2\" \
                 stroke=\"{colour}\" stroke-opacity=\"0.35\"/>"
            );
        }
        if let [only] = run {
            let (x, y) = (place.x(only.at_ms), place.y(only.mean));
            let _ = write!(
                out,
                "<circle class=\"chart-dot chart-{number}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"{colour}\"/>"
            );
        } else {
            let _ = write!(
                out,
                "<path class=\"chart-line chart-{number}\" d=\"{path}\" fill=\"none\" stroke=\"{colour}\" \
                 stroke-width=\"1.5\"/>"
            );
        }
    }
}

/// The parts of a series without a hole: a hole is longer than five usual distances.
fn runs(points: &[Point]) -> Vec<&[Point]> {
    let mut steps: Vec<i64> = points.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms).collect();
    steps.sort_unstable();
    let hole = steps.get(steps.len() / 2).map_or(i64::MAX, |usual| usual.saturating_mul(5));
    points.chunk_by(|a, b| b.at_ms - a.at_ms <= hole).collect()
}

fn level_line(out: &mut String, level: Level, place: &Place, lang: Lang) {
    let (class, name, dash, colour) = match level.kind {
        LevelKind::Baseline => ("baseline", word(Word::Baseline, lang), "6 4", "#4a6"),
        LevelKind::Threshold => ("threshold", word(Word::Threshold, lang), "2 3", "#c22"),
    };
    let (y, right, after) = (place.y(level.value), WIDTH - RIGHT, LEFT + 4.0);
    let above = y - 4.0;
    let _ = write!(
        out,
        "<line class=\"chart-{class}\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\" \
         stroke-width=\"1.5\" stroke-dasharray=\"{dash}\"/><text class=\"chart-{class}-name\" x=\"{after}\" \
         y=\"{above:.1}\">{name}</text>"
    );
}

fn mark_line(out: &mut String, mark: &Mark, place: &Place) {
    let (class, dash, colour) = match mark.kind {
        MarkKind::Anomaly => ("anomaly", "none", "#c22"),
        MarkKind::Firmware => ("firmware", "4 3", "#65a"),
        MarkKind::Incident => ("incident", "none", "#b60"),
    };
    let (x, bottom, label) = (place.x(mark.at_ms), HEIGHT - BOTTOM, escaped(&mark.label));
    let _ = write!(
        out,
        "<g class=\"chart-{class}\"><title>{label}</title><line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" \
         stroke=\"{colour}\" stroke-dasharray=\"{dash}\"/>"
    );
    if let Some(value) = mark.value {
        let y = place.y(value);
        let _ = write!(out, "<path d=\"M{x:.1} {:.1}l6 6l-6 6l-6 -6Z\" fill=\"{colour}\" stroke=\"#fff\"/>", y - 6.0);
    }
    out.push_str("</g>");
}

/// The names of the lines, where there is more than one.
fn legend(out: &mut String, chart: &Chart) {
    if chart.series.len() < 2 {
        return;
    }
    let mut x = LEFT;
    for (number, series) in chart.series.iter().enumerate() {
        let (colour, name) = (COLOURS[number % COLOURS.len()], escaped(&series.name));
        let text = x + 16.0;
        let _ = write!(
            out,
            "<rect class=\"chart-{number}\" x=\"{x:.1}\" y=\"21\" width=\"12\" height=\"4\" fill=\"{colour}\"/>\
             <text class=\"chart-name\" x=\"{text:.1}\" y=\"27\">{name}</text>"
        );
        x = text + 7.0 * series.name.chars().map(|c| if c.is_ascii() { 1.0 } else { 1.7 }).sum::<f64>() + 12.0;
    }
}

/// A text that can stand in markup: at most [`TEXT_MAX`] characters, none of them a sign of markup or a control.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let is_cut = text.chars().count() > TEXT_MAX * 4;
    for c in text.chars().take(TEXT_MAX * 4) {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            // What changes how the rest reads is shown, as on the pages.
            c if is_mark(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    if is_cut {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::Series;

    fn chart() -> Chart {
        let day = |day: i64, mean: f64| Point {
            at_ms: 1_780_012_800_000 + day * 86_400_000,
            min: mean - 9.0,
            mean,
            max: mean + 9.0,
        };
        Chart {
            title: "Resistance of <b>BL1</b>".to_owned(),
            about: "\"><script>alert(1)</script>".to_owned(),
            unit: "mΩ".to_owned(),
            from_ms: 1_780_012_800_000,
            to_ms: 1_780_012_800_000 + 30 * 86_400_000,
            series: vec![Series {
                name: "a & b".to_owned(),
                unit: "mΩ".to_owned(),
                points: (0..30).filter(|at| !(10..18).contains(at)).map(|at| day(at, 500.0 + at as f64)).collect(),
            }],
            levels: vec![
                Level { kind: LevelKind::Baseline, value: 500.0 },
                Level { kind: LevelKind::Threshold, value: 650.0 },
            ],
            marks: vec![Mark {
                at_ms: 1_780_012_800_000 + 25 * 86_400_000,
                kind: MarkKind::Anomaly,
                label: "<img src=x onerror=alert(1)>".to_owned(),
                value: Some(700.0),
            }],
        }
    }

    #[test]
    fn equal_values_give_equal_bytes_and_markup_is_inert() {
        let found = svg(&chart(), Lang::En);
        assert_eq!(found, svg(&chart(), Lang::En));
        for hostile in ["<b>", "<script", "<img", "style=", "onload"] {
            assert!(!found.contains(hostile), "{hostile} in {found}");
        }
        assert!(found.contains("&lt;img src=x"), "the text is still there");
        assert_eq!(found.matches("chart-line").count(), 2, "a hole of eight days parts the line");
        assert_ne!(found, svg(&chart(), Lang::Ja));
    }

    #[test]
    fn the_picture_holds_broken_values_and_none_at_all() {
        let mut broken = chart();
        broken.series[0].points[3].mean = f64::NAN;
        broken.series[0].points[4].max = f64::INFINITY;
        broken.levels[0].value = f64::NAN;
        let found = svg(&broken, Lang::En);
        assert!(!found.contains("NaN") && !found.contains("inf"), "{found}");
        let none = Chart { series: Vec::new(), levels: Vec::new(), marks: Vec::new(), ..chart() };
        assert!(svg(&none, Lang::En).contains("no values"));
    }
}
