//! The reasons why a whole message can't be read. A fault is small and `Copy`, so that reading without faults stays
//! cheap; its text is made at the end. Must not know records. Called by both codecs and by recordings.
use crate::limits::MAX_RECORDS;
use crate::refusal::{Reason, Refusal};
use alloc::format;

/// Why a message can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The byte at `at` is not what the grammar allows.
    Syntax { at: usize, allowed: &'static str },
    /// The text at byte `at` is no UTF-8.
    Utf8 { at: usize },
    /// Nested deeper than allowed at byte `at`.
    TooDeep { at: usize, levels: usize },
    /// More records than allowed.
    TooManyRecords,
}

impl Fault {
    /// The refusal of the whole message; `syntax` is the codec's reason for a broken grammar.
    #[cold]
    pub(crate) fn refusal(self, syntax: Reason, payload: &[u8]) -> Refusal {
        match self {
            Self::Syntax { at, allowed } => {
                let detail = match payload.get(at) {
                    Some(byte) => format!("'{}' at byte {at}; {allowed} is allowed", byte.escape_ascii()),
                    None => format!("the end at byte {}; {allowed} is allowed", payload.len()),
                };
                Refusal::new(syntax, detail)
            }
            Self::Utf8 { at } => Refusal::new(Reason::BadUtf8, format!("no UTF-8 from byte {at} on")),
            Self::TooDeep { at, levels } => {
                Refusal::new(Reason::TooDeep, format!("a deeper level at byte {at}; {levels} levels are allowed"))
            }
            Self::TooManyRecords => Refusal::new(
                Reason::TooManyRecords,
                format!("more than {MAX_RECORDS} records; {MAX_RECORDS} are allowed"),
            ),
        }
    }
}
