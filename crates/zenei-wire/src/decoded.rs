//! The result of decoding one message: its records, each decoded or refused on its own, with its own bytes. Must not
//! know JSON or CBOR. Called by both codecs and by the callers of [`decode`](crate::decode()).
use crate::record::Record;
use crate::refusal::Refusal;
use smallvec::SmallVec;

/// One element of a message: the record, or why it was refused, with its own bytes of the payload.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedRecord<'a> {
    /// The record, or why it was refused.
    pub record: Result<Record<'a>, Refusal>,
    /// The bytes of this record alone.
    pub raw: &'a [u8],
}

/// The records of one message, in its order; one is held inline.
pub type Records<'a> = SmallVec<[DecodedRecord<'a>; 1]>;
