//! Which messages do hubs and bridges publish to this gateway directly? An MQTT v3.1.1 server that accepts
//! publications only. It sends a PUBACK after the message is durable, in order of receipt, on the connection on which
//! the message came. Must not know what a payload means. Called by the gateway's start, which passes the listener.
pub mod packet;
pub mod sessions;
mod takeover;
#[cfg(test)]
mod tests;

use crate::source::{Counters, Stop, count};
use crate::spool::{Inlet, Message, Receipt};
use bytes::BytesMut;
use packet::{Connect, ConnectReply, Malformed, Packet};
use sessions::Sessions;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use takeover::{ClientTakeover, Holder, Leave};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
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

/// The limits of the clients of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngressLimits {
    /// The most connections at once. Each costs at most some 200 KiB.
    pub connections: usize,
    /// How long a connection may take to send CONNECT.
    pub connect_within: Duration,
    /// How long a packet that has begun may take where the client sets no keep alive; also how long a client may take
    /// to read its answers.
    pub packet_within: Duration,
}

impl Default for IngressLimits {
    /// 1,024 connections (at most 200 MiB), 10 s, 30 s. Guesses: far more hubs than a site has, and many round trips of
    /// the worst mobile network.
    fn default() -> Self {
        let (connect_within, packet_within) = (Duration::from_secs(10), Duration::from_secs(30));
        Self { connections: 1_024, connect_within, packet_within }
    }
}

/// The state that all connections share.
#[derive(Clone)]
pub(crate) struct Ingress {
    pub(crate) inlet: Inlet,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) limits: IngressLimits,
}

/// An answer that waits for its turn.
enum Answer {
    Acks(Vec<u16>, Receipt),
    Bytes(BytesMut),
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
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

impl Ingress {
    /// Listens until the gateway stops; returns when every connection has ended.
    pub(crate) async fn listen(self, listener: TcpListener, mut stop: Stop) {
        let takeover = Arc::new(ClientTakeover::default());
        let room = Arc::new(Semaphore::new(self.limits.connections));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.wait() => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Probably out of file descriptors: let some close first.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                if count(&self.counters.ingress_refused).is_power_of_two() {
                    let (refused, allowed) = (&self.counters.ingress_refused, self.limits.connections);
                    tracing::warn!(%peer, ?refused, allowed, "connections are refused: no room");
                }
                continue;
            };
            let (shared, takeover, stop) = (self.clone(), Arc::clone(&takeover), stop.clone());
            connections.spawn(async move {
                let end = shared.serve(socket, peer, &takeover, stop).await;
                shared.count_end(peer, &end);
                drop(place);
            });
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    fn count_end(&self, peer: SocketAddr, end: &End) {
        match end {
            End::Malformed(_) | End::SecondConnect | End::NoConnect => {
                let times = count(&self.counters.ingress_protocol_errors);
                // Fewer and fewer lines, so that an attacker cannot fill the log.
                if times.is_power_of_two() {
                    tracing::warn!(%peer, reason = %end, times, "a connection broke the protocol and was closed");
                } else {
                    tracing::debug!(%peer, reason = %end, "a connection broke the protocol and was closed");
                }
            }
            End::Goodbye | End::Closed | End::Silent | End::TakenOver | End::Stopping | End::Deaf | End::Io(_) => {
                tracing::debug!(%peer, reason = %end, "a connection ended")
            }
        }
    }

    async fn serve(&self, socket: TcpStream, peer: SocketAddr, takeover: &ClientTakeover, mut stop: Stop) -> End {
        // The server batches its answers itself; waiting for more helps no client.
        if let Err(error) = socket.set_nodelay(true) {
            return End::Io(error);
        }
        let (read, mut write) = socket.into_split();
        let mut reading = Reading { read, buffer: BytesMut::with_capacity(READ_BYTES) };
        let greeted = tokio::select! {
            () = stop.wait() => return End::Stopping,
            greeted = timeout(self.limits.connect_within, self.greet(&mut reading, &mut write, takeover)) => greeted,
        };
        let (connect, holder, leave) = match greeted {
            Ok(Ok(connect)) => connect,
            Ok(Err(end)) => return end,
            Err(_) => return End::Silent,
        };
        count(&self.counters.ingress_connections);
        let connection = Connection {
            inlet: self.inlet.clone(),
            authenticated: may_speak(peer),
            keep_alive: keep_alive(connect.keep_alive_s),
            packet_within: self.limits.packet_within,
        };
        let end = connection.run(reading, write, leave, stop).await;
        drop(holder);
        end
    }

