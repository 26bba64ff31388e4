//! `zenei scan`: the advertisements of the locks nearby, as a live table, or as lines for programs. Stores nothing,
//! except with `--record`. Decodes with the keys of a registry and detects with the daemon's engine. Called by `cmd`.
mod lines;
mod live;
mod ongoing;
mod seen;
mod source;
mod spooled;
mod table;
mod terminal;
mod watch;

use crate::cli::Scan;
use crate::daemon::contents::{self, Registry};
use crate::daemon::signals;
use crate::daemon::start::runtime;
use crate::exit::Failure;
use crate::output::Output;
use lines::Lines;
use ongoing::{Ongoing, Recorder};
use seen::Unread;
use source::Source;
use watch::Watch;

/// Runs `scan`.
///
/// # Errors
/// Where nothing can be received, or a file can't be read or written.
pub(crate) fn run(arguments: &Scan, out: &mut Output<'_>) -> Result<(), Failure> {
    let registry = contents::registry(arguments.registry.as_deref(), None).map_err(Failure::Failed)?;
    let runtime = runtime()?;
    let scanned = runtime.block_on(scan(arguments, registry, out));
    // A radio that does not answer must not delay the end.
    runtime.shutdown_background();
    scanned
}

async fn scan(arguments: &Scan, registry: Registry, out: &mut Output<'_>) -> Result<(), Failure> {
    let asked = signals::listen().map_err(|error| Failure::broken("can't listen for signals", error))?;
    let recorder = arguments.record.as_deref().map(Recorder::create).transpose()?;
    let source = Source::open(arguments, registry).await?;
    let rules = contents::rules(None).map_err(Failure::Failed)?;
    let watch = Watch::new(rules, source.registry(), source.before());
    let mut scan = Ongoing { source, watch, recorder, asked };
    let shown = if arguments.json {
        let mut lines = Lines::new(out);
        scan.follow(|step| lines.step(&step)).await
    } else if out.is_terminal() {
        terminal::run(&mut scan).await
    } else {
        // No terminal: the table once, at the end.
        let heard = scan.follow(|_| Ok(())).await;
        heard.and_then(|()| table::as_text(&scan.watch).iter().try_for_each(|line| out.line(line)))
    };
    let Ongoing { source, watch, recorder, .. } = scan;
    source.close().await;
    let recorded = recorder.map_or(Ok(()), Recorder::finish);
    if arguments.json && shown.is_ok() {
        tell(&watch.unread());
    }
    shown.and(recorded)
}

/// Logs the number of advertisements that could not be decoded.
fn tell(unread: &Unread) {
    let Unread { no_key, forged, broken, .. } = *unread;
    if no_key + forged + broken > 0 {
        tracing::warn!(no_key, forged, broken, "some advertisements could not be read");
    }
}
