//! A proxy between a daemon and its ClickHouse: counts inserts on their way, holds answers back, refuses connections,
//! and, for negative controls, spoils what makes a repeated insert count once. Must not know more than HTTP's framing
//! and the names of ClickHouse's settings. Called by the tests of shipping (`ship_*`), through `clickhouse`.
use std::io::{self, Error, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The most bytes of a request's head; far above what the client writes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const TOKEN: &str = "&insert_deduplication_token=";

/// What the proxy does to inserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoil {
    /// Nothing.
    Nothing,
    /// Each try gets a token of its own.
    FreshToken,
    /// The token is removed, and the engine may not derive one from the bytes in its place.
    NoToken,
}

/// Counts of inserts so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inserts {
    /// Inserts whose head was passed to the engine.
    pub(crate) begun: u64,
    /// Inserts whose last byte was passed.
    pub(crate) sent: u64,
    /// Inserts to which the engine has begun to answer.
    pub(crate) answered: u64,
    /// Those of which the answer was held back.
    pub(crate) held: u64,
}

/// The proxy; ends with the process.
pub(crate) struct Between {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    engine: Mutex<SocketAddr>,
    spoil: Spoil,
    begun: AtomicU64,
    sent: AtomicU64,
    answered: AtomicU64,
    held: AtomicU64,
    /// Answers to inserts into tables whose names begin so are held back; `None`: no answer is.
    holds: Mutex<Option<&'static str>>,
    refuses: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Between {
    /// Listens in front of an engine.
    pub(crate) fn start(engine: SocketAddr, spoil: Spoil) -> Self {
        let shared = Arc::new(Shared {
            engine: Mutex::new(engine),
            spoil,
            begun: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            held: AtomicU64::new(0),
            holds: Mutex::new(None),
            refuses: AtomicBool::new(false),
            open: Mutex::new(Vec::new()),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be listened on");
        let address = listener.local_addr().expect("a listener has an address");
        let between = Self { address, shared };
        between.accept(listener);
        between
    }

    /// The URL that the daemon must use.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn inserts(&self) -> Inserts {
        let Shared { begun, sent, answered, held, .. } = &*self.shared;
        let [begun, sent, answered, held] = [begun, sent, answered, held].map(|count| count.load(Ordering::SeqCst));
        Inserts { begun, sent, answered, held }
    }

    /// Whether answers to inserts are held back from the daemon from now on.
    pub(crate) fn hold_answers(&self, holds: bool) {
        self.hold_answers_to(holds.then_some(""));
    }

    /// Holds back answers to inserts into tables whose names begin so.
    pub(crate) fn hold_answers_to(&self, tables: Option<&'static str>) {
        *self.shared.holds.lock().unwrap_or_else(PoisonError::into_inner) = tables;
    }

    /// The address of the engine from now on.
    pub(crate) fn move_to(&self, engine: SocketAddr) {
        *self.shared.engine.lock().unwrap_or_else(PoisonError::into_inner) = engine;
    }

    /// Closes all connections and refuses new ones.
    pub(crate) fn refuse(&self) {
        self.shared.refuses.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A closed one needs no shutdown.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the listener, so that it closes; until then other connections may still be accepted.
        while TcpStream::connect(self.address).is_ok() {
            std::thread::yield_now();
        }
    }

    /// Accepts connections again.
    pub(crate) fn take_again(&self) {
        self.shared.refuses.store(false, Ordering::SeqCst);
        let listener = TcpListener::bind(self.address).expect("the port is free as long as nobody else takes it");
        self.accept(listener);
    }

    fn accept(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            for daemon in listener.incoming().map_while(Result::ok) {
                if shared.refuses.load(Ordering::SeqCst) {
                    return;
                }
                // With the engine away the connection is closed, as the engine itself would do.
                let _ = shared.connect(daemon);
            }
        });
    }
}

