//! One connection of the ingress after its CONNECT: packets in, messages to the appender, answers out in order of
//! receipt. Must not know who may connect. Called by the ingress.
use super::answer::{self, Farewell};
use super::packet::{self, Malformed, Packet, Version};
use super::sessions::Sessions;
use super::takeover::Leave;
use crate::source::Stop;
use crate::spool::{Inlet, Message, Receipt};
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use zenei_store::Source;

/// How long the last answers may take after a connection has ended. A guess.
const FAREWELL_WITHIN: Duration = Duration::from_secs(10);
/// Read ahead at once, in bytes: some 200 messages, so that one system call and one parcel carry many.
const READ_BYTES: usize = 32 * 1024;
/// With less room than this the next read gets new memory. A guess: some twenty messages.
const LEAST_READ_BYTES: usize = 4 * 1024;
/// Payload bytes of one parcel before it is passed on.
const PARCEL_BYTES: usize = 256 * 1024;
/// Answers that may wait for durability on one connection, in parcels; then its reading waits.
const QUEUE_PARCELS: usize = 64;

/// An answer that waits for its turn.
enum Answer {
    Acks(Vec<u16>, Receipt),
    Bytes(BytesMut),
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the client said goodbye")]
    Goodbye,
    #[error("the client closed the connection")]
    Closed,
    #[error("the client was silent for longer than it promised")]
    Silent,
    #[error("another connection took over the client id")]
    TakenOver,
    #[error("the gateway stops")]
    Stopping,
    #[error("a second CONNECT; one is allowed")]
    SecondConnect,
    #[error("the first packet is no CONNECT")]
    NoConnect,
    #[error("the client did not read its answers")]
    Deaf,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

impl End {
    /// What a client of version 5 is told of it.
    fn farewell(&self) -> Option<Farewell> {
        Some(match self {
            Self::Malformed(malformed) => Farewell::Malformed(malformed.clone()),
            Self::SecondConnect => Farewell::SecondConnect,
            Self::Silent => Farewell::Silent,
            Self::TakenOver => Farewell::TakenOver,
            Self::Stopping => Farewell::Stopping,
            Self::Goodbye | Self::Closed | Self::NoConnect | Self::Deaf | Self::Io(_) => return None,
        })
    }
}

/// What a client sends.
pub(super) struct Reading {
    read: OwnedReadHalf,
    buffer: BytesMut,
}

impl Reading {
    pub(super) fn new(read: OwnedReadHalf) -> Self {
        Self { read, buffer: BytesMut::with_capacity(READ_BYTES) }
    }

    /// The next packet, read from the socket where none is buffered yet. Safe to cancel: the bytes read stay in the
    /// buffer.
    pub(super) async fn next(&mut self, version: Version) -> Result<Packet, End> {
        loop {
            if let Some(packet) = packet::take(&mut self.buffer, version)? {
                return Ok(packet);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), End> {
        // Messages that wait for durability are slices of this memory: small reads share it, so that waiting messages
        // cost little more than their own bytes.
        if self.buffer.capacity() - self.buffer.len() < LEAST_READ_BYTES {
            self.buffer.reserve(READ_BYTES);
        }
        let read = self.read.read_buf(&mut self.buffer).await?;
        if read == 0 { Err(End::Closed) } else { Ok(()) }
    }

    /// The next packet within the client's keep alive. A packet must be whole by then: bytes that trickle in do not
    /// extend the time.
    async fn next_within(&mut self, limits: Limits, version: Version) -> Result<Packet, End> {
        let Limits { keep_alive, packet_within } = limits;
        if keep_alive.is_none() && self.buffer.is_empty() {
            self.read().await?;
        }
        timeout(keep_alive.unwrap_or(packet_within), self.next(version)).await.map_err(|_| End::Silent)?
    }
}

/// How long a client may be silent, and a packet may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) keep_alive: Option<Duration>,
    pub(super) packet_within: Duration,
}

pub(super) struct Connection {
    pub(super) inlet: Inlet,
    pub(super) sessions: Arc<Sessions>,
    pub(super) authenticated: bool,
    pub(super) limits: Limits,
    pub(super) version: Version,
    pub(super) client_id: Box<str>,
    /// Whether its session lasts after it.
    pub(super) lasts: bool,
}

impl Connection {
    pub(super) async fn run(self, mut reading: Reading, write: OwnedWriteHalf, leave: Leave, mut stop: Stop) -> End {
        let (answers, queue) = mpsc::channel(QUEUE_PARCELS);
        let mut writer = std::pin::pin!(write_answers(write, queue, self.limits.packet_within));
        let end = {
            let hear = self.hear(&mut reading, answers.clone());
            tokio::select! {
                end = hear => end,
                end = &mut writer => return end,
                () = leave.wait() => End::TakenOver,
                () = stop.wait() => End::Stopping,
            }
        };
        if let Some(farewell) = end.farewell() {
            let mut out = BytesMut::new();
            answer::put_farewell(&mut out, self.version, &farewell);
            // Where as many answers wait already, the client does not read.
            drop(answers.try_send(Answer::Bytes(out)));
        }
        drop(answers);
        // Messages received whole are still acknowledged, as long as the client reads.
        if timeout(FAREWELL_WITHIN, writer).await.is_err() {
            tracing::debug!("a client did not take its last answers");
        }
        end
    }

