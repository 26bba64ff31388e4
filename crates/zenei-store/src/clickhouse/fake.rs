//! A scripted server for tests: it accepts, refuses, hangs up or does not answer, and records each insert. What is not
//! an insert has a script of its own; without one it is refused, as to a user who may only insert. No ClickHouse is
//! behind it. Called by the tests of the shipper.
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 200.
    Taken,
    /// The connection ends after the whole request.
    HangUp,
    /// The connection ends before the request's body.
    HangUpAtOnce,
    /// No answer, for ever.
    Silence,
    /// A status without an exception, as from a proxy.
    Status(u16),
    /// An exception with this code.
    Code(u32),
}

/// A request that the server received.
#[derive(Clone)]
pub(crate) struct Heard {
    /// The request's target, decoded.
    pub(crate) target: String,
    pub(crate) sql: String,
    pub(crate) token: String,
    pub(crate) body: Vec<u8>,
    pub(crate) taken: bool,
}

impl Heard {
    /// The parts by which two inserts are the same; the target's settings have no order.
    pub(crate) fn same(&self) -> (&str, &str, &[u8]) {
        (&self.sql, &self.token, &self.body)
    }

    /// Of an insert into `record` with `all` rows: which of them, by its token.
    pub(crate) fn rows_within(&self, all: usize) -> Option<Range<usize>> {
        let place = self.token.strip_prefix("record:")?;
        let mut parts = place.split(':').skip(2);
        let Some(part) = parts.next() else { return Some(0..all) };
        let (from, to) = part.split_once('-')?;
        Some(from.parse().ok()?..to.parse().ok()?)
    }
}

type Script = dyn Fn(&Heard, usize) -> Answer + Send + Sync;

/// The answer to what is not an insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Rows, a JSON object a line.
    Lines(String),
    /// An exception with this code.
    Code(u32),
    /// The connection ends.
    HangUp,
}

/// The code of ACCESS_DENIED.
pub(crate) const DENIED: u32 = 497;

type Looks = dyn Fn(&str, usize) -> Said + Send + Sync;

/// The server; ends with the process.
pub(crate) struct FakeServer {
    url: String,
    asked: Arc<Mutex<Vec<Heard>>>,
    looked: Arc<Mutex<Vec<String>>>,
}

impl FakeServer {
    /// A server whose answer depends on the request and on the number of requests before it.
    pub(crate) fn start(script: impl Fn(&Heard, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with(script, |_, _| Said::Code(DENIED))
    }

    /// As [`FakeServer::start`]; `looks` answers what is not an insert, by its text and the number of those before it.
    pub(crate) fn start_with(
        script: impl Fn(&Heard, usize) -> Answer + Send + Sync + 'static,
        looks: impl Fn(&str, usize) -> Said + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, script): (_, Arc<Script>) = (Arc::clone(&asked), Arc::new(script));
        let looked = Arc::new(Mutex::new(Vec::new()));
        let (seen, looks): (_, Arc<Looks>) = (Arc::clone(&looked), Arc::new(looks));
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                // One at a time: the shipper makes one request after the other.
                let served = stream.ok().map(|stream| serve(stream, (&kept, &*script), (&seen, &*looks)));
                silent.extend(served.flatten());
            }
        });
        Self { url, asked, looked }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// How long a client should wait for an answer here: long for a busy machine, short for a test of silence.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(2)
    }

    pub(crate) fn asked(&self) -> Vec<Heard> {
        self.asked.lock().unwrap().clone()
    }

    /// The requests that were no inserts, each with its parameters, as it was sent.
    pub(crate) fn looked(&self) -> Vec<String> {
        self.looked.lock().unwrap().clone()
    }
}

/// Serves one request; returns a connection that must stay open without an answer.
fn serve(
    stream: TcpStream,
    (asked, script): (&Mutex<Vec<Heard>>, &Script),
    (looked, looks): (&Mutex<Vec<String>>, &Looks),
) -> Option<TcpStream> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let target = decoded(first.split(' ').nth(1)?);
    let mut length = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        let value =
            line.to_ascii_lowercase().strip_prefix("content-length:").map(|value| value.trim().parse::<usize>());
        length = value.and_then(Result::ok).or(length);
    }
    if !target.contains("insert_deduplication_token=") {
        let body = match length {
            Some(length) => {
                let mut body = vec![0; length];
                reader.read_exact(&mut body).ok()?;
                body
            }
            None => chunks(&mut reader)?,
        };
        look(stream, &String::from_utf8_lossy(&body), looked, looks);
        return None;
    }
    let value = |name: &str| {
        let at = target.find(&format!("{name}="))? + name.len() + 1;
        Some(target[at..].split('&').next().unwrap_or("").to_owned())
    };
    let (sql, token) = (value("query")?, value("insert_deduplication_token")?);
    let mut heard = Heard { target: target.clone(), sql, token, body: Vec::new(), taken: false };
    let number = asked.lock().unwrap().len();
    let answer = script(&heard, number);
    if answer != Answer::HangUpAtOnce {
        heard.body = chunks(&mut reader)?;
    }
    heard.taken = answer == Answer::Taken;
    asked.lock().unwrap().push(heard);
    let write = |status: &str, header: &str, body: &str| write(&stream, status, header, body);
    match answer {
        Answer::Taken => write("200 OK", "", ""),
        Answer::Status(status) => write(&format!("{status} Status"), "", ""),
        Answer::Code(code) => refuse(&stream, code),
        Answer::HangUp | Answer::HangUpAtOnce => None,
        Answer::Silence => return Some(stream),
    };
    None
}

/// Answers what is not an insert.
fn look(stream: TcpStream, sql: &str, looked: &Mutex<Vec<String>>, looks: &Looks) {
    let number = looked.lock().unwrap().len();
    looked.lock().unwrap().push(sql.to_owned());
    match looks(sql, number) {
        Said::Lines(lines) => write(&stream, "200 OK", "", &lines),
        Said::Code(code) => refuse(&stream, code),
        Said::HangUp => None,
    };
}

fn refuse(stream: &TcpStream, code: u32) -> Option<()> {
    let header = format!("X-ClickHouse-Exception-Code: {code}\r\n");
    write(stream, "500 Internal Server Error", &header, &format!("Code: {code}. DB::Exception: no"))
}

fn write(mut stream: &TcpStream, status: &str, header: &str, body: &str) -> Option<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(head.as_bytes()).ok()
}

/// A chunked body.
fn chunks(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

/// A URL's text: `%41` and `+` resolved.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                let digits = str::from_utf8(&digits).unwrap_or("00").to_owned();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(0));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
