//! `zenei top`: a live view of records per second, lag, spool, dead letters, what was dropped, open incidents and what
//! is still to be sent. Reads a running zenei from beside it and changes nothing. Called by `cmd`.
mod look;
mod shown;

use crate::cli::Top;
use crate::cmd::keys::Keys;
use crate::config::{self, Config};
use crate::daemon::signals;
use crate::daemon::start::runtime;
use crate::exit::Failure;
use crate::output::Output;
use look::{Look, look};
use ratatui::crossterm::event::{KeyCode, KeyModifiers};
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use zenei_store::clock::Elapsed;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The width of a table that is not on a terminal.
const PRINTED_COLUMNS: usize = 100;

/// Runs `top`.
///
/// # Errors
/// Where the configuration is bad; [`Failure::Unreachable`] where no zenei runs or has run with it.
pub(crate) fn run(arguments: &Top, out: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = config::load(&arguments.file.config, &config::variables()).map_err(Failure::Config)?;
    let token = arguments.token_file.as_deref().map(config::secret).transpose().map_err(Failure::Failed)?;
    let mut watch = Watch::begin(loaded.config, token)?;
    runtime()?.block_on(async {
        if arguments.once || !(out.is_terminal() || arguments.json) {
            tokio::time::sleep(LOOK_EVERY).await;
            watch.look()?;
            return print(&watch, arguments.json, out);
        }
        if arguments.json {
            return lines(&mut watch, out).await;
        }
        let broken = |error: std::io::Error| Failure::broken("can't use the terminal", error);
        let mut terminal = ratatui::try_init().map_err(broken)?;
        let shown = show(&mut watch, &mut terminal, out.is_coloured()).await;
        // The terminal is restored in any case.
        shown.and(ratatui::try_restore().map_err(broken))
    })
}

/// The last two looks, and the rates between them.
struct Watch {
    config: Config,
    token: Option<String>,
    last: Look,
    at: Elapsed,
    rates: BTreeMap<String, f64>,
    /// The sums of the last rates.
    past: VecDeque<f64>,
}

impl Watch {
    fn begin(config: Config, token: Option<String>) -> Result<Self, Failure> {
        let last = look(&config, token.as_deref()).map_err(Failure::Unreachable)?;
        let (rates, past) = (BTreeMap::new(), VecDeque::new());
        Ok(Self { config, token, last, at: Elapsed::start(), rates, past })
    }

    fn look(&mut self) -> Result<(), Failure> {
        let now = look(&self.config, self.token.as_deref()).map_err(Failure::Unreachable)?;
        self.rates = shown::rates(&self.last, &now, self.at.so_far());
        self.at = Elapsed::start();
        self.last = now;
        if self.past.len() == shown::RATES {
            self.past.pop_front();
        }
        self.past.push_back(self.rates.values().sum());
        Ok(())
    }

    fn rows(&self) -> Vec<shown::Row> {
        shown::rows(&self.last, &self.rates)
    }
}

fn print(watch: &Watch, json: bool, out: &mut Output<'_>) -> Result<(), Failure> {
    if json {
        let mut object = json!({"version": 1, "per_second": watch.rates});
        let seen =
            serde_json::to_value(&watch.last).map_err(|error| Failure::broken("can't write the result", error))?;
        if let (Some(object), serde_json::Value::Object(seen)) = (object.as_object_mut(), seen) {
            object.extend(seen);
        }
        return out.json(&object);
    }
    for row in watch.rows() {
        shown::wrapped(&row, PRINTED_COLUMNS).iter().try_for_each(|line| out.line(line))?;
    }
    Ok(())
}

/// A line of JSON a second, until a signal or a closed pipe ends it.
async fn lines(watch: &mut Watch, out: &mut Output<'_>) -> Result<(), Failure> {
    let mut asked = signals::listen().map_err(|error| Failure::broken("can't listen for signals", error))?;
    loop {
        print(watch, true, out).and_then(|()| out.flush())?;
        tokio::select! {
            () = asked.wait() => return Ok(()),
            () = tokio::time::sleep(LOOK_EVERY) => watch.look()?,
        }
    }
}

/// Shows the table until a key or a signal ends it.
async fn show(watch: &mut Watch, terminal: &mut ratatui::DefaultTerminal, coloured: bool) -> Result<(), Failure> {
    let broken = |error: std::io::Error| Failure::broken("can't use the terminal", error);
    let mut asked = signals::listen().map_err(|error| Failure::broken("can't listen for signals", error))?;
    let mut keys = Keys::listen();
    let mut again = tokio::time::interval(LOOK_EVERY);
    loop {
        terminal.draw(|frame| shown::draw(frame, &watch.rows(), &watch.past, coloured)).map_err(broken)?;
        tokio::select! {
            () = asked.wait() => return Ok(()),
            key = keys.next() => {
                let interrupt = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
                if interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                    return Ok(());
                }
            }
            _ = again.tick() => watch.look()?,
        }
    }
}
