//! A broker that a test plays: it accepts connections and answers CONNECT and SUBSCRIBE as it is told. Must not know
//! what is published. Called by the tests of the gateway, of the binary and end to end.
use super::{Raw, packet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A listening broker. Every failure panics.
pub struct Broker(TcpListener);

impl Broker {
    /// Listens on a free port of loopback.
    ///
    /// # Panics
    /// Where no port is free.
    #[expect(clippy::new_without_default, reason = "it opens a port")]
    pub fn new() -> Self {
        Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free"))
    }

    /// Where it listens.
    ///
    /// # Panics
    /// Where the socket fails.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("the socket works")
    }

    /// The next connection and its CONNECT, which is not answered.
    ///
    /// # Panics
    /// Where something else arrives.
    pub fn connected(&self) -> (Raw, Vec<u8>) {
        let mut client = Raw::from_socket(self.0.accept().expect("the socket works").0);
        let connect = client.read_packet();
        assert_eq!(connect[0], 0x10, "a CONNECT");
        (client, connect)
    }

    /// The next connection, its CONNECT answered with this return code.
    ///
    /// # Panics
    /// Where something else arrives.
    pub fn accept(&self, session_present: bool, code: u8) -> Raw {
        let (mut client, _) = self.connected();
        client.send(&[0x20, 2, u8::from(session_present), code]);
        client
    }
}

/// Reads a SUBSCRIBE and answers it with these codes; returns the bytes of its filters.
///
/// # Panics
/// Where something else arrives.
pub fn answer_subscribe(client: &mut Raw, codes: &[u8]) -> Vec<u8> {
    let subscribe = client.read_packet();
    assert_eq!(subscribe[0], 0x82, "a SUBSCRIBE");
    client.send(&packet(0x90, &[&subscribe[2..4], codes].concat()));
    subscribe[4..].to_vec()
}
