//! The table on a terminal: draws it four times a second, and acts on keys. Must not know a radio. Called by `scan`
//! when the output is a terminal.
use super::super::keys::Keys;
use super::ongoing::Ongoing;
use super::table::{self, View};
use crate::exit::Failure;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::time::Duration;

/// How often the table is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// Shows the table until a key or a signal requests the end.
///
/// # Errors
/// Where the terminal can't be used, or the source fails.
pub(super) async fn run(scan: &mut Ongoing) -> Result<(), Failure> {
    let broken = |error: std::io::Error| Failure::broken("can't use the terminal", error);
    let mut terminal = ratatui::try_init().map_err(broken)?;
    let shown = show(scan, &mut terminal).await;
    // The terminal is restored in any case.
    let restored = ratatui::try_restore().map_err(broken);
    shown.and(restored)
}

async fn show(scan: &mut Ongoing, terminal: &mut ratatui::DefaultTerminal) -> Result<(), Failure> {
    let broken = |error: std::io::Error| Failure::broken("can't use the terminal", error);
    let mut view = View::default();
    let mut keys = Keys::listen();
    let mut redraw = tokio::time::interval(DRAW_EVERY);
    let mut asked = scan.asked.clone();
    let mut ended = false;
    loop {
        tokio::select! {
            biased;
            () = asked.wait() => return Ok(()),
            key = keys.next() => {
                if !act(key, &mut view, scan) {
                    return Ok(());
                }
            }
            _ = redraw.tick() => {}
            message = scan.next(), if !ended => {
                match message? {
                    Some(message) => drop(scan.take(&message)?),
                    // The table stays on the screen.
                    None => ended = true,
                }
                continue;
            }
        }
        let now = scan.source.now().unwrap_or_else(|| scan.watch.now());
        let name = if ended { format!("{}, ended", scan.source.name()) } else { scan.source.name() };
        terminal.draw(|frame| table::draw(frame, &scan.watch, &view, &name, now)).map_err(broken)?;
    }
}

/// Acts on a key; false where it requests the end.
#[expect(clippy::wildcard_enum_match_arm, reason = "of another crate's long list of keys most mean nothing here")]
fn act(key: KeyEvent, view: &mut View, scan: &Ongoing) -> bool {
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return false;
    }
    if view.typing {
        match key.code {
            KeyCode::Enter => view.typing = false,
            KeyCode::Esc => (view.typing, view.filter) = (false, String::new()),
            KeyCode::Backspace => drop(view.filter.pop()),
            // As long as a device id may be.
            KeyCode::Char(letter) if view.filter.len() < 64 => view.filter.push(letter),
            _ => {}
        }
        return true;
    }
    match key.code {
        KeyCode::Char('q') => return false,
        KeyCode::Esc if view.detail => view.detail = false,
        KeyCode::Esc => return false,
        KeyCode::Char('/') => view.typing = true,
        KeyCode::Char('s') => view.order = view.order.next(),
        KeyCode::Char('d') | KeyCode::Enter => {
            view.detail = !view.detail;
            if view.selected.is_none() {
                select(view, scan, 0);
            }
        }
        KeyCode::Up | KeyCode::Char('k') => select(view, scan, -1),
        KeyCode::Down | KeyCode::Char('j') => select(view, scan, 1),
        _ => {}
    }
    true
}

/// Moves the selection by this many rows.
fn select(view: &mut View, scan: &Ongoing, by: isize) {
    let senders = table::shown(&scan.watch, view);
    let at = view.selected.and_then(|address| senders.iter().position(|seen| seen.address == address));
    let last = senders.len().saturating_sub(1);
    let next = at.map_or(0, |at| at.saturating_add_signed(by).min(last));
    view.selected = senders.get(next).map(|seen| seen.address);
}
