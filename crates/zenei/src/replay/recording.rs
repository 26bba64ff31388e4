//! A recording as a stream of messages: NDJSON, plain or gzip, in bounded memory however long the file is. Must not
//! know a record or a detector. Called by `replay`, by `scan` and by the test cases of rules.
use super::gzip::Members;
use super::header::Header;
use crate::progress::Progress;
use bytes::Bytes;
use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use zenei_store::{Source, StoredMessage};
use zenei_wire::bthome::{Address, Advertisement};
use zenei_wire::recording::{Line, parse_line};
use zenei_wire::{DbMilliwatts, GatewayTime, Reason};

/// The longest line that is read, in bytes. A message has at most 64 KiB, which are 88 KiB in base64; broken ones may
/// be longer, and the ingress accepts up to 128 KiB. A guess with a margin.
const MAX_LINE_BYTES: usize = 1 << 20;

/// The first two bytes of gzip (RFC 1952, 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// UTF-8's byte order mark, which some editors put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The deepest nesting of a line that is read, by [`parse_line`].
const MAX_LINE_DEPTH: usize = 128;

/// One message of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Played {
    /// A received message.
    Message(StoredMessage),
    /// Its line has a payload that can't be extracted.
    Refused {
        /// The topic, unchecked.
        topic: String,
        /// Why not: no UTF-8, too deep or too large.
        reason: Reason,
    },
}

