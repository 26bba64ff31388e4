//! Reads the records that ClickHouse holds, each once, in the form of the Parquet store: the query makes the columns of
//! a sealed file, so that one decoder reads both. Must not know how records are shipped. Called by `record list`,
//! `replay`, the lab and the feed.
use super::query;
use super::server::Server;
use super::server_error::ServerError;
use crate::parquet::{ReadError, StoredBatch, StoredRecord};
use crate::schema::Form;
use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::{Array, ArrayRef, BooleanArray, ListArray, RecordBatch};
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use bytes::Bytes;
use serde::Deserialize;
use std::sync::Arc;
use zenei_detect::Unreadable;
use zenei_wire::{GatewayTime, Heading, Reason, Topic};

/// Why records can't be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The server.
    #[error("the records can't be asked for")]
    Server(#[from] ServerError),
    /// Its answer is no Arrow stream.
    #[error("the answer is no Arrow stream")]
    Stream(#[from] ArrowError),
    /// Its columns are not those of this program's tables.
    #[error("the answer has other columns than this program's tables")]
    Columns(#[from] ReadError),
}

/// Each record once, as the Parquet store would list it. The same numbers with the same kind and time are one record,
/// also where two gateways heard it that count different lives of its lock.
const ONCE: &str = "\
ORDER BY device_id, life, boot NULLS FIRST, seq NULLS FIRST, ts, identity_text, offset, index
LIMIT 1 BY device_id, boot, seq, kind, ts, identity";
/// The order in which one gateway that received everything would have received it.
const HEARING: &str = "ORDER BY heard_at, heard_by, offset, index";
/// The settings of the answer for a decoder of sealed files.
pub(super) const FORM: &str = "\
SETTINGS output_format_arrow_compression_method = 'none', output_format_arrow_string_as_string = 1,
    output_format_arrow_low_cardinality_as_dictionary = 0, join_use_nulls = 0";
const DAY_MS: i64 = 24 * 3_600_000;
/// The range of ClickHouse's `DateTime64`: the years 1900 to 2299.
pub(super) const EARLIEST_MS: i64 = -2_208_988_800_000;
pub(super) const LATEST_MS: i64 = 10_413_791_999_999;

/// Passes every record, or those of one lock, to `each`, by device id, life, boot, `seq`, time; of records with the
/// same identity the one that the Parquet store would give. One batch at a time is in memory.
///
/// # Errors
/// See [`RecordsError`]; `each` has then received a part.
pub fn each_record(
    server: &Server,
    form: &Form,
    device_id: Option<&str>,
    each: &mut dyn FnMut(StoredRecord),
) -> Result<(), RecordsError> {
    let wanted = if device_id.is_some() { "device_id = {device:String}" } else { "1" };
    let sql = query(form, wanted, ONCE);
    let params: Vec<(&str, &str)> = device_id.map(|device_id| ("device", device_id)).into_iter().collect();
    each_batch(server, &sql, &params, &mut |batch| {
        (0..batch.len()).try_for_each(|at| {
            each(batch.stored(at)?);
            Ok(())
        })
    })
}

#[derive(Deserialize)]
struct Letter {
    topic: String,
    at_ms: i64,
}

/// The unreadable records for which this condition holds, in the order of reception.
pub(super) fn unreadable(server: &Server, form: &Form, wanted: &str) -> Result<Vec<Unreadable>, ServerError> {
    let sql = format!(
        "SELECT topic, toUnixTimestamp64Milli(heard_at) AS at_ms FROM {} WHERE authenticated AND ({wanted}) \
         ORDER BY heard_at, gateway, spool_offset, spool_index \
         SETTINGS output_format_json_quote_64bit_integers = 0, select_sequential_consistency = 1",
        form.table("dead_letter")
    );
    let letters: Vec<Letter> = server.lines(&sql, &[])?;
    let of_lock = |letter: Letter| match Topic::parse(&letter.topic) {
        Ok(Heading::Record(topic)) => {
            let device_id = topic.device.as_str().to_owned();
            Some(Unreadable { device_id, heard_at: GatewayTime(letter.at_ms) })
        }
        Ok(Heading::Online | Heading::Foreign) | Err(_) => None,
    };
    Ok(letters.into_iter().filter_map(of_lock).collect())
}

/// The receiver of records in the order of reception: it gets the unreadable records up to the last record of a batch,
/// and the batch; after the last batch, no batch.
pub type EachHeard<'a> = dyn FnMut(&[Unreadable], Option<&StoredBatch>) -> Result<(), ReadError> + 'a;

/// Passes every record received after `after` and up to `up_to` to `each`, in the order of reception over all gateways;
/// a record that two gateways received comes twice. With each batch come the unreadable records up to its last record,
/// and after the last batch the rest of them. One query covers one day, which the server sorts; here one batch at a
/// time is in memory.
///
/// # Errors
/// See [`RecordsError`], and the error of `each`; it has then received a part.
pub fn each_heard(
    server: &Server,
    form: &Form,
    after: GatewayTime,
    up_to: GatewayTime,
    each: &mut EachHeard<'_>,
) -> Result<(), RecordsError> {
    let wanted = "heard_at > fromUnixTimestamp64Milli({after:Int64}, 'UTC') AND heard_at <= fromUnixTimestamp64Milli({up_to:Int64}, 'UTC')";
    let sql = query(form, wanted, HEARING);
    let Some((first, last)) = heard_between(server, form, after, up_to)? else { return Ok(()) };
    let (mut after_ms, mut letters) = (first.ms() - 1, Vec::new());
    while after_ms < last.ms() {
        // To the end of a day: that much the server sorts at a time. A partition has seven, so each is read through
        // seven times.
        let day_end_ms = ((after_ms + 1).div_euclid(DAY_MS) + 1) * DAY_MS - 1;
        let up_to_ms = day_end_ms.min(last.ms());
        let (from, to) = (after_ms.to_string(), up_to_ms.to_string());
        let heard = format!(
            "heard_at > fromUnixTimestamp64Milli({from}, 'UTC') AND heard_at <= fromUnixTimestamp64Milli({to}, 'UTC')"
        );
        letters.extend(unreadable(server, form, &heard)?);
        each_batch(server, &sql, &[("after", &from), ("up_to", &to)], &mut |batch| {
            let until = batch.heard_last();
            let due = letters.partition_point(|letter| until.is_some_and(|until| letter.heard_at <= until));
            each(&letters.drain(..due).collect::<Vec<_>>(), Some(batch))
        })?;
        after_ms = up_to_ms;
    }
    Ok(each(&letters, None)?)
}

#[derive(Deserialize)]
struct Span {
    first_ms: Option<i64>,
    last_ms: Option<i64>,
}

/// When the first and the last record between these times were received; `None` if there is none.
///
/// # Errors
/// The server's error.
pub fn heard_between(
    server: &Server,
    form: &Form,
    after: GatewayTime,
    up_to: GatewayTime,
) -> Result<Option<(GatewayTime, GatewayTime)>, ServerError> {
    let between = |table: &str| {
        format!(
            "SELECT minOrNull(toUnixTimestamp64Milli(heard_at)) AS first, maxOrNull(toUnixTimestamp64Milli(heard_at)) AS last FROM {} \
             WHERE heard_at > fromUnixTimestamp64Milli({{after:Int64}}, 'UTC') AND heard_at <= fromUnixTimestamp64Milli({{up_to:Int64}}, 'UTC')",
            form.table(table)
        )
    };
    let sql = format!(
        "SELECT min(first) AS first_ms, max(last) AS last_ms FROM ({} UNION ALL {}) SETTINGS output_format_json_quote_64bit_integers = 0",
        between("record"),
        between("operation")
    );
    let (after, up_to) = (after.ms().clamp(EARLIEST_MS, LATEST_MS), up_to.ms().clamp(EARLIEST_MS, LATEST_MS));
    let (after, up_to) = (after.to_string(), up_to.to_string());
    let spans: Vec<Span> = server.lines(&sql, &[("after", &after), ("up_to", &up_to)])?;
    let span = spans.into_iter().next().and_then(|span| span.first_ms.zip(span.last_ms));
    Ok(span.map(|(first, last)| (GatewayTime(first), GatewayTime(last))))
}

#[derive(Deserialize)]
struct OfReason {
    reason: String,
    letters: u64,
}

/// How many dead letters there are, by reason; a reason that this version does not define is left out.
///
/// # Errors
/// The server's error.
pub fn dead_letters(server: &Server, form: &Form) -> Result<Vec<(Reason, u64)>, ServerError> {
    let sql = format!(
        "SELECT reason, count() AS letters FROM {} GROUP BY reason ORDER BY reason SETTINGS output_format_json_quote_64bit_integers = 0",
        form.table("dead_letter")
    );
    let rows: Vec<OfReason> = server.lines(&sql, &[])?;
    Ok(rows.into_iter().filter_map(|row| Some((Reason::parse(&row.reason)?, row.letters))).collect())
}

fn query(form: &Form, wanted: &str, order: &str) -> String {
    let select = query::of_records(form, wanted);
    format!("{select}{order}\n{FORM}")
}

/// Runs a query with the columns of a sealed file and passes its rows on.
pub(super) fn each_batch(
    server: &Server,
    sql: &str,
    params: &[(&str, &str)],
    each: &mut dyn FnMut(&StoredBatch) -> Result<(), ReadError>,
) -> Result<(), RecordsError> {
    let mut decoder = StreamDecoder::new();
    let mut failed = None;
    server.fetch(sql, params, "ArrowStream", &mut |chunk| {
        if failed.is_none() {
            failed = decode(&mut decoder, chunk, each).err();
        }
    })?;
    failed.map_or(Ok(()), Err)
}

fn decode(
    decoder: &mut StreamDecoder,
    chunk: Bytes,
    each: &mut dyn FnMut(&StoredBatch) -> Result<(), ReadError>,
) -> Result<(), RecordsError> {
    let mut buffer = chunk.into();
    while let Some(batch) = decoder.decode(&mut buffer)? {
        each(&StoredBatch::new(&with_absent_profiles(&batch)?)?)?;
    }
    Ok(())
}

/// ClickHouse has no absent arrays; `has_profile` marks the rows that have one.
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
