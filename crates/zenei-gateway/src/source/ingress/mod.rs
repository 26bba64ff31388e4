//! Which messages do hubs and bridges publish to this gateway directly? A server of MQTT v3.1.1 and 5 that accepts
//! publications only. It sends a PUBACK after the message is durable, in order of receipt, on the connection on which
//! the message came. Must not know what a payload means. Called by the gateway's start, which passes the listener.
pub mod answer;
mod connection;
mod fields;
mod heed;
mod malformed;
pub mod packet;
pub mod sessions;
mod takeover;
#[cfg(test)]
mod tests;

use crate::source::{Counters, Stop, count};
use crate::spool::Inlet;
use answer::ConnectReply;
use bytes::BytesMut;
use connection::{Connection, End, Limits, Reading};
use heed::Heed;
use packet::{Connect, Packet, Version};
use sessions::Sessions;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use takeover::{ClientTakeover, Holder, Leave};
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zenei_wire::Id;

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

/// What all connections of one listener share.
struct House {
    ingress: Ingress,
    takeover: ClientTakeover,
    heed: Heed,
}

/// How a connection ended, and of which client; `None` where it said no name.
struct Ended {
    end: End,
    client_id: Option<Box<str>>,
}

impl Ingress {
    /// Listens until the gateway stops; returns when every connection has ended.
    pub(crate) async fn listen(self, listener: TcpListener, mut stop: Stop) {
        let house = Arc::new(House { ingress: self, takeover: ClientTakeover::default(), heed: Heed::default() });
        let room = Arc::new(Semaphore::new(house.ingress.limits.connections));
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
                house.no_room(peer);
                continue;
            };
            let (house, stop) = (Arc::clone(&house), stop.clone());
            connections.spawn(async move {
                let ended = house.serve(socket, peer, stop).await;
                house.count_end(peer, &ended);
                drop(place);
            });
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }
}

impl House {
    fn no_room(&self, peer: SocketAddr) {
        count(&self.ingress.counters.ingress_refused);
        if let Some(times) = self.heed.note(peer.ip(), "no room") {
            let allowed = self.ingress.limits.connections;
            tracing::warn!(%peer, times, allowed, "a connection is refused: as many as allowed are open");
        }
    }

    /// Counts what breaks the protocol, and logs what an operator must see: which client at which address, and why.
    fn count_end(&self, peer: SocketAddr, Ended { end, client_id }: &Ended) {
        let client_id = client_id.as_deref().unwrap_or("unknown");
        let kind = match end {
            End::Malformed(_) | End::SecondConnect | End::NoConnect => {
                count(&self.ingress.counters.ingress_protocol_errors);
                "protocol"
            }
            End::Deaf => "deaf",
            End::TakenOver => "taken over",
            End::Goodbye | End::Closed | End::Silent | End::Stopping | End::Io(_) => {
                tracing::debug!(%peer, client_id, reason = %end, "a connection ended");
                return;
            }
        };
        match self.heed.note(peer.ip(), kind) {
            Some(times) => tracing::warn!(%peer, client_id, reason = %end, times, "a connection was closed"),
            None => tracing::debug!(%peer, client_id, reason = %end, "a connection was closed"),
        }
    }

    async fn serve(&self, socket: TcpStream, peer: SocketAddr, mut stop: Stop) -> Ended {
        let nameless = |end| Ended { end, client_id: None };
        // The server batches its answers itself; waiting for more helps no client.
        if let Err(error) = socket.set_nodelay(true) {
            return nameless(End::Io(error));
        }
        let (read, mut write) = socket.into_split();
        let mut reading = Reading::new(read);
        let limits = self.ingress.limits;
        let greeted = tokio::select! {
            () = stop.wait() => return nameless(End::Stopping),
            greeted = timeout(limits.connect_within, self.greet(&mut reading, &mut write, peer)) => greeted,
        };
        let Greeted { connect, holder, leave } = match greeted {
            Ok(Ok(greeted)) => greeted,
            Ok(Err(end)) => return nameless(end),
            Err(_) => return nameless(End::Silent),
        };
        count(&self.ingress.counters.ingress_connections);
        let connection = Connection {
            inlet: self.ingress.inlet.clone(),
            sessions: Arc::clone(&self.ingress.sessions),
            authenticated: may_speak(peer),
            limits: Limits { keep_alive: keep_alive(connect.keep_alive_s), packet_within: limits.packet_within },
            version: connect.version,
            client_id: connect.client_id.clone(),
            lasts: connect.lasts,
        };
        let end = connection.run(reading, write, leave, stop).await;
        drop(holder);
        Ended { end, client_id: Some(connect.client_id) }
    }

    /// Reads CONNECT, takes the client id over, and answers. In this order: a client that has its answer owns its id,
    /// so that of two connections the one answered later stays.
    async fn greet(&self, reading: &mut Reading, write: &mut OwnedWriteHalf, peer: SocketAddr) -> Result<Greeted, End> {
        let (version, reply, result) = match reading.next(Version::V3).await {
            Ok(Packet::Connect(mut connect)) => {
                let assigned =
                    (connect.client_id.is_empty() && connect.version == Version::V5).then(|| self.assigned(peer));
                connect.client_id = assigned.clone().unwrap_or(connect.client_id);
                let session_present = self.ingress.note_session(&connect).await?;
                let (holder, leave) = self.takeover.take(&connect.client_id);
                let reply = ConnectReply::Accepted { session_present, lasts: connect.lasts, assigned };
                (connect.version, reply, Ok(Greeted { connect, holder, leave }))
            }
            Err(End::Malformed(error)) => match error.answered_in() {
                Some(version) => (version, ConnectReply::Refused(error.clone()), Err(error.into())),
                None => return Err(error.into()),
            },
            Ok(
                Packet::Publish(_)
                | Packet::Subscribe { .. }
                | Packet::Unsubscribe { .. }
                | Packet::PingReq
                | Packet::Disconnect { .. },
            ) => return Err(End::NoConnect),
            Err(end) => return Err(end),
        };
        let mut out = BytesMut::new();
        answer::put_connack(&mut out, version, &reply);
        write.write_all(&out).await?;
        result
    }

    /// A name for a client of version 5 that says none: no other connection of this process has it.
    fn assigned(&self, peer: SocketAddr) -> Box<str> {
        let number = count(&self.ingress.counters.ingress_nameless).to_string();
        let id = Id::of(&[peer.to_string().as_bytes(), number.as_bytes(), std::process::id().to_string().as_bytes()]);
        format!("zenei-{id}").into()
    }
}

/// A client that has its answer.
struct Greeted {
    connect: Connect,
    holder: Option<Holder>,
    leave: Leave,
}

impl Ingress {
    async fn note_session(&self, connect: &Connect) -> Result<bool, End> {
        if connect.client_id.is_empty() {
            return Ok(false);
        }
        let (sessions, client_id) = (Arc::clone(&self.sessions), connect.client_id.clone());
        let (clean_start, lasts) = (connect.clean_start, connect.lasts);
        let noted = tokio::task::spawn_blocking(move || sessions.connect(&client_id, clean_start, lasts)).await;
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