/// A recording that is being read.
pub(crate) struct Recording {
    file: String,
    lines: Box<dyn BufRead>,
    /// Lines read so far.
    line: u64,
    /// The highest `recv_ms` so far: a spool's `heard_at` never goes back, and so a recording's does not.
    heard_at: GatewayTime,
    buffer: Vec<u8>,
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    /// Why it can't be opened.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        Self::of_file(path, |file| file)
    }

    /// The same, and the progress counts the file's bytes.
    ///
    /// # Errors
    /// Why it can't be opened.
    pub(crate) fn open_watched(path: &Path, progress: &Progress) -> Result<Self, String> {
        Self::of_file(path, |file| progress.reading(file))
    }

    fn of_file<R: Read + 'static>(path: &Path, watched: impl FnOnce(File) -> R) -> Result<Self, String> {
        let shown = path.display().to_string();
        let unread = |error: std::io::Error| format!("{shown} can't be read: {error}");
        let mut bytes = BufReader::with_capacity(1 << 17, watched(File::open(path).map_err(unread)?));
        let packed = bytes.fill_buf().map_err(unread)?.starts_with(&GZIP_MAGIC);
        let lines: Box<dyn BufRead> =
            if packed { Box::new(BufReader::with_capacity(1 << 17, Members::new(bytes))) } else { Box::new(bytes) };
        Ok(Self::of(shown, lines))
    }

    fn of(file: String, lines: Box<dyn BufRead>) -> Self {
        let heard_at = GatewayTime(i64::MIN);
        Self { file, lines, line: 0, heard_at, buffer: Vec::new() }
    }

    /// The next message; its offset is its line's number from 0. `None` after the last one.
    ///
    /// # Errors
    /// A line that is not of a recording's form, with file and line.
    pub(crate) fn next(&mut self) -> Result<Option<Played>, String> {
        while let Some(text) = self.next_line()? {
            if text.len() <= MAX_LINE_BYTES && text.trim_ascii().is_empty() {
                continue;
            }
            let text = match str::from_utf8(&text) {
                _ if text.len() > MAX_LINE_BYTES => return self.too_long(&text).map(Some),
                Ok(text) => text,
                Err(error) => {
                    let (topic, _) = self.header(&text).ok_or_else(|| self.told(format_args!("no UTF-8: {error}")))?;
                    return Ok(Some(Played::Refused { topic, reason: Reason::BadUtf8 }));
                }
            };
            let read = match parse_line(text) {
                Ok(read) => read,
                Err(error) => {
                    let deep = self.header(text.as_bytes()).filter(|(_, depth)| *depth > MAX_LINE_DEPTH);
                    let (topic, _) = deep.ok_or_else(|| self.told(error))?;
                    return Ok(Some(Played::Refused { topic, reason: Reason::TooDeep }));
                }
            };
            match read {
                Line::Message { topic, heard_at, payload } => {
                    self.heard_at = self.heard_at.max(heard_at);
                    return Ok(Some(Played::Message(StoredMessage {
                        offset: self.line - 1,
                        heard_at: self.heard_at,
                        source: Source::Recording,
                        authenticated: true,
                        topic: topic.into_owned(),
                        payload: Bytes::from(payload.into_owned()),
                    })));
                }
                Line::Advertisement { address, heard_at, rssi_dbm, service_data } => {
                    self.heard_at = self.heard_at.max(heard_at);
                    return Ok(Some(Played::Message(self.advertisement(&address, rssi_dbm, &service_data))));
                }
            }
        }
        Ok(None)
    }

    /// The message that the spool would store for an advertisement. One with an invalid address has no valid topic, and
    /// becomes a dead letter.
    fn advertisement(&self, address: &str, rssi_dbm: Option<DbMilliwatts>, service_data: &[u8]) -> StoredMessage {
        let address: Option<Address> = address.parse().ok();
        let heard = Advertisement { address: address.unwrap_or(Address([0; 6])), rssi_dbm, service_data };
        StoredMessage {
            offset: self.line - 1,
            heard_at: self.heard_at,
            source: Source::Ble,
            authenticated: false,
            topic: address.map_or_else(String::new, |_| heard.topic()),
            payload: Bytes::from(heard.payload()),
        }
    }

    /// Its file's name.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// The highest `recv_ms` so far.
    pub(crate) fn heard_at(&self) -> GatewayTime {
        self.heard_at
    }

    /// The next line; of a line that is too long, the first `MAX_LINE_BYTES` + 1 bytes. `None` after the last one.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, String> {
        self.buffer.clear();
        // A byte order mark may precede the first line; it does not count.
        let mark = if self.line == 0 { BYTE_ORDER_MARK.len() } else { 0 };
        let limit = (MAX_LINE_BYTES + 1 + mark) as u64;
        let read = (&mut self.lines).take(limit).read_until(b'\n', &mut self.buffer);
        self.line += 1;
        if read.map_err(|error| self.told(format_args!("can't be read: {error}")))? == 0 {
            return Ok(None);
        }
        if mark > 0 && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.drain(..mark);
        }
        Ok(Some(std::mem::take(&mut self.buffer)))
    }

    /// Skips the rest of a line that is too long.
    fn too_long(&mut self, start: &[u8]) -> Result<Played, String> {
        let mut header = Header::default();
        header.read(start);
        let mut ended = start.ends_with(b"\n");
        while !ended {
            let (file, line) = (&self.file, self.line);
            let bytes = self.lines.fill_buf().map_err(|error| format!("{file}:{line}: can't be read: {error}"))?;
            let length = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
            header.read(&bytes[..length]);
            ended = length == 0 || bytes[length - 1] == b'\n';
            self.lines.consume(length);
        }
        let over = || self.told(format_args!("the line has over {MAX_LINE_BYTES} bytes, the most allowed"));
        let (topic, heard_at) = header.message().ok_or_else(over)?;
        self.heard_at = self.heard_at.max(heard_at);
        Ok(Played::Refused { topic, reason: Reason::TooLarge })
    }

    /// The topic of a line that can't be parsed, and its nesting depth; time advances to the line's.
    fn header(&mut self, line: &[u8]) -> Option<(String, usize)> {
        let mut header = Header::default();
        header.read(line);
        let (topic, heard_at) = header.message()?;
        self.heard_at = self.heard_at.max(heard_at);
        Some((topic, header.deepest()))
    }

    /// With file and line.
    fn told(&self, what: impl Display) -> String {
        format!("{}:{}: {what}", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    fn played(bytes: &[u8]) -> Result<Vec<Played>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.ndjson");
        std::fs::write(&path, bytes).unwrap();
        let mut recording = Recording::open(&path).unwrap();
        let mut found = Vec::new();
        while let Some(one) = recording.next().map_err(|error| error.rsplit_once("/r.").unwrap().1.to_owned())? {
            found.push(one);
        }
        Ok(found)
    }

    fn read(bytes: &[u8]) -> Result<Vec<StoredMessage>, String> {
        let message = |played| match played {
            Played::Message(message) => message,
            Played::Refused { topic, reason } => panic!("{topic} is refused: {reason}"),
        };
        Ok(played(bytes)?.into_iter().map(message).collect())
    }

    /// The reason for which a line with this payload is refused, between two valid ones.
    fn refusal(payload: &[u8]) -> Option<Reason> {
        let line = [b"{\"topic\":\"x\",\"recv_ms\":20,\"payload\":", payload, b"}\n"].concat();
        let found = played(&[LINES.as_bytes(), &line, LINES.as_bytes()].concat()).unwrap();
        assert_eq!(found.len(), 5);
        match &found[2] {
            Played::Refused { topic, reason } => {
                assert_eq!(topic, "x");
                Some(*reason)
            }
            Played::Message(_) => None,
        }
    }

    fn packed(parts: &[&[u8]]) -> Vec<u8> {
        let one = |part: &&[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap()
        };
        parts.iter().flat_map(one).collect()
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
        let (first, second) = LINES.as_bytes().split_at(50);
        assert_eq!(read(&packed(&[first, second])), read(LINES.as_bytes()));
    }

    #[test]
    fn bytes_after_the_gzip_data_are_told() {
        let mut bytes = packed(&[LINES.as_bytes()]);
        bytes.extend(b"junk!");
        let told = "ndjson:4: can't be read: after gzip member 1 stand bytes that are no gzip member: 'junk!'";
        assert_eq!(read(&bytes).unwrap_err(), told);
    }

    #[test]
    fn a_byte_order_mark_before_the_first_line_is_gone_past() {
        let marked = [BYTE_ORDER_MARK, LINES.as_bytes()].concat();
        assert_eq!(read(&marked), read(LINES.as_bytes()));
        assert_eq!(read(&packed(&[&marked])), read(LINES.as_bytes()));
        let second = [LINES.as_bytes(), &marked].concat();
        assert!(read(&second).unwrap_err().starts_with("ndjson:4: the line is no JSON object"));
    }

    #[test]
    fn a_payload_that_can_not_be_read_is_refused_and_its_neighbours_are_not() {
        let deep = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
        let long = |bytes: usize| [b"{\"a\":\"", &vec![b'x'; bytes][..], b"\"}"].concat();
        assert_eq!(refusal(b"{\"fw\":\"\xff}\"}"), Some(Reason::BadUtf8));
        assert_eq!(refusal(&deep(MAX_LINE_DEPTH - 1)), None);
        assert_eq!(refusal(&deep(MAX_LINE_DEPTH)), Some(Reason::TooDeep));
        assert_eq!(refusal(&deep(100_000)), Some(Reason::TooDeep));
        assert_eq!(refusal(&long(MAX_LINE_BYTES - 100)), None);
        assert_eq!(refusal(&long(MAX_LINE_BYTES)), Some(Reason::TooLarge));
        assert_eq!(refusal(&long(3 * MAX_LINE_BYTES)), Some(Reason::TooLarge));
    }

    #[test]
    fn time_goes_on_with_what_is_refused() {
        let lines = [b"{\"topic\":\"x\",\"recv_ms\":90,\"payload\":\"\xff\"}\n", LINES.as_bytes()].concat();
        let last = played(&lines).unwrap().pop();
        assert!(matches!(last, Some(Played::Message(message)) if message.heard_at == GatewayTime(90)));
    }

    #[test]
    fn a_broken_line_without_topic_or_time_is_told() {
        let told = read(b"{\"topic\":\"x\",\"payload\":\"\xff\"}\n").unwrap_err();
        assert_eq!(told, "ndjson:1: no UTF-8: invalid utf-8 sequence of 1 bytes from index 24");
        let deep = format!("{{\"recv_ms\":1,\"payload\":{}", "[".repeat(200));
        assert!(read(deep.as_bytes()).unwrap_err().starts_with("ndjson:1: the line is no JSON object: a deeper level"));
    }

    #[test]
    fn a_line_that_is_none_is_told_with_its_number() {
        let broken = format!("{LINES}{{\"topic\":\"a\"}}\n");
        assert_eq!(read(broken.as_bytes()).unwrap_err(), "ndjson:4: the line has no recv_ms; it is required");
    }

    #[test]
    fn a_line_without_an_end_fills_no_memory() {
        let endless = vec![b' '; MAX_LINE_BYTES + 2];
        assert_eq!(read(&endless).unwrap_err(), "ndjson:1: the line has over 1048576 bytes, the most allowed");
    }
}
