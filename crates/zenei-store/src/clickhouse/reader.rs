//! The records that ClickHouse holds, each once, as the Parquet store gives them: the query makes the columns of a sealed file, so that one decoder reads
//! both. Called by `record list`.
use super::server::Server;
use super::trouble::Trouble;
use crate::parquet::{ReadError, StoredBatch, StoredRecord};
use crate::schema::Form;
use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::{Array, ArrayRef, BooleanArray, ListArray, RecordBatch};
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use bytes::Bytes;
use std::sync::Arc;

/// Why records can't be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The server.
    #[error("the records can't be asked for")]
    Server(#[from] Trouble),
    /// Its answer is no Arrow stream.
    #[error("the answer is no Arrow stream")]
    Stream(#[from] ArrowError),
    /// Its columns are not those of this program's tables.
    #[error("the answer has other columns than this program's tables")]
    Columns(#[from] ReadError),
}

const QUERY: &str = include_str!("records.sql");

/// Hands over every record, or those of one lock, by device id, boot, `seq`, time; of records with the same identity the one that the Parquet store
/// would give. One batch at a time is in memory.
///
/// # Errors
/// See [`RecordsError`]; `each` has then had a part.
pub fn each_record(
    server: &Server,
    form: &Form,
    device_id: Option<&str>,
    each: &mut dyn FnMut(StoredRecord),
) -> Result<(), RecordsError> {
    let wanted = if device_id.is_some() { "device_id = {device:String}" } else { "1" };
    let sql = QUERY
        .replace("{record}", &form.table("record"))
        .replace("{operation}", &form.table("operation"))
        .replace("{motor_profile}", &form.table("motor_profile"))
        .replace("{wanted}", wanted);
    let params: Vec<(&str, &str)> = device_id.map(|device_id| ("device", device_id)).into_iter().collect();
    let mut decoder = StreamDecoder::new();
    let mut failed = None;
    server.fetch(&sql, &params, "ArrowStream", &mut |chunk| {
        if failed.is_none() {
            failed = decode(&mut decoder, chunk, each).err();
        }
    })?;
    failed.map_or(Ok(()), Err)
}

fn decode(decoder: &mut StreamDecoder, chunk: Bytes, each: &mut dyn FnMut(StoredRecord)) -> Result<(), RecordsError> {
    let mut buffer = chunk.into();
    while let Some(batch) = decoder.decode(&mut buffer)? {
        let batch = StoredBatch::new(&with_absent_profiles(&batch)?)?;
        for at in 0..batch.len() {
            each(batch.stored(at)?);
        }
    }
    Ok(())
}

/// ClickHouse has no absent arrays; `has_profile` says which ones are.
fn with_absent_profiles(batch: &RecordBatch) -> Result<RecordBatch, RecordsError> {
    let missing = |name| ReadError::Column { name, found: "nothing".to_owned() };
    let column = |name| batch.column_by_name(name).ok_or_else(|| missing(name));
    let lists = column("current_ma")?.as_any().downcast_ref::<ListArray>().ok_or_else(|| missing("current_ma"))?;
    let has = column("has_profile")?.as_any().downcast_ref::<BooleanArray>();
    let has = has.ok_or_else(|| missing("has_profile"))?;
    let mut present = BooleanBufferBuilder::new(has.len());
    has.iter().for_each(|has| present.append(has.unwrap_or(false)));
    let DataType::List(item) = lists.data_type() else { return Err(missing("current_ma").into()) };
    let lists = ListArray::try_new(
        Arc::clone(item),
        lists.offsets().clone(),
        Arc::clone(lists.values()),
        Some(present.finish().into()),
    )?;
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|field| Field::clone(field)).collect();
    let at = batch.schema().index_of("current_ma")?;
    fields[at] = fields[at].clone().with_nullable(true);
    columns[at] = Arc::new(lists);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
