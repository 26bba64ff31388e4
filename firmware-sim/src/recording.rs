//! How messages become a recording: NDJSON, compressed by gzip where the name ends with `.gz`. The format of a line is
//! the contract's (`zenei_wire::recording`). Called by `firmware-sim run`, the lab and tests.
use crate::message::Message;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use zenei_wire::GatewayTime;

/// A recording that is being written.
#[derive(Debug)]
pub struct Recorder {
    sink: Sink,
    line: String,
}

#[derive(Debug)]
enum Sink {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

impl Recorder {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// Where it can't be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::new(File::create(path)?);
        let zipped = path.extension().is_some_and(|extension| extension == "gz");
        // Level 1: recordings compress well anyway, and a large fleet is written in one go.
        let sink = if zipped { Sink::Gzip(GzEncoder::new(file, Compression::fast())) } else { Sink::Plain(file) };
        Ok(Self { sink, line: String::new() })
    }

    /// Adds messages; `recv_ms` is their `at_ms`.
    ///
    /// # Errors
    /// Where they can't be written.
    pub fn write_all(&mut self, messages: &[Message]) -> io::Result<()> {
        for message in messages {
            self.line.clear();
            let heard_at = GatewayTime(message.at_ms);
            zenei_wire::recording::write_line(&message.topic, heard_at, &message.payload, &mut self.line);
            match &mut self.sink {
                Sink::Plain(file) => file.write_all(self.line.as_bytes())?,
                Sink::Gzip(file) => file.write_all(self.line.as_bytes())?,
            }
        }
        Ok(())
    }

    /// Writes what is left and closes the file.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn finish(self) -> io::Result<()> {
        match self.sink {
            Sink::Plain(mut file) => file.flush(),
            Sink::Gzip(file) => file.finish()?.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fleet, Scenario};
    use flate2::read::GzDecoder;
    use std::io::Read as _;
    use zenei_wire::recording::{Line, parse_line};

    #[test]
    fn a_recording_gives_back_the_bytes_zipped_or_not() {
        let mut scenario = Scenario::demo().unwrap();
        (scenario.locks, scenario.days) = (30, 3.0);
        let mut fleet = Fleet::new(&scenario, 8).unwrap();
        let mut messages = Vec::new();
        fleet.advance(fleet.end_ms(), &mut messages);
        let folder = tempfile::tempdir().unwrap();
        let (plain, zipped) = (folder.path().join("fleet.ndjson"), folder.path().join("fleet.ndjson.gz"));
        for path in [&plain, &zipped] {
            let mut recorder = Recorder::create(path).unwrap();
            messages.chunks(100).for_each(|part| recorder.write_all(part).unwrap());
            recorder.finish().unwrap();
        }
        let text = std::fs::read_to_string(plain).unwrap();
        let mut unzipped = String::new();
        GzDecoder::new(File::open(zipped).unwrap()).read_to_string(&mut unzipped).unwrap();
        assert!(text == unzipped);
        assert_eq!(text.lines().count(), messages.len());
        assert!(messages.iter().any(|message| message.payload[0] >= 0x80), "no CBOR among them");
        for (line, message) in text.lines().zip(&messages) {
            let Line::Message { topic, heard_at, payload } = parse_line(line).unwrap() else { panic!("{line}") };
            assert_eq!((&*topic, heard_at.ms(), &*payload), (&*message.topic, message.at_ms, &*message.payload));
        }
    }
}
