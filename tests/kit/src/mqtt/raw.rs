//! A client that sends and receives bytes, valid or not. Must not know what they mean. Called by the tests of the
//! gateway.
use super::{CLEAN_SESSION, connect};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest wait for an answer.
const BOUND: Duration = Duration::from_secs(20);
/// Long enough for an unwanted answer to arrive, if there were one.
const NOTHING_WITHIN: Duration = Duration::from_millis(60);

/// A client that writes the given bytes. Every failure panics.
pub struct Raw(TcpStream);

impl Raw {
    /// Connects a socket; sends nothing on it yet.
    ///
    /// # Panics
    /// Where the socket fails.
    pub fn connect(address: SocketAddr) -> Self {
        Self::from_socket(TcpStream::connect(address).expect("the socket works"))
    }

    /// Uses this socket.
    ///
    /// # Panics
    /// Where the socket fails.
    pub fn from_socket(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(BOUND)).expect("the socket works");
        Self(socket)
    }

    /// Writes these bytes.
    ///
    /// # Panics
    /// Where the socket fails.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the socket works");
    }

    /// Reads exactly so many bytes of answer.
    ///
    /// # Panics
    /// Where something else arrives.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).expect("the socket works");
        bytes
    }

    /// Reads a packet of less than 128 bytes.
    ///
    /// # Panics
    /// Where something else arrives.
    pub fn read_packet(&mut self) -> Vec<u8> {
        let mut packet = self.read(2);
        assert!(packet[1] < 0x80);
        packet.extend(self.read(usize::from(packet[1])));
        packet
    }

    /// Reads all bytes until the server closes.
    ///
    /// # Panics
    /// Where something else arrives.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => {}
            // Closed with unread bytes of ours.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the server did not close: {error}"),
        }
        bytes
    }

    /// Reads up to so many bytes, fewer where the server closes before.
    ///
    /// # Panics
    /// Where something else arrives.
    pub fn read_to_end_or(&mut self, count: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Err(error) = (&mut self.0).take(count).read_to_end(&mut bytes) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        bytes
    }

    /// Checks that no byte arrives for a moment.
    ///
    /// # Panics
    /// Where the socket fails.
    pub fn assert_silent(&mut self) {
        self.0.set_read_timeout(Some(NOTHING_WITHIN)).expect("the socket works");
        let mut byte = [0];
        let read = self.0.read(&mut byte);
        assert!(read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock), "{read:?}");
        self.0.set_read_timeout(Some(BOUND)).expect("the socket works");
    }

    /// Sends CONNECT with a clean session, and reads its CONNACK.
    ///
    /// # Panics
    /// Where something else arrives.
    pub fn greet(&mut self, client_id: &str) {
        self.send(&connect(client_id, CLEAN_SESSION, 60));
        assert_eq!(self.read(4), [0x20, 2, 0, 0]);
    }
}
