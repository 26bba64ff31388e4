//! Makes a column from rows: its name, its array, and whether it may have nulls. Must not know what a column means.
//! Called by [`crate::columns`] and by ClickHouse's columns.
use arrow_array::builder::{ListBuilder, UInt16Builder};
use arrow_array::types::{ArrowPrimitiveType, TimestampMillisecondType};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use std::borrow::Cow;
use std::sync::Arc;
use zenei_wire::Profile;

/// Name, array, and whether it may have nulls.
pub(crate) type Column = (Cow<'static, str>, ArrayRef, bool);

/// A column of texts.
pub(crate) fn text<'a, R>(
    name: impl Into<Cow<'static, str>>,
    rows: &'a [R],
    value: impl Fn(&'a R) -> Option<&'a str>,
    null: bool,
) -> Column {
    let array: StringArray = rows.iter().map(value).collect();
    (name.into(), Arc::new(array), null)
}

/// A column of numbers.
pub(crate) fn number<'a, T: ArrowPrimitiveType, R>(
    name: impl Into<Cow<'static, str>>,
    rows: &'a [R],
    value: impl Fn(&'a R) -> Option<T::Native>,
    null: bool,
) -> Column {
    let array: PrimitiveArray<T> = rows.iter().map(value).collect();
    (name.into(), Arc::new(array), null)
}

/// A column of zenei's own times.
pub(crate) fn time<'a, R>(name: impl Into<Cow<'static, str>>, rows: &'a [R], ms: impl Fn(&'a R) -> i64) -> Column {
    let array: PrimitiveArray<TimestampMillisecondType> = rows.iter().map(|row| Some(ms(row))).collect();
    (name.into(), Arc::new(array.with_timezone("UTC")), false)
}

/// A column of booleans.
pub(crate) fn flag<'a, R>(name: impl Into<Cow<'static, str>>, rows: &'a [R], value: impl Fn(&'a R) -> bool) -> Column {
    let array: BooleanArray = rows.iter().map(|row| Some(value(row))).collect();
    (name.into(), Arc::new(array), false)
}

/// A column of booleans that may be null.
pub(crate) fn flag_or_null<'a, R>(
    name: impl Into<Cow<'static, str>>,
    rows: &'a [R],
    value: impl Fn(&'a R) -> Option<bool>,
) -> Column {
    let array: BooleanArray = rows.iter().map(value).collect();
    (name.into(), Arc::new(array), true)
}

/// A column of motor current profiles; `null`: whether an absent one is null, or else empty.
pub(crate) fn profiles<'a, R>(
    name: impl Into<Cow<'static, str>>,
    rows: &'a [R],
    value: impl Fn(&'a R) -> Option<Profile>,
    null: bool,
) -> Column {
    let item = Field::new("item", DataType::UInt16, false);
    let mut lists = ListBuilder::new(UInt16Builder::new()).with_field(item);
    for profile in rows.iter().map(value) {
        if let Some(profile) = &profile {
            lists.values().append_slice(profile.samples());
        }
        lists.append(profile.is_some() || !null);
    }
    (name.into(), Arc::new(lists.finish()), null)
}

/// A record batch of these columns.
pub(crate) fn table(columns: Vec<Column>) -> Result<RecordBatch, ArrowError> {
    let field = |(name, array, null): &Column| Field::new(name.as_ref(), array.data_type().clone(), *null);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array, _)| array).collect())
}
