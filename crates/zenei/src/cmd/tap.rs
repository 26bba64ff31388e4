//! `zenei tap`: writes what a running zenei hears as a recording, by following its spool from beside it. Nothing waits
//! for it: a segment that is released before it was read is counted as missed. Must not write to the state directory.
//! Called by `cmd`.
mod filter;
mod sink;

use crate::cli::Tap;
use crate::config;
use crate::daemon::signals;
use crate::daemon::start::runtime;
use crate::exit::Failure;
use crate::output::Output;
use serde_json::json;
use sink::Sink;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use zenei_store::clock::Elapsed;
use zenei_store::disk::RealDisk;
use zenei_store::{Layout, SpoolReader, StoredMessage};
use zenei_wire::bthome::Advertisement;
use zenei_wire::recording::{write_advertisement, write_line};

/// How often the spool is looked at. A guess: below what a person notices.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The share of the time between two looks that a look may take: its work grows with the newest segment, and the tap
/// must not compete with the daemon for the disk. A guess.
const REST_PER_LOOK: u32 = 20;
/// How much of the spool is in memory at a time.
const STEP_BYTES: usize = 1 << 20;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    messages: u64,
    advertisements: u64,
    /// Of sources that may not speak for a lock alone; a replay believes every line of a recording.
    unauthenticated: u64,
    /// Other topics than the filter's.
    left_out: u64,
    /// Released or damaged before they were read.
    missed: u64,
}

/// Runs `tap`.
///
/// # Errors
/// Where no zenei has run with this configuration, the spool can't be read, or the recording can't be written.
pub(crate) fn run(arguments: &Tap, out: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = config::load(&arguments.common.file.config, &config::variables()).map_err(Failure::Config)?;
    if let Some(filter) = &arguments.topic {
        config::topic_filter(filter).map_err(|what| Failure::Usage(format!("--topic is {filter:?}: {what}")))?;
    }
    let spool = Layout::new(&loaded.config.state_dir).spool();
    if !spool.is_dir() {
        let what = format!("{} does not exist: no zenei has run with this state_dir yet", spool.display());
        return Err(Failure::Failed(what));
    }
    let reader = SpoolReader::open(Arc::new(RealDisk), &spool).map_err(unread)?;
    let end = reader.durable_end().map_err(unread)?;
    let mut tap = Following {
        next: if arguments.backlog { 0 } else { end },
        is_past: arguments.backlog,
        reader,
        filter: arguments.topic.clone(),
        told: Told::default(),
        sink: Sink::open(&arguments.out)?,
    };
    let is_standard = matches!(tap.sink, Sink::Standard);
    let opening = format!("following {} into {}; Ctrl-C ends it", spool.display(), arguments.out.display());
    let opening = (!is_standard && !arguments.common.json).then_some(opening);
    let length = arguments.seconds.map(Duration::from_secs);
    let followed = runtime()?.block_on(tap.follow(length, opening, out));
    let told = tap.told;
    // What was heard until a failure is kept.
    let finished = tap.sink.finish();
    followed.and(finished)?;
    tell(told, arguments, is_standard, out)
}

fn unread(error: zenei_store::SpoolError) -> Failure {
    Failure::broken("can't read the spool", error)
}

struct Following {
    reader: SpoolReader,
    next: u64,
    /// Whether it reads what was heard before it began: of that, what was released is not missed.
    is_past: bool,
    filter: Option<String>,
    told: Told,
    sink: Sink,
}

impl Following {
    /// Follows the spool until the time is over or a signal asks for the end; then reads what is durable by then.
    async fn follow(
        &mut self,
        length: Option<Duration>,
        opening: Option<String>,
        out: &mut Output<'_>,
    ) -> Result<(), Failure> {
        let mut asked = signals::listen().map_err(|error| Failure::broken("can't listen for signals", error))?;
        if let Some(opening) = opening {
            out.line(opening).and_then(|()| out.flush())?;
        }
        let began = Elapsed::start();
        loop {
            let look = Elapsed::start();
            self.catch_up(out)?;
            let rest = LOOK_EVERY.max(look.so_far().saturating_mul(REST_PER_LOOK));
            let left = length.map_or(rest, |length| length.saturating_sub(began.so_far()).min(rest));
            let is_over = tokio::select! {
                () = asked.wait() => true,
                () = tokio::time::sleep(left) => length.is_some_and(|length| began.so_far() >= length),
            };
            if is_over {
                return self.catch_up(out);
            }
        }
    }

    /// Writes everything that is durable.
    fn catch_up(&mut self, out: &mut Output<'_>) -> Result<(), Failure> {
        let end = self.reader.durable_end().map_err(unread)?;
        let (mut messages, mut lines) = (Vec::new(), String::new());
        while self.next < end {
            let progress = self.reader.read_from(self.next, end, STEP_BYTES, &mut messages).map_err(unread)?;
            let holes = progress.holes.iter().filter(|_| !self.is_past);
            self.told.missed += holes.map(|hole| hole.offsets.end - hole.offsets.start).sum::<u64>();
            for message in messages.drain(..) {
                self.add(&message, &mut lines);
            }
            self.sink.write(&lines, out)?;
            lines.clear();
            self.next = progress.next;
        }
        self.is_past = false;
        Ok(())
    }

    fn add(&mut self, message: &StoredMessage, lines: &mut String) {
        if let Ok(heard) = Advertisement::read(&message.topic, &message.payload) {
            if self.filter.is_some() {
                self.told.left_out += 1;
                return;
            }
            self.told.advertisements += 1;
            let address = heard.address.to_string();
            write_advertisement(&address, message.heard_at, heard.rssi_dbm, heard.service_data, lines);
            return;
        }
        if self.filter.as_deref().is_some_and(|filter| !filter::matches(filter, &message.topic)) {
            self.told.left_out += 1;
            return;
        }
        self.told.messages += 1;
        self.told.unauthenticated += u64::from(!message.authenticated);
        write_line(&message.topic, message.heard_at, &message.payload, lines);
    }
}

/// Says what was written; on standard error where the recording is on standard output.
fn tell(told: Told, arguments: &Tap, is_standard: bool, out: &mut Output<'_>) -> Result<(), Failure> {
    let Told { messages, advertisements, unauthenticated, left_out, missed } = told;
    let text = if arguments.common.json {
        json!({"version": 1, "out": arguments.out, "messages": messages, "advertisements": advertisements,
            "unauthenticated": unauthenticated, "left_out": left_out, "missed": missed})
        .to_string()
    } else {
        let mut text = format!("{messages} messages and {advertisements} advertisements");
        let mut add = |count: u64, what: &str| {
            if count > 0 {
                text.push_str(&format!("; {count} {what}"));
            }
        };
        add(left_out, "left out by --topic");
        add(unauthenticated, "of the messages came from sources that are not authenticated, which a replay believes");
        add(missed, "missed: released from the spool before they were read");
        text
    };
    if is_standard {
        // Where standard error is closed, the recording is complete all the same.
        let _ = writeln!(std::io::stderr(), "{text}");
        return Ok(());
    }
    out.line(text)
}
