//! The charts of a page as its template takes them: title, unit, key, and the drawing that the server made, which stays
//! where no script runs. Must not know what is drawn. Called by the pages with charts.
use super::figures::{Chart, Curve, Figures, Kind};
use super::words;
use crate::chart;
use minijinja::{Value, context};
use zenei_incident::message::Lang;

/// The charts; `about` says more of one by its id, `none` is the text of a chart without a value.
pub(super) fn charts(
    figures: &Figures,
    about: impl Fn(&str) -> Option<&'static str>,
    none: &str,
    lang: Lang,
) -> Vec<Value> {
    let draw = |one: &Chart| {
        let has_value = one.has_value();
        context! {
            id => one.id,
            title => words::find(one.id, lang).unwrap_or(one.id),
            unit => one.unit,
            about => about(one.id),
            names => one.series.iter().map(|series| series.name.clone()).collect::<Vec<_>>(),
            is_bars => one.kind == Kind::Bars,
            has_value,
            none,
            svg => if has_value { picture(figures, one, lang) } else { Value::from("") },
        }
    };
    figures.charts.iter().map(draw).collect()
}

/// The server's drawing of a chart, with the moments of the page. Counts are drawn as lines.
fn picture(figures: &Figures, one: &Chart, lang: Lang) -> Value {
    let times = one.x.as_ref().unwrap_or(&figures.x);
    let series = one.series.iter().map(|series| {
        let at = |list: &Option<Vec<Option<f64>>>, place: usize, mean: f64| {
            list.as_ref().and_then(|list| list.get(place).copied().flatten()).unwrap_or(mean)
        };
        let points = times.iter().zip(&series.mean).enumerate().filter_map(|(place, (at_s, mean))| {
            let mean = (*mean)?;
            let (min, max) = (at(&series.min, place, mean), at(&series.max, place, mean));
            Some(chart::Point { at_ms: at_s * 1_000, min, mean, max })
        });
        chart::Series { name: series.name.clone(), unit: one.unit.to_owned(), points: points.collect() }
    });
    let mark =
        |at_s: i64, kind, label: &str| chart::Mark { at_ms: at_s * 1_000, kind, label: label.to_owned(), value: None };
    let firmware = figures.marks.iter().map(|one| mark(one.at_s, chart::MarkKind::Firmware, &one.name));
    let opened = figures.bands.iter().filter(|band| band.from_s >= figures.from_s);
    let incidents = opened.map(|band| mark(band.from_s, chart::MarkKind::Incident, ""));
    let title = words::find(one.id, lang).unwrap_or(one.id).to_owned();
    let whole = chart::Chart {
        about: title.clone(),
        title,
        unit: one.unit.to_owned(),
        from_ms: figures.from_s * 1_000,
        to_ms: figures.to_s * 1_000,
        series: series.collect(),
        levels: Vec::new(),
        marks: firmware.chain(incidents).collect(),
    };
    // The chart module escapes every text in it.
    Value::from_safe_string(chart::svg(&whole, lang))
}

/// The server's drawing of motor currents over each other.
pub(super) fn curves(curves: &[Curve], lang: Lang) -> Value {
    let line = |curve: &Curve| {
        let point = |(place, ma): (usize, &u16)| {
            let value = f64::from(*ma);
            chart::Point { at_ms: place as i64 * i64::from(curve.step_ms), min: value, mean: value, max: value }
        };
        let points = curve.ma.iter().enumerate().map(point).collect();
        chart::Series { name: curve.name.clone(), unit: "mA".to_owned(), points }
    };
    let series: Vec<chart::Series> = curves.iter().map(line).collect();
    let to_ms = series.iter().filter_map(|series| series.points.last()).map(|point| point.at_ms).max().unwrap_or(1);
    let title = words::find("lock_profiles", lang).unwrap_or_default().to_owned();
    let whole =
        chart::Chart { about: title.clone(), title, unit: "mA".to_owned(), to_ms, series, ..Default::default() };
    Value::from_safe_string(chart::svg(&whole, lang))
}