    /// Reads packets until the connection ends. Dropping this future drops `answers`, which lets the writer finish.
    async fn hear(&self, reading: &mut Reading, answers: mpsc::Sender<Answer>) -> End {
        let mut gathered = Gathered::default();
        loop {
            let mut next = reading.next_within(self.limits, self.version).await.map(Some);
            // Everything read at once becomes one parcel.
            loop {
                let step = match next {
                    Ok(Some(packet)) => self.take(packet, &mut gathered, &answers).await,
                    Ok(None) => break,
                    Err(end) => Err(end),
                };
                if let Err(end) = step {
                    return self.hand_on(&mut gathered, &answers).await.err().unwrap_or(end);
                }
                next = packet::take(&mut reading.buffer, self.version).map_err(End::from);
            }
            if let Err(end) = self.hand_on(&mut gathered, &answers).await {
                return end;
            }
        }
    }

    async fn take(&self, packet: Packet, gathered: &mut Gathered, answers: &mpsc::Sender<Answer>) -> Result<(), End> {
        let mut out = BytesMut::new();
        match packet {
            Packet::Publish(publish) => {
                gathered.payload_bytes += publish.payload.len();
                gathered.ids.extend(publish.id);
                gathered.messages.push(Message::new(publish.topic, publish.payload));
                return if gathered.payload_bytes >= PARCEL_BYTES {
                    self.hand_on(gathered, answers).await
                } else {
                    Ok(())
                };
            }
            Packet::Subscribe { id, filters } => answer::put_suback_refused(&mut out, self.version, id, filters),
            Packet::Unsubscribe { id, filters } => answer::put_unsuback(&mut out, self.version, id, filters),
            Packet::PingReq => answer::put_pingresp(&mut out),
            Packet::Connect(_) => return Err(End::SecondConnect),
            Packet::Disconnect { expiry_s } => return Err(self.goodbye(expiry_s).await),
        }
        self.hand_on(gathered, answers).await?;
        answers.send(Answer::Bytes(out)).await.map_err(|_| End::Deaf)
    }

    /// Ends the session where the client says so as it leaves; one that CONNECT did not ask for can't begin here.
    async fn goodbye(&self, expiry_s: Option<u32>) -> End {
        match expiry_s {
            Some(0) if self.lasts => {
                let (sessions, client_id) = (Arc::clone(&self.sessions), self.client_id.clone());
                let ended = tokio::task::spawn_blocking(move || sessions.end(&client_id)).await;
                ended.map_err(io::Error::other).flatten().map_or_else(End::Io, |()| End::Goodbye)
            }
            Some(1..) if !self.lasts => Malformed::Lasts.into(),
            Some(_) | None => End::Goodbye,
        }
    }

    /// Passes the gathered messages to the appender, waiting while there is no room, and their acknowledgements to the
    /// writer.
    async fn hand_on(&self, gathered: &mut Gathered, answers: &mpsc::Sender<Answer>) -> Result<(), End> {
        if gathered.messages.is_empty() {
            return Ok(());
        }
        let Gathered { messages, ids, payload_bytes: _ } = std::mem::take(gathered);
        let put = self.inlet.put(Source::Ingress, self.authenticated, messages).await;
        let receipt = put.map_err(|_| End::Stopping)?;
        if ids.is_empty() {
            return Ok(());
        }
        answers.send(Answer::Acks(ids, receipt)).await.map_err(|_| End::Deaf)
    }
}

/// The packets read at once.
#[derive(Default)]
struct Gathered {
    messages: Vec<Message>,
    ids: Vec<u16>,
    payload_bytes: usize,
}

/// Writes answers in order, each after its messages are durable; those that are ready go out together.
async fn write_answers(mut write: OwnedWriteHalf, mut queue: mpsc::Receiver<Answer>, within: Duration) -> End {
    let mut out = BytesMut::new();
    let mut waiting = None;
    loop {
        let Some(answer) = (match waiting.take() {
            Some(answer) => Some(answer),
            None => queue.recv().await,
        }) else {
            return End::Closed;
        };
        match answer {
            Answer::Bytes(bytes) => out.extend_from_slice(&bytes),
            Answer::Acks(ids, receipt) => {
                if receipt.durable().await.is_err() {
                    return End::Stopping;
                }
                put_acks(&mut out, &ids);
            }
        }
        while waiting.is_none() {
            match queue.try_recv() {
                Ok(Answer::Bytes(bytes)) => out.extend_from_slice(&bytes),
                Ok(Answer::Acks(ids, mut receipt)) => {
                    if receipt.is_durable() {
                        put_acks(&mut out, &ids);
                    } else {
                        waiting = Some(Answer::Acks(ids, receipt));
                    }
                }
                Err(_) => break,
            }
        }
        match timeout(within, write.write_all(&out)).await {
            Ok(Ok(())) => out.clear(),
            Ok(Err(error)) => return End::Io(error),
            Err(_) => return End::Deaf,
        }
    }
}

fn put_acks(out: &mut BytesMut, ids: &[u16]) {
    out.reserve(4 * ids.len());
    for &id in ids {
        answer::put_puback(out, id);
    }
}
