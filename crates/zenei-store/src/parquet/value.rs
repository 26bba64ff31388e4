//! Reads one column of a batch and one value of a column, with an error where a writer can't have written it. Must not
//! know what a column means. Called by the code that reads rows.
use super::error::ReadError;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch, StringArray};
use zenei_wire::Name;

/// The site of a row without a value for it: the fleet's index was full when it came.
pub(super) const UNKNOWN_SITE: &str = "unknown";

/// A column as the type that the writer gave it.
pub(super) fn column<A: Array + Clone + 'static>(batch: &RecordBatch, name: &'static str) -> Result<A, ReadError> {
    let Some(array) = batch.column_by_name(name) else {
        return Err(ReadError::Column { name, found: "nothing".to_owned() });
    };
    typed(array, name)
}

pub(super) fn typed<A: Array + Clone + 'static>(array: &ArrayRef, name: &'static str) -> Result<A, ReadError> {
    let typed = array.as_any().downcast_ref::<A>();
    typed.cloned().ok_or_else(|| ReadError::Column { name, found: array.data_type().to_string() })
}

pub(super) fn value<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, at: usize) -> Option<T::Native> {
    array.is_valid(at).then(|| array.value(at))
}

pub(super) fn said(array: &StringArray, at: usize) -> Option<&str> {
    array.is_valid(at).then(|| array.value(at))
}

/// A name, checked.
pub(super) fn name<'a>(column: &'static str, text: &'a str) -> Result<Name<'a>, ReadError> {
    Name::new(text).map_err(|error| bad(column, text, &error.to_string()))
}

pub(super) fn bad(name: &'static str, found: &str, allowed: &str) -> ReadError {
    ReadError::Value { name, found: found.escape_default().take(80).collect(), allowed: allowed.to_owned() }
}
