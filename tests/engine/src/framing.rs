//! How bodies are packed: undoes ClickHouse's own framing of requests (`decompress=1`), and makes the LZ4 frame of
//! answers. Must not know the content. Called by [`crate::front`] (answers) and [`crate::request`] (requests).
use crate::exception::Exception;
use std::io::Write as _;

/// CityHash128 over header and data, in the version 1.0.2 that ClickHouse froze.
const CHECKSUM_BYTES: usize = 16;
/// Method, size of header and data, size unpacked.
const HEADER_BYTES: usize = 9;
/// An LZ4 block.
const LZ4: u8 = 0x82;
/// Plain bytes.
const PLAIN: u8 = 0x02;
/// The most bytes to which one block may unpack, as in ClickHouse (`DBMS_MAX_COMPRESSED_SIZE`).
const MAX_BLOCK_BYTES: usize = 0x4000_0000;

/// Undoes the framing that `decompress=1` announces: blocks of checksum, header and data, one after the other.
pub(crate) fn unframe(mut framed: &[u8]) -> Result<Vec<u8>, Exception> {
    let mut plain = Vec::new();
    while !framed.is_empty() {
        let (block, rest) = block(framed)?;
        block.unpack(&mut plain)?;
        framed = rest;
    }
    Ok(plain)
}

struct Block<'a> {
    method: u8,
    unpacked_bytes: usize,
    data: &'a [u8],
}

/// The first block, its checksum verified, and the bytes after it.
fn block(framed: &[u8]) -> Result<(Block<'_>, &[u8]), Exception> {
    let cut = || {
        let said = format!("a block of {} bytes is cut off within its header or data", framed.len());
        Exception::cannot_decompress(&said)
    };
    let (checksum, rest) = framed.split_first_chunk::<CHECKSUM_BYTES>().ok_or_else(cut)?;
    let header = rest.first_chunk::<HEADER_BYTES>().ok_or_else(cut)?;
    let [method, a, b, c, d, sizes @ ..] = *header;
    let packed_bytes = u32::from_le_bytes([a, b, c, d]) as usize;
    let unpacked_bytes = u32::from_le_bytes(sizes) as usize;
    if packed_bytes < HEADER_BYTES || unpacked_bytes > MAX_BLOCK_BYTES {
        let said =
            format!("a block of {packed_bytes} bytes unpacks to {unpacked_bytes}; {MAX_BLOCK_BYTES} are allowed");
        return Err(Exception::cannot_decompress(&said));
    }
    let (packed, rest) = rest.split_at_checked(packed_bytes).ok_or_else(cut)?;
    let (sent, found) = (u128::from_le_bytes(*checksum), checksum_of(packed));
    if sent != found {
        return Err(Exception::checksum(&format!("a block was sent with {sent:032x} and has {found:032x}")));
    }
    Ok((Block { method, unpacked_bytes, data: &packed[HEADER_BYTES..] }, rest))
}

/// ClickHouse writes the low half of the hash first.
fn checksum_of(packed: &[u8]) -> u128 {
    cityhash_rs::cityhash_102_128(packed).rotate_right(64)
}

impl Block<'_> {
    fn unpack(&self, plain: &mut Vec<u8>) -> Result<(), Exception> {
        let start = plain.len();
        let unpacked = match self.method {
            LZ4 => {
                plain.resize(start + self.unpacked_bytes, 0);
                lz4_flex::block::decompress_into(self.data, &mut plain[start..])
                    .map_err(|error| Exception::cannot_decompress(&error.to_string()))?
            }
            PLAIN => {
                plain.extend_from_slice(self.data);
                self.data.len()
            }
            method => {
                let said = format!("a block is packed by {method:#04x}; {LZ4:#04x} and {PLAIN:#04x} are allowed");
                return Err(Exception::not_implemented(&said));
            }
        };
        if unpacked == self.unpacked_bytes {
            return Ok(());
        }
        let said = format!("a block unpacks to {unpacked} bytes; its header says {}", self.unpacked_bytes);
        Err(Exception::cannot_decompress(&said))
    }
}

/// An answer as a client that accepts `lz4` gets it: one standard LZ4 frame.
pub(crate) fn lz4_frame(plain: &[u8]) -> Result<Vec<u8>, Exception> {
    let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
    let written = frame.write_all(plain).map_err(|error| error.to_string());
    let finished = written.and_then(|()| frame.finish().map_err(|error| error.to_string()));
    finished.map_err(|error| Exception::network(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(method: u8, data: &[u8], unpacked_bytes: u32) -> Vec<u8> {
        let mut packed = vec![method];
        packed.extend_from_slice(&((data.len() + HEADER_BYTES) as u32).to_le_bytes());
        packed.extend_from_slice(&unpacked_bytes.to_le_bytes());
        packed.extend_from_slice(data);
        [checksum_of(&packed).to_le_bytes().as_slice(), &packed].concat()
    }

    fn check(framed: &[u8], expected: Result<&[u8], u32>) {
        let found = unframe(framed);
        assert_eq!(found.as_deref().map_err(|exception| exception.code), expected, "{found:?}");
    }

    #[test]
    fn blocks_follow_one_another() {
        let text = b"abcabcabcabcabcabcabcabcabcabc";
        let packed = frame(LZ4, &lz4_flex::block::compress(text), 30);
        check(&packed, Ok(text));
        check(&[packed, frame(PLAIN, b"xyz", 3)].concat(), Ok(b"abcabcabcabcabcabcabcabcabcabcxyz"));
        check(b"", Ok(b""));
    }

    #[test]
    fn a_block_that_is_not_what_was_sent_is_refused() {
        let whole = frame(PLAIN, b"xyz", 3);
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        check(&flipped, Err(40));
        for cut in 1..whole.len() {
            check(&whole[..cut], Err(271));
        }
        check(&frame(PLAIN, b"xyz", 4), Err(271));
        check(&frame(LZ4, b"\xff\xff", 4), Err(271));
        check(&frame(PLAIN, b"xyz", u32::MAX), Err(271));
        check(&frame(0x90, b"xyz", 3), Err(48));
    }

    #[test]
    fn a_block_of_the_clickhouse_client_is_unpacked() {
        // The output of version 0.15.3 of the crate for these 23 bytes.
        let plain = b"\x01\0\x02\xff\xff\xff\xff\0\x01\x01\x01s\x06String\x03abc";
        let framed = [
            b"\xf5\x05\xde\xeb\xe1\x9e\x3b\x6c\xe1\x1f\x41\xd7\x42\x42\x24\x5c\x82\x22\0\0\0\x17\0\0\0\xf0\x08"
                .as_slice(),
            plain,
        ];
        check(&framed.concat(), Ok(plain));
    }

    #[test]
    fn an_answer_is_one_standard_frame() {
        let frame = lz4_frame(b"abc").unwrap();
        assert!(frame.starts_with(&[0x04, 0x22, 0x4d, 0x18]), "{frame:?}");
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut lz4_flex::frame::FrameDecoder::new(frame.as_slice()), &mut plain).unwrap();
        assert_eq!(plain, b"abc");
    }
}
