//! Listeners of the stream, each with a thread of its own, and the steps on incidents that each must be told of. Must
//! not know what a page is. Called by the benchmark of the pages.
use super::client::Client;
use super::daemon::Daemon;
use crate::cost::Marks;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the last step may take to reach everybody.
const TOLD_WITHIN: Duration = Duration::from_secs(20);

/// What listeners heard.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// The fewest boards that one heard.
    pub board: u64,
    /// The fewest changes of incidents that one heard.
    pub changes: u64,
    /// The longest time between two boards of one, s.
    pub gap_s: f64,
    /// Steps that a listener was not told of, summed over all.
    pub missing: u64,
    /// Listeners whose stream ended too early.
    pub cut: u64,
    /// Events by which a listener was told that it was too slow, summed over all.
    pub missed: u64,
}

/// Those who listen.
pub(super) struct Listeners {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Heard>>,
    /// They never read.
    _deaf: Vec<TcpStream>,
    /// The number of the last event of each incident that a step made.
    taken: Mutex<BTreeMap<String, u64>>,
}

#[derive(Default)]
struct Heard {
    board: u64,
    changes: u64,
    missed: u64,
    gap_s: f64,
    latest: BTreeMap<String, u64>,
    is_cut: bool,
}

impl Listeners {
    pub(super) fn start(daemon: &Daemon, listeners: usize, deaf: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let address = daemon.http;
        let listen = |_| {
            let (stream, is_over) = (open(address), Arc::clone(&is_over));
            std::thread::spawn(move || listen(stream, &is_over))
        };
        let threads = (0..listeners).map(listen).collect();
        Self { threads, is_over, _deaf: (0..deaf).map(|_| open(address)).collect(), taken: Mutex::default() }
    }

    /// Takes a step on an incident each second, for so long.
    pub(super) fn step(&self, daemon: &Daemon, for_s: f64) {
        let listed = Client::connect(daemon.http).get("/api/v1/incidents?limit=200").json();
        let incidents = listed["incidents"].as_array().expect("incidents are listed");
        let ids: Vec<&str> = incidents.iter().filter_map(|incident| incident["id"].as_str()).collect();
        let began = Marks::now(None);
        for (id, number) in ids.iter().cycle().zip(0_u32..) {
            let passed = Marks::now(None).since(began).wall_s;
            if passed > for_s {
                break;
            }
            std::thread::park_timeout(Duration::from_secs_f64((f64::from(number) - passed).max(0.0)));
            let note = json!({ "kind": "note", "text": format!("step {number}") });
            let path = format!("/api/v1/incidents/{id}/events");
            let answer = Client::post(daemon.http, &path, &daemon.token, &note);
            let text = String::from_utf8_lossy(&answer.body);
            assert!((200..300).contains(&answer.status), "{} {text}", answer.status);
            let added: Value = serde_json::from_str(&text).expect("the answer is JSON");
            let seq = added["seq"].as_u64().expect("an event has a number");
            self.taken.lock().expect("no listener panicked").insert((*id).to_owned(), seq);
        }
    }

    /// Ends them, once the last step had its time.
    pub(super) fn end(self) -> Told {
        // The stream looks every fifth of a second; a loaded machine takes longer.
        std::thread::park_timeout(TOLD_WITHIN / 4);
        self.is_over.store(true, Ordering::SeqCst);
        let taken = self.taken.into_inner().expect("no listener panicked");
        let mut told = Told { board: u64::MAX, changes: u64::MAX, ..Told::default() };
        for thread in self.threads {
            let heard = thread.join().expect("a listener listens to the end");
            told.board = told.board.min(heard.board);
            told.changes = told.changes.min(heard.changes);
            told.gap_s = told.gap_s.max(heard.gap_s);
            told.missed += heard.missed;
            told.cut += u64::from(heard.is_cut);
            let is_told = |(id, seq): &(&String, &u64)| heard.latest.get(*id).is_some_and(|latest| latest >= seq);
            told.missing += taken.iter().filter(|step| !is_told(step)).count() as u64;
        }
        told
    }
}

fn open(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    let head = b"GET /api/v1/stream HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(head).expect("the server reads");
    stream
}

fn listen(stream: TcpStream, is_over: &AtomicBool) -> Heard {
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket has options");
    let (mut reader, mut line) = (BufReader::new(stream), Vec::new());
    let (mut heard, mut event, mut last) = (Heard::default(), String::new(), None);
    while !is_over.load(Ordering::SeqCst) {
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => {
                heard.is_cut = true;
                break;
            }
            Ok(_) if line.ends_with(b"\n") => {}
            Ok(_) => continue,
            // What was read of the line is kept.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => {
                heard.is_cut = true;
                break;
            }
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        if let Some(name) = text.strip_prefix("event:") {
            event = name.trim().to_owned();
        } else if let Some(data) = text.strip_prefix("data:") {
            let now = Marks::now(None);
            take(&mut heard, &event, data, last.map(|before| now.since(before).wall_s));
            if event == "board" {
                last = Some(now);
            }
        }
    }
    heard
}

fn take(heard: &mut Heard, event: &str, data: &str, since_board_s: Option<f64>) {
    match event {
        "board" => {
            heard.board += 1;
            heard.gap_s = heard.gap_s.max(since_board_s.unwrap_or(0.0));
        }
        "incident" => {
            heard.changes += 1;
            let change: Value = serde_json::from_str(data).expect("an event is JSON");
            let (id, seq) = (change["id"].as_str(), change["seq"].as_u64());
            let id = id.expect("a change names its incident").to_owned();
            heard.latest.insert(id, seq.expect("an event has a number"));
        }
        "missed" => heard.missed += 1,
        other => panic!("the stream has no event {other:?}"),
    }
}
