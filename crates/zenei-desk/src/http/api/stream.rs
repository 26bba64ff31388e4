//! `GET /api/v1/stream`: what changes, as server-sent events. One task makes one snapshot for all listeners, and begins
//! with the first of them: a listener more costs a copy of a few hundred bytes a second. Must not know who listens or
//! how a page shows it. Called by the router.
//!
//! `board` comes when it changed, at most once a second, and first to every new listener; `incident` when an incident
//! has new events; `missed` where a listener was too slow, with the number of incidents that it was not told of.
use super::ask::Wrong;
use crate::candidates;
use crate::http::Handles;
use crate::http::traffic::Open;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::unfold;
use serde::Serialize;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};
use zenei_detect::{Domain, Urgency};
use zenei_incident::Status;
use zenei_wire::Id;

/// The most listeners at once; a guess: ten times those of a busy operations room.
pub(super) const LISTENERS_MAX: usize = 256;
/// How many events of incidents a listener may lag behind; a guess.
const BEHIND_MAX: usize = 256;
/// Between two snapshots.
const EVERY: Duration = Duration::from_secs(1);
/// The least time between two looks at the incidents, where many are written; a guess: more looks like at once.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A comment after so long without an event, so that nothing between takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The stream of one server.
#[derive(Debug)]
pub(super) struct Stream {
    handles: Arc<Handles>,
    places: Arc<Semaphore>,
    running: OnceLock<Running>,
}

/// The ends of the one task that looks.
#[derive(Debug)]
struct Running {
    board: watch::Receiver<Arc<str>>,
    incidents: broadcast::Sender<Arc<str>>,
}

impl Stream {
    pub(super) fn new(handles: Arc<Handles>) -> Self {
        Self { handles, places: Arc::new(Semaphore::new(LISTENERS_MAX)), running: OnceLock::new() }
    }

    /// The task's ends; the first call starts it. It ends with this stream.
    fn running(&self) -> &Running {
        self.running.get_or_init(|| {
            let (board, board_seen) = watch::channel(Arc::from(""));
            let (incidents, _) = broadcast::channel(BEHIND_MAX);
            let looker = Looker::new(Arc::clone(&self.handles), board, incidents.clone());
            tokio::spawn(looker.run());
            Running { board: board_seen, incidents }
        })
    }
}

/// Listens to what changes: events `board`, `incident` and `missed`.
#[utoipa::path(
    get, path = "/api/v1/stream", tag = "stream",
    responses(
        (status = 200, description = "Server-sent events: `board`, `incident`, `missed`", body = String,
            content_type = "text/event-stream"),
        (status = 503, description = "So many listen already"),
    ),
)]
pub(super) async fn listen(State(stream): State<Arc<Stream>>) -> Result<Response, Wrong> {
    let Ok(place) = Arc::clone(&stream.places).try_acquire_owned() else {
        let text = format!("{LISTENERS_MAX} listen already; ask again when one has left");
        return Err(Wrong::new(StatusCode::SERVICE_UNAVAILABLE, text));
    };
    let running = stream.running();
    let mut board = running.board.clone();
    board.mark_changed();
    let listener = Listener {
        board,
        incidents: running.incidents.subscribe(),
        _place: (place, stream.handles.traffic.listener()),
    };
    let events = unfold(listener, async |mut listener| listener.next().await.map(|event| (Ok(event), listener)));
    let events =
        Box::pin(events) as std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<Event, Infallible>> + Send>>;
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

struct Listener {
    board: watch::Receiver<Arc<str>>,
    incidents: broadcast::Receiver<Arc<str>>,
    _place: (OwnedSemaphorePermit, Open),
}

impl Listener {
    /// The next event; `None` once the task has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                changed = self.board.changed() => {
                    changed.ok()?;
                    let board = Arc::clone(&self.board.borrow_and_update());
                    if !board.is_empty() {
                        return Some(Event::default().event("board").data(board));
                    }
                }
                told = self.incidents.recv() => return match told {
                    Ok(incident) => Some(Event::default().event("incident").data(incident)),
                    Err(RecvError::Lagged(missed)) => Some(Event::default().event("missed").data(missed.to_string())),
                    Err(RecvError::Closed) => None,
                },
            }
        }
    }
}

/// What `board` says.
#[derive(Debug, PartialEq, Serialize)]
struct Board {
    received: u64,
    stored: u64,
    /// Records that are received and not stored yet.
    lag: u64,
    /// The open incidents by domain and urgency, also those that are 0.
    open: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    candidates: u64,
    dead_letters: u64,
    /// Records received in the last second.
    per_second: f64,
    at_ms: i64,
}

