//! The table of `top`: which words stand in which line, wrapped to a width. Must not know a terminal's keys or where
//! the figures come from. Called by `top`.
use super::look::{From, Look};
use crate::output::escaped;
use ratatui::Frame;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Width of the labels at the left, with the space after them.
const LABEL_COLUMNS: usize = 14;
/// So many rates are drawn, the last at the right.
pub(super) const RATES: usize = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How a line is meant; said by its words too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    /// Needs a look.
    Warn,
    /// Bad.
    Bad,
}

/// One line of the table before it is wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) label: &'static str,
    pub(super) words: Vec<String>,
    pub(super) tone: Tone,
}

/// Records per second by source between two looks; empty where no time is between them.
pub(super) fn rates(before: &Look, now: &Look, between: Duration) -> BTreeMap<String, f64> {
    let seconds = between.as_secs_f64();
    if seconds <= 0.0 {
        return BTreeMap::new();
    }
    let count = |look: &Look, source: &String| look.received.get(source).copied().unwrap_or(0);
    let rate = |source: &String| count(now, source).saturating_sub(count(before, source)) as f64 / seconds;
    now.received.keys().map(|source| (source.clone(), rate(source))).collect()
}

/// The lines of the table.
pub(super) fn rows(look: &Look, rates: &BTreeMap<String, f64>) -> Vec<Row> {
    let row = |label, words, tone| Row { label, words, tone };
    let rate = |(source, rate): (&String, &f64)| format!("{source} {rate:.1}");
    let sum: f64 = rates.values().sum();
    let per_second = rates.iter().map(rate).chain([format!("all {sum:.1}")]).collect();
    let (dead, dropped): (u64, u64) = (look.dead_letter.values().sum(), look.dropped.values().sum());
    let sums = vec![
        format!("received {} =", look.received_total()),
        format!("stored {}", look.stored),
        format!("+ pending {}", look.lag),
        format!("+ duplicate {}", look.duplicate),
        format!("+ dead {dead}"),
        format!("+ dropped {dropped}"),
    ];
    let mut waits = vec![format!("{} not yet sealed", look.lag), format!("spool {}", size(look.spool_bytes))];
    waits.extend(look.ship_lag.map(|lag| format!("{lag} not yet in ClickHouse")));
    let urgent = ["highest", "high"].iter().any(|urgency| look.open.get(*urgency).is_some_and(|&open| open > 0));
    let open: Vec<String> = ["highest", "high", "medium", "low"]
        .iter()
        .map(|urgency| format!("{urgency} {}", look.open.get(*urgency).copied().unwrap_or(0)))
        .collect();
    vec![
        from(look),
        row("records/s", per_second, Tone::Plain),
        row("records", sums, Tone::Plain),
        row("lag", waits, Tone::Plain),
        row("dead letters", counted(&look.dead_letter), if dead > 0 { Tone::Warn } else { Tone::Plain }),
        row("dropped", counted(&look.dropped), if dropped > 0 { Tone::Bad } else { Tone::Plain }),
        row("open", open, if urgent { Tone::Bad } else { Tone::Plain }),
        row("to be sent", counted(&look.waiting), Tone::Plain),
    ]
    .into_iter()
    .chain(
        look.parts
            .iter()
            .filter(|part| !part.is_ready)
            .map(|part| row("NOT ready", vec![format!("{}: {}", escaped(&part.name), escaped(&part.why))], Tone::Bad)),
    )
    .collect()
}

fn from(look: &Look) -> Row {
    let (words, tone) = match (&look.from, look.is_ready) {
        (From::Metrics(url), Some(true)) => (vec![url.clone(), "ready".to_owned()], Tone::Plain),
        (From::Metrics(url), Some(false)) => (vec![url.clone(), "NOT ready".to_owned()], Tone::Bad),
        (From::Metrics(url), None) => (vec![url.clone()], Tone::Plain),
        (From::Checkpoint(why), _) => (vec!["the last checkpoint in state_dir:".to_owned(), escaped(why)], Tone::Warn),
    };
    Row { label: "from", words, tone }
}

