//! How many harmless rollouts an incident blames: the controls C4 of some runs, and the incidents that name their
//! version, alone or on one board. Decides nothing. Called by `fleet`.
use super::measure::Run;
use crate::interval::Share;
use std::io::{self, Write};

/// How many of these runs' harmless rollouts an incident blames, of all that reached a lock.
pub fn blamed(runs: &[Run<'_>]) -> Share {
    let rollouts = runs.iter().flat_map(|run| {
        let sound = run.played.truth.iter().filter(|truth| truth.family == "C4" && !truth.devices.is_empty());
        sound.map(move |truth| (run, truth.scope.value.as_str()))
    });
    Share::count(rollouts, |(run, version)| {
        let board = |value: &str| value.strip_prefix(version).is_some_and(|board| board.starts_with('+'));
        run.played.incidents.iter().map(|incident| &incident.scope).any(|scope| {
            let kind = scope.kind.as_str();
            kind == "fw" && scope.value == *version || kind == "fw_hw" && board(&scope.value)
        })
    })
}

/// Writes a line about them, where there are any.
///
/// # Errors
/// Where it can't be written.
pub fn write(out: &mut impl Write, runs: &[Run<'_>]) -> io::Result<()> {
    let blamed = blamed(runs);
    if blamed.of == 0 {
        return Ok(());
    }
    let (_, high) = blamed.interval();
    writeln!(out, "{} harmless rollouts, {} blamed by an incident (95 %: at most {high:.3})", blamed.of, blamed.hits)
}