/// What `incident` says.
#[derive(Serialize)]
struct Changed<'a> {
    id: Id,
    seq: u32,
    status: Status,
    urgency: Urgency,
    title: &'a str,
}

/// The one that looks, for all who listen.
struct Looker {
    handles: Arc<Handles>,
    board: watch::Sender<Arc<str>>,
    incidents: broadcast::Sender<Arc<str>>,
    /// The number of the latest event of each incident that was told.
    told: BTreeMap<Id, u32>,
    /// What was told last, at time 0.
    last: Option<Board>,
    /// When records were counted last, and how many there were.
    counted: Option<(Instant, u64)>,
}

impl Looker {
    fn new(handles: Arc<Handles>, board: watch::Sender<Arc<str>>, incidents: broadcast::Sender<Arc<str>>) -> Self {
        let told = handles.incidents.read().incidents().map(|incident| (incident.id, incident.seq)).collect();
        Self { handles, board, incidents, told, last: None, counted: None }
    }

    async fn run(mut self) {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut written = self.handles.desk.as_ref().map(crate::SharedDesk::written);
        while let Some(tick) = self.wait(&mut every, written.as_mut()).await {
            self.look();
            match tick {
                Some(at) => self.count(at),
                None => sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Waits for the next tick, or for something that was written; `None` once nobody can listen any more.
    async fn wait(&self, every: &mut Interval, written: Option<&mut watch::Receiver<u64>>) -> Option<Option<Instant>> {
        let changed = async {
            let is_changed = match written {
                Some(written) => written.changed().await.is_ok(),
                None => false,
            };
            // Without a desk, and once it is gone, nothing is written any more.
            if !is_changed {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = self.board.closed() => None,
            at = every.tick() => Some(Some(at)),
            () = changed => Some(None),
        }
    }

    /// Tells of the incidents with new events.
    fn look(&mut self) {
        let book = self.handles.incidents.read();
        for incident in book.incidents() {
            if self.told.get(&incident.id).is_some_and(|&seq| seq >= incident.seq) {
                continue;
            }
            self.told.insert(incident.id, incident.seq);
            let changed = Changed {
                id: incident.id,
                seq: incident.seq,
                status: incident.status,
                urgency: incident.urgency,
                title: &incident.title,
            };
            if let Ok(text) = serde_json::to_string(&changed) {
                // Nobody may listen at the moment.
                _ = self.incidents.send(Arc::from(text));
            }
        }
    }

    /// Tells the board, if it changed.
    fn count(&mut self, at: Instant) {
        let (received, stored, lag, dead_letters) = {
            let ledger = self.handles.ledger.borrow();
            (ledger.received_total(), ledger.stored, ledger.pending, ledger.dead_letter_total())
        };
        let per_second = self.counted.map_or(0.0, |(before, count)| {
            let seconds = at.duration_since(before).as_secs_f64().max(f64::EPSILON);
            #[expect(clippy::cast_precision_loss, reason = "records of one second")]
            let records = received.saturating_sub(count) as f64;
            (records / seconds * 10.0).round() / 10.0
        });
        self.counted = Some((at, received));
        let now = self.handles.clock.now();
        let candidates = candidates::count(&self.handles, now);
        let board = Board { received, stored, lag, open: self.open(), candidates, dead_letters, per_second, at_ms: 0 };
        if self.last.as_ref() == Some(&board) {
            return;
        }
        if let Ok(text) = serde_json::to_string(&Board { at_ms: now.ms(), open: board.open.clone(), ..board }) {
            self.board.send_replace(Arc::from(text));
        }
        self.last = Some(board);
    }

    fn open(&self) -> BTreeMap<&'static str, BTreeMap<&'static str, u64>> {
        let none = || Urgency::ALL.iter().map(|urgency| (urgency.as_str(), 0)).collect();
        let mut open: BTreeMap<&str, BTreeMap<&str, u64>> =
            Domain::ALL.iter().map(|domain| (domain.as_str(), none())).collect();
        let book = self.handles.incidents.read();
        for incident in book.incidents().filter(|incident| incident.is_open()) {
            let of = open.entry(incident.domain.as_str()).or_default();
            *of.entry(incident.urgency.as_str()).or_default() += 1;
        }
        open
    }
}
