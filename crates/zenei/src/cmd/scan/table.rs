//! The table of a scan: its columns with their widths, the text of each cell, and the drawing. Must not know keys, a
//! terminal's state or a radio. Called by `terminal`, and by `scan` when the output is not a terminal.
use super::seen::Seen;
use super::watch::Watch;
use crate::output::{escaped, table as columns_of};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, TableState, Wrap};
use zenei_wire::GatewayTime;
use zenei_wire::bthome::Address;

/// Lines of the detail below the table.
const DETAIL_LINES: u16 = 9;
/// Strengths from the weakest bar to the highest, dBm: below the one nothing is received, above the other a lock lies
/// on the receiver.
const WEAKEST_DBM: i32 = -100;
const STRONGEST_DBM: i32 = -30;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The viewer's choices.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Only senders with this in their name, address or version.
    pub(super) filter: String,
    /// Whether the filter is being typed.
    pub(super) typing: bool,
    /// Whether the detail is shown.
    pub(super) detail: bool,
    pub(super) selected: Option<Address>,
    pub(super) order: Order,
}

/// The order of the senders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// Last received first.
    #[default]
    Heard,
    /// By name: rows keep their places.
    Name,
    /// Strongest first.
    Strength,
}

impl Order {
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Heard => Self::Name,
            Self::Name => Self::Strength,
            Self::Strength => Self::Heard,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Heard => "last heard",
            Self::Name => "name",
            Self::Strength => "signal",
        }
    }
}

/// A column: its head, its width, the least width of the screen at which it is shown, whether its cells are
/// right-aligned.
struct Column {
    head: &'static str,
    width: u16,
    from: u16,
    /// The width of the screen from which on it is no longer shown.
    until: u16,
    right: bool,
    cell: fn(&Seen, &Watch, GatewayTime) -> String,
}

const fn column(
    head: &'static str,
    width: u16,
    from: u16,
    right: bool,
    cell: fn(&Seen, &Watch, GatewayTime) -> String,
) -> Column {
    Column { head, width, from, until: u16::MAX, right, cell }
}

/// The width of the screen from which on the longer history of the signal is shown.
const WIDE: u16 = 160;

/// All columns, in order. The columns shown from width 0 on fill 80 cells, with a space between each two.
const COLUMNS: [Column; 16] = [
    column("", 2, 0, false, |seen, watch, _| marks(seen, watch)),
    column("lock", 16, 0, false, |seen, _, _| escaped(&seen.device)),
    column("address", 17, 110, false, |seen, _, _| seen.address.to_string()),
    column("heard", 5, 0, true, |seen, _, now| age(now, seen.last)),
    column("dBm", 4, 0, true, |seen, _, _| seen.strengths.back().map_or_else(none, |rssi| rssi.to_string())),
    Column { until: WIDE, ..column("sig", 5, 0, false, |seen, _, _| bars(seen, 5)) },
    column("signal", 24, WIDE, false, |seen, _, _| bars(seen, 24)),
    column("adv/s", 5, 0, true, |seen, _, now| format!("{:.1}", seen.per_second(now))),
    column("bat", 4, 0, true, |seen, _, _| seen.adv.battery_pct.map_or_else(none, |share| format!("{}%", share.0))),
    column("mV", 4, 0, true, |seen, _, _| seen.adv.battery_mv.map_or_else(none, |voltage| voltage.0.to_string())),
    column("mA", 4, 0, true, |seen, _, _| seen.adv.peak_ma.map_or_else(none, |current| current.0.to_string())),
    column("°C", 6, 120, true, |seen, _, _| {
        seen.adv.temp_c.map_or_else(none, |temp| format!("{:.2}", temp.celsius()))
    }),
    column("fw", 6, 0, false, |seen, _, _| seen.firmware.map_or_else(none, |firmware| firmware.to_string())),
    column("state", 8, 0, false, |seen, _, _| seen.adv.lock_state.map_or_else(none, |state| state.as_str().to_owned())),
    column("trust", 6, 0, false, |seen, _, _| trust(seen).to_owned()),
    column("findings", 40, 140, false, |seen, watch, _| note(seen, watch)),
];

fn none() -> String {
    "–".to_owned()
}

/// `!` where the engine found an anomaly, `P` where the lock reports a problem.
fn marks(seen: &Seen, watch: &Watch) -> String {
    let found = if watch.anomalies(&seen.device).is_empty() { ' ' } else { '!' };
    let problem = if seen.adv.problem == Some(true) { 'P' } else { ' ' };
    format!("{found}{problem}")
}

