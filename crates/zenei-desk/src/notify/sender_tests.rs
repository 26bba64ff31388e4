//! The sender in virtual time, with an outbox in memory and remotes that fail on request.
use super::*;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::watch;
/// Time that the test advances, not the machine's.
use tokio::time::Instant as Virtual;
use zenei_incident::event::{Note, Opened};
use zenei_incident::{Event, Incident};
use zenei_kit::anomaly;

/// Messages, and how the latest attempt of each ended.
type Rows = Arc<Mutex<Vec<(OutboxRow, Option<Attempt>)>>>;

/// An outbox in memory: messages by target, each with how it ended.
#[derive(Clone)]
struct Memory {
    rows: Rows,
    written: Arc<watch::Sender<u64>>,
}

impl Memory {
    fn of(rows: Vec<OutboxRow>) -> Self {
        let rows = rows.into_iter().map(|row| (row, None)).collect();
        Self { rows: Arc::new(Mutex::new(rows)), written: Arc::new(watch::Sender::new(0)) }
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
        let first = Event { incident: row.incident, seq: 0, at: EngineTime(0), what: what.into() };
        let note = Note { text: "n".into(), by: "sato".into() };
        let event = Event { incident: row.incident, seq: row.event_seq, at: EngineTime(0), what: note.into() };
        let incident = Incident::open(&first).unwrap();
        Ok(Letter { incident, event, remote: BTreeMap::new() })
    }

    fn settle(&self, row: &OutboxRow, attempt: &Attempt, _: EngineTime) -> Result<(), QueueError> {
        let mut rows = self.rows.lock().unwrap();
        let (stored, end) = rows.iter_mut().find(|(stored, _)| stored.id == row.id).unwrap();
        match attempt {
            Attempt::PutOff { attempt, next_at_ms, .. } => {
                (stored.attempt, stored.next_at_ms) = (*attempt, *next_at_ms);
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
}

impl<F: Fn(&Delivery<'_>) -> Option<Result<Sent, SendError>> + Send + Sync + 'static> Remote for Scripted<F> {
    fn name(&self) -> &str {
        self.name
    }

    fn per_second(&self) -> f64 {
        1_000.0
    }

    async fn send(&self, delivery: &Delivery<'_>) -> Result<Sent, SendError> {
        let row = (delivery.incident.id, delivery.event.seq, delivery.maybe_sent, delivery.now.ms());
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
    Arc::new(Scripted { name, script, seen: Mutex::new(Vec::new()) })
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
async fn a_message_in_flight_when_the_sender_dies_is_sent_again_and_marked_as_doubtful() {
    let memory = Memory::of(vec![row("room", 1, 0)]);
    let hangs = remote("room", |_| None);
    run(&memory, &hangs, HOUR).await;
    assert_eq!((hangs.seen.lock().unwrap().len(), memory.ended("room")), (1, 0));
    let room = remote("room", |_| Some(Ok(Sent::default())));
    run(&memory, &room, HOUR).await;
    assert_eq!(memory.ended("room"), 1);
    assert!(room.seen.lock().unwrap()[0].2, "the connector was not told to look first");
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
    assert_eq!(lost(false).await, [false, false]);
}
