//! Sends what is due: one task a target, so that a target that hangs holds up no other; one message at a time to each,
//! in the order of each incident's events. What fails is tried again after a random wait that grows (full jitter), not
//! before the remote's own `Retry-After`, and becomes a dead letter after a day. Must not know a remote's protocol or
//! how messages are stored. Started by the binary.
//!
//! A message leaves the outbox only after the remote's answer is stored. A message that a sender finds at its start may
//! have been sent by the one before, which died: it is marked as such, and a connector without a key looks first.
use super::bucket::Bucket;
use super::delivery::{Delivery, SendError, Sent};
use super::queue::{Letter, Queue, QueueError};
use crate::driver::Attempt;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use zenei_incident::event::DeliveryFailed;
use zenei_incident::message::{Lang, Message};
use zenei_store::control::OutboxRow;
use zenei_wire::{EngineTime, Id};

/// How many messages are read at once; a guess.
const BATCH: u32 = 64;
/// How long a message is tried: Standard Webhooks' last retry comes after a day.
const TRIED_FOR: Duration = Duration::from_secs(86_400);
/// How often it is tried at least, also if it is older than that when zenei starts; a guess.
const TRIED_LEAST: u32 = 8;

/// How fast a sender goes. The product uses the default; a test that sends tens of thousands of messages has its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// The longest wait without a look at the outbox: the clock may leap. 5 s by default.
    pub look_every: Duration,
    /// The first wait after a failure is random below this. 2 s by default; a guess.
    pub wait_first: Duration,
    /// Every later wait doubles that, up to this. 10 min by default; a guess: a remote that is back is told within
    /// minutes.
    pub wait_most: Duration,
    /// How many messages a second go out; `None`: as many as the remote takes ([`Remote::per_second`]).
    pub per_second: Option<f64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            look_every: Duration::from_secs(5),
            wait_first: Duration::from_secs(2),
            wait_most: Duration::from_secs(600),
            per_second: None,
        }
    }
}

/// Somebody who can be sent to.
pub trait Remote: Send + Sync + 'static {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// How many messages it takes a second.
    fn per_second(&self) -> f64;

    /// Sends one message.
    ///
    /// # Errors
    /// [`SendError`]: whether to try again.
    fn send(&self, delivery: &Delivery<'_>) -> impl Future<Output = Result<Sent, SendError>> + Send;
}

/// The sender of one target.
#[derive(Debug)]
pub struct Sender<Q, R, C> {
    queue: Q,
    remote: Arc<R>,
    now: C,
    lang: Lang,
    /// Messages that the remote may have although no answer was stored.
    doubtful: BTreeSet<Id>,
    bucket: Bucket,
    pace: Pace,
}

