//! Any bytes as what a client sends to the ingress: accepted or refused, never a panic; the same packets however the
//! bytes are cut into reads; a packet that was accepted is accepted again after it is written anew; an answer has the
//! length that its header states. Called by libFuzzer and by `smoke`.
use bytes::{Buf as _, BytesMut};
use zenei_gateway::source::ingress::answer;
use zenei_gateway::source::ingress::packet::{self, Connect, Malformed, Packet, Publish, Version};
use zenei_kit::mqtt;

/// The reader that is checked; the product's own is [`packet::take`].
type Take = fn(&mut BytesMut, Version) -> Result<Option<Packet>, Malformed>;

/// Checks one connection's bytes. The first byte gives the size of the pieces in which they arrive.
///
/// # Panics
/// Where a promise is broken.
pub fn check(input: &[u8]) {
    check_with(input, packet::take);
}

fn check_with(input: &[u8], take: Take) {
    let Some((&piece, stream)) = input.split_first() else { return };
    let whole = packets(stream, stream.len().max(1), take);
    let pieces = packets(stream, usize::from(piece).max(1), take);
    assert_eq!(whole, pieces, "packets do not depend on how they arrive");
    for (version, packet) in &whole.taken {
        check_again(packet, *version, take);
        check_answer(packet, *version);
    }
}

/// The content of a stream: its packets, the refusal that ends it, and how many bytes are left.
#[derive(Debug, PartialEq)]
struct Held {
    /// Each with the version in which it was read.
    taken: Vec<(Version, Packet)>,
    refused: Option<Malformed>,
    left: usize,
}

fn packets(stream: &[u8], piece: usize, take: Take) -> Held {
    let (mut read, mut taken, mut version) = (BytesMut::new(), Vec::new(), Version::V3);
    for bytes in stream.chunks(piece) {
        read.extend_from_slice(bytes);
        loop {
            let before = read.len();
            match take(&mut read, version) {
                Ok(Some(packet)) => {
                    assert!(read.len() + 2 <= before, "a packet has two bytes at least");
                    if let Packet::Connect(connect) = &packet {
                        version = connect.version;
                    }
                    taken.push((version, packet));
                }
                Ok(None) => {
                    assert_eq!(read.len(), before, "what is not all there yet stays");
                    break;
                }
                // Bytes after the refusal are not read.
                Err(refused) => return Held { taken, refused: Some(refused), left: 0 },
            }
        }
    }
    Held { taken, refused: None, left: read.len() }
}

/// A packet that was accepted is accepted from its own bytes.
fn check_again(packet: &Packet, version: Version, take: Take) {
    let mut bytes = BytesMut::from(&written(packet, version)[..]);
    assert_eq!(
        take(&mut bytes, version).as_ref(),
        Ok(&Some(packet.clone())),
        "what is taken can be written and taken again"
    );
    assert!(bytes.is_empty(), "it is one packet");
}

/// The bytes of a packet: the parts that are checked and not kept (will, user name, filters) are left out or invented.
fn written(packet: &Packet, version: Version) -> Vec<u8> {
    // Version 5 has the length of its properties, which are none, behind a packet id.
    let none = if version == Version::V5 { &[0][..] } else { &[] };
    match packet {
        Packet::Connect(Connect { version, client_id, clean_start, lasts, keep_alive_s }) => {
            let flags = if *clean_start { mqtt::CLEAN_SESSION } else { 0 };
            match version {
                Version::V3 => mqtt::connect(client_id, flags, *keep_alive_s),
                Version::V5 => {
                    let expiry = if *lasts { &[0x11, 0xff, 0xff, 0xff, 0xff][..] } else { &[] };
                    mqtt::connect5(client_id, flags, *keep_alive_s, expiry)
                }
            }
        }
        Packet::Publish(Publish { topic, payload, id }) => match version {
            Version::V3 => mqtt::publish(topic.as_str(), *id, payload),
            Version::V5 => mqtt::publish5(topic.as_str(), *id, &[], payload),
        },
        Packet::Subscribe { id, filters } => {
            mqtt::packet(0x82, &[&id.to_be_bytes()[..], none, &[0, 1, b'a', 0].repeat(*filters)].concat())
        }
        Packet::Unsubscribe { id, filters } => {
            mqtt::packet(0xa2, &[&id.to_be_bytes()[..], none, &[0, 1, b'a'].repeat(*filters)].concat())
        }
        Packet::PingReq => vec![0xc0, 0],
        Packet::Disconnect { expiry_s: None } => vec![0xe0, 0],
        Packet::Disconnect { expiry_s: Some(expiry_s) } => {
            mqtt::packet(0xe0, &[&[0, 5, 0x11][..], &expiry_s.to_be_bytes()].concat())
        }
    }
}

/// The refusal of a subscription has a code for each filter, and as many bytes as its header states.
fn check_answer(packet: &Packet, version: Version) {
    let Packet::Subscribe { id, filters } = packet else { return };
    let mut answer = BytesMut::new();
    answer::put_suback_refused(&mut answer, version, *id, *filters);
    let (none, code) = match version {
        Version::V3 => (&[][..], 0x80),
        Version::V5 => (&[0][..], 0x87),
    };
    let expected = mqtt::packet(0x90, &[&id.to_be_bytes()[..], none, &vec![code; *filters]].concat());
    assert_eq!(answer.chunk(), expected, "a SUBACK is as the standard writes it");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke::{find, smoke};

    #[test]
    fn the_promises_hold_over_corpus_and_mutations() {
        smoke("packet", check);
    }

    /// Takes a byte of the next packet too, where it has already arrived.
    fn greedy(read: &mut BytesMut, version: Version) -> Result<Option<Packet>, Malformed> {
        let taken = packet::take(read, version)?;
        if taken.is_some() && !read.is_empty() {
            read.advance(1);
        }
        Ok(taken)
    }

    #[test]
    fn a_reader_that_takes_too_much_is_caught() {
        assert!(find("packet", |input| check_with(input, greedy)).is_some());
    }
}
