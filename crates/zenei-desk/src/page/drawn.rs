//! The charts of a page as its template takes them: title, unit, key, and the drawing that the server made, which stays
//! where no script runs. Must not know what is drawn. Called by the pages with charts.
use super::figures::{Chart, Figures, Kind};
use super::words;
use minijinja::{Value, context};
use zenei_incident::message::Lang;

/// The charts; `about` says more of one by its id, `none` is the text of a chart without a value.
pub(super) fn charts(
    figures: &Figures,
    about: impl Fn(&str) -> Option<&'static str>,
    none: &str,
    lang: Lang,
) -> Vec<Value> {
    let draw = |chart: &Chart| {
        let has_value = chart.has_value();
        context! {
            id => chart.id,
            title => words::find(chart.id, lang).unwrap_or(chart.id),
            unit => chart.unit,
            about => about(chart.id),
            names => chart.series.iter().map(|series| series.name.clone()).collect::<Vec<_>>(),
            is_bars => chart.kind == Kind::Bars,
            has_value,
            none,
            svg => "",
        }
    };
    figures.charts.iter().map(draw).collect()
}