fn counted(counts: &BTreeMap<String, u64>) -> Vec<String> {
    if counts.is_empty() {
        return vec!["none".to_owned()];
    }
    counts.iter().map(|(word, count)| format!("{} {count}", escaped(word))).collect()
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// A row as lines of at most `width` columns, where its words allow it: words are never cut.
pub(super) fn wrapped(row: &Row, width: usize) -> Vec<String> {
    let mut lines = vec![format!("{:<LABEL_COLUMNS$}", row.label)];
    let mut is_first = true;
    for word in row.words.iter().flat_map(|words| words.split(' ').enumerate()) {
        // Two spaces before each figure, one inside of it.
        let gap = match (is_first, word.0) {
            (true, _) => "",
            (false, 0) => "  ",
            (false, _) => " ",
        };
        let taken = lines.last().map_or(0, |line| line.chars().count());
        if !is_first && taken + gap.len() + word.1.chars().count() > width {
            lines.push(" ".repeat(LABEL_COLUMNS.min(width / 2)));
            is_first = true;
        }
        let gap = if is_first { "" } else { gap };
        if let Some(line) = lines.last_mut() {
            line.push_str(gap);
            line.push_str(word.1);
        }
        is_first = false;
    }
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

/// The last rates as bars, as high as their share of the highest.
pub(super) fn bars(rates: &VecDeque<f64>) -> String {
    let highest = rates.iter().copied().fold(0.0, f64::max);
    let bar = |rate: f64| {
        let share = if highest > 0.0 { rate / highest } else { 0.0 };
        BARS[((share * 7.0).round() as usize).min(7)]
    };
    rates.iter().map(|&rate| bar(rate)).collect()
}

/// Draws the table; in colour only where that is wanted.
pub(super) fn draw(frame: &mut Frame<'_>, rows: &[Row], past: &VecDeque<f64>, coloured: bool) {
    let area = frame.area();
    let width = usize::from(area.width);
    let bold = Style::default().add_modifier(Modifier::BOLD);
    let mut lines = vec![Line::from(vec![Span::styled("zenei top", bold), Span::raw("   q ends")])];
    for row in rows {
        let style = match (row.tone, coloured) {
            (Tone::Plain, _) | (_, false) => Style::default(),
            (Tone::Warn, true) => Style::default().fg(Color::Yellow),
            (Tone::Bad, true) => Style::default().fg(Color::Red),
        };
        lines.extend(wrapped(row, width).into_iter().map(|line| Line::styled(line, style)));
        if row.label == "records/s" {
            let room = width.saturating_sub(LABEL_COLUMNS).min(RATES);
            let shown: VecDeque<f64> = past.iter().copied().skip(past.len().saturating_sub(room)).collect();
            lines.push(Line::raw(format!("{:<LABEL_COLUMNS$}{}", "", bars(&shown))));
        }
    }
    frame.render_widget(Paragraph::new(lines), area);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(words: &[&str]) -> Row {
        Row { label: "open", words: words.iter().map(|&word| word.to_owned()).collect(), tone: Tone::Plain }
    }

    #[test]
    fn a_narrow_terminal_gets_more_lines_and_no_cut_words() {
        let row = row(&["highest 0", "high 12", "medium 3"]);
        assert_eq!(wrapped(&row, 80), ["open          highest 0  high 12  medium 3"]);
        assert_eq!(wrapped(&row, 30), ["open          highest 0  high", "              12  medium 3"]);
        let narrow = wrapped(&row, 12);
        assert!(narrow.iter().all(|line| line.chars().count() <= 23), "{narrow:?}");
        assert_eq!(
            narrow.join(" ").split_whitespace().collect::<Vec<_>>().join(" "),
            "open highest 0 high 12 medium 3"
        );
    }

    #[test]
    fn the_rate_is_what_came_between_two_looks() {
        let look = |mqtt: u64| {
            let mut look = super::super::look::tests_look();
            look.received.insert("mqtt".to_owned(), mqtt);
            look
        };
        let rates = rates(&look(10), &look(40), Duration::from_secs(2));
        assert_eq!(rates["mqtt"], 15.0);
        assert!(super::rates(&look(1), &look(2), Duration::ZERO).is_empty());
        // A state directory that was made anew does not count backwards.
        assert_eq!(super::rates(&look(40), &look(10), Duration::from_secs(1))["mqtt"], 0.0);
    }

    #[test]
    fn the_bars_show_the_course_and_nothing_where_nothing_came() {
        assert_eq!(bars(&VecDeque::from([0.0, 5.0, 10.0])), "▁▅█");
        assert_eq!(bars(&VecDeque::from([0.0, 0.0])), "▁▁");
    }

    #[test]
    fn what_a_part_says_can_not_steer_the_terminal() {
        let mut look = super::super::look::tests_look();
        let why = "a\u{1b}[2J".to_owned();
        look.parts = vec![super::super::look::Part { name: "broker".to_owned(), is_ready: false, why }];
        let rows = rows(&look, &BTreeMap::new());
        let last = rows.last().unwrap();
        assert_eq!((last.label, last.words[0].as_str()), ("NOT ready", "broker: a\\u{1b}[2J"));
    }
}
