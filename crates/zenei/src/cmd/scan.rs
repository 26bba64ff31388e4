//! `zenei scan`: what the locks around here advertise, as a table that lives, or as lines for programs. Keeps nothing, but for `--record`. Reads with the same keys and
//! flags with the same engine as the daemon. Called by `cmd`.
mod lines;
mod live;
mod seen;
mod source;
mod table;
mod terminal;
mod watch;

use crate::cli::Scan;
use crate::daemon::contents::{self, Registry};
use crate::daemon::signals::{self, Asked};
use crate::daemon::start::runtime;
use crate::exit::Failure;
use crate::output::Output;
use lines::Lines;
use seen::Unread;
use source::Source;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use watch::Watch;
use zenei_store::StoredMessage;
use zenei_wire::bthome::Advertisement;
use zenei_wire::recording::write_advertisement;

/// Runs `scan`.
///
/// # Errors
/// Where nothing can be heard, or a file can't be read or written.
pub(crate) fn run(arguments: &Scan, out: &mut Output<'_>) -> Result<(), Failure> {
    let registry = contents::registry(arguments.registry.as_deref(), None).map_err(Failure::Failed)?;
    let runtime = runtime()?;
    let scanned = runtime.block_on(scan(arguments, registry, out));
    // A radio that does not answer must not hold the end up.
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
        // Nobody watches: the table once, at the end.
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

/// What happened to one message.
pub(crate) struct Step<'a> {
    /// As it was heard.
    message: &'a StoredMessage,
    /// How it was read; `None` where it was not.
    read: Option<watch::Read>,
}

/// A scan under way.
pub(crate) struct Ongoing {
    source: Source,
    watch: Watch,
    recorder: Option<Recorder>,
    asked: Asked,
}

impl Ongoing {
    /// Hears until the source ends, somebody asks for the end, or `each` fails.
    async fn follow(&mut self, mut each: impl FnMut(Step<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        while let Some(message) = self.next().await? {
            let read = self.take(&message)?;
            each(Step { message: &message, read })?;
        }
        Ok(())
    }

    /// The next message; `None` at the end. Safe to cancel.
    async fn next(&mut self) -> Result<Option<StoredMessage>, Failure> {
        let mut asked = self.asked.clone();
        tokio::select! {
            biased;
            () = asked.wait() => Ok(None),
            message = self.source.next() => message,
        }
    }

    /// Records it, and lets the engine see it.
    fn take(&mut self, message: &StoredMessage) -> Result<Option<watch::Read>, Failure> {
        if let Some(recorder) = &mut self.recorder {
            recorder.write(message)?;
        }
        Ok(self.watch.take(message))
    }
}

/// What could not be read: counted, not printed.
fn tell(unread: &Unread) {
    let Unread { no_key, forged, broken, .. } = *unread;
    if no_key + forged + broken > 0 {
        tracing::warn!(no_key, forged, broken, "some advertisements could not be read");
    }
}

/// A recording that is being written.
pub(crate) struct Recorder {
    path: PathBuf,
    file: BufWriter<File>,
    line: String,
}

impl Recorder {
    fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| unwritten(path, error))?;
        Ok(Self { path: path.to_path_buf(), file: BufWriter::new(file), line: String::new() })
    }

    fn write(&mut self, message: &StoredMessage) -> Result<(), Failure> {
        let Ok(heard) = Advertisement::read(&message.topic, &message.payload) else { return Ok(()) };
        self.line.clear();
        let address = heard.address.to_string();
        write_advertisement(&address, message.heard_at, heard.rssi_dbm, heard.service_data, &mut self.line);
        self.file.write_all(self.line.as_bytes()).map_err(|error| unwritten(&self.path, error))
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|error| unwritten(&self.path, error))
    }
}

fn unwritten(path: &Path, error: std::io::Error) -> Failure {
    Failure::broken(format!("can't write the recording {}", path.display()), error)
}
