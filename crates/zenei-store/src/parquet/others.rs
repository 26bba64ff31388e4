//! Reads the two small tables: dead letters and gaps. Must not know records. Called by the shipper, `replay` and the
//! lab.
use super::error::ReadError;
use super::files::Files;
use super::value::column;
use crate::dead_letter::DeadLetter;
use arrow_array::types::{TimestampMillisecondType, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{BinaryArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use std::collections::VecDeque;
use zenei_wire::{EngineTime, GatewayTime, Reason};

/// A gap in `seq` as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGap {
    /// The lock.
    pub device_id: String,
    /// The boot.
    pub boot: u32,
    /// First missing `seq`.
    pub from_seq: u32,
    /// Last missing `seq`.
    pub to_seq: u32,
    /// When intake stopped waiting.
    pub at: EngineTime,
}

/// Stored dead letters, file by file.
#[derive(Debug)]
pub struct DeadLetters {
    files: Files,
    read: VecDeque<DeadLetter>,
}

/// Stored gaps, file by file.
#[derive(Debug)]
pub struct Gaps {
    files: Files,
    read: VecDeque<StoredGap>,
}

impl DeadLetters {
    pub(super) fn new(files: Files) -> Self {
        Self { files, read: VecDeque::new() }
    }

    /// The next one, if it was received up to this time.
    pub fn next_up_to(&mut self, at: GatewayTime) -> Option<Result<DeadLetter, ReadError>> {
        let next = match self.next()? {
            Ok(letter) if letter.heard_at > at => letter,
            next => return Some(next),
        };
        self.read.push_front(next);
        None
    }
}

impl Gaps {
    pub(super) fn new(files: Files) -> Self {
        Self { files, read: VecDeque::new() }
    }
}

impl Iterator for DeadLetters {
    type Item = Result<DeadLetter, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_of(&mut self.files, &mut self.read, letters)
    }
}

impl Iterator for Gaps {
    type Item = Result<StoredGap, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_of(&mut self.files, &mut self.read, gaps)
    }
}

fn next_of<T>(
    files: &mut Files,
    read: &mut VecDeque<T>,
    rows: impl Fn(&RecordBatch) -> Result<Vec<T>, ReadError>,
) -> Option<Result<T, ReadError>> {
    while read.is_empty() {
        match files.next()?.and_then(|batch| rows(&batch)) {
            Ok(rows) => read.extend(rows),
            Err(error) => return Some(Err(error)),
        }
    }
    read.pop_front().map(Ok)
}

fn letters(batch: &RecordBatch) -> Result<Vec<DeadLetter>, ReadError> {
    let [reason, detail, topic]: [StringArray; 3] =
        [column(batch, "reason")?, column(batch, "detail")?, column(batch, "topic")?];
    let (bytes, cut): (BinaryArray, BooleanArray) = (column(batch, "bytes")?, column(batch, "cut")?);
    let heard_at: PrimitiveArray<TimestampMillisecondType> = column(batch, "heard_at")?;
    let offset: PrimitiveArray<UInt64Type> = column(batch, "offset")?;
    let index: PrimitiveArray<UInt16Type> = column(batch, "index")?;
    // A file of a version that did not store it lacks the column.
    let said = batch.column_by_name("authenticated").is_some();
    let authenticated: Option<BooleanArray> = said.then(|| column(batch, "authenticated")).transpose()?;
    let letter = |at: usize| {
        let word = reason.value(at);
        Ok(DeadLetter {
            reason: Reason::parse(word).ok_or_else(|| ReadError::Value {
                name: "reason",
                found: word.escape_default().take(80).collect(),
                allowed: "the contract has no such word".to_owned(),
            })?,
            detail: detail.value(at).to_owned(),
            topic: topic.value(at).to_owned(),
            bytes: bytes.value(at).to_vec(),
            cut: cut.value(at),
            heard_at: GatewayTime(heard_at.value(at)),
            offset: offset.value(at),
            index: index.value(at),
            authenticated: authenticated.as_ref().is_some_and(|authenticated| authenticated.value(at)),
        })
    };
    (0..batch.num_rows()).map(letter).collect()
}

fn gaps(batch: &RecordBatch) -> Result<Vec<StoredGap>, ReadError> {
    let device_id: StringArray = column(batch, "device_id")?;
    let [boot, from_seq, to_seq]: [PrimitiveArray<UInt32Type>; 3] =
        [column(batch, "boot")?, column(batch, "from_seq")?, column(batch, "to_seq")?];
    let given_up: PrimitiveArray<TimestampMillisecondType> = column(batch, "at")?;
    let gap = |at: usize| StoredGap {
        device_id: device_id.value(at).to_owned(),
        boot: boot.value(at),
        from_seq: from_seq.value(at),
        to_seq: to_seq.value(at),
        at: EngineTime(given_up.value(at)),
    };
    Ok((0..batch.num_rows()).map(gap).collect())
}