impl Shared {
    /// Serves one connection on two threads.
    fn connect(self: &Arc<Self>, daemon: TcpStream) -> io::Result<()> {
        let address = *self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = TcpStream::connect(address)?;
        let (mut from_engine, mut to_daemon) = (engine.try_clone()?, daemon.try_clone()?);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).extend([daemon.try_clone()?, engine.try_clone()?]);
        let (there, back) = (Arc::clone(self), Arc::clone(self));
        // The token of the current request, if it is an insert; there is one at a time.
        let inserts = Arc::new(Mutex::new(None));
        let current: Arc<Mutex<Option<String>>> = Arc::clone(&inserts);
        std::thread::spawn(move || {
            let _ = there.forward(daemon, &engine, &inserts);
            let _ = engine.shutdown(Shutdown::Both);
        });
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(count @ 1..) = from_engine.read(&mut buffer) {
                let token = current.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(token) = token {
                    back.answered.fetch_add(1, Ordering::SeqCst);
                    let holds = *back.holds.lock().unwrap_or_else(PoisonError::into_inner);
                    if holds.is_some_and(|tables| token.starts_with(tables)) {
                        back.held.fetch_add(1, Ordering::SeqCst);
                        // The daemon never receives the answer: the connection stays open until one of both ends.
                        continue;
                    }
                }
                if to_daemon.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = to_daemon.shutdown(Shutdown::Both);
        });
        Ok(())
    }

    /// Passes on requests, one after the other, until the daemon closes.
    fn forward(
        &self,
        mut daemon: TcpStream,
        mut engine: &TcpStream,
        inserts: &Mutex<Option<String>>,
    ) -> io::Result<()> {
        let mut inbox = Vec::new();
        loop {
            let head = until(&mut daemon, &mut inbox, b"\r\n\r\n")?;
            let head = String::from_utf8(head).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
            let is_insert = head.contains(TOKEN) && head.contains("ArrowStream");
            let number = if is_insert { self.begun.fetch_add(1, Ordering::SeqCst) } else { 0 };
            // The daemon's own test of the server is not changed: it would detect the spoiling, and ship nothing.
            let passed = if is_insert { self.spoiled(&head, number) } else { head.clone() };
            engine.write_all(passed.as_bytes())?;
            let token = head.split_once(TOKEN).filter(|_| is_insert).map(|(_, token)| token.to_owned());
            *inserts.lock().unwrap_or_else(PoisonError::into_inner) = token;
            let lower = head.to_ascii_lowercase();
            if lower.contains("transfer-encoding: chunked") {
                pass_chunks(&mut daemon, &mut inbox, engine)?;
            } else if let Some((_, rest)) = lower.split_once("content-length:") {
                let length = rest.lines().next().unwrap_or("").trim().parse();
                pass(
                    &mut daemon,
                    &mut inbox,
                    engine,
                    length.map_err(|error| Error::new(ErrorKind::InvalidData, error))?,
                )?;
            }
            if is_insert {
                self.sent.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn spoiled(&self, head: &str, number: u64) -> String {
        let Some(from) = head.find(TOKEN) else { return head.to_owned() };
        let value = from + TOKEN.len();
        let length = head[value..].find(['&', ' ']).unwrap_or(head.len() - value);
        let (before, token, after) = (&head[..from], &head[value..value + length], &head[value + length..]);
        match self.spoil {
            Spoil::Nothing => head.to_owned(),
            Spoil::FreshToken => format!("{before}{TOKEN}{token}-{number}{after}"),
            Spoil::NoToken => format!("{before}&deduplicate_insert=disable{after}"),
        }
    }
}

/// Reads up to this mark, the mark included.
fn until(from: &mut TcpStream, inbox: &mut Vec<u8>, mark: &[u8]) -> io::Result<Vec<u8>> {
    loop {
        if let Some(at) = inbox.windows(mark.len()).position(|bytes| bytes == mark) {
            return Ok(inbox.drain(..at + mark.len()).collect());
        }
        if inbox.len() > MAX_HEAD_BYTES {
            return Err(ErrorKind::InvalidData.into());
        }
        read_more(from, inbox)?;
    }
}

fn read_more(from: &mut TcpStream, inbox: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 64 * 1024];
    match from.read(&mut buffer)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        count => {
            inbox.extend_from_slice(&buffer[..count]);
            Ok(())
        }
    }
}

/// Passes on so many bytes as they arrive.
fn pass(from: &mut TcpStream, inbox: &mut Vec<u8>, mut to: &TcpStream, mut length: usize) -> io::Result<()> {
    while length > 0 {
        if inbox.is_empty() {
            read_more(from, inbox)?;
        }
        let count = length.min(inbox.len());
        to.write_all(&inbox[..count])?;
        inbox.drain(..count);
        length -= count;
    }
    Ok(())
}

/// Passes on chunks up to the last, which has no bytes (RFC 9112, section 7.1).
fn pass_chunks(from: &mut TcpStream, inbox: &mut Vec<u8>, mut to: &TcpStream) -> io::Result<()> {
    loop {
        let size = until(from, inbox, b"\r\n")?;
        to.write_all(&size)?;
        let text = String::from_utf8_lossy(&size);
        let length =
            usize::from_str_radix(text.trim(), 16).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
        pass(from, inbox, to, length + 2)?;
        if length == 0 {
            return Ok(());
        }
    }
}

#[test]
fn a_token_is_left_replaced_or_taken_away() {
    let spoiled = |spoil| {
        let shared = Between::start("127.0.0.1:1".parse().expect("an address"), spoil).shared;
        shared.spoiled("POST /?a=1&insert_deduplication_token=record%3Agw&b=2 HTTP/1.1\r\n", 7)
    };
    assert_eq!(spoiled(Spoil::Nothing), "POST /?a=1&insert_deduplication_token=record%3Agw&b=2 HTTP/1.1\r\n");
    assert_eq!(spoiled(Spoil::FreshToken), "POST /?a=1&insert_deduplication_token=record%3Agw-7&b=2 HTTP/1.1\r\n");
    assert_eq!(spoiled(Spoil::NoToken), "POST /?a=1&deduplicate_insert=disable&b=2 HTTP/1.1\r\n");
}
