//! The sender in virtual time, with an outbox in memory and remotes that fail on request.
use super::super::delivery::Watched;
use super::*;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::watch;
/// Time that the test advances, not the machine's.
use tokio::time::Instant as Virtual;
use zenei_incident::event::{Note, Opened};
use zenei_incident::{Event, Incident};
use zenei_kit::anomaly;

/// When the events happened: how long a message is tried does not depend on it.
const LONG_AGO: EngineTime = EngineTime(-30 * 86_400_000);

/// Messages, and how the latest attempt of each ended.
type Rows = Arc<Mutex<Vec<(OutboxRow, Option<Attempt>)>>>;

/// An outbox in memory: messages by target, each with how it ended.
#[derive(Clone)]
struct Memory {
    rows: Rows,
    written: Arc<watch::Sender<u64>>,
    /// What rounds brought, and when (ms).
    seen: Arc<Mutex<Vec<(i64, Seen)>>>,
}

impl Memory {
    fn of(rows: Vec<OutboxRow>) -> Self {
        let rows = rows.into_iter().map(|row| (row, None)).collect();
        Self { rows: Arc::new(Mutex::new(rows)), written: Arc::new(watch::Sender::new(0)), seen: Arc::default() }
    }

    fn ended(&self, target: &str) -> usize {
        let rows = self.rows.lock().unwrap();
        rows.iter().filter(|(row, end)| row.target == target && end.is_some()).count()
    }
}

impl Queue for Memory {
    fn due(&self, target: &str, now: EngineTime, limit: u32) -> Result<Vec<OutboxRow>, QueueError> {
        let mut first = BTreeMap::new();
        for (row, _) in self.rows.lock().unwrap().iter().filter(|(row, end)| row.target == target && end.is_none()) {
            first.entry(row.incident).or_insert_with(|| row.clone());
        }
        let due = first.into_values().filter(|row| row.next_at_ms <= now.ms());
        Ok(due.take(limit as usize).collect())
    }

    fn letter(&self, row: &OutboxRow) -> Result<Letter, QueueError> {
        let what = Opened {
            fingerprint: Id(1),
            recurs_of: None,
            urgency: zenei_detect::Urgency::High,
            urgency_reason: "the rule says high".into(),
            title: "t".into(),
            why: "w".into(),
            anomaly: anomaly("motor_effort", "A", 1),
            ..opened()
        };
        let first = Event { incident: row.incident, seq: 0, at: LONG_AGO, what: what.into() };
        let note = Note { text: "n".into(), by: "sato".into() };
        let event = Event { incident: row.incident, seq: row.event_seq, at: LONG_AGO, what: note.into() };
        let incident = Incident::open(&first).unwrap();
        Ok(Letter { incident, event, remote: BTreeMap::new(), invitees: Vec::new(), opens_channel: false })
    }

    fn begin(&self, row: &OutboxRow) -> Result<(), QueueError> {
        let mut rows = self.rows.lock().unwrap();
        let (stored, _) = rows.iter_mut().find(|(stored, _)| stored.id == row.id).unwrap();
        stored.unanswered += 1;
        Ok(())
    }

    fn watched(&self, _: &str) -> Result<Vec<Watched>, QueueError> {
        let Letter { incident, remote, .. } = self.letter(&row("room", 1, 0))?;
        Ok(vec![Watched { incident, remote }])
    }

    fn saw(&self, _: &str, seen: &Seen, at: EngineTime) -> Result<(), QueueError> {
        self.seen.lock().unwrap().push((at.ms(), seen.clone()));
        Ok(())
    }

    fn settle(&self, row: &OutboxRow, attempt: &Attempt, at: EngineTime) -> Result<(), QueueError> {
        let mut rows = self.rows.lock().unwrap();
        let (stored, end) = rows.iter_mut().find(|(stored, _)| stored.id == row.id).unwrap();
        match attempt {
            Attempt::PutOff { attempt, next_at_ms, unanswered, .. } => {
                stored.tried_from_ms = stored.tried_from_ms.or(Some(at.ms()));
                (stored.attempt, stored.next_at_ms, stored.unanswered) = (*attempt, *next_at_ms, *unanswered);
            }
            Attempt::Delivered { .. } | Attempt::GivenUp { .. } => *end = Some(attempt.clone()),
        }
        Ok(())
    }

    fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }
}

fn opened() -> Opened {
    let json = serde_json::json!({"fingerprint": Id(1), "recurs_of": null, "urgency": "high", "urgency_reason": "r",
        "title": "t", "why": "w", "anomaly": anomaly("motor_effort", "A", 1)});
    serde_json::from_value(json).unwrap()
}

/// A remote that answers by a function of (incident, event, attempt).
struct Scripted<F> {
    name: &'static str,
    script: F,
    seen: Mutex<Vec<(Id, u32, bool, i64)>>,
    /// Every how many seconds a round is due, and when (ms) each was made.
    every_s: Option<u64>,
    rounds: Mutex<Vec<i64>>,
    /// What a round at this time answers.
    round: fn(&Round<'_>) -> Result<Vec<Seen>, SendError>,
}

impl<F: Fn(&Delivery<'_>) -> Option<Result<Sent, SendError>> + Send + Sync + 'static> Remote for Scripted<F> {
    fn name(&self) -> &str {
        self.name
    }

    fn per_second(&self) -> f64 {
        1_000.0
    }

    fn has_key(&self) -> bool {
        self.name.contains("key")
    }

    fn round_every(&self) -> Option<Duration> {
        self.every_s.map(Duration::from_secs)
    }

    async fn round(&self, round: &Round<'_>) -> Result<Vec<Seen>, SendError> {
        self.rounds.lock().unwrap().push(round.now.ms());
        (self.round)(round)
    }

    async fn send(&self, delivery: &Delivery<'_>) -> Result<Sent, SendError> {
        let row = (delivery.incident.id, delivery.event.seq, delivery.unanswered > 0, delivery.now.ms());
        self.seen.lock().unwrap().push(row);
        match (self.script)(delivery) {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

fn remote<F>(name: &'static str, script: F) -> Arc<Scripted<F>>
where
    F: Fn(&Delivery<'_>) -> Option<Result<Sent, SendError>> + Send + Sync + 'static,
{
    let (seen, rounds) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    Arc::new(Scripted { name, script, seen, every_s: None, rounds, round: |_| Ok(Vec::new()) })
}

fn row(target: &str, incident: u128, seq: u32) -> OutboxRow {
    OutboxRow {
        id: Id::of(&[target.as_bytes(), &incident.to_be_bytes(), &seq.to_be_bytes()]),
        target: target.into(),
        incident: Id(incident),
        event_seq: seq,
        body: "{}".into(),
        attempt: 0,
        next_at_ms: 0,
        unanswered: 0,
        tried_from_ms: None,
    }
}

/// Runs a sender for so long, in virtual time.
async fn run<R: Remote>(memory: &Memory, remote: &Arc<R>, length: Duration) {
    let start = Virtual::now();
    let now = move || EngineTime(i64::try_from(start.elapsed().as_millis()).unwrap());
    let (_keep, stop) = watch::channel(false);
    let sender = Sender::new(memory.clone(), remote.clone(), Lang::En, now);
    _ = tokio::time::timeout(length, sender.run(stop)).await;
}

const HOUR: Duration = Duration::from_secs(3_600);

fn again(after_s: Option<u64>, maybe_sent: bool) -> Option<Result<Sent, SendError>> {
    Some(Err(SendError::Again { why: "HTTP 500".into(), after: after_s.map(Duration::from_secs), maybe_sent }))
}

#[tokio::test(start_paused = true)]
async fn the_order_of_an_incident_holds_however_often_a_message_fails() {
    let rows = (0..40).map(|at| row("room", at % 4, (at / 4) as u32)).collect();
    let memory = Memory::of(rows);
    let script = |delivery: &Delivery<'_>| match delivery.attempt < delivery.event.seq % 3 {
        true => again(None, false),
        false => Some(Ok(Sent::default())),
    };
    let room = remote("room", script);
    run(&memory, &room, HOUR).await;
    assert_eq!(memory.ended("room"), 40);
    let seen = room.seen.lock().unwrap();
    for incident in 0..4 {
        let of: Vec<u32> = seen.iter().filter(|one| one.0 == Id(incident)).map(|one| one.1).collect();
        assert!(of.is_sorted() && of.len() > 10, "{of:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_holds_up_no_other() {
    let memory = Memory::of(vec![row("stuck", 1, 0), row("room", 1, 0), row("room", 2, 0)]);
    let stuck = remote("stuck", |_| None);
    let room = remote("room", |_| Some(Ok(Sent::default())));
    tokio::join!(run(&memory, &stuck, HOUR), run(&memory, &room, HOUR));
    assert_eq!((memory.ended("stuck"), memory.ended("room")), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn retry_after_holds_for_the_whole_target() {
    let memory = Memory::of(vec![row("room", 1, 0), row("room", 2, 0)]);
    let script = |delivery: &Delivery<'_>| match delivery.now.ms() < 1_000 {
        true => again(Some(90), false),
        false => Some(Ok(Sent::default())),
    };
    let room = remote("room", script);
    run(&memory, &room, HOUR).await;
    let at: Vec<i64> = room.seen.lock().unwrap().iter().map(|one| one.3).collect();
    assert_eq!((at.len(), memory.ended("room")), (3, 2));
    assert!(at[0] < 1_000 && at[1..].iter().all(|at| *at >= 90_000), "{at:?}");
}

#[test]
fn the_wait_is_random_grows_and_is_bounded() {
    let waits = |attempt| (0..200_u128).map(move |id| Pace::default().jitter(Id(id), attempt));
    for attempt in [0, 1, 5, 8, 9, 31, u32::MAX] {
        let Pace { wait_first, wait_most, .. } = Pace::default();
        let most = wait_first.saturating_mul(1 << attempt.min(16)).min(wait_most);
        assert!(waits(attempt).all(|wait| wait <= most));
        // Spread over the whole range: half of them lie in either half.
        let low = waits(attempt).filter(|wait| *wait < most / 2).count();
        assert!((60..140).contains(&low), "{low} of 200 waits of attempt {attempt} are below half");
    }
}

#[tokio::test(start_paused = true)]
async fn what_never_succeeds_becomes_a_dead_letter_after_a_day_and_the_next_message_goes_out() {
    let memory = Memory::of(vec![row("room", 1, 0), row("room", 1, 1)]);
    let script = |delivery: &Delivery<'_>| match delivery.event.seq {
        0 => again(None, false),
        _ => Some(Ok(Sent::default())),
    };
    let room = remote("room", script);
    run(&memory, &room, TRIED_FOR - HOUR).await;
    assert_eq!(memory.ended("room"), 0);
    run(&memory, &room, TRIED_FOR + HOUR).await;
    let rows = memory.rows.lock().unwrap();
    let Some(Attempt::GivenUp { remark, events }) = &rows[0].1 else { panic!("{:?}", rows[0]) };
    assert!(remark.contains("HTTP 500"), "{remark}");
    assert!(matches!(&events[..], [zenei_incident::What::DeliveryFailed(failed)] if failed.target == "room"));
    assert!(matches!(rows[1].1, Some(Attempt::Delivered { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_a_remote_refuses_is_not_tried_again() {
    let memory = Memory::of(vec![row("room", 1, 0)]);
    let room = remote("room", |_| Some(Err(SendError::never("HTTP 400"))));
    run(&memory, &room, HOUR).await;
    assert_eq!((room.seen.lock().unwrap().len(), memory.ended("room")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_message_in_flight_when_the_sender_dies_is_sent_again_and_only_that_one_is_doubtful() {
    let doubted = |name: &'static str| async move {
        let memory = Memory::of(vec![row(name, 1, 0), row(name, 1, 1), row(name, 2, 0)]);
        let hangs = remote(name, |_| None);
        run(&memory, &hangs, HOUR).await;
        assert_eq!((hangs.seen.lock().unwrap().len(), memory.ended(name)), (1, 0));
        let room = remote(name, |_| Some(Ok(Sent::default())));
        run(&memory, &room, HOUR).await;
        assert_eq!(memory.ended(name), 3);
        let in_flight = hangs.seen.lock().unwrap()[0].0;
        let seen = room.seen.lock().unwrap();
        seen.iter().map(|one| one.2 == (one.0 == in_flight && one.1 == 0)).collect::<Vec<_>>()
    };
    assert_eq!(doubted("room").await, [true; 3], "a connector was told to look first where it need not, or not told");
    // A remote with a key needs no look: nothing is written before a message.
    assert!(doubted("key").await.contains(&false), "the check can tell");
}

#[tokio::test(start_paused = true)]
async fn rounds_are_made_at_once_and_then_at_their_interval_also_between_messages() {
    let memory = Memory::of((0..400).map(|at| row("room", at, 0)).collect());
    let mut room = remote("room", |_| Some(Ok(Sent::default())));
    Arc::get_mut(&mut room).unwrap().every_s = Some(60);
    Arc::get_mut(&mut room).unwrap().round = |round| {
        let incident = round.watched[0].incident.id;
        let note = Note { text: "resolved there".into(), by: "room".into() };
        Ok(vec![Seen { incident, events: vec![note.into()], remember: vec![("a".into(), "b".into())] }])
    };
    run(&memory, &room, HOUR).await;
    let rounds = room.rounds.lock().unwrap();
    assert_eq!((rounds[0], memory.ended("room")), (0, 400));
    assert!((50..=61).contains(&rounds.len()), "{} rounds in an hour", rounds.len());
    assert!(rounds.windows(2).all(|two| (60_000..=66_000).contains(&(two[1] - two[0]))), "{rounds:?}");
    assert_eq!(memory.seen.lock().unwrap().len(), rounds.len());
}

#[tokio::test(start_paused = true)]
async fn a_round_that_fails_is_made_again_soon_and_loses_nothing() {
    let memory = Memory::of(vec![row("room", 1, 0)]);
    let mut room = remote("room", |_| Some(Ok(Sent::default())));
    Arc::get_mut(&mut room).unwrap().every_s = Some(300);
    Arc::get_mut(&mut room).unwrap().round = |round| match round.now.ms() < 60_000 {
        true => Err(SendError::again("HTTP 503")),
        false => Ok(vec![Seen { incident: round.watched[0].incident.id, events: Vec::new(), remember: Vec::new() }]),
    };
    run(&memory, &room, HOUR).await;
    let (rounds, seen) = (room.rounds.lock().unwrap(), memory.seen.lock().unwrap());
    assert_eq!((rounds[0], memory.ended("room")), (0, 1));
    assert!(rounds[1] < 10_000 && seen[0].0 < 360_000, "{rounds:?}");
    assert!((10..=14).contains(&seen.len()), "{} rounds in an hour", seen.len());
}

#[tokio::test(start_paused = true)]
async fn only_a_lost_answer_makes_a_message_doubtful() {
    let lost = |is_lost: bool| async move {
        let memory = Memory::of(Vec::new());
        let script = move |delivery: &Delivery<'_>| match delivery.attempt {
            0 => again(None, is_lost),
            _ => Some(Ok(Sent::default())),
        };
        let room = remote("room", script);
        let later = memory.clone();
        let write = async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
            later.rows.lock().unwrap().push((row("room", 1, 0), None));
            later.written.send_modify(|count| *count += 1);
        };
        tokio::join!(run(&memory, &room, HOUR), write);
        let seen: Vec<bool> = room.seen.lock().unwrap().iter().map(|one| one.2).collect();
        seen
    };
    assert_eq!(lost(true).await, [false, true]);
    // Marked before it was sent, and the answer said that it was not taken.
    assert_eq!(lost(false).await, [false, false]);
}