/// In one word; colour only supplements the word.
fn trust(seen: &Seen) -> &'static str {
    match (seen.is_trusted, seen.heard == seen.unread + seen.replayed) {
        (true, _) => "yes",
        (false, true) => "no key",
        (false, false) => "no",
    }
}

fn note(seen: &Seen, watch: &Watch) -> String {
    let found = watch.anomalies(&seen.device);
    match (found.last(), &seen.trouble) {
        (Some(last), _) if found.len() > 1 => format!("{last} (and {} more)", found.len() - 1),
        (Some(last), _) => last.clone(),
        (None, _) if seen.replayed > 0 => format!("{} old ones sent again by somebody", seen.replayed),
        (None, Some(trouble)) if seen.unread == seen.heard => trouble.clone(),
        (None, Some(_) | None) => String::new(),
    }
}

/// How long ago, in at most 5 characters.
fn age(now: GatewayTime, then: GatewayTime) -> String {
    let ms = now.ms().saturating_sub(then.ms()).max(0);
    match ms {
        0..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        10_000..100_000 => format!("{} s", ms / 1_000),
        100_000..6_000_000 => format!("{} m", ms / 60_000),
        6_000_000.. => format!("{} h", ms / 3_600_000),
        i64::MIN..0 => none(),
    }
}

/// The last strengths as bars, newest right.
fn bars(seen: &Seen, width: usize) -> String {
    let shown = seen.strengths.iter().skip(seen.strengths.len().saturating_sub(width));
    let bar = |rssi: &i8| {
        let above = (i32::from(*rssi) - WEAKEST_DBM).clamp(0, STRONGEST_DBM - WEAKEST_DBM - 1);
        let step = above * BARS.len() as i32 / (STRONGEST_DBM - WEAKEST_DBM);
        usize::try_from(step).ok().and_then(|step| BARS.get(step)).copied().unwrap_or(' ')
    };
    let bars: String = shown.map(bar).collect();
    format!("{bars:>width$}")
}

/// The senders that the view shows, in its order.
pub(super) fn shown<'w>(watch: &'w Watch, view: &View) -> Vec<&'w Seen> {
    let wanted = view.filter.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let mut senders: Vec<&Seen> = watch
        .senders()
        .filter(|seen| {
            let firmware = seen.firmware.map(|firmware| firmware.to_string()).unwrap_or_default();
            has(&seen.device) || has(&seen.address.to_string()) || has(&firmware)
        })
        .collect();
    senders.sort_by(|a, b| {
        let by = match view.order {
            Order::Heard => b.last.cmp(&a.last),
            Order::Name => a.device.cmp(&b.device),
            Order::Strength => b.strengths.back().cmp(&a.strengths.back()),
        };
        by.then_with(|| a.address.cmp(&b.address))
    });
    senders
}

/// The table as lines of text, by name, for an output that is no terminal.
pub(super) fn as_text(watch: &Watch) -> Vec<String> {
    let view = View { order: Order::Name, ..View::default() };
    let columns: Vec<&Column> =
        COLUMNS.iter().filter(|column| !column.head.is_empty() && !column.head.starts_with("sig")).collect();
    let heads: Vec<&str> = columns.iter().map(|column| column.head).collect();
    let rows: Vec<Vec<String>> = shown(watch, &view)
        .iter()
        .map(|seen| columns.iter().map(|column| escaped(&(column.cell)(seen, watch, watch.now()))).collect())
        .collect();
    columns_of(&heads, &rows)
}

/// Draws everything; `name` describes the source, `now` is its time.
pub(super) fn draw(frame: &mut Frame<'_>, watch: &Watch, view: &View, name: &str, now: GatewayTime) {
    let detail = if view.detail { Constraint::Length(DETAIL_LINES) } else { Constraint::Length(0) };
    let parts = [Constraint::Length(1), Constraint::Min(3), detail, Constraint::Length(1)];
    let [head, body, below, foot] = Layout::vertical(parts).areas(frame.area());
    let senders = shown(watch, view);
    frame.render_widget(heading(watch, &senders, name, now), head);
    draw_rows(frame, body, watch, view, &senders, now);
    let selected = view.selected.and_then(|address| senders.iter().find(|seen| seen.address == address));
    if let Some(seen) = selected.filter(|_| view.detail) {
        frame.render_widget(detail_of(seen, watch, now), below);
    }
    frame.render_widget(footing(view), foot);
}