impl<Q: Queue, R: Remote, C: Fn() -> EngineTime + Send + 'static> Sender<Q, R, C> {
    /// The sender of this target, with the desk's time.
    pub fn new(queue: Q, remote: Arc<R>, lang: Lang, now: C) -> Self {
        let bucket = Bucket::new(remote.per_second(), now());
        Self { queue, remote, now, lang, doubtful: BTreeSet::new(), bucket, pace: Pace::default() }
    }

    /// The same at another pace.
    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Self {
        let bucket = Bucket::new(pace.per_second.unwrap_or_else(|| self.remote.per_second()), (self.now)());
        Self { bucket, pace, ..self }
    }

    /// Sends until `stop` is true. What is in flight then is given up unanswered; it stays in the outbox.
    pub async fn run(mut self, mut stop: tokio::sync::watch::Receiver<bool>) {
        tokio::select! {
            () = self.go() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn go(&mut self) {
        let mut written = self.queue.written();
        match self.queue.due(self.remote.name(), EngineTime(i64::MAX), u32::MAX) {
            Ok(waiting) => self.doubtful = waiting.into_iter().map(|row| row.id).collect(),
            Err(error) => self.complain(&error),
        }
        loop {
            written.borrow_and_update();
            match self.round().await {
                // More may be due already.
                Ok(sent) if sent > 0 => continue,
                Ok(_) => {}
                Err(error) => self.complain(&error),
            }
            let look = tokio::time::timeout(self.pace.look_every, written.changed()).await;
            if matches!(look, Ok(Err(_))) {
                return;
            }
        }
    }

    fn complain(&self, error: &QueueError) {
        tracing::error!(error = error as &dyn std::error::Error, target = self.remote.name(), "nothing can be sent");
    }

    /// Sends what is due once; returns how many messages were tried.
    async fn round(&mut self) -> Result<usize, QueueError> {
        let due = self.queue.due(self.remote.name(), (self.now)(), BATCH)?;
        let mut tried = 0;
        for row in &due {
            tokio::time::sleep(self.bucket.take((self.now)())).await;
            let pause = self.deliver(row).await?;
            tried += 1;
            if let Some(pause) = pause {
                // The remote asked for it: the others wait too.
                tokio::time::sleep(pause).await;
                break;
            }
        }
        Ok(tried)
    }

    /// Tries one message; returns how long the remote asked to be left alone.
    async fn deliver(&mut self, row: &OutboxRow) -> Result<Option<Duration>, QueueError> {
        let Letter { incident, event, remote } = self.queue.letter(row)?;
        let message = Message::of(&incident, &event, incident.service.as_deref(), self.lang);
        let delivery = Delivery {
            target: self.remote.name(),
            row: row.id,
            attempt: row.attempt,
            maybe_sent: self.doubtful.contains(&row.id),
            incident: &incident,
            event: &event,
            message: &message,
            remote: &remote,
            invitees: &[],
            now: (self.now)(),
        };
        let answer = self.remote.send(&delivery).await;
        let now = (self.now)();
        let mut pause = None;
        let attempt = match answer {
            Ok(Sent { remark, remember, events }) => Attempt::Delivered { remark, remember, events },
            Err(SendError::Never { why }) => given_up(row, why),
            Err(SendError::Again { why, after, maybe_sent }) => {
                if maybe_sent {
                    self.doubtful.insert(row.id);
                }
                pause = after;
                let age_ms = now.ms().saturating_sub(event.at.ms());
                let tried = row.attempt.saturating_add(1);
                if tried >= TRIED_LEAST && u128::try_from(age_ms).is_ok_and(|age| age >= TRIED_FOR.as_millis()) {
                    given_up(row, format!("tried {tried} times; at last {why}"))
                } else {
                    let wait = self.pace.jitter(row.id, row.attempt).max(after.unwrap_or_default());
                    let next_at_ms = now.ms().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
                    Attempt::PutOff { attempt: tried, next_at_ms, remark: why }
                }
            }
        };
        self.log(row, &attempt);
        self.queue.settle(row, &attempt, now)?;
        if !matches!(attempt, Attempt::PutOff { .. }) {
            self.doubtful.remove(&row.id);
        }
        Ok(pause)
    }

    fn log(&self, row: &OutboxRow, attempt: &Attempt) {
        let (target, incident) = (self.remote.name(), row.incident.to_string());
        match attempt {
            Attempt::Delivered { remark, .. } => tracing::info!(target, incident, answer = remark, "told"),
            Attempt::PutOff { remark, attempt, .. } => {
                tracing::warn!(target, incident, attempt, remark, "not told yet")
            }
            Attempt::GivenUp { remark, .. } => tracing::error!(target, incident, remark, "never told"),
        }
    }
}

fn given_up(row: &OutboxRow, why: String) -> Attempt {
    let failed = DeliveryFailed { target: row.target.clone(), why: why.clone(), at_event: row.event_seq };
    Attempt::GivenUp { remark: why, events: vec![failed.into()] }
}

impl Pace {
    /// A wait between nothing and the doubled first one, up to the longest ("full jitter"). It comes from the message's
    /// own id and the attempt: messages spread, and a test sees the same waits again.
    fn jitter(&self, row: Id, attempt: u32) -> Duration {
        let most = self.wait_first.saturating_mul(1_u32 << attempt.min(16)).min(self.wait_most);
        let drawn = Id::of(&[b"jitter", row.to_string().as_bytes(), attempt.to_string().as_bytes()]).0;
        let share = (drawn >> 96) as f64 / f64::from(u32::MAX);
        most.mul_f64(share.min(1.0))
    }
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;