    /// Reads CONNECT, takes the client id over, and answers. In this order: a client that has its answer owns its id,
    /// so that of two connections the one answered later stays.
    async fn greet(
        &self,
        reading: &mut Reading,
        write: &mut OwnedWriteHalf,
        takeover: &ClientTakeover,
    ) -> Result<(Connect, Option<Holder>, Leave), End> {
        let (reply, result) = match reading.next().await {
            Ok(Packet::Connect(connect)) => {
                let session_present = self.note_session(&connect).await?;
                let (holder, leave) = takeover.take(&connect.client_id);
                (ConnectReply::Accepted { session_present }, Ok((connect, holder, leave)))
            }
            Err(End::Malformed(error @ Malformed::Protocol { .. })) => (ConnectReply::BadProtocol, Err(error.into())),
            Err(End::Malformed(error @ Malformed::ClientId { .. })) => (ConnectReply::BadClientId, Err(error.into())),
            Ok(
                Packet::Publish(_)
                | Packet::Subscribe { .. }
                | Packet::Unsubscribe { .. }
                | Packet::PingReq
                | Packet::Disconnect,
            ) => return Err(End::NoConnect),
            Err(end) => return Err(end),
        };
        let mut out = BytesMut::with_capacity(4);
        packet::put_connack(&mut out, reply);
        write.write_all(&out).await?;
        result
    }

    async fn note_session(&self, connect: &Connect) -> Result<bool, End> {
        if connect.client_id.is_empty() {
            return Ok(false);
        }
        let (sessions, client_id, clean) =
            (Arc::clone(&self.sessions), connect.client_id.clone(), connect.clean_session);
        let noted = tokio::task::spawn_blocking(move || sessions.connect(&client_id, clean)).await;
        Ok(noted.map_err(io::Error::other)??)
    }
}

/// Whether this peer's messages count as sent by the lock that they name. Without certificates only this machine itself
/// is authenticated.
fn may_speak(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

/// One and a half times the client's keep alive, as the standard demands; `None` where the client set none.
fn keep_alive(seconds: u16) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_millis(u64::from(seconds) * 1_500))
}

struct Reading {
    read: OwnedReadHalf,
    buffer: BytesMut,
}

impl Reading {
    /// The next packet, read from the socket where none is buffered yet. Safe to cancel: the bytes read stay in the
    /// buffer.
    async fn next(&mut self) -> Result<Packet, End> {
        loop {
            if let Some(packet) = packet::take(&mut self.buffer)? {
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
    async fn next_within(&mut self, keep_alive: Option<Duration>, packet: Duration) -> Result<Packet, End> {
        if keep_alive.is_none() && self.buffer.is_empty() {
            self.read().await?;
        }
        timeout(keep_alive.unwrap_or(packet), self.next()).await.map_err(|_| End::Silent)?
    }
}

struct Connection {
    inlet: Inlet,
    authenticated: bool,
    keep_alive: Option<Duration>,
    packet_within: Duration,
}

impl Connection {
    async fn run(self, mut reading: Reading, write: OwnedWriteHalf, leave: Leave, mut stop: Stop) -> End {
        let (answers, queue) = mpsc::channel(QUEUE_PARCELS);
        let mut writer = std::pin::pin!(write_answers(write, queue, self.packet_within));
        let end = {
            let hear = self.hear(&mut reading, answers);
            tokio::select! {
                end = hear => end,
                end = &mut writer => return end,
                () = leave.wait() => End::TakenOver,
                () = stop.wait() => End::Stopping,
            }
        };
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
            let mut next = reading.next_within(self.keep_alive, self.packet_within).await.map(Some);
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
                next = packet::take(&mut reading.buffer).map_err(End::from);
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
            Packet::Subscribe { id, filters } => packet::put_suback_refused(&mut out, id, filters),
            Packet::Unsubscribe { id } => packet::put_unsuback(&mut out, id),
            Packet::PingReq => packet::put_pingresp(&mut out),
            Packet::Connect(_) => return Err(End::SecondConnect),
            Packet::Disconnect => return Err(End::Goodbye),
        }
        self.hand_on(gathered, answers).await?;
        answers.send(Answer::Bytes(out)).await.map_err(|_| End::Deaf)
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
        packet::put_puback(out, id);
    }
}