fn heading<'a>(watch: &Watch, senders: &[&Seen], name: &str, now: GatewayTime) -> Line<'a> {
    let rate: f64 = senders.iter().map(|seen| seen.per_second(now)).sum();
    let unread = watch.unread();
    let mut text = format!("{} shown · {rate:.1} adv/s", senders.len());
    for (count, what) in [
        (unread.no_key, "no key"),
        (unread.forged, "forged"),
        (unread.replayed, "sent again"),
        (unread.broken, "unreadable"),
    ] {
        if count > 0 {
            text.push_str(&format!(" · {count} {what}"));
        }
    }
    let bold = Style::new().add_modifier(Modifier::BOLD);
    Line::from(vec![Span::styled("zenei scan", bold), Span::raw(format!(" · {} · {text}", escaped(name)))])
}

fn footing<'a>(view: &View) -> Line<'a> {
    if view.typing {
        return Line::from(format!("filter: {}█  (Enter keeps it, Esc drops it)", escaped(&view.filter)));
    }
    let mut text = format!("q quit  ↑↓ select  d detail  / filter  s sort: {}", view.order.as_str());
    if !view.filter.is_empty() {
        text.push_str(&format!("  filter: {}", escaped(&view.filter)));
    }
    Line::from(text)
}

fn draw_rows(frame: &mut Frame<'_>, area: Rect, watch: &Watch, view: &View, senders: &[&Seen], now: GatewayTime) {
    if senders.is_empty() {
        let text = if view.filter.is_empty() { "nothing heard yet" } else { "nothing heard that matches the filter" };
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let columns: Vec<&Column> =
        COLUMNS.iter().filter(|column| (column.from..column.until).contains(&area.width)).collect();
    let placed = |column: &Column, text: String| {
        let width = usize::from(column.width);
        if column.right { format!("{text:>width$}") } else { text }
    };
    let head = columns.iter().map(|column| Cell::from(placed(column, column.head.to_owned())));
    let rows = senders.iter().map(|seen| {
        let cells = columns.iter().map(|column| Cell::from(placed(column, (column.cell)(seen, watch, now))));
        Row::new(cells.collect::<Vec<_>>()).style(style_of(seen, watch))
    });
    let widths = columns.iter().map(|column| match column.head {
        // The rest of a wide screen.
        "findings" => Constraint::Min(column.width),
        _ => Constraint::Length(column.width),
    });
    let table = Table::new(rows, widths)
        .header(Row::new(head.collect::<Vec<_>>()).style(Style::new().add_modifier(Modifier::BOLD)))
        .column_spacing(1)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let selected = view.selected.and_then(|address| senders.iter().position(|seen| seen.address == address));
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(selected));
}

fn style_of(seen: &Seen, watch: &Watch) -> Style {
    if !watch.anomalies(&seen.device).is_empty() || seen.adv.problem == Some(true) {
        Style::new().fg(Color::Yellow)
    } else if seen.is_trusted {
        Style::new()
    } else {
        Style::new().fg(Color::DarkGray)
    }
}

fn detail_of<'a>(seen: &Seen, watch: &Watch, now: GatewayTime) -> Paragraph<'a> {
    let optional = |value: Option<String>| value.unwrap_or_else(none);
    let adv = &seen.adv;
    let mut lines = vec![format!(
        "heard {} times, {} unreadable, {} sent again; packet id {}, counter {}, head of the log {}, {} °C, problem {}",
        seen.heard,
        seen.unread,
        seen.replayed,
        optional(adv.packet_id.map(|id| id.to_string())),
        optional(adv.counter.map(|counter| counter.to_string())),
        optional(adv.seq_low.map(|seq| seq.to_string())),
        optional(adv.temp_c.map(|temp| temp.celsius().to_string())),
        optional(adv.problem.map(|problem| if problem { "yes" } else { "no" }.to_owned())),
    )];
    lines.extend(seen.raw.iter().rev().map(|(at, data)| {
        let hex: Vec<String> = data.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:>6} ago  {}", age(now, *at), hex.join(" "))
    }));
    lines.extend(seen.trouble.clone());
    lines.extend(watch.anomalies(&seen.device).iter().rev().take(3).map(|found| format!("! {found}")));
    let title = format!(" {} · {} ", escaped(&seen.device), seen.address);
    let text: Vec<Line<'_>> = lines.iter().map(|line| Line::from(escaped(line))).collect();
    Paragraph::new(text).wrap(Wrap { trim: false }).block(Block::new().borders(Borders::TOP).title(title))
}
