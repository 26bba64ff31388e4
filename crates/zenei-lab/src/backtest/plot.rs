//! Incidents a day by rule as an SVG: stacked columns, one colour a rule, with the rule's name beside it. Must not know
//! more than the counts. Called by `backtest`.
use super::frames::OfDay;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Colours that people with the common kinds of colour blindness can distinguish (Okabe, Ito 2008); after eight rules
/// they repeat.
const COLOURS: [&str; 8] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999"];
/// Pixels of the columns' area, and where it begins.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 50.0;
const TOP: f64 = 40.0;
/// Pixels between the lines of the legend.
const LINE: f64 = 18.0;

/// The plot of these days, from the first to the last.
pub(super) fn incidents_a_day(days: &[OfDay], title: &str) -> String {
    let rules: BTreeSet<&str> = days.iter().map(|of| of.rule.as_str()).collect();
    let rules: Vec<&str> = rules.into_iter().collect();
    let (first, last) = (days.first().map_or(0, |of| of.day), days.last().map_or(0, |of| of.day));
    let mut heights = vec![0_u32; usize::try_from(last - first).unwrap_or(0) + 1];
    for of in days {
        heights[place(of.day, first)] += of.incidents;
    }
    let most = heights.iter().copied().max().unwrap_or(0).max(1);
    let (step, unit) = (WIDTH / heights.len() as f64, HEIGHT / f64::from(most));
    let height = TOP + HEIGHT + 50.0 + LINE * rules.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n<text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{title}</text>\n",
        LEFT + WIDTH + 10.0,
        title = escaped(title)
    );
    axis(&mut svg, most, first, last);
    let mut below = vec![0_u32; heights.len()];
    for of in days {
        let at = place(of.day, first);
        below[at] += of.incidents;
        let colour = rules.iter().position(|rule| *rule == of.rule).map_or("", |rule| COLOURS[rule % COLOURS.len()]);
        let (x, y) = (LEFT + step * at as f64, TOP + HEIGHT - unit * f64::from(below[at]));
        // Writing to a String never fails.
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"{colour}\"><title>{} {}: {}</title></rect>",
            (step * 0.9).max(0.5),
            unit * f64::from(of.incidents),
            date(of.day),
            escaped(&of.rule),
            of.incidents
        );
    }
    for (at, rule) in rules.iter().enumerate() {
        let y = TOP + HEIGHT + 45.0 + LINE * at as f64;
        let sum: u32 = days.iter().filter(|of| of.rule == *rule).map(|of| of.incidents).sum();
        let (colour, rule) = (COLOURS[at % COLOURS.len()], escaped(rule));
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{:.0}\" width=\"11\" height=\"11\" fill=\"{colour}\"/><text x=\"{:.0}\" y=\"{y:.0}\">{rule} ({sum})</text>",
            y - 10.0,
            LEFT + 17.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn axis(svg: &mut String, most: u32, first: i32, last: i32) {
    let (bottom, right) = (TOP + HEIGHT, LEFT + WIDTH);
    for (value, y) in [(0, bottom), (most, TOP)] {
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#888\"/><text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{value}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for (day, x, anchor) in [(first, LEFT, "start"), (last, right, "end")] {
        let _ =
            writeln!(svg, "<text x=\"{x}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{}</text>", bottom + 18.0, date(day));
    }
}

fn place(day: i32, first: i32) -> usize {
    usize::try_from(day - first).unwrap_or(0)
}

/// A day as an ISO date.
pub(super) fn date(day: i32) -> String {
    let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(day));
    date.map_or_else(|_| day.to_string(), |date| date.to_string())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_on_one_another_and_as_high_as_their_counts() {
        let of = |day, rule: &str, incidents| OfDay { day, rule: rule.into(), incidents };
        let svg = incidents_a_day(&[of(0, "a", 1), of(0, "b<", 3), of(9, "a", 2)], "x & y");
        let columns: Vec<&str> = svg.lines().filter(|line| line.contains("</title></rect>")).collect();
        assert_eq!(columns.len(), 3);
        // Four is the most: a quarter of 260, then three quarters on top of it; the tenth of ten days.
        assert!(columns[0].contains("y=\"235.00\"") && columns[0].contains("height=\"65.00\""), "{}", columns[0]);
        assert!(columns[1].contains("y=\"40.00\"") && columns[1].contains("height=\"195.00\""), "{}", columns[1]);
        assert!(columns[2].contains("x=\"860.00\"") && columns[2].contains("1970-01-10 a: 2"), "{}", columns[2]);
        assert!(svg.contains("x &amp; y") && svg.contains("b&lt; (3)") && !svg.contains("b<"));
    }

    #[test]
    fn nothing_gives_an_empty_plot() {
        assert!(incidents_a_day(&[], "none").ends_with("</svg>\n"));
    }
}
