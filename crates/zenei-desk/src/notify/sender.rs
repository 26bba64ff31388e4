//! Sends what is due: one task a target, so that a target that hangs holds up no other; one message at a time to each,
//! in the order of each incident's events. What fails is tried again after a random wait that grows (full jitter), not
//! before the remote's own `Retry-After`, and becomes a dead letter after a day. Must not know a remote's protocol or
//! how messages are stored. Started by the binary.
//!
//! A message leaves the outbox only after the remote's answer is stored. Before it goes to a remote without a key, the
//! outbox says that it may have been sent: should the sender die before the answer, the next one looks first.
//!
//! Between messages the sender makes the target's rounds, where it has any.
use super::bucket::Bucket;
use super::delivery::{Delivery, Round, SendError, Sent};
use super::queue::{Letter, Queue, QueueError};
use crate::driver::{Attempt, Seen};
use std::sync::Arc;
use std::time::Duration;
use zenei_incident::event::DeliveryFailed;
use zenei_incident::message::{Lang, Message};
use zenei_store::control::OutboxRow;
use zenei_wire::{EngineTime, Id};

/// How many messages are read at once; a guess.
const BATCH: u32 = 64;
/// How long a message is tried from its first failure on: Standard Webhooks' last retry comes after a day.
const TRIED_FOR: Duration = Duration::from_secs(86_400);
/// How often it is tried at least, also if zenei stood still meanwhile; a guess.
const TRIED_LEAST: u32 = 8;
/// How long a round may take; a guess: fifty pages of a remote that answers slowly.
const ROUND_MAX: Duration = Duration::from_secs(300);

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

    /// Whether it deduplicates by a key, so that a message may be sent again without a look.
    fn has_key(&self) -> bool;

    /// Sends one message.
    ///
    /// # Errors
    /// [`SendError`]: whether to try again.
    fn send(&self, delivery: &Delivery<'_>) -> impl Future<Output = Result<Sent, SendError>> + Send;

    /// How often [`Self::round`] is due; `None`: never.
    fn round_every(&self) -> Option<Duration>;

    /// Keeps alive there what would end, and says what people changed there.
    ///
    /// # Errors
    /// [`SendError`]; the next round does the same.
    fn round(&self, round: &Round<'_>) -> impl Future<Output = Result<Vec<Seen>, SendError>> + Send;
}

/// The sender of one target.
#[derive(Debug)]
pub struct Sender<Q, R, C> {
    queue: Q,
    remote: Arc<R>,
    now: C,
    lang: Lang,
    bucket: Bucket,
    pace: Pace,
    /// When the next round is due, ms since 1970.
    round_at_ms: i64,
    /// How many rounds failed since the last one that did not.
    rounds_failed: u32,
}

impl<Q: Queue, R: Remote, C: Fn() -> EngineTime + Send + 'static> Sender<Q, R, C> {
    /// The sender of this target, with the desk's time.
    pub fn new(queue: Q, remote: Arc<R>, lang: Lang, now: C) -> Self {
        let bucket = Bucket::new(remote.per_second(), now());
        let pace = Pace::default();
        Self { queue, remote, now, lang, bucket, pace, round_at_ms: i64::MIN, rounds_failed: 0 }
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
        loop {
            written.borrow_and_update();
            self.visit().await;
            match self.send_due().await {
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
    async fn send_due(&mut self) -> Result<usize, QueueError> {
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

    /// Makes a round if it is due. One that fails is made again after a random wait that grows, but no later than usual
    /// or than the longest wait between attempts.
    async fn visit(&mut self) {
        let Some(every) = self.remote.round_every() else { return };
        let now = (self.now)();
        let latest = every.max(self.pace.wait_most);
        // The clock may have leapt back.
        let is_due = now.ms() >= self.round_at_ms || self.round_at_ms.saturating_sub(now.ms()) > millis(latest);
        if !is_due {
            return;
        }
        let wait = match self.round(now).await {
            Ok(()) => {
                self.rounds_failed = 0;
                every
            }
            Err((why, after)) => {
                let target = self.remote.name();
                tracing::warn!(target, why, failed = self.rounds_failed, "a round failed");
                let wait = self.pace.jitter(Id::of(&[target.as_bytes()]), self.rounds_failed).min(every);
                self.rounds_failed = self.rounds_failed.saturating_add(1);
                wait.max(after.unwrap_or_default()).min(latest)
            }
        };
        self.round_at_ms = (self.now)().ms().saturating_add(millis(wait));
    }

    /// One round; the error is what was seen, and how long the remote asked to wait.
    async fn round(&self, now: EngineTime) -> Result<(), (String, Option<Duration>)> {
        let stored = |error: QueueError| (zenei_store::with_causes(&error), None);
        // Nothing is locked while the network is waited for.
        let watched = self.queue.watched(self.remote.name()).map_err(stored)?;
        let round = Round { watched: &watched, lang: self.lang, now };
        let answered = tokio::time::timeout(ROUND_MAX, self.remote.round(&round)).await;
        let seen = match answered {
            Ok(Ok(seen)) => seen,
            Ok(Err(SendError::Again { why, after, .. })) => return Err((why, after)),
            Ok(Err(SendError::Never { why })) => return Err((why, None)),
            Err(_) => return Err((format!("no end after {} s", ROUND_MAX.as_secs()), None)),
        };
        seen.iter().try_for_each(|one| self.queue.saw(self.remote.name(), one, (self.now)())).map_err(stored)
    }

    /// Tries one message; returns how long the remote asked to be left alone.
    async fn deliver(&mut self, row: &OutboxRow) -> Result<Option<Duration>, QueueError> {
        let Letter { incident, event, remote, invitees, opens_channel } = self.queue.letter(row)?;
        let message = Message::of(&incident, &event, incident.service.as_deref(), self.lang);
        if !self.remote.has_key() {
            self.queue.begin(row)?;
        }
        let delivery = Delivery {
            target: self.remote.name(),
            row: row.id,
            attempt: row.attempt,
            unanswered: row.unanswered,
            incident: &incident,
            event: &event,
            message: &message,
            remote: &remote,
            invitees: &invitees,
            opens_channel,
            now: (self.now)(),
        };
        let answer = self.remote.send(&delivery).await;
        let now = (self.now)();
        let mut pause = None;
        let attempt = match answer {
            Ok(Sent { remark, remember, events }) => Attempt::Delivered { remark, remember, events },
            Err(SendError::Never { why }) => given_up(row, why),
            Err(SendError::Again { why, after, maybe_sent }) => {
                pause = after;
                let age_ms = now.ms().saturating_sub(row.tried_from_ms.unwrap_or(now.ms()));
                let tried = row.attempt.saturating_add(1);
                if tried >= TRIED_LEAST && age_ms >= millis(TRIED_FOR) {
                    given_up(row, format!("tried {tried} times; at last {why}"))
                } else {
                    let wait = self.pace.jitter(row.id, row.attempt).max(after.unwrap_or_default());
                    let next_at_ms = now.ms().saturating_add(millis(wait));
                    let unanswered = row.unanswered.saturating_add(u32::from(maybe_sent));
                    Attempt::PutOff { attempt: tried, next_at_ms, unanswered, remark: why }
                }
            }
        };
        self.log(row, &attempt);
        self.queue.settle(row, &attempt, now)?;
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

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;
