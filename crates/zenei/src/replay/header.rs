//! Which topic and which `recv_ms` has a recording's line whose payload can't be parsed, because the line is no UTF-8,
//! nested too deep or too long? Scans the bytes once, in bounded memory and without recursion. Must not parse the
//! payload. Called by `recording`, for broken lines alone.
use zenei_wire::GatewayTime;
use zenei_wire::recording::{Line, parse_line};

/// The longest value that is stored, in bytes: a topic has at most 65,535 (MQTT 3.1.1, 1.5.3), each written as six
/// (`\u0001`) at most.
const MAX_VALUE_BYTES: usize = 6 * 65_535;

/// The state of the scan of a line.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// Brackets that are open; 1 between the line's own fields.
    depth: usize,
    deepest: usize,
    in_text: bool,
    escaped: bool,
    /// The line's own bracket was closed.
    ended: bool,
    /// There are bytes before or after the line's object.
    beside: bool,
    /// The name of the value being read, as written.
    name: Option<Vec<u8>>,
    /// The name or value being read, without the contents of its brackets.
    token: Vec<u8>,
    /// The fields that matter, as a line of JSON fields.
    fields: Vec<u8>,
    payload: bool,
}

impl Header {
    /// Scans the next bytes of the line.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.byte(byte));
    }

    /// How deep the brackets went.
    pub(super) fn deepest(&self) -> usize {
        self.deepest
    }

    /// Topic and time, where the line has both and a payload; `None` where it is no message's.
    pub(super) fn message(&self) -> Option<(String, GatewayTime)> {
        if self.beside || !self.payload {
            return None;
        }
        let fields = str::from_utf8(&self.fields).ok()?;
        let line = format!("{{{fields}\"payload\":0}}");
        match parse_line(&line).ok()? {
            Line::Message { topic, heard_at, .. } => Some((topic.into_owned(), heard_at)),
            Line::Advertisement { .. } => None,
        }
    }

    fn byte(&mut self, byte: u8) {
        if self.in_text {
            self.keep(byte);
            self.in_text = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return;
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => {}
            b'{' if self.depth == 0 && !self.ended => self.open(),
            _ if self.depth == 0 => self.beside = true,
            b'{' | b'[' => {
                self.keep(byte);
                self.open();
            }
            b'}' | b']' => self.close(),
            b':' if self.depth == 1 && self.name.is_none() => self.named(),
            b',' if self.depth == 1 => self.field(),
            _ => {
                self.in_text = byte == b'"';
                self.keep(byte);
            }
        }
    }

    /// Stores one byte more than the limit, which shows that there were more.
    fn keep(&mut self, byte: u8) {
        if self.depth == 1 && self.token.len() <= MAX_VALUE_BYTES {
            self.token.push(byte);
        }
    }

    fn open(&mut self) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
    }

    fn close(&mut self) {
        if self.depth == 1 {
            self.field();
            self.ended = true;
        }
        self.depth -= 1;
    }

    fn named(&mut self) {
        let name = std::mem::take(&mut self.token);
        let is = |wanted: &str| serde_json::from_slice::<String>(&name).is_ok_and(|name| name == wanted);
        self.payload |= is("payload") || is("payload_b64");
        self.name = Some(if is("topic") || is("recv_ms") { name } else { Vec::new() });
    }

    fn field(&mut self) {
        let value = std::mem::take(&mut self.token);
        let Some(name) = self.name.take().filter(|name| !name.is_empty()) else {
            return;
        };
        // A value that is too long is left out, and then counts as missing.
        if value.len() <= MAX_VALUE_BYTES {
            for part in [&name[..], b":", &value, b","] {
                self.fields.extend_from_slice(part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(line: &[u8]) -> Option<(String, i64)> {
        // Cut into single bytes: how a line is split changes nothing.
        let mut header = Header::default();
        line.iter().for_each(|byte| header.read(&[*byte]));
        header.message().map(|(topic, at)| (topic, at.ms()))
    }

    #[test]
    fn topic_and_time_are_read_around_any_payload() {
        let wanted = Some(("a\"b".to_owned(), -5));
        assert_eq!(message(b"{\"topic\":\"a\\\"b\",\"recv_ms\": -5 ,\"payload\":{\"x\":\"}\xff\\\"{\"}}"), wanted);
        assert_eq!(
            message(b" {\"payload\":[\"topic\",{\"recv_ms\":7}] , \"recv_ms\":-5,\"topic\":\"a\\u0022b\"} "),
            wanted
        );
        assert_eq!(message(b"{\"topic\":\"a\\\"b\",\"recv_ms\":-5,\"payload_b64\":\"\xff"), wanted, "cut off");
    }

    #[test]
    fn a_line_that_is_no_messages_gives_none() {
        let none: [&[u8]; 9] = [
            b"",
            b"\xff",
            b"{\"recv_ms\":1,\"payload\":1}",
            b"{\"topic\":\"a\",\"payload\":1}",
            b"{\"topic\":\"a\",\"recv_ms\":1}",
            b"{\"topic\":\"\xff\",\"recv_ms\":1,\"payload\":1}",
            b"{\"topic\":\"a\",\"recv_ms\":1.5,\"payload\":1}",
            b"{\"topic\":\"a\",\"recv_ms\":1,\"payload\":1} {",
            b"{\"x\":{\"topic\":\"a\",\"recv_ms\":1,\"payload\":1}}",
        ];
        for line in none {
            assert_eq!(message(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_value_without_an_end_fills_no_memory() {
        let mut header = Header::default();
        header.read(b"{\"topic\":\"");
        (0..1_000).for_each(|_| header.read(&[b'a'; 1_000]));
        assert_eq!(header.token.len(), MAX_VALUE_BYTES + 1);
        header.read(b"\",\"recv_ms\":1,\"payload\":1}");
        assert_eq!(header.message(), None);
    }
}
