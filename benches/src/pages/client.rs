//! A client of the HTTP server that keeps its connection. Called by those who ask and those who listen.
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(60);

/// A connection.
pub(super) struct Client {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).expect("the answer is JSON")
    }
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_nodelay(true).expect("a socket has options");
        stream.set_read_timeout(Some(WITHIN)).expect("a socket has options");
        Self { address, stream: BufReader::new(stream) }
    }

    pub(super) fn get(&mut self, path: &str) -> Answer {
        let ask = |client: &mut Self| client.ask(path, "GET", "", &[]);
        ask(self).unwrap_or_else(|_| {
            // The server ends a connection that rests for ten seconds.
            *self = Self::connect(self.address);
            ask(self).unwrap_or_else(|error| panic!("{path}: {error}"))
        })
    }

    /// Posts JSON on a connection of its own.
    pub(super) fn post(address: SocketAddr, path: &str, token: &str, body: &Value) -> Answer {
        let lines = format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n");
        let body = body.to_string();
        let answer = Self::connect(address).ask(path, "POST", &lines, body.as_bytes());
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn ask(&mut self, path: &str, method: &str, lines: &str, body: &[u8]) -> std::io::Result<Answer> {
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{lines}content-length: {}\r\n\r\n", body.len());
        self.stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        let status = self.line()?.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
        let (mut length, mut is_chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", value)) => {
                    length = value.parse().map_err(|_| std::io::ErrorKind::InvalidData)?;
                }
                Some(("transfer-encoding", "chunked")) => is_chunked = true,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = Vec::new();
        if is_chunked {
            while self.chunk(&mut body)? {}
        } else {
            body.resize(length, 0);
            self.stream.read_exact(&mut body)?;
        }
        Ok(Answer { status, body })
    }

    fn chunk(&mut self, body: &mut Vec<u8>) -> std::io::Result<bool> {
        let length = usize::from_str_radix(&self.line()?, 16).map_err(|_| std::io::ErrorKind::InvalidData)?;
        let from = body.len();
        body.resize(from + length, 0);
        self.stream.read_exact(&mut body[from..])?;
        self.line()?;
        Ok(length > 0)
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
