//! Does the broker take this client? Opens a socket, sends CONNECT and reads CONNACK, within one time limit. Must not
//! know subscriptions or messages. Called by the subscriber for each of its connections, and by the probe.
use super::config::MqttConfig;
use super::packet::{self, BadLength, Connect, Framer, Packet, Taken};
use bytes::BytesMut;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The first byte of CONNACK.
const CONNACK: u8 = 0x20;
/// Read ahead at once, in bytes: some 200 messages, so that one system call and one parcel carry many.
const READ_BYTES: usize = 32 * 1024;
/// With less room than this the next read gets new memory. A guess: some twenty messages.
const LEAST_READ_BYTES: usize = 4 * 1024;

/// A connection on which the broker has accepted the login.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) reading: Reading,
    pub(super) write: OwnedWriteHalf,
    /// Whether the broker goes on with an earlier session.
    pub(super) session_present: bool,
}

/// The side of a connection on which packets come.
#[derive(Debug)]
pub(super) struct Reading {
    read: OwnedReadHalf,
    buffer: BytesMut,
    framer: Framer,
}

/// The broker's refusal of a login, by the return code of its CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefused {
    /// 1.
    #[error("return code 1: the broker does not speak MQTT 3.1.1")]
    Protocol,
    /// 2.
    #[error("return code 2: the broker does not take this client id")]
    ClientId,
    /// 3.
    #[error("return code 3: the broker's MQTT service is unavailable")]
    Unavailable,
    /// 4.
    #[error("return code 4: bad user name or password")]
    BadLogin,
    /// 5.
    #[error("return code 5: this client is not authorised")]
    NotAuthorised,
    /// Any other.
    #[error("return code {found}, which MQTT 3.1.1 does not have; 0 accepts, 1 to 5 refuse")]
    Unknown {
        /// The code.
        found: u8,
    },
}

/// Why a broker can't be used.
#[derive(Debug, thiserror::Error)]
pub enum GreetError {
    /// No TCP connection.
    #[error("no connection can be made")]
    Unreachable(#[source] io::Error),
    /// It broke before the answer.
    #[error("the connection broke before the broker's answer to the login")]
    Broke(#[source] io::Error),
    /// The broker closed before its answer, as some do with a client that they don't want.
    #[error("the broker closed the connection without an answer to the login")]
    Closed,
    /// The broker refuses.
    #[error("the broker refuses the login")]
    Refused(#[from] LoginRefused),
    /// Something else than a broker answers.
    #[error("what answers is no MQTT broker: its first packet is no CONNACK")]
    NoBroker,
    /// No answer in time.
    #[error("no answer to the login within {} ms", within.as_millis())]
    Silent {
        /// The limit.
        within: Duration,
    },
}

/// Opens a connection and logs in.
///
/// # Errors
/// See [`GreetError`].
pub(super) async fn greet(
    config: &MqttConfig,
    clean_session: bool,
    keep_alive: Duration,
    within: Duration,
) -> Result<Link, GreetError> {
    let greeted = tokio::time::timeout(within, log_in(config, clean_session, keep_alive)).await;
    greeted.unwrap_or(Err(GreetError::Silent { within }))
}

async fn log_in(config: &MqttConfig, clean_session: bool, keep_alive: Duration) -> Result<Link, GreetError> {
    let opened = TcpStream::connect((config.host.as_str(), config.port)).await;
    // Acknowledgements are gathered here; waiting for more helps no broker.
    let opened = opened.and_then(|socket| socket.set_nodelay(true).map(|()| socket));
    let (read, mut write) = opened.map_err(GreetError::Unreachable)?.into_split();
    let login = config.login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
    let keep_alive_s = u16::try_from(keep_alive.as_secs()).unwrap_or(u16::MAX);
    let mut out = BytesMut::new();
    packet::put_connect(&mut out, Connect { client_id: &config.client_id, clean_session, keep_alive_s, login });
    write.write_all(&out).await.map_err(GreetError::Broke)?;
    let mut reading = Reading { read, buffer: BytesMut::with_capacity(READ_BYTES), framer: Framer::default() };
    let (first, _) = loop {
        // Before its length is believed: another server's bytes may promise a packet that never comes.
        if reading.buffer.first().is_some_and(|&byte| byte != CONNACK) {
            return Err(GreetError::NoBroker);
        }
        match reading.take() {
            Ok(Some(taken)) => break taken,
            Ok(None) => {}
            Err(BadLength) => return Err(GreetError::NoBroker),
        }
        if reading.read().await.map_err(GreetError::Broke)? == 0 {
            return Err(GreetError::Closed);
        }
    };
    let Packet::ConnAck { session_present, code } = first else { return Err(GreetError::NoBroker) };
    accepted(code)?;
    Ok(Link { reading, write, session_present })
}

fn accepted(code: u8) -> Result<(), LoginRefused> {
    Err(match code {
        0 => return Ok(()),
        1 => LoginRefused::Protocol,
        2 => LoginRefused::ClientId,
        3 => LoginRefused::Unavailable,
        4 => LoginRefused::BadLogin,
        5 => LoginRefused::NotAuthorised,
        found => LoginRefused::Unknown { found },
    })
}

impl Reading {
    /// The next packet among the bytes already read.
    ///
    /// # Errors
    /// [`BadLength`]; the connection can't continue after it.
    pub(super) fn take(&mut self) -> Result<Option<Taken>, BadLength> {
        self.framer.take(&mut self.buffer)
    }

    /// Reads what has come, at least a byte; 0 where the broker has closed. Safe to cancel: the bytes read stay in the
    /// buffer.
    pub(super) async fn read(&mut self) -> io::Result<usize> {
        // Messages that wait for durability are slices of this memory: small reads share it, so that waiting messages
        // cost little more than their own bytes.
        if self.buffer.capacity() - self.buffer.len() < LEAST_READ_BYTES {
            self.buffer.reserve(READ_BYTES);
        }
        self.read.read_buf(&mut self.buffer).await
    }
}
