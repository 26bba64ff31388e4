//! Reads the columns of each kind's own fields, and makes a row's own part from them. A missing column (an older
//! version's file lacks it) or a column without a value reads as absent. Must not know any field by name; the
//! contract's list gives the fields. Called by `batch`.
use super::error::ReadError;
use super::value::{bad, column, typed, value};
use super::words::{Coded, Words};
use crate::columns::hundredths_name;
use arrow_array::types::{Float64Type, Int8Type, Int16Type, UInt8Type, UInt16Type, UInt32Type};
use arrow_array::{Array, BooleanArray, ListArray, PrimitiveArray, RecordBatch};
use zenei_wire::fields::{self, Absent, Field, Form, Slot, Text};
use zenei_wire::record::MAX_PROFILE_SAMPLES;
use zenei_wire::{Body, Kind, Profile};

/// The columns that have a value, kind by kind.
#[derive(Debug)]
pub(super) struct OwnColumns([Vec<Column>; Kind::ALL.len()]);

#[derive(Debug)]
enum Column {
    U8(PrimitiveArray<UInt8Type>, &'static Slot<u8>),
    U16(PrimitiveArray<UInt16Type>, &'static Slot<u16>),
    U32(PrimitiveArray<UInt32Type>, &'static Slot<u32>),
    I8(PrimitiveArray<Int8Type>, &'static Slot<i8>),
    /// In the form of files, for every reader of Parquet.
    Degrees(PrimitiveArray<Float64Type>, &'static Slot<i16>),
    /// In the form of ClickHouse.
    Hundredths(PrimitiveArray<Int16Type>, &'static Slot<i16>),
    Flag(BooleanArray, &'static Slot<bool>),
    Word(Coded<u8>, &'static Field, &'static Slot<u8>),
    Text(Words, &'static Field, &'static Text),
    Samples(Profiles, &'static Slot<Profile>),
}

#[derive(Debug)]
struct Profiles {
    name: &'static str,
    lists: ListArray,
    samples: PrimitiveArray<UInt16Type>,
}

impl OwnColumns {
    pub(super) fn new(batch: &RecordBatch) -> Result<Self, ReadError> {
        let mut own = [const { Vec::new() }; Kind::ALL.len()];
        for kind in Kind::ALL {
            for field in fields::of(*kind) {
                own[usize::from(kind.place())].extend(Column::new(batch, field)?);
            }
        }
        Ok(Self(own))
    }

    /// The own part of a row of this kind.
    #[inline]
    pub(super) fn body(&self, kind: Kind, at: usize) -> Result<Body<'_>, ReadError> {
        let mut body = Body::empty(kind);
        for column in &self.0[usize::from(kind.place())] {
            column.put(&mut body, at)?;
        }
        Ok(body)
    }
}

impl Column {
    /// The field's column; `None` where no row can have a value of it.
    fn new(batch: &RecordBatch, field: &'static Field) -> Result<Option<Self>, ReadError> {
        let name = field.name;
        if let Form::Hundredths(slot) = &field.form
            && let Some(hundredths) = batch.column_by_name(&hundredths_name(name))
        {
            return Ok(Some(Self::Hundredths(typed(hundredths, name)?, slot)));
        }
        let Some(found) = batch.column_by_name(name) else { return Ok(None) };
        if found.null_count() == found.len() && field.absent != Absent::Refused {
            return Ok(None);
        }
        Ok(Some(match &field.form {
            Form::U8(slot) => Self::U8(column(batch, name)?, slot),
            Form::U16(slot) => Self::U16(column(batch, name)?, slot),
            Form::U32(slot) => Self::U32(column(batch, name)?, slot),
            Form::I8(slot) => Self::I8(column(batch, name)?, slot),
            Form::Hundredths(slot) => Self::Degrees(column(batch, name)?, slot),
            Form::Flag(slot) => Self::Flag(column(batch, name)?, slot),
            Form::Word(words) => {
                let place = |text: &str| (0..).zip(words.all).find(|(_, word)| **word == text).map(|(place, _)| place);
                Self::Word(Coded::new(batch, name, place)?, field, &words.slot)
            }
            Form::Text(text) => Self::Text(Words::new(batch, name)?, field, text),
            Form::Samples(slot) => Self::Samples(Profiles::new(batch, name)?, slot),
        }))
    }

    /// Puts the row's value into its place.
    #[inline]
    fn put<'a>(&'a self, body: &mut Body<'a>, at: usize) -> Result<(), ReadError> {
        match self {
            Self::U8(array, slot) => set(slot, body, value(array, at)),
            Self::U16(array, slot) => set(slot, body, value(array, at)),
            Self::U32(array, slot) => set(slot, body, value(array, at)),
            Self::I8(array, slot) => set(slot, body, value(array, at)),
            Self::Degrees(array, slot) => set(slot, body, value(array, at).map(hundredths)),
            Self::Hundredths(array, slot) => set(slot, body, value(array, at)),
            Self::Flag(array, slot) => set(slot, body, array.is_valid(at).then(|| array.value(at))),
            Self::Word(words, field, slot) => match field.absent {
                Absent::Refused => (slot.set)(body, Some(words.required(at)?)),
                Absent::Unknown | Absent::One => set(slot, body, words.read(at)?),
            },
            Self::Text(words, field, text) => match (words.lent(at), field.absent) {
                (None, Absent::Refused) => return Err(bad(field.name, "null", "its kind requires it")),
                (None, Absent::Unknown | Absent::One) => {}
                (said, _) => (text.set)(body, said),
            },
            Self::Samples(profiles, slot) => set(slot, body, profiles.read(at)?),
        }
        Ok(())
    }
}

/// Puts a value into its place; a body without values needs no `None`.
#[inline]
fn set<T>(slot: &Slot<T>, body: &mut Body<'_>, value: Option<T>) {
    if value.is_some() {
        (slot.set)(body, value);
    }
}

impl Profiles {
    fn new(batch: &RecordBatch, name: &'static str) -> Result<Self, ReadError> {
        let lists: ListArray = column(batch, name)?;
        let samples = typed(lists.values(), name)?;
        Ok(Self { name, lists, samples })
    }

    fn read(&self, at: usize) -> Result<Option<Profile>, ReadError> {
        if self.lists.is_null(at) {
            return Ok(None);
        }
        let offsets = self.lists.value_offsets();
        let place = |offset: i32| usize::try_from(offset).unwrap_or(0);
        let samples = &self.samples.values()[place(offsets[at])..place(offsets[at + 1])];
        match Profile::new(samples) {
            Some(profile) => Ok(Some(profile)),
            None => {
                let allowed = format!("at most {MAX_PROFILE_SAMPLES} samples are allowed");
                Err(bad(self.name, &samples.len().to_string(), &allowed))
            }
        }
    }
}

/// Back to fixed point; the writer divided a whole number of hundredths, so rounding restores it.
fn hundredths(value: f64) -> i16 {
    (value * 100.0).round() as i16
}
