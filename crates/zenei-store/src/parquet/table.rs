//! The three tables and their files: the name of a file, and the encoding of its columns. Must not know rows. Called by
//! the code that writes or reads files.
use crate::control::{SealPlan, Sealed};
use ::parquet::basic::{Compression, Encoding, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::schema::types::ColumnPath;
use arrow_array::RecordBatch;
use zenei_wire::EngineTime;

/// The version of the files, stored in each of them under [`FORMAT_KEY`].
pub(super) const FORMAT: u32 = 1;
pub(super) const FORMAT_KEY: &str = "zenei.format";
pub(super) const ENDING: &str = ".parquet";
/// Rows of one row group: bounds a reader's memory to some tens of MB (a guess at 200 bytes a row).
const GROUP_ROWS: usize = 1 << 17;
/// Columns that rise from row to row, or nearly: differences pack better than a dictionary.
const RISING: [&str; 6] = ["ts", "heard_at", "released_at", "offset", "seq", "uptime_s"];
/// Columns of records that compression makes smaller by a fifth or more, and the file by a three-hundredth, or whose
/// texts may be anything. The others are packed already by dictionary or difference: compressing them saved 4 % of a
/// simulated fleet's files, and to set up their decompression cost a replay 6 % of its time.
const COMPRESSED: [&str; 9] = [
    "device_id",
    "identity",
    "offset",
    "late",
    "authenticated",
    "current_ma.list.item",
    "code",
    "detail",
    "gateway_id",
];
/// The same of dead letters.
const COMPRESSED_LETTERS: [&str; 3] = ["detail", "topic", "bytes"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Records,
    DeadLetters,
    Gaps,
}

impl Table {
    pub(super) const ALL: [Self; 3] = [Self::Records, Self::DeadLetters, Self::Gaps];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::DeadLetters => "dead_letters",
            Self::Gaps => "gaps",
        }
    }
}

pub(super) fn properties(table: Table, batch: &RecordBatch) -> Result<WriterProperties, ParquetError> {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1)?);
    let (compressed, rest): (&[&str], Compression) = match table {
        Table::Records => (&COMPRESSED, Compression::UNCOMPRESSED),
        Table::DeadLetters => (&COMPRESSED_LETTERS, Compression::UNCOMPRESSED),
        Table::Gaps => (&[], zstd),
    };
    let format = KeyValue::new(FORMAT_KEY.to_owned(), FORMAT.to_string());
    let mut properties = WriterProperties::builder()
        // Named without a version: equal rows give equal bytes, also after an update.
        .set_created_by("zenei".to_owned())
        .set_key_value_metadata(Some(vec![format]))
        .set_compression(rest)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(GROUP_ROWS));
    for name in compressed {
        let path = ColumnPath::new(name.split('.').map(str::to_owned).collect());
        properties = properties.set_column_compression(path, zstd);
    }
    let has = |name: &str| batch.schema_ref().column_with_name(name).is_some();
    for name in RISING.into_iter().filter(|name| has(name)) {
        let path = ColumnPath::from(name);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    Ok(properties.build())
}

pub(super) fn name_of(plan: &SealPlan) -> String {
    let advanced_to_ms = as_named(plan.to).advanced_to.ms();
    format!("{:020}-{:020}-{advanced_to_ms:014}{ENDING}", plan.from, plan.to.offset)
}

/// A place in the form of a file's name: time before 1970 counts as 1970.
pub(super) fn as_named(at: Sealed) -> Sealed {
    Sealed { advanced_to: EngineTime(at.advanced_to.ms().max(0)), ..at }
}

pub(super) fn range_of(name: &str) -> Option<(u64, Sealed)> {
    let mut parts = name.strip_suffix(ENDING)?.split('-');
    let (from, to, advanced_to) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let to = Sealed { offset: to.parse().ok()?, advanced_to: EngineTime(advanced_to.parse().ok()?) };
    Some((from.parse().ok()?, to))
}
