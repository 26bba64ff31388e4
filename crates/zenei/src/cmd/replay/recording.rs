//! A recording as a stream of messages: NDJSON, plain or gzip, in bounded memory however long the file is. Knows no record and no detector.
//! Called by `replay`.
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use zenei_store::{Source, StoredMessage};
use zenei_wire::GatewayTime;
use zenei_wire::recording::{Line, parse_line};

/// The longest line, in bytes. A message has at most 64 KiB, which base64 makes 88 KiB; broken ones may be longer, and are heard up to
/// the ingress's 128 KiB. A guess with room.
const MAX_LINE_BYTES: usize = 1 << 20;

/// The first two bytes of gzip (RFC 1952, 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A recording that is being read.
pub(crate) struct Recording {
    file: String,
    lines: Box<dyn BufRead>,
    /// Lines read so far.
    line: u64,
    /// The highest `recv_ms` so far: a spool's `heard_at` never goes back, and so a recording's does not.
    heard_at: GatewayTime,
    /// Advertisements gone past.
    advertisements: u64,
    buffer: Vec<u8>,
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    /// Why it can't be opened.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display().to_string();
        let unread = |error: std::io::Error| format!("{shown} can't be read: {error}");
        let mut bytes = BufReader::with_capacity(1 << 17, File::open(path).map_err(unread)?);
        let packed = bytes.fill_buf().map_err(unread)?.starts_with(&GZIP_MAGIC);
        let lines: Box<dyn BufRead> = if packed {
            Box::new(BufReader::with_capacity(1 << 17, MultiGzDecoder::new(bytes)))
        } else {
            Box::new(bytes)
        };
        Ok(Self::of(shown, lines))
    }

    fn of(file: String, lines: Box<dyn BufRead>) -> Self {
        let heard_at = GatewayTime(i64::MIN);
        Self { file, lines, line: 0, heard_at, advertisements: 0, buffer: Vec::new() }
    }

    /// The next message; its offset is its line's number from 0. `None` after the last one.
    ///
    /// # Errors
    /// A line that is none of a recording's, with file and line.
    pub(crate) fn next(&mut self) -> Result<Option<StoredMessage>, String> {
        while let Some(text) = self.next_line()? {
            if text.trim_ascii().is_empty() {
                continue;
            }
            let (file, line) = (&self.file, self.line);
            let text = str::from_utf8(&text).map_err(|error| format!("{file}:{line}: no UTF-8: {error}"))?;
            match parse_line(text).map_err(|error| format!("{file}:{line}: {error}"))? {
                Line::Message { topic, heard_at, payload } => {
                    self.heard_at = self.heard_at.max(heard_at);
                    return Ok(Some(StoredMessage {
                        offset: line - 1,
                        heard_at: self.heard_at,
                        source: Source::Recording,
                        authenticated: true,
                        topic: topic.into_owned(),
                        payload: Bytes::from(payload.into_owned()),
                    }));
                }
                Line::Advertisement { heard_at, .. } => {
                    self.heard_at = self.heard_at.max(heard_at);
                    self.advertisements += 1;
                }
            }
        }
        Ok(None)
    }

    /// How many advertisements were gone past: this version does not read them.
    pub(crate) fn advertisements(&self) -> u64 {
        self.advertisements
    }

    /// The highest `recv_ms` so far.
    pub(crate) fn heard_at(&self) -> GatewayTime {
        self.heard_at
    }

    /// The next line without its end; `None` after the last one.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, String> {
        self.buffer.clear();
        let limit = MAX_LINE_BYTES as u64 + 1;
        let read = (&mut self.lines).take(limit).read_until(b'\n', &mut self.buffer);
        self.line += 1;
        match read.map_err(|error| format!("{}:{}: can't be read: {error}", self.file, self.line))? {
            0 => Ok(None),
            _ if self.buffer.len() > MAX_LINE_BYTES => {
                Err(format!("{}:{}: the line has over {MAX_LINE_BYTES} bytes, the most allowed", self.file, self.line))
            }
            _ => Ok(Some(std::mem::take(&mut self.buffer))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    fn read(bytes: &[u8]) -> Result<Vec<StoredMessage>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.ndjson");
        std::fs::write(&path, bytes).unwrap();
        let mut recording = Recording::open(&path).unwrap();
        let mut messages = Vec::new();
        while let Some(message) = recording.next().map_err(|error| error.rsplit_once('/').unwrap().1.to_owned())? {
            messages.push(message);
        }
        Ok(messages)
    }

    const LINES: &str = "{\"topic\":\"a\",\"recv_ms\":20,\"payload\":{\"ts\":1}}\n\n{\"topic\":\"b\",\"recv_ms\":10,\"payload_b64\":\"/w==\"}\n";

    #[test]
    fn messages_come_with_their_bytes_their_line_and_a_time_that_never_goes_back() {
        let messages = read(LINES.as_bytes()).unwrap();
        let found: Vec<_> =
            messages.iter().map(|m| (m.offset, m.topic.as_str(), m.heard_at.ms(), &m.payload[..])).collect();
        assert_eq!(found, [(0, "a", 20, &b"{\"ts\":1}"[..]), (2, "b", 20, &[0xff])]);
    }

    #[test]
    fn a_packed_recording_reads_like_a_plain_one_also_in_several_members() {
        let (first, second) = LINES.split_at(50);
        let mut packed = Vec::new();
        for part in [first, second] {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(part.as_bytes()).unwrap();
            packed.extend(encoder.finish().unwrap());
        }
        assert_eq!(read(&packed), read(LINES.as_bytes()));
    }

    #[test]
    fn a_line_that_is_none_is_told_with_its_number() {
        let broken = format!("{LINES}{{\"topic\":\"a\"}}\n");
        assert_eq!(read(broken.as_bytes()).unwrap_err(), "r.ndjson:4: the line has no recv_ms; it is required");
    }

    #[test]
    fn a_line_without_an_end_fills_no_memory() {
        let endless = vec![b' '; MAX_LINE_BYTES + 2];
        assert_eq!(read(&endless).unwrap_err(), "r.ndjson:1: the line has over 1048576 bytes, the most allowed");
    }
}
