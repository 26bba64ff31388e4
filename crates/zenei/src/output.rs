//! Where do results go? To standard output, as text for people or JSON for programs. A reader that closes the pipe
//! early is no error. Must not know a command. Called by every command; logs go to standard error (`log`).
use crate::exit::Failure;
use serde::Serialize;
use std::fmt::Display;
use std::io::{BufWriter, ErrorKind, IsTerminal as _, Write};
use zenei_incident::message::is_mark;
use zenei_wire::EngineTime;

/// A colour, used beside words only: colour alone never carries a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Good.
    Green,
    /// Needs a look.
    Yellow,
    /// Bad.
    Red,
}

/// Standard output, or its substitute in a test.
pub(crate) struct Output<'a> {
    out: Box<dyn Write + 'a>,
    coloured: bool,
    terminal: bool,
}

impl Output<'static> {
    /// Standard output, buffered; coloured on a terminal unless `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn stdout() -> Self {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { out: Box::new(BufWriter::new(stdout)), coloured: terminal && !no_colour, terminal }
    }
}

impl Output<'_> {
    /// Writes one line of text.
    ///
    /// # Errors
    /// Where it can't be written; [`Failure::OutputClosed`] where the reader has closed it.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.out, "{text}").map_err(failure)
    }

    /// One line of JSON.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| Failure::broken("can't write the result", error))?;
        self.line(text)
    }

    /// Writes out the buffer.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(failure)
    }

    /// The text in this colour where the output is coloured.
    pub(crate) fn paint(&self, colour: Colour, text: &str) -> String {
        if !self.coloured {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Red => 31,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Whether colours are wanted.
    pub(crate) fn is_coloured(&self) -> bool {
        self.coloured
    }

    /// Whether a person watches.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }
}

/// A text from outside, safe to show on a terminal: control characters are escaped, and those that hide or turn text.
pub(crate) fn escaped(text: &str) -> String {
    let is_active = |c: char| c.is_control() || is_mark(c);
    let escape = |c: char| if is_active(c) { c.escape_default().collect::<String>() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// The widest cell of a table, in characters; a guess: a title fits, and no cell pushes the others out of sight.
const CELL_MAX: usize = 200;

/// Rows of text in columns as wide as their widest cell; the last column is not padded. What a cell has beyond
/// [`CELL_MAX`] is cut off, which `…` shows.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let cut = |cell: &str| match cell.char_indices().nth(CELL_MAX) {
        Some((at, _)) => format!("{}…", &cell[..at]),
        None => cell.to_owned(),
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| cut(cell)).collect()).collect();
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let first = line(&mut head.iter().copied());
    std::iter::once(first).chain(rows.iter().map(|row| line(&mut row.iter().map(String::as_str)))).collect()
}

fn failure(error: std::io::Error) -> Failure {
    if error.kind() == ErrorKind::BrokenPipe {
        return Failure::OutputClosed;
    }
    Failure::broken("can't write to standard output", error)
}

/// A time for people: RFC 3339, UTC, to the second.
pub(crate) fn time(at: EngineTime) -> String {
    let shown = jiff::Timestamp::from_second(at.ms().div_euclid(1000)).map(|time| time.to_string());
    shown.unwrap_or_else(|_| format!("{} ms", at.ms()))
}

#[cfg(test)]
impl<'a> Output<'a> {
    /// Output into memory, without colours.
    pub(crate) fn to(out: impl Write + 'a) -> Self {
        Self { out: Box::new(out), coloured: false, terminal: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Err(ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_goes_away_ends_the_command_without_an_error() {
        assert!(matches!(Output::to(Closed).line("a"), Err(Failure::OutputClosed)));
        assert!(matches!(Output::to(Closed).flush(), Err(Failure::OutputClosed)));
    }

    #[test]
    fn a_table_is_as_wide_as_its_widest_cells() {
        let rows = vec![vec!["motor".to_owned(), "1".to_owned()], vec!["x".to_owned(), "22".to_owned()]];
        assert_eq!(table(&["part", "n"], &rows), ["part   n", "motor  1", "x      22"]);
    }

    #[test]
    fn what_a_device_says_can_not_steer_the_terminal() {
        assert_eq!(escaped("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
    }
}
