//! A running scan: passes each message of its source to the recording and to the engine, until the end. Must not know
//! how the result is shown. Called by `scan` and `terminal`.
use super::seen::Read;
use super::source::Source;
use super::watch::Watch;
use crate::daemon::signals::Asked;
use crate::exit::Failure;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use zenei_store::StoredMessage;
use zenei_wire::bthome::Advertisement;
use zenei_wire::recording::write_advertisement;

/// One message and its decoding.
pub(crate) struct Step<'a> {
    /// The received message.
    pub(super) message: &'a StoredMessage,
    /// The decoded advertisement; `None` where it could not be decoded.
    pub(super) read: Option<Read>,
}

/// A scan under way.
pub(crate) struct Ongoing {
    pub(super) source: Source,
    pub(super) watch: Watch,
    pub(super) recorder: Option<Recorder>,
    pub(super) asked: Asked,
}

impl Ongoing {
    /// Receives until the source ends, a signal requests the end, or `each` fails.
    pub(super) async fn follow(
        &mut self,
        mut each: impl FnMut(Step<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while let Some(message) = self.next().await? {
            let read = self.take(&message)?;
            each(Step { message: &message, read })?;
        }
        Ok(())
    }

    /// The next message; `None` at the end. Safe to cancel.
    pub(super) async fn next(&mut self) -> Result<Option<StoredMessage>, Failure> {
        let mut asked = self.asked.clone();
        tokio::select! {
            biased;
            () = asked.wait() => Ok(None),
            message = self.source.next() => message,
        }
    }

    /// Records the message, and passes it to the engine.
    pub(super) fn take(&mut self, message: &StoredMessage) -> Result<Option<Read>, Failure> {
        if let Some(recorder) = &mut self.recorder {
            recorder.write(message)?;
        }
        Ok(self.watch.take(message))
    }
}

/// A recording that is being written.
pub(crate) struct Recorder {
    path: PathBuf,
    file: BufWriter<File>,
    line: String,
}

impl Recorder {
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
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

    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|error| unwritten(&self.path, error))
    }
}

fn unwritten(path: &Path, error: std::io::Error) -> Failure {
    Failure::broken(format!("can't write the recording {}", path.display()), error)
}
